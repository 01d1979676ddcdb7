#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for ansible.windows.win_stat."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.ansible.windows.plugins.module_utils import stand_in


def main() -> None:
    """Tell whether something is there, and where links lead."""
    options = {
        "path": {"type": "str", "required": True},
        "follow": {"type": "bool", "default": False},
        "get_checksum": {"type": "bool", "default": True},
    }
    module = stand_in.start("win_stat", options)
    stand_in.note("win_stat", module.params)
    path: Path = stand_in.here(module.params["path"])
    if not path.exists():
        module.exit_json(changed=False, stat={"exists": False})
    if module.params["follow"] and path.is_symlink():
        path = path.resolve()
    module.exit_json(changed=False, stat={"exists": True, "isdir": path.is_dir(), "path": stand_in.there(path)})


if __name__ == "__main__":
    main()
