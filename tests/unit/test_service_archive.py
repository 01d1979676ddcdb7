# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packed service: the same bytes everywhere, and nothing in it that it does not need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.axops.retail.plugins.plugin_utils import _service_archive as packing


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The same sources on another controller: other place, times, modes and order of creation."""
    source, copy = packing.module_utils(), tmp_path / "elsewhere" / "module_utils"
    for path in sorted(source.rglob("*.py"), reverse=True):
        target = copy / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        os.utime(target, (1_000_000_000, 1_000_000_000))
        target.chmod(0o600)
    return copy


def test_byte_for_byte_the_same_from_every_controller(elsewhere: Path) -> None:
    here = packing.build(packing.module_utils())
    assert packing.build(elsewhere) == here
    assert packing.digest(packing.build(elsewhere)) == packing.digest(here)


def test_a_changed_source_is_another_archive(elsewhere: Path) -> None:
    before = packing.build(elsewhere)
    with (elsewhere / "_sync" / "service.py").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    assert packing.build(elsewhere) != before


def test_stored_in_order_with_fixed_times_and_modes(tmp_path: Path) -> None:
    path = tmp_path / "retail-sync.pyz"
    path.write_bytes(packing.build(packing.module_utils()))
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}


def test_only_what_the_command_line_imports() -> None:
    packed = {path.as_posix() for path in packing.needed(packing.module_utils())}
    assert {"_sync/cli.py", "_sync/service.py", "_engine/__init__.py", "_engine/postgresql/changes.py"} <= packed
    assert {"_engine/mssql/__init__.py", "_engine/mssql/changes.py"} <= packed
    assert not packed & {"_module.py", "_sync/install.py", "_sync/managers.py"}
    text = "".join((packing.module_utils() / path).read_text(encoding="utf-8") for path in packed)
    assert "import ansible" not in text and "from ansible" not in text


def test_it_runs_from_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "retail-sync.pyz"
    path.write_bytes(packing.build(packing.module_utils()))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", str(path), "--help"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "exit codes" in done.stdout
