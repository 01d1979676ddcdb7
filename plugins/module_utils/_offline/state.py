# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one side of a pair has now: tables, tracking, peers and scopes, read with a handful of statements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .._engine import _framework
from .._engine._errors import RetailError
from .._engine._framework import Remains
from .._engine._model import Table, TableName
from .._sync import metadata
from .._sync.metadata import PARENT, PEER, SCOPE, Peer, Scope, ScopeState, ScopeTable


@dataclass(frozen=True)
class Place:
    """One database of a pair, as the caller knows it.

    :param key: the name under which the caller opens it for a plan's steps.
    :param title: what to call it in sentences, such as "the channel database".
    :param engine: the package that speaks to it.
    :param db: the open connection, None where the database does not exist yet.
    :param schemas: the schemas that earlier steps of the same run make.
    :param take_over: what Microsoft Sync Framework has left there is to go.
    """

    key: str
    title: str
    engine: ModuleType
    db: Any = None
    schemas: frozenset[str] = frozenset()
    take_over: bool = False


@dataclass(frozen=True)
class Entry:
    """One row of ``scope_info``."""

    scope: Scope
    state: ScopeState


@dataclass
class Side:
    """The actual state of one database of a pair."""

    place: Place
    tables: dict[TableName, Table] = field(default_factory=dict)
    tracked: dict[TableName, tuple[str, ...]] = field(default_factory=dict)
    moves: dict[TableName, bool] = field(default_factory=dict)
    #: Tables whose tracking an earlier release made.
    outdated: set[TableName] = field(default_factory=set)
    schemas: set[str] = field(default_factory=set)
    peers: list[Peer] = field(default_factory=list)
    incarnation: str = ""
    low: int = 0
    #: What Sync Framework has left, to be taken over.
    framework: Remains = field(default_factory=Remains)

    @property
    def key(self) -> str:
        return self.place.key

    @property
    def title(self) -> str:
        return self.place.title

    @property
    def engine(self) -> ModuleType:
        return self.place.engine

    @property
    def parent(self) -> Peer | None:
        """Its own row for its parent."""
        return next((peer for peer in self.peers if peer.peer_id == PARENT), None)

    @property
    def children(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.peer_id != PARENT]

    def entries(self, peer_id: int | None) -> dict[str, Entry]:
        """The rows of ``scope_info`` for one peer, by scope."""
        if peer_id is None or SCOPE not in self.tables:
            return {}
        scopes = metadata.read_scopes(self.place.db, peer_id)
        states = metadata.read_states(self.place.db, peer_id)
        return {scope.name: Entry(scope, states[scope.name]) for scope in scopes if scope.name in states}

    def used_by_others(self, but: Iterable[int]) -> set[TableName]:
        """The tables in the scopes of all peers but these."""
        return {item.name for item in self.tables_of_others(but)}

    def tables_of_others(self, but: Iterable[int]) -> set[ScopeTable]:
        """What the scopes of all peers but these say of their tables."""
        if SCOPE not in self.tables:
            return set()
        quote = self.engine.names.quote
        numbers = ", ".join(str(int(number)) for number in but) or "-1"
        # Every register of a store has the same few texts.
        sql = "SELECT DISTINCT config_data FROM %s WHERE peer_id NOT IN (%s)" % (quote(*SCOPE), numbers)
        texts = [json.loads(row[0]) for row in self.place.db.query(sql)]
        return {ScopeTable.from_document(item) for text in texts for item in text["tables"]}

    def is_tracked(self, table: TableName) -> bool:
        """Whether the tracking of a table is complete."""
        complete = table in self.tracked and set(self.engine.tracking.TRIGGERS) <= set(self.tracked[table])
        return complete and table not in self.outdated


def check_writable(*databases: Any) -> None:
    """:raises RetailError: nothing can be changed in one of those that are there."""
    for db in databases:
        if db is not None:
            db.engine.databases.check_writable(db)


def read_side(place: Place, wanted: Sequence[TableName]) -> Side:
    """Read one side.

    :param wanted: the tables that are to synchronise.
    :raises RetailError: what is there is somebody else's, such as Microsoft Sync Framework's, and ``place`` does not say to
        take it over.
    """
    side = Side(place, schemas=set(place.schemas))
    db, engine = place.db, place.engine
    if db is None:
        return side
    side.schemas |= engine.tables.schemas(db)
    side.tracked = engine.tracking.read(db)
    side.moves = engine.moves.read(db)
    side.outdated = engine.tracking.outdated(db)
    names = {table.name for table in metadata.TABLES} | set(wanted)
    names |= {TableName(schema, SCOPE.name) for schema in side.schemas}  # Sync Framework's may be in any
    foreign = [engine.tracking.tracking_name(name) for name in wanted if name not in side.tracked]
    side.tables = engine.tables.read(db, sorted(names | set(foreign)))
    _check_is_ours(side, foreign)
    side.incarnation = engine.marks.incarnation(db)
    if PEER in side.tables:
        side.peers = metadata.read_peers(db)
    return side


def read_low(side: Side) -> None:
    """Read up to where the side itself has come; after the anchors of the other side, so that none can lie ahead."""
    if side.place.db is not None:
        with side.engine.marks.snapshot(side.place.db) as mark:
            side.low = mark.low


def _check_is_ours(side: Side, foreign: Iterable[TableName]) -> None:
    where = side.place.db.target.where
    if _framework.signs(side.tables):
        if not side.place.take_over:
            refuse_framework(where)
        side.framework = side.engine.framework.read(side.place.db)
        side.tables = {name: table for name, table in side.tables.items() if not _framework.is_own(table)}
    for name in foreign:
        if name in side.tables:
            raise RetailError(
                "The database %s has a table %s which is not ours. It is left untouched." % (where, name),
                "Remove or rename it if nothing uses it any more.",
            )


def refuse_framework(where: str) -> None:
    """Leave a database alone.

    :raises RetailError: always.
    """
    raise RetailError(
        "The database %s has been provisioned by Microsoft Sync Framework. It is left untouched." % where,
        "Let its registers upload what they have, and take the store over: module retail_offline_db, option take_over, "
        "for all registers of the store at once.",
    )
