# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables: reading what is there, and the DDL to make and change them. Every statement may be run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from .._model import Column, Table, TableName
from . import dependents as _dependents
from . import names, sizes, texts, types

# Names are taken from INFORMATION_SCHEMA, which spells them as they were written on every server; it has views, too.
_COLUMNS = """
SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.CHARACTER_MAXIMUM_LENGTH, c.NUMERIC_PRECISION,
 c.NUMERIC_SCALE, c.DATETIME_PRECISION, c.IS_NULLABLE, c.COLUMN_DEFAULT,
 NULLIF(c.COLLATION_NAME, CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128)))
FROM INFORMATION_SCHEMA.COLUMNS c WHERE 1 = 1{named} ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION"""
# A contained database has names in another collation than texts.
_NAMED = """ AND EXISTS (SELECT 1 FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (s nvarchar(128) '$.s', t nvarchar(128)
'$.t') q
 WHERE q.s COLLATE DATABASE_DEFAULT = {schema} AND q.t COLLATE DATABASE_DEFAULT = {table})"""

# What it does not tell: which are tables, the key columns of indexes, and which columns the server fills: it computes them, puts
# sparse columns together, or notes from when to when a row was as it is.
_FACTS = """
SELECT s.name, o.name, N'', 'table', 0, 0 FROM sys.tables o JOIN sys.schemas s ON s.schema_id = o.schema_id
WHERE o.is_ms_shipped = 0{named}
UNION ALL
SELECT s.name, o.name, COL_NAME(k.object_id, k.column_id),
 CASE WHEN i.is_primary_key = 1 THEN 'primary' WHEN i.is_unique = 1 THEN 'unique' ELSE 'index' END,
 i.index_id, CAST(k.key_ordinal AS int)
FROM sys.tables o JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.indexes i ON i.object_id = o.object_id
JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id
WHERE i.has_filter = 0 AND i.is_disabled = 0 AND i.is_hypothetical = 0 AND i.type IN (1, 2) AND k.key_ordinal > 0{named}
UNION ALL
SELECT s.name, o.name, c.name, CASE WHEN c.is_identity = 1 THEN 'identity' ELSE 'computed' END, 0, 0
FROM sys.columns c JOIN sys.tables o ON o.object_id = c.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id
WHERE (c.is_identity = 1 OR c.is_computed = 1 OR c.is_column_set = 1 OR c.generated_always_type <> 0){named}
ORDER BY 1, 2, 5, 6"""

#: As a text: not every server has such a view (Babelfish). Before SQL Server 2022 there is the right for a whole database alone.
_MASKED = (
    "DECLARE @statement nvarchar(max) = N'SELECT s.name, o.name, c.name FROM sys.masked_columns c JOIN sys.tables o "
    "ON o.object_id = c.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id "
    "WHERE COALESCE(HAS_PERMS_BY_NAME(DB_NAME(), N''DATABASE'', N''UNMASK''), 0) = 0 AND COALESCE(HAS_PERMS_BY_NAME(QUOTENAME(s.name) "
    "+ N''.'' + QUOTENAME(o.name), N''OBJECT'', N''UNMASK'', c.name, N''COLUMN''), 0) = 0 ORDER BY s.name, o.name, c.column_id'; "
    "IF OBJECT_ID(N'sys.masked_columns') IS NULL SET @statement = N'SELECT name, name, name FROM sys.tables WHERE 1 = 0'; "
    "EXEC (@statement)"
)


def read(db: Any, names: Iterable[TableName] | None = None) -> dict[TableName, Table]:
    """The tables of all schemas but the system's, or only the named ones; those that are not there are left out.

    Computed columns are left out as well, and others that the server fills by itself: nobody can write them, or not beside those that
    they are made of.
    """
    if names is None:
        columns, facts = db.query(_COLUMNS.format(named="")), db.query(_FACTS.format(named=""))
    else:
        wanted = json.dumps([{"s": name.schema, "t": name.name} for name in names])
        here = _NAMED.format(schema="c.TABLE_SCHEMA", table="c.TABLE_NAME")
        columns = db.query(_COLUMNS.format(named=here), wanted)
        facts = db.query(_FACTS.format(named=_NAMED.format(schema="s.name", table="o.name")), wanted, wanted, wanted)
    return _assembled(columns, _Facts(facts))


