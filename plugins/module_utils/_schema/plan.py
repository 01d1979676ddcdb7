# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the tables that are there to those that should be: in place, and never losing anything.

Tables, columns, keys and indexes that nobody asked for are left alone; so are columns that are wider than asked for,
since a partner or an administrator may have made them so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Callable

from .._engine._errors import RetailError
from .._engine._model import Column, Table, TableName
from .._plan import Plan, Step
from . import folder, widening


def tables(
    engine: Any,
    actual: Mapping[TableName, Table],
    desired: Mapping[TableName, Table],
    database: str,
    schemas: Iterable[str] | None = None,
    read_dependents: Callable[[Iterable[TableName]], Mapping[TableName, Any]] | None = None,
) -> Plan:
    """The steps that make the desired tables out of the actual ones.

    :param engine: the speaker's package.
    :param database: the key of the database that the steps run on.
    :param schemas: the schemas there are; None: those of the actual tables.
    :param read_dependents: tells what depends on the columns of tables, see ``engine.tables``; asked where a column has to change.
    :raises RetailError: something cannot be changed in place; the message says what.
    """
    plan = Plan()
    there = {name.schema for name in actual} if schemas is None else set(schemas)
    for schema in sorted({name.schema for name in desired} - there):
        plan.add(
            _step(
                "Create schema %s" % schema,
                ("schemas", schema),
                None,
                {},
                engine.tables.create_schema(schema),
                database,
            )
        )
    wanted = {name: as_held(engine, table) for name, table in desired.items()}
    changing = [name for name, held in wanted.items() if name in actual and _alters(engine, actual[name], held)]
    dependents = read_dependents(changing) if read_dependents and changing else {}
    for name, held in wanted.items():
        if name in actual:
            plan.extend(_changes(engine, actual[name], held, database, dependents.get(name)))
        else:
            title = "Create table " + str(name)
            plan.add(
                _step(title, ("tables", str(name)), None, folder.document(held), engine.tables.create(held), database)
            )
    return plan


def as_held(engine: Any, table: Table) -> Table:
    """The table as this engine holds it: without the columns that it leaves out, and without keys on them."""
    gone = {column.name for column in table.columns if not engine.types.is_held(column)}
    if not gone:
        return table
    return replace(
        table,
        columns=tuple(column for column in table.columns if column.name not in gone),
        unique=tuple(key for key in table.unique if not gone.intersection(key)),
        indexes=tuple(key for key in table.indexes if not gone.intersection(key)),
    )


def _step(
    title: str, path: tuple[str, ...], before: Any, after: Any, statements: list[str], database: str
) -> Step | None:
    if not statements:
        return None  # the engine has that anyway, such as SQL Server its schema dbo
    return Step(title, path, before, after, database, statements)


def _alters(engine: Any, actual: Table, desired: Table) -> bool:
    """Whether a column that is there has to change."""
    if actual == desired:
        return False
    pairs = ((actual.column(column.name), column) for column in desired.columns)
    return any(there is not None and _should_be(engine, desired, there, column) for there, column in pairs)


def _changes(engine: Any, actual: Table, desired: Table, database: str, dependents: Any) -> Plan:
    plan = Plan()
    if actual == desired:
        return plan
    there = {column.name: column for column in actual.columns}
    missing = [column for column in desired.columns if column.name not in there]
    plan.add(_added_columns(engine, desired, missing, database))
    plan.add(_altered_columns(engine, actual, desired, database, dependents))
    _check_primary_key(actual, desired)
    plan.extend(_keys(engine, actual, desired, database))
    return plan


def _added_columns(engine: Any, table: Table, missing: list[Column], database: str) -> Step | None:
    if not missing:
        return None
    for column in missing:
        if not (column.nullable or column.default is not None or column.identity or column.is_rowversion):
            raise RetailError(
                "Column %s of table %s is missing; it must not be null and has no default." % (column.name, table.name),
                "Add the column by hand, with a value for the rows there are, and run again.",
            )
    names = ", ".join(column.name for column in missing)
    return Step(
        "Add column%s %s to %s" % ("s" if len(missing) > 1 else "", names, table.name),
        ("tables", str(table.name), "columns"),
        None,
        {column.name: str(column) for column in missing},
        database,
        engine.tables.add_columns(table.name, missing),
    )


def _altered_columns(engine: Any, actual: Table, desired: Table, database: str, dependents: Any) -> Step | None:
    """All columns of a table in one step: what depends on several of them is made again once."""
    pairs = [(actual.column(column.name), column) for column in desired.columns]
    changes = [(there, _should_be(engine, desired, there, column)) for there, column in pairs if there is not None]
    wanted = [(before, after) for before, after in changes if after is not None]
    if not wanted:
        return None
    said = [_altered(before, after, desired) for before, after in wanted]
    return Step(
        "; ".join([said[0], *(one[:1].lower() + one[1:] for one in said[1:])]),
        ("tables", str(desired.name), "columns"),
        {before.name: str(before) for before, _after in wanted},
        {after.name: str(after) for _before, after in wanted},
        database,
        engine.tables.alter_columns(desired.name, [after for _before, after in wanted], dependents),
    )


def _altered(before: Column, after: Column, table: Table) -> str:
    place = "column %s of table %s" % (after.name, table.name)
    return "Allow NULL in %s" % place if after.type == before.type else "Widen %s to %s" % (place, after.type)


def _should_be(engine: Any, table: Table, actual: Column, desired: Column) -> Column | None:
    """What a column that is there has to become; None where it may stay as it is."""
    has, wants = _normal(engine, actual.type), _normal(engine, desired.type)
    relation = widening.compare(has, wants)
    null = desired.nullable and not actual.nullable and desired.name not in table.primary_key
    if relation in (widening.SAME, widening.NARROWER) and not null:
        return None
    if relation == widening.OTHER:
        raise RetailError(
            "The column %s of table %s has type %s here; the release has %s." % (desired.name, table.name, has, wants),
            "Such a change cannot be made in place: convert the column by hand, and run again.",
        )
    kept = desired.type if relation == widening.WIDER else actual.type
    return replace(actual, type=kept, nullable=actual.nullable or null)


def _normal(engine: Any, neutral: str) -> str:
    # A type outside the vocabulary comes from the catalog in brackets; it equals nothing.
    return neutral if neutral.startswith("[") else engine.types.normalize(neutral)


def _check_primary_key(actual: Table, desired: Table) -> None:
    if desired.primary_key and actual.primary_key != desired.primary_key:
        raise RetailError(
            "The primary key of table %s is (%s) here; the release has (%s)."
            % (desired.name, ", ".join(actual.primary_key), ", ".join(desired.primary_key)),
            "A primary key cannot be changed in place: change it by hand, and run again.",
        )


def _keys(engine: Any, actual: Table, desired: Table, database: str) -> Plan:
    plan = Plan()
    unique = {actual.primary_key, *actual.unique}
    for columns in desired.unique:
        if columns not in unique:
            statements = engine.tables.add_unique(desired.name, columns)
            plan.add(_key_step("unique key", "unique", desired.name, columns, statements, database))
    for columns in desired.indexes:
        if columns not in unique | set(actual.indexes):
            statements = engine.tables.add_index(desired.name, columns)
            plan.add(_key_step("index", "indexes", desired.name, columns, statements, database))
    return plan


def _key_step(
    what: str, part: str, table: TableName, columns: tuple[str, ...], statements: list[str], database: str
) -> Step | None:
    names = ", ".join(columns)
    title = "Add %s (%s) to %s" % (what, names, table)
    return _step(title, ("tables", str(table), part, names), None, "present", statements, database)
