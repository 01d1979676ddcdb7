# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's loop between two real databases on two servers."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from elapsed import let_pass
from service_pairs import DOWN, UP, ProvisionedPair, price, prices, sale, sales

from ansible_collections.axops.retail.plugins.module_utils._sync import (
    cleanup,
    cli,
    log,
    metadata,
    once,
    status,
    upkeep,
    verify,
)
from ansible_collections.axops.retail.plugins.module_utils._sync import config as configuration
from ansible_collections.axops.retail.plugins.module_utils._sync import service as service_module
from ansible_collections.axops.retail.plugins.module_utils._sync.messages import LOGGER
from ansible_collections.axops.retail.plugins.module_utils._sync.service import Service


@pytest.fixture
def pair(scratch_pair: Any) -> ProvisionedPair:
    child, parent = scratch_pair
    return ProvisionedPair(child, parent)


@pytest.fixture
def config(pair: ProvisionedPair) -> configuration.ServiceConfig:
    return configuration.parse(json.dumps(pair.configuration()))


@pytest.fixture
def service(config: configuration.ServiceConfig) -> Iterator[Service]:
    service = Service(config)
    yield service
    service.stop()
    service.run()


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    LOGGER.propagate = True
    caplog.set_level(logging.INFO, LOGGER.name)
    yield caplog


def test_data_moves_both_ways(pair: ProvisionedPair, service: Service) -> None:
    with pair.child() as register, pair.parent() as store:
        price(store, 1, "9.5")
        service.cycle()
        sale(register, "T1")
        price(store, 2, "3")
        service.cycle()
        assert prices(register) == {1: "9.5", 2: "3"}
        assert sales(store) == {"T1"}


def test_a_quiet_look_is_one_question_to_each_side(pair: ProvisionedPair, service: Service) -> None:
    with pair.parent() as store:
        price(store, 1, "9.5")
    for _look in range(3):
        service.cycle()
    before = service.progress
    service.cycle()
    assert service.progress - before == 2


def test_heartbeats_are_written_at_the_start_and_not_at_each_look(pair: ProvisionedPair, service: Service) -> None:
    for _look in range(3):
        service.cycle()
    with pair.parent() as store:
        rows = log.read_last(store, 10)
    assert sorted((row["scope_id"], row["terminal"]) for row in rows) == [(101, "000001"), (102, "000001")]


def test_heartbeats_return(pair: ProvisionedPair, config: configuration.ServiceConfig) -> None:
    service = Service(dataclasses.replace(config, heartbeat=0))
    for _look in range(2):
        service.cycle()
    with pair.parent() as store:
        assert len(log.read_last(store, 10)) == 4
    service.stop()
    service.run()


