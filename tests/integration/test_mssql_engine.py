# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL Server speaker against a real server: catalog, tracking, reading changes, locks, marks, access."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mssql_world as world
import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import ConnectFailed, StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, TableName
from ansible_collections.axops.retail.plugins.module_utils._engine._rights import Securable
from ansible_collections.axops.retail.plugins.module_utils._engine._wire import Extract
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._schema import package
from ansible_collections.axops.retail.plugins.module_utils._schema import plan as schema_plan

pytestmark = world.needs_server
ENGINE = world.ENGINE
ITEM = world.table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(20) not null default ''", PRICE="numeric(32,16)")
PAIR = world.table("PAIR", "A B", A="nvarchar(10) not null", B="date not null", N="int identity not null", V="int")


@pytest.fixture
def db() -> Iterator[Database]:
    with world.fresh() as made:
        yield made


@pytest.fixture
def tracked(db: Database) -> Database:
    world.make(db, [ITEM, PAIR])
    return db


def tracking(db: Database) -> dict[int, tuple[Any, ...]]:
    """(created_here, tombstone, origin) by key."""
    sql = "select {ID}, created_here, sync_row_is_tombstone, origin from {ax.ITEM_tracking}"
    return {row[0]: row[1:] for row in world.rows(db, sql)}


def extract(low: int | None = 0, **changes: Any) -> Extract:
    facts = {"table": ITEM, "columns": ITEM.travelling_columns, "low": low, "seen": None, "not_origin": 0}
    return Extract(**{**facts, **changes})


def read(db: Database, one: Extract) -> list[dict[str, Any]]:
    with db.engine.marks.snapshot(db):
        return [json.loads(text) for _version, text in db.engine.changes.stream(db, one)]


def test_a_server_and_its_databases(db: Database) -> None:
    ENGINE.databases.check_server(db)
    name = db.target.database
    with _engine.connect(world.server()) as maintenance:
        ENGINE.databases.check_server(maintenance)
        assert ENGINE.databases.exists(maintenance, name)
        assert not ENGINE.databases.exists(maintenance, name + "x")
        assert name in ENGINE.databases.list(maintenance)
    assert set(ENGINE.databases.options(db)) <= {*ENGINE.databases.OPTIONS, *ENGINE.databases.LASTING}
    assert set(world.SCHEMAS) <= ENGINE.tables.schemas(db)


def test_a_wrong_password_is_said_to_be_one() -> None:
    target = world.server()
    with pytest.raises(ConnectFailed) as failure:
        _engine.connect(type(target)(**{**vars(target), "password": "wrong"}))
    assert "password" in failure.value.advice
    assert not ENGINE.access.password_works(target, target.user, "wrong")
    assert ENGINE.access.password_works(target, target.user, target.password)


def test_the_numbers_of_all_messages_are_kept(db: Database) -> None:
    with pytest.raises(StatementFailed) as failure:
        db.execute("RAISERROR(N'one', 16, 1); RAISERROR(N'two', 16, 1)")
    assert failure.value.message == "one"
    assert 50000 in failure.value.numbers


def test_a_statement_that_waits_too_long_is_given_up(db: Database) -> None:
    try:
        db.execute("WAITFOR DELAY '00:00:00.010'")
    except StatementFailed as error:
        pytest.skip("this server does not know WAITFOR: %s" % error.message)
    began = time.monotonic()
    with pytest.raises(StatementFailed) as failure, db.patience(1):
        db.execute("WAITFOR DELAY '00:00:20'")
    assert failure.value.kind == "transient"
    assert time.monotonic() - began < 10
    assert db._connection.timeout == 0
    # The next one may take as long as it likes.
    db.execute("WAITFOR DELAY '00:00:01.500'")


def test_rows_are_counted_also_where_a_script_before_did_not_want_that(db: Database) -> None:
    """What a server's option 'user options' does to every session, said by ourselves; ours take it back when they connect."""
    world.make(db, [ITEM])
    db.execute("SET NOCOUNT ON")
    assert world.run(db, "insert into {ax.ITEM} ({ID}) values (1)") != 1
    db.execute(ENGINE.connect._SETTINGS)
    assert world.run(db, "insert into {ax.ITEM} ({ID}) values (2)") == 1


