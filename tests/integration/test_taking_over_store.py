# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store of Microsoft's utility with the modules, roles and playbooks: left alone, verified, and taken over as a whole."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import offline_world as world
import pytest
import vendor_store
from offline_world import insert_into
from playbook_world import Playbook, ansible_playbook, collections
from register_world import fail, succeed

from ansible_collections.axops.retail.plugins.module_utils._engine._model import TableName
from ansible_collections.axops.retail.plugins.module_utils._sync import log, metadata

SCOPES = {
    "1020 Prices": ["PRICEDISCTABLE", "INVENTTABLE"],
    "P-0001 Sales": ["RETAILTRANSACTIONTABLE"],
    "Shifts": ["RETAILPOSBATCHTABLE"],
}
REGISTERS = ("000001", "000002")
PRICES = metadata.Scope("1020 Prices", "download", (), scope_id=1)


def provision(db: Any) -> Any:
    wanted = {scope: [TableName("ax", name) for name in names] for scope, names in SCOPES.items()}
    known = db.engine.tables.read(db, [name for names in wanted.values() for name in names])
    vendor_store.provision(db, {scope: [known[name] for name in names] for scope, names in wanted.items()})
    return db


@pytest.fixture
def store(channel: Any, options: dict[str, Any], pg_other_server: Any) -> Any:
    """The options for two registers; they and the channel database are Microsoft's."""
    provision(channel)
    names = {number: "%s_%s" % (options["offline_database"], number) for number in REGISTERS}
    for name in names.values():
        pg_other_server.create_database(name)
        with world.connect(pg_other_server.facts(name)) as db:
            provision(world.make_database(db))
    for number in REGISTERS:
        log.write(channel, PRICES, number, log.now(), None, None)
    more = {"targets": [{"register_id": number, "offline_database": name} for number, name in names.items()]}
    yield {**{name: value for name, value in options.items() if name != "register_id"}, **more}
    for name in names.values():
        pg_other_server.drop_database(name)


def register(store: dict[str, Any], number: str, server: Any) -> Any:
    return world.connect(server.facts(store["targets"][REGISTERS.index(number)]["offline_database"]))


def everything(store: dict[str, Any], channel: Any, server: Any) -> list[list[str]]:
    found = [vendor_store.objects(channel)]
    for number in REGISTERS:
        with register(store, number, server) as db:
            found.append(vendor_store.objects(db))
    return found


def test_no_module_touches_it(channel: Any, store: dict[str, Any], pg_other_server: Any, tmp_path: Path) -> None:
    before = everything(store, channel, pg_other_server)
    for more in ({}, {"reprovision": "always"}, {"reprovision": "if_needed", "force": True}, {"state": "absent"}):
        assert "Microsoft Sync Framework" in fail(store, **more), more
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "Add.sql").write_text(
        'ALTER TABLE ax."INVENTTABLE" ADD COLUMN "MORE" int;', encoding="utf-8"
    )
    database = world.connection(channel.facts)
    for more in ({"state": "absent"}, {"customizations": str(tmp_path / "scripts")}):
        refusal = Playbook(tmp_path).fail("retail_channel_db", **database, **more)
        assert "Microsoft Sync Framework" in refusal["msg"], more
    assert everything(store, channel, pg_other_server) == before


def test_take_over_does_not_go_with_dropping_the_rows(store: dict[str, Any]) -> None:
    for more in ({"state": "absent"}, {"reprovision": "always"}):
        assert "keeps the rows of the offline database" in fail(store, take_over=True, **more)


