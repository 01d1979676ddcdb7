# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL Server speaker: its statements say what they should. That they are T-SQL is for test_mssql_statements.py."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mssql_said import FILTER, NAME, TABLE, WIDE, Provisioned, Recorder, SmallFunctions, applied, extract, work

from ansible_collections.axops.retail.plugins.module_utils._engine import mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import (
    RetailError,
    StatementFailed,
    UnsupportedName,
    UnsupportedType,
)
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Moves
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._engine._rights import (
    EXECUTE,
    READ,
    SYNCHRONISE,
    WRITE,
    Securable,
)
from ansible_collections.axops.retail.plugins.module_utils._engine._wire import Merge
from ansible_collections.axops.retail.plugins.module_utils._schema import channel, package
from ansible_collections.axops.retail.plugins.module_utils._sync import verify


def test_names_are_bracketed_and_literals_escaped() -> None:
    assert mssql.names.quote("ax", "a]b") == "[ax].[a]]b]"
    assert mssql.names.literal("it's") == "N'it''s'"
    assert mssql.names.quote("x" * 128) == "[%s]" % ("x" * 128)
    for name in ("", "x" * 129, "a\0b", "\U0001f600" * 65):
        with pytest.raises(UnsupportedName):
            mssql.names.quote(name)


def test_the_wire_is_what_every_engine_reads() -> None:
    def wire(kind: str) -> str:
        return mssql.types.to_wire(Column("C", kind), "r.[C]")

    assert wire("datetime") == "CONVERT(varchar(33), r.[C], 126)"
    assert wire("date") == "CONVERT(varchar(10), r.[C], 23)"
    assert wire("float") == "CONVERT(varchar(40), r.[C], 3)"
    assert wire("image") == "CONVERT(varbinary(max), r.[C])"
    assert wire("numeric(32,16)") == wire("bit") == wire("nvarchar(20)") == "r.[C]"
    assert mssql.types.read_as(Column("C", "nvarchar(20)")) == "nvarchar(max)"
    assert mssql.types.read_as(Column("C", "image")) == "varbinary(max)"
    assert mssql.types.read_as(Column("C", "datetime")) == "datetime2(7)"


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("rowversion", "timestamp"),
        ("decimal(10)", "numeric(10,0)"),
        ("sysname", "nvarchar(128)"),
        ("datetime2(7)", "datetime2"),
        ("datetime2(3)", "datetime2(3)"),
        ("nchar", "nchar(1)"),
        ("varbinary", "varbinary(max)"),
        ("varchar(60)", "varchar(60)"),
    ],
)
def test_types_have_one_spelling(written: str, normal: str) -> None:
    assert mssql.types.normalize(written) == normal
    assert mssql.types.neutral(mssql.types.normalize(written)) == normal


def test_an_unknown_type_is_refused_where_it_is_made_and_left_alone_where_it_is_found() -> None:
    with pytest.raises(UnsupportedType):
        mssql.types.native("geography")
    assert mssql.types.neutral("geography") == "[geography]"


@pytest.mark.parametrize(
    ("stored", "neutral"),
    [
        ("((0))", "0"),
        ("(N'x')", "'x'"),
        ("(getutcdate())", "getutcdate()"),
        ("('a)b(')", "'a)b('"),
        (None, None),
        ("((1)+(2))", "(1)+(2)"),
    ],
)
def test_defaults_lose_the_catalogs_parentheses(stored: str | None, neutral: str | None) -> None:
    assert mssql.types.neutral_default(stored) == neutral


def test_every_type_of_the_packaged_schema_is_known(repository: Path) -> None:
    for table in package.load([repository / "schemas" / "ax2012r3"]).tables.values():
        for column in table.columns:
            assert mssql.types.native(column.type)
            assert mssql.types.neutral(mssql.types.normalize(column.type)) == mssql.types.normalize(column.type)
        assert mssql.tables.create(table)[0].startswith("IF OBJECT_ID(N'[%s].[" % table.name.schema)


def test_versions_are_compared_as_they_are_stored_and_newest_first_never() -> None:
    assert mssql.marks.newer_than("t.version", 255, None) == "t.version >= 0x00000000000000FF"
    sql = mssql.changes.query(extract(base=-1))
    assert "t.version >= 0x00000000000000FF" in sql
    assert sql.endswith(" ORDER BY q.s, q.k0, q.k1") and "t.version AS s" in sql, (
        "an index has the version as it is stored"
    )
    assert "FOR JSON PATH, INCLUDE_NULL_VALUES, WITHOUT_ARRAY_WRAPPER" in sql


