# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that Ansible takes for a till with Windows, and that is none: what is asked of ansible.windows is done in a folder.

There is no Windows here. tests/windows has a connection plugin whose shell says that it is one of Windows, and stand-ins for the
modules of ansible.windows that put a folder in place of drive C. What of a module the stand-in does not have, no test sees.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from playbook_world import ansible_playbook, collections

STAND_INS = Path(__file__).parent / "windows"
CONNECTION = "axops_tests.windows.psrp"


class Till:
    """Runs tasks for the till by ansible-playbook; ``drive`` stands for its drive C.

    ``asked``: what the stand-ins were asked for in the last run, as (module, options). ``said``: what was printed in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drive = folder / "drive"
        self.results = folder / "results"
        self.drive.mkdir()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.said = ""

    def task(self, options: dict[str, Any], *flags: str, **environment: str) -> dict[str, Any]:
        """The result of retail_pos_config with these options.

        :param flags: for ansible-playbook, such as ``--check``.
        :param environment: what the stand-ins are told, see there.
        """
        return self.tasks([options], *flags, **environment)[0]

    def tasks(self, tasks: list[dict[str, Any]], *flags: str, **environment: str) -> list[dict[str, Any]]:
        """The results of several such tasks, one after the other, whether they fail or not."""
        self.results.unlink(missing_ok=True)
        play = [{"axops.retail.retail_pos_config": options, "ignore_errors": True} for options in tasks]
        code = self.play(play, *flags, **environment)
        assert code == 0, self.said
        return [json.loads(line) for line in self.results.read_text(encoding="utf-8").splitlines()]

    def play(
        self, tasks: list[dict[str, Any]], *flags: str, variables: dict[str, Any] | None = None, **environment: str
    ) -> int:
        """Run these tasks; returns the exit code."""
        journal = self.folder / "journal"
        journal.write_text("", encoding="utf-8")
        till = {"ansible_connection": CONNECTION, **(variables or {})}
        hosts = {"till": till, "localhost": {"ansible_connection": "local"}}
        common = {"ansible_python_interpreter": sys.executable, "ansible_remote_tmp": str(self.folder / "remote")}
        inventory = {"all": {"hosts": hosts, "vars": common}}
        (self.folder / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
        play = [{"hosts": "till", "gather_facts": False, "tasks": tasks}]
        (self.folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
        told = {
            "ANSIBLE_COLLECTIONS_PATH": "%s:%s" % (STAND_INS, collections()),
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback_plugins"),
            "KEPT_RESULT": str(self.results),
            "ANSIBLE_NOCOLOR": "1",
            "STAND_IN_DRIVE": str(self.drive),
            "STAND_IN_JOURNAL": str(journal),
            **environment,
        }
        done = ansible_playbook(["-i", "inventory.yml", *flags, "play.yml"], {**os.environ, **told}, self.folder)
        self.said = done.stdout
        self.asked = [tuple(json.loads(line)) for line in journal.read_text(encoding="utf-8").splitlines()]
        return done.returncode

    def names(self) -> list[str]:
        """The modules that the stand-ins were asked for."""
        return [name for name, _options in self.asked]

    def files(self) -> dict[str, bytes]:
        """What is on the drive."""
        return {
            str(path.relative_to(self.drive)): path.read_bytes() for path in self.drive.rglob("*") if path.is_file()
        }
