# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HQ, two channel databases and three registers: real databases, provisioned, and their connections."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import fleet_shapes as shapes
from fleet_engines import Server
from fleet_shapes import NODES, PARENTS, ROUND, TABLES

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity, Place, Request, plan_pair
from ansible_collections.axops.retail.plugins.module_utils._sync import anew, session
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

TILLS = 2


@dataclass
class Work:
    """An open transaction of a till: what it wrote over what, what it deleted, and which keys are gone; the sales that it
    made, touched (with the number of the header), renamed (with their new keys) and purged (with the numbers that nobody
    has to find any more)."""

    db: Database
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    writes: list[tuple[int, int | None]] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    gone: list[tuple[str, int]] = field(default_factory=list)
    sold: list[int] = field(default_factory=list)
    touched: dict[int, int] = field(default_factory=dict)
    renamed: dict[int, int] = field(default_factory=dict)
    purged: dict[int, set[int]] = field(default_factory=dict)
    customers: list[int] = field(default_factory=list)


class Undone(Exception):
    """A till takes its transaction back."""


class Node:
    """One database: the connection of its sessions, that of a reader, and two tills with what they have open."""

    def __init__(self, name: str, server: Server, database: str) -> None:
        self.name, self.server, self.database = name, server, database
        self._connections: dict[str, Database] = {}
        self.open: dict[int, Work] = {}

    def _connection(self, purpose: str) -> Database:
        if purpose not in self._connections:
            self._connections[purpose] = self.server.connect(self.database)
        return self._connections[purpose]

    @property
    def db(self) -> Database:
        return self._connection("session")

    @property
    def reader(self) -> Database:
        return self._connection("reader")

    def work(self, till: int) -> Work:
        """The transaction that the till has open, or begins now."""
        if till not in self.open:
            work = self.open[till] = Work(self._connection("till %d" % till))
            work.stack.enter_context(work.db.transaction())
        return self.open[till]

    def undo(self, till: int) -> None:
        work = self.open.pop(till)
        with contextlib.suppress(Undone), work.stack:
            raise Undone

    def hang_up(self) -> None:
        """The process of the sessions is gone, and its connection with it."""
        db = self._connections.pop("session", None)
        if db is not None:
            db.close()

    def close(self) -> None:
        for till in list(self.open):
            self.undo(till)
        for db in self._connections.values():
            db.close()
        self._connections.clear()


class Fleet:
    """The six databases of one history."""

    def __init__(self, server: Server, prefix: str, winner: str) -> None:
        self.server, self.prefix, self.winner = server, prefix, winner
        self.nodes = {name: Node(name, server, prefix + name) for name in NODES}
        self.with_shelf = dict.fromkeys(PARENTS, True)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    # ---- making it

    def build(self) -> Fleet:
        """Everything from the beginning: databases, tables, triggers, pairs, and a little master data that is everywhere."""
        for node in self.nodes.values():
            self.server.create(node.database)
            self.furnish(node)
        for child in ("c1", "c2", *shapes.REGISTERS):
            self.provision(child)
        hq = self["hq"].db
        # Numbers below those of any ledger.
        for number in (1, 2, 3):
            for table in ("ITEM", "CARD"):
                row = (number, "first-%d" % number, -number)
                shapes.execute(hq, "INSERT INTO {ax.%s} ({ID}, {CODE}, {VALUE}) VALUES (?, ?, ?)" % table, *row)
            for table in ("CUSTOMER", "SHELF"):
                shapes.execute(hq, "INSERT INTO {ax.%s} ({ID}, {VALUE}) VALUES (?, ?)" % table, number, -number)
        self.settle()
        return self

    def furnish(self, node: Node) -> None:
        """The tables and triggers of an empty database."""
        for schema in ("ax", "crt", "dbo"):
            _run(node.db, node.db.engine.tables.create_schema(schema))
        for table in TABLES.values():
            _run(node.db, node.db.engine.tables.create(table))
        self.server.put_triggers(node.db, node.name)
        if node.name in ("c2", "hq"):
            # Only some refuse such a payment, so that it is put aside at the first hop or at the second.
            shapes.execute(node.db, "ALTER TABLE {ax.PAYMENT} ADD CONSTRAINT {no_debts} CHECK ({AMOUNT} >= 0)")

    def copy_of(self, template: Fleet) -> Fleet:
        """The same databases under other names, as if they had been made so."""
        for name, node in self.nodes.items():
            self.server.create(node.database, template[name].database)
        for child in PARENTS:
            self.recognise(child)
        return self

    def recognise(self, child: str) -> None:
        """Let a pair take copies of its databases for the originals."""
        ours, theirs = self[child].db, self[PARENTS[child]].db
        change = "UPDATE {dbo.sync_peer} SET {incarnation} = ? WHERE "
        (guid,) = shapes.query(ours, "SELECT {peer_guid} FROM {dbo.sync_peer} WHERE {peer_id} = 0")[0]
        shapes.execute(ours, change + "{peer_id} = 0", theirs.engine.marks.incarnation(theirs))
        incarnation = ours.engine.marks.incarnation(ours)
        shapes.execute(theirs, change + "{peer_id} <> 0 AND {peer_guid} = ?", incarnation, guid)
        shapes.execute(theirs, "DELETE FROM {dbo.sync_incarnation} WHERE {peer_guid} = ?", guid)

    # ---- pairs

    def scopes(self, child: str) -> tuple[Scope, ...]:
        return shapes.scopes(self.winner, self.with_shelf[child])

    def provision(self, child: str, **options: Any) -> list[str]:
        """Converge a pair; returns the titles of what was done."""
        places = {"child": self[child].db, "parent": self[PARENTS[child]].db}
        request = Request(
            *(Place(key, "the database of the %s" % key, db.engine, db) for key, db in places.items()),
            self.scopes(child),
            Identity(child, child, child),
            places.__getitem__,
            create_tables=True,
            **options,
        )
        # Without the locks: nobody else provisions here, and Babelfish takes those of two databases for one.
        plan = plan_pair(request).plan
        plan.apply(places.__getitem__)
        return plan.titles

    def pair(self, child: str) -> Pair:
        """The pair as the service opens it: it begins anew by itself where a side was restored.

        :raises NotProvisioned: a side does not know the other.
        """
        return anew.open_pair(self[child].db, self[PARENTS[child]].db, silence=0)

    def settle(self, rounds: int = 10) -> None:
        """Rounds of sessions until no pair has anything to move.

        :raises AssertionError: there is no end to it.
        """
        pairs = {child: self.pair(child) for child in ROUND}
        for _round in range(rounds):
            busy = [(pair, scope) for pair in pairs.values() for scope in session.pending(pair, pair.scopes)]
            if not busy:
                return
            for pair, scope in busy:
                session.run(pair, scope)
        raise AssertionError("after %d rounds there is still something to move" % rounds)

    # ---- ends

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    def drop(self) -> None:
        self.close()
        for node in self.nodes.values():
            self.server.drop(node.database)


class Workshop:
    """Makes fleets: copies of a template where the server can copy databases, else each from the beginning."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._templates: dict[str, Fleet] = {}

    def fleet(self, winner: str) -> Fleet:
        fleet = Fleet(self.server, "axops_%s_" % secrets.token_hex(4), winner)
        if not self.server.copies:
            return fleet.build()
        if winner not in self._templates:
            self._templates[winner] = Fleet(self.server, "axops_template_%s_" % winner, winner).build()
            self._templates[winner].close()
        return fleet.copy_of(self._templates[winner])

    def close(self) -> None:
        for fleet in self._templates.values():
            fleet.drop()


def _run(db: Database, statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
