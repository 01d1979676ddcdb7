# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Life beyond the happy path: what is not acknowledged, restored, moved and cloned databases. One test a promise."""

from __future__ import annotations

from session_world import World

from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync.acknowledged import unacknowledged


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(40) not null default ''")
SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(20)")
TABLES = (ITEM, SALE, CUSTOMER)

DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13)
SCOPES = (DOWN, UP, BOTH)


def test_what_the_parent_has_not_taken_is_named_per_scope(pair: World) -> None:
    pair.child.execute('INSERT INTO ax."SALE" VALUES (1, 1), (2, 2)')
    pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a')""")
    pair.child.execute("""INSERT INTO ax."ITEM" VALUES (1, 'never goes up')""")
    for parent in (pair.parent, None):
        found = {(row.peer_id, row.scope): row.rows for row in unacknowledged(pair.child, parent)}
        assert found == {(0, "sales"): 2, (0, "customers"): 1}
    pair.settle()
    assert unacknowledged(pair.child, pair.parent) == unacknowledged(pair.child) == []
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" > 0)')
    pair.child.execute('INSERT INTO ax."SALE" VALUES (3, -1)')
    pair.settle()
    assert unacknowledged(pair.child) == []
    assert [(row.scope, row.rows) for row in unacknowledged(pair.parent)] == [("sales", 1)]
