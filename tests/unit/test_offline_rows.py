# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AX's set-up rows in memory: what is declared, what stays, and in which order the database is told."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._access.plan import Wanted
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline import (
    checks,
    data_group_rows,
    distribution,
    offline_db,
    profile_rows,
)
from ansible_collections.axops.retail.plugins.module_utils._offline.draft import FIRST_RECID, Draft
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import (
    PROFILE_SCOPES,
    SCOPE,
    SCOPE_TABLES,
    TABLE,
    make_scope,
)
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._schema import channel
from ansible_collections.axops.retail.plugins.module_utils._schema.package import Package, Release

LINKS = TableName("ax", "LINKS")
ENGINE = SimpleNamespace(names=SimpleNamespace(quote=lambda *parts: ".".join(parts)))


def links(*items: int) -> Draft:
    """Links of the owner 1 to these items, in order, and one of another owner."""
    rows = {FIRST_RECID + place: {"OWNER": 1, "ITEM": item} for place, item in enumerate(items)}
    return Draft({LINKS: ("OWNER", "ITEM")}, {LINKS: {**rows, FIRST_RECID + 50: {"OWNER": 2, "ITEM": 9}}})


@pytest.mark.parametrize(
    ("before", "wanted", "kept"),
    [
        ((), (1, 2), 0),
        ((1, 2), (1, 2), 2),
        ((1, 2), (1, 2, 3), 2),
        ((1, 2, 3), (1, 3), 2),
        ((1, 2, 3), (1, 4, 3), 1),
        ((1, 2), (2, 1), 1),
        ((1, 2, 2), (1, 2), 2),
        ((1, 2), (), 0),
    ],
)
def test_links_are_arranged_and_kept_where_they_can_stay(before, wanted, kept):
    draft = links(*before)
    draft.arrange(LINKS, ("OWNER", 1), "ITEM", wanted)
    assert [record["ITEM"] for _recid, record in draft.rows(LINKS, OWNER=1)] == list(wanted)
    assert sum(recid in draft.before[LINKS] for recid, _record in draft.rows(LINKS, OWNER=1)) == kept
    assert len(draft.rows(LINKS, OWNER=2)) == 1
    assert all(recid > FIRST_RECID + 50 for recid in draft.after[LINKS] if recid not in draft.before[LINKS])


def test_statements_delete_first_and_touch_only_what_differs():
    draft = links(1, 2)
    draft.drop(LINKS, FIRST_RECID)
    draft.after[LINKS][FIRST_RECID + 1]["ITEM"] = None
    draft.add(LINKS, OWNER=1, ITEM=7)
    assert draft.statements(ENGINE) == [
        ("DELETE FROM ax.LINKS WHERE RECID = ?", (FIRST_RECID,)),
        ("UPDATE ax.LINKS SET ITEM = NULL WHERE RECID = ?", (FIRST_RECID + 1,)),
        ("INSERT INTO ax.LINKS (RECID, OWNER, ITEM) VALUES (?, ?, ?)", (FIRST_RECID + 51, 1, 7)),
    ]


def declared(*scopes: tuple[str, list[str]], name: str = "P", **more: Any) -> profile_rows.Declared:
    texts = [{"name": scope, "direction": "download", "frequency": 0, "tables": tables} for scope, tables in scopes]
    return profile_rows.declare(name, "", texts, **more)


def written(draft: Draft, wanted: profile_rows.Declared) -> Draft:
    """The next draft: what was written is what there is."""
    profile_rows.write_profile(draft, wanted)
    return Draft(profile_rows.COLUMNS, draft.after)


def test_any_profile_after_any_other_is_as_declared_and_leaves_nothing_behind():
    """Random profiles in turn: the rows say what is declared, links are unique, no table is an orphan."""
    rng = random.Random(7)
    draft = Draft(profile_rows.COLUMNS, {})
    names = ["T%d" % number for number in range(8)]
    for _round in range(200):
        rng.shuffle(names)
        cuts = sorted(rng.sample(range(1, 8), rng.randrange(0, 4)))
        parts = [names[low:high] for low, high in zip([0, *cuts], [*cuts, rng.randrange(1 + max(cuts, default=0), 9)])]
        scopes = [(rng.choice("ABCD") + str(place), part) for place, part in enumerate(parts) if part]
        wanted = declared(*scopes)
        draft = written(draft, wanted)
        found = profile_rows.document(draft, "P")
        assert [(scope["name"], scope["tables"]) for scope in found["scopes"]] == scopes
        linked = [record["SYNCTABLEID"] for record in draft.after[SCOPE_TABLES].values()]
        assert len(set(linked)) == len(linked) == len(draft.after[TABLE])
        assert len(draft.after[SCOPE]) == len(draft.after[PROFILE_SCOPES]) == len(scopes)
        profile_rows.write_profile(draft, wanted)
        assert draft.statements(ENGINE) == []


def test_a_table_that_changes_its_scope_keeps_its_row():
    draft = written(Draft(profile_rows.COLUMNS, {}), declared(("A", ["X", "Y"]), ("B", ["Z"])))
    before = {record["TABLENAME"]: recid for recid, record in draft.after[TABLE].items()}
    draft = written(draft, declared(("A", ["X"]), ("B", ["ax.Y", "Z"])))
    assert {record["TABLENAME"]: recid for recid, record in draft.after[TABLE].items()} == before


