# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to put something aside."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from session_world import World

from ansible_collections.axops.retail.plugins.module_utils._engine import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


SALE = _table("SALE", "ID", ID="bigint not null", NOTE="nvarchar(4000)")
TABLES = (SALE,)
SALES = make_scope("sales", "upload", [SALE.name], 0, 1, 11)
SCOPES = (SALES,)


@pytest.mark.parametrize("number", [20_000])
@pytest.mark.parametrize("bad", [False, True])
def test_one_bad_row_of_many_takes_no_memory(pair: World, bad: bool, number: int) -> None:
    """One bad row of many: what is put aside is one row."""
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CONSTRAINT mended CHECK ("ID" <> -1)')
    pair.child.execute("""INSERT INTO ax."SALE" SELECT n, repeat('x', 3000) FROM generate_series(1, %d) n""" % number)
    if bad:
        pair.child.execute("""INSERT INTO ax."SALE" VALUES (-1, 'x')""")
    tracemalloc.start()
    session = pair.run(SALES)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert session.up.quarantined == int(bad)
    assert peak < 30_000_000


def test_a_large_transaction_asks_once_what_was_put_aside_of_it(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its rows have one version: asked for each of them, time would grow with the square of their number."""
    pair.parent.execute("""ALTER TABLE ax."SALE" ADD CONSTRAINT mended CHECK ("NOTE" <> 'bad')""")
    asked: list[str] = []
    original = Database.query

    def query(db: Database, sql: str, *parameters: Any) -> Any:
        asked.append(sql)
        return original(db, sql, *parameters)

    with pair.child.transaction():
        pair.child.execute("""INSERT INTO ax."SALE" SELECT n, 'x' FROM generate_series(1, 200) n""")
        pair.child.execute("""INSERT INTO ax."SALE" VALUES (-1, 'bad')""")
    monkeypatch.setattr(Database, "query", query)
    assert pair.run(SALES).up.quarantined == 201
    assert sum("SELECT row_image" in sql for sql in asked) == 1
