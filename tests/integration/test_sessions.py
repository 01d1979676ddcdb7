# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions between two real databases: what moves, what is kept, what is refused. One test a promise."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from dialects import (
    conflicts,
    count_up,
    end_connection,
    needs_row_locks,
    needs_texts_from_json,
    needs_triggers_that_see,
    only_on,
    reads_texts_from_json,
    say,
    writes_binary_as_json,
)
from offline_world import make_tables
from session_world import Killed, World, both_engines, cut_off, killed_everywhere, rows

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair, Restored

pytestmark = both_engines


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table(
    "ITEM",
    "ID",
    ID="bigint not null",
    NAME="nvarchar(40) not null default ''",
    PRICE="numeric(32,16)",
    NOTE="nvarchar(max)",
    VERSION="timestamp not null",
)
SALE = _table(
    "SALE", "STORE ID", STORE="nvarchar(10) not null", ID="bigint not null", AMOUNT="int", N="int identity not null"
)
LINE = _table("LINE", "ID NUMBER", ID="bigint not null", NUMBER="int not null", TEXT="nvarchar(10)")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(20)")
TABLES = (ITEM, SALE, LINE, CUSTOMER)

DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name, LINE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 3, 13)
SCOPES = (DOWN, UP, BOTH)


# ---- values


EVERY_TYPE = {
    "ID": "bigint not null",
    "NAME": "nvarchar(40) not null default ''",
    "PRICE": "numeric(32,16)",
    "CHANGED": "datetime",
    "ACTIVE": "bit",
    "TAG": "uniqueidentifier",
    "BORN": "date",
    "CODE": "nchar(5)",
    "NOTE": "nvarchar(max)",
    "PICTURE": "image",
    "VERSION": "timestamp not null",
}


def test_every_type_arrives_as_it_left(world: World) -> None:
    needs_texts_from_json(world.parent)
    left_out = {"VERSION"} if writes_binary_as_json(world.parent) else {"VERSION", "PICTURE"}
    every = _table(
        "EVERY", "ID", **{name: text for name, text in EVERY_TYPE.items() if name not in left_out - {"VERSION"}}
    )
    make_tables(world.parent, (every,))
    travels = ", ".join('"%s"' % name for name in EVERY_TYPE if name not in left_out)
    into = 'INSERT INTO ax."EVERY" (%s) VALUES ' % travels
    name, note = 'Ölgötze 東京 🎄 "quoted" \\ back', "line\n\t" * 5000
    yes, no, picture, empty = {
        "postgresql": ("true", "false", ", '\\x00ff0a0d'", ", ''"),
        "mssql": ("1", "0", ", 0x00ff0a0d", ", 0x"),
    }[world.parent.target.engine]
    if "PICTURE" in left_out:
        picture = empty = ""
    world.parent.execute(
        into + "(1, ?, 1234567890123456.0123456789012345, '2026-11-23T01:02:03.457', %s, "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '1900-01-01', 'ab', ?%s)" % (yes, picture),
        name,
        note,
    )
    nothing = ", NULL" * (travels.count(",") - 1)
    world.parent.execute(
        into + "(2, ''%s), (3, ' a ', -0.0000000000000001, NULL, %s, NULL, NULL, '', ''%s)" % (nothing, no, empty)
    )
    world.provision((make_scope("every", "download", [every.name], 0, 1, 11),))
    world.settle()
    arrived = rows(world.child, "EVERY", travels)
    assert arrived == rows(world.parent, "EVERY", travels)
    assert arrived[0][1:3] == (name, Decimal("1234567890123456.0123456789012345"))
    assert arrived[0][8] == note
    assert [bytes(row[9] or b"-") for row in arrived if row[9:]] in ([], [b"\x00\xff\n\r", b"-", b"-"])


def test_a_row_larger_than_a_batch_travels_alone(pair: World) -> None:
    needs_texts_from_json(pair.child)
    large = [(number, "x" * 1500000) for number in (1, 2, 3)]
    for number, note in large:
        pair.parent.execute('INSERT INTO ax."ITEM" ("ID", "NOTE") VALUES (?, ?)', number, note)
    pair.settle()
    assert rows(pair.child, "ITEM", '"ID", "NOTE"') == large


