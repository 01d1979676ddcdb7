# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is every sale whole, and is it the same sale in another database?"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from _sql import Quote, ask, transaction

from _pos.tables import HEADER, KEYS, LINES, PAYMENTS, TAXES, Row, total


@dataclass
class Tally:
    """What a header promises of its sale, and what is there."""

    header: Row | None = None
    lines: int = 0
    payments: int = 0
    taxes: int = 0
    net: Decimal = Decimal(0)
    gross: Decimal = Decimal(0)
    line_tax: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)

    def complaints(self) -> list[str]:
        """Why the sale is not whole, a sentence each."""
        if self.header is None:
            there = {"lines": self.lines, "payments": self.payments, "tax rows": self.taxes}
            return [f"{count} {what} without a header" for what, count in there.items() if count]
        promised = (
            ("lines", self.header["NUMBEROFITEMLINES"], self.lines),
            ("payments", self.header["NUMBEROFPAYMENTLINES"], self.payments),
            ("net amount", self.header["NETAMOUNT"], self.net),
            ("gross amount", self.header["GROSSAMOUNT"], self.gross),
            ("payment amount", self.header["PAYMENTAMOUNT"], self.paid),
            ("tax of the lines", self.line_tax, self.tax),
            ("paid for what was sold", -self.header["GROSSAMOUNT"], self.paid),
        )
        return [f"{what}: {_plain(a)} expected, {_plain(b)} there" for what, a, b in promised if a != b]


def broken_sales(connection: Any, quote: Quote) -> list[tuple[str, str]]:
    """Return (TRANSACTIONID, what is wrong) of all sales that are not whole, in one consistent look.

    That is: a header without its number of lines or payments; lines, payments or tax without a header; sums that
    differ.
    """
    sums = {
        LINES: ("NETAMOUNT", "NETAMOUNTINCLTAX", "TAXAMOUNT"),
        PAYMENTS: ("AMOUNTCUR",),
        TAXES: ("AMOUNT",),
    }
    promises = ("NUMBEROFITEMLINES", "NUMBEROFPAYMENTLINES", "NETAMOUNT", "GROSSAMOUNT", "PAYMENTAMOUNT")
    parts = [_select(HEADER, promises)]
    parts += [_select_sums(table, columns, len(promises)) for table, columns in sums.items()]
    tallies: dict[tuple, Tally] = defaultdict(Tally)
    # One statement sees one state of the database: a sale that commits meanwhile is there as a whole or not at all.
    with transaction(connection) as cursor:
        for table, *rest in ask(cursor, quote, " UNION ALL ".join(parts)):
            key, values = tuple(rest[:5]), [Decimal(value) for value in rest[5:]]
            _count(tallies[key], table, dict(zip(promises, values)), values)
    return sorted((key[2], complaint) for key, tally in tallies.items() for complaint in tally.complaints())


def _count(tally: Tally, table: str, header: Row, values: list[Decimal]) -> None:
    if table == HEADER:
        tally.header = header
    elif table == LINES:
        tally.lines, tally.net, tally.gross, tally.line_tax = int(values[0]), *values[1:4]
    elif table == PAYMENTS:
        tally.payments, tally.paid = int(values[0]), values[1]
    else:
        tally.taxes, tally.tax = int(values[0]), values[1]


def _select(table: str, columns: Iterable[str]) -> str:
    return f"SELECT '{table}', {_listed((*KEYS[table], *columns))} FROM [ax].[{table}]"


def _select_sums(table: str, columns: tuple[str, ...], width: int) -> str:
    key = _listed(KEYS[table])
    sums = ["COUNT(*)", *(f"SUM([{column}])" for column in columns)]
    sums += ["0"] * (width - len(sums))
    return f"SELECT '{table}', {key}, {', '.join(sums)} FROM [ax].[{table}] GROUP BY {key}"


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f"[{column}]" for column in columns)


