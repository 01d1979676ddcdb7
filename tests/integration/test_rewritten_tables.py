# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table that is rewritten (ALTER TABLE … TYPE) between a session's snapshot and its reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from session_world import World, fill, rows

from ansible_collections.axops.retail.plugins.module_utils._engine import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition, Member
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
ITEM = _table("ITEM", "ID", ID="bigint not null", AMOUNT="int")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", AMOUNT="int")
PRICE = _table("PRICE", "ID", ID="bigint not null", AMOUNT="int")
LISTED = _table("LISTED", "ID", ID="bigint not null", PRICE="bigint", AMOUNT="int")
TABLES = (SALE, ITEM, CUSTOMER, PRICE, LISTED)
SALES = make_scope("sales", "upload", [SALE.name], 0, 1, 11)
ITEMS = make_scope("items", "download", [ITEM.name], 0, 2, 12)
CUSTOMERS = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13)
OWN = ScopeTable(PRICE.name, "parent", (Condition("ID", member=Member(LISTED.name, "PRICE")),))
PRICES = Scope("prices", "download", (OWN,), 0, 4, 14)
SCOPES = (SALES, ITEMS, CUSTOMERS, PRICES)


def _rewrite_meanwhile(
    monkeypatch: pytest.MonkeyPatch, db: Database, table: str, reader: Database, scope: Scope | None = None
) -> None:
    original, done = transfer._check_tables, []

    def check(way: Any) -> None:
        original(way)
        if way.sender is reader and not done and (scope is None or way.scope.name == scope.name):
            done.append(1)
            db.execute('ALTER TABLE ax."%s" ALTER COLUMN "AMOUNT" TYPE bigint' % table)

    monkeypatch.setattr(transfer, "_check_tables", check)


def test_a_sale_goes_up(pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(pair.child, "SALE", [(1, 10), (2, 20)])
    _rewrite_meanwhile(monkeypatch, other_client("child"), "SALE", pair.child)
    pair.synchronise()
    assert rows(pair.parent, "SALE") == [(1, 10), (2, 20)]


def test_an_item_stays_at_the_child(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(pair.parent, "ITEM", [(1, 10), (2, 20)])
    pair.synchronise()
    pair.parent.execute('UPDATE ax."ITEM" SET "AMOUNT" = 11')
    _rewrite_meanwhile(monkeypatch, other_client("parent"), "ITEM", pair.parent)
    pair.synchronise()
    assert rows(pair.child, "ITEM") == [(1, 11), (2, 11)]


def test_a_customer_stays_at_both(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(pair.child, "CUSTOMER", [(1, 10), (2, 20)])
    pair.synchronise()
    pair.child.execute('UPDATE ax."CUSTOMER" SET "AMOUNT" = 11')
    _rewrite_meanwhile(monkeypatch, other_client("child"), "CUSTOMER", pair.child)
    pair.synchronise()
    assert rows(pair.child, "CUSTOMER") == [(1, 11), (2, 11)]
    assert rows(pair.parent, "CUSTOMER") == [(1, 11), (2, 11)]


def test_a_first_load_is_whole(
    world: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the baseline have no tracking: what a load leaves out never comes."""
    fill(world.parent, "ITEM", [(1, 10), (2, 20)])
    world.provision(SCOPES)
    _rewrite_meanwhile(monkeypatch, other_client("parent"), "ITEM", world.parent)
    world.synchronise()
    assert rows(world.child, "ITEM") == [(1, 10), (2, 20)]


def test_a_load_under_a_filter_is_whole(
    world: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table that says who is a member is rewritten: without it nothing seems to be under the filter."""
    fill(world.parent, "PRICE", [(1, 10), (2, 20)])
    fill(world.parent, "LISTED", [(7, 1, 0)])
    world.provision(SCOPES)
    _rewrite_meanwhile(monkeypatch, other_client("parent"), "LISTED", world.parent, PRICES)
    world.synchronise()
    assert rows(world.child, "PRICE") == [(1, 10)]


def test_what_changes_under_a_filter_arrives(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(pair.parent, "PRICE", [(1, 10), (2, 20)])
    fill(pair.parent, "LISTED", [(7, 1, 0), (8, 2, 0)])
    pair.synchronise()
    pair.parent.execute('UPDATE ax."PRICE" SET "AMOUNT" = 11')
    _rewrite_meanwhile(monkeypatch, other_client("parent"), "LISTED", pair.parent, PRICES)
    pair.synchronise()
    assert rows(pair.child, "PRICE") == [(1, 11), (2, 11)]
