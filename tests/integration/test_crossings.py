# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two features meet: each is right alone, and their meeting must lose, double or stop nothing. One test a crossing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elapsed import let_pass
from session_world import World, cut_off, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import (
    cleanup,
    kept,
    package,
    retention,
    retry,
    session,
    transfer,
)
from ansible_collections.axops.retail.plugins.module_utils._sync.cleanup import Keep
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(40)")
OTHER = _table("OTHER", "ID", ID="bigint not null", NAME="nvarchar(40)")
SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
LINE = _table("LINE", "ID NUMBER", ID="bigint not null", NUMBER="int not null", TEXT="nvarchar(40)")
TABLES = (ITEM, OTHER, SALE, LINE)

DOWN = make_scope("items", "download", [ITEM.name, OTHER.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name, LINE.name], 0, 2, 12)
SCOPES = (DOWN, UP)


def _away_for_years(world: World, deletions: int = 1) -> None:
    """The child has not been heard of since then, and what was deleted meanwhile is forgotten."""
    let_pass(world.parent, silent=True)
    assert cleanup.run(world.parent, Keep()).deletions == deletions


# ---- retention and a POS that goes on selling


def test_a_sale_that_changes_while_old_ones_are_purged_goes_up(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        pair.child.execute('INSERT INTO ax."SALE" VALUES (?, 1)', number)
        pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (?, 1, 'a')", number)
    pair.settle()
    let_pass(pair.child)
    pos, chosen = other_client("child"), retention._Purge._units

    def units(purge: Any, table: Table) -> Any:
        found = chosen(purge, table)
        if found and not pos.value('SELECT count(*) FROM ax."LINE" WHERE "NUMBER" = 2'):
            pos.execute('UPDATE ax."SALE" SET "AMOUNT" = -1 WHERE "ID" = 1')
            pos.execute("INSERT INTO ax.\"LINE\" VALUES (2, 2, 'returned')")
        return found

    monkeypatch.setattr(retention._Purge, "_units", units)
    retention.run(Pair(pair.child, pair.parent), "sales", retention.Rule(90, ("ID",)))
    pair.settle()
    assert rows(pair.parent, "SALE") == [(1, -1), (2, 1)]
    assert (2, 2, "returned") in rows(pair.parent, "LINE")


def test_a_sale_stays_whole_whose_lines_were_rewritten_while_old_ones_are_purged(
    pair: World, other_client: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade changes a column's type (ALTER TABLE … TYPE) after the purge has taken its snapshot, in which the table looks empty
    from then on."""
    for number in (1, 2):
        pair.child.execute('INSERT INTO ax."SALE" VALUES (?, 1)', number)
        pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (?, 1, 'a')", number)
    pair.settle()
    let_pass(pair.child)
    pair.child.execute('UPDATE ax."LINE" SET "TEXT" = \'young\' WHERE "ID" = 1')
    upgrade, chosen, done = other_client("child"), retention._Purge._units, []

    def units(purge: Any, table: Table) -> Any:
        if not done:
            done.append(purge.db.value("SELECT 1"))
            upgrade.execute('ALTER TABLE ax."LINE" ALTER COLUMN "TEXT" TYPE varchar(50) USING lower("TEXT")')
        return chosen(purge, table)

    monkeypatch.setattr(retention._Purge, "_units", units)
    rule = retention.Rule(90, ("ID",))
    assert retention.run(Pair(pair.child, pair.parent), "sales", rule) == 0
    assert [len(rows(pair.child, table)) for table in ("SALE", "LINE")] == [2, 2]
    assert retention.run(Pair(pair.child, pair.parent), "sales", rule) == 2
    assert rows(pair.child, "SALE") == [(1, 1)]
    assert rows(pair.child, "LINE") == [(1, 1, "young")]


# ---- repaired rows in many batches and a bad one among them


def test_a_bad_row_among_repaired_ones_is_put_aside_alone(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows whose transactions nobody knows are numbered; in two batches of one table the same numbers stand for others."""
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" < 100)')
    pair.child.execute('INSERT INTO ax."SALE" SELECT g, g FROM generate_series(1, 8) g')
    pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 500 WHERE "ID" = 2')
    for keys in (range(1, 5), range(5, 9)):
        with pair.child.transaction():
            pair.child.engine.repairs.touch(pair.child, SALE, ['{"k0": %d}' % key for key in keys], True, alone=True)
    monkeypatch.setattr(transfer, "BATCH_ROWS", 4)
    pair.settle()
    assert [number for number, _amount in rows(pair.parent, "SALE")] == [1, 3, 4, 5, 6, 7, 8]
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 1


# ---- a landing that was cut off and a child that was away for too long


def test_what_landed_before_a_child_was_away_for_long_brings_no_deleted_row_back(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a')""")
    pair.settle()
    for number in (2, 3):
        pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (?, 'b')""", number)
    cut_off(monkeypatch, pair, DOWN, after=1)
    assert pair.child.value("SELECT count(*) FROM dbo.sync_staging") == 1
    pair.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 2')
    _away_for_years(pair)
    pair.settle()
    assert rows(pair.child, "ITEM") == rows(pair.parent, "ITEM") == [(1, "a"), (3, "b")]


def test_a_first_load_that_was_cut_off_for_too_long_begins_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in ("ITEM", "OTHER"):
        world.parent.execute("""INSERT INTO ax."%s" VALUES (1, 'a'), (2, 'b')""" % table)
    world.provision(SCOPES)
    cut_off(monkeypatch, world, DOWN, after=3)
    world.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 1')
    _away_for_years(world)
    world.settle()
    assert rows(world.child, "ITEM") == rows(world.parent, "ITEM") == [(2, "b")]


def test_a_bad_row_in_a_load_that_is_merged_is_put_aside_alone(pair: World) -> None:
    """What goes lets go of its unique values, and of the rows that it refers to, in the search for the bad row as well."""
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a'), (2, 'b')""")
    pair.parent.execute("""INSERT INTO ax."OTHER" VALUES (1, 'a'), (2, 'b')""")
    pair.settle()
    pair.child.execute('ALTER TABLE ax."ITEM" ADD UNIQUE ("NAME"), ADD CHECK ("ID" <> 9)')
    pair.child.execute('ALTER TABLE ax."OTHER" ADD FOREIGN KEY ("ID") REFERENCES ax."ITEM"')
    for table in ("OTHER", "ITEM"):
        pair.parent.execute('DELETE FROM ax."%s" WHERE "ID" = 1' % table)
    for number, name in ((3, "a"), (9, "bad")):
        pair.parent.execute('INSERT INTO ax."ITEM" VALUES (?, ?)', number, name)
    _away_for_years(pair, deletions=2)
    pair.settle()
    assert rows(pair.child, "ITEM") == [(2, "b"), (3, "a")]
    assert rows(pair.child, "OTHER") == [(2, "b")]
    assert pair.child.value("SELECT count(*) FROM dbo.sync_quarantine") == 1


def test_a_row_in_quarantine_that_the_parent_deleted_long_ago_is_not_stored_any_more(pair: World) -> None:
    pair.child.execute('ALTER TABLE ax."ITEM" ADD CONSTRAINT refused CHECK ("ID" <> 2)')
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a'), (3, 'c')""")
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (2, 'b')""")
    pair.settle()
    pair.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 2')
    _away_for_years(pair)
    pair.settle()
    pair.child.execute('ALTER TABLE ax."ITEM" DROP CONSTRAINT refused')
    opened = Pair(pair.child, pair.parent)
    assert [one["result"] for one in retry.retry(opened, kept.quarantined(opened))] == [retry.STORED]
    assert rows(pair.child, "ITEM") == rows(pair.parent, "ITEM") == [(1, "a"), (3, "c")]
    assert kept.quarantined(opened) == []


# ---- a package and the parent's memory


def test_a_package_that_is_older_than_the_parents_memory_is_not_used(world: World, tmp_path: Path) -> None:
    world.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'a'), (2, 'b')""")
    world.provision(SCOPES)
    pair = Pair(world.child, world.parent)
    pair.package = str(tmp_path / "package")
    package.make(pair, pair.package)
    world.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 1')
    _away_for_years(world)
    session.run(pair, DOWN)
    assert rows(world.child, "ITEM") == rows(world.parent, "ITEM") == [(2, "b")]
    world.settle()


# ---- the quarantine and a column that went


def test_a_sale_in_quarantine_of_which_a_row_fits_no_more_stays_there_whole(pair: World) -> None:
    pair.parent.execute('ALTER TABLE ax."SALE" ADD CHECK ("AMOUNT" < 100)')
    with pair.child.transaction():
        pair.child.execute("INSERT INTO ax.\"LINE\" VALUES (1, 1, 'a')")
        pair.child.execute('INSERT INTO ax."SALE" VALUES (1, 500)')
    pair.settle()
    pair.parent.execute('ALTER TABLE ax."LINE" DROP COLUMN "TEXT"')
    pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 50')
    pair.settle()
    assert rows(pair.parent, "SALE") == rows(pair.parent, "LINE") == []
    pair.parent.execute('ALTER TABLE ax."LINE" ADD COLUMN "TEXT" varchar(40)')
    pair.child.execute('UPDATE ax."SALE" SET "AMOUNT" = 60')
    pair.settle()
    assert (rows(pair.parent, "SALE"), rows(pair.parent, "LINE")) == ([(1, 60)], [(1, 1, "a")])
    assert pair.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 0
