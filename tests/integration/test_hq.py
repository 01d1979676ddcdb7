# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of HQ: profiles, data groups and distribution, from HQ down to a register and back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import offline_world as world
import pytest
from offline_world import insert_into
from playbook_world import Playbook, signal_all, wait_for_the_end
from service_hosts import until

from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import read_profile

FIRST = 5637144576
OFFLINE_TABLES = [
    "RETAILOFFLINEPROFILE", "RETAILOFFLINEPROFILESCOPES", "RETAILOFFLINESCOPE", "RETAILOFFLINESCOPETABLES",
    "RETAILOFFLINETABLE", "RETAILOFFLINETABLECOLUMNS",
]  # fmt: skip
PRICES = {"name": "1020 Prices", "direction": "download", "tables": ["PRICEDISCTABLE", "ax.INVENTTABLE"]}
SALES = {"name": "P-0001 Sales", "direction": "upload", "frequency": 30, "tables": ["RETAILTRANSACTIONTABLE"]}
JOBS = [
    {"id": "1020", "name": "Prices", "tables": PRICES["tables"]},
    {"id": "1070", "name": "Channels", "tables": ["RETAILSTORETABLE"]},
    {"id": "1095", "name": "Offline scopes", "tables": OFFLINE_TABLES},
    {"id": "P-0001", "name": "Sales", "direction": "upload", "tables": ["ax.RETAILTRANSACTIONTABLE"]},
]
HOUSTON = {"name": "Houston", "server": "houston-db", "database": "RetailChannel", "store_ids": ["HOUSTON"]}


@pytest.fixture
def hq(pg_server, new_database) -> Iterator[Any]:
    """An open HQ database with two stores."""
    facts = new_database(pg_server)
    with world.connect(facts) as db:
        world.make_database(db, "ax2012r3_hq")
        insert_into(db, "RETAILSTORETABLE", {"RECID": 11, "STORENUMBER": "HOUSTON"}, {"RECID": 12, "STORENUMBER": "B"})
        db.facts = facts
        yield db


@pytest.fixture
def channel(pg_other_server, new_database) -> Iterator[Any]:
    """An open, empty channel database on another server."""
    facts = new_database(pg_other_server)
    with world.connect(facts) as db:
        db.facts = facts
        yield world.make_database(db)


def run(module: str, /, *, fails: bool = False, **options: Any) -> Any:
    result = world.run_module(module, **options)
    assert bool(result.get("failed")) == fails, result
    return result["msg"] if fails else result


def profile(hq: Any, *scopes: dict[str, Any], **options: Any) -> Any:
    options = {"name": "Default pr", "scopes": list(scopes) or [PRICES, SALES], **options}
    return run("retail_offline_profile", **world.connection(hq.facts), **options)


def group(hq: Any, **options: Any) -> Any:
    options = {"name": "Default", "jobs": JOBS, "channel_databases": [HOUSTON], **options}
    return run("retail_data_group", **world.connection(hq.facts), **options)


def distribute(hq: Any, channel: Any, **options: Any) -> Any:
    places = {**world.connection(hq.facts, "hq_"), **world.connection(channel.facts, "channel_")}
    return run("retail_distribution", **{**places, "name": "Houston", **options})


def content(db: Any, *tables: str) -> dict[str, Any]:
    return {
        table: [tuple(row) for row in db.query(f'SELECT * FROM ax."{table}" ORDER BY "RECID"')]
        for table in tables or OFFLINE_TABLES
    }


