# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in bad company: races, crashes and refusals that need two things to go wrong at once. One test a promise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dialects import count_up, needs_row_locks, needs_texts_from_json, only_on, say
from offline_world import HOUSTON_2, Identity, make_tables
from session_world import Killed, World, both_engines, cut_off, rows, small_batches

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = both_engines


def _table(name: str, key: str, unique: tuple[tuple[str, ...], ...] = (), **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()), unique)


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(max)")
CARD = _table("CARD", "ID", (("CODE",),), ID="bigint not null", CODE="nvarchar(20) not null", VALUE="bigint")
SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
LINE = _table("LINE", "ID NUMBER", ID="bigint not null", NUMBER="int not null", TEXT="nvarchar(max)")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(20)")
TABLES = (ITEM, CARD, SALE, LINE, CUSTOMER)

DOWN = make_scope("items", "download", [ITEM.name, CARD.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name, LINE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13)
SCOPES = (DOWN, UP, BOTH)


def kept(db: Database, table: str) -> int:
    """How many rows sync_conflict or sync_quarantine has."""
    return int(db.value("SELECT count(*) FROM dbo.%s" % table))


# ---- races with the POS


@pytest.mark.parametrize("moment", ["_write", "_track"])
@only_on("postgresql", "SQL Server locks the gap for a key before it looks, see the next test")
def test_a_row_that_the_pos_inserts_while_the_same_key_is_applied_is_no_silent_loss(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Judged absent, then inserted by the POS: neither image may win unseen."""
    pos, applying = other_client("child"), pair.child.engine.applying
    original = applying._write
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'parent')""")

    def raced(db: Database, *arguments: Any) -> int:
        monkeypatch.undo()
        if moment == "_write":
            pos.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'pos')""")
        else:
            _race_before_insert(db, pos, monkeypatch)
        return original(db, *arguments)

    monkeypatch.setattr(applying, "_write", raced)
    pair.run(BOTH)
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == [(1, "parent")]
    assert '"pos"' in pair.parent.value("SELECT incoming_image FROM dbo.sync_conflict")


def _race_before_insert(db: Database, pos: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Database._run

    def run(self: Database, sql: str, *arguments: Any) -> Any:
        if self is db and sql.startswith('INSERT INTO "ax"."CUSTOMER" ('):
            monkeypatch.undo()
            pos.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'pos')""")
        return original(self, sql, *arguments)

    monkeypatch.setattr(Database, "_run", run)


@only_on("mssql", "PostgreSQL locks no gaps, see the test before")
def test_the_pos_waits_for_a_key_that_is_being_applied(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    pos, applying = other_client("child"), pair.child.engine.applying
    original, tried = applying._write, []
    pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (2, 'child')""")
    needs_row_locks(pair.child, CUSTOMER)
    pair.settle()
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'parent')""")
    pos.execute("SET LOCK_TIMEOUT 200")

    def raced(db: Database, *arguments: Any) -> int:
        monkeypatch.undo()
        with pytest.raises(RetailError) as refused:
            pos.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'pos')""")
        tried.append(refused.value.kind)
        return original(db, *arguments)

    monkeypatch.setattr(applying, "_write", raced)
    pair.run(BOTH)
    assert tried == ["transient"]
    assert rows(pair.child, "CUSTOMER") == [(1, "parent"), (2, "child")]


# ---- landings that were cut off


@pytest.mark.parametrize("deed", ["""UPDATE ax."CUSTOMER" SET "NAME" = 'child'""", 'DELETE FROM ax."CUSTOMER"'])
def test_what_landed_before_a_change_here_does_not_undo_it_later(
    world: World, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    """The parent's image has landed, the child changes the row and wins: the landed image is stale by then."""
    scope = Scope("customers", "bidirectional", (ScopeTable(CUSTOMER.name, "child"),), 0, 1, 1, True)
    world.provision((scope,))
    world.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'first')""")
    world.settle()
    world.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'parent'""")
    world.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (2, 'other')""")
    cut_off(monkeypatch, world, scope, after=1)
    world.child.execute(deed)
    world.settle()
    assert rows(world.child, "CUSTOMER") == rows(world.parent, "CUSTOMER")
    assert (1, "parent") not in rows(world.parent, "CUSTOMER")


def test_a_table_that_came_late_is_read_whole_although_its_landing_was_cut_off(
    world: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the anchor's snapshot saw of the other tables was not taken of this one, before the cut and after it."""
    sales = make_scope("sales", "upload", [SALE.name], 0, 1, 1)
    lines = make_scope("lines", "upload", [LINE.name], 0, 2, 2)
    world.provision((sales, lines))
    world.settle()
    late = other_client("child")
    with late.transaction():
        late.execute('INSERT INTO ax."SALE" VALUES (99, 99)')
        for number in range(4):
            world.child.execute("INSERT INTO ax.\"LINE\" VALUES (1, ?, 'x')", number)
        world.child.execute('INSERT INTO ax."SALE" VALUES (1, 1)')
        world.run(sales)
    world.provision((make_scope("sales", "upload", [SALE.name, LINE.name], 0, 1, 1),))
    (both,) = Pair(world.child, world.parent).scopes
    cut_off(monkeypatch, world, both, after=3)
    world.settle()
    assert len(rows(world.parent, "LINE")) == 4
    assert rows(world.parent, "SALE") == [(1, 1), (99, 99)]