def test_who_may_not_see_which_database_it_is_is_told_and_given_no_other_name() -> None:
    """Without VIEW ANY DATABASE sys.database_recovery_status has no row; the administrator who provisioned the pair saw one."""

    class Blind(Recorder):
        def value(self, sql: str, *parameters: Any) -> Any:
            answer = super().value(sql, *parameters)
            return None if sql == mssql.marks._FORK else answer or "5:2026-01-01:SERVER"

    class Without(Recorder):
        def value(self, sql: str, *parameters: Any) -> Any:
            if sql == mssql.marks._HAS_FORKS:
                raise StatementFailed("Divide by zero error encountered.", "data", numbers=(8134,))
            return super().value(sql, *parameters) or "5:2026-01-01:SERVER"

    with pytest.raises(RetailError, match=r"may not see .* GRANT VIEW ANY DATABASE TO"):
        mssql.marks.incarnation(Blind())
    assert mssql.marks.incarnation(Recorder()) == "mssql:9D5D6F5E-0C11-4F6A-9E5B-6B9E4B2D4E11"
    assert mssql.marks.incarnation(Without()) == "mssql:5:2026-01-01:SERVER"


def test_an_upload_says_what_its_images_derive_from() -> None:
    assert "q.b AS b, q.n AS n" in mssql.changes.query(extract(base=-1))
    assert "q.b AS b" not in mssql.changes.query(extract())


def test_our_own_books_have_no_row_version_so_nothing_is_at_rest_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(mssql.marks, "time", SimpleNamespace(monotonic=lambda: now))
    before = mssql.marks.current(Recorder())
    assert mssql.marks.current(Recorder()) == before
    now += 60
    assert mssql.marks.current(Recorder()) != before


def test_probes_bind_their_anchors_so_that_plans_are_kept() -> None:
    db = Recorder()
    mssql.changes.probe(db, [extract(low=5), extract(low=6)])
    other = Recorder()
    mssql.changes.probe(other, [extract(low=7), extract(low=800)])
    assert db.said == other.said
    assert db.said[0].count("CAST(CAST(? AS bigint) AS binary(8))") == 2


def test_rows_and_gaps_are_locked_first_and_through_the_rows_themselves() -> None:
    said = applied(work())
    lock = next(number for number, sql in enumerate(said) if "UPDLOCK, HOLDLOCK" in sql)
    decide = next(number for number, sql in enumerate(said) if sql.startswith("UPDATE i SET act"))
    assert lock < decide
    assert "LEFT JOIN [ax].[INVENT]]TABLE] AS r WITH (UPDLOCK, HOLDLOCK)" in said[lock]
    plain = [column for column in work().columns if column.name not in work().table.primary_key]
    assert len(plain) > 1
    asked = " AND ".join("r.[%s] IS NULL" % column.name for column in plain)
    assert "CASE WHEN %s THEN" % asked in said[lock], "or an index that has what is asked for would be locked alone"
    assert said[lock].endswith("OPTION (FORCE ORDER, LOOP JOIN)")


def test_images_are_compared_byte_for_byte() -> None:
    decide = next(sql for sql in applied(work()) if sql.startswith("UPDATE i SET act"))
    assert "CONVERT(varbinary(max), CONVERT(nvarchar(max), r.[NOTE]))" in decide
    keys = ", ".join("{0}, DATALENGTH({0})".format("CONVERT(varbinary(8000), i.c%d)" % place) for place in (0, 1))
    assert "INTERSECT SELECT %s, i.c2, i.c3" % keys in decide
    assert re.findall(r"(\S+) COLLATE (\w+)", decide) == [("i.row_key", "Latin1_General_BIN2")]


@pytest.mark.parametrize(
    ("kind", "wide"),
    [
        ("varchar(30)", "CONVERT(nvarchar(30), r.[C])"),
        ("varchar(max)", "CONVERT(nvarchar(max), r.[C])"),
        ("varchar(5000)", "CONVERT(nvarchar(max), r.[C])"),
        ("char(4)", "CONVERT(nvarchar(4), RTRIM(r.[C]))"),
        ("text", "CONVERT(nvarchar(max), r.[C])"),
        ("nvarchar(30)", "r.[C]"),
    ],
)
def test_texts_are_looked_at_as_unicode_whatever_their_code_page(kind: str, wide: str) -> None:
    """Seen through the Latin code page, Cyrillic letters are question marks, and those are printable."""
    column = Column("C", kind)
    said = mssql.digests._text(Recorder(), mssql.digests.form(column), column, "r.[C]")
    assert said.startswith("CASE WHEN %s COLLATE Latin1_General_BIN2 NOT LIKE" % wide)
    assert "CONCAT('u', LOWER(CONVERT(varchar(" in said and wide in said.partition("CONCAT('u'")[2]


