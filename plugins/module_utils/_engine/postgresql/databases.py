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
#: The options that a database can be given at any time. What the vendor's script sets on SQL Server (row versions, no
#: auto-close …) is how PostgreSQL always works.
OPTIONS = ("owner", "tablespace", "connection_limit")
#: Those that it has from its making on.
LASTING = ("collation",)
#: Whether others can be disconnected for an option that wants the database for itself.
DISCONNECTS = False
#: What a server has for itself.
SYSTEM = ("postgres", "template0", "template1")

#: The most that the server's catalogues hold.
_MOST_CONNECTIONS = 2**31 - 1

# Whether a role is there, and may be given the database; from PostgreSQL 16 on a member need not be able to become it.
_ROLE = (
    "SELECT EXISTS (SELECT FROM pg_database WHERE datname = CAST(? AS text) AND datdba = r.oid) "
    "OR CASE WHEN CAST(current_setting('server_version_num') AS int) >= 160000 THEN pg_has_role(r.oid, 'SET') "
    "ELSE pg_has_role(r.oid, 'MEMBER') END FROM pg_roles r WHERE r.rolname = CAST(? AS text)"
)
_TABLESPACE = (
    "SELECT EXISTS (SELECT FROM pg_database WHERE datname = CAST(? AS text) AND dattablespace = t.oid) "
    "OR has_tablespace_privilege(t.oid, 'CREATE') FROM pg_tablespace t WHERE t.spcname = CAST(? AS text) "
    "AND t.spcname <> 'pg_global'"
)
_SETTINGS = {
    "owner": "OWNER TO %s",
    "tablespace": "SET TABLESPACE %s",
    "connection_limit": "CONNECTION LIMIT %d",
}


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


def check_holds(db: Any) -> None:
    """Refuse a database that is there and that cannot hold every text.

    :raises RetailError: its encoding is another one than UTF-8.
    """
    encoding = db.value("SELECT CAST(getdatabaseencoding() AS text)")
    if encoding != "UTF8":
        raise RetailError(
            "The database %s has the encoding %s, which does not hold every text." % (db.target.where, encoding),
            "Name another database, or make this one anew with the encoding UTF8.",
        )


def check_writable(db: Any) -> None:
    """Refuse a database in which nothing can be changed.

    :raises RetailError: its server is a standby, or transactions are read-only there.
    """
    standby, read_only = db.row(
        "SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END, CAST(current_setting('transaction_read_only') AS text)"
    )
    if standby:
        raise RetailError(
            "The server %s is a standby, or is still recovering: nothing can be changed there." % db.target.where,
            "Name the primary server in the option server; or run again when the server has recovered.",
        )
    if read_only == "on":
        raise RetailError(
            "Transactions at %s are read-only: nothing can be changed there." % db.target.where,
            "See where default_transaction_read_only is set: for the server, the database or the login.",
        )


def highest_level(db: Any) -> int | None:
    """None: a database here behaves as its server does."""
    return None


def check_name(name: str) -> None:
    """See that a database of the product can have this name.

    :raises RetailError: the engine cannot hold it, or the server needs the database of that name for itself.
    """
    names.check(name)
    if name.lower() in SYSTEM:
        raise RetailError(
            "%s is a database of the server's own." % name,
            "Choose another name for the database; this one is left alone.",
        )


def exists(db: Any, name: str) -> bool:
    return db.value("SELECT 1 FROM pg_database WHERE datname = CAST(? AS text)", name) is not None


def list(db: Any) -> builtins.list[str]:  # noqa: A001 - the speakers call it so
    """The databases that can be connected to, templates aside."""
    rows = db.query("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname")
    return [row[0] for row in rows]


def has_options(db: Any) -> bool:
    """Whether databases of this server have the options in ``OPTIONS``."""
    return True


def create(name: str, options: Mapping[str, str] | None = None) -> builtins.list[str]:
    """A statement that makes the database.

    :param options: values for names in ``LASTING``; what is in ``OPTIONS`` is set afterwards.
    """
    # Collation C unless told: two servers with different locales must sort, compare and index alike.
    collation = names.literal((options or {}).get("collation", "C"))
    return [
        "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE %s LC_CTYPE %s"
        % (names.quote(name), collation, collation)
    ]


def knows_collation(db: Any, collation: str) -> bool:
    """Whether the server has it."""
    return db.value(
        "SELECT 1 FROM pg_collation WHERE collprovider IN ('c', 'd') AND collcollate = ? LIMIT 1", collation
    ) is not None or collation in ("C", "POSIX")


def check_options(db: Any, database: str, options: Mapping[str, str]) -> None:
    """See that the server has what options name, and that the login may use it, where the database has not got it.

    :raises RetailError: the message names the option's value.
    """
    for option, question, what, how in (
        ("owner", _ROLE, "role", "Create it first (logins that are declared here are made after the database)"),
        ("tablespace", _TABLESPACE, "tablespace for databases", "Create it first"),
    ):
        name = options.get(option)
        if name is None:
            continue
        found = db.row(question, database, name)
        if found is None:
            raise RetailError(
                "The server %s has no %s %s." % (db.target.where, what, name), "%s, or correct the name." % how
            )
        if found[0] in (False, "0"):
            raise RetailError(
                "The login that connects to %s may not give a database the %s %s." % (db.target.where, option, name),
                "Connect as a superuser, or make the login a member of the role, and give it CREATE on the tablespace.",
            )


def options(db: Any) -> dict[str, str]:
    """The options of the connected database, by the names in ``OPTIONS`` and ``LASTING``."""
    row = db.row(
        "SELECT pg_get_userbyid(d.datdba), t.spcname, d.datconnlimit, d.datcollate FROM pg_database d "
        "JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()"
    )
    return {name: str(value) for name, value in zip(OPTIONS + LASTING, row)}


def satisfied(option: str, actual: str | None, wanted: str) -> bool:
    """Whether a database with the actual value needs no change."""
    return actual == wanted


def set_options(name: str, options: Mapping[str, str], disconnect_after: int | None = None) -> builtins.list[str]:
    """Statements for the maintenance database that give the database these options (names from ``OPTIONS``).

    :param disconnect_after: of no use here.
    :raises RetailError: there is no such option, or a value is none of it.
    """
    statements = []
    for option, value in options.items():
        if option not in _SETTINGS:
            raise RetailError("%r is no option of a PostgreSQL database." % option)
        said = _SETTINGS[option] % (_limit(value) if option == "connection_limit" else names.quote(value))
        statements.append("ALTER DATABASE %s %s" % (names.quote(name), said))
    return statements


def _limit(value: str) -> int:
    number = int(value)
    if not -1 <= number <= _MOST_CONNECTIONS:
        raise RetailError(
            "%d is no limit of connections." % number,
            "Set connection_limit to 0 or more, or to -1 for any number of them.",
        )
    return number


def wants_to_be_alone(option: str) -> bool:
    """Whether others may not be connected to the database while the option is set."""
    return option == "tablespace"


def waits(option: str) -> bool:
    """Whether setting the option waits for transactions of others, without a limit of its own."""
    return False


def drop(name: str) -> builtins.list[str]:
    """Statements that drop the database, whoever is connected to it."""
    return ["DROP DATABASE IF EXISTS %s WITH (FORCE)" % names.quote(name)]
