# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retail-sync quarantine and conflicts, from the command line to the databases."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from elapsed import let_pass
from session_world import Command, World, both_engines, rows, untracked

from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import cleanup
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable

pytestmark = both_engines


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(20)")
SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
LINE = _table("LINE", "ID NUMBER", ID="bigint not null", NUMBER="int not null", TEXT="nvarchar(max)")
CUSTOMER = _table("CUSTOMER", "ID", ID="bigint not null", NAME="nvarchar(20)")
ACCOUNT = _table("ACCOUNT", "ID", ID="bigint not null", BALANCE="numeric(32,16)", PAID="datetime", NOTE="nvarchar(max)")
TABLES = (ITEM, SALE, LINE, CUSTOMER, ACCOUNT)
DOWN = make_scope("items", "download", [ITEM.name], 0, 1, 11)
UP = make_scope("sales", "upload", [SALE.name, LINE.name], 0, 2, 12)
BOTH = Scope(
    "customers",
    "bidirectional",
    (ScopeTable(CUSTOMER.name, "parent"), ScopeTable(ACCOUNT.name, "parent")),
    0,
    3,
    13,
    True,
)
SCOPES = (DOWN, UP, BOTH)


@pytest.fixture
def poisoned(pair: World) -> World:
    """A sale of two tables, and one more, that the parent refuses."""
    pair.parent.execute('ALTER TABLE ax."LINE" ADD CONSTRAINT mended CHECK ("TEXT" <> \'bad\')')
    for number in (1, 2):
        with pair.child.transaction():
            pair.child.execute("""INSERT INTO ax."SALE" VALUES (?, 5)""", number)
            pair.child.execute("""INSERT INTO ax."LINE" VALUES (?, 1, 'bad'), (?, 2, 'good')""", number, number)
    pair.settle()
    assert rows(pair.parent, "SALE") == []
    return pair


def test_the_quarantine_is_listed_by_unit_with_the_side_and_the_message(poisoned: World, command: Command) -> None:
    code, document = command("quarantine", "list")
    assert code == 0
    units = document["units"]
    assert [(unit["side"], unit["scope"], unit["count"]) for unit in units] == [("parent", "sales", 3)] * 2
    assert {row["table"] for row in units[0]["rows"]} == {"ax.SALE", "ax.LINE"}
    assert {json.dumps(row["key"]) for row in units[1]["rows"]} >= {'{"ID": 2}', '{"ID": 2, "NUMBER": 1}'}
    assert all("mended" in row["error"] and "image" not in row for unit in units for row in unit["rows"])
    _code, shown = command("quarantine", "show", "--unit", units[0]["unit"])
    assert {"ID": 1, "NUMBER": 1, "TEXT": "bad"} in [row["image"] for row in shown["units"][0]["rows"]]


def test_a_text_that_is_no_unicode_is_shown_and_saved_as_json_spells_it(
    poisoned: World, command: Command, tmp_path: Path
) -> None:
    """Half of a pair of UTF-16, which SQL Server holds."""
    poisoned.parent.execute("UPDATE dbo.sync_quarantine SET row_image = REPLACE(row_image, 'bad', 'ba\\ud800d')")
    _code, document = command("quarantine", "show")
    texts = [row["image"].get("TEXT") for unit in document["units"] for row in unit["rows"]]
    assert texts.count("ba\ud800d") == 2
    saved = tmp_path / "discarded.json"
    assert command("quarantine", "discard", "--all", "--yes", "--save", str(saved))[0] == 0
    assert saved.read_text(encoding="utf-8").count("ba\\ud800d") == 2


def test_a_retry_stores_a_unit_whole_or_leaves_it_with_the_new_message(poisoned: World, command: Command) -> None:
    poisoned.parent.execute('ALTER TABLE ax."LINE" DROP CONSTRAINT mended')
    poisoned.parent.execute('ALTER TABLE ax."SALE" ADD CONSTRAINT other CHECK ("ID" <> 2)')
    code, document = command("quarantine", "retry", "--all")
    assert code == 1
    assert sorted(one["result"] for one in document["results"]) == ["back in quarantine", "stored"]
    assert rows(poisoned.parent, "SALE") == [(1, 5)]
    assert rows(poisoned.parent, "LINE") == [(1, 1, "bad"), (1, 2, "good")]
    _code, left = command("quarantine", "list")
    assert ["other" in row["error"] for unit in left["units"] for row in unit["rows"]] == [True] * 3
    poisoned.parent.execute('ALTER TABLE ax."SALE" DROP CONSTRAINT other')
    assert command("quarantine", "retry", "--scope", "sales")[0] == 0
    poisoned.settle()
    assert rows(poisoned.parent, "LINE") == rows(poisoned.child, "LINE")
    assert command("quarantine", "list")[1]["units"] == []


