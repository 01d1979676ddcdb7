# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: connect (being written)."""

from __future__ import annotations

from typing import Any
from .._database import Target
from .._driver import connection_string, find_driver, require_pyodbc
from .._errors import ConnectFailed
DEFAULT_PORT = 5432
MAINTENANCE_DATABASE = 'postgres'


def open_connection(target: Target) -> Any:
    raise NotImplementedError()