def agree(module: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Check mode, the run, and a second run; returns the run's result."""
    foretold = module(*arguments, check=True, **options)
    done = module(*arguments, **options)
    again = module(*arguments, **options)
    assert foretold["changed"]
    assert (foretold["steps"], foretold["diff"]) == (done["steps"], done["diff"])
    assert not again["changed"], again["steps"]
    assert not module(*arguments, check=True, **options)["changed"]
    return done


# ---- profiles


def test_a_profile_is_written_as_ax_keeps_it(hq):
    done = agree(profile, hq, stores=["HOUSTON", "LATER"])
    assert done["steps"] == [
        "Create the offline profile 'Default pr'", "Give the offline profile 'Default pr' to store HOUSTON",
    ]  # fmt: skip
    assert done["missing_stores"] == ["LATER"]
    assert done["diff"]["after"]["hq"]["profiles"]["Default pr"]["scopes"][1]["tables"] == ["RETAILTRANSACTIONTABLE"]
    found = read_profile(hq, "HOUSTON")
    assert [(scope.name, scope.direction, scope.frequency) for scope in found.scopes] == [
        ("1020 Prices", "download", 0), ("P-0001 Sales", "upload", 30),
    ]  # fmt: skip
    assert [str(item.name) for item in found.scopes[0].tables] == ["ax.PRICEDISCTABLE", "ax.INVENTTABLE"]
    assert found.recid == FIRST
    assert {row[1] for row in content(hq)["RETAILOFFLINETABLE"]} == {
        "PRICEDISCTABLE", "INVENTTABLE", "RETAILTRANSACTIONTABLE",
    }  # fmt: skip


def test_a_changed_profile_keeps_recids_and_the_order(hq):
    profile(hq, stores=["HOUSTON", "B"])
    before = {table: {row[0]: row for row in rows} for table, rows in content(hq).items()}
    prices = {**PRICES, "tables": ["PRICEDISCTABLE"]}
    shifts = {"name": "Shifts", "direction": "bidirectional", "tables": ["ax.RETAILPOSBATCHTABLE", "INVENTTABLE"]}
    agree(profile, hq, SALES, prices, shifts, stores=["B"])
    found = read_profile(hq, "B")
    assert [scope.name for scope in found.scopes] == ["P-0001 Sales", "1020 Prices", "Shifts"]
    assert [str(item.name) for item in found.scopes[2].tables] == ["ax.RETAILPOSBATCHTABLE", "ax.INVENTTABLE"]
    after = {table: {row[0]: row for row in rows} for table, rows in content(hq).items()}
    for table in ("RETAILOFFLINEPROFILE", "RETAILOFFLINESCOPE", "RETAILOFFLINETABLE"):
        assert before[table].items() <= after[table].items(), table
    assert hq.value('SELECT "OFFLINEPROFILE" FROM ax."RETAILSTORETABLE" WHERE "RECID" = 11') is None

    agree(profile, hq, prices)
    assert [len(rows) for rows in content(hq).values()] == [1, 1, 1, 1, 1, 0]


def test_a_scope_of_two_profiles_changes_only_when_told(hq):
    profile(hq)
    agree(profile, hq, SALES, name="AX6 CU8")
    faster = {**SALES, "frequency": 5}
    assert "is also one of the offline profile 'AX6 CU8'" in profile(hq, PRICES, faster, fails=True)
    agree(profile, hq, PRICES, faster, change_shared=True)
    assert len(content(hq)["RETAILOFFLINESCOPE"]) == 2
    profile(hq, PRICES)
    assert len(content(hq)["RETAILOFFLINESCOPE"]) == 2
    other = {"name": "CU8 Prices", "direction": "download", "tables": ["PRICEDISCTABLE"]}
    agree(profile, hq, other, name="AX6 CU8")
    assert [row[1] for row in content(hq)["RETAILOFFLINETABLE"]].count("PRICEDISCTABLE") == 2


def test_wrong_profiles_are_refused(hq):
    assert "1 to 10 characters" in profile(hq, name="Default profile", fails=True)
    twice = {"name": "X", "direction": "download", "tables": ["ax.PRICEDISCTABLE"]}
    assert "stands in the scopes" in profile(hq, PRICES, twice, fails=True)
    assert "no tables" in profile(hq, {**PRICES, "tables": []}, fails=True)


def test_a_channel_database_is_no_hq(channel):
    assert "no HQ database" in group(channel, fails=True)


# ---- data groups


def test_a_data_group_is_written_and_changed(hq):
    done = agree(group, hq)
    assert done["diff"]["after"]["hq"]["data groups"]["Default"]["channel_databases"]["Houston"]["store_ids"] == [
        "HOUSTON"
    ]
    assert hq.query('SELECT "CHANNEL" FROM ax."RETAILCDXDATASTORECHANNEL"')[0][0] == 11
    before = content(hq, "RETAILCDXSCHEDULERJOB", "RETAILCONNDATABASEPROFILE")
    boston = {"name": "Boston", "store_ids": ["B", "LATER"]}
    done = agree(group, hq, jobs=JOBS[1:], channel_databases=[HOUSTON, boston])
    assert done["missing_stores"] == ["LATER"]
    after = content(hq, "RETAILCDXSCHEDULERJOB", "RETAILCONNDATABASEPROFILE")
    assert [row[:3] for row in after["RETAILCDXSCHEDULERJOB"]] == [
        row[:3] for row in before["RETAILCDXSCHEDULERJOB"][1:]
    ]
    assert after["RETAILCONNDATABASEPROFILE"][0] == before["RETAILCONNDATABASEPROFILE"][0]
    kept = group(hq, jobs=JOBS[1:], channel_databases=[boston], keep_undeclared=True)
    assert not kept["changed"], kept["steps"]
    agree(group, hq, jobs=JOBS[1:], channel_databases=[boston])
    assert len(content(hq, "RETAILCONNDATABASEPROFILE")["RETAILCONNDATABASEPROFILE"]) == 1
    assert len(content(hq, "RETAILCDXDATASTORECHANNEL")["RETAILCDXDATASTORECHANNEL"]) == 1


def test_a_job_of_two_data_groups_changes_only_when_told(hq):
    group(hq)
    agree(group, hq, name="Europe", jobs=JOBS[:2], channel_databases=None)
    less = [{**JOBS[0], "tables": ["PRICEDISCTABLE"]}, *JOBS[1:]]
    assert "belongs to another data group" in group(hq, jobs=less, fails=True)
    agree(group, hq, jobs=less, change_shared=True)
    assert "belongs to the data group 'Default'" in group(hq, name="Europe", jobs=JOBS[1:2], fails=True)


# ---- distribution


def test_from_hq_to_a_register_and_back(hq, channel, pg_server):
    """The whole way: a price goes down two hops, a sale goes up two hops."""
    insert_into(hq, "PRICEDISCTABLE", {"RECID": 1, "AMOUNT": 10}, {"RECID": 2, "AMOUNT": 20})
    profile(hq, stores=["HOUSTON"])
    group(hq)
    foretold = distribute(hq, channel, check=True)
    done = distribute(hq, channel)
    assert (foretold["steps"], foretold["diff"]) == (done["steps"], done["diff"])
    moved = {job["job"]: job["downloaded"] + job["uploaded"] for job in done["jobs"]}
    assert moved == {"1020": 2, "1070": 2, "1095": 11, "P-0001": 0}
    again = distribute(hq, channel)
    assert not again["changed"], again["steps"]
    assert again["peer_guid"] == done["peer_guid"]
    history = hq.query('SELECT "DATASTORE", "JOBID", "STATUS", "ROWSAFFECTED" FROM ax."RETAILCDXSESSION" ORDER BY 2')
    assert [tuple(row) for row in history] == [
        ("Houston", "1020", 1, 2),
        ("Houston", "1070", 1, 2),
        ("Houston", "1095", 1, 11),
    ]

    name = "axops_offline_" + secrets.token_hex(4)
    register = {
        "store_id": "HOUSTON", "register_id": "000001", **world.connection(channel.facts, "channel_"),
        **world.connection(pg_server.facts(name), "offline_"),
    }  # fmt: skip
    try:
        assert run("retail_offline_db", **register)["profile"] == "Default pr"
        with world.connect(pg_server.facts(name)) as offline:
            couple = world.Couple(offline, channel)
            assert couple.synchronise() == 2
            insert_into(offline, "RETAILTRANSACTIONTABLE", {"TRANSACTIONID": "T1", "STORE": "HOUSTON"})
            hq.execute('UPDATE ax."PRICEDISCTABLE" SET "AMOUNT" = 9 WHERE "RECID" = 1')
            couple.synchronise()
            pending = distribute(hq, channel, check=True)
            assert pending["steps"] == ["Run the job 1020 Prices for Houston", "Run the job P-0001 Sales for Houston"]
            assert distribute(hq, channel)["steps"] == pending["steps"]
            couple.synchronise()
            assert offline.value('SELECT "AMOUNT" FROM ax."PRICEDISCTABLE" WHERE "RECID" = 1') == 9
        assert hq.value('SELECT "TRANSACTIONID" FROM ax."RETAILTRANSACTIONTABLE"') == "T1"
        assert not distribute(hq, channel)["changed"]
        assert not run("retail_offline_db", **register)["changed"]
    finally:
        pg_server.drop_database(name)


def test_some_jobs_only(hq, channel):
    group(hq)
    insert_into(hq, "PRICEDISCTABLE", {"RECID": 1})
    done = distribute(hq, channel, schedule=["1070"])
    assert [job["job"] for job in done["jobs"]] == ["1070"]
    assert channel.value('SELECT count(*) FROM ax."RETAILSTORETABLE"') == 2
    assert channel.value('SELECT count(*) FROM ax."PRICEDISCTABLE"') == 0
    assert not distribute(hq, channel, schedule=[])["changed"]
    assert distribute(hq, channel)["changed"]
    assert "no job 99" in distribute(hq, channel, schedule=["99"], fails=True)


def test_a_job_that_is_added_and_one_that_goes(hq, channel):
    group(hq, jobs=JOBS[:2])
    distribute(hq, channel)
    group(hq, jobs=[JOBS[1], JOBS[3]])
    done = distribute(hq, channel)
    assert "Run the job P-0001 Sales for Houston" in done["steps"]
    assert [scope.name for scope in world.scopes_of(channel, 0)] == ["1070 Channels", "P-0001 Sales"]
    assert not distribute(hq, channel)["changed"]


def test_a_failed_job_stands_in_the_history(hq, channel):
    group(hq, jobs=JOBS[:1])
    insert_into(hq, "PRICEDISCTABLE", {"RECID": 1})
    channel.execute('ALTER TABLE ax."PRICEDISCTABLE" RENAME COLUMN "RECID" TO "OTHER"')
    assert "primary key" in distribute(hq, channel, fails=True)
    channel.execute('ALTER TABLE ax."PRICEDISCTABLE" RENAME COLUMN "OTHER" TO "RECID"')
    distribute(hq, channel, schedule=[])
    channel.execute("DROP TABLE dbo.sync_staging")
    channel.execute("CREATE VIEW dbo.sync_staging AS SELECT 1 AS one")
    assert "The job 1020 Prices" in distribute(hq, channel, fails=True)
    assert hq.row('SELECT "STATUS", "MESSAGE" FROM ax."RETAILCDXSESSION"')[0] == 2


def test_a_distribution_that_is_killed_within_a_job_is_completed_by_the_next(hq, channel, tmp_path):
    """Through ansible-playbook; the job stands at a table that somebody holds."""
    group(hq, jobs=JOBS[:1])
    distribute(hq, channel)
    insert_into(hq, "PRICEDISCTABLE", {"RECID": 1}, {"RECID": 2})
    insert_into(hq, "INVENTTABLE", {"RECID": 1})
    places = {**world.connection(hq.facts, "hq_"), **world.connection(channel.facts, "channel_"), "name": "Houston"}
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with world.connect(channel.facts) as holder, holder.transaction():
        holder.execute('LOCK TABLE ax."INVENTTABLE" IN EXCLUSIVE MODE')
        process = Playbook(tmp_path).start("retail_distribution", **places)
        until(lambda: channel.value(waits), "the job waits for the table", 60)
        wait_for_the_end(process, signal_all(process))
        assert channel.value('SELECT count(*) FROM ax."PRICEDISCTABLE"') == 0, "what is not whole is not seen"
    done = distribute(hq, channel, history=1)
    assert [(run["job"], run["status"]) for run in done["history"]] == [("1020", "applied")]
    counted = 'SELECT (SELECT count(*) FROM ax."PRICEDISCTABLE"), (SELECT count(*) FROM ax."INVENTTABLE")'
    assert tuple(channel.row(counted)) == (2, 1)
    assert not distribute(hq, channel)["changed"]


def test_an_undeclared_channel_database_is_refused(hq, channel):
    group(hq)
    assert "knows no channel database 'Boston'" in distribute(hq, channel, name="Boston", fails=True)
    foretold = distribute(hq, channel, name="Boston", check=True)
    assert foretold["changed"], "an earlier task of a dry run has only foretold the data group"
    assert foretold["steps"] == ["Distribute to Boston what its data group at headquarters has by then"]
    assert "unknown" in str(foretold["warnings"])


# ---- row filters

OWN_PRICES = {
    "table": "PRICEDISCTABLE",
    "where": [
        {
            "column": "RECID",
            "values": ["77"],
            "member_of": {
                "table": "INVENTTABLE",
                "column": "RECID",
                "where": [{"column": "ITEMBUYERGROUPID", "own": "store"}],
            },
        }
    ],
}
OWN_STORES = {"table": "RETAILSTORETABLE", "where": [{"column": "RECID", "own": "channel"}]}


def filtered(*filters: dict[str, Any]) -> list[dict[str, Any]]:
    """The jobs, with these filters in the first one that has the table."""
    return [
        {**job, "filters": [one for one in filters if one["table"] in job["tables"]]}
        if job.get("direction") != "upload"
        else job
        for job in JOBS
    ]


def test_a_channel_database_receives_what_its_stores_may_have(hq, channel):
    insert_into(hq, "PRICEDISCTABLE", *({"RECID": number} for number in (1, 2, 77)))
    insert_into(
        hq,
        "INVENTTABLE",
        {"RECID": 1, "ITEMID": "1", "PRODUCT": 1, "ITEMBUYERGROUPID": "HOUSTON"},
        {"RECID": 2, "ITEMID": "2", "PRODUCT": 2, "ITEMBUYERGROUPID": "B"},
    )
    done = agree(group, hq, jobs=filtered(OWN_PRICES, OWN_STORES))
    shown = done["diff"]["after"]["hq"]["data groups"]["Default"]["jobs"][1]["filters"]
    assert shown == {"ax.RETAILSTORETABLE": [{"column": "RECID", "own": "channel"}]}
    foretold = distribute(hq, channel, check=True)
    done = distribute(hq, channel)
    assert (foretold["steps"], foretold["diff"]) == (done["steps"], done["diff"])
    assert [row[0] for row in content(channel, "PRICEDISCTABLE")["PRICEDISCTABLE"]] == [1, 77]
    assert channel.query('SELECT "STORENUMBER" FROM ax."RETAILSTORETABLE"')[0][0] == "HOUSTON"
    assert not distribute(hq, channel)["changed"]

    # A second store is served here: more rows are its own.
    group(hq, jobs=filtered(OWN_PRICES, OWN_STORES), channel_databases=[{**HOUSTON, "store_ids": ["HOUSTON", "B"]}])
    done = distribute(hq, channel)
    assert {job["job"]: job["downloaded"] for job in done["jobs"] if job["downloaded"]} == {"1020": 1, "1070": 1}
    assert len(content(channel, "PRICEDISCTABLE")["PRICEDISCTABLE"]) == 3
    group(hq, jobs=filtered(OWN_PRICES, OWN_STORES))
    distribute(hq, channel)
    assert [row[0] for row in content(channel, "PRICEDISCTABLE")["PRICEDISCTABLE"]] == [1, 77]
    assert not distribute(hq, channel)["changed"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"table": "CUSTTABLE", "where": [{"column": "A", "values": [1]}]}, "no such table"),
        ({"table": "PRICEDISCTABLE", "where": [{"column": "COLOUR", "values": ["1"]}]}, "none of that name"),
        ({"table": "PRICEDISCTABLE", "where": [{"column": "RECID", "values": ["one"]}]}, "whole number"),
        ({"table": "PRICEDISCTABLE", "where": [{"column": "RECID"}]}, "incomplete condition"),
        (
            {"table": "PRICEDISCTABLE", "where": [{"column": "RECID", "member_of": {"table": "X", "column": "Y"}}]},
            "names the table ax.X",
        ),
    ],
)
def test_filters_that_mean_nothing_are_refused(hq, wrong, message):
    jobs = [{**JOBS[0], "filters": [wrong]}]
    assert message in group(hq, jobs=jobs, fails=True)
    assert hq.value('SELECT count(*) FROM ax."RETAILCDXDATAGROUP"') == 0


