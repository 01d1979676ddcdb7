# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole databases: what is there, making and dropping them. All but ``options`` runs on the maintenance database."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from .._errors import RetailError
from . import names

OLDEST_VERSION = 14
#: Which of the product's database options this engine has: none. What the vendor's script sets on SQL Server (row
#: versions, no auto-close …) is how PostgreSQL always works.
OPTIONS = ()


def check_server(db: Any) -> None:
    """Refuse a server that is too old.

    :raises RetailError: the server is older than PostgreSQL 14.
    """
    number = int(db.value("SELECT current_setting('server_version_num')"))
    if number < OLDEST_VERSION * 10000:
        raise RetailError(
            "The server %s is PostgreSQL %d; version %d or later is needed."
            % (db.target.where, number // 10000, OLDEST_VERSION),
            "Upgrade the server, or choose another one.",
        )


def exists(db: Any, name: str) -> bool:
    return db.value("SELECT 1 FROM pg_database WHERE datname = CAST(? AS text)", name) is not None


def list(db: Any) -> builtins.list[str]:  # noqa: A001 - the speakers call it so
    """The databases that can be connected to, templates aside."""
    rows = db.query("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname")
    return [row[0] for row in rows]


def create(name: str) -> builtins.list[str]:
    # Collation C everywhere: two servers with different locales must sort, compare and index alike.
    return [
        "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'" % names.quote(name),
    ]


def options(db: Any) -> dict[str, str]:
    """The options of the connected database, by the names in ``OPTIONS``, values in lower case."""
    return {}


def set_options(name: str, options: Mapping[str, str]) -> builtins.list[str]:
    """Statements for the maintenance database that give the database these options (names from ``OPTIONS``)."""
    return []


def drop(name: str) -> builtins.list[str]:
    """Statements that drop the database, whoever is connected to it."""
    return ["DROP DATABASE IF EXISTS %s WITH (FORCE)" % names.quote(name)]
