# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said in more than one file about versions is the same in all of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def requirement(path: Path, name: str) -> Requirement:
    (found,) = re.findall(rf"^{name}[<>=].*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return Requirement(found)


def cores_of_ci(repository: Path) -> list[str]:
    """The versions of ansible-core that CI asks for."""
    matrix = load(repository / ".github/workflows/ci.yml")["jobs"]["all"]["strategy"]["matrix"]
    return sorted({one["ansible-core"] for one in matrix["include"]})


def test_the_execution_environment_takes_the_archive_of_this_version(repository: Path) -> None:
    galaxy = load(repository / "galaxy.yml")
    definition = load(repository / "execution-environment.yml")
    name = f"{galaxy['namespace']}-{galaxy['name']}-{galaxy['version']}.tar.gz"
    (built,) = definition["additional_build_files"]
    assert definition["dependencies"]["galaxy"]["collections"] == [{"name": f"{built['dest']}/{name}", "type": "file"}]
    assert Path(name).match(built["src"])


def test_every_environment_can_have_each_ansible_core_that_is_tested(repository: Path) -> None:
    cores = cores_of_ci(repository)
    assert len(cores) > 1
    for core in cores:
        for name in ("requirements-dev.txt", "requirements-docs.txt"):
            assert requirement(repository / name, "ansible-core").specifier.contains(f"{core}.0")
        # the package ansible goes with one version of ansible-core: 12 with 2.19, and so on
        package = int(core.partition(".")[2]) - 7
        assert requirement(repository / "requirements-molecule.txt", "ansible").specifier.contains(f"{package}.0.0")
