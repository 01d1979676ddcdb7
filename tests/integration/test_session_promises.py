# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of a session that show only when they are broken: see tests/mutation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dialects import conflicts, count_up, end_connection, needs_row_locks, only_on, say
from session_world import Killed, World, both_engines, cut_off, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._engine.postgresql import heads
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import landed, session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = both_engines


def _table(name: str) -> Table:
    columns = {"ID": "bigint not null", "NAME": "nvarchar(20)"}
    return Table(TableName("ax", name), tuple(Column.parse(*column) for column in columns.items()), ("ID",))


TABLES = ITEM, SALE, CUSTOMER = _table("ITEM"), _table("SALE"), _table("CUSTOMER")
DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13)
SCOPES = (DOWN, UP, BOTH)


def _put(db: Database, table: str, number: int, name: str) -> None:
    db.execute('INSERT INTO ax."%s" VALUES (?, ?)' % table, number, name)


# ---- one transaction


@pytest.mark.parametrize(("module", "step"), [(landed, "apply_all"), (transfer, "_finish")], ids=["rows", "anchor"])
def test_rows_and_anchor_stand_or_fall_together(
    pair: World, monkeypatch: pytest.MonkeyPatch, module: Any, step: str
) -> None:
    """A session that dies before its rows, or before its anchor, has brought neither. Nothing has landed before either."""
    before = pair.parent.query("SELECT sync_scope_name, anchor_in, anchor_seen FROM dbo.scope_info ORDER BY 1")
    _put(pair.child, "SALE", 1, "a")

    def killed(*_arguments: Any, **_options: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, step, killed)
        with pytest.raises(Killed):
            pair.run(UP)
    assert rows(pair.parent, "SALE") == []
    after = pair.parent.query("SELECT sync_scope_name, anchor_in, anchor_seen FROM dbo.scope_info ORDER BY 1")
    assert [tuple(row) for row in after] == [tuple(row) for row in before]
    end_connection(pair.parent)
    pair.settle()
    assert rows(pair.parent, "SALE") == [(1, "a")]


def test_a_conflict_whose_row_lands_twice_is_recorded_once(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A landing that was cut off while an older transaction was open goes on with that one, so that what is younger lands again."""
    _put(pair.parent, "CUSTOMER", 1, "a")
    pair.settle()
    late = other_client("child")
    with late.transaction():
        _put(late, "SALE", 1, "late")
        pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'child' WHERE "ID" = 1""")
        pair.parent.execute("""DELETE FROM ax."CUSTOMER" WHERE "ID" = 1""")
        monkeypatch.setattr(transfer, "BATCH_SIZE", 1)  # lands by itself

        def killed(*_arguments: Any, **_options: Any) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(landed, "apply_all", killed)
            with pytest.raises(Killed):
                pair.run(BOTH)
        end_connection(pair.parent)
    again = pair.run(BOTH)
    assert again.up.rows == 1, "it has landed again"
    assert conflicts(pair.parent) == [("parent", {"ID": 1, "NAME": "child"}, None)]
    assert again.up.outcome.conflicts == 1
    assert rows(pair.child, "CUSTOMER") == []


@pytest.mark.parametrize("upload", [True, False], ids=["up", "down"])
def test_what_is_taken_is_taken_with_a_token_that_is_younger_than_what_was_read(
    pair: World, monkeypatch: pytest.MonkeyPatch, upload: bool
) -> None:
    """A sender that has lost any of what was read has lost the token, too. The same holds of what has only landed."""
    sender, receiver = (pair.child, pair.parent) if upload else (pair.parent, pair.child)
    original, read = sender.engine.marks.snapshot, []

    @contextmanager
    def snapshot(db: Database) -> Iterator[Any]:
        with original(db) as mark:
            read.append(_tokens(db))
            yield mark

    def taken() -> str:
        column = "session_token" if upload else "previous_token"
        return receiver.value("SELECT %s FROM dbo.scope_info WHERE sync_scope_name = ?" % column, BOTH.name)

    monkeypatch.setattr(sender.engine.marks, "snapshot", snapshot)
    _put(sender, "CUSTOMER", 1, "at once")
    assert pair.run(BOTH).moved == 1
    assert taken() in _tokens(sender) - read[-1]
    for number in (2, 3, 4):
        _put(sender, "CUSTOMER", number, "in pieces")
    cut_off(monkeypatch, pair, BOTH, after=2)
    assert receiver.value("SELECT count(*) FROM dbo.sync_staging") == 2
    assert taken() in _tokens(sender) - read[-1]
    assert pair.run(BOTH).moved == 3
    assert taken() in _tokens(sender) - read[-1]
    pair.settle()


def _tokens(db: Database) -> set[str]:
    row = db.row("SELECT session_token, previous_token FROM dbo.scope_info WHERE sync_scope_name = ?", BOTH.name)
    return set(row)


