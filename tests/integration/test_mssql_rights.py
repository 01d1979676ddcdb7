# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What accounts may do on SQL Server, tried: the synchronisation's, headquarters', a till's; and logins that need mending."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import mssql_world as world
import pytest
from offline_world import CHANNEL_TABLES, ROOT

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._access import plan as access
from ansible_collections.axops.retail.plugins.module_utils._engine import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import ConnectFailed, StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine._model import TableName
from ansible_collections.axops.retail.plugins.module_utils._engine._rights import Securable
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._schema import channel, package
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata, session
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = world.needs_server
ENGINE = world.ENGINE
GROUPS = ("RetailOfflineSyncUsers", "POSUsers", "RetailDataSyncUsers")
MORE_TABLES = (
    *("ax.CUSTTABLE", "ax.RETAILTRANSACTIONSERVICEPROFILE", "dbo.RETAILTRANSACTION", "dbo.RETAILTRANSACTIONTABLEEX5"),
    *("dbo.RETAILTRANSACTIONLINEVOIDED", "dbo.RETAILTRANSACTIONRETURNENTRYSUM", "dbo.RETAILOFFLINESYNCLOG"),
)
EVERYTHING = frozenset({"select", "insert", "update", "delete"})
CUST = world.table("CUST", "ID", ID="bigint not null", NAME="nvarchar(20)")


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    with _engine.connect(world.server()) as db:
        yield db


@pytest.fixture(scope="module")
def logins(server: Database) -> Iterator[Callable[[], tuple[str, str]]]:
    """Return a function that makes up a login's name and password; what was made of them is dropped at the end."""
    made: list[str] = []

    def make() -> tuple[str, str]:
        made.append("axops_%s" % secrets.token_hex(5))
        return made[-1], "Aa1!" + secrets.token_hex(12)

    yield make
    for name in made:
        for statement in ENGINE.access.drop_login(name):
            server.execute(statement)


def part_of_the_schema() -> package.Package:
    whole = package.load([str(ROOT / "schemas" / "ax2012r3")])
    wanted = {TableName.parse(name) for name in (*CHANNEL_TABLES.split(), *MORE_TABLES)}
    return package.Package(
        whole.release, whole.title, {name: table for name, table in whole.tables.items() if name in wanted}
    )


class Shop:
    """A channel database whose groups have one member each.

    :param members: the login of each group, and its password.
    """

    def __init__(self, server: Database, db: Database, members: dict[str, tuple[str, str]]) -> None:
        self.server, self.db, self.members = server, db, members
        self.package = part_of_the_schema()

    @property
    def wanted(self) -> access.Wanted:
        return access.Wanted(
            "channel",
            {group: [login] for group, (login, _password) in self.members.items()},
            dict(self.members.values()),
        )

    def plan(self) -> Plan:
        """What retail_channel_db plans."""
        actual = channel.read(self.db)
        plan = channel.database_plan(ENGINE, self.db.target.database, actual, self.package, "server", "database", {})
        coming = channel.coming_tables(actual, self.package)
        state = access.read(self.server, self.db, self.wanted)
        plan.extend(
            access.access_plan(
                ENGINE, state, self.wanted, self.db.target.database, actual.tables, coming, "database", "server"
            )
        )
        return plan

    def converge(self) -> list[str]:
        plan = self.plan()
        plan.apply({"server": self.server, "database": self.db}.__getitem__)
        return plan.titles

    def left_to_do(self) -> list[str]:
        return world.left_to_do(self.db, self.plan().titles)

    def member(self, group: str) -> Database:
        """The connection of a group's member."""
        login, password = self.members[group]
        return _engine.connect(replace(self.db.target, user=login, password=password))


@pytest.fixture(scope="module")
def shop(server: Database, logins: Callable[[], tuple[str, str]]) -> Iterator[Shop]:
    with world.fresh() as db:
        made = Shop(server, db, {group: logins() for group in GROUPS})
        made.converge()
        assert made.left_to_do() == []
        yield made


def refused(db: Database, *statements: str) -> None:
    for statement in statements:
        with pytest.raises(StatementFailed) as failure:
            world.run(db, statement)
        assert failure.value.kind == "denied", (statement, failure.value)


