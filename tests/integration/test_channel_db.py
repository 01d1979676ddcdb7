# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module retail_channel_db, run as Ansible runs it, against a real server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pgserver
import pytest
from offline_world import connect, connection
from playbook_world import Playbook

MODULE = "retail_channel_db"
#: A run that changes nothing may ask this much of the server.
MOST_STATEMENTS = 12


@pytest.fixture
def options(pg_server: pgserver.PgServer) -> Iterator[dict[str, Any]]:
    """The options for a database that does not exist yet."""
    name = "Channel " + secrets.token_hex(4)
    yield connection(pg_server.facts(name))
    pg_server.drop_database(name)


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


@pytest.fixture
def contoso(tmp_path: Path) -> str:
    """A partner's schema folder: release 6.3.158.1 adds a table, and a column to one that is there."""
    root = tmp_path / "contoso"
    documents = {
        "CUSTGROUP": {"columns": {"CONTOSOTIER": "int not null default 3"}, "indexes": [["CONTOSOTIER"]]},
        "CONTOSOCARD": {"columns": {"CARD": "nvarchar(20) not null"}, "primary_key": ["CARD"]},
    }
    (root / "tables" / "ax").mkdir(parents=True)
    for name, document in documents.items():
        (root / "tables" / "ax" / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    facts = {"title": "Contoso", "extends": "ax2012r3", "release": "6.3.158.1"}
    (root / "release.json").write_text(json.dumps(facts), encoding="utf-8")
    return str(root)


def succeed(playbook: Playbook, *flags: str, **options: Any) -> dict[str, Any]:
    return playbook.succeed(MODULE, *flags, **options)


def fail(playbook: Playbook, **options: Any) -> str:
    return playbook.fail(MODULE, **options)["msg"]


def query(server: pgserver.PgServer, options: dict[str, Any], sql: str) -> list[Any]:
    database = server.connect(options["database"])
    try:
        return [tuple(row) for row in database.execute(sql).fetchall()]
    finally:
        database.close()


def test_check_mode_tells_what_the_run_does_and_a_second_run_does_nothing(pg_server, options, playbook):
    foretold = succeed(playbook, "--check", "--diff", **options)
    databases = pg_server.connect().execute("SELECT datname FROM pg_database").fetchall()
    assert options["database"] not in [row[0] for row in databases]
    done = succeed(playbook, "--diff", **options)
    for key in ("changed", "steps", "diff", "release", "previous_release", "tables_created"):
        assert done[key] == foretold[key], key
    assert done["changed"]
    assert (done["release"], done["previous_release"], done["tables_created"]) == ("6.3.158.0", None, 548)

    again = succeed(playbook, "--diff", **options)
    assert not again["changed"]
    assert again["steps"] == []
    assert again["statements"] <= MOST_STATEMENTS
    assert again["previous_release"] == "6.3.158.0"


def test_versions_stand_where_the_vendor_keeps_them(pg_server, options, playbook):
    succeed(playbook, **options)
    assert query(pg_server, options, 'SELECT "ID", "TEXT" FROM dbo."POSISINFO"') == [("DBVERSION", "6.3.158.0")]
    assert query(pg_server, options, 'SELECT * FROM ax."DBVERSION"') == [("databaseVersion", 60315800, "6.3.158.0")]
    rows = query(
        pg_server, options, 'SELECT "UPGRADETYPE", "FILENAME", "BUILD", "CHECKSUM" FROM crt."RETAILUPGRADEHISTORY"'
    )
    assert [row[:3] for row in rows] == [("RETAIL", "ax2012r3", "6.3.158.0")]
    assert len(rows[0][3]) == 64


def test_a_partners_release_is_reached_in_place_and_never_left_again(pg_server, options, playbook, contoso):
    succeed(playbook, **options)
    database = pg_server.connect(options["database"], autocommit=True)
    database.execute("""INSERT INTO ax."CUSTGROUP" ("RECID", "CUSTGROUP", "DATAAREAID") VALUES (1, '10', 'usrt')""")
    database.close()

    upgraded = succeed(playbook, extensions=[contoso], **options)
    assert (upgraded["previous_release"], upgraded["release"]) == ("6.3.158.0", "6.3.158.1")
    assert upgraded["tables_created"] == 1
    assert "Add column CONTOSOTIER to ax.CUSTGROUP" in upgraded["steps"]
    assert query(pg_server, options, 'SELECT "CUSTGROUP", "CONTOSOTIER" FROM ax."CUSTGROUP"') == [("10", 3)]
    assert query(pg_server, options, 'SELECT "TEXT" FROM dbo."POSISINFO"') == [("6.3.158.1",)]
    assert not succeed(playbook, extensions=[contoso], release="6.3.158.1", **options)["changed"]

    assert "a downgrade would lose data" in fail(playbook, **options)
    assert query(pg_server, options, 'SELECT "TEXT" FROM dbo."POSISINFO"') == [("6.3.158.1",)]


def test_what_is_not_ours_is_left_alone(pg_server, options, playbook, contoso):
    pg_server.create_database(options["database"])
    database = pg_server.connect(options["database"], autocommit=True)
    database.execute("CREATE TABLE photos (a int)")
    assert "is not a channel database" in fail(playbook, **options)
    found = query(pg_server, options, "SELECT tablename FROM pg_tables WHERE schemaname NOT LIKE 'pg%' ORDER BY 1")
    assert "photos" in [row[0] for row in found]
    assert "CUSTTABLE" not in [row[0] for row in found]

    database.execute("DROP TABLE photos")
    database.close()
    assert "Create database" not in " ".join(succeed(playbook, "--check", **options)["steps"])
    assert "Release 6.3.200.0 is unknown" in fail(playbook, release="6.3.200.0", extensions=[contoso], **options)


def test_hq_has_the_schedulers_tables(pg_server, options, playbook):
    done = succeed(playbook, tier="hq", **options)
    assert done["release"] == "6.3.158.0"
    assert query(pg_server, options, 'SELECT "DATAGROUP" FROM ax."RETAILCONNDATABASEPROFILE"') == []
    assert query(pg_server, options, 'SELECT count(*) FROM ax."RETAILCDXSESSION"') == [(0,)]
    assert not succeed(playbook, tier="hq", **options)["changed"]


@pytest.mark.parametrize(
    ("made_as", "shown"),
    [
        ("hq", "is headquarters': crt.RETAILUPGRADEHISTORY records the schema ax2012r3_hq"),
        ("channel", "release 6.3.158.0"),
    ],
)
def test_a_database_of_the_other_tier_keeps_its_rights_and_tables(pg_server, options, playbook, made_as, shown):
    """Its groups would lose rights that its services need, and sales would not come any further."""
    other = {"hq": "channel", "channel": "hq"}[made_as]
    succeed(playbook, tier=made_as, **options)
    for flags in ((), ("--check",)):
        for declared in ({}, {"state": "absent", "force": True}):
            failed = playbook.fail(MODULE, *flags, tier=other, **options, **declared)
            assert options["database"] in failed["error"]
            assert shown in failed["error"]
            assert f"tier: {other}" in failed["error"]
            assert f"Set tier: {made_as}, or name another database." in failed["advice"]
    assert not succeed(playbook, tier=made_as, **options)["changed"]


def test_a_database_for_headquarters_that_was_cut_off_becomes_no_store(pg_server, options, playbook):
    """Its tables come first, and what records them last."""
    succeed(playbook, tier="hq", **options)
    with connect(pg_server.facts(options["database"])) as db:
        db.execute('DELETE FROM crt."RETAILUPGRADEHISTORY"')
        assert "it has the table ax.RETAILCDXDATAGROUP" in fail(playbook, **options)
        assert succeed(playbook, tier="hq", **options)["changed"]
        # and one that has come to no table of headquarters' yet may become either
        for table in ('crt."RETAILUPGRADEHISTORY"', 'dbo."POSISINFO"', 'ax."DBVERSION"'):
            db.execute("DELETE FROM %s" % table)
        db.execute('DROP TABLE ax."RETAILCDXDATAGROUP"')
    for tier in ("channel", "hq"):
        assert succeed(playbook, "--check", tier=tier, **options)["changed"]


def test_groups_and_logins_are_converged_both_ways_and_no_secret_is_told(pg_server, options, playbook):
    suffix = secrets.token_hex(4)
    sync, till = f"sync_{suffix}", f"till_{suffix}"
    first, second = secrets.token_urlsafe(12), secrets.token_urlsafe(12) + " päss wörd"

    def declared(members: list[str], password: str) -> dict[str, Any]:
        groups = [{"name": "RetailOfflineSyncUsers", "members": members, "exclusive": True}]
        logins = [{"name": sync, "password": password}, {"name": till, "password": first}]
        return {**options, "groups": groups, "logins": logins}

    made = succeed(playbook, "--diff", "-vvv", **declared([sync, till], first))
    assert f"Add {sync} to RetailOfflineSyncUsers" in made["steps"]
    assert not succeed(playbook, **declared([sync, till], first))["changed"]

    changed = succeed(playbook, "--diff", "-vvv", **declared([sync], second))
    assert changed["steps"] == [f"Set the password of login {sync}", f"Remove {till} from RetailOfflineSyncUsers"]
    kept = declared([sync], first)
    kept["logins"][0]["update_password"] = "on_create"
    kept["groups"][0].update(members=[], exclusive=False)
    assert not succeed(playbook, **kept)["changed"]
    for secret in (first, second.split()[0], pg_server.password):
        assert secret not in json.dumps([made, changed], ensure_ascii=False)

    mine = {**pg_server.facts(options["database"]), "user": sync, "password": second}
    assert pgserver.connect(mine).execute('SELECT count(*) FROM ax."CUSTTABLE"').fetchval() == 0
    assert "does not exist" in fail(
        playbook, **{**options, "groups": [{"name": "POSUsers", "members": ["nobody_" + suffix]}]}
    )
    twice = {**options, "logins": [{"name": sync}, {"name": sync}]}
    assert "declared twice" in fail(playbook, **twice)
