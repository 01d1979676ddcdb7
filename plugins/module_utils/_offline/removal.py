# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a register away: its database is dropped, and its channel database forgets it.

The database goes first. A run that is cut off in between leaves a registration without a database, which the next one
removes; the other way round it would leave rows of which nobody could say any more whether they have arrived.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._engine._errors import RetailError, StatementFailed
from .._engine._model import TableName
from .._plan import Plan, Statement, Step
from .._schema import tier, versions
from .._sync.metadata import PARENT, PEER, PEER_TABLE, QUARANTINE, SCOPE, STAGING, WINDOW, Peer, count_kept
from . import rows
from .locking import LOCK_TIMEOUT, scopes_of, take_provisioning, take_sessions
from .relation import Identity, SameDatabase, check_two_databases, refuse_somebody_else
from .shared import Shared
from .state import Entry, Place, Side, read_side
from .waiting import refuse, refuse_aside, waiting

_TRIES = 5
_VERSION_TABLES = {versions.POSISINFO, versions.DBVERSION, versions.HISTORY}


@dataclass(frozen=True)
class Request:
    """Which register is to go.

    :param name: the offline database's name; ``server``: a connection to its server's maintenance database, None: it
        is left alone. ``offline``: it, open, None where it does not exist.
    :param channel: the open channel database; None: it does not exist, or is left alone.
    :param open_database: opens ``channel``, ``offline`` or ``server`` when the plan is applied.
    :param force: go on although rows have not been acknowledged.
    :param shared: the channel database, where several registers are looked after at once.
    """

    identity: Identity
    name: str
    server: Any
    offline: Any
    channel: Any
    open_database: Callable[[str], Any]
    force: bool = False
    shared: Shared | None = None

    @property
    def places(self) -> list[Place]:
        """The databases that are there, the channel database first."""
        places = []
        if self.channel is not None:
            places.append(Place("channel", "the channel database", self.channel.engine, self.channel))
        if self.offline is not None:
            places.append(Place("offline", "the offline database", self.server.engine, self.offline))
        return places


@dataclass
class Found:
    """What there is of the register. ``peers``: its registrations in the channel database; ``aside``: how many rows of it are in
    quarantine there."""

    child: Side | None = None
    parent: Side | None = None
    peers: list[Peer] = field(default_factory=list)
    aside: int = 0
    ours: Mapping[str, Entry] = field(default_factory=dict)
    theirs: Mapping[str, Entry] | None = None

    def waiting(self) -> dict[TableName, int]:
        """The rows that the channel database has not acknowledged."""
        if self.child is None or self.child.parent is None:
            return {}
        return waiting(self.child, self.ours, self.theirs)


@contextlib.contextmanager
def planned(request: Request, check_mode: bool, timeout: float = LOCK_TIMEOUT) -> Iterator[Plan]:
    """The plan; until the end of the block nobody provisions there, and the register has no sessions.

    As with :func:`pairs.planned`, a run without anything to do takes no lock, and what looks wrong is looked at again.

    :raises RetailError: see :func:`plan_removal`; or somebody else was busy for longer than ``timeout`` seconds.
    """
    with contextlib.ExitStack() as held:
        try:
            plan = plan_removal(request, find(request))
            done = check_mode or not plan.changed
        except SameDatabase:
            raise
        except RetailError:
            done = False
        if not done:
            lock(held, request, timeout)
            plan = plan_removal(request, find(request))
        yield plan


def lock(held: contextlib.ExitStack, request: Request, timeout: float) -> None:
    """Nobody else provisions on either side, and the register has no sessions."""
    places = request.places
    if request.shared is not None:
        request.shared.begin()
        places = [place for place in places if place.key != request.shared.place.key]
    take_provisioning(held, places, timeout)
    if request.channel is not None and request.offline is not None:
        take_sessions(held, request.channel, request.offline, scopes_of(request.offline), timeout)


def find(request: Request) -> Found:
    """Read what there is.

    :raises RetailError: the database is not this register's.
    """
    sides = {place.key: read_side(place, ()) for place in request.places}
    found = Found(sides.get("offline"), sides.get("channel"))
    if found.child is not None and found.parent is not None:
        check_two_databases(found.child, found.parent)
    if found.child is not None:
        _check_is_a_registers(found.child, request.identity)
        found.ours = found.child.entries(PARENT if found.child.parent else None)
    if found.parent is not None:
        found.peers = _registrations(found.parent, found.child, request.identity)
        found.theirs = _theirs(found)
        kept = [count_kept(found.parent.place.db, QUARANTINE, peer.peer_id) for peer in found.peers]
        found.aside = sum(rows for scopes in kept for rows in scopes.values())
    return found


def plan_removal(request: Request, found: Found) -> Plan:
    """The steps that take the register away.

    :raises RetailError: rows of it have not been acknowledged, and ``force`` does not say to lose them.
    """
    plan = Plan()
    if found.child is not None:
        plan.add(drop_step(request, found, "removed"))
    for peer in found.peers:
        plan.add(_unregister(found.parent, peer))
    return plan