def test_own_rows_of_nobody_are_refused(hq, channel):
    group(hq, jobs=filtered(OWN_STORES), channel_databases=[{**HOUSTON, "store_ids": ["LATER"]}])
    assert "serves no store that HQ has a record of" in distribute(hq, channel, fails=True)


# ---- taking away


def test_a_profile_goes_when_no_store_has_it(hq):
    profile(hq, stores=["HOUSTON"])
    profile(hq, SALES, name="AX6 CU8")
    assert "is assigned to store HOUSTON" in profile(hq, state="absent", fails=True)
    done = agree(profile, hq, state="absent", force=True)
    assert done["steps"] == [
        "Take the offline profile 'Default pr' from store HOUSTON", "Remove the offline profile 'Default pr'",
    ]  # fmt: skip
    left = content(hq)
    assert [row[1] for row in left["RETAILOFFLINETABLE"]] == ["RETAILTRANSACTIONTABLE"]
    assert [len(rows) for rows in left.values()] == [1, 1, 1, 1, 1, 0]
    agree(profile, hq, name="AX6 CU8", state="absent")
    assert not any(content(hq).values())


def test_a_data_group_goes_when_it_has_no_channel_databases(hq):
    group(hq)
    group(hq, name="Europe", jobs=JOBS[:2], channel_databases=None)
    assert "still distributes to channel databases: Houston" in group(hq, state="absent", fails=True)
    assert agree(group, hq, state="absent", force=True)["steps"] == ["Remove the data group 'Default'"]
    assert hq.value('SELECT count(*) FROM ax."RETAILCDXSCHEDULERJOB"') == 2
    agree(group, hq, name="Europe", state="absent")
    assert not any(content(hq, "RETAILCDXSCHEDULERJOB", "RETAILCDXDATASTORECHANNEL").values())


