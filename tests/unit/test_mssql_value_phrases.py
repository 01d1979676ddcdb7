# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values on their way through the SQL Server speaker: documents, code pages, bytes, digests, names with dots; and how much it locks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from mssql_said import NAME, TABLE, Recorder, applied, work

from ansible_collections.axops.retail.plugins.module_utils._engine import _canonical, mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import (
    ConnectFailed,
    RetailError,
    StatementFailed,
)
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName

KEY = '{"k0":"A","k1":"DAT"}'
#: With a text that is in another code page than the database's.
CYRILLIC = replace(
    TABLE,
    columns=tuple(
        replace(column, collation="Cyrillic_General_CI_AS") if column.name == "OLDNOTE" else column
        for column in TABLE.columns
    ),
)
PLACE = {column.name: place for place, column in enumerate(TABLE.travelling_columns)}


def said(start: str, one: Any = None) -> str:
    return next(sql for sql in applied(one or work()) if sql.startswith(start))


# ---- documents


def test_a_document_lands_as_a_text_and_becomes_one_again_where_it_is_written() -> None:
    """No implicit conversion makes a text of a document (257), and one that nobody says would drop its white space."""
    key = "c%d" % PLACE["SHAPE"]
    assert "CONVERT(nvarchar(max), CONVERT(xml, q.%s, 1))" % key in said("INSERT INTO #incoming")
    assert "[SHAPE] = CONVERT(xml, i.%s, 1)" % key in said("UPDATE r SET [")
    assert re.search(r"SELECT .*CONVERT\(xml, i\.%s, 1\)" % key, said("INSERT INTO [ax].[INVENT]]TABLE] ("))
    db = Recorder()
    mssql.repairs.put(db, TABLE, TABLE.travelling_columns, KEY)
    assert "CONVERT(xml, j.k%d, 1) AS [SHAPE]" % PLACE["SHAPE"] in db.said[-1]


def test_no_statement_puts_a_document_where_a_text_is_wanted() -> None:
    for sql in applied(work()):
        landed = sql.startswith("INSERT INTO #incoming")
        for found in re.finditer(r"CONVERT\(xml, [^)]*\)", sql):
            assert landed == sql[: found.start()].endswith("CONVERT(nvarchar(max), ")


# ---- code pages


def test_what_a_code_page_lacks_is_looked_for_before_a_batch_is_applied() -> None:
    landing = said("INSERT INTO #incoming", work(CYRILLIC))
    text = "q.c%d" % PLACE["OLDNOTE"]
    back = "CONVERT(nvarchar(max), CONVERT(varchar(max), %s COLLATE Cyrillic_General_CI_AS))" % text
    assert (
        "CASE WHEN CONVERT(varbinary(max), %s) <> CONVERT(varbinary(max), %s) THEN N'OLDNOTE' END" % (back, text)
    ) in landing
    made = next(sql for sql in applied(work(CYRILLIC)) if "CREATE TABLE #incoming" in sql)
    assert "c%d varchar(max) COLLATE Cyrillic_General_CI_AS NULL" % PLACE["OLDNOTE"] in made
    assert "c%d nvarchar(max) COLLATE DATABASE_DEFAULT NULL" % PLACE["NOTE"] in made
    assert "%s COLLATE DATABASE_DEFAULT))) <> " % text in said("INSERT INTO #incoming")


class Lossy(Recorder):
    """A server where a text was found to have lost a character."""

    def value(self, sql: str, *parameters: Any) -> Any:
        answer = super().value(sql, *parameters)
        return "OLDNOTE" if "lost" in sql or "THEN N'OLDNOTE'" in sql else answer


def test_a_text_that_would_lose_characters_is_refused_as_a_row_that_cannot_be_stored() -> None:
    db = Lossy()
    with pytest.raises(StatementFailed, match=r"OLDNOTE of ax.INVENT\]TABLE .*Cyrillic_General_CI_AS") as failure:
        mssql.applying.apply_batch(db, work(CYRILLIC))
    assert failure.value.kind == "data"
    assert not any(sql.startswith(("UPDATE r", "DELETE r", "INSERT INTO [ax]")) for sql in db.said)
    with pytest.raises(StatementFailed, match="OLDNOTE"):
        mssql.repairs.put(db, TABLE, TABLE.travelling_columns, KEY)
    assert not any(sql.startswith(("UPDATE r", "INSERT INTO [ax]")) for sql in db.said)


