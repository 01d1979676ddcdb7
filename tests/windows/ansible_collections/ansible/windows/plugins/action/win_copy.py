# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the action plugin of ansible.windows.win_copy: it brings a file to the host, and lets the module do the rest."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Notes what the file on the controller looks like."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Transfer and run."""
        result = super().run(tmp, task_vars)
        given = dict(self._task.args)
        shell = self._connection._shell
        if not given.get("remote_src"):
            self._note(given["src"])
            if shell.tmpdir is None:
                self._make_tmp_path()
            given["src"] = self._transfer_file(given["src"], shell.join_path(shell.tmpdir, "source"))
        result.update(self._execute_module("ansible.windows.win_copy", given, task_vars=task_vars))
        self._remove_tmp_path(shell.tmpdir)
        return result

    def _note(self, source: str) -> None:
        facts = os.stat(source)
        kept = {"path": source, "mode": "%04o" % stat.S_IMODE(facts.st_mode)}
        with Path(os.environ["STAND_IN_JOURNAL"]).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(["on the controller", kept]) + "\n")
