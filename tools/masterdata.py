# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Master data of a headquarters, made up but shaped like the real thing, the same at every run.

    for table, columns, rows in generate([{"store_id": "HOUSTON", "registers": ["000001", "000002"]}]):
        ...                                        # ax.CURRENCY, ["RECID", …], [(5637144576, …), …]
    counts = load(connection, quote, stores)

More than 50,000 rows for the tables that the scheduler jobs move (see _masterdata/, a module a subject): record ids
refer to each other as AX's do, natural keys are unique even to a careless collation, texts hold the scripts, quotes and
emoji that find shortcuts, numbers all their 16 decimals. The RETAILOFFLINE* tables are not among them, nor an offline
profile in the store's record: those are the hq role's.

A store is {"store_id": its STORENUMBER, "registers": [register IDs]}; "name" and "legal_entity" (usrt) are optional.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from _masterdata import (
    channels,
    currency,
    customers,
    descriptions,
    discounts,
    places,
    prices,
    products,
    reasons_and_loyalty,
    registers,
    staff,
    tax_and_company,
)
from _masterdata.samples import samples as type_samples
from _masterdata.world import World
from _sql import Quote, insert, transaction

__all__ = ["channel_of", "generate", "load", "load_chunks", "type_samples"]

Chunk = tuple[str, list[str], list[tuple[Any, ...]]]
"""A table with its schema, the columns that are given, the rows."""

SUBJECTS = (
    *(currency, customers, places, products, descriptions, prices, discounts, reasons_and_loyalty),
    *(staff, channels, tax_and_company, registers),
)
CHUNK_ROWS = 1000


def generate(stores: list[dict[str, Any]]) -> Iterator[Chunk]:
    """Yield (table "ax.X", columns, rows) in chunks of at most 1,000 rows; a table may come in several chunks.

    Raises ValueError for store or register IDs that are too long or used twice.
    """
    world = World(stores)
    world.check()
    for subject in SUBJECTS:
        for table in subject.tables(world):
            rows = iter(table.rows)
            while chunk := list(islice(rows, CHUNK_ROWS)):
                yield f"ax.{table.name}", list(table.columns), chunk


def channel_of(stores: list[dict[str, Any]], store_id: str) -> int:
    """Return the RECID of a store's channel, which its transactions carry. Raises KeyError for an unknown store."""
    return {store.number: store.channel for store in World(stores).stores}[store_id]


def load(connection: Any, quote: Quote, stores: list[dict[str, Any]]) -> dict[str, int]:
    """Insert the master data of these stores in one transaction and return the number of rows of each table.

    connection: pyodbc, to a database that has the tables. quote: makes a name an identifier of its engine.
    """
    return load_chunks(connection, quote, generate(stores))


def load_chunks(connection: Any, quote: Quote, chunks: Iterable[Chunk]) -> dict[str, int]:
    """Insert chunks as generate() and type_samples() yield them, all or nothing."""
    counts: Counter[str] = Counter()
    with transaction(connection) as cursor:
        for table, columns, rows in chunks:
            insert(cursor, quote, table, columns, rows)
            counts[table] += len(rows)
    return dict(counts)
