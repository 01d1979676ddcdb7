# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break one promise of the synchronisation after the other, and see which test notices; nothing noticed is a missing test.

Each mutant (tests/mutation) runs its tests in a process of its own, on two PostgreSQL servers that all of them share. First
the same tests run without any mutant: they must pass. The exit code is 1 when a mutant survived that is not known to be
equivalent to the product, 2 when it cannot be said what became of one.

The mutants of SQL Server's speaker run where RETAIL_TEST_MSSQL names a server, and when they are named, or all of them by the word
mssql. What that server cannot notice, as the test itself finds out, is left out and said.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "mutation")]

import mutant_catalogue  # noqa: E402 -- found in the folder that the line above names
import pgserver  # noqa: E402
import pyodbc  # noqa: E402
from mutant import Mutant, NoMutant  # noqa: E402

#: Seconds for the tests of one mutant; the server that has SQL Server's may be anywhere, and make its databases slowly.
TIMEOUT, TSQL_TIMEOUT = 120, 600
MSSQL = "RETAIL_TEST_MSSQL"
#: The word that stands for all mutants of SQL Server's speaker.
ALL_TSQL = "mssql"

HEAD = """..
  Copyright (c) 2026, the axops.retail contributors
  GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later
  Written by ./dev mutants --write.

.. _ansible_collections.axops.retail.docsite.mutants:

Which test notices
==================

Every promise of the synchronisation is broken on purpose, one at a time, and the tests say which of them noticed. A promise
that can be broken unnoticed is one that nobody tests. ``./dev mutants`` does it again, ``./dev mutants NAME`` with one of
them.

A mutant is a phrase of the source that is changed while the tests read it, so the product has no switch for any of this; the
mutants are in ``tests/mutation``. All of them run on PostgreSQL; :ref:`those of SQL Server's own promises
<ansible_collections.axops.retail.docsite.mutants_tsql>` are a table of their own. The test that is named is the first of those
asked that failed; others may fail, too.

"""

TSQL_HEAD = """..
  Copyright (c) 2026, the axops.retail contributors
  GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later
  Written by ./dev mutants --write mssql.

.. _ansible_collections.axops.retail.docsite.mutants_tsql:

Which test notices on SQL Server
================================

:ref:`What the mutants are <ansible_collections.axops.retail.docsite.mutants>`. These break what SQL Server's speaker says in words
of its own, and run where ``RETAIL_TEST_MSSQL`` names a server: ``./dev mutants mssql``. Where that server cannot notice, the test that
would has found out by a probe, and says why. These were seen on:

  %s

"""


class CannotTell(Exception):
    """Nothing is known about the mutants, since something else is wrong."""


def main(arguments: list[str]) -> int:
    """Run the mutants that are named, or all; returns the exit code."""
    options = _parse(arguments)
    wanted = _wanted(options.name)
    results = _load(options.results)
    started = time.monotonic()
    with servers() as folders:
        if not options.no_control:
            tests = list(dict.fromkeys(test for mutant in wanted for test in mutant.tests))
            control(tests, folders)
        unclear = []
        for mutant in wanted:
            if not _one(mutant, folders, results):
                unclear.append(mutant)
            _store(options.results, results)
    survivors = [mutant for mutant in wanted if mutant not in unclear and _is_missing(mutant, results[mutant.name])]
    print(
        f"{len(wanted)} mutants in {time.monotonic() - started:.0f} s, {len(survivors)} survived, {len(unclear)} unclear"
    )
    if options.write:
        _write(options.table, wanted, results)
    return 2 if unclear else 1 if survivors else 0


def _wanted(names: list[str]) -> list[Mutant]:
    found: list[Mutant] = []
    for name in names:
        found += mutant_catalogue.TSQL if name == ALL_TSQL else [mutant_catalogue.BY_NAME[name]]
    return found or list(mutant_catalogue.MUTANTS)


