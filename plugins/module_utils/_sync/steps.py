# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that goes on in small steps, so that whoever does it can do something else in between.

It is a generator that yields after each step, outside of any transaction, and returns what came of it all.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]


def to_the_end(steps: Steps[Result]) -> Result:
    """Do it all at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Unfinished(Exception):
    """The time was over before the work was."""


def for_a_while(steps: Steps[Result], seconds: float) -> Result:
    """Go on for so long, and for one step at the least.

    :raises Unfinished: there is more to do.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        if time.monotonic() >= until:
            raise Unfinished
