# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong becomes as small as it can be, and a script that shows it: in ``./dev soak``, on a product that breaks a promise."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import fleet_machine
import pgserver
import pytest
from filtered_history import FilteredHistory
from filtered_machine import FilteredHistories
from fleet import Workshop
from fleet_engines import PostgresServer
from fleet_script import Step
from fleet_shrink import Shrinking

ROOT = Path(__file__).resolve().parents[2]
#: A kind of histories, a promise that they show to be broken, a seed that shows it soon, and what is said then.
BROKEN = ("filters", "members-unnoticed", 1, "ITEM of c")
ALL_BROKEN = [
    BROKEN,
    ("tiers", "conflict-not-recorded", 1, "silently lost"),
    ("filters", "filter-left-unnoticed", 2, " of c"),
]
LONG = os.environ.get("RETAIL_FAULTS") == "long"
#: How long histories are, and for how many seconds a smaller one is looked for.
LENGTH, PATIENCE = (40, 120) if LONG else (8, 10)

NEEDED = [Step("put", ("c1", 0, "CARD", 1, "commit")), Step("session", ("c1", "people"), {"stop": "kill", "at": 7})]


def _needed(steps: Sequence[Step]) -> bool:
    """Whether a card is written somewhere, and a session of people comes after it."""
    names = [step.name for step in steps]
    return "put" in names and "session" in names[names.index("put") :]


def _amid(count: int) -> list[Step]:
    others = [Step("sell", ("r%d" % (number % 3), number % 2, 1, False, "open")) for number in range(count)]
    return [*others[: count // 2], NEEDED[0], *others[count // 2 : -3], NEEDED[1], *others[-3:]]


@pytest.mark.parametrize("others", [3, 8, 61])
def test_what_is_left_of_a_history_is_needed(others: int) -> None:
    shrinking = Shrinking(_amid(others), _needed, time.monotonic() + 60)
    assert shrinking.run() == [NEEDED[0], Step("session", ("c1", "people"))]
    assert shrinking.tries <= 6 * others


def test_what_needs_its_neighbours_keeps_them() -> None:
    whole = [Step("put", (number,)) for number in range(20)]
    smallest = Shrinking(whole, lambda steps: len(steps) >= 17, time.monotonic() + 60).run()
    assert len(smallest) == 17


def test_steps_become_simpler_where_they_stay() -> None:
    amid = [(3, "put", ("hq", 0)), (5, "commit", ("hq", 0))]
    whole = [Step("session", ("c1", "people"), {"stop": "kill", "at": 9, "meanwhile": amid}), Step("put", ("open",))]

    def fails(steps: Sequence[Step]) -> bool:
        return len(steps) == 2 and amid[0] in steps[0].options.get("meanwhile", ())

    smallest = Shrinking(whole, fails, time.monotonic() + 60).run()
    assert smallest == [Step("session", ("c1", "people"), {"meanwhile": amid[:1]}), Step("put", ("commit",))]


def test_nothing_is_tried_when_the_time_is_up() -> None:
    whole = _amid(8)
    shrinking = Shrinking(whole, _needed, time.monotonic() - 1)
    assert shrinking.run() is whole
    assert shrinking.tries == 0


class Wrong(FilteredHistory):
    """One that never ends well."""

    def check(self) -> None:
        raise AssertionError("nothing holds")


class WrongHistories(FilteredHistories):
    kind = Wrong


@pytest.fixture
def postgres(pg_server: pgserver.PgServer) -> Iterator[Workshop]:
    """What is tried here is the same on all engines."""
    with contextlib.closing(PostgresServer(pg_server)) as server, contextlib.closing(Workshop(server)) as workshop:
        yield workshop


def test_the_script_of_a_bad_history_is_a_note_on_its_failure(postgres: Workshop) -> None:
    with pytest.raises(AssertionError, match="nothing holds") as caught:
        fleet_machine.explore(postgres, WrongHistories, 2, 8, patience=10)
    bad = caught.value.tally.bad
    assert bad.script() in "".join(caught.value.__notes__)
    assert bad.script().startswith('"""A history that went wrong: AssertionError: nothing holds\n')
    assert "from test_shrinking import Wrong\n" in bad.script()
    assert "        h.check()\n" in bad.script()
    assert len(bad.steps) == 1
    assert len(bad.found.steps) > 1


@pytest.mark.parametrize(("kind", "mutant", "seed", "says"), ALL_BROKEN if LONG else [BROKEN])
def test_a_broken_promise_comes_out_as_a_short_script_that_shows_it(
    kind: str,
    mutant: str,
    seed: int,
    says: str,
    tmp_path: Path,
    pg_server: pgserver.PgServer,
    postgres: Workshop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found, shrunk and printed by ``./dev soak``; the script goes wrong again where the promise is broken, and nowhere else."""
    options = ["60", "--first", "--seed", str(seed), "--only", kind, "--length", str(LENGTH), "--shrink", str(PATIENCE)]
    done = _soak_broken(mutant, pg_server, *options, "--output", str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    script, found = tmp_path / f"{kind}-{seed}.py", tmp_path / f"{kind}-{seed}.found.py"
    assert script.read_text(encoding="utf-8") in done.stdout
    assert _steps(script) < _steps(found)
    print(f"{mutant}: {_steps(found)} steps as it was found, {_steps(script)} shrunk")

    again = _soak_broken(mutant, pg_server, "--replay", str(script))
    assert again.returncode == 1
    assert "AssertionError: %s" % says in again.stderr

    monkeypatch.setattr(fleet_machine, "replaying", lambda: contextlib.nullcontext(postgres))
    runpy.run_path(str(script))


def _soak_broken(mutant: str, server: pgserver.PgServer, *options: str) -> subprocess.CompletedProcess[str]:
    """``./dev soak`` in a process of its own, with the mutant switched on, on a server that runs already."""
    program = ROOT / "tests" / "mutation" / "broken_soak.py"
    environment = {name: value for name, value in os.environ.items() if name != "RETAIL_TEST_MSSQL"}
    environment["RETAIL_MUTANT"] = mutant
    environment["RETAIL_MUTANT_SERVERS"] = json.dumps({"histories": str(server.directory)})
    return subprocess.run(
        [sys.executable, str(program), *options],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def _steps(script: Path) -> int:
    return script.read_text(encoding="utf-8").count("        h.") - len(("check", "close"))
