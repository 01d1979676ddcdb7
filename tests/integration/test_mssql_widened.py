# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade widens columns that keys and indexes are made of, and that tracking and the logs of filters keep copies of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import mssql_world as world
import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError, StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table
from ansible_collections.axops.retail.plugins.module_utils._engine.mssql import probes
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._schema import plan as schema_plan

pytestmark = world.needs_server

ENGINE = world.ENGINE
WORD = world.table(
    "WORD",
    "ID STORE",
    ID="nvarchar(4) not null",
    STORE="nvarchar(4) not null default 'DAT'",
    NAME="nvarchar(20)",
    PRICE="numeric(10,2)",
    COUNTED="int default 7",
)
UNIQUE = Table(WORD.name, WORD.columns, WORD.primary_key, (("PRICE", "ID"),))
INDEXED = Table(WORD.name, WORD.columns, WORD.primary_key, (), (("NAME", "ID"),))
FILTER = (Condition("STORE", ("H",)),)


@pytest.fixture
def db() -> Iterator[Database]:
    with world.fresh() as made:
        yield made


def make(db: Database, one: Table) -> None:
    """The table with its tracking, and the log of a filter."""
    world.make(db, [one])
    for moves in _engine._filter.all_moves(one, FILTER):
        for statement in ENGINE.moves.create(moves, one):
            db.execute(statement)


def planned(db: Database, one: Table, **columns: str) -> Plan:
    """What an upgrade does that widens these columns."""
    wanted = tuple(Column.parse(column.name, columns.get(column.name, str(column))) for column in one.columns)
    return schema_plan.tables(
        ENGINE, ENGINE.tables.read(db, [one.name]), {one.name: replace(one, columns=wanted)}, "db", world.SCHEMAS,
        partial(ENGINE.tables.read_dependents, db),
    )  # fmt: skip


def apply(db: Database, plan: Plan) -> None:
    """Run it. A server that takes no NULL or NOT NULL where a column changes is spared those words, and one that has lost the names of
    defaults keeps them: both leave them as they are."""
    if probes.works(db, "SELECT pg_catalog.txid_current()"):
        for step in plan.steps:
            step.statements = [_spared(one) for one in step.statements if not _DEFAULT.search(str(one))]
        world.lacks("this server takes no NULL where a column changes, and no names of defaults: both were left out")
    plan.apply(lambda _key: db)


_DEFAULT = re.compile(r"sys\.default_constraints|ADD CONSTRAINT \[DF_")


def _spared(statement: Any) -> Any:
    return re.sub(r" (NOT )?NULL(?=[';]|$)", "", statement) if "ALTER COLUMN" in statement else statement


def constraints(db: Database) -> list[tuple[str, str]]:
    return sorted(
        (row[0].lower(), row[1].strip())
        for row in db.query(
            "SELECT name, type FROM sys.key_constraints WHERE parent_object_id = OBJECT_ID(N'[ax].[WORD]')"
        )
    )


def keys(db: Database, table: str = "WORD") -> list[str]:
    return sorted(row[0] for row in world.rows(db, "select {ID} from {ax.%s}" % table))


def test_a_key_is_widened_with_its_copies(db: Database) -> None:
    make(db, UNIQUE)
    world.run(db, "insert into {ax.WORD} ({ID}, {STORE}, {PRICE}) values ('a', 'H', 1), ('b', 'H', 2)")
    before = constraints(db)
    assert len(before) == 2
    plan = planned(db, UNIQUE, ID="nvarchar(12) not null", STORE="nvarchar(12) not null default 'DAT'")
    assert len(plan.steps) == 1
    apply(db, plan)
    assert constraints(db) == before
    assert not planned(db, UNIQUE, ID="nvarchar(12) not null", STORE="nvarchar(12) not null default 'DAT'").changed
    assert not ENGINE.tracking.outdated(db)
    assert all(ENGINE.moves.read(db).values())
    world.run(db, "insert into {ax.WORD} ({ID}, {STORE}) values ('longer-than', 'H'), ('c', 'HOUSTON-TX')")
    world.run(db, "insert into {ax.WORD} ({ID}) values ('d')")
    world.run(db, "delete from {ax.WORD} where {ID} in ('longer-than', 'c')")
    assert keys(db, "WORD_tracking") == ["a", "b", "c", "d", "longer-than"]
    [log] = [moves.name for moves in _engine._filter.all_moves(UNIQUE, FILTER)]
    assert keys(db, log.name) == ["c", "longer-than"]
    assert world.rows(db, "select {STORE} from {ax.WORD} where {ID} = 'd'") == [("DAT",)]
    for row in ("'a', 'H', 5", "'a', 'X', 1"):
        with pytest.raises(StatementFailed):
            world.run(db, "insert into {ax.WORD} ({ID}, {STORE}, {PRICE}) values (%s)" % row)


