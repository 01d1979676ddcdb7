# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registers as they are declared, one or many of a channel database: connect, plan, apply, report."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .. import _engine
from .._access.plan import Wanted
from .._engine import Database, RetailError, Target
from .._plan import Plan
from .._schema import settings
from . import offline_db, removal, taking_over
from .offline_db import Identity
from .shared import Shared
from .state import Place, check_writable

#: What ``state: absent`` clears.
SIDES = (BOTH, OFFLINE, CHANNEL) = ("both", "offline", "channel")

_TITLES = {
    "channel": "The channel database",
    "channel_server": "The server of the channel database",
    "offline": "The offline database",
    "server": "The server of the offline database",
}
_NOTHING: Mapping[str, Any] = {"profile": None, "scopes": [], "tables": [], "peer_guid": None}


@dataclass(frozen=True)
class Register:
    """What is wanted of one register.

    :param side: which side to clear, where ``present`` is False; one of ``SIDES``.
    :param access: who may use the database, where it is present.
    :param take_over: what Microsoft Sync Framework has left in both databases goes.
    :param settings: options of the offline database; ``files``: its files; as ``_schema/settings.py`` has them.
    :param lock_timeout: seconds to wait for another run, and for a session.
    """

    identity: Identity
    channel: Target
    offline: Target
    access: Wanted
    present: bool = True
    side: str = BOTH
    profile: str = ""
    reprovision: str = offline_db.NEVER
    force: bool = False
    take_over: bool = False
    settings: Mapping[str, Any] | None = None
    files: Mapping[str, Any] | None = None
    lock_timeout: float = 300.0


@dataclass
class Report:
    """What became of one register. ``error`` is None where it went well; ``trace``: of an error that nobody foresaw."""

    register: Register
    plan: Plan = field(default_factory=Plan)
    begun: bool = False
    facts: dict[str, Any] = field(default_factory=lambda: dict(_NOTHING))
    warnings: list[str] = field(default_factory=list)
    statements: int = 0
    error: RetailError | None = None
    trace: str = ""

    @property
    def name(self) -> str:
        return self.register.identity.name

    @property
    def changed(self) -> bool:
        """Whether something was changed, or would be; of a run that failed half-way, whether it had begun."""
        return self.plan.changed and self.begun


