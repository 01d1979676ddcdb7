# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Application locks: one session at a time for a pair and scope. And a table that has to stay as it is for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from .._model import TableName
from . import names
from .tracking import tracking_name

#: The processes that may hold locks, but for one that starts the others.
_PROCESSES = (
    "max_connections",
    "max_prepared_transactions",
    "autovacuum_max_workers",
    "max_worker_processes",
    "max_wal_senders",
)
#: A temporary table, with what holds its large values.
_TEMPORARY = 3
#: The books of the synchronisation, with their indexes.
_BOOKS = 30


@contextlib.contextmanager
def held(db: Any, name: str) -> Iterator[bool]:
    """Yields whether the lock ``name`` could be taken; it is freed at the end, or by the server when the connection goes."""
    taken = bool(db.value("SELECT pg_try_advisory_lock(hashtextextended(CAST(? AS text), 0))", name))
    try:
        yield taken
    finally:
        if taken:
            with contextlib.suppress(Exception):
                db.value("SELECT pg_advisory_unlock(hashtextextended(CAST(? AS text), 0))", name)


def room(db: Any) -> int | None:
    """How many locks all sessions of the server can hold at the same time, at the least.

    Each entry is one session's lock on one table or index. The server makes twice as many of them as it makes for the objects, for
    which ``max_locks_per_transaction`` is the average of all processes that it may have (PostgreSQL's ``lock.c``).
    """
    named = " + ".join("current_setting('%s')::integer" % name for name in _PROCESSES)
    return int(db.value("SELECT 2 * current_setting('max_locks_per_transaction')::integer * (1 + %s)" % named))


def needed(db: Any, tables: Sequence[TableName]) -> int:
    """How many locks a transaction holds that applies rows to all these tables: on each, its tracking table, the indexes of both, and
    the temporary table for what came."""
    both = [name for table in tables for name in (table, tracking_name(table))]
    if not both:
        return 0
    sql = (
        "SELECT count(*) + (SELECT count(*) FROM pg_index i WHERE i.indrelid = ANY (array_agg(c.oid))) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) IN (%s)"
    )
    there = db.value(sql % ", ".join("(%s, %s)" % tuple(names.literal(part) for part in name) for name in both))
    return int(there) + _TEMPORARY * len(tables) + _BOOKS


def share(db: Any, table: TableName) -> None:
    """Wait for those who are writing the table; until the end of this transaction nobody else begins to."""
    db.execute("LOCK TABLE %s IN SHARE MODE" % names.quote(*table))