def test_a_deadlock_with_the_pos_is_tried_again(pair: World, other_client: Callable[[str], Database]) -> None:
    """The POS locks two rows in the other order than the session does; the session is the one that gives way."""
    for number in (1, 2):
        _put(pair.parent, "CUSTOMER", number, "a")
    pair.settle()
    pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'parent' WHERE "ID" IN (1, 2)""")
    pos, done = other_client("child"), []
    needs_row_locks(pos, CUSTOMER)
    say(pos, postgresql="SET deadlock_timeout = '1min'", mssql="SET DEADLOCK_PRIORITY HIGH")
    worker = threading.Thread(target=lambda: done.append(pair.run(BOTH)))
    with pos.transaction():
        _lock_customer(pos, 2)
        worker.start()
        worker.join(0.5)
        assert worker.is_alive(), "the session has locked the first row, and waits for the second"
        _lock_customer(pos, 1)
    worker.join(30)
    assert [found.moved for found in done] == [2]
    assert rows(pair.child, "CUSTOMER") == [(1, "parent"), (2, "parent")]


def _lock_customer(db: Database, number: int) -> None:
    say(
        db,
        number,
        postgresql='SELECT 1 FROM ax."CUSTOMER" WHERE "ID" = ? FOR UPDATE',
        mssql='SELECT 1 FROM ax."CUSTOMER" WITH (UPDLOCK, HOLDLOCK) WHERE "ID" = ?',
    )


# ---- what a connection keeps


@only_on("postgresql", "SQL Server finds the plan of a question by its text, and throws plans away by itself")
def test_a_connection_keeps_few_questions_whatever_scopes_are_due_together(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives for months, and scopes with turns of their own are due in ever new companies."""
    monkeypatch.setattr(heads, "MOST_TABLES", 40)
    tables = ['ax."%s_tracking"' % table.name.name for table in TABLES]
    for first in range(20):
        company = [(name, first) for name in tables[: 1 + first % 3]] * (1 + first // 3)
        heads.reached(pair.parent, company)
        heads.reached(pair.parent, [(tables[0], 0)])
    kept = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'axops%'"
    assert 1 < pair.parent.value(kept) <= 8, "of 20 there were"
    before = pair.parent.statements
    heads.reached(pair.parent, [(tables[0], 0)])
    assert pair.parent.statements == before + 1, "what is asked again and again stays"


# ---- short statements


def test_no_statement_applies_more_than_two_thousand_rows(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQL Server would lock the whole table otherwise. Small batches share their statements all the same."""
    monkeypatch.setattr(transfer, "BATCH_ROWS", 600)
    count_up(pair.child, "SALE", 7000, "g, 'a'")
    count_up(pair.child, "CUSTOMER", 500, "g, 'a'")
    applying, found = pair.parent.engine.applying, []
    apply_batch = applying.apply_batch

    def watched(db: Database, work: Any) -> Any:
        outcome = apply_batch(db, work)
        found.append((work.table.name.name, outcome.moved))
        return outcome

    monkeypatch.setattr(applying, "apply_batch", watched)
    pair.settle()
    assert sum(rows for _table, rows in found) == 7500
    assert {rows for table, rows in found if table == "SALE"} == {1800, 1600}
    assert ("CUSTOMER", 500) in found


# ---- schemas that change


def test_a_column_that_came_since_the_tables_were_read_travels(pair: World) -> None:
    """A service keeps a pair open for days; an upgrade comes in between."""
    known = Pair(pair.child, pair.parent)
    _put(pair.child, "SALE", 1, "a")
    assert session.run(known, UP).moved == 1
    for side in (pair.parent, pair.child):
        side.execute('ALTER TABLE ax."SALE" ADD "MORE" int')
    pair.child.execute("""INSERT INTO ax."SALE" VALUES (2, 'b', 7)""")
    assert session.run(known, UP).moved == 1
    assert rows(pair.parent, "SALE") == [(1, "a", None), (2, "b", 7)]


# ---- nothing is sent in vain


@only_on(
    "postgresql",
    "SQL Server does not tell what a snapshot saw: what is above the mark goes up again, and changes nothing",
)
def test_a_long_writer_does_not_make_everything_be_sent_again(
    pair: World, other_client: Callable[[str], Database]
) -> None:
    late = other_client("child")
    with late.transaction():
        _put(late, "SALE", 1, "late")
        _put(pair.child, "SALE", 2, "a")
        assert pair.run(UP).moved == 1
        assert pair.pending == [], "the other transaction holds the mark back, and what went up was seen"
        _put(pair.child, "SALE", 3, "b")
        again = pair.run(UP)
        assert again.up is not None
        assert again.up.rows == 1
    pair.settle()
    assert [number for number, _name in rows(pair.parent, "SALE")] == [1, 2, 3]


def test_what_came_from_a_peer_is_not_sent_back(pair: World) -> None:
    _put(pair.parent, "CUSTOMER", 1, "parent")
    assert pair.run(BOTH).moved == 1
    assert pair.pending == []
    _put(pair.child, "CUSTOMER", 2, "child")
    both = pair.run(BOTH)
    assert both.up is not None
    assert (both.up.rows, both.down) == (1, None)
    assert pair.pending == []


def test_delivering_again_downwards_changes_nothing(pair: World) -> None:
    """A version that has been taken is known although the row here looks different now: a trigger has rewritten it."""
    say(
        pair.child,
        postgresql="""CREATE FUNCTION dbo.star() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."NAME" := NEW."NAME" || '*';
        RETURN NEW; END $$;
        CREATE TRIGGER star BEFORE INSERT OR UPDATE ON ax."CUSTOMER" FOR EACH ROW EXECUTE FUNCTION dbo.star()""",
        mssql="""CREATE TRIGGER ax."star" ON ax."CUSTOMER" AFTER INSERT, UPDATE AS BEGIN SET NOCOUNT ON;
        IF TRIGGER_NESTLEVEL() = 1 UPDATE c SET "NAME" = c."NAME" + '*' FROM ax."CUSTOMER" AS c
        JOIN inserted AS i ON i."ID" = c."ID" END""",
    )
    _put(pair.parent, "CUSTOMER", 1, "a")
    pair.settle()
    pair.child.execute("UPDATE dbo.scope_info SET anchor_in = 1, anchor_seen = NULL")
    again = pair.run(BOTH)
    assert again.down is not None
    assert (again.down.outcome.seen, again.moved) == (1, 0)
    assert rows(pair.child, "CUSTOMER") == [(1, "a*")]


# ---- nothing is overwritten, and no deletion is missed


def test_an_update_of_a_row_whose_deletion_was_forgotten_is_a_conflict(pair: World) -> None:
    _put(pair.parent, "CUSTOMER", 1, "a")
    pair.settle()
    pair.parent.execute('DELETE FROM ax."CUSTOMER"')
    pair.parent.execute('DELETE FROM ax."CUSTOMER_tracking"')
    pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'child'""")
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == []
    assert conflicts(pair.parent) == [("parent", {"ID": 1, "NAME": "child"}, None)]


def test_a_load_brings_the_deletions_that_are_known(world: World) -> None:
    """The child has made a row of that key before it loads: it is the parent that says which items there are."""
    world.provision(SCOPES)
    _put(world.parent, "ITEM", 1, "a")
    world.parent.execute('DELETE FROM ax."ITEM"')
    _put(world.child, "ITEM", 1, "scribbled")
    world.settle()
    assert rows(world.child, "ITEM") == []
    assert conflicts(world.child) == [("parent", None, {"ID": 1, "NAME": "scribbled"})]


def test_a_load_gives_no_row_up_unseen_that_was_changed_here(world: World) -> None:
    world.provision(SCOPES)
    _put(world.parent, "ITEM", 1, "a")
    _put(world.child, "ITEM", 1, "scribbled")
    world.settle()
    assert rows(world.child, "ITEM") == [(1, "a")]
    assert conflicts(world.child) == [("parent", {"ID": 1, "NAME": "a"}, {"ID": 1, "NAME": "scribbled"})]


@pytest.mark.parametrize("years", [-10, 10], ids=["behind", "ahead"])
def test_a_clock_that_was_wrong_loses_nothing(pair: World, years: int) -> None:
    """Times are noted for people: what decides is the order of transactions."""
    _put(pair.parent, "CUSTOMER", 1, "a")
    pair.settle()
    _put(pair.parent, "ITEM", 1, "a")
    _put(pair.child, "SALE", 1, "a")
    for side in (pair.child, pair.parent):
        side.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'parent' WHERE "ID" = 1""")
    pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'child' WHERE "ID" = 1""")
    for name in ("ITEM", "SALE", "CUSTOMER"):
        _misdate(pair.child, name, years)
    _misdate(pair.parent, "ITEM", years)
    assert [scope.name for scope in session.pending(Pair(pair.child, pair.parent), list(SCOPES))] != []
    pair.settle()
    for name in ("ITEM", "SALE", "CUSTOMER"):
        assert len(rows(pair.child, name)) == len(rows(pair.parent, name)) == 1
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == [(1, "parent")]
    assert conflicts(pair.parent) == [("parent", {"ID": 1, "NAME": "child"}, {"ID": 1, "NAME": "parent"})]


def _misdate(db: Database, table: str, years: int) -> None:
    to = {
        "postgresql": "last_change_datetime + interval '%d years'" % years,
        "mssql": "DATEADD(year, %d, last_change_datetime)" % years,
    }
    db.execute('UPDATE ax."%s_tracking" SET last_change_datetime = %s' % (table, to[db.target.engine]))