def test_landed_texts_have_the_databases_collation() -> None:
    landed = next(sql for sql in applied(work()) if "CREATE TABLE" in sql)
    assert "c0 nvarchar(20) COLLATE DATABASE_DEFAULT NOT NULL" in landed
    assert "c7 bit NULL" in landed
    assert landed.endswith("PRIMARY KEY (c0, c1, beside))")


def test_every_path_of_a_batch_is_explicit() -> None:
    read = next(sql for sql in applied(work()) if "OPENJSON" in sql)
    assert "c0 nvarchar(max) '$.c0'" in read
    assert len(re.findall(r"'\$\.c\d+'", read)) == len(TABLE.travelling_columns)


def test_quarantined_transactions_are_left_out_before_anything_is_converted() -> None:
    read = next(sql for sql in applied(work(without=frozenset({(0, 5), (0, 4), (7, -1)}))) if "OPENJSON" in sql)
    number = "COALESCE(CAST(JSON_VALUE(e.value, '$.x') AS bigint), 0)"
    left_out = "(%s IN (4, 5) OR s.place = 7 AND %s IN (-1))" % (number, number)
    assert "CASE WHEN NOT %s THEN e.value END) WITH (" % left_out in read


def test_a_wide_table_is_read_in_parts_only_where_functions_take_few_arguments() -> None:
    wide, spoiled = work(WIDE), work(WIDE, without=frozenset({(0, 5)}))
    (read,) = (sql for sql in applied(wide) if "OPENJSON" in sql)
    assert (read.count("OPENJSON"), read.count("'$.c")) == (1, 131)
    for one, row in ((wide, "OPENJSON(e.value)"), (spoiled, "OPENJSON(CASE WHEN NOT ")):
        (read,) = (sql for sql in applied(one, SmallFunctions) if "OPENJSON" in sql)
        assert re.findall(r"'\$\.(c\d+)'", read) == ["c%d" % number for number in range(131)]
        assert max(part.count(" '$.") for part in read.split(" WITH (")) < 100
        assert read.count(row) == 3


def test_a_trigger_instead_of_update_is_looked_after() -> None:
    said = applied(work())
    look, update, left = (
        next(place for place, sql in enumerate(said) if sql.startswith(start))
        for start in ("SELECT CASE WHEN EXISTS (SELECT 1 FROM sys.triggers", "UPDATE r SET", "SELECT COUNT(*) FROM #")
    )
    assert look < update < left
    assert "t.version > CAST(CAST(4711 AS bigint) AS binary(8))" in said[left]
    insertion = next(place for place, sql in enumerate(said) if sql.startswith("INSERT INTO [ax].[INVENT]]TABLE] ("))
    assert left < insertion


def test_identity_and_row_versions_are_never_written() -> None:
    for sql in applied(work()):
        assert "REPLICATIONCOUNTER" not in sql
        assert "ROWVERSION" not in sql


def test_the_session_says_what_it_applies_and_takes_it_back_when_that_fails() -> None:
    class Refusing(Recorder):
        def execute(self, sql: str, *parameters: Any) -> int:
            super().execute(sql, *parameters)
            if sql.startswith("DELETE r"):
                raise RuntimeError("refused")
            return 1

    db = Refusing()
    with pytest.raises(RuntimeError):
        mssql.applying.apply_batch(db, work())
    assert db.said[-1] == "EXEC sp_set_session_context N'axops.applying', NULL"
    assert "EXEC sp_set_session_context N'axops.applying', N'ax.INVENT]TABLE'" in db.said


def test_adopting_a_version_touches_nothing_that_is_known() -> None:
    # Every UPDATE gives a row another version, which would travel.
    adopt = next(sql for sql in applied(work()) if sql.startswith("UPDATE t SET parent_version"))
    assert adopt.endswith("(t.parent_version IS NULL OR t.parent_version <> i.v)")


def test_triggers_work_on_sets_and_are_silent() -> None:
    triggers = [batch for batch in mssql.tracking.create(TABLE) if "CREATE TRIGGER" in batch]
    assert len(triggers) == len(mssql.tracking.TRIGGERS) == 3
    for batch in triggers:
        assert "SET NOCOUNT ON" in batch
        assert "TRIGGER_NESTLEVEL() = 1" in batch
        assert "CURRENT_TRANSACTION_ID()" in batch
    assert "FROM deleted AS o WHERE NOT EXISTS" in triggers[1]
    assert all(batch.count("dbo].[sync_transaction_link") >= 2 for batch in triggers)


def test_tracking_tables_have_the_columns_that_every_engine_has() -> None:
    table = mssql.tracking.create(TABLE)[0]
    for column in (
        "version rowversion NOT NULL",
        "origin int NULL",
        "parent_version bigint NULL",
        "created_here smallint NOT NULL",
        "sync_row_is_tombstone smallint NOT NULL",
        "source_transaction bigint NULL",
        "last_change_datetime datetime NOT NULL",
    ):
        assert column in table
    assert "(version, [ITEMID], [DATAAREAID])" in table
    assert "LOCK_ESCALATION = DISABLE" in mssql.tracking.create(TABLE)[1]


