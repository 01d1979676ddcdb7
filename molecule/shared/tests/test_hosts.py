# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook leaves on a host: units, files, secrets, rights."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from access import FORBIDDEN, FORBIDDEN_WHERE_TRACKED, ask, check_refused, check_unreadable, secret
from inventory import addresses, variables

testinfra_hosts = addresses("store_servers", "pos_registers")

ACCOUNT = "retail-sync"
PROGRAM = "/opt/axops-retail-sync/retail-sync.pyz"
SETTINGS = "/etc/retail-offline-sync"
POS_SETTINGS = "/etc/retail-pos"
STATE = "/var/lib/retail-offline-sync"
#: What systemd-analyze calls "OK" ends at 4.9; the unit promises better.
EXPOSURE = 2.0


@pytest.fixture
def name(host: Any) -> str:
    """The pair whose service runs on the host."""
    facts = variables(host)
    parts = [facts["retail_store_id"], facts.get("retail_register_id")]
    return "-".join(part for part in parts if part)


@pytest.fixture
def database(host: Any) -> str:
    return "RetailOffline" if "retail_register_id" in variables(host) else "RetailChannel"


@pytest.fixture
def unit(name: str) -> str:
    return f"retail-offline-sync@{name}.service"


# ---- the service


def test_the_unit_runs_now_and_after_a_reboot(host: Any, unit: str) -> None:
    service = host.service(unit)
    assert service.is_enabled
    assert service.is_running


def test_the_driver_leaves_no_log_of_each_process(host: Any) -> None:
    drivers = host.file("/etc/odbcinst.ini").content_string
    assert "[PostgreSQL Unicode]" in drivers
    assert not re.search(r"^CommLog\s*=\s*1", drivers, re.MULTILINE)


def test_the_service_runs_as_its_own_account_that_nobody_logs_in_as(host: Any, unit: str) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value %s", unit)
    assert host.check_output("ps -o user:32= -p %s", pid).strip() == ACCOUNT
    assert host.user(ACCOUNT).shell.rpartition("/")[2] in ("nologin", "false")
    assert host.user(ACCOUNT).uid < 1000
    assert [group for group in host.user(ACCOUNT).groups if group != ACCOUNT] == []


def test_the_unit_is_hardened_as_it_promises(host: Any, unit: str) -> None:
    said = host.check_output("systemd-analyze security --no-pager %s", unit)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert score
    assert float(score.group(1)) <= EXPOSURE, said


def test_the_service_can_write_its_state_and_nothing_else(host: Any, unit: str) -> None:
    # as the service sees the file systems, in its own mounts
    root = "/proc/%s/root" % host.check_output("systemctl show --property=MainPID --value %s", unit)
    for folder in ("/etc", "/usr", "/opt", "/var/lib", SETTINGS):
        assert "Read-only file system" in host.run("runuser -u %s -- touch %s/probe", ACCOUNT, root + folder).stderr
    for folder in ("/root", "/home"):
        assert "Permission denied" in host.run("runuser -u %s -- ls %s", ACCOUNT, root + folder).stderr
    for verb in ("touch", "rm"):
        host.check_output("runuser -u %s -- %s %s/probe", ACCOUNT, verb, root + STATE)


def test_messages_go_to_the_journal_which_is_rotated_and_limited(host: Any, unit: str) -> None:
    messages = "journalctl --no-pager --output=cat --unit=%s"
    pid = "systemctl show --property=MainPID --value %s"
    before = host.check_output(pid, unit)
    host.check_output("journalctl --rotate")
    assert "started" in host.check_output(messages, unit)
    assert host.check_output(pid, unit) == before
    # what the journal takes of the disk at the most, as it tells when it begins
    assert re.search(r"max [0-9.]+[MG]", host.check_output(messages, "systemd-journald.service"))
    # there is no other log that somebody would have to rotate
    assert host.check_output("find /var/log /opt %s %s -user %s -name %s", SETTINGS, STATE, ACCOUNT, "*.log*") == ""


def test_the_status_command_tells_how_the_pair_is(host: Any, name: str) -> None:
    said = host.run(
        "runuser -u %s -- python3 %s status --json --config %s", ACCOUNT, PROGRAM, f"{SETTINGS}/{name}.json"
    )
    assert said.rc == 0, said.stdout + said.stderr
    assert name in json.dumps(json.loads(said.stdout))


# ---- files


@pytest.mark.parametrize(
    ("path", "owner", "mode"),
    [
        (PROGRAM, "root", 0o644),
        ("/etc/systemd/system/retail-offline-sync@.service", "root", 0o644),
        (SETTINGS, "root", 0o755),
        (STATE, ACCOUNT, 0o750),
    ],
)
def test_files_belong_to_whom_they_should(host: Any, path: str, owner: str, mode: int) -> None:
    file = host.file(path)
    assert (file.user, oct(file.mode)) == (owner, oct(mode))


def test_the_configuration_is_read_by_the_service_alone(host: Any, name: str) -> None:
    file = host.file(f"{SETTINGS}/{name}.json")
    assert (file.user, file.mode) == (ACCOUNT, 0o600)
    assert secret("sync") in file.content_string


def test_the_settings_of_the_pos_are_read_by_nobody_else(host: Any, name: str) -> None:
    file = host.file(f"{POS_SETTINGS}/{name}.json")
    if "retail_register_id" not in variables(host):
        assert not file.exists, "a store server has no POS"
        return
    # no account was declared for the POS, so it is root's
    assert (file.user, file.mode) == ("root", 0o600)
    settings = json.loads(file.content_string)
    assert secret("pos") in file.content_string
    assert settings["register_id"] == variables(host)["retail_register_id"]


def test_no_secret_is_readable_by_others(host: Any) -> None:
    check_unreadable(host, secret("admin"), secret("sync"), secret("pos"))


# ---- rights in the database


def test_the_services_login_is_in_its_groups_and_is_no_administrator(host: Any, database: str) -> None:
    found = host.check_output(
        "runuser -u postgres -- psql --tuples-only --no-align --dbname=%s --command=%s",
        database,
        "SELECT string_agg(g.rolname, ' ' ORDER BY g.rolname) FROM pg_roles u JOIN pg_auth_members m ON m.member = u.oid "
        "JOIN pg_roles g ON g.oid = m.roleid WHERE u.rolname = 'retail_sync' AND NOT (u.rolsuper OR u.rolcreatedb OR u.rolcreaterole)",
    )
    wanted = (
        {"RetailOfflineSyncUsers"} if database == "RetailOffline" else {"RetailDataSyncUsers", "RetailOfflineSyncUsers"}
    )
    assert set(found.split()) == wanted


def test_the_pos_sells(host: Any, database: str) -> None:
    may = """SELECT bool_and(pg_catalog.has_table_privilege('ax."RETAILTRANSACTIONTABLE"', word))
             FROM pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS word"""
    assert ask(host, "pos", secret("pos"), database, may).stdout.strip() == "t"


@pytest.mark.parametrize(("user", "kind"), [("retail_sync", "sync"), ("pos", "pos")])
def test_a_login_cannot_do_what_it_must_not(host: Any, database: str, user: str, kind: str) -> None:
    """Such as to switch off the triggers that note the sales."""
    check_refused(host, user, secret(kind), database, FORBIDDEN + FORBIDDEN_WHERE_TRACKED)
