# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1020, second half: periodic discounts of every kind; the kind's own table shares the RECID of the common one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from _masterdata.catalogue import Product
from _masterdata.prices import discountable
from _masterdata.world import FIRST_RECID, Table, World

OFFERS_PER_KIND = 8
LINES_PER_OFFER = 12
MULTIBUY, MIX_AND_MATCH, OFFER, THRESHOLD = 0, 1, 2, 3
DISCLAIMER = "Nicht mit anderen Rabatten kombinierbar. Ne peut être cumulé. 他の割引との併用不可。 " * 40
"""3,000 characters and more: it goes into an nvarchar(max)."""
KIND_COLUMNS = {
    MULTIBUY: ("RETAILDISCOUNTMULTIBUY", ("MULTIBUYDISCOUNTTYPE",)),
    MIX_AND_MATCH: (
        "RETAILDISCOUNTMIXANDMATCH",
        ("MIXANDMATCHDISCOUNTTYPE", "DEALPRICEVALUE", "DISCOUNTAMOUNTVALUE", "NOOFLEASTEXPENSIVELINES"),
    ),
    OFFER: ("RETAILDISCOUNTOFFER", ("DISCONPOS",)),
    THRESHOLD: ("RETAILDISCOUNTTHRESHOLD", ("COUNTNONDISCOUNTITEMS",)),
}
LINE_COLUMNS = {
    MULTIBUY: ("RETAILDISCOUNTLINEMULTIBUY", ()),
    MIX_AND_MATCH: ("RETAILDISCOUNTLINEMIXANDMATCH", ("DISCOUNTTYPE", "LINEGROUP", "NUMBEROFITEMSNEEDED")),
    OFFER: ("RETAILDISCOUNTLINEOFFER", ("DISCOUNTMETHOD", "DISCPCT", "DISCAMOUNT", "OFFERPRICE")),
}
HEADER_COLUMNS = (
    *(
        "RECID",
        "OFFERID",
        "NAME",
        "PERIODICDISCOUNTTYPE",
        "INSTANCERELATIONTYPE",
        "RELATIONTYPE",
        "CURRENCYCODE",
        "STATUS",
    ),
    *("DISCOUNTPERCENTVALUE", "VALIDATIONPERIODID", "VALIDFROM", "VALIDTO", "DESCRIPTION", "DISCLAIMER", "DATAAREAID"),
)


def tables(world: World) -> Iterator[Table]:
    """The tables about periodic discounts."""
    rng = world.random("discounts")
    yield _period(world)
    offers = [
        (world.recid("RETAILPERIODICDISCOUNT"), f"ST{kind}{number:05d}", kind)
        for kind in KIND_COLUMNS
        for number in range(OFFERS_PER_KIND)
    ]
    headers = [_header(rng, world, *offer) for offer in offers]
    yield Table("RETAILPERIODICDISCOUNT", HEADER_COLUMNS, headers)
    for kind, (table, columns) in KIND_COLUMNS.items():
        rows = [(recid, *_kind_values(rng, kind), world.area) for recid, _, own in offers if own == kind]
        yield Table(table, ("RECID", *columns, "DATAAREAID"), rows)
    yield from _lines(world, rng, offers)
    yield from _conditions(world, rng, offers)


def _period(world: World) -> Table:
    rows = world.numbered(
        "RETAILDISCOUNTVALIDATIONPERIOD", [("HAPPY", "Feierabend", 17 * 3600, 19 * 3600, 1, world.area)]
    )
    columns = ("RECID", "PERIODID", "NAME", "STARTINGTIME", "ENDINGTIME", "TIMEWITHINBOUNDS", "DATAAREAID")
    return Table("RETAILDISCOUNTVALIDATIONPERIOD", columns, rows)


def _header(rng: random.Random, world: World, recid: int, offer: str, kind: int) -> tuple:
    start = date(2014, rng.randint(1, 12), rng.randint(1, 28))
    text = None if rng.random() < 0.3 else f"Rabatt {offer}: 2 für 1 🎉"
    small_print = DISCLAIMER if rng.random() < 0.5 else None
    percent = Decimal(rng.randrange(5, 40)) if kind == OFFER else Decimal(0)
    period = rng.choice(("", "HAPPY"))
    names = (recid, offer, f"Aktion {offer}", kind, 5000 + kind, 5000, "USD", 1)
    return (*names, percent, period, start, start.replace(year=2016), text, small_print, world.area)


