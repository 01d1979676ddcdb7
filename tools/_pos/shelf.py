# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a till reads from its own database: the store's facts, what can be sold, prices, tax."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from _sql import Quote, ask

SALES_MODULE, SALES_PRICE, FOR_ITEM, FOR_ALL = 2, 4, 0, 2
"""MODULETYPE of the sales price; RELATION, ITEMCODE and ACCOUNTCODE of a trade agreement for one item and everybody."""
MOST_CUSTOMERS = 500


class TillError(Exception):
    """The till cannot sell; the message says what its database lacks."""


@dataclass(frozen=True)
class Article:
    """Something with a barcode."""

    item: str
    dimension: str
    variant: str
    barcode: str
    unit: str
    tax_group: str


@dataclass
class StoreFacts:
    """What a till reads from its own database before the first sale."""

    area: str
    tax_group: str
    currency: str
    warehouse: str
    cash: str
    card: str
    articles: list[Article]
    staff: list[str]
    customers: list[str]


def read_facts(cursor: Any, quote: Quote, store: str, register: str, channel: int) -> StoreFacts:
    """Read what does not change from sale to sale. Raises TillError when master data is missing."""
    found = ask(
        cursor,
        quote,
        "SELECT s.[TAXGROUPDATAAREAID], s.[TAXGROUP], c.[CURRENCY], c.[INVENTLOCATION] FROM [ax].[RETAILSTORETABLE] s"
        " JOIN [ax].[RETAILCHANNELTABLE] c ON c.[RECID] = s.[RECID] WHERE s.[STORENUMBER] = ? AND s.[RECID] = ?",
        store,
        channel,
    )
    row = _some(found, f"store {store} with channel {channel}")[0]
    register_of_store = "SELECT [NAME] FROM [ax].[RETAILTERMINALTABLE] WHERE [TERMINALID] = ? AND [STORERECID] = ?"
    _some(ask(cursor, quote, register_of_store, register, channel), f"register {register} of store {store}")
    return StoreFacts(
        *row,
        cash=_tender(cursor, quote, channel, 0),
        card=_tender(cursor, quote, channel, 1),
        articles=_read_articles(cursor, quote),
        staff=_unblocked(cursor, quote, "RETAILSTAFFTABLE", "STAFFID"),
        customers=_unblocked(cursor, quote, "CUSTTABLE", "ACCOUNTNUM")[:MOST_CUSTOMERS],
    )


def _some(rows: list[Any], what: str) -> list[Any]:
    if not rows:
        raise TillError(f"the register's database knows no {what}: has the master data arrived?")
    return rows


def _tender(cursor: Any, quote: Quote, channel: int, function: int) -> str:
    tenders = "SELECT [TENDERTYPEID] FROM [ax].[RETAILSTORETENDERTYPETABLE] WHERE [CHANNEL] = ? AND [FUNCTION] = ?"
    return min(_some(ask(cursor, quote, tenders, channel, function), f"tender of function {function}"))[0]


def _unblocked(cursor: Any, quote: Quote, table: str, column: str) -> list[str]:
    rows = ask(cursor, quote, f"SELECT [{column}] FROM [ax].[{table}] WHERE [BLOCKED] = 0 ORDER BY [RECID]")
    return [row[0] for row in _some(rows, f"row in {table}")]


def _read_articles(cursor: Any, quote: Quote) -> list[Article]:
    rows = ask(
        cursor,
        quote,
        "SELECT b.[ITEMID], b.[INVENTDIMID], b.[RETAILVARIANTID], b.[ITEMBARCODE], b.[UNITID], m.[TAXITEMGROUPID]"
        " FROM [ax].[INVENTITEMBARCODE] b JOIN [ax].[INVENTTABLEMODULE] m"
        " ON m.[ITEMID] = b.[ITEMID] AND m.[DATAAREAID] = b.[DATAAREAID] AND m.[MODULETYPE] = ?"
        " WHERE b.[BLOCKED] = 0 ORDER BY b.[RECID]",
        SALES_MODULE,
    )
    return [Article(*row) for row in _some(rows, "article with a barcode")]


def read_prices(
    cursor: Any, quote: Quote, articles: list[Article], facts: StoreFacts, today: date
) -> dict[Article, Decimal]:
    """The price of each article as it stands now: the cheapest trade agreement for everybody, else the base price."""
    items = sorted({article.item for article in articles})
    among = ", ".join("?" * len(items))
    base = ask(
        cursor,
        quote,
        "SELECT [ITEMID], [PRICE] FROM [ax].[INVENTTABLEMODULE]"
        f" WHERE [MODULETYPE] = ? AND [DATAAREAID] = ? AND [ITEMID] IN ({among})",
        *(SALES_MODULE, facts.area, *items),
    )
    agreed = ask(
        cursor,
        quote,
        "SELECT [ITEMRELATION], [INVENTDIMID], MIN([AMOUNT]) FROM [ax].[PRICEDISCTABLE]"
        " WHERE [RELATION] = ? AND [ITEMCODE] = ? AND [ACCOUNTCODE] = ? AND [CURRENCY] = ? AND [DATAAREAID] = ?"
        f" AND [FROMDATE] <= ? AND [TODATE] >= ? AND [ITEMRELATION] IN ({among})"
        " GROUP BY [ITEMRELATION], [INVENTDIMID]",
        *(SALES_PRICE, FOR_ITEM, FOR_ALL, facts.currency, facts.area, today, today, *items),
    )
    by_item = {row[0]: row[1] for row in base}
    by_dimension = {(item, dimension): price for item, dimension, price in agreed}
    return {one: by_dimension.get((one.item, one.dimension), by_item[one.item]) for one in articles}


def read_tax_rates(cursor: Any, quote: Quote, facts: StoreFacts, today: date) -> dict[str, dict[str, Decimal]]:
    """Item tax group → tax code → per cent, for the codes that the store's tax group has too."""
    rows = ask(
        cursor,
        quote,
        "SELECT i.[TAXITEMGROUP], i.[TAXCODE], d.[TAXVALUE] FROM [ax].[TAXONITEM] i"
        " JOIN [ax].[TAXGROUPDATA] g ON g.[TAXCODE] = i.[TAXCODE] AND g.[DATAAREAID] = i.[DATAAREAID]"
        " JOIN [ax].[TAXDATA] d ON d.[TAXCODE] = i.[TAXCODE] AND d.[DATAAREAID] = i.[DATAAREAID]"
        " WHERE g.[TAXGROUP] = ? AND i.[DATAAREAID] = ? AND d.[TAXFROMDATE] <= ? AND d.[TAXTODATE] >= ?"
        " ORDER BY i.[TAXITEMGROUP], i.[TAXCODE]",
        *(facts.tax_group, facts.area, today, today),
    )
    rates: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for group, code, rate in rows:
        rates[group][code] = rate
    return rates
