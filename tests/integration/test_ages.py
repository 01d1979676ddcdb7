# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is old is counted and not read off a clock: one that jumps deletes nothing, and keeps nothing for ever."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import mssql_world as world
import pytest
from elapsed import jump, let_pass, pass_hours
from offline_world import target
from service_hosts import until

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._rights import Securable
from ansible_collections.axops.retail.plugins.module_utils._sync import ages, cleanup, retention, status, upkeep
from ansible_collections.axops.retail.plugins.module_utils._sync.cleanup import Keep
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

ITEM = world.table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(20)")
SALE = world.table("SALE", "ID", ID="bigint not null", AMOUNT="int")
SCOPES = (world.scope("items", "download", ITEM), world.scope("sales", "upload", SALE, winner="child"))
YEAR, HOUR = 365 * 24, 1


@pytest.fixture(params=["postgresql", pytest.param("mssql", marks=world.needs_server)])
def pair(request: pytest.FixtureRequest, new_database: Callable[..., Any]) -> Iterator[Pair]:
    """A register with a sale that its store has, an item that is deleted on both sides, and a conflict on each."""
    databases: list[Database] = []
    with ExitStack() as stack:
        for server in ("pg_server", "pg_other_server"):
            if request.param == "mssql":
                db = stack.enter_context(world.fresh())
            else:
                facts = new_database(request.getfixturevalue(server))
                db = world.make_schemas(stack.enter_context(_engine.connect(target(facts))))
            world.make(db, (ITEM, SALE))
            databases.append(db)
        child, parent = databases
        made = world.paired(child, parent, SCOPES)
        world.run(child, "INSERT INTO {ax.SALE} VALUES (1, 1)")
        world.run(parent, "INSERT INTO {ax.ITEM} VALUES (1, 'a')")
        world.synchronise(made)
        world.run(parent, "DELETE FROM {ax.ITEM}")
        world.synchronise(made)
        for db in (child, parent):
            conflict(db)
        yield made


def conflict(db: Database, occurred: str = "") -> None:
    stamp = "'%s'" % occurred if occurred else db.engine.tracking.NOW
    world.run(
        db,
        "INSERT INTO {dbo.sync_conflict} (occurred, peer_id, sync_scope_name, table_name, row_key, kind, winner) "
        "VALUES (%s, 0, 'items', 'ax.ITEM', '[1]', 'update/update', 'parent')" % stamp,
    )


def has(pair: Pair) -> dict[str, int]:
    """What could be deleted with age."""
    counts = {
        "sales": (pair.child, "SELECT COUNT(*) FROM {ax.SALE}"),
        "deletions": (pair.parent, "SELECT COUNT(*) FROM {ax.ITEM_tracking} WHERE sync_row_is_tombstone <> 0"),
        "conflicts at the child": (pair.child, "SELECT COUNT(*) FROM {dbo.sync_conflict}"),
        "conflicts at the parent": (pair.parent, "SELECT COUNT(*) FROM {dbo.sync_conflict}"),
    }
    return {name: world.rows(db, sql)[0][0] for name, (db, sql) in counts.items()}


ALL = {"sales": 1, "deletions": 1, "conflicts at the child": 1, "conflicts at the parent": 1}
NONE = dict.fromkeys(ALL, 0)


def clean(pair: Pair) -> None:
    """What ``retail-sync clean`` does, and the service now and then."""
    retention.run(pair, "sales", retention.Rule(90, ("ID",)))
    for db in (pair.child, pair.parent):
        done = cleanup.run(db, Keep())
        assert done is not None and done.finished


@pytest.mark.parametrize("jumps", [(YEAR,), (-HOUR,), (YEAR, -YEAR), (-HOUR, HOUR, YEAR, -YEAR, YEAR)], ids=str)
def test_a_clock_that_jumps_deletes_nothing_and_keeps_nothing_for_ever(pair: Pair, jumps: tuple[int, ...]) -> None:
    clean(pair)
    for hours in jumps:
        for db in (pair.child, pair.parent):
            jump(db, hours)
        clean(pair)
        assert has(pair) == ALL
    for db in (pair.child, pair.parent):
        let_pass(db, 366)
        # The day has come at which the conflicts' own times are over, too.
        world.run(db, "UPDATE {dbo.sync_conflict} SET occurred = '2020-01-01T00:00:00'")
    clean(pair)
    assert has(pair) == NONE


