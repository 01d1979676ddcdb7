# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module retail_sync_service with a supervised process: every state, twice; check mode, diff, what is left."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import service_hosts as hosts
from playbook_world import Playbook
from service_pairs import REGISTER, ProvisionedPair, sale, sales

from ansible_collections.axops.retail.plugins.module_utils._sync import supervise


class Host:
    """The folders of a host, and the module's options for them."""

    def __init__(self, pair: ProvisionedPair, folder: Path) -> None:
        self.pair = pair
        self.folder = folder
        self.playbook = Playbook(folder)
        self.pid_file = folder / "state" / f"{REGISTER}.pid"
        self.config = folder / "etc" / f"{REGISTER}.json"
        self.archive = folder / "opt" / "retail-sync.pyz"

    def service(self, *flags: str, **more: Any) -> dict[str, Any]:
        options = {
            "name": REGISTER,
            "service_manager": "process",
            "interval": 1,
            "check_timeout": 30,
            "install_dir": str(self.folder / "opt"),
            "config_dir": str(self.folder / "etc"),
            "log_dir": str(self.folder / "log"),
            "state_dir": str(self.folder / "state"),
            "engine": "postgresql",
            "encrypt": "no",
            **_connection("child_", self.pair.child_facts),
            **_connection("parent_", self.pair.parent_facts),
            **more,
        }
        return self.playbook.task("retail_sync_service", *flags, **options)

    @property
    def processes(self) -> dict[str, Any]:
        return supervise.PidFile(str(self.pid_file)).read()


def _connection(prefix: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{prefix}server": facts["host"],
        f"{prefix}port": facts["port"],
        f"{prefix}database": facts["database"],
        f"{prefix}login_user": facts["user"],
        f"{prefix}login_password": facts["password"],
    }


@pytest.fixture
def host(scratch_pair: Any, tmp_path: Path) -> Iterator[Host]:
    host = Host(ProvisionedPair(*scratch_pair), tmp_path)
    yield host
    supervise.stop(str(host.pid_file))


def test_from_nothing_to_running_and_back(host: Host) -> None:
    predicted = host.service("--check", "--diff")
    assert predicted["changed"] and not host.config.exists() and not host.archive.exists()

    started = host.service("--diff")
    assert started.get("failed") is not True, started
    assert (started["changed"], started["steps"]) == (True, predicted["steps"])
    assert started["diff"] == predicted["diff"]
    assert started["instance"] == REGISTER
    assert started["status"]["running"] and started["pid"] == host.processes["service"].pid
    assert started["tracking_tables"] == {"child": 2, "parent": 2}
    assert started["last_log"]["terminal"] == "000001"
    assert stat.S_IMODE(host.config.stat().st_mode) == 0o600
    with host.pair.child() as register, host.pair.parent() as store:
        sale(register, "T1")
        hosts.until(lambda: sales(store) == {"T1"}, "the sale")

    again = host.service()
    assert (again["changed"], again["steps"]) == (False, [])
    assert again["pid"] == started["pid"]

    stopped = host.service(state="stopped")
    assert stopped["steps"] == ["Stop the service"] and host.processes == {}
    assert host.service(state="stopped")["changed"] is False

    gone = host.service(state="absent")
    assert gone["changed"] is True
    assert not host.config.exists() and not host.archive.exists() and not (host.folder / "state").exists()
    assert host.service(state="absent")["changed"] is False


def test_restarted_always_restarts(host: Host) -> None:
    first = host.service()
    second = host.service(state="restarted")
    assert second["steps"] == ["Restart the service"]
    assert second["pid"] != first["pid"] and second["status"]["running"]


def test_what_changes_restarts_the_service_and_a_cut_off_run_is_completed(host: Host) -> None:
    first = host.service()
    changed = host.service("--diff", interval=2)
    assert changed["steps"] == [f"Write the configuration {host.config}", "Restart the service"]
    assert changed["diff"]["before"]["files"][str(host.config)]["interval"] == 1
    assert changed["diff"]["after"]["files"][str(host.config)]["interval"] == 2
    assert changed["pid"] != first["pid"]

    # As if a run had been cut off after it wrote the file: same content, another file.
    os.utime(host.config, ns=(1, 1))
    completed = host.service(interval=2)
    assert completed["steps"] == ["Restart the service"]
    assert host.service(interval=2)["changed"] is False

    # As if another instance's run had written the same archive again.
    os.utime(host.archive, ns=(1, 1))
    assert host.service(interval=2)["changed"] is False

    host.archive.write_bytes(b"an older service")
    assert host.service(interval=2)["steps"] == [f"Install the service {host.archive}", "Restart the service"]


