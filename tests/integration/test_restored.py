# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases restored from an older backup, moved to another server, cloned: nothing uploaded is lost or doubled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pgserver
import pytest
from backups import Backups
from offline_world import Couple, Identity, make_tables, target
from session_world import cut_off, rows, untracked

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, RetailError, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import anew, identity, kept, retry, session
from ansible_collections.axops.retail.plugins.module_utils._sync.identity import Cloned
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable

Facts = dict[str, Any]


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(40) not null default ''")
SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(60)")
PRICE = _table("PRICE", "ID", ID="bigint not null", STORE="nvarchar(10)")
TABLES = (ITEM, SALE, CUSTOMER, PRICE)
OWN = ScopeTable(PRICE.name, "parent", (Condition("STORE", ("H",)),))
SCOPES = (
    make_scope("items", "download", [ITEM.name], 0, 1, 11),
    make_scope("sales", "upload", [SALE.name], 0, 2, 12),
    make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13),
    Scope("prices", "download", (OWN,), 0, 4, 14),
)


class Store:
    """A register and its store server, whose databases are restored and moved meanwhile.

    ``provisioned_again``: the playbook runs before the service does, each time; with reprovision: if_needed.
    """

    provisioned_again = False

    def __init__(self, servers: dict[str, pgserver.PgServer], facts: dict[str, Facts], backups: Backups) -> None:
        self.servers, self.facts, self.backups = servers, facts, backups
        self.open: dict[str, Database] = {}

    def __getitem__(self, side: str) -> Database:
        if side not in self.open:
            self.open[side] = connect(target(self.facts[side]))
        return self.open[side]

    def close(self) -> None:
        for db in self.open.values():
            db.close()
        self.open.clear()

    def sync(self, child: str = "child", silence: float = 900.0) -> int:
        """Sessions until nothing is pending; returns the rows that moved."""
        moved = 0
        if self.provisioned_again:
            self.provision_again()
        for _round in range(6):
            pair = anew.open_pair(self[child], self["parent"], silence)
            pending = session.pending(pair, pair.scopes)
            if not pending:
                return moved
            moved += sum(session.run(pair, scope).moved for scope in pending)
        raise AssertionError("it never ends: %s" % pending)

    def provision_again(self) -> list[str]:
        """The steps of a playbook that runs; another run, before the service has done anything, has none."""
        steps = Couple(self["child"], self["parent"]).provision(SCOPES, reprovision=True)
        assert Couple(self["child"], self["parent"]).provision(SCOPES) == []
        return steps

    def backup(self, side: str) -> Facts:
        self.close()
        return self.backups.copy(self.servers[side], self.facts[side], "backup")

    def restore(self, side: str, backup: Facts) -> None:
        self.close()
        self.backups.restore(self.servers[side], self.facts[side], backup)

    def clone(self, side: str) -> None:
        """Another till from the image of this one: ``clone``."""
        self.close()
        self.facts["clone"] = self.backups.copy(self.servers[side], self.facts[side], "clone")

    def move(self, side: str, to: str) -> None:
        self.close()
        self.facts[side] = self.backups.move(self.facts[side], self.servers[to])

    def put_back(self, side: str, backup: Facts, elsewhere: bool) -> None:
        """The backup takes the side's place: ``elsewhere``, on the other side's server; else on its own."""
        if not elsewhere:
            self.restore(side, backup)
            return
        self.facts[side] = backup
        self.move(side, "child" if side == "parent" else "parent")

    def sell(self, *numbers: int, amount: int = 1) -> None:
        for number in numbers:
            self["child"].execute('INSERT INTO ax."SALE" VALUES (?, ?)', number, amount)

    def customer(self, side: str, number: int, name: str) -> None:
        done = self[side].execute('UPDATE ax."CUSTOMER" SET "NAME" = ? WHERE "ID" = ?', name, number)
        if not done:
            self[side].execute('INSERT INTO ax."CUSTOMER" VALUES (?, ?)', number, name)

    def item(self, number: int, name: str) -> None:
        self["parent"].execute('DELETE FROM ax."ITEM" WHERE "ID" = ?', number)
        self["parent"].execute('INSERT INTO ax."ITEM" VALUES (?, ?)', number, name)

    def sales(self, side: str = "parent") -> dict[int, int]:
        return dict(rows(self[side], "SALE"))

    def conflicts(self) -> int:
        return sum(self[side].value("SELECT count(*) FROM dbo.sync_conflict") for side in ("child", "parent"))

    def agree(self) -> None:
        """Both sides have the same, and another round moves nothing."""
        for table in ("ITEM", "CUSTOMER"):
            assert rows(self["child"], table) == rows(self["parent"], table)
        assert self.sync() == 0