def test_the_schema_dbo_is_never_made() -> None:
    assert mssql.tables.create_schema("dbo") == []
    assert mssql.tables.create_schema("ax") == [
        "IF SCHEMA_ID(N'ax') IS NULL EXEC (N'CREATE SCHEMA [ax] AUTHORIZATION [dbo]')"
    ]


def test_a_default_is_put_back_after_a_change_of_type() -> None:
    drop, alter, back = mssql.tables.alter_columns(NAME, [Column.parse("NAME", "nvarchar(60) not null default ''")])
    assert "sys.default_constraints" in drop
    assert alter.startswith(
        "DECLARE @statement nvarchar(max) = N'ALTER TABLE [ax].[INVENT]]TABLE] ALTER COLUMN [NAME] nvarchar(60)' + "
    )
    assert alter.endswith(", N'') + N' NOT NULL'; EXEC (@statement)")
    assert back.endswith("DEFAULT '' FOR [NAME]")


def test_a_text_keeps_a_collation_of_its_own_when_it_gets_longer() -> None:
    [said] = mssql.tables.alter_columns(NAME, [Column.parse("NAME", "nvarchar(60)")])
    assert "COALESCE((SELECT N' COLLATE ' + c.collation_name FROM sys.columns c WHERE" in said
    assert "c.object_id = OBJECT_ID(N'[ax].[INVENT]]TABLE]') AND c.name = N'NAME'" in said
    [said] = mssql.tables.alter_columns(NAME, [Column.parse("COUNTED", "bigint")])
    assert said == "ALTER TABLE [ax].[INVENT]]TABLE] ALTER COLUMN [COUNTED] bigint NULL"


def test_derived_names_fit_and_stay_the_same() -> None:
    long = TableName("ax", "T" * 120)
    names = [mssql.tables._derived("IX", long, ("A",)) for _run in range(2)]
    assert names[0] == names[1] != mssql.tables._derived("IX", long, ("B",))
    assert len(names[0]) == 128


class Configured(Recorder):
    """A server whose option 'nested triggers' has this value; None: it has no such option."""

    engine = mssql

    def __init__(self, nested: int | None) -> None:
        super().__init__()
        self.nested = nested

    def value(self, sql: str, *parameters: Any) -> Any:
        answer = super().value(sql, *parameters)
        return self.nested if "nested triggers" in sql else answer


def test_a_server_on_which_triggers_fire_no_triggers_is_refused() -> None:
    for nested in (1, None):
        mssql.databases.check_server(Configured(nested))
    with pytest.raises(
        RetailError, match=r"'nested triggers' switched off.*sp_configure 'nested triggers', 1; RECONFIGURE"
    ):
        mssql.databases.check_server(Configured(0))


def test_an_audit_of_a_pair_says_so_when_triggers_fire_no_triggers_any_more() -> None:
    [problem] = verify._servers(SimpleNamespace(child=Configured(1), parent=Configured(0)))
    assert "'nested triggers' switched off" in problem
    assert verify._servers(SimpleNamespace(child=Configured(1), parent=Configured(None))) == []


def test_database_options_are_the_vendors() -> None:
    said = mssql.databases.set_options("R", dict.fromkeys(mssql.databases.OPTIONS[:2], "on"))
    assert said[0] == "ALTER DATABASE [R] SET ALLOW_SNAPSHOT_ISOLATION ON"
    alone = "ALTER DATABASE [R] SET READ_COMMITTED_SNAPSHOT ON WITH "
    assert said[1].count(alone + "NO_WAIT") == 2 and "ROLLBACK" not in said[1]
    for seconds, ending in ((0, "ROLLBACK IMMEDIATE"), (30, "ROLLBACK AFTER 30 SECONDS")):
        assert mssql.databases.set_options("R", {"read_committed_snapshot": "on"}, seconds) == [alone + ending]
        assert mssql.databases.set_options("R", {"recovery": "simple"}, seconds) == [
            "ALTER DATABASE [R] SET RECOVERY SIMPLE"
        ]
    assert mssql.databases.options(Recorder()) == {
        "allow_snapshot_isolation": "on",
        "read_committed_snapshot": "on",
        "recovery": "simple",
        "page_verify": "checksum",
        "auto_close": "off",
        "auto_shrink": "off",
    }
    with pytest.raises(RetailError):
        mssql.databases.set_options("R", {"recovery": "simple; DROP DATABASE x"})


