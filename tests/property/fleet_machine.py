# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis makes the histories up, and shrinks those that go wrong to a script that anybody can run."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fleet import Workshop
from fleet_engines import chosen_engine, serving
from fleet_events import DECIDING, PHASES, UPWARDS
from fleet_history import History
from fleet_shapes import EDITED, NODES, PARENTS, REGISTERS, SCOPES
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

anywhere = st.sampled_from(NODES)
tills = st.integers(0, 1)
keys = st.integers(1, 3)
some_scope = st.sampled_from(("people", "people", "sales", "sales", "items", "stamps"))
edited = st.sampled_from(EDITED)
coded = st.sampled_from(("CARD", "ITEM"))
sellers = st.sampled_from((*REGISTERS, "c1", "c2"))
children = st.sampled_from(tuple(PARENTS))
ends = st.sampled_from(("commit", "commit", "open", "rollback"))
#: More often where it is decided whether something has moved.
phases = st.sampled_from((*PHASES, *DECIDING, *DECIDING, *DECIDING))
stops = st.sampled_from(("kill", "kill", "cut child", "cut parent"))
seldom = st.sampled_from((False, False, False, True))
touches = st.sampled_from(("line", "more", "paid", "header"))
#: Edits by name, and their arguments after those that all have.
EDITS: dict[str, tuple[Any, ...]] = {
    "remove": (edited, keys),
    "rekey": (edited, keys, st.integers(1, 6)),
    "swap": (coded, keys, keys),
    "claim": (coded, keys, st.integers(1, 3)),
}

_HEAD = '''"""A history that went wrong: {what}

Run it with: ./dev soak --replay THIS_FILE
"""

from fleet_history import History
from fleet_machine import replaying

with replaying() as workshop:
    h = History(workshop, {winner!r})
    try:
'''


@dataclass
class Record:
    """The steps of one history, as lines of a script, and what came of it."""

    winner: str = "parent"
    lines: list[str] = field(default_factory=list)
    failure: str = ""

    def script(self) -> str:
        body = "".join("        h.%s\n" % line for line in [*self.lines, "check()"])
        what = json.dumps(self.failure.splitlines()[0][:300] if self.failure else "", ensure_ascii=False)
        what = what.strip('"').replace("\\", "/")
        return _HEAD.format(what=what, winner=self.winner) + body + "    finally:\n        h.close()\n"


@dataclass
class Tally:
    """How much was tried, in which phases sessions were killed, and the last history that went wrong: after shrinking, the
    smallest one."""

    histories: int = 0
    steps: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    bad: Record | None = None


