# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HQ and one channel database: the pair that the scheduler jobs of its data group make, and running these jobs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from .._engine._errors import RetailError
from .._engine._model import TableName
from .._plan import Plan, Step
from .._sync import session
from .._sync.metadata import DIRECTIONS, Scope
from .._sync.pair import NotProvisioned, Pair, Restored
from . import cdx_history, row_filters
from .data_group_rows import COLUMNS, DATABASE, GROUP, GROUP_JOBS, JOB, channels_of, job_filters, job_tables
from .draft import Draft
from .pairs import PairPlan
from .profiles import STORE, make_scope

FULL_SYNC = "Full sync"

#: Rounds of a job in which nothing moves although something is pending: then another process has to act first.
_PATIENCE = 20
_PAUSE = 0.5


class Undeclared(RetailError):
    """HQ does not know the channel database (yet), or not its stores."""


@dataclass(frozen=True)
class Job:
    """One scheduler job, and the scope of the pair that it is."""

    id: str
    scope: Scope


class JobRun:
    """What became of one job. ``facts``, a part of the module's result, follows what happens.

    Counted are rows that changed the receiver, and what needs a person's eyes. ``waiting``: rows were left, since
    another process is at work on them. ``expected``: how many rows waited before, None where that could not be told.
    """

    def __init__(self, job: Job) -> None:
        self._tables: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, Any] = {
            "job": job.id,
            "name": job.scope.name,
            "direction": job.scope.direction,
            "sessions": 0,
            "downloaded": 0,
            "uploaded": 0,
            "conflicts": 0,
            "quarantined": 0,
            "waiting": False,
            "expected": None,
            "tables": [],
        }

    def add(self, done: session.Session) -> None:
        """Count one session."""
        self.facts["sessions"] += 0 if done.busy else 1
        for name, way in (("downloaded", done.down), ("uploaded", done.up)):
            if way is not None:
                self.facts[name] += way.outcome.moved
                self.facts["conflicts"] += way.outcome.conflicts
                self.facts["quarantined"] += way.quarantined
                for table, rows in way.outcome.tables.items():
                    self._row_of(table)[name] += rows
        self.facts["tables"] = list(self._tables.values())

    def _row_of(self, table: str) -> dict[str, Any]:
        return self._tables.setdefault(table, {"table": table, "downloaded": 0, "uploaded": 0})

    @property
    def moved(self) -> int:
        return self.facts["downloaded"] + self.facts["uploaded"]

    @property
    def noteworthy(self) -> bool:
        return bool(self.moved or self.facts["conflicts"] or self.facts["quarantined"])


def read_jobs(hq: Any, channel_database: str) -> list[Job]:
    """The jobs of the channel database's data group, in order.

    :raises Undeclared: HQ does not know the channel database, or it belongs to no data group.
    :raises RetailError: a job means nothing, or restricts rows to the channels of a channel database that serves none.
    """
    draft = Draft.read(hq, COLUMNS)
    profile = draft.find(DATABASE, NAME=channel_database)
    group = draft.after[DATABASE][profile]["DATAGROUP"] if profile is not None else 0
    if group not in draft.after[GROUP]:
        raise Undeclared(
            "HQ knows no channel database %r with a data group." % channel_database,
            "Declare it with the module retail_data_group first.",
        )
    linked = [record["JOB"] for _link, record in draft.rows(GROUP_JOBS, DATAGROUP=group)]
    own = _Own(hq, channel_database, channels_of(draft, profile or 0))
    return [
        Job(draft.after[JOB][job]["JOBID"], _scope(draft, job, sequence, own))
        for sequence, job in enumerate(linked, 1)
        if job in draft.after[JOB]
    ]


def select(jobs: Sequence[Job], schedule: Sequence[str]) -> list[Job]:
    """The jobs that a schedule names: "Full sync" for all of them, else their IDs.

    :raises RetailError: there is no such job.
    """
    known = [job.id for job in jobs]
    unknown = [name for name in schedule if name not in (FULL_SYNC, *known)]
    if unknown:
        raise RetailError(
            "The data group has no job %s." % unknown[0], "It has %s; or use %r." % (", ".join(known), FULL_SYNC)
        )
    return [job for job in jobs if FULL_SYNC in schedule or job.id in schedule]