def test_a_load_that_is_cut_off_again_and_again_does_not_pile_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    count_up(world.parent, "ITEM", 10, "g, 'x'")
    count_up(world.parent, "CARD", 10, "g, g, 0")
    world.provision(SCOPES)
    for after in (5, 15, 3, 2):
        cut_off(monkeypatch, world, DOWN, after)
        assert world.child.value("SELECT count(*) FROM dbo.sync_staging") <= 20
    assert world.child.value("SELECT count(*) FROM dbo.sync_staging WHERE header LIKE '%ITEM%'") == 10
    world.settle()
    assert (len(rows(world.child, "ITEM")), len(rows(world.child, "CARD"))) == (10, 10)
    assert world.child.value("SELECT count(*) FROM dbo.sync_staging") == 0


# ---- conflicts that are none, and those that are


def test_the_same_edit_on_both_sides_is_forgotten_in_a_download_scope_too(pair: World) -> None:
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a')""")
    pair.settle()
    for side in (pair.child, pair.parent):
        side.execute("""UPDATE ax."ITEM" SET "NAME" = 'both'""")
    pair.settle()
    pair.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'newer'""")
    pair.settle()
    assert rows(pair.child, "ITEM") == [(1, "newer")]
    assert kept(pair.child, "sync_conflict") == 0


def test_a_table_added_to_a_live_scope_does_not_overwrite_what_the_parent_changed(
    world: World, new_place: Callable[..., Target]
) -> None:
    """The child's own copy of a row derives from nothing that the parent has, however far its anchor has come."""
    both = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 1, 1)
    more = make_scope("customers", "bidirectional", [CUSTOMER.name, ITEM.name], 0, 1, 1)
    make_tables(world.child, TABLES)
    world.provision((both,))
    with connect(new_place()) as second:
        other = World(second, world.parent, HOUSTON_2)
        other.provision((more,))
        world.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'parent')""")
        world.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'x')""")
        world.settle()
        other.settle()
        world.child.execute("""INSERT INTO ax."ITEM" VALUES (1, 'child')""")
        world.provision((more,))
        world.settle()
        other.settle()
        assert rows(world.child, "ITEM") == rows(world.parent, "ITEM") == rows(second, "ITEM") == [(1, "parent")]
    assert '"child"' in (world.parent.value("SELECT incoming_image FROM dbo.sync_conflict") or "")


