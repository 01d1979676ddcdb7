# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook leaves on a host: units, files, secrets, rights."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

testinfra_hosts = ["ansible://store_servers", "ansible://pos_registers"]

SECRETS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "secrets"
ACCOUNT = "retail-sync"
PROGRAM = "/opt/axops-retail-sync/retail-sync.pyz"
SETTINGS = "/etc/retail-offline-sync"
STATE = "/var/lib/retail-offline-sync"
#: What systemd-analyze calls "OK" ends at 4.9; the unit promises better.
EXPOSURE = 2.0
#: What the service's account must not be able to do in the host's database.
FORBIDDEN = (
    'CREATE TABLE ax."NEW" (n int)',
    'DROP TABLE ax."RETAILTRANSACTIONTABLE"',
    'ALTER TABLE ax."RETAILTRANSACTIONTABLE" ADD COLUMN n int',
    'TRUNCATE ax."RETAILTRANSACTIONTABLE"',
    'DROP TABLE ax."RETAILTRANSACTIONTABLE_tracking"',
    'ALTER TABLE ax."RETAILTRANSACTIONTABLE" DISABLE TRIGGER ALL',
    "CREATE SCHEMA mine",
    "CREATE ROLE friend",
    "CREATE DATABASE mine",
    "GRANT pg_read_all_data TO retail_sync",
    "SELECT pg_read_file('/etc/hostname')",
)


@pytest.fixture
def name(host: Any) -> str:
    """The pair whose service runs on the host."""
    facts = host.ansible.get_variables()
    parts = [facts["retail_store_id"], facts.get("retail_register_id")]
    return "-".join(part for part in parts if part)


@pytest.fixture
def database(host: Any) -> str:
    return "RetailOffline" if "retail_register_id" in host.ansible.get_variables() else "RetailChannel"


@pytest.fixture
def unit(name: str) -> str:
    return f"retail-offline-sync@{name}.service"


def secret(kind: str) -> str:
    return (SECRETS / kind).read_text(encoding="utf-8").split()[0]


def ask(host: Any, user: str, password: str, database: str, sql: str) -> Any:
    """Run a statement as a login, over the network as that login would."""
    command = "PGPASSWORD=%s psql --no-psqlrc --tuples-only --no-align --host=localhost --username=%s --dbname=%s --command=%s"
    return host.run(command, password, user, database, sql)


# ---- the service


def test_the_unit_runs_now_and_after_a_reboot(host: Any, unit: str) -> None:
    service = host.service(unit)
    assert service.is_enabled
    assert service.is_running


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
    pid = host.check_output("systemctl show --property=MainPID --value %s", unit)
    # as the service sees the file systems, from inside of its mounts
    inside = f"nsenter --target {pid} --mount -- runuser -u {ACCOUNT} -- sh -c "
    for folder in ("/etc", "/usr", "/opt", "/var/lib", SETTINGS, "/root"):
        assert host.run(inside + "'touch %s/probe'" % folder).rc != 0, folder
    assert host.run(inside + "'touch %s/probe && rm %s/probe'" % (STATE, STATE)).rc == 0


def test_messages_go_to_the_journal_which_rotates_by_itself(host: Any, unit: str) -> None:
    assert "started" in host.check_output("journalctl --no-pager --output=cat --unit=%s", unit)
    assert not host.file("/var/log/retail-offline-sync").exists
    # the journal never takes more than a part of the disk: what it uses is told, with its limit
    assert "max" in host.check_output("journalctl --no-pager --output=cat --identifier=systemd-journald")


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
        (PROGRAM, "root", 0o755),
        ("/etc/systemd/system/retail-offline-sync@.service", "root", 0o644),
        (STATE, ACCOUNT, 0o750),
    ],
)
def test_files_belong_to_whom_they_should(host: Any, path: str, owner: str, mode: int) -> None:
    assert host.file(path).user == owner
    assert host.file(path).mode & ~mode == 0, oct(host.file(path).mode)


def test_the_configuration_is_read_by_the_service_alone(host: Any, name: str) -> None:
    file = host.file(f"{SETTINGS}/{name}.json")
    assert (file.user, file.mode) == (ACCOUNT, 0o600)
    assert secret("sync") in file.content_string


@pytest.mark.parametrize("kind", ["admin", "sync", "pos"])
def test_no_secret_is_readable_by_others(host: Any, kind: str) -> None:
    password, places = secret(kind), "/etc /home /opt /run /tmp /usr/local /var"
    readable = host.run(
        "runuser -u nobody -- grep --recursive --files-with-matches --devices=skip --fixed-strings -e %s " + places,
        password,
    )
    assert readable.stdout == ""
    assert password not in host.check_output("ps -e -ww -o args=")
    assert host.run("journalctl --no-pager | grep --fixed-strings -e %s", password).stdout == ""


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


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_services_login_cannot_do_what_it_must_not(host: Any, database: str, statement: str) -> None:
    refused = ask(host, "retail_sync", secret("sync"), database, statement)
    assert refused.rc != 0
    assert "permission denied" in refused.stderr or "must be owner" in refused.stderr or "must have" in refused.stderr


def test_the_pos_sells_and_cannot_touch_the_bookkeeping(host: Any, database: str) -> None:
    assert ask(host, "pos", secret("pos"), database, 'SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE"').rc == 0
    for statement in (
        "SELECT * FROM dbo.sync_peer",
        "DELETE FROM dbo.sync_staging",
        'DELETE FROM ax."RETAILTRANSACTIONTABLE_tracking"',
    ):
        refused = ask(host, "pos", secret("pos"), database, statement)
        assert refused.rc != 0
        assert "permission denied" in refused.stderr
