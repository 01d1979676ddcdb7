# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions between SQL Server databases, and between SQL Server and PostgreSQL, both ways round."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import mssql_world as world
import pgserver
import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine.mssql import probes, texts
from ansible_collections.axops.retail.plugins.module_utils._sync import log, session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.kept import quarantined
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = world.needs_server

ITEM = world.table(
    "ITEM",
    "ID",
    ID="bigint not null",
    NAME="nvarchar(20) not null default ''",
    PRICE="numeric(32,16)",
    CHANGED="datetime",
    DAY="date",
    FLAG="bit",
    WEIGHT="float",
    GUID="uniqueidentifier",
    NOTE="ntext",
    ROWVERSION="timestamp not null",
)
SALE = world.table(
    "SALE",
    "STORE ID",
    STORE="nvarchar(10) not null",
    ID="bigint not null",
    TEXT="nvarchar(10)",
    RC="int identity not null",
)
CUST = world.table("CUST", "ID", ID="bigint not null", NAME="nvarchar(20)")
TABLES = (ITEM, SALE, CUST)
SCOPES = (
    world.scope("down", "download", ITEM),
    world.scope("up", "upload", SALE, "child"),
    world.scope("both", "bidirectional", CUST),
)
GUID = "6F9619FF-8B86-D011-B42D-00C04FC964FF"


@pytest.fixture
def make_database(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Database]]:
    """Return a function that makes an empty database on an engine."""
    contexts: list[Any] = []

    def make(engine: str) -> Database:
        if engine == "mssql":
            context: Any = world.fresh()
            contexts.append(context)
            return context.__enter__()
        server: pgserver.PgServer = request.getfixturevalue("pg_server")
        facts = request.getfixturevalue("new_database")(server)
        db = _engine.connect(Target(engine="postgresql", encrypt="no", **facts))
        contexts.append(db)
        return world.make_schemas(db)

    yield make
    for context in reversed(contexts):
        context.__exit__(None, None, None)


@pytest.fixture(params=["mssql-mssql", "mssql-postgresql", "postgresql-mssql"], ids=lambda name: "child-parent:" + name)
def pair(request: pytest.FixtureRequest, make_database: Callable[[str], Database]) -> Pair:
    """A child and its parent; the parent has 30 items since before they knew each other."""
    child, parent = (make_database(engine) for engine in request.param.split("-"))
    for db in (child, parent):
        world.make(db, TABLES, tracked=False)
    insert = (
        "insert into {ax.ITEM} ({ID}, {NAME}, {PRICE}, {CHANGED}, {DAY}, {FLAG}, {WEIGHT}, {GUID}, {NOTE}) values "
        "(?, ?, cast(? as numeric(32,16)), '2024-01-02T03:04:05.120', '2024-01-02', cast(1 as %s), 0.1, '%s', 'it''s')"
        % (parent.engine.types.native("bit") if parent.engine is world.ENGINE else "int)::boolean and (true", GUID)
    )
    for number in range(1, 31):
        world.run(parent, insert, number, "n%d" % number, "0.3333333333333333")
    for db in (child, parent):
        for table in TABLES:
            for statement in db.engine.tracking.create(table):
                db.execute(statement)
    return world.paired(child, parent, SCOPES)


@pytest.fixture
def loaded(pair: Pair) -> Pair:
    world.synchronise(pair)
    return pair


def pending(pair: Pair) -> list[str]:
    return [scope.name for scope in session.pending(pair, pair.scopes)]


def test_a_first_load_brings_every_value_exactly(pair: Pair) -> None:
    assert world.synchronise(pair) == 30
    columns = "{ID}, {NAME}, {PRICE}, {CHANGED}, {DAY}, {FLAG}, {WEIGHT}, {NOTE}"
    sql = "select %s from {ax.ITEM} order by {ID}" % columns
    assert world.rows(pair.child, sql) == world.rows(pair.parent, sql)
    first = world.rows(pair.child, sql)[0]
    assert (first[2], first[5], first[6], first[7]) == (Decimal("0.3333333333333333"), True, 0.1, "it's")
    assert str(world.rows(pair.child, "select {GUID} from {ax.ITEM}")[0][0]).upper() == GUID
    assert world.rows(pair.child, "select count(*) from {ax.ITEM_tracking}") == [(0,)]
    assert pending(pair) == []


