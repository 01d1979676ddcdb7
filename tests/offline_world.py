# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HQ, a store server and its registers, as small as they can be, for the tests of provisioning."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import (
    Identity,
    PairPlan,
    Place,
    Request,
    plan_pair,
)
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._schema import channel, package
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata, session
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

ENGINE = _engine.speaker("postgresql")


def _table(name: str, key: str, **columns: str) -> Table:
    return Table(
        TableName("ax", name), tuple(Column.parse(column, text) for column, text in columns.items()), tuple(key.split())
    )


PRICES = _table("PRICEDISCTABLE", "RECID", RECID="bigint not null", AMOUNT="numeric(32,16) not null default 0")
ITEMS = _table("INVENTTABLE", "ITEMID", ITEMID="nvarchar(20) not null", NAMEALIAS="nvarchar(20) not null default ''")
SALES = _table(
    "RETAILTRANSACTIONTABLE",
    "TRANSACTIONID STORE",
    TRANSACTIONID="nvarchar(44) not null",
    STORE="nvarchar(10) not null default ''",
    GROSSAMOUNT="numeric(32,16) not null default 0",
)
PAYMENTS = _table(
    "RETAILTRANSACTIONPAYMENTTRANS",
    "TRANSACTIONID LINENUM",
    TRANSACTIONID="nvarchar(44) not null",
    LINENUM="numeric(32,16) not null",
    AMOUNTTENDERED="numeric(32,16) not null default 0",
)
SHIFTS = _table("RETAILPOSBATCHTABLE", "BATCHID", BATCHID="bigint not null", STATUS="int not null default 0")
TABLES = (PRICES, ITEMS, SALES, PAYMENTS, SHIFTS)

PRICES_DOWN = make_scope("1020 Prices", "download", [PRICES.name, ITEMS.name], 0, 1, 1020)
SALES_UP = make_scope("P-0001", "upload", [SALES.name, PAYMENTS.name], 0, 2, 1)
SHIFTS_BOTH = make_scope("Shifts", "bidirectional", [SHIFTS.name], 0, 3, 3)
PROFILE = (PRICES_DOWN, SALES_UP, SHIFTS_BOTH)
HOUSTON_1 = Identity("HOUSTON-000001", "HOUSTON", "000001")
HOUSTON_2 = Identity("HOUSTON-000002", "HOUSTON", "000002")


def target(facts: dict[str, Any]) -> Target:
    """The connection of the test's superuser."""
    return Target(
        engine="postgresql",
        host=facts["host"],
        port=facts["port"],
        database=facts["database"],
        user=facts["user"],
        password=facts["password"],
        encrypt="no",
    )


def connect(facts: dict[str, Any]) -> Database:
    return _engine.connect(target(facts))


def make_tables(db: Database, tables: Sequence[Table] = TABLES) -> Database:
    """The tables of a channel database that the tests use."""
    for schema in ("ax", "crt", "dbo"):
        for statement in db.engine.tables.create_schema(schema):
            db.execute(statement)
    for table in tables:
        for statement in db.engine.tables.create(table):
            db.execute(statement)
    return db


class Couple:
    """A child and its parent, and what is wanted of them."""

    def __init__(self, child: Database, parent: Database, identity: Identity = HOUSTON_1, **options: Any) -> None:
        self.child, self.parent, self.identity = child, parent, identity
        self.options: dict[str, Any] = {"create_tables": True, **options}

    def open(self, key: str) -> Database:
        return {"offline": self.child, "channel": self.parent}[key]

    def request(self, scopes: Sequence[Scope] = PROFILE, **options: Any) -> Request:
        return Request(
            Place("offline", "the offline database", self.child.engine, self.child),
            Place("channel", "the channel database", self.parent.engine, self.parent),
            scopes,
            self.identity,
            self.open,
            **{**self.options, **options},
        )

    def plan(self, scopes: Sequence[Scope] = PROFILE, **options: Any) -> PairPlan:
        return plan_pair(self.request(scopes, **options))

    def provision(self, scopes: Sequence[Scope] = PROFILE, **options: Any) -> list[str]:
        """Converge; returns the titles of what was done."""
        plan = self.plan(scopes, **options).plan
        plan.apply(self.open)
        return plan.titles

    def apply_first(self, plan: Plan, count: int) -> None:
        """Apply as a run does that is killed after ``count`` steps."""
        Plan(plan.steps[:count]).apply(self.open)

    def synchronise(self, rounds: int = 3) -> int:
        """Sessions until nothing is pending; returns the rows that moved."""
        moved = 0
        for _round in range(rounds):
            pair = Pair(self.child, self.parent)
            pending = session.pending(pair, pair.scopes)
            if not pending:
                break
            moved += sum(session.run(pair, scope).moved for scope in pending)
        return moved

    @property
    def pending(self) -> list[str]:
        pair = Pair(self.child, self.parent)
        return [scope.name for scope in session.pending(pair, pair.scopes)]