def test_schemas_belong_to_the_owner_of_the_database(db: Database) -> None:
    owners = db.query(
        "SELECT s.name, p.name FROM sys.schemas AS s JOIN sys.database_principals AS p ON p.principal_id = s.principal_id "
        "WHERE s.name IN (N'ax', N'crt')"
    )
    assert {row[0]: row[1] for row in owners} == {"ax": "dbo", "crt": "dbo"}


def test_a_text_that_gets_longer_keeps_a_collation_of_its_own(db: Database) -> None:
    collation = "SELECT collation_name FROM sys.columns WHERE object_id = OBJECT_ID(N'[ax].[WORD]') AND name = ?"
    db.execute("CREATE TABLE [ax].[WORD] ([A] nvarchar(10) COLLATE Latin1_General_BIN2, [B] nvarchar(10))")
    before = [db.value(collation, name) for name in "AB"]
    if len(set(before)) == 1:
        world.lacks("sys.columns does not tell collations apart: that a column keeps its own was not checked")
    for column in (Column.parse("B", "nvarchar(30)"), Column.parse("A", "nvarchar(30)")):
        for statement in ENGINE.tables.alter_columns(TableName("ax", "WORD"), [column]):
            try:
                db.execute(statement)
            except StatementFailed as error:
                if "in ALTER TABLE ALTER COLUMN' is not" not in error.message:
                    raise
                pytest.skip("this server takes no collation where a column is changed: %s" % error.message)
    assert [db.value(collation, name) for name in "AB"] == before
    found = ENGINE.tables.read(db, [TableName("ax", "WORD")])[TableName("ax", "WORD")]
    assert [column.type for column in found.columns] == ["nvarchar(30)", "nvarchar(30)"]


def test_the_packaged_schema_is_made_and_read_back(db: Database, repository: Path) -> None:
    tables = package.load([repository / "schemas" / "ax2012r3"]).tables
    some = {name: tables[name] for name in sorted(tables)[::9]}
    Plan(schema_plan.tables(ENGINE, {}, some, "db", world.SCHEMAS).steps).apply(lambda _key: db)
    found = ENGINE.tables.read(db)
    assert set(some) <= set(found)
    assert len(some) > 50
    assert schema_plan.tables(ENGINE, found, some, "db", world.SCHEMAS).titles == []
    for name, table in some.items():
        assert found[name].primary_key == table.primary_key
        assert sorted(found[name].unique) == sorted(table.unique)
        assert sorted(found[name].indexes) == sorted(table.indexes)
        for there, wanted in zip(found[name].columns, table.columns, strict=True):
            shape = (wanted.name, ENGINE.types.normalize(wanted.type), wanted.nullable, wanted.identity)
            assert (there.name, there.type, there.nullable, there.identity) == shape


def test_only_named_tables_are_read(tracked: Database) -> None:
    before = tracked.statements
    found = ENGINE.tables.read(tracked, [ITEM.name, TableName("ax", "NONE")])
    assert found == {ITEM.name: ITEM}
    assert tracked.statements - before <= 3


def test_columns_are_added_once(tracked: Database) -> None:
    world.run(tracked, "insert into {ax.ITEM} ({ID}) values (1)")
    column = Column.parse("MORE", "nvarchar(5) not null default 'x'")
    for statement in ENGINE.tables.add_columns(ITEM.name, [column]) * 2:
        tracked.execute(statement)
    assert ENGINE.tables.read(tracked, [ITEM.name])[ITEM.name].column("MORE") == column
    assert world.rows(tracked, "select {MORE} from {ax.ITEM}") == [("x",)]


