# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The books of a history: who wrote what over what. A write that nobody can account for at the end was lost silently."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fleet import Work


@dataclass
class Sale:
    """A sale that was committed. ``head``: the number of its header. ``closed``: nobody touches it any more. ``optional``:
    it need not arrive."""

    owner: str
    head: int = 0
    closed: bool = False
    optional: bool = False


@dataclass
class Ledger:
    """Every committed write has a number of its own, and the number that it was written over."""

    last: int = 0
    ancestor: dict[int, int | None] = field(default_factory=dict)
    #: Numbers that somebody saw and deleted.
    deleted: set[int] = field(default_factory=set)
    #: Numbers that a lost database took with it, or that were purged before they went up.
    forgiven: set[int] = field(default_factory=set)
    #: The keys of stamps that a lost database took with it.
    lost_stamps: set[tuple[Any, ...]] = field(default_factory=set)
    sales: dict[int, Sale] = field(default_factory=dict)
    #: Where each number was committed.
    written_at: dict[int, str] = field(default_factory=dict)
    #: The numbers that sales had before they got another one; a restored database may bring one back.
    former: set[int] = field(default_factory=set)
    #: The numbers that were committed as a customer's value.
    customers: set[int] = field(default_factory=set)
    #: The numbers that stand in a row with the next version's column.
    with_extra: set[int] = field(default_factory=set)
    #: Database, table and key of what was deleted there.
    deleted_at: set[tuple[str, str, int]] = field(default_factory=set)
    #: Database and sale.
    purged_at: set[tuple[str, int]] = field(default_factory=set)

    def number(self) -> int:
        self.last += 1
        return self.last

    def commit(self, owner: str, work: Work) -> None:
        self.ancestor.update(work.writes)
        self.written_at.update(dict.fromkeys(dict(work.writes), owner))
        self.deleted.update(work.deleted)
        self.deleted_at.update((owner, table, key) for table, key in work.gone)
        self.customers.update(work.customers)
        for sale in work.sold:
            self.sales[sale] = Sale(owner)
        for old, new in work.renamed.items():
            self.sales[new] = self.sales.pop(old)
            self.former.add(old)
        for sale, number in work.touched.items():
            self.sales[sale].head = number
        for sale, unseen in work.purged.items():
            self.purged_at.add((owner, sale))
            self.sales[sale].closed = True
            self.sales[sale].optional |= bool(unseen)
            self.forgiven |= unseen

    def lost(self, standing: Iterable[int]) -> list[int]:
        """The writes that are nowhere.

        :param standing: the numbers that are in a table, or that lost a conflict and were kept, or were put aside.
        """
        accounted: set[int] = set()
        for number in [*standing, *self.deleted, *self.forgiven]:
            current: int | None = number
            while current is not None and current not in accounted:
                accounted.add(current)
                current = self.ancestor.get(current)
        return sorted(set(self.ancestor) - accounted)
