# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filtered rows between SQL Server databases, and between SQL Server and PostgreSQL, both ways round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import mssql_world as world
import pytest
from elapsed import let_pass

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition, Member, all_moves
from ansible_collections.axops.retail.plugins.module_utils._sync import cleanup, session
from ansible_collections.axops.retail.plugins.module_utils._sync.cleanup import Keep
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = world.needs_server

TENDER = world.table("TENDER", "ID", ID="bigint not null", CHANNEL="bigint", NAME="nvarchar(20) not null default ''")
PRODUCT = world.table("PRODUCT", "ID", ID="bigint not null", NAME="nvarchar(20) not null default ''")
LOOKUP = world.table("LOOKUP", "ID", ID="bigint not null", ASSORTMENT="bigint not null", PRODUCT="bigint not null")
UNIT = world.table("UNIT", "ASSORTMENT CHANNEL", ASSORTMENT="bigint not null", CHANNEL="bigint not null")
TABLES = (TENDER, PRODUCT, LOOKUP, UNIT)
OWN = (Condition("CHANNEL", ("1",)),)
UNITS = Member(UNIT.name, "ASSORTMENT", OWN)
ASSORTMENT = (Condition("ID", member=Member(LOOKUP.name, "PRODUCT", (Condition("ASSORTMENT", member=UNITS),))),)
DOWN = Scope(
    "down", "download", (ScopeTable(TENDER.name, "parent", OWN), ScopeTable(PRODUCT.name, "parent", ASSORTMENT))
)


