# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a channel database says which release it is: dbo.POSISINFO, ax.DBVERSION and crt.RETAILUPGRADEHISTORY."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import Column, Table, TableName
from .._plan import Plan, Step
from .package import Package, Part
from .release import Release

POSISINFO = TableName("dbo", "POSISINFO")
DBVERSION = TableName("ax", "DBVERSION")
HISTORY = TableName("crt", "RETAILUPGRADEHISTORY")

#: Later builds of the vendor have this table; the packaged release does not. The checksum is ours.
HISTORY_TABLE = Table(
    HISTORY,
    tuple(
        Column.parse(name, text)
        for name, text in (
            ("ID", "bigint identity not null"),
            ("UPGRADETYPE", "nvarchar(20) not null default ''"),
            ("FILEPATH", "nvarchar(260) not null default ''"),
            ("FILENAME", "nvarchar(260) not null default ''"),
            ("BUILD", "nvarchar(50) not null default ''"),
            ("CHECKSUM", "nvarchar(64)"),
            ("APPLIEDDATETIME", "datetime not null default getutcdate()"),
        )
    ),
    primary_key=("ID",),
)


def history_table(there: Table | None) -> Table:
    """The history as it should be: ours where there is none; the vendor's own just needs a place for the checksum."""
    if there is None:
        return HISTORY_TABLE
    checksum = HISTORY_TABLE.column("CHECKSUM")
    return there if there.column("CHECKSUM") else replace(there, columns=(*there.columns, checksum))


@dataclass(frozen=True)
class Versions:
    """What a database says about itself. ``history``: (build, checksum) of the last row of each file name."""

    posisinfo: str | None = None
    dbversion: tuple[str, int] | None = None
    history: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def release(self) -> Release | None:
        """The installed release, None before the first one is complete; where the two places differ, the higher one.

        :raises RetailError: what stands there is no release.
        """
        texts = [text for text in (self.posisinfo, self.dbversion and self.dbversion[0]) if text]
        return max((Release.parse(text) for text in texts), default=None)


def read(db: Any) -> Release | None:
    """The installed release of a database, None where it has none."""
    return read_all(db, db.engine.tables.read(db, [POSISINFO, DBVERSION, HISTORY])).release


def read_all(db: Any, tables: Mapping[TableName, Table]) -> Versions:
    """Everything that the version tables among ``tables`` say, in one statement."""
    parts = [select(db.engine, tables[name]) for name, select in _SELECTS.items() if name in tables]
    if not parts:
        return Versions()
    found: dict[str, list[Any]] = {"posisinfo": [], "dbversion": [], "history": []}
    for place, number, text, build, checksum in db.query(" UNION ALL ".join(parts)):
        found[place].append((number, text, build, checksum))
    return Versions(
        posisinfo=found["posisinfo"][0][1] if found["posisinfo"] else None,
        dbversion=_highest(found["dbversion"]),
        history={text: (build or "", checksum or "") for _number, text, build, checksum in sorted(found["history"])},
    )


def plan(engine: Any, versions: Versions, package: Package, database: str) -> Plan:
    """The steps that make the database say that it is at the package's release. Run after everything else."""
    result = Plan()
    release = package.release
    if versions.posisinfo != str(release):
        result.add(_posisinfo(engine, versions.posisinfo, release, database))
    if versions.dbversion != (str(release), release.number):
        before = versions.dbversion and versions.dbversion[0]
        result.add(_dbversion(engine, before, release, database))
    for part in package.parts:
        if versions.history.get(part.name) != (str(part.release), part.checksum):
            result.add(_history(engine, versions.history.get(part.name), part, database))
    return result


def release_statements(engine: Any, release: Release) -> list[Any]:
    """What says that the database is at this release, as pairs of SQL and parameters."""
    steps = (_posisinfo(engine, None, release, ""), _dbversion(engine, None, release, ""))
    return [_bound(statement) for step in steps for statement in step.statements]


def history_statements(engine: Any, part: Part) -> list[Any]:
    """What records that a script has run, as pairs of SQL and parameters."""
    return [_bound(statement) for statement in _history(engine, None, part, "").statements]


def _bound(statement: Any) -> Any:
    return (statement, ()) if isinstance(statement, str) else statement


def check(versions: Versions, package: Package, tables: Collection[TableName], name: str) -> None:
    """Refuse what must not be touched.

    :param tables: the tables there are.
    :raises RetailError: the database is somebody else's, or its release is above the package's.
    """
    if tables and POSISINFO not in tables and DBVERSION not in tables:
        raise RetailError(
            "The database %s is not a channel database: it has tables, but neither dbo.POSISINFO nor ax.DBVERSION."
            % name,
            "Choose another name, or an empty database.",
        )
    installed = versions.release
    if installed is not None and installed > package.release:
        raise RetailError(
            "The database %s is at release %s, above the wanted %s: a downgrade would lose data."
            % (name, installed, package.release),
            "Ask for release %s or later; a partner's release takes its folder among the extensions." % str(installed),
        )


