# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that have to travel although nobody has written them, and tracking that has lost its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._canonical import numbered
from .._model import Column, Table
from . import images, names, probes, tracking, types
from .digests import keys_from_json, rows_from_json, wire_key

#: How many rows become deletions in one transaction, and how many are looked for at a time: each look passes by those before it.
_AT_ONCE, _A_LOOK = 500, 50_000


def touch(db: Any, table: Table, keys: Sequence[str], born: bool, alone: bool) -> None:
    """Make rows, or the deletion of those that are not here, a change of this database; in the caller's transaction.

    :param keys: wire objects.
    :param born: the other side has never had them.
    :param alone: each row is a unit of its own; else all that the transaction touches stand or fall together.
    """
    own = [names.quote(column.name) for column in table.key_columns]
    parts = {
        "base": names.quote(*table.name),
        "tracking": names.quote(*tracking.tracking_name(table.name)),
        "keys": keys_from_json(table),
        "present": tracking.matching("r", "q", own),
        "tracked": tracking.matching("t", "q", own),
        "names": ", ".join(own),
        "values": ", ".join("q." + key for key in own),
        "first": own[0],
        "born": int(born),
        # Without a transaction's number the row's own version stands for it, and no two rows have the same.
        "source": "NULL" if alone else _transaction(db),
        "now": tracking.NOW,
    }
    # Base before tracking: so do all who write both. By its key each, or far more than these rows would be locked.
    db.value(
        "SELECT COUNT(*) FROM {keys} JOIN {base} AS r WITH (UPDLOCK, HOLDLOCK) ON {present} "
        "OPTION (FORCE ORDER, LOOP JOIN)".format(**parts),
        numbered(keys),
    )
    db.execute(
        "UPDATE t SET origin = NULL, created_here = CASE WHEN {born} = 1 THEN 1 ELSE t.created_here END, "
        "sync_row_is_tombstone = CASE WHEN r.{first} IS NULL THEN 1 ELSE 0 END, source_transaction = {source}, "
        "earlier_transaction = NULL, last_change_datetime = {now} FROM {tracking} AS t JOIN {keys} ON {tracked} "
        "LEFT JOIN {base} AS r ON {present}".format(**parts),
        numbered(keys),
    )
    db.execute(
        "INSERT INTO {tracking} ({names}, origin, created_here, sync_row_is_tombstone, source_transaction, last_change_datetime) "
        "SELECT {values}, NULL, {born}, CASE WHEN r.{first} IS NULL THEN 1 ELSE 0 END, {source}, {now} FROM {keys} "
        "LEFT JOIN {base} AS r ON {present} WHERE NOT EXISTS (SELECT 1 FROM {tracking} AS t WHERE {tracked})".format(
            **parts
        ),
        numbered(keys),
    )


def put(db: Any, table: Table, columns: Sequence[Column], row: str) -> None:
    """Write one row as the application would: a change of this database; in the caller's transaction.

    :param row: a wire object, ``k0``, ``k1`` … in the order of ``columns``, with the whole key.
    :raises StatementFailed: the row does not fit.
    """
    images.check(db, table, columns, row)
    parts = _parts(table, columns)
    if not db.value("SELECT COUNT(*) FROM {base} AS r JOIN {row} ON {present}".format(**parts), numbered([row])):
        db.execute("INSERT INTO {base} ({names}) SELECT {values} FROM {row}".format(**parts), numbered([row]))
    elif parts["changes"]:
        db.execute("UPDATE r SET {changes} FROM {base} AS r JOIN {row} ON {present}".format(**parts), numbered([row]))


def image(db: Any, table: Table, columns: Sequence[Column], key: str, stays: bool = True) -> str | None:
    """One row as a JSON object by column name, as it travels; None where there is none.

    :param key: a wire object.
    :param stays: it stays as it is until the caller's transaction ends, which takes the right to change it.
    """
    wire = images.json_object(
        (column.name, types.to_wire(column, "r." + names.quote(column.name))) for column in columns
    )
    # The row, or its gap, is locked by its key: any other plan would lock far more than that.
    return db.value(
        "SELECT {wire} FROM {row} JOIN {base} AS r{lock} ON {present} OPTION (FORCE ORDER, LOOP JOIN)".format(
            wire=wire, lock=" WITH (UPDLOCK, HOLDLOCK)" if stays else "", **_parts(table, table.key_columns)
        ),
        numbered([key]),
    )


def remove(db: Any, table: Table, key: str) -> None:
    """Delete one row as the application would; in the caller's transaction.

    :param key: a wire object.
    """
    db.execute(
        "DELETE r FROM {base} AS r JOIN {row} ON {present}".format(**_parts(table, table.key_columns)), numbered([key])
    )


def _parts(table: Table, columns: Sequence[Column]) -> dict[str, str]:
    own = [names.quote(column.name) for column in columns]
    plain = [names.quote(column.name) for column in columns if column.name not in table.primary_key]
    return {
        "base": names.quote(*table.name),
        "row": rows_from_json(table, columns),
        "names": ", ".join(own),
        "values": ", ".join("q." + name for name in own),
        "changes": ", ".join("%s = q.%s" % (name, name) for name in plain),
        "present": tracking.matching("r", "q", [names.quote(column.name) for column in table.key_columns]),
    }


def orphans(db: Any, tables: Sequence[Table]) -> list[int]:
    """For each table: how many rows are alive in its tracking and gone from the table, as TRUNCATE leaves them."""
    parts = [
        "SELECT %d AS n, COUNT_BIG(*) AS number FROM %s" % (place, _lost(table)) for place, table in enumerate(tables)
    ]
    found = {int(row[0]): int(row[1]) for row in db.query(" UNION ALL ".join(parts))} if parts else {}
    return [found[place] for place in range(len(tables))]


def lost(db: Any, table: Table, most: int) -> list[tuple[str, int | None]]:
    """Rows that are alive in the tracking and gone from the table: the key of each as a wire object, and its origin.

    :param most: no more than so many.
    """
    keys = ", ".join("r." + names.quote(column.name) for column in table.key_columns)
    sql = "SELECT %s, r.origin FROM %s ORDER BY %s OFFSET 0 ROWS FETCH NEXT %d ROWS ONLY"
    return [(row[0], row[1]) for row in db.query(sql % (wire_key(table), _lost(table, "r"), keys, int(most)))]


def bury(db: Any, table: Table) -> int:
    """Make rows that are alive in tracking alone deletions, as a DELETE of them would have; returns how many. Outside a transaction.

    There may be as many as the table had. So many at a time that tills wait for no more than a moment, and that no server runs
    out of locks (1204): those on a tracking table never become one on all of it. The table before its tracking, as all do who
    write both.
    """
    number = 0
    while True:
        keys = [key for key, _origin in lost(db, table, _A_LOOK)]
        if not keys:
            return number
        for start in range(0, len(keys), _AT_ONCE):
            with db.transaction():
                touch(db, table, keys[start : start + _AT_ONCE], born=False, alone=True)
        number += len(keys)


def _lost(table: Table, alias: str = "t") -> str:
    own = [names.quote(column.name) for column in table.key_columns]
    return "%s AS %s WHERE %s.sync_row_is_tombstone = 0 AND NOT EXISTS (SELECT 1 FROM %s AS b WHERE %s)" % (
        names.quote(*tracking.tracking_name(table.name)), alias, alias, names.quote(*table.name),
        tracking.matching("b", alias, own),
    )  # fmt: skip


def _transaction(db: Any) -> str:
    known = probes.works(db, "SELECT " + tracking.TRANSACTION)
    return tracking.TRANSACTION if known else "pg_catalog.txid_current()"
