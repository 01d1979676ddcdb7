# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that were moved more than once, or restored from before a move, while somebody was away, or something was put aside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pgserver
import pytest
from offline_world import Couple, Identity, target
from session_world import rows, untracked
from test_restored import (
    CAME,
    SCOPES,
    Store,
    _ahead,
    _get_ahead,
    _let_pass,
    _mend_and_retry,
    _put_aside,
    _refuse,
    _transactions,
    provisioned,
    settle,
)

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import ConnectFailed
from ansible_collections.axops.retail.plugins.module_utils._sync import anew, homes, kept, retry
from ansible_collections.axops.retail.plugins.module_utils._sync.config import ServiceConfig
from ansible_collections.axops.retail.plugins.module_utils._sync.link import Link

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def third_server() -> Iterator[pgserver.PgServer]:
    with pgserver.throwaway("c") as server:
        yield server


@pytest.fixture
def store(
    pg_pair: tuple[pgserver.PgServer, pgserver.PgServer],
    scratch_pair: tuple[Facts, Facts],
    third_server: pgserver.PgServer,
) -> Iterator[Store]:
    """As where databases are restored, with a third server to go to."""
    with provisioned(pg_pair, scratch_pair) as made:
        made.servers["third"] = third_server
        yield made


@pytest.fixture
def second(store: Store, pg_server: pgserver.PgServer, new_database: Callable[[Any], Facts]) -> Iterator[Database]:
    """Another register of the store."""
    with connect(target(new_database(pg_server))) as db:
        Couple(db, store["parent"], Identity("HOUSTON-000002", "HOUSTON", "000002")).provision(SCOPES)
        settle(db, store["parent"])
        store.sync()
        yield db


def _runs_alone(store: Store) -> None:
    """The service runs at the child, and cannot reach the parent."""
    child = store["child"].target
    store.close()
    away = replace(child, port=1, login_timeout=1)
    with Link(ServiceConfig("HOUSTON-000001", child, away), heals=True) as link, pytest.raises(ConnectFailed):
        link.pair()


@pytest.mark.parametrize("then", ["child", "third"], ids=["back", "to another one"])
def test_what_is_sold_on_a_server_in_between_arrives(store: Store, then: str) -> None:
    """A till whose network is down is put on another machine, sells there, and is put back: the parent has taken versions that are
    higher than those of the machine in between."""
    _ahead(store)
    store.sell(2)
    store.sync()
    store.move("child", "parent")
    _runs_alone(store)
    store.sell(3)
    taken = store["parent"].value("SELECT anchor_in FROM dbo.scope_info WHERE sync_scope_name = 'sales'")
    assert store["child"].value('SELECT version FROM ax."SALE_tracking" WHERE "ID" = 3') < taken
    store.move("child", then)
    store.sell(4)
    store.sync(silence=0)
    assert store.sales() == {1: 1, 2: 1, 3: 1, 4: 1}
    store.agree()


def test_what_is_sold_where_no_service_ran_comes_with_a_rebaseline(store: Store) -> None:
    _ahead(store)
    store.sell(2)
    store.sync()
    store.move("child", "parent")
    store.sell(3)
    store.move("child", "child")
    anew.begin(store["child"], store["parent"], anew.SIDES, 0, moved=True)
    store.sync()
    assert store.sales() == {1: 1, 2: 1, 3: 1}
    assert store.conflicts() == 0
    store.agree()


@pytest.mark.parametrize("then", ["parent", "third"], ids=["back", "to another one"])
def test_what_a_parent_does_on_a_server_in_between_comes_down(
    store: Store, second: Database, third_server: Any, then: str
) -> None:
    """While one register is off, and the other one is not."""
    _get_ahead(store, "parent", "child")
    store.item(2, "as ever")
    store.sync()
    settle(second, store["parent"])
    store.customer("child", 1, "changed at the register that is off")
    store.move("parent", "child")
    settle(second, store["parent"])
    store.item(3, "in between")
    store.customer("parent", 1, "changed in between")
    settle(second, store["parent"])
    store.move("parent", then)
    settle(second, store["parent"])
    store.item(4, "later")
    store.sync(silence=0)
    assert [number for number, _name in rows(store["child"], "ITEM")] == [1, 2, 3, 4]
    assert rows(store["parent"], "CUSTOMER") == [(1, "changed in between")]
    assert store.conflicts() == 1
    store.agree()


