# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch has printed is kept though a later statement of it fails: the driver tells one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyodbc
import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine import Target, mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._batches import Batch
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._schema.scripts import Run, ScriptFailed
from ansible_collections.axops.retail.plugins.module_utils._schema.upgrade import Script

PRINTED = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]%s"


class Cursor:
    """As Microsoft's driver behaves, seen with PRINT, PRINT and a table that is not there in one batch."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.left = ["first", "second"]

    def execute(self, _sql: str) -> None:
        self.nextset()

    def nextset(self) -> bool:
        if not self.left:
            self.messages = []
            raise pyodbc.ProgrammingError(
                "42S02", "[42S02] " + PRINTED % "Invalid object name 'x'. (208) (SQLMoreResults)"
            )
        self.messages = [("[01000] (0)", PRINTED % self.left.pop(0))]
        return True

    def close(self) -> None:
        pass


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(mssql.connect, "open_connection", lambda _target: SimpleNamespace(cursor=Cursor))
    return Database(Target("mssql"), mssql)


def test_what_was_printed_before_the_error_is_told(db: Database) -> None:
    with pytest.raises(StatementFailed) as failed:
        db.run_batch("PRINT 'first'; PRINT 'second'; SELECT * FROM x")
    assert failed.value.said == ("first", "second")
    assert failed.value.message.startswith("Invalid object name")


def test_it_is_among_the_facts_of_the_script(db: Database) -> None:
    run = Run(Script("up.sql", ""), [Batch(number=1, line=1, text="PRINT 'first'", times=1)], 0)
    with pytest.raises(ScriptFailed) as failed:
        run._send(db, run.batches[0])
    facts: dict[str, Any] = failed.value.facts["script"]
    assert facts["messages"] == ["first", "second"]
