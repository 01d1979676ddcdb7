# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conflict matrix: what both sides did to one row since they last agreed, and what stands on both sides afterwards.

On PostgreSQL always; between T-SQL servers, and between both engines, where RETAIL_TEST_MSSQL names a server.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator

import mssql_world as world
import pgserver
import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._sync import session
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

#: A table for each policy, so that all cells share one pair; each cell has a key of its own.
TABLES = {
    winner: world.table("CUST_" + winner, "ID", ID="int not null", NAME="nvarchar(20)")
    for winner in ("parent", "child")
}
SCOPES = tuple(world.scope(winner, "bidirectional", table, winner) for winner, table in TABLES.items())
ENGINES = [
    "postgresql-postgresql",
    *(pytest.param(pair, marks=world.needs_server) for pair in ("mssql-mssql", "mssql-postgresql", "postgresql-mssql")),
]

#: (at the child, at the parent): the image on both sides where the parent wins, where the child wins, and whether it is a
#: conflict. Images are called after the side that wrote them; None: the row is gone.
EXPECTED = {
    ("insert", "insert"): ("parent", "child", True),
    ("insert", "update"): ("parent", "child", True),
    ("insert", "delete"): (None, "child", True),
    ("update", "insert"): ("parent", "child", True),
    ("update", "update"): ("parent", "child", True),
    ("update", "delete"): (None, "child", True),
    ("delete", "insert"): ("parent", None, True),
    ("delete", "update"): ("parent", None, True),
    ("delete", "delete"): (None, None, False),
}
CELLS = [(*deeds, winner) for deeds, winner in itertools.product(EXPECTED, TABLES)]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda name: "child-parent:" + name)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with contextlib.ExitStack() as stack:
        child, parent = (_database(engine, request, stack) for engine in request.param.split("-"))
        for db in (child, parent):
            world.make(db, list(TABLES.values()))
        pair = world.paired(child, parent, SCOPES)
        world.synchronise(pair)
        yield pair


def _database(engine: str, request: pytest.FixtureRequest, stack: contextlib.ExitStack) -> Database:
    if engine == "mssql":
        return stack.enter_context(world.fresh())
    server: pgserver.PgServer = request.getfixturevalue("pg_server")
    facts = server.create_database("axops_" + secrets.token_hex(6))
    stack.callback(server.drop_database, facts["database"])
    return world.make_schemas(stack.enter_context(_engine.connect(Target(engine="postgresql", encrypt="no", **facts))))


@pytest.mark.parametrize(("at_child", "at_parent", "winner"), CELLS, ids=["%s-%s-%s_wins" % cell for cell in CELLS])
def test_cell(pair: Pair, at_child: str, at_parent: str, winner: str) -> None:
    key = CELLS.index((at_child, at_parent, winner))
    if (at_child, at_parent) != ("insert", "insert"):
        _do(pair.parent, winner, "insert", key, "common")
        world.synchronise(pair)
    _do(pair.child, winner, at_child, key, "child")
    _do(pair.parent, winner, at_parent, key, "parent")
    world.synchronise(pair, rounds=5)

    image, conflict = EXPECTED[at_child, at_parent][winner == "child"], EXPECTED[at_child, at_parent][2]
    for db in (pair.child, pair.parent):
        assert _images(db, winner, key) == ([image] if image else [])
    assert _kept(pair, winner, key) == ([(winner, at_child != "delete", at_parent != "delete")] if conflict else [])
    assert session.pending(pair, pair.scopes) == []
    assert not any(session.run(pair, scope).noteworthy for scope in pair.scopes)


def _do(db: Database, winner: str, deed: str, key: int, image: str) -> None:
    """``insert`` of a row that is there takes it away first: as a POS does that replaces a record."""
    table = "{ax.CUST_%s}" % winner
    if deed == "update":
        assert world.run(db, "update %s set {NAME} = '%s' where {ID} = %d" % (table, image, key)) == 1
        return
    world.run(db, "delete from %s where {ID} = %d" % (table, key))
    if deed == "insert":
        world.run(db, "insert into %s ({ID}, {NAME}) values (%d, '%s')" % (table, key, image))


def _images(db: Database, winner: str, key: int) -> list[str]:
    return [row[0] for row in world.rows(db, "select {NAME} from {ax.CUST_%s} where {ID} = %d" % (winner, key))]


def _kept(pair: Pair, winner: str, key: int) -> list[tuple[str, bool, bool]]:
    """The conflicts of one cell on both sides: who won, and whether the child's and the parent's image were kept."""
    sql = "select winner, incoming_image, local_image from {dbo.sync_conflict} where table_name = ? and row_key = ?"
    found = [row for db in (pair.child, pair.parent) for row in world.rows(db, sql, "ax.CUST_" + winner, "[%d]" % key)]
    return [(row[0], '"child"' in (row[1] or ""), '"parent"' in (row[2] or "")) for row in found]
