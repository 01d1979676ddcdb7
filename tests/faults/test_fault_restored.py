# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases restored from an older backup, moved to another server, cloned: with the service and clients at work."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pgserver
import pytest
from backups import Backups
from fault_books import kept, prices_of, sales_of
from fault_shop import LONG, Service, Shop, Till, at_work, trading, waits
from integration import service_hosts as hosts

SIDES = ("child", "parent")


@pytest.fixture
def backups() -> Iterator[Backups]:
    made = Backups()
    yield made
    made.drop()


def trade(shop: Shop, sales: int) -> None:
    """Everybody works until so many sales were made by the first till, and ends."""
    with trading(shop) as clients:
        waits(lambda: clients[0].done >= sales, "sales")


@pytest.mark.parametrize("side", SIDES)
def test_a_database_restored_from_an_older_backup(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], backups: Backups, archive: Path, side: str
) -> None:
    """What it lost comes back where the other side has it; what it sold since it was restored arrives, too."""
    facts = shop.facts[side]
    trade(shop, 10)
    shop.settle(archive, service.config)
    backup = backups.copy(servers[side], facts, "backup")
    before = set(shop.books.sales)
    service.start()
    trade(shop, 10)
    waits(shop.arrived, "what the backup will not have")
    service.kill()
    service.end()
    gone = frozenset(set(shop.books.sales) - before) if side == "child" else frozenset()
    with shop.child() if side == "child" else shop.parent() as lost:
        remembered = kept(lost)
    backups.restore(servers[side], facts, backup)
    if side == "parent":
        restored_prices(shop)
    service.start()
    trade(shop, 10)
    waits(shop.arrived, "everything")
    print(f"{side}: restored {len(set(shop.books.sales) - before)} sales back")
    assert "begins anew" in service.said
    shop.count(gone, remembered)


def restored_prices(shop: Shop) -> None:
    """Prices are what the parent says: those that were set after its backup are lost with it, and nobody else's to give back."""
    with shop.parent() as above:
        shop.books.prices = prices_of(above)


@pytest.mark.parametrize("side", SIDES if LONG else ("parent",))
def test_a_database_dumped_and_loaded_on_another_server(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], backups: Backups, side: str
) -> None:
    """Its transactions are numbered otherwise there."""
    service.start()
    trade(shop, 10)
    service.end()
    moved = backups.move(shop.facts[side], servers["parent" if side == "child" else "child"])
    go_on(shop, service, side, moved)


@pytest.mark.parametrize("side", SIDES if LONG else ("child",))
def test_a_server_whose_files_are_copied_to_another_host(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], side: str
) -> None:
    """It is the same database, at another place."""
    service.start()
    trade(shop, 10)
    service.end()
    with copied(servers[side]) as server:
        go_on(shop, service, side, server.facts(shop.facts[side]["database"]))


def go_on(shop: Shop, service: Service, side: str, moved: dict[str, Any]) -> None:
    """The service and all clients find the database at its new place."""
    earlier = dict(shop.facts)
    shop.facts[side] = moved
    shop.write_configuration(service.config, moved_after=1)
    time.sleep(1)
    service.start()
    trade(shop, 10)
    waits(shop.arrived, "everything")
    service.end()
    shop.count()
    shop.facts.update(earlier)


@contextmanager
def copied(server: pgserver.PgServer) -> Iterator[pgserver.PgServer]:
    """A server with the same files, made while the first one stands still; the first one goes on."""
    with pgserver.throwaway("copy") as other:
        other.stop()
        server.stop()
        shutil.rmtree(other.data)
        subprocess.run(["cp", "-a", str(server.data), str(other.data)], check=True)
        server.start()
        other.password = server.password
        other.create()
        yield other.start()


def test_the_second_of_two_tills_from_one_image_is_refused_and_the_first_goes_on(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], archive: Path, tmp_path: Path
) -> None:
    """They number their sales alike, too: nobody could tell afterwards whose sale a number is."""
    trade(shop, 5)
    shop.settle(archive, service.config)
    with copied(servers["child"]) as server:
        clone = copy.copy(shop)
        clone.facts = {**shop.facts, "child": server.facts(shop.facts["child"]["database"])}
        clone.books = shop.books.copied()
        second = Service(archive, clone.write_configuration(tmp_path / "clone.json"), tmp_path / "clone.out")
        earlier = set(shop.books.sales)
        tills = [Till(shop, shop.facts["child"], 7, 0.1), Till(clone, clone.facts["child"], 7, 0.1)]
        service.start()
        with at_work(tills):
            waits(lambda: tills[0].done > 3 and tills[1].done > 3, "sales of both")
            waits(lambda: (set(shop.books.sales) & at_parent(shop)) > earlier, "a session of the first")
            with second:
                waits(lambda: "clone" in second.said, "the refusal")
                arrived = len(at_parent(shop))
                waits(lambda: len(at_parent(shop)) > arrived, "more of the first")
            said = hosts.run(archive, "once", "--config", second.config)
            assert said.returncode != 0 and "rebaseline --moved" in said.stdout + said.stderr
        waits(shop.arrived, "everything of the first")
        status = json.loads(hosts.run(archive, "status", "--config", service.config, "--json").stdout)
        assert [one["state"] for one in status["others"]] in (["waiting"], ["refused"])
        assert any("is refused" in problem for problem in status["problems"])
        with clone.child() as below:
            own = set(sales_of(below)) - earlier
            assert own == set(clone.books.sales) - earlier
            print(f"the clone keeps its own {len(own)} sales, {min(own)} to {max(own)}")
    shop.count()


def at_parent(shop: Shop) -> set[str]:
    with shop.parent() as above:
        return set(sales_of(above))