def test_tables_without_code_pages_are_not_looked_at() -> None:
    wide = Table(NAME, (Column("ID", "bigint", False), Column("TEXT", "nvarchar(20)")), ("ID",))
    assert not any("TOP (1) lost" in sql for sql in applied(work(wide)))


# ---- bytes


def test_bytes_that_end_with_zeros_are_not_those_that_end_before_them() -> None:
    """To SQL Server 0x01 and 0x0100 are equal."""
    decide = said("UPDATE i SET act")
    for name, shown in (
        ("PICTURE", "CONVERT(varbinary(max), %s)"),
        ("NOTE", "CONVERT(varbinary(max), CONVERT(nvarchar(max), %s))"),
    ):
        for value in ("r.[%s]" % name, "i.c%d" % PLACE[name]):
            assert "%s, DATALENGTH(%s)" % (shown % value, shown % value) in decide
    assert "DATALENGTH(r.[PRICE])" not in decide


# ---- digests


def joined(columns: list[Column]) -> str:
    return mssql.digests._joined(Recorder(), [(column, mssql.digests.form(column)) for column in columns])


def test_no_part_of_a_rows_spelling_is_cut_off() -> None:
    """CONCAT cuts at 8,000 bytes what has no max in it."""
    groups = joined([Column("C%d" % number, "nvarchar(1000)") for number in range(130)]).split(" + CONCAT(")
    assert len(groups) == 3
    assert all(group.removeprefix("CONCAT(").startswith("CONVERT(varchar(max), ''), ") for group in groups)


@pytest.mark.parametrize("kind", ["nvarchar(%d)", "varchar(%d)"])
@pytest.mark.parametrize("length", [1, 1_999, 2_000, 4_000, None])
def test_the_spelling_of_a_text_has_room_for_all_of_it(length: int | None, kind: str) -> None:
    column = Column("C", kind % length if length else kind.replace("%d", "max"))
    text = mssql.digests._text(Recorder(), _canonical.Form("text"), column, "r.[C]")
    rooms = [int(size) if size != "max" else size for size in re.findall(r"var(?:char|binary)\((\d+|max)\)", text)]
    if length and length < 2_000:
        digits = [one for one in rooms if one >= 4 * length]
        assert digits and max(digits) + len("u") <= 8_000
    else:
        assert set(rooms) == {"max"}


def test_lengths_are_counted_where_no_text_is_too_long_to_be_counted() -> None:
    text = joined([Column("C", "nvarchar(4000)")])
    assert "LEN(" not in text.replace("DATALENGTH(", "")
    assert (
        "CONCAT(DATALENGTH({0}), ':', {0})".format("CONVERT(varchar(max), r.[C] COLLATE Latin1_General_BIN2)") in text
    )


# ---- names with dots


def test_a_name_with_a_dot_makes_no_object_in_the_image_that_is_kept() -> None:
    made = mssql.images.json_object([("A.B", "r.[A.B]"), ("it's", "r.[C]")])
    alias = "A\ue000B"
    assert "r.[A.B] AS [%s], r.[C] AS [it's] FOR JSON PATH" % alias in made
    assert made.startswith("REPLACE((SELECT ") and made.endswith(
        " COLLATE Latin1_General_BIN2, N'\"%s\":', N'\"A.B\":')" % alias
    )
    assert "N'\"X\\/Y\ue000Z\":', N'\"X\\/Y.Z\":')" in mssql.images.json_object([("X/Y.Z", "1")])
    kept = json.dumps({alias: '"%s":' % alias}, ensure_ascii=False, separators=(",", ":"))
    assert json.loads(kept.replace('"%s":' % alias, '"A.B":')) == {"A.B": '"%s":' % alias}
    dotted = Table(TableName("ax", "T"), (Column("ID", "int", False), Column("A.B", "int")), ("ID",))
    db = Recorder()
    mssql.repairs.image(db, dotted, dotted.columns, '{"k0":1}')
    conflict = next(sql for sql in applied(work(dotted)) if "incoming_image" in sql)
    for sql in (db.said[-1], conflict):
        assert "AS [A.B]" not in sql and "AS [%s]" % alias in sql


# ---- locks


def test_tracking_what_is_there_takes_one_lock_on_each_of_the_two_tables_the_table_first() -> None:
    batch = mssql.tracking.track_existing(TABLE)
    assert "FROM [ax].[INVENT]]TABLE] WITH (TABLOCK, HOLDLOCK)) INSERT INTO" in batch
    assert "INSERT INTO [ax].[INVENT]]TABLE_tracking] WITH (TABLOCK) (" in batch


