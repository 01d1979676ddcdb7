# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role pos_register and the playbook that takes registers away, from the control node, on real databases."""

from __future__ import annotations

import json
import os
import re
import sys

import offline_world as world
import pytest
from offline_world import insert_into
from playbook_world import ansible_playbook, collections

from ansible_collections.axops.retail.plugins.module_utils._sync import metadata

PLAY = [
    {
        "hosts": "pos_registers",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.import_role": {"name": "axops.retail.pos_register"}, "tags": ["database"]}],
    }
]


class Store:
    """Two registers of one store in an inventory, and one whose server is not there."""

    def __init__(self, folder, options, server):
        self.folder, self.server, self.options = folder, server, options
        self.names = {number: "%s_%s" % (options["offline_database"], number) for number in ("1", "2", "3")}

    def write(self, **more):
        options = self.options
        own = {name: {"retail_register_id": name, "retail_offline_database": db} for name, db in self.names.items()}
        own["3"]["retail_offline_port"] = 1
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "retail_store_id": "HOUSTON",
            "retail_engine": "postgresql",
            "retail_encrypt": "no",
            "retail_run_on_control_node": True,
            "retail_sync_managed": False,
            "retail_pos_config_managed": False,
            "retail_offline_server": options["offline_server"],
            "retail_offline_port": options["offline_port"],
            "retail_offline_login_user": options["offline_login_user"],
            "retail_offline_login_password": options["offline_login_password"],
            **{"retail_channel_" + name: options["channel_" + name] for name in
               ("engine", "server", "port", "database", "login_user", "login_password")},
            **more,
        }  # fmt: skip
        hosts = {"till-" + name: facts for name, facts in own.items()}
        inventory = {"all": {"vars": common, "children": {"pos_registers": {"hosts": hosts}}}}
        (self.folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
        (self.folder / "play.yml").write_text(json.dumps(PLAY), encoding="utf-8")

    def play(self, book, *flags):
        """What ansible-playbook printed, and for each host (ok, changed, failed) from its recap."""
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections()), "ANSIBLE_NOCOLOR": "1"}
        text = ansible_playbook(["-i", "inventory.json", book, *flags], environment, self.folder).stdout
        recap = re.findall(r"^till-(\d)\s*: ok=(\d+)\s+changed=(\d+).*failed=(\d+)", text, re.MULTILINE)
        assert recap, text
        assert self.options["offline_login_password"] not in text
        return text, {name: (int(changed), int(failed)) for name, _ok, changed, failed in recap}


@pytest.fixture
def store(tmp_path, options, pg_other_server):
    store = Store(tmp_path, options, pg_other_server)
    store.write()
    yield store
    for name in store.names.values():
        pg_other_server.drop_database(name)


def test_one_task_serves_a_store_and_each_register_hears_of_its_own(channel, store):
    text, first = store.play("play.yml", "-vvv", "--diff")
    assert {name: failed for name, (_changed, failed) in first.items()} == {"1": 0, "2": 0, "3": 1}, text
    assert (first["1"][0] > 0, first["2"][0] > 0) == (True, True), text
    assert "The server of the offline database: Cannot connect" in text
    assert sorted(peer.name for peer in metadata.read_peers(channel)) == ["HOUSTON-1", "HOUSTON-2"]
    text, again = store.play("play.yml", "--limit", "till-1,till-2")
    assert again == {"1": (0, 0), "2": (0, 0)}, text


def test_a_name_that_no_service_can_have_is_refused_before_anything_is_made(channel, store):
    named = json.dumps({"pos_register_service_name": "HOUSTON 1/a", "retail_sync_managed": True})
    text, refused = store.play("play.yml", "--limit", "till-1", "-e", named)
    assert refused["1"] == (0, 1), text
    assert "The service would be called HOUSTON 1/a." in text
    assert "set pos_register_service_name" in text
    assert channel.value("SELECT to_regclass('dbo.sync_peer')") is None


def test_scopes_that_fail_for_one_reason_are_named_together(channel, store):
    store.play("play.yml", "--limit", "till-2")
    with world.connect(store.server.facts(store.names["2"])) as db:
        db.execute("UPDATE dbo.scope_info SET last_error = 'It broke.'")
    text, verified = store.play("axops.retail.verify", "--limit", "till-2")
    assert verified["2"] == (0, 1), text
    assert '"msg": "1020 Prices, P-0001 Sales, Shifts fail: It broke."' in text, text


def test_decommission_takes_a_register_away_once_its_rows_have_arrived(channel, store):
    store.play("play.yml", "--limit", "till-1,till-2")
    with world.connect(store.server.facts(store.names["2"])) as db:
        insert_into(db, "RETAILTRANSACTIONTABLE", {"TRANSACTIONID": "T1", "STORE": "HOUSTON"})
        book, name = "axops.retail.decommission", ("-e", "retail_decommission=HOUSTON-2")
        text, refused = store.play(book, *name)
        assert refused["2"] == (0, 1), text
        assert "HOUSTON-2 is not removed: 1 row in" in text
        world.Couple(db, channel).synchronise()
    _text, foretold = store.play(book, *name, "--check")
    text, done = store.play(book, *name)
    assert (foretold["2"], done["2"]) == ((1, 0), (1, 0)), text
    assert [peer.name for peer in metadata.read_peers(channel)] == ["HOUSTON-1"]
    assert channel.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE"') == 1
    text, again = store.play(book, *name)
    assert again["2"] == (0, 0), text
