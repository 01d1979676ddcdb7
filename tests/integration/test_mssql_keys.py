# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that are texts: what a collation calls the same is one row, however it is spelled, and what it tells apart are two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import mssql_world as world
import pgserver
import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Table
from ansible_collections.axops.retail.plugins.module_utils._sync import compare, package, repair, session
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = world.needs_server

ENGINE = world.ENGINE
ITEM = world.table("ITEM", "ID PART", ID="nvarchar(20) not null", PART="bigint not null", NAME="nvarchar(20)")
CUST = world.table("CUST", "ID", ID="nvarchar(20) not null", NAME="nvarchar(20)")
#: No column but its key.
LINK = world.table("LINK", "ID", ID="nvarchar(20) not null")
TABLES = (ITEM, CUST, LINK)
SCOPES = (
    world.scope("down", "download", ITEM),
    world.scope("both", "bidirectional", CUST),
    world.scope("links", "download", LINK),
)
EXACT = "Latin1_General_BIN2"


@pytest.fixture
def databases() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def on_mssql(stack: ExitStack) -> Database:
    return stack.enter_context(world.fresh())


def on_postgresql(stack: ExitStack, request: pytest.FixtureRequest) -> Database:
    server: pgserver.PgServer = request.getfixturevalue("pg_server")
    facts = request.getfixturevalue("new_database")(server)
    return world.make_schemas(stack.enter_context(_engine.connect(Target(engine="postgresql", encrypt="no", **facts))))


@pytest.fixture
def pair(databases: ExitStack) -> Pair:
    child, parent = (on_mssql(databases) for _side in range(2))
    for db in (child, parent):
        world.make(db, TABLES)
    return world.paired(child, parent, SCOPES)


def kept(db: Database, table: str = "CUST") -> list[tuple[str, ...]]:
    columns = "{ID}" if table == "LINK" else "{ID}, {NAME}"
    return sorted(world.rows(db, "select %s from {ax.%s}" % (columns, table)))


def agree(pair: Pair) -> bool:
    """Whether digests of all rows are the same on both sides."""
    return [one.found for one in compare.compare(pair, lambda *_place: True, 50, 0)] == [[]] * len(TABLES)


# ---- the same key, spelled otherwise


def test_another_letter_case_of_a_key_travels(pair: Pair) -> None:
    world.run(pair.parent, "insert into {ax.ITEM} ({ID}, {PART}, {NAME}) values ('Abc', 1, 'n'), ('Xyz', 1, 'x')")
    world.run(pair.parent, "insert into {ax.LINK} ({ID}) values ('Abc')")
    world.run(pair.child, "insert into {ax.CUST} ({ID}, {NAME}) values ('Smith', 'n')")
    world.synchronise(pair)
    assert kept(pair.parent) == [("Smith", "n")]
    world.run(pair.parent, "update {ax.ITEM} set {ID} = 'ABC' where {ID} = 'abc'")
    world.run(pair.parent, "update {ax.LINK} set {ID} = 'aBC'")
    world.run(pair.child, "update {ax.CUST} set {ID} = 'SMITH'")
    world.synchronise(pair)
    assert kept(pair.child, "ITEM") == kept(pair.parent, "ITEM") == [("ABC", "n"), ("Xyz", "x")]
    assert kept(pair.child, "LINK") == [("aBC",)]
    assert kept(pair.parent) == [("SMITH", "n")]
    assert session.pending(pair, pair.scopes) == []
    assert agree(pair)
    # And back again, from the other side, with a change of the row.
    world.run(pair.parent, "update {ax.CUST} set {ID} = 'smith', {NAME} = 'm'")
    world.synchronise(pair)
    assert kept(pair.child) == [("smith", "m")]
    assert agree(pair)
    # It is still one row, which goes as one.
    world.run(pair.child, "delete from {ax.CUST} where {ID} = 'SMITH'")
    world.synchronise(pair)
    assert kept(pair.parent) == []
    assert world.rows(pair.parent, "select count(*) from {ax.CUST_tracking}") == [(1,)]


def test_a_load_brings_keys_as_they_are_spelled_now(pair: Pair, tmp_path) -> None:
    world.run(pair.parent, "insert into {ax.ITEM} ({ID}, {PART}, {NAME}) values ('Abc', 1, 'n')")
    world.run(pair.parent, "update {ax.ITEM} set {ID} = 'ABC'")
    made = package.make(pair, str(tmp_path / "package"))
    [part] = [part for part in made.parts.values() if part.table == str(ITEM.name)]
    assert '"ABC"' in "".join(body for body, _rows in made.bodies(part))
    world.synchronise(pair)
    assert kept(pair.child, "ITEM") == [("ABC", "n")]


