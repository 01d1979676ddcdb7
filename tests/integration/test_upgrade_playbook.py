# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one release to the next with playbooks/upgrade.yml, while tills sell, a register is away, and runs are cut off."""

from __future__ import annotations

import time

import pytest
import upgrade_world
from upgrade_world import NEW, OLD, Arriving, Fleet, Till, until


@pytest.fixture
def fleet(tmp_path, pg_pair):
    yield from upgrade_world.fleet(tmp_path, pg_pair)


@pytest.fixture
def tills(fleet):
    found = {
        "houston-1": Till("HOUSTON", "1", fleet.facts("houston-1")),
        "houston-2": Till("HOUSTON", "2", fleet.facts("houston-2")),
        "boston-1": Till("BOSTON", "1", fleet.facts("boston-1")),
    }
    for till in found.values():
        till.start()
    yield found
    for till in found.values():
        till.stop()


def test_a_fleet_goes_from_one_release_to_the_next_while_it_sells(fleet: Fleet, tills: dict[str, Till]) -> None:
    # The second register of Houston is cut off: nobody reaches it, and its service does not run. It sells all the same.
    fleet.service("HOUSTON-2", "stopped")
    fleet.more["houston-2"] = {"retail_offline_port": 1}
    fleet.upgraded = True
    fleet.play("site", "--limit", "hq", "--tags", "hq")
    _a_failure_in_the_first_store_stops_the_second(fleet)
    _a_run_that_is_cut_off_is_completed_by_the_next_one(fleet)
    _the_register_that_was_away_finishes_when_it_comes_back(fleet)
    _nothing_is_lost(fleet, tills)
    _a_store_goes_back(fleet, tills)


def _a_failure_in_the_first_store_stops_the_second(fleet: Fleet) -> None:
    (fleet.folder / "file").write_text("no folder", encoding="utf-8")
    fleet.more["houston"] = {"retail_backup_directory": str(fleet.folder / "file" / "backups")}
    printed, changed = fleet.play("upgrade", "-e", "retail_upgrade_canary=HOUSTON", fails=True)
    del fleet.more["houston"]
    assert "cannot be made: Not a directory" in printed
    assert "boston" not in changed
    assert [fleet.release(host) for host in ("houston", "boston")] == [OLD, OLD]
    assert fleet.record("HOUSTON") == fleet.record("BOSTON") == {}


def _a_run_that_is_cut_off_is_completed_by_the_next_one(fleet: Fleet) -> None:
    process = fleet.start("upgrade")
    until(
        lambda: fleet.record("HOUSTON").get("state") == "begun" or process.poll() is not None,
        lambda: "it does not begin",
        600,
    )
    fleet.kill(process)
    begun = fleet.record("HOUSTON")
    assert begun["state"] == "begun", begun
    backup = fleet.folder / "backups" / f"{begun['backup']}.dump"
    assert (oct(backup.stat().st_mode & 0o777), oct(backup.parent.stat().st_mode & 0o777)) == ("0o600", "0o700")
    before = backup.read_bytes()
    with Arriving(fleet) as arriving:
        printed, _changed = fleet.play("upgrade")
    for store, counted in arriving.counted.items():
        assert len(counted) > 1 and counted[-1] > counted[0], (
            f"no register of {store} synchronised meanwhile: {counted}"
        )
        print(f"{store}: sales there while its upgrade was under way: from {counted[0]} to {counted[-1]}")
    assert backup.read_bytes() == before, "the backup from before the upgrade was made anew"
    record = fleet.record("HOUSTON")
    assert (record["state"], record["from"], record["to"], record["begun"]) == ("finished", OLD, NEW, begun["begun"])
    assert {name: one["state"] for name, one in record["registers"].items()} == {
        "HOUSTON-1": "done",
        "HOUSTON-2": "left",
    }
    assert fleet.record("BOSTON")["registers"]["BOSTON-1"]["state"] == "done"
    assert "HOUSTON-2 is left, since " in printed and "Cannot connect" in printed
    assert [fleet.release(host) for host in ("houston", "boston")] == [NEW, NEW]
    assert [fleet.has_partners(host) for host in ("houston-1", "boston-1", "houston-2")] == [True, True, False]


def _the_register_that_was_away_finishes_when_it_comes_back(fleet: Fleet) -> None:
    del fleet.more["houston-2"]
    printed, changed = fleet.play("upgrade")
    assert changed["houston-2"] and not changed["houston-1"] and not changed["boston-1"], changed
    assert "is left" not in printed
    assert fleet.has_partners("houston-2")
    assert fleet.record("HOUSTON")["registers"]["HOUSTON-2"]["state"] == "done"
    _printed, again = fleet.play("upgrade")
    assert not any(again.values()), again


def _nothing_is_lost(fleet: Fleet, tills: dict[str, Till]) -> None:
    time.sleep(2)
    for till in tills.values():
        till.stop()
    sold = list(tills.values())
    for host in ("houston", "boston", "hq"):
        mine = [till for till in sold if host in ("hq", till.store.lower())]
        until(
            lambda host=host, mine=mine: not fleet.lost(host, mine),
            lambda host=host, mine=mine: fleet.lost(host, mine)[:5],
        )
    assert all(any(card for _lines, card, _number in till.books.values()) for till in sold), "nobody sold with a card"
    assert all(any(not card for _lines, card, _number in till.books.values()) for till in sold)
    for till in sold:
        print(
            f"{till.store}-{till.register}: {len(till.books)} sales, lost: 0, longest wait {till.longest:.2f} s, "
            f"broken off {len(till.errors)}"
        )
        # A table that grows by a column is locked for a moment; nobody takes the offline database away.
        assert till.longest < 10 and not till.errors, (till.longest, till.errors[:3])


def _a_store_goes_back(fleet: Fleet, tills: dict[str, Till]) -> None:
    """What the backup does not have comes back from the register."""
    backup = fleet.record("BOSTON")["backup"]
    assert backup.endswith(f"-{OLD}-to-{NEW}")
    _printed, changed = fleet.play("restore", "-e", "retail_restore=BOSTON")
    assert [host for host, number in changed.items() if number] == ["boston"], changed
    assert fleet.release("boston") == OLD and not fleet.has_partners("boston")
    assert fleet.record("BOSTON")["state"] == "restored"
    books = {name: lines for name, (lines, _card, _number) in tills["boston-1"].books.items()}

    def missing() -> set[str]:
        there = {name: lines for name, (lines, _card, _points) in fleet.sales("boston").items()}
        return {name for name, lines in books.items() if there.get(name) != lines}

    until(lambda: not missing(), lambda: sorted(missing())[:5])
    _printed, again = fleet.play("restore", "-e", "retail_restore=BOSTON")
    assert not any(again.values()), again
    # The site playbook goes on with what was declared before; the register is above its store, and stays so.
    fleet.upgraded = False
    fleet.play("site", "--limit", "hq", "--tags", "profiles,data_groups")
    fleet.play("site", "--limit", "boston,boston-1", "--skip-tags", "verify")
    assert fleet.release("boston") == OLD and fleet.has_partners("boston-1")
