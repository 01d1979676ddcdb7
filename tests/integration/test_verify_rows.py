# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing the rows of a pair, and repairing them: what differs is named, what is on its way is not, and nothing is copied."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from elapsed import let_pass
from session_world import Command, World, both_engines, fill, rows, truncate, untracked

from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import cleanup, compare, identity, repair, session
from ansible_collections.axops.retail.plugins.module_utils._sync.compare import Comparison
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = both_engines


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(20)", PRICE="numeric(32,16)")
SALE = _table("SALE", "STORE ID", STORE="nvarchar(10) not null", ID="bigint not null", AMOUNT="int")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(20)")
TABLES = (ITEM, SALE, CUSTOMER)
DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13)
SCOPES = (DOWN, UP, BOTH)


@pytest.fixture
def sold(pair: World) -> World:
    """100 items went down, 100 sales up, 10 customers both ways."""
    fill(pair.parent, "ITEM", ((number, "n%d" % number, number * Decimal("1.5")) for number in range(1, 101)))
    fill(pair.child, "SALE", (("H", number, number) for number in range(1, 101)))
    fill(pair.child, "CUSTOMER", ((number, "c%d" % number) for number in range(1, 11)))
    pair.settle()
    return pair


def compared(world: World, most: int = 1000) -> dict[str, Comparison]:
    pair = Pair(world.child, world.parent)
    return {one.shared.name.name: one for one in compare.compare(pair, lambda *_place: True, most, 0)}


def found(one: Comparison) -> list[tuple[Any, ...]]:
    return sorted((*one.key_of(row).values(), row.what, row.status) for row in one.found)


def repaired(world: World) -> list[dict[str, Any]]:
    return repair.repair(Pair(world.child, world.parent), list(compared(world).values()))


def test_equal_sides_have_no_difference(sold: World) -> None:
    results = compared(sold)
    assert {name: (one.child_rows, one.parent_rows, one.found) for name, one in results.items()} == {
        "ITEM": (100, 100, []), "SALE": (100, 100, []), "CUSTOMER": (10, 10, []),
    }  # fmt: skip


def test_rows_that_differ_are_named(sold: World) -> None:
    with untracked(sold.child):
        sold.child.execute("""UPDATE ax."ITEM" SET "NAME" = ? WHERE "ID" = 7""", "ø")
        sold.child.execute("""DELETE FROM ax."ITEM" WHERE "ID" = 8""")
        sold.child.execute("""INSERT INTO ax."ITEM" VALUES (900, 'own', 1)""")
    with untracked(sold.parent):
        sold.parent.execute("""DELETE FROM ax."SALE" WHERE "ID" IN (1, 2)""")
    results = compared(sold)
    assert found(results["ITEM"]) == [
        (7, "another image", "different"), (8, "missing at the child", "different"), (900, "missing at the parent", "different"),
    ]  # fmt: skip
    assert found(results["SALE"]) == [
        ("H", 1, "missing at the parent", "different"),
        ("H", 2, "missing at the parent", "different"),
    ]
    document = results["ITEM"].document(2)
    assert (document["different"], document["more"], len(document["differences"])) == (3, True, 2)


def test_what_is_on_its_way_is_no_difference(sold: World) -> None:
    sold.parent.execute("""UPDATE ax."ITEM" SET "PRICE" = 0 WHERE "ID" = 7""")
    sold.parent.execute("""DELETE FROM ax."ITEM" WHERE "ID" = 8""")
    sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 500, 1)""")
    results = compared(sold)
    assert [row[-1] for row in found(results["ITEM"]) + found(results["SALE"])] == ["waiting"] * 3
    assert repaired(sold) == []


def test_a_row_that_changes_between_the_looks_does_not_count(sold: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with untracked(sold.child):
        sold.child.execute("""UPDATE ax."ITEM" SET "NAME" = 'x' WHERE "ID" IN (1, 2)""")
    looked = compare._look_again

    def meanwhile(later: Any, result: Comparison) -> None:
        monkeypatch.undo()
        looked(later, result)

    monkeypatch.setattr(compare, "_look_again", meanwhile)
    slept = []

    def sleep(_seconds: float) -> None:
        slept.append(1)
        with untracked(sold.child):
            sold.child.execute("""UPDATE ax."ITEM" SET "NAME" = 'n1' WHERE "ID" = 1""")
            sold.child.execute("""UPDATE ax."ITEM" SET "NAME" = 'y' WHERE "ID" = 2""")

    monkeypatch.setattr(compare.time, "sleep", sleep)
    assert found(compared(sold)["ITEM"]) == [(2, "another image", "waiting")]
    assert slept == [1]


def test_purged_sales_and_other_registers_sales_are_no_difference(sold: World) -> None:
    sold.child.execute("""DELETE FROM ax."SALE" WHERE "ID" <= 30""")
    sold.parent.execute("""INSERT INTO ax."SALE" VALUES ('OTHER', 1, 1)""")
    sold.settle()
    result = compared(sold)["SALE"]
    assert (result.found, result.child_rows, result.purged) == ([], 70, 30)


def test_what_was_put_aside_is_told_apart(sold: World) -> None:
    sold.parent.execute('ALTER TABLE ax."SALE" ADD CONSTRAINT positive CHECK ("AMOUNT" >= 0)')
    sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 700, -1)""")
    sold.settle()
    assert found(compared(sold)["SALE"]) == [("H", 700, "missing at the parent", "quarantined")]
    assert repaired(sold) == []


