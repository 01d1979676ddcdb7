# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries that stay prepared on a connection answer as any other does, whatever becomes of the tables and of the transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from dialects import only_on
from session_world import both_engines

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._database import _MOST_KEPT, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed

pytestmark = both_engines

ASKED = "SELECT n, word FROM kept WHERE n >= ? ORDER BY n"


@pytest.fixture
def db(new_place: Callable[..., Target]) -> Iterator[Database]:
    with connect(new_place()) as db:
        db.execute("CREATE TABLE kept (n int NOT NULL PRIMARY KEY, word varchar(10))")
        db.execute("INSERT INTO kept VALUES (1, 'one'), (2, 'two')")
        yield db


def answer(db: Database, least: int = 1) -> list[tuple]:
    return [tuple(row) for row in db.ask(ASKED, least)]


def test_each_answer_is_that_of_its_moment(db: Database) -> None:
    assert answer(db) == [(1, "one"), (2, "two")]
    db.execute("UPDATE kept SET word = 'deux' WHERE n = 2")
    assert answer(db, 2) == [(2, "deux")]
    assert answer(db, 3) == []
    assert db.query(ASKED, 1)[0].word == db.ask(ASKED, 1)[0].word == "one"


def test_a_table_may_change_under_a_query(db: Database) -> None:
    answer(db)
    db.execute(
        "ALTER TABLE kept ALTER COLUMN word %s varchar(40)" % ("TYPE" if db.target.engine == "postgresql" else "")
    )
    db.execute("UPDATE kept SET word = 'a word of more than ten letters' WHERE n = 1")
    assert answer(db) == [(1, "a word of more than ten letters"), (2, "two")]
    db.execute("DROP TABLE kept")
    with pytest.raises(StatementFailed):
        answer(db)
    db.execute("CREATE TABLE kept (n bigint NOT NULL PRIMARY KEY, word varchar(10))")
    assert answer(db) == []


def test_a_transaction_that_is_rolled_back_takes_no_query_along(db: Database) -> None:
    with pytest.raises(StatementFailed), db.transaction():
        assert answer(db) == [(1, "one"), (2, "two")]
        db.execute("INSERT INTO kept VALUES (3, 'three')")
        assert answer(db, 3) == [(3, "three")]
        db.execute("INSERT INTO kept VALUES (3, 'again')")
    assert answer(db) == [(1, "one"), (2, "two")]
    with db.transaction():
        assert answer(db, 2) == [(2, "two")]


def test_so_many_are_kept(db: Database) -> None:
    for number in range(3 * _MOST_KEPT):
        assert [tuple(row) for row in db.ask("SELECT n + %d FROM kept WHERE n = ?" % number, 1)] == [(1 + number,)]
    assert len(db._kept) == _MOST_KEPT
    assert db.ask("SELECT n + 0 FROM kept WHERE n = ?", 2)[0][0] == 2


@only_on("postgresql", "the view that lists what is prepared is PostgreSQL's")
def test_they_are_prepared_once(db: Database) -> None:
    prepared = "SELECT count(*), max(prepare_time) FROM pg_prepared_statements WHERE statement LIKE 'SELECT n, word FROM kept%'"
    answer(db)
    first = tuple(db.row(prepared))
    assert first[0] == 1
    for least in range(10):
        answer(db, least)
    assert tuple(db.row(prepared)) == first
