# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database's own options as a user declares them: checked, and as the engine's speaker knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._engine._errors import RetailError
from . import channel


def wanted(
    engine: Any,
    server: Any,
    settings: Mapping[str, Any] | None,
    files: Mapping[str, Any] | None,
    database: str = "",
) -> dict[str, str]:
    """What the database is to have: what the vendor's script sets, and over it what is declared.

    :param server: a connection to the maintenance database.
    :param settings: by name, as declared; ``files``: ``data`` and ``log``, each with path, size, max_size and growth.
    :param database: its name.
    :raises RetailError: the engine has no such option, or the server does not know the value.
    """
    declared = {name: _text(value) for name, value in (settings or {}).items() if value is not None}
    for part, facts in (files or {}).items():
        given = {"%s_%s" % (part, name): str(value) for name, value in (facts or {}).items() if value is not None}
        declared.update(given)
    databases = engine.databases
    for name, value in declared.items():
        if name not in databases.OPTIONS and name not in databases.LASTING:
            raise RetailError(
                "A database of the engine %s has no option %s." % (server.target.engine, name),
                "It has: %s." % ", ".join((*databases.OPTIONS, *databases.LASTING)),
            )
        if name in databases.OPTIONS:
            databases.set_options("x", {name: value})  # says so where it is no value of the option
    _check_collation(databases, server, declared.get("collation"))
    databases.check_options(server, database, declared)
    _check_level(databases, server, declared.get("compatibility_level"))
    if not databases.has_options(server):
        return declared
    return {**channel.default_options(engine), **declared}


def _check_collation(databases: Any, server: Any, collation: str | None) -> None:
    if collation is not None and not databases.knows_collation(server, collation):
        raise RetailError(
            "The server %s has no collation %s." % (server.target.where, collation),
            "Declare one that it has; by default a database gets the one that fits the product.",
        )


def _check_level(databases: Any, server: Any, level: str | None) -> None:
    highest = databases.highest_level(server) if level is not None else None
    if highest is not None and int(level or 0) > highest:
        raise RetailError(
            "The server %s has no compatibility level %s." % (server.target.where, level),
            "Declare at most %d; by default a new database gets the server's own." % highest,
        )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