def test_two_spellings_of_one_moment_are_a_conflict_like_any_other(pair: Pair) -> None:
    world.run(pair.child, "insert into {ax.CUST} ({ID}, {NAME}) values ('Smith', 'n')")
    world.synchronise(pair)
    world.run(pair.child, "update {ax.CUST} set {ID} = 'SMITH'")
    world.run(pair.parent, "update {ax.CUST} set {ID} = 'smith'")
    world.synchronise(pair)
    assert kept(pair.child) == kept(pair.parent) == [("smith", "n")]
    assert world.rows(pair.parent, "select count(*) from {dbo.sync_conflict}") == [(1,)]
    assert agree(pair)


def test_a_difference_of_letter_case_alone_is_found_and_mended(pair: Pair) -> None:
    world.run(pair.parent, "insert into {ax.ITEM} ({ID}, {PART}, {NAME}) values ('Abc', 1, 'n')")
    world.synchronise(pair)
    world.run(pair.child, "drop trigger {ax.ITEM_update_trigger}")
    world.run(pair.child, "update {ax.ITEM} set {ID} = 'ABC'")
    assert not agree(pair)
    repair.repair(pair, compare.compare(pair, lambda *_place: True, 50, 0))
    world.synchronise(pair)
    assert kept(pair.child, "ITEM") == [("Abc", "n")]
    assert agree(pair)


# ---- other keys, by a collation of the column's own


def with_collation(db: Database, one: Table) -> None:
    """The table as somebody else has made it: its key tells every letter case apart."""
    [made] = ENGINE.tables.create(one)
    db.execute(made.replace("[ID] nvarchar(20) NOT NULL", "[ID] nvarchar(20) COLLATE %s NOT NULL" % EXACT))


@pytest.fixture
def exact(databases: ExitStack) -> Pair:
    """The parent's tables have keys that tell every letter case apart; the child's are made as the parent's are."""
    child, parent = (on_mssql(databases) for _side in range(2))
    world.make(parent, ())
    world.make(child, ())
    for one in TABLES:
        with_collation(parent, one)
    there = ENGINE.tables.read(parent, [one.name for one in TABLES])
    for db in (child, parent):
        for one in TABLES:
            statements = ENGINE.tables.create(there[one.name]) if db is child else []
            for statement in [*statements, *ENGINE.tracking.create(there[one.name])]:
                db.execute(statement)
    return world.paired(child, parent, SCOPES)


def test_copies_of_a_key_have_its_collation(exact: Pair) -> None:
    for db in (exact.parent, exact.child):
        names = [one.name for one in TABLES]
        found = ENGINE.tables.read(db, [*names, *map(ENGINE.tracking.tracking_name, names)])
        collations = {table.column("ID").collation for table in found.values()}
        assert len(found) == 6
        assert len(collations) == 1 and "" not in collations
        assert not ENGINE.tracking.overlooks_case(db, found[CUST.name])
        assert not ENGINE.tracking.outdated(db)


def test_keys_that_differ_in_letter_case_alone_are_rows_of_their_own(exact: Pair) -> None:
    world.run(exact.parent, "insert into {ax.ITEM} ({ID}, {PART}, {NAME}) values ('abc', 1, 'a'), ('ABC', 1, 'b')")
    world.run(exact.child, "insert into {ax.CUST} ({ID}, {NAME}) values ('x', 'a'), ('X', 'b')")
    world.synchronise(exact)
    assert kept(exact.child, "ITEM") == [("ABC", "b"), ("abc", "a")]
    assert kept(exact.parent) == [("X", "b"), ("x", "a")]
    assert agree(exact)
    world.run(exact.parent, "update {ax.ITEM} set {NAME} = 'c' where {ID} = 'abc'")
    world.run(exact.parent, "delete from {ax.CUST} where {ID} = 'X'")
    world.run(exact.child, "update {ax.CUST} set {ID} = 'Y' where {ID} = 'x'")
    world.synchronise(exact)
    assert kept(exact.child, "ITEM") == [("ABC", "b"), ("abc", "c")]
    assert kept(exact.parent) == kept(exact.child) == [("Y", "a")]
    world.run(exact.parent, "update {ax.ITEM} set {ID} = 'Abc' where {ID} = 'abc'")
    world.synchronise(exact)
    assert kept(exact.child, "ITEM") == [("ABC", "b"), ("Abc", "c")]
    assert agree(exact)
    assert world.rows(exact.parent, "select count(*) from {dbo.sync_conflict}") == [(0,)]


