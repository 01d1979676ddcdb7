# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-ins for modules of ansible.windows have in common: a folder that stands for drive C, and a journal.

These are no modules for Windows. They take the options and return the values that those of ansible.windows are documented to take
and return, as far as this collection asks for them.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DRIVE = "STAND_IN_DRIVE"
JOURNAL = "STAND_IN_JOURNAL"
#: The name of a module that is to refuse its work.
REFUSES = "STAND_IN_REFUSES"


def here(path: str) -> Path:
    """Where a path of drive C is on this host."""
    match = re.fullmatch(r"[Cc]:[\\/](.*)", path)
    if not match:
        raise ValueError(path + " is not on drive C")
    return Path(os.environ[DRIVE], *[part for part in re.split(r"[\\/]", match.group(1)) if part])


def there(path: Path) -> str:
    """How Windows would call it."""
    return "C:\\" + str(path.relative_to(os.environ[DRIVE])).replace("/", "\\")


def note(name: str, given: dict[str, Any]) -> int:
    """Write down what was asked for; returns how often this module was asked by now."""
    with open(os.environ[JOURNAL], "a+", encoding="utf-8") as journal:
        journal.write(json.dumps([name, given]) + "\n")
        journal.seek(0)
        return sum(json.loads(line)[0] == name for line in journal)


def start(name: str, options: dict[str, Any]) -> AnsibleModule:
    """A module with these options, unless it is to refuse its work."""
    module = AnsibleModule(options, supports_check_mode=True)
    if os.environ.get(REFUSES) == name:
        module.fail_json(msg="Access to the path is denied.")
    return module
