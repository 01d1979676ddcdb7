# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""./dev: what it installs for Molecule, and where it says that there is nothing to be run."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

#: What ./dev itself calls until it knows what is missing.
TOOLS = ("bash", "dirname", "flock", "id", "mkdir", "sort")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the few programs that a bare machine has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


@pytest.fixture
def nearby() -> Iterator[str]:
    """An engine's socket, as DOCKER_HOST has it. Not in pytest's folder: its path may have 107 letters at the most."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/engine.sock")
        yield f"unix://{folder}/engine.sock"


def add(programs: Path, *names: str) -> None:
    for name in names:
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)


def missing(repository: Path, programs: Path, change: str = "", **environment: str) -> set[str]:
    """What the functions of ./dev name as missing.

    :param change: another definition of one of them.
    """
    done = subprocess.run(
        ["bash", "-c", f"source {repository}/dev; {change}\nmissing_for_molecule"],
        env={"PATH": str(programs), **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = done.stdout.split()
    assert len(set(words)) == len(words)
    return set(words)


def test_an_engine_is_to_be_installed_where_there_is_none(repository: Path, programs: Path) -> None:
    nowhere = "has_engine() { return 1; }"  # whatever is at /var/run/docker.sock here
    assert missing(repository, programs, nowhere) - {"docker-cli"} == {"docker.io"}
    add(programs, "dockerd", "docker")
    assert missing(repository, programs, nowhere) == set()


def test_for_an_engine_that_is_there_a_client_is_needed(repository: Path, programs: Path, nearby: str) -> None:
    for host in (nearby, "tcp://engine.example.com:2376"):
        assert len(missing(repository, programs, DOCKER_HOST=host) & {"docker.io", "docker-cli"}) == 1
    add(programs, "docker")
    assert missing(repository, programs, DOCKER_HOST=nearby) == set()


def test_nothing_is_installed_for_an_engine_that_is_said_to_be_nowhere(repository: Path, programs: Path) -> None:
    assert missing(repository, programs, DOCKER_HOST="unix:///nowhere") == set()


def test_where_no_engine_can_be_had_the_exit_code_says_that_nothing_was_run(
    repository: Path, programs: Path, tmp_path: Path
) -> None:
    shutil.copy(repository / "dev", tmp_path)
    done = subprocess.run(
        [tmp_path / "dev", "molecule"],
        env={"PATH": str(programs), "DOCKER_HOST": "tcp://engine.example.com:2376"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 77, done.stderr
    assert "no scenario was run: missing: docker" in done.stderr
    assert not (tmp_path / ".cache" / "venv-molecule").exists()
