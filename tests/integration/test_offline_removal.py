# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a register away and making it anew: nothing is lost unasked, and a run that is cut off is completed."""

from __future__ import annotations

import re
from contextlib import contextmanager

import offline_world as world
import pytest
from offline_world import insert_into
from register_world import fail, offline, succeed

from ansible_collections.axops.retail.plugins.module_utils._offline import offline_db, registers
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata
from ansible_collections.axops.retail.plugins.module_utils._sync.acknowledged import unacknowledged

SALE = {"TRANSACTIONID": "T1", "STORE": "HOUSTON", "TERMINAL": "000001"}
WAITS = "3 rows in .* have not been acknowledged by the channel database .*ax.RETAILTRANSACTIONTABLE: 3"


@pytest.fixture
def provisioned(channel, options, pg_other_server):
    """The options of a register that has synchronised."""
    insert_into(channel, "PRICEDISCTABLE", {"RECID": 1, "AMOUNT": 10})
    succeed(options)
    synchronise(channel, options, pg_other_server)
    return options


def synchronise(channel, options, server):
    with offline(options, server) as db:
        return world.Couple(db, channel).synchronise()


def sell(options, server, count=3):
    with offline(options, server) as db:
        insert_into(db, "RETAILTRANSACTIONTABLE", *({**SALE, "TRANSACTIONID": "T%d" % n} for n in range(count)))


def there(options, server):
    with world.connect(server.facts()) as db:
        return db.engine.databases.exists(db, options["offline_database"])


def scope_rows(channel):
    return channel.value("SELECT count(*) FROM dbo.scope_info")


def test_absent_drops_the_database_and_unregisters_the_register(channel, provisioned, pg_other_server):
    before = channel.value('SELECT count(*) FROM ax."PRICEDISCTABLE"')
    foretold = succeed(provisioned, state="absent", check=True)
    assert there(provisioned, pg_other_server)
    assert scope_rows(channel) == 3
    with offline(provisioned, pg_other_server):  # somebody is still connected
        done = succeed(provisioned, state="absent")
    assert (done["changed"], done["steps"], done["diff"]) == (True, foretold["steps"], foretold["diff"])
    assert done["steps"] == [
        "Drop database %s" % provisioned["offline_database"],
        "Unregister HOUSTON-000001 in the channel database",
    ]
    assert not there(provisioned, pg_other_server)
    assert scope_rows(channel) == 0
    assert metadata.read_peers(channel) == []
    assert channel.value('SELECT count(*) FROM ax."PRICEDISCTABLE"') == before
    again = succeed(provisioned, state="absent")
    assert (again["changed"], again["statements"] <= 12) == (False, True)


def test_a_number_is_never_given_again(channel, provisioned):
    succeed(provisioned, state="absent")
    succeed(provisioned)
    assert [peer.peer_id for peer in metadata.read_peers(channel)] == [2]
    assert channel.value("SELECT count(*) FROM dbo.sync_peer") == 2
    succeed(provisioned, state="absent")
    assert [tuple(row) for row in channel.query("SELECT peer_id, peer_guid FROM dbo.sync_peer")] == [(2, "")]


@pytest.mark.parametrize("request_", [{"state": "absent"}, {"reprovision": "always"}])
def test_it_is_refused_while_rows_are_not_acknowledged(channel, provisioned, pg_other_server, request_):
    sell(provisioned, pg_other_server)
    peers = metadata.read_peers(channel)
    for check in (True, False):
        message = fail(provisioned, check=check, **request_)
        assert message.startswith("HOUSTON-000001 is not re")
        assert re.search(WAITS, message), message
        assert "force" in message
    assert metadata.read_peers(channel) == peers
    synchronise(channel, provisioned, pg_other_server)
    succeed(provisioned, **request_)
    assert channel.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE"') == 3


@pytest.mark.parametrize("request_", [{"state": "absent"}, {"reprovision": "always"}])
def test_force_loses_them(channel, provisioned, pg_other_server, request_):
    sell(provisioned, pg_other_server)
    assert succeed(provisioned, force=True, **request_)["changed"]
    assert channel.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE"') == 0


def test_it_is_refused_while_its_rows_are_in_quarantine(channel, provisioned, pg_other_server):
    """Acknowledged, but not stored: nobody could retry them once the register is gone."""
    channel.execute("""ALTER TABLE ax."RETAILTRANSACTIONTABLE" ADD CHECK ("TRANSACTIONID" <> 'T0')""")
    sell(provisioned, pg_other_server)
    synchronise(channel, provisioned, pg_other_server)
    for request in ({"state": "absent"}, {"reprovision": "always"}):
        assert "3 rows of it are in quarantine in the channel database" in fail(provisioned, **request)
    assert there(provisioned, pg_other_server)
    assert succeed(provisioned, state="absent", force=True)["changed"]
    assert [(one.peer, one.rows) for one in unacknowledged(channel)] == [("a child that was taken away", 3)]


def test_a_database_that_is_gone_already_is_unregistered(channel, provisioned, pg_other_server):
    pg_other_server.drop_database(provisioned["offline_database"])
    done = succeed(provisioned, state="absent")
    assert done["steps"] == ["Unregister HOUSTON-000001 in the channel database"]
    assert not succeed(provisioned, state="absent")["changed"]


