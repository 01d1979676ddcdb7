# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SQL Server speaker says to a server: every statement of it, gathered without one."""

from __future__ import annotations

import contextlib
from collections import namedtuple
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, _canonical, mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._backup import Backup
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition, Member, Moves
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._engine._rights import Securable
from ansible_collections.axops.retail.plugins.module_utils._engine._wire import Extract, Merge, Work
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata, rules

NAME = TableName("ax", "INVENT]TABLE")
TABLE = Table(
    NAME,
    tuple(
        Column.parse(name, text)
        for name, text in {
            "ITEMID": "nvarchar(20) not null",
            "DATAAREAID": "nvarchar(4) not null default 'DAT'",
            "PRICE": "numeric(32,16) not null default 0",
            "MODIFIED": "datetime not null default getutcdate()",
            "DAY": "date",
            "AT": "time",
            "WEIGHT": "float",
            "FLAG": "bit",
            "OWNER": "uniqueidentifier",
            "COUNTED": "int",
            "PICTURE": "image",
            "NOTE": "ntext",
            "OLDNOTE": "text",
            "SHAPE": "xml",
            "PAID": "money",
            "ROWVERSION": "timestamp not null",
            "REPLICATIONCOUNTER": "int identity not null",
        }.items()
    ),
    ("ITEMID", "DATAAREAID"),
    (("PRICE", "ITEMID"),),
    (("MODIFIED",),),
)
#: Rows of one price group, and of the items that a store has.
FILTER = (
    Condition("PRICE", ("1", "2")),
    Condition("ITEMID", member=Member(TableName("ax", "ASSORTED"), "ITEM", (Condition("CHANNEL", ("5",)),))),
)
#: As many columns as the widest tables of a channel have.
WIDE = Table(
    TableName("ax", "WIDE"),
    (Column("ID", "bigint", False), *(Column("C%d" % number, "nvarchar(10)", True) for number in range(130))),
    ("ID",),
)
ONLY_KEYS = Table(TableName("ax", "LINK"), (Column("A", "bigint", False), Column("B", "date", False)), ("A", "B"))


