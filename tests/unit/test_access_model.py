# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets what, and the password verifiers, checked without a server."""

from __future__ import annotations

import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._access import model, plan
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._model import TableName
from ansible_collections.axops.retail.plugins.module_utils._engine._rights import AccessState, Securable
from ansible_collections.axops.retail.plugins.module_utils._engine.postgresql import scram
from ansible_collections.axops.retail.plugins.module_utils._offline import tables
from ansible_collections.axops.retail.plugins.module_utils._offline.state import Place, Side
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata

ENGINE = _engine.speaker("postgresql")
SALES, PRICES = TableName("ax", "RETAILTRANSACTIONTABLE"), TableName("ax", "PRICEDISCTABLE")


def test_the_sync_users_come_first():
    assert next(iter(model.GROUPS["channel"])) == "RetailOfflineSyncUsers"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RETAILTRANSACTIONSALESTRANS", True),
        ("RETAILPOSBATCHTABLE", True),
        ("RETAILLOG", True),
        ("RETAILTRANSACTIONSALESTRANS_tracking", False),
        ("RETAILTRANSACTIONSERVICEPROFILE", False),
        ("CUSTTABLE", False),
    ],
)
def test_which_tables_hold_transactions(name, expected):
    assert model.is_transaction(TableName("ax", name)) is expected


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"members": {"POSUsers": ["POSUsers"]}}, "The group POSUsers would be a member of itself"),
        ({"members": {"POSUsers": ["db_datareader"]}}, "would be a member of itself"),
        (
            {"members": {"A": ["B"], "B": ["C"], "C": ["A"]}, "permissions": {"A": (), "B": (), "C": ()}},
            "would be a member of itself",
        ),
        ({"permissions": {"Own": ["read"]}, "logins": {"Own": "x"}}, "Own is declared a group, and a login"),
        ({"logins": {"POSUsers": "x"}}, "POSUsers is declared a group, and a login"),
        ({"gone": ["POSUsers"]}, "POSUsers is declared a group, and a login"),
    ],
)
def test_what_cannot_be_together_is_refused(declared, message):
    with pytest.raises(RetailError, match=message):
        plan.Wanted("channel", **declared)


def test_groups_within_groups_are_no_circle():
    members = {"A": ["B", "sync"], "B": ["sync"], "POSUsers": ["A", "B"]}
    assert plan.Wanted("channel", members, {"sync": "x"}, {"A": ["read"], "B": ["read"]}).members == members


def test_a_login_that_is_there_is_no_group():
    """What is not declared as its right would be taken from it."""
    wanted = plan.Wanted("channel", permissions={"admin": ["read"]})
    with pytest.raises(RetailError, match="admin is declared a group, and is a login on this server"):
        grants(AccessState(principals={"admin"}, accounts={"admin"}), wanted, [SALES])


def grants(state: AccessState, wanted: plan.Wanted, there=(), coming=()) -> list[str]:
    result = plan.access_plan(ENGINE, state, wanted, "shop", there, coming, "db")
    return [title for title in result.titles if title.startswith(("Grant", "Revoke"))]


def everything(wanted: plan.Wanted, tables) -> AccessState:
    """The state after the plan for an empty server has been applied."""
    state = AccessState(principals=set(wanted.managed))
    state.grants = plan._desired(ENGINE, state, wanted, "shop", sorted(tables))
    return state


def test_hq_may_only_read_transactions_in_a_channel_database():
    wanted = plan.Wanted("channel")
    titles = grants(AccessState(), wanted, [SALES, PRICES])
    assert "Grant select on ax.RETAILTRANSACTIONTABLE to DataSyncUsersRole" in titles
    assert "Grant delete, insert, select, update on ax.PRICEDISCTABLE to DataSyncUsersRole" in titles


def test_on_sql_server_too_hq_may_only_read_transactions_whatever_their_schema():
    """The books of the synchronisation are in the schema dbo, and so are tables with sales."""
    engine = _engine.speaker("mssql")
    sales = [
        TableName(schema, "RETAILTRANSACTION" + end)
        for schema, end in (("ax", "TABLE"), ("dbo", ""), ("dbo", "TABLEEX5"))
    ]
    books = sorted(model.BOOKS)
    for wanted, group in (
        (plan.Wanted("channel"), "RetailDataSyncUsers"),
        (plan.Wanted("channel", permissions={"Auditors": ["datasync"]}), "Auditors"),
        (plan.Wanted("channel", permissions={"Auditors": ["read", "synchronise"]}), "Auditors"),
    ):
        desired = plan._desired(engine, AccessState(), wanted, "shop", sorted([*sales, *books]))
        mine = {one: rights for (name, one), rights in desired.items() if name in (group, "DataSyncUsersRole")}
        assert {one.kind for one in mine} == {"table"}
        assert {one.name for one, rights in mine.items() if "insert" in rights} == {book.name for book in books}


def test_the_books_are_those_that_the_synchronisation_keeps():
    assert {table.name for table in metadata.TABLES} == model.BOOKS
    assert not any(model.is_transaction(name) for name in model.BOOKS)


def test_on_sql_server_new_books_are_opened_to_those_who_have_rights_on_the_log():
    place = Place("channel", "the channel database", _engine.speaker("mssql"), None)
    made = {step.path[-1]: step.statements for step in tables.plan_bookkeeping(Side(place, schemas={"dbo"})).steps}
    assert set(made) == {str(name) for name in model.BOOKS}
    for name, statements in made.items():
        handed = [sql for sql in statements if "N'GRANT ' + g.permission_name" in sql]
        assert len(handed) == (name != str(metadata.LOG)), name
        assert all("OBJECT_ID(N'[dbo].[RETAILOFFLINESYNCLOG]')" in sql and name.split(".")[1] in sql for sql in handed)


