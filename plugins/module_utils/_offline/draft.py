# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of AX's set-up tables as plain values: edited in memory, and the statements that make the database follow.

Rows that stay keep their RECID: other rows, here and in databases that have got them, refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import TableName
from .._plan import Statement

#: AX gives every table's rows numbers from here on.
FIRST_RECID = 5637144576

Record = dict  # column name to value


class Draft:
    """The rows that there are, and what they are to be.

    :param columns: the tables and those of their columns that matter.
    """

    def __init__(self, columns: Mapping[TableName, Sequence[str]], before: Mapping[TableName, Mapping[int, Record]]):
        self.columns = columns
        self.before = before
        self.after: dict[TableName, dict[int, Record]] = {
            table: {recid: dict(record) for recid, record in before.get(table, {}).items()} for table in columns
        }

    @classmethod
    def read(cls, db: Any, columns: Mapping[TableName, Sequence[str]]) -> Draft:
        """Read the tables; None for ``db`` gives empty ones.

        :raises RetailError: the database lacks one of them.
        """
        if db is None:
            return cls(columns, {})
        found = db.engine.tables.read(db, list(columns))
        for table, names in columns.items():
            if table not in found or any(found[table].column(name) is None for name in names):
                raise RetailError(
                    "The database %s is no HQ database: its table %s is missing or lacks columns."
                    % (db.target.where, table),
                    "Create or upgrade it with the module retail_channel_db and its option tier: hq.",
                )
        return cls(columns, {table: _read(db, table, names) for table, names in columns.items()})

    def rows(self, table: TableName, **values: Any) -> list[tuple[int, Record]]:
        """The rows with these values, by RECID."""
        return [item for item in self._sorted(table) if _has(item[1], values)]

    def _sorted(self, table: TableName) -> Iterator[tuple[int, Record]]:
        yield from sorted(self.after[table].items(), key=lambda item: item[0])

    def find(self, table: TableName, **values: Any) -> int | None:
        """The RECID of the first row with these values."""
        return next((recid for recid, record in self._sorted(table) if _has(record, values)), None)

    def add(self, table: TableName, **values: Any) -> int:
        """A new row; its RECID is above all that there were."""
        recid = max([FIRST_RECID - 1, *self.after[table], *self.before.get(table, ())]) + 1
        self.after[table][recid] = values
        return recid

    def put(self, table: TableName, key: Mapping[str, Any], **values: Any) -> int:
        """The row with this key, made where there is none, with these values."""
        recid = self.find(table, **key)
        if recid is None:
            return self.add(table, **key, **values)
        self.after[table][recid].update(values)
        return recid

    def drop(self, table: TableName, recid: int) -> None:
        del self.after[table][recid]

    def arrange(self, table: TableName, owner: tuple[str, int], item: str, wanted: Sequence[int]) -> None:
        """Make the links of ``owner`` lead to ``wanted`` in the order of their RECIDs, keeping those that can stay."""
        links = self.rows(table, **dict([owner]))
        by_item: dict[int, int] = {}
        for recid, record in links:
            by_item.setdefault(record[item], recid)
        last = 0
        kept = set()
        for value in wanted:
            recid = by_item.get(value, 0)
            if recid <= last:
                break
            kept.add(recid)
            last = recid
        for recid, _record in links:
            if recid not in kept:
                self.drop(table, recid)
        for value in wanted[len(kept) :]:
            self.add(table, **dict([owner]), **{item: value})

    def statements(self, engine: Any) -> list[Statement]:
        """Deletions, then changes, then new rows: a unique value is free before another row takes it."""
        deletes: list[Statement] = []
        updates: list[Statement] = []
        inserts: list[Statement] = []
        for table in self.columns:
            before, after = self.before.get(table, {}), self.after[table]
            deletes += [_delete(engine, table, recid) for recid in sorted(before) if recid not in after]
            updates += [
                _update(engine, table, recid, before[recid], record)
                for recid, record in self._sorted(table)
                if recid in before and before[recid] != record
            ]
            inserts += [
                _insert(engine, table, recid, record) for recid, record in self._sorted(table) if recid not in before
            ]
        return deletes + updates + inserts


def _read(db: Any, table: TableName, names: Sequence[str]) -> dict[int, Record]:
    quote = db.engine.names.quote
    columns = ", ".join(quote(name) for name in ("RECID", *names))
    return {int(row[0]): dict(zip(names, row[1:])) for row in db.query("SELECT %s FROM %s" % (columns, quote(*table)))}


def _has(record: Record, values: Mapping[str, Any]) -> bool:
    return all(record[name] == value for name, value in values.items())


def _delete(engine: Any, table: TableName, recid: int) -> Statement:
    quote = engine.names.quote
    return "DELETE FROM %s WHERE %s = ?" % (quote(*table), quote("RECID")), (recid,)


def _update(engine: Any, table: TableName, recid: int, before: Record, record: Record) -> Statement:
    quote = engine.names.quote
    changed = {name: value for name, value in record.items() if before.get(name) != value}
    settings = ", ".join("%s = %s" % (quote(name), _mark(value)) for name, value in changed.items())
    values = tuple(value for value in changed.values() if value is not None)
    return "UPDATE %s SET %s WHERE %s = ?" % (quote(*table), settings, quote("RECID")), (*values, recid)


def _insert(engine: Any, table: TableName, recid: int, record: Record) -> Statement:
    quote = engine.names.quote
    columns = ", ".join(quote(name) for name in ("RECID", *record))
    marks = ", ".join(["?", *(_mark(value) for value in record.values())])
    values = tuple(value for value in record.values() if value is not None)
    return "INSERT INTO %s (%s) VALUES (%s)" % (quote(*table), columns, marks), (recid, *values)


def _mark(value: Any) -> str:
    return "NULL" if value is None else "?"
