# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that has lost its last moments: a standby takes over to which they had not come, or commits were not on the disk yet.

It is the same database still, and gives the numbers of the transactions that it has lost to others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pgserver
import pytest
from offline_world import Couple, make_tables, target
from session_world import cut_off, rows

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import anew, session
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair


def _table(name: str) -> Table:
    columns = {"ID": "bigint not null", "NAME": "nvarchar(20)"}
    return Table(TableName("ax", name), tuple(Column.parse(*column) for column in columns.items()), ("ID",))


TABLES = ITEM, SALE, CUSTOMER = _table("ITEM"), _table("SALE"), _table("CUSTOMER")
SCOPES = (
    make_scope("items", "download", [ITEM.name], 0, 1, 11),
    make_scope("sales", "upload", [SALE.name], 0, 2, 12),
    make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13),
)


class Fallible:
    """A pair of which one side lives on a server of its own, which can be put back to an earlier moment."""

    def __init__(self, server: pgserver.PgServer, own: str, facts: dict[str, dict[str, Any]]) -> None:
        self.server, self.own, self.facts = server, own, facts
        self.open: dict[str, Database] = {}
        self.copy = server.directory / "standby"

    def __getitem__(self, side: str) -> Database:
        if side not in self.open:
            self.open[side] = connect(target(self.facts[side]))
        return self.open[side]

    def put(self, side: str, table: str, number: int, name: str = "a") -> None:
        self[side].execute('INSERT INTO ax."%s" VALUES (?, ?)' % table, number, name)

    def pass_time(self, transactions: int) -> None:
        """Others write on the server."""
        for _number in range(transactions):
            self[self.own].value("SELECT CAST(pg_current_xact_id() AS text)")

    def sync(self) -> None:
        """Sessions as the service runs them, until nothing is pending."""
        for _round in range(6):
            pair = anew.open_pair(self["child"], self["parent"])
            pending = session.pending(pair, pair.scopes)
            if not pending:
                return
            for scope in pending:
                session.run(pair, scope)
        raise AssertionError("it never ends: %s" % pending)

    def run(self, scope: Scope) -> session.Session:
        return session.run(anew.open_pair(self["child"], self["parent"]), scope)

    @contextmanager
    def replicated_before(self, monkeypatch: pytest.MonkeyPatch, write: Callable[[], None]) -> Iterator[None]:
        """What the standby has is the moment before the first snapshot that a session takes of this side; then something is
        written, which is in the snapshot."""
        original, done = self[self.own].engine.marks.snapshot, []

        @contextmanager
        def snapshot(db: Database) -> Iterator[Any]:
            if db is self.open[self.own] and not done:
                done.append(True)
                self.replicate_meanwhile()
                write()
            with original(db) as mark:
                yield mark

        with monkeypatch.context() as patch:
            patch.setattr(self[self.own].engine.marks, "snapshot", snapshot)
            yield
        assert done

    def replicate_meanwhile(self) -> None:
        """As :meth:`replicate`; connections stay."""
        shutil.rmtree(self.copy, ignore_errors=True)
        facts = self.server.facts()
        where = ["-h", facts["host"], "-p", str(facts["port"]), "-U", facts["user"], "-D", str(self.copy)]
        subprocess.run(
            [self.server.binaries / "pg_basebackup", *where, "-c", "fast"],
            check=True, env={**os.environ, "PGPASSWORD": facts["password"]},
        )  # fmt: skip
        subprocess.run(["chown", "-R", "--reference", self.server.data, self.copy], check=True)

    def replicate(self) -> None:
        """What the standby has from now on is this moment."""
        self._stop()
        shutil.rmtree(self.copy, ignore_errors=True)
        subprocess.run(["cp", "-a", self.server.data, self.copy], check=True)
        self.server.start()

    def fail_over(self) -> None:
        """The standby takes the server's place."""
        self._stop()
        shutil.rmtree(self.server.data)
        self.copy.rename(self.server.data)
        self.server.start()

    def change_over(self) -> None:
        """The name leads to the other one of two that are both alive, and are both written to."""
        self._stop()
        away = self.copy.with_name("away")
        self.server.data.rename(away)
        self.copy.rename(self.server.data)
        away.rename(self.copy)
        self.server.start()

    def _stop(self) -> None:
        self.close()
        self.server.stop()

    def close(self) -> None:
        for db in self.open.values():
            db.close()
        self.open.clear()


