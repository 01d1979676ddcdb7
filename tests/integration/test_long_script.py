# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A script as long as the vendor's longest, 80,000 lines and 4,500 batches: shipped, carried out, killed half-way, and resumed."""

from __future__ import annotations

import collections
import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mssql_world
import offline_world
import pytest
from playbook_world import Playbook, descendants
from service_hosts import until

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError

MODULE = "retail_channel_db"
BATCHES, LINES = 4500, 80_000
#: So many batches are noted, at least, when it is killed.
KILLED_AT = 1000
INDEX = "<a><row UPGRADEVERSION='6.3.200.0' UPGRADESCRIPT='long.sql'/></a>"


def script() -> str:
    """Each batch but the first notes its number, and is as long as the vendor's are on an average."""
    padding = "  -- it's one of the vendor's lines: GO \"on\", [if] /* you */ can\n" * 16
    batches = ["CREATE TABLE ax.step (n int NOT NULL)\n" + padding]
    batches += [f"INSERT INTO ax.step (n) VALUES ({number})\n{padding}" for number in range(2, BATCHES + 1)]
    return "GO\n".join(batches)


@pytest.fixture(params=["postgresql", pytest.param("mssql", marks=mssql_world.needs_server)])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A channel database that does not exist yet, dropped afterwards."""
    name = "channel_" + secrets.token_hex(4)
    if request.param == "mssql":
        yield mssql_world.server().on(name)
        with _engine.connect(mssql_world.server()) as server:
            for statement in mssql_world.ENGINE.databases.drop(name):
                server.execute(statement)
        return
    server = request.getfixturevalue("pg_server")
    yield offline_world.target(server.facts(name))
    server.drop_database(name)


def options(target: Target, folder: Path) -> dict[str, Any]:
    (folder / "POSISUPGRADES.xml").write_text(INDEX, encoding="utf-8")
    (folder / "long.sql").write_text(script().replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    return {
        "engine": target.engine, "server": target.host, "port": target.port, "database": target.database,
        "login_user": target.user, "login_password": target.password, "driver": target.driver or None,
        "encrypt": target.encrypt, "trust_server_certificate": target.trust_server_certificate,
        "package": str(folder),
    }  # fmt: skip


def noted(target: Target, held: list[Database]) -> int:
    """How many batches are noted; 0 while there is no database, or no note in it."""
    with contextlib.suppress(RetailError):
        if not held:
            held.append(_engine.connect(target))
        return int(held[0].value("SELECT MAX(runs) FROM dbo.upgrade_progress") or 0)
    return 0


def kill(pid: int) -> None:
    processes = [pid, *descendants(pid)]
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{one}/cmdline").exists() for one in processes[1:]), "all have ended", 60)


def test_4500_batches_are_carried_out_once_though_the_run_is_killed(target: Target, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    declared, playbook = options(target, folder), Playbook(tmp_path)
    assert script().count("\n") == 17 * BATCHES + (BATCHES - 1) >= LINES
    process, held = playbook.start(MODULE, **declared), []
    try:
        until(lambda: noted(target, held) >= KILLED_AT or process.poll() is not None, "the script is on its way", 240)
        assert process.poll() is None, process.communicate()
    finally:
        kill(process.pid)
        process.communicate(timeout=60)
        for db in held:
            db.close()

    done = playbook.succeed(MODULE, **declared)
    [ran] = done["scripts"]
    assert (done["release"], ran["batches"]) == ("6.3.200.0", BATCHES)
    assert KILLED_AT < ran["resumed_at"] < BATCHES
    with _engine.connect(target) as db:
        times = collections.Counter(int(row[0]) for row in db.query("SELECT n FROM ax.step"))
        assert db.value("SELECT COUNT(*) FROM dbo.upgrade_progress") == 0
    # What was killed between a batch and its note runs that batch again, and none besides.
    twice = [number for number in times if times[number] > 1]
    assert sorted(times) == list(range(2, BATCHES + 1))
    assert twice in ([], [ran["resumed_at"]]) and all(times[number] == 2 for number in twice)
