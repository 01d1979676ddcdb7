# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that a channel receives: its own, its store's, its assortment's; they enter and leave with what decides that.

HQ has two channels, 1 and 2. Channel 1 has a register, which holds what its channel holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from dialects import end_connection, needs_texts_from_json, say
from elapsed import let_pass
from offline_world import Couple, make_tables
from session_world import both_engines

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, RetailError, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition, Filter, Member
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import cleanup, compare, session, transfer, verify
from ansible_collections.axops.retail.plugins.module_utils._sync.cleanup import Keep
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = both_engines


def table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


TENDER = table("TENDER", "ID", ID="bigint not null", CHANNEL="bigint", NAME="nvarchar(20) not null default ''")
CASH = table("CASH", "STORE ID", STORE="nvarchar(10) not null", ID="int not null", AMOUNT="int not null default 0")
PRODUCT = table("PRODUCT", "ID", ID="bigint not null", NAME="nvarchar(20) not null default ''")
LOOKUP = table("LOOKUP", "ID", ID="bigint not null", ASSORTMENT="bigint not null", PRODUCT="bigint not null")
UNIT = table("UNIT", "ASSORTMENT CHANNEL", ASSORTMENT="bigint not null", CHANNEL="bigint not null")
CARD = table("CARD", "ID", ID="bigint not null", CHANNEL="bigint", NAME="nvarchar(20) not null default ''")
TABLES = (TENDER, CASH, PRODUCT, LOOKUP, UNIT, CARD)


def own(*channels: int) -> Filter:
    return (Condition("CHANNEL", tuple(map(str, channels))),)


def assortment(*channels: int) -> Filter:
    units = Member(UNIT.name, "ASSORTMENT", own(*channels))
    return (Condition("ID", member=Member(LOOKUP.name, "PRODUCT", (Condition("ASSORTMENT", member=units),))),)


def scopes(channel: int, **changes: Filter) -> list[Scope]:
    filters = {
        "TENDER": own(channel),
        "CASH": (Condition("STORE", ("S%d" % channel,)),),
        "PRODUCT": assortment(channel),
        "CARD": own(channel),
        **changes,
    }
    down = make_scope("down", "download", [TENDER.name, CASH.name, PRODUCT.name], 0, 1, 1)
    both = make_scope("both", "bidirectional", [CARD.name], 0, 2, 2)
    return [
        replace(
            scope, tables=tuple(ScopeTable(item.name, item.winner, filters[item.name.name]) for item in scope.tables)
        )
        for scope in (down, both)
    ]


class Chain:
    """HQ, its two channels, and a register of the first."""

    def __init__(self, hq: Target, first: Target, second: Target, register: Target) -> None:
        self.hq, self.first, self.second, self.register = map(connect, (hq, first, second, register))
        self.one = Couple(self.first, self.hq, Identity("C1"))
        self.two = Couple(self.second, self.hq, Identity("C2"))
        self.till = Couple(self.register, self.first, Identity("R1", "S1", "000001"))
        make_tables(self.hq, TABLES)

    def provision(self) -> None:
        self.one.provision(scopes(1))
        self.two.provision(scopes(2))
        self.till.provision(
            [replace(scope, tables=tuple(replace(item, filter=()) for item in scope.tables)) for scope in scopes(1)]
        )

    def sync(self) -> None:
        for _round in range(2):
            for couple in (self.till, self.one, self.two, self.till):
                couple.synchronise(rounds=5)

    def check(self, undecided: bool = False) -> None:
        """Every channel has what its filters let through, its register the same, and another round moves nothing.

        undecided: a transaction is open at HQ. SQL Server does not tell what a snapshot saw, so that what is younger is pending.
        """
        self.sync()
        for name in ("TENDER", "CASH", "PRODUCT", "CARD"):
            for channel, db in ((1, self.first), (2, self.second)):
                assert rows(db, name) == self.wanted(name, channel), (name, channel)
            assert rows(self.register, name) == rows(self.first, name), name
        if not undecided or self.hq.target.engine == "postgresql":
            assert not (self.one.pending or self.two.pending or self.till.pending)

    def wanted(self, name: str, channel: int) -> list[tuple[Any, ...]]:
        condition = {
            "CASH": "\"STORE\" = 'S%d'" % channel,
            "PRODUCT": '"ID" IN (SELECT l."PRODUCT" FROM ax."LOOKUP" l JOIN ax."UNIT" u ON u."ASSORTMENT" = l."ASSORTMENT" '
            'WHERE u."CHANNEL" = %d)' % channel,
        }.get(name, '"CHANNEL" = %d' % channel)
        return rows(self.hq, name, condition)

    def close(self) -> None:
        for db in (self.hq, self.first, self.second, self.register):
            db.close()