def test_identity_values_stay_each_databases_own(pair: World) -> None:
    count_up(pair.parent, "SALE", 50, "'X', g", '"STORE", "ID"')
    pair.child.execute("""INSERT INTO ax."SALE" ("STORE", "ID") VALUES ('H', 1)""")
    pair.settle()
    assert pair.parent.value("""SELECT "N" FROM ax."SALE" WHERE "STORE" = 'H'""") == 51


def test_columns_that_only_one_side_knows_keep_their_values(pair: World) -> None:
    pair.parent.execute('ALTER TABLE ax."CUSTOMER" ADD "LOYALTY" integer DEFAULT 7')
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a', 42)""")
    pair.settle()
    pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'b'""")
    pair.settle()
    assert rows(pair.parent, "CUSTOMER") == [(1, "b", 42)]


# ---- directions


def test_the_first_load_leaves_no_tracking_rows_at_a_register(world: World) -> None:
    count_up(world.parent, "ITEM", 5000, "g", '"ID"')
    world.provision(SCOPES)
    world.settle()
    assert len(rows(world.child, "ITEM", '"ID"')) == 5000
    assert rows(world.child, "ITEM_tracking") == []


def test_what_a_child_had_before_it_was_provisioned_goes_up(world: World) -> None:
    make_tables(world.child, TABLES)
    world.child.execute("""INSERT INTO ax."SALE" ("STORE", "ID", "AMOUNT") VALUES ('H', 1, 5), ('H', 2, 6)""")
    world.provision(SCOPES)
    world.settle()
    assert rows(world.parent, "SALE", '"STORE", "ID", "AMOUNT"') == [("H", 1, 5), ("H", 2, 6)]


def test_changes_and_deletions_come_down(pair: World) -> None:
    count_up(pair.parent, "ITEM", 10, "g, g", '"ID", "PRICE"')
    pair.settle()
    pair.parent.execute('UPDATE ax."ITEM" SET "PRICE" = 100 WHERE "ID" = 3')
    pair.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" > 8')
    pair.settle()
    assert rows(pair.child, "ITEM", '"ID", "PRICE"') == rows(pair.parent, "ITEM", '"ID", "PRICE"')


def test_a_register_that_purges_its_sales_does_not_erase_them_above(pair: World) -> None:
    pair.child.execute("""INSERT INTO ax."SALE" ("STORE", "ID") VALUES ('H', 1), ('H', 2)""")
    pair.settle()
    pair.child.execute('DELETE FROM ax."SALE"')
    pair.child.execute("""INSERT INTO ax."SALE" ("STORE", "ID") VALUES ('H', 3)""")
    pair.settle()
    assert rows(pair.parent, "SALE", '"ID"') == [(1,), (2,), (3,)]
    assert rows(pair.child, "SALE", '"ID"') == [(3,)]


def test_a_changed_key_is_a_deletion_and_a_new_row(pair: World) -> None:
    pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a'), (2, 'b')""")
    pair.settle()
    pair.child.execute('UPDATE ax."CUSTOMER" SET "ID" = "ID" + 10')
    pair.settle()
    assert rows(pair.parent, "CUSTOMER") == [(11, "a"), (12, "b")]


