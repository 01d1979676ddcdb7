# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of the collection holds what git would commit, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tree


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A small repository: a tracked file, a new one, an ignored one."""
    root = tmp_path / "sources"
    (root / "plugins" / "modules").mkdir(parents=True)
    (root / "galaxy.yml").write_text("name: retail\n")
    (root / "plugins" / "modules" / "new.py").write_text("new = True\n")
    (root / "secret.log").write_text("ignored\n")
    (root / ".gitignore").write_text("*.log\n.cache/\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "galaxy.yml", ".gitignore"], cwd=root, check=True)
    return root


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_tracked_and_new_files_are_copied_and_ignored_ones_are_not(sources: Path) -> None:
    copy = sources / ".cache" / "copy"
    assert tree.synchronise(sources, copy) == 3
    assert files(copy) == {".gitignore", "galaxy.yml", "plugins/modules/new.py"}


def test_only_what_differs_is_written(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    tree.synchronise(sources, copy)
    assert tree.synchronise(sources, copy) == 0
    (sources / "galaxy.yml").write_text("name: other\n")
    assert tree.synchronise(sources, copy) == 1
    assert (copy / "galaxy.yml").read_text() == "name: other\n"


def test_a_mode_alone_is_a_difference(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    tree.synchronise(sources, copy)
    (sources / "galaxy.yml").chmod(0o755)
    assert tree.synchronise(sources, copy) == 1
    assert (copy / "galaxy.yml").stat().st_mode & 0o777 == 0o755


def test_what_is_gone_goes_from_the_copy_with_its_byte_code_and_folder(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    tree.synchronise(sources, copy)
    (copy / "plugins" / "modules" / "__pycache__").mkdir()
    (copy / "plugins" / "modules" / "__pycache__" / "new.pyc").write_text("")
    (sources / "plugins" / "modules" / "new.py").unlink()
    (sources / "galaxy.yml").unlink()  # deleted, and still in git's index
    tree.synchronise(sources, copy)
    assert files(copy) == {".gitignore"}
    assert not (copy / "plugins").exists()


def test_the_leftovers_of_tools_stay_in_the_copy(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    tree.synchronise(sources, copy)
    kept = copy / ".hypothesis" / "examples"
    kept.mkdir(parents=True)
    (kept / "one").write_text("")
    assert tree.synchronise(sources, copy) == 0
    assert (kept / "one").exists()


def test_a_folder_that_became_a_file_and_back(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    tree.synchronise(sources, copy)
    (sources / "plugins" / "modules" / "new.py").unlink()
    (sources / "plugins" / "modules").rmdir()
    (sources / "plugins" / "modules").write_text("a file now\n")
    tree.synchronise(sources, copy)
    assert (copy / "plugins" / "modules").read_text() == "a file now\n"
    (sources / "plugins" / "modules").unlink()
    (sources / "plugins" / "modules").mkdir()
    (sources / "plugins" / "modules" / "again.py").write_text("")
    tree.synchronise(sources, copy)
    assert files(copy / "plugins") == {"modules/again.py"}


def test_an_unpacked_archive_has_no_git(sources: Path, tmp_path: Path) -> None:
    for path in sorted((sources / ".git").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (sources / ".git").rmdir()
    (sources / ".cache").mkdir()
    (sources / ".cache" / "made").write_text("")
    tree.synchronise(sources, tmp_path / "copy")
    assert files(tmp_path / "copy") == {".gitignore", "galaxy.yml", "plugins/modules/new.py", "secret.log"}
