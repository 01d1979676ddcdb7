# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a database has handed over to its parent what it had at one moment, while it goes on selling.

A backlog of a database that works is hardly ever 0. So it counts as drained when none of the rows that wait is older than the
moment at which the waiting began: everything from before has been acknowledged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable

from . import overview
from .metadata import PEER, SCOPE
from .status import Document

#: Ages are told in tenths of a second, rounded.
_ROUNDED = 0.1


@dataclass
class Backlog:
    """What waits for the parent. ``provisioned``: whether there is a parent at all; ``scopes``: those that send to it."""

    provisioned: bool = False
    scopes: list[Document] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """How many rows wait."""
        return sum(scope["waiting"] for scope in self.scopes)

    def older(self, seconds: float) -> list[Document]:
        """The scopes in which rows have waited for longer than this; an age that is not known counts as any."""
        return [
            scope
            for scope in self.scopes
            if scope["waiting"] and (scope["oldest_seconds"] is None or scope["oldest_seconds"] > seconds + _ROUNDED)
        ]


def look(db: Any) -> Backlog:
    """What waits in this database now."""
    tables = db.engine.tables.read(db)
    if not {PEER, SCOPE} <= set(tables):
        return Backlog()
    parent = overview.parent_of(db, tables)
    if parent is None:
        return Backlog()
    names = ("name", "waiting", "oldest_seconds", "last_error")
    sending = [scope for scope in parent["scopes"] if scope["waiting"] is not None]
    return Backlog(True, [{name: scope[name] for name in names} for scope in sending])


def wait(
    db: Any,
    timeout: float,
    pause: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Backlog, float, bool]:
    """Wait until what the database had at this moment has arrived at its parent.

    :param timeout: seconds to wait at most; 0 to look once.
    :param pause: seconds between two looks.
    :returns: what waits at the end, the seconds that it took, and whether everything from before has arrived.
    :raises RetailError: the server is too old, or the database behaves like one of such a server.
    """
    db.engine.databases.check_server(db)
    began = clock()
    while True:
        waited = clock() - began
        found = look(db)
        if not found.older(waited):
            return found, waited, True
        if waited >= timeout:
            return found, waited, False
        sleep(min(pause, timeout - waited))
