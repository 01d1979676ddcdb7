#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for ansible.windows.win_copy: what its action plugin asks for on the host."""

from __future__ import annotations

import shutil
from hashlib import sha1
from pathlib import Path
from typing import Any

from ansible_collections.ansible.windows.plugins.module_utils import stand_in


def main() -> None:
    """Copy a file that has been brought, or one of the host."""
    options: dict[str, Any] = {
        "src": {"type": "str"},
        "dest": {"type": "str", "required": True},
        "backup": {"type": "bool", "default": False},
        "remote_src": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": True},
        "decrypt": {"type": "bool", "default": True},
        "files": {"type": "list", "elements": "dict"},
        "directories": {"type": "list", "elements": "dict"},
        "symlinks": {"type": "list", "elements": "dict"},
        "_copy_mode": {"type": "str", "default": "single"},
        "_original_basename": {"type": "str"},
    }
    module = stand_in.start("win_copy", options)
    given = module.params
    if given["_copy_mode"] == "query":
        files = [file for file in given["files"] if _differs(stand_in.here(given["dest"]) / file["dest"], file)]
        module.exit_json(changed=False, files=files, directories=[], symlinks=[])
    stand_in.note("win_copy", {name: given[name] for name in ("src", "dest", "backup", "remote_src")})
    source = stand_in.here(given["src"]) if given["remote_src"] else Path(given["src"])
    target = stand_in.here(given["dest"])
    if not target.parent.is_dir():
        module.fail_json(msg="Destination directory of %s does not exist" % given["dest"])
    result = {"changed": True, "dest": given["dest"]}
    if given["backup"] and target.exists():
        kept = target.with_name(target.name + ".4711.20260131-080000.bak")
        shutil.copyfile(target, kept)
        result["backup_file"] = stand_in.there(kept)
    shutil.copyfile(source, target)
    module.exit_json(**result)


def _differs(path: Path, file: dict[str, Any]) -> bool:
    return not path.exists() or sha1(path.read_bytes()).hexdigest() != file["checksum"]


if __name__ == "__main__":
    main()