def test_all_registers_of_a_store_or_none(channel: Any, store: dict[str, Any], pg_other_server: Any) -> None:
    with register(store, "000002", pg_other_server) as db:
        insert_into(db, "RETAILTRANSACTIONTABLE", {"TRANSACTIONID": "T1", "STORE": "HOUSTON", "TERMINAL": "000002"})
        before = everything(store, channel, pg_other_server)
        message = fail(store, take_over=True)
        assert message.startswith("2 of 2 registers failed.")
        assert "ax.RETAILTRANSACTIONTABLE: 1 missing" in message
        assert "HOUSTON-000001 is not taken over, since HOUSTON-000002 is not" in message
        assert everything(store, channel, pg_other_server) == before
        store["targets"][1]["force"] = True
        succeed(store, take_over=True)
        world.Couple(db, channel).synchronise()
    assert channel.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE"') == 1


def test_check_mode_the_run_and_the_second_run_agree(channel: Any, store: dict[str, Any]) -> None:
    log.write(channel, PRICES, "000009", log.now(), None, None)
    foretold, done, again = (succeed(store, check=check, take_over=True, workers=1) for check in (True, False, False))
    assert "Remove the scopes of Microsoft Sync Framework from the channel database" in done["steps"]
    for key in ("steps", "changed"):
        assert done[key] == foretold[key]
    for before, after in zip(foretold["targets"], done["targets"]):
        assert [step for step in after["steps"] if "offline database" in step] == [
            step for step in before["steps"] if "offline database" in step
        ]
        assert "Remove the scopes of Microsoft Sync Framework from the offline database" in after["steps"]
    assert (again["changed"], again["steps"]) == (False, [])
    assert sorted(peer.register_id for peer in metadata.read_peers(channel)) == list(REGISTERS)
    for result in (foretold, done):
        (warning,) = result["warnings"]
        assert "000009" in str(warning) and "000001." not in str(warning)


def test_one_register_alone_tells_of_the_others(channel: Any, store: dict[str, Any]) -> None:
    alone = {**store, **store["targets"][0]}
    del alone["targets"]
    result = succeed(alone, take_over=True)
    assert "these registers have synchronised with the channel database, too: 000002." in str(result["warnings"])
    late = {**alone, **store["targets"][1]}
    assert "Microsoft Sync Framework" in fail(late)
    assert succeed(late, take_over=True)["changed"]


class Chain:
    """The store in an inventory, as somebody declares it before it is taken over."""

    def __init__(self, folder: Path, store: dict[str, Any]) -> None:
        self.folder = folder
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "retail_store_id": "HOUSTON",
            "retail_engine": "postgresql",
            "retail_encrypt": "no",
            "retail_run_on_control_node": True,
            **{"retail_" + name: value for name, value in store.items() if name.startswith(("channel_", "offline_"))},
        }
        tills = {
            "till-" + target["register_id"]: {
                "retail_register_id": target["register_id"],
                "retail_offline_database": target["offline_database"],
            }
            for target in store["targets"]
        }
        children = {"store_servers": {"hosts": {"houston": {}}}, "pos_registers": {"hosts": tills}}
        inventory = {"all": {"vars": common, "children": children}}
        (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")

    def verify(self) -> tuple[int, str]:
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections()), "ANSIBLE_NOCOLOR": "1"}
        done = ansible_playbook(["-i", "inventory.json", "axops.retail.verify"], environment, self.folder)
        return done.returncode, done.stdout


def test_the_playbook_verify_understands_it(
    channel: Any, store: dict[str, Any], pg_other_server: Any, tmp_path: Path
) -> None:
    chain = Chain(tmp_path, store)
    code, text = chain.verify()
    assert code == 0, text
    channel.execute('DROP TRIGGER "INVENTTABLE_update_trigger" ON ax."INVENTTABLE"')
    channel.execute('DELETE FROM dbo."RETAILOFFLINESYNCLOG" WHERE "TERMINAL" = \'000002\'')
    with register(store, "000001", pg_other_server) as db:
        db.execute('DROP TABLE ax."PRICEDISCTABLE_tracking"')
    code, text = chain.verify()
    assert code != 0
    assert "ax.INVENTTABLE is not tracked completely (update)" in text
    assert "HOUSTON-000002 is not known to the channel database" in text
    assert "ax.PRICEDISCTABLE has no tracking table" in text