def test_what_waits_for_others_transactions_waits_no_longer_than_it_may() -> None:
    actual = channel.Actual(exists=True, options={"allow_snapshot_isolation": "off", "recovery": "full"})
    wanted = {"allow_snapshot_isolation": "on", "recovery": "simple"}
    plan = channel._options(mssql, "R", actual, "server", wanted, None)
    done = []

    class Server(Recorder):
        limit = 0

        @contextlib.contextmanager
        def patience(self, seconds: int) -> Iterator[None]:
            self.limit = seconds
            yield
            self.limit = 0

        def execute(self, sql: str, *_parameters: Any) -> int:
            done.append((sql, self.limit))
            return 0

    plan.apply(lambda _key: Server())
    assert done == [
        ("ALTER DATABASE [R] SET ALLOW_SNAPSHOT_ISOLATION ON", channel._PATIENCE),
        ("ALTER DATABASE [R] SET RECOVERY SIMPLE", 0),
    ]
    assert "sys.dm_tran_database_transactions" in plan.steps[0].advice


def test_a_restored_database_whose_files_have_other_names_is_in_order() -> None:
    restored = {
        "data_path": "D:\\R_restored_1f2e3d4c_0.mdf",
        "log_path": "D:\\R_restored_1f2e3d4c_1.ldf",
        "collation": "A",
    }
    actual = channel.Actual(exists=True, options=restored)
    wanted = {"data_path": "D:\\R.mdf", "log_path": "D:\\R.ldf"}
    assert not channel._options(mssql, "R", actual, "server", wanted, None).changed
    with pytest.raises(RetailError, match="has collation A, and B is declared"):
        channel._options(mssql, "R", actual, "server", {"collation": "B"}, None)


@pytest.mark.parametrize(
    ("option", "actual", "wanted", "same"),
    [
        ("data_size", "1048576KB", "1GB", True),
        ("data_size", "2097152KB", "1GB", True),
        ("data_size", "1024KB", "1GB", False),
        ("log_max_size", "unlimited", "unlimited", True),
        ("log_max_size", "2097152KB", "1GB", False),
        ("data_growth", "10%", "10%", True),
        ("data_growth", "10KB", "10%", False),
        ("collation", "Latin1_General_CI_AS", "latin1_general_ci_as", True),
        ("collation", "Latin1_General_CI_AS", "Cyrillic_General_CI_AS", False),
        ("data_path", "D:\\Channel_restored_1f2e3d4c_0.mdf", "D:\\Channel.mdf", True),
        ("log_path", "L:\\Channel_restored_1f2e3d4c_1.ldf", "L:\\Channel.ldf", True),
        ("recovery", "full", "simple", False),
    ],
)
def test_sizes_compare_as_amounts_and_a_file_may_have_grown(option, actual, wanted, same) -> None:
    assert mssql.databases.satisfied(option, actual, wanted) is same


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("data_size", "1 elephant"), ("data_growth", "10%); DROP DATABASE x"), ("compatibility_level", "120")),
        # What the server would refuse once the database is made.
        *(("data_size", "unlimited"), ("data_size", "10%"), ("data_size", "0MB"), ("log_growth", "unlimited")),
        *(("log_max_size", "10%"), ("data_max_size", "0GB")),
    ],
)
def test_values_that_are_none_of_an_options_are_refused(option, value) -> None:
    with pytest.raises(RetailError):
        mssql.databases.set_options("R", {option: value})


def test_windows_names_get_their_login_from_windows() -> None:
    login, user = mssql.access.create_user("SERVER\\POSUsers")
    assert login.endswith("CREATE LOGIN [SERVER\\POSUsers] FROM WINDOWS")
    assert user.endswith("CREATE USER [SERVER\\POSUsers] FOR LOGIN [SERVER\\POSUsers]")
    with pytest.raises(RetailError, match="has no password"):
        mssql.access.create_login("pos", None)


def test_a_windows_user_that_came_with_a_restored_database_gets_its_login_before_it_is_reconnected() -> None:
    login, user = mssql.access.reconnect_user("SERVER\\POSUsers")
    assert login == (
        "IF NOT EXISTS (SELECT 1 FROM sys.server_principals WHERE name = N'SERVER\\POSUsers') "
        "CREATE LOGIN [SERVER\\POSUsers] FROM WINDOWS"
    )
    assert user == "ALTER USER [SERVER\\POSUsers] WITH LOGIN = [SERVER\\POSUsers]"
    assert mssql.access.reconnect_user("pos") == ["ALTER USER [pos] WITH LOGIN = [pos]"]


