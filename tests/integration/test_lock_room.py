# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL has room for so many locks in all: hundreds of tables and dozens of registers must not take it from the POS.

SQL Server makes room as it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from session_world import World, fill

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._engine.postgresql import heads
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata, session, verify
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair


def _table(name: str) -> Table:
    columns = {"ID": "bigint not null", "NAME": "nvarchar(20)"}
    parsed = tuple(Column.parse(*column) for column in columns.items())
    return Table(TableName("ax", name), parsed, ("ID",), indexes=(("NAME",),))


ITEMS, SALES = [_table("ITEM%02d" % n) for n in range(30)], [_table("SALE%02d" % n) for n in range(12)]
TABLES = (*ITEMS, *SALES)
DOWN = make_scope("items", "download", [table.name for table in ITEMS], 0, 1, 11)
UP = make_scope("sales", "upload", [table.name for table in SALES], 0, 2, 12)
SCOPES = (DOWN, UP)
#: One entry stands for all modes of a lock.
_HELD = "SELECT count(DISTINCT relation) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"


@pytest.mark.parametrize("load", [True, False], ids=["load", "changes"])
def test_a_session_that_reads_many_tables_holds_the_locks_of_one(
    world: World, monkeypatch: pytest.MonkeyPatch, load: bool
) -> None:
    """From the first table to the last: a load of hundreds of them goes on for minutes."""
    world.provision(SCOPES)
    if not load:
        world.settle()
    for table in ITEMS:
        fill(world.parent, table.name.name, [(1, "a")])
    original, held = world.parent.engine.changes.stream, []

    def stream(db: Database, extract: Any) -> Iterator[Any]:
        yield from original(db, extract)
        held.append(db.value(_HELD))

    monkeypatch.setattr(world.parent.engine.changes, "stream", stream)
    assert world.run(DOWN).moved == len(ITEMS)
    assert len(held) == len(ITEMS)
    assert max(held) <= held[0] + 1 <= 20, "what was read of the catalog stays"


def test_few_tables_are_asked_for_at_once_and_all_of_them_in_the_end(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "TOGETHER", 7)
    for place in (0, 6, 7, 29):
        fill(pair.parent, ITEMS[place].name.name, [(1, "a")])
    tables = [('ax."%s_tracking"' % table.name.name, 0) for table in ITEMS]
    with pair.parent.transaction():
        assert heads.reached(pair.parent, tables[:7]) == [0, 6]
        assert pair.parent.value(_HELD) <= 7 * 3 + 2
    assert heads.reached(pair.parent, tables) == [0, 6, 7, 29]
    assert heads.reached(pair.parent, []) == []
    assert pair.run(DOWN).moved == 4


def test_what_applying_needs_is_what_it_is_said_to_need(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in SALES:
        fill(pair.child, table.name.name, [(1, "a")])
    held = []
    commit = Database._commit

    def counted(db: Database) -> None:
        if db is pair.parent:
            held.append(db.value(_HELD))
        commit(db)

    monkeypatch.setattr(Database, "_commit", counted)
    assert pair.run(UP).moved == len(SALES)
    said = pair.parent.engine.locks.needed(pair.parent, [table.name for table in SALES])
    assert max(held) <= said <= 1.3 * max(held)


def test_a_server_without_room_for_all_its_children_is_a_problem(pair: World) -> None:
    opened = Pair(pair.child, pair.parent)
    assert verify._room(opened) == []
    room = pair.parent.engine.locks.room(pair.parent)
    children = room // pair.parent.engine.locks.needed(pair.parent, [table.name for table in SALES]) + 1
    pair.parent.execute(
        "INSERT INTO dbo.sync_peer (peer_id, peer_name, peer_guid, incarnation) "
        "SELECT 100 + n, 'R' || n, 'guid' || n, '' FROM generate_series(1, ?) n", children
    )  # fmt: skip
    (problem,) = verify._room(opened)
    assert f"has room for {room} locks, and its {children + 1} children" in problem
    assert "Multiply max_locks_per_transaction by 2" in problem


def test_a_look_after_an_outage_locks_few_tables_at_once(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "TOGETHER", 7)
    for table in ITEMS:
        fill(pair.parent, table.name.name, [(1, "a")])
    opened, held, original = Pair(pair.child, pair.parent), [], Database._run

    def run(db: Database, sql: str, parameters: tuple, take: Any, kept: bool = False) -> Any:
        if db is not pair.parent or db._in_transaction:
            return original(db, sql, parameters, take, kept)
        with db.transaction():
            answer = original(db, sql, parameters, take, kept)
            held.append((original(db, _HELD, (), lambda cursor: cursor.fetchone()[0]), sql[:60]))
        return answer

    monkeypatch.setattr(Database, "_run", run)
    assert [scope.name for scope in session.pending(opened, opened.scopes)] == ["items"]
    assert max(held)[0] <= 30, max(held)


@pytest.mark.parametrize("question", ["backlog", "count"])
def test_what_is_counted_is_counted_in_few_tables_at_once(
    pair: World, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    monkeypatch.setattr(heads, "TOGETHER", 7)
    for place in (0, 6, 7, 29):
        fill(pair.parent, ITEMS[place].name.name, [(1, "a")])
    opened, held, original = Pair(pair.child, pair.parent), [], Database._run

    def run(db: Database, sql: str, parameters: tuple, take: Any, kept: bool = False) -> Any:
        with db.transaction():
            answer = original(db, sql, parameters, take, kept)
            held.append(original(db, _HELD, (), lambda cursor: cursor.fetchone()[0]))
        return answer

    state = metadata.read_state(pair.child, metadata.PARENT, "items")
    extracts = session.extracts_of(opened, DOWN, False, state)
    names = [table.name for table in ITEMS]
    monkeypatch.setattr(Database, "_run", run)
    changes = pair.parent.engine.changes
    if question == "count":
        found = changes.count(pair.parent, names)
    else:
        found = [number for number, _age in changes.backlog(pair.parent, extracts)]
    assert found == [1 if place in (0, 6, 7, 29) else 0 for place in range(len(ITEMS))]
    assert max(held) <= 7 * 3 + 2
    assert changes.count(pair.parent, []) == [] == changes.backlog(pair.parent, [])