FINGERPRINTS = {
    HEADER: (
        "RECEIPTID TYPE COUNTER STAFF SHIFT SHIFTDATE BATCHID BATCHTERMINALID BUSINESSDATE TRANSDATE TRANSTIME "
        "CURRENCY EXCHRATE CUSTACCOUNT NUMBEROFITEMLINES NUMBEROFITEMS NUMBEROFPAYMENTLINES NETAMOUNT GROSSAMOUNT "
        "PAYMENTAMOUNT DISCAMOUNT INVENTLOCATIONID CREATEDOFFLINE CREATEDONPOSTERMINAL TIMEWHENTRANSCLOSED "
        "CREATEDDATETIME"
    ),
    LINES: (
        "LINENUM RECEIPTID STAFFID ITEMID INVENTDIMID VARIANTID BARCODE UNIT QTY PRICE ORIGINALPRICE DISCAMOUNT "
        "LINEDSCAMOUNT NETAMOUNT TAXAMOUNT NETAMOUNTINCLTAX TAXGROUP TAXITEMGROUP COMMENT TRANSDATE TRANSTIME "
        "CREATEDDATETIME"
    ),
    PAYMENTS: (
        "LINENUM RECEIPTID STAFF TENDERTYPE AMOUNTTENDERED AMOUNTCUR AMOUNTMST CURRENCY EXCHRATE QTY CHANGELINE "
        "CARDTYPEID CARDORACCOUNT PAYMENTAUTHORIZATION SIGCAPDATA TRANSDATE TRANSTIME CREATEDDATETIME"
    ),
    TAXES: "SALELINENUM TAXCODE AMOUNT ISINCLUDEDINPRICE",
}
"""The columns of a fingerprint; not MODIFIEDDATETIME, which a trigger may set, nor what each database counts itself."""


def whole_sales(connection: Any, quote: Quote, store: str | None = None) -> dict[str, str]:
    """Return TRANSACTIONID → fingerprint of the sales that are whole, of one store or of all.

    The fingerprint covers what the sale says in all four tables; it is the same in every database the sale has come to.
    """
    with transaction(connection) as cursor:
        # Headers first: whatever has its header committed by now has the rest committed too when that is read.
        found = {table: _read_sales(cursor, quote, table, store) for table in (HEADER, LINES, PAYMENTS, TAXES)}
    whole = {}
    for key in found[HEADER]:
        rows = {table: found[table].get(key, []) for table in found}
        if not _tally(rows).complaints():
            whole[key[2]] = _fingerprint(key, rows)
    return whole


def _read_sales(cursor: Any, quote: Quote, table: str, store: str | None) -> dict[tuple, list[Row]]:
    columns = (*KEYS[table], *FINGERPRINTS[table].split())
    query = f"SELECT {_listed(columns)} FROM [ax].[{table}]"
    if store is None:
        rows = ask(cursor, quote, query)
    else:
        rows = ask(cursor, quote, f"{query} WHERE [{KEYS[table][0]}] = ?", store)
    sales = defaultdict(list)
    for values in rows:
        sales[tuple(values[:5])].append(dict(zip(columns, values)))
    return sales


def _tally(rows: dict[str, list[Row]]) -> Tally:
    return Tally(
        header=rows[HEADER][0],
        lines=len(rows[LINES]),
        payments=len(rows[PAYMENTS]),
        taxes=len(rows[TAXES]),
        net=total(rows[LINES], "NETAMOUNT"),
        gross=total(rows[LINES], "NETAMOUNTINCLTAX"),
        line_tax=total(rows[LINES], "TAXAMOUNT"),
        paid=total(rows[PAYMENTS], "AMOUNTCUR"),
        tax=total(rows[TAXES], "AMOUNT"),
    )


def _fingerprint(key: tuple, rows: dict[str, list[Row]]) -> str:
    said = [repr([_plain(part) for part in key])]
    for table, found in rows.items():
        said += sorted(repr([table, *((name, _plain(value)) for name, value in row.items())]) for row in found)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A value in a spelling that does not depend on engine or driver."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value if value is None or isinstance(value, str) else str(value)
