# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories over three tiers of real databases: HQ, two channel databases, three registers.

Tills write and leave transactions open, sessions run and are killed at any statement, in an order that a seed decides. After
each history all databases agree, another round moves nothing, every write is there, was overwritten by somebody who had seen
it, or is kept as the loser of a conflict; and no reader ever sees a part of a sale.

``RETAIL_HISTORIES=500 ./dev test tests/property`` tries more of them; a failure names its seed.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from offline_world import Couple, make_tables, target

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity
from ansible_collections.axops.retail.plugins.module_utils._sync import session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

HISTORIES = int(os.environ.get("RETAIL_HISTORIES", "8"))
STEPS = 70
KEYS = 4

PARENTS = {"c1": "hq", "c2": "hq", "r1": "c1", "r2": "c1", "r3": "c2"}
#: Sessions of a whole round, from the leaves to the root.
ROUND = ("r1", "r2", "r3", "c1", "c2")


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


CARD = _table("CARD", "ID", ID="bigint not null", VALUE="int not null")
SALE = _table("SALE", "ID", ID="int not null", LINES="int not null")
LINE = _table("LINE", "SALE NUMBER", SALE="int not null", NUMBER="int not null")

BROKEN = """SELECT s."ID" FROM ax."SALE" s WHERE s."LINES" <> (SELECT count(*) FROM ax."LINE" l WHERE l."SALE" = s."ID")
 UNION SELECT l."SALE" FROM ax."LINE" l WHERE NOT EXISTS (SELECT 1 FROM ax."SALE" s WHERE s."ID" = l."SALE")"""


class Killed(BaseException):
    """The process ends here, as far as a test in the same process can end it."""


@dataclass
class Work:
    """An open transaction of a till: what it wrote, and over what."""

    db: Database
    stack: contextlib.ExitStack
    writes: list[tuple[int, int, int | None]] = field(default_factory=list)
    sales: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)


class Tier:
    """One database: the connection of its sessions, two tills, and what the tills have open."""

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.name = name
        self.db = make_tables(connect(target(facts)), (CARD, SALE, LINE))
        self.free = [connect(target(facts)) for _till in range(2)]
        self.open: list[Work] = []
        for db in (self.db, *self.free):
            db.execute("SET lock_timeout = '40ms'")

    def close(self) -> None:
        for work in self.open:
            work.stack.close()
        for db in (self.db, *self.free):
            db.close()