def test_a_load_that_has_landed_and_was_not_applied_has_not_been_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the child writes of a table that came late derives from nothing of the parent's until the load is applied."""
    both = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 1, 1)
    more = make_scope("customers", "bidirectional", [ITEM.name, CUSTOMER.name], 0, 1, 1)
    make_tables(world.child, TABLES)
    world.provision((both,))
    world.settle()
    for statement in world.parent.engine.tracking.create(ITEM):
        world.parent.execute(statement)
    world.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'parent')""")
    world.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'x')""")
    world.settle()
    world.provision((more,))
    world.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (2, 'y')""")
    (scope,) = Pair(world.child, world.parent).scopes
    original = transfer._apply

    def apply(way: Any, *arguments: Any) -> Any:
        if not way.upload:
            raise Killed
        return original(way, *arguments)

    with monkeypatch.context() as patch:
        small_batches(patch)
        patch.setattr(transfer, "_apply", apply)
        with pytest.raises(Killed):
            world.run(scope)
    assert world.child.value("SELECT count(*) FROM dbo.sync_staging") == 2
    world.child.execute("""INSERT INTO ax."ITEM" VALUES (1, 'child')""")
    world.settle()
    assert rows(world.child, "ITEM") == rows(world.parent, "ITEM") == [(1, "parent")]
    assert '"child"' in (world.parent.value("SELECT incoming_image FROM dbo.sync_conflict") or "")


# ---- what cannot be stored


def test_a_bad_row_of_the_baseline_takes_no_row_of_another_table_with_it(world: World) -> None:
    make_tables(world.child, TABLES)
    world.child.execute('ALTER TABLE ax."ITEM" ADD CHECK ("ID" <> 2)')
    count_up(world.parent, "ITEM", 4, "g, 'x'")
    count_up(world.parent, "CARD", 4, "g, g, 0")
    world.provision(SCOPES)
    world.settle()
    assert rows(world.child, "ITEM", '"ID"') == [(1,), (3,), (4,)]
    assert rows(world.child, "CARD", '"ID"') == [(1,), (2,), (3,), (4,)]
    assert kept(world.child, "sync_quarantine") == 1


def test_a_bad_row_of_the_baseline_is_put_aside_once_however_often_it_is_loaded(world: World) -> None:
    make_tables(world.child, TABLES)
    world.child.execute('ALTER TABLE ax."ITEM" ADD CHECK ("ID" <> 2)')
    count_up(world.parent, "ITEM", 4, "g, 'x'")
    world.provision(SCOPES)
    world.settle()
    for name, expected in (("x", 1), ("another", 2)):
        world.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 1')  # it gets another place in its batch
        world.parent.execute('UPDATE ax."ITEM" SET "NAME" = ? WHERE "ID" = 2', name)
        world.parent.execute('DELETE FROM ax."ITEM_tracking"')  # as if nobody had touched it since it was loaded
        world.child.execute("UPDATE dbo.scope_info SET anchor_in = NULL, anchor_seen = NULL")
        world.settle()
        assert kept(world.child, "sync_quarantine") == expected


@pytest.mark.parametrize("count", [2, 300])
def test_a_unique_value_may_change_hands(pair: World, count: int) -> None:
    """In one transaction, and from one transaction to the next."""
    count_up(pair.parent, "CARD", count, "g, g, 0")
    pair.settle()
    with pair.parent.transaction():
        pair.parent.execute("""UPDATE ax."CARD" SET "CODE" = CONCAT('x', "ID")""")
        pair.parent.execute("""UPDATE ax."CARD" SET "CODE" = %d + 1 - "ID" """ % count)
    pair.settle()
    assert rows(pair.child, "CARD") == rows(pair.parent, "CARD")
    pair.parent.execute("""UPDATE ax."CARD" SET "CODE" = 'free' WHERE "ID" = %d""" % count)
    for number in range(count, 1, -1)[:5]:
        pair.parent.execute('UPDATE ax."CARD" SET "CODE" = ? WHERE "ID" = ?', str(count + 1 - number), number - 1)
    pair.settle()
    assert rows(pair.child, "CARD") == rows(pair.parent, "CARD")
    assert kept(pair.child, "sync_quarantine") == 0


def test_a_unique_value_may_change_hands_between_batches(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only the true violator is put aside, whatever the others need of each other."""
    small_batches(monkeypatch)
    count_up(pair.parent, "CARD", 5, "g, g, 0")
    pair.settle()
    pair.child.execute('ALTER TABLE ax."CARD" ADD CHECK ("VALUE" <> 13)')
    # 1 and 5 swap, each in transactions of its own; 2 hands its value on to 3; 4 breaks the rule.
    for card, code, value in (
        (1, "x", 1),
        (4, "4", 13),
        (5, "1", 1),
        (3, "y", 1),
        (2, "3", 1),
        (3, "2", 1),
        (1, "5", 1),
    ):
        pair.parent.execute('UPDATE ax."CARD" SET "CODE" = ?, "VALUE" = ? WHERE "ID" = ?', code, value, card)
    pair.settle()
    assert rows(pair.child, "CARD") == [(1, "5", 1), (2, "3", 1), (3, "2", 1), (4, "4", 0), (5, "1", 1)]
    assert kept(pair.child, "sync_quarantine") == 1


