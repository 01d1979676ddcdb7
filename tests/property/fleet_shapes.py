# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases of the histories: what stands in them, who synchronises with whom, and what."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable

PARENTS = {"c1": "hq", "c2": "hq", "r1": "c1", "r2": "c1", "r3": "c2"}
NODES = ("hq", *PARENTS)
REGISTERS = ("r1", "r2", "r3")
#: A whole round of sessions, from the leaves to the root.
ROUND = (*REGISTERS, "c1", "c2")


def is_under(name: str, other: str) -> bool:
    """Whether what the first database has goes up by way of the other, or it is the other itself."""
    return name == other or (name in PARENTS and is_under(PARENTS[name], other))


def table(name: str, key: str, unique: tuple[tuple[str, ...], ...] = (), **columns: str) -> Table:
    """A table of the application: its columns in the words of the packaged schema."""
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()), unique)


# VALUE is a number that no other write in the same history has, so that each write can be told from all others.
_ID, _VALUE = "bigint not null", "int not null"
#: Master data, with a unique code.
ITEM = table("ITEM", "ID", (("CODE",),), ID=_ID, CODE="nvarchar(20) not null", VALUE=_VALUE)
#: Written everywhere, with a unique code.
CARD = table("CARD", "ID", (("CODE",),), ID=_ID, CODE="nvarchar(20) not null", VALUE=_VALUE)
#: Written everywhere; one trigger counts in MODIFIED how often the row was written here, another leaves a STAMP.
CUSTOMER = table("CUSTOMER", "ID", ID=_ID, VALUE=_VALUE, MODIFIED="int not null default 0")
#: Written everywhere, in the profile of some.
SHELF = table("SHELF", "ID", ID=_ID, VALUE=_VALUE)
#: Written by a trigger alone: which customer's image came by where.
STAMP = table("STAMP", "WRITER VALUE", WRITER="nvarchar(10) not null", VALUE=_VALUE)
#: A sale is whole if its lines and payments are as many and as much as its header says.
SALE = table(
    "SALE", "ID", ID=_ID, LINES=_VALUE, TOTAL=_VALUE, PAYMENTS=_VALUE, PAID=_VALUE, VALUE=_VALUE
)  # fmt: skip
LINE = table("LINE", "SALE NUMBER", SALE=_ID, NUMBER=_VALUE, AMOUNT=_VALUE, VALUE=_VALUE)
PAYMENT = table("PAYMENT", "SALE NUMBER", SALE=_ID, NUMBER=_VALUE, AMOUNT=_VALUE, VALUE=_VALUE)

TABLES = {one.name.name: one for one in (ITEM, CARD, CUSTOMER, SHELF, STAMP, SALE, LINE, PAYMENT)}
#: The tables with a plain key and a value of their own, which people edit.
EDITED = ("ITEM", "CARD", "CUSTOMER", "SHELF")
#: The column that the next version of the schema adds to CARD.
EXTRA = Column.parse("EXTRA", "int not null default 0")
SCOPES = ("items", "people", "sales", "stamps")


def scopes(winner: str, with_shelf: bool = True) -> tuple[Scope, ...]:
    """The offline profile.

    :param winner: who wins where both sides have changed a row that goes both ways.
    """
    people = (CARD, CUSTOMER, SHELF) if with_shelf else (CARD, CUSTOMER)
    return (
        Scope("items", "download", (ScopeTable(ITEM.name, "parent"),), 0, 1, 1),
        Scope("people", "bidirectional", tuple(ScopeTable(one.name, winner) for one in people), 0, 2, 2, True),
        Scope("sales", "upload", tuple(ScopeTable(one.name, "child") for one in (SALE, LINE, PAYMENT)), 0, 3, 3),
        Scope("stamps", "upload", (ScopeTable(STAMP.name, "child"),), 0, 4, 4),
    )


_NAMED = re.compile(r"\{([A-Za-z_.]+)\}")


def quoted(db: Database, sql: str) -> str:
    """The statement with its names, written as ``{ax.TABLE}``, as the engine wants them."""
    return _NAMED.sub(lambda found: db.engine.names.quote(*found.group(1).split(".")), sql)


def execute(db: Database, sql: str, *parameters: Any) -> int:
    return db.execute(quoted(db, sql), *parameters)


def query(db: Database, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.query(quoted(db, sql), *parameters)]


#: Sales of which a part is missing, or is of another moment than the rest.
BROKEN = (
    "SELECT s.{ID} FROM {ax.SALE} s WHERE s.{LINES} <> (SELECT count(*) FROM {ax.LINE} l WHERE l.{SALE} = s.{ID}) "
    "OR s.{TOTAL} <> (SELECT coalesce(sum(l.{AMOUNT}), 0) FROM {ax.LINE} l WHERE l.{SALE} = s.{ID}) "
    "OR s.{PAYMENTS} <> (SELECT count(*) FROM {ax.PAYMENT} p WHERE p.{SALE} = s.{ID}) "
    "OR s.{PAID} <> (SELECT coalesce(sum(p.{AMOUNT}), 0) FROM {ax.PAYMENT} p WHERE p.{SALE} = s.{ID}) "
    "UNION SELECT l.{SALE} FROM {ax.LINE} l WHERE NOT EXISTS (SELECT 1 FROM {ax.SALE} s WHERE s.{ID} = l.{SALE}) "
    "UNION SELECT p.{SALE} FROM {ax.PAYMENT} p WHERE NOT EXISTS (SELECT 1 FROM {ax.SALE} s WHERE s.{ID} = p.{SALE})"
)