def test_only_columns_that_both_sides_have_are_compared(sold: World) -> None:
    sold.parent.execute("""ALTER TABLE ax."ITEM" ADD "NEW" int DEFAULT 5""")
    assert compared(sold)["ITEM"].found == []


@pytest.mark.parametrize("scope", [DOWN, UP, BOTH], ids=lambda scope: scope.direction)
def test_a_value_of_a_column_that_came_since_the_tables_were_read_travels(sold: World, scope: Scope) -> None:
    """The service has read the tables, then both sides are upgraded, and somebody sells: all before its session."""
    behind = Pair(sold.child, sold.parent)
    behind.preload(behind.scopes)
    (table,) = (one for one in TABLES if one.name == scope.tables[0].name)
    name = '"%s"."%s"' % table.name
    for db in (sold.parent, sold.child):
        db.execute('ALTER TABLE %s ADD "CARD" varchar(20)' % name)
    sender, receiver = (sold.parent, sold.child) if scope is DOWN else (sold.child, sold.parent)
    sender.execute("""UPDATE %s SET "CARD" = 'gold' WHERE "ID" = 7""" % name)
    session.run(behind, scope)
    sold.settle()
    assert receiver.value('SELECT "CARD" FROM %s WHERE "ID" = 7' % name) == "gold"


def test_what_was_written_into_a_column_before_the_other_side_had_it_comes_with_a_repair(sold: World) -> None:
    sold.child.execute('ALTER TABLE ax."SALE" ADD "CARD" varchar(20)')
    sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 700, 1, 'gold')""")
    sold.settle()
    sold.parent.execute('ALTER TABLE ax."SALE" ADD "CARD" varchar(20)')
    sold.settle()
    assert sold.parent.value('SELECT "CARD" FROM ax."SALE" WHERE "ID" = 700') is None
    assert repaired(sold)
    sold.settle()
    assert sold.parent.value('SELECT "CARD" FROM ax."SALE" WHERE "ID" = 700') == "gold"


def test_many_differences_are_cut_off(sold: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_ROWS_A_PORTION", 5)
    with untracked(sold.child):
        sold.child.execute("""UPDATE ax."ITEM" SET "PRICE" = -1""")
    monkeypatch.setattr(compare, "_ROWS_A_BUCKET", 1)
    few, all_of_them = compared(sold, 10)["ITEM"], compared(sold)["ITEM"]
    assert few.more and 10 <= len(few.found) < 100
    assert not all_of_them.more
    assert sorted(row[0] for row in found(all_of_them)) == list(range(1, 101))


def test_a_repair_brings_each_scope_in_step_and_keeps_what_loses(sold: World) -> None:
    with untracked(sold.child):
        sold.child.execute("""UPDATE ax."ITEM" SET "NAME" = 'wrong' WHERE "ID" = 7""")
        sold.child.execute("""DELETE FROM ax."ITEM" WHERE "ID" = 8""")
        sold.child.execute("""INSERT INTO ax."ITEM" VALUES (900, 'own', 1)""")
        sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 800, 1)""")
        sold.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'loses' WHERE "ID" = 1""")
    with untracked(sold.parent):
        sold.parent.execute("""DELETE FROM ax."SALE" WHERE "ID" = 5""")
        sold.parent.execute("""UPDATE ax."SALE" SET "AMOUNT" = 0 WHERE "ID" = 6""")
        sold.parent.execute("""DELETE FROM ax."CUSTOMER" WHERE "ID" = 2""")
    done = repaired(sold)
    assert {row["side"] for row in done if row["table"] == "ax.SALE"} == {"child", "parent"}
    assert repaired(sold) == [], "what travels already is left alone"
    sold.settle()
    assert all(one.found == [] for one in compared(sold).values())
    assert rows(sold.child, "ITEM") == rows(sold.parent, "ITEM")
    assert len(rows(sold.parent, "ITEM")) == 100
    assert rows(sold.child, "SALE") == rows(sold.parent, "SALE")
    assert len(rows(sold.parent, "SALE")) == 101
    assert rows(sold.child, "CUSTOMER") == rows(sold.parent, "CUSTOMER")
    assert len(rows(sold.parent, "CUSTOMER")) == 10
    images = [
        json.loads(image)
        for db in (sold.child, sold.parent)
        for row in db.query("SELECT incoming_image, local_image FROM dbo.sync_conflict")
        for image in row
        if image
    ]
    assert {"wrong", "own", "loses"} <= {image.get("NAME") for image in images}
    assert {"STORE": "H", "ID": 6, "AMOUNT": 0} in images


def test_a_repaired_sale_is_one_unit_again(sold: World) -> None:
    with sold.child.transaction():
        sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 601, 1)""")
        sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 602, 1)""")
    sold.settle()
    with untracked(sold.parent):
        sold.parent.execute("""DELETE FROM ax."SALE" WHERE "ID" IN (50, 601, 602)""")
    repaired(sold)
    written = """SELECT "ID", COALESCE(source_transaction, CAST(version AS bigint)) FROM ax."SALE_tracking" WHERE "ID" IN (50, 601, 602)"""
    units = {row[0]: row[1] for row in sold.child.query(written)}
    assert units[601] == units[602] != units[50]


def test_sales_that_were_truncated_before_they_went_up_do_not_wait_for_ever(sold: World) -> None:
    sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 900, 1)""")
    truncate(sold.child, "SALE")
    pair = Pair(sold.child, sold.parent)
    table = sold.child.engine.tables.read(sold.child, [SALE.name])[SALE.name]
    assert sold.child.engine.repairs.orphans(sold.child, [table]) == [101]
    assert [one["rows"] for one in repair.bury(pair, list(compared(sold).values()))] == [101]
    assert repair.bury(pair, list(compared(sold).values())) == []
    sold.settle()
    assert len(rows(sold.parent, "SALE")) == 100


