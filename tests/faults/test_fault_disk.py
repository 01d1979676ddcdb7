# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that fills up under the database that receives: sales go on, the service says why, and everything arrives later."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pgserver
import pytest
from fault_shop import HEAD, LINE, LONG, PAYMENT, PRICE, Service, Shop, trading, waits
from integration import service_hosts as hosts

from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError

FULL = "No space left on device"


@contextmanager
def file_system(megabytes: int) -> Iterator[Path]:
    """A small one, in memory."""
    folder = Path("/var/tmp") / f"axops-disk-{os.getpid()}"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    try:
        if done.returncode != 0:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


def fill(folder: Path) -> Callable[[], None]:
    """Leave no room; returns what makes room again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"x" * 4096)
    return filler.unlink


@dataclass(frozen=True)
class Place:
    """What is on the full disk: ``tables`` of the database of the ``side`` that receives ``scope``."""

    side: str
    tables: tuple[str, ...]
    scope: str


_SALES = tuple(f'ax."{table.name.name}' for table in (HEAD, LINE, PAYMENT))
PLACES = {
    "parent's rows": Place("parent", tuple(name + '"' for name in _SALES), "Sales"),
    "parent's staging": Place("parent", ("dbo.sync_staging",), "Sales"),
    "parent's tracking": Place("parent", tuple(name + '_tracking"' for name in _SALES), "Sales"),
    "child's rows": Place("child", (f'ax."{PRICE.name.name}"',), "Prices"),
    "child's staging": Place("child", ("dbo.sync_staging",), "Prices"),
    "child's tracking": Place("child", (f'ax."{PRICE.name.name}_tracking"',), "Prices"),
}
QUICK = ("parent's staging", "child's tracking")


@contextmanager
def on_the_small_disk(shop: Shop, place: Place, folder: Path) -> Iterator[Callable[[], None]]:
    """The tables go to a tablespace on that disk, which is full; yields what makes room."""
    space = folder / "space"
    space.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = pgserver._os_user()
        os.chown(space, owner.pw_uid, owner.pw_gid)
    with shop.child() if place.side == "child" else shop.parent() as db:
        db.execute(f"CREATE TABLESPACE axops_small LOCATION '{space}'")
        for name in place.tables:
            db.execute(f"ALTER TABLE {name} SET TABLESPACE axops_small")
        yield fill(folder)
        for name in place.tables:
            db.execute(f"ALTER TABLE {name} SET TABLESPACE pg_default")
        db.execute("DROP TABLESPACE axops_small")


def problems(service: Service) -> str:
    return hosts.run(service.archive, "status", "--config", service.config).stdout


@pytest.mark.parametrize("name", PLACES if LONG else QUICK)
def test_a_part_of_the_receivers_disk_is_full(shop: Shop, service: Service, name: str) -> None:
    """Clients go on, and so does what writes elsewhere: sales go up while prices cannot be taken."""
    place = PLACES[name]
    with file_system(12) as folder, on_the_small_disk(shop, place, folder) as make_room:
        service.start()
        with trading(shop) as clients:
            waits(lambda: FULL in service.said, "the reason")
            before, sold = clients[0].done, set(shop.books.sales)
            waits(lambda: clients[0].done > before + 5, "more sales")
            if place.side == "child":
                waits(lambda: sold <= shop.sales_above(), "sales above")
            assert FULL in problems(service)
            make_room()
            waits(lambda: f"scope {place.scope} works again" in service.said, "room to be noticed")
        waits(shop.arrived, "everything")
        assert FULL not in problems(service)
        shop.count()


@pytest.mark.parametrize("side", ["child", "parent"] if LONG else ["parent"])
def test_the_whole_disk_of_a_server_is_full(
    scratch_pair: tuple[Any, Any], archive: Path, tmp_path: Path, side: str
) -> None:
    """Rows, staging, tracking and the log of the transactions: the server ends, and is started again once there is room."""
    with file_system(160) as folder:
        server = pgserver.PgServer(folder / "pg", name="small").create().start()
        try:
            facts = dict(zip(("child", "parent"), scratch_pair))
            shop = Shop(**{**facts, side: server.create_database("small")})
            shop.begin()
            service = Service(archive, shop.write_configuration(tmp_path / "service.json"), tmp_path / "output")
            with service:
                fills_up_and_gets_room(shop, service, server, folder, side)
            shop.count()
        finally:
            server.destroy()


def has_ended(server: pgserver.PgServer) -> bool:
    """Its log is on the full disk, too: the line that says so is missing there now and then."""
    said = server.log_tail(200)
    return "PANIC" in said or "was not properly shut down" in said or not server.is_running


def fills_up_and_gets_room(shop: Shop, service: Service, server: pgserver.PgServer, folder: Path, side: str) -> None:
    waits(shop.arrived, "the first load")
    with trading(shop) as clients:
        waits(lambda: clients[0].done > 5, "sales")
        make_room = fill(folder)
        waits(lambda: FULL in server.log_tail(200), "the disk to be full")
        first = server.pid
        # The next file of the transactions' log is what a server cannot do without.
        with suppress(RetailError), shop.child() if side == "child" else shop.parent() as db:
            db.execute("SELECT pg_switch_wal()")
        waits(lambda: has_ended(server), "the end of the server")
        before = clients[0].done
        if side == "parent":
            waits(lambda: clients[0].done > before + 5, "more sales")
        assert problems(service) != ""
        make_room()
        if not server.is_running:
            server.start()
        print(f"{side}: the server {'ended' if server.pid != first else 'went on'}")
        waits(lambda: clients[0].done > before + 5, "sales again")
    waits(shop.arrived, "everything")
