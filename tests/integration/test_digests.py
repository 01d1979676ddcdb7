# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of rows: spelled as they are described, and alike on every engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import mssql_world as world
import pytest
from offline_world import target

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import _canonical
from ansible_collections.axops.retail.plugins.module_utils._engine._canonical import Digest, Form
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column

EVERY = world.table(
    "EVERY", "ID CODE",
    ID="bigint not null", CODE="nvarchar(20) not null", WHOLE="int", SMALL="smallint", FLAG="bit", PRICE="numeric(32,16)",
    DAY="date", MOMENT="datetime", FINE="datetime2", HOUR="time", GUID="uniqueidentifier", WEIGHT="float", PART="real",
    TEXT="nvarchar(max)", PADDED="nchar(6)", NOTE="ntext", PICTURE="varbinary(max)", CASH="money",
)  # fmt: skip
NAMES = [column.name for column in EVERY.columns]
GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
FULL = {
    "ID": 1, "CODE": "a b", "WHOLE": -7, "SMALL": 3, "FLAG": True, "PRICE": "100.5000000000000000", "DAY": "2024-02-29",
    "MOMENT": "2024-01-02T03:04:05.123", "FINE": "2024-01-02T03:04:05.123456", "HOUR": "01:02:03.5", "GUID": GUID, "WEIGHT": 0.1,
    "PART": 0.5, "TEXT": "Crème brûlée 5 € 🍕\n", "PADDED": "ab", "NOTE": "", "PICTURE": "AQL/", "CASH": "12.3000",
}  # fmt: skip
EMPTY = {name: FULL[name] if name in ("ID", "CODE") else None for name in NAMES} | {"ID": -2, "CODE": " |x|"}
OLD = {
    **FULL,
    "ID": 3,
    "MOMENT": "1955-11-12T22:04:00.997",
    "DAY": "1900-01-01",
    "PRICE": "-0.0000000000000001",
    "WEIGHT": 1e-300,
}


def fill(db: Database, *records: dict[str, Any]) -> None:
    """Rows as they come over the wire."""
    make = db.engine.types
    for record in records:
        body = json.dumps({"k%d" % place: record[name] for place, name in enumerate(NAMES)})
        read = "json_to_recordset(CAST(CAST(? AS text) AS json)) AS q (%s)"
        if db.engine is world.ENGINE:
            read = "OPENJSON(CAST(? AS nvarchar(max))) WITH (%s) AS q"
        columns = ", ".join("k%d %s" % (place, make.read_as(column)) for place, column in enumerate(EVERY.columns))
        values = ", ".join(make.from_wire(column, "q.k%d" % place) for place, column in enumerate(EVERY.columns))
        names = ", ".join("{%s}" % name for name in NAMES)
        world.run(db, "insert into {ax.EVERY} (%s) select %s from %s" % (names, values, read % columns), "[%s]" % body)


def digest_of(db: Database, forms: tuple[Form, ...] | None = None) -> Digest:
    forms = forms or tuple(db.engine.digests.form(column) for column in EVERY.columns)
    return Digest(EVERY, EVERY.columns, forms)


@pytest.fixture
def db(scratch_database: dict[str, Any]) -> Iterator[Database]:
    with _engine.connect(target(scratch_database)) as connection:
        world.make_schemas(connection)
        world.make(connection, (EVERY,))
        yield connection


def test_a_row_is_spelled_as_it_is_described(db: Database) -> None:
    fill(db, FULL, EMPTY)
    rows = {key: digest for key, digest, _wire in db.engine.digests.members(db, digest_of(db), 1, [0])}
    picture = hashlib.md5(b"\x01\x02\xff", usedforsecurity=False).hexdigest()
    text = "u" + "Crème brûlée 5 € 🍕\n".encode("utf-16-le").hex()
    full = (
        "1|3:a b|-7|3|1|100.5|19782|1704164645123|1704164645123456|3723500000|%s|3fb999999999999a|3f000000|%s|2:ab|0:|%s|12.3"
        % (GUID, text, picture)
    )
    empty = "-2|4: |x||" + "|" * 15
    expected = {spelled.split("|", 1)[0]: hashlib.md5(spelled.encode()).hexdigest() for spelled in (full, empty)}
    assert {key.split("|", 1)[0]: digest for key, digest in rows.items()} == expected
    assert set(rows) == {"1|3:a b", "-2|4: |x|"}


def test_buckets_do_not_depend_on_order_and_tell_every_change(db: Database) -> None:
    fill(db, FULL, EMPTY, OLD)
    digests, digest = db.engine.digests, digest_of(db)
    first = digests.buckets(db, digest, 1)
    assert first[0].rows == 3
    world.run(db, "delete from {ax.EVERY} where {ID} = 1")
    fill(db, FULL)
    assert digests.buckets(db, digest, 1) == first
    assert sum(one.rows for one in digests.buckets(db, digest, 65536).values()) == 3
    for change in ("{TEXT} = 'x'", "{NOTE} = NULL", "{PRICE} = {PRICE} + 1", "{PADDED} = 'AB'"):
        before = digests.buckets(db, digest, 1)
        world.run(db, "update {ax.EVERY} set %s where {ID} = 1" % change)
        assert digests.buckets(db, digest, 1) != before


@world.needs_server
def test_a_text_of_another_code_page_is_spelled_as_the_same_one_in_unicode() -> None:
    with world.fresh() as other:
        other.execute(
            "CREATE TABLE [ax].[WORD] ([NARROW] varchar(20) COLLATE Cyrillic_General_CI_AS, [PADDED] char(20) COLLATE "
            "Cyrillic_General_CI_AS, [WIDE] nvarchar(20))"
        )
        other.execute(
            "INSERT INTO [ax].[WORD] VALUES (N'Привет', N'Привет', N'Привет'), (N'plain', N'plain', N'plain')"
        )
        columns = [Column("NARROW", "varchar(20)"), Column("PADDED", "char(20)"), Column("WIDE", "nvarchar(20)")]
        digests = other.engine.digests
        spelled = [
            digests._text(other, digests.form(column), column, "r." + other.engine.names.quote(column.name))
            for column in columns
        ]
        rows = [tuple(row) for row in other.query("SELECT %s FROM [ax].[WORD] AS r" % ", ".join(spelled))]
        wanted = {"u" + "Привет".encode("utf-16-le").hex(), "5:plain"}
        assert {row[0] for row in rows} == wanted and all(len(set(row)) == 1 for row in rows)


@world.needs_server
def test_both_engines_compute_the_same_digests(db: Database) -> None:
    with world.fresh() as other:
        world.make(other, (EVERY,))
        for one in (db, other):
            fill(one, FULL, OLD, EMPTY)
        # Not every server reads escapes and base64 from JSON as SQL Server does.
        world.run(
            other, "update {ax.EVERY} set {TEXT} = ?, {PICTURE} = 0x0102FF where {PICTURE} is not null", FULL["TEXT"]
        )
        forms = tuple(
            _canonical.common(db.engine.digests.form(column), other.engine.digests.form(column))
            for column in EVERY.columns
        )
        assert None not in forms
        found = []
        for one in (db, other):
            digest = digest_of(one, forms)
            rows = one.engine.digests.members(one, digest, 1, [0])
            seen = one.engine.digests.look(one, digest, None, [wire for _key, _digest, wire in sorted(rows)])
            assert [item.digest for item in seen] == [item[1] for item in sorted(rows)]
            found.append((one.engine.digests.buckets(one, digest, 256), sorted(row[:2] for row in rows)))
    assert found[0][1] == found[1][1]
    assert found[0] == found[1]
