# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module retail_offline_db, run as Ansible runs it, and the offline profiles that it reads."""

from __future__ import annotations

import secrets

import offline_world as world
import pytest
from offline_world import insert_into, rows
from register_world import FIRST, fail, offline, succeed

from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import read_profile
from ansible_collections.axops.retail.plugins.module_utils._schema import versions
from ansible_collections.axops.retail.plugins.module_utils._schema.release import Release

# ---- profiles


def test_the_declared_profile_in_its_declared_order(channel):
    profile = read_profile(channel, "HOUSTON", "Default pr")
    assert [(scope.name, scope.direction, scope.frequency, scope.scope_id) for scope in profile.scopes] == [
        ("1020 Prices", "download", 60, FIRST + 1),
        ("P-0001 Sales", "upload", 0, FIRST),
        ("Shifts", "bidirectional", 0, FIRST + 2),
    ]
    assert [str(item.name) for item in profile.scopes[0].tables] == ["ax.INVENTTABLE", "ax.PRICEDISCTABLE"]
    assert [scope.tables[0].winner for scope in profile.scopes] == ["parent", "child", "parent"]
    assert [scope.uploads_deletes for scope in profile.scopes] == [False, False, True]


def test_the_stores_own_record_decides(channel):
    insert_into(channel, "RETAILSTORETABLE", {"RECID": 1, "STORENUMBER": "HOUSTON", "OFFLINEPROFILE": FIRST})
    assert read_profile(channel, "HOUSTON", "Other").name == "Default pr"
    channel.execute('UPDATE ax."RETAILSTORETABLE" SET "OFFLINEPROFILE" = NULL')
    assert read_profile(channel, "HOUSTON", "Default pr").recid == FIRST
    channel.execute('UPDATE ax."RETAILSTORETABLE" SET "OFFLINEPROFILE" = 99')
    with pytest.raises(RetailError, match=r"\(RECID 99\) is not in the channel database .* yet.*1095"):
        read_profile(channel, "HOUSTON", "Default pr")


def test_a_profile_that_has_not_come_yet_is_said_to_be_missing(channel):
    with pytest.raises(RetailError, match=r"'AX6 CU8' is not in the channel database yet .*Default pr.*1095"):
        read_profile(channel, "HOUSTON", "AX6 CU8")
    with pytest.raises(RetailError, match="does not say which offline profile the store HOUSTON has"):
        read_profile(channel, "HOUSTON")
    with pytest.raises(RetailError, match="'Empty' has no tables"):
        read_profile(channel, "HOUSTON", "Empty")
    channel.execute('DELETE FROM ax."RETAILOFFLINETABLE" WHERE "TABLENAME" = \'INVENTTABLE\'')
    with pytest.raises(RetailError, match="incomplete here"):
        read_profile(channel, "HOUSTON", "Default pr")


def test_a_table_in_two_scopes_is_refused(channel):
    insert_into(channel, "RETAILOFFLINETABLE", {"RECID": FIRST + 9, "TABLENAME": "INVENTTABLE"})
    insert_into(channel, "RETAILOFFLINESCOPETABLES", {"RECID": FIRST + 9, "SCOPEID": FIRST, "SYNCTABLEID": FIRST + 9})
    with pytest.raises(RetailError, match="INVENTTABLE stands in the scopes '1020 Prices' and 'P-0001 Sales'"):
        read_profile(channel, "HOUSTON", "Default pr")


# ---- the module


def test_check_mode_the_run_and_the_second_run_agree(channel, options, pg_other_server):
    foretold = succeed(options, check=True)
    assert foretold["changed"]
    assert foretold["peer_guid"] is None
    assert not channel.engine.tables.read(channel, [world.TableName("dbo", "scope_info")])

    done = succeed(options)
    assert done["changed"]
    assert done["steps"] == foretold["steps"]
    assert done["diff"] == foretold["diff"]
    assert options["channel_login_password"] not in str(done)
    with offline(options, pg_other_server) as db:
        assert world.metadata.read_peers(db)[0].guid == done["peer_guid"]
        assert db.value('SELECT "TEXT" FROM dbo."POSISINFO" WHERE "ID" = \'DBVERSION\'') == "6.3.158.0"
        assert {"ax.INVENTTABLE", "ax.RETAILTRANSACTIONTABLE"} <= world.tracked(db)
        assert [scope.name for scope in world.scopes_of(db, 0)] == ["1020 Prices", "P-0001 Sales", "Shifts"]

    for check in (True, False):
        again = succeed(options, check=check)
        assert not again["changed"], again["steps"]
        assert again["diff"] == {"before": {}, "after": {}}
        assert again["peer_guid"] == done["peer_guid"]
    assert again["profile"] == "Default pr"
    assert again["tables"] == [
        "ax.INVENTTABLE", "ax.PRICEDISCTABLE", "ax.RETAILPOSBATCHTABLE", "ax.RETAILTRANSACTIONTABLE",
    ]  # fmt: skip


