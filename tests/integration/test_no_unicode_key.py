# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of a row is a text that is no Unicode, as only SQL Server can hold it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from session_world import World, fill, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


SALE = _table("SALE", "ID", ID="nvarchar(20) not null", AMOUNT="int")
TABLES = (SALE,)
SALES = make_scope("sales", "upload", [SALE.name], 0, 1, 11)
SCOPES = (SALES,)


@pytest.mark.parametrize("column", ["AMOUNT is good", "ID"])
def test_one_such_row_stops_no_other(pair: World, monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    fill(pair.child, "SALE", [("a", 1)])
    fill(pair.child, "SALE", [("half", 2)])
    changes = pair.child.engine.changes
    original = changes.stream

    def stream(db: Any, extract: Any) -> Iterator[tuple[int | None, str]]:
        """As SQL Server's speaker gives it, see mssql/texts.py: each half as JSON spells it."""
        for version, text in original(db, extract):
            yield version, text.replace('"half"', '"\\ud800"') if column == "ID" else text

    monkeypatch.setattr(changes, "stream", stream)
    pair.run(SALES)
    assert ("a", 1) in rows(pair.parent, "SALE")
    if column == "ID":
        assert pair.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 1