class History:
    """One seeded run."""

    def __init__(self, seed: int, tiers: dict[str, Tier]) -> None:
        self.random = random.Random(seed)
        self.tiers = tiers
        winner = self.random.choice(["parent", "child"])
        self.scopes = (
            Scope("cards", "bidirectional", (ScopeTable(CARD.name, winner),), 0, 1, 1, True),
            Scope("sales", "upload", (ScopeTable(SALE.name, "child"), ScopeTable(LINE.name, "child")), 0, 2, 2),
        )
        self.count = 0
        #: every committed value, and the value it was written over
        self.ancestor: dict[int, int | None] = {}
        self.sold: list[int] = []
        #: values that somebody saw and deleted
        self.deleted: list[int] = []
        self.pairs: dict[str, Pair] = {}
        for child, parent in PARENTS.items():
            couple = Couple(tiers[child].db, tiers[parent].db, Identity(child, child, child))
            couple.provision(self.scopes)
            self.pairs[child] = Pair(tiers[child].db, tiers[parent].db)

    # ---- tills

    def till(self, tier: Tier) -> None:
        if tier.open and self.random.random() < 0.6:
            self.finish(tier, tier.open.pop(self.random.randrange(len(tier.open))), self.random.random() < 0.85)
        elif tier.free:
            self.begin(tier)

    def begin(self, tier: Tier) -> None:
        work = Work(tier.free.pop(), contextlib.ExitStack())
        work.stack.enter_context(work.db.transaction())
        tier.open.append(work)
        try:
            for _write in range(self.random.randint(1, 2)):
                self.write(tier, work)
        except StatementFailed:  # the row is locked by somebody else
            tier.open.remove(work)
            self.finish(tier, work, keep=False)

    def write(self, tier: Tier, work: Work) -> None:
        if tier.name.startswith("r") and self.random.random() < 0.3:
            self.sell(work)
            return
        key = self.random.randrange(KEYS)
        row = work.db.row('SELECT "VALUE" FROM ax."CARD" WHERE "ID" = ? FOR UPDATE', key)
        value = self.number()
        if self.random.random() < 0.25:
            work.db.execute('DELETE FROM ax."CARD" WHERE "ID" = ?', key)
            work.deleted.extend(row or ())
            return
        if row is None:
            work.db.execute('INSERT INTO ax."CARD" VALUES (?, ?)', key, value)
        else:
            work.db.execute('UPDATE ax."CARD" SET "VALUE" = ? WHERE "ID" = ?', value, key)
        work.writes.append((key, value, row[0] if row else None))

    def sell(self, work: Work) -> None:
        sale, lines = self.number(), self.random.randint(1, 3)
        for line in range(lines):
            work.db.execute('INSERT INTO ax."LINE" VALUES (?, ?)', sale, line)
        work.db.execute('INSERT INTO ax."SALE" VALUES (?, ?)', sale, lines)
        work.sales.append(sale)

    def finish(self, tier: Tier, work: Work, keep: bool) -> None:
        tier.free.append(work.db)
        if not keep:
            with contextlib.suppress(Killed), work.stack:
                raise Killed
            return
        work.stack.close()
        self.sold.extend(work.sales)
        self.deleted.extend(work.deleted)
        for _key, value, before in work.writes:
            self.ancestor[value] = before

    def number(self) -> int:
        self.count += 1
        return self.count

    # ---- sessions

    def session(self, child: str, deadly: bool) -> None:
        for scope in self.scopes:
            with self.mortal(child, 0.03 if deadly else 0.0):
                session.run(self.pairs[child], scope)
        for name in ("hq", "c1", "c2"):
            assert self.tiers[name].db.query(BROKEN) == [], "a reader sees a part of a sale at %s" % name

    @contextlib.contextmanager
    def mortal(self, child: str, risk: float) -> Iterator[None]:
        """Each statement may be the last one of the process; its connections then end, and what they held is free."""
        original = Database._run
        sides = [self.tiers[child].db, self.tiers[PARENTS[child]].db]

        def run(db: Database, *arguments: Any) -> Any:
            if db in sides and risk and self.random.random() < risk:
                raise Killed
            return original(db, *arguments)

        Database._run = run  # type: ignore[method-assign]
        try:
            yield
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
            if self.random.random() < 0.55:
                self.till(self.random.choice(list(self.tiers.values())))
            else:
                self.session(self.random.choice(ROUND), deadly=self.random.random() < 0.5)
        for tier in self.tiers.values():
            while tier.open:
                self.finish(tier, tier.open.pop(), keep=True)
        for _round in range(8):
            for child in ROUND:
                self.session(child, deadly=False)

    # ---- what must hold

    def check(self) -> None:
        again = [session.run(self.pairs[child], scope) for child in ROUND for scope in self.scopes]
        assert not any(done.noteworthy for done in again), "another round moves something"
        assert all(session.pending(pair, pair.scopes) == [] for pair in self.pairs.values())
        cards = {
            name: sorted(map(tuple, tier.db.query('SELECT * FROM ax."CARD"'))) for name, tier in self.tiers.items()
        }
        assert all(rows == cards["hq"] for rows in cards.values()), cards
        arrived = sorted(row[0] for row in self.tiers["hq"].db.query('SELECT "ID" FROM ax."SALE"'))
        assert arrived == sorted(self.sold), "sales lost or doubled"
        assert sum(tier.db.value("SELECT count(*) FROM dbo.sync_quarantine") for tier in self.tiers.values()) == 0
        self.check_nothing_vanished([value for _key, value in cards["hq"]])

    def check_nothing_vanished(self, final: list[int]) -> None:
        """Every write stands, was seen by whoever wrote over it or deleted it, or lost a conflict and was kept."""
        accounted: set[int] = set()
        for value in [*final, *self.kept(), *self.deleted]:
            current: int | None = value
            while current is not None and current not in accounted:
                accounted.add(current)
                current = self.ancestor.get(current)
        assert set(self.ancestor) <= accounted, "silently lost: %s" % sorted(set(self.ancestor) - accounted)

    def kept(self) -> Iterator[int]:
        for tier in self.tiers.values():
            for side in ("incoming_image", "local_image"):
                for row in tier.db.query(
                    "SELECT CAST(CAST(%s AS json)->>'VALUE' AS int) FROM dbo.sync_conflict WHERE %s IS NOT NULL"
                    % (side, side)
                ):
                    yield row[0]


@pytest.fixture
def tiers(pg_server: Any, new_database: Callable[[Any], dict[str, Any]]) -> Iterator[dict[str, Tier]]:
    made = {name: Tier(name, new_database(pg_server)) for name in ("hq", *PARENTS)}
    yield made
    for tier in made.values():
        tier.close()


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_a_history_loses_doubles_and_halves_nothing(
    tiers: dict[str, Tier], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_TRIES", 2)  # a till holds its locks for longer than any patience here
    history = History(seed, tiers)
    history.run()
    history.check()