def test_rows_move_between_the_real_tables(channel, options, pg_other_server):
    insert_into(channel, "PRICEDISCTABLE", {"RECID": 1, "AMOUNT": 10}, {"RECID": 2, "AMOUNT": 20})
    succeed(options)
    with offline(options, pg_other_server) as db:
        couple = world.Couple(db, channel)
        assert couple.synchronise() == 2
        sale = {"TRANSACTIONID": "T1", "STORE": "HOUSTON", "TERMINAL": "000001", "CHANNEL": 5, "GROSSAMOUNT": -10}
        insert_into(db, "RETAILTRANSACTIONTABLE", sale)
        channel.execute('UPDATE ax."PRICEDISCTABLE" SET "AMOUNT" = 9 WHERE "RECID" = 2')
        couple.synchronise()
        assert channel.value('SELECT "GROSSAMOUNT" FROM ax."RETAILTRANSACTIONTABLE"') == -10
        table = channel.engine.tables.read(db, [world.PRICES.name])[world.PRICES.name]
        assert rows(db, table) == rows(channel, table)
        assert couple.pending == []
    assert not succeed(options)["changed"]


def test_a_register_stays_above_a_store_that_went_back(channel, options, pg_other_server):
    succeed(options)
    for sql, values in versions.release_statements(channel.engine, Release.parse("6.3.157.0")):
        channel.execute(sql, *values)
    assert not succeed(options)["changed"]
    channel.execute('DROP TABLE ax."RETAILPOSBATCHTABLE"')
    channel.execute('DELETE FROM ax."RETAILOFFLINETABLE" WHERE "TABLENAME" = \'RETAILPOSBATCHTABLE\'')
    channel.execute('DELETE FROM ax."RETAILOFFLINESCOPETABLES" WHERE "SCOPEID" = ?', FIRST + 2)
    channel.execute('DELETE FROM ax."RETAILOFFLINEPROFILESCOPES" WHERE "SCOPEID" = ?', FIRST + 2)
    done = succeed(options)
    assert done["changed"] and not succeed(options)["changed"], "a profile that changes goes on to reach it"
    with offline(options, pg_other_server) as db:
        assert db.value('SELECT "TEXT" FROM dbo."POSISINFO" WHERE "ID" = \'DBVERSION\'') == "6.3.158.0"
        assert [scope.name for scope in world.scopes_of(db, 0)] == ["1020 Prices", "P-0001 Sales"]


def test_the_logins_of_the_group_may_synchronise(channel, options, pg_other_server):
    login = {"name": "sync_" + secrets.token_hex(3), "password": "pass-" + secrets.token_hex(8)}
    access = {"logins": [login], "groups": [{"name": "RetailOfflineSyncUsers", "members": [login["name"]]}]}
    first = succeed(options, **access)
    assert login["password"] not in str(first)
    facts = {**pg_other_server.facts(options["offline_database"]), "user": login["name"], "password": login["password"]}
    with world.connect(facts) as db:
        assert db.engine.marks.incarnation(db)
        insert_into(db, "RETAILTRANSACTIONTABLE", {"TRANSACTIONID": "T1", "STORE": "HOUSTON"})
        assert db.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE_tracking"') == 1
        assert world.scopes_of(db, 0)[0].name == "1020 Prices"
    assert not succeed(options, **access)["changed"]


def test_a_changed_profile_changes_the_difference_only(channel, options):
    succeed(options)
    insert_into(channel, "RETAILOFFLINETABLE", {"RECID": FIRST + 9, "TABLENAME": "RETAILTRANSACTIONSALESTRANS"})
    insert_into(channel, "RETAILOFFLINESCOPETABLES", {"RECID": FIRST + 9, "SCOPEID": FIRST, "SYNCTABLEID": FIRST + 9})
    result = succeed(options)
    assert result["steps"] == [
        "Create table ax.RETAILTRANSACTIONSALESTRANS in the offline database",
        "Create the change tracking of ax.RETAILTRANSACTIONSALESTRANS in the channel database",
        "Create the change tracking of ax.RETAILTRANSACTIONSALESTRANS in the offline database",
        "Change the scope 'P-0001 Sales' of HOUSTON-000001 in the channel database",
        "Change the scope 'P-0001 Sales' in the offline database",
    ]
    assert not succeed(options)["changed"]


def test_wrong_ids_are_refused_before_anything_is_made(options, pg_other_server):
    for wrong in ({"register_id": "00000000001"}, {"store_id": ""}, {"store_id": " HOUSTON"}):
        assert "1 to 10 characters" in fail(options, **wrong)
    assert "not in the channel database yet" in fail(options, profile="Nothing")
    with world.connect(pg_other_server.facts()) as server:
        assert not server.engine.databases.exists(server, options["offline_database"])


def test_a_database_of_somebody_else_is_refused(options, pg_other_server):
    pg_other_server.create_database(options["offline_database"])
    with offline(options, pg_other_server) as db:
        db.execute("CREATE TABLE public.precious (a int)")
    assert "not a channel database" in fail(options)


def test_without_a_channel_database_check_mode_says_what_it_can(options):
    missing = {"channel_database": "axops_not_there"}
    foretold = succeed(options, check=True, **missing)
    assert foretold["steps"] == ["Create database %s" % options["offline_database"]]
    assert "does not exist" in fail(options, **missing)


def test_the_plan_is_not_bound_to_one_machine(channel, options, pg_other_server):
    """The register's own server is PostgreSQL's second one here: nothing of one reaches the other but through rows."""
    succeed(options)
    with offline(options, pg_other_server) as db:
        ours, theirs = world.metadata.read_peers(db), world.metadata.read_peers(channel)
        assert ours[0].incarnation == channel.engine.marks.incarnation(channel)
        assert theirs[0].incarnation == db.engine.marks.incarnation(db)
        assert (theirs[0].name, theirs[0].store_id, theirs[0].register_id) == ("HOUSTON-000001", "HOUSTON", "000001")
