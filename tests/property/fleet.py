# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real databases that synchronise, provisioned, and their connections; and who makes them, and makes them again."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import fleet_shapes as shapes
from fleet_engines import Server

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity, Place, Request, plan_pair
from ansible_collections.axops.retail.plugins.module_utils._sync import anew, package, session
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
    """The databases of one history. A subclass says which, and what stands in them."""

    #: The children and their parents, from the root on; all databases; the children in a whole round of sessions, from the leaves on.
    PARENTS: ClassVar[dict[str, str]]
    NODES: ClassVar[tuple[str, ...]]
    ROUND: ClassVar[tuple[str, ...]]
    #: The application's tables.
    TABLES: ClassVar[dict[str, Table]]

    def __init__(self, server: Server, prefix: str, winner: str) -> None:
        self.server, self.prefix, self.winner = server, prefix, winner
        self.nodes = {name: Node(name, server, prefix + name) for name in self.NODES}
        #: Whether the databases have another shape than they were made with, and so cannot be used again.
        self.reshaped = False
        self._books: dict[str, Books] = {}
        #: The pairs that are open, by the child.
        self._pairs: dict[str, Pair] = {}
        #: The folders of packages, by the child that loads from it.
        self._packages: dict[str, str] = {}

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    # ---- making it

    def build(self) -> Fleet:
        """Everything from the beginning: databases, tables, triggers, pairs, and the first rows."""
        for node in self.nodes.values():
            self.server.create(node.database)
            self.furnish(node)
        for child in self.PARENTS:
            self.provision(child)
        self._books = {name: _read_books(node.db) for name, node in self.nodes.items()}
        return self._filled()

    def emptied(self) -> Fleet:
        """As if it had just been built: no rows but the first, and books in which no session has written yet."""
        for name, node in self.nodes.items():
            there = [table for table in node.db.engine.tables.read(node.db) if table.schema == "ax"]
            # The application's first: what is kept about its rows is written as they go.
            there.sort(key=lambda table: table.name not in self.TABLES)
            with node.db.transaction():
                for table in there:
                    node.db.execute("DELETE FROM %s" % node.db.engine.names.quote(*table))
                _write_books(node.db, self._books[name])
        return self._filled()

    def _filled(self) -> Fleet:
        self.fill()
        self.settle()
        return self

    def furnish(self, node: Node) -> None:
        """The tables and triggers of an empty database; here its schemas."""
        for schema in ("ax", "crt", "dbo"):
            run(node.db, node.db.engine.tables.create_schema(schema))

    def fill(self) -> None:
        """Write the first rows; where they are needed sessions take them."""

    def scopes(self, child: str) -> tuple[Scope, ...]:
        """The offline profile of a child."""
        raise NotImplementedError

    def copy_of(self, template: Fleet) -> Fleet:
        """The same databases under other names, as if they had been made so."""
        for name, node in self.nodes.items():
            self.server.create(node.database, template[name].database)
        for child in self.PARENTS:
            self.recognise(child)
        return self

    def recognise(self, child: str) -> None:
        """Let a pair take copies of its databases for the originals."""
        ours, theirs = self[child].db, self[self.PARENTS[child]].db
        change = "UPDATE {dbo.sync_peer} SET {incarnation} = ? WHERE "
        (guid,) = shapes.query(ours, "SELECT {peer_guid} FROM {dbo.sync_peer} WHERE {peer_id} = 0")[0]
        shapes.execute(ours, change + "{peer_id} = 0", theirs.engine.marks.incarnation(theirs))
        incarnation = ours.engine.marks.incarnation(ours)
        shapes.execute(theirs, change + "{peer_id} <> 0 AND {peer_guid} = ?", incarnation, guid)
        shapes.execute(theirs, "DELETE FROM {dbo.sync_incarnation} WHERE {peer_guid} = ?", guid)

    # ---- pairs

    def provision(self, child: str, **options: Any) -> list[str]:
        """Converge a pair; returns the titles of what was done."""
        places = {"child": self[child].db, "parent": self[self.PARENTS[child]].db}
        request = Request(
            *(Place(key, "the database of the %s" % key, db.engine, db) for key, db in places.items()),
            self.scopes(child),
            Identity(child, child, child),
            places.__getitem__,
            create_tables=True,
            **options,
        )
        self._pairs.pop(child, None)
        # Without the locks: nobody else provisions here, and Babelfish takes those of two databases for one.
        plan = plan_pair(request).plan
        plan.apply(places.__getitem__)
        return plan.titles

    def pair(self, child: str) -> Pair:
        """The pair, as the service has it: it goes on with the one that it has while its connections live and nobody provisions
        it; and a pair begins anew by itself where a side was restored.

        :raises NotProvisioned: a side does not know the other.
        """
        ours, theirs = self[child].db, self[self.PARENTS[child]].db
        pair = self._pairs.get(child)
        if pair is None or pair.child is not ours or pair.parent is not theirs:
            pair = anew.open_pair(ours, theirs, silence=0)
            pair.package = self._packages.get(child, "")
            self._pairs[child] = pair
        return pair

    def pack(self, child: str) -> None:
        """Make a package for a child, anew where there is one; its loads use it from now on.

        :raises NotProvisioned: as above.
        """
        pair = self.pair(child)
        if child not in self._packages:
            self._packages[child] = tempfile.mkdtemp(prefix="axops-package-")
        pair.package = self._packages[child]
        pair.preload(pair.scopes)
        package.make(pair, pair.package)

    def settle(self, rounds: int = 10) -> dict[str, Pair]:
        """Rounds of sessions until no pair has anything to move; returns the pairs.

        :raises AssertionError: there is no end to it.
        """
        pairs = {child: self.pair(child) for child in self.ROUND}
        for pair in pairs.values():
            pair.preload(pair.scopes)
        for _round in range(rounds):
            busy = [(pair, scope) for pair in pairs.values() for scope in session.pending(pair, pair.scopes)]
            if not busy:
                return pairs
            for pair, scope in busy:
                session.run(pair, scope)
        raise AssertionError("after %d rounds there is still something to move" % rounds)

    # ---- ends

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
        self._pairs.clear()
        for folder in self._packages.values():
            shutil.rmtree(folder)
        self._packages.clear()

    def drop(self) -> None:
        self.close()
        for node in self.nodes.values():
            self.server.drop(node.database)