def test_foreign_keys_inside_a_scope_hold(pair: World) -> None:
    for db in (pair.child, pair.parent):
        db.execute('ALTER TABLE ax."CARD" ADD FOREIGN KEY ("VALUE") REFERENCES ax."ITEM"')
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a'), (2, 'b')""")
    pair.parent.execute("""INSERT INTO ax."CARD" VALUES (1, 'a', 1), (2, 'b', 2)""")
    pair.settle()
    with pair.parent.transaction():
        pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (3, 'c')""")
        pair.parent.execute("""INSERT INTO ax."CARD" VALUES (3, 'c', 3)""")
        pair.parent.execute('DELETE FROM ax."CARD" WHERE "ID" = 1')
        pair.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 1')
    pair.settle()
    assert rows(pair.child, "CARD", '"ID"') == rows(pair.child, "ITEM", '"ID"') == [(2,), (3,)]
    assert kept(pair.child, "sync_quarantine") == 0


@only_on("postgresql", "SQL Server checks everything at the end of each statement")
def test_a_refusal_that_comes_at_the_commit_puts_the_guilty_aside(pair: World) -> None:
    pair.parent.execute('ALTER TABLE ax."SALE" ADD UNIQUE ("AMOUNT") DEFERRABLE INITIALLY DEFERRED')
    pair.parent.execute('INSERT INTO ax."SALE" VALUES (100, 7)')
    for number in (1, 7, 3):
        pair.child.execute('INSERT INTO ax."SALE" VALUES (?, ?)', number, number)
    pair.settle()
    assert rows(pair.parent, "SALE") == [(1, 1), (3, 3), (100, 7)]
    assert kept(pair.parent, "sync_quarantine") == 1


#: What refuses long texts, by the words of each engine: a length, an own error, and one that a careless trigger runs into.
REFUSALS = {
    "length": {
        "postgresql": """CREATE INDEX ON ax."LINE" ("TEXT")""",
        "mssql": """CREATE TRIGGER ax."refuse" ON ax."LINE" AFTER INSERT AS BEGIN SET NOCOUNT ON;
            DECLARE @short TABLE (T nvarchar(10)); INSERT INTO @short SELECT "TEXT" FROM inserted END""",
    },
    "own": {
        "postgresql": """CREATE FUNCTION dbo.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF length(NEW."TEXT") > 10 THEN RAISE EXCEPTION 'too much' USING ERRCODE = '45000'; END IF; RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON ax."LINE" FOR EACH ROW EXECUTE FUNCTION dbo.refuse()""",
        "mssql": """CREATE TRIGGER ax."refuse" ON ax."LINE" AFTER INSERT AS BEGIN SET NOCOUNT ON;
            IF EXISTS (SELECT 1 FROM inserted WHERE LEN("TEXT") > 10) THROW 50001, 'too much', 1 END""",
    },
    "careless": {
        "postgresql": """CREATE FUNCTION dbo.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            CASE length(NEW."TEXT") WHEN 4 THEN NULL; END CASE; RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON ax."LINE" FOR EACH ROW EXECUTE FUNCTION dbo.refuse()""",
        "mssql": """CREATE TRIGGER ax."refuse" ON ax."LINE" AFTER INSERT AS BEGIN SET NOCOUNT ON;
            DECLARE @n int; SELECT @n = 1 / CASE WHEN LEN("TEXT") > 10 THEN 0 ELSE 1 END FROM inserted END""",
    },
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_one_row_that_is_refused_in_an_unusual_way_does_not_stop_the_others(pair: World, refusal: str) -> None:
    say(pair.parent, **REFUSALS[refusal])
    noise = "".join(hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest() for number in range(400))
    pair.child.execute('INSERT INTO ax."LINE" VALUES (1, 1, ?)', noise)
    pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (2, 1, 'good')")
    pair.settle()
    assert rows(pair.parent, "LINE", '"ID"') == [(2,)]
    assert kept(pair.parent, "sync_quarantine") == 1


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800", r"\udc00", r"\ud800\ud83d\ude00"])
@only_on("postgresql", "SQL Server holds such texts")
def test_a_text_that_postgresql_cannot_hold_is_put_aside(pair: World, text: str) -> None:
    """SQL Server holds NUL characters, and halves of pairs of UTF-16 that stand alone, so one may land here."""
    pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (2, 1, 'good')")
    header = json.dumps({"table": "ax.LINE", "columns": ["ID", "NUMBER", "TEXT"], "rows": 2, "load": False})
    good = '%s, "x":3' % text
    body = '[{"v":3,"x":3,"d":0,"b":-1,"n":1,"c0":1,"c1":1,"c2":"bad %s"},' % text
    body += '{"v":4,"x":4,"d":0,"b":-1,"n":1,"c0":3,"c1":1,"c2":%s}]' % json.dumps(good)
    pair.parent.execute("INSERT INTO dbo.sync_staging VALUES (1, 'sales', 1, ?, ?)", header, body)
    pair.parent.execute("""UPDATE dbo.scope_info SET landing = '{"ax.LINE": 0}' WHERE sync_scope_name = 'sales'""")
    pair.settle()
    assert rows(pair.parent, "LINE") == [(2, 1, "good"), (3, 1, good)]
    image, reason = pair.parent.row("SELECT row_image, error FROM dbo.sync_quarantine")
    assert "bad " + text in image
    assert "surrogate" in reason or "u0000 cannot be converted to text" in reason


def test_what_comes_again_is_put_aside_once(pair: World, other_client: Callable[[str], Database]) -> None:
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" < 100)')
    late = other_client("child")
    with late.transaction():
        late.execute("""INSERT INTO ax."CUSTOMER" VALUES (9, 'late')""")
        pair.child.execute('INSERT INTO ax."SALE" VALUES (1, 500)')
        for _cycle in range(3):
            pair.run(UP)
            pair.parent.execute("UPDATE dbo.scope_info SET anchor_seen = NULL")
    assert kept(pair.parent, "sync_quarantine") == 1


def test_a_sale_that_is_corrected_after_it_was_put_aside_arrives_whole(pair: World) -> None:
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" < 100)')
    with pair.child.transaction():
        pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (1, 1, 'a'), (1, 2, 'b')")
        pair.child.execute('INSERT INTO ax."SALE" VALUES (1, 500)')
    pair.settle()
    assert rows(pair.parent, "LINE") == rows(pair.parent, "SALE") == []
    pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 50')
    pair.settle()
    assert rows(pair.parent, "SALE") == [(1, 50)]
    assert len(rows(pair.parent, "LINE")) == 2


def test_a_sale_that_is_changed_but_still_refused_stays_aside_whole(pair: World) -> None:
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" < 100)')
    for number in (1, 2):
        with pair.child.transaction():
            pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (?, 1, 'a'), (?, 2, 'b')", number, number)
            pair.child.execute('INSERT INTO ax."SALE" VALUES (?, 500)', number)
    pair.settle()
    for number in (1, 2):
        pair.child.execute("""UPDATE ax."LINE" SET "TEXT" = 'c' WHERE "NUMBER" = 1 AND "ID" = ?""", number)
    pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (3, 1, 'other')")
    pair.settle()
    assert rows(pair.parent, "LINE") == [(3, 1, "other")]
    assert rows(pair.parent, "SALE") == []
    pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 50 WHERE "ID" = 2')
    pair.settle()
    assert rows(pair.parent, "SALE") == [(2, 50)]
    assert rows(pair.parent, "LINE") == [(2, 1, "c"), (2, 2, "b"), (3, 1, "other")]


# ---- three tiers


@pytest.fixture
def tiers(world: World, new_place: Callable[..., Target]) -> Iterator[tuple[World, World]]:
    """(register and store, store and headquarters): the register is ``world.child``, the store ``world.parent``."""
    with connect(new_place()) as above:
        make_tables(above, TABLES)
        yield world, World(world.parent, above, Identity("HOUSTON", "HOUSTON", ""))


def test_a_register_that_came_before_the_stores_first_load_gets_it_all(tiers: tuple[World, World]) -> None:
    register, store = tiers
    store.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a'), (2, 'b')""")
    store.provision(SCOPES)
    early = Pair(store.child, store.parent)
    register.provision(SCOPES)
    register.settle()
    for scope in early.scopes:
        session.run(early, scope)
    register.settle()
    assert rows(register.child, "ITEM") == [(1, "a"), (2, "b")]


