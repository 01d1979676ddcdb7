# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisioning a pair: the difference only, completed after a kill, refused where rows would be lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import offline_world as world
import pytest
from offline_world import ITEMS, PAYMENTS, PRICES, PROFILE, SALES, SHIFTS, Couple, insert, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._offline import pairs
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata, session
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair


@pytest.fixture
def opened(new_database) -> Iterator:
    """Return a function that opens a new database on a server."""
    databases = []

    def open_new(server):
        databases.append(world.connect(new_database(server)))
        return databases[-1]

    yield open_new
    for db in databases:
        db.close()


@pytest.fixture
def couple(opened, pg_pair) -> Couple:
    """A channel database with tables, and an empty offline database on another server."""
    store, register = pg_pair
    return Couple(opened(register), world.make_tables(opened(store)))


@pytest.fixture
def running(couple) -> Couple:
    """A pair that has been provisioned and has synchronised."""
    insert(couple.parent, PRICES, (1, 10), (2, 20))
    insert(couple.parent, ITEMS, ("A", "apple"))
    couple.provision()
    couple.synchronise()
    return couple


def test_a_new_pair_loads_and_moves_both_ways(couple):
    insert(couple.parent, PRICES, (1, 10), (2, 20))
    couple.provision()
    assert couple.synchronise() == 2
    assert rows(couple.child, PRICES) == rows(couple.parent, PRICES)

    insert(couple.child, SALES, ("T1", "HOUSTON", 5))
    insert(couple.child, PAYMENTS, ("T1", 1, 5))
    world.execute(couple.parent, 'UPDATE %s SET "AMOUNT" = 11 WHERE "RECID" = 1', PRICES)
    insert(couple.parent, SHIFTS, (7, 1))
    insert(couple.child, SHIFTS, (8, 1))
    couple.synchronise()
    for table in world.TABLES:
        assert rows(couple.child, table) == rows(couple.parent, table), table.name
    assert couple.pending == []


def test_a_second_run_changes_nothing_before_and_after_sessions(couple):
    assert couple.provision()
    assert couple.provision() == []
    insert(couple.parent, PRICES, (1, 10))
    couple.synchronise()
    assert couple.provision() == []


def test_rows_that_only_the_child_had_travel(couple):
    world.make_tables(couple.child)
    insert(couple.child, SALES, ("OLD", "HOUSTON", 3))
    insert(couple.child, SHIFTS, (1, 1))
    insert(couple.parent, SHIFTS, (2, 1))
    couple.provision()
    couple.synchronise()
    assert rows(couple.parent, SALES) == [("OLD", "HOUSTON", "3.0000000000000000")]
    assert [row[0] for row in rows(couple.parent, SHIFTS)] == ["1", "2"]
    assert rows(couple.child, SHIFTS) == rows(couple.parent, SHIFTS)


@pytest.mark.parametrize("options", [{}, {"scopes": (world.PRICES_DOWN,)}])
def test_a_run_killed_after_any_step_is_completed_by_the_next(couple, options):
    """One database pair is taken through it: each run gets one step further than it would need for the whole."""
    insert(couple.parent, PRICES, (1, 10))
    remaining = len(couple.plan(**options).plan.steps)
    while True:
        plan = couple.plan(**options).plan
        assert len(plan.steps) == remaining, plan.titles
        if not plan.steps:
            break
        couple.apply_first(plan, 1)
        remaining -= 1
    assert [peer.name for peer in metadata.read_peers(couple.parent)] == ["HOUSTON-000001"]
    assert couple.synchronise() == 1
    assert couple.provision(**options) == []


def test_the_plan_of_a_database_that_does_not_exist_equals_that_of_an_empty_one(couple):
    request = couple.request()
    absent = replace(request, child=replace(request.child, db=None))
    of_nothing, of_empty = pairs.plan_pair(absent).plan, pairs.plan_pair(request).plan
    assert of_nothing.titles == of_empty.titles
    assert of_nothing.diff() == of_empty.diff()


def test_the_diff_holds_no_random_values(couple):
    assert couple.plan().plan.diff() == couple.plan().plan.diff()