def test_needs_are_rights_on_tables_and_on_the_books() -> None:
    needs = mssql.access.needs
    table = Securable.table(NAME)
    assert needs(READ, "R", ["ax"], [NAME]) == [(table, frozenset({"select"}))]
    assert needs(WRITE, "R", ["ax"], [NAME]) == [(table, frozenset({"insert", "update", "delete"}))]
    assert needs(EXECUTE, "R", ["ax"], []) == [(Securable("schema", "ax"), frozenset({"execute"}))]
    # Not on the schema dbo: it has tables with sales.
    assert needs(SYNCHRONISE, "R", ["ax", "dbo"], [NAME]) == [
        (table, frozenset({"select", "insert", "update", "delete"}))
    ]
    assert needs(SYNCHRONISE, "R", ["ax", "dbo"], []) == []


def test_who_has_rights_on_one_book_has_them_on_one_that_is_made() -> None:
    [said] = mssql.access.hand_on(TableName("dbo", "LOG"), TableName("dbo", "sync_peer"))
    assert (
        "g.permission_name COLLATE DATABASE_DEFAULT + N' ON ' + N'[dbo].[sync_peer]' + N' TO ' + QUOTENAME(g.name)"
        in said
    )
    assert "(d.major_id = OBJECT_ID(N'[dbo].[LOG]') OR" in said


class Catalog(Recorder):
    """A server that spells names as they were first written."""

    def __init__(self, tells_cases_apart: bool) -> None:
        super().__init__()
        self.tells_cases_apart = tells_cases_apart

    def value(self, sql: str, *parameters: Any) -> Any:
        if "N'a' = N'A'" in sql and self.tells_cases_apart:
            raise StatementFailed("Divide by zero error encountered.", "data", numbers=(8134,))
        return super().value(sql, *parameters)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self.execute(sql, *parameters)
        answers = {
            "sys.server_principals WHERE type": [("TILL",), ("sa",)],
            "PWDCOMPARE": [("till", 1)],
            "sys.database_role_members": [("principal", "posusers", ""), ("principal", "TILL", ""), ("orphan", "TILL", ""),
                                          ("member", "posusers", "TILL"), ("member", "posusers", "OTHER")],
            "sys.database_permissions": [(1, "ax", "T", "U ", None, "posusers", "select")],
        }  # fmt: skip
        return next((rows for words, rows in answers.items() if words in sql), [])


def test_names_are_those_that_the_server_takes_for_the_same_ones() -> None:
    """Else each run would make a login that is there, and a member of a group that it is in."""
    catalog = Catalog(tells_cases_apart=False)
    state = mssql.access.read(catalog, catalog, ["POSUsers", "till"], {"till": "secret"})
    assert (state.logins, state.orphans, state.principals) == ({"till": True}, {"till"}, {"POSUsers", "till"})
    assert state.members == {"POSUsers": {"till", "OTHER"}}
    assert list(state.grants) == [("POSUsers", Securable("table", "ax", "T"))]
    exact = Catalog(tells_cases_apart=True)
    state = mssql.access.read(exact, exact, ["POSUsers", "till"], {"till": "secret"})
    assert not (state.logins or state.orphans or state.principals or state.members or state.grants)


def test_many_grants_make_few_round_trips() -> None:
    tables = [Securable.table(TableName("ax", "T%d" % number)) for number in range(250)]
    said = mssql.access.grant("POSUsers", {"select"}, tables)
    assert len(said) == 3
    assert said[0].count("GRANT SELECT ON OBJECT::[ax].[T") == 100


@pytest.mark.parametrize(
    ("state", "text", "kind"),
    [
        ("40001", "deadlock victim. (1205) (SQLExecDirectW)", "transient"),
        ("42000", "Lock request time out (1222) (SQLExecDirectW)", "transient"),
        ("42000", "Snapshot isolation transaction aborted (3960) (SQLExecDirectW)", "transient"),
        ("42000", "Requested versioned row was not found (3958) (SQLExecDirectW)", "transient"),
        ("HYT00", "Query timeout expired (0) (SQLExecDirectW)", "transient"),
        ("08S01", "Communication link failure (0) (SQLExecDirectW)", "lost"),
        ("23000", "Violation of PRIMARY KEY constraint (2627) (SQLExecDirectW)", "data"),
        ("22001", "would be truncated (2628) (SQLExecDirectW)", "data"),
        ("42000", "Error converting (8114) (SQLExecDirectW)", "data"),
        ("42000", "No sale after closing (50001) (SQLExecDirectW)", "data"),
        ("42000", "The transaction ended in the trigger. (3609) (SQLExecDirectW)", "data"),
        ("42000", "The current transaction cannot be committed (3930) (SQLExecDirectW)", "data"),
        ("42000", "Cannot create a row of size 8100 (511) (SQLExecDirectW)", "data"),
        ("42000", "The index entry of length 1010 bytes (1946) (SQLExecDirectW)", "data"),
        ("42000", "XML parsing: line 1, character 5, end tag does not match (9436) (SQLExecDirectW)", "data"),
        ("42000", "XML Validation: Invalid simple type value (6926) (SQLExecDirectW)", "data"),
        ("42000", "There is insufficient system memory in resource pool (701) (SQLExecDirectW)", "transient"),
        ("42000", "A time out occurred while waiting to optimize the query (8628) (SQLExecDirectW)", "transient"),
        ("42000", "The SELECT permission was denied (229) (SQLExecDirectW)", "denied"),
        ("28000", "Login failed (18456) (SQLDriverConnect)", "denied"),
        ("42S02", "Invalid object name 'x'. (208) (SQLExecDirectW)", "other"),
        ("42000", "could not serialize access due to concurrent update (33557097) (SQLExecDirectW)", "transient"),
    ],
)
def test_errors_are_sorted_by_what_can_be_done(state: str, text: str, kind: str) -> None:
    assert mssql.errors.classify(state, "('%s', '[%s] [Driver]%s')" % (state, state, text)) == kind


