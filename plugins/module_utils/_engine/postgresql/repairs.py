# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that have to travel although nobody has written them, and tracking that has lost its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._canonical import numbered
from .._model import Column, Table
from . import names, tracking, types
from .digests import keys_from_json, rows_from_json, wire_key


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
        "names": ", ".join(own),
        "values": ", ".join("q." + key for key in own),
        "locked": ", ".join("r." + key for key in own),
        "version": tracking.VERSION,
        "born": int(born),
        "source": "-row_number() OVER ()" if alone else "NULL",
        "now": tracking.NOW,
    }
    # Base before tracking, keys in order: so do all who write both.
    db.value(
        "SELECT count(*) FROM (SELECT 1 FROM {base} r JOIN {keys} ON {present} ORDER BY {locked} FOR UPDATE OF r) x".format(
            **parts
        ),
        numbered(keys),
    )
    db.execute(
        "INSERT INTO {tracking} AS t ({names}, version, origin, created_here, sync_row_is_tombstone, source_transaction, "
        "last_change_datetime) SELECT {values}, {version}, NULL, {born}, CASE WHEN r.{first} IS NULL THEN 1 ELSE 0 END, {source}, "
        "{now} FROM {keys} LEFT JOIN {base} r ON {present} ORDER BY {values} ON CONFLICT ({names}) DO UPDATE SET "
        "version = excluded.version, origin = NULL, created_here = greatest(t.created_here, excluded.created_here), "
        "sync_row_is_tombstone = excluded.sync_row_is_tombstone, source_transaction = excluded.source_transaction, "
        "earlier_transaction = NULL, last_change_datetime = excluded.last_change_datetime".format(
            first=own[0], **parts
        ),
        numbered(keys),
    )


def put(db: Any, table: Table, columns: Sequence[Column], row: str) -> None:
    """Write one row as the application would: a change of this database; in the caller's transaction.

    :param row: a wire object, ``k0``, ``k1`` … in the order of ``columns``, with the whole key.
    :raises StatementFailed: the row does not fit.
    """
    parts = _parts(table, columns)
    if not db.value("SELECT COUNT(*) FROM {base} AS r JOIN {row} ON {present}".format(**parts), numbered([row])):
        db.execute("INSERT INTO {base} ({names}) SELECT {values} FROM {row}".format(**parts), numbered([row]))
    elif parts["changes"]:
        db.execute("UPDATE {base} AS r SET {changes} FROM {row} WHERE {present}".format(**parts), numbered([row]))


def image(db: Any, table: Table, columns: Sequence[Column], key: str, stays: bool = True) -> str | None:
    """One row as a JSON object by column name, as it travels; None where there is none.

    :param key: a wire object.
    :param stays: it stays as it is until the caller's transaction ends, which takes the right to change it.
    """
    pairs = ((names.quote(column.name), column) for column in columns)
    wire = ", ".join("%s AS %s" % (types.to_wire(column, "r." + name), name) for name, column in pairs)
    return db.value(
        "SELECT CAST(row_to_json((SELECT o FROM (SELECT {wire}) o)) AS text) FROM {base} AS r JOIN {row} ON {present}"
        "{lock}".format(wire=wire, lock=" FOR UPDATE OF r" if stays else "", **_parts(table, table.key_columns)),
        numbered([key]),
    )


def remove(db: Any, table: Table, key: str) -> None:
    """Delete one row as the application would; in the caller's transaction.

    :param key: a wire object.
    """
    db.execute(
        "DELETE FROM {base} AS r USING {row} WHERE {present}".format(**_parts(table, table.key_columns)),
        numbered([key]),
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
    parts = ["SELECT %d AS n, count(*) AS rows FROM %s" % (place, _lost(table)) for place, table in enumerate(tables)]
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
    """Make rows that are alive in tracking alone deletions, as a DELETE of them would have; returns how many."""
    own = [names.quote(column.name) for column in table.key_columns]
    return db.execute(
        "UPDATE {tracking} o SET version = {version}, origin = NULL, sync_row_is_tombstone = 1, source_transaction = NULL, "
        "earlier_transaction = NULL, last_change_datetime = {now} WHERE o.sync_row_is_tombstone = 0 "
        "AND NOT EXISTS (SELECT 1 FROM {base} r WHERE {present})".format(
            tracking=names.quote(*tracking.tracking_name(table.name)), version=tracking.VERSION, now=tracking.NOW,
            base=names.quote(*table.name), present=tracking.matching("r", "o", own),
        )
    )  # fmt: skip


def _lost(table: Table, alias: str = "t") -> str:
    own = [names.quote(column.name) for column in table.key_columns]
    return "%s %s WHERE %s.sync_row_is_tombstone = 0 AND NOT EXISTS (SELECT 1 FROM %s b WHERE %s)" % (
        names.quote(*tracking.tracking_name(table.name)), alias, alias, names.quote(*table.name),
        tracking.matching("b", alias, own),
    )  # fmt: skip
