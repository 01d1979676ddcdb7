# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that a SQL Server has in ways of its own: they arrive as they are, or their rows are put aside, and no digest passes over any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import mssql_world as world
import pytest
from offline_world import target

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import _canonical
from ansible_collections.axops.retail.plugins.module_utils._engine._canonical import Digest
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._sync import session
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = world.needs_server
#: Without what JSON has to escape: not every server reads that.
SHAPE = "<shape kind='round'> <side/> <!-- kept --></shape>"
LATIN, GREEK = "Latin1_General_CI_AS", "Greek_CI_AS"


@pytest.fixture
def two() -> Iterator[tuple[Database, Database]]:
    with ExitStack() as stack:
        yield stack.enter_context(world.fresh()), stack.enter_context(world.fresh())


def pair_of(two: tuple[Database, Database], table: Table, direction: str = "download", winner: str = "parent") -> Pair:
    for db in two:
        world.make(db, (table,))
    return world.paired(*two, [world.scope("values", direction, table, winner)])


def settled(pair: Pair) -> bool:
    """Whether nothing is left to be sent, and a session again moves nothing."""
    return not session.pending(pair, pair.scopes) and not any(session.run(pair, one).moved for one in pair.scopes)


def test_a_document_arrives_as_it_is_and_may_be_changed_and_kept(two: tuple[Database, Database]) -> None:
    table = world.table("SHAPES", "ID", ID="bigint not null", SHAPE="xml", N="int")
    pair = pair_of(two, table, "bidirectional")
    child, parent = two
    as_text = "select {ID}, convert(nvarchar(max), {SHAPE}) from {ax.SHAPES} order by {ID}"
    insert = "insert into {ax.SHAPES} ({ID}, {SHAPE}, {N}) values (?, convert(xml, cast(? as nvarchar(max)), 1), 0)"
    for number, shape in ((1, SHAPE), (2, "<a/>"), (3, None)):
        world.run(parent, insert, number, shape)
    world.synchronise(pair)
    assert world.rows(child, as_text) == world.rows(parent, as_text)
    assert settled(pair)
    world.run(parent, "update {ax.SHAPES} set {SHAPE} = convert(xml, N'<b> </b>', 1) where {ID} = 2")
    world.synchronise(pair)
    assert world.rows(child, as_text) == world.rows(parent, as_text)
    world.run(child, "update {ax.SHAPES} set {N} = 1 where {ID} = 1")
    world.run(parent, "update {ax.SHAPES} set {N} = 2 where {ID} = 1")
    world.synchronise(pair)
    [(kept,)] = world.rows(parent, "select incoming_image from {dbo.sync_conflict}")
    assert json.loads(kept)["SHAPE"] == world.rows(parent, as_text)[0][1]
    with parent.transaction():
        parent.engine.repairs.put(parent, table, table.columns, json.dumps({"k0": 2, "k1": SHAPE, "k2": 7}))
    assert world.rows(parent, as_text)[1][1] == world.rows(parent, as_text)[0][1]
    digests = parent.engine.digests
    digest = Digest(table, table.columns, tuple(digests.form(column) for column in table.columns))
    assert len({row[1] for row in digests.members(parent, digest, 1, [0])}) == 3


def loses_characters(db: Database) -> bool:
    """Whether a code page of this server lacks characters at all."""
    return "?" in str(db.value("SELECT CONVERT(nvarchar(9), CONVERT(varchar(9), N'Привет' COLLATE %s))" % LATIN))


def words(two: tuple[Database, Database], collation: str) -> Pair:
    """The parent's words are Unicode, the child's in a code page."""
    two[0].execute(
        "CREATE TABLE [ax].[WORDS] ([ID] bigint NOT NULL PRIMARY KEY, [WORD] varchar(20) COLLATE %s NULL)" % collation
    )
    return pair_of(two, world.table("WORDS", "ID", ID="bigint not null", WORD="nvarchar(20)"))


