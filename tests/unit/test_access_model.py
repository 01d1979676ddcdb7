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
