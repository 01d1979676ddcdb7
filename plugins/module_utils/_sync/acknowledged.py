# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may exist in one database alone: to be asked before it is removed, made anew or upgraded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._engine._model import Table
from .._engine._wire import Extract
from . import metadata
from .metadata import PARENT, PEER, QUARANTINE, SCOPE, Peer, Scope, ScopeState


@dataclass(frozen=True)
class Unacknowledged:
    """``rows`` of one scope that only this database is known to have. ``peer``: the name, as it stands here, of whom they wait
    for (the parent), or whom they came from (a child whose rows were put aside here and are not stored yet; it may have been
    taken away since)."""

    peer: str
    peer_id: int
    scope: str
    rows: int


def unacknowledged(db: Any, parent: Any = None) -> list[Unacknowledged]:
    """What would be lost with the database ``db``, a row a peer and scope; empty where nothing would, or nothing synchronises.

    :param db: a child, a parent, or both at once, as a channel database is.
    :param parent: an open connection to the parent, whose own anchors then decide. Without it the last acknowledgement
        does: rows that the parent has may be counted too, and none is forgotten.
    """
    there = db.engine.tables.read(db, [PEER, SCOPE])
    if not {PEER, SCOPE} <= set(there):
        return []
    peers = metadata.read_peers(db)
    found = [row for peer in peers if peer.peer_id == PARENT for row in _waiting(db, peer, parent)]
    return found + _kept(db, {peer.peer_id: peer.name for peer in peers})


def _waiting(db: Any, upwards: Peer, parent: Any) -> list[Unacknowledged]:
    scopes = [scope for scope in metadata.read_scopes(db, PARENT) if scope.uploads]
    ours = metadata.read_states(db, PARENT)
    theirs = _states_of_parent(parent, upwards.guid) if parent is not None else None
    tables = db.engine.tables.read(db, [item.name for scope in scopes for item in scope.tables])
    extracts, owners = [], []
    for scope in scopes:
        for item in scope.tables:
            if item.name in tables:
                extracts.append(extract_of(tables[item.name], scope, ours[scope.name], theirs))
                owners.append(scope.name)
    counts: dict[str, int] = {}
    for name, (rows, _age) in zip(owners, db.engine.changes.backlog(db, extracts)):
        counts[name] = counts.get(name, 0) + rows
    return [Unacknowledged(upwards.name, PARENT, name, rows) for name, rows in counts.items() if rows]


def _states_of_parent(parent: Any, guid: str) -> dict[str, ScopeState]:
    """What the parent has taken of this child; nothing where it does not know it."""
    there = parent.engine.tables.read(parent, [PEER, SCOPE])
    peers = metadata.read_peers(parent) if {PEER, SCOPE} <= set(there) else []
    number = next((peer.peer_id for peer in peers if peer.guid == guid and peer.peer_id != PARENT), None)
    return {} if number is None else metadata.read_states(parent, number)


def extract_of(table: Table, scope: Scope, ours: ScopeState, theirs: dict[str, ScopeState] | None) -> Extract:
    """The rows of a table that wait to go up.

    :param theirs: the parent's rows of ``scope_info`` for this child; None where the parent cannot be asked.
    """
    low, seen = ours.acked_out or 0, None
    if theirs is not None:
        state = theirs.get(scope.name)
        anchor = (state.anchor_in or 0) if state else 0
        # Of a table that came to the scope later less was taken than the anchor says; what has landed is not stored yet.
        low = min(anchor, (state.landing.get(str(table.name), anchor) or 0) if state else 0)
        seen = state.anchor_seen if state and low == anchor else None
    return Extract(
        table=table, columns=(), low=low, seen=seen, not_origin=PARENT, with_deletes=scope.uploads_deletes, base=0
    )


def _kept(db: Any, names: dict[int, str]) -> list[Unacknowledged]:
    """Rows of children that were put aside here. What else a child has not handed over, only the child knows."""
    rows = db.query(
        "SELECT peer_id, sync_scope_name, COUNT(*) FROM %s WHERE peer_id <> %d GROUP BY peer_id, sync_scope_name "
        "ORDER BY peer_id, sync_scope_name" % (db.engine.names.quote(*QUARANTINE), PARENT)
    )
    gone = "a child that was taken away"
    return [Unacknowledged(names.get(row[0], gone), int(row[0]), row[1], int(row[2])) for row in rows]
