# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logs of moves that filters need at a parent: made before a scope says so, taken away when no peer's scope does any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .._engine._errors import RetailError
from .._engine._filter import Condition, Moves, all_moves, members
from .._engine._model import Column, Table, TableName
from .._plan import Plan, Step
from .._sync.metadata import Scope, ScopeTable
from .state import Side

_WHOLE_NUMBERS = ("bigint", "int", "smallint", "tinyint", "bit")


@dataclass
class MovesPlan:
    """``needed``: the names of the logs that the scopes need. ``unlogged``: tables of which moves may have gone unnoticed."""

    plan: Plan = field(default_factory=Plan)
    needed: set[TableName] = field(default_factory=set)
    unlogged: set[TableName] = field(default_factory=set)


def plan_moves(parent: Side, scopes: Sequence[Scope], tables: dict[TableName, Table]) -> MovesPlan:
    """Make the logs that the scopes' filters need and that are missing, wholly or in part.

    :param tables: the scopes' tables at the parent.
    :raises RetailError: a filter names a table or column that is not there, or a value that its column cannot have.
    """
    result = MovesPlan()
    filtered = [item for scope in scopes if scope.downloads for item in scope.tables if item.filter]
    known = {**tables, **_read_members(parent, filtered)}
    for item in filtered:
        check_filter(item.name, item.filter, known, parent.place.db.target.where)
        for moves in all_moves(known[item.name], item.filter):
            if moves.name not in result.needed and not parent.moves.get(moves.name):
                result.plan.add(_creation(parent, moves, known[moves.table]))
                result.unlogged.add(item.name)
            elif not parent.moves.get(moves.name):
                result.unlogged.add(item.name)
            result.needed.add(moves.name)
    return result


def plan_dropping(parent: Side, needed: Iterable[TableName], gone: Iterable[int]) -> Plan:
    """Take the logs away that neither these scopes nor those of other peers need.

    :param gone: the numbers of the peers whose scopes at the parent do not count.
    """
    left = set(parent.moves) - set(needed)
    if not left:
        return Plan()
    others = [item for item in parent.tables_of_others(gone) if item.filter]
    known = parent.engine.tables.read(parent.place.db, [item.name for item in others]) if others else {}
    for item in others:
        if item.name in known:
            left -= {moves.name for moves in all_moves(known[item.name], item.filter)}
    return Plan([_removal(parent, name) for name in sorted(left)])


def _read_members(parent: Side, filtered: Sequence[ScopeTable]) -> dict[TableName, Table]:
    wanted = sorted({member.table for item in filtered for member in members(item.filter)})
    return parent.engine.tables.read(parent.place.db, wanted) if wanted and parent.place.db is not None else {}


def check_filter(name: TableName, conditions: Sequence[Condition], known: dict[TableName, Table], where: str) -> None:
    """See that a filter of the table ``name`` goes by what is there.

    :param known: the tables that exist.
    :param where: the database, for the message.
    :raises RetailError: it names a table or column that is not there, or a value that its column cannot have.
    """
    table = known.get(name)
    if table is None:
        raise RetailError(
            "A filter names the table %s, which the database %s does not have." % (name, where),
            "Correct the table's name in the filter, or upgrade the database.",
        )
    for condition in conditions:
        _check_column(table, condition.column, condition.values)
        if condition.member is not None:
            check_filter(condition.member.table, condition.member.where, known, where)
            _check_column(known[condition.member.table], condition.member.column)


def _check_column(table: Table, name: str, values: Sequence[str] = ()) -> None:
    column = table.column(name)
    if column is None:
        raise RetailError(
            "A filter names the column %s of the table %s, which has none of that name." % (name, table.name),
            "It has: %s." % ", ".join(one.name for one in table.columns),
        )
    if "max" in column.type or column.type in ("ntext", "text", "image", "xml") or column.is_rowversion:
        raise RetailError(
            "A filter cannot go by the column %s of %s: its type is %s." % (name, table.name, column.type),
            "Choose a column of numbers or short texts.",
        )
    wrong = [value for value in values if not _fits(column, value)]
    if wrong:
        raise RetailError(
            "A filter compares the column %s of %s (%s) with %r." % (name, table.name, column.type, wrong[0]),
            "Give it a whole number.",
        )


def _fits(column: Column, value: str) -> bool:
    return column.type not in _WHOLE_NUMBERS or value.removeprefix("-").isdecimal()


def _creation(parent: Side, moves: Moves, table: Table) -> Step:
    there = moves.name in parent.moves
    title = "%s the log of moves %s in %s" % ("Repair" if there else "Create", moves.name, parent.title)
    statements = parent.engine.moves.create(moves, table)
    before = "incomplete" if there else None
    return Step(title, (parent.key, "logs of moves", str(moves.name)), before, "complete", parent.key, statements)


def _removal(parent: Side, name: TableName) -> Step:
    title = "Remove the log of moves %s from %s" % (name, parent.title)
    path = (parent.key, "logs of moves", str(name))
    return Step(title, path, "complete", None, parent.key, parent.engine.moves.drop(name))