def test_deletion_and_insertion_of_the_same_key_arrive(pair: World) -> None:
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a')""")
    pair.settle()
    pair.child.execute('DELETE FROM ax."CUSTOMER"')
    pair.settle()
    assert rows(pair.parent, "CUSTOMER") == []
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'again')""")
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == [(1, "again")]
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 0


@only_on("postgresql", "SQL Server lets no trigger see a TRUNCATE: the comparison finds it, see test_verify_rows.py")
def test_truncate_is_refused(pair: World) -> None:
    with pytest.raises(RetailError, match="TRUNCATE"):
        pair.child.execute('TRUNCATE ax."SALE"')


# ---- conflicts


@pytest.mark.parametrize("winner", ["parent", "child"])
def test_a_conflict_is_decided_by_the_policy_and_the_loser_kept_once(world: World, winner: str) -> None:
    scope = Scope("customers", "bidirectional", (ScopeTable(CUSTOMER.name, winner),), 0, 1, 1, True)
    world.provision((scope,))
    world.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'first')""")
    world.settle()
    world.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'child'""")
    world.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'parent'""")
    world.synchronise()
    world.settle()
    assert rows(world.child, "CUSTOMER") == rows(world.parent, "CUSTOMER") == [(1, winner)]
    assert conflicts(world.parent) == [(winner, {"ID": 1, "NAME": "child"}, {"ID": 1, "NAME": "parent"})]


def test_an_edit_in_a_download_scope_gives_way_and_is_kept(pair: World) -> None:
    pair.parent.execute("""INSERT INTO ax."ITEM" ("ID", "NAME") VALUES (1, 'a')""")
    pair.settle()
    pair.child.execute("""UPDATE ax."ITEM" SET "NAME" = 'scribbled'""")
    pair.settle()
    assert rows(pair.child, "ITEM", '"NAME"') == [("scribbled",)]
    pair.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'b'""")
    pair.settle()
    assert rows(pair.child, "ITEM", '"NAME"') == [("b",)]
    assert '"scribbled"' in pair.child.value("SELECT local_image FROM dbo.sync_conflict")


def test_the_same_edit_on_both_sides_is_no_conflict(pair: World) -> None:
    for side in (pair.child, pair.parent):
        side.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'same')""")
    pair.settle()
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 0


def test_letters_and_trailing_blanks_count_as_different(pair: World) -> None:
    pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'COLA'), (2, 'a')""")
    pair.settle()
    pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = CASE "ID" WHEN 1 THEN 'Cola' ELSE 'a ' END""")
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == [(1, "Cola"), (2, "a ")]


# ---- transactions


def test_a_transaction_that_was_open_is_not_passed_over(pair: World, other_client: Callable[[str], Database]) -> None:
    late = other_client("child")
    with late.transaction():
        late.execute("""INSERT INTO ax."SALE" ("STORE", "ID") VALUES ('H', 1)""")
        pair.child.execute("""INSERT INTO ax."SALE" ("STORE", "ID") VALUES ('H', 2)""")
        assert pair.run(UP).moved == 1
        assert pair.run(UP).moved == 0, "nothing is sent twice while the other transaction is open"
    assert pair.run(UP).moved == 1
    assert rows(pair.parent, "SALE", '"ID"') == [(1,), (2,)]


def test_delivering_again_changes_nothing(pair: World, other_client: Callable[[str], Database]) -> None:
    """Without the snapshot of the last session, all above the low-water mark comes again: the window knows it."""
    late = other_client("child")
    with late.transaction():
        late.execute("""INSERT INTO ax."CUSTOMER" VALUES (9, 'late')""")
        pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'child')""")
        assert pair.run(BOTH).moved == 1
        pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'newer' WHERE "ID" = 1""")
        pair.parent.execute("UPDATE dbo.scope_info SET anchor_seen = NULL")
        again = pair.run(BOTH)
    assert again.up is not None
    assert again.up.outcome.seen == 1
    assert again.up.outcome.moved == again.up.outcome.conflicts == 0
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == [(1, "newer"), (9, "late")]
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 0


def test_an_edit_made_during_the_session_is_not_overwritten(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between upload and download the POS changes the row that comes down: it is held until the parent has judged it."""
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a')""")
    pair.settle()
    pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'parent'""")
    original = transfer.run

    def edited(way: Any, *arguments: Any) -> Any:
        if not way.upload:
            pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'pos'""")
            monkeypatch.undo()
        return original(way, *arguments)

    monkeypatch.setattr(transfer, "run", edited)
    held = pair.run(BOTH)
    assert held.down is not None
    assert (held.down.outcome.held, held.waiting) == (1, True)
    assert rows(pair.child, "CUSTOMER") == [(1, "pos")]
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == [(1, "parent")]
    assert '"pos"' in pair.parent.value("SELECT incoming_image FROM dbo.sync_conflict")


