# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, processes and the unit of the service."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.axops.retail.plugins.module_utils._sync import files, systemd
from ansible_collections.axops.retail.plugins.module_utils._sync.process import Process


def unit(**changes: str) -> str:
    options = {
        "python": "/usr/bin/python3",
        "archive": "/opt/axops-retail-sync/retail-sync.pyz",
        "config_dir": "/etc/retail-offline-sync",
        "state_dir": "/var/lib/retail-offline-sync",
        "user": "retail-sync",
        "group": "retail-sync",
    }
    return systemd.unit_text(**{**options, **changes})


def test_the_unit_runs_the_archive_with_the_instances_configuration() -> None:
    lines = unit().splitlines()
    start = "ExecStart=/usr/bin/python3 /opt/axops-retail-sync/retail-sync.pyz run --config"
    assert f"{start} /etc/retail-offline-sync/%i.json" in lines
    for line in ("Type=notify", "Restart=always", "User=retail-sync", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert line in lines
    assert systemd.digest_in(unit()) and systemd.digest_in(unit()) != systemd.digest_in(unit(user="other"))


def test_an_interpreter_in_a_home_directory_stays_reachable() -> None:
    assert "ProtectHome=yes" in unit()
    assert "ProtectHome=read-only" in unit(python="/home/retail/venv/bin/python")


def test_paths_with_blanks_and_percent_signs() -> None:
    assert 'ExecStart=/usr/bin/python3 "/opt/a b/100%%.pyz" run' in unit(archive="/opt/a b/100%.pyz")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    path = tmp_path / "retail-offline-sync@.service"
    path.write_text(unit(archive="/bin/true", user="root", group="root"), encoding="utf-8")
    instance = tmp_path / "retail-offline-sync@HOUSTON-000001.service"
    instance.symlink_to(path)
    line = ["systemd-analyze", "verify", "--man=no", str(instance)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert "retail-offline-sync" not in done.stderr, done.stderr


def test_writing_replaces_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "config"
    files.write(str(path), b"one", files.Shape(0o600))
    first = path.stat().st_ino
    files.write(str(path), b"two", files.Shape(0o600))
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != first
    assert os.listdir(tmp_path) == ["config"]


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    assert files.folder_step(str(tmp_path), files.Shape(0o750)) is None
    step = files.folder_step(str(tmp_path / "a" / "b"), files.Shape(0o750))
    assert step is not None and step.action is not None and step.before is None
    step.action()
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o750
    assert files.folder_step(str(tmp_path / "a" / "b"), files.Shape(0o750)) is None


def test_two_runs_that_make_the_same_folder(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    steps = [files.folder_step(str(path), files.Shape(0o755)) for _run in range(2)]
    for step in steps:
        assert step is not None and step.action is not None
        step.action()
        (path / "retail-sync.pyz").touch()
    assert os.listdir(tmp_path) == ["shared"]


def test_a_process_is_told_from_the_next_of_its_number() -> None:
    child = subprocess.Popen(["sleep", "60"])
    process = Process.of(child.pid)
    assert process is not None and process.alive
    stranger = Process(child.pid, "another start")
    assert not stranger.alive and not stranger.send(signal.SIGKILL)
    assert process.alive
    process.end(5)
    assert not process.alive, "what is left of it until its parent asks does not count"
    child.wait()
    assert Process.of(child.pid) is None