def test_a_script_that_made_everything_may_run_again(tracked: Database) -> None:
    for table in (ITEM, PAIR):
        for statement in [*ENGINE.tables.create(table), *ENGINE.tracking.create(table)]:
            tracked.execute(statement)
    every = {ITEM.name: ENGINE.tracking.TRIGGERS, PAIR.name: ENGINE.tracking.TRIGGERS}
    assert ENGINE.tracking.read(tracked) == every


def test_tracking_goes_without_a_trace(tracked: Database) -> None:
    for statement in ENGINE.tracking.drop(ITEM.name) * 2:
        tracked.execute(statement)
    assert ENGINE.tracking.read(tracked) == {PAIR.name: ENGINE.tracking.TRIGGERS}
    world.run(tracked, "insert into {ax.ITEM} ({ID}) values (1)")


def test_a_missing_trigger_is_noticed(tracked: Database) -> None:
    world.run(tracked, "drop trigger {ax.ITEM_update_trigger}")
    assert ENGINE.tracking.read(tracked)[ITEM.name] == ("insert", "delete")


def test_inserts_updates_and_deletes_of_many_rows_are_tracked(tracked: Database) -> None:
    assert world.run(tracked, "insert into {ax.ITEM} ({ID}, {NAME}) values (1, 'a'), (2, 'b'), (3, 'c')") == 3
    assert tracking(tracked) == {1: (1, 0, None), 2: (1, 0, None), 3: (1, 0, None)}
    world.run(tracked, "update {ax.ITEM_tracking} set origin = 0, created_here = 0")
    assert world.run(tracked, "update {ax.ITEM} set {NAME} = 'z' where {ID} < 3") == 2
    assert tracking(tracked) == {1: (0, 0, None), 2: (0, 0, None), 3: (0, 0, 0)}
    world.run(tracked, "delete from {ax.ITEM} where {ID} > 1")
    assert tracking(tracked) == {1: (0, 0, None), 2: (0, 1, None), 3: (0, 1, None)}
    world.run(tracked, "delete from {ax.ITEM} where {ID} > 100")
    assert len(tracking(tracked)) == 3


def test_a_new_key_leaves_a_tombstone_behind(tracked: Database) -> None:
    world.run(tracked, "insert into {ax.ITEM} ({ID}) values (1), (2)")
    world.run(tracked, "update {ax.ITEM} set {ID} = {ID} + 100")
    assert {key: row[:2] for key, row in tracking(tracked).items()} == {1: (1, 2), 2: (1, 2), 101: (1, 0), 102: (1, 0)}


def test_a_row_made_again_after_the_parents_deletion_is_a_new_one(tracked: Database) -> None:
    world.run(
        tracked, "insert into {ax.ITEM_tracking} ({ID}, origin, sync_row_is_tombstone) values (1, 0, 1), (2, NULL, 1)"
    )
    world.run(tracked, "insert into {ax.ITEM} ({ID}) values (1), (2)")
    assert tracking(tracked) == {1: (1, 0, None), 2: (0, 0, None)}


def test_rows_of_one_transaction_say_so_and_those_of_two_do_not(tracked: Database) -> None:
    with tracked.transaction():
        world.run(tracked, "insert into {ax.ITEM} ({ID}) values (1)")
        world.run(tracked, "insert into {ax.PAIR} ({A}, {B}) values ('a', '2026-01-01')")
        world.run(tracked, "insert into {ax.ITEM} ({ID}) values (2)")
    world.run(tracked, "insert into {ax.ITEM} ({ID}) values (3)")
    first, second, third = (row["x"] for row in read(tracked, extract()))
    other = world.rows(tracked, "select source_transaction from {ax.PAIR_tracking}")[0][0]
    assert first == second == other != third


def test_what_is_applied_is_not_tracked_and_what_others_write_is(tracked: Database) -> None:
    tracked.execute("EXEC sp_set_session_context N'axops.applying', N'ax.ITEM'")
    world.run(tracked, "insert into {ax.ITEM} ({ID}) values (1)")
    world.run(tracked, "insert into {ax.PAIR} ({A}, {B}) values ('a', '2026-01-01')")
    tracked.execute("EXEC sp_set_session_context N'axops.applying', NULL")
    assert tracking(tracked) == {}
    assert world.rows(tracked, "select count(*) from {ax.PAIR_tracking}") == [(1,)]


