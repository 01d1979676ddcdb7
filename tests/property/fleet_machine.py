# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis makes the histories up; those that go wrong are shrunk to a script that anybody can run."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import fleet_shrink
from fleet import Workshop
from fleet_engines import chosen_engine, serving
from fleet_events import DECIDING, PHASES
from fleet_script import Record, Step
from fleet_steps import Steps
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

tills = st.integers(0, 1)
ends = st.sampled_from(("commit", "commit", "open", "rollback"))
#: More often where it is decided whether something has moved.
phases = st.sampled_from((*PHASES, *DECIDING, *DECIDING, *DECIDING))
stops = st.sampled_from(("kill", "kill", "cut child", "cut parent"))
killed = st.sampled_from(("kill", "kill", "kill", "cut child", "cut parent"))
seldom = st.sampled_from((False, False, False, True))


@dataclass
class Tally:
    """How much was tried, in which phases sessions were killed, and the history that went wrong, shrunk."""

    histories: int = 0
    steps: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    bad: Record | None = None


class Machine(RuleBasedStateMachine):
    """Makes up histories of one kind. Each rule takes steps, and writes them down."""

    kind: type[Steps]
    workshop: Workshop
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.record = Record(self.kind)
        self.history: Any = None

    @initialize(winner=st.sampled_from(("parent", "child")), rows=st.sampled_from((2000, 1)))
    def begin(self, winner: str, rows: int) -> None:
        self.tally.histories += 1
        self.record.winner = winner
        self.history = self.kind(self.workshop, winner)
        if rows != 2000:
            self.step("batches", rows)

    def step(self, name: str, *arguments: Any, **options: Any) -> None:
        step = Step(name, arguments, options)
        self.record.steps.append(step)
        self.tally.steps += 1
        self._guarded(lambda: step.take(self.history))

    def _guarded(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except BaseException as failure:
            self.record.went_wrong(failure)
            self.tally.bad = self.record
            raise

    def teardown(self) -> None:
        if self.history is None:
            return
        try:
            # Not after a step that failed, nor when Hypothesis has had enough of this one.
            if sys.exc_info()[0] is None:
                self._guarded(self.history.check)
        finally:
            self.tally.kills.update(self.history.kills)
            self.history.close()

    def moment(self, data: st.DataObject, child: str, scope: str) -> int:
        """Anywhere in a session that is as long as the longest one of this history."""
        return int(data.draw(st.integers(1, max(60, self.history.longest.get((child, scope), 0)))))

    @precondition(lambda self: self.history and any(node.open for node in self.history.fleet.nodes.values()))
    @rule(choice=st.integers(0, 9), keep=st.booleans())
    def finish(self, choice: int, keep: bool) -> None:
        there = [(name, till) for name, node in self.history.fleet.nodes.items() for till in sorted(node.open)]
        self.step("commit" if keep else "rollback", *there[choice % len(there)])


def explore(
    workshop: Workshop,
    machine: type[Machine],
    examples: int,
    steps: int,
    number: int | None = None,
    patience: float = fleet_shrink.PATIENCE,
) -> Tally:
    """Try histories; the same ones each time unless ``number`` seeds others.

    :param patience: seconds for which a smaller history is looked for that goes wrong as the first bad one did.

    :raises Exception: what a bad history raised; the script of the smallest one is a note on it and in ``tally.bad``.
    """
    tally = Tally()
    # Hypothesis keeps what it knows about a machine with the class, so each exploration has its own.
    made = type(machine.__name__, (machine,), {"workshop": workshop, "tally": tally})
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
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(made, settings=chosen)
    except BaseException as failure:
        failure.tally = tally  # type: ignore[attr-defined]
        if tally.bad is not None and isinstance(failure, Exception):
            tally.bad = fleet_shrink.shrink(workshop, tally.bad, patience)
            failure.add_note("This script replays it:\n\n" + tally.bad.script())
        raise
    return tally


@contextlib.contextmanager
def replaying() -> Iterator[Workshop]:
    """A workshop for one script: on the SQL Server that the environment names, else on a throw-away PostgreSQL."""
    with serving(chosen_engine()) as server, contextlib.closing(Workshop(server)) as workshop:
        yield workshop
