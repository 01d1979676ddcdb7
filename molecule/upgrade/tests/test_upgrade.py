# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the upgrade: every sale is everywhere, what is new travels, and for how long a register could not have gone offline."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import testinfra

STORES = {
    "upgrade-houston-db": ("upgrade-houston-01", "upgrade-houston-02"),
    "upgrade-dallas-db": ("upgrade-dallas-01",),
}
STORE_IDS = {"upgrade-houston-db": "HOUSTON", "upgrade-dallas-db": "DALLAS"}
REGISTERS = tuple(register for registers in STORES.values() for register in registers)
DATABASES = {
    "upgrade-hq": "RetailHQ",
    **dict.fromkeys(STORES, "RetailChannel"),
    **dict.fromkeys(REGISTERS, "RetailOffline"),
}
#: Seconds within which everything has arrived that was sold.
PATIENCE = 240
#: Seconds for which the offline database may keep a sale waiting while its tables grow. The vendor's procedure takes hours.
LONGEST = 15

Sales = dict[str, Any]


def machine(host: str) -> Any:
    return testinfra.get_host(f"docker://{host}")


def till(host: str, *arguments: str) -> str:
    return str(machine(host).check_output("python3 /opt/retail-till/till/till.py " + " ".join(arguments)).strip())


def whole(host: str) -> Sales:
    """The sales that stand whole in a host's database, with their fingerprints; none may be there in part."""
    found = json.loads(till(host, "whole"))
    assert found["broken"] == []
    return dict(found["whole"])


def partners(host: str) -> Sales:
    """What the partner's column and table say of each sale."""
    query = (
        'SELECT json_object_agg(t."TRANSACTIONID", json_build_array(t."CONTOSOCARD", p."POINTS")) FROM ax."RETAILTRANSACTIONTABLE" t '
        'LEFT JOIN ax."CONTOSOLOYALTYTRANS" p ON p."TRANSACTIONID" = t."TRANSACTIONID"'
    )
    command = "runuser -u postgres -- psql --tuples-only --no-align --dbname=%s --command=%s"
    return dict(json.loads(machine(host).check_output(command, DATABASES[host], query) or "{}"))


def wait(look: Any, host: str, wanted: Sales) -> Sales:
    """Look until a host has all of this, and return what it has then."""
    deadline = time.monotonic() + PATIENCE
    while (found := look(host)) != wanted and time.monotonic() < deadline:
        time.sleep(1)
    return dict(found)


@pytest.mark.parametrize("register", REGISTERS)
def test_a_register_has_what_its_books_say(register: str) -> None:
    books = till(register, "books").splitlines()
    assert len(set(books)) == len(books) > 20
    assert set(books) <= set(whole(register))


@pytest.mark.parametrize("place", ["upgrade-hq", *STORES])
def test_no_sale_is_lost_and_what_is_new_travels(place: str) -> None:
    registers = STORES.get(place, REGISTERS)
    for look in (whole, partners):
        wanted = {sale: value for register in registers for sale, value in look(register).items()}
        found = wait(look, place, wanted)
        lost = sorted(sale for sale in wanted if found.get(sale) != wanted[sale])
        print(f"\n{place}: {len(wanted)} sales ({look.__name__}), lost: {len(lost)}")
        assert lost == []
        assert found == wanted
    assert all(card.startswith("card of ") and points == 7 for card, points in partners(place).values())


@pytest.mark.parametrize("host", DATABASES)
def test_every_database_is_at_the_new_release(host: str) -> None:
    query = 'SELECT "TEXT" FROM dbo."POSISINFO" WHERE "ID" = \'DBVERSION\''
    command = "runuser -u postgres -- psql --tuples-only --no-align --dbname=%s --command=%s"
    assert machine(host).check_output(command, DATABASES[host], query).strip() == "6.3.158.1"


@pytest.mark.parametrize("store", STORES)
def test_the_store_has_a_backup_that_was_restored_and_nobody_is_left(store: str) -> None:
    path = f"/var/lib/axops-retail/upgrade-{STORE_IDS[store]}.json"
    record = json.loads(machine(store).file(path).content_string)
    assert record["state"] == "finished"
    assert {one["state"] for one in record["registers"].values()} == {"done"}
    folder = machine(store).file("/var/backups/retail")
    assert (folder.user, folder.mode) == ("root", 0o700)
    for suffix in ("dump", "json"):
        file = machine(store).file(f"/var/backups/retail/{record['backup']}.{suffix}")
        assert (file.user, file.mode) == ("root", 0o600)
    assert json.loads(file.content_string)["tested"] is True


def test_a_register_could_go_offline_all_the_time() -> None:
    notes = {
        register: json.loads(machine(register).file("/var/lib/retail-till/usable.json").content_string)
        for register in REGISTERS
    }
    for register, found in notes.items():
        print(
            f"\n{register}: the longest time that it could not have gone offline: {found['longest']} s (at {found['at']} UTC, "
            f"{found['looks']} looks, {found['failed']} failed)"
        )
    assert all(found["looks"] > 50 for found in notes.values())
    assert max(found["longest"] for found in notes.values()) < LONGEST