def test_sales_that_vanished_at_the_register_are_told_from_those_that_it_purged(sold: World) -> None:
    sold.child.execute("""DELETE FROM ax."SALE" WHERE "ID" <= 3""")
    with untracked(sold.child):
        sold.child.execute("""DELETE FROM ax."SALE" WHERE "ID" IN (5, 6)""")
    sold.child.execute("""DELETE FROM ax."SALE_tracking" WHERE "ID" = 6""")
    sold.settle()
    result = compared(sold)["SALE"]
    assert found(result) == [("H", number, "missing at the child", "different") for number in (5, 6)]
    assert result.purged == 3
    assert repaired(sold) == [], "nothing comes down in this scope, and what the parent has stays"
    (said,) = repair.bury(Pair(sold.child, sold.parent), [result])
    assert (said["side"], said["rows"], said["left"]) == ("child", 2, 0)
    sold.settle()
    after = compared(sold)["SALE"]
    assert (after.found, after.purged) == ([], 5)
    assert len(rows(sold.parent, "SALE")) == 100


def test_purges_that_the_register_has_forgotten_are_no_difference(sold: World) -> None:
    sold.child.execute("""DELETE FROM ax."SALE" WHERE "ID" <= 3""")
    sold.child.execute("""INSERT INTO ax."SALE" VALUES ('H', 500, 1)""")
    sold.settle()
    for side in (sold.child, sold.parent):
        let_pass(side)
    assert cleanup.run(sold.child, cleanup.Keep()).deletions == 3
    # Parents note once a day how far they have come.
    let_pass(sold.parent, days=1.0)
    fill(sold.child, "SALE", (("H", number, 1) for number in (600, 601)))
    sold.settle()
    with untracked(sold.child):
        sold.child.execute("""DELETE FROM ax."SALE" WHERE "ID" IN (50, 601)""")
    result = compared(sold)["SALE"]
    assert found(result) == [("H", 601, "missing at the child", "different")]
    assert result.purged == 4, "of number 50 nobody can tell any more"


def test_what_another_database_had_is_not_missing_in_the_one_that_took_its_place(sold: World) -> None:
    with untracked(sold.child):
        sold.child.execute("""DELETE FROM ax."SALE" WHERE "ID" = 5""")
    assert [row[1] for row in found(compared(sold)["SALE"])] == [5]
    pair = Pair(sold.child, sold.parent)
    for incarnation in ("the one before", pair.instance.incarnation):
        sold.parent.execute("DELETE FROM dbo.sync_incarnation WHERE incarnation = ?", pair.instance.incarnation)
        identity.accept(sold.parent, pair.guid, replace(pair.instance, incarnation=incarnation))
    later = "UPDATE dbo.sync_incarnation SET first_heard = '2100-01-01T00:00:00' WHERE state = 'accepted'"
    assert sold.parent.execute(later) == 1
    assert compared(sold)["SALE"].found == []