def _check_is_a_registers(child: Side, identity: Identity) -> None:
    """See that it is this register's database, or one that a run which was cut off has left behind empty."""
    where = child.place.db.target.where
    if child.children:
        raise RetailError(
            "The database %s is no offline database: %d others synchronise with it." % (where, len(child.children)),
            "Correct the option offline_database.",
        )
    if child.parent is not None:
        refuse_somebody_else(child, child.parent, identity)
        return
    tables = child.place.db.engine.tables.read(child.place.db)
    tier.check_no_registers(versions.read_all(child.place.db, tables), tables, where)
    data = [name for name in tables if name not in _VERSION_TABLES]
    ours = not tables or versions.POSISINFO in tables
    if not ours or any(child.place.db.engine.changes.count(child.place.db, data)):
        raise RetailError(
            "The database %s has never been provisioned as a register's, and it is not empty. It is left untouched."
            % where,
            "Correct the option offline_database; or drop the database by hand, if nobody needs it.",
        )


def _registrations(parent: Side, child: Side | None, identity: Identity) -> list[Peer]:
    """The register's rows in the channel database.

    :raises RetailError: under its name, the channel database knows another database than the one to be dropped.
    """
    ids = (identity.store_id, identity.register_id)
    named = [peer for peer in parent.children if (peer.store_id, peer.register_id) == ids]
    own = child.parent if child is not None else None
    if own is None:
        return named
    known = [peer for peer in parent.children if peer.guid == own.guid]
    if named and not known:
        raise RetailError(
            "%s is another database by now: the channel database knows the one at %s no more."
            % (identity.name, child.place.db.target.where if child else ""),
            "Give one of them another register ID; or take this one away with state: absent and side: offline.",
        )
    return known


def _theirs(found: Found) -> Mapping[str, Entry] | None:
    """How far the channel database has taken the register's rows; None: what it acknowledged last decides."""
    if found.parent is None:
        return None
    own = found.child.parent if found.child is not None else None
    if not found.peers and own is not None and own.incarnation == found.parent.incarnation:
        return None  # it has been unregistered, by the very database that had acknowledged
    return found.parent.entries(found.peers[0].peer_id if found.peers else None)


# ---- the database


def drop_step(request: Request, found: Found, verb: str, first: Callable[[], None] | None = None) -> Step:
    """The step that drops the database.

    :param verb: what becomes of the register, for the message of a refusal.
    :param first: what to do once nothing can be lost any more, before the database goes.
    :raises RetailError: rows have not been acknowledged, and ``force`` does not say to lose them.
    """
    drop = _Drop(request, found, verb, first)
    drop.check()
    title, path = "Drop database %s" % request.name, ("offline", "database", "name")
    return Step(title, path, request.name, None, action=drop)


class _Dropped(Exception):
    """Leaves the transaction whose connection went with the database."""


@dataclass(frozen=True)
class _Drop:
    request: Request
    found: Found
    verb: str
    first: Callable[[], None] | None

    def check(self) -> None:
        if self.request.force or self.found.child is None:
            return
        name, where = self.request.identity.name, self.found.child.place.db.target.where
        refuse(self.found.waiting(), name, where, self.verb)
        refuse_aside(self.found.aside, name, self.verb)

    def __call__(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self._drop()
                return
            except StatementFailed as error:
                if error.kind != "transient" or not left:
                    raise
                time.sleep(0.2)

    def _drop(self) -> None:
        child = self.found.child
        if child is None:
            return
        with contextlib.suppress(_Dropped), child.place.db.transaction():
            if not self.request.force:
                # Nobody writes a sale between the last look and the end of the database.
                for table in sorted(self._tables(child)):
                    child.engine.locks.share(child.place.db, table)
                self.check()
            if self.first is not None:
                self.first()
            server = self.request.open_database("server")
            for statement in child.engine.databases.drop(self.request.name):
                server.execute(statement)
            raise _Dropped
        child.place.db.close()

    def _tables(self, child: Side) -> set[TableName]:
        down = {
            item.name for entry in self.found.ours.values() if not entry.scope.uploads for item in entry.scope.tables
        }
        there = child.engine.tables.read(child.place.db, sorted(child.tracked)) if child.tracked else {}
        return set(there) - down


# ---- the registration


def _unregister(parent: Side | None, peer: Peer) -> Step | None:
    if parent is None:
        return None
    engine = parent.engine
    quote = engine.names.quote
    statements: list[Statement] = [
        "DELETE FROM %s WHERE peer_id = %d" % (quote(*table), peer.peer_id) for table in (WINDOW, STAGING, SCOPE)
    ]
    # The row stays without a name while its number is the highest: a number that rows came from is never given again.
    nobody = dict.fromkeys(("peer_name", "peer_guid", "incarnation", "store_id", "register_id"), "")
    statements.append(rows.update(engine, PEER_TABLE, nobody, "peer_id = %d" % peer.peer_id))
    statements.append(
        "DELETE FROM {peers} WHERE peer_guid = '' AND peer_id < (SELECT max(p.peer_id) FROM {peers} p)".format(
            peers=quote(*PEER)
        )
    )
    before = {"store_id": peer.store_id, "register_id": peer.register_id}
    title = "Unregister %s in %s" % (peer.name, parent.title)
    return Step(title, (parent.key, "peers", peer.name), before, None, parent.key, statements)
