# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server can give a database is seen before the database is made."""

from __future__ import annotations

from typing import Any

import pytest
from mssql_said import Recorder

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, mssql, postgresql
from ansible_collections.axops.retail.plugins.module_utils._schema import channel, settings


class Server(Recorder):
    """Says which version of SQL Server it is."""

    def __init__(self, major: int | None) -> None:
        super().__init__()
        self.major = major

    def value(self, sql: str, *parameters: Any) -> Any:
        answer = super().value(sql, *parameters)
        return self.major if "ProductMajorVersion" in sql else answer


def wanted(major: int | None, level: int) -> dict[str, str]:
    return settings.wanted(mssql, Server(major), {"compatibility_level": level}, None)


@pytest.mark.parametrize(("major", "level"), [(13, 130), (16, 150), (16, 160), (17, 170)])
def test_a_level_that_the_server_has_is_taken(major: int, level: int) -> None:
    assert wanted(major, level)["compatibility_level"] == str(level)


@pytest.mark.parametrize(("major", "level", "highest"), [(13, 140, 130), (16, 170, 160)])
def test_a_level_that_the_server_does_not_have_is_refused(major: int, level: int, highest: int) -> None:
    with pytest.raises(RetailError, match=f"has no compatibility level {level}") as refused:
        wanted(major, level)
    assert f"at most {highest}" in refused.value.advice


@pytest.mark.parametrize("major", [12, None])
def test_a_server_that_counts_otherwise_is_asked_when_the_level_is_set(major: int | None) -> None:
    """A managed instance says 12 for ever; others may say nothing."""
    assert wanted(major, 160)["compatibility_level"] == "160"


def test_no_level_is_asked_for_where_none_is_declared() -> None:
    server = Server(13)
    settings.wanted(mssql, server, {"recovery": "full"}, None)
    assert not [sql for sql in server.said if "ProductMajorVersion" in sql]


@pytest.mark.parametrize(
    ("engine", "option", "value", "disconnects"),
    [(mssql, "read_committed_snapshot", "on", True), (postgresql, "tablespace", "fast", False)],
)
def test_disconnecting_others_is_advised_where_the_engine_can(
    engine: Any, option: str, value: str, disconnects: bool
) -> None:
    (step,) = channel.options_plan(engine, "x", channel.Actual(exists=True), "server", {option: value}).steps
    assert "Nobody else may be connected" in step.advice
    assert ("disconnect_after" in step.advice) == disconnects
