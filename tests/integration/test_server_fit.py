# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is too old, and a database that behaves like one of such a server, are refused wherever something needs more.

PostgreSQL databases have no compatibility level, so the connection limit stands for one here: what is read, planned and applied
is the real thing. On SQL Server itself the last test does it with the level.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from typing import Any

import mssql_world
import offline_world as world
import pytest
from offline_world import ENGINE, HOUSTON_1

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._access.plan import Wanted
from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._offline import distributing, hq, registers
from ansible_collections.axops.retail.plugins.module_utils._offline.registers import Register
from ansible_collections.axops.retail.plugins.module_utils._schema import settings
from ansible_collections.axops.retail.plugins.module_utils._sync import drain
from ansible_collections.axops.retail.plugins.module_utils._sync.config import ServiceConfig
from ansible_collections.axops.retail.plugins.module_utils._sync.link import Link, reach

LEVEL = "compatibility_level"
TOO_LOW = "has a compatibility level below 130"


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases of PostgreSQL get a level, 130 at least; -1, which they have by themselves, is the server's own."""
    databases = ENGINE.databases
    check, set_options = databases.check_server, databases.set_options

    def check_level(db: Any) -> None:
        check(db)
        level = db.value("SELECT datconnlimit FROM pg_database WHERE datname = current_database()")
        if 0 <= level < 130:
            raise RetailError("The database %s %s." % (db.target.where, TOO_LOW))

    def set_level(name: str, options: dict[str, str], after: int | None = None) -> list[str]:
        return set_options(name, {"connection_limit" if one == LEVEL else one: options[one] for one in options}, after)

    monkeypatch.setattr(databases, "OPTIONS", (*databases.OPTIONS[:2], LEVEL))
    monkeypatch.setattr(databases, "check_server", check_level)
    monkeypatch.setattr(databases, "set_options", set_level)


def lower(db: Any) -> None:
    db.execute("ALTER DATABASE %s CONNECTION LIMIT 110" % ENGINE.names.quote(db.target.database))


@pytest.fixture
def register(channel: Any, pg_other_server: Any) -> Iterator[Register]:
    """A register that is wanted, whose database does not exist yet."""
    name = "axops_offline_" + secrets.token_hex(4)
    facts = pg_other_server.facts(name)
    yield Register(HOUSTON_1, channel.target, world.target(facts), Wanted("offline"), profile="Default pr")
    pg_other_server.drop_database(name)


def raised(register: Register, level: int = 130) -> Register:
    return dataclasses.replace(register, settings={LEVEL: level})


def test_headquarters_on_an_old_server_are_refused(channel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENGINE.databases, "OLDEST_VERSION", 99)
    for target in (channel.target, channel.target.on("not made yet")):
        with pytest.raises(RetailError, match="version 99 or later is needed"):
            hq.place(target, _engine.connect, True)
    with pytest.raises(RetailError, match="version 99 or later is needed"):
        hq.place(channel.target, _engine.connect, False)


def test_a_low_level_is_told_whoever_needs_more(channel: Any, register: Register, levels: None) -> None:
    lower(channel)
    report = registers.converge(register, False)
    assert (report.changed, str(report.error)[:23]) == (False, "The channel database: T")
    assert TOO_LOW in str(report.error)
    server = register.offline.on("postgres")
    assert not ENGINE.databases.exists(_engine.connect(server), register.offline.database), "nothing was made"
    with pytest.raises(RetailError, match=TOO_LOW):
        registers.converge_all([register], False, 1)
    order = distributing.Order("Houston", server, channel.target, (), 1.0, 1.0)
    assert TOO_LOW in str(distributing.distribute(order, False).error)
    with pytest.raises(RetailError, match=TOO_LOW):
        drain.wait(channel, 0, 1)


def test_a_service_at_a_low_level_says_so_and_keeps_no_connection(
    channel: Any, scratch_database: Any, levels: None
) -> None:
    lower(channel)
    with Link(ServiceConfig("x", world.target(scratch_database), channel.target)) as link:
        with pytest.raises(RetailError, match=TOO_LOW):
            link.pair()
        there, missing = reach(link)
        assert (sorted(there), sorted(missing)) == (["child"], ["parent"])
        assert TOO_LOW in str(missing["parent"])
    there_still = "SELECT count(*) FROM pg_stat_activity WHERE datname = ? AND application_name <> 'axops.retail'"
    assert channel.value(there_still, channel.target.database) == 0


def test_the_level_of_an_offline_database_is_raised_where_that_is_declared(
    register: Register, pg_other_server: Any, levels: None
) -> None:
    made = registers.converge(raised(register, 150), False)
    assert made.error is None
    with world.connect(pg_other_server.facts(register.offline.database)) as db:
        assert ENGINE.databases.options(db)[LEVEL] == "150", "a new database has it from the beginning"
        assert registers.converge(raised(register, 150), False).plan.titles == []
        lower(db)
        refused = registers.converge(register, False)
        assert TOO_LOW in str(refused.error) and not refused.changed
        step = "Set database option compatibility_level to 130"
        foretold = registers.converge(raised(register), True)
        assert (foretold.error, foretold.plan.titles, len(foretold.warnings)) == (None, [step], 1)
        assert foretold.plan.diff()["before"] == {"offline": {"database": {"options": {LEVEL: "110"}}}}
        assert ENGINE.databases.options(db)[LEVEL] == "110", "a look changes nothing"
        for statement in ENGINE.tracking.drop(world.PRICES.name):
            db.execute(statement)
        done = registers.converge(raised(register), False)
        assert done.error is None
        assert done.plan.titles[0] == step and len(done.plan.titles) > 1 and done.plan.pending == []
        assert ENGINE.databases.options(db)[LEVEL] == "130"
        again = registers.converge(raised(register), False)
        assert (again.error, again.changed) == (None, False)


def test_what_was_raised_before_a_refusal_is_told(register: Register, pg_other_server: Any, levels: None) -> None:
    assert registers.converge(register, False).error is None
    with world.connect(pg_other_server.facts(register.offline.database)) as db:
        lower(db)
    other = dataclasses.replace(raised(register), identity=world.HOUSTON_2)
    refused = registers.converge(other, False)
    assert refused.error is not None and TOO_LOW not in str(refused.error)
    assert refused.changed and refused.plan.begun["steps"] == ["Set database option compatibility_level to 130"]


@mssql_world.needs_server
def test_levels_on_sql_server() -> None:
    engine = mssql_world.ENGINE
    with mssql_world.fresh() as db, _engine.connect(mssql_world.server()) as server:
        highest = engine.databases.highest_level(server)
        if highest is not None:
            with pytest.raises(RetailError, match="has no compatibility level %d" % (highest + 10)):
                settings.wanted(engine, server, {LEVEL: highest + 10}, None)
            assert settings.wanted(engine, server, {LEVEL: highest}, None)[LEVEL] == str(highest)
        try:
            server.execute("ALTER DATABASE %s SET COMPATIBILITY_LEVEL = 110" % engine.names.quote(db.target.database))
        except StatementFailed as error:
            pytest.skip("this server has no compatibility levels: %s" % error.message)
        with _engine.connect(db.target) as old:
            with pytest.raises(RetailError, match=TOO_LOW) as refused:
                engine.databases.check_server(old)
            assert "offline_settings" in refused.value.advice
            with pytest.raises(RetailError, match=TOO_LOW):
                drain.wait(old, 0, 1)
            for statement in engine.databases.set_options(db.target.database, {LEVEL: "130"}):
                server.execute(statement)
        with _engine.connect(db.target) as new:
            engine.databases.check_server(new)
