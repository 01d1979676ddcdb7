# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The low-water mark: up to where every transaction is decided.

On SQL Server that is ``MIN_ACTIVE_ROWVERSION()``. Where a server has no such function, its row versions are the
numbers of the
transactions that wrote them (Babelfish), and the oldest open one's number is the same mark.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .._errors import RetailError, StatementFailed
from .._model import TableName
from . import probes

_LOW = "SELECT CAST(MIN_ACTIVE_ROWVERSION() AS bigint)"
_LOW_SUBSTITUTE = "SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot())"
# @@DBTS first: a version given in between makes the pair look busy, never idle.
_CURRENT = "SELECT CAST(@@DBTS AS bigint), CAST(MIN_ACTIVE_ROWVERSION() AS bigint)"
_CURRENT_SUBSTITUTE = "SELECT CAST(pg_catalog.pg_current_snapshot() AS varchar(8000))"

#: For so long a change of the books alone, such as another profile, may go unnoticed.
_BOOKS_SECONDS = 60

_LOW_AGE = (
    "SELECT MAX(DATEDIFF_BIG(millisecond, d.database_transaction_begin_time, GETDATE())) / 1000.0 "
    "FROM sys.dm_tran_database_transactions d JOIN sys.dm_tran_session_transactions s ON s.transaction_id = "
    "d.transaction_id "
    "WHERE d.database_id = DB_ID() AND d.database_transaction_begin_time IS NOT NULL AND s.session_id <> @@SPID"
)
_HOLDER = (
    "SELECT TOP (1) s.session_id, e.login_name, e.host_name, e.program_name, DB_NAME(), "
    "DATEDIFF_BIG(millisecond, d.database_transaction_begin_time, GETDATE()) / 1000.0 "
    "FROM sys.dm_tran_database_transactions d JOIN sys.dm_tran_session_transactions s ON s.transaction_id = "
    "d.transaction_id JOIN sys.dm_exec_sessions e ON e.session_id = s.session_id "
    "WHERE d.database_id = DB_ID() AND d.database_transaction_begin_time IS NOT NULL AND s.session_id <> @@SPID "
    "ORDER BY d.database_transaction_begin_time"
)
#: Everybody sees the row of master; where there is none, the server has no such thing (Babelfish).
_HAS_FORKS = "SELECT 1 / COUNT(*) FROM sys.database_recovery_status"
_FORK = "SELECT CAST(recovery_fork_guid AS nvarchar(36)) FROM sys.database_recovery_status WHERE database_id = DB_ID()"
_BIRTH = (
    "SELECT CAST(database_id AS nvarchar(11)) + N':' + CONVERT(nvarchar(33), create_date, 126) + N':' + "
    "COALESCE(CAST(SERVERPROPERTY('ServerName') AS nvarchar(128)), N'') FROM sys.databases WHERE database_id = DB_ID()"
)


@dataclass(frozen=True)
class Mark:
    """``low``: below it every transaction is decided. ``seen``: None, SQL Server's snapshots cannot be written down;
    what is
    at or above ``low`` may come again, and the receiver knows it. ``current``: changes whenever anything commits."""

    low: int
    seen: str | None


@contextlib.contextmanager
def snapshot(db: Any) -> Iterator[Mark]:
    """A transaction in which every query sees the same moment; yields a mark that is no later than that moment."""
    # Before the snapshot: a transaction that ends between the two is then above the mark, and not lost.
    mark = Mark(low(db), None)
    with repeatable(db):
        yield mark


@contextlib.contextmanager
def repeatable(db: Any) -> Iterator[None]:
    """A transaction in which every statement sees the same moment. It fails as ``transient`` where it would write a row that
    somebody else has changed since."""
    db.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    try:
        with db.transaction():
            yield
    finally:
        with contextlib.suppress(StatementFailed):
            db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def check_seen(db: Any, tables: Iterable[TableName]) -> None:
    """See that the tables are those that the transaction's snapshot sees: the server itself refuses to read one that DDL has changed
    since (3961)."""


def low(db: Any) -> int:
    """The mark now, by itself; outside a transaction."""
    return int(db.value(_LOW if probes.has_low_mark(db) else _LOW_SUBSTITUTE))


def current(db: Any) -> str:
    """A text that differs whenever a transaction began or ended since; equal texts mean that nothing can have
    changed, but for what has no row version, as our own books: so it differs once a minute in any case."""
    if not probes.has_low_mark(db):
        return str(db.value(_CURRENT_SUBSTITUTE))
    highest, lowest = db.row(_CURRENT)
    if lowest <= highest:
        # Somebody writes: others may commit without moving either number, so nothing can be said.
        return "%d:%d:%s" % (highest, lowest, uuid.uuid4())
    return "%d:%d:%d" % (highest, lowest, time.monotonic() // _BOOKS_SECONDS)


def oldest_open(db: Any) -> int | None:
    """The low-water mark while an open writing transaction holds it back, None where none does. As long as it is the same number it is
    the same transaction. Every login sees this."""
    if probes.has_low_mark(db):
        highest, low = db.row(_CURRENT)
        return int(low) if low <= highest else None
    low, high = str(db.value(_CURRENT_SUBSTITUTE)).split(":")[:2]
    return int(low) if int(low) < int(high) else None


def low_age(db: Any) -> float | None:
    """Seconds for which the oldest open writing transaction has held the low-water mark back; 0 where there is none.

    None where there is one that this login may not see (VIEW SERVER STATE).
    """
    try:
        age = db.value(_LOW_AGE)
    except StatementFailed as error:
        if error.kind in ("lost", "transient"):
            raise
        age = None
    if age is None:
        return 0.0 if oldest_open(db) is None else None
    return float(age)


def holder(db: Any) -> dict[str, Any] | None:
    """The session whose open transaction holds the low-water mark back, None where there is none.

    ``session`` (its session_id), ``user``, ``host``, ``program``, ``database``, and ``seconds`` for which it has been open. None,
    too, where this login may not see other sessions (VIEW SERVER STATE).
    """
    try:
        row = db.row(_HOLDER)
    except StatementFailed as error:
        if error.kind in ("lost", "transient"):
            raise
        return None
    return None if row is None else _held_by(row)


def _held_by(row: Any) -> dict[str, Any]:
    names = ("session", "user", "host", "program", "database")
    return {**dict(zip(names, row)), "seconds": round(float(row[5]), 1)}


def incarnation(db: Any) -> str:
    """Which database this is; a restored one has another recovery fork, and so another incarnation.

    :raises RetailError: this login may not see it. Anything else that it may see would be another name for the same database.
    """
    if not probes.works(db, _HAS_FORKS):
        return "mssql:%s" % db.value(_BIRTH)
    fork = db.value(_FORK)
    if not fork:
        raise RetailError(
            "The login %s may not see in sys.database_recovery_status which database %s is."
            % (db.target.user or "of this account", db.target.where),
            "Give it that right in the database master, which everybody has by default: GRANT VIEW ANY DATABASE TO [LOGIN].",
        )
    return "mssql:%s" % fork


def continues(old: str, new: str) -> bool:
    """Whether the versions that the first incarnation gave are lower than those that the second gives.

    They are, since a restored or moved database goes on with its own counter.
    """
    return bool(old and new)


def newer_than(column: str, low: int, seen: str | None) -> str:
    """SQL: the version (a rowversion) was given at or after ``low``. ``seen`` says nothing here."""
    return "%s >= 0x%016X" % (column, max(0, int(low)))
