# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and passwords with the signs that a connection string is made of: real logins on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import offline_world as world
import pgserver
import pytest
from offline_world import run_module

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import ConnectFailed

ENGINE = _engine.speaker("postgresql")


@pytest.fixture
def server(pg_server: pgserver.PgServer) -> Iterator[Database]:
    with world.connect(pg_server.facts("postgres")) as db:
        yield db


@pytest.fixture
def login(server: Database) -> Iterator[Callable[[str, str], Target]]:
    """Return a function that makes a login, as the modules do, and tells how to connect with it; dropped after the test."""
    made = []

    def make(name: str, password: str) -> Target:
        made.append(name)
        with server.transaction():
            for statement in ENGINE.access.create_login(name, password):
                server.execute(statement)
        return replace(server.target, user=name, password=password)

    yield make
    for name in made:
        server.execute("DROP ROLE IF EXISTS %s" % ENGINE.names.quote(name))


PASSWORDS = [
    *("{text}", "{text", "text}", "}", "{", "{}", "}}", "{{a}}", "}{", "a}b}", "{a};b", "};UID=postgres"),
    *("a;b", "a=b", ";", "=", "'", '"', "'q'", '"q"', "\\", "a\\'b", "%41", "pass wörd", " lead", "trail ", "  both  "),
    *(" {a;b='\"} ", "päß漢"),
]  # fmt: skip


@pytest.mark.parametrize("password", PASSWORDS)
def test_any_password_lets_in_and_no_other_one(login, password):
    target = login("till_" + secrets.token_hex(4), password)
    with _engine.connect(target) as db:
        assert db.value("SELECT current_user") == target.user
    for other in {password[1:-1], password.strip(), password + "}", "{%s}" % password} - {password, ""}:
        with pytest.raises(ConnectFailed, match="password authentication failed"):
            _engine.connect(replace(target, password=other))


NAMES = [
    *("semi;colon", "{brace}", "{half", "half}", " lead", "trail ", "Mixed Case", "UPPER", "a=b", "dbname=x user=y"),
    *("o'clock", 'dou"ble', "back\\slash", "[brackets]", "päß 漢", " {;'\\\"=} "),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_database_and_of_a_login_is_reached(server, login, name):
    target = login(name, "{secret}")
    server.execute("CREATE DATABASE %s" % ENGINE.names.quote(name))
    try:
        for at, expected in ((target.on(name), (name, name)), (target, ("postgres", name))):
            with _engine.connect(at) as db:
                assert tuple(db.row("SELECT current_database(), current_user")) == expected
        with _engine.connect(server.target.on(name)) as db:
            assert db.value("SELECT current_database()") == name
    finally:
        server.execute("DROP DATABASE %s" % ENGINE.names.quote(name))


def test_what_says_who_connects_is_said_as_it_is(server):
    """In pg_stat_activity, the vendor's triggers and an administrator look for it."""
    with _engine.connect(replace(server.target, application_name='it\'s {a} \\ "b";c')) as db:
        assert db.value("SELECT current_setting('application_name')") == 'it\'s {a} \\ "b";c'


def test_a_database_with_such_a_name_is_backed_up_and_restored(server, pg_server, tmp_path: Path):
    name = " {;'\\\"=%s} " % secrets.token_hex(3)
    server.execute("CREATE DATABASE %s" % ENGINE.names.quote(name))
    try:
        with _engine.connect(server.target.on(name)) as db:
            world.make_database(db)
        options = {**world.connection({**pg_server.facts("postgres"), "database": name}), "name": "first"}
        made = run_module("retail_backup", **options, directory=str(tmp_path / "backups"), verify="restore")
        assert made.get("changed"), made
        with _engine.connect(server.target.on(name)) as db:
            db.execute('DROP TABLE ax."INVENTTABLE"')
        back = run_module("retail_backup", **options, directory=str(tmp_path / "backups"), state="restored")
        assert back.get("changed"), back
        with _engine.connect(server.target.on(name)) as db:
            assert db.value('SELECT count(*) FROM ax."INVENTTABLE"') == 0
    finally:
        for one in ENGINE.databases.list(server):
            if name.strip() in one:
                server.execute("DROP DATABASE %s WITH (FORCE)" % ENGINE.names.quote(one))
