# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the histories happen: on a throw-away PostgreSQL, and on the SQL Server that the environment names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from fleet import Workshop
from fleet_engines import MssqlServer, PostgresServer
from integration import mssql_world


@pytest.fixture(scope="module", params=["postgresql", pytest.param("mssql", marks=mssql_world.needs_server)])
def workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """Makes the databases of histories. For one module: tests of others may start the server anew, and end its connection."""
    if request.param == "mssql":
        server: Any = MssqlServer()
    else:
        server = PostgresServer(request.getfixturevalue("pg_server"))
    with contextlib.closing(server), contextlib.closing(Workshop(server)) as made:
        yield made
