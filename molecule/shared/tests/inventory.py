# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a scenario, as its inventory has them.

Tests reach them with ``docker exec`` and not with Ansible, which takes a second for each command.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from typing import Any


@functools.cache
def _inventory() -> dict[str, Any]:
    # the folder: beside the file that Molecule writes there are the scenario's own hosts and variables
    folder = os.path.dirname(os.environ["MOLECULE_INVENTORY_FILE"])
    command = ["ansible-inventory", "--inventory", folder, "--list"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def addresses(*groups: str) -> list[str]:
    """The hosts of these groups, as testinfra addresses them."""
    found = [f"docker://{name}" for group in groups for name in _inventory().get(group, {}).get("hosts", [])]
    assert found, f"no host in {', '.join(groups)}: nothing would be tested"
    return found


def variables(host: Any) -> dict[str, Any]:
    """What the declaration says of a host."""
    return dict(_inventory()["_meta"]["hostvars"][host.backend.name])