def test_messages_are_the_servers_words_without_the_rows_values() -> None:
    text = (
        "[23000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Violation of PRIMARY KEY constraint 'PK_T'. "
        "Cannot insert "
        "duplicate key in object 'ax.T'. The duplicate key value is (secret). (2627) (SQLExecDirectW); [23000] "
        "[Microsoft][ODBC "
        "Driver 18 for SQL Server][SQL Server]The statement has been terminated. (3621)"
    )
    assert mssql.errors.plain_message(Exception("23000", text)) == (
        "Violation of PRIMARY KEY constraint 'PK_T'. Cannot insert duplicate key in object 'ax.T'."
    )


def test_connections_are_encrypted_and_named_unless_told_otherwise() -> None:
    target = Target(
        "mssql",
        host="hq01",
        database="Retail",
        user="sync",
        password="a;b}",
        application_name="Retail Offline Sync Service",
    )
    text = mssql.connect._string(target, "{ODBC Driver 18 for SQL Server}")
    assert text == (
        "Driver={ODBC Driver 18 for SQL "
        "Server};Server={tcp:hq01,1433};Encrypt=yes;TrustServerCertificate=no;Database=Retail;UID={sync};"
        "PWD={a;b}}};APP={Retail Offline Sync Service}"
    )


def test_an_instance_is_found_by_name_or_by_port() -> None:
    named = Target("mssql", host="till01", instance="SQLEXPRESS")
    assert mssql.connect._server(named) == "till01\\SQLEXPRESS"
    assert (
        mssql.connect._server(Target("mssql", host="till01", instance="SQLEXPRESS", port=14330)) == "tcp:till01,14330"
    )
    assert "Trusted_Connection=yes" in mssql.connect._string(named, "/opt/libmsodbcsql-18.so")


def test_freetds_is_not_trusted_to_check_certificates() -> None:
    with pytest.raises(RetailError, match="cannot check"):
        mssql.connect._string(Target("mssql", host="hq01"), "/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so")
    trusted = Target("mssql", host="hq01", trust_server_certificate=True)
    text = mssql.connect._string(trusted, "/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so")
    assert "TDS_Version=7.4" in text
    assert "Encryption=require" in text


