# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that are made to travel, on SQL Server."""

from __future__ import annotations

import mssql_world as world

pytestmark = world.needs_server
ITEM = world.table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(20)")


def test_rows_are_touched_buried_and_written() -> None:
    with world.fresh() as db:
        world.make(db, (ITEM,))
        repairs = db.engine.repairs
        world.run(db, "insert into {ax.ITEM} ({ID}, {NAME}) values (1, 'a'), (2, 'b')")
        world.run(db, "delete from {ax.ITEM_tracking} where {ID} = 2")
        sql = "select {ID}, origin, created_here, sync_row_is_tombstone, cast(version as bigint) from {ax.ITEM_tracking} order by {ID}"
        before = world.rows(db, sql)
        with db.transaction():
            repairs.touch(db, ITEM, ['{"k0":1}', '{"k0":2}', '{"k0":3}'], born=True, alone=False)
        after = world.rows(db, sql)
        assert [row[:4] for row in after] == [(1, None, 1, 0), (2, None, 1, 0), (3, None, 1, 1)]
        assert after[0][4] > before[0][4]
        world.run(db, "update {ax.ITEM_tracking} set sync_row_is_tombstone = 0 where {ID} = 3")
        assert repairs.orphans(db, [ITEM]) == [1]
        assert repairs.bury(db, ITEM) == 1
        assert repairs.orphans(db, [ITEM]) == [0]
        with db.transaction():
            repairs.put(db, ITEM, ITEM.columns, '{"k0":1,"k1":"new"}')
            repairs.put(db, ITEM, ITEM.columns, '{"k0":9,"k1":null}')
            repairs.remove(db, ITEM, '{"k0":2}')
        assert world.rows(db, "select {ID}, {NAME} from {ax.ITEM} order by {ID}") == [(1, "new"), (9, None)]