def _write(page: Path, wanted: list[Mutant], results: dict[str, Any]) -> None:
    """The pages of which mutants were run."""
    tsql = [mutant for mutant in wanted if mutant in mutant_catalogue.TSQL]
    if tsql:
        head = TSQL_HEAD % _server()
        page.with_name(page.stem + "_tsql.rst").write_text(
            table(mutant_catalogue.TSQL, results, head), encoding="utf-8"
        )
    if len(tsql) < len(wanted):
        page.write_text(table(mutant_catalogue.MUTANTS, results, HEAD), encoding="utf-8")


def _server() -> str:
    """What the SQL Server says it is."""
    connection = pyodbc.connect(os.environ[MSSQL], autocommit=True, timeout=15)
    try:
        return " ".join(connection.execute("SELECT @@VERSION").fetchone()[0].splitlines()[0].split())
    finally:
        connection.close()


def _one(mutant: Mutant, folders: dict[str, str], results: dict[str, Any]) -> bool:
    """Run one and say what came of it; returns whether that is clear."""
    results.pop(mutant.name, None)
    try:
        results[mutant.name] = {**run(mutant, folders), "of": _fingerprint(mutant)}
    except (CannotTell, NoMutant) as problem:
        print(f"{mutant.name}: unclear: {problem}", flush=True)
        return False
    print(f"{mutant.name}: {_said(mutant, results[mutant.name])}", flush=True)
    return True


def _is_missing(mutant: Mutant, result: dict[str, Any]) -> bool:
    """Whether a test is missing."""
    return not result["noticed"] and not mutant.equivalent and not result.get("left_out")