def test_a_bad_row_of_a_first_load_goes_aside_alone(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no transaction, but its number in its batch."""
    monkeypatch.setattr(transfer, "BATCH_ROWS", 8)
    world.run(pair.child, "alter table {ax.ITEM} add constraint no_seven check ({ID} <> 7)")
    world.synchronise(pair)
    assert world.rows(pair.child, "select count(*) from {ax.ITEM}") == [(29,)]
    assert world.rows(pair.child, "select count(*) from {dbo.sync_quarantine}") == [(1,)]
    assert pending(pair) == []


#: A half of a pair of UTF-16 that stands alone, and a character for which a server that cannot hold one delivers it.
HALF, STAND_IN = "\ud800", "\ue000"


@pytest.fixture
def with_half(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Pair, str]]:
    """The pair, and SQL for a half at its side on SQL Server. Where the server refuses one, its driver seems to deliver it."""
    here = pair.child if pair.child.engine is world.ENGINE else pair.parent
    if probes.works(here, "SELECT NCHAR(55296)"):
        yield pair, "NCHAR(55296)"
        return
    if pair.child.engine is pair.parent.engine:
        pytest.skip("this server holds no halves of pairs of UTF-16")
    world.lacks(
        "this server holds no halves of pairs of UTF-16: one was put in the place of another character as it is read"
    )
    decode = texts.decode

    def deliver(data: bytes) -> str:
        return decode(data.decode("utf-16-le").replace(STAND_IN, HALF).encode("utf-16-le", "surrogatepass"))

    monkeypatch.setattr(texts, "decode", deliver)
    with _engine.connect(pair.child.target) as child, _engine.connect(pair.parent.target) as parent:
        yield Pair(child, parent), "NCHAR(57344)"


def test_a_text_that_is_no_unicode_travels_where_it_can_be_held_and_stops_nothing_elsewhere(
    with_half: tuple[Pair, str],
) -> None:
    pair, half = with_half
    up = pair.child.engine is world.ENGINE
    sender, receiver = (pair.child, pair.parent) if up else (pair.parent, pair.child)
    place = (
        "{ax.SALE} ({STORE}, {ID}, {TEXT}) values ('S', %s, %s)" if up else "{ax.ITEM} ({ID}, {NAME}) values (%s, %s)"
    )
    for number, text in ((101, "'good'"), (102, "N'bad' + %s + N'!'" % half), (103, "N'good \N{GRINNING FACE}'")):
        world.run(sender, "insert into " + place % (number, text))
    world.synchronise(pair)
    assert pending(pair) == []
    arrived = "select {ID}, {TEXT} from {ax.SALE}" if up else "select {ID}, {NAME} from {ax.ITEM} where {ID} > 100"
    found = dict(world.rows(receiver, arrived))
    kept = world.rows(receiver, "select {row_image}, {error} from {dbo.sync_quarantine}")
    if receiver.engine is world.ENGINE:
        assert found == {101: "good", 102: "bad\\ud800!", 103: "good \N{GRINNING FACE}"}
        stored = "select cast({TEXT} as varbinary(20)) from {ax.SALE} where {ID} = 102"
        assert bytes(world.rows(receiver, stored)[0][0]) == "bad\ud800!".encode("utf-16-le", "surrogatepass")
        assert kept == []
    else:
        assert found == {101: "good", 103: "good \N{GRINNING FACE}"}
        assert [("bad\\ud800!" in image, "surrogate" in error) for image, error in kept] == [(True, True)]
    assert [row.images["image"] for row in quarantined(pair)] == [
        {**row.images["image"], "TEXT" if up else "NAME": "bad\ud800!"} for row in quarantined(pair)
    ]


def test_changes_go_both_ways_once(loaded: Pair) -> None:
    child, parent = loaded.child, loaded.parent
    world.run(child, "insert into {ax.SALE} ({STORE}, {ID}, {TEXT}) values ('H', 1, 'a'), ('H', 2, 'b')")
    world.run(parent, "update {ax.ITEM} set {PRICE} = 9 where {ID} = 7")
    world.run(parent, "delete from {ax.ITEM} where {ID} = 8")
    world.run(child, "insert into {ax.CUST} ({ID}, {NAME}) values (1, 'c')")
    world.run(parent, "insert into {ax.CUST} ({ID}, {NAME}) values (2, 'p')")
    assert pending(loaded) == ["down", "up", "both"]
    assert world.synchronise(loaded) == 6
    assert world.rows(parent, "select {ID}, {TEXT} from {ax.SALE} order by {ID}") == [(1, "a"), (2, "b")]
    assert world.rows(child, "select {ID}, {PRICE} from {ax.ITEM} where {ID} in (7, 8)") == [(7, Decimal(9))]
    for db in (child, parent):
        assert world.rows(db, "select {ID}, {NAME} from {ax.CUST} order by {ID}") == [(1, "c"), (2, "p")]
    assert pending(loaded) == []
    assert sum(row["uploaded"] for row in log.read_last(parent, 10, "R1")) == 3


def test_a_conflict_is_decided_and_the_loser_kept(loaded: Pair) -> None:
    child, parent = loaded.child, loaded.parent
    world.run(child, "insert into {ax.CUST} ({ID}, {NAME}) values (1, 'c')")
    world.synchronise(loaded)
    world.run(child, "update {ax.CUST} set {NAME} = 'child' where {ID} = 1")
    world.run(parent, "update {ax.CUST} set {NAME} = 'parent' where {ID} = 1")
    world.synchronise(loaded)
    for db in (child, parent):
        assert world.rows(db, "select {NAME} from {ax.CUST}") == [("parent",)]
    kept = world.rows(parent, "select winner, row_key, incoming_image from {dbo.sync_conflict}")
    assert [row[:2] for row in kept] == [("parent", "[1]")]
    assert '"child"' in kept[0][2]
    assert pending(loaded) == []


def test_texts_that_a_collation_calls_equal_are_different_edits(loaded: Pair) -> None:
    child, parent = loaded.child, loaded.parent
    world.run(parent, "insert into {ax.CUST} ({ID}, {NAME}) values (1, 'Cola')")
    for text in ("COLA", "COLA ", "Cola"):
        world.synchronise(loaded)
        world.run(parent, "update {ax.CUST} set {NAME} = '%s' where {ID} = 1" % text)
        world.synchronise(loaded)
        assert world.rows(child, "select {NAME} from {ax.CUST}") == [(text,)]


def test_a_bad_row_goes_aside_with_its_whole_transaction(loaded: Pair) -> None:
    child, parent = loaded.child, loaded.parent
    world.run(parent, "alter table {ax.SALE} add constraint no_bad check ({TEXT} <> 'bad')")
    insert = "insert into {ax.SALE} ({STORE}, {ID}, {TEXT}) values ('H', %d, '%s')"
    world.run(child, insert % (10, "good"))
    with child.transaction():
        world.run(child, insert % (11, "bad"))
        world.run(child, insert % (12, "same sale"))
    world.run(child, insert % (13, "good"))
    world.synchronise(loaded)
    assert world.rows(parent, "select {ID} from {ax.SALE} order by {ID}") == [(10,), (13,)]
    assert world.rows(parent, "select count(*), count(distinct source_transaction) from {dbo.sync_quarantine}") == [
        (2, 1)
    ]
    assert pending(loaded) == []


def test_deletes_of_an_upload_scope_stay_where_they_are(loaded: Pair) -> None:
    world.run(loaded.child, "insert into {ax.SALE} ({STORE}, {ID}) values ('H', 1)")
    world.synchronise(loaded)
    world.run(loaded.child, "delete from {ax.SALE}")
    world.synchronise(loaded)
    assert world.rows(loaded.parent, "select count(*) from {ax.SALE}") == [(1,)]
    assert pending(loaded) == []


def test_a_unique_value_may_change_hands(loaded: Pair) -> None:
    child, parent = loaded.child, loaded.parent
    world.run(child, "alter table {ax.CUST} add constraint {UQ_CUST} unique ({NAME})")
    again = Pair(child, parent)
    world.run(parent, "insert into {ax.CUST} ({ID}, {NAME}) values (1, 'a'), (2, 'b'), (3, 'c')")
    world.synchronise(again)
    world.run(parent, "update {ax.CUST} set {NAME} = case {ID} when 1 then 'b' when 2 then 'a' else 'd' end")
    world.run(parent, "insert into {ax.CUST} ({ID}, {NAME}) values (4, 'c')")
    world.synchronise(again)
    found = world.rows(child, "select {ID}, {NAME} from {ax.CUST} order by {ID}")
    assert found == [(1, "b"), (2, "a"), (3, "d"), (4, "c")]
    assert world.rows(child, "select count(*) from {dbo.sync_quarantine}") == [(0,)]


def test_a_key_change_goes_up_and_a_purge_of_what_it_made_does_not(loaded: Pair) -> None:
    child, parent = loaded.child, loaded.parent
    world.run(child, "insert into {ax.SALE} ({STORE}, {ID}, {TEXT}) values ('H', 1, 'a'), ('H', 2, 'b'), ('H', 3, 'c')")
    world.synchronise(loaded)
    world.run(child, "update {ax.SALE} set {ID} = 12 where {ID} = 2")
    for key in (13, 23):
        world.run(child, "update {ax.SALE} set {ID} = %d where {ID} = %d" % (key, key - 10))
    world.run(child, "delete from {ax.SALE} where {ID} in (1, 23)")
    world.synchronise(loaded)
    found = "select {ID}, {TEXT} from {ax.SALE} order by {ID}"
    assert world.rows(parent, found) == [(1, "a"), (3, "c"), (12, "b")]
    world.run(child, "delete from {ax.SALE}")
    world.synchronise(loaded)
    assert world.rows(parent, found) == [(1, "a"), (3, "c"), (12, "b")]
    assert pending(loaded) == []


def test_three_transactions_over_one_row_are_put_aside_together(loaded: Pair) -> None:
    child, parent = loaded.child, loaded.parent
    world.run(parent, "alter table {ax.SALE} add constraint {CK_SALE} check ({ID} <> 101)")
    world.run(child, "insert into {ax.SALE} ({STORE}, {ID}) values ('H', 0)")
    for number in (101, 102, 103):
        with child.transaction():
            world.run(child, "insert into {ax.SALE} ({STORE}, {ID}) values ('H', %d)" % number)
            world.run(child, "update {ax.SALE} set {TEXT} = '%d' where {ID} = 0" % number)
    world.run(child, "insert into {ax.SALE} ({STORE}, {ID}) values ('H', 9)")
    assert world.rows(child, "select count(*) from {dbo.sync_transaction_link}") == [(3,)]
    world.synchronise(loaded)
    assert world.rows(parent, "select {ID} from {ax.SALE}") == [(9,)]
    assert world.rows(child, "select count(*) from {dbo.sync_transaction_link}") == [(0,)]
    world.run(parent, "alter table {ax.SALE} drop constraint {CK_SALE}")
    world.run(child, "update {ax.SALE} set {TEXT} = 'x' where {ID} = 0")
    world.synchronise(loaded)
    assert world.rows(parent, "select {ID} from {ax.SALE} order by {ID}") == [(0,), (9,), (101,), (102,), (103,)]
    assert world.rows(parent, "select count(*) from {dbo.sync_quarantine}") == [(0,)]


KEEPS_OUT = {
    "mssql": "create trigger {ax.KEEP_OUT} on {ax.%s} instead of %s as begin set nocount on end",
    "postgresql": "create function {ax.KEEP_OUT}() returns trigger language plpgsql as 'begin return null; end'; "
    "create trigger {KEEP_OUT} before %s on {ax.%s} for each row execute function {ax.KEEP_OUT}()",
}


def _keep_out(db: Database, table: str, event: str) -> None:
    """A trigger that leaves the rows of a table as they are, without an error."""
    names = (table, event) if db.engine is world.ENGINE else (event, table)
    world.run(db, KEEPS_OUT[db.target.engine] % names)


def test_a_row_that_a_trigger_keeps_out_is_put_aside(loaded: Pair) -> None:
    """Nothing failed, and yet it is not there: it must not pass for written."""
    child, parent = loaded.child, loaded.parent
    _keep_out(parent, "SALE", "insert")
    world.run(child, "insert into {ax.SALE} ({STORE}, {ID}) values ('H', 9)")
    world.synchronise(loaded)
    assert world.rows(parent, "select count(*) from {ax.SALE}") == [(0,)]
    (kept,) = world.rows(parent, "select error from {dbo.sync_quarantine}")
    assert "without an error" in kept[0]


@pytest.mark.parametrize("event", ["update", "delete"])
def test_a_change_that_a_trigger_keeps_from_a_row_is_put_aside(loaded: Pair, event: str) -> None:
    """The row stands there as it was, which must not pass for written; what the trigger lets by arrives."""
    child, parent = loaded.child, loaded.parent
    _keep_out(child, "ITEM", event)
    world.run(parent, "update {ax.ITEM} set {NAME} = 'changed' where {ID} = 7")
    world.run(parent, "delete from {ax.ITEM} where {ID} = 8")
    world.run(parent, "insert into {ax.ITEM} ({ID}, {NAME}) values (31, 'new')")
    world.synchronise(loaded)
    assert pending(loaded) == []
    found = world.rows(child, "select {ID}, {NAME} from {ax.ITEM} where {ID} in (7, 8, 31) order by {ID}")
    as_it_came = {"update": (7, "changed"), "delete": None}
    as_it_was = {"update": (7, "n7"), "delete": (8, "n8")}
    wanted = [{**as_it_came, event: as_it_was[event]}[one] for one in ("update", "delete")] + [(31, "new")]
    assert found == [row for row in wanted if row]
    (kept,) = world.rows(child, "select error, row_image from {dbo.sync_quarantine}")
    assert "without an error" in kept[0]
    assert int(json.loads(kept[1])["c0"]) == as_it_was[event][0]


def test_what_a_trigger_writes_instead_of_us_is_written(loaded: Pair) -> None:
    """As it likes to write it: an application's trigger may stand in the place of the statement."""
    child = loaded.child
    if child.engine is not world.ENGINE:
        pytest.skip("PostgreSQL has no trigger INSTEAD OF on a table")
    child.execute(
        "CREATE TRIGGER [ax].[own_way] ON [ax].[ITEM] INSTEAD OF UPDATE AS BEGIN SET NOCOUNT ON; UPDATE r SET [NAME] = "
        "UPPER(i.[NAME]), [PRICE] = i.[PRICE] FROM [ax].[ITEM] AS r JOIN inserted AS i ON i.[ID] = r.[ID] END"
    )
    world.run(loaded.parent, "update {ax.ITEM} set {NAME} = 'changed' where {ID} < 4")
    world.run(loaded.parent, "insert into {ax.ITEM} ({ID}, {NAME}) values (31, 'new')")
    world.synchronise(loaded)
    assert world.rows(child, "select {NAME} from {ax.ITEM} where {ID} < 5 or {ID} = 31 order by {ID}") == [
        *[("CHANGED",)] * 3,
        *[("n4",), ("new",)],
    ]
    assert world.rows(child, "select count(*) from {dbo.sync_quarantine}") == [(0,)]
    assert world.rows(child, "select {ID}, {origin} from {ax.ITEM_tracking} order by {ID}") == [
        *[(1, 0), (2, 0), (3, 0)],
        (31, 0),
    ]
    assert pending(loaded) == []


def test_a_table_of_many_columns_travels_whole(make_database: Callable[[str], Database]) -> None:
    """More columns than a function may have arguments, on a server that has functions where SQL Server has none."""
    names = ["C%d" % number for number in range(130)]
    wide = world.table("WIDE", "ID", ID="bigint not null", **dict.fromkeys(names, "nvarchar(10)"))
    child, parent = make_database("mssql"), make_database("mssql")
    for db in (child, parent):
        world.make(db, (wide,))
    pair = world.paired(child, parent, [world.scope("wide", "upload", wide, "child")])
    insert = "insert into {ax.WIDE} ({ID}, %s) values (?, %s)" % (
        ", ".join(names),
        ", ".join("?" * len(names)),
    )
    for key, text in ((1, "x"), (2, "y")):
        world.run(child, insert, key, *(text + name for name in names))
    world.synchronise(pair)
    found = world.rows(parent, "select {ID}, %s from {ax.WIDE} order by {ID}" % ", ".join(names))
    assert found == [(key, *(text + name for name in names)) for key, text in ((1, "x"), (2, "y"))]
    assert pending(pair) == []


def test_a_new_key_travels_as_a_deletion_and_a_row(loaded: Pair) -> None:
    world.run(loaded.child, "insert into {ax.CUST} ({ID}, {NAME}) values (1, 'c')")
    world.synchronise(loaded)
    world.run(loaded.child, "update {ax.CUST} set {ID} = 100")
    world.synchronise(loaded)
    assert world.rows(loaded.parent, "select {ID}, {NAME} from {ax.CUST}") == [(100, "c")]
    assert pending(loaded) == []


def test_what_a_download_only_register_changed_is_kept_as_a_conflict(loaded: Pair) -> None:
    world.run(loaded.child, "update {ax.ITEM} set {PRICE} = 1 where {ID} = 20")
    world.run(loaded.parent, "update {ax.ITEM} set {PRICE} = 2 where {ID} = 20")
    world.synchronise(loaded)
    assert world.rows(loaded.child, "select {PRICE} from {ax.ITEM} where {ID} = 20") == [(Decimal(2),)]
    assert world.rows(loaded.child, "select winner, kind from {dbo.sync_conflict}") == [("parent", "update-update")]


def test_a_trigger_that_rewrites_the_applied_row_makes_no_echo(loaded: Pair) -> None:
    child = loaded.child
    if child.engine is not world.ENGINE:
        pytest.skip("the child's trigger is written in T-SQL")
    child.execute(
        "CREATE TRIGGER [ax].[stamp] ON [ax].[CUST] AFTER INSERT AS BEGIN SET NOCOUNT ON; UPDATE c SET [NAME] = "
        "c.[NAME] + N'!' "
        "FROM [ax].[CUST] AS c JOIN inserted AS i ON i.[ID] = c.[ID] END"
    )
    world.run(loaded.parent, "insert into {ax.CUST} ({ID}, {NAME}) values (5, 'p')")
    world.synchronise(loaded)
    assert world.rows(child, "select {NAME} from {ax.CUST}") == [("p!",)]
    assert world.rows(child, "select origin from {ax.CUST_tracking}") == [(0,)]
    assert world.rows(loaded.parent, "select {NAME} from {ax.CUST}") == [("p",)]
    assert pending(loaded) == []


def test_what_a_trigger_writes_into_another_table_is_a_change_of_its_own(loaded: Pair) -> None:
    """At both sides, where both speak T-SQL; the row that is applied keeps its origin."""
    sides = {"C": loaded.child, "P": loaded.parent}
    spoken = {store: db for store, db in sides.items() if db.engine is world.ENGINE}
    for store, db in spoken.items():
        db.execute(
            "CREATE TRIGGER [ax].[receipt] ON [ax].[CUST] AFTER INSERT AS BEGIN SET NOCOUNT ON; INSERT INTO [ax].[SALE] "
            "([STORE], [ID]) SELECT N'%s', i.[ID] FROM inserted AS i END" % store
        )
    world.run(loaded.parent, "insert into {ax.CUST} ({ID}, {NAME}) values (5, 'p')")
    world.synchronise(loaded)
    assert world.rows(loaded.child, "select origin from {ax.CUST_tracking}") == [(0,)]
    found = "select {STORE}, {ID} from {ax.SALE} order by {STORE}"
    assert world.rows(loaded.child, found) == [("C", 5)] * ("C" in spoken)
    assert world.rows(loaded.parent, found) == [(store, 5) for store in sorted(spoken)]
    assert pending(loaded) == []
