# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What depends on a column. SQL Server changes no type under it (errors 5074 and 4922): what can be made again just as it was is taken
away and made again around the change, and for the rest the change is refused before anything is done.

By the page of ALTER TABLE, a text or a binary value may get longer under an index or a UNIQUE or CHECK constraint, but not under a
primary key; and no column changes that the condition of an index or of statistics names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .._errors import RetailError
from .._filter import MOVES, before_digest
from .._model import Column, Table, TableName
from . import names, probes, sizes, tracking, types

_VARYING = re.compile(r"^(n?varchar|varbinary)\((\d+|max)\)$")
_UNLIMITED, _KEY = "max", "PRIMARY KEY"
#: What ``sys.indexes.type`` says of the two usual forms.
_CLUSTERED, _OTHER = 1, 2
#: What finds rows by the primary key, and what is content with a text that gets longer.
_BY_KEY, _CHECK = ("full-text search", "change tracking"), "check constraint"

#: One row for each column of each index. No filter leaves anything out: what was not read would not be made again.
_INDEXES = """
SELECT s.name, o.name, i.name, CAST(i.type AS int), CAST(i.is_primary_key AS int), CAST(i.is_unique_constraint AS int),
 CAST(i.is_unique AS int), CAST(i.is_disabled AS int), CAST(i.is_hypothetical AS int), i.filter_definition, CAST(i.fill_factor AS int),
 CAST(i.is_padded AS int), CAST(i.ignore_dup_key AS int), CAST(i.allow_row_locks AS int), CAST(i.allow_page_locks AS int),
 CAST(COALESCE(t.no_recompute, 0) AS int), d.type, d.name,
 (SELECT MAX(p.data_compression_desc) FROM sys.partitions p WHERE p.object_id = i.object_id AND p.index_id = i.index_id),
 COL_NAME(k.object_id, k.column_id), CAST(k.is_descending_key AS int), CAST(k.is_included_column AS int)
FROM sys.indexes i JOIN sys.tables o ON o.object_id = i.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id
LEFT JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id
LEFT JOIN sys.stats t ON t.object_id = i.object_id AND t.stats_id = i.index_id
LEFT JOIN sys.data_spaces d ON d.data_space_id = i.data_space_id
WHERE i.type > 0{named}
ORDER BY 1, 2, i.index_id, 22, k.key_ordinal, k.index_column_id"""

_STATISTICS = """
SELECT s.name, o.name, t.name, t.filter_definition, CAST(t.no_recompute AS int), COL_NAME(k.object_id, k.column_id)
FROM sys.stats t JOIN sys.tables o ON o.object_id = t.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id
JOIN sys.stats_columns k ON k.object_id = t.object_id AND k.stats_id = t.stats_id
WHERE t.user_created = 1{named}
ORDER BY 1, 2, t.stats_id, k.stats_column_id"""
#: Not every server lets its users make statistics (Babelfish).
_HAS_STATISTICS = "SELECT COUNT(*) FROM sys.stats_columns WHERE 1 = 0"

