# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database of the product as a whole: does it exist, which options, tables and versions has it, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

from .._engine._errors import RetailError
from .._engine._model import Table, TableName
from .._plan import Plan, Step
from . import plan, versions
from .package import Package

#: The database options that the vendor's script sets; a speaker's ``databases.OPTIONS`` says which its engine has.
OPTIONS: Mapping[str, str] = {
    "allow_snapshot_isolation": "on",
    "read_committed_snapshot": "on",
    "recovery": "simple",
    "page_verify": "checksum",
    "auto_close": "off",
    "auto_shrink": "off",
}

_ALONE = (
    "Nobody else may be connected to the database for that. Run it while the store is closed and its services are "
    "stopped%s."
)
#: Where the engine can do that.
_DISCONNECT = (
    "; or set the option disconnect_after of retail_channel_db, after which others are disconnected and what they are "
    "about is undone"
)

#: Seconds for which the transactions of others are waited for, and what to do where one of them lasts longer.
_PATIENCE = 120
_LONG = (
    "A transaction has been open in the database all the time (sys.dm_tran_database_transactions shows it). Let it end, and run "
    "this again: the database is as it was."
)

#: Made first: they show that a database is ours, should the run be cut off before the end.
_FIRST = (versions.POSISINFO, versions.DBVERSION, versions.HISTORY)


@dataclass
class Actual:
    """What there is. ``exists`` False: no database of that name, and everything else is empty.

    ``read_dependents``: tells what depends on the columns of tables, as the plan for the tables asks it.
    """

    exists: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    schemas: Iterable[str] = ()
    tables: Mapping[TableName, Table] = field(default_factory=dict)
    versions: versions.Versions = field(default_factory=versions.Versions)
    read_dependents: Callable[[Iterable[TableName]], Mapping[TableName, Any]] | None = None


def read(db: Any) -> Actual:
    """Read the connected database."""
    tables = db.engine.tables.read(db)
    return Actual(
        exists=True,
        options=db.engine.databases.options(db),
        schemas=db.engine.tables.schemas(db),
        tables=tables,
        versions=versions.read_all(db, tables),
        read_dependents=partial(db.engine.tables.read_dependents, db),
    )


def coming_tables(actual: Actual, package: Package) -> set[TableName]:
    """The tables that the plan will make."""
    return set(_desired(actual, package)) - set(actual.tables)


def _desired(actual: Actual, package: Package) -> dict[TableName, Table]:
    """The tables of a database at the package's release, in the order in which they are made."""
    history = versions.history_table(actual.tables.get(versions.HISTORY))
    desired = {**package.tables, versions.HISTORY: history}
    first = {name: desired[name] for name in _FIRST if name in desired}
    return {**first, **desired}


def database_plan(
    engine: Any,
    name: str,
    actual: Actual,
    package: Package,
    server: str,
    database: str,
    options: Mapping[str, str] | None = None,
    disconnect_after: int | None = None,
) -> Plan:
    """The steps that make the database be at the package's release.

    :param server: the key of the connection to the server's maintenance database.
    :param database: the key of the connection to the database itself.
    :param options: the database's options; None: those that the vendor's script sets.
    :param disconnect_after: seconds after which others are disconnected from a database that is there, where an option needs it for
        itself; None: they are not.
    :raises RetailError: the database must not be touched, or something cannot be changed in place.
    """
    versions.check(actual.versions, package, actual.tables, name)
    wanted = default_options(engine) if options is None else options
    result = Plan()
    if not actual.exists:
        create = engine.databases.create(name, wanted)
        result.add(Step("Create database %s" % name, ("database", "name"), None, name, server, create, atomic=False))
    # Of a new database nobody knows yet.
    result.extend(_options(engine, name, actual, server, wanted, disconnect_after if actual.exists else 0))
    desired = _desired(actual, package)
    result.extend(plan.tables(engine, actual.tables, desired, database, actual.schemas, actual.read_dependents))
    result.extend(versions.plan(engine, actual.versions, package, database))
    return result


def options_plan(engine: Any, name: str, actual: Actual, server: str, options: Mapping[str, str]) -> Plan:
    """The steps that give a database that is there these options, and none besides."""
    return _options(engine, name, actual, server, options, None)


def default_options(engine: Any) -> dict[str, str]:
    """What the vendor's script sets, of the options that the engine has."""
    return {name: value for name, value in OPTIONS.items() if name in engine.databases.OPTIONS}


def _options(
    engine: Any, name: str, actual: Actual, server: str, wanted: Mapping[str, str], disconnect_after: int | None
) -> Plan:
    result = Plan()
    for option, value in wanted.items():
        there = actual.options.get(option)
        if actual.exists and engine.databases.satisfied(option, there, value):
            continue
        if option in engine.databases.LASTING:
            if actual.exists:
                raise RetailError(
                    "The database %s has %s %s, and %s is declared." % (name, option, there, value),
                    "It cannot be changed in place: declare what is there, or make the database anew.",
                )
            continue  # the database is made so
        statements = engine.databases.set_options(name, {option: value}, disconnect_after)
        waits = engine.databases.waits(option)
        advice = _LONG if waits else ""
        if engine.databases.wants_to_be_alone(option):
            advice = _ALONE % (_DISCONNECT if engine.databases.DISCONNECTS else "")
        path = ("database", "options", option)
        title = "Set database option %s to %s" % (option, value)
        step = Step(title, path, there, value, server, statements, atomic=False, advice=advice)
        step.patience = _PATIENCE if waits else None
        result.add(step)
    return result