# ---- what ran, and where


def test_runs_are_counted_by_table_and_kept(hq, channel):
    group(hq)
    insert_into(hq, "PRICEDISCTABLE", {"RECID": 1}, {"RECID": 2})
    insert_into(hq, "INVENTTABLE", {"RECID": 1})
    done = distribute(hq, channel, history=9)
    prices = done["jobs"][0]
    assert prices["expected"] is None
    assert prices["tables"] == [
        {"table": "ax.PRICEDISCTABLE", "downloaded": 2, "uploaded": 0},
        {"table": "ax.INVENTTABLE", "downloaded": 1, "uploaded": 0},
    ]
    assert [(run["job"], run["status"], run["rows"]) for run in done["history"]] == [
        ("1070", "applied", 2), ("1020", "applied", 3),
    ]  # fmt: skip
    assert done["history"][1]["tables"] == prices["tables"]
    assert done["history"][1]["started"] <= done["history"][1]["stopped"]

    hq.execute('UPDATE ax."PRICEDISCTABLE" SET "AMOUNT" = 3')
    foretold = distribute(hq, channel, check=True, history=1)
    assert (foretold["jobs"][0]["expected"], foretold["jobs"][0]["downloaded"]) == (2, 0)
    assert [run["job"] for run in foretold["history"]] == ["1070"]
    assert distribute(hq, channel)["jobs"][0]["downloaded"] == 2