def masked(db: Any) -> dict[TableName, str]:
    """The tables of which the connected account reads masks instead of values, with the first such column of each.

    What is copied by such an account is the mask.
    """
    found: dict[TableName, str] = {}
    for schema, table, column in db.query(_MASKED):
        found.setdefault(TableName(schema, table), column)
    return found


def read_dependents(db: Any, tables: Iterable[TableName]) -> dict[TableName, Any]:
    """What depends on the columns of these tables, for :func:`alter_columns`."""
    copies = _dependents.companions(db, tables)
    found = _dependents.read(db, read(db, [*copies, *(one for own in copies.values() for one in own)]).values())
    return {
        table: replace(found[table], copies=tuple(found[one] for one in own if one in found))
        for table, own in copies.items()
        if table in found
    }


def schemas(db: Any) -> set[str]:
    """The names of all schemas but the system's."""
    rows = db.query(
        "SELECT name FROM sys.schemas WHERE name NOT IN (N'sys', N'INFORMATION_SCHEMA', N'guest') "
        # Each of the fixed roles has a schema of its name.
        "AND name NOT IN (SELECT name FROM sys.database_principals WHERE principal_id BETWEEN 16384 AND 16399)"
    )
    return {row[0] for row in rows}


def create_schema(name: str) -> list[str]:
    """The schema, unless it is there. CREATE SCHEMA must stand alone in its batch; dbo is always there.

    Whoever makes it, its owner is dbo: what one owner's triggers write to tables of the same owner takes no rights of whoever fires
    them, and the synchronisation has tables in dbo.
    """
    if name.lower() == "dbo":
        return []
    inner = names.literal("CREATE SCHEMA %s AUTHORIZATION [dbo]" % names.quote(name))
    return ["IF SCHEMA_ID(%s) IS NULL EXEC (%s)" % (names.literal(name), inner)]


def create(table: Table) -> list[str]:
    """The table with its keys and indexes, all of them or nothing."""
    parts = [_definition(table.name, column) for column in table.columns]
    if table.primary_key:
        parts.append(_constraint(table.name, sizes.primary_key(table.key_columns), "PK", table.primary_key))
    parts += [_constraint(table.name, "UNIQUE", "UQ", columns) for columns in table.unique]
    made = ["CREATE TABLE %s (%s)" % (names.quote(*table.name), ", ".join(parts))]
    made += [_index("CREATE INDEX", "IX", table.name, columns) for columns in table.indexes]
    return ["IF OBJECT_ID(%s, N'U') IS NULL BEGIN %s; END" % (_literal(table.name), "; ".join(made))]


def add_columns(name: TableName, columns: Sequence[Column]) -> list[str]:
    """A column that must not be null needs a default where the table has rows."""
    statements = []
    for column in columns:
        # Rows that are there get the default as well, where the column may be null, too.
        fill = " WITH VALUES" if column.nullable and types.default(column) is not None else ""
        there = "COL_LENGTH(%s, %s)" % (_literal(name), names.literal(column.name))
        add = "ALTER TABLE %s ADD %s%s" % (names.quote(*name), _definition(name, column), fill)
        statements.append("IF %s IS NULL %s" % (there, add))
    return statements


def alter_columns(name: TableName, columns: Sequence[Column], dependents: Any = None) -> list[str]:
    """Give columns these types and nullabilities; values that do not fit make a statement fail. They belong into one transaction.

    :param dependents: what :func:`read_dependents` has found of the table. Keys and indexes under which SQL Server changes no type are
        taken away and made again, once for all columns; and the copies of the columns, in tracking and in logs of moves, get the
        types, too.
    :raises RetailError: something depends on a column that is not made again.
    """
    statements = [statement for column in columns for statement in _altered(name, column)]
    if dependents is None:
        return statements
    before, after = dependents.around(columns)
    statements = [*before, *statements, *after]
    for copy, kept in dependents.narrower(columns):
        before, after = copy.around_copies(kept)
        statements += [*before, *(_altering(copy.table.name, one) for one in kept), *after]
    return statements


