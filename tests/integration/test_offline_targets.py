# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several registers of one channel database in one call."""

from __future__ import annotations

import offline_world as world
import pytest
from offline_world import insert_into
from register_world import FIRST, fail, succeed

from ansible_collections.axops.retail.plugins.module_utils._sync import metadata

REGISTERS = ("000001", "000002", "000003")


@pytest.fixture
def store(options, pg_other_server):
    """The options for three registers, whose databases do not exist yet."""
    names = {number: "%s_%s" % (options["offline_database"], number) for number in REGISTERS}
    more = {"targets": [{"register_id": number, "offline_database": name} for number, name in names.items()]}
    yield {**{name: value for name, value in options.items() if name != "register_id"}, **more}
    for name in names.values():
        pg_other_server.drop_database(name)


def by_name(result):
    return {target["name"].rpartition("-")[2]: target for target in result["targets"]}


def open_register(store, number, server):
    name = next(target["offline_database"] for target in store["targets"] if target["register_id"] == number)
    return world.connect(server.facts(name))


def test_check_mode_the_run_and_the_second_run_agree(channel, store, pg_other_server):
    # The groups belong to the server, and are made by the first register that comes.
    first = {**store, "targets": store["targets"][:1]}
    assert [succeed(first, state=state)["changed"] for state in ("present", "absent")] == [True, True]
    for table in ("RETAILPOSBATCHTABLE", "INVENTTABLE"):
        for statement in channel.engine.tracking.drop(world.TableName("ax", table)):
            channel.execute(statement)
    foretold, done, again = (succeed(store, check=check, workers=2) for check in (True, False, False))
    assert [target["name"] for target in done["targets"]] == ["HOUSTON-%s" % number for number in REGISTERS]
    for key in ("steps", "diff", "changed"):
        assert done[key] == foretold[key]
    for before, after in zip(foretold["targets"], done["targets"]):
        assert (before["steps"], before["changed"]) == (after["steps"], after["changed"])
        assert "Add the scope 'Shifts' (bidirectional, 1 table) to the offline database" in after["steps"]
    assert "Create the change tracking of ax.INVENTTABLE in the channel database" in done["steps"]
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])
    assert sorted(peer.peer_id for peer in metadata.read_peers(channel)) == [2, 3, 4]
    insert_into(channel, "PRICEDISCTABLE", {"RECID": 1, "AMOUNT": 10})
    for number in REGISTERS:
        with open_register(store, number, pg_other_server) as db:
            assert world.Couple(db, channel).synchronise() == 1


def test_one_that_fails_does_not_stop_the_others(channel, store, pg_other_server):
    store["targets"][1]["offline_port"] = 1
    result = world.run_module("retail_offline_db", **store)
    assert result["failed"]
    assert result["changed"]
    assert result["msg"].startswith("1 of 3 registers failed. HOUSTON-000002: The server of the offline database: Can")
    assert [(target["failed"], target["changed"]) for target in result["targets"]] == [
        (False, True), (True, False), (False, True),
    ]  # fmt: skip
    assert store["offline_login_password"] not in str(result)
    del store["targets"][1]["offline_port"]
    healed = succeed(store)
    assert [target["changed"] for target in healed["targets"]] == [False, True, False]


def test_one_entry_overrides_what_all_have(channel, store, pg_server, new_database):
    """A register on another server, with another profile, of another store."""
    insert_into(channel, "RETAILOFFLINEPROFILE", {"RECID": FIRST + 2, "NAME": "Small"})
    link = {"RECID": FIRST + 20, "PROFILEID": FIRST + 2, "SCOPEID": FIRST}
    insert_into(channel, "RETAILOFFLINEPROFILESCOPES", link)
    facts = new_database(pg_server)
    own = {"register_id": "000001", "store_id": "DALLAS", "profile": "Small", **world.connection(facts, "offline_")}
    done = succeed({**store, "targets": [*store["targets"][:1], own]})
    assert [target["name"] for target in done["targets"]] == ["HOUSTON-000001", "DALLAS-000001"]
    assert [len(target["tables"]) for target in done["targets"]] == [4, 1]


def test_a_changed_profile_is_followed_by_all_and_useless_tracking_goes(channel, store):
    succeed(store)
    channel.execute('DELETE FROM ax."RETAILOFFLINESCOPETABLES" WHERE "SYNCTABLEID" = ?', FIRST + 3)
    foretold, done = succeed(store, check=True), succeed(store)
    assert (
        foretold["steps"] == done["steps"] == ["Remove the change tracking of ax.INVENTTABLE from the channel database"]
    )
    assert "ax.INVENTTABLE" not in world.tracked(channel)
    assert not succeed(store)["changed"]


def test_all_of_a_store_are_removed_but_the_one_with_rows(channel, store, pg_other_server):
    succeed(store)
    with open_register(store, "000002", pg_other_server) as db:
        insert_into(db, "RETAILTRANSACTIONTABLE", {"TRANSACTIONID": "T1", "STORE": "HOUSTON"})
    assert "1 of 3 registers failed. HOUSTON-000002: HOUSTON-000002 is not removed: 1 row in" in fail(
        store, state="absent"
    )
    assert [peer.name for peer in metadata.read_peers(channel)] == ["HOUSTON-000002"]
    done = succeed(store, state="absent", force=True)
    assert [target["changed"] for target in done["targets"]] == [False, True, False]
    assert not succeed(store, state="absent")["changed"]


def test_registers_are_declared_once(channel, store):
    twice = {**store, "targets": [store["targets"][0], {**store["targets"][1], "register_id": "000001"}]}
    assert "HOUSTON-000001 is declared twice" in fail(twice)
    name = store["targets"][0]["offline_database"]
    shared = {**store, "targets": [store["targets"][0], {**store["targets"][1], "offline_database": name}]}
    assert "have the same offline database" in fail(shared)
    assert metadata.PEER not in channel.engine.tables.read(channel, [metadata.PEER])
