# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens between two statements of a session: a kill, a cut connection, a till, a reader."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database


class Killed(BaseException):
    """The process ends here, as far as a test in the same process can end it."""


SIDES = ("child", "parent")
#: The phases of a session that have a name, each of one side's database; most occur in sessions of one direction only.
PHASES = tuple(
    "%s at the %s" % (what, side)
    for side in SIDES
    for what in ("reading", "landing", "anchor", "before the commit", "after the commit", "acknowledgement")
) + ("token at the child",)
DECIDING = tuple(phase for phase in PHASES if "the commit" in phase)
#: Those that occur where something goes up: the child is read, and the parent writes.
UPWARDS = tuple(
    phase for phase in PHASES if phase.startswith(("reading", "acknowledgement")) == phase.endswith("child")
)
#: What a statement says that is a phase.
_SAID = {
    "FETCH FORWARD": "reading",
    "SET landing = ?": "landing",
    "SET anchor_in": "anchor",
    "last_session = ": "acknowledgement",
    "SET previous_token": "token",
}


@dataclass
class Phases:
    """Which phase of a session a moment is. The commit is the one that decides: that of the anchor."""

    dbs: Sequence[Database]
    _deciding: set[str] = field(default_factory=set)

    def name(self, db: Database, what: str, sql: str = "") -> str:
        """The phase, or "" where it has no name.

        :param what: ``statement``, ``row`` of a stream, ``before the commit``, ``after the commit``.
        """
        side = SIDES[[one is db for one in self.dbs].index(True)]
        if what == "row":
            return "reading at the %s" % side
        if what != "statement":
            decides = side in self._deciding
            if what == "after the commit":
                self._deciding.discard(side)
            return "%s at the %s" % (what, side) if decides else ""
        said = next((name for words, name in _SAID.items() if words in sql), "")
        if said == "anchor":
            self._deciding.add(side)
        return "%s at the %s" % (said, side) if said else ""


class _Watch:
    """Stands in for what connections do, while nothing else that is watched is at work."""

    def __init__(
        self, dbs: Sequence[Database], moment: Callable[[str], None], visible: Callable[[Database], None]
    ) -> None:
        self.dbs, self.moment, self.visible = dbs, moment, visible
        self._phases, self._asleep = Phases(dbs), False
        self.originals = (Database._run, Database._commit, Database.stream)

    def run(self, db: Database, sql: str, *arguments: Any) -> Any:
        self._meet(db, "statement", sql)
        result = self.originals[0](db, sql, *arguments)
        if not db._in_transaction and not sql.startswith("SELECT"):
            self._show(db)
        return result

    def commit(self, db: Database) -> None:
        self._meet(db, "before the commit")
        self.originals[1](db)
        self._show(db)
        self._meet(db, "after the commit")

    def stream(self, db: Database, sql: str, *parameters: Any) -> Iterator[Any]:
        self._meet(db, "statement", sql)
        for row in self.originals[2](db, sql, *parameters):
            self._meet(db, "row")
            yield row

    def _meet(self, db: Database, what: str, sql: str = "") -> None:
        if db in self.dbs and not self._asleep:
            self._call(self.moment, self._phases.name(db, what, sql))

    def _show(self, db: Database) -> None:
        if db in self.dbs and not self._asleep:
            self._call(self.visible, db)

    def _call(self, deed: Callable[..., None], *arguments: Any) -> None:
        self._asleep = True
        try:
            deed(*arguments)
        finally:
            self._asleep = False


@contextlib.contextmanager
def watched(
    dbs: Sequence[Database], moment: Callable[[str], None], visible: Callable[[Database], None]
) -> Iterator[None]:
    """Have ``moment`` called with the phase's name before each statement on these connections and each row that one of them
    streams, before each commit and after it, and ``visible`` whenever others may see something new there. What they do themselves is not
    watched."""
    watch = _Watch(dbs, moment, visible)

    def run(db: Database, sql: str, *arguments: Any) -> Any:
        return watch.run(db, sql, *arguments)

    def commit(db: Database) -> None:
        watch.commit(db)

    def stream(db: Database, sql: str, *parameters: Any) -> Iterator[Any]:
        return watch.stream(db, sql, *parameters)

    Database._run, Database._commit, Database.stream = run, commit, stream  # type: ignore[method-assign]
    try:
        yield
    finally:
        Database._run, Database._commit, Database.stream = watch.originals  # type: ignore[method-assign]
