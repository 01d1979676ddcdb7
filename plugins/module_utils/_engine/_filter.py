# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rows of a table a peer receives: a predicate as plain values, without a word of SQL.

All conditions of a filter must hold. A condition holds where its column has one of its values, or is a member: has a value
that another table names in a column, in those of its rows that meet conditions of their own. No condition holds for NULL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ._model import Table, TableName


@dataclass(frozen=True)
class Member:
    """What the column ``column`` of a table names, in the rows that meet all of ``where``."""

    table: TableName
    column: str
    where: tuple[Condition, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide who is a member."""
        return tuple(dict.fromkeys((self.column, *(condition.column for condition in self.where))))


@dataclass(frozen=True)
class Condition:
    """A column that has one of these values, or is a member."""

    column: str
    values: tuple[str, ...] = ()
    member: Member | None = None


#: Empty: every row.
Filter = tuple[Condition, ...]


@dataclass(frozen=True)
class Moves:
    """A log of changes by which rows can have come under a filter or out of it, kept beside a table by triggers.

    :param columns: what is kept of a row: its image before the change, and the one after it where ``entering`` is set.
    """

    table: TableName
    columns: tuple[str, ...]
    entering: bool

    @property
    def name(self) -> TableName:
        """The log's own name, the same for the same log; short enough for every engine, with its triggers' endings."""
        shape = repr((self.table, self.columns, self.entering))
        digest = hashlib.sha256(shape.encode("utf-8")).hexdigest()[:8]
        return TableName(self.table.schema, before_digest(self.table) + digest)


#: Stands in the name of every log of moves, before its digest.
MOVES = "_moves_"


def before_digest(table: TableName) -> str:
    """How the names of a table's logs begin."""
    return table.name.encode("utf-8")[:36].decode("utf-8", "ignore") + MOVES


def own_moves(table: Table, conditions: Sequence[Condition]) -> Moves:
    """The log of the filtered table itself: keys that went, or whose deciding columns changed, with the old values."""
    columns = dict.fromkeys((*table.primary_key, *(condition.column for condition in conditions)))
    return Moves(table.name, tuple(columns), False)


def member_moves(member: Member) -> Moves:
    """The log of a table that says who is a member."""
    return Moves(member.table, member.columns, True)


def members(conditions: Sequence[Condition]) -> Iterator[Member]:
    """All memberships in these conditions, those within memberships included."""
    for condition in conditions:
        if condition.member is not None:
            yield condition.member
            yield from members(condition.member.where)


def all_moves(table: Table, conditions: Sequence[Condition]) -> list[Moves]:
    """The logs that a filter of this table needs."""
    return list(dict.fromkeys([own_moves(table, conditions), *map(member_moves, members(conditions))]))


def dump(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    """The conditions as JSON has them."""
    return [_dump_one(condition) for condition in conditions]


def _dump_one(condition: Condition) -> dict[str, Any]:
    fields: dict[str, Any] = {"column": condition.column}
    if condition.values or condition.member is None:
        fields["values"] = list(condition.values)
    if condition.member is not None:
        member = condition.member
        fields["member_of"] = {"table": str(member.table), "column": member.column, "where": dump(member.where)}
    return fields


def load(fields: Sequence[dict[str, Any]]) -> Filter:
    """The conditions that :func:`dump` wrote."""
    return tuple(_load_one(one) for one in fields)


def _load_one(fields: dict[str, Any]) -> Condition:
    found = fields.get("member_of")
    member = found and Member(TableName.parse(found["table"]), found["column"], load(found["where"]))
    return Condition(fields["column"], tuple(fields.get("values", ())), member or None)
