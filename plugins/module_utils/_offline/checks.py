# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a list of scopes must fulfil before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._engine._errors import RetailError
from .._engine._model import Table, TableName
from .._sync.metadata import SCOPE_TABLE, Scope, ScopeTable


def _longest_name() -> int:
    column = SCOPE_TABLE.column("sync_scope_name")
    return int(column.type.partition("(")[2].rstrip(")")) if column else 0


LONGEST_NAME = _longest_name()


def check_scopes(scopes: Iterable[Scope]) -> None:
    """See that names are usable and that every table stands in one scope only.

    :raises RetailError: the message names the scope and the table.
    """
    owners: dict[TableName, str] = {}
    names: set[str] = set()
    for scope in scopes:
        _check_name(scope.name, names)
        for item in scope.tables:
            _check_owner(owners, item.name, scope.name)


def _check_name(name: str, names: set[str]) -> None:
    if not name or len(name) > LONGEST_NAME:
        raise RetailError(
            "The scope name %r is empty or longer than %d characters." % (name, LONGEST_NAME), "Choose another name."
        )
    if name in names:
        raise RetailError("There are two scopes with the name %r." % name, "Give each scope a name of its own.")
    names.add(name)


def _check_owner(owners: dict[TableName, str], table: TableName, scope: str) -> None:
    if table in owners:
        place = "in the scopes %r and %r" % (owners[table], scope)
        if owners[table] == scope:
            place = "twice in the scope %r" % scope
        raise RetailError(
            "The table %s stands %s." % (table, place),
            "A table synchronises in one scope, and once; take the other out.",
        )
    owners[table] = scope


def check_tables(scopes: Iterable[Scope], tables: Mapping[TableName, Table], where: str) -> None:
    """See that every table is there and can be synchronised.

    :param tables: the tables that exist.
    :param where: the database, for the message.
    :raises RetailError: the message names the scope and the table.
    """
    for scope in scopes:
        for item in scope.tables:
            _check_table(scope.name, item.name, tables.get(item.name), where)


def _check_table(scope: str, name: TableName, table: Table | None, where: str) -> None:
    if table is None:
        raise RetailError(
            "The scope %r names the table %s, which the database %s does not have." % (scope, name, where),
            "Correct the table's name in the scope, or upgrade the database.",
        )
    if not table.primary_key:
        raise RetailError(
            "The table %s of the scope %r has no primary key, so it cannot synchronise." % (name, scope),
            "Take it out of the scope, or give it a primary key.",
        )
    # What the server computes is none of the columns that are read, but in the key all the same.
    written = {column.name for column in table.travelling_columns}
    assigned = [column for column in table.primary_key if column not in written]
    if assigned:
        raise RetailError(
            "The primary key of the table %s of the scope %r has the column %s, whose values each database assigns."
            % (name, scope, assigned[0]),
            "Such a table cannot synchronise; take it out of the scope.",
        )


def check_columns(scopes: Iterable[Scope], child: Mapping[TableName, Table], parent: Mapping[TableName, Table]) -> None:
    """See that rows can be written of which only some columns travel.

    :param child: the child's tables, as far as it has them; it gets the others as the parent has them.
    :raises RetailError: the message names the scope, the table and the column.
    """
    for scope in scopes:
        for item in scope.tables:
            if not item.columns:
                continue
            theirs = parent[item.name]
            _check_known(scope.name, item, theirs)
            if scope.downloads:
                _check_left_out(scope.name, item, child.get(item.name, theirs), "the offline database")
            if scope.uploads:
                _check_left_out(scope.name, item, theirs, "the channel database")


def _check_known(scope: str, item: ScopeTable, table: Table) -> None:
    unknown = [name for name in item.columns if table.column(name) is None]
    if unknown:
        raise RetailError(
            "The scope %r names the column %s of the table %s, which it does not have."
            % (scope, unknown[0], item.name),
            "Correct the columns of the table in the offline profile at HQ.",
        )


def _check_left_out(scope: str, item: ScopeTable, table: Table, where: str) -> None:
    """A new row gets the defaults of the columns that do not travel, so each must have one."""
    chosen = {*item.columns, *table.primary_key}
    left_out = (column for column in table.travelling_columns if column.name not in chosen)
    needed = [column.name for column in left_out if not column.nullable and column.default is None]
    if needed:
        raise RetailError(
            "The scope %r leaves out the column %s of the table %s, which must have a value in %s and has no default."
            % (scope, needed[0], item.name, where),
            "Add it to the columns of the table in the offline profile at HQ, or list none, so that all travel.",
        )
