# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A load that is merged into what a child has: rows that are not in it go, as deletions that the parent might have sent.

They are judged, kept as conflicts and tracked like any others. Changes of the child that the parent has not judged yet stay,
and so does every row of a table of which the parent has put rows of this child aside: those are not in the load either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .._engine._wire import Merge, to_json
from .metadata import QUARANTINE, STAGING, Scope
from .pair import SharedTable

_ROWS = 2_000


@dataclass(frozen=True)
class Merging:
    """``forget``: the parent's versions do not mean what they meant. ``spared``: tables of which no row goes."""

    forget: bool = False
    spared: frozenset[str] = frozenset()


def spared(parent: Any, child_number: int, scope: Scope) -> frozenset[str]:
    """The tables of which the parent has put rows of the child aside."""
    sql = "SELECT DISTINCT table_name FROM %s WHERE peer_id = ? AND sync_scope_name = ?"
    return frozenset(
        row[0] for row in parent.query(sql % parent.engine.names.quote(*QUARANTINE), child_number, scope.name)
    )


def prepare(way: Any, merging: Merging, low: int, acked: Any) -> list[tuple[str, str]]:
    """Header and body of the deletions, once everything has landed; in the transaction that applies it.

    :param low: the mark of the load: the deletions get the version before it, which nothing else can have.
    :param acked: up to where the parent has taken the changes here.
    :returns: in the order of the tables; they are put before all that has landed one by one, so those of the last come first.
    """
    batches: list[tuple[str, str]] = []
    landed = _landed(way)
    for shared in way.tables:
        name = str(shared.name)
        if merging.forget:
            _forget(way.receiver, shared)
        if name in landed and name not in merging.spared:
            batches += _deletions(way, shared, landed[name], low, acked)
    return batches


def _landed(way: Any) -> dict[str, list[tuple[int, list[str]]]]:
    """The places and columns of the landed batches, by table; a table that had no rows has no batch, and is empty."""
    key = (way.sender_number, way.scope.name)
    sql = "SELECT sequence, header FROM %s WHERE peer_id = ? AND sync_scope_name = ? ORDER BY sequence"
    found: dict[str, list[tuple[int, list[str]]]] = {str(shared.name): [] for shared in way.tables}
    for sequence, header in way.receiver.query(sql % way.receiver.engine.names.quote(*STAGING), *key):
        fields = json.loads(header)
        found.setdefault(fields["table"], []).append((int(sequence), fields["columns"]))
    return found


def _forget(db: Any, shared: SharedTable) -> None:
    """A later change could have the very version that the row here says it has seen."""
    db.execute(db.engine.tracking.forget_versions(shared.name))


def _deletions(
    way: Any, shared: SharedTable, landed: list[tuple[int, list[str]]], low: int, acked: Any
) -> list[tuple[str, str]]:
    db, table = way.receiver, way.table_at_receiver(shared)
    body = "(SELECT body FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND sequence = ?)" % db.engine.names.quote(
        *STAGING
    )
    bodies = tuple(
        (body, (way.sender_number, way.scope.name, sequence), tuple(columns.index(name) for name in table.primary_key))
        for sequence, columns in landed
    )
    pending = (acked.low, acked.seen) if way.scope.uploads else None
    gone = db.engine.merging.missing(db, Merge(table, bodies, pending))
    fields = {
        "table": str(shared.name),
        "columns": list(table.primary_key),
        "load": True,
        "merge": True,
        "acked": [acked.low, acked.seen],
    }
    return [_batch(fields, gone[start : start + _ROWS], low) for start in range(0, len(gone), _ROWS)]


def _batch(fields: dict[str, Any], keys: list[str], low: int) -> tuple[str, str]:
    rows = [
        to_json({**json.loads(key, parse_float=str), "v": low - 1, "x": -number, "d": 1})
        for number, key in enumerate(keys, 1)
    ]
    return json.dumps({**fields, "rows": len(rows)}, ensure_ascii=False), "[%s]" % ",".join(rows)