AnyFleet = TypeVar("AnyFleet", bound=Fleet)
#: What fleets have in common that can stand in for each other: their kind, and who wins.
_Model = tuple[type[Fleet], str]


class Workshop:
    """Makes fleets: copies of a template where the server can copy databases. Where it cannot, a fleet is emptied and used
    again, since making one takes minutes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._templates: dict[_Model, Fleet] = {}
        self._used: dict[_Model, Fleet] = {}

    def fleet(self, kind: type[AnyFleet], winner: str) -> AnyFleet:
        model = kind, winner
        if not self.server.copies:
            return self._used.pop(model).emptied() if model in self._used else self._new(model).build()
        if model not in self._templates:
            self._templates[model] = self._new(model).build()
            self._templates[model].close()
        return self._new(model).copy_of(self._templates[model])

    def _new(self, model: _Model) -> Fleet:
        kind, winner = model
        return kind(self.server, "axops_%s_" % secrets.token_hex(4), winner)

    def take_back(self, fleet: Fleet) -> None:
        """A history has ended."""
        if self.server.copies or fleet.reshaped:
            fleet.drop()
        else:
            fleet.close()
            self._used[type(fleet), fleet.winner] = fleet

    def close(self) -> None:
        for fleet in (*self._templates.values(), *self._used.values()):
            fleet.drop()


#: The tables of the bookkeeping, with the columns that are written, and their rows.
Books = dict[TableName, tuple[tuple[str, ...], list[tuple[Any, ...]]]]


def _read_books(db: Database) -> Books:
    found: Books = {}
    for name, table in db.engine.tables.read(db).items():
        if name.schema == "dbo":
            columns = tuple(column.name for column in table.travelling_columns)
            listed = ", ".join(map(db.engine.names.quote, columns))
            rows = db.query("SELECT %s FROM %s" % (listed, db.engine.names.quote(*name)))
            found[name] = (columns, [tuple(row) for row in rows])
    return found


def _write_books(db: Database, books: Books) -> None:
    for name, (columns, rows) in books.items():
        place = db.engine.names.quote(*name)
        db.execute("DELETE FROM %s" % place)
        listed, marks = ", ".join(map(db.engine.names.quote, columns)), ", ".join("?" for _column in columns)
        for row in rows:
            db.execute("INSERT INTO %s (%s) VALUES (%s)" % (place, listed, marks), *row)


def run(db: Database, statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