@dataclass
class Distribution:
    """The steps that run jobs, to be put behind those of the pair.

    :param name: the channel database's profile at HQ.
    :param open_database: opens ``channel`` and ``hq`` when a job is run.
    :param timeout: seconds for all jobs together.
    :param runs: what became of each job; filled while the steps run.
    """

    name: str
    open_database: Callable[[str], Any]
    timeout: float
    pair_plan: PairPlan
    runs: list[dict[str, Any]] = field(default_factory=list)
    _expected: dict[str, int | None] = field(default_factory=dict)
    _pair: Pair | None = None
    _deadline: float = 0.0

    def plan(self, jobs: Sequence[Job], channel: Any, hq: Any) -> Plan:
        """A step for each job with something to move, as far as that can be told before the pair is made."""
        plan = Plan()
        waiting = self._pending(jobs, channel, hq)
        for job in jobs:
            run = JobRun(job)
            self.runs.append(run.facts)
            run.facts["expected"] = 0 if job.scope.name not in waiting else self._expected.get(job.scope.name)
            if job.scope.name in waiting:
                title = "Run the job %s for %s" % (job.scope.name, self.name)
                path = ("hq", "jobs of %s" % self.name, job.scope.name)
                plan.add(Step(title, path, "rows wait", "in step", action=self._action(job, run)))
        return plan

    def _pending(self, jobs: Sequence[Job], channel: Any, hq: Any) -> set[str]:
        changed = set(self.pair_plan.touched)
        if self.pair_plan.begins or channel is None:
            return {job.scope.name for job in jobs}
        try:
            pair = Pair(channel, hq)
        except (NotProvisioned, Restored):
            return {job.scope.name for job in jobs}
        there = {scope.name: scope for scope in pair.scopes}
        known = [there[job.scope.name] for job in jobs if job.scope.name in there and job.scope.name not in changed]
        new = {job.scope.name for job in jobs if job.scope.name not in there}
        pair.preload(known)
        pending = session.pending(pair, known)
        self._expected = {scope.name: session.waiting(pair, scope) for scope in pending}
        return {scope.name for scope in pending} | new | changed

    def _action(self, job: Job, run: JobRun) -> Callable[[], None]:
        return lambda: self._run(job, run)

    def _run(self, job: Job, run: JobRun) -> None:
        """Sessions of one job until nothing is pending.

        :raises RetailError: a session failed, or the time is over.
        """
        pair = self._begin()
        entry = cdx_history.Entry(self.open_database("hq"), self.name, job.id, job.scope.direction)
        try:
            self._rounds(pair, job, run, entry)
        except RetailError as error:
            self._note(entry, run, cdx_history.FAILED, str(error))
            raise RetailError("The job %s: %s" % (job.scope.name, error.message), error.advice) from error
        if run.noteworthy:
            self._note(entry, run, cdx_history.APPLIED)

    def _begin(self) -> Pair:
        if self._pair is None:
            # The pair is made: others may provision while rows move, which can take its time.
            self.pair_plan.release()
            self._deadline = time.monotonic() + self.timeout
            self._pair = Pair(self.open_database("channel"), self.open_database("hq"))
            self._pair.preload(self._pair.scopes)
        return self._pair

    def _rounds(self, pair: Pair, job: Job, run: JobRun, entry: cdx_history.Entry) -> None:
        scope = next(scope for scope in pair.scopes if scope.name == job.scope.name)
        idle = 0
        while idle < _PATIENCE and session.pending(pair, [scope]):
            if time.monotonic() >= self._deadline:
                raise RetailError(
                    "it was not done within %d seconds; what has been moved stays moved." % self.timeout,
                    "Run this again, or raise the option timeout.",
                )
            done = session.run(pair, scope)
            run.add(done)
            if run.noteworthy:
                self._note(entry, run, cdx_history.RUNNING)
            idle = 0 if done.moved else idle + 1
            if idle > 1:
                time.sleep(_PAUSE)
        run.facts["waiting"] = idle >= _PATIENCE

    def _note(self, entry: cdx_history.Entry, run: JobRun, status: int, message: str | None = None) -> None:
        """What failed with a connection may not be told on it; the error itself is what counts then."""
        with contextlib.suppress(RetailError) if status == cdx_history.FAILED else contextlib.nullcontext():
            entry.write(status, run.moved, run.facts["tables"], message)


class _Own:
    """What a channel database calls its own; read when a filter asks for it."""

    _SOURCES: ClassVar = {
        "store": (STORE, "STORENUMBER"),
        "operating_unit": (TableName("ax", "RETAILCHANNELTABLE"), "OMOPERATINGUNITID"),
    }

    def __init__(self, hq: Any, name: str, channels: Sequence[int]) -> None:
        self.hq, self.name, self.channels = hq, name, channels

    def __call__(self, kind: str) -> list[str]:
        if not self.channels:
            raise Undeclared(
                "The channel database %r serves no store that HQ has a record of, and its data group restricts rows to its own %s."
                % (self.name, kind.replace("_", " ")),
                "Declare its store_ids with the module retail_data_group, once the stores' records are there.",
            )
        if kind == "channel":
            return [str(channel) for channel in self.channels]
        table, column = self._SOURCES[kind]
        quote = self.hq.engine.names.quote
        numbers = ", ".join(str(int(channel)) for channel in self.channels)
        sql = "SELECT %s FROM %s WHERE %s IN (%s)" % (quote(column), quote(*table), quote("RECID"), numbers)
        return sorted(str(row[0]) for row in self.hq.query(sql))


def _scope(draft: Draft, job: int, sequence: int, own: _Own) -> Scope:
    record = draft.after[JOB][job]
    name = ("%s %s" % (record["JOBID"], record["NAME"])).strip()
    if record["DIRECTION"] not in range(len(DIRECTIONS)):
        raise RetailError(
            "The job %s has the direction %s, which means nothing." % (name, record["DIRECTION"]),
            "Use 0 (download), 1 (upload) or 2 (bidirectional).",
        )
    scope = make_scope(name, DIRECTIONS[record["DIRECTION"]], job_tables(draft, job), 0, sequence, job)
    filters = {table: row_filters.resolve(declared, own) for table, declared in job_filters(draft, job).items()}
    return replace(scope, tables=tuple(replace(item, filter=filters.get(item.name, ())) for item in scope.tables))
