# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest history that goes wrong as a given one did.

Hypothesis could look for it, too, but it shrinks what the histories were drawn from, byte by byte, and each try is a history on real
databases. This leaves out steps, in halves, quarters, and so on down to single ones (delta debugging: Zeller and Hildebrandt,
"Simplifying and isolating failure-inducing input", 2002), which any steps allow, and then makes single steps simpler.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from fleet import Workshop
from fleet_script import Record, Step

#: Seconds that anybody waits for a smaller history.
PATIENCE = 120.0


class _Enough(Exception):
    """The time is up."""


@dataclass
class Shrinking:
    """``best``: the smallest steps so far; ``tries``: how many others were tried.

    :param fails: whether steps go wrong as they should.
    :param until: the moment, of the monotonic clock, after which no other steps are tried.
    """

    best: list[Step]
    fails: Callable[[Sequence[Step]], bool]
    until: float
    tries: int = 0
    _known: set[tuple[str, ...]] = field(default_factory=set)

    def run(self) -> list[Step]:
        with contextlib.suppress(_Enough):
            while self._leave_out() or self._simplify():
                pass
        return self.best

    def _leave_out(self) -> bool:
        """Without some of the steps, from the last ones on, on which fewest others depend. Returns whether any could go."""
        before, size = len(self.best), (len(self.best) + 1) // 2
        while size:
            end, gone = len(self.best), False
            while end > 0:
                start = max(0, end - size)
                gone |= self._try(self.best[:start] + self.best[end:])
                end = start
            if size > 1 or not gone:
                size //= 2
        return len(self.best) < before

    def _simplify(self) -> bool:
        """Returns whether any step could be simpler."""
        found = False
        for place in range(len(self.best)):
            while any(self._try(self._with(place, step)) for step in self.best[place].simpler()):
                found = True
        return found

    def _with(self, place: int, step: Step) -> list[Step]:
        return [*self.best[:place], step, *self.best[place + 1 :]]

    def _try(self, steps: list[Step]) -> bool:
        name = tuple(map(str, steps))
        if not steps or name in self._known:
            return False
        if time.monotonic() > self.until:
            raise _Enough
        self._known.add(name)
        self.tries += 1
        if not self.fails(steps):
            return False
        self.best = steps
        return True


def shrink(workshop: Workshop, record: Record, seconds: float = PATIENCE) -> Record:
    """The smallest history that was found in this time; the given one where none was, or where it does not go wrong each time."""
    until = time.monotonic() + seconds
    steps = Shrinking(record.steps, lambda steps: bool(record.again(workshop, steps)), until).run()
    failure = record.again(workshop, steps) if steps is not record.steps else ""
    return replace(record, steps=steps, failure=failure, found=record) if failure else record
