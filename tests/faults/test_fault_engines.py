# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that both engines have to bear in the same way: on PostgreSQL, and on the SQL Server that the environment names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import fault_books
import pytest
from fault_books import Books
from fault_shop import CUSTOMER, HEAD, LINE, Clerk, at_work, repeated
from integration import mssql_world as world
from offline_world import target

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._sync import kept, retry, session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

ENGINES = ["postgresql", pytest.param("mssql", marks=world.needs_server)]
JOURNAL = world.table("JOURNAL", "WRITE", WRITE="int not null")
SALES = Scope("Sales", "upload", (ScopeTable(HEAD.name, "child"), ScopeTable(LINE.name, "child")))


@pytest.fixture(params=ENGINES)
def databases(request: pytest.FixtureRequest, new_database: Callable[..., Any]) -> Iterator[tuple[Database, Database]]:
    """A child's and a parent's, with the tables and their tracking."""
    with ExitStack() as stack:
        made = []
        for server in ("pg_server", "pg_other_server"):
            if request.param == "mssql":
                made.append(stack.enter_context(world.fresh()))
            else:
                db = _engine.connect(target(new_database(request.getfixturevalue(server))))
                made.append(world.make_schemas(stack.enter_context(db)))
            world.make(made[-1], (CUSTOMER, HEAD, LINE))
            for statement in made[-1].engine.tables.create(JOURNAL):
                made[-1].execute(statement)
        yield made[0], made[1]


class Rival(Clerk):
    """A clerk at the database of an open connection."""

    def __init__(self, db: Database, books: Books, seed: int) -> None:
        self.target = db.target
        facts = {"port": db.target.port, "database": db.target.database}
        super().__init__(_Owner(books), facts, seed, 0.003)

    def connect(self) -> Database:
        return _engine.connect(self.target)


class _Owner:
    def __init__(self, books: Books) -> None:
        self.books = books


def settled(pair: Pair) -> None:
    for _round in range(12):
        pending = session.pending(pair, pair.scopes)
        if not pending:
            return
        for scope in pending:
            session.run(pair, scope)
    raise AssertionError("something is pending for ever")


@pytest.mark.parametrize("winner", ["parent", "child"])
def test_rows_that_clients_write_while_they_are_being_applied(
    databases: tuple[Database, Database], winner: str
) -> None:
    """Two customers, four clerks, and sessions one after the other: each write stands, was seen, or is kept."""
    child, parent = databases
    books = Books()
    pair = world.paired(child, parent, [world.scope("Customers", "bidirectional", CUSTOMER, winner)])
    for account in (1, 2):
        write = books.number()
        world.run(parent, "insert into {ax.CUSTTABLE} values (?, ?)", account, write)
        books.writes[write] = None
    settled(pair)
    if child.engine is world.ENGINE and not all(world.heeds_hints(db, CUSTOMER) for db in (child, parent)):
        pytest.skip("WITH (UPDLOCK, HOLDLOCK) locks nothing on this server, so others write between decision and write")
    clerks = [Rival(db, books, seed) for seed, db in enumerate((child, child, parent, parent))]
    for clerk in clerks:
        clerk.random.randint = lambda _low, _high, choice=clerk.random.choice: choice((1, 2))  # type: ignore[method-assign]
    sessions, moved, late = 0, 0, 0
    with at_work(clerks):
        deadline = time.monotonic() + 300
        while sessions < repeated(60, 600) or min(clerk.done for clerk in clerks) < 20:
            assert time.monotonic() < deadline, "the clerks stand still: %s" % [clerk.done for clerk in clerks]
            sessions += 1
            try:
                moved += session.run(pair, pair.scopes[0]).moved
            except StatementFailed as failure:
                assert failure.kind == "transient", failure
                late += 1
    settled(pair)
    conflicts = len(fault_books.kept(parent)) // 2
    lost = fault_books.silently_lost(books, (), child, parent)
    print(
        f"{len(books.writes)} writes, {sessions} sessions moved {moved} rows, {late} were put off, {conflicts} conflicts, "
        f"{len(lost)} writes lost silently; a client waited {max(clerk.slowest for clerk in clerks):.2f} s at most"
    )
    assert lost == []
    assert fault_books.customers_of(child) == fault_books.customers_of(parent)
    assert conflicts > 0, "they never met"


def sell(db: Database, number: str, comment: str = "") -> None:
    with db.transaction():
        world.run(db, "insert into {ax.RETAILTRANSACTIONTABLE} values (?, 1, 5, 'EUR')", number)
        world.run(db, "insert into {ax.RETAILTRANSACTIONSALESTRANS} values (?, 1, 5, ?)", number, comment)


def sales(db: Database) -> set[str]:
    heads = {row[0] for row in world.rows(db, "select {TRANSACTIONID} from {ax.RETAILTRANSACTIONTABLE}")}
    assert heads == {row[0] for row in world.rows(db, "select {TRANSACTIONID} from {ax.RETAILTRANSACTIONSALESTRANS}")}
    return heads


def test_a_poisonous_sale_waits_whole_and_comes_once_that_is_mended(databases: tuple[Database, Database]) -> None:
    child, parent = databases
    pair = world.paired(child, parent, [SALES])
    world.run(
        parent, "alter table {ax.RETAILTRANSACTIONTABLE} add constraint mended check ({TRANSACTIONID} <> 'poison')"
    )
    for number in ("before", "poison", "after"):
        sell(child, number)
    settled(pair)
    assert sales(parent) == {"before", "after"}
    assert len(kept.quarantined(pair)) == 2
    assert [one["result"] for one in retry.retry(pair, kept.quarantined(pair))] == [retry.BACK]
    world.run(parent, "alter table {ax.RETAILTRANSACTIONTABLE} drop constraint mended")
    assert [one["result"] for one in retry.retry(pair, kept.quarantined(pair))] == [retry.STORED]
    assert sales(parent) == {"before", "poison", "after"}


def test_an_open_transaction_holds_up_nobody_but_itself(databases: tuple[Database, Database]) -> None:
    child, parent = databases
    pair = world.paired(child, parent, [SALES])
    with _engine.connect(child.target) as idler:
        with idler.transaction():
            world.run(idler, "insert into {ax.RETAILTRANSACTIONTABLE} values ('open', 1, 5, 'EUR')")
            for number in range(5):
                sell(child, "beside %d" % number)
                session.run(pair, SALES)
                assert sales(parent) == {"beside %d" % done for done in range(number + 1)}
            assert child.engine.marks.oldest_open(child) is not None
            age = child.engine.marks.low_age(child)
            assert age is None or age > 0, "whoever may not see it must not say that there is none"
            world.run(idler, "insert into {ax.RETAILTRANSACTIONSALESTRANS} values ('open', 1, 5, '')")
        settled(pair)
    assert sales(parent) == {"open", *("beside %d" % number for number in range(5))}


def test_a_body_that_is_sent_in_pieces_arrives_as_it_was(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, parent = databases
    pair = world.paired(child, parent, [SALES])
    monkeypatch.setattr(transfer, "PIECE", 7)
    comments = ["", "a ", "Tüte 🎁🎁🎁", "'; {}? %", "long " * 50]
    for number, comment in enumerate(comments):
        world.run(child, "insert into {ax.RETAILTRANSACTIONSALESTRANS} values ('1', ?, 5, ?)", number, comment)
    settled(pair)
    found = world.rows(parent, "select {COMMENT} from {ax.RETAILTRANSACTIONSALESTRANS} order by {LINENUM}")
    assert [row[0] for row in found] == comments
