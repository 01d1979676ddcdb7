# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test has: the modules of tools/ by their plain names, and the root of the repository."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests"), str(ROOT / "tests" / "unit")]

import shards  # noqa: E402 - found in the folders above

#: The variable that names a SQL Server for the tests that need one: an ODBC connection string.
MSSQL = "RETAIL_TEST_MSSQL"

#: What takes longest, of all tests: begun first, so that no processor waits for another at the end.
LONGEST = (
    "tests/integration/test_upgrade_playbook.py",
    "tests/contract/",
    "tests/property/",
    "tests/faults/",
    "tests/mutation/",
    "tests/integration/",
)

pytest_plugins = ["databases", "session_world", "dialects", "register_world"]


def pytest_configure(config: pytest.Config) -> None:
    """Let a terminated run clean up as an interrupted one does: fixtures hold whole database servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first. What needs a SQL Server is skipped where the environment names none; what is about one engine
    alone, on the other."""
    items.sort(key=lambda item: _turn(item.nodeid))
    for item in items:
        for mark in item.iter_markers("only_on"):
            subject, reason = mark.args
            if item.callspec.params["engine"] != subject:
                item.add_marker(pytest.mark.skip(reason=reason))
    part = os.environ.get(shards.VARIABLE)
    if part:
        _deal_out(config, items, part)
    if os.environ.get(MSSQL):
        return
    skip = pytest.mark.skip(reason="%s names no SQL Server" % MSSQL)
    for item in items:
        if item.get_closest_marker("mssql"):
            item.add_marker(skip)


def _deal_out(config: pytest.Config, items: list[pytest.Item], part: str) -> None:
    """Leave one part of the tests that need a SQL Server."""
    files = [item.nodeid.partition("::")[0] for item in items]
    needy = [bool(item.get_closest_marker("mssql")) for item in items]
    mine = shards.files(Counter(name for name, needs in zip(files, needy) if needs), part)
    config.hook.pytest_deselected(
        items=[item for item, name, needs in zip(items, files, needy) if not (needs and name in mine)]
    )
    items[:] = [item for item, name, needs in zip(items, files, needy) if needs and name in mine]


def _turn(node: str) -> int:
    return next((turn for turn, name in enumerate(LONGEST) if node.startswith(name)), len(LONGEST))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository, which is the root of the collection."""
    return ROOT
