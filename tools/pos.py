# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated till, and the questions that tell whether its sales are whole.

A sale is one transaction of four tables: the header, its lines, its payments, the tax of each line. The header carries
how many lines and payments there are and what they sum to, so completeness can be checked from the data itself, in
whichever database the sale has arrived. As in the real tables quantities and amounts of a sale are negative (goods
leave the store) and payments positive.

`quote` makes a name an identifier of the engine: quote("STORE") is '"STORE"' on PostgreSQL.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from _pos.checks import broken_sales, whole_sales
from _pos.shelf import Article, TillError, read_facts, read_prices, read_tax_rates
from _pos.tables import HEADER, LINES, PAYMENTS, TAXES, Row, cents, total
from _sql import Quote, ask, insert, transaction

__all__ = ["Till", "TillError", "broken_sales", "whole_sales"]

SALE = 2
"""TYPE of a sale among the transactions."""
NOTES = (5, 10, 20, 50, 100)
MOST_LINES = 8


@dataclass
class Sale:
    """One sale before it is written: rows by table."""

    transaction: str
    header: Row
    lines: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    taxes: list[Row] = field(default_factory=list)

    def tables(self) -> list[tuple[str, list[Row]]]:
        """The tables that get rows, header first."""
        written = ((HEADER, [self.header]), (LINES, self.lines), (PAYMENTS, self.payments), (TAXES, self.taxes))
        return [(table, rows) for table, rows in written if rows]


