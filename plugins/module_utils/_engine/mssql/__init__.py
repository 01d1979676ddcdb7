# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Microsoft SQL Server 2016 or later, through pyodbc and Microsoft's ODBC driver."""

from __future__ import annotations

from . import (
    access,
    applying,
    backups,
    changes,
    connect,
    databases,
    digests,
    errors,
    framework,
    locks,
    marks,
    merging,
    moves,
    names,
    repairs,
    scripts,
    tables,
    tracking,
    types,
)

__all__ = [
    "access",
    "applying",
    "backups",
    "changes",
    "connect",
    "databases",
    "digests",
    "errors",
    "framework",
    "locks",
    "marks",
    "merging",
    "moves",
    "names",
    "repairs",
    "scripts",
    "tables",
    "tracking",
    "types",
]
