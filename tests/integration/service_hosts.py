# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packed service on this host: started by hand, by its supervisor, or by the module; for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.axops.retail.plugins.plugin_utils import _service_archive


def build_archive(folder: Path) -> Path:
    """The packed service, as the action plugin makes it."""
    path = folder / "retail-sync.pyz"
    path.write_bytes(_service_archive.build(_service_archive.module_utils()))
    return path


def command(archive: Path, *arguments: Any) -> list[str]:
    return [sys.executable, str(archive), *map(str, arguments)]


def run(archive: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """One command of the service's command line."""
    return subprocess.run(command(archive, *arguments), capture_output=True, text=True, timeout=60, check=False)


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Wait until the condition is true, and return its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.1)


def command_lines() -> str:
    """The command lines and environments of everything that runs here, as ps could show them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                found.append((entry / "cmdline").read_bytes() + (entry / "environ").read_bytes())
            except OSError:
                continue
    return b"\n".join(found).decode("utf-8", "replace")
