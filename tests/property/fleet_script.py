# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a history as a script that anybody can run, and what comes of running them."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleet import Workshop
from fleet_steps import Steps

_HEAD = '''"""A history that went wrong: {what}

Run it with: ./dev soak --replay THIS_FILE
"""

from {module} import {kind}
from fleet_machine import replaying

with replaying() as workshop:
    h = {kind}(workshop, {winner!r})
    try:
'''
#: Who raised what, and where: the exception's type, a file and a line in it.
Origin = tuple[str, str, int]


@dataclass(frozen=True)
class Step:
    """A method of a history, and what it is called with."""

    name: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = [repr(item) for item in self.arguments] + ["%s=%r" % item for item in self.options.items()]
        return "%s(%s)" % (self.name, ", ".join(given))

    def take(self, history: Steps) -> None:
        getattr(history, self.name)(*self.arguments, **self.options)

    def simpler(self) -> Iterator[Step]:
        """Steps that do less: nobody acts in the middle of it, nobody stops it, and a till's transaction ends with it."""
        meanwhile = self.options.get("meanwhile", ())
        for place in range(len(meanwhile)):
            less = [*meanwhile[:place], *meanwhile[place + 1 :]]
            yield replace(self, options={**self.options, "meanwhile": less})
        without = {name: value for name, value in self.options.items() if name not in ("stop", "at")}
        if without != self.options:
            yield replace(self, options=without)
        if without.get("meanwhile") == []:
            yield replace(self, options={name: value for name, value in self.options.items() if name != "meanwhile"})
        if self.arguments[-1:] in (("open",), ("rollback",)):
            yield replace(self, arguments=(*self.arguments[:-1], "commit"))


@dataclass
class Record:
    """The steps of one history, and what came of it. ``found``: as what it was found, where this is a smaller one."""

    kind: type[Steps]
    winner: str = "parent"
    steps: list[Step] = field(default_factory=list)
    failure: str = ""
    origin: Origin | None = None
    found: Record | None = None

    def went_wrong(self, failure: BaseException) -> None:
        self.failure, self.origin = _text(failure), origin(failure)

    @property
    def headline(self) -> str:
        return self.failure.splitlines()[0][:300] if self.failure else ""

    def script(self) -> str:
        body = "".join("        h.%s\n" % step for step in [*self.steps, Step("check")])
        what = json.dumps(self.headline, ensure_ascii=False).strip('"').replace("\\", "/")
        head = _HEAD.format(what=what, winner=self.winner, module=self.kind.__module__, kind=self.kind.__name__)
        return head + body + "    finally:\n        h.close()\n"

    def again(self, workshop: Workshop, steps: Sequence[Step]) -> str:
        """What is wrong with these steps if they go wrong as this history did: the same check, or the same statement, says so. Else
        ""."""
        try:
            play(workshop, self.kind, self.winner, steps)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, it is looked at
            return _text(failure) if origin(failure) == self.origin else ""
        return ""


def play(workshop: Workshop, kind: type[Steps], winner: str, steps: Sequence[Step]) -> None:
    """Take the steps from the beginning, and look whether everything holds.

    :raises AssertionError: it does not.
    """
    with contextlib.closing(kind(workshop, winner)) as history:
        for step in steps:
            step.take(history)
        history.check()


def origin(failure: BaseException) -> Origin:
    """Where a failure comes from; by this Hypothesis, too, tells one from another."""
    last = traceback.extract_tb(failure.__traceback__)[-1]
    return type(failure).__name__, last.filename, int(last.lineno or 0)


def _text(failure: BaseException) -> str:
    return "%s: %s" % (type(failure).__name__, failure)
