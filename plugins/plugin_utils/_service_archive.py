# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sync service as one file: a zip application made from the collection's own ``module_utils``.

It holds what the command line imports and nothing else. Stored and not deflated, with fixed times, order and modes, it
is byte for byte the same from every controller: an unchanged service is no change.
"""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from pathlib import Path

PACKAGE = "axops_retail_sync"
#: The module whose imports, and theirs, are packed.
ENTRY = "_sync/cli.py"

_MAIN = """# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

from {package}._sync.cli import main

sys.exit(main())
"""
#: The oldest time that a zip file can hold.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o100644


def module_utils() -> Path:
    """The folder of this collection's module_utils on the controller."""
    return Path(__file__).resolve().parent.parent / "module_utils"


def build(root: Path) -> bytes:
    """The archive.

    :param root: the folder of module_utils.
    :raises FileNotFoundError: an import leads to a file that is not there.
    """
    files = {f"{PACKAGE}/{path.as_posix()}": (root / path).read_bytes() for path in needed(root)}
    files.setdefault(f"{PACKAGE}/__init__.py", b"")
    files["__main__.py"] = _MAIN.format(package=PACKAGE).encode("utf-8")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(_entry(name), files[name])
    return buffer.getvalue()


def digest(content: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def needed(root: Path) -> list[Path]:
    """The files that the command line imports, relative to root, in order."""
    found: set[Path] = set()
    todo = [Path(ENTRY)]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        todo += [package / "__init__.py" for package in path.parents if package != Path()]
        todo += _imports(root, path)
    return sorted(found)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system = _UNIX
    entry.external_attr = _MODE << 16
    return entry


def _imports(root: Path, path: Path) -> list[Path]:
    """The files of ours that one file imports; module_utils import each other relatively."""
    tree = ast.parse((root / path).read_text(encoding="utf-8"), str(path))
    files = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1] / (node.module or "").replace(".", "/")
            files += _files_of(root, base, [alias.name for alias in node.names])
    return files


def _files_of(root: Path, base: Path, names: list[str]) -> list[Path]:
    """What ``from base import names`` reads: the module, or the package and those of its modules that are named."""
    if (root / base).with_suffix(".py").is_file():
        return [base.with_suffix(".py")]
    modules = [_module(root, base / name) for name in names]
    package = [] if base == Path() else [base / "__init__.py"]
    return package + [module for module in modules if module is not None]


def _module(root: Path, path: Path) -> Path | None:
    if (root / path).with_suffix(".py").is_file():
        return path.with_suffix(".py")
    package = path / "__init__.py"
    return package if (root / package).is_file() else None
