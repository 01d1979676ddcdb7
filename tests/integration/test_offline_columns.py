# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of which only some columns travel, as RETAILOFFLINETABLECOLUMNS says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from offline_world import insert_into
from register_world import FIRST, fail, succeed
from session_world import World, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope, read_profile


def _table(name: str, **columns: str) -> Table:
    return Table(TableName("ax", name), tuple(Column.parse(*item) for item in columns.items()), ("ID",))


ITEM = _table("ITEM", ID="bigint not null", NAME="nvarchar(20)", NOTE="nvarchar(20) not null default '-'", COST="int")
SALE = _table("SALE", ID="bigint not null", SUM="int", TILLONLY="nvarchar(20)", CLERK="nvarchar(20) not null")
BOTH = _table("CUST", ID="bigint not null", NAME="nvarchar(20)", PHONE="nvarchar(20)")
TABLES = (ITEM, SALE, BOTH)


def scopes(item=(), sale=(), both=()):
    made = [
        make_scope("items", "download", [ITEM.name], 0, 1, 1),
        make_scope("sales", "upload", [SALE.name], 0, 2, 2),
        make_scope("customers", "bidirectional", [BOTH.name], 0, 3, 3),
    ]
    return tuple(
        replace(scope, tables=(replace(scope.tables[0], columns=columns),))
        for scope, columns in zip(made, (item, sale, both))
    )


FEW = scopes(("NAME",), ("SUM", "CLERK"), ("NAME",))


@pytest.fixture
def some(world: World) -> World:
    """A pair of whose tables only some columns travel; rows that were loaded, changed and made on either side."""
    world.parent.execute("INSERT INTO ax.\"ITEM\" VALUES (1, 'apple', 'loaded', 10), (2, 'pear', 'loaded', 20)")
    world.provision(FEW)
    world.settle()
    world.parent.execute("INSERT INTO ax.\"ITEM\" VALUES (3, 'plum', 'later', 30)")
    world.parent.execute('UPDATE ax."ITEM" SET "NAME" = \'red apple\', "COST" = 11 WHERE "ID" = 1')
    world.child.execute("INSERT INTO ax.\"SALE\" VALUES (1, 5, 'secret', 'Ann')")
    world.child.execute("INSERT INTO ax.\"CUST\" VALUES (1, 'here', '1')")
    world.parent.execute("INSERT INTO ax.\"CUST\" VALUES (2, 'there', '2')")
    world.settle()
    return world


def test_only_the_listed_columns_travel(some: World) -> None:
    assert rows(some.child, "ITEM") == [(1, "red apple", "-", None), (2, "pear", "-", None), (3, "plum", "-", None)]
    assert rows(some.parent, "SALE") == [(1, 5, None, "Ann")]
    assert rows(some.parent, "CUST") == [(1, "here", None), (2, "there", "2")]
    assert rows(some.child, "CUST") == [(1, "here", "1"), (2, "there", None)]
    assert some.provision(FEW) == []


def test_what_does_not_travel_is_kept_by_each_side(some: World) -> None:
    some.child.execute('UPDATE ax."ITEM" SET "NOTE" = \'mine\'')
    some.settle()
    some.parent.execute('UPDATE ax."ITEM" SET "NAME" = \'fruit\', "NOTE" = \'theirs\'')
    some.settle()
    assert {row[1:3] for row in rows(some.child, "ITEM")} == {("fruit", "mine")}


def test_columns_that_come_later_are_filled_in_everywhere(some: World) -> None:
    titles = some.provision(scopes())
    assert titles[0] == "Change the scope 'items' of HOUSTON-000001 in the channel database"
    some.settle()
    assert rows(some.child, "ITEM") == rows(some.parent, "ITEM")
    assert rows(some.parent, "ITEM")[0] == (1, "red apple", "loaded", 11)
    assert rows(some.parent, "SALE") == rows(some.child, "SALE") == [(1, 5, "secret", "Ann")]
    assert rows(some.child, "CUST") == rows(some.parent, "CUST") == [(1, "here", "1"), (2, "there", "2")]
    assert some.child.value("SELECT count(*) FROM dbo.sync_conflict") == 0
    assert some.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 0
    assert some.provision(scopes()) == []


def test_a_column_that_needs_a_value_may_not_be_left_out_where_rows_are_written(world: World) -> None:
    for wrong, words in (
        (
            scopes(sale=("SUM",)),
            "leaves out the column CLERK of the table ax.SALE, which must have a value in the channel",
        ),
        (scopes(item=("NAMES",)), "names the column NAMES of the table ax.ITEM, which it does not have"),
    ):
        with pytest.raises(RetailError, match=words):
            world.provision(wrong)
    down = replace(scopes()[0], tables=(replace(scopes()[1].tables[0], columns=("SUM",)),))
    with pytest.raises(RetailError, match=r"CLERK .* must have a value in the offline database"):
        world.provision((down,))
    assert world.parent.value("SELECT count(*) FROM pg_tables WHERE tablename LIKE '%_tracking'") == 0
    assert world.provision(scopes(item=("NAME",)))


def test_the_profile_says_which(channel, options) -> None:
    listed = (
        {"RECID": FIRST + n, "SYNCTABLE": FIRST + 3, "SYNCCOLUMNNAME": name}
        for n, name in enumerate(("RECID", "NAMEALIAS"))
    )
    insert_into(channel, "RETAILOFFLINETABLECOLUMNS", *listed)
    tables = read_profile(channel, "HOUSTON", "Default pr").scopes[0].tables
    assert [item.columns for item in tables] == [("RECID", "NAMEALIAS"), ()]
    assert succeed(options)["changed"]
    assert not succeed(options)["changed"]
    insert_into(channel, "RETAILOFFLINETABLECOLUMNS", {"RECID": 1, "SYNCTABLE": FIRST + 1, "SYNCCOLUMNNAME": "NOTHING"})
    assert "names the column NOTHING of the table ax.PRICEDISCTABLE" in fail(options)