def rows(db: Database, name: str, condition: str = "1 = 1") -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in db.query('SELECT * FROM ax."%s" WHERE %s' % (name, condition)))


def add(db: Database, name: str, *values: tuple[Any, ...]) -> None:
    for row in values:
        db.execute('INSERT INTO ax."%s" VALUES (%s)' % (name, ", ".join("?" for _value in row)), *row)


@pytest.fixture
def chain(new_place: Callable[..., Target]) -> Iterator[Chain]:
    made = Chain(new_place(), new_place(apart=True), new_place(apart=True), new_place())
    add(made.hq, "TENDER", (1, 1, "a"), (2, 2, "b"), (3, None, "nobody's"))
    add(made.hq, "CASH", ("S1", 1, 10), ("S2", 1, 20))
    add(made.hq, "PRODUCT", (1, "one"), (2, "two"), (3, "three"))
    add(made.hq, "UNIT", (10, 1), (20, 2))
    add(made.hq, "LOOKUP", (1, 10, 1), (2, 20, 2), (3, 10, 3), (4, 20, 3))
    add(made.hq, "CARD", (1, 1, "a"), (2, 2, "b"))
    made.provision()
    made.check()
    yield made
    made.close()


def test_a_first_load_brings_what_the_filter_lets_through(chain: Chain) -> None:
    assert rows(chain.first, "TENDER") == [(1, 1, "a")]
    assert rows(chain.first, "CASH") == [("S1", 1, 10)]
    assert [row[0] for row in rows(chain.first, "PRODUCT")] == [1, 3]
    assert [row[0] for row in rows(chain.second, "PRODUCT")] == [2, 3]
    # Nothing of the others came and went.
    assert chain.first.value('SELECT count(*) FROM ax."PRODUCT_tracking" WHERE sync_row_is_tombstone = 1') == 0


def test_a_row_enters_leaves_and_enters_again(chain: Chain) -> None:
    for channel in (2, 1, None, 1, 2):
        chain.hq.execute('UPDATE ax."TENDER" SET "CHANNEL" = ? WHERE "ID" = 1' if channel else
                         'UPDATE ax."TENDER" SET "CHANNEL" = NULL WHERE "ID" = 1', *([channel] if channel else []))  # fmt: skip
        chain.check()
    chain.hq.execute('UPDATE ax."CASH" SET "STORE" = \'S2\', "ID" = 9 WHERE "STORE" = \'S1\'')
    chain.hq.execute('DELETE FROM ax."TENDER" WHERE "ID" = 2')
    add(chain.hq, "TENDER", (2, 1, "born again elsewhere"))
    chain.check()


def test_a_row_that_stands_still_moves_with_its_membership(chain: Chain) -> None:
    changes = (
        'DELETE FROM ax."LOOKUP" WHERE "ID" = 1',
        'INSERT INTO ax."LOOKUP" VALUES (5, 10, 1)',
        'UPDATE ax."LOOKUP" SET "ASSORTMENT" = 20 WHERE "ID" = 5',
        'INSERT INTO ax."UNIT" VALUES (20, 1)',
        'DELETE FROM ax."UNIT" WHERE "ASSORTMENT" = 10',
        'UPDATE ax."UNIT" SET "ASSORTMENT" = 10 WHERE "CHANNEL" = 1',
    )
    for change in changes:
        chain.hq.execute(change)
        chain.check()
    # SQL Server lets no trigger see a TRUNCATE.
    say(chain.hq, postgresql='TRUNCATE ax."LOOKUP"', mssql='DELETE FROM ax."LOOKUP"')
    chain.check()