#: Of 100 items, 100 sales and 10 customers: how many there are at the child and at the parent when all is repaired.
REPAIRED = {
    ("ITEM", "child"): (100, 100),
    ("ITEM", "parent"): (0, 0),
    ("ITEM", "both"): (0, 0),
    ("SALE", "child"): (0, 100),
    ("SALE", "parent"): (100, 100),
    ("SALE", "both"): (0, 0),
    ("CUSTOMER", "child"): (10, 10),
    ("CUSTOMER", "parent"): (10, 10),
    ("CUSTOMER", "both"): (0, 0),
}


@pytest.mark.parametrize(("table", "side"), REPAIRED, ids=["-".join(case) for case in REPAIRED])
def test_a_truncated_table_is_found_repaired_and_no_problem_any_more(
    sold: World, command: Command, table: str, side: str
) -> None:
    for one in ("child", "parent") if side == "both" else (side,):
        truncate(getattr(sold, one), table)
    code, document = command("verify", "--digest")
    assert code == 1
    told = [text for text in document["problems"] if "it was truncated" in text and "ax." + table in text]
    assert len(told) == (2 if side == "both" else 1)
    code, document = command("verify", "--repair")
    assert (code, document["problems"]) == (0, [])
    sold.settle()
    code, document = command("verify", "--digest")
    assert (code, document["problems"]) == (0, [])
    assert (len(rows(sold.child, table)), len(rows(sold.parent, table))) == REPAIRED[table, side]


@pytest.mark.parametrize("table", ["CUSTOMER", "SALE"])
def test_what_another_register_may_have_is_left_and_said(sold: World, command: Command, table: str) -> None:
    pair = Pair(sold.child, sold.parent)
    guid, number = str(uuid.uuid4()), pair.downwards.peer_id + 1
    sold.parent.execute(
        "INSERT INTO dbo.sync_peer (peer_id, peer_name, peer_guid, incarnation) VALUES (?, 'R2', ?, 'x:1')",
        number,
        guid,
    )
    sold.parent.execute(
        "INSERT INTO dbo.scope_info (peer_id, sync_scope_name, direction, config_data, session_token, previous_token) "
        "SELECT %d, sync_scope_name, direction, config_data, '', '' FROM dbo.scope_info WHERE peer_id <> 0" % number
    )
    expected = 10
    if table == "SALE":
        sold.parent.execute("""UPDATE ax."SALE_tracking" SET origin = %d WHERE "ID" <= 30""" % number)
        expected = 30
    for side in (sold.child, sold.parent):
        truncate(side, table)
    code, document = command("verify", "--repair")
    assert code == 1
    assert [text for text in document["problems"] if "ax.%s has lost %d rows at the parent" % (table, expected) in text]
    alive = """SELECT COUNT(*) FROM ax."%s_tracking" WHERE sync_row_is_tombstone = 0""" % table
    assert sold.parent.value(alive) == expected


def test_a_repair_that_is_not_the_whole_of_it_says_so(
    sold: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "_ROWS_A_PORTION", 5)
    monkeypatch.setattr(compare, "_ROWS_A_BUCKET", 1)
    monkeypatch.setattr(repair, "MOST", 40)
    with untracked(sold.child):
        sold.child.execute("""UPDATE ax."ITEM" SET "PRICE" = -1""")
    codes = []
    while not codes or codes[-1]:
        code, document = command("verify", "--repair")
        assert bool(code) == any("repair once more" in text for text in document["problems"])
        codes.append(code)
        sold.settle()
        assert len(codes) < 10
    assert len(codes) > 1
    assert command("verify", "--digest")[1]["problems"] == []
    assert rows(sold.child, "ITEM") == rows(sold.parent, "ITEM")


def test_rows_that_a_filter_keeps_back_are_no_difference(world: World) -> None:
    only = (Condition("NAME", ("ours",)),)
    scope = Scope("items", "download", (ScopeTable(ITEM.name, "parent", only),), 0, 1, 11)
    world.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'ours', 1), (2, 'theirs', 1)""")
    world.provision((scope,))
    world.settle()
    assert rows(world.child, "ITEM", '"ID"') == [(1,)]
    assert compared(world)["ITEM"].found == []
    with untracked(world.child):
        world.child.execute("""UPDATE ax."ITEM" SET "PRICE" = 2""")
    assert found(compared(world)["ITEM"]) == [(1, "another image", "different")]
    world.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'ours' WHERE "ID" = 2""")
    assert [row[-1] for row in found(compared(world)["ITEM"])] == ["waiting", "waiting"]
