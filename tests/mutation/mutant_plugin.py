# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin (``-p mutant_plugin``): switches a mutant on, and says in a file which test noticed it first.

RETAIL_MUTANT: its name; without it the product is what it is. RETAIL_MUTANT_REPORT: the file, JSON.
RETAIL_MUTANT_SERVERS: folders of PostgreSQL servers that run already, by name, JSON: they are used and left running.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mutant_catalogue
import pgserver
import pytest
from mutant import Switch

_said: dict[str, Any] = {"noticed": None, "passed": 0, "on": False, "skipped": None}
_name = os.environ.get("RETAIL_MUTANT")
_switch = Switch(mutant_catalogue.BY_NAME[_name]) if _name else None


_throwaway = pgserver.throwaway


@contextlib.contextmanager
def _running(name: str) -> Iterator[pgserver.PgServer]:
    """One of those that run; one that a test wants for itself, to stop it or to put it back, is its own."""
    there = json.loads(os.environ["RETAIL_MUTANT_SERVERS"])
    if name in there:
        yield pgserver.PgServer(there[name])
    else:
        with _throwaway(name) as server:
            yield server


if "RETAIL_MUTANT_SERVERS" in os.environ:
    pgserver.throwaway = _running


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The first test that fails is the one that noticed."""
    if report.failed and _said["noticed"] is None:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = getattr(crash, "message", "") or str(report.longrepr).strip().rpartition("\n")[2]
        _said.update(noticed=report.nodeid, when=report.when, message=message.partition("\n")[0][:200])
    _said["passed"] += report.when == "call" and report.passed
    if report.skipped and isinstance(report.longrepr, tuple):
        _said["skipped"] = _said["skipped"] or report.longrepr[2].removeprefix("Skipped: ")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Say what came of it."""
    _said.update(on=_switch is not None and _switch.on, exit=int(exitstatus))
    Path(os.environ["RETAIL_MUTANT_REPORT"]).write_text(json.dumps(_said), encoding="utf-8")