def test_a_retry_yields_to_what_came_later(poisoned: World, command: Command) -> None:
    """The corrected sale takes its whole unit out of quarantine; an old image never overwrites it."""
    poisoned.child.execute("""UPDATE ax."LINE" SET "TEXT" = 'right' WHERE "ID" = 1""")
    poisoned.settle()
    poisoned.parent.execute('ALTER TABLE ax."LINE" DROP CONSTRAINT mended')
    assert command("quarantine", "retry", "--all")[0] == 0
    assert rows(poisoned.parent, "LINE") == rows(poisoned.child, "LINE")
    assert rows(poisoned.parent, "LINE")[0] == (1, 1, "right")


@pytest.fixture
def bad_baseline(pair: World) -> World:
    """Two items of a first load that the child refuses: they stand alone in quarantine, without a transaction."""
    pair.child.execute('ALTER TABLE ax."ITEM" ADD CONSTRAINT mended CHECK ("NAME" <> \'bad\')')
    with untracked(pair.parent):
        pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'bad'), (2, 'bad')""")
    pair.child.execute("UPDATE dbo.scope_info SET anchor_in = NULL, anchor_seen = NULL WHERE sync_scope_name = 'items'")
    pair.settle()
    assert rows(pair.child, "ITEM") == []
    return pair


def test_a_retry_of_a_baseline_yields_to_the_version_that_arrived_since(bad_baseline: World, command: Command) -> None:
    bad_baseline.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'good' WHERE "ID" = 1""")
    bad_baseline.settle()
    assert rows(bad_baseline.child, "ITEM") == [(1, "good")]
    units = command("quarantine", "list")[1]["units"]
    assert sorted(unit["rows"][0]["key"]["ID"] for unit in units) == [1, 2], "the old image is there still"
    bad_baseline.child.execute('ALTER TABLE ax."ITEM" DROP CONSTRAINT mended')
    assert command("quarantine", "retry", "--all")[0] == 0
    assert rows(bad_baseline.child, "ITEM") == rows(bad_baseline.parent, "ITEM") == [(1, "good"), (2, "bad")]
    assert command("quarantine", "list")[1]["units"] == []


def test_a_retry_of_a_baseline_does_not_bring_back_what_was_deleted_and_forgotten(
    bad_baseline: World, command: Command
) -> None:
    bad_baseline.parent.execute("""DELETE FROM ax."ITEM" WHERE "ID" = 1""")
    bad_baseline.settle()
    let_pass(bad_baseline.parent)
    assert cleanup.run(bad_baseline.parent, cleanup.Keep()).deletions == 1
    bad_baseline.child.execute('ALTER TABLE ax."ITEM" DROP CONSTRAINT mended')
    assert command("quarantine", "retry", "--all")[0] == 0
    assert rows(bad_baseline.child, "ITEM") == rows(bad_baseline.parent, "ITEM") == [(2, "bad")]


def test_a_retry_waits_while_a_change_here_has_yet_to_go_up(pair: World, command: Command) -> None:
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'first')""")
    pair.settle()
    pair.child.execute('ALTER TABLE ax."CUSTOMER" ADD CONSTRAINT mended CHECK ("NAME" <> \'bad\')')
    pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'bad'""")
    pair.settle()
    pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'mine'""")
    pair.child.execute('ALTER TABLE ax."CUSTOMER" DROP CONSTRAINT mended')
    code, document = command("quarantine", "retry", "--all")
    assert (code, [one["result"] for one in document["results"]]) == (1, ["waiting"])
    assert rows(pair.child, "CUSTOMER") == [(1, "mine")]
    assert len(command("quarantine", "list")[1]["units"]) == 1
    pair.settle()
    assert _of_customer(command("conflicts", "show")[1], 1)["images"]["child"] == {"ID": 1, "NAME": "mine"}
    assert command("quarantine", "retry", "--all")[0] == 0, "the parent has judged it"
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == [(1, "bad")]
    pair.settle()
    assert command("quarantine", "list")[1]["units"] == []


def test_a_downloaded_row_is_kept_and_retried_at_the_child(pair: World, command: Command) -> None:
    pair.child.execute('ALTER TABLE ax."ITEM" ADD CONSTRAINT mended CHECK ("NAME" <> \'bad\')')
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'bad')""")
    pair.settle()
    assert [unit["side"] for unit in command("quarantine", "list")[1]["units"]] == ["child"]
    pair.child.execute('ALTER TABLE ax."ITEM" DROP CONSTRAINT mended')
    assert command("quarantine", "retry", "--table", "ax.ITEM")[0] == 0
    assert rows(pair.child, "ITEM") == [(1, "bad")]
    pair.settle()