def test_two_profiles_may_share_a_scope_that_is_the_same():
    draft = written(Draft(profile_rows.COLUMNS, {}), declared(("A", ["X"])))
    draft = written(draft, declared(("A", ["X"]), ("B", ["Y"]), name="Q"))
    assert len(draft.after[SCOPE]) == 2
    with pytest.raises(RetailError, match="also one of the offline profile 'Q'"):
        profile_rows.write_profile(draft, declared(("A", ["X", "Z"])))
    draft = written(draft, declared(("C", ["Z"])))
    assert sorted(record["DESCRIPTION"] for record in draft.after[SCOPE].values()) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("name", "scopes", "message"),
    [
        ("Eleven char", [("A", ["X"])], "1 to 10 characters"),
        (" P", [("A", ["X"])], "no spaces around"),
        ("P", [("A", ["X"]), ("A", ["Y"])], "two scopes with the name 'A'"),
        ("P", [("A", ["X", "ax.X"])], "twice in the scope 'A'"),
        ("P", [("A", [])], "has no tables"),
        ("P", [("A", ["X" * 51])], "1 to 50 characters"),
        ("P", [("A" * 101, ["X"])], "longer than 100"),
    ],
)
def test_profiles_that_cannot_be(name, scopes, message):
    with pytest.raises(RetailError, match=message):
        declared(*scopes, name=name)


def job(number: str, *tables: str, name: str = "") -> dict[str, Any]:
    return {"id": number, "name": name, "direction": "download", "tables": list(tables)}


def test_a_data_group_follows_its_declaration_and_keeps_job_rows():
    draft = Draft(data_group_rows.COLUMNS, {})
    database = {"name": "Houston", "server": "s", "database": "d", "store_ids": ["H", "LATER"]}
    first = data_group_rows.declare("G", "", [job("1", "A", "B"), job("2", "C")], [database])
    data_group_rows.write_data_group(draft, first, {"H": 11})
    draft = Draft(data_group_rows.COLUMNS, draft.after)
    recids = {record["JOBID"]: recid for recid, record in draft.after[data_group_rows.JOB].items()}
    second = data_group_rows.declare("G", "", [job("2", "C", "B"), job("1", "A")], None)
    data_group_rows.write_data_group(draft, second, {"H": 11})
    found = data_group_rows.document(draft, "G", {"H": 11})
    assert [(one["id"], one["tables"]) for one in found["jobs"]] == [("2", ["ax.C", "ax.B"]), ("1", ["ax.A"])]
    assert found["channel_databases"]["Houston"]["store_ids"] == ["H"]
    assert {record["JOBID"]: recid for recid, record in draft.after[data_group_rows.JOB].items()} == recids


def test_data_groups_that_cannot_be():
    for jobs, message in (
        ([job("1", "A"), job("2", "A")], "stands in the scopes '1' and '2'"),
        ([job("1")], "has no tables"),
        ([job("x" * 21, "A")], "1 to 20 characters"),
    ):
        with pytest.raises(RetailError, match=message):
            data_group_rows.declare("G", "", jobs, None)


def test_schedules():
    jobs = [distribution.Job(number, make_scope(number, "download", [TableName("ax", number)])) for number in "123"]
    assert distribution.select(jobs, ["Full sync"]) == jobs
    assert [job.id for job in distribution.select(jobs, ["3", "1"])] == ["1", "3"]
    assert distribution.select(jobs, []) == []
    with pytest.raises(RetailError, match="no job 1095"):
        distribution.select(jobs, ["1095"])


def test_identities():
    assert offline_db.identity("HOUSTON", "000001").name == "HOUSTON-000001"
    for store, register in (("", "1"), ("HOUSTON", ""), ("HOUSTON ", "1"), ("H", "1" * 11)):
        with pytest.raises(RetailError, match="1 to 10 characters"):
            offline_db.identity(store, register)


class Recorded:
    """A connection that notes what it is told, under its name."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told
        self.engine = _engine.speaker("mssql")

    def execute(self, sql: str) -> None:
        self.told.append("%s: %s" % (self.name, sql))

    def value(self, _sql: str) -> int:
        return 1

    def close(self) -> None:
        self.told.append("%s: closed" % self.name)


def test_no_connection_of_ours_is_in_the_way_of_a_database_option(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    offline, server = Recorded("offline", told), Recorded("server", told)
    monkeypatch.setattr(offline_db, "_release", lambda _request: Package(Release.parse("6.3.158.0"), "", {}))
    found = {**channel.OPTIONS, "read_committed_snapshot": "off"}
    opened = {"server": server}.__getitem__
    request = offline_db.Request(None, None, server, "Register 1", offline, opened, Wanted("offline"))
    plan = offline_db._database_plan(request, channel.Actual(exists=True, options=found, schemas={"dbo"}))
    assert plan.titles[0] == "Set database option read_committed_snapshot to on"
    Plan(plan.steps[:1]).apply(opened)
    assert told[0] == "offline: closed"
    assert "SET READ_COMMITTED_SNAPSHOT ON WITH NO_WAIT" in told[1]
    assert "ROLLBACK" not in told[1], "a sale that is on its way is not cut off"
    assert "disconnect_after" in plan.steps[0].advice
    new = offline_db._database_plan(replace(request, offline=None), channel.Actual())
    (said,) = next(step.statements for step in new.steps if "read_committed" in step.title)
    assert said.endswith("SET READ_COMMITTED_SNAPSHOT ON WITH ROLLBACK IMMEDIATE"), "nobody knows it yet"


def test_a_key_that_each_database_assigns_cannot_synchronise():
    name = TableName("ax", "LOG")
    table = Table(name, (Column.parse("N", "int identity not null"),), ("N",))
    # Of one that is computed nothing is read but that it is in the key.
    computed = Table(name, (Column.parse("M", "int not null"),), ("M", "N"))
    for one in (table, computed):
        with pytest.raises(RetailError, match=r"table ax\.LOG of the scope 'X' has the column N"):
            checks.check_tables([make_scope("X", "download", [name])], {name: one}, "here")
