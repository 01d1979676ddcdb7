# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A channel database with an offline profile, and what the module retail_offline_db is told about its registers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import offline_world as world
import pytest
from offline_world import insert_into

FIRST = 5637144576

#: Scopes in the order in which they were declared, which is not that of their RECIDs.
PROFILE = {
    "RETAILOFFLINEPROFILE": [{"RECID": FIRST, "NAME": "Default pr"}, {"RECID": FIRST + 1, "NAME": "Empty"}],
    "RETAILOFFLINESCOPE": [
        {"RECID": FIRST, "DESCRIPTION": "P-0001 Sales", "SYNCDIRECTION": 1},
        {"RECID": FIRST + 1, "DESCRIPTION": "1020 Prices", "SYNCDIRECTION": 0, "SYNCFREQUENCY": 60},
        {"RECID": FIRST + 2, "DESCRIPTION": "Shifts", "SYNCDIRECTION": 2},
    ],
    "RETAILOFFLINEPROFILESCOPES": [
        {"RECID": FIRST + 10, "PROFILEID": FIRST, "SCOPEID": FIRST + 1},
        {"RECID": FIRST + 11, "PROFILEID": FIRST, "SCOPEID": FIRST},
        {"RECID": FIRST + 12, "PROFILEID": FIRST, "SCOPEID": FIRST + 2},
    ],
    "RETAILOFFLINETABLE": [
        {"RECID": FIRST, "TABLENAME": "RETAILTRANSACTIONTABLE"},
        {"RECID": FIRST + 1, "TABLENAME": "ax.PRICEDISCTABLE"},
        {"RECID": FIRST + 2, "TABLENAME": "RETAILPOSBATCHTABLE"},
        {"RECID": FIRST + 3, "TABLENAME": "INVENTTABLE"},
    ],
    "RETAILOFFLINESCOPETABLES": [
        {"RECID": FIRST, "SCOPEID": FIRST, "SYNCTABLEID": FIRST},
        {"RECID": FIRST + 1, "SCOPEID": FIRST + 1, "SYNCTABLEID": FIRST + 3},
        {"RECID": FIRST + 2, "SCOPEID": FIRST + 1, "SYNCTABLEID": FIRST + 1},
        {"RECID": FIRST + 3, "SCOPEID": FIRST + 2, "SYNCTABLEID": FIRST + 2},
    ],
}


@pytest.fixture
def channel(pg_server, new_database) -> Iterator[Any]:
    """An open channel database with an offline profile."""
    facts = new_database(pg_server)
    with world.connect(facts) as db:
        world.make_database(db)
        for table, records in PROFILE.items():
            insert_into(db, table, *records)
        db.facts = facts
        yield db


@pytest.fixture
def options(channel, pg_other_server) -> Iterator[dict[str, Any]]:
    """The module's options for an offline database that does not exist yet."""
    name = "axops_offline_" + secrets.token_hex(4)
    facts = pg_other_server.facts(name)
    yield {
        "store_id": "HOUSTON",
        "register_id": "000001",
        "profile": "Default pr",
        **world.connection(channel.facts, "channel_"),
        **world.connection(facts, "offline_"),
    }
    pg_other_server.drop_database(name)


def offline(options: dict[str, Any], server: Any) -> Any:
    return world.connect(server.facts(options["offline_database"]))


def succeed(options: dict[str, Any], **more: Any) -> dict[str, Any]:
    result = world.run_module("retail_offline_db", **{**options, **more})
    assert not result.get("failed"), result
    return result


def fail(options: dict[str, Any], **more: Any) -> str:
    result = world.run_module("retail_offline_db", **{**options, **more})
    assert result.get("failed"), result
    return result["msg"]
