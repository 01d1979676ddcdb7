# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running service says of itself: which files it runs with. So a run that was cut off between writing a file and
restarting the service is completed by the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from typing import Any

from .process import Process

#: The unit of systemd hands over its own digest in this variable.
UNIT_VARIABLE = "RETAIL_SYNC_UNIT"


def signature(path: str) -> str:
    """Changes whenever the file is replaced; empty where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return ""
    return "%d-%d-%d" % (facts.st_ino, facts.st_size, facts.st_mtime_ns)


def digest(path: str) -> str:
    """SHA-256 of the file's content; empty where there is none. For what several installers may write at once."""
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
    return ""


def facts() -> dict[str, Any]:
    """What this process runs with; the configuration's signature comes when it is read."""
    me = Process.of(os.getpid())
    return {
        "pid": os.getpid(),
        "started": me.started if me else "",
        "archive": digest(sys.argv[0]),
        "unit": os.environ.get(UNIT_VARIABLE, ""),
    }


def write(state_file: str, said: dict[str, Any]) -> None:
    """Leave the facts in the file; without it the service works just as well."""
    with contextlib.suppress(OSError):
        temporary = state_file + ".new"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(said, stream)
        os.replace(temporary, state_file)


def read(state_file: str) -> dict[str, Any]:
    """What the service wrote at its start, empty where that cannot be read."""
    with contextlib.suppress(OSError, ValueError), open(state_file, encoding="utf-8") as stream:
        said = json.load(stream)
        return said if isinstance(said, dict) else {}
    return {}
