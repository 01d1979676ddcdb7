# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1000: currencies and their exchange rates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from _masterdata.world import Table, World, long_decimal, moment

HOME = "USD"
CURRENCIES = (
    ("USD", "$", "US Dollar", "0.01"),
    ("EUR", "€", "Euro", "0.01"),
    ("GBP", "£", "Pound Sterling", "0.01"),
    ("CAD", "CA$", "Canadian Dollar", "0.05"),
    ("MXN", "MX$", "Peso mexicano", "0.01"),
    ("JPY", "¥", "日本円", "1"),
    ("CNY", "元", "人民币", "0.01"),
    ("CHF", "Fr.", "Schweizer Franken", "0.05"),
    ("DKK", "kr.", "Dansk krone", "0.5"),
    ("NOK", "kr", "Norsk krone", "1"),
    ("SEK", "kr", "Svensk krona", "1"),
    ("ISK", "kr", "Íslensk króna", "1"),
    ("PLN", "zł", "Złoty polski", "0.01"),
    ("CZK", "Kč", "Koruna česká", "1"),
    ("HUF", "Ft", "Magyar forint", "5"),
    ("RUB", "₽", "Российский рубль", "0.01"),
    ("UAH", "₴", "Українська гривня", "0.01"),
    ("TRY", "₺", "Türk lirası", "0.01"),
    ("ILS", "₪", "שקל חדש", "0.1"),
    ("INR", "₹", "भारतीय रुपया", "0.01"),
    ("THB", "฿", "บาทไทย", "0.25"),
    ("KRW", "₩", "대한민국 원", "10"),
    ("VND", "₫", "Đồng Việt Nam", "500"),
    ("BRL", "R$", "Real brasileiro", "0.01"),
    ("ZAR", "R", "South African Rand", "0.1"),
    ("AUD", "A$", "Australian Dollar", "0.05"),
    ("NZD", "NZ$", "New Zealand Dollar", "0.1"),
    ("SGD", "S$", "Singapore Dollar", "0.05"),
    ("KWD", "د.ك", "دينار كويتي", "0.005"),
    ("BHD", ".د.ب", "دينار بحريني", "0.005"),
)
IN_STORES = ("USD", "CAD", "MXN", "EUR")
MONTHS = 24


def tables(world: World) -> Iterator[Table]:
    """The tables of the job."""
    yield Table(
        "CURRENCY",
        (
            "RECID",
            "CURRENCYCODE",
            "CURRENCYCODEISO",
            "SYMBOL",
            "TXT",
            "ROUNDOFFPRICE",
            "ROUNDOFFSALES",
            "ROUNDOFFPURCH",
        ),
        world.numbered("CURRENCY", [_currency(*currency) for currency in CURRENCIES]),
    )
    kinds = world.numbered(
        "EXCHANGERATETYPE", [("Default", "Day rate"), ("Budget", "Year's plan"), ("Card", "Card issuers")]
    )
    yield Table("EXCHANGERATETYPE", ("RECID", "NAME", "DESCRIPTION"), kinds)
    yield from _rates(world, kinds[0][0])
    yield Table(
        "RETAILCHANNELCURRENCY",
        ("RECID", "CHANNEL", "CURRENCYCODE"),
        world.numbered("RETAILCHANNELCURRENCY", [(s.channel, code) for s in world.stores for code in IN_STORES]),
    )


def _currency(code: str, symbol: str, text: str, step: str) -> tuple:
    return code, code, symbol, text, Decimal(step), Decimal(step), Decimal("0.01")


def _rates(world: World, kind: int) -> Iterator[Table]:
    rng = world.random("rates")
    pairs = world.numbered(
        "EXCHANGERATECURRENCYPAIR",
        [(kind, HOME, currency[0], 1, moment(rng)) for currency in CURRENCIES if currency[0] != HOME],
    )
    columns = ("RECID", "EXCHANGERATETYPE", "FROMCURRENCYCODE", "TOCURRENCYCODE", "EXCHANGERATEDISPLAYFACTOR")
    yield Table("EXCHANGERATECURRENCYPAIR", (*columns, "MODIFIEDDATETIME"), pairs)
    months = [date(2013 + number // 12, number % 12 + 1, 1) for number in range(MONTHS + 1)]
    rates = [
        (pair[0], first, following - timedelta(days=1), long_decimal(rng, 1, 40000), moment(rng))
        for pair in pairs
        for first, following in pairwise(months)
    ]
    columns = ("RECID", "EXCHANGERATECURRENCYPAIR", "VALIDFROM", "VALIDTO", "EXCHANGERATE", "MODIFIEDDATETIME")
    yield Table("EXCHANGERATE", columns, world.numbered("EXCHANGERATE", rates))