@contextlib.contextmanager
def provisioned(
    servers: tuple[pgserver.PgServer, pgserver.PgServer], scratch_pair: tuple[Facts, Facts]
) -> Iterator[Store]:
    """With an item, a sale and a customer on both sides."""
    backups = Backups()
    names = ("child", "parent")
    made = Store(dict(zip(names, servers)), dict(zip(names, scratch_pair)), backups)
    make_tables(made["parent"], TABLES)
    Couple(made["child"], made["parent"]).provision(SCOPES)
    made.item(1, "first")
    made.sell(1)
    made.customer("child", 1, "first")
    made.sync()
    yield made
    made.close()
    backups.drop()


@pytest.fixture
def store(pg_pair: tuple[pgserver.PgServer, pgserver.PgServer], scratch_pair: tuple[Facts, Facts]) -> Iterator[Store]:
    """Provisioned and loaded."""
    with provisioned(pg_pair, scratch_pair) as made:
        yield made


def test_a_child_restored_from_an_older_backup_loses_and_doubles_nothing(store: Store) -> None:
    backup = store.backup("child")
    store.sell(2)
    store["child"].execute('UPDATE ax."SALE" SET "AMOUNT" = 100 WHERE "ID" = 1')
    store.customer("child", 1, "changed")
    store.customer("child", 2, "born after the backup")
    store.item(2, "second")
    store["parent"].execute('DELETE FROM ax."ITEM" WHERE "ID" = 1')
    store.sync()
    store.restore("child", backup)
    store.sell(3)
    store.customer("child", 3, "born after the restore")
    store.sync()
    assert store.sales() == {1: 100, 2: 1, 3: 1}, "what the parent took last is newer than the backup"
    assert rows(store["child"], "CUSTOMER") == [
        (1, "changed"),
        (2, "born after the backup"),
        (3, "born after the restore"),
    ]
    assert rows(store["child"], "ITEM") == [(2, "second")]
    assert store.conflicts() == 0
    store.agree()


def test_a_parent_restored_from_an_older_backup_gets_back_what_the_register_has(store: Store) -> None:
    backup = store.backup("parent")
    store.sell(2)
    store["child"].execute('UPDATE ax."SALE" SET "AMOUNT" = 100 WHERE "ID" = 1')
    store.customer("child", 1, "changed")
    store.customer("parent", 2, "born at the parent")
    store.item(2, "lost with the parent")
    store.sync()
    store.restore("parent", backup)
    store.sell(3)
    store.sync()
    assert store.sales() == {1: 100, 2: 1, 3: 1}
    assert rows(store["parent"], "CUSTOMER") == [(1, "changed"), (2, "born at the parent")]
    assert rows(store["child"], "ITEM") == [(1, "first")], "the parent says which items there are"
    assert store.conflicts() == 0
    store.agree()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in place", "on another server"])
def test_what_a_restored_parent_had_changed_comes_back_from_the_child(store: Store, elsewhere: bool) -> None:
    """Unless somebody has changed the older image meanwhile: then one of the two is kept as a conflict."""
    for number in (2, 3):
        store.customer("parent", number, "as in the backup")
    store.sync()
    backup = store.backup("parent")
    for number in (2, 3):
        store.customer("parent", number, "changed after the backup")
    store.sync()
    store.put_back("parent", backup, elsewhere)
    store.customer("parent", 3, "changed after the restore")
    store.sync()
    assert rows(store["parent"], "CUSTOMER")[1:] == [(2, "changed after the backup"), (3, "changed after the restore")]
    assert store.conflicts() == 1
    assert "changed after the backup" in store["parent"].value("SELECT incoming_image FROM dbo.sync_conflict")
    store.agree()


@pytest.mark.parametrize("side", ["child", "parent"])
def test_a_database_moved_to_another_server_goes_on(store: Store, side: str) -> None:
    """The servers number their transactions differently: the one that it came from is ahead, or behind."""
    store.sell(2)
    store.customer("parent", 2, "waits")
    store.item(2, "waits")
    store.move(side, "parent" if side == "child" else "child")
    store.sell(3)
    store.customer("child", 1, "changed here after the move")
    store.sync(silence=0)
    assert store.sales() == {1: 1, 2: 1, 3: 1}
    assert rows(store["parent"], "CUSTOMER") == [(1, "changed here after the move"), (2, "waits")]
    assert store.conflicts() == 0
    store.agree()
    store.sell(4)
    store.item(3, "later")
    assert store.sync() == 2
    store.agree()


