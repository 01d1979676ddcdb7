# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the service and of each database server, at every phase of a session, while clients work."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fault_books
import pgserver
import pytest
from fault_shop import Service, Shop, repeated, through_proxies, trading, waits
from integration import service_hosts as hosts

from ansible_collections.axops.retail.plugins.module_utils._sync import supervise

SIDES = ("child", "parent")
#: More requests than one look at a pair with three pending scopes takes of either side.
PHASES = {"child": 90, "parent": 110}


def phases(side: str, kills: int) -> Iterator[tuple[int, bool]]:
    """The n-th request, and whether the database gets it before the kill; odd ones leave a commit in doubt."""
    step = max(1, PHASES[side] // kills)
    for number, request in enumerate(range(1, PHASES[side], step)):
        yield request, bool(number % 2)


@contextmanager
def proxied(shop: Shop, service: Service, servers: dict[str, pgserver.PgServer]) -> Iterator[dict[str, Any]]:
    with through_proxies(shop, servers) as proxies:
        shop.write_configuration(service.config)
        yield proxies
        service.end()


@pytest.mark.parametrize("side", SIDES)
def test_the_service_killed_at_every_phase(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], side: str
) -> None:
    """It is killed as it says its n-th sentence to one of the databases, and started again."""
    hit = []
    with proxied(shop, service, servers) as proxies:
        with trading(shop):
            for request, forward in phases(side, repeated(5, 90)):
                proxies[side].arm(request, service.kill, forward)
                service.restart()
                deadline = time.monotonic() + 15
                while service.runs and time.monotonic() < deadline:
                    time.sleep(0.02)
                if not proxies[side].disarm():
                    hit.append(request)
        service.restart()
        waits(shop.arrived, "everything")
    print(f"killed {service.killed} times, at the {side}'s requests {hit}")
    assert service.killed >= repeated(4, 70)
    shop.count()


@pytest.mark.parametrize("side", SIDES)
def test_a_database_server_killed_at_every_phase(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], side: str
) -> None:
    """The whole server goes, its clients' transactions with it, and comes back; the service is never started again."""
    killed = 0
    with proxied(shop, service, servers) as proxies:
        service.start()
        with trading(shop):
            for request, forward in phases(side, repeated(3, 60)):
                proxies[side].arm(request, servers[side].kill, forward)
                waits(lambda: not servers[side].is_running, "the kill")
                killed += 1
                servers[side].start()
        waits(shop.arrived, "everything")
        assert service.runs
    print(f"{side}: killed {killed} times")
    assert killed >= repeated(3, 55)
    shop.count()


def test_the_service_killed_at_any_moment_is_started_again_by_its_supervisor(
    shop: Shop, archive: Path, tmp_path: Path
) -> None:
    config = shop.write_configuration(tmp_path / "service.json")
    pid_file, output = tmp_path / "service.pid", tmp_path / "service.out"
    line = hosts.command(archive, "supervise", "--config", config, "--pid-file", pid_file, "--output", output)
    supervise.launch(line)
    try:
        with trading(shop) as clients:
            for _kill in range(repeated(2, 6)):
                first = waits(lambda: supervise.PidFile(str(pid_file)).read().get("service"), "the service")
                time.sleep(clients[0].random.uniform(0.2, 1.2))
                first.send(signal.SIGKILL)
                waits(lambda first=first: not first.alive, "the kill")
                waits(lambda first=first: supervise.PidFile(str(pid_file)).read().get("service", first) != first, "it")
        waits(shop.arrived, "everything")
    finally:
        supervise.stop(str(pid_file))
    assert output.read_text(encoding="utf-8").count("ended with code -9") == repeated(2, 6)
    shop.count()


def test_the_count_finds_what_is_lost(shop: Shop, service: Service, archive: Path) -> None:
    """Each kind of loss, made on purpose: a count that never finds anything would prove nothing."""
    with trading(shop) as clients:
        waits(lambda: clients[0].done > 5, "sales")
    shop.settle(archive, service.config)
    whole = shop.count()
    assert whole.committed > 5
    sales = sorted(shop.books.sales)
    with shop.parent() as above:
        above.execute('DELETE FROM ax."RETAILTRANSACTIONTABLE" WHERE "TRANSACTIONID" = ?', sales[0])
        above.execute(
            'UPDATE ax."RETAILTRANSACTIONSALESTRANS" SET "COMMENT" = ? WHERE "TRANSACTIONID" = ?', "", sales[1]
        )
        above.execute('DELETE FROM ax."RETAILTRANSACTIONPAYMENTTRANS" WHERE "TRANSACTIONID" = ?', sales[2])
        above.execute('INSERT INTO ax."RETAILTRANSACTIONPAYMENTTRANS" VALUES (?, 1, 1, ?)', sales[2], "1")
        above.execute('INSERT INTO ax."RETAILTRANSACTIONTABLE" VALUES (?, 0, 0, ?)', "nobody's", "EUR")
        above.execute('UPDATE ax."CUSTTABLE" SET "WRITE" = 0')
        above.execute('UPDATE ax."PRICEDISCTABLE" SET "AMOUNT" = 0 WHERE "RECID" = 1')
    with pytest.raises(AssertionError, match="sales"):
        shop.count()
    with shop.child() as below, shop.parent() as above:
        found = fault_books.count(shop.books, below, above)
    assert found.halved == sorted(f"{sale} at the parent" for sale in sales[:3])
    assert found.doubled == [f"payment {sales[2]} 1"]
    assert found.strange == ["nobody's"]
    assert (found.prices, len(found.customers)) == ([1], 6)
    with shop.parent() as above:
        for table in ("TABLE", "SALESTRANS", "PAYMENTTRANS"):
            above.execute('DELETE FROM ax."RETAILTRANSACTION%s" WHERE "TRANSACTIONID" = ?' % table, sales[3])
    with shop.child() as below, shop.parent() as above:
        below.execute('UPDATE ax."CUSTTABLE" SET "WRITE" = 0')
        found = fault_books.count(shop.books, below, above)
    assert found.lost == [f"{sales[3]} at the parent"]
    assert len(found.overwritten) == len(shop.books.writes)
