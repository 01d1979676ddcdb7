# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole databases: what is there, making and dropping them. All but ``options`` runs on the maintenance database."""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from typing import Any

from .._errors import RetailError, StatementFailed
from . import names, probes
from .connect import MAINTENANCE_DATABASE

OLDEST_VERSION = 2016
#: That of SQL Server 2016; below it there is no OPENJSON.
LOWEST_LEVEL = 130
#: The options that a database can be given at any time: first those that the vendor's script sets.
OPTIONS = (
    "allow_snapshot_isolation",
    "read_committed_snapshot",
    "recovery",
    "page_verify",
    "auto_close",
    "auto_shrink",
    "compatibility_level",
    "data_size",
    "data_max_size",
    "data_growth",
    "log_size",
    "log_max_size",
    "log_growth",
)
_ANSWERED = (*OPTIONS[:7], "collation")
#: Those that it has from its making on.
_PLACES = ("data_path", "log_path")
LASTING = ("collation", *_PLACES)

# Asked for by what it can do: version numbers are a server's own affair. All three came with SQL Server 2016.
_NEEDED = "SELECT ISJSON(N'{}') + DATEDIFF_BIG(day, GETDATE(), GETDATE()) + LEN(STRING_ESCAPE(N'', N'json'))"
_COMPATIBLE = "SELECT COUNT(*) FROM OPENJSON(N'[]')"
_NESTED = "SELECT CAST(value_in_use AS int) FROM sys.configurations WHERE name = N'nested triggers'"
#: Whether others can be disconnected for an option that wants the database for itself.
DISCONNECTS = True
#: What a server has for itself.
SYSTEM = ("master", "model", "msdb", "tempdb")

_SETTINGS = {
    "allow_snapshot_isolation": "SET ALLOW_SNAPSHOT_ISOLATION %s",
    "read_committed_snapshot": "SET READ_COMMITTED_SNAPSHOT %s",
    "recovery": "SET RECOVERY %s",
    "page_verify": "SET PAGE_VERIFY %s",
    "auto_close": "SET AUTO_CLOSE %s",
    "auto_shrink": "SET AUTO_SHRINK %s",
    "compatibility_level": "SET COMPATIBILITY_LEVEL = %s",
}
#: What nobody else may be connected for, be they idle. Without a termination it would wait for them for ever.
_ALONE = ("read_committed_snapshot",)
#: What waits for all transactions that are open in the database, however long they are. Given up, it leaves all as it was.
_WAITS = ("allow_snapshot_isolation",)
#: A session that has been closed is seen for a moment longer, our own, too: so often it is tried again, twice a second.
_TRIES = 10
_FILE_SETTINGS = {"size": "SIZE", "max_size": "MAXSIZE", "growth": "FILEGROWTH"}
_FILE_TYPES = {"data": 0, "log": 1}
_VALUES = {"on", "off", "simple", "full", "bulk_logged", "checksum", "none", "torn_page_detection"}
_LEVEL = re.compile(r"^1[3-9]\d$")
_SIZE = re.compile(r"^(\d+)(KB|MB|GB|TB|%)$|^unlimited$")
#: What each of a file's sizes may be, and how to write it.
_WRITTEN = {
    "size": (re.compile(r"^[1-9]\d*(KB|MB|GB|TB)$"), "512MB or 10GB"),
    "max_size": (re.compile(r"^[1-9]\d*(KB|MB|GB|TB)$|^unlimited$"), "10GB or unlimited"),
    "growth": (re.compile(r"^\d+(KB|MB|GB|TB|%)$"), "64MB or 10%"),
}
_KILOBYTES = {"KB": 1, "MB": 1024, "GB": 1024**2, "TB": 1024**3}

#: The first data file and the log, as sizes in kilobytes; -1 is no limit, 2 TB is the most that a log can have.
_FILES = (
    "SELECT CAST(type AS int), physical_name, CAST(size AS bigint) * 8, CASE WHEN max_size IN (-1, 268435456) THEN -1 "
    "ELSE CAST(max_size AS bigint) * 8 END, CASE WHEN is_percent_growth = 1 THEN CAST(growth AS bigint) "
    "ELSE CAST(growth AS bigint) * 8 END, CAST(is_percent_growth AS int) FROM sys.database_files WHERE type IN (0, 1) "
    "ORDER BY file_id DESC"
)


