#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for ansible.windows.win_file."""

from __future__ import annotations

from ansible_collections.ansible.windows.plugins.module_utils import stand_in


def main() -> None:
    """Make a folder, or remove a file."""
    options = {
        "path": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["absent", "directory"], "required": True},
    }
    module = stand_in.start("win_file", options)
    stand_in.note("win_file", module.params)
    path = stand_in.here(module.params["path"])
    if module.params["state"] == "directory":
        path.mkdir(parents=True)
    else:
        path.unlink()
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
