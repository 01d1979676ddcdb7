# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HQ's service only reads a store's transactions (``DataSyncUsersRole``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from session_world import World, fill, rows

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import kept, retry
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
TABLES = (SALE,)
SALES = make_scope("sales", "upload", [SALE.name], 0, 1, 11)
SCOPES = (SALES,)


@pytest.fixture
def reader(pair: World) -> Iterator[Database]:
    """The child as somebody who writes the books, and reads the sales and their tracking."""
    db = pair.child
    name = "reader_%s" % db.target.database
    db.execute("CREATE ROLE \"%s\" LOGIN PASSWORD 'secret'" % name)
    for statement in (
        'GRANT USAGE ON SCHEMA ax, dbo TO "%s"',
        'GRANT SELECT ON ALL TABLES IN SCHEMA ax TO "%s"',
        'GRANT INSERT, UPDATE, DELETE ON ax."SALE_tracking" TO "%s"',
        'GRANT ALL ON ALL TABLES IN SCHEMA dbo TO "%s"',
    ):
        db.execute(statement % name)
    with connect(replace(db.target, user=name, password="secret")) as made:
        yield made
    db.execute('DROP OWNED BY "%s"' % name)
    db.execute('DROP ROLE "%s"' % name)


@pytest.mark.parametrize("who", ["owner", "reader"])
def test_a_retry_needs_no_more_than_a_session_does(pair: World, reader: Database, who: str) -> None:
    child = pair.child if who == "owner" else reader
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CONSTRAINT mended CHECK ("AMOUNT" < 10)')
    fill(pair.child, "SALE", [(1, 10)])
    # as verify --repair does
    table = pair.child.engine.tables.read(pair.child, [SALE.name])[SALE.name]
    with pair.child.transaction():
        pair.child.engine.repairs.touch(pair.child, table, ['{"k0":1}'], born=True, alone=True)
    both = Pair(child, pair.parent)
    World(child, pair.parent).run(SALES)
    pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 11')
    World(child, pair.parent).run(SALES)
    assert len(kept.quarantined(both)) == 2
    pair.parent.execute('ALTER TABLE ax."SALE" DROP CONSTRAINT mended')
    results = retry.retry(both, kept.quarantined(both))
    assert {one["result"] for one in results} == {retry.STORED}
    assert rows(pair.parent, "SALE") == [(1, 11)]
