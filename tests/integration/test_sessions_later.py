# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes later than it looks: old transactions, cut-off loads, cleanups and lost moments. One test a promise."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from dialects import count_up
from elapsed import let_pass
from session_world import World, both_engines, cut_off, rows

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import anew, cleanup, kept, retry, session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.cleanup import Keep
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = both_engines


def _table(name: str) -> Table:
    columns = {"ID": "bigint not null", "NAME": "nvarchar(20)"}
    return Table(TableName("ax", name), tuple(Column.parse(*column) for column in columns.items()), ("ID",))


TABLES = ITEM, SALE, CUSTOMER, NOTE, PRICE = tuple(map(_table, ("ITEM", "SALE", "CUSTOMER", "NOTE", "PRICE")))
DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name], 0, 2, 12)
BOTH = make_scope("customers", "bidirectional", [CUSTOMER.name, NOTE.name], 0, 3, 13)
OWN = Scope("prices", "download", (ScopeTable(PRICE.name, "parent", (Condition("NAME", ("x",)),)),), 0, 4, 14)
SCOPES = (DOWN, UP, BOTH, OWN)


def _put(db: Database, table: str, number: int, name: str) -> None:
    db.execute('INSERT INTO ax."%s" VALUES (?, ?)' % table, number, name)


def _name(db: Database, table: str, number: int, name: str) -> None:
    assert db.execute('UPDATE ax."%s" SET "NAME" = ? WHERE "ID" = ?' % table, name, number) == 1


def _same(pair: World) -> list[tuple[Any, ...]]:
    """The customers, which both sides have alike."""
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER")
    return rows(pair.parent, "CUSTOMER")


# ---- transactions that are older than what they overwrite


def test_an_old_transactions_late_edit_at_the_parent_is_not_silently_overwritten(
    pair: World, other_client: Callable[[str], Database]
) -> None:
    """It began before the version that the child has taken of the row was given, so its own version is a lower one."""
    _put(pair.parent, "CUSTOMER", 1, "first")
    pair.settle()
    late = other_client("parent")
    with late.transaction():
        _put(late, "ITEM", 1, "that is its number")
        _name(pair.parent, "CUSTOMER", 1, "second")
        pair.run(BOTH)
        assert rows(pair.child, "CUSTOMER") == [(1, "second")]
        _name(late, "CUSTOMER", 1, "third")
    _name(pair.child, "CUSTOMER", 1, "the child's")
    assert _same(pair) == [(1, "third")], "the parent wins"
    assert "the child's" in pair.parent.value("SELECT incoming_image FROM dbo.sync_conflict")


# ---- loads that were cut off


