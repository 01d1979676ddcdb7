# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all histories have: steps that tills, sessions and the passing time take, one after the other and in the midst of each other.

Each public method is one step. What cannot be done at the moment (a row is locked, a sale is gone) is left undone, so that
any steps in any order make a history.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import fleet_state as state
from elapsed import let_pass
from fleet import Fleet, Node, Work, Workshop
from fleet_events import Killed, watched

from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError, StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._sync import cleanup, session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import NotProvisioned

#: Attempts of an apply; nobody lets go of a lock meanwhile, so more would only take time.
TRIES = 3
#: A step to be taken in the middle of a session: at which moment, and the method's name and arguments.
Meanwhile = tuple[int, str, tuple[Any, ...]]


class Steps:
    """One history on a fleet of its own."""

    #: What it happens to.
    FLEET: ClassVar[type[Fleet]]

    def __init__(self, workshop: Workshop, winner: str = "parent") -> None:
        self.workshop = workshop
        self.fleet = workshop.fleet(self.FLEET, winner)
        #: Children whose pair may not know each other any more: a side was replaced, or restored from before that.
        self.apart: set[str] = set()
        #: How many moments the longest session of a child's scope had, and in which phases sessions were killed.
        self.longest: dict[tuple[str, str], int] = {}
        self.kills: Counter[str] = Counter()
        self._patch()

    def _patch(self) -> None:
        self._patches = contextlib.ExitStack()
        for name, value in {"_TRIES": TRIES, "time": _Restless}.items():
            self._patches.callback(setattr, transfer, name, getattr(transfer, name))
            setattr(transfer, name, value)

    def close(self) -> None:
        self._patches.close()
        self.workshop.take_back(self.fleet)

    def batches(self, rows: int) -> None:
        """From now on so many rows make a batch, and each batch lands by itself."""
        for name, value in {"BATCH_ROWS": rows, "BATCH_SIZE": 1 if rows == 1 else 1_000_000}.items():
            self._patches.callback(setattr, transfer, name, getattr(transfer, name))
            setattr(transfer, name, value)

    # ---- tills

    def commit(self, where: str, till: int) -> None:
        self._end(self.fleet[where], till, keep=True)

    def rollback(self, where: str, till: int) -> None:
        self._end(self.fleet[where], till, keep=False)

    def _till(self, where: str, till: int, deed: Callable[[Work], None], then: str) -> None:
        node = self.fleet[where]
        work = node.work(till)
        try:
            deed(work)
        except StatementFailed as failure:
            assert failure.kind in ("transient", "data"), failure
            then = "rollback"
        if then != "open":
            self._end(node, till, keep=then == "commit")

    def _end(self, node: Node, till: int, keep: bool) -> None:
        if till not in node.open:
            return
        if not keep:
            node.undo(till)
            return
        work = node.open.pop(till)
        work.stack.close()
        self._committed(node.name, work)

    def _committed(self, where: str, work: Work) -> None:
        """A till's transaction was committed."""

    def _end_all(self) -> None:
        """Everybody finishes."""
        for node in self.fleet.nodes.values():
            for till in list(node.open):
                self._end(node, till, keep=True)

    # ---- sessions

    def session(
        self, child: str, scope: str, stop: str = "", at: int | str = 0, meanwhile: Sequence[Meanwhile] = ()
    ) -> None:
        """A session.

        :param stop: ``kill`` the process, ``cut child`` or ``cut parent``: that connection ends at the server.
        :param at: at which moment: each statement is one, each commit two, before it and after it; or the name of a phase.
        :param meanwhile: what tills do in the middle of it.
        """
        nodes = (self.fleet[child], self.fleet[self.fleet.PARENTS[child]])
        sides = [node.db for node in nodes]
        moments = _Moments(self, sides, stop, at, meanwhile)
        try:
            with watched(sides, moments.next, lambda db: self._visible(scope, nodes[sides.index(db)].name)):
                pair = self.fleet.pair(child)
                wanted = next(item for item in pair.scopes if item.name == scope)
                # As the service does it: a side may have been upgraded.
                pair.preload([wanted])
                session.run(pair, wanted)
        except (Killed, RetailError) as failure:
            self._judge(failure, child, moments)
            for node in nodes:
                node.hang_up()
        self.kills.update(moments.killed_in)
        self.longest[child, scope] = max(moments.count, self.longest.get((child, scope), 0))
        if moments.cut_off:
            for node in nodes:
                node.hang_up()
        self._look()

    def _judge(self, failure: BaseException, child: str, moments: _Moments) -> None:
        """A session may fail for these reasons only."""
        if isinstance(failure, NotProvisioned):
            assert child in self.apart, failure
        elif isinstance(failure, StatementFailed):
            busy = moments.meanwhile or any(node.open for node in self.fleet.nodes.values())
            expected = {"lost"} if moments.cut_off else set()
            assert failure.kind in (expected | {"transient", "data"} if busy else expected), failure
        else:
            assert isinstance(failure, Killed), failure

    def _visible(self, scope: str, where: str) -> None:
        """In the middle of a session others may see something new in this database: look whether they may."""

    def _look(self) -> None:
        """After a session: look whether readers see what they must not see."""

    # ---- time

    def clean(self, where: str, silent: bool) -> None:
        """All deletions are old, and forgotten where nobody needs them.

        :param silent: nobody has heard of the children either, so they hold nothing back.
        """
        db = self.fleet[where].db
        if not state.is_provisioned(db):
            return
        with self._unless_busy(where):
            let_pass(db, silent=silent)
            cleanup.run(db, cleanup.Keep())

    @contextlib.contextmanager
    def _unless_busy(self, where: str) -> Any:
        """DDL waits for open transactions, which here would be for ever."""
        try:
            yield
        except StatementFailed as failure:
            assert failure.kind == "transient", failure
            for node in (self.fleet[where], self.fleet[self.fleet.PARENTS.get(where, where)]):
                node.hang_up()

    # ---- the end

    def check(self) -> None:
        """Everybody finishes, sessions run until all is quiet; then everything must hold.

        :raises AssertionError: what does not.
        """
        raise NotImplementedError


class _Restless:
    """Stands in for ``time`` where nobody would use the time."""

    @staticmethod
    def sleep(_seconds: float) -> None:
        return None


class _Moments:
    """Counts the moments of a session, and does what was planned for them."""

    def __init__(
        self, history: Steps, sides: Sequence[Any], stop: str, at: int | str, meanwhile: Sequence[Meanwhile]
    ) -> None:
        self.history, self.sides, self.stop, self.at = history, sides, stop, at
        self.meanwhile = sorted(meanwhile, key=lambda item: item[0])
        self.count = 0
        self.cut_off = False
        self.killed_in: list[str] = []

    def next(self, phase: str) -> None:
        self.count += 1
        for _moment, name, arguments in [item for item in self.meanwhile if item[0] == self.count]:
            getattr(self.history, name)(*arguments)
        # Whoever was killed says nothing more.
        if self.stop == "kill" and (self.killed_in or self.at in (self.count, phase)):
            self.killed_in = self.killed_in or [phase or "elsewhere"]
            raise Killed
        if self.stop.startswith("cut") and not self.cut_off and self.at in (self.count, phase):
            self.cut_off = self.history.fleet.server.cut(self.sides[self.stop == "cut parent"])
