# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's driver by the role prerequisites: as a package where the host has it in a repository, else as a wheel.

Nothing is installed here. The host's ``apt-cache`` is one that says yes or no, and dry runs tell what would be done.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook_world import ansible_playbook, collections

RESULTS = "{{ {'package': prerequisites_driver_package, 'wheel': prerequisites_driver_wheel | default({})} | to_json }}"


def dry_run(folder: Path, has_package: bool) -> dict[str, Any]:
    """What the two tasks would do where the host's repositories have the package, or have not."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "apt-cache").write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\nexit {0 if has_package else 100}\n')
    (programs / "apt-cache").chmod(0o755)
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "retail_engine": "mssql",
            "retail_accept_microsoft_licence": True,
            "prerequisites_family": "Debian",
        },
        "tasks": [
            {
                "name": "What comes behind the packages",
                "ansible.builtin.include_role": {"name": "axops.retail.prerequisites", "tasks_from": "microsoft"},
                # python3, which is everywhere, stands for packages: a dry run of apt has to know them
                "vars": {"prerequisites_microsoft_package": "python3", "prerequisites_pip_packages": ["python3"]},
            },
            {
                "name": "Keep the results",
                "ansible.builtin.copy": {"dest": str(folder / "results"), "mode": "0600", "content": RESULTS},
                "check_mode": False,
            },
        ],
    }
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collections()),
    }
    done = ansible_playbook(["-i", "localhost,", "--check", "play.yml"], environment, folder, warm=False)
    assert done.returncode == 0, done.stdout
    return json.loads((folder / "results").read_text(encoding="utf-8"))


@pytest.mark.parametrize("has_package", [True, False])
def test_the_driver_comes_as_a_package_or_as_a_wheel(tmp_path: Path, has_package: bool) -> None:
    results = dry_run(tmp_path, has_package)
    assert (tmp_path / "asked").read_text().split() == ["show", "python3"]
    assert bool(results["package"].get("skipped")) is not has_package
    assert bool(results["wheel"].get("skipped", not results["wheel"])) is has_package
    assert has_package or results["wheel"]["changed"], results


def test_the_wheel_is_the_one_that_everybody_else_is_told_of(repository: Path) -> None:
    facts = yaml.safe_load((repository / "roles/prerequisites/vars/main.yml").read_text(encoding="utf-8"))
    told = (repository / "requirements-mssql.txt").read_text(encoding="utf-8").splitlines()
    assert facts["prerequisites_microsoft_wheel"] in told
