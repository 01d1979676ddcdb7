# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When each scope has its turn, as the service keeps it in memory. All times are of the monotonic clock, in seconds."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import Callable

Marks = tuple[str, str]

#: A scope that keeps failing is tried again after this many seconds at the latest.
LONGEST_PAUSE = 300.0
_SOON = 1.0
#: The random share of each pause: registers that came into step, by a store server that was away, fall out of it again.
_SHARE = 0.1


class Rhythm:
    """How long one service rests, so that those of a chain, started at the same moment, do not come at the same moment.

    The first pause is made longer or shorter by a phase that depends on nothing but the service's name, each later one by
    a random share. The share is one for all scopes of a look: what is due together stays together, and costs one question.

    :param interval: the seconds between two looks, and between two turns of a scope that has no frequency.
    :param floor: the least seconds between two turns of a scope that has one.
    :param chance: gives a random number between two.
    """

    def __init__(
        self, name: str, interval: float, floor: float, chance: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.interval = interval
        self.floor = floor
        self._chance = chance
        self._factor = 0.5 + zlib.crc32(name.encode("utf-8")) / 2**32

    def look(self) -> float:
        """The seconds until the next look, where no scope has to follow sooner. Called once for each look, at its end."""
        pause = self.interval * self._factor
        self._factor = self._chance(1 - _SHARE, 1 + _SHARE)
        return pause

    def turn(self, frequency: float) -> float:
        """The seconds until a scope's next turn: those of its frequency, but not below the floor; 0 for the next look."""
        return max(self.floor, frequency * self._factor) if frequency > 0 else 0.0


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

    def settled(self, now: float, pause: float, marks: Marks) -> None:
        """Nothing was pending: the next turn is after the pause, or at the next look."""
        self._well(now, pause)
        self.quiet_at = marks
        self.hurries = 0

    def ran(self, now: float, pause: float, waiting: bool, interval: float) -> None:
        """A session was run; where it left something, the next follows soon, and less soon each time."""
        self._well(now, pause)
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

    def _well(self, now: float, pause: float) -> None:
        self.failures = 0
        self.error = ""
        self.due_at = now + pause


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
