# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1020: trade agreements, price groups, affiliations, cards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from _masterdata.catalogue import products, sales_units
from _masterdata.customers import customers
from _masterdata.world import FIRST_RECID, LANGUAGES, NEVER, Table, World, moment, share

SALES_PRICE = 4
"""RELATION of a sales price among the trade agreements."""
FOR_ITEM, FOR_GROUP, FOR_ALL = 0, 1, 2
"""ITEMCODE and ACCOUNTCODE: one, a group, all."""
PRICE_GROUPS = (
    ("AllStores", "All stores"),
    ("Texas", "Stores in Texas"),
    ("Staff", "Personal 😀"),
    ("Gold", "Gold members"),
)
AFFILIATIONS = (("Staff", "Mitarbeiter"), ("Student", "Studierende 🎓"), ("Senior", "Señores y señoras"))
CARDS = (
    ("VISA", "Visa", "Visa", "4000000000000000", "4999999999999999"),
    ("MASTER", "Mastercard", "Mastercard", "5100000000000000", "5599999999999999"),
    ("AMEXPRESS", "American Express", "American Express", "3400000000000000", "3799999999999999"),
    ("LOYALTY", "Treuekarte", "Own card", "1000000", "1999999"),
)
AGREEMENT_COLUMNS = (
    *(
        "RECID",
        "RELATION",
        "ITEMCODE",
        "ITEMRELATION",
        "INVENTDIMID",
        "ACCOUNTCODE",
        "ACCOUNTRELATION",
        "CURRENCY",
        "UNITID",
    ),
    *("AMOUNT", "PRICEUNIT", "PERCENT1", "FROMDATE", "TODATE", "MODULE", "MODIFIEDDATETIME", "DATAAREAID"),
)


def tables(world: World) -> Iterator[Table]:
    """The tables of the job, but for the discounts (discounts.py)."""
    yield from _groups(world)
    yield _agreements(world)
    yield from _affiliations(world)
    yield from _cards(world)


def _groups(world: World) -> Iterator[Table]:
    rows = world.numbered("PRICEDISCGROUP", [(1, 0, group, name, world.area) for group, name in PRICE_GROUPS])
    yield Table("PRICEDISCGROUP", ("RECID", "MODULE", "TYPE", "GROUPID", "NAME", "DATAAREAID"), rows)
    links = [(store.channel, row[0]) for store in world.stores for row in rows[:2]]
    columns = ("RECID", "RETAILCHANNEL", "PRICEGROUP")
    yield Table("RETAILCHANNELPRICEGROUP", columns, world.numbered("RETAILCHANNELPRICEGROUP", links))


def _agreements(world: World) -> Table:
    """One price for everybody for each thing that is sold, and for some a cheaper one for members."""
    rng = world.random("agreements")
    rows = []
    for unit in world.shared(sales_units):
        product, price = unit.product, unit.product.price
        start, changed = date(2014, rng.randint(1, 6), 1), moment(rng)
        item = (SALES_PRICE, FOR_ITEM, product.item, unit.dimension)
        rest = (Decimal(1), Decimal(0), start, NEVER, 1, changed, world.area)
        rows.append((*item, FOR_ALL, "", "USD", product.unit, price, *rest))
        if rng.random() < 0.25:
            members = share(price, "0.8765432109876543")
            rows.append((*item, FOR_GROUP, "Gold", "USD", product.unit, members, *rest))
    return Table("PRICEDISCTABLE", AGREEMENT_COLUMNS, world.numbered("PRICEDISCTABLE", rows))


def _affiliations(world: World) -> Iterator[Table]:
    rows = world.numbered("RETAILAFFILIATION", [(name, 0) for name, _ in AFFILIATIONS])
    yield Table("RETAILAFFILIATION", ("RECID", "NAME", "AFFILIATIONTYPE"), rows)
    texts = [(row[0], language, text) for row, (_, text) in zip(rows, AFFILIATIONS) for language in LANGUAGES]
    columns = ("RECID", "AFFILIATION", "LANGUAGEID", "DESCRIPTION")
    yield Table("RETAILAFFILIATIONTRANSLATION", columns, world.numbered("RETAILAFFILIATIONTRANSLATION", texts))
    groups = [(FIRST_RECID + 2, rows[0][0], 0), (FIRST_RECID + 3, rows[1][0], 0)]
    columns = ("RECID", "PRICEDISCGROUP", "RETAILAFFILIATION", "RETAILLOYALTYTIER")
    yield Table("RETAILAFFILIATIONPRICEGROUP", columns, world.numbered("RETAILAFFILIATIONPRICEGROUP", groups))
    rng = world.random("affiliated")
    people = rng.sample(world.shared(customers), 300)
    members = [(one.account, rows[rng.randrange(len(rows))][0], world.area) for one in people]
    columns = ("RECID", "CUSTACCOUNTNUM", "RETAILAFFILIATIONID", "DATAAREAID")
    yield Table("RETAILCUSTAFFILIATION", columns, world.numbered("RETAILCUSTAFFILIATION", members))


def _cards(world: World) -> Iterator[Table]:
    rng = world.random("cards")
    rows = [(card, issuer, name, kind) for kind, (card, issuer, name, _, _) in enumerate(CARDS)]
    columns = ("RECID", "CARDTYPEID", "CARDISSUER", "NAME", "CARDTYPES")
    yield Table("RETAILTENDERTYPECARDTABLE", columns, world.numbered("RETAILTENDERTYPECARDTABLE", rows))
    rows = [(card, low, high, len(low), moment(rng)) for card, _, _, low, high in CARDS]
    columns = ("RECID", "CARDTYPEID", "CARDNUMBERFROM", "CARDNUMBERTO", "CARDNUMBERLENGTH", "MODIFIEDDATETIME")
    yield Table("RETAILTENDERTYPECARDNUMBERS", columns, world.numbered("RETAILTENDERTYPECARDNUMBERS", rows))


def discountable(world: World) -> list:
    """The products that a periodic discount may name."""
    return [product for product in world.shared(products) if product.tax != "SPIR"]
