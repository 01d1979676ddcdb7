# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network fails in the middle of a batch, on either side, in either direction, with and without anybody being told."""

from __future__ import annotations

import itertools
import time

import fault_books
import pgserver
import pytest
from fault_phases import STAGED
from fault_proxy import IN_ROWS, IN_VALUES
from fault_shop import Service, Shop, repeated, through_proxies, trading, waits

SIDES = ("child", "parent")
WAYS = ("up", "down")
#: Bytes after which the connections of one side are cut, wherever that is: in a login, in a question, in an answer.
SIZES = (700, 9_000, 60_000, 1_500, 25_000, 140_000, 4_000, 300_000)
#: Rows on their way: into the staging table of whoever receives them, and from the cursor of whoever sends them.
BATCHES = {
    "up": (IN_VALUES, (STAGED,)),
    "down": (IN_ROWS, ("DECLARE changes", "^FETCH FORWARD")),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("direction", WAYS)
def test_a_connection_cut_in_the_middle_of_a_batch(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], side: str, direction: str
) -> None:
    """A part of a row has arrived, the rest has not: a row that is to land at the side (up), or that it sends (down)."""
    moment, path = BATCHES[direction]
    with through_proxies(shop, servers) as proxies:
        shop.write_configuration(service.config)
        service.start()
        with trading(shop):
            for _cut in range(repeated(1, 20)):
                proxies[side].arm(path, moment, proxies[side].cut)
                hit = waits(lambda: proxies[side].hit, f"rows going {direction}")
                assert hit.there.endswith(b'"c0"')
                assert hit.missing > 10
                with shop.parent() as above:
                    assert fault_books.torn(above) == []
        waits(shop.arrived, "everything")
        assert service.runs
        print(f"{side}, {direction}: {proxies[side].cuts} cuts, the last one in {hit.statement}")
        service.end()
    shop.count()


def test_a_connection_cut_after_any_number_of_bytes(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer]
) -> None:
    """On either side, in either direction; what came before them has arrived, what comes after them has not."""
    with through_proxies(shop, servers) as proxies:
        shop.write_configuration(service.config)
        service.start()
        with trading(shop):
            for size in SIZES[: repeated(1, 8)] * repeated(1, 6):
                for side, direction in itertools.product(SIDES, WAYS):
                    cuts = proxies[side].cuts
                    proxies[side].arm_cut(direction, size)
                    waits(lambda side=side, cuts=cuts: proxies[side].cuts > cuts, f"{size} bytes {direction}")
        waits(shop.arrived, "everything")
        assert service.runs
        print({side: proxy.cuts for side, proxy in proxies.items()})
        service.end()
    shop.count()


def test_one_transaction_larger_than_a_connection_lives_for(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer]
) -> None:
    """The link to the parent is cut after every so many bytes, and the transaction has several times as many: it lands piece by piece,
    over as many sessions as it takes, and is applied at once when it is all there."""
    size, lines = 4_000_000, repeated(16_000, 60_000)
    with shop.child() as below, below.transaction():
        below.execute("INSERT INTO ax.\"RETAILTRANSACTIONTABLE\" VALUES ('large', ?, ?, 'EUR')", lines, lines)
        below.execute(
            'INSERT INTO ax."RETAILTRANSACTIONSALESTRANS" '
            "SELECT 'large', n, 1, repeat(md5(CAST(n AS text)), 30) FROM generate_series(1, ?) n", lines
        )  # fmt: skip
    with through_proxies(shop, servers) as proxies:
        shop.write_configuration(service.config)
        service.start()

        def arrived() -> bool:
            with shop.parent() as above:
                there = above.row(
                    'SELECT (SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE" WHERE "TRANSACTIONID" = \'large\'), '
                    '(SELECT count(*) FROM ax."RETAILTRANSACTIONSALESTRANS" WHERE "TRANSACTIONID" = \'large\')'
                )
            assert tuple(there) in ((0, 0), (1, lines)), "never in halves"
            return there[0] == 1

        cuts = -1
        while not arrived():
            waits(lambda seen=cuts: proxies["parent"].cuts > seen or arrived(), "a cut, or all of it")
            if proxies["parent"].cuts == cuts:
                break
            cuts = proxies["parent"].cuts
            assert cuts <= 2 * lines * 1_000 // size, "it does not get on"
            proxies["parent"].arm_cut("up", size)
        print(f"{lines} lines in one transaction, {proxies['parent'].cuts} cuts after {size} bytes each")
        assert proxies["parent"].cuts >= lines * 900 // size, "no connection has carried it alone"
        service.end()
    with shop.child() as below, shop.parent() as above:
        digest = 'SELECT md5(string_agg("COMMENT", \'\' ORDER BY "LINENUM")) FROM ax."RETAILTRANSACTIONSALESTRANS"'
        assert above.value(digest) == below.value(digest)


def test_both_ends_notice_within_a_minute_that_the_network_is_gone(shop: Shop) -> None:
    """A server that does not would keep the locks of a dead session for two hours, as kernels do by themselves."""
    with shop.parent() as above:
        settings = {name: int(above.value(f"SHOW tcp_keepalives_{name}")) for name in ("idle", "interval", "count")}
        assert settings["idle"] + settings["interval"] * settings["count"] <= 60
        assert int(above.value("SHOW tcp_user_timeout")) <= 60_000


@pytest.mark.parametrize("side", SIDES)
def test_a_network_that_swallows_everything_and_is_cut_later(
    shop: Shop, service: Service, servers: dict[str, pgserver.PgServer], side: str
) -> None:
    """Nobody is told for a while: clients go on meanwhile, as nothing of a session holds them up for good."""
    with through_proxies(shop, servers) as proxies:
        shop.write_configuration(service.config)
        service.start()
        with trading(shop) as clients:
            for size in (3_000, 40_000, 900)[: repeated(1, 3)] * repeated(1, 5):
                proxies[side].arm_cut("up", size, dark=True)
                waits(lambda: proxies[side].dark, "the dark")
                before = clients[0].done
                time.sleep(1.5)
                assert clients[0].done > before, "the till stands still"
                proxies[side].cut()
        waits(shop.arrived, "everything")
        assert service.runs
        service.end()
    shop.count()
