# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the result of each task of a play into the file that KEPT_RESULT names, a line each.

Another task could, but would take as long as the first one.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """See ``playbook_world.Playbook`` and ``windows_till.Till``."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_result"
    CALLBACK_NEEDS_ENABLED = False

    def v2_runner_on_ok(self, result: Any) -> None:
        self._keep(result, failed=False)

    def v2_runner_on_failed(self, result: Any, **_facts: Any) -> None:
        self._keep(result, failed=True)

    def _keep(self, result: Any, **more: Any) -> None:
        # `result` is there from ansible-core 2.19 on; 2.18 has `_result` alone.
        given = result.result if hasattr(result, "result") else result._result
        path = os.environ["KEPT_RESULT"]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as stream:
            stream.write(json.dumps({**given, **more}, default=str) + "\n")
