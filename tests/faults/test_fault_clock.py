# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clocks that jump an hour back and a year forward while the service and its clients work: nobody compares them, and nothing is
deleted since one of them said that it is old."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pgserver
import pytest
from fault_shop import Service, Shop, repeated, trading, waits
from integration import service_hosts as hosts

HOUR = 3600
HOUR_BACK, YEAR_ON = -1, 365 * 24


class Clock:
    """The wall clock of the processes that get its environment: ``set`` puts it wrong by some hours, also while they run."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.file = folder / "shift"
        self.file.write_bytes(struct.pack("=q", 0))
        self.file.chmod(0o644)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self.file)}

    def set(self, hours: int) -> None:
        with self.file.open("r+b") as stream:
            stream.write(struct.pack("=q", hours * HOUR))


@pytest.fixture
def clock() -> Iterator[Clock]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler, which makes the library that puts clocks wrong")
    # Where the user that runs the database servers can read it.
    with tempfile.TemporaryDirectory(prefix="axops-clock-", dir="/var/tmp") as name:
        folder, library = Path(name), Path(name) / "clock.so"
        folder.chmod(0o755)
        source = Path(__file__).with_name("fault_clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
        yield Clock(folder, library)


def jump(shop: Shop, service: Service, clock: Clock, now: Callable[[], float]) -> None:
    """Trade while the clock jumps to and fro, and see that it did; meanwhile what is old is deleted, by the service and by hand."""
    shop.write_configuration(service.config, retention={"Sales": {"days": 90, "unit": ["TRANSACTIONID"]}})
    service.start()
    waits(shop.arrived, "the first load")
    with shop.child() as below, shop.parent() as above:
        for db in (below, above):
            db.execute(CONFLICT)
    seen, before = [], conflicts(shop)
    with trading(shop) as clients:
        waits(lambda: clients[0].done > 3, "sales")
        for hours in (HOUR_BACK, YEAR_ON, 0, YEAR_ON, HOUR_BACK)[: repeated(2, 5)] * repeated(1, 3):
            clock.set(hours)
            done = clients[0].done
            waits(lambda done=done: clients[0].done > done + 3, "sales")
            known = set(shop.books.sales)
            waits(lambda known=known: known <= shop.sales_above(), "sales at the parent")
            seen.append(round((now() - time.time()) / HOUR))
            service.restart()
            assert clean(service) == NOTHING
            before |= conflicts(shop)
    waits(shop.arrived, "everything")
    assert {HOUR_BACK, YEAR_ON} <= set(seen), f"the clock was off by {seen} hours"
    clock.set(0)
    service.restart()
    assert clean(service) == NOTHING
    assert before <= conflicts(shop), "conflicts are kept"
    # That the till has all of its sales is counted, too.
    shop.count()


CONFLICT = (
    "INSERT INTO dbo.sync_conflict (peer_id, sync_scope_name, table_name, row_key, kind, winner) "
    "VALUES (0, 'Customers', 'ax.CUSTTABLE', '[0]', 'update/update', 'parent')"
)


def conflicts(shop: Shop) -> set[tuple[str, int]]:
    with shop.child() as below, shop.parent() as above:
        sides = {"child": below, "parent": above}
        return {
            (side, row[0])
            for side, db in sides.items()
            for row in db.query("SELECT conflict_id FROM dbo.sync_conflict")
        }


#: The sales of the till, and on both sides deletions, log rows and conflicts that go.
NOTHING = [{"Sales": 0}, *[0] * 6]


def clean(service: Service) -> list[Any]:
    """What ``retail-sync cleanup`` deletes, on a host with the service's clock."""
    command = hosts.command(service.archive, "cleanup", "--config", service.config, "--json")

    def cleaned() -> Any:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **service.environment}
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout)
        # None: the service is at it just then.
        return said if said["child"] and said["parent"] else None

    said = waits(cleaned, "nobody else cleans up")
    kinds = ("deletions", "log", "conflicts")
    return [said["retained"], *(said[side][kind] for side in ("child", "parent") for kind in kinds)]


def test_the_clock_of_the_services_host_jumps(shop: Shop, service: Service, clock: Clock) -> None:
    service.environment.update(clock.environment)

    def now() -> float:
        last = [line for line in service.said.splitlines() if line[:2] == "20"][-1]
        return datetime.fromisoformat(last[:19]).astimezone().timestamp()

    jump(shop, service, clock, now)


@pytest.mark.parametrize("side", ["child", "parent"])
def test_the_clock_of_a_database_server_jumps(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], clock: Clock, side: str, monkeypatch: Any
) -> None:
    server = servers[side]
    server.stop()
    with monkeypatch.context() as patched:
        for name, value in clock.environment.items():
            patched.setenv(name, value)
        server.start()

    def now() -> float:
        with shop.child() if side == "child" else shop.parent() as db:
            return float(db.value("SELECT extract(epoch FROM clock_timestamp())"))

    try:
        jump(shop, service, clock, now)
    finally:
        service.end()
        clock.set(0)
        server.stop()
        server.start()