def test_a_row_and_both_links_to_it_go_between_two_sessions(chain: Chain) -> None:
    with chain.hq.transaction():
        chain.hq.execute('DELETE FROM ax."UNIT" WHERE "CHANNEL" = 1')
        chain.hq.execute('DELETE FROM ax."LOOKUP" WHERE "ASSORTMENT" = 10')
        chain.hq.execute('DELETE FROM ax."PRODUCT" WHERE "ID" = 1')
    chain.check()
    assert rows(chain.first, "PRODUCT") == []


def test_others_rows_cause_no_session_and_no_deletion(chain: Chain) -> None:
    chain.hq.execute('UPDATE ax."TENDER" SET "NAME" = \'new\' WHERE "CHANNEL" = 2')
    add(chain.hq, "TENDER", (4, 2, "c"))
    chain.hq.execute('DELETE FROM ax."TENDER" WHERE "ID" = 4')
    chain.hq.execute('DELETE FROM ax."LOOKUP" WHERE "ASSORTMENT" = 20')
    add(chain.hq, "PRODUCT", (7, "seven"))
    assert chain.one.pending == []
    assert chain.two.pending == ["down"]
    chain.check()
    assert chain.first.value('SELECT count(*) FROM ax."TENDER_tracking" WHERE sync_row_is_tombstone = 1') == 0


def test_a_membership_and_its_row_in_transactions_that_do_not_see_each_other(chain: Chain) -> None:
    with connect(chain.hq.target) as slow:
        with slow.transaction():
            slow.execute('INSERT INTO ax."LOOKUP" VALUES (8, 10, 8)')
            slow.execute('DELETE FROM ax."LOOKUP" WHERE "ID" = 1')
            add(chain.hq, "PRODUCT", (8, "eight"))
            chain.hq.execute('UPDATE ax."PRODUCT" SET "NAME" = \'later\' WHERE "ID" = 1')
            chain.check(undecided=True)
            assert (1, "later") in rows(chain.first, "PRODUCT")
        chain.check()
    assert [row[0] for row in rows(chain.first, "PRODUCT")] == [3, 8]


class Killed(BaseException):
    """The process ends here, as far as a test in the same process can end it."""