def test_sales_of_two_registers_are_not_put_aside_together(
    tiers: tuple[World, World], new_place: Callable[..., Target]
) -> None:
    """The transactions of two registers may have the same number."""
    register, store = tiers
    store.provision(SCOPES)
    with connect(new_place(apart=True)) as second:
        other = World(second, store.child, HOUSTON_2)
        register.provision(SCOPES)
        other.provision(SCOPES)
        store.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" < 100)')
        register.child.execute('INSERT INTO ax."SALE" VALUES (1, 500)')
        second.execute('INSERT INTO ax."SALE" VALUES (2, 5)')
        register.settle()
        other.settle()
        store.child.execute('UPDATE ax."SALE_tracking" SET source_transaction = 777')
        store.settle()
    assert rows(store.parent, "SALE") == [(2, 5)]


# ---- names and values


@pytest.mark.parametrize("name", ["a?b", "100%", "{b}", "O'B", 'q"q', "a b;--", "$1", "back\\slash", ":x", "Ж"])
def test_names_with_any_sign_travel(world: World, name: str) -> None:
    if json.dumps(name) != '"%s"' % name:
        needs_texts_from_json(world.parent)
    table = _table(
        name, "%s %s" % ("ID", "K" + name.replace(" ", "")),
        **{"ID": "bigint not null", "K" + name.replace(" ", ""): "int not null", "V" + name: "nvarchar(20)"},
    )  # fmt: skip
    make_tables(world.parent, (table,))
    scope = Scope("s " + name, "bidirectional", (ScopeTable(table.name, "parent"),), 0, 1, 1, True)
    world.provision((scope,))
    quoted = world.parent.engine.names.quote(*table.name)
    world.parent.execute("INSERT INTO %s VALUES (1, 1, 'a'), (2, 2, 'b')" % quoted)
    world.settle()
    world.child.execute(
        "UPDATE %s SET %s = 'c' WHERE %s = 1" % (quoted, world.child.engine.names.quote("V" + name), '"ID"')
    )
    world.child.execute('DELETE FROM %s WHERE "ID" = 2' % quoted)
    world.parent.execute("UPDATE %s SET %s = 'd'" % (quoted, world.child.engine.names.quote("V" + name)))
    world.settle()
    assert world.child.query("SELECT * FROM %s" % quoted) == world.parent.query("SELECT * FROM %s" % quoted)
    assert kept(world.parent, "sync_conflict") == 2


