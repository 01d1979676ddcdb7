# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the speakers' ways of applying a batch share: the phrases about one table, and the count of what was decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Callable

from ._errors import StatementFailed
from ._model import Column, TableName
from ._wire import Outcome, Work, key_of

WINDOW = TableName("dbo", "sync_window")
CONFLICT = TableName("dbo", "sync_conflict")
LINK = TableName("dbo", "sync_transaction_link")
SCOPE = TableName("dbo", "scope_info")

#: Numbers of transactions from different peers: the peer's number, plus one, is put in front at this place.
PEER_FACTOR = 17592186044416


def source_of(alias: str, local: str) -> str:
    """SQL: the transaction that a tracking row was written in, with a number that no other peer's has.

    :param local: the number where the row was written here.
    """
    return (
        "CASE WHEN {a}.source_transaction < 0 THEN {a}.source_transaction WHEN {a}.origin IS NULL OR {a}.source_transaction IS NULL "
        "THEN {local} ELSE {a}.source_transaction + ({a}.origin + 1) * CAST({factor} AS bigint) END"
    ).format(a=alias, local=local, factor=PEER_FACTOR)


def received(expression: str, peer: int) -> str:
    """SQL: a number of a transaction from ``peer``, as :func:`source_of` will give it here."""
    return "%s + CAST(%d AS bigint)" % (expression, (int(peer) + 1) * PEER_FACTOR)


def pending_from(quote: Callable[..., str], literal: Callable[[str], str], position: str, table: TableName) -> str:
    """SQL: the version from which on the parent may lack changes of a table, NULL where none of them go up.

    :param position: the speaker's search for a text in another, with two places.
    """
    name = literal(json.dumps(str(table)))
    return (
        "(SELECT MIN(COALESCE(s.acked_out, 0)) FROM %s s WHERE s.peer_id = 0 AND s.direction <> 'download' AND %s > 0)"
        % (quote(*SCOPE), position % (name, "s.config_data"))
    )


def left_out(without: Iterable[tuple[int, int]], number: str) -> str:
    """SQL: a row is one of ``Work.without``. Alias s: its batch.

    :param number: the number of the row's source transaction, not NULL.
    """
    by_place: dict[int, list[int]] = {}
    for place, one in sorted(without):
        by_place.setdefault(int(place), []).append(int(one))
    parts = ["%s IN (%s)" % (number, ", ".join(map(str, by_place.pop(0))))] if 0 in by_place else []
    # A number that stands for no transaction means another row in every batch.
    parts += [
        "s.place = %d AND %s IN (%s)" % (place, number, ", ".join(map(str, ones))) for place, ones in by_place.items()
    ]
    return "(%s)" % " OR ".join(parts)


class Phrases:
    """The phrases that the statements about one table share. Aliases: i incoming, r the row here, t its tracking.

    :param names: the speaker's module of names.
    :param tracking_table: the tracking table's name.
    :param temporary: what the speaker puts before the name of a temporary table.
    """

    def __init__(self, work: Work, names: ModuleType, tracking_table: TableName, temporary: str) -> None:
        wire = {column.name: key_of(n) for n, column in enumerate(work.columns)}
        self.base = names.quote(*work.table.name)
        self.tracking = names.quote(*tracking_table)
        self.table_literal = names.literal(str(work.table.name))
        self.key_columns = work.table.key_columns
        self.keys = [names.quote(column.name) for column in self.key_columns]
        self.wire_keys = [wire[column.name] for column in self.key_columns]
        self.columns: list[tuple[str, Column]] = [(key_of(n), column) for n, column in enumerate(work.columns)]
        self.plain = [(key, column) for key, column in self.columns if column.name not in work.table.primary_key]
        # The same table with other columns is another temporary table: both may be there in one connection's life.
        shape = repr((work.table.name, [(column.name, column.type, column.collation) for column in work.columns]))
        self.incoming = temporary + "incoming_" + hashlib.sha256(shape.encode("utf-8")).hexdigest()[:16]

    def match(self, alias: str) -> str:
        """SQL: the row of ``alias`` has the key of the incoming row."""
        return " AND ".join("%s.%s = i.%s" % (alias, key, wire) for key, wire in zip(self.keys, self.wire_keys))

    @property
    def key_list(self) -> str:
        return ", ".join(self.keys)

    @property
    def incoming_keys(self) -> str:
        return ", ".join("i." + wire for wire in self.wire_keys)

    def absent(self, alias: str) -> str:
        return "%s.%s IS NULL" % (alias, self.keys[0])


def count(db: Any, sql: Phrases) -> Outcome:
    """How many rows were decided how."""
    outcome = Outcome()
    rows = db.query(
        "SELECT act, COUNT(*), SUM(d), MIN(CASE WHEN act = 'held' THEN v END) FROM %s GROUP BY act" % sql.incoming
    )
    for act, number, deletions, held_at in rows:
        if act == "write":
            outcome.written, outcome.deleted = int(number) - int(deletions), int(deletions)
        elif act == "conflict":
            outcome.conflicts = int(number)
        elif act == "held":
            outcome.held, outcome.held_at = int(number), held_at
        else:
            setattr(outcome, act, int(number))
    return outcome


def count_settled(db: Any, sql: Phrases, before: Outcome) -> Outcome:
    """The counts once conflicts are settled: a conflict that the incoming image won counts as written, too."""
    after = count(db, sql)
    after.conflicts = before.conflicts
    return after


def check_written(work: Work, outcome: Outcome, left: int) -> None:
    """A trigger can leave a row as it was without an error; that must not pass for written.

    :param left: how many rows that were to be written are not in the table now, or still, or as they were.
    :raises StatementFailed: ``data``; the rows are then found and put aside like any that cannot be stored.
    """
    if left > 0:
        message = "A trigger kept %d of %d changes from %s without an error." % (left, outcome.moved, work.table.name)
        raise StatementFailed(
            message, "data", advice="Look for a trigger that returns NULL, or one INSTEAD OF the statement."
        )