def check_server(db: Any) -> None:
    """Refuse a server that is too old, a database that behaves like one of such a server, and a server on which changes would go
    unnoticed.

    :raises RetailError: the server is older than SQL Server 2016, the database's compatibility level is below 130, or triggers fire
        no triggers.
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
            "The database %s has a compatibility level below %d." % (db.target.where, LOWEST_LEVEL),
            "Raise it, with compatibility_level: %d (or higher) in the option settings of retail_channel_db, or in offline_settings "
            "of retail_offline_db; or by hand: ALTER DATABASE %s SET COMPATIBILITY_LEVEL = %d."
            % (LOWEST_LEVEL, names.quote(db.target.database), LOWEST_LEVEL),
        )

    _check_triggers(db)


def _check_triggers(db: Any) -> None:
    """What a trigger of the application writes is tracked by a trigger of ours, or not at all."""
    try:
        nested = db.value(_NESTED)
    except StatementFailed as error:
        if error.kind in ("lost", "transient"):
            raise
        return  # not every server that speaks T-SQL has such options
    if nested == 0:
        raise RetailError(
            "The server %s has the option 'nested triggers' switched off: what triggers write would never be synchronised."
            % db.target.where,
            "Switch it on, as it is by default: EXEC sp_configure 'nested triggers', 1; RECONFIGURE. What triggers wrote meanwhile is "
            "found by retail-sync verify --digest, and sent by --repair.",
        )


def check_holds(db: Any) -> None:
    """Refuse a database that is there and that cannot hold every text: here each one does, in columns of Unicode."""


def check_writable(db: Any) -> None:
    """Refuse a database in which nothing can be changed.

    :raises RetailError: it is read-only, as on a secondary replica.
    """
    if db.value("SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), N'Updateability') AS nvarchar(20))") == "READ_ONLY":
        raise RetailError(
            "The database %s is read-only: nothing can be changed there." % db.target.where,
            "Name the primary replica, or the listener of the availability group, in the option server; or set the database READ_WRITE.",
        )


def highest_level(db: Any) -> int | None:
    """The highest compatibility level that a database of this server can have; None where that cannot be told.

    A level is ten times the version that brought it. What is no SQL Server of one's own, such as a managed instance, counts its
    versions otherwise: it says 12 for ever.
    """
    level = int(db.value("SELECT CAST(SERVERPROPERTY('ProductMajorVersion') AS int)") or 0) * 10
    return level if level >= LOWEST_LEVEL else None


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
    return db.value("SELECT 1 FROM sys.databases WHERE name = CAST(? AS nvarchar(128))", name) is not None


def list(db: Any) -> builtins.list[str]:  # noqa: A001 - the speakers call it so
    """The databases that can be connected to, the system's aside."""
    rows = db.query(
        "SELECT name FROM sys.databases WHERE state = 0 AND HAS_DBACCESS(name) = 1 AND name NOT IN (%s) ORDER BY name"
        % ", ".join(names.literal(name) for name in SYSTEM)
    )
    return [row[0] for row in rows]


def has_options(db: Any) -> bool:
    """Whether databases of this server have the options in ``OPTIONS``: not where they have no files of their own."""
    return bool(db.value("SELECT COUNT(*) FROM sys.database_files"))


def create(name: str, options: Mapping[str, str] | None = None) -> builtins.list[str]:
    """A statement that makes the database.

    :param options: values for names in ``LASTING``; the server's defaults for the others, its collation as well, as the
        vendor's own utility makes it. What is in ``OPTIONS`` is set afterwards.
    """
    options, sql = options or {}, "CREATE DATABASE %s" % names.quote(name)
    if "data_path" in options:
        sql += " ON PRIMARY %s" % _file(name, options["data_path"])
    if "log_path" in options:
        sql += " LOG ON %s" % _file(name + "_log", options["log_path"])
    if "collation" in options:
        sql += " COLLATE %s" % _collation(options["collation"])
    return ["IF DB_ID(%s) IS NULL %s" % (names.literal(name), sql)]


def knows_collation(db: Any, collation: str) -> bool:
    """Whether the server has it."""
    known = db.value("SELECT COUNT(*) FROM sys.fn_helpcollations() WHERE name = CAST(? AS nvarchar(128))", collation)
    return bool(known)


def check_options(db: Any, database: str, options: Mapping[str, str]) -> None:
    """See that the server has what options name: here they name nothing that a server may lack, and that can be asked for."""


def options(db: Any) -> dict[str, str]:
    """The options of the connected database, by the names in ``OPTIONS`` and ``LASTING``, words in lower case."""
    row = db.row(
        "SELECT snapshot_isolation_state_desc, is_read_committed_snapshot_on, recovery_model_desc, "
        "page_verify_option_desc, is_auto_close_on, is_auto_shrink_on, CAST(compatibility_level AS nvarchar(10)), "
        "collation_name FROM sys.databases WHERE database_id = DB_ID()"
    )
    found = {name: _option(value) for name, value in zip(_ANSWERED, row)}
    for kind, path, size, most, growth, percent in db.query(_FILES):
        part = "log" if kind else "data"
        found[part + "_path"] = path
        found[part + "_size"] = "%dKB" % size
        found[part + "_max_size"] = "unlimited" if most < 0 else "%dKB" % most
        found[part + "_growth"] = "%d%%" % growth if percent else "%dKB" % growth
    return found


def satisfied(option: str, actual: str | None, wanted: str) -> bool:
    """Whether a database with the actual value needs no change. A file may be larger than it was made.

    Where it is counts when the database is made alone: after a restore it has files of other names, and an administrator may move
    them.
    """
    if option in _PLACES:
        return True
    if option == "collation":
        return (actual or "").lower() == wanted.lower()
    if option.startswith(("data_", "log_")):
        has, wants = _amount(actual or "0KB"), _amount(wanted)
        return has >= wants if option.endswith("_size") and "max" not in option else has == wants
    return actual == wanted