class Recorder:
    """Writes down what would be said to the server; answers as a server with one row of each outcome would."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.target = Target("mssql", database="RetailChannel")

    def execute(self, sql: str, *parameters: Any) -> int:
        assert sql.count("?") == len(parameters)
        self.said.append(sql)
        return 1

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self.execute(sql, *parameters)
        outcomes = [("write", 2, 1, None), ("conflict", 1, 0, None), ("held", 1, 0, 7), ("same", 1, 0, None)]
        if sql.startswith("SELECT 0 AS n, COUNT"):
            return [(0, 1, 1), (1, 1, 1)]
        return outcomes if sql.startswith("SELECT act") else []

    def row(self, sql: str, *parameters: Any) -> tuple[Any, ...]:
        self.execute(sql, *parameters)
        if sql.startswith("SELECT CAST(@@DBTS"):
            return (7, 8)
        if "dm_exec_sessions" in sql:
            return (51, "sa", "HQ01", "AX", "RetailHQ", 60)
        return ("ON", True, "SIMPLE", "CHECKSUM", False, False)

    def stream(self, sql: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        return iter(self.query(sql, *parameters))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Recorder]:
        yield self

    def value(self, sql: str, *parameters: Any) -> Any:
        self.execute(sql, *parameters)
        if "sp_getapplock" in sql or sql == mssql.marks._LOW:
            return 1
        if sql == mssql.framework._SEES_SESSIONS:
            return 1
        if sql == mssql.marks._FORK:
            return "9D5D6F5E-0C11-4F6A-9E5B-6B9E4B2D4E11"
        # Every row that was written is there, where a trigger INSTEAD OF UPDATE has looked after it.
        if sql.startswith("SELECT CASE WHEN EXISTS (SELECT 1 FROM sys.triggers"):
            return 4711
        if sql.startswith("SELECT COUNT(*) FROM"):
            return 0 if "i.act = 'write'" in sql or "i.beside = 0" in sql else 2
        return None


def extract(**changes: Any) -> Extract:
    facts = {"table": TABLE, "columns": TABLE.travelling_columns, "low": 255, "seen": None, "not_origin": 0}
    return Extract(**{**facts, **changes})


def work(table: Table = TABLE, **changes: Any) -> Work:
    facts: dict[str, Any] = {
        "table": table,
        "columns": table.travelling_columns,
        "decide": rules.download(True),
        "upload": False,
        "peer": 0,
        "scope": "Prices",
        "parent_wins": True,
        "bodies": "SELECT body FROM [dbo].[sync_staging] WHERE peer_id = ?",
        "body_parameters": (0,),
        "acked": 17,
    }
    return Work(**{**facts, **changes})


class SmallFunctions(Recorder):
    """A server whose functions take a hundred arguments at most."""

    def value(self, sql: str, *parameters: Any) -> Any:
        answer = super().value(sql, *parameters)
        return 1 if sql.startswith("SELECT OBJECT_ID") else answer


def applied(one: Work, server: type[Recorder] = Recorder) -> list[str]:
    db = server()
    mssql.applying.apply_batch(db, one)
    return db.said


def read_statements() -> list[str]:
    db = Recorder()
    mssql.tables.read(db)
    mssql.tables.read(db, [NAME])
    mssql.tables.schemas(db)
    assert mssql.tables.masked(db) == {}
    mssql.tracking.read(db)
    mssql.databases.exists(db, "x")
    mssql.databases.list(db)
    mssql.databases.options(db)
    mssql.databases.check_server(db)
    mssql.databases.check_writable(db)
    mssql.databases.has_options(db)
    mssql.databases.highest_level(db)
    mssql.databases.knows_collation(db, "Latin1_General_CI_AS")
    mssql.access.read(db, db, ["POSUsers"], {"pos": "secret"})
    mssql.access._compare(db, {"pos": "secret"})
    mssql.access.bound(db, db, ["pos"])
    mssql.access.lacking(db, {Securable.table(NAME): frozenset({"select"})})
    mssql.tracking.outdated(db)
    assert not mssql.tracking.overlooks_case(db, TABLE)
    mssql.moves.read(db)
    return [*db.said, mssql.connect._SETTINGS, *mssql.scripts.SETTINGS, mssql.scripts.OPEN_TRANSACTION]


def mark_statements() -> list[str]:
    db = Recorder()
    with mssql.marks.snapshot(db), mssql.locks.held(db, "a lock"):
        mssql.locks.share(db, NAME)
        assert (mssql.locks.room(db), mssql.locks.needed(db, [NAME])) == (None, 0)
    mssql.marks.current(db)
    mssql.marks.low_age(db)
    mssql.marks.holder(db)
    mssql.marks.incarnation(db)
    # Where a server does not know its fork, it is known by its birth.
    return [*db.said, mssql.marks._BIRTH]


def change_statements() -> list[str]:
    db = Recorder()
    extracts = [
        extract(),
        extract(low=None),
        extract(low=None, filter=FILTER, removes=True),
        extract(filter=FILTER, sends_strays=True, given=7),
        extract(base=-1, with_deletes=False, newest_base=9),
        extract(unchanged=True),
        extract(after=("it's a key", "DAT")),
        *(extract(spelled=True, **facts) for facts in ({}, {"low": None}, {"filter": FILTER})),
    ]
    mssql.changes.probe(db, extracts)
    mssql.changes.backlog(db, [extract(), extract(with_deletes=False)])
    mssql.changes.count(db, [NAME, ONLY_KEYS.name], [FILTER, ()])
    list(mssql.changes.stream(db, extract()))
    db.said += [mssql.changes.query(one) for one in extracts]
    parts = [mssql.changes._wanted(one) for one in extracts if not one.filter and one.low is not None]
    return [*db.said, *("SELECT 1 AS n FROM [dbo].[t] AS t WHERE " + part for part in parts)]


def apply_statements() -> list[str]:
    upload = work(
        decide=rules.upload(3),
        upload=True,
        peer=3,
        window_from=99,
        without=frozenset({(0, 4), (0, 5), (7, -1)}),
        goes_further=True,
    )
    only_keys = work(ONLY_KEYS, decide=rules.download(False), track_all=False)
    exact = work(exact=True)
    parts = [work(only=only, gives_up=True) for only in ("deletions", "images")]
    said = [said for one in (work(), upload, only_keys, exact, *parts) for said in applied(one)]
    return said + [
        said for one in (work(WIDE), work(WIDE, without=upload.without)) for said in applied(one, SmallFunctions)
    ]


def verify_statements() -> list[str]:
    """Comparing, merging and mending rows."""
    db, keys = Recorder(), ['{"k0":"A","k1":"DAT"}']
    columns = tuple(column for column in TABLE.travelling_columns if column.name != "SHAPE")
    forms = tuple(mssql.digests.form(column) for column in columns)
    for one in (
        _canonical.Digest(TABLE, columns, forms),
        _canonical.Digest(TABLE, columns, forms, origin=3),
        _canonical.Digest(TABLE, columns, forms, origin=3, low=17, since=datetime(2026, 11, 27)),
        _canonical.Digest(TABLE, columns, forms, filter=FILTER),
    ):
        mssql.digests.buckets(db, one, 256)
        mssql.digests.members(db, one, 256, [1, 2])
        with contextlib.suppress(KeyError):  # nothing is there of any key
            mssql.digests.images(db, one, keys)
        for waiting in (None, extract(), extract(with_deletes=False), extract(filter=FILTER)):
            with contextlib.suppress(KeyError):  # nothing is there of any key
                mssql.digests.look(db, one, waiting, keys)
    for alone in (True, False):
        mssql.repairs.touch(db, TABLE, keys, True, alone)
    mssql.repairs.put(db, TABLE, columns, '{"k0":"A"}')
    mssql.repairs.image(db, TABLE, columns, keys[0])
    mssql.repairs.remove(db, TABLE, keys[0])
    mssql.repairs.orphans(db, [TABLE, ONLY_KEYS])
    mssql.repairs.bury(db, TABLE)
    mssql.repairs.lost(db, TABLE, 50)
    for acked in (None, (17, None)):
        mssql.merging.missing(db, Merge(TABLE, (("(SELECT body FROM [dbo].[sync_staging])", (), (0, 1)),), acked))
    return db.said


def index_row(name: str, column: str | None, form: int = 2, kind: str = "", **facts: Any) -> tuple[Any, ...]:
    """A row of ``dependents._INDEXES`` about the table of an index, with what differs from what an index has anyway."""
    there = {
        "schema": "ax",
        "table": NAME.name.lower(),
        "name": name,
        "form": form,
        "is_primary": int(kind == "PRIMARY KEY"),
        "is_constraint": int(kind == "UNIQUE"),
        "is_unique": int(bool(kind)),
        "is_disabled": 0,
        "is_hypothetical": 0,
        "where": None,
        "fill_factor": 0,
        "is_padded": 0,
        "ignores_duplicates": 0,
        "row_locks": 1,
        "page_locks": 1,
        "keeps_statistics": 0,
        "space_type": "FG",
        "space": "PRIMARY",
        "compression": "NONE",
        "column": column,
        "descends": 0,
        "is_included": 0,
    }
    return tuple({**there, **facts}.values())


class Indexed(Recorder):
    """A table with keys, indexes, statistics, tracking and a log, as the catalog tells of them."""

    INDEXES: tuple[tuple[Any, ...], ...] = (
        index_row("PK]INVENT", "itemid", 1, "PRIMARY KEY", fill_factor=90, is_padded=1, compression="PAGE"),
        index_row(
            "PK]INVENT", "DATAAREAID", 1, "PRIMARY KEY", fill_factor=90, is_padded=1, compression="PAGE", descends=1
        ),
        index_row("UQ_PRICE", "PRICE", 2, "UNIQUE", keeps_statistics=1),
        index_row("UQ_PRICE", "ITEMID", 2, "UNIQUE", keeps_statistics=1, descends=1),
        index_row(
            "IX_DAY",
            "DAY",
            where="([PRICE]>(0) AND [OWNER] IS NOT NULL)",
            is_unique=1,
            ignores_duplicates=1,
            space="FAST]",
        ),
        index_row("IX_DAY", "ITEMID", where="([PRICE]>(0) AND [OWNER] IS NOT NULL)", is_unique=1, is_included=1),
        index_row("IX_OLD", "COUNTED", is_disabled=1, row_locks=0, page_locks=0),
    )
    STATISTICS: tuple[tuple[Any, ...], ...] = (
        ("ax", NAME.name, "it's", "([PRICE]>(0))", 1, "DAY"),
        ("ax", NAME.name, "plain", None, 0, "ITEMID"),
        ("ax", NAME.name, "plain", None, 0, "COUNTED"),
    )
    OBSTACLES: tuple[tuple[Any, ...], ...] = ()
    LOG: str = mssql.dependents.before_digest(NAME) + "0123abcd"
    COPIES: tuple[tuple[str, str], ...] = (("ax", NAME.name + "_tracking"), ("ax", LOG), ("ax", "OTHER_tracking"))

    def query(self, sql: str, *parameters: Any) -> list[Any]:
        self.execute(sql, *parameters)
        answers: dict[str, Any] = {
            "FROM sys.indexes i JOIN sys.tables o ON": [] if "is_primary_key = 1 THEN" in sql else self.indexes(),
            "FROM sys.stats t": self.STATISTICS,
            "FROM sys.foreign_key_columns": self.OBSTACLES,
            "N'_tracking' OR CHARINDEX": self.COPIES,
            "INFORMATION_SCHEMA.COLUMNS c WHERE": list(self.columns()),
            "sys.tables o JOIN sys.schemas s ON s.schema_id = o.schema_id\nWHERE o.is_ms_shipped": [
                (schema, table, "", "table", 0, 0) for schema, table in (NAME, *self.COPIES)
            ],
        }
        return list(next((rows for words, rows in answers.items() if words in sql), []))

    def indexes(self) -> list[tuple[Any, ...]]:
        tracking = NAME.name + "_tracking"
        own = [
            index_row("PK_" + tracking, name, 1, "PRIMARY KEY", table=tracking) for name in ("ITEMID", "DATAAREAID")
        ] + [index_row(tracking + "_version", name, table=tracking) for name in ("version", "ITEMID", "DATAAREAID")]
        return [*self.INDEXES, *own, index_row("PK_" + self.LOG, "ITEMID", 1, "PRIMARY KEY", table=self.LOG)]

    def columns(self) -> Iterator[tuple[Any, ...]]:
        kinds = {
            "ITEMID": ("nvarchar", 20),
            "DATAAREAID": ("nvarchar", 4),
            "PRICE": ("numeric", None),
            "DAY": ("date", None),
        }
        kinds.update(COUNTED=("int", None), OWNER=("uniqueidentifier", None))
        for schema, table in (NAME, *self.COPIES):
            for name, (kind, length) in list(kinds.items())[: 6 if table == NAME.name else 2]:
                numbers = (length, 32, 16, None) if kind == "numeric" else (length, None, None, None)
                nullable = "NO" if name in ("ITEMID", "DATAAREAID") else "YES"
                yield (schema, table, name, kind, *numbers, nullable, "('DAT')" if name == "DATAAREAID" else None, None)


def dependents(server: Recorder) -> Any:
    return mssql.tables.read_dependents(server, [NAME])[NAME]


def dependent_statements() -> list[str]:
    server = Indexed()
    found = dependents(server)
    columns = ("ITEMID nvarchar(40) not null", "DATAAREAID nvarchar(9) not null default 'DAT'", "PRICE numeric(38,16)")
    wanted = [Column.parse(*text.split(" ", 1)) for text in (*columns, "COUNTED bigint", "DAY datetime2")]
    return [*server.said, *(said for one in wanted for said in mssql.tables.alter_columns(NAME, [one], found))]


def table_statements() -> list[str]:
    tables = mssql.tables
    column = Column.parse("NEW", "nvarchar(30) not null default 'it''s'")
    wide = Column.parse("WIDE", "bigint")
    return [
        *tables.create(TABLE),
        *tables.create_schema("o'x"),
        *(statement for table in metadata.TABLES for statement in tables.create(table)),
        *tables.add_columns(NAME, [column, wide, Column.parse("D", "int default 0")]),
        *tables.alter_columns(NAME, [column]),
        *tables.alter_columns(NAME, [wide]),
        *dependent_statements(),
        *tables.add_unique(NAME, ["PRICE"]),
        *tables.add_index(NAME, ["PRICE", "DAY"]),
        *tables.drop(NAME),
    ]


def tracking_statements() -> list[str]:
    tracking = mssql.tracking
    moves = [Moves(NAME, ("ITEMID", "DATAAREAID"), entering) for entering in (True, False)]
    return [
        *tracking.create(TABLE),
        *tracking.create(ONLY_KEYS),
        *tracking.drop(NAME),
        *tracking.renumber(NAME, 5),
        tracking.track_existing(TABLE),
        tracking.forget_versions(NAME),
        tracking.forget_versions(NAME, 0),
        *(statement for one in moves for statement in mssql.moves.create(one, TABLE)),
        *mssql.moves.drop(moves[0].name),
        *mssql.moves.renumber(moves[0].name),
    ]


def access_statements() -> list[str]:
    access, one = mssql.access, [Securable("schema", "ax"), Securable("schema", "dbo")]
    return [
        *access.create_role("POS'Users"),
        *access.create_login("pos", "it's ] secret"),
        *access.set_password("pos", "x'y"),
        *access.create_user("pos"),
        *access.create_user("SERVER\\POSUsers"),
        *access.add_member("POSUsers", "pos"),
        *access.remove_member("POSUsers", "pos"),
        *access.reconnect_user("pos"),
        *access.reconnect_user("SERVER\\POSUsers"),
        *access.hand_on(metadata.LOG, metadata.PEER),
        *access.drop_user("pos"),
        *access.drop_login("pos"),
        *access.grant("POSUsers", {"select", "insert"}, one),
        *access.revoke("POSUsers", {"execute"}, one),
        *access.grant("POSUsers", {"select"}, [Securable.table(NAME), Securable("database", "", "RetailChannel")]),
    ]


def database_statements() -> list[str]:
    databases = mssql.databases
    wanted = {"allow_snapshot_isolation": "on", "recovery": "simple", "page_verify": "checksum", "auto_close": "off"}
    wanted.update(compatibility_level="150", data_size="512MB", log_max_size="unlimited", log_growth="10%")
    made = {"data_path": "D:\\it's.mdf", "log_path": "D:\\log.ldf", "collation": "Latin1_General_CI_AS"}
    statements = [
        *databases.create("Ret'ail]"),
        *databases.drop("Ret'ail]"),
        *databases.set_options("Ret'ail]", wanted),
        *databases.set_options("Ret'ail]", {"read_committed_snapshot": "on"}),
        *databases.set_options("Ret'ail]", {"read_committed_snapshot": "off"}, 30),
    ]
    # sqlglot knows neither files nor collations in CREATE DATABASE; their text is compared below.
    [said] = databases.create("R]", made)
    assert said == (
        "IF DB_ID(N'R]') IS NULL CREATE DATABASE [R]]] ON PRIMARY (NAME = [R]]], FILENAME = N'D:\\it''s.mdf') "
        "LOG ON (NAME = [R]]_log], FILENAME = N'D:\\log.ldf') COLLATE Latin1_General_CI_AS"
    )
    return statements


class Provisioned(Recorder):
    """A database that Sync Framework has provisioned for one table."""

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self.execute(sql, *parameters)
        config = '<X><Adapter Name="[ax].[INVENT]]TABLE]"/><Adapter Name="[ax].[GONE]"/></X>'
        answers = {
            "INFORMATION_SCHEMA.COLUMNS": [
                ("dbo", "scope_info", "scope_sync_knowledge"),
                ("dbo", "scope_config", "scope_status"),
                ("ax", NAME.name + "_tracking", "local_update_peer_timestamp"),
            ],
            "INFORMATION_SCHEMA.TABLES": [tuple(NAME), ("dbo", "scope_templates"), ("ax", "scope_templates")],
            "sys.triggers": [("ax", NAME.name, NAME.name + "_insert_trigger", 0), ("ax", NAME.name, "AUDIT", 0)],
            "sys.procedures": [
                ("ax", NAME.name + "_bulkinsert"),
                ("ax", NAME.name + "_selectchanges_6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
                ("dbo", NAME.name + "_insert"),
                ("ax", "OTHER_insert"),
            ],
            "sys.table_types": [("ax", NAME.name + "_BulkType"), ("ax", "CUSTOMTYPE")],
            "scope_status": [("Sales", "C", config)],
            "SELECT sync_scope_name FROM": [("Sales",)],
        }
        if "parent_version" in sql or "is_disabled = 0" in sql:
            return []  # tracking of ours
        return next((rows for words, rows in answers.items() if words in sql), [])


def framework_statements() -> list[str]:
    said, framework = Provisioned(), mssql.framework
    remains = framework.read(said)
    tracked = remains.tables[NAME]
    framework.received(said, TABLE, tracked, ['{"k0":"A","k1":"B"}'])
    framework.deleted(said, TABLE, tracked)
    framework.connected(said, "it's")
    digest = _canonical.Digest(
        TABLE, TABLE.key_columns, tuple(mssql.digests.form(column) for column in TABLE.key_columns)
    )
    mssql.digests.images(said, digest, [])
    return [*said.said, *framework.drop_table(tracked), *framework.drop_books(remains)]


Header = namedtuple("Header", "IsDamaged HasIncompleteMetaData BackupDescription DatabaseName")
File = namedtuple("File", "LogicalName Type")


class Shelf(Recorder):
    """A server with a backup, and with every database that it is asked for."""

    ANSWERS: Mapping[str, list[Any]] = MappingProxyType({
        "HEADERONLY": [Header(0, 0, '{"axops.retail": {"release": "6.3.158.0", "made": "2026-01-31T22:00:00Z"}}', "Ret'ail]")],
        "FILELISTONLY": [File("da'ta", "D"), File("log", "L")],
        "xp_fileexist": [(1, 1, 1)],
        "backupset": [("D:\\Backups\\before'6.bak",)],
        "InstanceDefaultDataPath": [("D:\\Data\\", "D:\\Log\\")],
        "InstanceDefaultBackupPath": [("D:\\Backups",)],
        "extended_properties": [("first 2026-01-31T22:00:00Z",)],
        "FROM sys.databases WHERE name": [(1,)],
        "EngineEdition": [(1,)],
        "IS_SRVROLEMEMBER": [(1,)],
    })  # fmt: skip

    def query(self, sql: str, *parameters: Any) -> list[Any]:
        self.execute(sql, *parameters)
        if "HEADERONLY" in sql and any("xp_delete_file" in said for said in self.said):
            return []
        return next((rows for words, rows in self.ANSWERS.items() if words in sql), [])

    def row(self, sql: str, *parameters: Any) -> Any:
        return next(iter(self.query(sql, *parameters)), None)

    def value(self, sql: str, *parameters: Any) -> Any:
        row = self.row(sql, *parameters)
        return row[0] if row else None


class EmptyShelf(Shelf):
    """A server without anything."""

    ANSWERS: Mapping[str, list[Any]] = MappingProxyType({"xp_fileexist": [(0, 0, 0)]})


def backup_statements() -> list[str]:
    backups, backup, folder = (
        mssql.backups,
        Backup("before'6", "Ret'ail]", "6.3.158.0", "2026-01-31T22:00:00Z"),
        "D:\\Backups",
    )
    said = []
    for server in (Shelf(), EmptyShelf()):
        said.append(server)
        backups.check(server)
        backups.read(server, folder, backup.name)
        backups.list(server, folder, backup.database)
        backups.prepare(server, folder)
        backups.make(server, folder, backup, with_content=True)
        backups.content(server)
        backups.note(server, backup.database, "it's")
        backups.noted(server, backup.database)
        with contextlib.suppress(RetailError):  # where the server says nothing
            backups.directory(server)
        backups.prepared(server, folder)
    backups.verify(said[0], folder, backup)
    backups.restore(said[0], folder, backup, "Copy]")
    backups.mark_tested(said[0], folder, backup)
    backups.put_in_place(said[0], backup.database, backups.beside(backup.database, "restored"))
    backups._let_in(said[0], backup.database, "Copy]")
    backups.remove(said[0], folder, backup.name)
    return [sql for server in said for sql in server.said]


def unparsed_statements() -> list[str]:
    """What sqlglot has no rules for; ScriptDom reads it."""
    made = {"data_path": "D:\\it's.mdf", "log_path": "D:\\log.ldf", "collation": "Latin1_General_CI_AS"}
    return [*backup_statements(), *mssql.databases.create("R]", made), mssql.connect._STATE]


def everything() -> list[str]:
    return [
        *framework_statements(),
        *read_statements(),
        *mark_statements(),
        *change_statements(),
        *apply_statements(),
        *verify_statements(),
        *table_statements(),
        *tracking_statements(),
        *access_statements(),
        *database_statements(),
    ]