def _altered(name: TableName, column: Column) -> list[str]:
    """A default stands in the way of most changes of type, so it is taken off and put back."""
    place, own = names.quote(*name), names.quote(column.name)
    alter = _altering(name, column)
    if column.default is None or column.identity:
        return [alter]
    constraint = names.quote(_derived("DF", name, (column.name,)))
    return [
        _drop_default(name, column),
        alter,
        "ALTER TABLE %s ADD CONSTRAINT %s DEFAULT %s FOR %s" % (place, constraint, types.default(column), own),
    ]


def _altering(table: TableName, column: Column) -> str:
    """A text keeps its collation where it has one of its own: it would get the database's, if none were said."""
    native, end = types.native(column.type), " NULL" if column.nullable else " NOT NULL"
    start = "ALTER TABLE %s ALTER COLUMN %s %s" % (names.quote(*table), names.quote(column.name), native)
    if not native.startswith(("nvarchar", "varchar", "nchar", "char")):
        return start + end
    return (
        "DECLARE @statement nvarchar(max) = {start} + COALESCE((SELECT N' COLLATE ' + c.collation_name FROM sys.columns c "
        "WHERE c.object_id = OBJECT_ID({place}) AND c.name = {column} AND c.collation_name <> "
        "CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128))), N'') + {end}; EXEC (@statement)"
    ).format(
        start=names.literal(start), place=_literal(table), column=names.literal(column.name), end=names.literal(end)
    )


def add_unique(name: TableName, columns: Sequence[str]) -> list[str]:
    return [_unless_there("UQ", name, columns, _index("CREATE UNIQUE INDEX", "UQ", name, columns))]


def add_index(name: TableName, columns: Sequence[str]) -> list[str]:
    return [_unless_there("IX", name, columns, _index("CREATE INDEX", "IX", name, columns))]


def drop(name: TableName) -> list[str]:
    return ["DROP TABLE IF EXISTS %s" % names.quote(*name)]


def _assembled(columns: Sequence[Any], facts: _Facts) -> dict[TableName, Table]:
    found: dict[TableName, list[Column]] = {}
    for schema, table, *column in columns:
        name = TableName(schema, table)
        if not facts.is_table(name):
            continue
        kept = found.setdefault(name, [])
        if column[0].lower() not in facts.of(name, "computed"):
            kept.append(_column(*column, identity=column[0].lower() in facts.of(name, "identity")))
    return {name: facts.table(name, tuple(own)) for name, own in found.items()}