@pytest.fixture
def headquarters(
    store: Store, pg_server: pgserver.PgServer, new_database: Callable[[Any], Facts]
) -> Iterator[Database]:
    """The parent of the store, with the same customers."""
    with connect(target(new_database(pg_server))) as db:
        make_tables(db, TABLES)
        Couple(store["parent"], db, Identity("HOUSTON", "HOUSTON")).provision((SCOPES[2],))
        settle(store["parent"], db)
        yield db


def settle(child: Database, parent: Database) -> None:
    """Sessions of the pair until nothing is pending."""
    for _round in range(6):
        pair = anew.open_pair(child, parent, 0)
        pending = session.pending(pair, pair.scopes)
        if not pending:
            return
        for scope in pending:
            session.run(pair, scope)
    raise AssertionError("it never ends")


def test_what_waits_for_headquarters_goes_up_although_the_registers_have_it(
    store: Store, headquarters: Database
) -> None:
    store.customer("parent", 1, "changed at the store")
    store.customer("parent", 2, "born at the store")
    store.sync()
    store.sell(5)
    store.sync()
    store.move("parent", "child")
    store.sync(silence=0)
    settle(store["parent"], headquarters)
    assert rows(headquarters, "CUSTOMER") == [(1, "changed at the store"), (2, "born at the store")]
    store.agree()


def test_what_headquarters_has_and_a_register_has_not_is_not_silently_overwritten(
    store: Store, headquarters: Database
) -> None:
    store.customer("parent", 1, "changed at the store")
    settle(store["parent"], headquarters)
    store.customer("parent", 2, "another")
    settle(store["parent"], headquarters)
    store.customer("child", 1, "changed at the register")
    store.move("parent", "child")
    settle(store["parent"], headquarters)
    store.sync(silence=0)
    assert rows(store["parent"], "CUSTOMER")[0] == (1, "changed at the store")
    assert store.conflicts() == 1
    store.agree()


