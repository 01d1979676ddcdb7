# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules retail_backup and retail_sync_drain on real databases."""

from __future__ import annotations

import json
import os
import threading
import time

import offline_world as world
import pgserver
import pytest
from offline_world import insert_into, run_module
from playbook_world import Playbook, signal_all, wait_for_the_end
from register_world import succeed
from service_hosts import until

RESTORE = {"verify": "restore"}


def sell(db, *names):
    insert_into(db, "RETAILTRANSACTIONTABLE", *({"TRANSACTIONID": name, "STORE": "HOUSTON"} for name in names))


@pytest.fixture
def shop(new_database, pg_server, tmp_path):
    """A database with a release and some rows, and how the module is told about it."""
    facts = new_database(pg_server)
    with world.connect(facts) as db:
        world.make_database(db)
        sell(db, *("T%d" % number for number in range(50)))
    yield facts, {**world.connection(facts), "directory": str(tmp_path / "backups")}
    pg_server.drop_database(facts["database"] + "_restore_test")


def backup(options, name="first", **more):
    return run_module("retail_backup", **{**options, "name": name, **more})


def good(options, name="first", **more):
    result = backup(options, name, **more)
    assert not result.get("failed"), result
    return result


def count(facts):
    with world.connect(facts) as db:
        return db.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE"')


def names(server):
    with world.connect(server.facts()) as db:
        return {row[0] for row in db.query("SELECT datname FROM pg_database")}


def test_a_backup_is_tested_by_restoring_it_while_the_database_is_written(shop, pg_server, tmp_path):
    facts, options = shop
    over = threading.Event()

    def work():
        with world.connect(facts) as db:
            number = 1000
            while not over.is_set():
                number += 1
                sell(db, "N%d" % number)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        result = good(options, **RESTORE)
    finally:
        over.set()
        thread.join()
    assert result["changed"] and result["release"] == "6.3.158.0"
    written = json.loads((tmp_path / "backups" / "first.json").read_text(encoding="utf-8"))
    assert written["tested"] and 50 <= written["content"]["ax.RETAILTRANSACTIONTABLE"][0] < count(facts)
    for name in ("first.dump", "first.json"):
        assert (tmp_path / "backups" / name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(tmp_path / "backups")) == ["first.dump", "first.json"]
    assert facts["database"] + "_restore_test" not in names(pg_server)
    assert not good(options, **RESTORE)["changed"]


def test_a_backup_from_before_is_not_made_anew(shop, tmp_path):
    facts, options = shop
    good(options)
    before = (tmp_path / "backups" / "first.dump").read_bytes()
    with world.connect(facts) as db:
        db.execute('ALTER TABLE ax."RETAILTRANSACTIONTABLE" ADD COLUMN half_way int')
    assert not good(options)["changed"]
    assert (tmp_path / "backups" / "first.dump").read_bytes() == before
    time.sleep(1.1)
    assert good(options, max_age=0)["changed"]
    assert (tmp_path / "backups" / "first.dump").read_bytes() != before


@pytest.mark.parametrize("spoil", ["cut", "changed", "without facts"])
def test_a_backup_that_was_cut_off_or_changed_counts_as_none(shop, tmp_path, spoil):
    _facts, options = shop
    good(options)
    path = tmp_path / "backups" / "first.dump"
    if spoil == "without facts":
        path.with_suffix(".json").unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-100] if spoil == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    refused = backup(options, state="restored")
    assert refused["failed"] and "or it is damaged" in refused["msg"]
    assert good(options, **RESTORE)["steps"][0].startswith("Back up ")


def test_a_backup_that_restores_to_something_else_is_refused(shop, tmp_path, pg_server):
    facts, options = shop
    good(options)
    path = tmp_path / "backups" / "first.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["content"] = {"ax.RETAILTRANSACTIONTABLE": [51, "0"], "ax.NOTHING": [0, "0"]}
    path.write_text(json.dumps(document), encoding="utf-8")
    result = backup(options, **RESTORE)
    assert result["failed"] and "ax.NOTHING: missing; ax.RETAILTRANSACTIONTABLE: 50 of 51 rows" in result["msg"], result
    assert facts["database"] + "_restore_test" not in names(pg_server)


def test_a_restore_that_is_killed_leaves_the_database_as_it_was_and_the_next_one_restores(shop, pg_server, tmp_path):
    """Its last step, the content of a materialized view, takes long as long as there is a certain role."""
    facts, options = shop
    slow = facts["database"] + "_slow"
    with world.connect(facts) as db:
        sleep = f"pg_sleep(CASE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{slow}') THEN 60 ELSE 0 END)"
        db.execute(f"CREATE MATERIALIZED VIEW dbo.slow AS SELECT CAST({sleep} AS text) AS slept")
        good(options)
        sell(db, "later")
    running = "SELECT count(*) FROM pg_stat_activity WHERE datname = ? AND query LIKE 'REFRESH MATERIALIZED VIEW%'"
    with world.connect(pg_server.facts()) as server:
        server.execute(f'CREATE ROLE "{slow}"')
        try:
            process = Playbook(tmp_path).start("retail_backup", **options, name="first", state="restored")
            until(lambda: server.value(running, facts["database"] + "_restored"), "most is restored", 60)
            wait_for_the_end(process, signal_all(process))
        finally:
            server.execute(f'DROP ROLE "{slow}"')
    assert count(facts) == 51
    assert good(options, state="restored")["changed"]
    assert count(facts) == 50
    assert {name for name in names(pg_server) if name.startswith(facts["database"])} == {facts["database"]}
    assert not good(options, state="restored")["changed"]


