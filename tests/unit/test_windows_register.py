# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's service on a Windows register: what is asked of ansible.windows, and what is refused.

There is no Windows here. The modules of ansible.windows are replaced by action plugins that write down what they are given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

STAND_IN = """
import json, os
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    supports_check_mode = True
    def run(self, tmp=None, task_vars=None):
        with open(os.environ["ASKED"], "a", encoding="utf-8") as file:
            file.write(json.dumps([self._task.action.rpartition(".")[2], self._task.args]) + "\\n")
        return {"changed": True}
"""
WINDOWS = {"ansible_connection": "ansible.builtin.psrp", "retail_microsoft_service": "Sync"}
SETUP = {
    "retail_axsetup_path": "D:\\AxSetup.exe",
    "retail_axsetup_parameters": {"InstallRetailPOS": 1, "AcceptLicenseTerms": 1},
}
MICROSOFT = {**WINDOWS, "retail_sync_provider": "microsoft"}


@pytest.fixture
def role(repository: Path, tmp_path: Path) -> Any:
    """Runs the role for one register, and tells what was asked of Windows, and what was said."""
    plugins = tmp_path / "collections/ansible_collections/ansible/windows/plugins/action"
    plugins.mkdir(parents=True)
    for name in ("win_package", "win_service"):
        (plugins / (name + ".py")).write_text(STAND_IN, encoding="utf-8")
    asked = tmp_path / "asked"
    asked.touch()
    part = {"ansible.builtin.import_role": {"name": "axops.retail.pos_register"}}
    (tmp_path / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "till", "gather_facts": False, "tasks": [part]}]), encoding="utf-8"
    )

    def run(variables: dict[str, Any], *arguments: str) -> tuple[list[Any], int, str]:
        host = {
            "retail_store_id": "HOUSTON",
            "retail_register_id": "000001",
            "retail_channel_server": "127.0.0.1",
            **variables,
        }
        (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {"till": host}}}), encoding="utf-8")
        collections = "%s:%s" % (tmp_path / "collections", repository.parents[2])
        environment = {
            **os.environ,
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ASKED": str(asked),
        }
        environment["ANSIBLE_COLLECTIONS_PATH"] = collections
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.yml", *arguments, "play.yml"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        lines = asked.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines], done.returncode, done.stdout + done.stderr

    return run


def test_microsofts_service_is_installed_and_started_and_its_databases_are_left_alone(role: Any) -> None:
    asked, code, said = role({**MICROSOFT, **SETUP})
    assert code == 0, said
    assert [name for name, _ in asked] == ["win_package", "win_service"], said
    package, service = (arguments for _, arguments in asked)
    assert (package["path"], package["creates_service"]) == ("D:\\AxSetup.exe", "Sync")
    assert package["arguments"] == ["AcceptLicenseTerms=1", "HideUI=1", "InstallRetailPOS=1"]
    assert (service["name"], service["start_mode"], service["state"]) == ("Sync", "auto", "started")
    assert "username" not in service, "nobody declared an account"


def test_what_is_there_already_needs_no_setup(role: Any) -> None:
    account = {
        "retail_microsoft_service_user": "SHOP\\sync",
        "retail_microsoft_service_password": "secret",
        "retail_sync_state": "present",
    }
    asked, code, said = role({**MICROSOFT, **account})
    assert (code, [name for name, _ in asked]) == (0, ["win_service"]), said
    assert (asked[0][1]["username"], asked[0][1]["password"]) == ("SHOP\\sync", "secret")
    assert "state" not in asked[0][1], "present says nothing about whether it runs"
    assert "secret" not in said


def test_where_ours_does_the_work_microsofts_service_is_stopped(role: Any) -> None:
    # ours is not looked after here, since it would really be installed and started
    asked, _, said = role({**WINDOWS, **SETUP, "retail_sync_managed": False}, "--tags", "service")
    assert [name for name, _ in asked] == ["win_service"], said
    assert (asked[0][1]["start_mode"], asked[0][1]["state"]) == ("disabled", "stopped")


def test_a_dry_run_starts_nothing_that_it_has_not_installed(role: Any) -> None:
    asked, code, said = role({**MICROSOFT, **SETUP}, "--check")
    assert (code, [name for name, _ in asked]) == (0, ["win_package"]), said


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({**MICROSOFT, "ansible_connection": "local"}, "service runs on Windows only"),
        ({**MICROSOFT, "retail_microsoft_service": ""}, "Set retail_microsoft_service"),
        ({**MICROSOFT, "retail_axsetup_path": "D:\\AxSetup.exe"}, "add AcceptLicenseTerms: 1"),
        ({**MICROSOFT, "retail_sync_provider": "nobody"}, "must be one of: axops, microsoft"),
    ],
    ids=["no Windows", "no name", "no licence", "no such provider"],
)
def test_what_does_not_fit_is_refused_before_anything_is_done(
    role: Any, variables: dict[str, Any], message: str
) -> None:
    asked, code, said = role(variables)
    assert code == 2, said
    assert message in said
    assert asked == []
