# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan and Step: the one comparison that check mode, diff and apply share.

A reader compares actual with desired state once and adds a step for each difference. ``changed`` is "the plan has steps"; the
diff is what the steps change from and to; apply runs them. Every step is idempotent, and a plan made after a crash contains
just what is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Union

from ._engine._errors import RetailError, StatementFailed

Statement = Union[str, tuple[str, tuple]]

#: Steps that may share a transaction are committed together up to this many: fewer commits, and a short way back after a kill.
_STEPS_A_TRANSACTION = 100


@dataclass
class Step:
    """One thing to do.

    :param title: a sentence for people: what is going to be done ("Create table ax.CUSTTABLE").
    :param path: where the change stands in the state document of the diff, e.g. ``("tables", "ax.CUSTTABLE")``.
    :param before: the value there now, None for nothing. Nothing secret.
    :param after: the value there afterwards, None for nothing. Nothing secret.
    :param database: which of the module's databases the statements run on (a key the module chose), for SQL steps.
    :param statements: SQL texts, or pairs of SQL text and parameters, for SQL steps.
    :param atomic: False for what cannot run in a transaction (CREATE DATABASE).
    :param advice: what to do where the database refuses the statements, if there is something.
    :param patience: how many seconds a statement may take, where it may wait for others without end; None: as long as it does.
    :param action: what to call, for steps that are not SQL alone (files, services, two databases).
    """

    title: str
    path: tuple[str, ...]
    before: Any = None
    after: Any = None
    database: str = ""
    statements: Sequence[Statement] = ()
    atomic: bool = True
    action: Callable[[], Any] | None = None
    advice: str = ""
    patience: int | None = None


@dataclass
class Plan:
    """An ordered list of steps. ``done``: how many of them have been applied."""

    steps: list[Step] = field(default_factory=list)
    done: int = 0

    def add(self, step: Step | None) -> None:
        if step is not None:
            self.steps.append(step)

    def extend(self, other: Plan) -> None:
        self.steps.extend(other.steps)

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    @property
    def titles(self) -> list[str]:
        return [step.title for step in self.steps]

    def diff(self) -> dict[str, Any]:
        """Ansible's diff: the touched part of the state before and after."""
        return {"before": _document(self.steps, "before"), "after": _document(self.steps, "after")}

    def apply(
        self,
        open_database: Callable[[str], Any] | None = None,
        guard: Callable[[str], contextlib.AbstractContextManager] | None = None,
    ) -> None:
        """Run the steps in order.

        :param open_database: gives the connection for a step's ``database``; asked when the first such step comes, since an
            earlier step may have created the database.
        :param guard: what to hold while a step runs on its ``database``, where several threads apply plans.
        :raises RetailError: a step failed; its title is in the message, and everything before it is done.
        """
        for group in self._groups():
            with guard(group[0].database) if guard else contextlib.nullcontext():
                _run(group, open_database)
            self.done += len(group)

    @property
    def pending(self) -> list[str]:
        """What is left: everything before it is applied, nothing afterwards, the rest after a failure."""
        return self.titles[self.done :]

    @property
    def outcome(self) -> dict[str, Any]:
        """What a module says of it that succeeded."""
        return {"changed": self.changed, "steps": self.titles, "pending": self.pending}

    @property
    def begun(self) -> dict[str, Any]:
        """What a module says of it that failed: the steps that were done, and those that are left."""
        return {"changed": self.done > 0, "steps": self.titles[: self.done], "pending": self.pending}

    def _groups(self) -> Iterator[list[Step]]:
        group: list[Step] = []
        for step in self.steps:
            joins = group and step.atomic and group[0].atomic and not step.action and step.database == group[0].database
            if group and not (joins and not group[0].action and len(group) < _STEPS_A_TRANSACTION):
                yield group
                group = []
            group.append(step)
        if group:
            yield group


def _run(group: list[Step], open_database: Callable[[str], Any] | None) -> None:
    first = group[0]
    if first.action is not None:
        first.action()
        return
    if open_database is None:
        raise RetailError("The step %r needs a database, and none was given." % first.title)
    db = open_database(first.database)
    if not first.atomic:
        _execute(db, first)
        return
    if len(group) > 1 and _execute_together(db, group):
        return
    with db.transaction():
        for step in group:
            _execute(db, step)


def _execute_together(db: Any, group: list[Step]) -> bool:
    """Run the steps in as few round trips as the engine allows; False where the server refused something.

    All is rolled back then, and the steps have to run one by one: that tells which of them it was.
    """
    statements = db.engine.scripts.together([statement for step in group for statement in step.statements])
    try:
        with db.transaction():
            for sql, parameters in statements:
                db.execute(sql, *parameters)
    except StatementFailed as error:
        if error.kind == "lost":
            raise
        return False
    return True


def _execute(db: Any, step: Step) -> None:
    for statement in step.statements:
        sql, parameters = (statement, ()) if isinstance(statement, str) else statement
        try:
            with contextlib.nullcontext() if step.patience is None else db.patience(step.patience):
                db.execute(sql, *parameters)
        except StatementFailed as error:
            raise StatementFailed(
                "%s: the database refused: %s" % (step.title, error.message),
                error.kind,
                error.state,
                step.advice or error.advice,
                error.numbers,
            ) from error


def _document(steps: Sequence[Step], side: str) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for step in steps:
        place = document
        for name in step.path[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise RetailError("The plan's paths contradict each other at %s." % "/".join(step.path))
        value, last = getattr(step, side), step.path[-1]
        if isinstance(value, dict) and isinstance(place.get(last), dict):
            place[last] = {**place[last], **value}
        elif value is not None:
            place[last] = value
    return document
