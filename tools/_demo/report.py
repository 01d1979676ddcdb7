# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was checked, and how long it took: said as it happens, and once more as a table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Line:
    """One check."""

    what: str
    found: str = ""
    seconds: float = 0.0
    held: bool = False


class Report:
    """Collects the checks."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    @property
    def ok(self) -> bool:
        return bool(self.lines) and all(line.held for line in self.lines)

    @contextlib.contextmanager
    def check(self, what: str) -> Iterator[Line]:
        """Time a check; it holds when the block ends without an exception. ``line.found`` says what was seen."""
        line = Line(what)
        self.lines.append(line)
        print("\n==> %s" % what, flush=True)
        started = time.monotonic()
        try:
            yield line
            line.held = True
        finally:
            line.seconds = time.monotonic() - started
        print("    %s (%.1f s)" % (line.found or "yes", line.seconds), flush=True)

    def failed(self, reason: str) -> None:
        print("    FAILED: %s" % reason, flush=True)
        if self.lines:
            self.lines[-1].found = reason.splitlines()[0]

    def table(self) -> None:
        width = max(len(line.what) for line in self.lines) if self.lines else 0
        print("\n%-*s  %8s  %s" % (width, "what was checked", "seconds", "found"))
        print("%s  %s  %s" % ("-" * width, "-" * 8, "-" * 40))
        for line in self.lines:
            print("%-*s  %8.1f  %s%s" % (width, line.what, line.seconds, "" if line.held else "FAILED ", line.found))
        print()