@pytest.mark.parametrize("stamp", ["1970-01-01T00:00:00", "2099-01-01T00:00:00"])
def test_what_a_clock_said_that_was_wrong_from_the_start_deletes_nothing_and_keeps_nothing_for_ever(
    pair: Pair, stamp: str
) -> None:
    """The battery of the till was empty when these were written."""
    clean(pair)
    world.run(pair.child, "UPDATE {ax.SALE_tracking} SET last_change_datetime = '%s'" % stamp)
    world.run(pair.parent, "UPDATE {ax.ITEM_tracking} SET last_change_datetime = '%s'" % stamp)
    world.synchronise(pair)
    for db in (pair.child, pair.parent):
        world.run(db, "UPDATE {dbo.sync_conflict} SET occurred = '%s'" % stamp)
    clean(pair)
    assert has(pair) == ALL
    for db in (pair.child, pair.parent):
        let_pass(db, 366)
    clean(pair)
    assert has(pair) == NONE


def _pass_hours_and_jump(db: Database, hours: float) -> None:
    pass_hours(db, hours)
    _jump_unseen(db, 0.08)


def _jump_unseen(db: Database, hours: float) -> None:
    """What the process has found stays what it was."""
    looked = ages._looked[db.target.where]
    jump(db, hours)
    ages._looked[db.target.where] = replace(looked, seen=ages.read(db).seen)


def test_a_jump_after_anothers_look_counts_nothing(pair: Pair) -> None:
    """A process that looks every ten seconds, another one that counts, and a clock that goes forward by less than what is too soon for
    a look to write anything."""
    db = pair.child
    start = ages.look(db)
    for _time in range(40):
        with pytest.MonkeyPatch.context() as other:
            other.setattr(ages, "_looked", {})
            ages._count(db)
        jump(db, 290 / 3600)
        ages.look(db)
        _jump_unseen(db, 20 / 3600)
        assert ages.look(db) - start < 60


def test_time_is_counted_as_far_as_it_can_be_believed(pair: Pair) -> None:
    db = pair.child
    start = ages.look(db)
    for step, hours, counted in (
        (pass_hours, 7, 7),
        (jump, 25, 7),
        (jump, -3, 7),
        (jump, 0.5, 7),
        (jump, 24 * 400, 7),
        (pass_hours, 30, 37),
        (_pass_hours_and_jump, 0.1, 37.1),
    ):
        step(db, hours)
        assert (ages.look(db) - start) / 3600 == pytest.approx(counted, abs=0.05)
    before = ages.read(db)
    assert ages.look(db) == before.seconds
    assert ages.read(db) == before, "so soon afterwards nothing is written"


@pytest.mark.parametrize(("hours", "counted"), [(0.9, 0.9), (2, 0)])
def test_of_the_time_before_a_process_began_to_look_an_hour_is_believed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, hours: float, counted: float
) -> None:
    start = ages.look(pair.child)
    monkeypatch.setattr(ages, "_looked", {})
    jump(pair.child, hours)
    assert (ages.look(pair.child) - start) / 3600 == pytest.approx(counted, abs=0.05)


@pytest.mark.parametrize("hours", [23.5, 1, 0.25, 0.08], ids=lambda hours: "%g hours" % hours)
@pytest.mark.parametrize("back", [True, False], ids=["to and fro", "ever on"])
def test_a_clock_that_jumps_again_and_again_makes_nothing_old(pair: Pair, hours: float, back: bool) -> None:
    """In steps that are each shorter than a day, as one does that takes local time for universal time now and then."""
    clean(pair)
    for db in (pair.child, pair.parent):
        for _time in range(60):
            for step in (hours, -hours) if back else (hours, hours):
                jump(db, step)
                assert ages._count(db) < 60
    clean(pair)
    assert has(pair) == ALL


def test_a_conflict_is_kept_although_its_number_was_given_before(pair: Pair) -> None:
    """Somebody has emptied the table, and its numbers begin anew."""
    let_pass(pair.child, 366)
    clean(pair)
    assert has(pair)["conflicts at the child"] == 1, "by its own time it is young"


