# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade widens a column that tracking, or the log of a filter, keeps a copy of."""

from __future__ import annotations

from session_world import World, fill, rows

from ansible_collections.axops.retail.plugins.module_utils._engine import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._schema import plan
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable


def _table(name: str, width: int) -> Table:
    columns = {"ID": "nvarchar(%d) not null" % width, "STORE": "nvarchar(%d)" % width}
    return Table(TableName("ax", name), tuple(Column.parse(*item) for item in columns.items()), ("ID",))


SALE, PRICE = _table("SALE", 4), _table("PRICE", 4)
TABLES = (SALE, PRICE)
SALES = make_scope("sales", "upload", [SALE.name], 0, 1, 11)
PRICES = Scope("prices", "download", (ScopeTable(PRICE.name, "parent", (Condition("STORE", ("HOUSTON",)),)),), 0, 2, 12)
SCOPES = (SALES, PRICES)


def _widen(db: Database) -> None:
    wide = {table.name: table for table in (_table("SALE", 12), _table("PRICE", 12))}
    plan.tables(db.engine, db.engine.tables.read(db, list(wide)), wide, "it").apply(lambda _key: db)


def test_longer_keys_are_sold_and_travel(pair: World) -> None:
    fill(pair.child, "SALE", [("S1", "H")])
    pair.synchronise()
    _widen(pair.parent)
    _widen(pair.child)
    fill(pair.child, "SALE", [("LONGER-0001", "HOUSTON")])
    fill(pair.parent, "PRICE", [("LONGER-0001", "HOUSTON"), ("LONGER-0002", "DALLAS")])
    pair.synchronise()
    assert rows(pair.parent, "SALE") == [("LONGER-0001", "HOUSTON"), ("S1", "H")]
    assert rows(pair.child, "PRICE") == [("LONGER-0001", "HOUSTON")]
    # It leaves the filter: the log keeps what it was.
    pair.parent.execute("""UPDATE ax."PRICE" SET "STORE" = 'DALLAS'""")
    pair.synchronise()
    assert rows(pair.child, "PRICE") == []
