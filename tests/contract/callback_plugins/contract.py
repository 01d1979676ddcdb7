# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps each task's result, and what the world looked like before and after it, as one line of JSON.

ansible-playbook calls it between tasks, so nothing of a task runs while it looks.
"""

from __future__ import annotations

import json
import os
from typing import Any

import snapshot
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Told what to do by the file that CONTRACT_WORLD names."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "contract"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        with open(os.environ["CONTRACT_WORLD"], encoding="utf-8") as stream:
            self._world = json.load(stream)
        self._before: dict[str, Any] = {}

    def v2_playbook_on_task_start(self, *_task: Any, **_facts: Any) -> None:
        self._before = self._look()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._keep(result)

    def v2_runner_on_failed(self, result: Any, **_facts: Any) -> None:
        self._keep(result, failed=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._keep(result, failed=True)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._keep(result)

    def _keep(self, result: Any, **more: Any) -> None:
        # `result` is there from ansible-core 2.19 on; 2.18 has `_result` alone.
        given = result.result if hasattr(result, "result") else result._result
        line = {"result": {**given, **more}, "before": self._before, "after": self._look()}
        with open(self._world["report"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, default=str) + "\n")

    def _look(self) -> dict[str, Any]:
        return snapshot.take(self._world)
