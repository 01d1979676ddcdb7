# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories that cannot be meant as they are written, and names that match nothing: who made the mistake hears of it, and nobody
else suffers."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playbook_world import ansible_playbook, collections
from upgrade_world import NEW, Fleet

HOSTS: dict[str, dict[str, Any]] = {
    "hq": {"hq01": {}},
    "store_servers": {"houston-db": {"retail_store_id": "HOUSTON"}, "number-db": {"retail_store_id": 1234}},
    "pos_registers": {
        "houston-01": {"retail_store_id": "HOUSTON", "retail_register_id": "000001"},
        "houston-02": {"retail_store_id": "HOUSTON", "retail_register_id": "000002"},
        "number-01": {"retail_store_id": 1234, "retail_register_id": 1},
    },
}


@pytest.fixture
def refused(tmp_path):
    """A playbook that must fail before it has done anything, on hosts that nobody can reach; returns what it says."""

    def play(book: str, *arguments: str) -> str:
        nobody = {f"retail_{tier}_server": "127.0.0.1" for tier in ("hq", "channel", "offline")}
        nobody.update({f"retail_{tier}_port": 1 for tier in ("hq", "channel", "offline")})
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "retail_engine": "postgresql",
        }
        children = {group: {"hosts": hosts} for group, hosts in HOSTS.items()}
        inventory = {"all": {"children": children, "vars": {**common, **nobody}}}
        (tmp_path / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections()), "ANSIBLE_NOCOLOR": "1"}
        arguments = ("-i", "inventory.json", f"axops.retail.{book}", *arguments)
        done = ansible_playbook(arguments, environment, tmp_path)
        assert done.returncode == 2, done.stdout
        assert "Cannot connect" not in done.stdout
        return done.stdout

    return play


@pytest.mark.parametrize(
    ("book", "arguments", "said"),
    [
        ("decommission", "retail_decommission=HOUSTON-000009",
         "The inventory has no register HOUSTON-000009. It has HOUSTON-000001, HOUSTON-000002."),
        ("decommission", "retail_decommission=BOSTON-1,HOUSTON-000001",
         "The inventory has no register BOSTON-1. It has HOUSTON-000001, HOUSTON-000002, 1234-1."),
        ("decommission", "retail_decommission=", "Say which registers"),
        ("restore", "retail_restore=HUSTON", "The inventory has no store HUSTON. It has HOUSTON, 1234."),
        ("upgrade", "retail_upgrade_canary=HOUSTON, HUSTON",
         "retail_upgrade_canary: the inventory has no store HUSTON. It has HOUSTON, 1234."),
    ],
)  # fmt: skip
def test_a_name_that_matches_nothing_is_refused(refused, book: str, arguments: str, said: str) -> None:
    assert said in refused(book, "-e", json.dumps(dict([arguments.split("=")])))


@pytest.mark.parametrize(
    ("book", "names", "limit", "host"),
    [
        ("decommission", {"retail_decommission": "HOUSTON-000002"}, "houston-db,houston-01", "houston-02"),
        ("restore", {"retail_restore": ["HOUSTON"]}, "number-db", "houston-db"),
        ("restore", {"retail_restore": 1234}, "houston-01", "number-db"),
    ],
)
def test_whoever_is_left_out_by_limit_is_named(
    refused, book: str, names: dict[str, Any], limit: str, host: str
) -> None:
    said = refused(book, "-e", json.dumps(names), "--limit", limit)
    assert f"Nothing is done, since --limit leaves out whom it is about: {host}." in said


@pytest.fixture
def fleet(tmp_path, pg_pair) -> Iterator[Fleet]:
    stores, registers = pg_pair
    made = Fleet(tmp_path, (stores, registers, registers))
    yield made
    made.stop_services()
    made.drop()


def test_a_mistake_stops_those_whom_it_is_about_and_nobody_else(fleet: Fleet) -> None:
    _a_dry_run_on_bare_servers_tells_what_it_does_not_foretell(fleet)
    fleet.play("site", "--tags", "hq")
    fleet.enter_stores()
    fleet.play("site")
    _a_store_server_without_its_store_takes_its_registers_with_it(fleet)
    _two_registers_with_the_same_number_are_both_refused(fleet)
    _a_dry_run_after_a_change_at_headquarters_says_so(fleet)
    _an_upgrade_goes_on_without_a_register_that_has_no_number(fleet)