def test_a_child_goes_back_to_a_backup_from_before_its_move(store: Store) -> None:
    """What is in it has versions of the server of that time, which was ahead."""
    _ahead(store)
    store.sell(2)
    store.sync()
    store.customer("child", 2, "waits when the backup is made")
    backup = store.backup("child")
    store.move("child", "parent")
    store.sell(3)
    store.sync(silence=0)
    store.put_back("child", backup, True)
    store.sell(4)
    store.sync(silence=0)
    assert store.sales() == {1: 1, 2: 1, 3: 1, 4: 1}
    store.agree()


def test_a_parent_goes_back_to_a_backup_from_before_its_move(store: Store) -> None:
    _get_ahead(store, "parent", "child")
    store.item(2, "second")
    store.customer("parent", 2, "as in the backup")
    store.sync()
    backup = store.backup("parent")
    store.move("parent", "child")
    store.sync(silence=0)
    store.customer("parent", 2, "changed after the move")
    store.sell(3)
    store.sync()
    store.put_back("parent", backup, True)
    store.item(3, "third")
    store.sync(silence=0)
    assert store.sales() == {1: 1, 3: 1}
    assert rows(store["parent"], "CUSTOMER") == [(1, "first"), (2, "changed after the move")]
    store.agree()


def test_a_retry_after_the_parents_move_does_not_undo_what_was_done_there(store: Store) -> None:
    """The row in quarantine derives from a version of the server before, which was ahead."""
    for side in ("parent", "child"):
        with untracked(store[side]):
            store[side].execute("""INSERT INTO ax."CUSTOMER" VALUES (7, 'of the baseline')""")
    _get_ahead(store, "parent", "child")
    store.item(2, "second")
    store.customer("parent", 8, "second")
    store.sync()
    _refuse(store["parent"], "CUSTOMER", "\"NAME\" NOT LIKE 'bad%'")
    store.customer("child", 7, "bad")
    store.sync()
    assert len(_put_aside(store, "parent")) == 1
    store.move("parent", "child")
    store.customer("parent", 7, "changed at the store")
    store.sync(silence=0)
    _mend_and_retry(store, "parent", "CUSTOMER")
    store.sync()
    assert rows(store["parent"], "CUSTOMER")[1] == (7, "changed at the store")
    assert store.conflicts() == 1
    store.agree()


def test_what_a_restored_register_has_not_is_not_taken_for_taken_by_all(store: Store, second: Database) -> None:
    """It was to begin anew when the store moved; the other register came first."""
    backup = store.backup("child")
    store.sell(9)
    store.customer("parent", 3, "third")
    store.sync()
    store.restore("child", backup)
    # Cut off after the parent has said so.
    anew.open_pair(store["child"], store["parent"], 0)
    store.customer("parent", 1, "changed at the store")
    settle(second, store["parent"])
    store.customer("child", 1, "changed at the register")
    store.move("parent", "child")
    settle(second, store["parent"])
    store.sync(silence=0)
    assert dict(rows(store["parent"], "CUSTOMER"))[1] == "changed at the store"
    assert store.conflicts() == 1
    store.agree()


@pytest.mark.parametrize("moves", [1, 2])
def test_an_edit_that_the_child_has_put_aside_is_not_silently_overwritten_after_the_parents_move(
    store: Store, moves: int
) -> None:
    _get_ahead(store, "parent", "child")
    _refuse(store["child"], "CUSTOMER", "\"NAME\" <> 'bad'")
    store.customer("parent", 1, "bad")
    store.sync()
    assert len(_put_aside(store, "child")) == 1
    for to in ("child", "third")[:moves]:
        store.move("parent", to)
        store.sync(silence=0)
    store.customer("child", 1, "the till's")
    store.sync(silence=0)
    assert rows(store["parent"], "CUSTOMER") == [(1, "bad")], "the parent wins"
    assert store.conflicts() == 1
    store["child"].execute('ALTER TABLE ax."CUSTOMER" DROP CONSTRAINT mended')
    pair = anew.open_pair(store["child"], store["parent"])
    retry.retry(pair, kept.quarantined(pair))
    store.sync()
    assert rows(store["child"], "CUSTOMER") == [(1, "bad")]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["is restored", "moves"])