@pytest.fixture(params=["mssql-mssql", "postgresql-mssql"], ids=lambda name: "child-parent:" + name)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A child and its parent, which has rows of two channels since before they knew each other."""
    with ExitStack() as stack:
        child, parent = (_make(request, stack, engine) for engine in request.param.split("-"))
        for db in (child, parent):
            world.make(db, TABLES)
        for moves in all_moves(TENDER, OWN) + all_moves(PRODUCT, ASSORTMENT):
            table = next(one for one in TABLES if one.name == moves.table)
            for statement in parent.engine.moves.create(moves, table) * 2:
                parent.execute(statement)
        world.run(parent, "insert into {ax.TENDER} values (1, 1, 'a'), (2, 2, 'b'), (3, null, 'c')")
        world.run(parent, "insert into {ax.PRODUCT} values (1, 'one'), (2, 'two'), (3, 'three')")
        world.run(parent, "insert into {ax.UNIT} values (10, 1), (20, 2)")
        world.run(parent, "insert into {ax.LOOKUP} values (1, 10, 1), (2, 20, 2), (3, 10, 3), (4, 20, 3)")
        yield world.paired(child, parent, (DOWN,))


def _make(request: pytest.FixtureRequest, stack: ExitStack, engine: str) -> Database:
    if engine == "mssql":
        return stack.enter_context(world.fresh())
    facts = request.getfixturevalue("new_database")(request.getfixturevalue("pg_server"))
    target = Target(engine="postgresql", encrypt="no", **facts)
    return world.make_schemas(stack.enter_context(_engine.connect(target)))


def have(pair: Pair) -> tuple[list[Any], list[Any]]:
    """What the child has once nothing is pending any more."""
    world.synchronise(pair, rounds=5)
    assert session.pending(pair, pair.scopes) == []
    tenders, products = (
        world.rows(pair.child, "select {ID}, {NAME} from {%s} order by {ID}" % name)
        for name in ("ax.TENDER", "ax.PRODUCT")
    )
    return [row[0] for row in tenders], products


def test_rows_enter_and_leave(pair: Pair) -> None:
    parent = pair.parent
    assert parent.engine.moves.read(parent) == dict.fromkeys(parent.engine.moves.read(parent), True)
    assert len(parent.engine.moves.read(parent)) == 4
    assert have(pair) == ([1], [(1, "one"), (3, "three")])

    world.run(parent, "update {ax.TENDER} set {CHANNEL} = 3 - {CHANNEL}")
    world.run(parent, "delete from {ax.LOOKUP} where {ID} = 1")
    assert have(pair) == ([2], [(3, "three")])
    assert world.rows(pair.child, "select {ID} from {ax.PRODUCT_tracking} where sync_row_is_tombstone = 1") == [(1,)]

    world.run(parent, "update {ax.TENDER} set {CHANNEL} = 3 - {CHANNEL}")
    world.run(parent, "insert into {ax.LOOKUP} values (5, 10, 1)")
    assert have(pair) == ([1], [(1, "one"), (3, "three")])

    world.run(parent, "update {ax.UNIT} set {CHANNEL} = 3 - {CHANNEL}")
    assert have(pair)[1] == [(2, "two"), (3, "three")]
    world.run(parent, "delete from {ax.UNIT} where {CHANNEL} = 1")
    world.run(parent, "delete from {ax.LOOKUP} where {ASSORTMENT} = 20")
    assert have(pair)[1] == []


def test_what_is_others_stays_and_a_change_of_keys_is_followed(pair: Pair) -> None:
    have(pair)
    parent = pair.parent
    world.run(parent, "update {ax.TENDER} set {NAME} = 'x' where {ID} > 1")
    world.run(parent, "insert into {ax.TENDER} values (4, 2, 'd')")
    world.run(parent, "delete from {ax.TENDER} where {ID} = 2")
    world.run(parent, "insert into {ax.PRODUCT} values (9, 'nine')")
    assert session.pending(pair, pair.scopes) == []
    world.run(parent, "update {ax.TENDER} set {ID} = 11 where {ID} = 1")
    assert have(pair)[0] == [11]
    world.run(parent, "delete from {ax.TENDER} where {ID} = 11")
    world.run(parent, "insert into {ax.TENDER} values (11, 2, 'elsewhere')")
    assert have(pair)[0] == []


def _moves(db: Database) -> int:
    return sum(db.value("SELECT COUNT(*) FROM %s" % db.engine.names.quote(*log)) for log in db.engine.moves.read(db))


def test_a_move_is_forgotten_when_it_is_old_and_has_been_taken(pair: Pair) -> None:
    parent = pair.parent
    let_pass(parent)
    first = _moves(parent)
    assert cleanup.run(parent, Keep()).moves == first > 0
    assert have(pair) == ([1], [(1, "one"), (3, "three")])

    world.run(parent, "update {ax.TENDER} set {CHANNEL} = 3 - {CHANNEL}")
    world.run(parent, "delete from {ax.LOOKUP} where {ID} = 1")
    made = _moves(parent)
    assert made > 0
    assert cleanup.run(parent, Keep()).moves == 0, "they are young"
    let_pass(parent)
    assert cleanup.run(parent, Keep()).moves == 0, "the child has not taken them"
    assert have(pair) == ([2], [(3, "three")])
    assert cleanup.run(parent, Keep()).moves == made
    assert _moves(parent) == 0

    world.run(parent, "update {ax.TENDER} set {CHANNEL} = 3 - {CHANNEL}")
    assert have(pair) == ([1], [(3, "three")])


def test_a_child_away_for_longer_than_moves_are_kept_loads_again(pair: Pair) -> None:
    have(pair)
    parent = pair.parent
    world.run(parent, "update {ax.TENDER} set {CHANNEL} = 3 - {CHANNEL}")
    world.run(parent, "delete from {ax.LOOKUP} where {ID} = 1")
    let_pass(parent, silent=True)
    cleaned = cleanup.run(parent, Keep())
    assert (cleaned.stale, cleaned.moves > 0, _moves(parent)) == (["R1"], True, 0)
    assert have(pair) == ([2], [(3, "three")])


def test_logs_go_without_a_trace(pair: Pair) -> None:
    parent = pair.parent
    for log in parent.engine.moves.read(parent):
        for statement in parent.engine.moves.drop(log):
            parent.execute(statement)
    assert parent.engine.moves.read(parent) == {}
    world.run(parent, "delete from {ax.LOOKUP}")
