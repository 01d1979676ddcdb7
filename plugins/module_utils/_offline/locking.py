# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for application locks: one run at a time changes a database, and no session runs in a scope that changes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

from .._engine._errors import RetailError
from .._sync import metadata
from .._sync.metadata import PARENT, PEER
from .state import Place

PROVISION_LOCK = "axops.retail:provision"

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


def take_provisioning(held: contextlib.ExitStack, places: Iterable[Place], timeout: float) -> None:
    """Nobody else changes these databases; the parent first: databases form a tree, so nobody can wait for us on the
    way up.

    :raises RetailError: see :func:`take`.
    """
    for place in places:
        if place.db is not None:
            take(held, place.db, PROVISION_LOCK, "Another run is changing %s" % place.title, timeout)


def take_sessions(held: contextlib.ExitStack, parent: Any, child: Any, scopes: Sequence[str], timeout: float) -> None:
    """No session of these scopes runs between the two databases.

    :raises RetailError: see :func:`take`.
    """
    peers = metadata.read_peers(child) if scopes and child is not None else []
    guid = next((peer.guid for peer in peers if peer.peer_id == PARENT), None)
    for scope in sorted(scopes) if guid else ():
        reason = "A session of the scope %r is running" % scope
        take(held, parent, "axops.retail:%s:%s" % (guid, scope), reason, timeout)


def scopes_of(child: Any) -> list[str]:
    """The scopes that a database synchronises with its parent; none where it has no books of that yet."""
    wanted = [metadata.SCOPE, PEER]
    if child is None or not set(wanted) <= set(child.engine.tables.read(child, wanted)):
        return []
    return [scope.name for scope in metadata.read_scopes(child, PARENT)]
