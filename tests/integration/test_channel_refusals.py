# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retail_channel_db, through ansible-playbook: what it refuses, and says to do; what it survives; and its end."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pgserver
import pytest
from offline_world import connection, target
from playbook_world import Playbook, signal_all, wait_for_the_end
from service_hosts import until

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata

MODULE = "retail_channel_db"


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


@pytest.fixture
def named(pg_server: pgserver.PgServer) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Return a function that gives the options for a database, which is dropped afterwards."""
    made = []

    def options(name: str) -> dict[str, Any]:
        made.append(name)
        return connection({**pg_server.facts("postgres"), "database": name})

    yield options
    for name in made:
        pg_server.drop_database(name)


@pytest.fixture
def options(named: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return named("channel_" + secrets.token_hex(4))


def databases(server: pgserver.PgServer) -> list[str]:
    admin = server.connect()
    try:
        return sorted(row[0] for row in admin.execute("SELECT datname FROM pg_database").fetchall())
    finally:
        admin.close()


@pytest.mark.parametrize(
    ("changes", "message", "advice"),
    [
        ({"port": 1}, "Cannot connect to PostgreSQL at 127.0.0.1:1/", "listens on that address"),
        ({"login_password": "wrong"}, "password authentication failed", "Check the user name and the password."),
        ({"driver": "/no/such.so"}, "Can't open lib", "Check the option driver"),
        ({"database": "template1"}, "template1 is a database of the server's own", "Choose another name"),
        ({"database": "é" * 32}, "longer than the 63 bytes that PostgreSQL holds", "Choose a shorter name."),
        ({"groups": [{"name": "x" * 64, "permissions": ["read"]}]}, "longer than the 63 bytes", "shorter"),
        ({"groups": [{"name": "Own"}]}, "Own is no group of the channel database", "Say in permissions"),
        ({"settings": {"recovery": "full"}}, "engine postgresql has no option recovery", "owner, tablespace"),
        ({"settings": {"collation": "kl_QX"}}, "has no collation kl_QX", "Declare one that it has"),
        ({"files": {"data": {"size": "1GB"}}}, "has no option data_size", "It has:"),
        ({"settings": {"connection_limit": -5}}, "-5 is no limit of connections", "-1 for any number"),
        ({"settings": {"connection_limit": 2**31}}, "2147483648 is no limit of connections", "-1 for any number"),
        ({"settings": {"owner": "nobody_here"}}, "has no role nobody_here", "Create it first"),
        ({"settings": {"owner": ""}}, "A name is empty.", "Give everything that is declared a name."),
        ({"settings": {"tablespace": "nowhere"}}, "has no tablespace for databases nowhere", "Create it first"),
        ({"settings": {"tablespace": "pg_global"}}, "has no tablespace for databases pg_global", "Create it first"),
        (
            {"extensions": ["no_such"]},
            "no no_such on the controller, which the option extensions names",
            "not on the host",
        ),
        ({"package": "/no/such"}, "no /no/such on the controller, which the option package names", "folder files of"),
        ({"customizations": "no_such"}, "which the option customizations names", "folder files of the role"),
        ({"disconnect_after": 2**31}, "2147483648 is no number of seconds", "Set disconnect_after"),
        (
            {"logins": [{"name": "pg_sync", "password": "x"}]},
            "keeps the name pg_sync for itself",
            "Choose another name",
        ),
        ({"logins": [{"name": "public"}]}, "keeps the name public for itself", "Choose another name"),
        ({"logins": [{"name": "none"}]}, "keeps the name none", "Choose another name"),
        ({"groups": [{"name": "public", "permissions": ["read"]}]}, "keeps the name public", "Choose another name"),
        ({"logins": [{"name": "", "password": "x"}]}, "A name is empty.", "Give everything that is declared a name."),
        ({"groups": [{"name": "", "permissions": ["read"]}]}, "A name is empty.", "a name."),
        ({"database": ""}, "A name is empty.", "a name."),
        (
            {"logins": [{"name": "sync", "password": ""}]},
            "The password of the login sync is empty",
            "leave the option",
        ),
        ({"logins": [{"name": "sync", "password": "a\0b"}]}, "or has a NUL character.", "Give it another one"),
        ({"logins": [{"name": "a\0b", "password": "x"}]}, "is no name that PostgreSQL can hold", "NUL"),
        (
            {"logins": [{"name": "axops_admin", "state": "absent"}]},
            "axops_admin, which is declared absent, is",
            "Connect",
        ),
        (
            {"groups": [{"name": "axops_admin", "permissions": ["read"]}]},
            "and is a login on this server",
            "another name",
        ),
        ({"groups": [{"name": "POSUsers", "members": ["POSUsers"]}]}, "would be a member of itself", "Take out one"),
        ({"server": ""}, "The name of the database server is empty.", "localhost"),
        ({"port": 0}, "0 is no TCP port of the database server 127.0.0.1.", "from 1 to 65535"),
        ({"port": 65536}, "65536 is no TCP port", "from 1 to 65535"),
        ({"login_timeout": -1}, "-1 is no number of seconds", "login_timeout"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_bad_input_is_named_with_advice_and_changes_nothing(pg_server, options, playbook, changes, message, advice):
    before = databases(pg_server)
    for flags in (("--check",), ()):
        failed = playbook.fail(MODULE, *flags, **{**options, **changes})
        assert message in failed["error"]
        assert advice in failed["advice"]
    assert databases(pg_server) == before


def test_a_library_that_is_missing_is_named_with_its_package(options, tmp_path):
    (tmp_path / "pyodbc.py").write_text("raise ImportError('not here')", encoding="utf-8")
    failed = Playbook(tmp_path, {"PYTHONPATH": str(tmp_path)}).fail(MODULE, **options)
    assert "pyodbc cannot be imported" in failed["error"]
    assert "apt install python3-pyodbc" in failed["advice"]


@pytest.mark.parametrize(
    ("engine", "package"), [("mssql", "msodbcsql18"), ("postgresql", "apt install odbc-postgresql")]
)
def test_a_driver_that_is_missing_is_named_with_its_package(options, tmp_path, engine, package):
    # The drivers are installed here, or some of them: hide them, whether they are found by name or by their files.
    (tmp_path / "mssql_python_odbc").mkdir()
    (tmp_path / "mssql_python_odbc" / "__init__.py").touch()
    (tmp_path / "sitecustomize.py").write_text(
        "import glob\n\nfound = glob.glob\n\n\n"
        "def without_drivers(pattern, **options):\n"
        "    return [] if 'odbc' in pattern else found(pattern, **options)\n\n\n"
        "glob.glob = without_drivers\n",
        encoding="utf-8",
    )
    hidden = {"PYTHONPATH": str(tmp_path), "ODBCSYSINI": str(tmp_path), "ODBCINSTINI": "none.ini"}
    failed = Playbook(tmp_path, hidden).fail(MODULE, **{**options, "engine": engine})
    assert "No ODBC driver for this engine was found" in failed["error"]
    assert package in failed["advice"]


def test_any_name_that_the_engine_holds_works_from_end_to_end(pg_server, named, playbook):
    suffix = secrets.token_hex(3)
    name, login, group = (f" {{{what};}} [1] \"q\" 'ßé漢'=%s {suffix} " for what in ("Kasse", "Läufer", "Prüfer"))
    password = '{pass\'wörd\\ "x"}'
    declared = {
        **named(name),
        "logins": [{"name": login, "password": password}],
        "groups": [{"name": group, "members": [login], "permissions": ["read"], "exclusive": True}],
        "settings": {"connection_limit": 50},
    }
    playbook.succeed(MODULE, **declared)
    assert not playbook.succeed(MODULE, **declared)["changed"]
    with _engine.connect(replace(target(pg_server.facts(name)), user=login, password=password)) as database:
        assert database.value('SELECT count(*) FROM ax."CUSTTABLE"') == 0
        assert database.value("SELECT has_table_privilege('ax.\"CUSTTABLE\"', 'insert')") in (False, "0")

    gone = {**declared, "state": "absent", "logins": [{"name": login, "state": "absent"}], "groups": []}
    foretold = playbook.succeed(MODULE, "--check", "--diff", **gone)
    assert name in databases(pg_server)
    done = playbook.succeed(MODULE, "--diff", **gone)
    assert done["steps"] == [f"Drop database {name}", f"Drop login {login}"]
    assert (done["diff"], done["steps"]) == (foretold["diff"], foretold["steps"])
    assert done["diff"]["before"]["database"] == {"name": name, "release": "6.3.158.0"}
    assert name not in databases(pg_server)
    assert not playbook.succeed(MODULE, **gone)["changed"]


def test_a_login_that_has_something_elsewhere_is_not_foretold_to_go(pg_server, options, playbook):
    login = f"axops_{secrets.token_hex(4)}"
    playbook.succeed(MODULE, **options, logins=[{"name": login, "password": "geheim"}])
    absent = {**options, "logins": [{"name": login, "state": "absent"}]}
    with _engine.connect(target(pg_server.facts(options["database"]))) as database:
        database.execute(f'GRANT SELECT ON ax."CUSTTABLE" TO {login}')
        for flags in (("--check",), ()):
            failed = playbook.fail(MODULE, *flags, **absent)
            assert f"The login {login}, which is declared absent, owns something" in failed["error"]
            assert f"in {options['database']}: " in failed["error"]
        foretold = playbook.succeed(MODULE, "--check", **{**absent, "state": "absent"})
        assert foretold["steps"][-1] == f"Drop login {login}", "its rights go with the database"
        database.execute(f"DROP OWNED BY {login}")
    assert playbook.succeed(MODULE, **absent)["steps"] == [f"Drop login {login}"]


def test_what_would_be_lost_is_named_before_a_database_is_removed(pg_server, options, playbook, tmp_path):
    pg_server.create_database(options["database"])
    gone = {**options, "state": "absent"}
    assert "is not a channel database" in playbook.fail(MODULE, force=True, **gone)["error"]
    playbook.succeed(MODULE, **options)
    facts = pg_server.facts(options["database"])
    there = target(facts)
    with _engine.connect(there) as db:
        for table in metadata.TABLES:
            for statement in db.engine.tables.create(table):
                db.execute(statement)
        db.execute(
            "INSERT INTO dbo.sync_peer (peer_id, peer_name, peer_guid, incarnation, store_id, register_id) "
            "VALUES (1, 'HOUSTON-000001', 'g', 'i', 'HOUSTON', '000001')"
        )
        assert "these synchronise with it: HOUSTON-000001." in playbook.fail(MODULE, **gone)["error"]
        for _row in range(2):
            db.execute(
                "INSERT INTO dbo.sync_quarantine (peer_id, sync_scope_name, table_name, error, header, row_image) "
                "VALUES (1, 'Sales', 'ax.CUSTTABLE', 'e', '{}', '{}')"
            )
    custom = tmp_path / "custom"
    custom.mkdir()
    (custom / "a.sql").write_text('DROP TABLE ax."CUSTTABLE"', encoding="utf-8")
    for declared in (gone, {**options, "customizations": str(custom)}):
        failed = playbook.fail(MODULE, **declared)
        assert "HOUSTON-000001: 2 rows of scope Sales" in failed["error"]
        assert "set force" in failed["advice"]
    # Without scripts an upgrade only adds, and registers go on synchronising what both know.
    assert not playbook.succeed(MODULE, **options)["changed"]
    forced = playbook.succeed(MODULE, force=True, customizations=str(custom), **options)
    assert [one["file"] for one in forced["scripts"]] == ["a.sql"]
    with _engine.connect(there) as db:
        assert db.value("SELECT to_regclass('ax.\"CUSTTABLE\"')") is None
        assert db.value("SELECT count(*) FROM dbo.sync_quarantine") == 2, "what was put aside is still there"
    assert playbook.succeed(MODULE, force=True, **gone)["changed"]
    assert options["database"] not in databases(pg_server)


@pytest.mark.parametrize(
    ("number", "resumed_at"), [(signal.SIGKILL, 3), (signal.SIGINT, 4)], ids=["killed", "interrupted"]
)
def test_a_run_that_is_cut_off_within_a_script_is_completed_by_the_next(
    pg_server, options, playbook, tmp_path, number, resumed_at
):
    """Killed, nobody can say how far the third batch has come: it runs again. Ctrl-C waits until it is noted."""
    custom = tmp_path / "custom"
    custom.mkdir()
    batches = ["CREATE TABLE dbo.once (a int)", "INSERT INTO dbo.once VALUES (1)", "SELECT pg_sleep(4)"]
    batches.append("INSERT INTO dbo.once VALUES (2)")
    (custom / "a.sql").write_text("\nGO\n".join(batches), encoding="utf-8")
    declared = {**options, "customizations": str(custom)}
    process = playbook.start(MODULE, **declared)
    until(lambda: batches_noted(pg_server, options["database"]) == 2, "two batches are noted", 90)
    wait_for_the_end(process, signal_all(process, number))

    done = playbook.succeed(MODULE, **declared)
    assert [one["resumed_at"] for one in done["scripts"]] == [resumed_at]
    assert not playbook.succeed(MODULE, **declared)["changed"]
    database = pg_server.connect(options["database"])
    assert [row[0] for row in database.execute("SELECT a FROM dbo.once ORDER BY a").fetchall()] == [1, 2]
    database.close()


def batches_noted(server: pgserver.PgServer, name: str) -> int | None:
    if name not in databases(server):
        return None
    database = server.connect(name)
    try:
        if database.execute("SELECT to_regclass('dbo.upgrade_progress')").fetchval() is None:
            return None
        return database.execute("SELECT max(runs) FROM dbo.upgrade_progress").fetchval()
    finally:
        database.close()


def test_what_the_login_may_not_give_away_is_seen_before_the_database_is_made(pg_server, options, playbook):
    """As a login that makes databases and roles, and is nobody's superuser."""
    maker, owner = ("%s_%s" % (what, secrets.token_hex(4)) for what in ("maker", "owner"))
    admin = pg_server.connect(autocommit=True)
    try:
        admin.execute(f"CREATE ROLE {maker} LOGIN CREATEDB CREATEROLE PASSWORD 'secret'")
        admin.execute(f"CREATE ROLE {owner}")
        mine = {**options, "login_user": maker, "login_password": "secret"}
        for settings, message in (
            ({"owner": owner}, f"may not give a database the owner {owner}"),
            ({"tablespace": "pg_default"}, "may not give a database the tablespace pg_default"),
        ):
            for flags in (("--check",), ()):
                assert message in playbook.fail(MODULE, *flags, **mine, settings=settings)["error"]
        assert options["database"] not in databases(pg_server)
        admin.execute(f"GRANT {owner} TO {maker}")
        assert playbook.succeed(MODULE, **mine, settings={"owner": owner})["changed"]
        # What it has need not be given: the database is in that tablespace, and the owner's from now on.
        admin.execute(f"REVOKE {owner} FROM {maker}")
        kept = {**mine, "settings": {"owner": owner, "tablespace": "pg_default"}}
        assert not playbook.succeed(MODULE, "--check", **kept)["changed"]
    finally:
        pg_server.drop_database(options["database"])
        admin.execute(f"DROP ROLE {maker}")
        admin.execute(f"DROP ROLE {owner}")
        admin.close()


@pytest.mark.parametrize(
    ("definition", "message", "advice"),
    [
        ("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "has the encoding LATIN1", "encoding UTF8"),
        ("ALLOW_CONNECTIONS false", "is not currently accepting connections", "ALLOW_CONNECTIONS true"),
    ],
    ids=["encoding", "closed"],
)
def test_a_database_that_cannot_be_used_says_why(pg_server, options, playbook, definition, message, advice):
    admin = pg_server.connect(autocommit=True)
    admin.execute('CREATE DATABASE "%s" TEMPLATE template0 %s' % (options["database"], definition))
    admin.close()
    for flags in (("--check",), ()):
        failed = playbook.fail(MODULE, *flags, **options)
        assert message in failed["error"]
        assert advice in failed["advice"]