def test_a_channel_database_that_fails_does_not_stop_the_others(hq, channel, pg_other_server, new_database):
    facts = new_database(pg_other_server)
    with world.connect(facts) as db:
        world.make_database(db)
    lost = {"name": "Lost", "store_ids": []}
    group(hq, channel_databases=[HOUSTON, {"name": "Boston", "store_ids": ["B"]}, lost])
    insert_into(hq, "PRICEDISCTABLE", {"RECID": 1})
    targets = [
        {"name": "Lost", "channel_database": "there_is_none"},
        {"name": "Houston", "channel_database": channel.facts["database"]},
        {"name": "Boston", "channel_database": facts["database"]},
    ]
    places = {**world.connection(hq.facts, "hq_"), **world.connection(channel.facts, "channel_"), "schedule": ["1020"]}
    result = world.run_module("retail_distribution", **places, targets=targets, workers=2)
    assert "1 of 3 channel databases failed. Lost: " in result["msg"]
    assert [target["failed"] for target in result["targets"]] == [True, False, False]
    assert [target["jobs"][0]["downloaded"] for target in result["targets"][1:]] == [1, 1]
    again = run("retail_distribution", **places, targets=targets[1:])
    assert not again["changed"], again["steps"]
    twice = run("retail_distribution", **places, targets=targets[1:2] * 2, fails=True)
    assert "Houston is there twice" in twice