# What is not made again: (schema, table, kind, its name, the column or NULL, an expression in which columns are named). Two NULLs
# without a type are a number, and so would be what comes behind them.
_OBSTACLES = """
SELECT s.name, o.name, N'foreign key', OBJECT_NAME(f.constraint_object_id), COL_NAME(f.parent_object_id, f.parent_column_id),
 CAST(NULL AS nvarchar(max))
FROM sys.foreign_key_columns f JOIN sys.tables o ON o.object_id = f.parent_object_id
JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE 1 = 1{named}
UNION ALL
SELECT s.name, o.name, N'foreign key', OBJECT_NAME(f.constraint_object_id), COL_NAME(f.referenced_object_id, f.referenced_column_id), NULL
FROM sys.foreign_key_columns f JOIN sys.tables o ON o.object_id = f.referenced_object_id
JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE f.referenced_object_id <> f.parent_object_id{named}
UNION ALL
SELECT s.name, o.name, N'check constraint', c.name, NULL, CAST(c.definition AS nvarchar(max))
FROM sys.check_constraints c JOIN sys.tables o ON o.object_id = c.parent_object_id
JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE 1 = 1{named}
UNION ALL
SELECT s.name, o.name, N'computed column', c.name, NULL, CAST(c.definition AS nvarchar(max))
FROM sys.computed_columns c JOIN sys.tables o ON o.object_id = c.object_id
JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE 1 = 1{named}
UNION ALL
SELECT s.name, o.name, N'full-text index', NULL, COL_NAME(x.object_id, x.column_id), NULL
FROM sys.fulltext_index_columns x JOIN sys.tables o ON o.object_id = x.object_id
JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE 1 = 1{named}
UNION ALL
SELECT s.name, o.name, N'full-text search', NULL, NULL, NULL
FROM sys.fulltext_index_columns x JOIN sys.tables o ON o.object_id = x.object_id
JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE 1 = 1{named}
UNION ALL
SELECT s.name, o.name, N'change tracking', NULL, NULL, NULL
FROM sys.change_tracking_tables x JOIN sys.tables o ON o.object_id = x.object_id
JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE 1 = 1{named}"""

#: Views and functions WITH SCHEMABINDING. Only owners of the database may ask for them unless others are given the right.
_BOUND = """
SELECT s.name, o.name, N'view or function', OBJECT_NAME(e.referencing_id), COL_NAME(e.referenced_id, e.referenced_minor_id), NULL
FROM sys.sql_expression_dependencies e JOIN sys.tables o ON o.object_id = e.referenced_id
JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.objects b ON b.object_id = e.referencing_id
WHERE e.is_schema_bound_reference = 1 AND e.referenced_minor_id > 0 AND b.type NOT IN ('C', 'D', 'U'){named}"""
_KNOWS_BOUND = "SELECT COUNT(*) FROM sys.sql_expression_dependencies WHERE 1 = 0"

#: A contained database has names in another collation than texts.
_NAMED = """ AND EXISTS (SELECT 1 FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (s nvarchar(128) '$.s', t nvarchar(128)
'$.t') q
 WHERE q.s COLLATE DATABASE_DEFAULT = s.name AND q.t COLLATE DATABASE_DEFAULT = o.name)"""

#: Tables that may be tracking, or a log of moves: which keep copies of columns.
_COMPANIONS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = N'BASE TABLE' "
    "AND (RIGHT(TABLE_NAME, %d) = %s OR CHARINDEX(%s, TABLE_NAME) > 0)"
)


@dataclass(frozen=True)
class Index:
    """An index, or the constraint that it keeps: ``kind`` is PRIMARY KEY or UNIQUE then.

    :param form: what ``sys.indexes.type`` says; 1 is clustered, 2 is not, and others are of another make.
    :param keys: the columns with their direction; ``included``: those that are only carried along.
    """

    name: str
    kind: str
    form: int
    is_unique: bool
    is_disabled: bool
    is_hypothetical: bool
    keys: tuple[tuple[str, str], ...]
    included: tuple[str, ...]
    where: str
    options: tuple[str, ...]
    space: str
    is_partitioned: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return (*(name for name, _direction in self.keys), *self.included)

    def names(self, column: str) -> bool:
        return column in self.columns or _is_named(column, self.where)

    def drop(self, place: str) -> str:
        if self.kind:
            return "ALTER TABLE %s DROP CONSTRAINT %s" % (place, names.quote(self.name))
        return "DROP INDEX %s ON %s" % (names.quote(self.name), place)

    def make(self, place: str) -> list[str]:
        keys = ", ".join("%s %s" % (names.quote(name), direction) for name, direction in self.keys)
        shape = "CLUSTERED" if self.form == _CLUSTERED else "NONCLUSTERED"
        options = " WITH (%s)" % ", ".join(self.options) if self.options else ""
        end = options + (" ON %s" % names.quote(self.space) if self.space else "")
        name = names.quote(self.name)
        if self.kind:
            return ["ALTER TABLE %s ADD CONSTRAINT %s %s %s (%s)%s" % (place, name, self.kind, shape, keys, end)]
        included = " INCLUDE (%s)" % ", ".join(map(names.quote, self.included)) if self.included else ""
        where = " WHERE %s" % self.where if self.where else ""
        unique = "UNIQUE " if self.is_unique else ""
        made = ["CREATE %s%s INDEX %s ON %s (%s)%s%s%s" % (unique, shape, name, place, keys, included, where, end)]
        return made + (["ALTER INDEX %s ON %s DISABLE" % (name, place)] if self.is_disabled else [])


