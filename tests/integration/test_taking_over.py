# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store that Microsoft's utility has provisioned: left alone until somebody says to take it over, and then without a loss.

Each test runs on PostgreSQL with a stand-in of Sync Framework's objects, and on the SQL Server that RETAIL_TEST_MSSQL names with
objects of its own form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import mssql_world
import offline_world as world
import pytest
import vendor_store
from offline_world import HOUSTON_2, ITEMS, PAYMENTS, PRICES, PROFILE, SALES, SHIFTS, TABLES, Couple

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._framework import base_of, event_of, table_of_routine
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import PairPlan, Place, Request, plan_pair
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata, overview

SCOPES = {"1020 Prices": [PRICES, ITEMS], "P-0001": [SALES, PAYMENTS], "Shifts": [SHIFTS]}


class Store(Couple):
    """A register and its channel database; ``take_over`` as the module's option says."""

    take_over = False

    def request(self, scopes: Any = PROFILE, **options: Any) -> Request:
        request = super().request(scopes, **options)
        places = {
            side: Place(place.key, place.title, db.engine, db, take_over=self.take_over)
            for side, place, db in (("child", request.child, self.child), ("parent", request.parent, self.parent))
        }
        return replace(request, **places)

    def plan(self, scopes: Any = PROFILE, **options: Any) -> PairPlan:
        return plan_pair(self.request(scopes, **options))

    def taken(self, **options: Any) -> list[str]:
        self.take_over = True
        return self.provision(**options)


def run(db: Any, sql: str, *values: Any) -> None:
    mssql_world.run(db, sql, *values)


def count(db: Any, table: Table) -> int:
    return db.value("SELECT count(*) FROM %s" % db.engine.names.quote(*table.name))


def sale(db: Any, number: str, amount: int = 1) -> None:
    run(db, "INSERT INTO {ax.RETAILTRANSACTIONTABLE} VALUES (?, 'HOUSTON', ?)", number, amount)


def shift(db: Any, number: int, status: int = 0) -> None:
    run(db, "INSERT INTO {ax.RETAILPOSBATCHTABLE} VALUES (?, ?)", number, status)


@contextlib.contextmanager
def on_postgresql(request: Any) -> Iterator[list[Any]]:
    new, first, second = (request.getfixturevalue(name) for name in ("new_database", "pg_server", "pg_other_server"))
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(world.connect(new(server))) for server in (first, second)]


@contextlib.contextmanager
def on_mssql(_request: Any) -> Iterator[list[Any]]:
    with mssql_world.fresh() as one, mssql_world.fresh() as other:
        yield [one, other]


@pytest.fixture(params=["postgresql", pytest.param("mssql", marks=mssql_world.needs_server)])
def store(request: Any) -> Iterator[Store]:
    """A register in step with its store, by Microsoft's service: the same sale and shift on both sides."""
    with {"postgresql": on_postgresql, "mssql": on_mssql}[request.param](request) as (child, parent):
        for db in (child, parent):
            mssql_world.make_schemas(db)
            for table in TABLES:
                for statement in db.engine.tables.create(table):
                    db.execute(statement)
            vendor_store.provision(db, SCOPES)
            sale(db, "T1")
            shift(db, 1)
        vendor_store.arrive(parent, SALES, "1 = 1")
        sale(parent, "T1 of another register")
        yield Store(child, parent)


def snapshot(db: Any) -> tuple[list[str], int, int]:
    return vendor_store.objects(db), count(db, SALES), count(db, SHIFTS)


# ---- without being asked


def test_it_is_recognised_as_whole(store: Store) -> None:
    document = overview.read(store.parent, 10, True)
    found = document["sync_framework"]
    assert document["provisioned_by"] == "microsoft_sync_framework" and document["peers"] == []
    assert found["scopes"] == ["1020 Prices", "P-0001", "Shifts"]
    assert found["tables"] == sorted(str(table.name) for table in TABLES)
    assert found["tracking_tables"] == sorted(str(table.name) + "_tracking" for table in TABLES)
    assert found["complete"] and not found["missing_triggers"] and not found["missing_tracking"]
    assert document["tracking"]["count"] == 0, "the triggers have our names, and are not ours"


def test_what_is_missing_of_it_is_named(store: Store) -> None:
    child = store.child
    drop = "DROP TRIGGER {ax.INVENTTABLE_update_trigger}"
    if child.target.engine == "postgresql":
        drop = 'DROP TRIGGER "INVENTTABLE_update_trigger" ON ax."INVENTTABLE"'
    run(child, drop)
    run(child, "DROP TABLE {ax.PRICEDISCTABLE_tracking}")
    run(child, "UPDATE {dbo.scope_config} SET scope_status = 'P'")
    found = overview.read(child, 0, False)["sync_framework"]
    assert not found["complete"]
    assert found["missing_triggers"] == {"ax.INVENTTABLE": ["update"]}
    assert found["missing_tracking"] == ["ax.PRICEDISCTABLE"]
    assert found["unfinished_scopes"] == ["1020 Prices", "P-0001", "Shifts"]