def test_nothing_is_discarded_without_a_choice_and_a_yes(poisoned: World, command: Command, tmp_path: Path) -> None:
    unit = command("quarantine", "list")[1]["units"][0]["unit"]
    assert command("quarantine", "discard", "--yes")[0] == 2
    assert command("quarantine", "discard", "--unit", unit)[0] == 2
    assert command("quarantine", "discard", "--unit", "12345678", "--yes")[0] == 1
    assert poisoned.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 6
    saved = tmp_path / "discarded.json"
    assert command("quarantine", "discard", "--unit", unit, "--yes", "--save", str(saved))[0] == 0
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    images = [row["image"] for one in json.loads(saved.read_text())["discarded"] for row in one["rows"]]
    assert {"ID": 1, "AMOUNT": 5} in images and len(images) == 3
    assert poisoned.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 3
    assert command("quarantine", "discard", "--all", "--yes", "--save", str(saved))[0] == 1, "the file is there already"
    assert poisoned.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 3
    code, document = command("quarantine", "discard", "--all", "--yes")
    assert (code, document["discarded"], document["units"][0]["count"]) == (0, 3, 3)
    assert poisoned.parent.value("SELECT count(*) FROM dbo.sync_quarantine") == 0


@pytest.fixture
def disputed(pair: World) -> World:
    """Customer 1 was changed on both sides, and the parent won; customer 2 was deleted at the child, and the parent won."""
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'first'), (2, 'second')""")
    pair.settle()
    pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'child' WHERE "ID" = 1""")
    pair.child.execute("""DELETE FROM ax."CUSTOMER" WHERE "ID" = 2""")
    pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'parent'""")
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == [(1, "parent"), (2, "parent")]
    return pair


def test_the_image_that_lost_a_conflict_can_win_later(disputed: World, command: Command) -> None:
    _code, document = command("conflicts", "show")
    shown = [row for unit in document["units"] for row in unit["rows"]]
    assert {unit["side"] for unit in document["units"]} == {"parent"}
    assert [row["images"]["child"] for row in shown] == [{"ID": 1, "NAME": "child"}, None]
    assert [(row["winner"], row["loser"]) for row in shown] == [("parent", "child")] * 2
    assert command("conflicts", "retry", "--all")[0] == 0
    disputed.settle()
    assert rows(disputed.child, "CUSTOMER") == rows(disputed.parent, "CUSTOMER") == [(1, "child")]
    assert command("conflicts", "list")[1]["units"] == []


def _of_customer(document: dict[str, Any], number: int) -> dict[str, Any]:
    (row,) = [row for unit in document["units"] for row in unit["rows"] if row["key"] == {"ID": number}]
    return row


@pytest.mark.parametrize("side", ["parent", "child"])
def test_an_edit_made_since_a_conflict_is_not_overwritten_and_the_image_stays(
    disputed: World, command: Command, side: str
) -> None:
    getattr(disputed, side).execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'later' WHERE "ID" = 1""")
    disputed.settle()
    code, document = command("conflicts", "retry", "--table", "ax.CUSTOMER")
    assert code == 1
    assert {one["key"]["ID"]: one["result"] for one in document["results"]} == {1: "changed since", 2: "stored"}
    assert "--over-changes" in document["problems"][-1]
    disputed.settle()
    assert rows(disputed.child, "CUSTOMER") == rows(disputed.parent, "CUSTOMER") == [(1, "later")]
    assert _of_customer(command("conflicts", "show")[1], 1)["images"]["child"] == {"ID": 1, "NAME": "child"}


def test_a_row_deleted_since_a_conflict_does_not_come_back_unasked(disputed: World, command: Command) -> None:
    disputed.child.execute("""DELETE FROM ax."CUSTOMER" WHERE "ID" = 1""")
    disputed.settle()
    assert command("conflicts", "retry", "--all")[0] == 1
    disputed.settle()
    assert rows(disputed.parent, "CUSTOMER") == []