#: The least and the most that the types hold: id, float, real, datetime2, date, datetime, numeric(32,16), time.
EXTREMES = {
    "postgresql": """(1, 'NaN', 'NaN', 'infinity', 'infinity', '-infinity', 'NaN', '24:00'),
        (2, '-Infinity', 'Infinity', '0044-03-15 12:00:00.123456 BC', '4713-01-01 BC', '9999-12-31 23:59:59.999',
         9999999999999999, '23:59:59.999999'),
        (3, 1e-308, 1.17549435e-38, '294276-12-31 23:59:59.999999', '5874897-12-31', '0001-01-01', -0.0000000000000001, '0:0'),
        (4, 0.1, 0.1, '2026-11-23 01:02:03.123456', NULL, NULL, NULL, NULL)""",
    "mssql": """(1, -1.79E+308, -3.40E+38, '0001-01-01', '0001-01-01', '1753-01-01', -9999999999999999.9999999999999999, '0:0'),
        (2, 1.79E+308, 3.40E+38, '9999-12-31 23:59:59.999999', '9999-12-31', '9999-12-31T23:59:59.997',
         9999999999999999.9999999999999999, '23:59:59.999999'),
        (3, 2.23E-308, 1.18E-38, '1582-10-10 12:00:00.000001', '1900-02-28', '2026-11-23T01:02:03.003', -0.0000000000000001,
         '12:00:00.000001'),
        (4, 0.1, 0.1, '2026-11-23 01:02:03.123456', NULL, NULL, NULL, NULL)""",
}


def _extremes(db: Database) -> list[tuple[Any, ...]]:
    """PostgreSQL's as it writes them, since not all of them are values of Python."""
    columns = {"postgresql": "e::text", "mssql": "e.*"}[db.target.engine]
    return [tuple(row) for row in db.query('SELECT %s FROM ax."EXTREME" AS e ORDER BY e."ID"' % columns)]


