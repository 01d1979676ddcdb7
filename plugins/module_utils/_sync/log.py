# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RETAILOFFLINESYNCLOG: what an administrator looks into first. A row a session that moved something, and heartbeats."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

from .metadata import LOG, Scope

#: AX's number for the time zone UTC.
_UTC = 37001


def now() -> datetime:
    """UTC without a zone, in milliseconds, as the vendor's columns hold it."""
    moment = datetime.now(timezone.utc).replace(tzinfo=None)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def write(db: Any, scope: Scope, terminal: str, started: datetime, down: Any, up: Any) -> None:
    """One row in the parent's log.

    :param terminal: the register ID, at most 10 characters.
    :param down: the download's Transfer, None where the scope has none; ``up`` likewise.
    """
    columns = "RECID LOGTIME LOGTIMETZID SCOPEID TOTALDOWNLOADED TOTALDOWNLOADEDOK TOTALDOWNLOADEDERR TOTALUPLOADED TOTALUPLOADEDOK"
    columns += " TOTALUPLOADEDERR SYNCSTARTTIME SYNCSTARTTIMETZID SYNCSTOPTIME SYNCSTOPTIMETZID TERMINAL"
    quote = db.engine.names.quote
    stopped = now()
    values: list[Any] = [time.time_ns() // 1000, _iso(stopped), _UTC, scope.scope_id, *_counts(down), *_counts(up)]
    values += [_iso(started), _UTC, _iso(stopped), _UTC, terminal[:10]]
    marks = ", ".join(
        "CAST(? AS %s)" % db.engine.types.native("datetime") if name.endswith("TIME") else "?"
        for name in columns.split()
    )
    db.execute(
        "INSERT INTO %s (%s) VALUES (%s)" % (quote(*LOG), ", ".join(quote(name) for name in columns.split()), marks),
        *values,
    )


def _counts(transfer: Any) -> list[int]:
    if transfer is None:
        return [0, 0, 0]
    return [transfer.rows, transfer.rows - transfer.quarantined, transfer.quarantined]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


_SHOWN = {
    "REPLICATIONCOUNTER": "counter",
    "TERMINAL": "terminal",
    "SCOPEID": "scope_id",
    "SYNCSTARTTIME": "started",
    "SYNCSTOPTIME": "stopped",
    "TOTALDOWNLOADED": "downloaded",
    "TOTALDOWNLOADEDERR": "downloaded_refused",
    "TOTALUPLOADED": "uploaded",
    "TOTALUPLOADEDERR": "uploaded_refused",
}


def read_last(db: Any, limit: int, terminal: str | None = None) -> list[dict[str, Any]]:
    """The newest rows, newest first, as plain values; times as ISO 8601 in UTC.

    :param limit: how many at the most; the database is not asked for none, since SQL Server refuses to fetch so few (10744).
    :param terminal: only the rows of this register.
    """
    if limit <= 0:
        return []
    quote = db.engine.names.quote
    sql = "SELECT %s FROM %s %s ORDER BY %s DESC OFFSET 0 ROWS FETCH NEXT %d ROWS ONLY" % (
        ", ".join(quote(name) for name in _SHOWN), quote(*LOG),
        "" if terminal is None else "WHERE %s = ?" % quote("TERMINAL"), quote("REPLICATIONCOUNTER"), limit,
    )  # fmt: skip
    rows = db.query(sql, *([] if terminal is None else [terminal[:10]]))
    return [{name: _plain(value) for name, value in zip(_SHOWN.values(), row)} for row in rows]


def scopes_since(db: Any, terminal: str, moment: datetime | None) -> set[int]:
    """The scope IDs that have a row of this register which began at that time or later; at any time for None."""
    quote = db.engine.names.quote
    sql = "SELECT DISTINCT %s FROM %s WHERE %s = ?" % (quote("SCOPEID"), quote(*LOG), quote("TERMINAL"))
    values = [terminal[:10]]
    if moment is not None:
        sql += " AND %s >= CAST(? AS %s)" % (quote("SYNCSTARTTIME"), db.engine.types.native("datetime"))
        values.append(_iso(moment))
    return {int(row[0]) for row in db.query(sql, *values)}


def terminals(db: Any) -> list[str]:
    """Every register that the log has a row of, in alphabetical order."""
    quote = db.engine.names.quote
    rows = db.query("SELECT DISTINCT %s FROM %s WHERE %s <> ''" % (quote("TERMINAL"), quote(*LOG), quote("TERMINAL")))
    return sorted(row[0] for row in rows)


def _plain(value: Any) -> Any:
    return utc(value) if isinstance(value, datetime) else value


def utc(moment: datetime | None) -> str | None:
    """A column's UTC time as people and programs read it; None stays None."""
    return None if moment is None else _iso(moment) + "Z"