def test_two_registers_share_the_tracking_of_their_channel(running, opened, pg_pair):
    second = Couple(opened(pg_pair[1]), running.parent, world.HOUSTON_2)
    titles = second.provision()
    assert not [title for title in titles if title.endswith("in the channel database") and "tracking" in title]
    assert [peer.peer_id for peer in metadata.read_peers(running.parent)] == [1, 2]
    insert(running.child, SALES, ("T1", "HOUSTON", 5))
    insert(running.child, SHIFTS, (1, 1))
    running.synchronise()
    second.synchronise()
    assert rows(second.child, SHIFTS) == [("1", "1")]
    assert rows(second.child, PRICES) == rows(running.parent, PRICES)
    assert rows(second.child, SALES) == []


# ---- a changed profile


def test_a_table_added_to_a_download_scope_is_loaded_alone(running):
    bare = make_scope("1020 Prices", "download", [PRICES.name], 0, 1, 1020)
    running.provision((bare, *PROFILE[1:]))
    world.execute(running.child, "DELETE FROM %s", ITEMS)
    titles = running.provision()
    assert [title for title in titles if "Create table" in title] == []
    assert running.synchronise() == 1
    assert rows(running.child, ITEMS) == rows(running.parent, ITEMS)
    assert running.pending == []


def test_a_table_added_to_an_upload_scope_brings_its_rows(running):
    narrow = make_scope("P-0001", "upload", [SALES.name], 0, 2, 1)
    running.provision((PROFILE[0], narrow, PROFILE[2]))
    insert(running.child, SALES, ("T1", "HOUSTON", 5))
    insert(running.child, PAYMENTS, ("T1", 1, 5))
    running.synchronise()
    assert rows(running.parent, PAYMENTS) == []
    running.provision()
    running.synchronise()
    assert rows(running.parent, PAYMENTS) == rows(running.child, PAYMENTS) != []
    assert running.pending == []


def test_a_removed_scope_loses_its_rows_and_its_tracking_only(running):
    titles = running.provision(PROFILE[1:])
    assert all("1020 Prices" in title or "PRICEDISC" in title or "INVENT" in title for title in titles), titles
    for db, peer in ((running.child, 0), (running.parent, 1)):
        assert [scope.name for scope in world.scopes_of(db, peer)] == ["P-0001", "Shifts"]
        assert world.tracked(db) == {str(table.name) for table in (SALES, PAYMENTS, SHIFTS)}
    assert rows(running.child, PRICES) != []
    assert running.provision(PROFILE[1:]) == []


def test_tracking_stays_while_another_register_needs_it(running, opened, pg_pair):
    Couple(opened(pg_pair[1]), running.parent, world.HOUSTON_2).provision()
    running.provision(PROFILE[1:])
    assert str(PRICES.name) in world.tracked(running.parent)
    assert str(PRICES.name) not in world.tracked(running.child)


def test_a_scope_with_rows_that_wait_is_not_removed(running):
    insert(running.child, SALES, ("T1", "HOUSTON", 5), ("T2", "HOUSTON", 6))
    without = (PROFILE[0], PROFILE[2])
    with pytest.raises(RetailError, match="2 rows of the scope 'P-0001'"):
        running.plan(without)
    narrow = make_scope("P-0001", "upload", [PAYMENTS.name], 0, 2, 1)
    with pytest.raises(RetailError, match="RETAILTRANSACTIONTABLE"):
        running.plan((PROFILE[0], narrow, PROFILE[2]))
    running.synchronise()
    assert running.plan(without).plan.changed
    insert(running.child, SALES, ("T3", "HOUSTON", 6))
    running.provision(without, force=True)
    assert [scope.name for scope in world.scopes_of(running.child, 0)] == ["1020 Prices", "Shifts"]


