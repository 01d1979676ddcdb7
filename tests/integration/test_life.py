# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Life beyond the happy path: what is not acknowledged, restored, moved and cloned databases. One test a promise."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from elapsed import let_pass
from mssql_world import rows as neutral_rows
from mssql_world import run
from offline_world import tracked
from session_world import World, both_engines, fill

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import cleanup, retention
from ansible_collections.axops.retail.plugins.module_utils._sync.acknowledged import unacknowledged
from ansible_collections.axops.retail.plugins.module_utils._sync.cleanup import Keep
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = both_engines


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(40) not null default ''")
SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(20)")
LINE = _table("LINE", "ID NUMBER", ID="bigint not null", NUMBER="int not null")
LATER = _table("LATER", "ID", ID="bigint not null", NAME="nvarchar(20)")
TABLES = (ITEM, SALE, LINE, CUSTOMER, LATER)

DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name, LINE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13)
SCOPES = (DOWN, UP, BOTH)


def table_of(db: Database, table: Table) -> list[tuple[object, ...]]:
    return neutral_rows(db, "SELECT * FROM {%s} ORDER BY 1" % str(table.name))


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


# ---- deletions that everybody has heard of, and children that have not


def test_a_deletion_is_forgotten_when_it_is_old_and_every_live_child_has_taken_it(pair: World) -> None:
    run(pair.parent, "INSERT INTO {ax.ITEM} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    pair.synchronise()
    run(pair.parent, "DELETE FROM {ax.ITEM} WHERE {ID} = 1")
    pair.synchronise()
    run(pair.parent, "DELETE FROM {ax.ITEM} WHERE {ID} = 2")
    assert cleanup.run(pair.parent, Keep()).deletions == 0, "both are young"
    let_pass(pair.parent)
    cleaned = cleanup.run(pair.parent, Keep())
    assert (cleaned.deletions, cleaned.stale) == (1, []), "the child has not taken the second one"
    pair.synchronise()
    assert table_of(pair.child, ITEM) == table_of(pair.parent, ITEM) == [(3, "c")]
    let_pass(pair.parent)
    assert cleanup.run(pair.parent, Keep()).deletions == 1
    assert cleanup.run(pair.parent, Keep(), every=1) is None, "it was done within the hour"
    assert pair.synchronise() == 0


def test_a_child_away_for_longer_than_deletions_are_kept_uploads_and_loads_again(pair: World) -> None:
    run(pair.parent, "INSERT INTO {ax.ITEM} VALUES (1, 'a'), (2, 'b')")
    run(pair.parent, "INSERT INTO {ax.CUSTOMER} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    pair.synchronise()
    run(pair.child, "INSERT INTO {ax.SALE} VALUES (1, 1)")
    run(pair.child, "UPDATE {ax.CUSTOMER} SET {NAME} = 'changed while away' WHERE {ID} = 3")
    run(pair.child, "INSERT INTO {ax.CUSTOMER} VALUES (4, 'born while away')")
    run(pair.parent, "DELETE FROM {ax.ITEM} WHERE {ID} = 1")
    run(pair.parent, "DELETE FROM {ax.CUSTOMER} WHERE {ID} = 1")
    let_pass(pair.parent, silent=True)
    assert cleanup.run(pair.parent, Keep()).stale == [pair.identity.name]
    assert run(pair.parent, "DELETE FROM {ax.CUSTOMER_tracking} WHERE sync_row_is_tombstone <> 0") == 0
    pair.synchronise(rounds=5)
    for side in (pair.child, pair.parent):
        assert table_of(side, ITEM) == [(2, "b")]
        assert table_of(side, CUSTOMER) == [(2, "b"), (3, "changed while away"), (4, "born while away")]
        assert table_of(side, SALE) == [(1, 1)]
    assert pair.synchronise() == 0
    assert cleanup.run(pair.parent, Keep()).stale == [], "it was heard of again"


# ---- old sales on a small register


def _sell(pair: World, number: int) -> None:
    with pair.child.transaction():
        run(pair.child, "INSERT INTO {ax.SALE} VALUES (?, 1)", number)
        run(pair.child, "INSERT INTO {ax.LINE} VALUES (?, 1), (?, 2)", number, number)


def test_old_sales_that_the_parent_has_go_from_the_register_whole(pair: World) -> None:
    for number in (1, 2):
        _sell(pair, number)
    pair.synchronise()
    let_pass(pair.child)
    run(pair.child, "UPDATE {ax.LINE} SET {NUMBER} = 20 WHERE {ID} = 2 AND {NUMBER} = 2")
    pair.synchronise()
    rule = retention.Rule(90, ("ID",))
    assert retention.run(Pair(pair.child, pair.parent), "sales", rule) == 3
    assert table_of(pair.child, SALE) == [(2, 1)], "it has a young line"
    for number in (3, 4):
        _sell(pair, number)
    pair.synchronise()
    run(pair.child, "UPDATE {ax.SALE} SET {AMOUNT} = 7 WHERE {ID} = 3")
    let_pass(pair.child)
    assert retention.run(Pair(pair.child, pair.parent), "sales", rule) == 2 * 3, "sales 2 and 4"
    assert table_of(pair.child, SALE) == [(3, 7)], "it has not gone up yet"
    pair.synchronise()
    assert [number for number, _amount in table_of(pair.parent, SALE)] == [1, 2, 3, 4]
    assert len(table_of(pair.parent, LINE)) == 8
    assert pair.synchronise() == 0
    with pytest.raises(RetailError, match="deletions would travel"):
        retention.run(Pair(pair.child, pair.parent), "customers", rule)


# ---- the profile changes while the register sells


def test_tables_come_and_go_while_the_register_sells(pair: World, other_client: Callable[[str], Database]) -> None:
    fill(pair.parent, "LATER", ((number, "x") for number in range(1, 3001)))
    without_lines = make_scope("sales", "upload", [SALE.name], 0, 2, 12)
    more = make_scope("items", "download", [ITEM.name, LATER.name], 0, 1, 11)
    pos, done, errors = other_client("child"), threading.Event(), []

    def sell() -> None:
        number = 100
        while not done.is_set():
            number += 1
            try:
                with pos.transaction():
                    run(pos, "INSERT INTO {ax.SALE} VALUES (?, 1)", number)
                    run(pos, "INSERT INTO {ax.LINE} VALUES (?, 1), (?, 2)", number, number)
            except Exception as error:  # noqa: BLE001 - shown by the assertion below
                errors.append(error)

    seller = threading.Thread(target=sell)
    seller.start()
    try:
        pair.synchronise()
        pair.provision((more, without_lines, BOTH), force=True)
        pair.synchronise()
        pair.provision((more, UP, BOTH))
        pair.synchronise()
        pair.provision((more, UP))
        pair.synchronise()
    finally:
        done.set()
        seller.join()
    pair.synchronise(rounds=5)
    assert errors == []
    assert len(table_of(pair.child, SALE)) > 0
    for table in (SALE, LINE, LATER):
        assert table_of(pair.child, table) == table_of(pair.parent, table)
    assert "ax.CUSTOMER" not in tracked(pair.child)
    assert pair.synchronise() == 0
