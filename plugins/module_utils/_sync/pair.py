# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A child and its parent, connected: who they are to each other, and what of each table both know."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._engine._errors import RetailError
from .._engine._filter import Filter
from .._engine._model import Column, Table, TableName
from . import metadata
from .identity import SILENCE, Instance, place
from .metadata import PARENT, Peer, Scope

#: The vendor's triggers skip their work for connections of exactly this name.
APPLICATION_NAME = "Retail Offline Sync Service"


class NotProvisioned(RetailError):
    """The two databases do not know each other."""


class Restored(RetailError):
    """One side was restored from a backup, moved or cloned: going on would lose or double rows.

    ``lost``: the sides (``child``, ``parent``) that may have lost something, where that is known.
    """

    def __init__(self, message: str, advice: str, lost: Collection[str] = ()) -> None:
        super().__init__(message, advice)
        self.lost = frozenset(lost)


@dataclass(frozen=True)
class SharedTable:
    """One table as both sides have it; those of its scope's columns that both know, in the child's order; which rows the child
    receives."""

    name: TableName
    winner: str
    child: Table
    parent: Table
    columns: tuple[str, ...]
    filter: Filter = ()

    def columns_of(self, table: Table) -> tuple[Column, ...]:
        by_name = {column.name: column for column in table.columns}
        return tuple(by_name[name] for name in self.columns)


class Pair:
    """Two open connections, checked to belong together.

    :raises NotProvisioned: a side lacks the bookkeeping, or does not know the other.
    :raises Restored: a side is not the database it was when the pair was provisioned.
    """

    def __init__(self, child: Any, parent: Any) -> None:
        self.child = child
        self.parent = parent
        self.upwards, self.downwards = acquaint(child, parent)
        _check_incarnations(child, parent, self.upwards, self.downwards)
        #: Seconds for which another child must have been silent before this one takes its place, see ``identity.py``.
        self.silence = SILENCE
        #: The folder of a package for first loads, "" for none, see ``package.py``.
        self.package = ""
        #: Why the parent's log could not be written last, "" where it could.
        self.unlogged = ""
        self.scopes = metadata.read_scopes(child, PARENT)
        self._shared: dict[str, list[SharedTable]] = {}

    @property
    def name(self) -> str:
        """For people and lock names: the child as its parent knows it."""
        return self.downwards.name

    @property
    def instance(self) -> Instance:
        """The child as it is reached from here."""
        return Instance(self.downwards.incarnation, place(self.child))

    @property
    def guid(self) -> str:
        return self.upwards.guid

    def shared_tables(self, scope: Scope) -> list[SharedTable]:
        """The tables of a scope as both sides have them; read once per connection.

        :raises RetailError: a side lacks a table, or shows masks of it, or the keys differ.
        """
        if scope.name not in self._shared:
            wanted = [table.name for table in scope.tables]
            for db in (self.child, self.parent):
                check_masks(db, db.engine.tables.masked(db), wanted)
            child, parent = _tables(self.child, wanted), _tables(self.parent, wanted)
            self._shared[scope.name] = [shared_table(item, child, parent) for item in scope.tables]
        return self._shared[scope.name]

    def preload(self, scopes: Sequence[Scope]) -> None:
        """Read the tables of many scopes, again or for the first time, with one question to each side.

        A scope whose tables do not fit each other is left out: :meth:`shared_tables` says what is wrong with it.
        """
        wanted = [table.name for scope in scopes for table in scope.tables]
        masked = {**self.child.engine.tables.masked(self.child), **self.parent.engine.tables.masked(self.parent)}
        child, parent = _tables(self.child, wanted), _tables(self.parent, wanted)
        for scope in scopes:
            self._shared.pop(scope.name, None)
            if not masked.keys().isdisjoint(table.name for table in scope.tables):
                continue
            with contextlib.suppress(RetailError):
                self._shared[scope.name] = [shared_table(item, child, parent) for item in scope.tables]

    def replace_scopes(self, scopes: list[Scope]) -> None:
        """Go on with other scopes: the profile was changed."""
        self.scopes = scopes
        self._shared.clear()
        self.preload(scopes)