def test_extreme_values_travel(world: World) -> None:
    columns = {
        "F": "float",
        "R": "real",
        "T": "datetime2",
        "D": "date",
        "S": "datetime",
        "N": "numeric(32,16)",
        "C": "time",
    }
    table = _table("EXTREME", "ID", ID="bigint not null", **columns)
    make_tables(world.parent, (table,))
    world.provision((make_scope("s", "bidirectional", [table.name]),))
    world.parent.execute('INSERT INTO ax."EXTREME" VALUES %s' % EXTREMES[world.parent.target.engine])
    world.settle()
    assert _extremes(world.child) == _extremes(world.parent)
    world.child.execute('UPDATE ax."EXTREME" SET "R" = 3')
    world.settle()
    assert _extremes(world.child) == _extremes(world.parent)
    assert kept(world.parent, "sync_conflict") == 0


# ---- two parents, two sessions


def test_what_was_born_here_goes_to_a_new_parent_too(world: World, new_place: Callable[..., Target]) -> None:
    """Also when the first parent's load has brought it back, or the same row was made there."""
    make_tables(world.child, TABLES)
    world.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'mine'), (2, 'both')""")
    world.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (2, 'both')""")
    world.provision(SCOPES)
    world.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'both' WHERE "ID" = 2""")
    world.settle()
    with connect(new_place()) as above:
        make_tables(above, TABLES)
        moved = World(world.child, above)
        moved.provision(SCOPES, reprovision=True)
        moved.settle()
        assert rows(above, "CUSTOMER") == [(1, "mine"), (2, "both")]


@pytest.mark.parametrize("moment", ["landing", "applying"])
def test_a_session_that_lost_its_lock_brings_nothing_old(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Another session has moved the scope meanwhile, though a long transaction keeps the low-water mark where it was."""
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a')""")
    pair.settle()
    late = other_client("parent")
    place, name = (transfer, "_apply") if moment == "applying" else (transfer._Landing, "flush")
    original = getattr(place, name)

    @contextmanager
    def lost(_db: Database, _name: str) -> Iterator[bool]:
        yield True

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.undo()
        other_client("parent").execute("""UPDATE ax."ITEM" SET "NAME" = 'newest'""")
        session.run(Pair(other_client("child"), other_client("parent")), DOWN)
        assert rows(pair.child, "ITEM") == [(1, "newest")]
        return original(*arguments)

    with late.transaction():
        late.execute("""INSERT INTO ax."CUSTOMER" VALUES (9, 'late')""")
        pair.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'first'""")
        pair.run(DOWN)
        pair.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'older'""")
        monkeypatch.setattr(place, name, overtaken)
        monkeypatch.setattr(pair.parent.engine.locks, "held", lost)
        monkeypatch.setattr(transfer, "BATCH_SIZE", 1)
        with pytest.raises(RetailError, match="Another session"):
            pair.run(DOWN)
        assert rows(pair.child, "ITEM") == [(1, "newest")]
    pair.settle()
    assert rows(pair.child, "ITEM") == [(1, "newest")]


def test_a_row_that_headquarters_and_a_register_both_edit_settles(tiers: tuple[World, World]) -> None:
    """The store takes it from above only, and gives and takes below."""
    register, store = tiers
    store.provision((make_scope("items", "download", [ITEM.name], 0, 1, 1),))
    store.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a'), (2, 'a'), (3, 'a')""")
    store.settle()
    register.provision((make_scope("items", "bidirectional", [ITEM.name], 0, 1, 1),))
    register.settle()
    for deed in ("""UPDATE ax."ITEM" SET "NAME" = 'r'""", """DELETE FROM ax."ITEM" WHERE "ID" = 2"""):
        register.child.execute(deed)
    store.parent.execute("""UPDATE ax."ITEM" SET "NAME" = CASE "ID" WHEN 1 THEN 'hq' ELSE 'r' END""")
    for _round in range(2):
        register.settle()
        store.settle()
    register.settle()
    assert rows(register.child, "ITEM") == rows(store.child, "ITEM") == rows(store.parent, "ITEM")
    assert kept(store.child, "sync_conflict") == 2
    store.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'z'""")
    store.settle()
    register.settle()
    assert rows(register.child, "ITEM") == [(1, "z"), (2, "z"), (3, "z")]
    assert kept(store.child, "sync_conflict") == 2