def test_a_profile_lists_columns(hq):
    some = {**PRICES, "columns": [{"table": "PRICEDISCTABLE", "columns": ["AMOUNT", "CURRENCY"]}]}
    done = agree(profile, hq, some, stores=["HOUSTON"])
    assert done["diff"]["after"]["hq"]["profiles"]["Default pr"]["scopes"][0]["columns"] == {
        "PRICEDISCTABLE": ["AMOUNT", "CURRENCY"]
    }
    assert read_profile(hq, "HOUSTON").scopes[0].tables[0].columns == ("AMOUNT", "CURRENCY")
    less = {**PRICES, "columns": [{"table": "PRICEDISCTABLE", "columns": ["CURRENCY"]}]}
    agree(profile, hq, less)
    assert [row[1] for row in content(hq)["RETAILOFFLINETABLECOLUMNS"]] == ["CURRENCY"]
    agree(profile, hq, PRICES)
    wrong = {**PRICES, "columns": [{"table": "PRICEDISCTABLE", "columns": ["COLOUR"]}]}
    assert "lists the column COLOUR" in profile(hq, wrong, fails=True)
    other = {**PRICES, "columns": [{"table": "CUSTTABLE", "columns": ["A"]}]}
    assert "none of its tables" in profile(hq, other, fails=True)


def test_one_headquarters_is_no_store_of_another(hq: Any, pg_other_server: Any, new_database: Any) -> None:
    group(hq)
    facts = new_database(pg_other_server)
    with world.connect(facts) as other:
        world.make_database(other, "ax2012r3_hq")
        other.facts = facts
        for check in (True, False):
            message = distribute(hq, other, check=check, fails=True)
            assert "is headquarters', and no channel database" in message
            assert "Correct the option channel_database" in message
        assert world.tracked(other) == world.tracked(hq) == set()
