# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one database has at this moment, read with the plainest SQL: images of rows, and what was kept of losers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import fleet_shapes as shapes
from fleet_shapes import CUSTOMER, EDITED, EXTRA, TABLES

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import CONFLICT

Key = tuple[Any, ...]


def images(db: Database, table: str) -> dict[Key, tuple[Any, ...]]:
    """The rows by key; without what each database counts for itself."""
    shape = TABLES[table]
    columns = [column.name for column in shape.columns if column.name != "MODIFIED" or shape is not CUSTOMER]
    listed = ", ".join("{%s}" % name for name in columns)
    places = [columns.index(name) for name in shape.primary_key]
    rows = shapes.query(db, "SELECT %s FROM {ax.%s}" % (listed, table))
    return {tuple(row[place] for place in places): row for row in rows}


def extras(db: Database) -> dict[Key, int] | None:
    """The next version's column of CARD by key, None where the database has not got it yet."""
    if not has_extra(db):
        return None
    return {(row[0],): row[1] for row in shapes.query(db, "SELECT {ID}, {EXTRA} FROM {ax.CARD}")}


def has_extra(db: Database) -> bool:
    name = TABLES["CARD"].name
    return db.engine.tables.read(db, [name])[name].column(EXTRA.name) is not None


def numbers(db: Database) -> set[int]:
    """The ledger's numbers that stand in a table, lost a conflict and were kept, or were put aside."""
    tables = (*EDITED, "SALE", "LINE", "PAYMENT")
    union = " UNION ALL ".join("SELECT {VALUE} FROM {ax.%s}" % table for table in tables)
    standing = {int(row[0]) for row in shapes.query(db, union)}
    if not is_provisioned(db):
        return standing
    return standing | set(losers(db)) | {number for _table, _key, number in put_aside(db) if number is not None}


def is_provisioned(db: Database) -> bool:
    """Whether the bookkeeping is there: a register that was just replaced has none."""
    return bool(db.engine.tables.read(db, [CONFLICT]))


def losers(db: Database) -> Iterator[int]:
    """The numbers of images that lost a conflict here."""
    sql = "SELECT {peer_id}, {winner}, {incoming_image}, {local_image}, {table_name} FROM {dbo.sync_conflict}"
    for peer, winner, incoming, local, table in shapes.query(db, sql):
        # What comes from peer 0 is the parent's image, everything else a child's.
        loser = local if (winner == "parent") == (peer == 0) else incoming
        if loser is not None and table != "ax.STAMP":
            yield int(json.loads(loser)["VALUE"])


def conflicts(db: Database) -> Counter[tuple[Any, ...]]:
    """Each conflict, and how often it was recorded."""
    columns = "{peer_id}, {table_name}, {row_key}, {incoming_version}, {incoming_image}, {local_image}"
    return Counter(shapes.query(db, "SELECT %s FROM {dbo.sync_conflict}" % columns))


def put_aside(db: Database) -> Iterator[tuple[str, Key, int | None]]:
    """Table, key and number of each row in quarantine; a deletion has no number."""
    for header, row in shapes.query(db, "SELECT {header}, {row_image} FROM {dbo.sync_quarantine}"):
        fields, values = json.loads(header), json.loads(row)
        table = fields["table"].partition(".")[2]
        image = {name: values.get("c%d" % place) for place, name in enumerate(fields["columns"])}
        key = tuple(_plain(table, name, image[name]) for name in TABLES[table].primary_key)
        number = image.get("VALUE") if table != "STAMP" else None
        yield table, key, None if number is None or values.get("d") else int(number)


def _plain(table: str, column: str, value: Any) -> Any:
    found = TABLES[table].column(column)
    return int(value) if found is not None and found.type in ("bigint", "int") else value


def quarantine(db: Database) -> Counter[tuple[Any, ...]]:
    """Each row in quarantine, and how often it is there."""
    columns = "{peer_id}, {sync_scope_name}, {table_name}, {version}, {row_image}"
    return Counter(shapes.query(db, "SELECT %s FROM {dbo.sync_quarantine}" % columns))


def records(db: Database) -> list[int]:
    """How much has been recorded here: conflicts, rows put aside, lines of the log."""
    tables = ("sync_conflict", "sync_quarantine", "RETAILOFFLINESYNCLOG")
    return [int(shapes.query(db, "SELECT count(*) FROM {dbo.%s}" % table)[0][0]) for table in tables]