def test_nobody_touches_it_without_being_asked(store: Store) -> None:
    before = snapshot(store.child), snapshot(store.parent)
    for options in ({}, {"reprovision": True}, {"force": True}):
        with pytest.raises(RetailError, match="Microsoft Sync Framework") as refusal:
            store.provision(**options)
        assert "take_over" in refusal.value.advice
    assert (snapshot(store.child), snapshot(store.parent)) == before


# ---- what has not been uploaded


def refused(store: Store) -> str:
    before = snapshot(store.child), snapshot(store.parent)
    with pytest.raises(RetailError) as refusal:
        store.taken()
    assert (snapshot(store.child), snapshot(store.parent)) == before, "nothing is half-taken"
    return str(refusal.value)


def test_a_sale_that_is_missing_at_the_store(store: Store) -> None:
    sale(store.child, "T2")
    sale(store.child, "T3")
    assert "ax.RETAILTRANSACTIONTABLE: 2 missing" in refused(store)


def test_a_sale_that_was_changed_after_it_went_up(store: Store) -> None:
    run(store.child, "UPDATE {ax.RETAILTRANSACTIONTABLE} SET {GROSSAMOUNT} = 7".replace("{GROSSAMOUNT}", amount(store)))
    assert "ax.RETAILTRANSACTIONTABLE: 1 different" in refused(store)


def amount(store: Store) -> str:
    return store.child.engine.names.quote("GROSSAMOUNT")


def test_a_shift_that_was_changed_or_deleted_at_the_register(store: Store) -> None:
    for db in (store.child, store.parent):
        shift(db, 2)
    quote = store.child.engine.names.quote
    run(store.child, "UPDATE {ax.RETAILPOSBATCHTABLE} SET %s = 1 WHERE %s = 1" % (quote("STATUS"), quote("BATCHID")))
    run(store.child, "DELETE FROM {ax.RETAILPOSBATCHTABLE} WHERE %s = 2" % quote("BATCHID"))
    assert "ax.RETAILPOSBATCHTABLE: 1 different, 1 deleted" in refused(store)


def test_the_service_has_to_be_stopped_before(store: Store) -> None:
    target = replace(store.child.target, application_name=vendor_store.SERVICE)
    if store.child.engine.framework.connected(store.child, store.child.target.application_name) == []:
        with world._engine.connect(replace(store.child.target, application_name="probe")):
            if not store.child.engine.framework.connected(store.child, "probe"):
                pytest.skip("this server does not tell in which database a session is")
    with world._engine.connect(target):
        assert "Microsoft's service is connected" in refused(store)
    assert store.taken()


# ---- and what has


def test_a_store_is_taken_over(store: Store) -> None:
    titles = store.taken()
    assert titles[0] == "Remove the scopes of Microsoft Sync Framework from the channel database"
    assert (
        "Replace the change tracking of Microsoft Sync Framework of ax.RETAILTRANSACTIONTABLE in the offline database"
        in titles
    )
    for db in (store.child, store.parent):
        assert world_tracked(db) == {str(table.name) for table in TABLES}
        assert overview.read(db, 0, False)["sync_framework"] is None
        left = set(vendor_store.objects(db)) - {"scope_info"}
        assert {name for name in left if not name.endswith(("_tracking", "_trigger"))} == set()
    assert store.provision() == []
    sale(store.child, "T2")
    store.synchronise()
    assert count(store.parent, SALES) == 3 and count(store.child, SALES) == 2
    assert count(store.parent, SHIFTS) == count(store.child, SHIFTS) == 1
    conflicts = "SELECT count(*) FROM %s" % store.parent.engine.names.quote(*metadata.CONFLICT)
    assert store.parent.value(conflicts) == store.child.value(conflicts) == 0


def world_tracked(db: Any) -> set[str]:
    wanted = set(db.engine.tracking.TRIGGERS)
    return {str(name) for name, events in db.engine.tracking.read(db).items() if set(events) == wanted}


def test_what_the_store_has_changed_meanwhile_is_no_obstacle(store: Store) -> None:
    """A shift came down, the store closed it, and Microsoft's service has not brought that down yet."""
    vendor_store.arrive(store.child, SHIFTS, "1 = 1")
    run(store.parent, "UPDATE {ax.RETAILPOSBATCHTABLE} SET %s = 1" % store.parent.engine.names.quote("STATUS"))
    shift(store.parent, 5)
    quote = store.child.engine.names.quote
    run(store.child, "DELETE FROM {ax.RETAILTRANSACTIONTABLE} WHERE %s = 'T1'" % quote("TRANSACTIONID"))
    store.taken()  # an old sale that the POS has purged is no deletion that goes up
    store.synchronise()
    assert count(store.child, SHIFTS) == 2 and count(store.parent, SALES) == 2
    status = "SELECT min(%s) FROM %s WHERE %s = 1" % (quote("STATUS"), quote(*SHIFTS.name), quote("BATCHID"))
    assert store.child.value(status) == 1