def _highest(rows: list[Any]) -> tuple[str, int] | None:
    # The table has no key: should there be two rows, the higher one is the installed one.
    found = [(text, number) for number, text, _build, _checksum in rows]
    return max(found, key=lambda row: Release.parse(row[0]), default=None)


def _select(engine: Any, place: str, table: TableName, number: str, *texts: str) -> str:
    """One branch of the UNION; every text gets the same type, since engines differ in how they find a common one."""
    kind = engine.types.native("nvarchar(260)")
    casts = ", ".join("CAST(%s AS %s)" % (text, kind) for text in texts)
    bigint = "CAST(%s AS %s)" % (number, engine.types.native("bigint"))
    return "SELECT '%s', %s, %s FROM %s" % (place, bigint, casts, engine.names.quote(*table))


def _select_posisinfo(engine: Any, _table: Table) -> str:
    quote = engine.names.quote
    sql = _select(engine, "posisinfo", POSISINFO, "0", quote("TEXT"), "NULL", "NULL")
    return "%s WHERE %s = 'DBVERSION'" % (sql, quote("ID"))


def _select_dbversion(engine: Any, _table: Table) -> str:
    quote = engine.names.quote
    sql = _select(engine, "dbversion", DBVERSION, quote("VERSIONNUMBER"), quote("VERSIONSTRING"), "NULL", "NULL")
    return "%s WHERE %s = 'databaseVersion' AND %s IS NOT NULL" % (sql, quote("VERSIONTYPE"), quote("VERSIONSTRING"))


def _select_history(engine: Any, table: Table) -> str:
    quote = engine.names.quote
    checksum = quote("CHECKSUM") if table.column("CHECKSUM") else "NULL"  # the vendor's own table has none
    return _select(engine, "history", HISTORY, quote("ID"), quote("FILENAME"), quote("BUILD"), checksum)


_SELECTS = {POSISINFO: _select_posisinfo, DBVERSION: _select_dbversion, HISTORY: _select_history}


def _posisinfo(engine: Any, before: str | None, release: Release, database: str) -> Step:
    quote, table = engine.names.quote, engine.names.quote(*POSISINFO)
    update = "UPDATE %s SET %s = %s WHERE %s = 'DBVERSION'" % (table, quote("TEXT"), _text(engine), quote("ID"))
    there = "SELECT 1 FROM %s WHERE %s = 'DBVERSION'" % (table, quote("ID"))
    columns = "%s, %s" % (quote("ID"), quote("TEXT"))
    insert = "INSERT INTO %s (%s) SELECT 'DBVERSION', %s WHERE NOT EXISTS (%s)" % (table, columns, _text(engine), there)
    statements = [(update, (str(release),)), (insert, (str(release),))]
    return _step(POSISINFO, before, release, statements, database)


def _dbversion(engine: Any, before: str | None, release: Release, database: str) -> Step:
    # The table has no key, and may hold more than one row of this type: one remains.
    quote, table = engine.names.quote, engine.names.quote(*DBVERSION)
    delete = "DELETE FROM %s WHERE %s = 'databaseVersion'" % (table, quote("VERSIONTYPE"))
    columns = ", ".join(quote(name) for name in ("VERSIONTYPE", "VERSIONNUMBER", "VERSIONSTRING"))
    insert = "INSERT INTO %s (%s) VALUES ('databaseVersion', %d, %s)" % (table, columns, release.number, _text(engine))
    return _step(DBVERSION, before, release, [delete, (insert, (str(release),))], database)


def _history(engine: Any, before: tuple[str, str] | None, part: Part, database: str) -> Step:
    row = {
        "UPGRADETYPE": "CUSTOM" if part.custom else "RETAIL",
        "FILEPATH": "",
        "FILENAME": part.name,
        "BUILD": str(part.release),
        "CHECKSUM": part.checksum,
    }
    columns = ", ".join(engine.names.quote(name) for name in row)
    values = ", ".join(_text(engine) for _name in row)
    insert = "INSERT INTO %s (%s) VALUES (%s)" % (engine.names.quote(*HISTORY), columns, values)
    return Step(
        "Record %s, release %s, in %s" % (part.name, part.release, HISTORY),
        ("versions", str(HISTORY), part.name),
        before and _stamp(*before),
        _stamp(str(part.release), part.checksum),
        database,
        [(insert, tuple(row.values()))],
    )


def _step(table: TableName, before: str | None, release: Release, statements: list[Any], database: str) -> Step:
    title = "Record release %s in %s" % (release, table)
    return Step(title, ("versions", str(table)), before, str(release), database, statements)


def _text(engine: Any) -> str:
    return "CAST(? AS %s)" % engine.types.native("nvarchar(260)")


def _stamp(build: str, checksum: str) -> str:
    return "%s %s" % (build, checksum[:12])
