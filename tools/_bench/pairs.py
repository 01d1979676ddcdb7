# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service: what it costs while nothing happens, how much memory it takes, how fast it is."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pgserver
import tree
import yaml

from ansible_collections.axops.retail.plugins.module_utils._engine._model import TableName
from ansible_collections.axops.retail.plugins.module_utils._offline import pairs, profiles
from ansible_collections.axops.retail.plugins.module_utils._schema import channel, package
from ansible_collections.axops.retail.plugins.module_utils._sync import config, service
from ansible_collections.axops.retail.plugins.plugin_utils import _service_archive

from .figures import Figure
from .modules import connect

SUBJECT = "The synchronisation service"
JOBS = tree.TREE / "roles" / "hq" / "defaults" / "main" / "jobs.yml"
LINES, PRICES = TableName("ax", "RETAILTRANSACTIONSALESTRANS"), TableName("ax", "PRICEDISCTABLE")
#: What a row of the bench has in the columns of each type; the others keep their defaults.
_FILLING = {"nvarchar": "'text'", "bigint": "n", "int": "n", "numeric": "12.34"}
#: What has to be its own in each row, or is shorter.
_OWN = {
    LINES: {"LINENUM": "n % 10", "TRANSACTIONID": "'HOUSTON-000001-' || n / 10", "STORE": "'HOUSTON'"},
    PRICES: {"CURRENCY": "'USD'"},
}
CYCLES = 300
#: Runs a program and tells its peak of resident memory in KiB. What the kernel accounts to a child begins with what its
#: parent had when it forked, so that says nothing.
_PEAK = """
import re, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""
#: Rows that travel in one session; the second is what shows that memory does not grow with them.
FEW, MANY = 10_000, 100_000


class ServiceBench:
    """A register with all tables of the scheduler's jobs, and its channel database, on one server."""

    def __init__(self, server: pgserver.PgServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        server.create_database("channel")
        self.parent = connect(server, "channel")
        self._make_channel()
        self.scopes = _scopes()
        self.child, self.configuration = self._provision("000001")
        self.program = folder / "retail-sync.pyz"
        self.program.write_bytes(_service_archive.build(_service_archive.module_utils()))

    def run(self, rounds: int) -> list[Figure]:
        self._once(self.configuration)
        return [*self._idle(), *self._uploads(rounds), *self._first_loads()]

    def _make_channel(self) -> None:
        schema = package.load([str(tree.TREE / "schemas" / "ax2012r3")])
        plan = channel.database_plan(
            self.parent.engine, "channel", channel.read(self.parent), schema, "server", "database"
        )
        plan.apply(lambda _key: self.parent)

    def _provision(self, register: str) -> tuple[Any, Path]:
        """A new register: its offline database, open, and the configuration of its service."""
        self.server.create_database("offline_" + register)
        child = connect(self.server, "offline_" + register)
        sides = {"offline": child, "channel": self.parent}
        places = [pairs.Place(key, key, db.engine, db) for key, db in sides.items()]
        identity = pairs.Identity("HOUSTON-" + register, "HOUSTON", register)
        request = pairs.Request(*places, self.scopes, identity, sides.__getitem__, create_tables=True)
        pairs.plan_pair(request).plan.apply(sides.__getitem__)
        return child, self._configure(identity.name, child)

    def _configure(self, name: str, child: Any) -> Path:
        path = self.folder / (name + ".json")
        document: dict[str, Any] = {"name": name}
        for side, db in (("child", child), ("parent", self.parent)):
            names = ("engine", "host", "port", "database", "user", "password", "encrypt")
            document[side] = {name: getattr(db.target, name) for name in names}
        path.touch(0o600)
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    # ---- nothing happens

    def _idle(self) -> list[Figure]:
        tables = sum(len(scope.tables) for scope in self.scopes)
        how = (
            "%d cycles of the service's loop over %d scopes with %d tables. Processor time is that of the channel database's process that "
            "serves the register. *Something else was written*: before each cycle, another client wrote a row of a table that no scope "
            "has, so the service had to ask; otherwise it knows without asking." % (CYCLES, len(self.scopes), tables)
        )
        asking = (
            "The target of 3 ms was set for an idle cycle. One in which the service has to ask may be beyond it: it looks into all %d "
            "tracking tables, a hundred at a time, so that it never holds many locks. With 5 ms, forty registers at the default interval "
            "of ten seconds take 2 %% of a processor." % tables
        )
        return [
            Figure(SUBJECT, "processor at the channel database, a cycle, nothing was written", self._cycles(False), "ms", 3, how),
            Figure(SUBJECT, "the same, something else was written", self._cycles(True), "ms", 3, asking),
        ]  # fmt: skip

    def _cycles(self, busy: bool) -> float:
        """Milliseconds of processor that a cycle costs the server's process of the parent's connection."""
        loop = service.Service(config.load(str(self.configuration)))
        self.parent.execute("CREATE TABLE IF NOT EXISTS public.elsewhere (n integer)")
        for _warm_up in range(10):
            loop.cycle()
        process = self._backend()
        before = _processor(process)
        for _cycle in range(CYCLES):
            if busy:
                self.parent.execute("INSERT INTO public.elsewhere VALUES (1)")
            loop.cycle()
        spent = _processor(process) - before
        loop.stop()
        loop.run()
        return 1000 * spent / CYCLES

    def _backend(self) -> int:
        sql = "SELECT pid FROM pg_stat_activity WHERE datname = ? AND application_name = ?"
        return int(self.parent.value(sql, "channel", config.APPLICATION_NAME))

    # ---- sales go up

    def _uploads(self, rounds: int) -> list[Figure]:
        few = self._upload(FEW)
        many = self._upload(MANY)
        speed = [self._upload(FEW) for _round in range(rounds)]
        limit = [self._insert_select(FEW) for _round in range(rounds)]
        ours, theirs = statistics.median(run["seconds"] for run in speed), statistics.median(limit)
        how = (
            "``retail-sync once`` uploads rows of ax.%s, in a process of its own: its peak of resident memory, and its time, start "
            "included. INSERT … SELECT copies the same rows within the channel database, without tracking: the limit of any way."
            % LINES.name
        )
        return [
            Figure(SUBJECT, "memory, %s rows" % "{:,}".format(FEW), few["memory"], "MB", 60, how),
            Figure(SUBJECT, "memory, %s rows" % "{:,}".format(MANY), many["memory"], "MB", 60),
            Figure(SUBJECT, "memory for ten times the rows, in proportion", many["memory"] / few["memory"], "", 1.1),
            Figure(SUBJECT, "rows a second, uploaded", MANY / many["seconds"], ""),
            Figure(
                SUBJECT, "time for %s rows, in proportion to INSERT … SELECT" % "{:,}".format(FEW), ours / theirs, ""
            ),
        ]

    def _upload(self, rows: int) -> dict[str, float]:
        before = self._count(self.parent, LINES)
        # ten lines to a sale, a transaction for each thousand sales
        self._fill(self.child, LINES, self._count(self.child, LINES), rows)
        done = self._once(self.configuration)
        _insist(self._count(self.parent, LINES) - before, rows)
        return done

    # ---- a new register loads

    def _first_loads(self) -> list[Figure]:
        few, many = self._first_load("000002", FEW), self._first_load("000003", MANY)
        how = (
            "``retail-sync once`` of a register that was just provisioned, with so many rows of ax.%s at the channel database; "
            "measured as above." % PRICES.name
        )
        return [
            Figure(SUBJECT, "memory, first load of %s rows" % "{:,}".format(FEW), few["memory"], "MB", 60, how),
            Figure(SUBJECT, "memory, first load of %s rows" % "{:,}".format(MANY), many["memory"], "MB", 60),
            Figure(SUBJECT, "memory for a first load of ten times the rows, in proportion", many["memory"] / few["memory"], "", 1.1),
            Figure(SUBJECT, "rows a second, first load", MANY / many["seconds"], ""),
        ]  # fmt: skip

    def _first_load(self, register: str, rows: int) -> dict[str, float]:
        there = self._count(self.parent, PRICES)
        self._fill(self.parent, PRICES, there, rows - there)
        child, configuration = self._provision(register)
        done = self._once(configuration)
        _insist(self._count(child, PRICES), rows)
        return done

    # ---- rows

    def _fill(self, db: Any, table: TableName, first: int, rows: int) -> None:
        """So many rows more, numbered from the first on, ten thousand to a transaction."""
        columns, values = self._filled(db, table)
        for start in range(first, first + rows, 10_000):
            stop = min(start + 10_000, first + rows)
            db.execute(
                "INSERT INTO %s (%s) SELECT %s FROM generate_series(%d, %d) n"
                % (db.engine.names.quote(*table), columns, values, start, stop - 1)
            )

    def _filled(self, db: Any, name: TableName) -> tuple[str, str]:
        """The columns that get a value, and their values: every one that has to, and the texts of a real row."""
        table = db.engine.tables.read(db, [name])[name]
        kinds = {column.name: column.type.partition("(")[0] for column in table.travelling_columns}
        values = {column: _OWN[name].get(column, _FILLING[kind]) for column, kind in kinds.items() if kind in _FILLING}
        quote = db.engine.names.quote
        return ", ".join(quote(column) for column in values), ", ".join(values.values())

    def _count(self, db: Any, table: TableName) -> int:
        return int(db.value("SELECT count(*) FROM %s" % db.engine.names.quote(*table)))

    def _insert_select(self, rows: int) -> float:
        """Seconds that the channel database needs to copy as many of its own rows."""
        table = self.parent.engine.names.quote(*LINES)
        self.parent.execute("DROP TABLE IF EXISTS public.copied")
        self.parent.execute("CREATE TABLE public.copied (LIKE %s INCLUDING ALL)" % table)
        started = time.perf_counter()
        self.parent.execute("INSERT INTO public.copied SELECT * FROM %s LIMIT %d" % (table, rows))
        return time.perf_counter() - started

    def _once(self, configuration: Path) -> dict[str, float]:
        """All scopes until nothing is pending, in a process; its seconds, and its peak of memory in MB."""
        command = [
            sys.executable,
            "-c",
            _PEAK,
            str(self.program),
            "once",
            "--config",
            str(configuration),
            "--json",
        ]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return {"seconds": time.perf_counter() - started, "memory": int(done.stderr.split()[-1]) / 1024}


def _scopes() -> list[Any]:
    """Every job of the role's defaults as a scope, in its direction."""
    jobs = yaml.safe_load(JOBS.read_text(encoding="utf-8"))["hq_jobs"]
    seen: set[str] = set()
    scopes = []
    for number, job in enumerate(jobs, 1):
        tables = [name for name in job["tables"] if name not in seen]
        seen.update(tables)
        names = [TableName.parse(name) for name in tables]
        scopes.append(profiles.make_scope(job["name"], job["direction"], names, 0, number, number))
    return scopes


def _insist(arrived: int, wanted: int) -> None:
    if arrived != wanted:
        raise RuntimeError("%d rows were to arrive, and %d did." % (wanted, arrived))


def _processor(pid: int) -> float:
    """Seconds of processor that a process has had."""
    fields = Path("/proc/%d/stat" % pid).read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
