# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables: reading what is there, and the DDL to make and change them. Every statement may be run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from .._filter import before_digest
from .._model import Column, Table, TableName
from . import names, tracking, types

# One row a table, its columns and keys as JSON: fetching eight thousand column rows through the driver would cost more
# than all the rest of a run that changes nothing.
_READ = """
SELECT n.nspname, c.relname,
 CAST((SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    a.attidentity <> '', pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)
   FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS text),
 CAST((SELECT json_agg(json_build_array(
    CASE WHEN x.indisprimary THEN 'primary' WHEN x.indisunique THEN 'unique' ELSE 'index' END,
    (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(CAST(x.indkey AS int2[])) WITH ORDINALITY k(attnum, n)
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE k.n <= x.indnkeyatts)
    ) ORDER BY x.indexrelid)
   FROM pg_index x WHERE x.indrelid = c.oid AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL) AS text)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"""

_NAMED = """
AND (n.nspname, c.relname) IN
 (SELECT q.s, q.t FROM json_to_recordset(CAST(CAST(? AS text) AS json)) AS q(s text, t text))"""


def read(db: Any, names: Iterable[TableName] | None = None) -> dict[TableName, Table]:
    """The tables of all schemas but the system's, or only the named ones; those that are not there are left out.

    Generated columns are left out as well: nobody can write them.
    """
    if names is None:
        rows = db.query(_READ)
    else:
        wanted = json.dumps([{"s": name.schema, "t": name.name} for name in names])
        rows = db.ask(_READ + _NAMED, wanted)
    tables = (_table(*row) for row in rows)
    return {table.name: table for table in tables}


def masked(db: Any) -> dict[TableName, str]:
    """The tables of which the connected account reads masks instead of values: none, the server has no such thing."""
    return {}


def read_dependents(db: Any, tables: Iterable[TableName]) -> dict[TableName, Any]:
    """What :func:`alter_columns` has to know of what depends on columns: nothing, the server looks after it."""
    return {}


def schemas(db: Any) -> set[str]:
    """The names of all schemas but the system's."""
    rows = db.query(
        "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
    )
    return {row[0] for row in rows}


def create_schema(name: str) -> list[str]:
    return ["CREATE SCHEMA IF NOT EXISTS %s" % names.quote(name)]


def create(table: Table) -> list[str]:
    """The table with its keys and indexes. Columns that this engine does not hold are left out."""
    parts = [_definition(column) for column in table.columns if types.is_held(column)]
    if table.primary_key:
        parts.append(_constraint(table.name, "PRIMARY KEY", "PK", table.primary_key))
    parts += [_constraint(table.name, "UNIQUE", "UQ", columns) for columns in table.unique if _all_held(table, columns)]
    statements = ["CREATE TABLE IF NOT EXISTS %s (%s)" % (names.quote(*table.name), ", ".join(parts))]
    for columns in table.indexes:
        if _all_held(table, columns):
            statements += add_index(table.name, columns)
    return statements


def add_columns(name: TableName, columns: Sequence[Column]) -> list[str]:
    """One statement for all columns; a column that must not be null needs a default where the table has rows."""
    parts = ["ADD COLUMN IF NOT EXISTS %s" % _definition(column) for column in columns if types.is_held(column)]
    return ["ALTER TABLE %s %s" % (names.quote(*name), ", ".join(parts))] if parts else []


def alter_columns(name: TableName, columns: Sequence[Column], dependents: Any = None) -> list[str]:
    """Give columns these types and nullabilities; values that do not fit make the statement fail. Keys and indexes follow by themselves.

    One statement for all columns: a table that has to be written anew for it is so once. Where the table is tracked the copies of its
    keys get the types, too: in the same transaction, or whoever writes a longer key meanwhile would be refused.
    """
    held = [column for column in columns if types.is_held(column)]
    if not held:
        return []
    changes = ", ".join(change for column in held for change in _alterations(column))
    return ["ALTER TABLE %s %s" % (names.quote(*name), changes), *(_alter_copies(name, column) for column in held)]