class Connections:
    """The connections of one thread, by key; each is opened when it is first asked for, and closed at the end."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self.targets = dict(targets)
        self.statements = 0
        self._open: dict[str, Database] = {}

    @classmethod
    def of(cls, register: Register) -> Connections:
        """The four that a register can need."""
        return cls(
            {
                "channel": register.channel,
                "channel_server": _maintenance(register.channel),
                "offline": register.offline,
                "server": _maintenance(register.offline),
            }
        )

    def __call__(self, key: str) -> Database:
        """The connection ``key``; to a server, and a channel database, that are fit for use.

        :raises RetailError: it cannot be opened, or is not fit; the message says which side it is.
        """
        if key in self._open and self._open[key].closed:
            self.forget(key)  # it ended with its database, and there is another one of that name now
        if key not in self._open:
            try:
                self._open[key] = self._fit(key)
            except RetailError as error:
                raise type(error)("%s: %s" % (_TITLES[key], error.message), error.advice) from None
        return self._open[key]

    def _fit(self, key: str) -> Database:
        db = _engine.connect(self.targets[key])
        try:
            if key != OFFLINE:  # whose level may be about to be raised
                db.engine.databases.check_server(db)
        except BaseException:
            db.close()
            raise
        return db

    def forget(self, key: str) -> None:
        """The database is going to be another one."""
        db = self._open.pop(key, None)
        if db is not None:
            self.statements += db.statements
            db.close()

    def close(self) -> None:
        for key in list(self._open):
            self.forget(key)


def _maintenance(target: Target) -> Target:
    return target.on(_engine.speaker(target.engine).connect.MAINTENANCE_DATABASE)


def check(registers: Sequence[Register]) -> None:
    """See that no register and no database is declared twice.

    :raises RetailError: the message names it.
    """
    identities: set[str] = set()
    places: dict[str, str] = {}
    for register in registers:
        name, where = register.identity.name, register.offline.where
        engine = _engine.speaker(register.offline.engine)
        engine.databases.check_name(register.offline.database)
        engine.connect.check(register.offline)
        if name in identities:
            raise RetailError("The register %s is declared twice." % name, "Give each register an ID of its own.")
        if where in places:
            raise RetailError(
                "The registers %s and %s have the same offline database, %s." % (places[where], name, where),
                "Give each register a database of its own.",
            )
        identities.add(name)
        places[where] = name


def converge(register: Register, check_mode: bool, shared: Shared | None = None) -> Report:
    """Make one register what is wanted; errors are in the report.

    :param shared: the channel database, where several registers are looked after at once.
    """
    report = Report(register)
    connections = Connections.of(register)
    try:
        with (_present if register.present else _absent)(register, check_mode, shared, connections, report):
            report.begun = True
            if not check_mode:
                report.plan.apply(connections, shared.guard if shared else None)
    except RetailError as error:
        report.error = error
    except Exception as error:  # noqa: BLE001
        # One register of many; what it failed with must not hide what became of the others.
        report.error = RetailError("An error that was not foreseen: %s: %s" % (type(error).__name__, error))
        report.trace = traceback.format_exc()
    finally:
        connections.close()
        report.statements = connections.statements
    return report


@contextlib.contextmanager
def _present(
    register: Register, check_mode: bool, shared: Shared | None, connections: Connections, report: Report
) -> Iterator[None]:
    name = register.offline.database
    server, offline = _offline(connections, name)
    options = settings.wanted(server.engine, server, register.settings, register.files, register.offline.database)
    if offline is not None:
        report.plan = offline_db.made_readable(offline, options)
        if check_mode and report.plan.changed:
            report.warnings.append(
                "What else would be changed can be told once the database behaves like a newer server's."
            )
            yield
            return
        offline = _apply_first(connections, offline, report)
    if check_mode and not _channel_exists(connections):
        _foretell(report, server, name, offline is not None)
        yield
        return
    request = offline_db.Request(
        identity=register.identity,
        channel=connections("channel"),
        server=server,
        name=name,
        offline=offline,
        open_database=connections,
        access=register.access,
        profile=register.profile,
        reprovision=register.reprovision,
        force=register.force,
        take_over=register.take_over,
        shared=shared,
        options=options,
    )
    with offline_db.planned(request, check_mode, register.lock_timeout) as result:
        # What was done first is said again with the rest, where it changes nothing.
        report.plan, report.facts = Plan([*report.plan.steps, *result.plan.steps]), result.facts(check_mode)
        if shared is not None:
            shared.note(result.pair.tables.values(), result.pair.gone)
        elif result.pair.taken_over:
            report.warnings += _others(connections("channel"), [register])
        if report.plan.changed:
            check_writable(request.channel, offline or server)
        yield


def _offline(connections: Connections, name: str) -> tuple[Database, Database | None]:
    """The server of the offline database, and the database, if it is there; it may still behave like an older server's."""
    server = connections("server")
    return server, connections("offline") if server.engine.databases.exists(server, name) else None


def _apply_first(connections: Connections, offline: Database, report: Report) -> Database:
    """Do what the rest cannot be planned without, and connect anew: what a connection knows of its database is old then."""
    if not report.plan.changed:
        return offline
    report.begun = True
    connections.forget("offline")
    report.plan.apply(connections)
    offline = connections("offline")
    offline.engine.databases.check_server(offline)
    return offline


def _channel_exists(connections: Connections) -> bool:
    server = connections("channel_server")
    return server.engine.databases.exists(server, connections.targets["channel"].database)


def _foretell(report: Report, server: Database, name: str, there: bool) -> None:
    """Check mode without a channel database: an earlier task would have made it."""
    report.warnings.append(
        "The channel database does not exist yet, so what the offline database would hold is unknown."
    )
    if not there:
        report.plan.add(offline_db.creation(server.engine, name))