@pytest.fixture
def pair(request: pytest.FixtureRequest, scratch_database: dict[str, Any]) -> Iterator[Fallible]:
    """Provisioned and loaded with nothing; the parameter says which side can be put back."""
    own = request.param
    other = "child" if own == "parent" else "parent"
    with pgserver.throwaway("standby") as server:
        made = Fallible(server, own, {own: server.create_database("fallible"), other: scratch_database})
        make_tables(made["parent"], TABLES)
        Couple(made["child"], made["parent"]).provision(SCOPES)
        made.sync()
        yield made
        made.close()


@pytest.mark.parametrize("pair", ["parent"], indirect=True)
def test_what_a_parent_does_after_it_lost_its_last_moments_comes_down(pair: Fallible) -> None:
    """The one session in them is not known to it; what it writes next has numbers that the child has passed."""
    pair.put("parent", "ITEM", 1)
    pair.put("parent", "CUSTOMER", 1)
    pair.put("child", "CUSTOMER", 9)
    pair.sync()
    pair.replicate()
    pair.pass_time(60)
    pair.put("parent", "ITEM", 2, "lost")
    pair.put("parent", "CUSTOMER", 2, "lost")
    pair.sync()
    pair.fail_over()
    assert rows(pair["parent"], "ITEM") == [(1, "a")]
    pair["child"].execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'changed' WHERE "ID" = 9""")
    for number in (3, 4):
        pair.put("parent", "ITEM", number)
        pair.put("parent", "CUSTOMER", number)
    pair.pass_time(200)
    pair.put("parent", "ITEM", 5)
    pair.put("parent", "CUSTOMER", 5)
    pair.sync()
    for table in ("ITEM", "CUSTOMER"):
        assert {(3, "a"), (4, "a"), (5, "a")} <= set(rows(pair["child"], table))
        assert rows(pair["child"], table) == rows(pair["parent"], table)
    assert {(2, "lost"), (9, "changed")} <= set(rows(pair["parent"], "CUSTOMER")), (
        "it goes up again, since customers do"
    )
    assert pair["parent"].value("SELECT count(*) FROM dbo.sync_conflict") == 0


@pytest.mark.parametrize("pair", ["parent"], indirect=True)
def test_two_parents_that_are_both_alive_lose_no_sale_that_the_child_has(pair: Fallible) -> None:
    """What they are written themselves nobody merges; the child has what the one has that it talks to."""
    pair.put("child", "SALE", 1)
    pair.put("parent", "ITEM", 1)
    pair.sync()
    pair.replicate()
    for number in range(2, 6):
        pair.put("child", "SALE", number)
        pair.put("child", "CUSTOMER", number)
        pair.put("parent", "ITEM", number, "here alone")
        pair.sync()
        assert rows(pair["parent"], "SALE") == [(sale, "a") for sale in range(1, number + 1)]
        assert [row[0] for row in rows(pair["parent"], "CUSTOMER")] == list(range(2, number + 1))
        assert rows(pair["child"], "ITEM") == rows(pair["parent"], "ITEM")
        pair.change_over()
    pair.sync()
    for table in ("SALE", "CUSTOMER", "ITEM"):
        assert rows(pair["child"], table) == rows(pair["parent"], table)
    assert [row[0] for row in rows(pair["parent"], "ITEM")] == [1, 2, 4], "3 and 5 are at the other one"
    assert pair["parent"].value("SELECT count(*) FROM dbo.sync_conflict") == 0


@pytest.mark.parametrize("pair", ["parent"], indirect=True)
def test_an_anchor_that_lies_ahead_of_an_idle_sender_is_noticed_before_it_is_passed(pair: Fallible) -> None:
    pair.put("parent", "ITEM", 1)
    pair.sync()
    pair["child"].execute("UPDATE dbo.scope_info SET anchor_in = anchor_in + 100 WHERE sync_scope_name = 'items'")
    pair.put("parent", "ITEM", 2)
    opened = Pair(pair["child"], pair["parent"])
    assert [scope.name for scope in session.pending(opened, opened.scopes)] == ["items"]
    pair.sync()
    assert rows(pair["child"], "ITEM") == [(1, "a"), (2, "a")]


@pytest.mark.parametrize("pair", ["child"], indirect=True)
def test_what_a_child_sells_after_it_lost_its_last_moments_goes_up(pair: Fallible) -> None:
    pair.put("child", "SALE", 1)
    pair.sync()
    pair.replicate()
    pair.pass_time(60)
    pair.put("child", "SALE", 2, "lost")
    pair.sync()
    pair.fail_over()
    assert rows(pair["child"], "SALE") == [(1, "a")]
    for number in (3, 4):
        pair.put("child", "SALE", number)
    pair.pass_time(200)
    pair.put("child", "SALE", 5)
    pair.sync()
    assert rows(pair["parent"], "SALE") == [(1, "a"), (2, "lost"), (3, "a"), (4, "a"), (5, "a")]


@pytest.mark.parametrize("pair", ["child"], indirect=True)
@pytest.mark.parametrize(("table", "scope"), [("SALE", SCOPES[1]), ("CUSTOMER", SCOPES[2])], ids=["up", "both"])
def test_what_a_child_wrote_between_the_token_of_a_session_and_its_snapshot(
    pair: Fallible, monkeypatch: pytest.MonkeyPatch, table: str, scope: Scope
) -> None:
    """A session took it, and it is lost with the child's last moments: what is written next, under the same numbers, is another row."""
    pair.put("child", table, 1)
    pair.sync()
    pair.put("child", table, 2)

    def write() -> None:
        pair.put("child", table, 3, "lost")
        pair.put("child", table, 4, "lost")

    with pair.replicated_before(monkeypatch, write):
        pair.run(scope)
    assert (4, "lost") in rows(pair["parent"], table)
    pair.fail_over()
    assert [number for number, _name in rows(pair["child"], table)] == [1, 2]
    for number in (3, 5, 6):
        pair.put("child", table, number, "again")
    pair.pass_time(200)
    pair.put("child", table, 7, "again")
    pair.sync()
    there = rows(pair["parent"], table)
    assert {(5, "again"), (6, "again"), (7, "again"), (4, "lost")} <= set(there)
    assert {"lost", "again"} == {dict(there)[3], *_names_in_conflicts(pair["parent"])}, (
        "both images of 3 are kept, once"
    )
    if scope.downloads:
        assert rows(pair["child"], table) == there


