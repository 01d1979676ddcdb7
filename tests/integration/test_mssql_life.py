# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Life beyond the happy path on SQL Server: pairs that begin anew, deletions that are forgotten, loads that are merged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from elapsed import let_pass
from mssql_world import fresh, make, needs_server, paired, rows, run, scope, synchronise, table

from ansible_collections.axops.retail.plugins.module_utils._sync import anew, cleanup, package, retention, session
from ansible_collections.axops.retail.plugins.module_utils._sync.cleanup import Keep
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = needs_server

ITEM = table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(40)")
SALE = table("SALE", "ID", ID="bigint not null", AMOUNT="int")
CUSTOMER = table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(40)")
TABLES = (ITEM, SALE, CUSTOMER)
SCOPES = (
    scope("items", "download", ITEM),
    scope("sales", "upload", SALE, winner="child"),
    scope("customers", "bidirectional", CUSTOMER),
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with fresh() as child, fresh() as parent:
        for db in (child, parent):
            make(db, TABLES)
        made = paired(child, parent, SCOPES)
        run(parent, "INSERT INTO {ax.ITEM} VALUES (1, 'a'), (2, 'b')")
        run(child, "INSERT INTO {ax.SALE} VALUES (1, 1), (2, 2)")
        run(child, "INSERT INTO {ax.CUSTOMER} VALUES (1, 'of the child')")
        run(parent, "INSERT INTO {ax.CUSTOMER} VALUES (2, 'of the parent')")
        synchronise(made)
        yield made


def _all(pair: Pair, name: str) -> list[list[tuple[object, ...]]]:
    return [rows(db, "SELECT * FROM {ax.%s} ORDER BY 1" % name) for db in (pair.child, pair.parent)]


def _lose(pair: Pair, side: str, name: str, number: int) -> None:
    """A row goes with its tracking, as in a backup that never had it."""
    db = pair.child if side == "child" else pair.parent
    for place in (name, name + "_tracking"):
        run(db, "DELETE FROM {ax.%s} WHERE {ID} = %d" % (place, number))


def test_what_one_side_lost_comes_back_and_nothing_moves_twice(pair: Pair) -> None:
    _lose(pair, "parent", "SALE", 2)
    _lose(pair, "parent", "CUSTOMER", 2)
    _lose(pair, "child", "CUSTOMER", 1)
    _lose(pair, "child", "ITEM", 1)
    run(pair.child, "INSERT INTO {ax.SALE} VALUES (3, 3)")
    run(pair.parent, "UPDATE {dbo.sync_peer} SET incarnation = 'mssql:before'")
    anew.begin(pair.child, pair.parent, anew.SIDES, 0, moved=True)
    again = Pair(pair.child, pair.parent)
    synchronise(again, rounds=5)
    assert _all(pair, "SALE") == [[(1, 1), (2, 2), (3, 3)]] * 2
    assert _all(pair, "CUSTOMER") == [[(1, "of the child"), (2, "of the parent")]] * 2
    assert _all(pair, "ITEM") == [[(1, "a"), (2, "b")]] * 2
    assert session.pending(again, again.scopes) == []
    assert rows(pair.parent, "SELECT COUNT(*) FROM {dbo.sync_conflict}") == [(0,)]


def test_a_child_that_missed_a_forgotten_deletion_loads_again(pair: Pair) -> None:
    run(pair.parent, "DELETE FROM {ax.ITEM} WHERE {ID} = 1")
    run(pair.parent, "DELETE FROM {ax.CUSTOMER} WHERE {ID} = 2")
    let_pass(pair.parent)
    assert cleanup.run(pair.parent, Keep()).deletions == 0, "the child has not heard of them"
    let_pass(pair.parent, silent=True)
    assert cleanup.run(pair.parent, Keep()).deletions == 2
    run(pair.child, "INSERT INTO {ax.CUSTOMER} VALUES (3, 'born while away')")
    synchronise(pair, rounds=5)
    assert _all(pair, "ITEM") == [[(2, "b")]] * 2
    assert _all(pair, "CUSTOMER") == [[(1, "of the child"), (3, "born while away")]] * 2
    assert session.pending(pair, pair.scopes) == []


def test_old_sales_go_from_the_register_and_a_new_one_loads_from_a_package(pair: Pair, tmp_path: Path) -> None:
    synchronise(pair)
    let_pass(pair.child)
    run(pair.child, "UPDATE {ax.SALE} SET {AMOUNT} = 2 WHERE {ID} = 2")
    synchronise(pair)
    assert retention.run(pair, "sales", retention.Rule(90, ("ID",))) == 1
    assert _all(pair, "SALE") == [[(2, 2)], [(1, 1), (2, 2)]]
    assert synchronise(pair) == 0
    package.make(pair, str(tmp_path / "package"))
    run(pair.parent, "UPDATE {ax.ITEM} SET {NAME} = 'changed since' WHERE {ID} = 2")
    for name in ("ITEM", "ITEM_tracking"):
        run(pair.child, "DELETE FROM {ax.%s}" % name)
    run(pair.child, "UPDATE {dbo.scope_info} SET anchor_in = NULL WHERE sync_scope_name = 'items'")
    pair.package = str(tmp_path / "package")
    synchronise(pair)
    assert _all(pair, "ITEM") == [[(1, "a"), (2, "changed since")]] * 2
