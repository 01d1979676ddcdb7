# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four tables of a sale, and how to write to them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Quote = Callable[[str], str]
"""Makes a name an identifier of the engine: quote("STORE") is '"STORE"' on PostgreSQL."""
Row = dict[str, Any]

HEADER = "RETAILTRANSACTIONTABLE"
LINES = "RETAILTRANSACTIONSALESTRANS"
PAYMENTS = "RETAILTRANSACTIONPAYMENTTRANS"
TAXES = "RETAILTRANSACTIONTAXTRANS"
KEYS = {
    HEADER: ("STORE", "TERMINAL", "TRANSACTIONID", "CHANNEL", "DATAAREAID"),
    LINES: ("STORE", "TERMINALID", "TRANSACTIONID", "CHANNEL", "DATAAREAID"),
    PAYMENTS: ("STORE", "TERMINAL", "TRANSACTIONID", "CHANNEL", "DATAAREAID"),
    TAXES: ("STOREID", "TERMINALID", "TRANSACTIONID", "CHANNEL", "DATAAREAID"),
}
"""What names a sale, in each table's own words."""
CENT = Decimal("0.01")


@contextlib.contextmanager
def transaction(connection: Any) -> Iterator[Any]:
    """One transaction, whatever the connection's mode; committed at the end, rolled back on an error."""
    mode = connection.autocommit
    if mode:
        connection.autocommit = False
    cursor = connection.cursor()
    try:
        yield cursor
        connection.commit()
    except BaseException:
        with contextlib.suppress(Exception):  # the connection may be what broke
            connection.rollback()
        raise
    finally:
        with contextlib.suppress(Exception):
            cursor.close()
            if mode:
                connection.autocommit = True


def spell(quote: Quote, statement: str) -> str:
    """Put the engine's identifiers where a statement has [NAME]."""
    return re.sub(r"\[(\w+)\]", lambda found: quote(found.group(1)), statement)


def ask(cursor: Any, quote: Quote, query: str, *values: Any) -> list[Any]:
    """Return all rows of a query that has its identifiers in brackets."""
    return cursor.execute(spell(quote, query), list(values)).fetchall()


def insert(cursor: Any, quote: Quote, table: str, rows: list[Row]) -> None:
    """Insert rows that have the same columns, in one statement."""
    if not rows:
        return
    columns = list(rows[0])
    one_row = f"({', '.join('?' * len(columns))})"
    names = ", ".join(f"[{column}]" for column in columns)
    statement = f"INSERT INTO [ax].[{table}] ({names}) VALUES {', '.join([one_row] * len(rows))}"
    cursor.execute(spell(quote, statement), [row[column] for row in rows for column in columns])


def total(rows: list[Row], column: str) -> Decimal:
    """The sum of a column, exact."""
    return sum((row[column] for row in rows), Decimal(0))


def cents(amount: Decimal) -> Decimal:
    """An amount as money, half a cent rounded up."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
