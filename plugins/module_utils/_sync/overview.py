# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that one database says of its synchronisation: its registers, what waits for each, its log, what was put aside.

Read only. What a database cannot know is not guessed: what waits at a register to come up, only the register knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._engine import _framework
from .._engine._model import Table, TableName
from .._engine._wire import Extract
from . import log, metadata
from .metadata import CONFLICT, LOG, PARENT, PEER, QUARANTINE, SCOPE, Peer, Scope, ScopeState
from .status import Document, open_seconds, total, version

OURS, MICROSOFT = "axops.retail", "microsoft_sync_framework"

_TRACKING_SUFFIX = "_tracking"


def read(db: Any, log_rows: int, backlog: bool) -> Document:
    """Everything, as plain values; times as ISO 8601 in UTC.

    :param log_rows: how many rows of the log, newest first.
    :param backlog: count what waits; False where that would cost too much.
    """
    tables = db.engine.tables.read(db)
    document: Document = {
        "database": db.target.where,
        "engine": db.target.engine,
        "version": version(db),
        "provisioned_by": None,
        "tracking": _tracking(db),
        "sync_framework": None,
        "oldest_transaction_seconds": open_seconds(db),
        "oldest_transaction": db.engine.marks.holder(db),
        "parent": None,
        "peers": [],
        "log": log.read_last(db, log_rows) if _has(tables, LOG, "REPLICATIONCOUNTER") else [],
    }
    if _framework.signs(tables):
        document["sync_framework"] = _foreign(db, tables)
    if _framework.is_provisioned(tables):
        document["provisioned_by"] = MICROSOFT
    elif {PEER, SCOPE} <= set(tables):
        document["provisioned_by"] = OURS
        peers = [_peer(db, peer, tables, backlog) for peer in metadata.read_peers(db)]
        document["parent"] = next((peer for peer in peers if peer["peer_id"] == PARENT), None)
        document["peers"] = [peer for peer in peers if peer["peer_id"] != PARENT]
    return document


def parent_of(db: Any, tables: Mapping[TableName, Table]) -> Document | None:
    """What a provisioned database says of the one above it, None where there is none."""
    return next((_peer(db, peer, tables, True) for peer in metadata.read_peers(db) if peer.peer_id == PARENT), None)


def _has(tables: Mapping[TableName, Table], name: TableName, column: str) -> bool:
    return name in tables and tables[name].column(column) is not None


def _tracking(db: Any) -> Document:
    there = db.engine.tracking.read(db)
    wanted = set(db.engine.tracking.TRIGGERS)
    gaps = {str(name): sorted(wanted - set(found)) for name, found in there.items() if wanted - set(found)}
    return {"count": len(there), "tables": sorted(map(str, there)), "missing_triggers": gaps}


def _foreign(db: Any, tables: Mapping[TableName, Table]) -> Document:
    """What Microsoft Sync Framework has left, whether it is whole, and which registers its service has written a log of."""
    remains = db.engine.framework.read(db)
    has_log = _has(tables, LOG, "REPLICATIONCOUNTER")
    return {
        "scopes": list(remains.scopes),
        "tables": sorted(map(str, {*remains.tables, *remains.declared})),
        "tracking_tables": sorted(str(one.tracking) for one in remains.tables.values() if one.tracking),
        "missing_tracking": [str(name) for name in remains.untracked],
        "missing_triggers": {str(name): one.missing for name, one in remains.tables.items() if one.missing},
        "unfinished_scopes": list(remains.unfinished),
        "complete": remains.complete,
        "registers": [
            {"register_id": terminal, "last_log": log.read_last(db, 1, terminal)[0]}
            for terminal in (log.terminals(db) if has_log else ())
        ],
    }


def _peer(db: Any, peer: Peer, tables: Mapping[TableName, Table], backlog: bool) -> Document:
    rows = log.read_last(db, 1, peer.register_id or peer.store_id) if peer.peer_id != PARENT and LOG in tables else []
    return {
        "peer_id": peer.peer_id,
        "name": peer.name,
        "store_id": peer.store_id,
        "register_id": peer.register_id,
        "scopes": _scopes(db, peer, tables, backlog),
        "last_log": rows[0] if rows else None,
    }


def _scopes(db: Any, peer: Peer, tables: Mapping[TableName, Table], backlog: bool) -> list[Document]:
    scopes = metadata.read_scopes(db, peer.peer_id)
    states = metadata.read_states(db, peer.peer_id)
    histories = metadata.read_histories(db, peer.peer_id)
    conflicts = metadata.count_kept(db, CONFLICT, peer.peer_id)
    quarantine = metadata.count_kept(db, QUARANTINE, peer.peer_id)
    documents = []
    for scope in scopes:
        history = histories[scope.name]
        document = {
            "name": scope.name,
            "direction": scope.direction,
            "frequency": scope.frequency,
            "tables": len(scope.tables),
            "taken": states[scope.name].anchor_in,
            "acknowledged": states[scope.name].acked_out,
            "waiting": None,
            "oldest_seconds": None,
            "last_session": log.utc(history.last_session),
            "last_error": history.last_error,
            "last_error_time": log.utc(history.last_error_time),
            "conflicts": conflicts.get(scope.name, 0),
            "quarantined": quarantine.get(scope.name, 0),
        }
        if backlog and _sends(scope, peer):
            extracts = _extracts(scope, peer, states[scope.name], tables)
            document["waiting"], document["oldest_seconds"] = total(db, extracts)
        documents.append(document)
    return documents


def _sends(scope: Scope, peer: Peer) -> bool:
    """Whether this database has anything to send to the peer in the scope: up to its parent, down to its children."""
    return scope.uploads if peer.peer_id == PARENT else scope.downloads


def _extracts(scope: Scope, peer: Peer, state: ScopeState, tables: Mapping[TableName, Table]) -> list[Extract]:
    """What waits for the peer, by what it has acknowledged."""
    up = peer.peer_id == PARENT
    return [
        Extract(
            table=tables[table.name], columns=(), low=state.acked_out or 0, seen=None, not_origin=peer.peer_id,
            with_deletes=not up or scope.uploads_deletes, base=0 if up else None, filter=() if up else table.filter,
            sends_strays=scope.uploads,
        )
        for table in scope.tables
        if table.name in tables and table.name.with_suffix(_TRACKING_SUFFIX) in tables
    ]  # fmt: skip