def _kind_values(rng: random.Random, kind: int) -> tuple[Any, ...]:
    if kind == MIX_AND_MATCH:
        deal = rng.random() < 0.5
        return (0, Decimal("19.99"), None, None) if deal else (3, None, Decimal(5), 1)
    return (rng.choice((None, 0, 1)),)


def _lines(world: World, rng: random.Random, offers: list[tuple]) -> Iterator[Table]:
    members, lines, own = [], [], {kind: [] for kind in LINE_COLUMNS}
    candidates = discountable(world)
    for _, offer, kind in offers:
        for number, product in enumerate(rng.sample(candidates, LINES_PER_OFFER), 1):
            member, line = world.recid("RETAILGROUPMEMBERLINE"), world.recid("RETAILPERIODICDISCOUNTLINE")
            members.append((member, product.category.recid, product.recid, _some_variant(rng, product)))
            lines.append((line, offer, Decimal(number), product.name, member, 6000 + kind, 6000, world.area))
            if kind in own:
                own[kind].append((line, *_line_values(rng, kind, number), world.area))
    yield Table("RETAILGROUPMEMBERLINE", ("RECID", "CATEGORY", "PRODUCT", "VARIANT"), members)
    columns = ("RECID", "OFFERID", "LINENUM", "NAME", "RETAILGROUPMEMBERLINE", "INSTANCERELATIONTYPE", "RELATIONTYPE")
    yield Table("RETAILPERIODICDISCOUNTLINE", (*columns, "DATAAREAID"), lines)
    for kind, (table, columns) in LINE_COLUMNS.items():
        yield Table(table, ("RECID", *columns, "DATAAREAID"), own[kind])


def _some_variant(rng: random.Random, product: Product) -> int:
    return rng.choice(product.variants).recid if product.variants and rng.random() < 0.3 else 0


def _line_values(rng: random.Random, kind: int, number: int) -> tuple[Any, ...]:
    if kind == MULTIBUY:
        return ()
    if kind == MIX_AND_MATCH:
        return 1, "A" if number % 2 else "B", None if number % 5 == 0 else 2
    ways = ((0, Decimal("12.5"), None, None), (1, None, Decimal("3.25"), None), (2, None, None, Decimal("9.99")))
    return rng.choice(ways)


def _conditions(world: World, rng: random.Random, offers: list[tuple]) -> Iterator[Table]:
    rows = [(offer, FIRST_RECID, world.area) for _, offer, _ in offers]
    columns = ("RECID", "OFFERID", "PRICEDISCGROUP", "DATAAREAID")
    yield Table("RETAILDISCOUNTPRICEGROUP", columns, world.numbered("RETAILDISCOUNTPRICEGROUP", rows))
    rows = [
        (offer, Decimal(limit), 0, Decimal(limit) / 20, world.area)
        for _, offer, kind in offers
        if kind == THRESHOLD
        for limit in (50, 100, 250)
    ]
    columns = ("RECID", "OFFERID", "AMOUNTTHRESHOLD", "DISCOUNTMETHOD", "DISCOUNTVALUE", "DATAAREAID")
    yield Table("RETAILDISCOUNTTHRESHOLDTIERS", columns, world.numbered("RETAILDISCOUNTTHRESHOLDTIERS", rows))
    rows = [
        (offer, Decimal(lowest), Decimal(lowest) * Decimal("2.5"), world.area)
        for _, offer, kind in offers
        if kind == MULTIBUY
        for lowest in (2, 4, 8)
    ]
    columns = ("RECID", "MULTIBUYID", "QTYLOWEST", "PRICEDISCPCT", "DATAAREAID")
    yield Table("RETAILMULTIBUYDISCOUNTLINE", columns, world.numbered("RETAILMULTIBUYDISCOUNTLINE", rows))
    rows = [(offer, group, 2, world.area) for _, offer, kind in offers if kind == MIX_AND_MATCH for group in "AB"]
    columns = ("RECID", "MIXANDMATCHID", "MIXANDMATCHLINEGROUP", "NUMBEROFITEMSNEEDED", "DATAAREAID")
    yield Table("RETAILMIXANDMATCHLINEGROUPS", columns, world.numbered("RETAILMIXANDMATCHLINEGROUPS", rows))
    rows = [(f"CODE{offer}", offer, f"99{rng.randrange(10**9):09d}", world.area) for _, offer, _ in offers[::3]]
    columns = ("RECID", "DISCOUNTCODE", "DISCOUNTOFFERID", "BARCODE", "DATAAREAID")
    yield Table("RETAILDISCOUNTCODE", columns, world.numbered("RETAILDISCOUNTCODE", rows))
