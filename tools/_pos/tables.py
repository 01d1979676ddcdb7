# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four tables of a sale, and sums of money."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

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


def total(rows: list[Row], column: str) -> Decimal:
    """The sum of a column, exact."""
    return sum((row[column] for row in rows), Decimal(0))


def cents(amount: Decimal) -> Decimal:
    """An amount as money, half a cent rounded up."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