def test_a_write_of_another_trigger_is_a_change_even_while_the_table_is_applied(tracked: Database) -> None:
    tracked.execute(
        "CREATE TRIGGER [ax].[touch] ON [ax].[PAIR] AFTER INSERT AS BEGIN SET NOCOUNT ON; INSERT INTO [ax].[ITEM] "
        "([ID]) VALUES (7) END"
    )
    tracked.execute("EXEC sp_set_session_context N'axops.applying', N'ax.ITEM'")
    world.run(tracked, "insert into {ax.PAIR} ({A}, {B}) values ('a', '2026-01-01')")
    tracked.execute("EXEC sp_set_session_context N'axops.applying', NULL")
    assert tracking(tracked) == {7: (1, 0, None)}


def test_an_error_behind_a_batchs_first_result_is_raised(tracked: Database) -> None:
    with pytest.raises(StatementFailed) as failure:
        tracked.execute("UPDATE [ax].[ITEM] SET [NAME] = N''; INSERT INTO [ax].[ITEM] ([ID]) VALUES (NULL)")
    assert failure.value.kind == "data"


def test_existing_rows_are_tracked_once(db: Database) -> None:
    world.make(db, [ITEM], tracked=False)
    world.run(db, "insert into {ax.ITEM} ({ID}) values (1), (2)")
    for statement in ENGINE.tracking.create(ITEM):
        db.execute(statement)
    world.run(db, "update {ax.ITEM} set {NAME} = 'x' where {ID} = 2")
    before = world.rows(db, "select cast(version as bigint) from {ax.ITEM_tracking}")
    for _time in range(2):
        db.execute(ENGINE.tracking.track_existing(ITEM))
    assert set(tracking(db)) == {1, 2}
    assert before[0] in world.rows(db, "select cast(version as bigint) from {ax.ITEM_tracking}")


def test_changes_and_loads_are_read_in_the_wires_form(tracked: Database) -> None:
    world.run(tracked, "insert into {ax.ITEM} ({ID}, {NAME}, {PRICE}) values (1, N'é\"\\/', 1.5), (2, 'b', NULL)")
    world.run(tracked, "delete from {ax.ITEM} where {ID} = 2")
    live, gone = read(tracked, extract(base=-1))
    assert (live["c0"], live["c1"], live["c2"], live["d"], live["b"], live["n"]) == (1, 'é"\\/', 1.5, 0, -1, 1)
    assert (gone["c0"], gone["c1"], gone["d"]) == (2, None, 1)
    assert live["v"] < gone["v"]
    assert [row["c0"] for row in read(tracked, extract(base=-1, with_deletes=False))] == [1]
    assert sorted((row["c0"], row["d"]) for row in read(tracked, extract(None))) == [(1, 0), (2, 1)]
    assert read(tracked, extract(gone["v"] + 1)) == []


def test_rows_of_the_baseline_have_numbers_of_their_own(db: Database) -> None:
    world.make(db, [ITEM], tracked=False)
    world.run(db, "insert into {ax.ITEM} ({ID}) values (1), (2)")
    for statement in ENGINE.tracking.create(ITEM):
        db.execute(statement)
    found = read(db, extract(None))
    assert [row["v"] for row in found] == [None, None]
    assert len({row["x"] for row in found}) == 2
    assert all(row["x"] < 0 for row in found)


def test_probes_and_backlogs_count_what_is_not_the_receivers_own(tracked: Database) -> None:
    assert ENGINE.changes.probe(tracked, [extract(), extract(None)]) == [1]
    world.run(tracked, "insert into {ax.ITEM} ({ID}) values (1), (2)")
    assert ENGINE.changes.probe(tracked, [extract(), extract(not_origin=5)]) == [0, 1]
    waiting, age = ENGINE.changes.backlog(tracked, [extract()])[0]
    assert waiting == 2
    assert -5 < age < 60
    world.run(tracked, "update {ax.ITEM_tracking} set origin = 0")
    assert ENGINE.changes.probe(tracked, [extract()]) == []
    assert ENGINE.changes.backlog(tracked, [extract()]) == [(0, None)]
    assert ENGINE.changes.count(tracked, [ITEM.name, PAIR.name]) == [2, 0]


