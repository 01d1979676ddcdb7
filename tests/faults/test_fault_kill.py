# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the service and of each database server, just before and just after each phase's statement, while clients work."""

from __future__ import annotations

import copy
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fault_books
import fault_phases as phases
import pgserver
import pytest
from fault_phases import Phase
from fault_proxy import AFTER, BEFORE, Proxy
from fault_shop import LONG, Service, Shop, repeated, sell, through_proxies, trading, waits
from integration import service_hosts as hosts

from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity
from ansible_collections.axops.retail.plugins.module_utils._sync import supervise

#: More than a batch holds, so that it lands before all the rest has been read.
LARGE = 1_200_000
#: Seconds in which all arrives that was sold while hundreds of kills went on.
BACKLOG = 300
Moment = tuple[Phase, str]


class Killer:
    """Kills the service, or a side's server, at one phase after the other.

    ``hit``: the phases, and whether it was before or after the statement, in the order in which they were met.
    """

    def __init__(
        self,
        shop: Shop,
        service: Service,
        servers: dict[str, pgserver.PgServer],
        proxies: dict[str, Proxy],
        victim: str,
    ) -> None:
        self.shop, self.service, self.servers, self.proxies, self.victim = shop, service, servers, proxies, victim
        self.hit: list[Moment] = []

    def at(self, phase: Phase, moment: str) -> None:
        proxy, killed = self.proxies[phase.side], threading.Event()

        def kill() -> None:
            (self.service if self.victim == "service" else self.servers[self.victim]).kill()
            killed.set()

        proxy.arm(phase.path, moment, kill, goes_on=self.victim not in ("service", phase.side))
        self._feed(phase)
        if not self.service.runs:
            self.service.start()
        waits(killed.is_set, f"{moment} the phase {phase}")
        if self.victim == "service":
            assert self.service.process is not None
            assert self.service.process.wait(10) == -signal.SIGKILL
        else:
            self.servers[self.victim].start()
        assert proxy.hit is not None
        self.hit.append((phase, moment))
        with self.shop.parent() as above:
            assert fault_books.torn(above) == []

    def _feed(self, phase: Phase) -> None:
        if phase in phases.LANDING:
            with self.shop.child() as below:
                sell(self.shop, below, f"large {self.shop.books.number()}", "x" * LARGE)
        if phase in phases.CLEANED:
            # It has been done long ago, or has not: the kills before took their time.
            for side in (self.shop.child, self.shop.parent):
                with side() as db:
                    db.execute("DELETE FROM dbo.sync_upkeep")
        if phase.name.startswith("customers up"):
            # Of a customer that both sides have changed the parent's image stays, and nothing is written.
            write = self.shop.books.number()
            with self.shop.child() as below:
                below.execute('INSERT INTO ax."CUSTTABLE" VALUES (?, ?)', 1000 + write, write)
            self.shop.books.writes[write] = None


@contextmanager
def proxied(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], **more: str
) -> Iterator[dict[str, Proxy]]:
    with through_proxies(shop, servers) as proxies:
        shop.write_configuration(service.config, **more)
        yield proxies
        service.end()


def of_the_load(victim: str) -> list[Moment]:
    """In the first load: all moments, or those around the commit of what has landed."""
    if not LONG:
        return phases.moments(phases.LOAD[1:2]) if victim == "service" else []
    return phases.moments(phases.LOAD)


def of_sessions(victim: str) -> list[Moment]:
    """All moments, or those around what decides, with the side that is told of it."""
    if LONG:
        return phases.moments((*phases.SESSION, *phases.LANDING))
    if victim == "service":
        return phases.moments((*phases.DECIDING, phases.LANDING[1]))
    return [
        (phase, moment)
        for phase in phases.DECIDING
        for moment in (BEFORE, AFTER)
        if moment == AFTER or phase.side == victim
    ]


@pytest.mark.parametrize("victim", ["service", "child", "parent"])
def test_killed_at_every_phase(
    shop: Shop,
    service: Service,
    servers: dict[str, pgserver.PgServer],
    archive: Path,
    tmp_path: Path,
    victim: str,
) -> None:
    """The service, started again each time, or a whole database server, with the transactions of its clients: then the service is
    never started again. A register that goes with the service loads from a package, the others from the parent."""
    with shop.parent() as above:
        above.execute(
            'INSERT INTO ax."RETAILIMAGES" VALUES (1, decode(repeat(?, ?), ?))', "00ff7f80", LARGE // 4, "hex"
        )
    package = str(tmp_path / "package") if victim == "service" else ""
    with proxied(shop, service, servers, package=package) as proxies:
        if package:
            made = hosts.run(archive, "package", "make", "--config", service.config)
            assert made.returncode == 0, made.stderr
        killer = Killer(shop, service, servers, proxies, victim)
        wanted = of_the_load(victim) + of_sessions(victim)
        with trading(shop):
            for phase, moment in wanted:
                killer.at(phase, moment)
        if not service.runs:
            service.start()
        waits(shop.arrived, "everything", BACKLOG)
        if victim == "service":
            service.end()
            for phase, moment in phases.moments(phases.IDLE) if LONG else []:
                wanted.append((phase, moment))
                killer.at(phase, moment)
    print(f"{victim}: killed {len(killer.hit)} times")
    assert killer.hit == wanted
    picture = 'SELECT md5("PICTURE") FROM ax."RETAILIMAGES"'
    with shop.child() as below, shop.parent() as above:
        assert below.value(picture) == above.value(picture)
    shop.count()


class Chain:
    """A register, its store server, and headquarters, where prices and customers are made; a service for each hop."""

    def __init__(self, facts: dict[str, dict[str, object]], archive: Path, folder: Path) -> None:
        store = Identity("HOUSTON", "HOUSTON", "")
        self.upper = Shop(facts["store"], facts["hq"], store)
        self.upper.begin()
        self.lower = Shop(facts["register"], facts["store"], first=False)
        #: What the books are compared with.
        self.ends = copy.copy(self.upper)
        self.ends.facts = {"child": facts["register"], "parent": facts["hq"]}
        self.lower.books = self.upper.books
        self.services = {
            name: Service(archive, shop.write_configuration(folder / f"{name}.json"), folder / name)
            for name, shop in (("lower", self.lower), ("upper", self.upper))
        }


@pytest.mark.parametrize("victim", ["service", "child", "parent"] if LONG else ["service"])
def test_killed_on_the_way_from_the_store_to_headquarters(
    servers: dict[str, pgserver.PgServer], new_database: Callable[..., Any], archive: Path, tmp_path: Path, victim: str
) -> None:
    """The service of a store server, which goes on with what registers have brought it; or the servers of both sides. The register's
    database is on headquarters' server, so it may go with that."""
    places = {"register": "parent", "store": "child", "hq": "parent"}
    chain = Chain({name: new_database(servers[side]) for name, side in places.items()}, archive, tmp_path)
    service = chain.services["upper"]
    wanted = phases.moments(phases.SESSION if LONG else phases.DECIDING)
    with chain.services["lower"], proxied(chain.upper, service, servers) as proxies:
        killer = Killer(chain.upper, service, servers, proxies, victim)
        with trading(chain.ends):
            for phase, moment in wanted:
                killer.at(phase, moment)
        if not service.runs:
            service.start()
        waits(chain.ends.arrived, "everything", BACKLOG)
        with chain.lower.parent() as store:
            assert set(fault_books.sales_of(store)) == set(chain.upper.books.sales)
            remembered = fault_books.kept(store)
    print(f"{victim}: killed {len(killer.hit)} times")
    assert killer.hit == wanted
    chain.ends.count(remembered=remembered)


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
