# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module retail_sync_info on real databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from offline_world import connection, run_module
from playbook_world import Playbook
from service_pairs import REGISTER, ProvisionedPair, price, sale, target

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._sync import config as configuration
from ansible_collections.axops.retail.plugins.module_utils._sync import once, overview, status


@pytest.fixture
def pair(scratch_pair: Any) -> ProvisionedPair:
    return ProvisionedPair(*scratch_pair)


def move(pair: ProvisionedPair) -> None:
    once.run(configuration.parse(json.dumps(pair.configuration())))


def test_what_waits_for_a_register(pair: ProvisionedPair) -> None:
    with pair.child() as register, pair.parent() as store:
        price(store, 1, "1")
        sale(register, "T0")
        move(pair)
        price(store, 2, "2")
        price(store, 3, "3")
        sale(register, "T1")
        above, below = overview.read(store, 10, True), overview.read(register, 10, True)
    assert above["provisioned_by"] == "axops.retail" and above["parent"] is None and above["sync_framework"] is None
    (peer,) = above["peers"]
    assert (peer["name"], peer["store_id"], peer["register_id"]) == (REGISTER, "HOUSTON", "000001")
    scopes = {scope["name"]: scope for scope in peer["scopes"]}
    assert scopes["Prices"]["waiting"] == 2 and scopes["Prices"]["oldest_seconds"] >= 0
    assert scopes["Sales"]["waiting"] is None, "only the register knows"
    assert scopes["Sales"]["taken"] > 0
    assert peer["last_log"] == above["log"][0]
    assert len(above["log"]) == 2
    assert above["tracking"] == {
        "count": 2, "tables": ["ax.PRICEDISCTABLE", "ax.RETAILTRANSACTIONTABLE"], "missing_triggers": {},
    }  # fmt: skip
    assert below["peers"] == []
    assert [scope["waiting"] for scope in below["parent"]["scopes"]] == [None, 1]


def test_a_trigger_that_is_switched_off_is_named(pair: ProvisionedPair) -> None:
    with pair.parent() as store:
        store.execute('ALTER TABLE "ax"."PRICEDISCTABLE" DISABLE TRIGGER "PRICEDISCTABLE_delete_trigger"')
        assert overview.read(store, 0, False)["tracking"]["missing_triggers"] == {"ax.PRICEDISCTABLE": ["delete"]}


def test_the_installed_release(pair: ProvisionedPair) -> None:
    with pair.parent() as store:
        assert overview.read(store, 0, False)["version"] is None
        store.execute('CREATE TABLE dbo."POSISINFO" ("ID" varchar(10) PRIMARY KEY, "TEXT" varchar(50))')
        store.execute("INSERT INTO dbo.\"POSISINFO\" VALUES ('DBVERSION', '6.3.158.0')")
        assert overview.read(store, 0, False)["version"] == "6.3.158.0"


def test_sync_framework_is_recognised(scratch_database: Any) -> None:
    with _engine.connect(target(scratch_database)) as db:
        for statement in (
            "CREATE SCHEMA ax",
            "CREATE SCHEMA dbo",
            'CREATE TABLE ax."CUSTTABLE" ("ACCOUNTNUM" varchar(20) PRIMARY KEY)',
            'CREATE TABLE ax."CUSTTABLE_tracking" ("ACCOUNTNUM" varchar(20) PRIMARY KEY, update_scope_local_id int)',
            'ALTER TABLE ax."CUSTTABLE_tracking" ADD COLUMN local_update_peer_timestamp bigint',
            "CREATE TABLE dbo.scope_info (sync_scope_name varchar(100) PRIMARY KEY, scope_sync_knowledge bytea)",
            "INSERT INTO dbo.scope_info VALUES ('Transactions', NULL)",
        ):
            db.execute(statement)
        document = overview.read(db, 10, True)
    assert document["provisioned_by"] == "microsoft_sync_framework"
    assert document["sync_framework"] == {
        "scopes": ["Transactions"],
        "tables": ["ax.CUSTTABLE"],
        "tracking_tables": ["ax.CUSTTABLE_tracking"],
        "missing_tracking": [],
        "missing_triggers": {"ax.CUSTTABLE": ["insert", "update", "delete"]},
        "unfinished_scopes": [],
        "complete": False,
        "registers": [],
    }
    assert document["tracking"]["count"] == 0


def test_a_bare_database(scratch_database: Any) -> None:
    with _engine.connect(target(scratch_database)) as db:
        document = overview.read(db, 10, True)
    assert (document["provisioned_by"], document["peers"], document["log"]) == (None, [], [])


def test_the_module_reads_and_changes_nothing(pair: ProvisionedPair, tmp_path: Path) -> None:
    facts = pair.parent_facts
    result = Playbook(tmp_path).task(
        "retail_sync_info", engine="postgresql", encrypt="no", server=facts["host"], port=facts["port"],
        database=facts["database"], login_user=facts["user"], login_password=facts["password"],
    )  # fmt: skip
    assert result.get("failed") is not True, result
    assert result["changed"] is False
    assert [peer["name"] for peer in result["peers"]] == [REGISTER]
    assert facts["password"] not in json.dumps(result)


def test_whose_transaction_holds_others_back(pair: ProvisionedPair) -> None:
    config = configuration.parse(json.dumps(pair.configuration()))
    with pair.parent() as other, pair.parent() as store, other.transaction():
        session = other.value("SELECT pg_backend_pid()")
        price(other, 1, "1")
        holder = overview.read(store, 0, False)["oldest_transaction"]
        assert (holder["session"], holder["database"]) == (session, store.target.database)
        assert status.look(config)["parent"]["oldest_transaction"]["session"] == session
        assert holder["user"] == store.target.user and holder["seconds"] >= 0
        old = {
            "child": {"reachable": True, "oldest_transaction_seconds": 0},
            "parent": {"reachable": True, "oldest_transaction_seconds": 1e4, "oldest_transaction": holder},
        }
        (problem,) = status._held_back(old)
        assert "10000 s (session %d of" % session in problem


def test_no_rows_of_the_log_are_none_and_fewer_are_refused(pair: ProvisionedPair) -> None:
    with pair.parent() as store:
        price(store, 1, "1")
        move(pair)
    place = connection(pair.parent_facts)
    (some, none, fewer) = (run_module("retail_sync_info", log_rows=rows, **place) for rows in (1, 0, -1))
    assert (len(some["log"]), none["log"]) == (1, [])
    assert none["peers"][0]["last_log"] == some["log"][0], "what the roles look at"
    assert fewer["failed"] and "log_rows to 0 or more" in fewer["msg"]


def test_the_module_compares_the_rows_of_a_pair(pair: ProvisionedPair, tmp_path: Path) -> None:
    with pair.parent() as store, pair.child() as register:
        price(store, 1, "1")
        move(pair)
        register.execute("SET session_replication_role = replica")
        price(register, 1, "2")
    config = pair.write_configuration(tmp_path / "pair.json")
    found = run_module("retail_sync_info", check=True, compare=str(config), **connection(pair.parent_facts))
    assert found.get("failed") is not True, found
    tables = {one["table"]: one for one in found["comparison"]["tables"]}
    assert found["changed"] is False
    assert tables["ax.PRICEDISCTABLE"]["differences"] == [
        {"key": {"RECID": 1}, "what": "another image", "status": "different"}
    ]
    assert any("1 rows that differ" in text for text in found["comparison"]["problems"])