def _peer_with(db: Any, accept: Any, what: str) -> Peer:
    there = db.engine.tables.read(db, [metadata.PEER])
    peers = [peer for peer in metadata.read_peers(db) if accept(peer)] if there else []
    if len(peers) != 1:
        raise NotProvisioned(
            "The database %s %s." % (db.target.where, what),
            "Provision the pair: run the playbook, or the module retail_offline_db or retail_distribution.",
        )
    return peers[0]


def acquaint(child: Any, parent: Any) -> tuple[Peer, Peer]:
    """What the child knows of its parent, and the parent of this child.

    :raises NotProvisioned: one of the two knows nothing.
    """
    upwards = _peer_with(child, lambda peer: peer.peer_id == PARENT, "has no parent")
    downwards = _peer_with(
        parent, lambda peer: peer.guid == upwards.guid and peer.peer_id != PARENT, "does not know this child"
    )
    return upwards, downwards


def _check_incarnations(child: Any, parent: Any, upwards: Peer, downwards: Peer) -> None:
    said, lost = [], []
    for side, db, expected in (("parent", parent, upwards), ("child", child, downwards)):
        actual = db.engine.marks.incarnation(db)
        if actual != expected.incarnation:
            lost.append(side)
            said.append(
                "The database %s is not the one that was provisioned (it is %s, provisioned was %s): it was restored or moved."
                % (db.target.where, actual, expected.incarnation)
            )
    if said:
        # A name that is no incarnation stands for a child that is being made anew.
        healable = ":" in downwards.incarnation
        raise Restored(
            " ".join(said),
            "The service sees to it, or retail-sync once."
            if healable
            else "Run the playbook, which is making it anew.",
            lost if healable else (),
        )


def _tables(db: Any, wanted: Sequence[TableName]) -> dict[TableName, Table]:
    return db.engine.tables.read(db, wanted) if wanted else {}


def check_masks(db: Any, masked: Mapping[TableName, str], wanted: Iterable[TableName]) -> None:
    """See that the account reads the values of these tables: a mask would travel as if it were one.

    :param masked: what ``engine.tables.masked`` says.
    :raises RetailError: it reads masks.
    """
    for name in wanted:
        if name in masked:
            raise RetailError(
                "The column %s of %s in %s is masked, and the account %s reads masks instead of its values."
                % (masked[name], name, db.target.where, db.target.user or "that runs this"),
                "Let it read the values: GRANT UNMASK TO [RetailOfflineSyncUsers], or to whatever role or user it has there; or take the "
                "table out of the scope.",
            )


def shared_table(item: Any, child: Mapping[TableName, Table], parent: Mapping[TableName, Table]) -> SharedTable:
    """One table of a scope as both sides have it.

    :raises RetailError: a side lacks the table, or the keys differ.
    """
    for side, tables in (("child", child), ("parent", parent)):
        if item.name not in tables:
            raise RetailError(
                "The table %s is in a scope, and the %s database does not have it." % (item.name, side),
                "Upgrade that database, or take the table out of the scope.",
            )
    ours, theirs = child[item.name], parent[item.name]
    if not ours.primary_key or ours.primary_key != theirs.primary_key:
        raise RetailError(
            "The table %s has the key (%s) at the child and (%s) at the parent."
            % (item.name, ", ".join(ours.primary_key), ", ".join(theirs.primary_key)),
            "Both sides need the same primary key.",
        )
    known = {column.name for column in theirs.travelling_columns}
    if item.columns:
        known &= {*item.columns, *ours.primary_key}
    columns = tuple(column.name for column in ours.travelling_columns if column.name in known)
    return SharedTable(item.name, item.winner, ours, theirs, columns, item.filter)