def test_the_image_that_lost_can_win_over_a_later_edit_which_is_kept_then(disputed: World, command: Command) -> None:
    disputed.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'later' WHERE "ID" = 1""")
    disputed.settle()
    assert command("conflicts", "retry", "--all", "--over-changes")[0] == 0
    disputed.settle()
    assert rows(disputed.child, "CUSTOMER") == rows(disputed.parent, "CUSTOMER") == [(1, "child")]
    shown = _of_customer(command("conflicts", "show")[1], 1)
    assert (shown["winner"], shown["loser"], shown["images"]["parent"]) == (
        "child",
        "parent",
        {"ID": 1, "NAME": "later"},
    )
    assert command("conflicts", "retry", "--all")[0] == 0
    disputed.settle()
    assert rows(disputed.child, "CUSTOMER") == rows(disputed.parent, "CUSTOMER") == [(1, "later")]
    assert command("conflicts", "list")[1]["units"] == []


@pytest.mark.parametrize("options", [(), ("--over-changes",)], ids=["changes stay", "over changes"])
def test_of_two_conflicts_about_one_row_the_later_image_wins_and_the_other_is_kept(
    pair: World, command: Command, options: tuple[str, ...]
) -> None:
    pair.parent.execute("""INSERT INTO ax."CUSTOMER" VALUES (1, 'at the beginning')""")
    pair.settle()
    for name in ("first", "second"):
        pair.child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = ? WHERE "ID" = 1""", name)
        pair.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = ? WHERE "ID" = 1""", "beats the " + name)
        pair.settle()
    assert len(command("conflicts", "list")[1]["units"]) == 2
    command("conflicts", "retry", "--all", *options)
    pair.settle()
    assert rows(pair.child, "CUSTOMER") == rows(pair.parent, "CUSTOMER") == [(1, "second")]
    kept = [row["images"][row["loser"]] for unit in command("conflicts", "show")[1]["units"] for row in unit["rows"]]
    assert {"ID": 1, "NAME": "first"} in kept


def test_an_image_that_wins_later_has_every_digit_that_it_had(pair: World, command: Command) -> None:
    pair.parent.execute("""INSERT INTO ax."ACCOUNT" VALUES (1, 0, NULL, NULL)""")
    pair.settle()
    exact = "1234567890123456.1234567890123456"
    pair.child.execute(
        """UPDATE ax."ACCOUNT" SET "BALANCE" = %s, "PAID" = '2026-11-27T07:08:09.123', "NOTE" = 'a ' WHERE "ID" = 1"""
        % exact
    )
    (expected,) = rows(pair.child, "ACCOUNT")
    pair.parent.execute("""UPDATE ax."ACCOUNT" SET "BALANCE" = 0.1, "NOTE" = 'A' WHERE "ID" = 1""")
    pair.settle()
    assert str(expected[1]) == exact
    assert command("conflicts", "retry", "--all")[0] == 0
    assert rows(pair.parent, "ACCOUNT") == [expected]
    pair.settle()
    assert rows(pair.child, "ACCOUNT") == [expected]


def test_an_edit_in_letters_case_alone_counts_as_one(disputed: World, command: Command) -> None:
    disputed.parent.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'Parent' WHERE "ID" = 1""")
    disputed.settle()
    results = {one["key"]["ID"]: one["result"] for one in command("conflicts", "retry", "--all")[1]["results"]}
    assert results[1] == "changed since"


def test_a_conflict_can_be_forgotten(disputed: World, command: Command) -> None:
    unit = command("conflicts", "list")[1]["units"][0]["unit"]
    code, document = command("conflicts", "discard", "--unit", unit, "--yes")
    assert (code, document["discarded"]) == (0, 1)
    assert document["units"][0]["rows"][0]["images"]["child"] == {"ID": 1, "NAME": "child"}
    assert disputed.parent.value("SELECT count(*) FROM dbo.sync_conflict") == 1


def test_verify_compares_and_repairs_from_the_command_line(pair: World, command: Command) -> None:
    pair.parent.execute("""INSERT INTO ax."ITEM" VALUES (1, 'one'), (2, 'two')""")
    pair.settle()
    with untracked(pair.child):
        pair.child.execute("""UPDATE ax."ITEM" SET "NAME" = 'wrong' WHERE "ID" = 2""")
    code, document = command("verify", "--digest", "--table", "ax.ITEM")
    (compared,) = document["comparison"]
    assert (code, compared["different"], compared["differences"]) == (
        1, 1, [{"key": {"ID": 2}, "what": "another image", "status": "different"}],
    )  # fmt: skip
    assert command("verify", "--digest", "--table", "ax.NOTHING")[0] == 1
    _code, document = command("verify", "--repair")
    assert [(row["side"], row["key"]) for row in document["repaired"]] == [("child", {"ID": 2}), ("parent", {"ID": 2})]
    pair.settle()
    assert command("verify", "--digest")[1]["comparison"][0]["different"] == 0
    assert rows(pair.child, "ITEM") == [(1, "one"), (2, "two")]
