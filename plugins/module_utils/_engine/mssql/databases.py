# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole databases: what is there, making and dropping them. All but ``options`` runs on the maintenance database."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from .._errors import RetailError
from . import names, probes
from .connect import MAINTENANCE_DATABASE

OLDEST_VERSION = 2016
#: Which of the product's database options this engine has: those that the vendor's script sets.
OPTIONS = (
    "allow_snapshot_isolation",
    "read_committed_snapshot",
    "recovery",
    "page_verify",
    "auto_close",
    "auto_shrink",
)

# Asked for by what it can do: version numbers are a server's own affair. All three came with SQL Server 2016.
_NEEDED = "SELECT ISJSON(N'{}') + DATEDIFF_BIG(day, GETDATE(), GETDATE()) + LEN(STRING_ESCAPE(N'', N'json'))"
_COMPATIBLE = "SELECT COUNT(*) FROM OPENJSON(N'[]')"
_SYSTEM = "name NOT IN (N'master', N'model', N'msdb', N'tempdb')"

_SETTINGS = {
    "allow_snapshot_isolation": "SET ALLOW_SNAPSHOT_ISOLATION %s",
    # It waits for every other connection to go, our own too: those that are idle are closed, their transactions undone.
    "read_committed_snapshot": "SET READ_COMMITTED_SNAPSHOT %s WITH ROLLBACK IMMEDIATE",
    "recovery": "SET RECOVERY %s",
    "page_verify": "SET PAGE_VERIFY %s",
    "auto_close": "SET AUTO_CLOSE %s",
    "auto_shrink": "SET AUTO_SHRINK %s",
}
_VALUES = {"on", "off", "simple", "full", "bulk_logged", "checksum", "none", "torn_page_detection"}


def check_server(db: Any) -> None:
    """Refuse a server that is too old, and a database that behaves like one of such a server.

    :raises RetailError: the server is older than SQL Server 2016, or the database's compatibility level is below 130.
    """
    if not probes.works(db, _NEEDED):
        raise RetailError(
            "The server %s is older than SQL Server %d (it says it is version %s)."
            % (
                db.target.where,
                OLDEST_VERSION,
                db.value("SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))"),
            ),
            "Upgrade the server, or choose another one.",
        )
    # master may keep an old level for ever, and nothing of ours is done there.
    if (db.target.database or MAINTENANCE_DATABASE) != MAINTENANCE_DATABASE and not probes.works(db, _COMPATIBLE):
        raise RetailError(
            "The database %s has a compatibility level below 130." % db.target.where,
            "Raise it: ALTER DATABASE %s SET COMPATIBILITY_LEVEL = 130 (or higher)." % names.quote(db.target.database),
        )


def exists(db: Any, name: str) -> bool:
    return db.value("SELECT 1 FROM sys.databases WHERE name = CAST(? AS nvarchar(128))", name) is not None


def list(db: Any) -> builtins.list[str]:  # noqa: A001 - the speakers call it so
    """The databases that can be connected to, the system's aside."""
    rows = db.query(
        "SELECT name FROM sys.databases WHERE state = 0 AND HAS_DBACCESS(name) = 1 AND %s ORDER BY name" % _SYSTEM
    )
    return [row[0] for row in rows]


def create(name: str) -> builtins.list[str]:
    # With the server's collation, as the vendor's own utility makes it.
    return ["IF DB_ID(%s) IS NULL CREATE DATABASE %s" % (names.literal(name), names.quote(name))]


def options(db: Any) -> dict[str, str]:
    """The options of the connected database, by the names in ``OPTIONS``, values in lower case."""
    row = db.row(
        "SELECT snapshot_isolation_state_desc, is_read_committed_snapshot_on, recovery_model_desc, "
        "page_verify_option_desc, "
        "is_auto_close_on, is_auto_shrink_on FROM sys.databases WHERE database_id = DB_ID()"
    )
    return {name: _option(value) for name, value in zip(OPTIONS, row)}


def set_options(name: str, options: Mapping[str, str]) -> builtins.list[str]:
    """Statements for the maintenance database that give the database these options (names from ``OPTIONS``)."""
    for option, value in options.items():
        if option not in _SETTINGS or value not in _VALUES:
            raise RetailError("%r is no value of the database option %r." % (value, option))
    return [
        "ALTER DATABASE %s %s" % (names.quote(name), _SETTINGS[option] % value.upper())
        for option, value in options.items()
    ]


def drop(name: str) -> builtins.list[str]:
    """Statements that drop the database, whoever is connected to it."""
    single = "ALTER DATABASE %s SET SINGLE_USER WITH ROLLBACK IMMEDIATE" % names.quote(name)
    return [
        "IF DB_ID(%s) IS NOT NULL %s" % (names.literal(name), single),
        "DROP DATABASE IF EXISTS %s" % names.quote(name),
    ]


def _option(value: Any) -> str:
    if isinstance(value, (bool, int)):
        return "on" if value else "off"
    # On its way from one state to the other counts as not there yet: IN_TRANSITION_TO_ON.
    return str(value or "none").lower()