def test_the_drivers_wheel_is_found_by_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mssql_python_odbc").mkdir()
    (tmp_path / "mssql_python_odbc" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    patterns = mssql.connect._wheel_files()
    assert patterns
    assert all(str(tmp_path) in one and "libmsodbcsql" in one for one in patterns)


def test_who_sees_no_other_sessions_is_not_told_that_nobody_is_connected() -> None:
    class Blind(Recorder):
        def value(self, sql: str, *parameters: Any) -> Any:
            return 0 if "VIEW SERVER STATE" in sql else super().value(sql, *parameters)

    assert mssql.framework.connected(Recorder(), "A service") == []
    with pytest.raises(RetailError, match=r"Whether A service is connected .* GRANT VIEW SERVER STATE TO"):
        mssql.framework.connected(Blind(), "A service")


def test_what_sync_framework_has_left() -> None:
    remains = mssql.framework.read(Provisioned())
    tracked = remains.tables[NAME]
    assert [str(name) for name in remains.books] == ["dbo.scope_config", "dbo.scope_info", "dbo.scope_templates"]
    assert tracked.missing == ["update", "delete"]
    assert [name.name for name in tracked.routines] == [
        NAME.name + "_bulkinsert", NAME.name + "_selectchanges_6f9619ff-8b86-d011-b42d-00cf4fc964ff",
    ]  # fmt: skip
    assert tracked.types == (TableName("ax", NAME.name + "_BulkType"),)
    assert remains.untracked == [TableName("ax", "GONE")]
    assert not remains.complete
    assert mssql.framework.drop_table(tracked) == [
        "DROP TRIGGER IF EXISTS [ax].[INVENT]]TABLE_insert_trigger]",
        "DROP PROCEDURE IF EXISTS [ax].[INVENT]]TABLE_bulkinsert]",
        "DROP PROCEDURE IF EXISTS [ax].[INVENT]]TABLE_selectchanges_6f9619ff-8b86-d011-b42d-00cf4fc964ff]",
        "DROP TYPE IF EXISTS [ax].[INVENT]]TABLE_BulkType]",
        "DROP TABLE IF EXISTS [ax].[INVENT]]TABLE_tracking]",
    ]


# ---- collations

_EXACT = Table(
    TableName("ax", "CUST"),
    (Column("ID", "nvarchar(20)", False, collation="Latin1_General_BIN2"), Column("NAME", "nvarchar(20)")),
    ("ID",),
)


def test_every_copy_of_a_key_has_its_collation() -> None:
    own = "nvarchar(20) COLLATE Latin1_General_BIN2"
    assert "[ID] %s NOT NULL" % own in mssql.tracking.create(_EXACT)[0]
    log = Moves(_EXACT.name, ("ID", "NAME"), False)
    assert "([ID] %s NOT NULL, [NAME] nvarchar(20) NOT NULL, " % own in mssql.moves.create(log, _EXACT)[0]
    landed = applied(work(_EXACT))[0]
    assert "c0 %s NOT NULL, c1 nvarchar(20) COLLATE DATABASE_DEFAULT NULL" % own in landed
    assert "CONVERT(nvarchar(20), j.k0) COLLATE Latin1_General_BIN2 AS [ID]" in mssql.digests.keys_from_json(_EXACT)
    db = Recorder()
    mssql.merging.missing(db, Merge(_EXACT, (), None))
    assert "CREATE TABLE #merging (k0 %s NOT NULL)" % own in db.said
    assert "[ID] %s NOT NULL, [NAME] nvarchar(20) NULL" % own in mssql.tables.create(_EXACT)[0]


def test_tracking_that_a_script_has_left_behind_is_fitted_around_its_key() -> None:
    [fits] = [
        said for said in mssql.tracking.create(_EXACT) if said.startswith("IF EXISTS (SELECT 1 FROM INFORMATION_SCHEMA")
    ]
    steps = re.findall(r"EXEC \(N'(.*?)'\)", fits)
    tracking = "[ax].[CUST_tracking]"
    assert steps == [
        "DROP INDEX [CUST_tracking_version] ON %s" % tracking,
        "ALTER TABLE %s DROP CONSTRAINT [PK_CUST_tracking]" % tracking,
        "ALTER TABLE %s ALTER COLUMN [ID] nvarchar(20) COLLATE Latin1_General_BIN2 NOT NULL" % tracking,
        "ALTER TABLE %s ADD CONSTRAINT [PK_CUST_tracking] PRIMARY KEY ([ID])" % tracking,
        "CREATE INDEX [CUST_tracking_version] ON %s (version, [ID])" % tracking,
    ]


@pytest.mark.parametrize(
    ("collation", "overlooks"),
    [
        ("Latin1_General_BIN2", False),
        ("Latin1_General_CS_AS", False),
        ("SQL_Latin1_General_CP1_CI_AS", True),
        ("X_CI", True),
    ],
)
def test_who_overlooks_letter_case(collation: str, overlooks: bool) -> None:
    table = replace(_EXACT, columns=(replace(_EXACT.columns[0], collation=collation), _EXACT.columns[1]))
    db = Recorder()
    assert mssql.tracking.overlooks_case(db, table) is overlooks
    assert db.said == []


def test_the_collation_of_a_database_is_asked_for_once() -> None:
    class Careless(Recorder):
        def value(self, sql: str, *parameters: Any) -> Any:
            super().value(sql, *parameters)
            return 1

    db = Careless()
    assert mssql.tracking.overlooks_case(db, TABLE)
    assert mssql.tracking.overlooks_case(db, TABLE)
    assert db.said == ["SELECT CASE WHEN N'a' = N'A' THEN 1 ELSE 0 END"]
    numbers = Table(NAME, (Column("A", "bigint", False),), ("A",))
    assert not mssql.tracking.overlooks_case(db, numbers)


def test_a_spelling_travels_to_those_alone_who_find_the_row_by_it() -> None:
    for facts in ({}, {"low": None}, {"unchanged": True}, {"filter": FILTER}):
        here, elsewhere = (mssql.changes.query(extract(spelled=spelled, **facts)) for spelled in (True, False))
        assert "COALESCE(t.[ITEMID], " not in here
        assert "COALESCE(r.[ITEMID], " not in elsewhere
        assert here != elsewhere
