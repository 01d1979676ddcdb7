# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows tills and store servers: what the roles ask of ansible.windows, in which order, and what they refuse.

There is no Windows here. The modules of ansible.windows are replaced by action plugins that write down what they are given.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook_world import ansible_playbook
from windows_till import CONNECTION, Till

STAND_IN = """
import json, os
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    supports_check_mode = True
    def run(self, tmp=None, task_vars=None):
        with open(os.environ["ASKED"], "a", encoding="utf-8") as file:
            file.write(json.dumps([self._task.action.rpartition(".")[2], self._task.args]) + "\\n")
        found = os.environ.get("SERVICE_IS_THERE") == "yes"
        return {"changed": not self._task.action.endswith("_info"), "exists": found, "path": "C:\\\\Temp\\\\AxSetup.txt"}
"""
MODULES = (
    *("win_package", "win_service", "win_service_info", "win_group", "win_group_membership"),
    *("win_tempfile", "win_copy", "win_file"),
)
#: How Setup is run: its parameters are in a file meanwhile.
RUN = ["win_service_info", "win_tempfile", "win_copy", "win_package", "win_file"]
WINDOWS = {"ansible_connection": "ansible.builtin.psrp", "retail_microsoft_service": "Sync"}
SETUP = {
    "retail_axsetup_path": "D:\\AxSetup.exe",
    "retail_axsetup_parameters": {"InstallRetailPOS": 1, "AcceptLicenseTerms": 1},
}
MICROSOFT = {**WINDOWS, "retail_sync_provider": "microsoft"}
GROUPS = {
    "retail_windows_groups": [
        {"name": "RetailOfflineSyncUsers", "members": ["SHOP\\sync"], "state": "pure"},
        {"name": "POSUsers", "members": ["SHOP\\tills"]},
        {"name": "RetailDataSyncUsers"},
    ]
}
#: A database server that nobody answers at: what comes behind the database is not reached.
NOWHERE = {"retail_engine": "postgresql", "retail_channel_server": "127.0.0.1", "retail_channel_port": 1}
HEADQUARTERS = {"retail_hq_server": "127.0.0.1", "retail_hq_port": 1, "retail_sync_host": "linux"}
Asked = list[tuple[str, dict[str, Any]]]