def test_a_number_gets_wider_under_a_unique_key(db: Database) -> None:
    make(db, UNIQUE)
    world.run(db, "insert into {ax.WORD} ({ID}, {PRICE}) values ('a', 1)")
    before = constraints(db)
    apply(db, planned(db, UNIQUE, PRICE="numeric(32,16)", COUNTED="bigint default 7"))
    assert constraints(db) == before
    world.run(db, "insert into {ax.WORD} ({ID}, {PRICE}, {STORE}) values ('b', 123456789012345, 'X')")
    assert world.rows(db, "select {COUNTED} from {ax.WORD} where {ID} = 'b'") == [(7,)]
    with pytest.raises(StatementFailed):
        world.run(db, "insert into {ax.WORD} ({ID}, {PRICE}, {STORE}) values ('b', 123456789012345, 'Y')")


def test_an_index_goes_and_comes_again(db: Database) -> None:
    make(db, INDEXED)
    [name] = [one.name for one in ENGINE.tables.read_dependents(db, [WORD.name])[WORD.name].indexes if not one.kind]
    if name != ENGINE.tables._derived("IX", WORD.name, ("NAME", "ID")):
        pytest.skip("this server does not tell indexes by the names that they were given: %s" % name)
    apply(db, planned(db, INDEXED, NAME="nchar(30)"))
    [after] = [one.name for one in ENGINE.tables.read_dependents(db, [WORD.name])[WORD.name].indexes if not one.kind]
    assert after == name


def test_what_is_in_the_way_is_said_before_anything_is_done(db: Database) -> None:
    make(db, UNIQUE)
    db.execute(
        "CREATE TABLE [ax].[LINE] ([W] nvarchar(4) NOT NULL, [S] nvarchar(4) NOT NULL, CONSTRAINT [FK_LINE] FOREIGN KEY ([W], [S]) "
        "REFERENCES [ax].[WORD] ([ID], [STORE]))"
    )
    with pytest.raises(
        RetailError, match=r"Column ID of table ax\.WORD cannot get the type nvarchar\(12\): foreign key"
    ):
        planned(db, UNIQUE, ID="nvarchar(12) not null")
    assert ENGINE.tables.read(db, [WORD.name])[WORD.name].column("ID") == WORD.column("ID")
    # Whoever looks at other columns is not kept from it.
    apply(db, planned(db, UNIQUE, NAME="nvarchar(30)"))


def test_tracking_that_a_script_has_left_behind_is_told(db: Database) -> None:
    """A script widens a column, and knows nothing of its copies."""
    make(db, WORD)
    assert not ENGINE.tracking.outdated(db)
    wide = Column.parse("ID", "nvarchar(12) not null")
    script = ENGINE.tables.alter_columns(
        WORD.name, [wide], replace(ENGINE.tables.read_dependents(db, [WORD.name])[WORD.name], copies=())
    )
    apply(db, Plan([schema_plan.Step("script", (), statements=script, database="db")]))
    assert ENGINE.tracking.outdated(db) == {WORD.name}
    assert not any(ENGINE.moves.read(db).values())
    actual = ENGINE.tables.read(db, [WORD.name])[WORD.name]
    [moves] = _engine._filter.all_moves(WORD, FILTER)
    mended = [*ENGINE.tracking.create(actual), *ENGINE.moves.create(moves, actual)]
    apply(db, Plan([schema_plan.Step("mend", (), statements=mended, database="db")]))
    assert not ENGINE.tracking.outdated(db)
    assert all(ENGINE.moves.read(db).values())
    world.run(db, "insert into {ax.WORD} ({ID}) values ('longer-than')")
    assert keys(db, "WORD_tracking") == ["longer-than"]
