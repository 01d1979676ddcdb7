# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retail_channel_db against psql: a database made from nothing, and a run that finds nothing to do."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pgserver
import tree

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._schema import package

from .figures import Figure

SUBJECT = "The channel database: 547 tables, versions, roles, groups and grants"
LOGIN = {"name": "bench_sync", "password": "just-for-the-bench"}
GROUP = {"name": "RetailOfflineSyncUsers", "members": [LOGIN["name"]]}


class ChannelBench:
    """One server, and what both sides make on it."""

    def __init__(self, server: pgserver.PgServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.package = folder / "schema.json.gz"
        self.package.write_bytes(package.dumps(package.load([str(tree.TREE / "schemas" / "ax2012r3")])))
        self.script = folder / "channel.sql"

    def run(self, rounds: int) -> list[Figure]:
        self._record()
        made, psql, unchanged = [], [], []
        for number in range(rounds):
            # one after the other and then the other way round, so that neither always has the warmer caches
            for side in ("module", "psql") if number % 2 else ("psql", "module"):
                if side == "psql":
                    psql.append(self._psql("bench_psql"))
                else:
                    made.append(self._module("bench_ours"))
                    unchanged.append(self._module("bench_ours"))
                    self._drop("bench_ours")
        return [*_creation(made, psql), *_nothing_to_do(unchanged)]

    def _record(self) -> None:
        """Write what the module sends into a script for psql. The server's roles are there by then, as in every later run."""
        self._module("bench_first")
        statements = self._module("bench_recorded")["statements"]
        for database in ("bench_first", "bench_recorded"):
            self._drop(database)
        inside = [(sql, values) for database, sql, values in statements if database == "bench_recorded"]
        # GRANT … ON DATABASE names it
        lines = [_inlined(sql, values).replace('"bench_recorded"', '"bench_psql"') for sql, values in inside]
        self.script.write_text("".join("%s;\n" % line for line in lines), encoding="utf-8")

    def _module(self, database: str) -> dict[str, Any]:
        facts = self.server.facts()
        options = {
            "engine": "postgresql", "encrypt": "no", "server": facts["host"], "port": facts["port"], "database": database,
            "login_user": facts["user"], "login_password": facts["password"], "logins": [LOGIN], "groups": [GROUP],
            "_schema_package": str(self.package),
        }  # fmt: skip
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "_bench.timed_module", "retail_channel_db"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(done.stderr)
        report = json.loads(done.stdout)
        if report["result"].get("failed"):
            raise RuntimeError(report["result"]["msg"])
        return {**report, "process": seconds}

    def _psql(self, database: str) -> float:
        facts = self.server.facts()
        command = [str(pgserver.find_binaries() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", facts["host"]]
        command += ["-p", str(facts["port"]), "-U", facts["user"]]
        environment = {**os.environ, "PGPASSWORD": facts["password"], "PGOPTIONS": "-c client_min_messages=error"}
        started = time.perf_counter()
        create = 'CREATE DATABASE "%s" TEMPLATE template0' % database
        for arguments in (["-d", "postgres", "-c", create], ["-d", database, "-1", "-f", str(self.script)]):
            subprocess.run([*command, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        self._drop(database)
        return seconds

    def _drop(self, database: str) -> None:
        self.server.drop_database(database)


def connect(server: pgserver.PgServer, database: str) -> Any:
    """A connection of the product to one of the server's databases."""
    facts = server.facts(database)
    return _engine.connect(
        Target(
            engine="postgresql", host=facts["host"], port=facts["port"], database=database, user=facts["user"],
            password=facts["password"], encrypt="no",
        )
    )  # fmt: skip


def _creation(made: list[dict[str, Any]], psql: list[float]) -> list[Figure]:
    ours, theirs = _median(run["main"] for run in made), statistics.median(psql)
    how = (
        "Created by the module, from its arguments to its result, and by ``psql``: ``CREATE DATABASE``, then ``psql -1 -f`` of the same "
        "statements, in turns on one server. Python's and Ansible's own start is not counted: it is the same for every module."
    )
    return [
        Figure(SUBJECT, "creating it, in proportion to psql -1 -f", ours / theirs, "", 1.0, how),
        Figure(SUBJECT, "creating it", ours, "s"),
        Figure(SUBJECT, "psql", theirs, "s"),
    ]


def _nothing_to_do(runs: list[dict[str, Any]]) -> list[Figure]:
    how = (
        "A run that finds nothing to do. Ours is the time of the whole process, less the start of Python and the imports, less the "
        "waiting for the server."
    )
    if any(run["result"]["changed"] for run in runs):
        raise RuntimeError("A second run has changed something.")
    ours = _median((run["main"] - run["server"]) / run["process"] for run in runs)
    return [
        Figure(SUBJECT, "statements of a run without changes", _median(run["result"]["statements"] for run in runs), "", 12, how),
        Figure(SUBJECT, "our share of the time of such a run", ours, "", 1 / 3),
        Figure(SUBJECT, "the time of such a run, the module's process from start to end", _median(run["process"] for run in runs), "s"),
    ]  # fmt: skip


def _inlined(sql: str, values: list[Any]) -> str:
    """A statement with its values in it. Those of this module's statements are short texts and numbers."""
    quote = _engine.speaker("postgresql").names.literal
    first, *rest = sql.split("?") if values else [sql]
    if len(rest) != len(values):
        raise RuntimeError("values do not fit: %s" % sql)
    texts = ["NULL" if value is None else quote(value) if isinstance(value, str) else str(value) for value in values]
    return first + "".join(text + part for text, part in zip(texts, rest))


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))
