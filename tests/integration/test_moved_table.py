# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table goes to another scope while a part of it has landed."""

from __future__ import annotations

import pytest
from session_world import World, cut_off, fill, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
PAID = _table("PAID", "ID", ID="bigint not null", AMOUNT="int")
ITEM = _table("ITEM", "ID", ID="bigint not null", AMOUNT="int")
PRICE = _table("PRICE", "ID", ID="bigint not null", AMOUNT="int")
TABLES = (SALE, PAID, ITEM, PRICE)
SCOPES = (
    make_scope("sales", "upload", [SALE.name, PAID.name], 0, 1, 11),
    make_scope("items", "download", [ITEM.name, PRICE.name], 0, 2, 12),
)
LATER = (
    make_scope("sales", "upload", [PAID.name], 0, 1, 11),
    make_scope("items", "download", [PRICE.name], 0, 2, 12),
    make_scope("others up", "upload", [SALE.name], 0, 3, 13),
    make_scope("others down", "download", [ITEM.name], 0, 4, 14),
)
#: The other scopes are there already, with another table.
BEFORE = (
    make_scope("sales", "upload", [SALE.name], 0, 1, 11),
    make_scope("items", "download", [ITEM.name], 0, 2, 12),
    make_scope("others up", "upload", [PAID.name], 0, 3, 13),
    make_scope("others down", "download", [PRICE.name], 0, 4, 14),
)
AFTER = (
    make_scope("others up", "upload", [PAID.name, SALE.name], 0, 3, 13),
    make_scope("others down", "download", [PRICE.name, ITEM.name], 0, 4, 14),
)


@pytest.mark.parametrize("scopes", [(SCOPES, LATER), (BEFORE, AFTER)], ids=["to a new scope", "to one that is there"])
@pytest.mark.parametrize("upload", [True, False], ids=["up", "down"])
def test_what_had_landed_of_it_arrives(
    world: World, monkeypatch: pytest.MonkeyPatch, upload: bool, scopes: tuple
) -> None:
    before, after = scopes
    world.provision(before)
    fill(world.child, "PAID", [(1, 1)])
    fill(world.parent, "PRICE", [(1, 1)])
    world.settle()
    sender, receiver, table = (world.child, world.parent, "SALE") if upload else (world.parent, world.child, "ITEM")
    for number in range(6):
        fill(sender, table, [(number, 1)])
    cut_off(monkeypatch, world, before[0 if upload else 1], 3)
    world.provision(after)
    world.synchronise(rounds=5)
    assert [number for number, _amount in rows(receiver, table)] == [0, 1, 2, 3, 4, 5]
