# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A register's offline database as a whole: the database, its release, its part of the pair, and who may use it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from .._access import plan as access
from .._engine._errors import RetailError
from .._engine._model import TableName
from .._plan import Plan, Step
from .._schema import channel, settings, tier, versions
from .._schema.package import Package
from .._sync import metadata
from .._sync.metadata import PEER
from . import pairs, removal
from .pairs import Identity, PairPlan, Place
from .profiles import Profile, read_profile
from .relation import VACANT
from .shared import Shared

#: AX's fields for a store's and a register's number, and for a profile's name, hold so many characters.
LONGEST_ID = 10

#: When a pair begins anew: never; where it cannot just go on, keeping the rows that the register has; always, with a new
#: database.
REPROVISION = (NEVER, IF_NEEDED, ALWAYS) = ("never", "if_needed", "always")

#: What every database of the product has, whatever its profile says: where its release stands.
_VERSION_TABLES = (versions.POSISINFO, versions.DBVERSION)


@dataclass(frozen=True)
class Request:
    """What is wanted of one offline database.

    :param channel: the open channel database; ``server``: the maintenance database of the offline database's server.
    :param name: the offline database's name; ``offline``: it, open, None where it does not exist yet.
    :param open_database: opens ``channel``, ``offline`` or ``server`` when the plan is applied.
    :param profile: the declared profile's name, "" for none.
    :param reprovision: one of ``REPROVISION``.
    :param force: give up rows that the channel database has not acknowledged, where they would be lost.
    :param take_over: what Microsoft Sync Framework has left in both databases goes.
    :param shared: the channel database, where several registers are looked after at once.
    :param options: the offline database's own options; None: those that the vendor's script sets.
    """

    identity: Identity
    channel: Any
    server: Any
    name: str
    offline: Any
    open_database: Callable[[str], Any]
    access: access.Wanted
    profile: str = ""
    reprovision: str = "never"
    force: bool = False
    take_over: bool = False
    shared: Shared | None = None
    options: Mapping[str, str] | None = None


@dataclass
class OfflinePlan:
    """The whole plan, and what the caller may want to know besides."""

    plan: Plan
    profile: Profile
    pair: PairPlan

    def facts(self, check_mode: bool) -> dict[str, Any]:
        """The values of a module's result."""
        return {
            "profile": self.profile.name,
            "scopes": [
                {
                    "name": scope.name,
                    "direction": scope.direction,
                    "frequency": scope.frequency,
                    "tables": [str(item.name) for item in scope.tables],
                }
                for scope in self.profile.scopes
            ],
            "tables": sorted(str(name) for name in self.pair.tables),
            "peer_guid": None if check_mode and self.pair.begins else self.pair.guid,
        }


def identity(store_id: str, register_id: str) -> Identity:
    """Who the register is.

    :raises RetailError: a number is empty, too long, or has spaces around it.
    """
    for what, value in (("store ID", store_id), ("register ID", register_id)):
        if not value or value != value.strip() or len(value) > LONGEST_ID:
            raise RetailError(
                "%r is no %s." % (value, what),
                "It has 1 to %d characters, and no spaces around them. Put numbers in quotes." % LONGEST_ID,
            )
    return Identity("%s-%s" % (store_id, register_id), store_id, register_id)


def profile_name(name: str) -> str:
    """The name of a profile, checked.

    :raises RetailError: AX cannot hold it.
    """
    if len(name) > LONGEST_ID:
        raise RetailError(
            "The profile name %r has more than %d characters." % (name, LONGEST_ID),
            "AX holds no longer ones: give the name that the profile has at HQ.",
        )
    return name


def creation(engine: ModuleType, name: str) -> Step:
    """The step that makes the database."""
    title, path = "Create database %s" % name, ("offline", "database", "name")
    return Step(title, path, None, name, "server", engine.databases.create(name), atomic=False)