def test_a_table_moves_between_scopes_without_a_second_load(running):
    """Its marks go with it, and so does what waits to go up."""
    insert(running.child, PAYMENTS, ("T1", 1, 5))
    running.synchronise()
    insert(running.child, PAYMENTS, ("T2", 1, 6))
    moved = (
        make_scope("1020 Prices", "download", [PRICES.name], 0, 1, 1020),
        make_scope("P-0001", "upload", [SALES.name], 0, 2, 1),
        make_scope("Shifts", "bidirectional", [SHIFTS.name, PAYMENTS.name], 0, 3, 3),
        make_scope("1040 Products", "download", [ITEMS.name], 0, 4, 1040),
    )
    running.provision(moved)
    running.synchronise()
    assert rows(running.parent, PAYMENTS) == rows(running.child, PAYMENTS)
    assert len(rows(running.parent, PAYMENTS)) == 2
    insert(running.parent, ITEMS, ("B", "banana"))
    assert running.synchronise() == 1
    assert running.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 0
    assert running.provision(moved) == []


def test_a_scope_becomes_bidirectional(running):
    insert(running.parent, SALES, ("HQ", "HOUSTON", 1))
    both = make_scope("P-0001", "bidirectional", [SALES.name, PAYMENTS.name], 0, 2, 1)
    insert(running.child, SALES, ("T1", "HOUSTON", 5))
    running.provision((PROFILE[0], both, PROFILE[2]))
    running.synchronise()
    assert [row[0] for row in rows(running.child, SALES)] == ["HQ", "T1"]
    assert rows(running.parent, SALES) == rows(running.child, SALES)


def test_a_changed_frequency_is_one_step_on_each_side(running):
    faster = (replace(PROFILE[0], frequency=30), *PROFILE[1:])
    assert running.provision(faster) == [
        "Change the scope '1020 Prices' of HOUSTON-000001 in the channel database",
        "Change the scope '1020 Prices' in the offline database",
    ]
    assert world.scopes_of(running.child, 0)[0].frequency == 30


@pytest.mark.parametrize("kill_after", range(6))
def test_a_changed_profile_killed_after_any_step(running, kill_after):
    """A table comes, one goes, one moves; a session runs after the kill, as the service would."""
    insert(running.child, PAYMENTS, ("T1", 1, 5))
    running.synchronise()
    changed = (
        make_scope("1020 Prices", "download", [PRICES.name], 0, 1, 1020),
        make_scope("P-0001", "upload", [SALES.name], 0, 2, 1),
        make_scope("Shifts", "bidirectional", [SHIFTS.name, PAYMENTS.name], 0, 3, 3),
    )
    plan = running.plan(changed).plan
    assert len(plan.steps) > kill_after
    running.apply_first(plan, kill_after)
    insert(running.child, PAYMENTS, ("T2", 1, 5))
    insert(running.child, SALES, ("T2", "HOUSTON", 5))
    running.synchronise()
    running.provision(changed)
    running.synchronise()
    assert rows(running.parent, PAYMENTS) == rows(running.child, PAYMENTS)
    assert rows(running.parent, SALES) == rows(running.child, SALES)
    assert running.provision(changed) == []
    assert running.pending == []


def test_new_columns_of_the_parent_come_to_the_child(running):
    running.parent.execute('ALTER TABLE ax."INVENTTABLE" ADD COLUMN "PARTNER_COLOUR" character varying(10)')
    assert running.provision() == ["Add column PARTNER_COLOUR to ax.INVENTTABLE in the offline database"]
    world.execute(running.parent, "UPDATE %s SET \"PARTNER_COLOUR\" = 'red'", ITEMS)
    running.synchronise()
    assert running.child.value('SELECT "PARTNER_COLOUR" FROM ax."INVENTTABLE"') == "red"


def test_a_missing_trigger_is_repaired_and_what_it_missed_travels(running):
    running.child.execute('ALTER TABLE ax."RETAILTRANSACTIONTABLE" DISABLE TRIGGER USER')
    insert(running.child, SALES, ("UNSEEN", "HOUSTON", 5))
    running.child.execute('DROP TRIGGER "RETAILTRANSACTIONTABLE_insert_trigger" ON ax."RETAILTRANSACTIONTABLE"')
    titles = running.provision()
    assert titles == ["Repair the change tracking of ax.RETAILTRANSACTIONTABLE in the offline database"]
    running.synchronise()
    assert [row[0] for row in rows(running.parent, SALES)] == ["UNSEEN"]


