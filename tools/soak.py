# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try random histories of tills, sessions, crashes and disasters on real databases, for as long as asked.

Histories of three tiers and histories of filtered rows take turns. One that goes wrong is shrunk, printed, and written to .cache/soak/
as a script, which ``--replay`` runs; as it was found it is written beside it. With RETAIL_TEST_MSSQL set they run on that SQL Server.
The exit code is 1 when something went wrong.
"""

from __future__ import annotations

import argparse
import itertools
import random
import runpy
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/property", "tests", "tools")]

import filtered_machine  # noqa: E402 -- found in the folders that the lines above name
import fleet_machine  # noqa: E402
import fleet_shrink  # noqa: E402
import tiers_machine  # noqa: E402

#: The kinds of histories, and how many Hypothesis makes up from one seed: those of filtered rows are shorter.
KINDS = {"tiers": (tiers_machine.Histories, 20), "filters": (filtered_machine.FilteredHistories, 20)}
#: So many times something is done in each, which may be several steps.
LENGTH = 40


@dataclass
class Total:
    """What was tried so far, by kind, the last seed, and the scripts of what went wrong."""

    histories: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    last: int = 0
    scripts: list[Path] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """Run and say what came of it; returns the exit code."""
    options = _parse(arguments)
    if options.replay:
        runpy.run_path(options.replay, run_name="__main__")
        print("it went well this time")
        return 0
    total, started = Total(), time.monotonic()
    with fleet_machine.replaying() as workshop:
        turns = ((number, kind) for number in itertools.count(options.seed) for kind in options.kinds)
        for number, kind in turns:
            left = options.seconds - (time.monotonic() - started)
            if left <= 0 or (options.first and total.scripts):
                break
            _one_seed(workshop, kind, number, options, total, left)
    tried = ", ".join(f"{total.histories[kind]} of {kind}" for kind in options.kinds)
    print(
        f"soak: {total.histories.total()} histories ({tried}), {total.steps} steps in {time.monotonic() - started:.0f} s, "
        f"seeds {options.seed} to {total.last}: {len(total.scripts)} went wrong"
    )
    for script in total.scripts:
        print(f"  {script}")
    return 1 if total.scripts else 0


def _parse(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.partition("\n\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60.0, help="how long to go on (default: 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="the first seed")
    parser.add_argument(
        "--only", dest="kinds", action="append", choices=tuple(KINDS), help="one kind of histories (default: both)"
    )
    parser.add_argument(
        "--shrink",
        metavar="SECONDS",
        type=float,
        default=fleet_shrink.PATIENCE,
        help="how long a smaller history is looked for (default: %(default).0f)",
    )
    parser.add_argument("--length", type=int, default=LENGTH, help="how long a history is (default: %(default)s)")
    parser.add_argument("--first", action="store_true", help="end with the first history that goes wrong")
    parser.add_argument("--output", type=Path, default=Path(".cache/soak"), help="where to write scripts")
    parser.add_argument("--replay", metavar="SCRIPT", help="run one of those scripts instead")
    options = parser.parse_args(arguments)
    options.kinds = options.kinds or list(KINDS)
    return options


def _one_seed(workshop: Any, kind: str, number: int, options: Any, total: Total, left: float) -> None:
    """A few histories; fewer when the time is nearly over."""
    machine, examples = KINDS[kind]
    examples = max(1, min(examples, int(left / 2)))
    try:
        tally = fleet_machine.explore(workshop, machine, examples, options.length, number, options.shrink)
    except Exception as failure:
        tally = getattr(failure, "tally", None)
        if tally is None or tally.bad is None:
            raise
        total.scripts.append(_tell(options.output / f"{kind}-{number}.py", tally.bad))
    total.last = number
    total.histories[kind] += tally.histories
    total.steps += tally.steps


def _tell(script: Path, bad: Any) -> Path:
    """Write the script, and as what it was found, and print it."""
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(bad.script(), encoding="utf-8")
    print(f"soak: {script.stem}: {bad.headline}\n  {script}", end="")
    if bad.found is None:
        print(f": {len(bad.steps)} steps; nothing smaller goes wrong each time")
    else:
        found = script.with_suffix(".found.py")
        found.write_text(bad.found.script(), encoding="utf-8")
        print(f": {len(bad.steps)} steps; as it was found, {len(bad.found.steps)}: {found}")
    print(f"\n{bad.script()}", flush=True)
    return script


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