def test_data_sync_users_only_read_transactions(shop: Shop) -> None:
    with shop.member("RetailDataSyncUsers") as db:
        assert world.rows(db, "select count(*) from {ax.RETAILTRANSACTIONTABLE}") == [(0,)]
        refused(db, "delete from {ax.RETAILTRANSACTIONTABLE}", "delete from {ax.RETAILPOSBATCHTABLE}")
        refused(db, "insert into {ax.RETAILTRANSACTIONTABLE} ({TRANSACTIONID}) values ('T1')")
        refused(db, "update {ax.RETAILTRANSACTIONTABLE} set {STORE} = 'X'")
        # In the schema of the books.
        for name in MORE_TABLES[2:-1]:
            assert world.rows(db, "select count(*) from {%s}" % name) == [(0,)]
            refused(db, "delete from {%s}" % name)
        world.run(db, "delete from {dbo.RETAILOFFLINESYNCLOG}")
        world.run(db, "delete from {ax.CUSTTABLE}")
        world.run(db, "delete from {ax.RETAILTRANSACTIONSERVICEPROFILE}")


def test_the_till_sells_and_changes_no_table(shop: Shop) -> None:
    with shop.member("POSUsers") as db:
        world.run(db, "delete from {ax.RETAILTRANSACTIONTABLE}")
        refused(db, "drop table {ax.RETAILTRANSACTIONTABLE}", "create table {ax.MINE} (a int)")


def test_the_sync_account_has_no_rights_on_the_server_and_changes_no_table(shop: Shop) -> None:
    with shop.member("RetailOfflineSyncUsers") as db:
        for role in ("sysadmin", "serveradmin", "securityadmin", "dbcreator"):
            assert not db.value("SELECT IS_SRVROLEMEMBER('%s')" % role), role
        assert not db.value("SELECT IS_MEMBER('db_owner')")
        rights = "SELECT HAS_PERMS_BY_NAME('[ax].[CUSTTABLE]', 'OBJECT', '%s')"
        held = {
            right for right in ("ALTER", "CONTROL", *(one.upper() for one in EVERYTHING)) if db.value(rights % right)
        }
        assert held == {right.upper() for right in EVERYTHING}
        asked = {Securable.table(TableName("ax", "CUSTTABLE")): EVERYTHING | {"alter"}}
        assert ENGINE.access.lacking(db, asked) == {one: {"alter"} for one in asked}
        refused(db, "create table {dbo.MINE} (a int)", "drop table {ax.CUSTTABLE}", "truncate table {ax.CUSTTABLE}")
        db.execute("CREATE TABLE #landed (a int)")
        # What the administrator notes of the database when a pair is provisioned is what the service finds.
        assert ENGINE.marks.incarnation(db) == ENGINE.marks.incarnation(shop.db)