def test_a_filter_tells_such_keys_apart_too(databases: ExitStack) -> None:
    child, parent = (on_mssql(databases) for _side in range(2))
    for db in (child, parent):
        world.make(db, ())
        with_collation(db, CUST)
        for statement in ENGINE.tracking.create(ENGINE.tables.read(db, [CUST.name])[CUST.name]):
            db.execute(statement)
    conditions = (Condition("NAME", ("HOUSTON",)),)
    for moves in _engine._filter.all_moves(CUST, conditions):
        for statement in ENGINE.moves.create(moves, ENGINE.tables.read(parent, [CUST.name])[CUST.name]):
            parent.execute(statement)
    assert all(ENGINE.moves.read(parent).values())
    pair = world.paired(child, parent, [Scope("down", "download", (ScopeTable(CUST.name, "parent", conditions),))])
    world.run(parent, "insert into {ax.CUST} ({ID}, {NAME}) values ('a', 'HOUSTON'), ('A', 'HOUSTON'), ('b', 'DALLAS')")
    world.synchronise(pair)
    assert kept(child) == [("A", "HOUSTON"), ("a", "HOUSTON")]
    world.run(parent, "update {ax.CUST} set {NAME} = 'DALLAS' where {ID} = 'a'")
    world.synchronise(pair)
    assert kept(child) == [("A", "HOUSTON")]


@pytest.mark.parametrize("collation", ["Latin1_General_CS_AS", "Latin1_General_CI_AI"])
def test_a_database_may_have_another_collation_than_its_server(databases: ExitStack, collation: str) -> None:
    child, parent = (on_mssql(databases) for _side in range(2))
    with _engine.connect(world.server()) as maintenance:
        made = ENGINE.databases.create(child.target.database + "_c", {"collation": collation})
        try:
            for statement in made:
                maintenance.execute(statement)
        except StatementFailed as error:
            pytest.skip("this server makes no database of another collation: %s" % error.message)
        databases.callback(world._drop, _engine.connect(world.server()), child.target.database + "_c")
    other = databases.enter_context(_engine.connect(child.target.on(child.target.database + "_c")))
    world.make_schemas(other)
    for db in (other, parent):
        world.make(db, TABLES)
    pair = world.paired(other, parent, SCOPES)
    world.run(parent, "insert into {ax.ITEM} ({ID}, {PART}, {NAME}) values ('abc', 1, 'a'), ('ABD', 1, 'b')")
    world.run(other, "insert into {ax.CUST} ({ID}, {NAME}) values ('x', 'a')")
    world.synchronise(pair)
    world.run(parent, "update {ax.CUST} set {NAME} = 'b'")
    world.run(parent, "delete from {ax.ITEM} where {ID} = 'abc'")
    world.synchronise(pair)
    assert kept(other, "ITEM") == [("ABD", "b")]
    assert kept(other) == kept(parent) == [("x", "b")]
    assert agree(pair)


# ---- two engines, of which one tells every letter case apart


@pytest.fixture
def below(databases: ExitStack, request: pytest.FixtureRequest) -> Pair:
    """SQL Server below PostgreSQL."""
    child, parent = on_mssql(databases), on_postgresql(databases, request)
    for db in (child, parent):
        world.make(db, TABLES)
    return world.paired(child, parent, SCOPES)


@pytest.fixture
def above(databases: ExitStack, request: pytest.FixtureRequest) -> Pair:
    """SQL Server above PostgreSQL."""
    child, parent = on_postgresql(databases, request), on_mssql(databases)
    for db in (child, parent):
        world.make(db, TABLES)
    return world.paired(child, parent, SCOPES)


@pytest.mark.parametrize("side", ["below", "above"])
def test_a_spelling_of_sql_server_stays_there(side: str, request: pytest.FixtureRequest) -> None:
    """To PostgreSQL it would be another row, beside the one there is."""
    pair: Pair = request.getfixturevalue(side)
    here, there = (pair.child, pair.parent) if side == "below" else (pair.parent, pair.child)
    world.run(here, "insert into {ax.CUST} ({ID}, {NAME}) values ('Smith', 'n')")
    world.synchronise(pair)
    # Also where its tracking was forgotten meanwhile.
    for forgotten in (False, True):
        if forgotten:
            world.run(here, "delete from {ax.CUST_tracking}")
        world.run(here, "update {ax.CUST} set {ID} = 'SMITH', {NAME} = 'm'")
        world.synchronise(pair)
        assert kept(here) == [("SMITH", "m")]
        assert kept(there) == [("Smith", "m")]
        world.run(there, "update {ax.CUST} set {NAME} = 'n'")
        world.synchronise(pair)
        assert [name for _key, name in kept(here)] == ["n"]
        assert kept(there) == [("Smith", "n")]
        world.run(here, "update {ax.CUST} set {ID} = 'Smith'")
        world.synchronise(pair)