class Till:
    """A register that sells from its own master data.

    connection: pyodbc, to the database that the register sells to. channel: RECID of the store's channel. seed: what
    makes its customers' choices repeatable. clock: returns the time in UTC. offline: marks its sales as made offline.
    Raises TillError when the master data for selling is not there.
    """

    def __init__(
        self,
        connection: Any,
        quote: Quote,
        store: str,
        register: str,
        channel: int,
        seed: int | str,
        clock: Callable[[], datetime] | None = None,
        offline: bool = False,
    ):
        self.store = store
        self.register = register
        self.channel = channel
        self.offline = offline
        self._rng = random.Random(f"{seed}/{store}/{register}")
        self._clock = clock or _utc_now
        self._last_number = 0
        self._number_is_known = False
        self.use(connection, quote)

    def use(self, connection: Any, quote: Quote) -> None:
        """Sell to this database from now on; the numbering goes on."""
        self._connection = connection
        self._quote = quote
        self._number_is_known = False
        with transaction(connection) as cursor:
            self.facts = read_facts(cursor, quote, self.store, self.register, self.channel)

    def sell(self) -> str:
        """Sell to one customer, in one transaction, and return the TRANSACTIONID.

        After an error nothing of the sale is in the database, or, when the connection broke during the commit, all of
        it; the next sale looks which number is free.
        """
        try:
            with transaction(self._connection) as cursor:
                sale = self._ring_up(cursor, self._next_number(cursor))
                for table, rows in sale.tables():
                    columns = list(rows[0])
                    insert(
                        cursor, self._quote, f"ax.{table}", columns, [[row[name] for name in columns] for row in rows]
                    )
        except BaseException:
            self._number_is_known = False
            raise
        self._last_number += 1
        return sale.transaction

    # ---- numbers

    def _next_number(self, cursor: Any) -> int:
        if not self._number_is_known:
            self._last_number = max(self._last_number, self._highest_number(cursor))
            self._number_is_known = True
        return self._last_number + 1

    def _highest_number(self, cursor: Any) -> int:
        mine = f"SELECT MAX([TRANSACTIONID]) FROM [ax].[{HEADER}] WHERE [STORE] = ? AND [TERMINAL] = ?"
        found = ask(cursor, self._quote, mine, self.store, self.register)[0][0]
        return int(found.rpartition("-")[2]) if found else 0

    # ---- one sale

    def _ring_up(self, cursor: Any, number: int) -> Sale:
        now = self._clock().replace(microsecond=0)
        articles = [self._rng.choice(self.facts.articles) for _ in range(self._rng.randint(1, MOST_LINES))]
        prices = read_prices(cursor, self._quote, articles, self.facts, now.date())
        rates = read_tax_rates(cursor, self._quote, self.facts, now.date())
        sale = Sale(f"{self.store}-{self.register}-{number:010d}", {})
        common = self._common(number, now)
        for place, article in enumerate(articles, 1):
            self._add_line(sale, common, place, article, prices[article], rates.get(article.tax_group, {}))
        self._add_payments(sale, common)
        sale.header = self._header(sale, common, number, now)
        return sale

    def _common(self, number: int, now: datetime) -> Row:
        """What header, lines and payments of a sale have in common."""
        return {
            "STORE": self.store,
            "TERMINAL": self.register,
            "TRANSACTIONID": f"{self.store}-{self.register}-{number:010d}",
            "CHANNEL": self.channel,
            "DATAAREAID": self.facts.area,
            "RECEIPTID": f"{self.register}{number:08d}",
            "STAFF": self._rng.choice(self.facts.staff),
            "SHIFT": f"{now:%y%m%d}",
            "SHIFTDATE": now.date(),
            "BUSINESSDATE": now.date(),
            "TRANSDATE": now.date(),
            "TRANSTIME": now.hour * 3600 + now.minute * 60 + now.second,
            "CREATEDDATETIME": now,
            "MODIFIEDDATETIME": now,
        }

    def _add_line(
        self, sale: Sale, common: Row, place: int, article: Article, price: Decimal, rates: dict[str, Decimal]
    ) -> None:
        quantity = self._quantity(article)
        full = cents(price * quantity)
        discount = cents(full / 10) if self._rng.random() < 0.15 else Decimal(0)
        net = full - discount
        taxes = {code: cents(net * rate / 100) for code, rate in rates.items()}
        tax = sum(taxes.values(), Decimal(0))
        sale.lines.append(
            {
                **{_line_name(name): value for name, value in common.items()},
                "LINENUM": Decimal(place),
                "ITEMID": article.item,
                "INVENTDIMID": article.dimension,
                "VARIANTID": article.variant,
                "BARCODE": article.barcode,
                "UNIT": article.unit,
                "QTY": -quantity,
                "UNITQTY": -quantity,
                "PRICE": price,
                "ORIGINALPRICE": price,
                "NETPRICE": price,
                "UNITPRICE": price,
                "DISCAMOUNT": discount,
                "LINEDSCAMOUNT": discount,
                "LINEMANUALDISCOUNTPERCENTAGE": Decimal(10 if discount else 0),
                "LINEWASDISCOUNTED": int(bool(discount)),
                "NETAMOUNT": -net,
                "TAXAMOUNT": -tax,
                "NETAMOUNTINCLTAX": -(net + tax),
                "TAXGROUP": self.facts.tax_group,
                "TAXITEMGROUP": article.tax_group,
                "INVENTLOCATIONID": self.facts.warehouse,
                "SCALEITEM": int(article.unit == "kg"),
                "COMMENT": self._rng.choice(("", "", "", "", "Geschenk 🎁", "ohne Tüte", "O'Brien's")),
            }
        )
        sale.taxes += [self._tax_row(common, place, code, -amount) for code, amount in taxes.items()]

    def _tax_row(self, common: Row, place: int, code: str, amount: Decimal) -> Row:
        return {
            "STOREID": self.store,
            "TERMINALID": self.register,
            "TRANSACTIONID": common["TRANSACTIONID"],
            "CHANNEL": self.channel,
            "DATAAREAID": self.facts.area,
            "SALELINENUM": Decimal(place),
            "TAXCODE": code,
            "AMOUNT": amount,
        }

    def _quantity(self, article: Article) -> Decimal:
        if article.unit in ("ea", "pr", "box"):
            return Decimal(self._rng.choice((1, 1, 1, 2, 3)))
        return Decimal(self._rng.randrange(50, 2500)) / 1000

    def _add_payments(self, sale: Sale, common: Row) -> None:
        due = -total(sale.lines, "NETAMOUNTINCLTAX")
        by_card = self._rng.choice((Decimal(0), Decimal(0), due, cents(due / 2)))
        in_cash = due - by_card
        if by_card:
            self._pay(sale, common, self.facts.card, by_card)
        if in_cash or not by_card:
            handed_over = self._handed_over(in_cash)
            self._pay(sale, common, self.facts.cash, handed_over)
            if handed_over > in_cash:
                self._pay(sale, common, self.facts.cash, in_cash - handed_over)

    def _handed_over(self, due: Decimal) -> Decimal:
        note = self._rng.choice(NOTES)
        return (due / note).to_integral_value(rounding="ROUND_CEILING") * note

    def _pay(self, sale: Sale, common: Row, tender: str, amount: Decimal) -> None:
        card = tender == self.facts.card
        digits = f"{self._rng.randrange(10000):04d}"
        sale.payments.append(
            {
                **common,
                "LINENUM": Decimal(len(sale.payments) + 1),
                "TENDERTYPE": tender,
                "AMOUNTTENDERED": amount,
                "AMOUNTCUR": amount,
                "AMOUNTMST": amount,
                "CURRENCY": self.facts.currency,
                "EXCHRATE": Decimal(100),
                "EXCHRATEMST": Decimal(100),
                "QTY": Decimal(1),
                "CHANGELINE": int(amount < 0),
                "CARDTYPEID": "VISA" if card else "",
                "CARDORACCOUNT": f"************{digits}" if card else "",
                "PAYMENTAUTHORIZATION": f'<Approved code="{digits}"/>' if card else None,
            }
        )

    def _header(self, sale: Sale, common: Row, number: int, now: datetime) -> Row:
        customer = self._rng.choice(self.facts.customers) if self.facts.customers and self._rng.random() < 0.3 else ""
        return {
            **common,
            "TYPE": SALE,
            "COUNTER": number,
            "CURRENCY": self.facts.currency,
            "EXCHRATE": Decimal(100),
            "CUSTACCOUNT": customer,
            "NUMBEROFITEMLINES": Decimal(len(sale.lines)),
            "NUMBEROFITEMS": -total(sale.lines, "QTY"),
            "NUMBEROFPAYMENTLINES": len(sale.payments),
            "NETAMOUNT": total(sale.lines, "NETAMOUNT"),
            "GROSSAMOUNT": total(sale.lines, "NETAMOUNTINCLTAX"),
            "PAYMENTAMOUNT": total(sale.payments, "AMOUNTCUR"),
            "DISCAMOUNT": total(sale.lines, "DISCAMOUNT"),
            "INVENTLOCATIONID": self.facts.warehouse,
            "CREATEDOFFLINE": int(self.offline),
            "CREATEDONPOSTERMINAL": self.register,
            "BATCHTERMINALID": self.register,
            "BATCHID": int(f"{now:%Y%m%d}"),
            "TIMEWHENTOTALPRESSED": common["TRANSTIME"],
            "TIMEWHENTRANSCLOSED": common["TRANSTIME"],
        }


def _line_name(name: str) -> str:
    """The lines call two of the common columns otherwise."""
    return {"TERMINAL": "TERMINALID", "STAFF": "STAFFID"}.get(name, name)


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