def rows(db: Database, table: Table) -> list[tuple[Any, ...]]:
    """All rows, as text, in the order of the key."""
    columns = ", ".join('CAST("%s" AS text)' % column.name for column in table.columns)
    order = ", ".join('"%s"' % name for name in table.primary_key)
    return [tuple(row) for row in db.query("SELECT %s FROM %s ORDER BY %s" % (columns, _quoted(table), order))]


def insert(db: Database, table: Table, *values: tuple[Any, ...]) -> None:
    """Rows, all in one transaction."""
    marks = ", ".join("?" for _column in table.columns)
    with db.transaction():
        for row in values:
            db.execute("INSERT INTO %s VALUES (%s)" % (_quoted(table), marks), *row)


def execute(db: Database, sql: str, table: Table) -> None:
    db.execute(sql % _quoted(table))


def _quoted(table: Table) -> str:
    return ENGINE.names.quote(*table.name)


def tracked(db: Database) -> set[str]:
    """The tables with complete tracking."""
    tracking = db.engine.tracking
    return {str(name) for name, events in tracking.read(db).items() if set(events) == set(tracking.TRIGGERS)}


def scopes_of(db: Database, peer: int) -> list[Scope]:
    return metadata.read_scopes(db, peer)


# ---- whole databases and whole modules

ROOT = Path(__file__).resolve().parents[1]
MODULES = "ansible_collections.axops.retail.plugins.modules"

#: What a channel database of these tests has of the packaged schema.
CHANNEL_TABLES = (
    "ax.DBVERSION ax.INVENTTABLE ax.PRICEDISCTABLE ax.RETAILCDXDATASTORECHANNEL ax.RETAILCONNDATABASEPROFILE "
    "ax.RETAILOFFLINEPROFILE ax.RETAILOFFLINEPROFILESCOPES ax.RETAILOFFLINESCOPE ax.RETAILOFFLINESCOPETABLES "
    "ax.RETAILOFFLINETABLE ax.RETAILOFFLINETABLECOLUMNS ax.RETAILPOSBATCHTABLE ax.RETAILSTORETABLE "
    "ax.RETAILTRANSACTIONSALESTRANS ax.RETAILTRANSACTIONTABLE dbo.POSISINFO dbo.RETAILOFFLINESYNCLOG"
)


def make_database(db: Database, *extensions: str) -> Database:
    """A database of the product, from a part of the packaged schema."""
    folders = [str(ROOT / "schemas" / name) for name in ("ax2012r3", *extensions)]
    whole = package.load(folders)
    more = {name for name in whole.tables if name.name.startswith("RETAILCDX")} if extensions else set()
    wanted = {TableName.parse(name) for name in CHANNEL_TABLES.split()} | more
    tables = {name: table for name, table in whole.tables.items() if name in wanted}
    part = package.Package(whole.release, whole.title, tables)
    plan = channel.database_plan(ENGINE, db.target.database, channel.read(db), part, "server", "database")
    plan.apply(lambda _key: db)
    return db


def insert_into(db: Database, table: str, *records: dict[str, Any]) -> None:
    """Rows by column name; other columns get their defaults, or something that fits."""
    name = TableName.parse(table)
    known = ENGINE.tables.read(db, [name])[name]
    with db.transaction():
        for record in records:
            row = {**{column.name: _filler(column) for column in known.columns if _needs_value(column)}, **record}
            columns = ", ".join(ENGINE.names.quote(column) for column in row)
            marks = ", ".join("?" for _column in row)
            db.execute("INSERT INTO %s (%s) VALUES (%s)" % (ENGINE.names.quote(*name), columns, marks), *row.values())


def _needs_value(column: Column) -> bool:
    return not (column.nullable or column.identity or column.default is not None)


def _filler(column: Column) -> Any:
    return "" if "char" in column.type else 0


def run_module(module: str, /, check: bool = False, diff: bool = True, **options: Any) -> dict[str, Any]:
    """Run a module as Ansible does, in a process of its own; returns its result, ``failed`` included."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check, "_ansible_diff": diff}}
    done = subprocess.run(
        [sys.executable, "-m", f"{MODULES}.{module}"],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(done.stdout + done.stderr) from None


def connection(facts: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The options of a module that name one database."""
    values = {
        "engine": "postgresql",
        "encrypt": "no",
        "server": facts["host"],
        "port": facts["port"],
        "database": facts["database"],
        "login_user": facts["user"],
        "login_password": facts["password"],
    }
    return {prefix + name: value for name, value in values.items()}