@dataclass(frozen=True)
class Statistics:
    """Statistics that somebody made; those that the server makes for itself go and come without a word."""

    name: str
    columns: tuple[str, ...]
    where: str
    is_kept: bool

    def names(self, column: str) -> bool:
        return column in self.columns or _is_named(column, self.where)

    def drop(self, place: str) -> str:
        return "DROP STATISTICS %s.%s" % (place, names.quote(self.name))

    def make(self, place: str) -> list[str]:
        where = " WHERE %s" % self.where if self.where else ""
        kept = " WITH NORECOMPUTE" if self.is_kept else ""
        columns = ", ".join(map(names.quote, self.columns))
        return ["CREATE STATISTICS %s ON %s (%s)%s%s" % (names.quote(self.name), place, columns, where, kept)]


@dataclass(frozen=True)
class Obstacle:
    """What is not made again. ``column`` None: the columns are those that ``text`` names, or none where the key is meant."""

    kind: str
    name: str
    column: str | None
    text: str

    def names(self, column: str) -> bool:
        return self.column == column if self.column is not None else _is_named(column, self.text)

    def __str__(self) -> str:
        return ("%s %s" % (self.kind, self.name)).rstrip()


@dataclass(frozen=True)
class Dependents:
    """All that depends on the columns of one table, and the tables that keep copies of its columns."""

    table: Table
    indexes: tuple[Index, ...] = ()
    statistics: tuple[Statistics, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    copies: tuple[Dependents, ...] = ()

    def around(self, columns: Sequence[Column]) -> tuple[list[str], list[str]]:
        """The statements before columns get these types and nullabilities, and those after it.

        :raises RetailError: something depends on one of them that is not made again.
        """
        place = names.quote(*self.table.name)
        gone = self._gone(columns)
        before = [one.drop(place) for one in reversed(gone)]
        return before, [statement for one in gone for statement in one.make(place)]

    def narrower(self, columns: Iterable[Column]) -> Iterator[tuple[Dependents, list[Column]]]:
        """The copies of columns that do not hold all that these types hold, each with the columns that it should have."""
        for copy in self.copies:
            kept = [(copy.table.column(column.name), column.type) for column in columns]
            wider = [
                replace(one, type=wanted) for one, wanted in kept if one is not None and not _grows(wanted, one.type)
            ]
            if wider:
                yield copy, wider

    def around_copies(self, columns: Sequence[Column]) -> tuple[list[str], list[str]]:
        """As :func:`around`, in a table of copies: its indexes are made so that they hold the keys as they will be."""
        place, key = names.quote(*self.table.name), self._key(columns)
        gone = self._gone(columns)
        gone += [one for one in self.indexes if one not in gone and _fitting(one, key) != one]
        before = [one.drop(place) for one in reversed(gone)]
        return before, [statement for one in gone for statement in _fitting(one, key).make(place)]

    def _key(self, columns: Iterable[Column]) -> list[Column]:
        """The primary key as it is with these columns."""
        later = {column.name: column for column in columns}
        own = (name for one in self.indexes if one.kind == _KEY for name, _direction in one.keys)
        found = (later.get(name) or self.table.column(name) for name in own)
        return [column for column in found if column is not None]

    def _gone(self, columns: Sequence[Column]) -> list[Index | Statistics]:
        """What has to go, in the order in which it is made again: what is clustered first, for all other indexes lean on it."""
        indexes = dict.fromkeys(one for column in columns for one in self._in_the_way(column))
        named = [one for one in self.statistics if any(one.names(column.name) for column in columns)]
        return [*sorted(indexes, key=lambda one: one.form != _CLUSTERED), *named]

    def _in_the_way(self, column: Column) -> list[Index]:
        kept = self.table.column(column.name)
        grows = kept is not None and kept.nullable == column.nullable and _grows(kept.type, column.type)
        indexes = [one for one in self.indexes if one.names(column.name)]
        for one in indexes:
            self._check_length(column, one)
        # Each may get longer where it is, but for a key, and for what a condition names.
        lasting = grows and not column.type.endswith("(%s)" % _UNLIMITED)
        indexes = [one for one in indexes if not lasting or one.kind == _KEY or _is_named(column.name, one.where)]
        self._check(column, indexes, lasting)
        return indexes

    def _check_length(self, column: Column, index: Index) -> None:
        if column.type.endswith("(%s)" % _UNLIMITED) and column.name in [name for name, _direction in index.keys]:
            self._refuse(column, "the index %s has it in its key, and no key holds that type" % index.name)

    def _check(self, column: Column, gone: Sequence[Index], lasting: bool) -> None:
        for one in self.obstacles:
            if one.names(column.name) and not (lasting and one.kind == _CHECK):
                self._refuse(column, "%s depends on it" % one)
        for index in gone:
            if index.form not in (_CLUSTERED, _OTHER) or index.is_partitioned or index.is_hypothetical:
                self._refuse(column, "the index %s depends on it, of a kind that is not made again here" % index.name)
            leaning = [one for one in self.indexes if one.form in (3, 4) and index.form == _CLUSTERED]
            by_key = [one for one in self.obstacles if one.kind in _BY_KEY and index.kind == _KEY]
            for other in [*(one.name for one in leaning), *map(str, by_key)]:
                self._refuse(column, "the index %s depends on it, and %s depends on that one" % (index.name, other))

    def _refuse(self, column: Column, why: str) -> None:
        raise RetailError(
            "Column %s of table %s cannot get the type %s: %s." % (column.name, self.table.name, column.type, why),
            "SQL Server changes no type under that. Take it away by hand, run this again, and make it anew.",
        )


class _IndexRow(NamedTuple):
    schema: str
    table: str
    name: str
    form: int
    is_primary: int
    is_constraint: int
    is_unique: int
    is_disabled: int
    is_hypothetical: int
    where: str | None
    fill_factor: int
    is_padded: int
    ignores_duplicates: int
    row_locks: int
    page_locks: int
    keeps_statistics: int
    space_type: str | None
    space: str | None
    compression: str | None
    column: str | None
    descends: int
    is_included: int

    @property
    def options(self) -> tuple[str, ...]:
        """What differs from what an index has when nothing is said."""
        said = [
            ("PAD_INDEX = ON", self.is_padded),
            ("FILLFACTOR = %d" % (self.fill_factor or 0), self.fill_factor),
            ("IGNORE_DUP_KEY = ON", self.ignores_duplicates),
            ("STATISTICS_NORECOMPUTE = ON", self.keeps_statistics),
            ("ALLOW_ROW_LOCKS = OFF", not self.row_locks),
            ("ALLOW_PAGE_LOCKS = OFF", not self.page_locks),
            ("DATA_COMPRESSION = %s" % self.compression, self.compression in ("ROW", "PAGE")),
        ]
        return tuple(text for text, wanted in said if wanted)


def companions(db: Any, tables: Iterable[TableName]) -> dict[TableName, list[TableName]]:
    """For each table: its tracking, and its logs of moves, as far as they are there."""
    marks = (len(tracking.SUFFIX), names.literal(tracking.SUFFIX), names.literal(MOVES))
    there = [TableName(row[0], row[1]) for row in db.query(_COMPANIONS % marks)]
    return {
        table: [
            one
            for one in there
            if one == tracking.tracking_name(table)
            or (one.schema == table.schema and one.name.startswith(before_digest(table)))
        ]
        for table in tables
    }


def read(db: Any, tables: Iterable[Table]) -> dict[TableName, Dependents]:
    """What depends on the columns of these tables, but for their copies."""
    known = {table.name: table for table in tables}
    wanted = json.dumps([{"s": name.schema, "t": name.name} for name in known])
    indexes = _by_table(db.query(_INDEXES.format(named=_NAMED), wanted))
    statistics = _by_table(_made_statistics(db, wanted))
    obstacles = _by_table(_obstacles(db, wanted))
    found = {}
    for name, table in known.items():
        place, spell = _place(*name), _spelling(table)
        found[name] = Dependents(
            table,
            tuple(_indexes([_IndexRow(*row) for row in indexes.get(place, ())], spell)),
            tuple(_statistics(statistics.get(place, ()), spell)),
            tuple(
                Obstacle(kind, one or "", None if column is None else spell(column), text or "")
                for _schema, _table, kind, one, column, text in obstacles.get(place, ())
            ),
        )
    return found


def _made_statistics(db: Any, wanted: str) -> list[Any]:
    return db.query(_STATISTICS.format(named=_NAMED), wanted) if probes.works(db, _HAS_STATISTICS) else []


def _obstacles(db: Any, wanted: str) -> list[Any]:
    found = db.query(_OBSTACLES.format(named=_NAMED), *[wanted] * _OBSTACLES.count("{named}"))
    return found + (db.query(_BOUND.format(named=_NAMED), wanted) if probes.works(db, _KNOWS_BOUND) else [])


def _indexes(rows: Sequence[_IndexRow], spell: Any) -> Iterator[Index]:
    for name, own in _grouped(rows, lambda row: row.name):
        first = own[0]
        keys = [
            (spell(row.column), "DESC" if row.descends else "ASC") for row in own if row.column and not row.is_included
        ]
        yield Index(
            name,
            _KEY if first.is_primary else "UNIQUE" if first.is_constraint else "",
            first.form,
            bool(first.is_unique),
            bool(first.is_disabled),
            bool(first.is_hypothetical),
            tuple(keys),
            tuple(spell(row.column) for row in own if row.column and row.is_included),
            first.where or "",
            first.options,
            first.space or "",
            (first.space_type or "FG").strip() != "FG",
        )


def _statistics(rows: Sequence[Any], spell: Any) -> Iterator[Statistics]:
    for name, own in _grouped(rows, lambda row: row[2]):
        yield Statistics(name, tuple(spell(row[5]) for row in own), own[0][3] or "", bool(own[0][4]))


def _grouped(rows: Iterable[Any], key: Any) -> list[tuple[Any, list[Any]]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.items())


def _by_table(rows: Iterable[Any]) -> dict[tuple[str, str], list[Any]]:
    return dict(_grouped(rows, lambda row: _place(row[0], row[1])))


def _place(schema: str, table: str) -> tuple[str, str]:
    """The catalog does not spell names everywhere as they were written (Babelfish)."""
    return schema.lower(), table.lower()


def _spelling(table: Table) -> Any:
    exact = {column.name for column in table.columns}
    spelled = {column.name.lower(): column.name for column in table.columns}
    return lambda name: name if name in exact else spelled.get(name.lower(), name)


def _fitting(one: Any, key: Sequence[Column]) -> Any:
    """An index of a table of copies as it has to be for this key."""
    if not isinstance(one, Index):
        return one
    if one.kind == _KEY:
        return one if sizes.is_clustered(key) else replace(one, form=_OTHER)
    own = {column.name for column in key}
    keys = tuple(pair for pair in one.keys if pair[0] not in own)
    return one if sizes.has_room_behind_a_version(key) or not keys else replace(one, keys=keys)


def _is_named(column: str, expression: str) -> bool:
    """The server writes expressions with every name in brackets."""
    return names.quote(column).lower() in expression.lower()


def _grows(small: str, big: str) -> bool:
    """A value of the one type is one of the other, too, and nothing but its length may change."""
    if small == big:
        return True
    one, other = _VARYING.match(types.normalize(small)), _VARYING.match(types.normalize(big))
    if not one or not other or one.group(1) != other.group(1):
        return False
    return other.group(2) == _UNLIMITED or (one.group(2) != _UNLIMITED and int(one.group(2)) <= int(other.group(2)))