class _Facts:
    """What the catalog says of tables, keys and columns, found whatever the case in which it spells names."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._tables: set[tuple[str, str]] = set()
        self._special: dict[tuple[str, str, str], set[str]] = {}
        self._keys: dict[tuple[str, str], dict[tuple[str, int], list[str]]] = {}
        for schema, table, column, kind, index, _place in rows:
            place = (schema.lower(), table.lower())
            if kind == "table":
                self._tables.add(place)
            elif kind in ("identity", "computed"):
                self._special.setdefault((*place, kind), set()).add(column.lower())
            else:
                self._keys.setdefault(place, {}).setdefault((kind, index), []).append(column)

    def is_table(self, name: TableName) -> bool:
        return (name.schema.lower(), name.name.lower()) in self._tables

    def of(self, name: TableName, kind: str) -> set[str]:
        return self._special.get((name.schema.lower(), name.name.lower(), kind), set())

    def table(self, name: TableName, columns: tuple[Column, ...]) -> Table:
        exact = {column.name: column.name for column in columns}
        spelled = {column.name.lower(): column.name for column in columns}
        keyed: dict[str, list[tuple[str, ...]]] = {"primary": [], "unique": [], "index": []}
        for (kind, _index), members in self._keys.get((name.schema.lower(), name.name.lower()), {}).items():
            keyed[kind].append(tuple(exact.get(one) or spelled.get(one.lower(), one) for one in members))
        primary = keyed["primary"][0] if keyed["primary"] else ()
        return Table(name, columns, primary, tuple(keyed["unique"]), tuple(keyed["index"]))


def _column(
    name: str,
    kind: str,
    length: int | None,
    precision: int | None,
    scale: int | None,
    digits: int | None,
    nullable: str,
    expression: str | None,
    collation: str | None,
    identity: bool,
) -> Column:
    own = _type(kind.lower(), length, precision, scale, digits)
    neutral = types.neutral(own)
    default = None if identity or neutral == "timestamp" else types.neutral_default(expression)
    return Column(name, neutral, nullable == "YES", default, identity, collation or "")


def _type(kind: str, length: int | None, precision: int | None, scale: int | None, digits: int | None) -> str:
    if kind in ("nvarchar", "varchar", "nchar", "char", "varbinary", "binary"):
        return "%s(%s)" % (kind, "max" if length is None or length < 0 else length)
    if kind in ("numeric", "decimal"):
        return "%s(%d,%d)" % (kind, precision or 18, scale or 0)
    if kind in ("datetime2", "time") and digits is not None:
        return "%s(%d)" % (kind, digits)
    return kind


def _definition(table: TableName, column: Column) -> str:
    words = [names.quote(column.name), types.native(column.type) + texts.collated(column)]
    if column.identity:
        words.append("IDENTITY(1,1)")
    words.append("NULL" if column.nullable else "NOT NULL")
    default = types.default(column)
    if default is not None and not column.identity:
        words.append("CONSTRAINT %s DEFAULT %s" % (names.quote(_derived("DF", table, (column.name,))), default))
    return " ".join(words)


def _constraint(table: TableName, kind: str, prefix: str, columns: Sequence[str]) -> str:
    return "CONSTRAINT %s %s (%s)" % (names.quote(_derived(prefix, table, columns)), kind, _list(columns))


def _index(verb: str, prefix: str, table: TableName, columns: Sequence[str]) -> str:
    name = names.quote(_derived(prefix, table, columns))
    return "%s %s ON %s (%s)" % (verb, name, names.quote(*table), _list(columns))


def _unless_there(prefix: str, table: TableName, columns: Sequence[str], statement: str) -> str:
    name = names.literal(_derived(prefix, table, columns))
    there = "SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(%s) AND name = %s" % (_literal(table), name)
    return "IF NOT EXISTS (%s) %s" % (there, statement)


def _drop_default(table: TableName, column: Column) -> str:
    return (
        "DECLARE @statement nvarchar(max) = (SELECT N'ALTER TABLE ' + {place} + N' DROP CONSTRAINT ' + "
        "QUOTENAME(d.name) "
        "FROM sys.default_constraints d JOIN sys.columns c ON c.object_id = d.parent_object_id AND c.column_id = "
        "d.parent_column_id "
        "WHERE d.parent_object_id = OBJECT_ID({place}) AND c.name = {column}); IF @statement IS NOT NULL EXEC "
        "(@statement)"
    ).format(place=_literal(table), column=names.literal(column.name))


def _literal(table: TableName) -> str:
    return names.literal(names.quote(*table))


def _list(columns: Sequence[str]) -> str:
    return ", ".join(names.quote(column) for column in columns)


def _derived(prefix: str, table: TableName, columns: Sequence[str]) -> str:
    """The same name for the same key at every run: prefix, table and, but for primary keys, a digest of the columns."""
    digest = hashlib.sha256("\0".join((table.name, *columns)).encode("utf-8")).hexdigest()[:8]
    name = "%s_%s" % (prefix, table.name) if prefix == "PK" else "%s_%s_%s" % (prefix, table.name, digest)
    if len(name.encode("utf-16-le")) // 2 <= names.MAX_LENGTH:
        return name
    kept = name.encode("utf-16-le")[: 2 * (names.MAX_LENGTH - 9)].decode("utf-16-le", "ignore")
    return "%s_%s" % (kept, digest)
