# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of HQ refuse, through ansible-playbook: the message says what to do, and nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import offline_world as world
import pytest
from playbook_world import Playbook

PRICES = {"name": "Prices", "direction": "download", "tables": ["PRICEDISCTABLE"]}
JOBS = [{"id": "1020", "name": "Prices", "tables": ["PRICEDISCTABLE"]}, {"id": "1070", "tables": ["RETAILSTORETABLE"]}]
OWN = {"table": "RETAILSTORETABLE", "where": [{"column": "RECID", "own": "channel"}]}


@pytest.fixture(scope="module")
def facts(pg_server: Any) -> Iterator[dict[str, Any]]:
    """An HQ database without stores, for all tests: none of them may change it."""
    name = "axops_hq_refusals"
    made = pg_server.create_database(name)
    with world.connect(made) as db:
        world.make_database(db, "ax2012r3_hq")
    yield made
    pg_server.drop_database(name)


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


def rows(facts: dict[str, Any]) -> int:
    with world.connect(facts) as db:
        return sum(
            db.value('SELECT count(*) FROM ax."%s"' % table)
            for table in ("RETAILOFFLINEPROFILE", "RETAILOFFLINESCOPE", "RETAILCDXDATAGROUP", "RETAILCDXSCHEDULERJOB")
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Default profile", "scopes": [PRICES]}, "1 to 10 characters"),
        ({"scopes": [PRICES, {**PRICES, "name": "More"}]}, "stands in the scopes 'Prices' and 'More'"),
        ({"scopes": [{**PRICES, "columns": [{"table": "PRICEDISCTABLE", "columns": ["A"]}]}]}, "lists the column A"),
        ({"scopes": [{**PRICES, "frequency": -1}]}, "The scope 'Prices' has the frequency -1."),
        ({"scopes": [{**PRICES, "frequency": 2**31}]}, "The scope 'Prices' has the frequency 2147483648."),
    ],
    ids=["long-name", "table-in-two-scopes", "unknown-column", "negative-frequency", "too-long-frequency"],
)
def test_profiles(playbook: Playbook, facts: dict[str, Any], options: dict[str, Any], message: str) -> None:
    wanted = {"name": "Default pr", **options, **world.connection(facts)}
    for flags in (("--check",), ()):
        assert message in playbook.fail("retail_offline_profile", *flags, **wanted)["msg"]
    assert rows(facts) == 0


def test_filters(playbook: Playbook, facts: dict[str, Any]) -> None:
    for where, message in (
        ([{"column": "COLOUR", "values": ["1"]}], "names the column COLOUR of the table ax.PRICEDISCTABLE"),
        ([{"column": "RECID", "member_of": {"table": "NOWHERE", "column": "A"}}], "names the table ax.NOWHERE"),
    ):
        jobs = [{**JOBS[0], "filters": [{"table": "PRICEDISCTABLE", "where": where}]}]
        failed = playbook.fail("retail_data_group", name="D", jobs=jobs, **world.connection(facts))
        assert message in failed["msg"]
    assert rows(facts) == 0


def test_jobs_with_tables_that_headquarters_does_not_have(playbook: Playbook, facts: dict[str, Any]) -> None:
    wanted = {
        "name": "D",
        "jobs": [{**JOBS[0], "tables": ["PRICEDISCTABLE", "PRICEDISKTABLE"]}],
        **world.connection(facts),
    }
    failed = playbook.fail("retail_data_group", **wanted)
    assert "'1020' names the table ax.PRICEDISKTABLE, which the database" in failed["msg"]
    assert rows(facts) == 0
    foretold = playbook.succeed("retail_data_group", "--check", **wanted)
    assert foretold["changed"]
    assert foretold["warnings"] == [
        "HQ has no table ax.PRICEDISKTABLE now. If nothing before this makes it, the run fails here."
    ]


def test_schedules_and_channel_databases_without_stores(playbook: Playbook, pg_server: Any, new_database: Any) -> None:
    hq, channel = new_database(pg_server), new_database(pg_server)
    for made, extensions in ((hq, ["ax2012r3_hq"]), (channel, [])):
        with world.connect(made) as db:
            world.make_database(db, *extensions)
    group = {"name": "D", "channel_databases": [{"name": "Houston", "store_ids": ["HOUSTON"]}], **world.connection(hq)}
    done = playbook.succeed("retail_data_group", jobs=JOBS, **group)
    assert done["missing_stores"] == ["HOUSTON"]
    places = {"name": "Houston", **world.connection(hq, "hq_"), **world.connection(channel, "channel_")}
    module = "retail_distribution"
    assert "It has 1020, 1070; or use 'Full sync'" in playbook.fail(module, schedule=["1095"], **places)["msg"]
    playbook.succeed("retail_data_group", jobs=[JOBS[0], {**JOBS[1], "filters": [OWN]}], **group)
    assert "serves no store that HQ has a record of" in playbook.fail(module, **places)["msg"]
    with world.connect(channel) as db:
        assert world.tracked(db) == set()
