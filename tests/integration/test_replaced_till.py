# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A till that is broken is replaced by one with an empty database: what its parent has put aside of it is nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pgserver
import pytest
from offline_world import target
from session_world import World, rows

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import kept, metadata, retry
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

SALE = Table(TableName("ax", "SALE"), (Column.parse("ID", "bigint not null"), Column.parse("AMOUNT", "int")), ("ID",))
CUSTOMER = Table(
    TableName("ax", "CUSTOMER"), (Column.parse("ID", "bigint not null"), Column.parse("NAME", "nvarchar(20)")), ("ID",)
)
TABLES = (SALE, CUSTOMER)
SCOPES = (
    make_scope("sales", "upload", [SALE.name], 0, 1, 11),
    make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 2, 12),
)


@pytest.fixture
def fresh(pg_server: pgserver.PgServer, new_database: Callable[[Any], dict[str, Any]]) -> Iterator[Database]:
    with connect(target(new_database(pg_server))) as db:
        yield db


def test_what_was_put_aside_of_a_till_is_its_successors(pair: World, fresh: Database) -> None:
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CONSTRAINT mended CHECK ("AMOUNT" <> 13)')
    with pair.child.transaction():
        pair.child.execute('INSERT INTO ax."SALE" VALUES (1, 13), (2, 5)')
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'of the store')""")
    pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'of the till')""")
    pair.settle()
    assert rows(pair.parent, "SALE") == []
    replaced = World(fresh, pair.parent)
    replaced.provision(SCOPES, reprovision=True)
    replaced.settle()
    there = Pair(replaced.child, replaced.parent)
    assert metadata.count_kept(there.parent, metadata.QUARANTINE, there.downwards.peer_id) == {"sales": 2}
    assert metadata.count_kept(there.parent, metadata.CONFLICT, there.downwards.peer_id) == {"customers": 1}
    pair.parent.execute('ALTER TABLE ax."SALE" DROP CONSTRAINT mended')
    assert [one["result"] for one in retry.retry(there, kept.quarantined(there))] == [retry.STORED]
    replaced.settle()
    assert rows(pair.parent, "SALE") == [(1, 13), (2, 5)]
    assert kept.quarantined(there) == []