@pytest.mark.parametrize("number", [1, 5])
def test_an_edit_that_the_child_has_put_aside_is_not_silently_overwritten_while_the_parent(
    store: Store, elsewhere: bool, number: int
) -> None:
    """1 is a row that the child has had from the parent, 5 one that the parent never sent."""
    _get_ahead(store, "parent", "child")
    if number > 1:
        store.customer("child", number, "born")
        store.sync()
    _refuse(store["child"], "CUSTOMER", "\"NAME\" <> 'bad'")
    store.customer("parent", number, "bad")
    store.sync()
    backup = store.backup("parent")
    store.customer("parent", 2, "lost")
    store.sync()
    store.customer("child", number, "the till's")
    store.put_back("parent", backup, elsewhere)
    store.sync(silence=0)
    assert dict(rows(store["parent"], "CUSTOMER"))[number] == "bad", "the parent wins"
    assert dict(rows(store["parent"], "CUSTOMER"))[2] == "lost"
    assert store.conflicts() == 1


def test_an_edit_that_the_child_has_put_aside_is_not_silently_overwritten_where_nothing_is_lost(store: Store) -> None:
    _get_ahead(store, "parent", "child")
    _refuse(store["child"], "CUSTOMER", "\"NAME\" <> 'bad'")
    store.customer("parent", 1, "bad")
    store.sync()
    store.customer("child", 1, "the till's")
    store.move("parent", "child")
    store.sync(silence=0)
    assert rows(store["parent"], "CUSTOMER") == [(1, "bad")], "the parent wins"
    assert store.conflicts() == 1


@pytest.mark.parametrize("how", ["in one transaction", "side by side"])
def test_no_correction_is_undone_however_a_till_was_loaded(store: Store, tmp_path: Path, how: str) -> None:
    """By transactions whose numbers some of the sales have as their versions."""

    def load() -> Facts:
        if how == "in one transaction":
            return backups.move(store.facts["child"], server, "--single-transaction")
        return backups.move_in_order(store.facts["child"], server, tmp_path, " dbo sync_peer ")

    _get_ahead(store, "child", "parent")
    store["child"].execute(
        """DO $$ BEGIN FOR n IN 101..300 LOOP INSERT INTO ax."SALE" VALUES (n, 1); COMMIT; END LOOP; END $$"""
    )
    store.sync()
    store["parent"].execute('UPDATE ax."SALE" SET "AMOUNT" = 100')
    versions = [row[0] for row in store["child"].query('SELECT version FROM ax."SALE_tracking" WHERE "ID" > 100')]
    store.close()
    backups, server = store.backups, store.servers["parent"]
    before = _transactions(store["parent"])
    with connect(target(load())) as tried:
        took, name = tried.value(CAME) - before, tried.target.database
    server.drop_database(name)
    _let_pass(store["parent"], sorted(versions)[100] - took - _transactions(store["parent"]))
    store.close()
    store.facts["child"] = load()
    assert store["child"].value(CAME) in versions
    store.sync(silence=0)
    assert set(store.sales().values()) == {100}
    assert store.conflicts() == 0


def test_what_is_sold_after_a_move_and_before_a_key_is_changed_arrives(store: Store) -> None:
    """As an upgrade changes it: then the key is younger than the sale."""
    _ahead(store)
    store.sell(2)
    store.sync()
    store.move("child", "parent")
    store.sell(3)
    name = store["child"].value(
        """SELECT conname FROM pg_constraint WHERE conrelid = CAST('ax."SALE_tracking"' AS regclass) AND contype = 'p'"""
    )
    store["child"].execute(
        'ALTER TABLE ax."SALE_tracking" DROP CONSTRAINT "%s", ADD CONSTRAINT "%s" PRIMARY KEY ("ID")' % (name, name)
    )
    store.sync(silence=0)
    assert store.sales() == {1: 1, 2: 1, 3: 1}
    store.agree()


def test_services_that_meet_a_moved_parent_at_once_note_it_once(store: Store) -> None:
    store.move("parent", "child")
    there = homes.read(store["parent"]).trail
    with ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as opened:
        place = store["parent"].target
        several = [opened.enter_context(Database(place, store["parent"].engine)) for _number in range(8)]
        with store["parent"].transaction():
            homes.hold(store["parent"])
            noted = [pool.submit(homes.note, db) for db in several]
            # They all wait for whoever is at it.
            with connect(place) as looks:
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                while looks.value(waiting) < len(several):
                    pass
        for one in noted:
            one.result()
    assert homes.read(store["parent"]).trail == [*there, store["parent"].engine.marks.incarnation(store["parent"])]