def made_readable(offline: Any, options: Mapping[str, str]) -> Plan:
    """What has to be done before anything else can be planned: the level of a database that behaves like an older server's is
    raised, where a higher one is declared.

    :raises RetailError: it behaves so, and nothing else is declared.
    """
    databases = offline.engine.databases
    try:
        databases.check_server(offline)
    except RetailError:
        level = {name: value for name, value in options.items() if name == "compatibility_level"}
        actual = channel.Actual(exists=True, options=databases.options(offline))
        plan = channel.options_plan(offline.engine, offline.target.database, actual, "server", level)
        if not plan.changed:
            raise
        return _under("offline", plan)
    return Plan()


@contextlib.contextmanager
def planned(request: Request, check_mode: bool, timeout: float = pairs.LOCK_TIMEOUT) -> Iterator[OfflinePlan]:
    """The plan, with the locks of :func:`pairs.planned` until the end of the block.

    :raises RetailError: the profile cannot be read, or the databases cannot be made what is wanted.
    """
    profile = _profile(request)
    if request.offline is None or request.reprovision != ALWAYS:
        with _converged(request, profile, check_mode, timeout) as result:
            if not (result.pair.unfinished and _may_drop(request)):
                yield result
                return
    with _renewed(request, profile, check_mode, timeout) as result:
        yield result


def _profile(request: Request) -> Profile:
    def read() -> Profile:
        return read_profile(request.channel, request.identity.store_id, request.profile)

    key = ("profile", request.identity.store_id, request.profile)
    return request.shared.once(key, read) if request.shared is not None else read()


@contextlib.contextmanager
def _converged(request: Request, profile: Profile, check_mode: bool, timeout: float) -> Iterator[OfflinePlan]:
    """From what there is to what is wanted."""
    actual = channel.read(request.offline) if request.offline else channel.Actual()
    _check_vacant(request, actual)
    base = _database_plan(request, actual)
    with pairs.planned(_pair_request(request, profile), check_mode, timeout) as pair:
        plan = Plan([*base.steps, *pair.plan.steps, *_access_plan(request, actual, pair).steps])
        yield OfflinePlan(plan, profile, pair)


@contextlib.contextmanager
def _renewed(request: Request, profile: Profile, check_mode: bool, timeout: float) -> Iterator[OfflinePlan]:
    """A new database in place of the one that is there.

    Before it is dropped, the channel database notes that the register is going to be made anew. Cut off anywhere, the
    next run goes on, whatever it was asked for.
    """
    with contextlib.ExitStack() as held:
        away = _removal(request)
        if not check_mode:
            removal.lock(held, away, timeout)
        drop = removal.drop_step(away, removal.find(away), "reprovisioned", lambda: _note_vacant(request))
        fresh = replace(request, offline=None, reprovision=IF_NEEDED)
        base = _database_plan(fresh, channel.Actual())
        pair = pairs.plan_pair(_pair_request(fresh, profile))
        if request.shared is not None and not check_mode:
            request.shared.make_ready(pair.tables.values())
        pair.release = held.close
        plan = Plan([drop, *base.steps, *pair.plan.steps, *_access_plan(fresh, channel.Actual(), pair).steps])
        yield OfflinePlan(plan, profile, pair)


def _removal(request: Request) -> removal.Request:
    return removal.Request(
        identity=request.identity,
        name=request.name,
        server=request.server,
        offline=request.offline,
        channel=request.channel,
        open_database=request.open_database,
        force=request.force,
        shared=request.shared,
    )


def _may_drop(request: Request) -> bool:
    """Whether a reprovisioning that was cut off before the old database was dropped can go on."""
    return request.force or not removal.find(_removal(request)).waiting()


def _note_vacant(request: Request) -> None:
    db = request.open_database("channel")
    guids = [peer.guid for peer in _peers(request.offline) if peer.peer_id == metadata.PARENT]
    for guid in guids:
        db.execute("UPDATE %s SET incarnation = ? WHERE peer_guid = ?" % db.engine.names.quote(*PEER), VACANT, guid)


def _peers(db: Any) -> list[metadata.Peer]:
    return metadata.read_peers(db) if db.engine.tables.read(db, [PEER]) else []