def test_with_force_the_first_session_uploads_what_was_left(store: Store) -> None:
    sale(store.child, "T2", 5)
    sale(store.child, "T3", 6)
    store.taken(force=True)
    store.synchronise()
    assert count(store.parent, SALES) == 4


def test_tables_outside_of_the_profile_are_freed(store: Store) -> None:
    store.take_over = True
    titles = store.provision([PROFILE[1]])
    assert (
        "Remove the change tracking of Microsoft Sync Framework of ax.INVENTTABLE from the offline database" in titles
    )
    for db in (store.child, store.parent):
        assert world_tracked(db) == {str(SALES.name), str(PAYMENTS.name)}
        assert overview.read(db, 0, False)["sync_framework"] is None


def test_a_second_register_is_taken_over_when_the_store_is_ours(store: Store, request: Any) -> None:
    makes = on_postgresql if store.child.target.engine == "postgresql" else on_mssql
    store.taken()
    store.synchronise()
    with makes(request) as (late, _unused):
        mssql_world.make_schemas(late)
        for table in TABLES:
            for statement in late.engine.tables.create(table):
                late.execute(statement)
        vendor_store.provision(late, SCOPES)
        shift(late, 1, 3)
        sale(late, "T1 of another register")
        sale(late, "T9")
        other = Store(late, store.parent, HOUSTON_2)
        assert "RETAILPOSBATCHTABLE: 1 different)" in refused(other)
        run(late, "UPDATE {ax.RETAILPOSBATCHTABLE} SET %s = 0" % late.engine.names.quote("STATUS"))
        other.taken()  # nobody but us can upload the sale
        other.synchronise()
        assert count(store.parent, SALES) == 3
    assert store.provision() == []


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_cut_off_at_any_step_it_goes_on(store: Store, request: Any) -> None:
    """The next run completes it; one that is not told to take over leaves what is left alone."""
    store.take_over = True
    steps = len(store.plan().plan.steps)
    assert steps > 10
    done = 0
    while True:
        plan = store.plan().plan
        if not plan.steps:
            break
        Plan(plan.steps[:1]).apply(store.open)
        done += 1
        assert done <= 2 * steps
        store.take_over = False
        left = store.plan().plan.steps if overview.read(store.child, 0, False)["sync_framework"] is None else None
        if left is None:
            with pytest.raises(RetailError, match="Microsoft Sync Framework"):
                store.plan()
        store.take_over = True
    for db in (store.child, store.parent):
        assert overview.read(db, 0, False)["sync_framework"] is None
    sale(store.child, "T2")
    store.synchronise()
    assert count(store.parent, SALES) == 3


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_sale_between_two_runs_is_uploaded(store: Store) -> None:
    """Cut off in the midst; the till sells, pays and corrects what it sold; then the rest is done."""
    store.take_over = True
    for done in (1, 4, 3):
        store.apply_first(store.plan().plan, done)
        sale(store.child, "N%d" % done)
    titles = store.taken()
    assert titles
    store.synchronise()
    assert count(store.parent, SALES) == 5


# ---- names


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("CUSTTABLE_selectchanges", "CUSTTABLE"),
        ("CUSTTABLE_selectchanges_6f9619ff-8b86-d011-b42d-00cf4fc964ff", "CUSTTABLE"),
        ("MY_insert_deletemetadata", "MY_insert"),
        ("CUSTTABLE_BULKINSERT", "CUSTTABLE"),
        ("CUSTTABLE_insertrow", ""),
        ("GETCUSTOMER", ""),
        ("_insert", ""),
    ],
)
def test_which_table_a_procedure_is_for(name: str, table: str) -> None:
    assert table_of_routine(name) == table


def test_which_event_a_trigger_is_for() -> None:
    assert event_of("custtable_update_trigger", "CUSTTABLE") == "update"
    assert event_of("CUSTTABLE_audit_trigger", "CUSTTABLE") == ""


def test_a_tracking_table_in_another_schema_finds_its_table() -> None:
    tables = [TableName("ax", "CUSTTABLE"), TableName("dbo", "OTHER")]
    assert base_of(TableName("sync", "CUSTTABLE_tracking"), tables) == TableName("ax", "CUSTTABLE")
    assert base_of(TableName("ax", "CUSTTABLE_tracking"), tables) == TableName("ax", "CUSTTABLE")
    assert base_of(TableName("ax", "GONE_tracking"), tables) == TableName("ax", "GONE")
