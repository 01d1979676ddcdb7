# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statements about single rows, in SQL that every engine understands; values are bound, and typed by their columns."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .._engine._model import Table


def insert(engine: ModuleType, table: Table, values: Mapping[str, Any]) -> tuple[str, tuple]:
    """``INSERT INTO … VALUES …``."""
    quote = engine.names.quote
    sql = "INSERT INTO %s (%s) VALUES (%s)" % (
        quote(*table.name),
        ", ".join(quote(name) for name in values),
        ", ".join(typed(engine, table, name) for name in values),
    )
    return sql, tuple(values.values())


def insert_from(
    engine: ModuleType, table: Table, selected: Mapping[str, str], values: Mapping[str, Any], source: str
) -> tuple[str, tuple]:
    """``INSERT INTO … SELECT …``.

    :param selected: columns with SQL for them.
    :param values: columns with values to bind.
    :param source: the SQL from FROM on.
    """
    quote = engine.names.quote
    columns = [*selected, *values]
    sql = "INSERT INTO %s (%s) SELECT %s %s" % (
        quote(*table.name),
        ", ".join(quote(name) for name in columns),
        ", ".join([*selected.values(), *(typed(engine, table, name) for name in values)]),
        source,
    )
    return sql, tuple(values.values())


def update(
    engine: ModuleType, table: Table, values: Mapping[str, Any], condition: str, *parameters: Any
) -> tuple[str, tuple]:
    """``UPDATE … SET … WHERE condition``."""
    quote = engine.names.quote
    settings = ", ".join("%s = %s" % (quote(name), typed(engine, table, name)) for name in values)
    sql = "UPDATE %s SET %s WHERE %s" % (quote(*table.name), settings, condition)
    return sql, (*values.values(), *parameters)


def delete(engine: ModuleType, table: Table, condition: str, *parameters: Any) -> tuple[str, tuple]:
    """``DELETE FROM … WHERE condition``."""
    return "DELETE FROM %s WHERE %s" % (engine.names.quote(*table.name), condition), parameters


def typed(engine: ModuleType, table: Table, column: str) -> str:
    """A parameter, typed as this column: a driver does not always tell the type of None."""
    found = table.column(column)
    if found is None:
        raise KeyError("%s has no column %s" % (table.name, column))
    return "CAST(? AS %s)" % engine.types.native(found.type)


def typed_text(engine: ModuleType, length: int) -> str:
    """A parameter, typed as a text of at most this many characters."""
    return "CAST(? AS %s)" % engine.types.native("nvarchar(%d)" % length)
