# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site playbook with SQL Server: at headquarters, store and register, and at some of them beside PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import masterdata
import mssql_world as world
import pgserver
import pos
import pytest
from service_hosts import until
from site_chain import HOSTS, REGISTER, SERVICES, STORE, STORES, Chain, Played, plainly

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target

pytestmark = world.needs_server

SALES = 5
#: The engines of HQ, channel and register.
CHAINS = ["mssql-mssql-mssql", "mssql-mssql-postgresql", "postgresql-postgresql-mssql"]


@pytest.fixture(params=CHAINS)
def chain(request: pytest.FixtureRequest, pg_server: pgserver.PgServer, tmp_path: Path) -> Iterator[Chain]:
    servers = {
        "mssql": world.server(),
        "postgresql": Target(engine="postgresql", encrypt="no", **pg_server.facts()),
    }
    engines = request.param.split("-")
    made = Chain(tmp_path, {host: servers[engine] for host, engine in zip(HOSTS, engines, strict=True)}, _is_plain())
    yield made
    made.remove()


def test_a_store_from_headquarters_to_its_register(chain: Chain) -> None:
    foretold = chain.play("axops.retail.site", "--check")
    assert all(foretold.changed.values())
    assert not any(chain.exists(host) for host in HOSTS)

    chain.play("axops.retail.site", "--tags", "hq")
    entered = chain.enter_master_data()
    _give_rights_on_tracking(chain)
    _show_triggers(chain)
    made = chain.play("axops.retail.site")
    assert made.changed["houston-db"] and made.changed["houston-01"]
    for host in ("houston-db", "houston-01"):
        until(lambda host=host: chain.counts(host, entered) == entered, "all master data at %s" % host, 300)

    _sell(chain)
    _change_a_price(chain)
    for service in SERVICES:
        verified = chain.tool(service, "verify", "--digest")
        assert verified.returncode == 0, verified.stdout + verified.stderr

    foretold, again = chain.play("axops.retail.site", "--check"), chain.play("axops.retail.site")
    for run in (foretold, again):
        assert {host: _to_do(chain, host, run) for host in HOSTS} == {host: [] for host in HOSTS}


def _is_plain() -> bool:
    """Whether the server cannot tell what was escaped in JSON."""
    look = "SELECT c FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (c nvarchar(max) '$.c')"
    with _engine.connect(world.server()) as db:
        if db.value(look, '{"c":"\\"\\n"}') == '"\n':
            return False
    world.lacks("OPENJSON ... WITH does not decode escapes here: texts with quotes and line ends were left out")
    return True


class PlainTill(pos.Till):
    """A till whose payments say nothing in XML."""

    def _pay(self, sale: Any, common: Any, tender: str, amount: Any) -> None:
        super()._pay(sale, common, tender, amount)
        payment = sale.payments[-1]
        payment["PAYMENTAUTHORIZATION"] = plainly(payment["PAYMENTAUTHORIZATION"])


def _give_rights_on_tracking(chain: Chain) -> None:
    """Who may read a table gets rights on its tracking when that is made. Where the server does not tell who may, the next run of
    the databases' tasks gives them, since the tracking tables are among the tables then."""
    for host in HOSTS:
        with _engine.connect(chain.targets[host].on("")) as db:
            if db.engine is world.ENGINE and not db.value("SELECT COUNT(*) FROM sys.database_permissions"):
                break
    else:
        return
    world.lacks(
        "sys.database_permissions is empty: rights on tracking tables were given by a second run of the databases' tasks"
    )
    for _time in range(2):
        chain.play("axops.retail.site", "--tags", "database,distribution")


def _show_triggers(chain: Chain) -> None:
    """Who has any right on a table sees its triggers in the catalogue, and so the service can tell whether they are there. Where the
    server shows them to those alone who may execute them, the service's login gets that right."""
    look = "SELECT COUNT(*) FROM sys.triggers AS g JOIN sys.tables AS o ON o.object_id = g.parent_id"
    for host in HOSTS:
        with chain.connect(host) as db, chain.connect_as_service(host) as service:
            if db.engine is not world.ENGINE or service.value(look) == db.value(look):
                continue
            for schema in world.SCHEMAS:
                quote = db.engine.names.quote
                db.execute("GRANT EXECUTE ON SCHEMA::%s TO %s" % (quote(schema), quote(chain.login)))
            assert 0 < service.value(look) == db.value(look)
            world.lacks(
                "sys.triggers shows triggers to nobody who may not execute them: the service's login got that right"
            )


def _sell(chain: Chain) -> None:
    """Sales at the register come to the channel database and to HQ, each of them whole in every look."""
    with contextlib.ExitStack() as stack:
        opened = {host: stack.enter_context(chain.connect(host)) for host in HOSTS}
        register = opened["houston-01"]
        channel = masterdata.channel_of(STORES, STORE)
        kind = PlainTill if chain.plain else pos.Till
        till = kind(register._connection, register.engine.names.quote, STORE, REGISTER, channel, seed=7)
        sold = {till.sell() for _sale in range(SALES)}
        wanted = pos.whole_sales(register._connection, register.engine.names.quote)
        assert set(wanted) == sold
        for host in ("houston-db", "hq01"):
            db = opened[host]

            def arrived(db: Any = db) -> bool:
                assert pos.broken_sales(db._connection, db.engine.names.quote) == []
                return pos.whole_sales(db._connection, db.engine.names.quote) == wanted

            until(arrived, "the sales at %s" % host, 120)


def _change_a_price(chain: Chain) -> None:
    with chain.connect("hq01") as hq, chain.connect("houston-01") as register:
        first = "(select min({RECID}) from {ax.PRICEDISCTABLE})"
        world.run(hq, "update {ax.PRICEDISCTABLE} set {AMOUNT} = {AMOUNT} + 1 where {RECID} = " + first)
        look = "select {RECID}, {AMOUNT} from {ax.PRICEDISCTABLE} where {RECID} = " + first
        until(lambda: world.rows(register, look) == world.rows(hq, look), "the price at the register", 120)


def _to_do(chain: Chain, host: str, run: Played) -> list[str]:
    """What a run that should find nothing to do has done, but for grants where the server does not tell who has which."""
    if not run.changed[host]:
        return []
    with chain.connect(host) as db:
        left = run.steps[host] or ["%d tasks" % run.changed[host]]
        return world.left_to_do(db, left)