# ---- a session with one right less


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A child and its parent, open for the administrator, with some customers on both sides."""
    with ExitStack() as stack:
        child, parent = (stack.enter_context(world.fresh()) for _side in range(2))
        for db in (child, parent):
            world.make(db, [CUST])
        made = world.paired(child, parent, [world.scope("both", "bidirectional", CUST)])
        world.run(parent, "insert into {ax.CUST} ({ID}, {NAME}) values (1, 'stays'), (2, 'changes')")
        world.synchronise(made)
        yield made


#: Rights by schema that the account of the synchronisation has, and a login that lacks one of them.
LESS = [(schema, right) for schema in ("ax", "dbo") for right in sorted(EVERYTHING)]


@pytest.mark.parametrize(("schema", "right"), LESS, ids=["%s on %s" % (right, schema) for schema, right in LESS])
def test_a_session_needs_each_of_the_rights(
    pair: Pair, logins: Callable[[], tuple[str, str]], schema: str, right: str
) -> None:
    """An insertion, a change and a deletion come down, and one goes up; with the right all of it, without it nothing."""
    number = 10 * (1 + LESS.index((schema, right)))
    login, password = logins()
    rights = {"ax": EVERYTHING, "dbo": EVERYTHING}
    rights[schema] = EVERYTHING - {right}
    for statement in (
        *ENGINE.access.create_login(login, password),
        *ENGINE.access.create_user(login),
        *(
            one
            for name, some in rights.items()
            for one in ENGINE.access.grant(login, some, [Securable("schema", name)])
        ),
    ):
        pair.child.execute(statement)
    world.run(pair.parent, "insert into {ax.CUST} ({ID}, {NAME}) values (%d, 'goes')" % number)
    world.synchronise(pair)
    world.run(pair.parent, "insert into {ax.CUST} ({ID}, {NAME}) values (%d, 'new')" % (number + 1))
    world.run(pair.parent, "update {ax.CUST} set {NAME} = 'changed %d' where {ID} = 2" % number)
    world.run(pair.parent, "delete from {ax.CUST} where {ID} = %d" % number)
    world.run(pair.child, "insert into {ax.CUST} ({ID}, {NAME}) values (%d, 'up')" % (number + 2))
    with _engine.connect(replace(pair.child.target, user=login, password=password)) as child:
        if schema == "ax" and right in _JOINED and _allows(child, _JOINED[right]):
            pytest.skip("this server does not ask for the right to %s where the statement has a join" % right)
        with pytest.raises(StatementFailed) as failure:
            narrow = Pair(child, pair.parent)
            session.run(narrow, narrow.scopes[0])
        assert failure.value.kind == "denied", failure.value
        for statement in ENGINE.access.grant(login, {right}, [Securable("schema", schema)]):
            pair.child.execute(statement)
        whole = Pair(child, pair.parent)
        world.synchronise(whole)
        assert session.pending(whole, whole.scopes) == []
    everybody = [world.rows(db, "select {ID}, {NAME} from {ax.CUST} order by {ID}") for db in (pair.child, pair.parent)]
    assert everybody[0] == everybody[1]
    assert {number + 1: "new", 2: "changed %d" % number, number + 2: "up"}.items() <= dict(everybody[0]).items()
    assert number not in dict(everybody[0])


#: Statements of the forms that apply rows.
_JOINED = {
    "delete": "delete r from {ax.CUST} as r join {ax.CUST} as i on i.{ID} = r.{ID} where 1 = 0",
    "update": "update r set {NAME} = '' from {ax.CUST} as r join {ax.CUST} as i on i.{ID} = r.{ID} where 1 = 0",
}


def _allows(db: Database, statement: str) -> bool:
    try:
        world.run(db, statement)
    except StatementFailed:
        return False
    return True


# ---- tables that come later


#: What roles have been given, by table, and what they then have on what comes to stand beside CUST.
HANDED_ON = {
    "reader": ({"CUST": {"select"}}, {"select"}),
    "writer": ({"CUST": EVERYTHING}, EVERYTHING),
    "seller": ({"CUST": {"insert", "update"}}, {"insert", "update"}),
    "keeper": ({"CUST": {"select"}, "LOG": EVERYTHING, "ITEM": EVERYTHING}, EVERYTHING),
    "books": ({"CUST": {"select"}, "LOG": EVERYTHING}, {"select"}),
    "partner": ({"CUST": {"select"}, "ITEM": EVERYTHING}, {"select"}),
    "stranger": ({"ITEM": EVERYTHING}, frozenset()),
}
PLACES = {"CUST": CUST.name, "ITEM": TableName("ax", "ITEM"), "LOG": metadata.LOG}


@pytest.fixture
def granted(logins: Callable[[], tuple[str, str]]) -> Iterator[tuple[Database, dict[str, tuple[str, str]]]]:
    """A database with those roles, and a member of each."""
    with world.fresh() as db:
        world.make(db, [CUST, world.table("ITEM", "ID", ID="bigint not null")], tracked=False)
        members = {role: logins() for role in HANDED_ON}
        for role, (login, password) in members.items():
            rights = HANDED_ON[role][0]
            for statement in (
                *ENGINE.access.create_role(role),
                *ENGINE.access.create_login(login, password),
                *ENGINE.access.create_user(login),
                *ENGINE.access.add_member(role, login),
                *(
                    one
                    for name, some in rights.items()
                    for one in ENGINE.access.grant(role, some, [Securable.table(PLACES[name])])
                ),
            ):
                db.execute(statement)
        yield db, members


def test_what_comes_to_stand_beside_a_table_is_written_by_those_who_write_it(
    granted: tuple[Database, dict[str, tuple[str, str]]],
) -> None:
    db, members = granted
    statements = ENGINE.tracking.create(CUST)
    if not db.value("SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1"):
        world.lacks("sys.database_permissions is empty: a table with what was granted stood in its place")
        db.execute(
            "CREATE TABLE dbo.granted (class int, minor_id int, state char(1), major_id int, "
            "permission_name nvarchar(60), grantee_principal_id int)"
        )
        for role, (rights, _expected) in HANDED_ON.items():
            for name, some in rights.items():
                for right in some:
                    db.execute(
                        "INSERT INTO dbo.granted SELECT 1, 0, 'G', OBJECT_ID(?), ?, principal_id FROM sys.database_principals "
                        "WHERE name = ?",
                        ENGINE.names.quote(*PLACES[name]), right.upper(), role,
                    )  # fmt: skip
        statements = [one.replace("sys.database_permissions", "dbo.granted") for one in statements]
    for statement in statements:
        db.execute(statement)
    found = {}
    for role, (login, password) in members.items():
        with _engine.connect(replace(db.target, user=login, password=password)) as member:
            asked = "SELECT HAS_PERMS_BY_NAME('[ax].[CUST_tracking]', 'OBJECT', '%s')"
            found[role] = {right for right in EVERYTHING if member.value(asked % right.upper())}
    assert found == {role: set(expected) for role, (_rights, expected) in HANDED_ON.items()}


# ---- logins


def test_names_in_another_case_are_the_same_where_the_server_takes_them_so(shop: Shop) -> None:
    """A second run would else make logins and members again."""
    if shop.server.value("SELECT CASE WHEN N'a' = N'A' THEN 1 ELSE 0 END") == 0:
        pytest.skip("this server tells cases apart")
    before = dict(shop.members)
    try:
        shop.members = {group: (login.upper(), password) for group, (login, password) in before.items()}
        assert shop.left_to_do() == []
    finally:
        shop.members = before


def test_a_password_is_set_when_it_is_another_one_and_only_then(shop: Shop) -> None:
    login, old = shop.members["POSUsers"]
    shop.members["POSUsers"] = (login, old + "x")
    try:
        assert shop.left_to_do() == ["Set the password of login %s" % login]
        shop.converge()
        assert shop.left_to_do() == []
        shop.member("POSUsers").close()
    finally:
        shop.members["POSUsers"] = (login, old)
        shop.converge()
    with pytest.raises(ConnectFailed):
        _engine.connect(replace(shop.db.target, user=login, password=old + "x"))


def test_a_user_whose_login_was_another_servers_is_reconnected(shop: Shop) -> None:
    """As after a restore: the login of that name is not the one that the user was made for."""
    login, _password = shop.members["RetailDataSyncUsers"]
    try:
        shop.server.execute("DROP LOGIN %s" % ENGINE.names.quote(login))
    except StatementFailed as error:
        pytest.skip("this server drops no login that has users, so none of them can be an orphan: %s" % error.message)
    for statement in ENGINE.access.create_login(login, "Aa1!" + secrets.token_hex(12)):
        shop.server.execute(statement)
    # As Microsoft's documentation finds them.
    orphan = (
        "SELECT COUNT(*) FROM sys.database_principals AS p LEFT JOIN sys.server_principals AS l ON l.sid = p.sid "
        "WHERE p.name = ? AND l.sid IS NULL AND p.authentication_type_desc = 'INSTANCE'"
    )
    is_orphan = bool(shop.db.value(orphan, login))
    titles = shop.converge()
    assert "Set the password of login %s" % login in titles
    assert ("Reconnect user %s with its login" % login in titles) == is_orphan
    assert shop.left_to_do() == []
    assert not shop.db.value(orphan, login)
    if not is_orphan:
        world.lacks("sys.database_principals does not tell orphans here: the statement was run without being asked for")
        for statement in ENGINE.access.reconnect_user(login):
            shop.db.execute(statement)
    with shop.member("RetailDataSyncUsers") as db:
        assert world.rows(db, "select count(*) from {ax.CUSTTABLE}") == [(0,)]