def test_a_pos_that_writes_the_row_being_applied_loses_nothing(
    pair: World, other_client: Callable[[str], Database]
) -> None:
    """The apply waits for the POS's lock, then sees the POS's change and does not overwrite it."""
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a')""")
    pair.settle()
    pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'parent'""")
    pos = other_client("child")
    needs_row_locks(pos, CUSTOMER)
    with pos.transaction():
        pos.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'pos'""")
        worker = threading.Thread(target=pair.run, args=(BOTH,))
        worker.start()
        worker.join(0.5)
        assert worker.is_alive(), "the session waits for the POS"
    worker.join(30)
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == [(1, "parent")]
    assert '"pos"' in pair.parent.value("SELECT incoming_image FROM dbo.sync_conflict")


def test_triggers_of_the_application_do_not_make_ping_pong(pair: World) -> None:
    """A trigger that rewrites the row keeps the peer's origin; what it writes elsewhere is a change of its own."""
    for name, side in (("child", pair.child), ("parent", pair.parent)):
        say(
            side,
            postgresql="""CREATE FUNCTION dbo.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF;
            UPDATE ax."CUSTOMER" SET "NAME" = left("NAME", 10) || '/%s' WHERE "ID" = NEW."ID";
            INSERT INTO ax."LINE" VALUES (NEW."ID", (SELECT count(*) FROM ax."LINE"), 'stamp'); RETURN NULL; END $$;
            CREATE TRIGGER stamp AFTER INSERT ON ax."CUSTOMER" FOR EACH ROW EXECUTE FUNCTION dbo.stamp()"""
            % name,
            mssql="""CREATE TRIGGER ax."stamp" ON ax."CUSTOMER" AFTER INSERT AS BEGIN SET NOCOUNT ON;
            IF TRIGGER_NESTLEVEL() > 1 RETURN;
            UPDATE c SET "NAME" = LEFT(c."NAME", 10) + '/%s' FROM ax."CUSTOMER" AS c JOIN inserted AS i ON i."ID" = c."ID";
            INSERT INTO ax."LINE" SELECT i."ID", (SELECT COUNT(*) FROM ax."LINE"), 'stamp' FROM inserted AS i END"""
            % name,
        )
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a')""")
    pair.settle()
    assert pair.child.value('SELECT origin FROM ax."CUSTOMER_tracking"') == 0
    assert [row[0] for row in pair.child.query('SELECT origin FROM ax."LINE_tracking"')] == [None]


# ---- whole sales


def _sell(db: Database, number: int, amount: int | None = 1) -> None:
    with db.transaction():
        for line in range(3):
            db.execute('INSERT INTO ax."LINE" VALUES (?, ?, ?)', number, line, "line")
        db.execute("""INSERT INTO ax."SALE" ("STORE", "ID", "AMOUNT") VALUES ('H', ?, ?)""", number, amount)


def test_a_sale_that_cannot_be_stored_is_put_aside_whole_and_the_others_arrive(pair: World) -> None:
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" < 100)')
    for number, amount in ((1, 1), (2, 500), (3, 3), (4, 999), (5, 5)):
        _sell(pair.child, number, amount)
    done = pair.run(UP)
    assert done.up is not None
    assert done.up.quarantined == 8
    assert rows(pair.parent, "SALE", '"ID"') == [(1,), (3,), (5,)]
    assert len(rows(pair.parent, "LINE")) == 9
    aside = pair.parent.query("SELECT count(*) FROM dbo.sync_quarantine GROUP BY source_transaction")
    assert [row[0] for row in aside] == [4, 4]
    assert "check constraint" in pair.parent.value("SELECT error FROM dbo.sync_quarantine").lower()
    log = pair.parent.row(
        'SELECT "TOTALUPLOADED", "TOTALUPLOADEDOK", "TOTALUPLOADEDERR" FROM dbo."RETAILOFFLINESYNCLOG"'
    )
    assert tuple(log) == (20, 12, 8)
    pair.settle()