def test_each_scope_has_its_turn_as_often_as_its_frequency_says(
    scratch_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes in which something waits at every look; the service's clock is ours, so they take no time."""
    scopes = (dataclasses.replace(DOWN, frequency=60), dataclasses.replace(UP, frequency=1))
    pair = ProvisionedPair(*scratch_pair, scopes=scopes)
    service = Service(configuration.parse(json.dumps(pair.configuration(interval=45, frequency_floor=20))))
    now, turns = 1000.0, Counter[str]()
    monkeypatch.setattr(service_module, "time", SimpleNamespace(monotonic=lambda: now))
    with pair.child() as register, pair.parent() as store:
        while now < 1600:
            price(store, 1, str(now))
            sale(register, "T%f" % now)
            before = prices(register), sales(store)
            now += service.cycle()
            turns["Prices"] += prices(register) != before[0]
            turns["Sales"] += sales(store) != before[1]
    assert 9 <= turns["Prices"] <= 12, "every minute"
    assert 27 <= turns["Sales"] <= 31, "every second is what it is declared to have, and 20 seconds are the floor"
    monkeypatch.undo()
    service.stop()
    service.run()


def test_a_pair_that_always_has_something_to_move_cleans_up_and_its_sales_do_not_wait(
    pair: ProvisionedPair, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step after each look, until all is done; what is sold meanwhile goes up with the next look."""
    monkeypatch.setattr(upkeep, "SLICE", 0)
    done = "SELECT count(*) FROM dbo.sync_upkeep WHERE task = 'cleanup'"
    looks = 0
    with pair.child() as register, pair.parent() as store:
        for db in (register, store):
            let_pass(db, 40)
            db.execute("DELETE FROM dbo.sync_upkeep WHERE task = 'cleanup'")
        while not (register.value(done) and store.value(done)):
            looks += 1
            sale(register, "T%d" % looks)
            service.cycle()
            assert len(sales(store)) == looks
            assert looks < 60
        assert looks > 4, "each table is a step"
        service.cycle()
        before = store.value("SELECT done FROM dbo.sync_upkeep WHERE task = 'cleanup'")
        sale(register, "T0")
        service.cycle()
        assert store.value("SELECT done FROM dbo.sync_upkeep WHERE task = 'cleanup'") == before, "it is not due"


def test_an_upkeep_that_was_begun_is_left_to_others_where_a_connection_is_lost(
    pair: ProvisionedPair, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SLICE", 0)
    with pair.child() as register, pair.parent() as store:
        for db in (register, store):
            let_pass(db, 40)
        sale(register, "T1")
        service.cycle()
        assert cleanup.run(register, cleanup.Keep()) is None, "the service is at it"
        register.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        sale(register, "T2")
        service.cycle()
        assert cleanup.run(register, cleanup.Keep()) is not None
        service.cycle()
        assert sales(store) == {"T1", "T2"}


def test_a_quiet_scope_waits_for_its_turn_and_the_service_does_not_spin(
    scratch_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = ProvisionedPair(*scratch_pair, scopes=(dataclasses.replace(DOWN, frequency=30), UP))
    service = Service(configuration.parse(json.dumps(pair.configuration(interval=10))))
    now, pauses = 1000.0, []
    monkeypatch.setattr(service_module, "time", SimpleNamespace(monotonic=lambda: now))
    while now < 1300:
        pauses.append(service.cycle())
        now += pauses[-1]
    assert 27 <= len(pauses) <= 45, "each ten seconds, and each thirty"
    monkeypatch.undo()
    service.stop()
    service.run()


def test_a_failing_scope_does_not_stop_the_others(
    pair: ProvisionedPair, service: Service, messages: pytest.LogCaptureFixture
) -> None:
    with pair.child() as register, pair.parent() as store:
        service.cycle()
        register.execute('ALTER TABLE "ax"."PRICEDISCTABLE" RENAME TO "AWAY"')
        price(store, 1, "1")
        sale(register, "T1")
        for _look in range(3):
            service.cycle()
        assert sales(store) == {"T1"}
        errors = metadata.read_errors(register, metadata.PARENT)
        assert list(errors) == ["Prices"]
        assert "PRICEDISCTABLE" in errors["Prices"]
        assert sum("scope Prices:" in record.message for record in messages.records) == 1, "said once"
        register.execute('ALTER TABLE "ax"."AWAY" RENAME TO "PRICEDISCTABLE"')
        service.reconfigure(service.config)
        service.cycle()
        assert prices(register) == {1: "1"}
        assert metadata.read_errors(register, metadata.PARENT) == {}


def test_a_log_that_cannot_be_written_stops_nothing(
    pair: ProvisionedPair, service: Service, messages: pytest.LogCaptureFixture
) -> None:
    """Its numbers have run out, which at headquarters with a thousand stores takes about a year."""
    with pair.child() as register, pair.parent() as store:
        sequence = "pg_get_serial_sequence('dbo.\"RETAILOFFLINESYNCLOG\"', 'REPLICATIONCOUNTER')"
        store.value("SELECT setval(%s, 2147483647)" % sequence)
        sale(register, "T1")
        price(store, 1, "1")
        for _look in range(3):
            service.cycle()
        assert (sales(store), prices(register)) == ({"T1"}, {1: "1"})
        assert metadata.read_errors(register, metadata.PARENT) == {}
        assert sum("log of the parent" in record.message for record in messages.records) == 1, "said once"
        store.value("SELECT setval(%s, 1)" % sequence)
        sale(register, "T2")
        service.cycle()
        assert log.read_last(store, 1)[0]["uploaded"] == 1


def test_changed_scopes_are_noticed(pair: ProvisionedPair, service: Service) -> None:
    service.cycle()
    with pair.child() as register, pair.parent() as store:
        for db in (register, store):
            db.execute("UPDATE dbo.scope_info SET frequency = 3600 WHERE sync_scope_name = 'Prices'")
        service.cycle()
        price(store, 1, "1")
        service.cycle()
        assert prices(register) == {}, "the new frequency holds"


def test_a_stopped_parent_is_normal_life(
    pair: ProvisionedPair, service: Service, pg_other_server: Any, messages: pytest.LogCaptureFixture
) -> None:
    service.cycle()
    pg_other_server.stop()
    with pair.child() as register:
        sale(register, "T1")
        for _look in range(4):
            assert service.cycle() <= 5
        assert metadata.read_errors(register, metadata.PARENT) == {}, "being offline is no error"
    warnings = [record.message for record in messages.records if record.levelno >= logging.WARNING]
    assert 1 <= len(warnings) <= 2, warnings
    pg_other_server.start()
    service.cycle()
    with pair.parent() as store:
        assert sales(store) == {"T1"}
    assert any("connected again" in record.message for record in messages.records)


def test_status_while_the_parent_is_down(
    pair: ProvisionedPair, config: configuration.ServiceConfig, service: Service, pg_other_server: Any
) -> None:
    service.cycle()
    pg_other_server.stop()
    with pair.child() as register:
        sale(register, "T1")
        sale(register, "T2")
    document = status.look(config)
    assert document["unreachable"] == ["parent"]
    assert document["child"]["reachable"] and not document["parent"]["reachable"]
    upload = next(scope for scope in document["scopes"] if scope["name"] == "Sales")["upload"]
    assert (upload["waiting"], upload["estimated"]) == (2, True)
    assert config.parent.password not in json.dumps(document)


def test_status_counts_what_waits(pair: ProvisionedPair, config: configuration.ServiceConfig, service: Service) -> None:
    service.cycle()
    with pair.child() as register, pair.parent() as store:
        sale(register, "T1")
        price(store, 1, "1")
        price(store, 2, "2")
    scopes = {scope["name"]: scope for scope in status.look(config)["scopes"]}
    assert scopes["Sales"]["upload"]["waiting"] == 1
    assert scopes["Sales"]["download"] is None
    assert scopes["Prices"]["download"]["waiting"] == 2
    assert scopes["Prices"]["download"]["oldest_seconds"] >= 0
    assert scopes["Prices"]["loaded"] is True
    service.cycle()
    document = status.look(config)
    assert [scope[way]["waiting"] for scope, way in zip(document["scopes"], ("download", "upload"))] == [0, 0]
    assert document["problems"] == []
    assert len(document["log"]) == 4


def test_once_moves_everything(pair: ProvisionedPair, config: configuration.ServiceConfig) -> None:
    with pair.child() as register, pair.parent() as store:
        price(store, 1, "1")
        sale(register, "T1")
        document = once.run(config)
        assert prices(register) == {1: "1"} and sales(store) == {"T1"}
    moved = {scope["name"]: scope for scope in document["scopes"]}
    assert moved["Prices"]["download"]["moved"] == 1
    assert moved["Sales"]["upload"]["moved"] == 1
    assert document["waiting"] == [] and document["problems"] == []


def test_verify_finds_nothing_in_a_sound_pair(
    pair: ProvisionedPair, config: configuration.ServiceConfig, service: Service
) -> None:
    with pair.parent() as store:
        price(store, 1, "1")
    service.cycle()
    document = verify.check(config)
    assert document["problems"] == []
    assert document["tracking_tables"] == {"child": 2, "parent": 2}
    assert [table["rows"] for table in document["tables"] if table["scope"] == "Prices"] == [{"child": 1, "parent": 1}]


def test_verify_names_what_is_wrong(
    pair: ProvisionedPair, config: configuration.ServiceConfig, service: Service
) -> None:
    service.cycle()
    with pair.child() as register, pair.parent() as store:
        register.execute('DROP TRIGGER "RETAILTRANSACTIONTABLE_update_trigger" ON "ax"."RETAILTRANSACTIONTABLE"')
        store.execute("UPDATE dbo.scope_info SET session_token = 'another' WHERE sync_scope_name = 'Prices'")
        register.execute('ALTER TABLE "ax"."PRICEDISCTABLE" DISABLE TRIGGER USER')
        register.execute('INSERT INTO "ax"."PRICEDISCTABLE" ("RECID") VALUES (77)')
        register.execute('ALTER TABLE "ax"."PRICEDISCTABLE" ENABLE TRIGGER USER')
    problems = " ".join(verify.check(config)["problems"])
    assert "ax.RETAILTRANSACTIONTABLE lacks the trigger for update at the child" in problems
    assert "The sessions of the scope Prices do not continue each other" in problems
    assert "ax.PRICEDISCTABLE has 1 rows at the child and 0 at the parent" in problems


def test_verify_says_when_the_service_is_silent(pair: ProvisionedPair, config: configuration.ServiceConfig) -> None:
    assert any("has never run" in problem for problem in verify.check(config)["problems"])


def test_a_clone_is_refused_and_says_why_and_the_operators_word_lets_it_go_on(
    pair: ProvisionedPair, service: Service, tmp_path: Path
) -> None:
    config_file = pair.write_configuration(tmp_path / "config.json")
    with pair.child() as register, pair.parent() as store:
        store.execute("UPDATE dbo.sync_peer SET incarnation = 'postgresql:1:2' WHERE peer_id = 1")
        store.execute(
            "INSERT INTO dbo.sync_incarnation (peer_guid, incarnation, place, state) "
            "SELECT peer_guid, incarnation, 'till 2', 'accepted' FROM dbo.sync_peer"
        )
        sale(register, "1")
        service.cycle()
        errors = metadata.read_errors(register, metadata.PARENT)
        assert set(errors) == {"Prices", "Sales"}
        assert "at till 2" in errors["Sales"]
        assert "rebaseline --moved" in errors["Sales"]
        assert cli.main(["rebaseline", "--config", str(config_file)]) == cli.PROBLEM
        assert cli.main(["rebaseline", "--moved", "--config", str(config_file)]) == cli.OK
        service.cycle()
        assert sales(store) == {"1"}
        assert metadata.read_errors(register, metadata.PARENT) == {}


def test_a_pair_that_is_provisioned_anew_is_opened_anew(
    pair: ProvisionedPair, service: Service, messages: pytest.LogCaptureFixture
) -> None:
    service.cycle()
    with pair.child() as register, pair.parent() as store:
        store.execute("DELETE FROM dbo.scope_info")
        store.execute("DELETE FROM dbo.sync_peer")
        pair.provision(reprovision=True)
        sale(register, "T1")
        price(store, 1, "1")
        for _look in range(3):
            service.cycle()
        assert sales(store) == {"T1"} and prices(register) == {1: "1"}
    assert any("provisioned anew" in record.message for record in messages.records)


def test_a_scope_that_the_parent_does_not_know_is_an_error(pair: ProvisionedPair, service: Service) -> None:
    service.cycle()
    with pair.child() as register, pair.parent() as store:
        store.execute("DELETE FROM dbo.scope_info WHERE sync_scope_name = 'Sales'")
        sale(register, "T1")
        price(store, 1, "1")
        service.cycle()
        assert prices(register) == {1: "1"}
        assert "not provisioned for the scope 'Sales'" in metadata.read_errors(register, metadata.PARENT)["Sales"]
