# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The books of all that clients committed, kept outside the databases, and the count of what became of it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database

#: One row of a sale: what it is, the sale's number, its line, its amount, and what else it says.
Row = tuple[str, str, int, int, str]

HEADS, LINES, PAYMENTS = (
    'SELECT "TRANSACTIONID", "LINES", "AMOUNT", "CURRENCY" FROM ax."RETAILTRANSACTIONTABLE"',
    'SELECT "TRANSACTIONID", "LINENUM", "AMOUNT", "COMMENT" FROM ax."RETAILTRANSACTIONSALESTRANS"',
    'SELECT "TRANSACTIONID", "LINENUM", "AMOUNT", "TENDERTYPE" FROM ax."RETAILTRANSACTIONPAYMENTTRANS"',
)
_ALL = tuple(zip(("head", "line", "payment"), (HEADS, LINES, PAYMENTS)))


@dataclass
class Books:
    """What was committed. A commit that broke off is settled by a look at the client's own database."""

    sales: dict[str, frozenset[Row]] = field(default_factory=dict)
    prices: dict[int, int] = field(default_factory=dict)
    #: Each write of a customer, and the write that it was written over by somebody who had seen it.
    writes: dict[int, int | None] = field(default_factory=dict)
    #: Which customer each write changed, where, and when.
    where: dict[int, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _last: int = 0

    def copied(self) -> Books:
        """Books that go on from here by themselves."""
        return Books(dict(self.sales), dict(self.prices), dict(self.writes), dict(self.where), _last=self._last)

    def number(self) -> int:
        """A number that nothing else has."""
        with self.lock:
            self._last += 1
            return self._last


def sales_of(db: Database) -> dict[str, frozenset[Row]]:
    """The sales in a database as its readers see them in one moment; a sale without a header shows, too."""
    found: dict[str, set[Row]] = {}
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for kind, sql in _ALL:
            for number, line, amount, text in db.query(sql):
                found.setdefault(number, set()).add((kind, number, int(line), int(amount), text))
    return {number: frozenset(rows) for number, rows in found.items()}


def torn(db: Database) -> list[str]:
    """The sales of which a reader sees a part in this moment; whether they are the right ones is left to :func:`count`."""
    found = []
    for number, rows in sales_of(db).items():
        kinds = Counter(row[0] for row in rows)
        heads = [row for row in rows if row[0] == "head"]
        if len(heads) != 1 or kinds["line"] != heads[0][2] or kinds["payment"] != 1:
            found.append(number)
    return sorted(found)


def customers_of(db: Database) -> dict[int, int]:
    """The number of the write that stands, by customer."""
    return {int(row[0]): int(row[1]) for row in db.query('SELECT "ACCOUNTNUM", "WRITE" FROM ax."CUSTTABLE"')}


def prices_of(db: Database) -> dict[int, int]:
    return {int(row[0]): int(row[1]) for row in db.query('SELECT "RECID", "AMOUNT" FROM ax."PRICEDISCTABLE"')}


@dataclass
class Count:
    """The loss, by name. ``kinds`` says it in one line."""

    committed: int
    lost: list[str]
    doubled: list[str]
    halved: list[str]
    strange: list[str]
    prices: list[int]
    customers: list[int]
    overwritten: list[str]

    def kinds(self) -> str:
        return (
            f"{self.committed} sales: {len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.halved)} halved, "
            f"{len(self.strange)} from nowhere; {len(self.prices)} prices and {len(self.customers)} customers differ, "
            f"{len(self.overwritten)} writes of customers lost silently"
        )

    def expect_nothing(self) -> None:
        """Each kind of loss is 0."""
        assert self.lost == [], "sales lost: %s" % self.lost
        assert self.doubled == [], "sales that arrived more than once: %s" % self.doubled
        assert self.halved == [], "sales that are not what was sold: %s" % self.halved
        assert self.strange == [], "sales that nobody made: %s" % self.strange
        assert self.prices == [], "prices that differ: %s" % self.prices
        assert self.customers == [], "customers that differ: %s" % self.customers
        assert self.overwritten == [], "writes that are nowhere: %s" % self.overwritten


def count(
    books: Books,
    child: Database,
    parent: Database,
    gone: frozenset[str] = frozenset(),
    remembered: Iterable[int] = (),
) -> Count:
    """Compare both databases with the books.

    gone: sales that a restored child cannot have any more; the parent must have them all the same. remembered: writes that a
    database had kept as conflicts before it was lost.
    """
    below, above = sales_of(child), sales_of(parent)
    wanted = {**books.sales}
    return Count(
        committed=len(wanted),
        lost=sorted(
            [f"{number} at the parent" for number in wanted if number not in above]
            + [f"{number} at the child" for number in wanted if number not in below and number not in gone]
        ),
        doubled=arrivals(parent),
        halved=sorted(
            f"{number} at the {side}"
            for side, there in (("parent", above), ("child", below))
            for number, rows in there.items()
            if number in wanted and rows != wanted[number]
        ),
        strange=sorted({*above, *below} - set(wanted)),
        prices=_differing(books.prices, prices_of(child), prices_of(parent)),
        customers=_differing(customers_of(child), customers_of(parent)),
        overwritten=silently_lost(books, remembered, child, parent),
    )


def arrivals(parent: Database) -> list[str]:
    """Rows that were inserted at the parent more than once; its trigger notes every insertion."""
    noted = Counter(tuple(row) for row in parent.query('SELECT "WHAT", "NUMBER", "LINE" FROM ax."ARRIVAL"'))
    return sorted("%s %s %s" % row for row, times in noted.items() if times > 1)


def silently_lost(books: Books, remembered: Iterable[int], *databases: Database) -> list[str]:
    """Writes of customers that do not stand, were not seen by who wrote over them, and are not kept as a conflict."""
    left = [number for db in databases for number in [*customers_of(db).values(), *kept(db)]]
    accounted: set[int] = set()
    for number in [*left, *remembered]:
        current: int | None = number
        while current is not None and current not in accounted:
            accounted.add(current)
            current = books.writes.get(current)
    return [f"{number} {books.where.get(number, '')}" for number in sorted(set(books.writes) - accounted)]


def kept(db: Database) -> list[int]:
    """The writes in the images of conflicts."""
    found = []
    for image in db.query(
        "SELECT incoming_image FROM dbo.sync_conflict UNION ALL SELECT local_image FROM dbo.sync_conflict"
    ):
        said: Any = json.loads(image[0]) if image[0] else {}
        if "WRITE" in said:
            found.append(int(said["WRITE"]))
    return found


def _differing(first: dict[int, int], *others: dict[int, int]) -> list[int]:
    return sorted(key for key in set(first).union(*others) if any(other.get(key) != first.get(key) for other in others))