def set_options(name: str, options: Mapping[str, str], disconnect_after: int | None = None) -> builtins.list[str]:
    """Statements for the maintenance database that give the database these options (names from ``OPTIONS``).

    :param disconnect_after: where an option needs the database for itself, seconds that others have to go; then their transactions
        are rolled back. None: nobody is disconnected, and the statement fails.
    :raises RetailError: a value is none of the option's.
    """
    return [_alone(option, _setting(name, option, str(value)), disconnect_after) for option, value in options.items()]


def wants_to_be_alone(option: str) -> bool:
    """Whether others may not be connected to the database while the option is set."""
    return option in _ALONE


def waits(option: str) -> bool:
    """Whether setting the option waits for transactions of others, without a limit of its own."""
    return option in _WAITS


def _alone(option: str, statement: str, disconnect_after: int | None) -> str:
    if option not in _ALONE:
        return statement
    if disconnect_after is not None:
        ending = "ROLLBACK AFTER %d SECONDS" % disconnect_after if disconnect_after else "ROLLBACK IMMEDIATE"
        return "%s WITH %s" % (statement, ending)
    # The last one stands alone: what it fails with has its own words, which THROW would cut down to the last message.
    statement += " WITH NO_WAIT"
    return (
        "DECLARE @tries int = %d; WHILE @tries > 0 BEGIN BEGIN TRY %s; SET @tries = -1; END TRY BEGIN CATCH SET @tries = "
        "@tries - 1; WAITFOR DELAY '00:00:00.500'; END CATCH; END; IF @tries = 0 %s" % (_TRIES, statement, statement)
    )


def drop(name: str) -> builtins.list[str]:
    """Statements that drop the database, whoever is connected to it."""
    # Said from inside, so that its single user is this session until the very end, and nobody who connects again.
    alone = "USE {name}; ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE; USE {home}; DROP DATABASE {name}".format(
        name=names.quote(name), home=names.quote(MAINTENANCE_DATABASE)
    )
    # One that a restore left half-way, or that is offline, has nobody in it, and takes no options. And where a database has no files
    # of its own, there are none.
    online = (
        "EXISTS (SELECT 1 FROM sys.databases WHERE name = %s AND state = 0 AND HAS_DBACCESS(name) = 1)"
        % names.literal(name)
    )
    there = online + " AND EXISTS (SELECT 1 FROM sys.database_files)"
    return [
        "DECLARE @statement nvarchar(max) = %s; IF %s EXEC (@statement)" % (names.literal(alone), there),
        "DROP DATABASE IF EXISTS %s" % names.quote(name),
    ]


def _setting(name: str, option: str, value: str) -> str:
    part, _line, what = option.partition("_")
    if part in _FILE_TYPES and what in _FILE_SETTINGS:
        return _file_setting(name, part, what, value)
    valid = _LEVEL.match(value) if option == "compatibility_level" else value in _VALUES
    if option not in _SETTINGS or not valid:
        raise RetailError("%r is no value of the database option %r." % (value, option))
    return "ALTER DATABASE %s %s" % (names.quote(name), _SETTINGS[option] % value.upper())


def _file_setting(name: str, part: str, what: str, value: str) -> str:
    """Change a file, whatever its logical name is. The database itself says it to everybody in it, sys.master_files only to who
    may alter databases of the server or see all definitions in it."""
    pattern, example = _WRITTEN[what]
    if not pattern.match(value):
        raise RetailError(
            "%r is no %s of a file." % (value, what.replace("_", " ")), "Write %s_%s as %s." % (part, what, example)
        )
    alter = names.literal("ALTER DATABASE %s MODIFY FILE (NAME = " % names.quote(name))
    change = names.literal(", %s = %s)" % (_FILE_SETTINGS[what], value.upper()))
    return (
        "DECLARE @statement nvarchar(max) = (SELECT TOP (1) %s + QUOTENAME(name) + %s FROM %s.sys.database_files "
        "WHERE type = %d ORDER BY file_id); EXEC (@statement)" % (alter, change, names.quote(name), _FILE_TYPES[part])
    )


def _file(logical: str, path: str) -> str:
    return "(NAME = %s, FILENAME = %s)" % (names.quote(logical), names.literal(path))


def _collation(name: str) -> str:
    if not re.match(r"^\w+$", name):
        raise RetailError("%r is no collation." % name, "Write it as Latin1_General_CI_AS.")
    return name


def _amount(value: str) -> tuple[str, float]:
    """A size that compares: percentages apart from kilobytes, and no limit above every limit."""
    match = _SIZE.match(value)
    if match is None or not match.group(1):
        return "KB", float("inf")
    if match.group(2) == "%":
        return "%", int(match.group(1))
    return "KB", int(match.group(1)) * _KILOBYTES[match.group(2)]


def _option(value: Any) -> str:
    if isinstance(value, (bool, int)):
        return "on" if value else "off"
    # On its way from one state to the other counts as not there yet: IN_TRANSITION_TO_ON.
    return str(value or "none").lower()