@pytest.mark.parametrize("deed", ["born", "changed", "gone"])
def test_what_the_child_does_while_a_merged_load_is_cut_off_stays(
    pair: World, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    """It has gone up before the load goes on, and is not in what had landed."""
    for number in (1, 2):
        _put(pair.parent, "CUSTOMER", number, "a")
        _put(pair.parent, "NOTE", number, "a")
    pair.settle()
    anew.reload(Pair(pair.child, pair.parent), BOTH)
    cut_off(monkeypatch, pair, BOTH, after=3)
    landing = json.loads(pair.child.value("SELECT landing FROM dbo.scope_info WHERE sync_scope_name = 'customers'"))
    assert landing["ax.CUSTOMER"], "the customers have landed, the notes have not"
    if deed == "born":
        _put(pair.child, "CUSTOMER", 3, "new")
    elif deed == "changed":
        _name(pair.child, "CUSTOMER", 2, "new")
    else:
        pair.child.execute('DELETE FROM ax."CUSTOMER" WHERE "ID" = 2')
    expected = {"born": [(1, "a"), (2, "a"), (3, "new")], "changed": [(1, "a"), (2, "new")], "gone": [(1, "a")]}
    assert _same(pair) == expected[deed]


@pytest.mark.parametrize(("scope", "held_back"), [(DOWN, True), (OWN, False)], ids=["behind another", "filtered"])
def test_what_is_cut_off_again_and_again_does_not_pile_up(
    pair: World,
    other_client: Callable[[str], Database],
    monkeypatch: pytest.MonkeyPatch,
    scope: Scope,
    held_back: bool,
) -> None:
    """An older transaction is open, or no version says where to go on: each session begins where the one before it did."""
    table = scope.tables[0].name.name
    older = other_client("parent")
    with older.transaction() if held_back else contextlib.nullcontext():
        if held_back:
            _put(older, "CUSTOMER", 9, "open")
        count_up(pair.parent, table, 6, "g, 'x'")
        landed = []
        for _try in range(4):
            cut_off(monkeypatch, pair, scope, after=3)
            landed.append(pair.child.value("SELECT count(*) FROM dbo.sync_staging"))
        assert landed[-1] == landed[1] <= 6
    pair.settle()
    assert rows(pair.child, table) == [(number, "x") for number in range(1, 7)]


# ---- cleanup


def test_what_a_child_has_deleted_itself_does_not_make_it_load_again_when_it_is_forgotten(pair: World) -> None:
    """Nothing comes down of it, so the child's anchor stays below it; and the child has heard of it, all the same."""
    for number in (1, 2):
        _put(pair.parent, "CUSTOMER", number, "a")
    pair.settle()
    pair.child.execute('DELETE FROM ax."CUSTOMER" WHERE "ID" = 1')
    pair.settle()
    let_pass(pair.parent)
    assert cleanup.run(pair.parent, Keep()).deletions == 1
    assert pair.pending == [], "there is nothing to load"
    pair.parent.execute('DELETE FROM ax."CUSTOMER" WHERE "ID" = 2')
    assert _same(pair) == []
    let_pass(pair.parent)
    assert cleanup.run(pair.parent, Keep()).deletions == 1
    marks = pair.parent.value("SELECT min_valid_anchor FROM dbo.scope_info WHERE sync_scope_name = 'customers'")
    assert marks is not None, "of that one a child that was away would not have heard"
    assert pair.pending == []


def test_a_deletion_that_is_forgotten_while_a_session_begins_is_heard_of(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child comes back in the very moment in which the parent has stopped waiting for it."""
    for number in (1, 2):
        _put(pair.parent, "ITEM", number, "a")
    pair.settle()
    pair.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 1')
    let_pass(pair.parent, silent=True)
    original = transfer.run

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.undo()
        assert cleanup.run(pair.parent, Keep()).deletions == 1
        return original(*arguments)

    monkeypatch.setattr(session.transfer, "run", overtaken)
    pair.run(DOWN)
    pair.settle()
    assert rows(pair.child, "ITEM") == rows(pair.parent, "ITEM") == [(2, "a")]


# ---- what the child has put aside


def _refused(pair: World) -> None:
    """A customer that was born at the child, and changed at the parent to what the child refuses."""
    _put(pair.child, "CUSTOMER", 1, "born")
    pair.settle()
    pair.child.execute("""ALTER TABLE ax."CUSTOMER" ADD CONSTRAINT no_bad CHECK ("NAME" <> 'bad')""")
    _name(pair.parent, "CUSTOMER", 1, "bad")
    pair.settle()
    assert pair.child.value("SELECT count(*) FROM dbo.sync_quarantine") == 1


def test_an_edit_of_the_parents_that_the_child_has_put_aside_is_not_silently_overwritten(pair: World) -> None:
    _refused(pair)
    _name(pair.child, "CUSTOMER", 1, "the child's")
    pair.settle()
    assert rows(pair.parent, "CUSTOMER") == [(1, "bad")], "the parent wins"
    assert "the child's" in pair.parent.value("SELECT incoming_image FROM dbo.sync_conflict")


def test_a_retry_does_not_undo_what_the_child_has_sent_up_since(pair: World) -> None:
    _refused(pair)
    pair.parent.execute("UPDATE dbo.scope_info SET config_data = replace(config_data, '\"parent\"', '\"child\"')")
    pair.child.execute("UPDATE dbo.scope_info SET config_data = replace(config_data, '\"parent\"', '\"child\"')")
    _name(pair.child, "CUSTOMER", 1, "the child's")
    pair.settle()
    assert rows(pair.parent, "CUSTOMER") == [(1, "the child's")]
    pair.child.execute('ALTER TABLE ax."CUSTOMER" DROP CONSTRAINT no_bad')
    opened = Pair(pair.child, pair.parent)
    assert [one["result"] for one in retry.retry(opened, kept.quarantined(opened))] == [retry.STORED]
    assert _same(pair) == [(1, "the child's")]