def test_rights_beyond_the_wanted_ones_are_revoked():
    wanted = plan.Wanted("channel")
    state = everything(wanted, [SALES, PRICES])
    assert grants(state, wanted, [SALES, PRICES]) == []
    state.grants[("DataSyncUsersRole", Securable.table(SALES))] |= {"delete"}
    assert grants(state, wanted, [SALES, PRICES]) == [
        "Revoke delete on ax.RETAILTRANSACTIONTABLE from DataSyncUsersRole"
    ]


def test_a_table_to_come_gets_the_default_rights_and_the_plan_knows_it():
    wanted = plan.Wanted("channel")
    state = everything(wanted, [PRICES])
    later = TableName("ax", "PRICEDISCTABLE_tracking")
    assert grants(state, wanted, [PRICES], [later]) == []
    assert grants(state, wanted, [PRICES], [SALES]) == [
        "Revoke delete, insert, update on ax.RETAILTRANSACTIONTABLE from DataSyncUsersRole"
    ]


def test_a_group_of_another_tier_is_refused_with_the_known_ones():
    with pytest.raises(RetailError, match=r"RetailDataSyncUsers is no group of the offline database.*POSUsers"):
        plan.Wanted("offline", {"RetailDataSyncUsers": ["x"]})


def titles(state: AccessState, wanted: plan.Wanted, engine=ENGINE) -> list[str]:
    result = plan.access_plan(engine, state, wanted, "shop", [SALES], [], "db", "server")
    return [title for title in result.titles if not title.startswith(("Grant", "Create role"))]


def test_a_group_of_ones_own_gets_just_its_permissions():
    wanted = plan.Wanted("channel", {"Auditors": ["ann"]}, {"ann": None}, {"Auditors": ["read", "synchronise"]})
    state = AccessState(principals={"ann", *wanted.managed}, logins={"ann": True})
    assert "Add Auditors to db_datareader" in titles(state, wanted)
    assert "Add ann to Auditors" in titles(state, wanted)
    assert "Grant connect, temporary on database shop to Auditors" in grants(state, wanted, [SALES])
    with pytest.raises(RetailError, match="cannot have the permission datasync in the hq database"):
        plan.Wanted("hq", {}, {}, {"Auditors": ["datasync"]}).managed  # noqa: B018


def test_permissions_take_the_place_of_a_groups_own():
    wanted = plan.Wanted("channel", permissions={"POSUsers": ["read"]})
    state = AccessState(principals=set(wanted.managed), members={"db_datawriter": {"POSUsers"}})
    assert "Remove POSUsers from db_datawriter" in titles(state, wanted)


def test_only_an_exclusive_group_loses_members():
    members = {"POSUsers": ["till"]}
    for exclusive in ((), ("POSUsers",)):
        wanted = plan.Wanted("channel", members, {"till": None}, exclusive=exclusive)
        state = AccessState(principals={"till", *wanted.managed}, logins={"till": True})
        state.members["POSUsers"] = {"till", "old till"}
        assert ("Remove old till from POSUsers" in titles(state, wanted)) is bool(exclusive)


def test_a_user_without_its_login_is_reconnected_on_sql_server():
    wanted = plan.Wanted("channel", {"POSUsers": ["till"]})
    state = AccessState(principals={"till", *wanted.managed}, orphans={"till", "somebody else's"})
    state.members["POSUsers"] = {"till"}
    said = titles(state, wanted, _engine.speaker("mssql"))
    assert [title for title in said if "Reconnect" in title] == ["Reconnect user till with its login"]


def test_a_login_that_must_go_goes_after_its_user():
    wanted = plan.Wanted("channel", gone={"old"})
    state = AccessState(principals={"old", *wanted.managed}, logins={"old": True})
    assert titles(state, wanted, _engine.speaker("mssql"))[-2:] == ["Drop user old", "Drop login old"]
    with pytest.raises(RetailError, match="old is declared absent, and a member"):
        plan.Wanted("channel", {"POSUsers": ["old"]}, gone={"old"})


def test_wanted_shows_no_password():
    assert "geheim" not in repr(plan.Wanted("channel", {}, {"svc": "geheim"}))


# ---- password verifiers


def test_the_verifier_of_rfc_7677():
    # The example of RFC 7677: user "user", password "pencil".
    salt = b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81"
    stored = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    assert scram.verifier("pencil", salt, 4096) == "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" + stored


def test_only_the_same_password_matches():
    stored = scram.verifier("pencil")
    assert scram.matches(stored, "pencil")
    assert not scram.matches(stored, "Pencil")
    assert scram.verifier("pencil") != stored


@pytest.mark.parametrize("stored", [None, "", "md5a3556571e93b0d20722ba62be61e8c2d", "SCRAM-SHA-256$x"])
def test_other_forms_of_stored_passwords_never_match(stored):
    assert not scram.matches(stored, "pencil")


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("I\u00adX", b"IX"),  # the examples of RFC 4013
        ("\u00aa", b"a"),
        ("\u2168", b"IX"),
        ("\u0007", b"\x07"),  # forbidden: taken as it is, as the server does
        ("\u06271", "\u06271".encode()),
        ("a\u00a0b", b"a b"),
    ],
)
def test_passwords_are_prepared_as_the_server_does(password, prepared):
    assert scram._prepared(password) == prepared
