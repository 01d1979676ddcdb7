# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The distribution history at HQ: a row of ax.RETAILCDXSESSION for each run of a job that moved something, or failed.

A run has its row from its first session that moved something; a run that is cut off leaves it without an end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._engine._model import TableName
from .._sync import log
from .._sync.metadata import DIRECTIONS

SESSION = TableName("ax", "RETAILCDXSESSION")
RUNNING, APPLIED, FAILED = 0, 1, 2
STATES = ("running", "applied", "failed")


@dataclass
class Entry:
    """The row of one run; written when there is something to say."""

    hq: Any
    data_store: str
    job: str
    direction: str
    started: datetime = field(default_factory=log.now)
    _there: bool = False

    def write(self, status: int, rows: int, tables: Mapping[str, Any], message: str | None = None) -> None:
        """Say how far the run has come.

        :param tables: rows by table, as people are to read them.
        """
        facts: dict[str, Any] = {"STATUS": status, "ROWSAFFECTED": rows, "TABLEROWS": json.dumps(tables)}
        if status != RUNNING:
            facts["STOPDATETIME"] = log.now().isoformat(timespec="milliseconds")
        if message is not None:
            facts["MESSAGE"] = message
        if self._there:
            self._update(facts)
        else:
            self._insert(facts)

    @property
    def _key(self) -> dict[str, Any]:
        return {
            "DATASTORE": self.data_store,
            "JOBID": self.job,
            "STARTDATETIME": self.started.isoformat(timespec="milliseconds"),
        }

    def _insert(self, facts: Mapping[str, Any]) -> None:
        values = {**self._key, "DIRECTION": DIRECTIONS.index(self.direction), **facts}
        columns = ", ".join(self._quote(name) for name in values)
        marks = ", ".join(self._mark(name) for name in values)
        self.hq.execute("INSERT INTO %s (%s) VALUES (%s)" % (self._quote(*SESSION), columns, marks), *values.values())
        self._there = True

    def _update(self, facts: Mapping[str, Any]) -> None:
        settings = ", ".join("%s = %s" % (self._quote(name), self._mark(name)) for name in facts)
        mine = " AND ".join("%s = %s" % (self._quote(name), self._mark(name)) for name in self._key)
        sql = "UPDATE %s SET %s WHERE %s AND %s = %d" % (
            self._quote(*SESSION), settings, mine, self._quote("STATUS"), RUNNING,
        )  # fmt: skip
        self.hq.execute(sql, *facts.values(), *self._key.values())

    def _mark(self, name: str) -> str:
        return "CAST(? AS %s)" % self.hq.engine.types.native("datetime") if name.endswith("DATETIME") else "?"

    def _quote(self, *parts: str) -> str:
        return str(self.hq.engine.names.quote(*parts))


def read(hq: Any, data_store: str, most: int) -> list[dict[str, Any]]:
    """The last runs for one channel database, the newest first; none where HQ has no such table yet."""
    if most <= 0 or hq is None or SESSION not in hq.engine.tables.read(hq, [SESSION]):
        return []
    quote = hq.engine.names.quote
    names = ("JOBID", "DIRECTION", "STATUS", "ROWSAFFECTED", "STARTDATETIME", "STOPDATETIME", "MESSAGE", "TABLEROWS")
    rows = hq.query(
        "SELECT %s FROM %s WHERE %s = ? ORDER BY %s DESC OFFSET 0 ROWS FETCH NEXT %d ROWS ONLY"
        % (", ".join(map(quote, names)), quote(*SESSION), quote("DATASTORE"), quote("RECID"), most),
        data_store,
    )
    return [_document(dict(zip(names, row))) for row in rows]


def _document(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job": record["JOBID"],
        "direction": DIRECTIONS[record["DIRECTION"]],
        "status": STATES[record["STATUS"]],
        "rows": int(record["ROWSAFFECTED"]),
        "started": log.utc(record["STARTDATETIME"]),
        "stopped": log.utc(record["STOPDATETIME"]),
        "message": record["MESSAGE"] or "",
        "tables": json.loads(record["TABLEROWS"] or "[]"),
    }
