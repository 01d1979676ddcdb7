# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throwaway PostgreSQL servers and databases. Each pytest-xdist worker is a session and has servers of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pgserver
import pytest

Facts = dict[str, Any]


@pytest.fixture(scope="session")
def pg_server() -> Iterator[pgserver.PgServer]:
    """A running server without crash safety, started when the first test asks for it."""
    with pgserver.throwaway("a") as server:
        yield server


@pytest.fixture(scope="session")
def pg_other_server() -> Iterator[pgserver.PgServer]:
    """A second server, for what must not share a cluster with the first."""
    with pgserver.throwaway("b") as server:
        yield server


@pytest.fixture(scope="session")
def pg_pair(
    pg_server: pgserver.PgServer, pg_other_server: pgserver.PgServer
) -> tuple[pgserver.PgServer, pgserver.PgServer]:
    """Two servers that share nothing, as a store server and a register are."""
    return pg_server, pg_other_server


@pytest.fixture
def new_database() -> Iterator[Callable[[pgserver.PgServer], Facts]]:
    """Return a function that makes an empty, uniquely named database on a server and returns how to connect to it.

    All of them are dropped after the test, whoever is still connected; a server that the test stopped is started again.
    """
    made: list[tuple[pgserver.PgServer, str]] = []

    def make(server: pgserver.PgServer) -> Facts:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        name = f"axops_{worker}_{secrets.token_hex(6)}"
        made.append((server, name))
        return server.create_database(name)

    yield make
    for server, name in made:
        server.start()
        server.drop_database(name)


@pytest.fixture
def scratch_database(pg_server: pgserver.PgServer, new_database: Callable[[pgserver.PgServer], Facts]) -> Facts:
    """Connection facts {host, port, user, password, database} of a fresh, empty database, dropped after the test."""
    return new_database(pg_server)


@pytest.fixture
def scratch_pair(
    pg_pair: tuple[pgserver.PgServer, pgserver.PgServer], new_database: Callable[[pgserver.PgServer], Facts]
) -> tuple[Facts, Facts]:
    """Connection facts of two fresh databases on two servers."""
    first, second = pg_pair
    return new_database(first), new_database(second)