def test_many_rows_forget_their_versions_under_one_lock_and_few_under_their_own() -> None:
    some = mssql.tracking.forget_versions(NAME, 0)
    few, _else, many = some.partition(" ELSE ")
    assert few.startswith("IF (SELECT COUNT(*) FROM (SELECT TOP (100000) 1 AS n FROM ") and "TABLOCK" not in few
    assert "_tracking] WITH (TABLOCK) SET parent_version = NULL WHERE parent_version IS NOT NULL AND origin = 0" in many
    assert "origin" not in mssql.tracking.forget_versions(NAME)


def test_rows_become_deletions_so_many_at_a_time() -> None:
    class Truncated(Recorder):
        left = 1_200
        most = 0

        def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
            super().query(sql, *parameters)
            if "FETCH NEXT" not in sql:
                return []
            keys = [(KEY, None)] * self.left
            self.left = 0
            return keys

        def execute(self, sql: str, *parameters: Any) -> int:
            if sql.startswith("UPDATE t"):
                self.most = max(self.most, len(json.loads(parameters[0])))
            return super().execute(sql, *parameters)

    db = Truncated()
    assert mssql.repairs.bury(db, TABLE) == 1_200
    assert db.most == 500
    locks = next(sql for sql in db.said if "UPDLOCK, HOLDLOCK" in sql)
    assert locks.endswith("OPTION (FORCE ORDER, LOOP JOIN)"), "any other plan would lock far more than these rows"


# ---- files, words and numbers


def test_a_files_name_is_asked_of_the_database_itself() -> None:
    [said] = mssql.databases.set_options("R]", {"log_growth": "10%"})
    assert "FROM [R]]].sys.database_files WHERE type = 1" in said and "master_files" not in said


@pytest.mark.parametrize(
    ("numbers", "works"),
    [((4060, 18456), True), ((18456, 4064), True), ((18487,), True), ((18488, 18456), True), ((18456,), False)],
)
def test_whether_a_password_works_is_told_by_numbers_in_any_language(
    monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...], works: bool
) -> None:
    def refuse(_target: Target) -> None:
        raise ConnectFailed("Fehler bei der Anmeldung für den Benutzer 'pos'.", numbers=numbers)

    monkeypatch.setattr(mssql.connect, "open_connection", refuse)
    assert mssql.access.password_works(Target("mssql", database="R"), "pos", "x") is works


def test_a_disabled_login_says_nothing_of_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_target: Target) -> None:
        raise ConnectFailed("Login failed for user 'pos'. Reason: The account is disabled.", numbers=(18470,))

    monkeypatch.setattr(mssql.connect, "open_connection", refuse)
    with pytest.raises(RetailError, match="cannot be told"):
        mssql.access.password_works(Target("mssql"), "pos", "x")


def test_what_the_server_says_is_in_one_language_and_dates_in_scripts_are_read_in_the_logins() -> None:
    assert mssql.connect._SETTINGS.endswith("SET LANGUAGE us_english")
    assert "EXEC sp_set_session_context N'axops.language', @language" in mssql.connect._SETTINGS
    assert mssql.scripts.SETTINGS[-1].endswith("IF @language IS NOT NULL SET LANGUAGE @language")
    assert "SESSION_CONTEXT(N'axops.language')" in mssql.scripts.SETTINGS[-1]


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        (
            "Conversion failed when converting the nvarchar value 'it's (secret)' to data type int.",
            "Conversion failed when converting the nvarchar value to data type int.",
        ),
        (
            "The conversion of the varchar value '99999999999' overflowed an int column.",
            "The conversion of the varchar value overflowed an int column.",
        ),
        (
            "Arithmetic overflow error for data type tinyint, value = 4711.",
            "Arithmetic overflow error for data type tinyint.",
        ),
        (
            "String or binary data would be truncated in table 'R.ax.T', column 'C'. Truncated value: 'secret'.",
            "String or binary data would be truncated in table 'R.ax.T', column 'C'.",
        ),
    ],
)
def test_messages_quote_no_values_of_rows(said: str, plain: str) -> None:
    text = "[22018] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]%s (245) (SQLExecDirectW)" % said
    assert mssql.errors.plain_message(Exception("22018", text)) == plain
