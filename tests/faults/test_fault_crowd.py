# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty registers (ten in the default run) and eight clients at one channel database, each register with its own service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fault_books
import pgserver
import pytest
from fault_books import Books
from fault_shop import Clerk, Client, Merchant, Service, Shop, Till, at_work, make_journals, repeated, waits

from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity

REGISTERS = repeated(10, 30)


@pytest.fixture
def chain(
    pg_other_server: pgserver.PgServer, new_database: Callable[[pgserver.PgServer], Any]
) -> Iterator[tuple[list[Shop], pgserver.PgServer]]:
    """The registers of one store; all keep the same books."""
    parent, books, shops = new_database(pg_other_server), Books(), []
    with pgserver.throwaway("registers") as registers:
        for number in range(1, REGISTERS + 1):
            name = "HOUSTON-%06d" % number
            facts = registers.create_database(name)
            shops.append(Shop(facts, parent, Identity(name, "HOUSTON", "%06d" % number), first=number == 1))
            shops[-1].books = books
        shops[0].begin()
        yield shops, pg_other_server


def test_a_store_full_of_registers_and_eight_clients(
    chain: tuple[list[Shop], pgserver.PgServer], archive: Path, tmp_path: Path
) -> None:
    shops, above = chain
    books, said = shops[0].books, len(above.log.read_text(errors="replace"))
    make_journals(shops[0])
    clients: list[Client] = [Merchant(shops[0], shops[0].facts["parent"], 900, 0.05)]
    clients += [Clerk(shops[0], shops[0].facts["parent"], 901 + number, 0.05) for number in range(7)]
    tills = [Till(shop, shop.facts["child"], number, 0.5) for number, shop in enumerate(shops[:: repeated(5, 1)], 1)]
    began = time.monotonic()
    with ExitStack() as stack:
        services = []
        for number, shop in enumerate(shops, 1):
            config = shop.write_configuration(tmp_path / f"{number}.json", name=shop.identity.name, interval=3)
            services.append(stack.enter_context(Service(archive, config, tmp_path / f"{number}.out")))
        with at_work([*clients, *tills]):
            time.sleep(repeated(8, 90))
        waits(lambda: all(agrees(shop) for shop in shops), "everything at all registers", 120)
        took = time.monotonic() - began
        assert all(service.runs for service in services)
        trouble = [line for service in services for line in service.said.splitlines() if " WARNING " in line]
    deadlocks = above.log.read_text(errors="replace")[said:].count("deadlock detected")
    print(
        f"{REGISTERS} registers, {len(clients)} clients, {sum(client.done for client in clients)} transactions and "
        f"{len(books.sales)} sales in {took:.0f} s; {deadlocks} deadlocks, {len(trouble)} warnings {trouble[:3]}; "
        f"a client at the channel database waited {max(client.slowest for client in clients):.2f} s at most for its commit"
    )
    assert [text for client in [*clients, *tills] for text in client.broken] == [], "the service is in a client's way"
    whole_chain(shops, books)


def agrees(shop: Shop) -> bool:
    with shop.child() as below, shop.parent() as above:
        return (
            fault_books.prices_of(below) == fault_books.prices_of(above)
            and fault_books.customers_of(below) == fault_books.customers_of(above)
            and set(fault_books.sales_of(below)) <= set(fault_books.sales_of(above))
        )


def whole_chain(shops: list[Shop], books: Books) -> None:
    """The count, over all registers."""
    with shops[0].parent() as above:
        arrived = fault_books.sales_of(above)
        twice = fault_books.arrivals(above)
        lost = sorted(set(books.sales) - set(arrived))
        halved = sorted(number for number, rows in arrived.items() if books.sales.get(number) != rows)
        with shops[0].child() as below:
            overwritten = fault_books.silently_lost(books, (), below, above)
        print(f"{len(books.sales)} sales: {len(lost)} lost, {len(twice)} doubled, {len(halved)} halved or from nowhere")
        print(f"{len(books.writes)} writes of customers: {len(overwritten)} lost silently")
        assert (lost, twice, halved, overwritten) == ([], [], [], [])
        assert fault_books.prices_of(above) == books.prices
