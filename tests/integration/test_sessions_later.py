# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes later than it looks: old transactions, cut-off loads, cleanups and lost moments. One test a promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from session_world import World, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope


def _table(name: str) -> Table:
    columns = {"ID": "bigint not null", "NAME": "nvarchar(20)"}
    return Table(TableName("ax", name), tuple(Column.parse(*column) for column in columns.items()), ("ID",))


TABLES = ITEM, SALE, CUSTOMER, NOTE = _table("ITEM"), _table("SALE"), _table("CUSTOMER"), _table("NOTE")
DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name, NOTE.name], 0, 3, 13)
SCOPES = (DOWN, UP, BOTH)


def _put(db: Database, table: str, number: int, name: str) -> None:
    db.execute('INSERT INTO ax."%s" VALUES (?, ?)' % table, number, name)


def _name(db: Database, table: str, number: int, name: str) -> None:
    assert db.execute('UPDATE ax."%s" SET "NAME" = ? WHERE "ID" = ?' % table, name, number) == 1


def _same(pair: World) -> list[tuple[Any, ...]]:
    """The customers, which both sides have alike."""
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER")
    return rows(pair.parent, "CUSTOMER")


# ---- transactions that are older than what they overwrite


def test_an_old_transactions_late_edit_at_the_parent_is_not_silently_overwritten(
    pair: World, other_client: Callable[[str], Database]
) -> None:
    """It began before the version that the child has taken of the row was given, so its own version is a lower one."""
    _put(pair.parent, "CUSTOMER", 1, "first")
    pair.settle()
    late = other_client("parent")
    with late.transaction():
        _put(late, "ITEM", 1, "that is its number")
        _name(pair.parent, "CUSTOMER", 1, "second")
        pair.run(BOTH)
        assert rows(pair.child, "CUSTOMER") == [(1, "second")]
        _name(late, "CUSTOMER", 1, "third")
    _name(pair.child, "CUSTOMER", 1, "the child's")
    assert _same(pair) == [(1, "third")], "the parent wins"
    assert "the child's" in pair.parent.value("SELECT incoming_image FROM dbo.sync_conflict")

