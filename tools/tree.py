# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a copy of the collection where Ansible looks for it: .cache/tree/ansible_collections/axops/retail.

The root of the repository is the root of the collection, but ansible, ansible-lint and ansible-test all want it below
ansible_collections/<namespace>/<name>, and ansible-test refuses a symbolic link. What is copied is what git would
commit: tracked files and new ones that are not ignored. Only what differs is written, so a second run costs nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
COLLECTIONS = CACHE / "tree"
TREE = COLLECTIONS / "ansible_collections" / "axops" / "retail"

# What the tools leave behind in the copy and want to find again.
KEPT = {"__pycache__", ".pytest_cache", ".hypothesis", ".ansible", ".ruff_cache", "output"}
# What a folder without git's help is not searched for.
NOT_SOURCE = KEPT | {".git", ".cache", ".venv", ".idea", ".vscode"}


def source_files(root: Path) -> list[Path]:
    """Return the files that belong to the collection, relative to root."""
    listed = _listed_by_git(root) if (root / ".git").exists() else None
    if listed is None:
        listed = _listed_by_walking(root)
    # git lists what is deleted and not yet committed too
    return sorted(path for path in set(listed) if os.path.lexists(root / path))


def _listed_by_git(root: Path) -> list[Path] | None:
    """Return what git lists, None where there is no git."""
    # git refuses a repository of another user, as in a container; listing names runs nothing of that repository
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=root, check=True, capture_output=True)
    except FileNotFoundError:
        return None
    return [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]


def _listed_by_walking(root: Path) -> list[Path]:
    """Return every file but the well-known leftovers: for an unpacked archive of the repository."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in NOT_SOURCE]
        found += [Path(folder, name).relative_to(root) for name in files]
    return found


def synchronise(root: Path = ROOT, tree: Path = TREE) -> int:
    """Make tree the same as the sources in root; return the number of files written or removed."""
    tree.mkdir(parents=True, exist_ok=True)
    with _alone(tree.parent / f".{tree.name}.lock"):
        files = source_files(root)
        removed = _remove_stale(tree, set(files))
        return removed + sum(_copy(root / path, tree / path) for path in files)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time work on the copy."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _remove_stale(tree: Path, files: set[Path]) -> int:
    """Remove what is no source file any more, whole folders first: an empty package would still be importable."""
    folders_wanted = {parent for path in files for parent in path.parents}
    removed = 0
    for folder, folders, names in os.walk(tree):
        here = Path(folder).relative_to(tree)
        for name in [name for name in folders if name not in KEPT and here / name not in folders_wanted]:
            _remove(tree / here / name)
            removed += 1
        folders[:] = [name for name in folders if here / name in folders_wanted]
        for name in [name for name in names if here / name not in files]:
            (tree / here / name).unlink()
            removed += 1
    return removed


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def _copy(source: Path, target: Path) -> bool:
    """Copy one file with its mode and time, unless it is there already; say whether that was necessary."""
    if _same(source, target):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    # replaced in one go, so that a test that runs meanwhile never reads half a file
    temporary = target.with_name(f".{target.name}.copying")
    shutil.copy2(source, temporary, follow_symlinks=False)
    temporary.replace(target)
    return True


def _same(source: Path, target: Path) -> bool:
    if not os.path.lexists(target):
        return False
    one, other = source.lstat(), target.lstat()
    return (one.st_mode, one.st_size, one.st_mtime_ns) == (other.st_mode, other.st_size, other.st_mtime_ns)


def main() -> int:
    """Synchronise the copy and print where it is."""
    synchronise()
    print(TREE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
