# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A register and its store server, made from nothing, and the service's configuration for them: for the tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline import pairs
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable

REGISTER = "HOUSTON-000001"

PRICES = Table(
    TableName("ax", "PRICEDISCTABLE"),
    (Column.parse("RECID", "bigint not null"), Column.parse("AMOUNT", "numeric(32,16) not null default 0")),
    ("RECID",),
)
SALES = Table(
    TableName("ax", "RETAILTRANSACTIONTABLE"),
    (
        Column.parse("TRANSACTIONID", "nvarchar(44) not null"),
        Column.parse("STORE", "nvarchar(10) not null default ''"),
        Column.parse("GROSSAMOUNT", "numeric(32,16) not null default 0"),
    ),
    ("TRANSACTIONID", "STORE"),
)

DOWN = Scope("Prices", "download", (ScopeTable(PRICES.name, "parent"),), sequence=1, scope_id=101)
UP = Scope("Sales", "upload", (ScopeTable(SALES.name, "child"),), sequence=2, scope_id=102)


def target(facts: dict[str, Any]) -> Target:
    """The connection of the test's superuser."""
    return Target(
        engine="postgresql", host=facts["host"], port=facts["port"], database=facts["database"], user=facts["user"],
        password=facts["password"], encrypt="no",
    )  # fmt: skip


class ProvisionedPair:
    """Two databases that know each other: prices go down, sales go up."""

    identity = pairs.Identity(REGISTER, "HOUSTON", "000001")

    def __init__(
        self,
        child: dict[str, Any],
        parent: dict[str, Any],
        scopes: tuple[Scope, ...] = (DOWN, UP),
        tables: tuple[Table, ...] = (PRICES, SALES),
    ) -> None:
        self.child_facts, self.parent_facts = child, parent
        self.scopes = scopes
        with self.parent() as above:
            _make_tables(above, tables)
        self.provision()

    def provision(self, reprovision: bool = False) -> None:
        """What retail_offline_db does with a pair."""
        with self.child() as below, self.parent() as above:
            sides = {"child": below, "parent": above}
            places = {
                side: pairs.Place(key=side, title=f"the {side}'s database", engine=db.engine, db=db)
                for side, db in sides.items()
            }
            request = pairs.Request(
                **places, scopes=self.scopes, identity=self.identity, open_database=sides.__getitem__, create_tables=True,
                reprovision=reprovision,
            )  # fmt: skip
            with pairs.planned(request, check_mode=False, timeout=10) as result:
                result.plan.apply(sides.__getitem__)

    def child(self) -> Database:
        return _engine.connect(target(self.child_facts))

    def parent(self) -> Database:
        return _engine.connect(target(self.parent_facts))

    def configuration(self, **more: Any) -> dict[str, Any]:
        """The service's, with a short interval."""
        sides = {}
        for side, facts in (("child", self.child_facts), ("parent", self.parent_facts)):
            sides[side] = {"engine": "postgresql", "encrypt": "no", "login_timeout": 5, **_connection(facts)}
        return {"name": REGISTER, "interval": 1, "heartbeat": 60, **sides, **more}

    def write_configuration(self, path: Path, **more: Any) -> Path:
        """The file of mode 0600."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(self.configuration(**more), stream)
        return path


def price(db: Database, recid: int, amount: str) -> None:
    """Set a price where prices are made."""
    db.execute('DELETE FROM "ax"."PRICEDISCTABLE" WHERE "RECID" = ?', recid)
    db.execute('INSERT INTO "ax"."PRICEDISCTABLE" ("RECID", "AMOUNT") VALUES (?, CAST(? AS numeric))', recid, amount)


def sale(db: Database, number: str) -> None:
    """Sell something at the register."""
    db.execute('INSERT INTO "ax"."RETAILTRANSACTIONTABLE" ("TRANSACTIONID", "STORE") VALUES (?, ?)', number, "HOUSTON")


def prices(db: Database) -> dict[int, str]:
    return {row[0]: "%g" % row[1] for row in db.query('SELECT "RECID", "AMOUNT" FROM "ax"."PRICEDISCTABLE"')}


def sales(db: Database) -> set[str]:
    return {row[0] for row in db.query('SELECT "TRANSACTIONID" FROM "ax"."RETAILTRANSACTIONTABLE"')}


def _connection(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("host", "port", "database", "user", "password")}


def _make_tables(db: Database, tables: tuple[Table, ...]) -> None:
    statements = db.engine.tables.create_schema("ax")
    for table in tables:
        statements += db.engine.tables.create(table)
    with db.transaction():
        for sql in statements:
            db.execute(sql)