def test_one_side_alone_while_the_other_cannot_be_reached(channel, provisioned, pg_other_server):
    gone = {"channel_port": 1}
    assert "channel database" in fail(provisioned, state="absent", **gone)
    sell(provisioned, pg_other_server)
    assert "3 rows" in fail(provisioned, state="absent", side="offline", **gone)
    synchronise(channel, provisioned, pg_other_server)
    done = succeed(provisioned, state="absent", side="offline", **gone)
    assert "not unregistered" in str(done["warnings"])
    assert not there(provisioned, pg_other_server)
    assert not succeed(provisioned, state="absent", side="offline", **gone)["changed"]
    done = succeed(provisioned, state="absent", side="channel", offline_port=1)
    assert done["steps"] == ["Unregister HOUSTON-000001 in the channel database"]
    assert metadata.read_peers(channel) == []


def test_what_is_not_this_registers_database_is_left_alone(channel, provisioned, pg_other_server):
    assert "is the one of store 'HOUSTON', register '000001'" in fail(provisioned, state="absent", register_id="2")
    of_channel = world.connection(channel.facts, "offline_")
    assert "same database" in fail({**provisioned, **of_channel}, state="absent")
    assert "others synchronise with it" in fail({**provisioned, **of_channel}, state="absent", side="offline")
    pg_other_server.create_database("axops_precious")
    try:
        with world.connect(pg_other_server.facts("axops_precious")) as db:
            db.execute("CREATE TABLE public.precious (a int)")
        assert "left untouched" in fail({**provisioned, "offline_database": "axops_precious"}, state="absent")
    finally:
        pg_other_server.drop_database("axops_precious")


def test_a_sale_in_the_last_moment_is_not_lost(channel, provisioned, pg_other_server, monkeypatch):
    """The POS writes between the plan and the end of the database."""
    plans = []

    def apply(self, *args):
        if not plans:
            sell(provisioned, pg_other_server, 1)
        plans.append(self)
        return original(self, *args)

    original = Plan.apply
    monkeypatch.setattr(Plan, "apply", apply)
    report = registers.converge(register(provisioned, present=False), check_mode=False)
    assert "1 row in" in str(report.error)
    assert there(provisioned, pg_other_server)
    assert synchronise(channel, provisioned, pg_other_server) == 1


# ---- made anew


def test_reprovision_always_ends_with_a_clean_pair_each_time(channel, provisioned, pg_other_server):
    with offline(provisioned, pg_other_server) as db:
        db.execute("CREATE TABLE dbo.debris (a int)")
    first = succeed(provisioned)["peer_guid"]
    foretold = succeed(provisioned, reprovision="always", check=True)
    done = succeed(provisioned, reprovision="always")
    assert (done["steps"], done["diff"]) == (foretold["steps"], foretold["diff"])
    assert done["peer_guid"] != first
    with offline(provisioned, pg_other_server) as db:
        assert not [name for name in db.engine.tables.read(db) if name.name == "debris"]
    assert synchronise(channel, provisioned, pg_other_server) == 1
    assert [peer.peer_id for peer in metadata.read_peers(channel)] == [2]
    assert not succeed(provisioned)["changed"]
    assert not succeed(provisioned, reprovision="if_needed")["changed"]
    assert succeed(provisioned, reprovision="always")["changed"]


def register(options, present=True, reprovision="never"):
    """The options as the module would have them."""
    channel, child = (
        world.target({name: options[prefix + alias] for name, alias in NAMES.items()})
        for prefix in ("channel_", "offline_")
    )
    identity = offline_db.identity(options["store_id"], options["register_id"])
    wanted = registers.Wanted("offline")
    return registers.Register(identity, channel, child, wanted, present, profile="Default pr", reprovision=reprovision)


NAMES = {
    "host": "server",
    "port": "port",
    "database": "database",
    "user": "login_user",
    "password": "login_password",
}


class Killed(BaseException):
    """A kill."""


@contextmanager
def killed_after(monkeypatch, steps):
    """The first ``steps`` steps of a plan are applied, and then it is over."""

    def apply(self, open_database=None, guard=None):
        original(Plan(self.steps[:steps]), open_database, guard)
        if len(self.steps) > steps:
            raise Killed

    original = Plan.apply
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "apply", apply)
        yield


@pytest.mark.parametrize("steps", [1, 6, 22, 25])
def test_a_reprovisioning_that_was_cut_off_is_completed_by_any_run(
    channel, provisioned, pg_other_server, monkeypatch, steps
):
    with killed_after(monkeypatch, steps), pytest.raises(Killed):
        registers.converge(register(provisioned, reprovision="always"), check_mode=False)
    succeed(provisioned)
    assert synchronise(channel, provisioned, pg_other_server) == 1
    assert [peer.name for peer in metadata.read_peers(channel)] == ["HOUSTON-000001"]
    assert not succeed(provisioned)["changed"]


def test_a_reprovisioning_that_was_cut_off_before_the_drop(channel, provisioned, pg_other_server):
    """It goes on while nothing waits; else the register goes on as it was, until its rows are there."""
    channel.execute("UPDATE dbo.sync_peer SET incarnation = 'reprovisioning'")
    sell(provisioned, pg_other_server)
    kept = succeed(provisioned)
    assert kept["steps"] == ["Keep HOUSTON-000001 in the channel database as it is"]
    assert synchronise(channel, provisioned, pg_other_server) == 3
    channel.execute("UPDATE dbo.sync_peer SET incarnation = 'reprovisioning'")
    assert succeed(provisioned)["steps"][0] == "Drop database %s" % provisioned["offline_database"]
    assert not succeed(provisioned)["changed"]


def test_a_removal_that_was_cut_off_is_completed(channel, provisioned, pg_other_server, monkeypatch):
    with killed_after(monkeypatch, 1), pytest.raises(Killed):
        registers.converge(register(provisioned, present=False), check_mode=False)
    assert not there(provisioned, pg_other_server)
    assert succeed(provisioned, state="absent")["steps"] == ["Unregister HOUSTON-000001 in the channel database"]