@pytest.mark.parametrize("side", ["below", "above"])
def test_another_letter_case_of_a_key_on_postgresql_comes_over(side: str, request: pytest.FixtureRequest) -> None:
    """There the row moves to another key; here it stays the same one."""
    pair: Pair = request.getfixturevalue(side)
    here, there = (pair.child, pair.parent) if side == "below" else (pair.parent, pair.child)
    world.run(there, "insert into {ax.CUST} ({ID}, {NAME}) values ('Smith', 'n')")
    world.synchronise(pair)
    assert kept(here) == [("Smith", "n")]
    world.run(there, "update {ax.CUST} set {ID} = 'SMITH'")
    world.synchronise(pair)
    assert kept(here) == kept(there) == [("SMITH", "n")]
    assert agree(pair)
    world.run(here, "update {ax.CUST} set {NAME} = 'm'")
    world.synchronise(pair)
    assert kept(here) == kept(there) == [("SMITH", "m")]
    world.run(here, "delete from {ax.CUST}")
    world.synchronise(pair)
    assert kept(there) == []
    assert world.rows(here, "select count(*) from {dbo.sync_quarantine}") == [(0,)]


@pytest.mark.parametrize("together", [True, False])
def test_of_two_keys_that_are_one_on_sql_server_one_goes_aside(below: Pair, together: bool) -> None:
    world.run(below.parent, "insert into {ax.ITEM} ({ID}, {PART}, {NAME}) values ('abc', 1, 'a')")
    if not together:
        world.synchronise(below)
    world.run(below.parent, "insert into {ax.ITEM} ({ID}, {PART}, {NAME}) values ('ABC', 1, 'b')")
    world.synchronise(below)
    assert len(kept(below.child, "ITEM")) == 1
    assert world.rows(below.child, "select count(*) from {dbo.sync_quarantine}") == [(1,)]
    if together:
        return
    assert kept(below.child, "ITEM") == [("abc", "a")]
    # What becomes of the one leaves the other alone.
    world.run(below.parent, "update {ax.ITEM} set {NAME} = 'c' where {ID} = 'abc'")
    world.run(below.parent, "delete from {ax.ITEM} where {ID} = 'ABC'")
    world.synchronise(below)
    assert kept(below.child, "ITEM") == [("abc", "c")]


# ---- long keys, and few rows at a time


def test_a_key_that_no_clustered_index_holds_travels(databases: ExitStack) -> None:
    long = world.table("LONG", "ID", ID="nvarchar(500) not null", NAME="nvarchar(20)")
    child, parent = (on_mssql(databases) for _side in range(2))
    for db in (child, parent):
        world.make(db, [long])
    pair = world.paired(child, parent, [world.scope("both", "bidirectional", long)])
    world.run(child, "insert into {ax.LONG} ({ID}, {NAME}) values ('%s', 'up')" % ("u" * 500))
    world.run(parent, "insert into {ax.LONG} ({ID}, {NAME}) values ('%s', 'down')" % ("d" * 500))
    world.synchronise(pair)
    both = [("d" * 500, "down"), ("u" * 500, "up")]
    assert kept(child, "LONG") == kept(parent, "LONG") == both
    world.run(parent, "delete from {ax.LONG} where {NAME} = 'up'")
    world.synchronise(pair)
    assert kept(child, "LONG") == both[:1]


def test_a_change_of_few_rows_at_a_time_is_tracked_whole(databases: ExitStack) -> None:
    """Its trigger may have to write more rows than the statement: here those of all keys that the row has had."""
    db = on_mssql(databases)
    world.make(db, [CUST])
    world.run(db, "insert into {ax.CUST} ({ID}, {NAME}) values ('a', 'n')")
    for key in ("b", "c"):
        world.run(db, "update {ax.CUST} set {ID} = '%s'" % key)
    db.execute("SET ROWCOUNT 1")
    world.run(db, "delete from {ax.CUST}")
    db.execute("SET ROWCOUNT 0")
    assert world.rows(db, "select {ID}, sync_row_is_tombstone from {ax.CUST_tracking} order by {ID}") == [
        (key, 1) for key in "abc"
    ]