def test_a_session_that_does_not_know_the_new_table_yet_leaves_it_to_the_next(running):
    """The service read its scopes before the profile was changed."""
    bare = make_scope("1020 Prices", "download", [PRICES.name], 0, 1, 1020)
    narrow = make_scope("P-0001", "upload", [SALES.name], 0, 2, 1)
    running.provision((bare, narrow, PROFILE[2]))
    world.execute(running.child, "DELETE FROM %s", ITEMS)
    insert(running.child, PAYMENTS, ("T1", 1, 5))
    behind = Pair(running.child, running.parent)
    behind.preload(behind.scopes)
    running.provision()
    insert(running.parent, PRICES, (3, 30))
    insert(running.child, SALES, ("T1", "HOUSTON", 5))
    for scope in behind.scopes:
        session.run(behind, scope)
    running.synchronise()
    for table in (PRICES, ITEMS, SALES, PAYMENTS):
        assert rows(running.child, table) == rows(running.parent, table) != [], table.name
    assert running.pending == []


# ---- who is who


def test_a_database_of_another_register_is_refused(running):
    for identity in (world.HOUSTON_2, pairs.Identity("BOSTON-000001", "BOSTON", "000001")):
        with pytest.raises(RetailError, match="store 'HOUSTON', register '000001', not of"):
            Couple(running.child, running.parent, identity, reprovision=True).plan()


def test_a_new_database_for_a_known_register_takes_reprovision(running, opened, pg_pair):
    insert(running.child, SALES, ("T1", "HOUSTON", 5))
    insert(running.child, SHIFTS, (1, 1))
    running.synchronise()
    fresh = Couple(opened(pg_pair[1]), running.parent)
    with pytest.raises(RetailError, match=r"knows HOUSTON-000001 already \(as number 1\)") as refused:
        fresh.plan()
    assert "reprovision" in refused.value.advice
    fresh.provision(reprovision=True)
    assert [(peer.peer_id, peer.name) for peer in metadata.read_peers(running.parent)] == [(2, "HOUSTON-000001")]
    assert world.scopes_of(running.parent, 1) == []
    fresh.synchronise()
    assert rows(fresh.child, SHIFTS) == rows(running.parent, SHIFTS) == [("1", "1")]
    assert fresh.provision(reprovision=True) == []


def test_a_restored_register_is_noticed_and_begun_anew(running):
    """The offline database goes back to an earlier state: its sessions no longer continue the channel's."""
    before = running.child.query("SELECT sync_scope_name, session_token, previous_token FROM dbo.scope_info")
    insert(running.child, SALES, ("T1", "HOUSTON", 5))
    running.synchronise()
    insert(running.child, SALES, ("T2", "HOUSTON", 5))
    running.synchronise()
    for name, token, previous in before:
        running.child.execute(
            "UPDATE dbo.scope_info SET session_token = ?, previous_token = ? WHERE sync_scope_name = ?",
            token, previous, name,
        )  # fmt: skip
    with pytest.raises(RetailError, match="do not continue each other"):
        running.plan()
    running.provision(reprovision=True)
    insert(running.child, SALES, ("T3", "HOUSTON", 5))
    running.synchronise()
    assert rows(running.parent, SALES) == rows(running.child, SALES)
    assert len(rows(running.parent, SALES)) == 3
    assert running.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 0


def test_a_channel_database_made_anew_is_noticed(running, opened, pg_pair):
    other = Couple(running.child, world.make_tables(opened(pg_pair[0])))
    with pytest.raises(RetailError, match="provisioned against another database"):
        other.plan()
    insert(running.child, SALES, ("T1", "HOUSTON", 5))
    other.provision(reprovision=True)
    other.synchronise()
    assert rows(other.parent, SALES) == rows(running.child, SALES) != []