@contextlib.contextmanager
def _absent(
    register: Register, check_mode: bool, shared: Shared | None, connections: Connections, report: Report
) -> Iterator[None]:
    server, offline, channel = None, None, None
    name = register.offline.database
    if register.side != CHANNEL:
        server, offline = _offline(connections, name)
    if offline is not None:
        offline.engine.databases.check_server(offline)
    if register.side != OFFLINE and _channel_exists(connections):
        channel = connections("channel")
    request = removal.Request(
        identity=register.identity,
        name=name,
        server=server,
        offline=offline,
        channel=channel,
        open_database=connections,
        force=register.force,
        shared=shared,
    )
    with removal.planned(request, check_mode, register.lock_timeout) as plan:
        report.plan = plan
        if plan.changed:
            check_writable(channel, server)
            report.warnings += _left_behind(register, channel is not None)
        yield


def _left_behind(register: Register, has_channel: bool) -> list[str]:
    who = register.identity.name
    if register.side == OFFLINE:
        return ["%s is not unregistered at the channel database; to do that, set the option side to channel." % who]
    if register.side == CHANNEL:
        return ["The offline database of %s is left as it is, with rows that may never have gone up." % who]
    if not has_channel:
        return ["The channel database does not exist, so %s could not be unregistered there." % who]
    return []


# ---- many


def converge_all(registers: Sequence[Register], check_mode: bool, workers: int) -> tuple[list[Report], Plan]:
    """Make several registers of one channel database what is wanted, some at a time.

    :param workers: how many at a time.
    :returns: a report for each, in order, and the steps at the channel database that belong to no single one.
    :raises RetailError: they contradict each other, or the channel database cannot be reached.
    """
    check(registers)
    with _shared(registers[0], check_mode) as shared:
        left = []
        if shared is not None and registers[0].take_over and shared.is_foreign():
            left = _others(shared.place.db, registers)
            reports = _run_all(registers, True, workers, shared)
            if check_mode or any(report.error for report in reports):
                return _none(reports, left), shared.finish(True) if check_mode else Plan()
        reports = _run_all(registers, check_mode, workers, shared)
        reports[0].warnings += left
        return reports, shared.finish(check_mode) if shared is not None else Plan()


def _others(channel: Database, registers: Sequence[Register]) -> list[str]:
    """A warning, if the channel database has been Microsoft's for other registers, too."""
    names = taking_over.others(channel, [register.identity.register_id for register in registers])
    return [taking_over.warn_of_others(names)] if names else []


def _none(reports: list[Report], warnings: Sequence[str]) -> list[Report]:
    """A store is taken over with all its registers or with none: one that cannot be keeps the others from it, since Microsoft's
    service on it could upload no more."""
    refused = [report.name for report in reports if report.error is not None]
    for report in reports:
        if refused and report.error is None:
            report.plan, report.begun = Plan(), False
            report.error = RetailError(
                "%s is not taken over, since %s is not: with the channel database go all of its registers, or none."
                % (report.name, refused[0]),
                "See what stands beside %s." % refused[0],
            )
    reports[0].warnings += warnings
    return reports


def _run_all(registers: Sequence[Register], check_mode: bool, workers: int, shared: Shared | None) -> list[Report]:
    pool = ThreadPoolExecutor(max_workers=max(1, min(workers, len(registers))))
    try:
        return list(pool.map(lambda register: converge(register, check_mode, shared), registers))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _shared(register: Register, check_mode: bool) -> Iterator[Shared | None]:
    """The channel database for all of them; None where it is left alone, or does not exist yet in check mode."""
    connections = Connections.of(register)
    try:
        if register.side == OFFLINE or ((check_mode or not register.present) and not _channel_exists(connections)):
            yield None
            return
        db = connections("channel")
        place = Place("channel", "the channel database", db.engine, db, take_over=register.take_over)
        shared = Shared(place, connections, register.lock_timeout)
        try:
            yield shared
        finally:
            shared.close()
    finally:
        connections.close()
