# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases on the SQL Server that RETAIL_TEST_MSSQL names (an ODBC connection string), and pairs of any two
engines."""

from __future__ import annotations

import os
import re
import secrets
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata, session
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

VARIABLE = "RETAIL_TEST_MSSQL"
ENGINE = _engine.speaker("mssql")
SCHEMAS = ("ax", "crt", "dbo")
#: ``./dev test-mssql`` runs what has this mark; without a server it is skipped.
needs_server = pytest.mark.mssql
#: What sessions need of a database, and the module that makes one sets.
_OPTIONS = {"allow_snapshot_isolation": "on", "read_committed_snapshot": "on"}
_NAMED = re.compile(r"\{([A-Za-z_.][A-Za-z0-9_.]*)\}")


def table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


def server() -> Target:
    """The server's maintenance database, as the connection string says."""
    parts = dict(part.split("=", 1) for part in os.environ[VARIABLE].strip(";").split(";"))
    given = {key.strip().lower(): value.strip() for key, value in parts.items()}
    host, _comma, port = given["server"].removeprefix("tcp:").partition(",")
    return Target(
        engine="mssql",
        host=host,
        port=int(port) if port else None,
        user=given.get("uid", ""),
        password=given.get("pwd", "").strip("{}"),
        driver=given.get("driver", ""),
        encrypt=given.get("encrypt", "yes"),
        trust_server_certificate=given.get("trustservercertificate", "no").lower() == "yes",
    )


@contextmanager
def fresh() -> Iterator[Database]:
    """An empty database with the product's schemas, dropped afterwards."""
    name = "axops_" + secrets.token_hex(6)
    with _engine.connect(server()) as maintenance:
        create(maintenance, name)
        try:
            with _engine.connect(server().on(name)) as db:
                make_schemas(db)
                yield db
        finally:
            _drop(maintenance, name)


def create(maintenance: Database, name: str) -> None:
    """Make a database, with the options that sessions need where the server has them."""
    statements = ENGINE.databases.create(name)
    if ENGINE.databases.has_options(maintenance):
        statements += ENGINE.databases.set_options(name, _OPTIONS)
    for statement in statements:
        maintenance.execute(statement)


def left_to_do(db: Database, steps: Sequence[str]) -> list[str]:
    """The steps of a second run, but for grants where the server does not tell which rights were given (with a warning)."""
    if db.engine is not ENGINE or db.value("SELECT COUNT(*) FROM sys.database_permissions"):
        return list(steps)
    left = [step for step in steps if not step.startswith("Grant ")]
    if len(left) < len(steps):
        lacks("sys.database_permissions is empty: that a second run grants nothing was not checked")
    return left


def heeds_hints(db: Database, one: Table) -> bool:
    """Whether a row that was read WITH (UPDLOCK, HOLDLOCK) cannot be changed by others until that transaction ends.

    :param one: a table with a row in it.
    """
    place, key = db.engine.names.quote(*one.name), db.engine.names.quote(one.primary_key[0])
    with _engine.connect(db.target) as other:
        other.execute("SET LOCK_TIMEOUT 200")
        with db.transaction():
            db.value("SELECT COUNT(*) FROM %s WITH (UPDLOCK, HOLDLOCK)" % place)
            try:
                other.execute("UPDATE %s SET %s = %s" % (place, key, key))
            except StatementFailed:
                return True
    return False


def lacks(what: str) -> None:
    """Say in pytest's summary what this server cannot do, and so was not checked."""
    warnings.warn(what, stacklevel=2)


def _drop(maintenance: Database, name: str) -> None:
    """Drop a database; the server may take a moment to see that its last session has gone."""
    for tries_left in reversed(range(50)):
        try:
            maintenance.execute("DROP DATABASE IF EXISTS " + ENGINE.names.quote(name))
            return
        except StatementFailed:
            if not tries_left:
                raise
            time.sleep(0.1)


def make_schemas(db: Database) -> Database:
    for schema in SCHEMAS:
        for statement in db.engine.tables.create_schema(schema):
            db.execute(statement)
    return db


def make(db: Database, tables: Sequence[Table], tracked: bool = True) -> None:
    """The bookkeeping and these tables, with their tracking."""
    for one in (*metadata.TABLES, *tables):
        for statement in db.engine.tables.create(one):
            db.execute(statement)
    for one in tables if tracked else ():
        for statement in db.engine.tracking.create(one):
            db.execute(statement)


def run(db: Database, sql: str, *parameters: Any) -> int:
    """A statement with its names as ``{ax.TABLE}``, quoted for the engine."""
    return db.execute(_quoted(db, sql), *parameters)


def rows(db: Database, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.query(_quoted(db, sql), *parameters)]


def _quoted(db: Database, sql: str) -> str:
    return _NAMED.sub(lambda found: db.engine.names.quote(*found.group(1).split(".")), sql)


def scope(name: str, direction: str, one: Table, winner: str = "parent") -> Scope:
    return Scope(name, direction, (ScopeTable(one.name, winner),), uploads_deletes=direction == "bidirectional")


def paired(child: Database, parent: Database, scopes: Sequence[Scope]) -> Pair:
    """Make two databases know each other, in the plainest way."""
    guid, token = str(uuid.uuid4()), str(uuid.uuid4())
    into = (
        "insert into {dbo.sync_peer} (peer_id, peer_name, peer_guid, incarnation, register_id) values (?, ?, ?, ?, ?)"
    )
    run(child, into, 0, "parent", guid, parent.engine.marks.incarnation(parent), "")
    run(parent, into, 1, "R1", guid, child.engine.marks.incarnation(child), "R1")
    for number, one in enumerate(scopes):
        for db, peer, anchor in ((child, 0, "NULL"), (parent, 1, "0")):
            run(
                db,
                "insert into {dbo.scope_info} (peer_id, sync_scope_name, sequence, direction, config_data, anchor_in, "
                "session_token, previous_token) values (?, ?, ?, ?, ?, %s, ?, ?)" % anchor,
                *(peer, one.name, number, one.direction, one.config_data(), token, token),
            )
    return Pair(child, parent)


def synchronise(pair: Pair, rounds: int = 3) -> int:
    """Sessions until nothing is pending; returns the rows that moved."""
    moved = 0
    for _round in range(rounds):
        pending = session.pending(pair, pair.scopes)
        if not pending:
            break
        moved += sum(session.run(pair, one).moved for one in pending)
    return moved
