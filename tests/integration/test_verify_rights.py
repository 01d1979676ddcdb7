# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service's account may not do any more, on either side, is named by ``retail-sync verify``, and stops the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from session_world import World, fill

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import Database, RetailError, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition, Member
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import session, verify
from ansible_collections.axops.retail.plugins.module_utils._sync.config import ServiceConfig
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


ITEM = _table("ITEM", "ID", ID="bigint not null", NAME="nvarchar(20)")
ASSORTED = _table("ASSORTED", "ITEM", ITEM="bigint not null")
SALE = _table("SALE", "ID", ID="bigint not null", AMOUNT="int")
TABLES = (ITEM, ASSORTED, SALE)
FILTER = (Condition("ID", member=Member(ASSORTED.name, "ITEM")),)
SCOPES = (
    Scope("items", "download", (ScopeTable(ITEM.name, "parent", FILTER),), scope_id=11),
    make_scope("sales", "upload", [SALE.name], 0, 2, 12),
)
ACCOUNT = 'Sync [1] "quoted"'


@pytest.fixture
def accounts(pair: World) -> Iterator[dict[str, Target]]:
    """The service's account on each side, which may do what the product's groups may, and no more."""
    made = {}
    for side in ("child", "parent"):
        db = getattr(pair, side)
        name = "%s %s" % (ACCOUNT, db.target.database)
        quoted = db.engine.names.quote(name)
        for statement in (
            "CREATE ROLE %s LOGIN PASSWORD 'secret'" % quoted,
            "GRANT USAGE ON SCHEMA ax, dbo TO %s" % quoted,
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ax, dbo TO %s" % quoted,
            "REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC" % db.engine.names.quote(db.target.database),
            "GRANT TEMPORARY ON DATABASE %s TO %s" % (db.engine.names.quote(db.target.database), quoted),
        ):
            db.execute(statement)
        made[side] = replace(db.target, user=name, password="secret")
    yield made
    for side, target in made.items():
        db = getattr(pair, side)
        quoted = db.engine.names.quote(target.user)
        db.execute("DROP OWNED BY %s" % quoted)
        db.execute("DROP ROLE %s" % quoted)


@pytest.fixture
def problems(accounts: dict[str, Target]) -> Callable[[], list[str]]:
    """Return a function that verifies the pair, and gives what it says of rights."""
    config = ServiceConfig(name="HOUSTON-000001", **accounts)
    return lambda: [text for text in verify.check(config)["problems"] if "lacks the right" in text]


def everything_moves(pair: World, accounts: dict[str, Target]) -> None:
    """An item goes down and a sale up, by the service's accounts."""
    fill(pair.parent, "ASSORTED", [(1,)])
    fill(pair.parent, "ITEM", [(1, "one")])
    fill(pair.child, "SALE", [(1, 10)])
    child, parent = (_engine.connect(accounts[side]) for side in ("child", "parent"))
    try:
        both = Pair(child, parent)
        for scope in both.scopes:
            session.run(both, scope)
    finally:
        child.close()
        parent.close()


LESS = [
    ("parent", 'REVOKE INSERT ON ax."SALE" FROM {who}', "insert on ax.SALE at the parent"),
    ("parent", 'REVOKE SELECT, DELETE ON ax."SALE_tracking" FROM {who}', "delete, select on ax.SALE_tracking at the parent"),
    ("parent", 'REVOKE SELECT ON ax."ASSORTED" FROM {who}', "select on ax.ASSORTED at the parent"),
    ("parent", "REVOKE SELECT, DELETE ON ax.{log} FROM {who}", "delete, select on ax.ASSORTED_moves_"),
    ("parent", "REVOKE INSERT ON dbo.sync_staging FROM {who}", "insert on dbo.sync_staging at the parent"),
    ("parent", 'REVOKE INSERT ON dbo."RETAILOFFLINESYNCLOG" FROM {who}', "insert on dbo.RETAILOFFLINESYNCLOG at the parent"),
    ("child", 'REVOKE SELECT ON ax."SALE" FROM {who}', "select on ax.SALE at the child"),
    ("child", 'REVOKE INSERT ON ax."ITEM" FROM {who}', "insert on ax.ITEM at the child"),
    ("child", "REVOKE USAGE ON SCHEMA ax FROM {who}", "usage on schema ax at the child"),
    ("child", "REVOKE SELECT ON dbo.sync_peer FROM {who}", "select on dbo.sync_peer at the child"),
    ("child", "REVOKE TEMPORARY ON DATABASE {database} FROM {who}", "temporary on database "),
]  # fmt: skip


@pytest.mark.parametrize(("side", "statement", "said"), LESS, ids=[said.partition(" at ")[0] for _, _, said in LESS])
def test_a_right_that_is_lacking_is_named_with_its_side(pair, accounts, problems, side, statement, said):
    db: Database = getattr(pair, side)
    quote = db.engine.names.quote
    logs = [quote(log.name) for log in pair.parent.engine.moves.read(pair.parent) if log.name.startswith("ASSORTED")]
    db.execute(statement.format(who=quote(accounts[side].user), database=quote(db.target.database), log=logs[0]))
    (problem,) = problems()
    assert "The account %s lacks the right to " % accounts[side].user in problem
    assert said in problem
    assert side in problem
    assert "Make it a member of Retail" in problem
    if "SYNCLOG" not in said:  # it is the service that writes that one
        with pytest.raises(RetailError):
            everything_moves(pair, accounts)


def test_who_only_reads_what_is_sent_lacks_nothing(pair, accounts, problems):
    """As headquarters' account in a store's database, and the registers' at their store."""
    for db, side, table in ((pair.child, "child", "SALE"), (pair.parent, "parent", "ITEM")):
        who = db.engine.names.quote(accounts[side].user)
        db.execute('REVOKE INSERT, UPDATE, DELETE ON ax."%s" FROM %s' % (table, who))
    everything_moves(pair, accounts)
    assert problems() == []
    assert (
        pair.child.value('SELECT count(*) FROM ax."ITEM"') == pair.parent.value('SELECT count(*) FROM ax."SALE"') == 1
    )


def test_many_tables_are_counted(pair, accounts, problems):
    who = pair.parent.engine.names.quote(accounts["parent"].user)
    pair.parent.execute("REVOKE DELETE ON ALL TABLES IN SCHEMA dbo FROM %s" % who)
    (problem,) = problems()
    assert "delete on 10 tables (dbo.RETAILOFFLINESYNCLOG, dbo.scope_info, " in problem


def test_rows_that_a_policy_hides_from_the_account_are_not_taken_for_deleted(pair, accounts):
    everything_moves(pair, accounts)
    for statement in ("ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY"):
        pair.parent.execute('ALTER TABLE ax."ITEM" ' + statement)
    pair.parent.execute('CREATE POLICY few ON ax."ITEM" USING ("ID" > 1)')
    pair.parent.execute("""UPDATE ax."ITEM_tracking" SET version = pg_current_xact_id()::text::bigint""")
    child, parent = (_engine.connect(accounts[side]) for side in ("child", "parent"))
    try:
        both = Pair(child, parent)
        with pytest.raises(RetailError, match="row-level security"):
            session.run(both, both.scopes[0])
    finally:
        child.close()
        parent.close()
    assert pair.child.value('SELECT count(*) FROM ax."ITEM"') == 1