def test_a_restored_database_keeps_its_owner_and_rights_and_loses_its_clients(shop, pg_server):
    facts, options = shop
    role = facts["database"] + "_owner"
    with world.connect(pg_server.facts()) as db:
        db.execute(f'CREATE ROLE "{role}"')
        db.execute(f'ALTER DATABASE "{facts["database"]}" OWNER TO "{role}"')
        db.execute(f'REVOKE CONNECT ON DATABASE "{facts["database"]}" FROM PUBLIC')
    good(options)
    client = pgserver.connect(facts)
    client.execute('DELETE FROM ax."RETAILTRANSACTIONTABLE"')
    client.commit()
    assert good(options, state="restored")["changed"]
    with pytest.raises(Exception, match=r"terminat|connection|lost"):
        client.execute("SELECT 1")
    assert count(facts) == 50
    with world.connect(pg_server.facts()) as db:
        sql = "SELECT pg_get_userbyid(datdba), has_database_privilege('public', oid, 'CONNECT') FROM pg_database WHERE datname = ?"
        assert tuple(db.row(sql, facts["database"])) == (role, False)
        assert not [name for name in names(pg_server) if name.startswith(facts["database"] + "_re")]
    with world.connect(facts) as db:
        sell(db, "later")
    assert not good(options, state="restored")["changed"]
    assert count(facts) == 51, "what came since is kept"
    assert good(options, state="restored", force=True)["changed"]
    assert count(facts) == 50
    pg_server.drop_database(facts["database"])
    assert good(options, state="restored")["changed"], "a database that is gone comes back"
    assert count(facts) == 50
    pg_server.drop_database(facts["database"])
    with world.connect(pg_server.facts()) as db:
        db.execute(f'DROP ROLE "{role}"')


def test_only_so_many_are_kept(shop, tmp_path):
    _facts, options = shop
    for name in ("a", "b", "c"):
        good(options, name)
        time.sleep(1.1)
    kept = good(options, "b", keep=2)
    assert kept["steps"] == ["Remove the backup a"]
    assert {path.stem for path in (tmp_path / "backups").iterdir()} == {"b", "c"}


def test_a_failure_leaves_nothing_half_made(shop, tmp_path, pg_server):
    _facts, options = shop
    good(options)
    before = sorted((path.name, path.read_bytes()) for path in (tmp_path / "backups").iterdir())
    with world.connect(pg_server.facts()) as db:
        db.execute("CREATE ROLE reader LOGIN PASSWORD 'x'")
    try:
        poor = {**options, "login_user": "reader", "login_password": "x"}
        refused = backup(poor, "second")
        assert refused["failed"] and "denied" in refused["msg"], refused
        assert backup({**poor}, max_age=0)["failed"]
    finally:
        with world.connect(pg_server.facts()) as db:
            db.execute("DROP ROLE reader")
    assert sorted((path.name, path.read_bytes()) for path in (tmp_path / "backups").iterdir()) == before


def test_a_register_is_drained_by_what_was_there_at_the_beginning(channel, options, pg_other_server):
    succeed(options)
    offline = pg_other_server.facts(options["offline_database"])
    ask = {**world.connection(offline), "timeout": 30, "pause": 0.1}
    with world.connect(offline) as db:
        sell(db, "T1")
        looked = run_module("retail_sync_drain", check=True, **ask)
        assert not looked.get("failed") and not looked["drained"] and looked["waiting"] == 1, looked
        late = run_module("retail_sync_drain", **{**ask, "timeout": 1})
        assert late["failed"] and "1 row of" in late["msg"] and "(P-0001 Sales: 1)" in late["msg"], late
        assert not run_module("retail_sync_drain", **{**ask, "timeout": 0, "tolerate": ["waiting"]})["drained"]
        over = threading.Event()

        def work():
            """A till that never stops selling, and a service."""
            with (
                world.connect(offline) as till,
                world.connect(offline) as child,
                world.connect(channel.facts) as parent,
            ):
                time.sleep(3)
                number = 1
                while not over.is_set():
                    world.Couple(child, parent).synchronise()
                    number += 1
                    sell(till, "T%d" % number)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            done = run_module("retail_sync_drain", **ask)
        finally:
            over.set()
            thread.join()
        assert not done.get("failed") and done["drained"] and done["waited"] > 0, done
    assert channel.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE" WHERE "TRANSACTIONID" = \'T1\'') == 1


def test_a_register_that_is_away_is_no_failure_if_one_says_so(channel):
    facts = {**world.connection(channel.facts), "port": 1}
    away = run_module("retail_sync_drain", **facts, tolerate=["away"])
    assert not away.get("failed") and (away["reached"], away["drained"], away["waiting"]) == (False, False, None), away
    assert "Cannot connect" in away["reason"]
    wrong = {**world.connection(channel.facts), "login_password": "wrong"}
    assert run_module("retail_sync_drain", **wrong, tolerate=["away", "waiting"])["failed"]
    missing = {**facts, "server": "no.such.host.invalid"}
    assert not run_module("retail_sync_drain", **missing, tolerate=["away"])["reached"]