def _a_dry_run_on_bare_servers_tells_what_it_does_not_foretell(fleet: Fleet) -> None:
    printed, changed = fleet.play("site", "--check")
    assert "Headquarters would change. What follows from that at stores and registers is not foretold" in printed
    assert "Channel databases would change: houston, boston." in printed
    assert all(changed.values()), changed
    _printed, distributed = fleet.play("site", "--check", "--tags", "distribution")
    assert {host: number for host, number in distributed.items() if number} == {"houston": 1, "boston": 1}


def _refusals(printed: str) -> dict[str, str]:
    """Which hosts failed, and what they said."""
    return dict(re.findall(r'^fatal: \[(\S+)\].*"msg": "(.*?)"}$', printed, re.MULTILINE))


def _a_store_server_without_its_store_takes_its_registers_with_it(fleet: Fleet) -> None:
    fleet.more["houston"] = {"retail_store_id": None}
    printed, changed = fleet.play("site", fails=True)
    said = _refusals(printed)
    assert said.pop("houston") == "The store server houston has no retail_store_id: give it its store's number."
    assert sorted(said) == ["houston-1", "houston-2"], said
    assert (
        "No host of the group store_servers has the retail_store_id of the register houston-1, HOUSTON"
        in said["houston-1"]
    )
    assert not any(changed.values()), changed
    with fleet.connect("hq") as db:
        names = db.query('SELECT "NAME" FROM ax."RETAILCONNDATABASEPROFILE" ORDER BY 1')
    assert [row[0] for row in names] == ["BOSTON", "HOUSTON"], (
        "a slip of the pen must not take a store out of its data group"
    )
    printed, _changed = fleet.play("verify", fails=True)
    assert sorted(_refusals(printed)) == ["houston", "houston-1", "houston-2"], printed
    del fleet.more["houston"]


def _two_registers_with_the_same_number_are_both_refused(fleet: Fleet) -> None:
    fleet.more["houston-2"] = {"retail_register_id": "1"}
    printed, changed = fleet.play("site", fails=True)
    twins = "The registers houston-1 and houston-2 have the same retail_store_id and retail_register_id, HOUSTON-1"
    said = _refusals(printed)
    assert sorted(said) == ["houston-1", "houston-2"] and all(twins in text for text in said.values()), said
    assert not any(changed.values()), changed
    printed, _changed = fleet.play("decommission", "-e", "retail_decommission=HOUSTON-1", fails=True)
    assert sorted(_refusals(printed)) == ["houston-1", "houston-2"], printed
    del fleet.more["houston-2"]


def _a_dry_run_after_a_change_at_headquarters_says_so(fleet: Fleet) -> None:
    printed, changed = fleet.play("site", "--check")
    assert not any(changed.values()) and "not foretold" not in printed, printed
    fleet.more["all"] = {"retail_offline_profile": "Another pr"}
    printed, changed = fleet.play("site", "--check", "--tags", "profiles")
    assert changed["hq"] == 1 and "Headquarters would change" in printed, printed
    del fleet.more["all"]


def _an_upgrade_goes_on_without_a_register_that_has_no_number(fleet: Fleet) -> None:
    fleet.upgraded = True
    fleet.play("site", "--limit", "hq", "--tags", "hq")
    fleet.more["houston-2"] = {"retail_register_id": ""}
    printed, changed = fleet.play("upgrade", "-e", "retail_upgrade_canary=BOSTON", fails=True)
    assert _refusals(printed) == {"houston-2": "The register houston-2 has no retail_register_id: give it its number."}
    assert [fleet.release(host) for host in ("houston", "boston")] == [NEW, NEW]
    assert [fleet.has_partners(host) for host in ("houston-1", "boston-1", "houston-2")] == [True, True, False]
    assert {name: one["state"] for name, one in fleet.record("HOUSTON")["registers"].items()} == {"HOUSTON-1": "done"}
    del fleet.more["houston-2"]
    _printed, changed = fleet.play("upgrade")
    assert changed["houston-2"] and not changed["houston-1"] and not changed["boston-1"], changed
