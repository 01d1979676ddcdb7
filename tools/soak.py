# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try random histories of tills, sessions, crashes and disasters on real databases, for as long as asked.

Each history that goes wrong is shrunk and written to .cache/soak/ as a script, which ``--replay`` runs. With
RETAIL_TEST_MSSQL set they run on that SQL Server. The exit code is 1 when something went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import runpy
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/property", "tests", "tools")]

import fleet_machine  # noqa: E402 -- found in the folders that the lines above name

#: Histories that Hypothesis makes up from one seed.
A_SEED = 20
STEPS = 40


def main(arguments: list[str]) -> int:
    """Run and say what came of it; returns the exit code."""
    options = _parse(arguments)
    if options.replay:
        runpy.run_path(options.replay, run_name="__main__")
        print("it went well this time")
        return 0
    total = SimpleNamespace(histories=0, steps=0, scripts=[])
    started, number = time.monotonic(), options.seed
    with fleet_machine.replaying() as workshop:
        while (left := options.seconds - (time.monotonic() - started)) > 0:
            _one_seed(workshop, number, options, total, left)
            number += 1
    print(
        f"soak: {total.histories} histories, {total.steps} steps in {time.monotonic() - started:.0f} s, "
        f"seeds {options.seed} to {number - 1}: {len(total.scripts)} went wrong"
    )
    for script in total.scripts:
        print(f"  {script}")
    return 1 if total.scripts else 0


def _parse(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.partition("\n\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60.0, help="how long to go on (default: 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="the first seed")
    parser.add_argument("--output", type=Path, default=Path(".cache/soak"), help="where to write scripts")
    parser.add_argument("--replay", metavar="SCRIPT", help="run one of those scripts instead")
    return parser.parse_args(arguments)


def _one_seed(workshop: Any, number: int, options: Any, total: Any, left: float) -> None:
    """A few histories; fewer when the time is nearly over."""
    examples = max(1, min(A_SEED, int(left / 2)))
    try:
        tally = fleet_machine.explore(workshop, examples, STEPS, number)
    except KeyboardInterrupt:
        raise
    except BaseException as failure:
        tally = getattr(failure, "tally", None)
        if tally is None or tally.bad is None:
            raise
        options.output.mkdir(parents=True, exist_ok=True)
        script = options.output / f"seed-{number}.py"
        script.write_text(tally.bad.script(), encoding="utf-8")
        total.scripts.append(script)
        with contextlib.suppress(IndexError):
            print(f"soak: seed {number}: {tally.bad.failure.splitlines()[0]}\n  {script}", flush=True)
    total.histories += tally.histories
    total.steps += tally.steps


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