def _parse(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__.partition("\n\n")[0])
    parser.add_argument("name", nargs="*", metavar="NAME", help="a mutant (default: all)")
    parser.add_argument("--write", action="store_true", help="write the table into the documentation")
    parser.add_argument("--no-control", action="store_true", help="do not run the tests without a mutant first")
    parser.add_argument("--table", type=Path, default=Path("docs/docsite/rst/mutants.rst"), help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=Path(".cache/mutants.json"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.name if name not in mutant_catalogue.BY_NAME and name != ALL_TSQL]
    if unknown:
        parser.error(f"no such mutant: {unknown[0]}; there are: {', '.join(mutant_catalogue.BY_NAME)}")
    if not os.environ.get(MSSQL) and any(mutant in mutant_catalogue.TSQL for mutant in _wanted(options.name)):
        parser.error(f"{MSSQL} names no SQL Server, which the mutants of its speaker need")
    return options


@contextlib.contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Two servers for all: the folder of each by its name."""
    with pgserver.throwaway("a") as one, pgserver.throwaway("b") as other:
        yield {"a": str(one.directory), "b": str(other.directory)}


def control(tests: list[str], folders: dict[str, str] | None) -> None:
    """Run the tests on the product as it is.

    :raises CannotTell: one of them fails.
    """
    on_server = any(test in mutant.tests for mutant in mutant_catalogue.TSQL for test in tests)
    said = _pytest(tests, folders, None, None, on_server)
    if said["noticed"]:
        raise CannotTell("without any mutant {noticed} fails: {message}".format(**said))
    if said["exit"] != 0:
        raise CannotTell("the tests cannot be run without a mutant; pytest's exit code is %d" % said["exit"])


def run(mutant: Mutant, folders: dict[str, str] | None) -> dict[str, Any]:
    """Run a mutant's tests until one fails.

    :param folders: of servers that run; None: the tests make their own.
    :return: ``noticed``: the test, None where all passed; ``message``: what it said; ``left_out``: why none was run, None where one
        was.
    :raises CannotTell: no test has seen the mutant.
    """
    mutant.change(mutant.path.read_text(encoding="utf-8"))
    on_server = mutant in mutant_catalogue.TSQL
    said = _pytest(mutant.tests, folders, mutant, TSQL_TIMEOUT if on_server else TIMEOUT, on_server)
    if not said["on"]:
        raise CannotTell("%s: no test has imported %s" % (mutant.name, mutant.module))
    if said["exit"] not in (0, 1) or bool(said["exit"]) != bool(said["noticed"]):
        raise CannotTell(
            "%s: pytest's exit code is %d; first failure: %s" % (mutant.name, said["exit"], said["noticed"])
        )
    left_out = None if said["passed"] or said["noticed"] else said["skipped"]
    return {"noticed": said["noticed"], "message": said.get("message", ""), "left_out": left_out}


def _pytest(
    tests: Iterable[str],
    folders: dict[str, str] | None,
    mutant: Mutant | None,
    timeout: float | None,
    on_server: bool = False,
) -> dict[str, Any]:
    """What the plugin wrote about one run.

    :param on_server: the SQL Server is there for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        environment = {**os.environ, "RETAIL_MUTANT_REPORT": str(report)}
        if not on_server:
            environment.pop(MSSQL, None)
        if mutant is not None:
            environment["RETAIL_MUTANT"] = mutant.name
        if folders is not None:
            environment["RETAIL_MUTANT_SERVERS"] = json.dumps(folders)
        places = [str(ROOT / "tests" / "mutation"), str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(place for place in places if place)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "mutant_plugin"]
        command += ["--rootdir", str(ROOT), *tests]
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, timeout=timeout, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            said = {"on": True, "exit": 1, "noticed": "(no end)", "message": "not over after %d s" % (timeout or 0)}
            return {**said, "passed": 0, "skipped": None}
        if not report.exists():
            raise CannotTell(f"pytest came to no end:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return json.loads(report.read_text(encoding="utf-8"))


def _fingerprint(mutant: Mutant) -> str:
    return hashlib.sha256(repr((mutant.module, mutant.edits, mutant.tests)).encode()).hexdigest()


def _load(path: Path) -> dict[str, Any]:
    """What earlier runs found about mutants that are still the same."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = (
        mutant
        for mutant in mutant_catalogue.BY_NAME.values()
        if known.get(mutant.name, {}).get("of") == _fingerprint(mutant)
    )
    return {mutant.name: known[mutant.name] for mutant in same}


def _store(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _said(mutant: Mutant, result: dict[str, Any]) -> str:
    if result["noticed"]:
        return f"{result['noticed']} ({result['message']})"
    if result.get("left_out"):
        return f"left out: {result['left_out']}"
    return f"survived: {mutant.equivalent or 'a test is missing'}"


def table(mutants: Sequence[Mutant], results: dict[str, Any], head: str) -> str:
    """A page of the documentation.

    :raises CannotTell: a mutant has not been run.
    """
    missing = [mutant.name for mutant in mutants if mutant.name not in results]
    if missing:
        raise CannotTell("not run as they are now: %s" % ", ".join(missing))
    lines = [".. list-table::", "  :header-rows: 1", "  :widths: 20 40 40", ""]
    lines += ["  * - Promise", "    - What the mutant does", "    - Noticed by"]
    promise = None
    for mutant in mutants:
        lines += [
            "  * - %s" % (mutant.promise if mutant.promise != promise else ""),
            "    - %s (``%s``)" % (mutant.says.replace("*", "\\*"), mutant.name),
            "    - %s" % _cell(mutant, results[mutant.name]),
        ]
        promise = mutant.promise
    return head + "\n".join(line.rstrip() for line in lines) + "\n"


def _cell(mutant: Mutant, result: dict[str, Any]) -> str:
    noticed = result["noticed"]
    if noticed is None and result.get("left_out"):
        return "nothing there: %s" % result["left_out"]
    if noticed is None:
        return "nothing: %s" % (mutant.equivalent or "a test is missing")
    file, _colons, test = noticed.rpartition("::")
    return "``%s``, ``%s``" % (test.partition("[")[0], file.rpartition("/")[2])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotTell as problem:
        print(f"mutants: {problem}", file=sys.stderr)
        sys.exit(2)