def test_what_a_code_page_lacks_is_put_aside_and_never_a_question_mark(two: tuple[Database, Database]) -> None:
    child, parent = two
    if not loses_characters(child):
        pytest.skip("a varchar holds every character on this server")
    pair = words(two, LATIN)
    for number, word in ((1, "Crème"), (2, "Ünïted €"), (3, "Привет"), (4, "plain?"), (5, "Ā"), (6, None)):
        world.run(parent, "insert into {ax.WORDS} values (?, ?)", number, word)
    world.synchronise(pair)
    assert world.rows(child, "select {ID}, {WORD} from {ax.WORDS} order by {ID}") == [
        (1, "Crème"), (2, "Ünïted €"), (4, "plain?"), (6, None),
    ]  # fmt: skip
    kept = world.rows(child, "select error, row_image from {dbo.sync_quarantine}")
    assert sorted(json.loads(image)["c0"] for _error, image in kept) == [3, 5]
    assert all("column WORD of ax.WORDS cannot hold a character" in error and LATIN in error for error, _image in kept)
    assert not session.pending(pair, pair.scopes)
    narrow = world.table("WORDS", "ID", ID="bigint not null", WORD="varchar(20)")
    with pytest.raises(StatementFailed, match="cannot hold a character"), child.transaction():
        child.engine.repairs.put(child, narrow, narrow.columns, '{"k0":1,"k1":"Привет"}')


def test_a_code_page_of_the_columns_own_holds_what_the_databases_lacks(two: tuple[Database, Database]) -> None:
    child, parent = two
    pair = words(two, GREEK)
    world.run(parent, "insert into {ax.WORDS} values (1, N'Αθήνα')")
    world.synchronise(pair)
    assert world.rows(child, "select {WORD} from {ax.WORDS}") == [("Αθήνα",)]
    world.run(parent, "update {ax.WORDS} set {WORD} = N'Αθήναι'")
    world.synchronise(pair)
    assert world.rows(child, "select {WORD} from {ax.WORDS}") == [("Αθήναι",)]
    assert settled(pair)


def test_bytes_that_end_with_zeros_are_changed_to_those_that_end_before_them(two: tuple[Database, Database]) -> None:
    child, parent = two
    try:
        parent.value("SELECT CONVERT(varbinary(max), 0x01) AS b FOR JSON PATH")
    except StatementFailed as error:
        pytest.skip("bytes do not travel from this server: %s" % error.message)
    table = world.table("BYTES", "ID", ID="bigint not null", SOME="varbinary(max)", TEXT="nvarchar(20)")
    pair = pair_of(two, table)
    world.run(parent, "insert into {ax.BYTES} values (1, 0x0100, N'a')")
    world.synchronise(pair)
    world.run(parent, "update {ax.BYTES} set {SOME} = 0x01")
    world.synchronise(pair)
    assert world.rows(child, "select datalength({SOME}) from {ax.BYTES}") == [(1,)]


def test_an_image_that_is_kept_has_its_columns_by_their_names_with_dots_or_not(two: tuple[Database, Database]) -> None:
    child, parent = two
    columns = (
        Column("ID", "bigint", False),
        Column("A.B", "numeric(32,16)"),
        Column("A.C", "nvarchar(40)"),
        Column("N", "int"),
    )
    table = Table(TableName("ax", "DOTS"), columns, ("ID",))
    pair = pair_of(two, table)
    insert = "INSERT INTO [ax].[DOTS] VALUES (1, 0.5, ?, 0)"
    parent.execute(insert, "A\ue000B:")  # quotation marks: not every server reads escapes from JSON
    world.synchronise(pair)
    for db, number in ((child, 1), (parent, 2)):
        db.execute("UPDATE [ax].[DOTS] SET [N] = %d" % number)
    world.synchronise(pair)
    [(incoming, local)] = world.rows(child, "select incoming_image, local_image from {dbo.sync_conflict}")
    for text, number in ((incoming, 2), (local, 1)):
        assert json.loads(text) == {"ID": 1, "A.B": 0.5, "A.C": "A\ue000B:", "N": number}
    with child.transaction():
        text = child.engine.repairs.image(child, table, table.columns, '{"k0":1}')
    assert json.loads(text) == json.loads(incoming)


# ---- digests


LONG = Table(
    TableName("ax", "LONG"),
    (
        Column("ID", "bigint", False),
        *(Column("C%03d" % number, "nvarchar(200)") for number in range(130)),
        *(Column("T%d" % size, "nvarchar(%d)" % size) for size in (1_999, 2_000, 4_000)),
        Column("MOST", "nvarchar(max)"),
    ),
    ("ID",),
)
#: Of each, so that a text fills its column: printable, with blanks at the end, of two bytes a character, of pairs of UTF-16.
KINDS = ("x", " ", "é", "\U0001f355")