def test_rows_that_left_a_filter_before_the_parent_was_moved_come_to_rest(store: Store) -> None:
    """The log of what left has versions of the server that the database came from, which is ahead."""
    store["parent"].execute("""INSERT INTO ax."PRICE" VALUES (1, 'H'), (2, 'H'), (3, 'D')""")
    store.sync()
    store["parent"].execute("DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
    store["parent"].execute("""UPDATE ax."PRICE" SET "STORE" = 'D' WHERE "ID" = 1""")
    store.move("parent", "child")
    store["parent"].execute("""UPDATE ax."PRICE" SET "STORE" = 'H' WHERE "ID" = 3""")
    store.sync(silence=0)
    assert [number for number, _store in rows(store["child"], "PRICE")] == [2, 3]
    store["parent"].execute("""UPDATE ax."PRICE" SET "STORE" = 'D' WHERE "ID" = 2""")
    assert store.sync() == 1
    assert store.sync() == 0


def test_a_refused_sale_holds_up_no_other_after_a_move(store: Store) -> None:
    """All that waits has the version of one transaction then; which sales there were is still known."""
    _refuse(store["parent"], "SALE", '"AMOUNT" <> 13')
    store["child"].execute('INSERT INTO ax."SALE" VALUES (2, 1), (3, 1)')
    store["child"].execute('INSERT INTO ax."SALE" VALUES (4, 13), (5, 1)')
    store.move("child", "parent")
    store.sell(6)
    store.sync(silence=0)
    assert store.sales() == {1: 1, 2: 1, 3: 1, 6: 1}
    assert len(_put_aside(store, "parent")) == 2
    _mend_and_retry(store, "parent", "SALE")
    assert store.sales() == {1: 1, 2: 1, 3: 1, 4: 13, 5: 1, 6: 1}
    store.agree()


@pytest.mark.parametrize("last", ["before the move", "after the move"])
def test_what_wrote_one_row_is_put_aside_together_after_a_move(store: Store, last: str) -> None:
    """The sale 2 was written again by a transaction that is refused: then the first must not arrive without it."""
    _refuse(store["parent"], "SALE", '"AMOUNT" <> 13')
    store["child"].execute('INSERT INTO ax."SALE" VALUES (2, 1), (3, 1)')
    if last == "after the move":
        store.move("child", "parent")
    with store["child"].transaction():
        store["child"].execute('UPDATE ax."SALE" SET "AMOUNT" = 2 WHERE "ID" = 2')
        store["child"].execute('INSERT INTO ax."SALE" VALUES (4, 13)')
    if last == "before the move":
        store.move("child", "parent")
    store.sell(5)
    store.sync(silence=0)
    assert store.sales() == {1: 1, 5: 1}
    assert len(_put_aside(store, "parent")) == 3
    _mend_and_retry(store, "parent", "SALE")
    assert store.sales() == {1: 1, 2: 2, 3: 1, 4: 13, 5: 1}
    store.agree()


def test_a_purge_after_a_move_erases_nothing_whose_key_has_changed(store: Store) -> None:
    """The row's new key never came to the parent, which keeps it under the old one, as without a move."""
    store["child"].execute('UPDATE ax."SALE" SET "ID" = 7 WHERE "ID" = 1')
    store.move("child", "parent")
    pair = anew.open_pair(store["child"], store["parent"], 0)
    for scope in session.pending(pair, pair.scopes):
        if scope.name != "sales":
            session.run(pair, scope)
    anew.settle(pair, next(scope for scope in pair.scopes if scope.name == "sales"), ())
    store["child"].execute('DELETE FROM ax."SALE"')
    store.sync(silence=0)
    assert store.sales() == {1: 1}


def test_what_is_sold_after_a_move_travels_although_its_version_looks_old(store: Store) -> None:
    """The server that the register came from was ahead. By the first session the new one has caught up, so no anchor shows it."""
    here = _transactions(store["child"])
    _let_pass(store["child"], max(0, _transactions(store["parent"]) - here) + 2_000)
    store.sell(2)
    store.customer("child", 2, "second")
    store.sync()
    store.move("child", "parent")
    store.sell(3)
    store.customer("child", 3, "sold after the move")
    _let_pass(store["child"], 4_000)
    store.sync(silence=0)
    assert store.sales() == {1: 1, 2: 1, 3: 1}
    assert rows(store["parent"], "CUSTOMER") == [(1, "first"), (2, "second"), (3, "sold after the move")]
    store.agree()


def _transactions(db: Database) -> int:
    """How many there have been on its server."""
    return int(db.value("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"))


def _let_pass(db: Database, number: int) -> None:
    """Transactions of somebody else on its server."""
    db.execute("DO $$ BEGIN FOR n IN 1..%d LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$" % number)


def test_the_clone_of_a_living_till_is_refused_and_the_till_goes_on(store: Store) -> None:
    store.clone("child")
    with pytest.raises(Cloned, match=r"may be a clone.*rebaseline --moved"):
        store.sync("clone")
    store.sell(2)
    store.sync()
    with pytest.raises(Cloned, match="is another one"):
        store.sync("clone", silence=0)
    known = identity.read(store["parent"], anew.open_pair(store["child"], store["parent"]).guid)
    assert sorted(one.state for one in known) == ["accepted", "refused"]
    store.sell(3)
    store.sync()
    assert store.sales() == {1: 1, 2: 1, 3: 1}


def _shift(store: Store, hours: float) -> None:
    """The parent's clock jumps by so many hours: all that it noted lies that far back from then on."""
    for name in ("first_heard", "last_heard"):
        store["parent"].execute(
            "UPDATE dbo.sync_incarnation SET %s = %s - make_interval(secs => ?)" % (name, name), hours * 3600
        )


def test_a_moved_till_is_not_taken_for_a_clone_for_good_since_the_clock_went_back(store: Store) -> None:
    """The accepted one was heard of while the parent's clock was a year ahead, and never again."""
    _shift(store, -365 * 24)
    store.clone("child")
    store["clone"].execute('INSERT INTO ax."SALE" VALUES (2, 1)')
    for hours in (0.0, -1.0, 0.0):
        _shift(store, hours)
        with pytest.raises(Cloned, match="may be a clone"):
            store.sync("clone")
    for question in range(3):
        _shift(store, 1.0)
        with pytest.raises(Cloned, match="may be a clone") if question < 2 else contextlib.nullcontext():
            store.sync("clone")
    assert store.sales() == {1: 1, 2: 1}


def test_no_clone_takes_over_since_the_clock_went_forward(store: Store) -> None:
    store.clone("child")
    _shift(store, 365 * 24)
    with pytest.raises(Cloned, match="may be a clone"):
        store.sync("clone")
    _shift(store, 365 * 24)
    with pytest.raises(Cloned, match=r"may be a clone.*300 s have passed"):
        store.sync("clone")
    store.sell(2)
    store.sync()
    _shift(store, 365 * 24)
    with pytest.raises(Cloned, match="is another one"):
        store.sync("clone")
    store.sell(3)
    store.sync()
    assert store.sales() == {1: 1, 2: 1, 3: 1}


def test_the_operators_word_makes_the_other_one_the_child(store: Store) -> None:
    store.clone("child")
    store.sell(2)
    store["clone"].execute('INSERT INTO ax."SALE" VALUES (3, 1)')
    anew.begin(store["clone"], store["parent"], {"child"}, 900.0, moved=True)
    store.sync("clone")
    assert store.sales() == {1: 1, 3: 1}
    with pytest.raises(Cloned, match="is another one"):
        store.sync("child", silence=0)
    assert store.sales("child") == {1: 1, 2: 1}, "what it sold stays with it"


def test_a_server_put_back_to_an_earlier_moment_begins_anew(store: Store) -> None:
    """Its database is still the same one: only the sessions and anchors tell."""
    before = store["child"].query(
        "SELECT sync_scope_name, session_token, previous_token, anchor_in FROM dbo.scope_info"
    )
    store.sell(2)
    store.customer("child", 2, "lost")
    store.sync()
    for name, token, previous, anchor in before:
        store["child"].execute(
            "UPDATE dbo.scope_info SET session_token = ?, previous_token = ?, anchor_in = ?, acked_out = NULL "
            "WHERE sync_scope_name = ?", token, previous, anchor, name,
        )  # fmt: skip
    store["child"].execute("""SELECT set_config('axops.applying', 'ax."CUSTOMER"'::regclass::oid::text, false)""")
    store["child"].execute('DELETE FROM ax."CUSTOMER" WHERE "ID" = 2')
    store["child"].execute('DELETE FROM ax."CUSTOMER_tracking" WHERE "ID" = 2')
    store["child"].execute("SELECT set_config('axops.applying', '', false)")
    store.sync()
    assert rows(store["child"], "CUSTOMER") == [(1, "first"), (2, "lost")]
    store.agree()


# ---- what is in quarantine meanwhile


def _refuse(db: Database, table: str, condition: str) -> None:
    db.execute('ALTER TABLE ax."%s" ADD CONSTRAINT mended CHECK (%s)' % (table, condition))


def _mend_and_retry(store: Store, side: str, table: str) -> None:
    """Let everything be stored that was put aside."""
    store[side].execute('ALTER TABLE ax."%s" DROP CONSTRAINT mended' % table)
    pair = anew.open_pair(store["child"], store["parent"])
    results = retry.retry(pair, kept.quarantined(pair))
    assert {one["result"] for one in results} == {retry.STORED}
    assert kept.quarantined(pair) == []


def _put_aside(store: Store, side: str) -> list[int | None]:
    """The versions of the rows in quarantine, in the order in which they were put aside."""
    return [row[0] for row in store[side].query("SELECT version FROM dbo.sync_quarantine ORDER BY quarantine_id")]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in place", "on another server"])
def test_what_the_parent_has_put_aside_stays_there_when_the_child_begins_anew(store: Store, elsewhere: bool) -> None:
    """The parent has had it, and has not taken it: it is nowhere else but at the child, which loads what the parent has."""
    _refuse(store["parent"], "CUSTOMER", "\"NAME\" <> 'bad'")
    store.customer("child", 1, "bad")
    store.customer("child", 5, "bad")
    store.sell(2)
    store.sync()
    assert len(_put_aside(store, "parent")) == 2
    backup = store.backup("child")
    store.customer("child", 2, "another")
    store.sync()
    store.put_back("child", backup, elsewhere)
    store.sync(silence=0)
    assert len(_put_aside(store, "parent")) == 2
    # As when the parent has changed a row: its image comes down, and the one that was put aside can still be stored.
    assert rows(store["child"], "CUSTOMER") == [(1, "first"), (2, "another"), (5, "bad")]
    _mend_and_retry(store, "parent", "CUSTOMER")
    store.sync()
    assert rows(store["parent"], "CUSTOMER") == [(1, "bad"), (2, "another"), (5, "bad")]
    store.agree()


def test_a_child_that_lost_a_change_which_the_parent_has_put_aside_gets_it_back(store: Store) -> None:
    """As it gets back one that the parent has taken, once that can be stored."""
    _refuse(store["parent"], "CUSTOMER", "\"NAME\" NOT LIKE 'bad%'")
    store.customer("child", 1, "bad, first")
    store.sync()
    backup = store.backup("child")
    store.customer("child", 1, "bad, then")
    store.sync()
    store.restore("child", backup)
    store.sync()
    _mend_and_retry(store, "parent", "CUSTOMER")
    store.sync()
    assert rows(store["parent"], "CUSTOMER") == [(1, "bad, then")]
    store.agree()


@pytest.fixture
def two_images(store: Store) -> Store:
    """A transaction over two customers was put aside, since the first one was bad; then its register came to another server, whose
    numbers are far lower, and the first customer was changed there, to something that is bad, too."""
    _ahead(store)
    _refuse(store["parent"], "CUSTOMER", "\"NAME\" NOT LIKE 'bad%'")
    with store["child"].transaction():
        store.customer("child", 1, "bad, first")
        store.customer("child", 2, "as before")
    store.sync()
    store.move("child", "parent")
    store.sync(silence=0)
    store.customer("child", 1, "bad, then")
    store.sync()
    versions = _put_aside(store, "parent")
    assert len(versions) == 3
    assert versions[0] > versions[-1], "the history is what it is meant to be"
    return store


def _ahead(store: Store) -> None:
    """The child's server has given far higher numbers than the parent's."""
    here = _transactions(store["child"])
    _let_pass(store["child"], max(0, _transactions(store["parent"]) - here) + 3_000)


def test_of_two_images_in_quarantine_the_one_put_aside_last_is_stored(two_images: Store) -> None:
    """Their versions are those of two servers."""
    _mend_and_retry(two_images, "parent", "CUSTOMER")
    two_images.sync()
    assert rows(two_images["parent"], "CUSTOMER") == [(1, "bad, then"), (2, "as before")]
    two_images.agree()


def test_of_two_images_in_quarantine_the_one_put_aside_last_comes_along(two_images: Store) -> None:
    """When another row of its unit is changed."""
    two_images["parent"].execute('ALTER TABLE ax."CUSTOMER" DROP CONSTRAINT mended')
    two_images.customer("child", 2, "changed")
    two_images.sync()
    assert _put_aside(two_images, "parent") == []
    assert rows(two_images["parent"], "CUSTOMER") == [(1, "bad, then"), (2, "changed")]
    two_images.agree()


def test_a_row_that_stood_alone_yields_to_one_of_another_server(store: Store) -> None:
    """As rows do that are made to travel again: newer ones do not take them out of quarantine."""
    _ahead(store)
    _refuse(store["parent"], "CUSTOMER", "\"NAME\" <> 'bad'")
    store.customer("child", 1, "bad")
    with store["child"].transaction():
        store["child"].engine.repairs.touch(store["child"], CUSTOMER, ['{"k0":1}'], born=False, alone=True)
    store.sync()
    store.move("child", "parent")
    store.sync(silence=0)
    store.customer("child", 1, "good")
    store.sync()
    assert len(_put_aside(store, "parent")) == 1
    assert _put_aside(store, "parent")[0] > store["child"].value(
        'SELECT "version" FROM ax."CUSTOMER_tracking" WHERE "ID" = 1'
    )
    _mend_and_retry(store, "parent", "CUSTOMER")
    assert rows(store["parent"], "CUSTOMER") == [(1, "good")]
    store.agree()


def test_a_change_that_the_parent_has_lost_does_not_come_back_from_a_childs_quarantine(store: Store) -> None:
    """Of a table that only comes down: the parent says what there is. What it has again was the baseline's."""
    _refuse(store["child"], "ITEM", "\"NAME\" NOT LIKE 'bad%'")
    with untracked(store["parent"]):
        store.item(2, "bad, first")
    again = "UPDATE dbo.scope_info SET anchor_in = NULL, anchor_seen = NULL WHERE sync_scope_name = 'items'"
    store["child"].execute(again)
    store.sync()
    backup = store.backup("parent")
    with store["parent"].transaction():
        store["parent"].execute("""UPDATE ax."ITEM" SET "NAME" = 'bad, then' WHERE "ID" = 2""")
        store["parent"].engine.repairs.touch(store["parent"], ITEM, ['{"k0":2}'], born=False, alone=True)
    store.sync()
    store.restore("parent", backup)
    store.sync()
    versions = _put_aside(store, "child")
    assert [version is None for version in versions] == [True, False], "the history is what it is meant to be"
    _mend_and_retry(store, "child", "ITEM")
    assert rows(store["child"], "ITEM") == [(1, "first"), (2, "bad, first")]
    store.agree()


# ---- a playbook that says reprovision: if_needed, before the service has seen to it


@pytest.mark.parametrize(
    "history",
    [
        test_a_child_restored_from_an_older_backup_loses_and_doubles_nothing,
        test_a_parent_restored_from_an_older_backup_gets_back_what_the_register_has,
        partial(test_what_a_restored_parent_had_changed_comes_back_from_the_child, elsewhere=False),
        partial(test_what_a_restored_parent_had_changed_comes_back_from_the_child, elsewhere=True),
        partial(test_a_database_moved_to_another_server_goes_on, side="child"),
        partial(test_a_database_moved_to_another_server_goes_on, side="parent"),
        test_rows_that_left_a_filter_before_the_parent_was_moved_come_to_rest,
        test_a_refused_sale_holds_up_no_other_after_a_move,
    ],
    ids=[
        "child restored", "parent restored", "parent's changes, in place", "parent's changes, elsewhere", "child moved",
        "parent moved", "filter", "quarantine",
    ],
)  # fmt: skip
def test_provisioning_again_makes_good_what_the_service_would(store: Store, history: Callable[[Store], None]) -> None:
    store.provisioned_again = True
    guid, number = _registration(store)
    history(store)
    assert _registration(store) == (guid, number), "it is the same register"
    assert store.provision_again() == []


def _registration(store: Store) -> tuple[str, int]:
    return tuple(store["parent"].row("SELECT peer_guid, peer_id FROM dbo.sync_peer WHERE peer_guid <> ''"))


def test_provisioning_again_says_what_it_does_and_may_be_cut_off(store: Store) -> None:
    backup = store.backup("parent")
    store.customer("child", 2, "born after the backup")
    store.sync()
    store.restore("parent", backup)
    couple = Couple(store["child"], store["parent"])
    with pytest.raises(RetailError, match="was provisioned against another database") as refused:
        couple.plan(SCOPES)
    assert "let the sync service run, which brings back" in refused.value.advice
    steps = couple.plan(SCOPES, reprovision=True)
    assert steps.plan.titles == [
        "Let HOUSTON-000001 and the channel database begin anew, with all that one of them has lost"
    ]
    assert sorted(steps.touched) == sorted(scope.name for scope in SCOPES), "no session runs meanwhile"
    # Cut off before the child knows what the parent is now, and after.
    guid = store["child"].value("SELECT incarnation FROM dbo.sync_peer")
    couple.provision(SCOPES, reprovision=True)
    store["child"].execute("UPDATE dbo.sync_peer SET incarnation = ?", guid)
    assert couple.provision(SCOPES, reprovision=True) == steps.plan.titles
    assert couple.provision(SCOPES, reprovision=True) == []
    store.sync()
    assert rows(store["parent"], "CUSTOMER") == [(1, "first"), (2, "born after the backup")]
    assert store.conflicts() == 0
    store.agree()


def test_who_was_provisioned_last_is_the_one(store: Store) -> None:
    """Of a register and its clone the one that the playbook names goes on at once, wherever its service runs; the other is refused."""
    store.clone("child")
    Couple(store["clone"], store["parent"]).provision(SCOPES, reprovision=True)
    store["clone"].execute('INSERT INTO ax."SALE" VALUES (7, 1)')
    store.sync("clone")
    assert store.sales() == {1: 1, 7: 1}
    with pytest.raises(Cloned):
        store.sync("child")


# ---- what had landed, and numbers that are given twice


class _Runs:
    def __init__(self, store: Store) -> None:
        self.store = store

    def run(self, scope: Scope) -> session.Session:
        return session.run(anew.open_pair(self.store["child"], self.store["parent"]), scope)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("table", ["ITEM", "CUSTOMER"])
def test_what_had_landed_arrives(store: Store, monkeypatch: pytest.MonkeyPatch, moved: bool, table: str) -> None:
    for number in range(11, 17):
        store["parent"].execute('INSERT INTO ax."%s" VALUES (?, ?)' % table, number, "new")
    cut_off(monkeypatch, _Runs(store), SCOPES[0 if table == "ITEM" else 2], 4)
    assert store["child"].value("SELECT count(*) FROM dbo.sync_staging") == 4
    if moved:
        store.move("child", "parent")
    store.sync(silence=0)
    assert rows(store["child"], table) == rows(store["parent"], table)
    assert len(rows(store["child"], table)) == 7


TRACKING = 'SELECT CAST(CAST(xmin AS text) AS bigint), version FROM ax."%s_tracking" WHERE "ID" = ?'
CAME = "SELECT CAST(CAST(xmin AS text) AS bigint) FROM pg_attribute WHERE attrelid = CAST('dbo.sync_peer' AS regclass) AND attnum = 1"


def _move_onto(store: Store, side: str, to: str, table: str, number: int) -> None:
    """Move a database, and let the numbers of the server be such that a row's version is given again while the dump is loaded."""
    version = store[side].value(TRACKING.replace("CAST(CAST(xmin AS text) AS bigint), ", "") % table, number)
    here = store[to]
    before = _transactions(here)
    kept = store.facts[side]
    store.close()
    with connect(target(store.backups.move(kept, store.servers[to]))) as tried:
        came, xmin = tried.value(CAME), tried.row(TRACKING % table, number)[0]
        name = tried.target.database
    store.servers[to].drop_database(name)
    offset = (came - before + xmin - before) // 2
    now = _transactions(store[to])
    assert now < version - offset - 50, (now, version)
    while now < version - offset - 1:
        _let_pass(store[to], version - offset - 1 - now)
        now = _transactions(store[to])
    store.move(side, to)
    moved = store[side]
    print(moved.value(CAME), version, tuple(moved.row(TRACKING % table, number)))
    assert moved.value(CAME) <= version <= moved.row(TRACKING % table, number)[0]


def _get_ahead(store: Store, side: str, other: str) -> None:
    _let_pass(store[side], max(0, _transactions(store[other]) - _transactions(store[side])) + 2_000)


@pytest.mark.parametrize("number", [1, 2])
def test_a_correction_at_the_parent_is_not_undone_by_a_moved_till(store: Store, number: int) -> None:
    """1 is a row whose version is not given again, 2 one whose is."""
    _get_ahead(store, "child", "parent")
    store.sell(2)
    store.sync()
    store["parent"].execute('UPDATE ax."SALE" SET "AMOUNT" = 100 WHERE "ID" = ?', number)
    store.sync()
    _move_onto(store, "child", "parent", "SALE", 2)
    store.sync(silence=0)
    assert store.sales()[number] == 100
    assert store.conflicts() == 0


@pytest.mark.parametrize("number", [1, 2])
def test_a_sale_that_the_parent_has_deleted_does_not_come_back(store: Store, number: int) -> None:
    _get_ahead(store, "child", "parent")
    store.sell(2)
    store.sync()
    store["parent"].execute('DELETE FROM ax."SALE" WHERE "ID" = ?', number)
    store.sync()
    _move_onto(store, "child", "parent", "SALE", 2)
    store.sync(silence=0)
    assert number not in store.sales()


@pytest.mark.parametrize("number", [2, 3])
def test_a_change_at_the_till_wins_over_what_a_moved_parent_had_given_it(store: Store, number: int) -> None:
    _get_ahead(store, "parent", "child")
    store.customer("parent", 2, "of the parent")
    store.sync()
    _let_pass(store["parent"], 500)
    store.customer("parent", 3, "of the parent")
    store.sync()
    store.customer("child", number, "changed at the till")
    _move_onto(store, "parent", "child", "CUSTOMER", 2)
    store.sync(silence=0)
    assert dict(rows(store["parent"], "CUSTOMER"))[number] == "changed at the till"
    assert store.conflicts() == 0


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_was_purged_stays_purged(
    store: Store, pg_server: pgserver.PgServer, new_database: Callable[[Any], Facts], forgotten: bool
) -> None:
    with connect(target(new_database(pg_server))) as hq:
        make_tables(hq, TABLES)
        Couple(store["parent"], hq, Identity("HOUSTON", "HOUSTON")).provision((SCOPES[1],))
        settle(store["parent"], hq)
        assert rows(hq, "SALE") == [(1, 1)]
        hq.execute('UPDATE ax."SALE" SET "AMOUNT" = 100')
        # retention.py at the store, and cleanup.py after 30 days
        store["parent"].execute('DELETE FROM ax."SALE"')
        if forgotten:
            store["parent"].execute('DELETE FROM ax."SALE_tracking" WHERE sync_row_is_tombstone = 1')
        settle(store["parent"], hq)
        store.move("child", "parent")
        store.sync(silence=0)
        settle(store["parent"], hq)
        assert rows(hq, "SALE") == [(1, 100)]
        assert store.sales() == {}


@pytest.mark.parametrize(("side", "other", "table"), [("child", "parent", "SALE"), ("parent", "child", "ITEM")])
def test_what_a_moved_sender_begins_is_not_taken_for_what_was_put_aside(
    store: Store, side: str, other: str, table: str
) -> None:
    """A transaction gets the very number that a refused one had on the server before, which is corrected, and refused again, at the
    same time: what it wrote is stored."""
    _get_ahead(store, side, other)
    column = {"SALE": "AMOUNT", "ITEM": "NAME"}[table]
    insert = 'INSERT INTO ax."%s" VALUES (?, ?)' % table
    _refuse(store[other], table, "CAST(\"%s\" AS text) <> '13'" % column)
    with store[side].transaction():
        store[side].execute(insert, 2, "13")
        store[side].execute(insert, 3, "1")
    store.sync()
    number = store[other].value("SELECT min(source_transaction) FROM dbo.sync_quarantine")
    store.move(side, other)
    store.sync(silence=0)
    _let_pass(store[side], number - _transactions(store[side]) - 1)
    store[side].execute(insert, 4, "1")
    assert store[side].value('SELECT version FROM ax."%s_tracking" WHERE "ID" = 4' % table) == number
    store[side].execute('UPDATE ax."%s" SET "%s" = ? WHERE "ID" = 3' % (table, column), "2")
    store.sync()
    assert [row[0] for row in rows(store[other], table) if row[0] > 1] == [4]
    _mend_and_retry(store, other, table)
    assert [(row[0], str(row[1])) for row in rows(store[other], table) if row[0] > 1] == [(2, "13"), (3, "2"), (4, "1")]
    store.agree()
