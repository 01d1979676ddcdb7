# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for an application lock."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from .._engine._errors import RetailError

#: Seconds to wait for another run, or for a session, to end.
LOCK_TIMEOUT = 300.0
_LOOK_AGAIN = 0.25


def take(held: contextlib.ExitStack, db: Any, name: str, reason: str, timeout: float) -> None:
    """Take a lock and leave it to ``held``.

    :param reason: why it cannot be had, a sentence without its end.
    :param timeout: seconds to wait.
    :raises RetailError: somebody else had it all the time.
    """
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.ExitStack() as attempt:
            if attempt.enter_context(db.engine.locks.held(db, name)):
                held.push(attempt.pop_all())
                return
        if time.monotonic() >= deadline:
            raise RetailError("%s, for more than %d seconds." % (reason, timeout), "Run this again when it has ended.")
        time.sleep(_LOOK_AGAIN)
