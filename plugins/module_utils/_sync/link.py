# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two connections of a pair: opened when they are needed, and again when they were lost."""

from __future__ import annotations

import contextlib
from typing import Any, Callable

from .. import _engine
from .._engine._database import Database, Target
from .._engine._errors import ConnectFailed, RetailError, StatementFailed
from . import anew, homes
from .config import ServiceConfig
from .pair import Pair

SIDES = ("child", "parent")


class Watched(Database):
    """A connection that asks ``check`` before each statement: that is where a service that has to stop stops."""

    def __init__(self, target: Target, engine: Any, check: Callable[[], None]) -> None:
        self._check = check
        super().__init__(target, engine)

    def another(self) -> Watched:
        return Watched(self.target, self.engine, self._check)

    def _run(self, sql: str, parameters: tuple, take: Any, kept: bool = False) -> Any:
        self._check()
        return super()._run(sql, parameters, take, kept)


class Link:
    """The connections of one pair.

    :param check: called before each statement; what it raises goes through to the caller.
    :param heals: a pair of which a side was restored or moved begins anew, see ``anew.py``; else it is left alone.
    """

    def __init__(self, config: ServiceConfig, check: Callable[[], None] = lambda: None, heals: bool = False) -> None:
        self._heals = heals
        self._silence = config.moved_after
        self._package = config.package
        self.targets: dict[str, Target] = {"child": config.child, "parent": config.parent}
        self._check = check
        self._open: dict[str, Watched] = {}
        self._pair: Pair | None = None
        self._sent = 0

    @property
    def child(self) -> Database | None:
        """The child's connection while it is open, whatever became of the parent's."""
        return self._open.get("child")

    @property
    def statements(self) -> int:
        """How many statements were sent since the beginning: it grows as long as there is progress."""
        return self._sent + sum(db.statements for db in list(self._open.values()))

    def connect(self, side: str) -> Database:
        """One side, whatever becomes of the other.

        :raises ConnectFailed: the message says which side it is.
        :raises RetailError: the server is too old, or the database behaves like one of such a server.
        """
        if side not in self._open:
            target = self.targets[side]
            try:
                db = Watched(target, _engine.speaker(target.engine), self._check)
            except ConnectFailed as error:
                text = "The %s cannot be reached. %s" % (side, error.message)
                raise ConnectFailed(text, error.advice, error.away, error.numbers) from None
            try:
                db.engine.databases.check_server(db)
            except BaseException:
                db.close()
                raise
            self._open[side] = db
        return self._open[side]

    def pair(self) -> Pair:
        """Both sides, checked to belong together.

        :raises ConnectFailed: a side cannot be reached.
        :raises RetailError: the two do not belong together; see :class:`Pair`.
        """
        if self._pair is None:
            child = self.connect("child")
            if self._heals:
                # Whatever becomes of the parent: this may be a machine on which the child is for a while only.
                homes.note(child)
            parent = self.connect("parent")
            self._pair = anew.open_pair(child, parent, self._silence) if self._heals else Pair(child, parent)
            self._pair.package = self._package
        return self._pair

    def alive(self, side: str) -> bool:
        """Whether the connection still answers."""
        try:
            self._open[side].value("SELECT 1")
        except (KeyError, RetailError):
            return False
        return True

    def sound(self) -> bool:
        """Whether both connections still answer: an error that looks like any other may be the end of a connection."""
        return all(self.alive(side) for side in SIDES)

    def failure(self, error: Exception) -> RetailError:
        """The exception as one of ours; where it is a defect, the message says so."""
        for db in self._open.values():
            error = db.failure(error)
        if isinstance(error, RetailError):
            return error
        return StatementFailed("%s: %s" % (type(error).__name__, error), "other")

    def close(self) -> None:
        """Close both; what was not committed is rolled back by the servers."""
        self._pair = None
        for db in self._open.values():
            self._sent += db.statements
            with contextlib.suppress(Exception):
                db.close()
        self._open.clear()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()


def reach(link: Link) -> tuple[dict[str, Database], dict[str, RetailError]]:
    """Whichever sides can be reached, and why the others cannot: for looking at a pair of which one side is down."""
    there: dict[str, Database] = {}
    missing: dict[str, RetailError] = {}
    for side in SIDES:
        try:
            there[side] = link.connect(side)
        except RetailError as error:
            missing[side] = error
    return there, missing
