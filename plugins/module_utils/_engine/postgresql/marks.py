# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The low-water mark: up to where every transaction is decided."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .._errors import RetailError, StatementFailed
from .._model import TableName
from . import names


@dataclass(frozen=True)
class Mark:
    """``low``: below it every transaction is decided. ``seen``: the snapshot itself, so that the next session can leave out
    exactly what this one saw even while one long writer holds ``low`` back."""

    low: int
    seen: str | None


@contextlib.contextmanager
def snapshot(db: Any) -> Iterator[Mark]:
    """A read-only transaction in which every query sees the same moment; yields that moment's mark."""
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = db.row(
            "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint), CAST(pg_current_snapshot() AS text)"
        )
        yield Mark(int(row[0]), str(row[1]))


@contextlib.contextmanager
def repeatable(db: Any) -> Iterator[None]:
    """A transaction in which every statement sees the same moment. It fails as ``transient`` where it would write a row that
    somebody else has changed since."""
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def check_seen(db: Any, tables: Iterable[TableName]) -> None:
    """See that the tables are those that the transaction's snapshot sees, once they are locked: one that was rewritten since (ALTER TABLE
    … TYPE) looks empty in it. What a query finds in the catalog is of the snapshot, what the function says is of now.

    :raises StatementFailed: one of them was rewritten, ``changed``; another transaction sees it as it is.
    """
    found = db.query(
        "SELECT w.name FROM (VALUES %s) AS w (name) WHERE to_regclass(w.name) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_class c "
        "WHERE c.oid = to_regclass(w.name) AND nullif(c.relfilenode, 0) IS NOT DISTINCT FROM pg_relation_filenode(c.oid))"
        % ", ".join("(%s)" % names.literal(names.quote(*table)) for table in tables)
    )
    if found:
        raise StatementFailed("The table %s was rewritten meanwhile." % ", ".join(row[0] for row in found), "changed")


def low(db: Any) -> int:
    """The mark now, by itself."""
    return int(db.value("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"))


def current(db: Any) -> str:
    """A text that differs whenever a transaction began or ended since; equal texts mean that nothing can have changed."""
    return str(db.value("SELECT CAST(pg_current_snapshot() AS text)"))


def oldest_open(db: Any) -> int | None:
    """The low-water mark while an open writing transaction holds it back, None where none does. As long as it is the same number it is
    the same transaction, in whichever database of the cluster, prepared or not. Every login sees this."""
    low, high = str(db.value("SELECT CAST(pg_current_snapshot() AS text)")).split(":")[:2]
    return int(low) if int(low) < int(high) else None


def low_age(db: Any) -> float | None:
    """Seconds for which the oldest open writing transaction has held the low-water mark back; 0 where there is none.

    None where it is another login's, and this one no member of pg_read_all_stats.
    """
    found = holder(db)
    return 0.0 if found is None else found["seconds"]


def holder(db: Any) -> dict[str, Any] | None:
    """The session whose open transaction holds the low-water mark back, None where there is none.

    ``session`` (its process ID), ``user``, ``host``, ``program``, ``database``, and ``seconds`` for which it has been open. A login
    that is no member of pg_read_all_stats sees other users' sessions without host and seconds: these are None then, and so is the
    session of a prepared transaction.
    """
    row = db.row(
        "SELECT pid, usename, CASE WHEN xact_start IS NOT NULL THEN coalesce(client_hostname, host(client_addr), 'localhost') END, "
        "application_name, datname, CAST(extract(epoch FROM clock_timestamp() - xact_start) AS double precision), "
        "age(backend_xid) AS behind FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() "
        "UNION ALL SELECT NULL, owner, NULL, 'prepared transaction ' || gid, database, "
        "CAST(extract(epoch FROM clock_timestamp() - prepared) AS double precision), age(transaction) FROM pg_prepared_xacts "
        "ORDER BY behind DESC LIMIT 1"
    )
    return None if row is None else _held_by(row)


def _held_by(row: Any) -> dict[str, Any]:
    names = ("session", "user", "host", "program", "database")
    return {**dict(zip(names, row)), "seconds": None if row[5] is None else round(float(row[5]), 1)}


def incarnation(db: Any) -> str:
    """Which database on which cluster this is; a restored dump or a copy on another server has another one."""
    return str(
        db.value(
            "SELECT 'postgresql:' || s.system_identifier || ':' || d.oid FROM pg_control_system() s, pg_database d "
            "WHERE d.datname = current_database()"
        )
    )


def continues(old: str, new: str) -> bool:
    """Whether the versions that the first incarnation gave are lower than those that the second gives.

    They are as long as the cluster is the same one: its transactions are numbered on.
    """
    return old.split(":")[:2] == new.split(":")[:2]


def newer_than(column: str, low: int, seen: str | None) -> str:
    """SQL: the version was given at or after ``low`` and not seen by the snapshot ``seen``."""
    condition = "%s >= %d" % (column, int(low))
    if seen is None:
        return condition
    if not re.match(r"^\d+:\d+:[\d,]*$", seen):
        raise RetailError("The stored snapshot %r is damaged." % seen, "Reprovision this pair.")
    visible = "pg_visible_in_snapshot(CAST(CAST(%s AS text) AS xid8), CAST('%s' AS pg_snapshot))" % (column, seen)
    return "(%s AND NOT %s)" % (condition, visible)