def test_a_session_that_is_cut_off_anywhere_is_made_good(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BATCH_ROWS", 1)
    monkeypatch.setattr(transfer, "BATCH_SIZE", 1)
    original, left, kills = Database._run, 0, 0

    def run(db: Database, *arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return original(db, *arguments)

    for cut in range(3, 60, 4):
        # Each time the two assortments swap all products, and the channels their tenders.
        chain.hq.execute('UPDATE ax."LOOKUP" SET "ASSORTMENT" = 30 - "ASSORTMENT"')
        chain.hq.execute('UPDATE ax."TENDER" SET "CHANNEL" = 3 - "CHANNEL"')
        for product in (3, 1, 2):
            chain.hq.execute('UPDATE ax."PRODUCT" SET "NAME" = ? WHERE "ID" = ?', str(cut), product)
        left = cut
        monkeypatch.setattr(Database, "_run", run)
        try:
            chain.one.synchronise()
        except Killed:
            kills += 1
        monkeypatch.setattr(Database, "_run", original)
        for db in (chain.first, chain.hq):
            end_connection(db)
            if db.target.engine == "postgresql":
                db.execute("DISCARD TEMP")
        chain.check()
    assert kills > 10


def test_a_bidirectional_row_that_leaves_while_its_channel_edits_it(chain: Chain) -> None:
    chain.first.execute('UPDATE ax."CARD" SET "NAME" = \'edited\' WHERE "ID" = 1')
    chain.hq.execute('UPDATE ax."CARD" SET "CHANNEL" = 2 WHERE "ID" = 1')
    chain.check()
    assert rows(chain.second, "CARD") == [(1, 2, "a"), (2, 2, "b")]
    assert tuple(chain.hq.row("SELECT kind, winner FROM dbo.sync_conflict")) == ("update-update", "parent")
    # The channel moves one of its rows away itself, and makes one that is another's.
    chain.hq.execute('UPDATE ax."CARD" SET "CHANNEL" = 1')
    chain.check()
    chain.register.execute('UPDATE ax."CARD" SET "CHANNEL" = 2 WHERE "ID" = 2')
    add(chain.first, "CARD", (5, 2, "not mine"), (6, 1, "mine"))
    chain.check()
    assert rows(chain.first, "CARD") == [(1, 1, "a"), (6, 1, "mine")]
    assert rows(chain.second, "CARD") == [(2, 2, "b"), (5, 2, "not mine")]


def test_a_channel_that_gets_another_filter_takes_the_table_anew(chain: Chain) -> None:
    everything: Filter = ()
    wanted = {"TENDER": own(1, 2), "PRODUCT": assortment(2), "CASH": everything}
    titles = chain.one.provision(scopes(1, **wanted))
    assert titles == [
        "Change the scope 'down' of C1 in the channel database", "Change the scope 'down' in the offline database",
    ]  # fmt: skip
    assert chain.one.provision(scopes(1, **wanted)) == []
    chain.sync()
    assert [row[0] for row in rows(chain.first, "TENDER")] == [1, 2]
    assert [row[0] for row in rows(chain.first, "PRODUCT")] == [2, 3]
    assert rows(chain.first, "CASH") == rows(chain.hq, "CASH")
    assert rows(chain.register, "PRODUCT") == rows(chain.first, "PRODUCT")
    chain.one.provision(scopes(1))
    chain.check()


def test_logs_of_moves_go_with_the_last_filter_that_needs_them(chain: Chain) -> None:
    logs = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME LIKE '%_moves_%'"
    assert chain.hq.value(logs) == 6
    nothing: dict[str, Filter] = dict.fromkeys(("TENDER", "CASH", "PRODUCT", "CARD"), ())
    chain.one.provision(scopes(1, **nothing))
    assert chain.hq.value(logs) == 6
    titles = chain.two.provision(scopes(2, **nothing))
    assert sum(title.startswith("Remove the log of moves") for title in titles) == 6
    assert chain.hq.value(logs) == 0
    chain.sync()
    assert rows(chain.second, "TENDER") == rows(chain.hq, "TENDER")


def test_a_log_that_lost_a_trigger_is_mended_and_the_table_taken_anew(chain: Chain) -> None:
    known = {"postgresql": "SELECT tgname AS name FROM pg_trigger", "mssql": "SELECT name FROM sys.triggers"}
    triggers = "SELECT t.name FROM (%s) AS t WHERE t.name LIKE 'LOOKUP_moves_%%_delete'" % known[chain.hq.target.engine]
    (name,) = (row[0] for row in chain.hq.query(triggers))
    say(chain.hq, postgresql='DROP TRIGGER "%s" ON ax."LOOKUP"' % name, mssql='DROP TRIGGER ax."%s"' % name)
    chain.hq.execute('DELETE FROM ax."LOOKUP" WHERE "ID" = 1')
    titles = chain.one.provision(scopes(1))
    assert [title.split(" ax.")[0] for title in titles] == [
        "Repair the log of moves", "Change the scope 'down' in the offline database",
    ]  # fmt: skip
    chain.sync()
    assert [row[0] for row in rows(chain.first, "PRODUCT")] == [3]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Condition("COLOUR", ("1",)), "column COLOUR of the table ax.TENDER"),
        (Condition("ID", ("1; DROP TABLE x",)), "Give it a whole number"),
        (Condition("ID", member=Member(TableName("ax", "NOWHERE"), "ID")), "names the table ax.NOWHERE"),
        (Condition("ID", member=Member(LOOKUP.name, "COLOUR")), "column COLOUR of the table ax.LOOKUP"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(chain: Chain, condition: Condition, message: str) -> None:
    with pytest.raises(RetailError, match=message):
        chain.one.plan(scopes(1, TENDER=(condition,)))


def test_values_with_any_sign_are_compared_as_they_are(chain: Chain) -> None:
    needs_texts_from_json(chain.hq)
    odd = "S'%?{}\\\""
    add(chain.hq, "CASH", (odd, 1, 1))
    chain.one.provision(scopes(1, CASH=(Condition("STORE", (odd, "S1")),)))
    chain.sync()
    assert len(rows(chain.first, "CASH")) == 2
    chain.hq.execute('UPDATE ax."CASH" SET "AMOUNT" = 5 WHERE "STORE" = ?', odd)
    pair = Pair(chain.first, chain.hq)
    assert [scope.name for scope in session.pending(pair, pair.scopes)] == ["down"]
    chain.one.synchronise()
    assert (odd, 1, 5) in rows(chain.first, "CASH")


def test_the_two_sides_are_compared_by_what_the_filter_lets_through(chain: Chain) -> None:
    pair = Pair(chain.first, chain.hq)

    def differences() -> dict[str, list[tuple[str, str]]]:
        found = compare.compare(pair, lambda _scope, _table: True, 10, pause=0)
        return {str(one.shared.name): [(row.what, row.status) for row in one.found] for one in found if one.found}

    assert differences() == {}
    counted = {table["table"]: table["rows"] for table in verify._tables(pair)}
    assert counted["ax.PRODUCT"] == {"child": 2, "parent": 2}
    chain.hq.execute('DELETE FROM ax."LOOKUP" WHERE "ID" = 1')
    assert differences() == {"ax.PRODUCT": [("missing at the parent", "waiting")]}
    chain.check()
    pair.child.execute('DELETE FROM ax."TENDER"')
    assert differences() == {"ax.TENDER": [("missing at the child", "different")]}


# ---- moves that everybody has heard of


def _moves(db: Database) -> int:
    return sum(
        int(db.value("SELECT COUNT(*) FROM %s" % db.engine.names.quote(*log))) for log in db.engine.moves.read(db)
    )


def test_a_move_is_forgotten_when_it_is_old_and_every_live_channel_has_taken_it(chain: Chain) -> None:
    let_pass(chain.hq)
    cleanup.run(chain.hq, Keep())
    chain.hq.execute('UPDATE ax."TENDER" SET "CHANNEL" = 2 WHERE "ID" = 1')
    chain.hq.execute('DELETE FROM ax."LOOKUP" WHERE "ID" = 3')
    made = _moves(chain.hq)
    assert made > 0
    assert cleanup.run(chain.hq, Keep()).moves == 0, "they are young"
    let_pass(chain.hq)
    chain.two.synchronise(rounds=5)
    assert cleanup.run(chain.hq, Keep()).moves == 0, "the first channel has not taken them"
    chain.check()
    assert cleanup.run(chain.hq, Keep()).moves == made
    assert _moves(chain.hq) == 0
    chain.check()


def test_a_channel_away_for_longer_than_moves_are_kept_loads_again(chain: Chain) -> None:
    chain.hq.execute('UPDATE ax."TENDER" SET "CHANNEL" = 2 WHERE "ID" = 1')
    chain.hq.execute('DELETE FROM ax."LOOKUP" WHERE "ID" = 3')
    chain.two.synchronise(rounds=5)
    let_pass(chain.hq, silent=True)
    cleaned = cleanup.run(chain.hq, Keep())
    assert (cleaned.stale, cleaned.moves > 0) == (["C1", "C2"], True)
    chain.check()