class Host:
    """Runs a role for one host, and tells what was asked of Windows, the exit code, and what was said."""

    def __init__(self, repository: Path, stand_ins: Path, folder: Path) -> None:
        self.folder = folder
        self.collections = "%s:%s" % (stand_ins, repository.parents[2])

    def __call__(
        self,
        variables: dict[str, Any],
        *arguments: str,
        role: str = "pos_register",
        tasks: str = "main",
        **environment: str,
    ) -> tuple[Asked, int, str]:
        return self.run({"here": variables}, *arguments, role=role, tasks=tasks, **environment)

    def run(
        self, hosts: dict[str, dict[str, Any]], *arguments: str, role: str, tasks: str = "main", **told: str
    ) -> tuple[Asked, int, str]:
        """The same for several hosts, each with its variables; the stand-ins are ``told``."""
        asked = self.folder / "asked"
        asked.write_text("", encoding="utf-8")
        named = {"name": "axops.retail." + role, "tasks_from": tasks}
        part = {"ansible.builtin.import_role": named, "tags": ["whole"]}
        play = [{"hosts": ",".join(hosts), "gather_facts": False, "tasks": [part]}]
        (self.folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
        common = {"retail_store_id": "HOUSTON", "retail_register_id": "000001", "retail_channel_server": "127.0.0.1"}
        others = {"linux": {"ansible_connection": "ssh"}, "another": {"ansible_connection": "winrm"}}
        inventory = {"all": {"hosts": {**hosts, **others}, "vars": common}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        environment = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_COLLECTIONS_PATH": self.collections,
            "ASKED": str(asked),
            **told,
        }
        done = ansible_playbook(["-i", "inventory.yml", *arguments, "play.yml"], environment, self.folder)
        lines = asked.read_text(encoding="utf-8").splitlines()
        return [tuple(json.loads(line)) for line in lines], done.returncode, done.stdout


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of collections: a stand-in for each module of ansible.windows that the roles use."""
    folder = tmp_path_factory.mktemp("collections")
    plugins = folder / "ansible_collections/ansible/windows/plugins/action"
    plugins.mkdir(parents=True)
    for name in MODULES:
        (plugins / (name + ".py")).write_text(STAND_IN, encoding="utf-8")
    return folder


@pytest.fixture
def role(repository: Path, stand_ins: Path, tmp_path: Path) -> Host:
    return Host(repository, stand_ins, tmp_path)


# ---- Microsoft's service on a till


def test_microsofts_service_is_installed_and_started_and_its_databases_are_left_alone(role: Host) -> None:
    # by the tag of the whole role, as the site playbook has one for each
    asked, code, said = role({**MICROSOFT, **SETUP}, "--tags", "whole")
    assert code == 0, said
    assert [name for name, _ in asked] == [*RUN, "win_service"], said
    _info, _file, copy, package, removal, service = (arguments for _, arguments in asked)
    assert copy["content"] == "AcceptLicenseTerms=1\nHideUI=1\nInstallRetailPOS=1\n"
    assert (package["path"], package["creates_service"]) == ("D:\\AxSetup.exe", "Sync")
    assert package["arguments"] == ["ParmFile=" + copy["dest"]]
    assert removal == {"path": copy["dest"], "state": "absent"}
    assert (service["name"], service["start_mode"], service["state"]) == ("Sync", "auto", "started")
    assert "username" not in service, "nobody declared an account"


def test_what_is_there_already_needs_no_setup(role: Host) -> None:
    account = {
        "retail_microsoft_service_user": "SHOP\\sync",
        "retail_microsoft_service_password": "secret",
        "retail_sync_state": "present",
    }
    asked, code, said = role({**MICROSOFT, **SETUP, **account}, SERVICE_IS_THERE="yes")
    assert (code, [name for name, _ in asked]) == (0, ["win_service_info", "win_service"]), said
    assert (asked[1][1]["username"], asked[1][1]["password"]) == ("SHOP\\sync", "secret")
    assert "state" not in asked[1][1], "present says nothing about whether it runs"
    assert "secret" not in said


def test_where_ours_does_the_work_microsofts_service_is_stopped(role: Host) -> None:
    # ours is not looked after here, since it would really be installed and started
    asked, _, said = role({**WINDOWS, **SETUP, "retail_sync_managed": False}, "--tags", "service")
    assert [name for name, _ in asked] == ["win_service"], said
    assert (asked[0][1]["start_mode"], asked[0][1]["state"]) == ("disabled", "stopped")


def test_a_dry_run_starts_nothing_that_it_has_not_installed(role: Host) -> None:
    asked, code, said = role({**MICROSOFT, **SETUP}, "--check")
    assert (code, [name for name, _ in asked]) == (0, ["win_service_info", "win_package"]), said


LINUX = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
BESIDE = {**HEADQUARTERS, "retail_sync_host": "another"}
#: By the name of the host that declares it.
REFUSED = {
    "no-windows": ({**MICROSOFT, **LINUX}, "service runs on Windows only"),
    "no-name": ({**MICROSOFT, "retail_microsoft_service": ""}, "Set retail_microsoft_service"),
    "no-licence": ({**MICROSOFT, "retail_axsetup_path": "D:\\AxSetup.exe"}, "add AcceptLicenseTerms: 1"),
    "no-provider": ({**MICROSOFT, "retail_sync_provider": "nobody"}, "must be one of: axops, microsoft"),
    "beside": ({**WINDOWS, **GROUPS, **BESIDE}, "another, which retail_sync_host names, is a Windows host"),
    "itself": (
        {**WINDOWS, **BESIDE, "retail_sync_host": "itself"},
        "itself, which retail_sync_host names, is a Windows host",
    ),
    "from-linux": ({**LINUX, **BESIDE}, "name one that runs Linux"),
}


@pytest.mark.parametrize("tags", [(), ("--tags", "service")], ids=["all", "service"])
@pytest.mark.parametrize("name", ["pos_register", "store_server"])
def test_what_does_not_fit_is_refused_before_anything_is_done(role: Host, name: str, tags: tuple[str, ...]) -> None:
    hosts = {host: {**NOWHERE, **variables} for host, (variables, _message) in REFUSED.items()}
    asked, code, said = role.run(hosts, *tags, role=name)
    assert (code, asked) == (2, []), said
    refusals = {part.partition("]")[0]: part.partition("\n\n")[0] for part in said.split("fatal: [")[1:]}
    for host, (_variables, message) in REFUSED.items():
        assert message in refusals[host], (host, said)
    assert "Cannot connect" not in said


@pytest.mark.parametrize("name", ["pos_register", "store_server"])
def test_a_host_for_the_service_does_not_matter_where_it_is_not_looked_after(role: Host, name: str) -> None:
    variables = {**WINDOWS, **BESIDE, "retail_sync_managed": False}
    asked, code, said = role(variables, "--tags", "service", role=name)
    assert code == 0, said
    assert [each for each, _ in asked] == ["win_service"]


@pytest.mark.parametrize("name", ["pos_register", "store_server"])
def test_an_upgrade_refuses_such_a_host_as_well(role: Host, name: str) -> None:
    _asked, code, said = role({**NOWHERE, **WINDOWS, **BESIDE}, role=name, tasks="upgrade")
    assert code == 2 and "is a Windows host" in said, said
    assert "Cannot connect" not in said


# ---- local groups


@pytest.mark.parametrize("name", ["pos_register", "store_server"])
def test_groups_are_there_before_the_database_that_gives_them_rights(role: Host, name: str) -> None:
    windows = {**NOWHERE, **WINDOWS, **GROUPS, "retail_microsoft_service": "", "retail_sync_host": "linux"}
    asked, code, said = role(windows, role=name)
    assert code == 2 and "Cannot connect to PostgreSQL at 127.0.0.1:1/" in said, said
    assert asked == [
        ("win_group", {"name": "RetailOfflineSyncUsers"}),
        ("win_group", {"name": "POSUsers"}),
        ("win_group", {"name": "RetailDataSyncUsers"}),
        ("win_group_membership", {"name": "RetailOfflineSyncUsers", "members": ["SHOP\\sync"], "state": "pure"}),
        ("win_group_membership", {"name": "POSUsers", "members": ["SHOP\\tills"], "state": "present"}),
    ]


def test_a_dry_run_does_not_ask_who_is_in_a_group_that_it_has_not_made(role: Host) -> None:
    asked, code, said = role({**WINDOWS, **GROUPS, "retail_sync_host": "linux"}, "--check", "--tags", "accounts")
    assert code == 0, said
    assert [each for each, _ in asked] == ["win_group"] * 3


def test_groups_are_none_of_linux(role: Host) -> None:
    asked, code, said = role({"ansible_connection": "local", **GROUPS}, "--tags", "accounts")
    assert (asked, code) == ([], 0), said
    asked, code, said = role({"ansible_connection": "local", **GROUPS}, role="windows")
    assert (asked, code) == ([], 2) and "Local groups are for Windows hosts" in said, said


def test_groups_are_declared_as_documented(role: Host) -> None:
    wrong = ({"members": ["a"]}, {"name": "a", "state": "absent"}, {"name": "a", "exclusive": True})
    hosts = {"host%d" % number: {**WINDOWS, "retail_windows_groups": [group]} for number, group in enumerate(wrong)}
    asked, code, said = role.run(hosts, role="windows")
    assert (asked, code) == ([], 2) and said.count("Validation of arguments failed") >= len(wrong), said


def test_the_role_for_windows_does_both_by_itself(role: Host) -> None:
    asked, code, said = role({**MICROSOFT, **GROUPS}, role="windows")
    assert code == 0, said
    assert [each for each, _ in asked] == ["win_group"] * 3 + ["win_group_membership"] * 2 + ["win_service"]
    asked, _, _ = role({**MICROSOFT, **GROUPS}, "--tags", "service", role="windows")
    assert [each for each, _ in asked] == ["win_service"]


# ---- Microsoft's service on a store server


def test_microsofts_service_of_a_store_comes_after_its_database(role: Host) -> None:
    """Its Setup wants to find the channel database."""
    asked, code, said = role({**NOWHERE, **MICROSOFT, **SETUP}, role="store_server")
    assert (code, asked) == (2, []), said
    assert "Cannot connect to PostgreSQL at 127.0.0.1:1/" in said, said


def test_headquarters_of_ours_has_no_part_in_a_store_that_microsofts_service_feeds(role: Host) -> None:
    asked, code, said = role(
        {**MICROSOFT, **SETUP, **HEADQUARTERS}, "--tags", "service,distribution", role="store_server"
    )
    assert code == 0, said
    assert [each for each, _ in asked] == [*RUN, "win_service"]
    assert (asked[-1][1]["start_mode"], asked[-1][1]["state"]) == ("auto", "started")
    ours = said.partition("Keep the channel database and headquarters in step]")[2]
    assert ours.strip("* \n").startswith("skipping: [here]"), said


def test_where_ours_feeds_the_store_microsofts_service_is_stopped_first(role: Host) -> None:
    asked, code, said = role({**NOWHERE, **WINDOWS, **HEADQUARTERS}, role="store_server")
    assert code == 2 and "Cannot connect" in said, said
    assert [(each, given["start_mode"], given["state"]) for each, given in asked] == [
        ("win_service", "disabled", "stopped")
    ]


def test_a_store_that_nobody_else_feeds_keeps_microsofts_service(role: Host) -> None:
    """Without headquarters in the inventory AX does it; and no host has to be named for a service that does not run."""
    asked, code, said = role(WINDOWS, "--tags", "service", role="store_server")
    assert (asked, code) == ([], 0), said


# ---- the settings of a till


def test_the_settings_of_a_till_are_written_where_it_is(tmp_path: Path) -> None:
    """The whole way through the role, with the stand-in of windows_till."""
    till = Till(tmp_path)
    (till.drive / "POS").mkdir()
    file = till.drive / "POS" / "POS.exe.config"
    before = b'<configuration>\r\n  <AxRetailPOS Partner="x"/>\r\n</configuration>\r\n'
    file.write_bytes(before)
    variables = {
        "retail_store_id": "HOUSTON",
        "retail_register_id": "000001",
        "retail_channel_server": "houston-db",
        "retail_pos_config_path": "C:\\POS\\POS.exe.config",
        "retail_pos_config_format": "xml",
        "retail_sync_managed": False,
    }
    part = {"ansible.builtin.import_role": {"name": "axops.retail.pos_register"}}
    assert till.play([part], "--tags", "config", "--check", variables=variables) == 0, till.said
    assert file.read_bytes() == before and "changed=1" in till.said
    assert till.play([part], "--tags", "config", variables=variables) == 0, till.said
    ours = b'Partner="x" StoreId="HOUSTON" TerminalId="000001" StoreDatabase'
    assert file.read_bytes().startswith(before.split(b"Partner")[0] + ours), till.said
    assert till.play([part], "--tags", "config", variables=variables) == 0, till.said
    assert "changed=0" in till.said and CONNECTION.endswith("psrp")