def _names_in_conflicts(db: Database) -> list[str]:
    """The names of the images that lost."""
    found = db.query("SELECT winner, incoming_image, local_image FROM dbo.sync_conflict")
    return [json.loads(row[1] if row[0] == "parent" else row[2])["NAME"] for row in found]


@pytest.mark.parametrize("pair", ["parent"], indirect=True)
@pytest.mark.parametrize("table", ["ITEM", "CUSTOMER"])
def test_what_a_parent_wrote_between_the_token_of_a_session_and_its_snapshot(
    pair: Fallible, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    pair.put("parent", table, 1)
    pair.put("child", "CUSTOMER", 10)
    pair.sync()
    pair.put("parent", table, 2)

    def write() -> None:
        pair.put("parent", table, 3, "lost")
        pair.put("parent", table, 4, "lost")

    with pair.replicated_before(monkeypatch, write):
        pair.run(SCOPES[0] if table == "ITEM" else SCOPES[2])
    assert (4, "lost") in rows(pair["child"], table)
    pair.fail_over()
    for number in (5, 6):
        pair.put("parent", table, number)
    pair.pass_time(200)
    pair.put("parent", table, 7)
    pair.sync()
    assert {(5, "a"), (6, "a"), (7, "a")} <= set(rows(pair["child"], table))
    assert rows(pair["child"], table) == rows(pair["parent"], table)


@pytest.mark.parametrize("pair", ["child", "parent"], indirect=True)
def test_what_had_landed_of_moments_that_are_lost(pair: Fallible, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session was cut off, and the next one would go on from where it was: but that is where the lost ones were."""
    side, other, table, scope = (
        ("child", "parent", "SALE", SCOPES[1]) if pair.own == "child" else ("parent", "child", "ITEM", SCOPES[0])
    )
    pair.put(side, table, 1)
    pair.sync()
    pair.replicate()
    for number in (2, 3, 4, 5):
        pair.put(side, table, number, "lost")
    cut_off(monkeypatch, pair, scope, after=3)
    pair.fail_over()
    assert pair[other].value("SELECT count(*) FROM dbo.sync_staging") == 3
    for number in (6, 7, 8, 9):
        pair.put(side, table, number)
    pair.pass_time(200)
    pair.put(side, table, 10)
    pair.sync()
    assert [number for number, name in rows(pair[other], table) if name == "a"] == [1, 6, 7, 8, 9, 10]
