# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A parent database that several children of one run share: read once, locked once, made ready once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from .._engine._model import Table, TableName
from .._plan import Plan
from . import tables as pair_tables
from .locking import LOCK_TIMEOUT, take_provisioning
from .state import Place, Side, read_side


class Shared:
    """The parent, for the threads that provision its children.

    :param place: the parent, with a connection that no thread uses but through this.
    :param timeout: seconds to wait for another run.
    """

    def __init__(self, place: Place, open_database: Callable[[str], Any], timeout: float = LOCK_TIMEOUT) -> None:
        self.place = place
        self.timeout = timeout
        #: Steps on the parent are applied by one thread at a time.
        self.mutex = threading.RLock()
        self.steps: Plan = Plan()
        self._open = open_database
        self._held = contextlib.ExitStack()
        self._begun = False
        self._side: Side | None = None
        self._read: set[TableName] = set()
        self._wanted: dict[TableName, Table] = {}
        self._gone: list[int] = []
        self._answers: dict[Any, Any] = {}

    def guard(self, key: str) -> contextlib.AbstractContextManager:
        """For :meth:`Plan.apply`: what to hold while a step runs on a database."""
        return self.mutex if key == self.place.key else contextlib.nullcontext()

    def once(self, key: Any, read: Callable[[], Any]) -> Any:
        """What ``read`` gives for the first child that asks; all others get the same.

        :raises RetailError: ``read`` did; the next one that asks tries again.
        """
        with self.mutex:
            if key not in self._answers:
                self._answers[key] = read()
            return self._answers[key]

    def side(self, place: Place, wanted: Collection[TableName]) -> Side:
        """What the parent has, for the thread whose connection to it is in ``place``."""
        with self.mutex:
            side = self._side
            if side is None or not self._read.issuperset(wanted):
                side = self._look(wanted)
            return replace(side, place=place, tables=dict(side.tables), schemas=set(side.schemas))

    def is_foreign(self) -> bool:
        """Whether Microsoft Sync Framework has its scopes here, to be taken over."""
        with self.mutex:
            return bool((self._side or self._look()).framework.scopes)

    def _look(self, more: Iterable[TableName] = ()) -> Side:
        self._read.update(more)
        self._side = read_side(self.place, sorted(self._read))
        return self._side

    def begin(self) -> None:
        """Nobody else provisions at the parent until :meth:`finish`.

        :raises RetailError: somebody else was busy for too long.
        """
        with self.mutex:
            if not self._begun:
                take_provisioning(self._held, [self.place], self.timeout)
                self._begun = True
                self._look()

    def make_ready(self, tables: Iterable[Table]) -> None:
        """The bookkeeping, and the tracking of these tables, before a child's scopes name them."""
        with self.mutex:
            self._apply(_preparation(self._side or self._look(), tables))

    def note(self, tables: Iterable[Table], gone: Iterable[int]) -> None:
        """One child's part: the tables that it synchronises, and the numbers whose old scopes count no more."""
        with self.mutex:
            self._wanted.update({table.name: table for table in tables})
            self._gone += gone

    def finish(self, check_mode: bool) -> Plan:
        """What all children together leave to be done at the parent; done, unless in check mode.

        :returns: all steps at the parent that belong to no single child.
        """
        if self._rest(check_mode).changed and not check_mode:
            self.begin()
            self._apply(self._rest(check_mode))
        elif check_mode:
            self.steps.extend(self._rest(check_mode))
        return self.steps

    def close(self) -> None:
        """Let others provision."""
        self._held.close()

    def _rest(self, check_mode: bool) -> Plan:
        if not self._wanted:
            return Plan()  # every child has failed, or goes: nothing is known to be useless
        side = self._look(self._wanted)
        plan = _preparation(side, self._wanted.values())
        used = set(self._wanted) | side.used_by_others(self._gone if check_mode else ())
        plan.extend(pair_tables.plan_untracking(side, used))
        return plan

    def _apply(self, plan: Plan) -> None:
        plan.apply(self._open)
        self.steps.extend(plan)
        if plan.changed:
            self._look()


def _preparation(side: Side, tables: Iterable[Table]) -> Plan:
    plan = pair_tables.plan_bookkeeping(side)
    plan.extend(pair_tables.plan_tracking(side, tables))
    return plan
