# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running Ansible for real, and reading its recap."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


class PlaybookFailed(Exception):
    """Ansible failed; the message is the end of its output."""


def site(inventory: Path, *arguments: str, show: bool = True) -> dict[str, int]:
    """Run the site playbook; returns the number of changed tasks of each host.

    Raises PlaybookFailed when a host failed.
    """
    command = ["ansible-playbook", "axops.retail.site", "-i", str(inventory), *arguments]
    output = _run(command, show)
    return {host: int(changed) for host, _ok, changed, _unreachable, _failed in _RECAP.findall(output)}


def module(inventory: Path, host: str, name: str, options: dict[str, Any]) -> None:
    """Run one module on one host."""
    _run(["ansible", host, "-i", str(inventory), "-m", name, "-a", json.dumps(options)], show=False)


def _run(command: list[str], show: bool) -> str:
    environment = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0",
    }
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if show and line.strip():
            sys.stdout.write("    " + line)
            sys.stdout.flush()
    if process.wait() != 0:
        raise PlaybookFailed("%s failed:\n%s" % (" ".join(command[:2]), "".join(lines[-40:])))
    return "".join(lines)
