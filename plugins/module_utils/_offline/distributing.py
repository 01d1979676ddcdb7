# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Distribution to one channel database or to many, each with connections of its own."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .. import _engine
from .._engine import Database, RetailError, Target
from .._plan import Plan, Step
from .._schema import tier
from . import cdx_history, distribution, hq, pairs, state
from .offline_db import IF_NEEDED, NEVER

#: When the pair begins anew. Not always: only a register's database is made anew, a store's is where its sales are.
REPROVISION = (NEVER, IF_NEEDED)


@dataclass(frozen=True)
class Order:
    """What is to be distributed where. ``name``: the channel database's profile at HQ. ``timeout``, ``lock_timeout``: seconds.

    ``reprovision``: one of ``REPROVISION``.
    """

    name: str
    hq: Target
    channel: Target
    schedule: tuple[str, ...]
    timeout: float
    lock_timeout: float
    reprovision: str = NEVER
    force: bool = False
    history: int = 0


@dataclass
class Report:
    """What became of one order. ``error`` is None where it went well; ``trace``: of an error that nobody foresaw."""

    order: Order
    plan: Plan = field(default_factory=Plan)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    peer_guid: str | None = None
    warnings: list[str] = field(default_factory=list)
    statements: int = 0
    error: RetailError | None = None
    trace: str = ""

    @property
    def name(self) -> str:
        return self.order.name

    @property
    def changed(self) -> bool:
        """Whether something was changed, or would be; of a run that failed, whether it had done anything."""
        return self.plan.done > 0 if self.error is not None else self.plan.changed


class _Connections:
    """The connections of one order; closed at the end."""

    def __init__(self) -> None:
        self.open: list[Database] = []

    def __call__(self, target: Target) -> Database:
        self.open.append(_engine.connect(target))
        return self.open[-1]

    def close(self) -> None:
        for db in self.open:
            with contextlib.suppress(Exception):
                db.close()


def check(orders: Sequence[Order]) -> None:
    """See that nothing is distributed to twice.

    :raises RetailError: the message names it.
    """
    for what in ("name", "channel"):
        seen: set[Any] = set()
        for order in orders:
            value = order.name if what == "name" else order.channel.where
            if value in seen:
                raise RetailError("The channel database %s is there twice." % value, "Name it once.")
            seen.add(value)


def distribute_all(orders: Sequence[Order], check_mode: bool, workers: int) -> list[Report]:
    """Distribute to several channel databases, ``workers`` of them at a time; a report for each, in order.

    :raises RetailError: they contradict each other.
    """
    check(orders)
    pool = ThreadPoolExecutor(max_workers=max(1, min(workers, len(orders) or 1)))
    try:
        return list(pool.map(lambda order: distribute(order, check_mode), orders))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def distribute(order: Order, check_mode: bool) -> Report:
    """Make HQ and one channel database a pair, and run jobs; errors are in the report."""
    report, connections = Report(order), _Connections()
    try:
        _distribute(order, check_mode, report, connections)
    except RetailError as error:
        report.error = error
    except Exception as error:  # noqa: BLE001
        # One of many; what it failed with must not hide what became of the others.
        report.error = RetailError("An error that was not foreseen: %s: %s" % (type(error).__name__, error))
        report.trace = traceback.format_exc()
    finally:
        report.statements = sum(db.statements for db in connections.open)
        connections.close()
    return report


def _distribute(order: Order, check_mode: bool, report: Report, connect: _Connections) -> None:
    above = hq.place(order.hq, connect, check_mode, "hq", "the HQ database")
    below = hq.place(order.channel, connect, check_mode, "channel", "the channel database")
    jobs = _read_jobs(above, order, check_mode, report)
    if jobs is None:
        return
    chosen = distribution.select(jobs, order.schedule)
    request = pairs.Request(
        child=below,
        parent=above,
        scopes=[job.scope for job in jobs],
        identity=pairs.Identity(order.name),
        open_database={"hq": above.db, "channel": below.db}.__getitem__,
        reprovision=order.reprovision != NEVER,
        force=order.force,
    )
    with pairs.planned(request, check_mode, order.lock_timeout) as pair:
        if pair.begins and below.db is not None:
            tier.check_channel(below.engine.tables.read(below.db, [tier.HQ_TABLE]), below.db.target.where)
        work = distribution.Distribution(order.name, request.open_database, order.timeout, pair)
        report.plan = Plan([*pair.plan.steps, *work.plan(chosen, below.db, above.db).steps])
        report.jobs = work.runs
        if report.plan.changed:
            state.check_writable(above.db, below.db)
        report.peer_guid = None if check_mode and pair.begins else pair.guid
        with _history(above.db, order, report):
            if not check_mode:
                report.plan.apply(request.open_database)


@contextlib.contextmanager
def _history(headquarters: Any, order: Order, report: Report) -> Iterator[None]:
    """The history as it is in the end, after a failure, too, if HQ still answers."""
    try:
        yield
    except RetailError:
        with contextlib.suppress(RetailError):
            report.history = cdx_history.read(headquarters, order.name, order.history)
        raise
    report.history = cdx_history.read(headquarters, order.name, order.history)


def _read_jobs(above: pairs.Place, order: Order, check_mode: bool, report: Report) -> list[distribution.Job] | None:
    """The jobs of the data group; None in check mode where HQ has none yet, since an earlier task would have made it.

    What they are is unknown then, but not that they run: the plan says so.
    """
    try:
        if above.db is None:
            raise distribution.Undeclared("The HQ database does not exist yet.")
        return distribution.read_jobs(above.db, order.name)
    except distribution.Undeclared as error:
        if not check_mode:
            raise
        report.warnings.append("%s What would be distributed is unknown." % error.message)
        title = "Distribute to %s what its data group at headquarters has by then" % order.name
        report.plan.add(Step(title, ("distribution", order.name), None, "unknown"))
        return None