def test_present_installs_and_does_not_start(host: Host) -> None:
    assert host.service(state="present")["changed"] is True
    assert host.config.exists() and host.archive.exists() and host.processes == {}
    assert host.service(state="present")["changed"] is False


def test_passwords_stay_in_their_file(host: Host) -> None:
    password = host.pair.child_facts["password"]
    host.service()
    changed = host.service("--diff", "-vvv", child_login_password="another one", check_timeout=0)
    assert changed["diff"]["after"]["files"][str(host.config)]["child"]["password"].endswith("(changed)")
    said = json.dumps(changed) + hosts.command_lines()
    for path in (host.folder / "log").iterdir():
        said += path.read_text(encoding="utf-8")
    said += (host.folder / "state" / f"{REGISTER}.running.json").read_text(encoding="utf-8")
    assert password not in said.replace(host.config.read_text(encoding="utf-8"), "")
    assert "another one" not in said
    assert "another one" in host.config.read_text(encoding="utf-8")


def test_it_fails_with_the_reason(host: Host) -> None:
    with host.pair.parent() as store:
        store.execute('DROP TABLE "ax"."PRICEDISCTABLE_tracking"')
    untracked = host.service(check_timeout=5)
    assert untracked["failed"] and "no tracking table at the parent" in untracked["msg"]

    wrong = host.service(check_timeout=3, parent_login_password="wrong")
    assert wrong["failed"] and "parent cannot be reached" in wrong["msg"]
    assert any("Trying again" in line for line in wrong["log"])
    assert host.service(check_timeout=0, parent_login_password="wrong").get("failed") is not True


def test_a_folder_that_may_not_be_written(host: Host) -> None:
    (host.folder / "file").touch()
    refused = host.service(install_dir=str(host.folder / "file" / "opt"))
    assert refused["failed"] and "choose folders that you may write" in refused["msg"]


def test_a_killed_supervisor_is_replaced(host: Host) -> None:
    first = host.service()
    host.processes["supervisor"].send(signal.SIGKILL)
    second = host.service()
    assert second["steps"] == ["Start the service"]
    assert second["pid"] != first["pid"] and set(host.processes) == {"supervisor", "service"}


@pytest.mark.parametrize("name", ["../evil", "Köln-000001", "HOUSTON 1", ".hidden", "", "x" * 101])
def test_a_name_that_is_no_name_is_refused_before_anything_is_done(host: Host, name: str) -> None:
    for flags in ((), ("--check",)):
        for state in ("started", "absent"):
            refused = host.service(*flags, name=name, state=state, service_manager="auto", child_port=1)
            assert refused["failed"] and "is no name for a service" in refused["msg"]
            assert "1 to 100 letters from A to Z" in refused["advice"]
            assert "pos_register_service_name" in refused["advice"]
    assert not [path for path in host.folder.iterdir() if path.is_dir()]


def test_a_service_without_a_name_is_asked_for_one(host: Host) -> None:
    assert "missing required arguments: name" in host.playbook.task("retail_sync_service", state="absent")["msg"]


@pytest.mark.parametrize(
    ("declared", "message", "advice"),
    [
        ({"install_dir": "opt/sync"}, "'opt/sync', the option install_dir, is no full path", "Begin it with a slash"),
        ({"check_timeout": -1}, "-1 is no time to wait", "0 or more"),
        ({"interval": 1e300}, "'interval' must be a number of seconds from 1 to 1000000000", "option of that name"),
        ({"heartbeat": 0}, "'heartbeat' must be a number of seconds", "Correct the option of that name."),
        (
            {"retention": [{"scope": "Sales", "days": days, "unit": ["STORE"]} for days in (30, 60)]},
            "The retention of the scope 'Sales' is declared twice",
            "Declare it once",
        ),
        ({"child_port": 0}, "0 is no TCP port", "from 1 to 65535"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    host: Host, declared: dict[str, Any], message: str, advice: str
) -> None:
    for flags in (("--check",), ()):
        refused = host.service(*flags, **declared)
        assert refused["failed"] and message in refused["error"], refused["msg"]
        assert advice in refused["advice"]
    assert not [path for path in host.folder.iterdir() if path.is_dir()]