def test_a_mark_stays_below_what_is_not_decided(tracked: Database) -> None:
    with _engine.connect(tracked.target) as other:
        with other.transaction():
            world.run(other, "insert into {ax.ITEM} ({ID}) values (1)")
            world.run(tracked, "insert into {ax.ITEM} ({ID}) values (2)")
            with ENGINE.marks.snapshot(tracked) as mark:
                seen = [row[0] for row in ENGINE.changes.stream(tracked, extract())]
            assert len(seen) == 1
            assert mark.low <= seen[0]
        late = [row["c0"] for row in read(tracked, extract(mark.low))]
        assert set(late) == {1, 2}
        with ENGINE.marks.snapshot(tracked) as mark:
            pass
        assert read(tracked, extract(mark.low)) == []


def test_a_snapshot_sees_one_moment(tracked: Database) -> None:
    with _engine.connect(tracked.target) as other, ENGINE.marks.snapshot(tracked):
        assert world.rows(tracked, "select count(*) from {ax.ITEM}") == [(0,)]
        world.run(other, "insert into {ax.ITEM} ({ID}) values (1)")
        assert world.rows(tracked, "select count(*) from {ax.ITEM}") == [(0,)]
    assert world.rows(tracked, "select count(*) from {ax.ITEM}") == [(1,)]


def test_the_high_mark_moves_with_every_commit(tracked: Database) -> None:
    with _engine.connect(tracked.target) as other:
        before = ENGINE.marks.current(tracked)
        world.run(other, "insert into {ax.ITEM} ({ID}) values (1)")
        assert ENGINE.marks.current(tracked) != before


def test_an_incarnation_is_the_databases_own(db: Database) -> None:
    assert ENGINE.marks.incarnation(db) == ENGINE.marks.incarnation(db)
    with world.fresh() as other:
        assert ENGINE.marks.incarnation(other) != ENGINE.marks.incarnation(db)


def test_a_lock_is_held_by_one_session(db: Database) -> None:
    with _engine.connect(db.target) as other:
        with ENGINE.locks.held(db, "x" * 300) as first, ENGINE.locks.held(other, "x" * 300) as second:
            assert (first, second) == (True, False)
        with ENGINE.locks.held(other, "x" * 300) as again:
            assert again


def test_roles_members_and_logins_are_made_and_found(db: Database) -> None:
    login, access = "axops_" + db.target.database[-6:], ENGINE.access
    with _engine.connect(world.server()) as maintenance:
        try:
            for statement in [
                *access.create_role("POSUsers") * 2,
                *access.create_login(login, "Str0ng.Passw0rd1") * 2,
                *access.create_user(login) * 2,
                *access.add_member("POSUsers", login),
                *access.grant("POSUsers", {"select"}, [Securable("schema", "ax")]),
            ]:
                db.execute(statement)
            state = access.read(maintenance, db, ["POSUsers", login, "none"], {login: "Str0ng.Passw0rd1"})
            assert {"POSUsers", login} <= state.principals
            assert "none" not in state.principals
            assert state.members == {"POSUsers": {login}}
            assert state.logins[login] in (True, None)
            assert access.password_works(db.target, login, "Str0ng.Passw0rd1")
            for statement in access.set_password(login, "An0ther.Passw0rd"):
                db.execute(statement)
            assert not access.password_works(db.target, login, "Str0ng.Passw0rd1")
            for statement in access.remove_member("POSUsers", login):
                db.execute(statement)
            assert access.read(maintenance, db, ["POSUsers"], {}).members == {}
        finally:
            db.execute("DROP USER IF EXISTS " + ENGINE.names.quote(login))
            maintenance.execute("DROP LOGIN " + ENGINE.names.quote(login))
