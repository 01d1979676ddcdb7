# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole databases: what is there, making and dropping them. All of it runs on the maintenance database, in autocommit."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from .._errors import RetailError
from . import names

OLDEST_VERSION = 14
#: The database options (see ``options``) that this engine has. PostgreSQL's databases are always as the vendor's script sets
#: SQL Server's: row versions, checksums by cluster, no auto-close.
OPTIONS = ()


def check_server(db: Any) -> None:
    """Refuse a server that is too old.

    :raises RetailError: the server is older than PostgreSQL 14.
    """
    number = int(db.value("SELECT current_setting('server_version_num')"))
    if number < OLDEST_VERSION * 10000:
        raise RetailError(
            "The server %s is PostgreSQL %d; version %d or later is needed." % (db.target.where, number // 10000, OLDEST_VERSION),
            "Upgrade the server, or choose another one.",
        )


def exists(db: Any, name: str) -> bool:
    return db.value("SELECT 1 FROM pg_database WHERE datname = CAST(? AS text)", name) is not None


def list(db: Any) -> "List[str]":
    """The databases that can be connected to, templates aside."""
    rows = db.query("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname")
    return [row[0] for row in rows]


def create(name: str) -> "List[str]":
    # Collation C everywhere: two servers with different locales must sort, compare and index alike.
    return [
        "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'" % names.quote(name),
    ]


def options(db: Any) -> Dict[str, str]:
    """The options of the connected database, by the names in ``OPTIONS``, values in lower case."""
    return {}


def set_options(name: str, options: Mapping[str, str]) -> "List[str]":
    """Statements for the maintenance database that give the database these options (names from ``OPTIONS``)."""
    return []


def drop(name: str) -> "List[str]":
    """Statements that drop the database, whoever is connected to it."""
    return ["DROP DATABASE IF EXISTS %s WITH (FORCE)" % names.quote(name)]
