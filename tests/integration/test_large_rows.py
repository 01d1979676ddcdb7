# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of what is read is in memory at a time, however large rows are."""

from __future__ import annotations

import tracemalloc

import pytest
from session_world import World, both_engines

from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._engine._wire import Extract
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope

pytestmark = both_engines

PICTURE = Table(
    TableName("ax", "PICTURE"),
    (
        Column.parse("ID", "bigint not null"),
        Column.parse("NAME", "nvarchar(20)"),
        Column.parse("TEXT", "nvarchar(max)"),
    ),
    ("ID",),
)
TABLES = (PICTURE,)
SCOPES = (make_scope("pictures", "download", [PICTURE.name], 0, 1, 11),)
SMALL, LARGE, SIZE = 60, 24, 2_000_000


@pytest.mark.parametrize("low", [None, 0], ids=["load", "changes"])
def test_large_rows_do_not_pile_up(pair: World, low: int | None) -> None:
    """Neither in the first fetch, of which nothing is known, nor after many small ones."""
    db = pair.parent
    for number in range(SMALL + LARGE):
        text = "x" * SIZE if number >= SMALL else "small"
        db.execute('INSERT INTO ax."PICTURE" VALUES (?, ?, ?)', number, "n%d" % number, text)
    extract = Extract(PICTURE, PICTURE.columns, low, None, 99)
    sizes = []
    with db.engine.marks.snapshot(db):
        tracemalloc.start()
        try:
            for _version, text in db.engine.changes.stream(db, extract):
                sizes.append(len(text))
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(sizes) == SMALL + LARGE
    assert sum(sizes) > LARGE * SIZE
    assert peak < LARGE * SIZE / 2
