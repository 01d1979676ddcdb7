#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for slurp, as it is for Windows."""

from __future__ import annotations

import base64
import os

from ansible_collections.ansible.windows.plugins.module_utils import stand_in

#: After how many readings somebody else changes the file.
MEDDLES = "STAND_IN_MEDDLES"


def main() -> None:
    """Read a file."""
    options = {"src": {"type": "str", "required": True, "aliases": ["path"]}}
    module = stand_in.start("slurp", options)
    times = stand_in.note("slurp", module.params)
    path = stand_in.here(module.params["src"])
    if not path.is_file():
        module.fail_json(msg="Path %s is not found" % module.params["src"])
    content = path.read_bytes()
    if os.environ.get(MEDDLES) == str(times):
        path.write_bytes(content + b"<!-- mine -->")
    module.exit_json(changed=False, content=base64.b64encode(content).decode(), encoding="base64")


if __name__ == "__main__":
    main()