def test_a_database_put_on_another_server_has_no_age_there(pair: Pair) -> None:
    """Its versions begin anew: what is written there is not old since older versions were higher."""
    db = pair.child
    let_pass(db, 366)
    assert ages.older_than(db, 300) is not None
    said = json.loads(world.rows(db, "SELECT said FROM {dbo.sync_upkeep} WHERE task = 'age'")[0][0])
    with db.transaction():
        ages.put(db, "age", {**said, "incarnation": "another"})
    pass_hours(db, HOUR)
    ages.look(db)
    assert ages.older_than(db, 300) is None
    assert len(world.rows(db, "SELECT 1 FROM {dbo.sync_upkeep} WHERE task LIKE 'age 0%'")) == 1
    assert ages.read(db).seconds > said["seconds"], "what was counted stays"


def test_a_child_is_away_for_as_long_as_the_others_look(pair: Pair) -> None:
    """Not for as long as a clock says: nobody is stale after a jump, whichever way."""
    cleanup.run(pair.parent, Keep())
    for hours in (YEAR, -YEAR, YEAR):
        jump(pair.parent, hours)
        cleaned = cleanup.run(pair.parent, Keep())
        assert cleaned is not None and cleaned.stale == []
    for _day in range(31):
        pass_hours(pair.parent, 24 * HOUR)
        cleaned = cleanup.run(pair.parent, Keep())
    assert cleaned is not None and len(cleaned.stale) == 1


# ---- a transaction that stays open, and an account that may not see the sessions of others


@pytest.fixture
def narrow(pair: Pair) -> Iterator[Pair]:
    """The pair as the service's own account has it at the child: it reads and writes the tables, and that is all."""
    db, name, password = pair.child, "axops_%s" % secrets.token_hex(5), "Aa1!" + secrets.token_hex(12)
    access, is_sql_server = db.engine.access, db.engine is world.ENGINE
    rights = frozenset({"select", "insert", "update", "delete"})
    try:
        if is_sql_server:
            for statement in (
                *access.create_login(name, password),
                *access.create_user(name),
                *access.grant(name, rights, [Securable("schema", schema) for schema in ("ax", "dbo")]),
            ):
                db.execute(statement)
        else:
            for statement in (
                "CREATE ROLE {0} LOGIN PASSWORD '{1}'",
                "GRANT USAGE ON SCHEMA ax, dbo TO {0}",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ax, dbo TO {0}",
                "GRANT EXECUTE ON FUNCTION pg_control_system() TO {0}",
            ):
                db.execute(statement.format(name, password))
        with _engine.connect(replace(db.target, user=name, password=password)) as child:
            yield Pair(child, pair.parent)
    finally:
        if is_sql_server:
            # What has been closed may linger there for a moment, and a login that is in use cannot be dropped.
            still = "SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE login_name = ?"
            until(lambda: not db.value(still, name), "it is logged in no more")
        for statement in access.drop_login(name) if is_sql_server else ("DROP OWNED BY " + name, "DROP ROLE " + name):
            db.execute(statement)


def test_the_services_own_account_tells_for_how_long_a_transaction_has_been_open(
    pair: Pair, narrow: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    db, fine = narrow.child, {"reachable": True, "oldest_transaction_seconds": 0.0, "oldest_transaction": None}

    def problems() -> list[str]:
        facts = {"reachable": True, "oldest_transaction_seconds": status.open_seconds(db)}
        return status._held_back({"child": {**facts, "oldest_transaction": db.engine.marks.holder(db)}, "parent": fine})

    until(lambda: problems() == [], "nothing is open")
    upkeep.look(narrow, "R1")
    with _engine.connect(pair.child.target) as idler:
        with idler.transaction():
            world.run(idler, "INSERT INTO {ax.SALE} VALUES (2, 2)")
            world.run(pair.child, "INSERT INTO {ax.SALE} VALUES (3, 3)")
            assert db.engine.marks.oldest_open(db) is not None
            assert status.open_seconds(db) is None
            assert "a time that this login may not see" in problems()[0], "unknown is not fine"
            for minutes in (30, 10, 10):
                pass_hours(db, minutes / 60)
                upkeep.look(narrow, "R1")
                assert caplog.text == "" or minutes == 10
            assert status.open_seconds(db) == pytest.approx(1200, abs=60)
            assert "open at the child for 12" in problems()[0]
            assert "R1: a transaction has been open at the child" in caplog.text
        until(lambda: problems() == [], "nothing is open any more")