def test_a_defect_of_the_whole_receiver_puts_nothing_aside(pair: World) -> None:
    _sell(pair.child, 1)
    _rename(pair.parent, "LINE", "ELSEWHERE")
    with pytest.raises(RetailError):
        pair.run(UP)
    _rename(pair.parent, "ELSEWHERE", "LINE")
    pair.settle()
    assert len(rows(pair.parent, "SALE")) == 1
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 0


def _rename(db: Database, table: str, name: str) -> None:
    say(
        db,
        postgresql='ALTER TABLE ax."%s" RENAME TO "%s"' % (table, name),
        mssql="EXEC sp_rename 'ax.%s', '%s', 'OBJECT'" % (table, name),
    )


def _work(pair: World, scope: Scope, number: int) -> None:
    """Something for each way of the scope, more than a batch of it."""
    if scope is UP:
        for sale in range(3):
            _sell(pair.child, 100 * number + sale)
        return
    table = "ITEM" if scope is DOWN else "CUSTOMER"
    for db, own in ((pair.parent, "< 50"), (pair.child, ">= 50")):
        if db is pair.parent or scope.uploads:
            change = 'UPDATE ax."%s" SET "NAME" = ? WHERE "ID" / 100 = %d AND "ID" %% 100 %s'
            db.execute(change % (table, number - 1, own), "changed")
            first = 100 * number + (50 if db is pair.child else 0)
            count_up(db, table, 3, "%d + g, 'new'" % (first - 1), '"ID", "NAME"')


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.name)
def test_a_session_killed_at_any_statement_is_completed_by_the_next(
    pair: World, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    """At every one, before it is sent, and on both sides of each commit. The last session is not killed, and counts them."""
    monkeypatch.setattr(transfer, "BATCH_ROWS", 4)
    monkeypatch.setattr(transfer, "BATCH_SIZE", 200)

    def restored(*_arguments: Any) -> None:
        raise AssertionError("what was merely killed looks like a side that was restored, and begins anew")

    monkeypatch.setattr(session.anew, "settle", restored)
    torn = 'SELECT count(*) FROM ax."SALE" s WHERE 3 <> (SELECT count(*) FROM ax."LINE" l WHERE l."ID" = s."ID")'
    numbers, opened = itertools.count(10), Pair(pair.child, pair.parent)

    def work() -> session.Session:
        return session.run(opened, scope)

    def look() -> None:
        assert pair.parent.value(torn) == 0
        assert len(rows(pair.parent, "LINE")) == 3 * len(rows(pair.parent, "SALE"))
        end_connection(pair.parent)
        work()
        assert not work().noteworthy
        _work(pair, scope, next(numbers))

    for _time in range(2):
        # The first session is no measure: it loads, and nothing is there to be changed.
        work()
        _work(pair, scope, next(numbers))
    met = killed_everywhere(work, look)
    print("%s: killed at %d moments" % (scope.name, len(met)))
    moments = " ".join(met)
    assert [
        words for words in ("session_token = ?", "SET landing", "anchor_in = ?", "last_session") if words not in moments
    ] == []
    pair.settle()
    for table, columns in (("SALE", '"ID", "AMOUNT"'), ("LINE", "*"), ("CUSTOMER", "*"), ("ITEM", '"ID", "NAME"')):
        assert rows(pair.parent, table, columns) == rows(pair.child, table, columns), table
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 0
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_staging") == 0
    assert pair.child.value("SELECT count(*) FROM dbo.sync_staging") == 0


def test_a_landing_that_was_cut_off_goes_on_with_what_changed_meanwhile(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "BATCH_ROWS", 2)
    monkeypatch.setattr(transfer, "BATCH_SIZE", 10)
    for number in range(1, 7):
        pair.child.execute("""INSERT INTO ax."SALE" ("STORE", "ID", "AMOUNT") VALUES ('H', ?, 1)""", number)
    original, flushes = transfer._Landing.flush, 0

    def flush(self: Any) -> None:
        nonlocal flushes
        flushes += 1
        if flushes == 3:
            raise Killed
        original(self)

    monkeypatch.setattr(transfer._Landing, "flush", flush)
    with pytest.raises(Killed):
        pair.run(UP)
    assert pair.parent.value("SELECT landing FROM dbo.scope_info WHERE landing IS NOT NULL") is not None
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_staging") == 2
    pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 2 WHERE "ID" IN (1, 6)')
    done = pair.run(UP)
    assert done.up is not None
    assert done.up.rows < 6 + 2, "what had landed was not read again"
    assert rows(pair.parent, "SALE", '"ID", "AMOUNT"') == [(n, 2 if n in (1, 6) else 1) for n in range(1, 7)]


def test_one_transaction_that_no_connection_lives_long_enough_for_lands_piece_by_piece(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows have one version on PostgreSQL, so it is the key behind which the next session goes on. Nothing of it is at the parent
    before all of it is."""
    escaped = ('B"c0":', "b\\ 'Ö,}")
    stores = ("A", *(escaped if reads_texts_from_json(pair.parent) else ("B", "b 'Ö,}")), "", "C")
    with pair.child.transaction():
        for number in (9, 10):
            for store in stores:
                insert = 'INSERT INTO ax."SALE" ("STORE", "ID", "AMOUNT") VALUES (?, ?, 1)'
                pair.child.execute(insert, store, number)
        for number in range(12):
            pair.child.execute('INSERT INTO ax."LINE" VALUES (?, ?, ?)', number % 4, -number, "a")
    for times in range(1, 5):
        cut_off(monkeypatch, pair, UP, after=5)
        assert pair.parent.value("SELECT count(*) FROM dbo.sync_staging") == 5 * times, "what had landed stays"
        assert rows(pair.parent, "SALE") == rows(pair.parent, "LINE") == []
    # What has landed, and what has not.
    pair.child.execute("""UPDATE ax."SALE" SET "AMOUNT" = 2 WHERE "STORE" = 'A'""")
    pair.child.execute("""UPDATE ax."LINE" SET "TEXT" = 'b' WHERE "NUMBER" IN (0, -1, -7, -11)""")
    pair.child.execute('DELETE FROM ax."LINE" WHERE "NUMBER" IN (-3, -8)')
    done = pair.run(UP)
    assert done.up is not None
    assert done.up.rows <= 2 + 2 + 4, "the last two, and what was changed"
    assert done.up.outcome.conflicts == 0
    columns = '"STORE", "ID", "AMOUNT"'
    assert rows(pair.parent, "SALE", columns) == rows(pair.child, "SALE", columns)
    # By then the first rows had landed: by their keys on PostgreSQL, as they were written on SQL Server.
    purged = {"postgresql": [(0, -8, "a")], "mssql": [(0, -8, "a"), (3, -3, "a")]}[pair.parent.target.engine]
    assert rows(pair.parent, "LINE") == sorted(rows(pair.child, "LINE") + purged), (
        "it was sold, and travelled before it went"
    )
    pair.settle()


# ---- restored, moved, cloned


def test_a_parent_that_knows_older_sessions_only_is_given_everything_again(pair: World) -> None:
    backup = pair.parent.query("SELECT sync_scope_name, session_token, anchor_in FROM dbo.scope_info")
    _sell(pair.child, 1)
    pair.settle()
    for name, token, anchor in backup:
        pair.parent.execute(
            "UPDATE dbo.scope_info SET session_token = ?, anchor_in = ? WHERE sync_scope_name = ?", token, anchor, name
        )
    _sell(pair.child, 2)
    pair.child.execute("UPDATE dbo.scope_info SET previous_token = session_token")
    pair.run(UP)
    assert [number for _store, number in rows(pair.parent, "SALE", '"STORE", "ID"')] == [1, 2]
    pair.settle()


def test_an_anchor_ahead_of_the_sender_begins_the_scope_anew(pair: World) -> None:
    pair.parent.execute("UPDATE dbo.scope_info SET anchor_in = 999999999999, anchor_seen = NULL, landing = '{}'")
    pair.parent.execute("""UPDATE dbo.scope_info SET landing = '{"ax.LINE": 0}'""")
    _sell(pair.child, 1)
    pair.run(UP)
    assert len(rows(pair.parent, "SALE")) == 1
    pair.settle()


def test_another_database_in_the_place_of_the_child_is_noticed(pair: World) -> None:
    pair.parent.execute("UPDATE dbo.sync_peer SET incarnation = 'another:1:2'")
    with pytest.raises(Restored, match="restored or moved"):
        Pair(pair.child, pair.parent)


def test_two_sessions_of_a_scope_do_not_meet(pair: World, other_client: Callable[[str], Database]) -> None:
    _sell(pair.child, 1)
    other = other_client("parent")
    name = "axops.retail:%s:%s" % (Pair(pair.child, pair.parent).guid, UP.name)
    with other.engine.locks.held(other, name) as taken:
        assert taken
        assert pair.run(UP).busy
    assert rows(pair.parent, "SALE") == []
    assert pair.run(UP).moved == 4


def test_a_row_that_a_trigger_lets_vanish_is_put_aside_with_its_sale(pair: World) -> None:
    say(
        pair.parent,
        postgresql="""CREATE FUNCTION dbo.vanish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RETURN CASE WHEN NEW."NUMBER" = 1 AND NEW."ID" = 2 THEN NULL ELSE NEW END; END $$;
        CREATE TRIGGER vanish BEFORE INSERT ON ax."LINE" FOR EACH ROW EXECUTE FUNCTION dbo.vanish()""",
        mssql="""CREATE TRIGGER ax."vanish" ON ax."LINE" INSTEAD OF INSERT AS BEGIN SET NOCOUNT ON;
        INSERT INTO ax."LINE" SELECT * FROM inserted WHERE NOT ("NUMBER" = 1 AND "ID" = 2) END""",
    )
    for number in (1, 2, 3):
        _sell(pair.child, number)
    done = pair.run(UP)
    assert done.up is not None
    assert done.up.quarantined == 4
    assert rows(pair.parent, "SALE", '"ID"') == [(1,), (3,)]
    assert "without an error" in pair.parent.value("SELECT error FROM dbo.sync_quarantine")


def test_a_purge_in_an_upload_scope_is_no_reason_for_a_session(pair: World) -> None:
    _sell(pair.child, 1)
    pair.settle()
    pair.child.execute('DELETE FROM ax."LINE"')
    assert pair.pending == []


def test_a_register_that_comes_while_its_store_loads_gets_the_load(
    world: World, other_client: Callable[[str], Database]
) -> None:
    """Its registration waits for the end of the load, so that it loads what the store has loaded."""
    world.parent.execute("""INSERT INTO ax."ITEM" ("ID") VALUES (1)""")
    needs_row_locks(world.parent, ITEM)
    world.provision(SCOPES)
    finish, registered = transfer._finish, threading.Event()
    newcomer = other_client("child")

    def register() -> None:
        newcomer.execute(
            "INSERT INTO dbo.sync_peer (peer_id, peer_name, peer_guid, incarnation) VALUES (1, 'R', 'g', 'i')"
        )
        registered.set()

    worker = threading.Thread(target=register)

    def finish_late(*arguments: Any) -> Any:
        if not worker.ident:
            worker.start()
            worker.join(0.5)
        assert not registered.is_set()
        return finish(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "_finish", finish_late)
        world.run(DOWN)
    worker.join(30)
    assert registered.is_set()


def test_a_sale_that_was_touched_again_before_it_went_up_is_put_aside_whole(pair: World) -> None:
    """The header's last version is another transaction's than the lines'; still they are one sale."""
    pair.parent.execute('ALTER TABLE ax."LINE" ADD CHECK ("NUMBER" < 7)')
    for number in (1, 2):
        _sell(pair.child, number)
    pair.child.execute('INSERT INTO ax."LINE" VALUES (2, 7, NULL)')
    with pair.child.transaction():
        pair.child.execute('UPDATE ax."LINE" SET "TEXT" = NULL WHERE "ID" = 2 AND "NUMBER" = 7')
        pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 9 WHERE "ID" = 2')
    done = pair.run(UP)
    assert done.up is not None
    assert done.up.quarantined == 5
    assert rows(pair.parent, "SALE", '"ID"') == [(1,)]
    assert len(rows(pair.parent, "LINE")) == 3


def test_what_has_landed_stays_out_of_memory(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_arguments: Any) -> Iterator[Any]:
        raise AssertionError("batches are for the engines to read")
        yield

    monkeypatch.setattr(transfer, "_landed", read)
    _sell(pair.child, 1)
    assert pair.run(UP).moved == 4


def _cut_off_before_applying(world: World, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "BATCH_SIZE", 10)
        patch.setattr(transfer, "_apply", lambda *_arguments: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            world.run(scope)


@pytest.mark.parametrize("sides", ["parent", "both"])
def test_a_column_that_goes_while_batches_wait_leaves_the_others_to_travel(
    pair: World, monkeypatch: pytest.MonkeyPatch, sides: str
) -> None:
    if sides == "both":
        needs_triggers_that_see(pair.child)
    pair.parent.execute('ALTER TABLE ax."CUSTOMER" ADD "LOYALTY" integer')
    pair.child.execute('ALTER TABLE ax."CUSTOMER" ADD "LOYALTY" integer')
    pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a', 5)""")
    _cut_off_before_applying(pair, BOTH, monkeypatch)
    for db in (pair.parent, pair.child) if sides == "both" else (pair.parent,):
        db.execute('ALTER TABLE ax."CUSTOMER" DROP COLUMN "LOYALTY"')
    pair.child.execute("""INSERT INTO ax."CUSTOMER" ("ID", "NAME") VALUES (2, 'b')""")
    pair.settle()
    assert rows(pair.parent, "CUSTOMER") == [(1, "a"), (2, "b")]


def test_a_table_that_goes_stops_its_scope_alone(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.child.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'a')""")
    _cut_off_before_applying(pair, BOTH, monkeypatch)
    pair.child.execute("""INSERT INTO ax."SALE" ("STORE", "ID") VALUES ('H', 1)""")
    pair.parent.execute('DROP TABLE ax."CUSTOMER"')
    there = Pair(pair.child, pair.parent)
    assert {scope.name for scope in session.pending(there, there.scopes)} >= {BOTH.name, UP.name}
    with pytest.raises(
        RetailError, match=r"The table ax.CUSTOMER is in a scope, and the parent database does not have it"
    ):
        pair.run(BOTH)
    pair.run(UP)
    assert rows(pair.parent, "SALE", '"ID"') == [(1,)]


@pytest.mark.parametrize("newer", ["child", "parent"])
def test_a_column_that_the_receiver_needs_and_the_sender_lacks_is_its_defect(pair: World, newer: str) -> None:
    """Not bad data: nothing is put aside, and all arrives when it is mended."""
    receiver, sender = getattr(pair, newer), pair.parent if newer == "child" else pair.child
    receiver.execute('ALTER TABLE ax."CUSTOMER" ADD "LEVEL" integer NOT NULL')
    for number in (1, 2, 3):
        sender.execute("""INSERT INTO ax."CUSTOMER" VALUES (?, 'a')""", number)
    with pytest.raises(RetailError, match=r"The column LEVEL of ax.CUSTOMER .* takes no NULL and has no default"):
        pair.run(BOTH)
    assert receiver.value("SELECT count(*) FROM dbo.sync_quarantine") == 0
    say(
        receiver,
        postgresql='ALTER TABLE ax."CUSTOMER" ALTER "LEVEL" SET DEFAULT 0',
        mssql='ALTER TABLE ax."CUSTOMER" ADD DEFAULT 0 FOR "LEVEL"',
    )
    pair.settle()
    assert rows(receiver, "CUSTOMER") == [(1, "a", 0), (2, "a", 0), (3, "a", 0)]
    assert receiver.value("SELECT count(*) FROM dbo.sync_quarantine") == 0
