# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories of filtered rows: HQ writes rows and what decides about them, in transactions that overlap; channels take
them in sessions that are cut off at any statement. In the end each channel has what its filters let through, and no more.

``RETAIL_HISTORIES=500 ./dev test tests/property`` tries more of them; a failure names its seed.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from offline_world import Couple, connect, make_tables

from ansible_collections.axops.retail.plugins.module_utils._engine import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition, Member
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity
from ansible_collections.axops.retail.plugins.module_utils._sync import session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

HISTORIES = max(2, int(os.environ.get("RETAIL_HISTORIES", "8")) // 2)
STEPS = 60
CHANNELS = (1, 2)


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


OWN = _table("OWN", "ID", ID="bigint not null", CHANNEL="bigint", VALUE="int not null")
ITEM = _table("ITEM", "ID", ID="bigint not null", VALUE="int not null")
LINK = _table("LINK", "ITEM GRP", ITEM="bigint not null", GRP="bigint not null")
GRP = _table("GRP", "GRP CHANNEL", GRP="bigint not null", CHANNEL="bigint not null")
CARD = _table("CARD", "ID", ID="bigint not null", CHANNEL="bigint", VALUE="int not null")
TABLES = (OWN, ITEM, LINK, GRP, CARD)
WANTED = {
    "OWN": '"CHANNEL" = %d',
    "CARD": '"CHANNEL" = %d',
    "ITEM": '"ID" IN (SELECT l."ITEM" FROM ax."LINK" l JOIN ax."GRP" g ON g."GRP" = l."GRP" WHERE g."CHANNEL" = %d)',
}


def scopes(channel: int, winner: str) -> tuple[Scope, ...]:
    own = (Condition("CHANNEL", (str(channel),)),)
    group = Member(GRP.name, "GRP", own)
    items = (Condition("ID", member=Member(LINK.name, "ITEM", (Condition("GRP", member=group),))),)
    down = (ScopeTable(OWN.name, "parent", own), ScopeTable(ITEM.name, "parent", items))
    return (
        Scope("down", "download", down, 0, 1, 1),
        Scope("both", "bidirectional", (ScopeTable(CARD.name, winner, own),), 0, 2, 2, True),
    )


class Killed(BaseException):
    """The process ends here, as far as a test in the same process can end it."""


class History:
    """One seeded run."""

    def __init__(self, seed: int, facts: dict[str, dict[str, Any]]) -> None:
        self.random = random.Random(seed)
        self.hq, *children = (connect(facts[name]) for name in ("hq", "c1", "c2"))
        self.channels = dict(zip(CHANNELS, children))
        self.free = [connect(facts["hq"]) for _writer in range(2)]
        self.open: list[tuple[Database, contextlib.ExitStack]] = []
        for db in (self.hq, *children, *self.free):
            db.execute("SET lock_timeout = '40ms'")
        make_tables(self.hq, TABLES)
        self.pairs = {}
        winner = self.random.choice(["parent", "child"])
        for channel, db in self.channels.items():
            Couple(db, self.hq, Identity("C%d" % channel)).provision(scopes(channel, winner))
            self.pairs[channel] = Pair(db, self.hq)

    def close(self) -> None:
        for _db, stack in self.open:
            stack.close()
        for db in (self.hq, *self.channels.values(), *self.free):
            db.close()

    # ---- HQ and the channels write

    def write(self) -> None:
        if self.open and self.random.random() < 0.6:
            self.finish(keep=self.random.random() < 0.85)
        elif self.free:
            db, stack = self.free.pop(), contextlib.ExitStack()
            stack.enter_context(db.transaction())
            self.open.append((db, stack))
            try:
                for _statement in range(self.random.randint(1, 3)):
                    self.change(db, self.random.choice(("OWN", "ITEM", "LINK", "GRP", "CARD")))
            except StatementFailed:  # another one has the row
                self.open.remove((db, stack))
                self.end(db, stack, keep=False)

    def finish(self, keep: bool) -> None:
        self.end(*self.open.pop(self.random.randrange(len(self.open))), keep)

    def end(self, db: Database, stack: contextlib.ExitStack, keep: bool) -> None:
        self.free.append(db)
        with contextlib.suppress(Killed), stack:
            if not keep:
                raise Killed

    def change(self, db: Database, name: str) -> None:
        pick = self.random.randint
        key, channel, value = pick(1, 4), pick(0, 2), pick(0, 99)
        if name in ("LINK", "GRP"):
            first = key if name == "LINK" else pick(1, 2)
            second = pick(1, 2)
            columns = ("ITEM", "GRP") if name == "LINK" else ("GRP", "CHANNEL")
            gone = 'DELETE FROM ax."%s" WHERE "%s" = %d AND "%s" = %d' % (name, columns[0], first, columns[1], second)
            if not db.execute(gone):
                db.execute('INSERT INTO ax."%s" VALUES (%d, %d)' % (name, first, second))
            return
        where = 'WHERE "ID" = %d' % key
        if self.random.random() < 0.25:
            db.execute('DELETE FROM ax."%s" %s' % (name, where))
            return
        filtered = name != "ITEM"
        moved = ', "CHANNEL" = %s' % (channel or "NULL") if filtered and self.random.random() < 0.6 else ""
        if not db.execute('UPDATE ax."%s" SET "VALUE" = %d%s %s' % (name, value, moved, where)):
            values = (key, channel or None, value) if filtered else (key, value)
            texts = ", ".join("NULL" if one is None else str(one) for one in values)
            db.execute('INSERT INTO ax."%s" VALUES (%s)' % (name, texts))

    # ---- sessions

    def session(self, channel: int, risk: float) -> None:
        original, sides = Database._run, (self.channels[channel], self.hq)

        def run(db: Database, *arguments: Any) -> Any:
            if db in sides and risk and self.random.random() < risk:
                raise Killed
            return original(db, *arguments)

        for scope in self.pairs[channel].scopes:
            Database._run = run  # type: ignore[method-assign]
            try:
                session.run(self.pairs[channel], scope)
            except Killed:
                Database._run = original  # type: ignore[method-assign]
                for db in sides:
                    db.execute("SELECT pg_advisory_unlock_all()")
                    db.execute("DISCARD TEMP")
            except StatementFailed as failure:
                assert failure.kind == "transient", failure
            finally:
                Database._run = original  # type: ignore[method-assign]

    def run(self) -> None:
        for _step in range(STEPS):
            chance, channel = self.random.random(), self.random.choice(CHANNELS)
            if chance < 0.5:
                self.write()
            elif chance < 0.6:
                with contextlib.suppress(StatementFailed):
                    self.change(self.channels[channel], "CARD")
            else:
                self.session(channel, self.random.choice((0.0, 0.03)))
        while self.open:
            self.finish(keep=True)
        for _round in range(6):
            for channel in CHANNELS:
                self.session(channel, 0.0)

    def check(self) -> None:
        again = [session.run(pair, scope) for pair in self.pairs.values() for scope in pair.scopes]
        assert not any(done.noteworthy for done in again), "another round moves something"
        assert all(session.pending(pair, pair.scopes) == [] for pair in self.pairs.values())
        for channel, db in self.channels.items():
            for name, condition in WANTED.items():
                wanted = rows(self.hq, name, condition % channel)
                assert rows(db, name) == wanted, (name, channel)
        assert (
            sum(db.value("SELECT count(*) FROM dbo.sync_quarantine") for db in (self.hq, *self.channels.values())) == 0
        )


def rows(db: Database, name: str, condition: str = "1 = 1") -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in db.query('SELECT * FROM ax."%s" WHERE %s' % (name, condition)))


@pytest.fixture
def facts(pg_server: Any, new_database: Callable[[Any], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: new_database(pg_server) for name in ("hq", "c1", "c2")}


@pytest.fixture
def history(facts: dict[str, dict[str, Any]], seed: int) -> Iterator[History]:
    made = History(seed, facts)
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_a_channel_ends_with_what_its_filters_let_through(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_TRIES", 2)  # a writer holds its locks for longer than any patience here
    monkeypatch.setattr(transfer, "BATCH_ROWS", 1)
    monkeypatch.setattr(transfer, "BATCH_SIZE", 1)  # so that a session can be cut off between any two rows
    history.run()
    history.check()
