# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all subjects share: the stores, the seed, record ids, times, and the checks that make a wrong input speak."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

Model = TypeVar("Model")

SEED = "axops.retail 6.3.158.0"
LEGAL_ENTITY = "usrt"
FIRST_RECID = 5637144576
"""AX numbers the records of every table from here (0x150000000)."""

BEGINNING = date(2013, 1, 1)
NEVER = date(2154, 12, 31)
"""AX's "valid for ever"."""
UTC = 37001
"""AX's number for the time zone of its date-times."""
LANGUAGES = ("en-us", "de", "ja")


class Table(NamedTuple):
    """Rows of one table of the schema ax; columns that are not named take their default."""

    name: str
    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


@dataclass(frozen=True)
class Store:
    """A store as the declaration has it, and the record ids that the subjects refer to."""

    number: str
    name: str
    registers: tuple[str, ...]
    channel: int
    operating_unit: int
    warehouse: str


@dataclass
class World:
    """Everything that one run of the generator knows: stores, record ids given out, random streams."""

    declared: list[dict[str, Any]]
    _recids: dict[str, int] = field(default_factory=dict)
    _shared: dict[Any, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ValueError for a declaration that the real system could not hold."""
        _ = self.stores, self.area

    @cached_property
    def area(self) -> str:
        """The legal entity, the same for all stores."""
        areas = {store.get("legal_entity", LEGAL_ENTITY) for store in self.declared} or {LEGAL_ENTITY}
        if len(areas) > 1:
            raise ValueError(f"the stores belong to several legal entities: {', '.join(sorted(areas))}")
        return _fits("legal_entity", areas.pop(), 4)

    @cached_property
    def stores(self) -> list[Store]:
        """The declared stores."""
        stores = [self._store(position, declared) for position, declared in enumerate(self.declared)]
        _distinct("store_id", [store.number for store in stores])
        _distinct("register ID", [register for store in stores for register in store.registers])
        return stores

    def _store(self, position: int, declared: dict[str, Any]) -> Store:
        return Store(
            number=_fits("store_id", declared["store_id"], 10),
            name=_fits("name", declared.get("name") or declared["store_id"].title(), 60),
            registers=tuple(_fits("register ID", register, 10) for register in declared["registers"]),
            channel=FIRST_RECID + position,
            operating_unit=FIRST_RECID + OPERATING_UNITS_FROM + position,
            warehouse=f"WH{position + 1:04d}",
        )

    def random(self, subject: str) -> random.Random:
        """A stream of its own for each subject, so that a change to one leaves the others' data as they are."""
        return random.Random(f"{SEED}/{subject}")

    def shared(self, build: Callable[[World], Model]) -> Model:
        """Return build(world), made once: what several subjects refer to, such as the products."""
        if build not in self._shared:
            self._shared[build] = build(self)
        return self._shared[build]

    def recid(self, table: str) -> int:
        """The next record id of a table; tables that inherit from one another share their root's."""
        number = self._recids.get(table, FIRST_RECID)
        self._recids[table] = number + 1
        return number

    def numbered(self, table: str, rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """Put a fresh RECID before each row."""
        return [(self.recid(table), *row) for row in rows]


OPERATING_UNITS_FROM = 100_000
"""Stores are parties, numbered this far from the people, so that neither moves the other."""


def _fits(what: str, value: str, width: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= width:
        raise ValueError(f"{what} must be a text of 1 to {width} characters, not {value!r}")
    return value


def _distinct(what: str, values: list[str]) -> None:
    folded = [value.casefold() for value in values]
    twice = sorted({value for value in values if folded.count(value.casefold()) > 1})
    if twice:
        raise ValueError(f"{what} {', '.join(twice)} is declared twice; headquarters keys it by itself alone")


def moment(rng: random.Random) -> datetime:
    """A time in the year before the data was made, exact in SQL Server's datetime too (1/300 s)."""
    seconds = rng.randrange(365 * 86400)
    return datetime(2013, 8, 1) + timedelta(
        seconds=seconds, milliseconds=rng.choice((0, 3, 7)) + 10 * rng.randrange(99)
    )


def money(rng: random.Random, low: int, high: int) -> Decimal:
    """A shop price between two whole amounts: 4.99, 17.50 …"""
    return Decimal(rng.randrange(low, high)) + rng.choice(
        (Decimal("0.99"), Decimal("0.50"), Decimal("0.95"), Decimal(0))
    )


def long_decimal(rng: random.Random, low: int, high: int) -> Decimal:
    """A number with all the 16 decimals that AX stores."""
    return Decimal(rng.randrange(low, high)) + Decimal(rng.randrange(1, 10**16)) / Decimal(10**16)


def share(amount: Decimal, factor: str) -> Decimal:
    """A part of an amount, rounded to the decimals that AX stores."""
    return (amount * Decimal(factor)).quantize(Decimal("1e-16"))


def check_digit(digits: str) -> str:
    """Append the check digit of EAN and GTIN."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


BEGINNING_TIME = datetime(2013, 1, 1)
NEVER_TIME = datetime(2154, 12, 31, 23, 59, 59)