@pytest.mark.parametrize("left", [8, 7, 6, 5, 1])
def test_reprovisioning_killed_after_any_step(running, opened, pg_pair, left):
    """left: how many steps are not done, from the one on that says whose child the new database is."""
    fresh, fresh_start = Couple(opened(pg_pair[1]), running.parent), {"reprovision": True}
    plan = fresh.plan(**fresh_start).plan
    assert plan.titles[-8].startswith("Make the offline database a child of")
    fresh.apply_first(plan, len(plan.steps) - left)
    fresh.provision(**fresh_start)
    insert(fresh.child, SALES, ("T1", "HOUSTON", 5))
    fresh.synchronise()
    assert rows(fresh.parent, SALES) == rows(fresh.child, SALES) != []
    assert rows(fresh.parent, PRICES) == rows(fresh.child, PRICES)
    assert len(metadata.read_peers(fresh.parent)) == 1
    assert fresh.provision(**fresh_start) == []


def test_one_database_cannot_be_both(couple):
    with pytest.raises(RetailError, match="the same database"):
        Couple(couple.parent, couple.parent).plan()


# ---- what cannot be


def test_microsofts_objects_are_left_untouched(couple):
    couple.parent.execute("CREATE TABLE dbo.scope_info (sync_scope_name text PRIMARY KEY, scope_sync_knowledge bytea)")
    with pytest.raises(RetailError, match="Microsoft Sync Framework"):
        couple.plan()
    couple.parent.execute("DROP TABLE dbo.scope_info")
    couple.parent.execute('CREATE TABLE ax."INVENTTABLE_tracking" ("ITEMID" text PRIMARY KEY)')
    with pytest.raises(RetailError, match="INVENTTABLE_tracking which is not ours"):
        couple.plan()


def test_tables_that_cannot_synchronise_are_named(couple):
    couple.parent.execute('CREATE TABLE ax."NOKEY" (a int)')
    couple.parent.execute('CREATE TABLE ax."COUNTED" ("N" int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)')
    for name, message in (("NOKEY", "no primary key"), ("COUNTED", "the column N"), ("GONE", "does not have")):
        scope = make_scope("X", "download", [world.TableName("ax", name)])
        with pytest.raises(RetailError, match=f"ax.{name}.*{message}|{message}.*ax.{name}|{name}.*{message}"):
            couple.plan((scope,))
    twice = (PROFILE[0], make_scope("Y", "upload", [PRICES.name]))
    with pytest.raises(RetailError, match="PRICEDISCTABLE stands in the scopes '1020 Prices' and 'Y'"):
        couple.plan(twice)


def test_a_child_that_makes_its_own_tables_must_have_them(couple):
    with pytest.raises(RetailError, match=r"no table ax\.PRICEDISCTABLE and 4 more"):
        couple.plan(create_tables=False)


# ---- together


def test_registers_provisioned_at_once_get_numbers_of_their_own(couple, opened, pg_pair, new_database):
    """Three runs against one channel database, each with connections of its own."""
    facts = [new_database(pg_pair[1]) for _number in range(3)]
    target = couple.parent.target
    failures: list[Exception] = []

    def run(number: int) -> None:
        try:
            with world.connect(facts[number]) as child, world._engine.connect(target) as parent:
                one = Couple(child, parent, pairs.Identity(f"HOUSTON-{number}", "HOUSTON", str(number)))
                with pairs.planned(one.request(), check_mode=False, timeout=60) as result:
                    result.plan.apply(one.open)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    peers = metadata.read_peers(couple.parent)
    assert sorted(peer.peer_id for peer in peers) == [1, 2, 3]
    assert all(len(world.scopes_of(couple.parent, peer.peer_id)) == 3 for peer in peers)
    assert len(world.tracked(couple.parent)) == len(world.TABLES)


def test_a_changed_scope_waits_for_its_session(running):
    faster = (replace(PROFILE[0], frequency=30), *PROFILE[1:])
    guid = metadata.read_peers(running.child)[0].guid
    with world._engine.connect(running.parent.target) as other:
        with other.engine.locks.held(other, f"axops.retail:{guid}:1020 Prices") as taken:
            assert taken
            busy = pairs.planned(running.request(faster), check_mode=False, timeout=0.5)
            with pytest.raises(RetailError, match="A session of the scope '1020 Prices' is running"), busy:
                pass
            with pairs.planned(running.request(), check_mode=False, timeout=0.5) as nothing:
                assert not nothing.plan.changed
        with pairs.planned(running.request(faster), check_mode=False, timeout=5) as result:
            assert len(result.plan.steps) == 2