def _database_plan(request: Request, actual: channel.Actual) -> Plan:
    """The database itself, its options, and its release, which is the channel database's.

    Where the store went back to a backup from before an upgrade, its registers are above it, and stay what they are: the columns
    that both know synchronise.
    """
    package = request.shared.once("release", lambda: _release(request)) if request.shared else _release(request)
    if actual.versions.release is not None and actual.versions.release > package.release:
        package = replace(package, release=actual.versions.release)
    engine = request.server.engine
    options = settings.wanted(engine, request.server, None, None) if request.options is None else request.options
    plan = channel.database_plan(engine, request.name, actual, package, "server", "offline", options)
    return _under("offline", Plan([_alone(request, step) for step in plan.steps]))


def _alone(request: Request, step: Step) -> Step:
    """A change of the database's options, with our own connection out of its way.

    Some wait for all others to go, or cut them. ``open_database`` opens another one for the steps that follow. The lock on
    the offline database goes with the connection; the one on its parent, which everybody takes first, stays.
    """
    if request.offline is None or step.database != "server":
        return step

    def apply() -> None:
        request.offline.close()
        Plan([step]).apply(request.open_database)

    return replace(step, action=apply)


def _check_vacant(request: Request, actual: channel.Actual) -> None:
    """See that a database which is no register's yet may become one's.

    :raises RetailError: it is a channel database or headquarters', or others synchronise with it.
    """
    peers = metadata.read_peers(request.offline) if request.offline is not None and PEER in actual.tables else []
    if any(peer.peer_id == metadata.PARENT for peer in peers):
        return
    if request.offline is not None:
        request.offline.engine.databases.check_holds(request.offline)
    tier.check_no_registers(actual.versions, actual.tables, request.name)
    if peers:
        raise RetailError(
            "The database %s is no offline database: %s synchronises with it." % (request.name, peers[0].name),
            "Correct the option offline_database.",
        )


def _release(request: Request) -> Package:
    source = dict(request.channel.engine.tables.read(request.channel, [*_VERSION_TABLES, tier.HQ_TABLE]))
    tier.check_channel(source, request.channel.target.where)
    release = versions.read_all(request.channel, source).release
    missing = [str(name) for name in _VERSION_TABLES if name not in source]
    if release is None or missing:
        raise RetailError(
            "The channel database %s does not say which release it is." % request.channel.target.where,
            "Create or upgrade it with the module retail_channel_db first.",
        )
    return Package(release, "offline database", source)


def _pair_request(request: Request, profile: Profile) -> pairs.Request:
    made = frozenset({name.schema for name in _VERSION_TABLES} | {versions.HISTORY.schema})
    engine, take_over = request.server.engine, request.take_over
    offline = Place("offline", "the offline database", engine, request.offline, made, take_over)
    parent = Place("channel", "the channel database", request.channel.engine, request.channel, take_over=take_over)
    return pairs.Request(
        child=offline,
        parent=parent,
        scopes=profile.scopes,
        identity=request.identity,
        open_database=request.open_database,
        create_tables=True,
        reprovision=request.reprovision != NEVER,
        force=request.force,
        shared=request.shared,
    )


def _access_plan(request: Request, actual: channel.Actual, pair: PairPlan) -> Plan:
    engine = request.server.engine
    state = access.read(request.server, request.offline, request.access)
    there = set(actual.tables) - pair.freed
    coming = _tables(engine, pair) - there
    plan = access.access_plan(engine, state, request.access, request.name, there, coming, "offline", "server")
    return _under("offline", plan)


def _tables(engine: ModuleType, pair: PairPlan) -> set[TableName]:
    """Everything that the database has at the end."""
    tracking = {engine.tracking.tracking_name(name) for name in pair.tables}
    books = {table.name for table in metadata.TABLES}
    return {*pair.tables, *tracking, *books, *_VERSION_TABLES, versions.HISTORY}


def _under(key: str, plan: Plan) -> Plan:
    """The same steps, under the name of their database in the diff."""
    return Plan([replace(step, path=(key, *step.path)) for step in plan.steps])
