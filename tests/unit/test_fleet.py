# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host is which store server or register, and which of them cannot be meant as they are written."""

from __future__ import annotations

from typing import Any

from ansible_collections.axops.retail.plugins.filter.fleet import fleet


def read(servers: dict[str, Any], registers: dict[str, Any]) -> dict[str, Any]:
    """The fleet of these hosts; a register is given as store and register ID, and further variables."""
    hostvars: dict[str, dict[str, Any]] = {host: {"retail_store_id": store} for host, store in servers.items()}
    for host, (store, register, more) in registers.items():
        hostvars[host] = {"retail_store_id": store, "retail_register_id": register, **more}
    return fleet(hostvars, {"store_servers": list(servers), "pos_registers": list(registers), "all": list(hostvars)})


def test_a_fleet_in_order() -> None:
    found = read(
        {"houston-db": "HOUSTON", "boston-db": "BOSTON"},
        {"houston-1": ("HOUSTON", "1", {}), "boston-1": ("BOSTON", "1", {}), "houston-2": ("HOUSTON", "2", {})},
    )
    assert found == {
        "stores": {"HOUSTON": ["houston-db"], "BOSTON": ["boston-db"]},
        "servers": {"HOUSTON": "houston-db", "BOSTON": "boston-db"},
        "registers": {"HOUSTON": ["HOUSTON-1", "HOUSTON-2"], "BOSTON": ["BOSTON-1"]},
        "hosts": {"HOUSTON-1": ["houston-1"], "HOUSTON-2": ["houston-2"], "BOSTON-1": ["boston-1"]},
        "mistakes": {},
        "numbers": [],
    }
    assert fleet({}, {"all": []})["servers"] == {}


def test_what_is_missing_is_named_with_its_host() -> None:
    found = read(
        {"a-db": "A", "b-db": None},
        {
            "a-1": ("A", "", {}),
            "a-2": (None, None, {}),
            "c-1": ("C", "1", {}),
            "d-1": ("D", "1", {"retail_channel_server": "d"}),
        },
    )
    assert found["mistakes"] == {
        "b-db": "The store server b-db has no retail_store_id: give it its store's number.",
        "a-1": "The register a-1 has no retail_register_id: give it its number.",
        "a-2": "The register a-2 has no retail_store_id: give it its store's number. "
        "The register a-2 has no retail_register_id: give it its number.",
        "c-1": "No host of the group store_servers has the retail_store_id of the register c-1, C: add the store server, "
        "or set retail_channel_server.",
    }
    assert (found["servers"], found["registers"]) == ({"A": "a-db"}, {"C": ["C-1"], "D": ["D-1"]})


def test_two_hosts_with_the_same_ids_are_both_refused() -> None:
    found = read(
        {"a-db": "A", "b-db": "B", "b-old": "B"},
        {"a-1": ("A", "1", {}), "a-2": ("A", "2", {}), "a-3": ("A", "1", {}), "b-1": ("B", "1", {})},
    )
    twins = "The registers a-1 and a-3 have the same retail_store_id and retail_register_id, A-1: give each a number of its own."
    servers = "The store servers b-db and b-old have the same retail_store_id, B: a store has one of them."
    assert found["mistakes"] == {"a-1": twins, "a-3": twins, "b-db": servers, "b-old": servers, "b-1": servers}
    assert found["servers"] == {"A": "a-db"}
    assert found["stores"]["B"] == ["b-db", "b-old"]
    assert found["hosts"]["A-1"] == ["a-1", "a-3"]


def test_numbers_are_told() -> None:
    found = read({"db": 10}, {"till": ("10", 1, {})})
    assert found["numbers"] == ["retail_store_id of db is 10", "retail_register_id of till is 1"]
    assert (found["servers"], found["registers"], found["mistakes"]) == ({"10": "db"}, {"10": ["10-1"]}, {})


def test_registers_of_different_stores_that_would_be_called_the_same_are_refused() -> None:
    found = read(
        {"a-db": "A", "ab-db": "A-B"},
        {"first": ("A-B", "C", {}), "second": ("A", "B-C", {}), "third": ("A", "C", {})},
    )
    said = (
        "The registers first and second of different stores would both be called A-B-C: give one of them another "
        "retail_register_id."
    )
    assert found["mistakes"] == {"first": said, "second": said}