def _alterations(column: Column) -> tuple[str, str]:
    place = "ALTER COLUMN %s" % names.quote(column.name)
    null = "%s DROP NOT NULL" if column.nullable else "%s SET NOT NULL"
    return "%s TYPE %s" % (place, types.native(column.type)), null % place


def _alter_copies(table: TableName, column: Column) -> str:
    return (
        "DO $axops$ DECLARE copy regclass; BEGIN FOR copy IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid WHERE n.nspname = {schema} AND c.relkind = 'r' AND a.attname = {column} "
        "AND NOT a.attisdropped AND (c.relname = {tracking} OR starts_with(c.relname, {log})) "
        "LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', copy, {column}, {type}); END LOOP; END $axops$"
    ).format(
        schema=names.literal(table.schema), column=names.literal(column.name),
        tracking=names.literal(tracking.tracking_name(table).name), log=names.literal(before_digest(table)),
        type=names.literal(types.native(column.type)),
    )  # fmt: skip


def add_unique(name: TableName, columns: Sequence[str]) -> list[str]:
    return [_index("CREATE UNIQUE INDEX", "UQ", name, columns)]


def add_index(name: TableName, columns: Sequence[str]) -> list[str]:
    return [_index("CREATE INDEX", "IX", name, columns)]


def drop(name: TableName) -> list[str]:
    return ["DROP TABLE IF EXISTS %s" % names.quote(*name)]


def _table(schema: str, name: str, columns: str | None, keys: str | None) -> Table:
    keyed: dict[str, list[tuple[str, ...]]] = {"primary": [], "unique": [], "index": []}
    for kind, key_columns in json.loads(keys or "[]"):
        keyed[kind].append(tuple(key_columns))
    return Table(
        TableName(schema, name),
        tuple(_column(*column) for column in json.loads(columns or "[]")),
        keyed["primary"][0] if keyed["primary"] else (),
        tuple(keyed["unique"]),
        tuple(keyed["index"]),
    )


def _column(name: str, type_name: str, not_null: bool, identity: bool, expression: str | None) -> Column:
    # A serial column of somebody's own making is an identity column, too: the database assigns it.
    identity = identity or (expression or "").startswith("nextval(")
    default = None if identity else types.neutral_default(expression)
    return Column(name, types.neutral(type_name), not not_null, default, identity)


def _definition(column: Column) -> str:
    words = [names.quote(column.name), types.native(column.type)]
    if column.identity:
        # BY DEFAULT, so that a load may bring values of its own.
        words.append("GENERATED BY DEFAULT AS IDENTITY")
    if not column.nullable:
        words.append("NOT NULL")
    default = types.default(column)
    if default is not None and not column.identity:
        words.append("DEFAULT " + default)
    return " ".join(words)


def _all_held(table: Table, columns: Sequence[str]) -> bool:
    return all(types.is_held(column) for column in table.columns if column.name in columns)


def _constraint(table: TableName, kind: str, prefix: str, columns: Sequence[str]) -> str:
    return "CONSTRAINT %s %s (%s)" % (names.quote(_derived(prefix, table, columns)), kind, _list(columns))


def _index(verb: str, prefix: str, table: TableName, columns: Sequence[str]) -> str:
    name = names.quote(_derived(prefix, table, columns))
    return "%s IF NOT EXISTS %s ON %s (%s)" % (verb, name, names.quote(*table), _list(columns))


def _list(columns: Sequence[str]) -> str:
    return ", ".join(names.quote(column) for column in columns)


def _derived(prefix: str, table: TableName, columns: Sequence[str]) -> str:
    """The same name for the same key at every run: prefix, table and, but for primary keys, a digest of the columns."""
    digest = hashlib.sha256("\0".join((table.name,) + tuple(columns)).encode("utf-8")).hexdigest()[:8]
    name = "%s_%s" % (prefix, table.name) if prefix == "PK" else "%s_%s_%s" % (prefix, table.name, digest)
    if len(name.encode("utf-8")) <= names.MAX_BYTES:
        return name
    kept = name.encode("utf-8")[: names.MAX_BYTES - 9].decode("utf-8", "ignore")
    return "%s_%s" % (kept, digest)
