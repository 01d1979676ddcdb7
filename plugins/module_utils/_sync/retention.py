# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Old sales on a small register: what the parent has had for long enough goes here, whole sales only.

A rule says, for an upload scope, how many days its rows stay and which columns make a sale of them, such as TRANSACTIONID,
STORE and TERMINAL. A sale goes when every row of it, in every table of the scope that has these columns, has been taken by
the parent and has not changed for so long, as ``ages.py`` counts it. Its deletion does not travel, as none does in such a
scope. Tables without these columns keep their rows. To the audit a row that only the parent has is no difference there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._engine._errors import RetailError, StatementFailed
from .._engine._model import Table
from . import ages, metadata
from .metadata import QUARANTINE, Scope
from .pair import Pair
from .steps import Steps, to_the_end

#: Sales of one transaction, and transactions of one run.
BATCH = 200
_BATCHES = 50


@dataclass(frozen=True)
class Rule:
    """``days``: how long rows stay after their last change; ``unit``: the columns that make a sale of them."""

    days: float
    unit: tuple[str, ...]


def run(pair: Pair, name: str, rule: Rule) -> int:
    """Purge the scope ``name`` at the child; returns how many rows went. What is left is for the next run.

    :raises RetailError: there is no such scope, deletions of it would travel, or none of its tables has the columns.
    """
    return to_the_end(in_steps(pair, name, rule))


def in_steps(pair: Pair, name: str, rule: Rule) -> Steps[int]:
    """The same, in steps of one small transaction each."""
    scope = _scope(pair, name)
    state = metadata.read_state(pair.parent, pair.downwards.peer_id, name)
    # Rows that the parent has put aside are taken, and not stored.
    aside = metadata.count_kept(pair.parent, QUARANTINE, pair.downwards.peer_id).get(name)
    if state is None or not state.anchor_in or state.landing or state.anew or aside:
        return 0
    tables = _tables(pair, scope, rule)
    ages.look(pair.child)
    horizon = ages.older_than(pair.child, rule.days)
    if horizon is None:
        return 0
    purge = _Purge(pair.child, tables, rule, min(state.anchor_in, horizon.version))
    gone = 0
    for _batch in range(_BATCHES):
        try:
            # The POS goes on selling: what it writes meanwhile is not purged, and has yet to go up.
            with pair.child.engine.marks.repeatable(pair.child):
                rows = purge.batch()
        except StatementFailed as failure:
            if failure.kind not in ("transient", "changed"):
                raise
            break
        gone += rows
        if not rows:
            break
        yield
    return gone


def _scope(pair: Pair, name: str) -> Scope:
    scope = next((one for one in pair.scopes if one.name == name), None)
    if scope is None:
        raise RetailError("Retention is declared for the scope %r, which there is not." % name, "Correct the name.")
    if scope.downloads or scope.uploads_deletes:
        raise RetailError(
            "Retention is declared for the scope %r, whose deletions would travel." % name,
            "Declare it for scopes alone that only upload, and whose deletions stay.",
        )
    return scope


def _tables(pair: Pair, scope: Scope, rule: Rule) -> list[Table]:
    tables = [shared.child for shared in pair.shared_tables(scope)]
    fitting = [table for table in tables if all(table.column(name) is not None for name in rule.unit)]
    if not fitting or not rule.unit:
        raise RetailError(
            "No table of the scope %r has the columns %s." % (scope.name, ", ".join(rule.unit) or "(none)"),
            "Name the columns of the scope's tables that make one sale.",
        )
    return fitting


class _Purge:
    """The statements for one scope. ``below``: versions that the parent has taken, and that are old enough."""

    def __init__(self, db: Any, tables: Sequence[Table], rule: Rule, below: int) -> None:
        self.db = db
        self.tables = tables
        self.unit = [db.engine.names.quote(name) for name in rule.unit]
        self.below = below
        self.types = [db.engine.types.native(tables[0].column(name).type) for name in rule.unit]  # type: ignore[union-attr]

    def batch(self) -> int:
        """Purge some sales, in the caller's transaction; returns how many rows went."""
        units: list[tuple[Any, ...]] = []
        for table in self.tables:
            units = self._units(table)
            if units:
                break
        name_of = self.db.engine.tracking.tracking_name
        self.db.engine.marks.check_seen(
            self.db, [name for table in self.tables for name in (table.name, name_of(table.name))]
        )
        return sum(self._delete(table, units) for table in self.tables) if units else 0

    def _settled(self, alias: str) -> str:
        newer = self.db.engine.marks.newer_than("%s.version" % alias, self.below, None)
        return "%s.sync_row_is_tombstone = 0 AND NOT %s" % (alias, newer)

    def _units(self, table: Table) -> list[tuple[Any, ...]]:
        """Sales of which all rows may go."""
        columns = ", ".join("r." + name for name in self.unit)
        living = " AND ".join("NOT EXISTS (%s)" % self._unsettled(other) for other in self.tables)
        sql = "SELECT DISTINCT %s FROM %s WHERE %s AND %s ORDER BY %s OFFSET 0 ROWS FETCH NEXT %d ROWS ONLY" % (
            columns, self._tracked(table, "r", "t", "JOIN"), self._settled("t"), living, columns, BATCH,
        )  # fmt: skip
        return [tuple(row) for row in self.db.query(sql)]

    def _unsettled(self, table: Table) -> str:
        same = " AND ".join("o.%s = r.%s" % (name, name) for name in self.unit)
        return "SELECT 1 FROM %s WHERE %s AND (s.version IS NULL OR NOT (%s))" % (
            self._tracked(table, "o", "s", "LEFT JOIN"), same, self._settled("s"),
        )  # fmt: skip

    def _tracked(self, table: Table, row: str, tracking: str, join: str) -> str:
        engine = self.db.engine
        keys = [engine.names.quote(column.name) for column in table.key_columns]
        return "%s %s %s %s %s ON %s" % (
            engine.names.quote(*table.name), row, join, engine.names.quote(*engine.tracking.tracking_name(table.name)), tracking,
            engine.tracking.matching(tracking, row, keys),
        )  # fmt: skip

    def _delete(self, table: Table, units: Sequence[tuple[Any, ...]]) -> int:
        cast = "(%s)" % ", ".join("CAST(? AS %s)" % native for native in self.types)
        names = ["u%d" % number for number in range(len(self.unit))]
        same = " AND ".join("u.%s = %s" % pair for pair in zip(names, self.unit))
        return self.db.execute(
            "DELETE FROM %s WHERE EXISTS (SELECT 1 FROM (VALUES %s) AS u (%s) WHERE %s)"
            % (self.db.engine.names.quote(*table.name), ", ".join([cast] * len(units)), ", ".join(names), same),
            *(value for unit in units for value in unit),
        )