def long_row(kind: str) -> list[str]:
    widths = [200] * 130 + [1_999, 2_000, 4_000, 9_000]
    characters = [width // len(kind.encode("utf-16-le")) * 2 for width in widths]
    return [kind * (count - 1) + ("é" if kind == "\U0001f355" else kind) for count in characters]


def digests_of(db: Database, forms: tuple[Any, ...]) -> list[tuple[str, str]]:
    rows = db.engine.digests.members(db, Digest(LONG, LONG.columns, forms), 1, [0])
    return sorted((key, digest) for key, digest, _wire in rows)


def test_rows_of_long_texts_have_the_digest_of_all_of_it_on_both_engines(scratch_database: dict[str, Any]) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(_engine.connect(target(scratch_database)))
        one = stack.enter_context(world.fresh())
        world.make_schemas(other)
        columns = LONG.columns
        for db in (one, other):
            world.make(db, (LONG,), tracked=False)
            for number, kind in enumerate(KINDS):
                fill(db, number, long_row(kind))
        forms = tuple(
            _canonical.common(one.engine.digests.form(column), other.engine.digests.form(column)) for column in columns
        )
        before = digests_of(one, forms)
        assert before == digests_of(other, forms)
        for name in ("C129", "T1999", "T2000", "T4000", "MOST"):
            for db in (one, other):
                change_the_last_character(db, name)
            after = digests_of(one, forms)
            assert after == digests_of(other, forms)
            assert not set(after) & set(before), name
            before = after


def fill(db: Database, number: int, texts: list[str]) -> None:
    names = ", ".join(db.engine.names.quote(column.name) for column in LONG.columns)
    place = db.engine.names.quote(*LONG.name)
    values = ", ".join(["?"] * len(texts))
    db.execute("INSERT INTO %s (%s) VALUES (%d, %s)" % (place, names, number, values), *texts)


def change_the_last_character(db: Database, name: str) -> None:
    place, column = db.engine.names.quote(*LONG.name), db.engine.names.quote(name)
    number = [one.name for one in LONG.columns].index(name) - 1
    for row, kind in enumerate(KINDS):
        text = long_row(kind)[number][:-1] + "y"
        db.execute("UPDATE %s SET %s = ? WHERE %s = %d" % (place, column, db.engine.names.quote("ID"), row), text)


# ---- many rows at a time


def test_many_rows_are_tracked_forget_their_versions_and_become_deletions(two: tuple[Database, Database]) -> None:
    db = two[0]
    table = world.table("MANY", "ID", ID="bigint not null", N="int")
    world.make(db, (table,), tracked=False)
    for start in range(0, 1_300, 100):
        values = ", ".join("(%d, 0)" % number for number in range(start, start + 100))
        world.run(db, "insert into {ax.MANY} values " + values)
    tracking = db.engine.tracking
    for statement in tracking.create(table):
        db.execute(statement)
    with db.transaction():
        db.execute(tracking.track_existing(table))
    assert world.rows(db, "select count(*), count(distinct source_transaction) from {ax.MANY_tracking}") == [(1_300, 1)]
    db.execute(tracking.track_existing(table))
    world.run(
        db,
        "update {ax.MANY_tracking} set parent_version = 5, origin = case when {ID} < 300 then 0 end where {ID} < 600",
    )
    forgotten = "select count(*) from {ax.MANY_tracking} where parent_version is null"
    for origin, left in ((0, 1_000), (None, 1_300)):
        db.execute(tracking.forget_versions(table.name, origin))
        assert world.rows(db, forgotten) == [(left,)]
    world.run(db, "truncate table {ax.MANY}")
    world.run(db, "insert into {ax.MANY} values (7, 1)")
    assert db.engine.repairs.bury(db, table) == 1_299
    assert db.engine.repairs.orphans(db, [table]) == [0]
    assert world.rows(db, "select {ID} from {ax.MANY_tracking} where sync_row_is_tombstone = 0") == [(7,)]


def test_the_session_speaks_one_language_and_a_scripts_own_connection_the_logins(
    two: tuple[Database, Database],
) -> None:
    db = two[0]
    assert db.value("SELECT @@LANGUAGE") == "us_english"
    for setting in db.engine.scripts.SETTINGS:
        db.execute(setting)
    language = db.value("SELECT CAST(SESSION_CONTEXT(N'%s') AS nvarchar(128))" % db.engine.scripts.LANGUAGE)
    assert db.value("SELECT @@LANGUAGE") == language
