# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When each scope has its turn, as the service keeps it in memory. All times are of the monotonic clock, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

Marks = tuple[str, str]

#: A scope that keeps failing is tried again after this many seconds at the latest.
LONGEST_PAUSE = 300.0
_SOON = 1.0


@dataclass
class Clock:
    """One scope's. ``quiet_at``: both databases' marks when nothing was pending; while they stay, nothing can be.

    ``beat_at``: when the log last got a row of this scope. ``noted``: whether scope_info has an error that is to be
    taken away again once the scope works. ``error``: what the scope fails with now.
    """

    due_at: float = 0.0
    beat_at: float = float("-inf")
    quiet_at: Marks | None = None
    failures: int = 0
    hurries: int = 0
    error: str = ""
    noted: bool = False

    def is_due(self, now: float) -> bool:
        return now >= self.due_at

    def settled(self, now: float, frequency: float, marks: Marks) -> None:
        """Nothing was pending."""
        self._well(now, frequency)
        self.quiet_at = marks
        self.hurries = 0

    def ran(self, now: float, frequency: float, waiting: bool, interval: float) -> None:
        """A session was run; where it left something, the next follows soon, and less soon each time."""
        self._well(now, frequency)
        self.quiet_at = None
        self.hurries = self.hurries + 1 if waiting else 0
        if waiting:
            self.due_at = now + min(_SOON * 2 ** min(self.hurries - 1, 10), max(interval, _SOON))

    def failed(self, now: float, interval: float, error: str) -> None:
        """A session failed: again after a pause that grows."""
        self.error = error
        self.quiet_at = None
        self.due_at = now + min(LONGEST_PAUSE, interval * 2 ** min(self.failures, 10))
        self.failures += 1

    def _well(self, now: float, frequency: float) -> None:
        self.failures = 0
        self.error = ""
        self.due_at = now + frequency if frequency else now


@dataclass
class Absence:
    """That the pair cannot be had, said once and not at each try."""

    since: float = 0.0
    kind: str = ""
    tries: int = 0

    def begins(self, now: float, kind: str) -> bool:
        """Note a failed try; whether this kind of absence is new."""
        self.tries += 1
        if self.kind == kind:
            return False
        if not self.kind:
            self.since = now
        self.kind = kind
        return True

    def pause(self, interval: float) -> float:
        """Seconds until the next try, before jitter: doubled each time, up to three intervals and a minute."""
        return min(float(2 ** min(self.tries - 1, 10)), max(5.0, min(60.0, 3 * interval)))

    def ends(self, now: float) -> float | None:
        """The seconds that it lasted, None where there was none."""
        if not self.kind:
            return None
        lasted = now - self.since
        self.kind, self.tries = "", 0
        return lasted