class Histories(RuleBasedStateMachine):
    """The rules. Each calls the step of the same name, and writes it down."""

    workshop: Workshop
    tally: Tally
    #: What is promised at the end: a test puts something else in its place to see the machinery itself at work.
    verdict = staticmethod(History.check)

    def __init__(self) -> None:
        super().__init__()
        self.record = Record()
        self.history: History | None = None

    @initialize(winner=st.sampled_from(("parent", "child")), rows=st.sampled_from((2000, 1)))
    def begin(self, winner: str, rows: int) -> None:
        self.tally.histories += 1
        self.record.winner = winner
        self.history = History(self.workshop, winner)
        if rows != 2000:
            self.step("batches", rows)

    def step(self, name: str, *arguments: Any, **options: Any) -> None:
        assert self.history is not None
        given = [repr(item) for item in arguments] + ["%s=%r" % item for item in options.items()]
        self.record.lines.append("%s(%s)" % (name, ", ".join(given)))
        self.tally.steps += 1
        self._guarded(getattr(self.history, name), *arguments, **options)

    def _guarded(self, deed: Any, *arguments: Any, **options: Any) -> None:
        try:
            deed(*arguments, **options)
        except BaseException as failure:
            self.record.failure = "%s: %s" % (type(failure).__name__, failure)
            self.tally.bad = self.record
            raise

    def teardown(self) -> None:
        if self.history is None:
            return
        try:
            # Not after a step that failed, nor when Hypothesis has had enough of this one.
            if sys.exc_info()[0] is None:
                self._guarded(self.verdict, self.history)
        finally:
            self.tally.kills.update(self.history.kills)
            self.history.close()

    # ---- tills

    @rule(where=anywhere, till=tills, table=edited, key=keys, then=ends)
    def put(self, where: str, till: int, table: str, key: int, then: str) -> None:
        self.step("put", where, till, table, key, then)

    @rule(data=st.data(), where=anywhere, till=tills, then=ends)
    def edit(self, data: st.DataObject, where: str, till: int, then: str) -> None:
        what = data.draw(st.sampled_from(tuple(EDITS)))
        self.step(what, where, till, *(data.draw(argument) for argument in EDITS[what]), then)

    @rule(
        data=st.data(), child=children, table=st.sampled_from(("CARD", "CARD", "CUSTOMER", "SHELF", "ITEM")), key=keys
    )
    def contend(self, data: st.DataObject, child: str, table: str, key: int) -> None:
        """A child and its parent both change a row, and do not know of each other."""
        for where in (child, PARENTS[child]):
            names = ["put", "put", "remove", "rekey", *(("swap", "claim") if table in ("CARD", "ITEM") else ())]
            what = data.draw(st.sampled_from(names))
            rest = [data.draw(argument) for argument in EDITS[what][2:]] if what in EDITS else []
            self.step(what, where, data.draw(tills), table, key, *rest, data.draw(ends))

    @rule(where=sellers, till=tills, lines=st.integers(1, 3), debt=seldom, then=ends)
    def sell(self, where: str, till: int, lines: int, debt: bool, then: str) -> None:
        self.step("sell", where, till, lines, debt, then)

    @rule(where=sellers, till=tills, choice=keys, what=touches, then=ends)
    def touch(self, where: str, till: int, choice: int, what: str, then: str) -> None:
        self.step("touch", where, till, choice, what, then)

    @rule(where=sellers, till=tills, choice=keys, then=ends)
    def rename(self, where: str, till: int, choice: int, then: str) -> None:
        self.step("rename", where, till, choice, then)

    @rule(where=sellers, till=tills, choice=keys, then=ends)
    def purge(self, where: str, till: int, choice: int, then: str) -> None:
        self.step("purge", where, till, choice, then)

    @precondition(lambda self: self.history and any(node.open for node in self.history.fleet.nodes.values()))
    @rule(choice=st.integers(0, 9), keep=st.booleans())
    def finish(self, choice: int, keep: bool) -> None:
        assert self.history is not None
        there = [(name, till) for name, node in self.history.fleet.nodes.items() for till in sorted(node.open)]
        self.step("commit" if keep else "rollback", *there[choice % len(there)])

    # ---- sessions

    @rule(child=children, scope=some_scope)
    def session(self, child: str, scope: str) -> None:
        self.step("session", child, scope)

    @rule(child=children)
    def sessions(self, child: str) -> None:
        for scope in SCOPES:
            self.step("session", child, scope)

    @rule(
        data=st.data(),
        child=children,
        phase=phases,
        key=keys,
        stop=st.sampled_from(("kill", "kill", "kill", "cut child", "cut parent")),
    )
    def broken_session(self, data: st.DataObject, child: str, phase: str, key: int, stop: str) -> None:
        """A session that has something to do, so that it comes to the phase."""
        up = phase in UPWARDS
        scope = data.draw(st.sampled_from(("people", "sales") if up else ("people", "items")))
        where = child if up else PARENTS[child]
        if scope == "sales":
            self.step("sell", where, 0, data.draw(st.integers(1, 3)), False, "commit")
        else:
            table = "ITEM" if scope == "items" else data.draw(st.sampled_from(("CARD", "CUSTOMER")))
            self.step("put", where, 0, table, key, "commit")
        self.step("session", child, scope, stop=stop, at=phase)

    @rule(data=st.data(), child=children, scope=some_scope, stop=stops)
    def session_broken_anywhere(self, data: st.DataObject, child: str, scope: str, stop: str) -> None:
        self.step("session", child, scope, stop=stop, at=self.moment(data, child, scope))

    @rule(data=st.data(), child=children, stop=st.sampled_from(("", "", "kill")))
    def session_amid_edits(self, data: st.DataObject, child: str, stop: str) -> None:
        where = data.draw(st.sampled_from((child, PARENTS[child])))
        arguments = (where, data.draw(tills), data.draw(edited), data.draw(keys), data.draw(ends))
        scope = "items" if arguments[2] == "ITEM" else "people"
        at = self.moment(data, child, scope)
        deed = (at, data.draw(st.sampled_from(("put", "remove"))), arguments)
        later = (at + data.draw(st.integers(0, 10)), "commit", arguments[:2])
        self.step("session", child, scope, stop=stop, at=at + 5, meanwhile=[deed, later])

    @rule(data=st.data(), child=children, stop=st.sampled_from(("", "", "kill")))
    def session_amid_sales(self, data: st.DataObject, child: str, stop: str) -> None:
        deed = data.draw(st.sampled_from((("sell", (1, False)), ("touch", (1, "more")), ("purge", (1,)))))
        till, then = data.draw(tills), data.draw(ends)
        at = self.moment(data, child, "sales")
        steps = [(at, deed[0], (child, till, *deed[1], then)), (at + 6, "commit", (child, till))]
        self.step("session", child, "sales", stop=stop, at=at + 10, meanwhile=steps)

    def moment(self, data: st.DataObject, child: str, scope: str) -> int:
        """Anywhere in a session that is as long as the longest one of this history."""
        assert self.history is not None
        return int(data.draw(st.integers(1, max(60, self.history.longest.get((child, scope), 0)))))

    # ---- operators and disasters

    @rule(where=anywhere, silent=st.booleans())
    def clean(self, where: str, silent: bool) -> None:
        self.step("clean", where, silent)

    @rule(child=children)
    def pack(self, child: str) -> None:
        self.step("pack", child)

    @rule(data=st.data(), what=st.sampled_from(("upgrade", "profile")))
    def change(self, data: st.DataObject, what: str) -> None:
        if not self.workshop.server.copies:
            return  # six databases would have to be made anew after it
        if what == "upgrade":
            self.step("upgrade", data.draw(anywhere))
        else:
            self.step("profile", data.draw(children), data.draw(st.booleans()))

    @rule(data=st.data(), what=st.sampled_from(("backup", "restore", "replace", "heal")))
    def suffer(self, data: st.DataObject, what: str) -> None:
        assert self.history is not None
        if what != "heal" and not self.workshop.server.copies:
            return
        there = {"restore": sorted(self.history.backups), "heal": sorted(self.history.apart), "replace": REGISTERS}
        places = there.get(what, NODES)
        if places:
            self.step(what, places[data.draw(st.integers(0, 9)) % len(places)])


def explore(
    workshop: Workshop,
    examples: int,
    steps: int,
    number: int | None = None,
    machine: type[Histories] = Histories,
    shrink: bool = True,
) -> Tally:
    """Try histories; the same ones each time unless ``number`` seeds others.

    :param shrink: look for the smallest history that goes wrong as the first bad one did; that may take minutes.

    :raises Exception: what the smallest bad history raised; its script is a note on it and in ``tally.bad``.
    """
    tally = Tally()
    # Hypothesis keeps what it knows about a machine with the class, so each exploration has its own.
    made = type("Histories", (machine,), {"workshop": workshop, "tally": tally})
    if number is not None:
        made = seed(number)(made)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=number is None,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(made, settings=chosen)
    except BaseException as failure:
        failure.tally = tally  # type: ignore[attr-defined]
        if tally.bad is not None:
            failure.add_note("This script replays it:\n\n" + tally.bad.script())
        raise
    return tally


@contextlib.contextmanager
def replaying() -> Iterator[Workshop]:
    """A workshop for one script: on the SQL Server that the environment names, else on a throw-away PostgreSQL."""
    with serving(chosen_engine()) as server, contextlib.closing(Workshop(server)) as workshop:
        yield workshop
