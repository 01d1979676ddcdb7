# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that fills up under the database that receives: sales go on, the service says why, and everything arrives later."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pgserver
import pytest
from fault_shop import HEAD, LINE, PAYMENT, Service, Shop, trading, waits
from integration import service_hosts as hosts

FULL = "No space left on device"


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = Path("/var/tmp") / f"axops-disk-{os.getpid()}"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0755", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        if done.returncode != 0:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


@contextmanager
def on_the_small_disk(shop: Shop, side: str, folder: Path, tables: list[str]) -> Iterator[Callable[[], None]]:
    """What the receiver writes goes to a tablespace on that disk, which is full; yields what makes room."""
    place, filler = folder / "space", folder / "filler"
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = pgserver._os_user()
        os.chown(place, owner.pw_uid, owner.pw_gid)
    with shop.child() if side == "child" else shop.parent() as db:
        db.execute(f"CREATE TABLESPACE axops_small LOCATION '{place}'")
        for name in tables:
            db.execute(f"ALTER TABLE {name} SET TABLESPACE axops_small")
        with filler.open("wb") as stream:
            try:
                while True:
                    stream.write(b"x" * 65536)
                    stream.flush()
            except OSError:
                pass
        yield filler.unlink
        for name in tables:
            db.execute(f"ALTER TABLE {name} SET TABLESPACE pg_default")
        db.execute("DROP TABLESPACE axops_small")


def problems(service: Service) -> str:
    return hosts.run(service.archive, "status", "--config", service.config).stdout


def test_the_parents_disk_is_full(shop: Shop, service: Service, small_disk: Path) -> None:
    tables = [f'ax."{table.name.name}"' for table in (HEAD, LINE, PAYMENT)]
    with on_the_small_disk(shop, "parent", small_disk, tables) as make_room:
        service.start()
        with trading(shop) as clients:
            waits(lambda: FULL in service.said, "the reason")
            before = clients[0].done
            waits(lambda: clients[0].done > before + 5, "more sales")
            assert FULL in problems(service)
            make_room()
            waits(lambda: "scope Sales works again" in service.said, "room to be noticed")
        waits(shop.arrived, "everything")
        assert FULL not in problems(service)
        shop.count()


def test_the_childs_disk_is_full(shop: Shop, service: Service, small_disk: Path) -> None:
    """Prices cannot be taken; sales, which write elsewhere, go up all the same."""
    with on_the_small_disk(shop, "child", small_disk, ['ax."PRICEDISCTABLE"']) as make_room:
        service.start()
        with trading(shop) as clients:
            waits(lambda: FULL in service.said, "the reason")
            before = set(shop.books.sales)
            waits(lambda: clients[0].done > 5 and before <= sales_above(shop), "sales above")
            assert FULL in problems(service)
            make_room()
            waits(lambda: "scope Prices works again" in service.said, "room to be noticed")
        waits(shop.arrived, "everything")
        shop.count()


def sales_above(shop: Shop) -> set[Any]:
    with shop.parent() as above:
        return {row[0] for row in above.query('SELECT "TRANSACTIONID" FROM ax."RETAILTRANSACTIONTABLE"')}
