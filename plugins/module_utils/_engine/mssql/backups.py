# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups with BACKUP DATABASE: the server writes them, where it runs and as its own account.

What a backup is of stands in its header. That a restore of it was tested stands in the database itself.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import re
import secrets
import time
from dataclasses import replace as changed
from typing import Any

from .._backup import Backup, Damaged
from .._errors import RetailError, StatementFailed
from . import databases, names, refusals
from .connect import MAINTENANCE_DATABASE

SUFFIX = ".bak"

#: Express and Web cannot compress; asked by edition, since the setting is there on all of them.
_COMPRESSES = (
    "SELECT CASE WHEN CAST(SERVERPROPERTY('EngineEdition') AS int) IN (2, 3, 8) "
    "AND CAST(SERVERPROPERTY('Edition') AS nvarchar(128)) NOT LIKE N'Web%' THEN 1 ELSE 0 END"
)
#: Since 2019; before that the server knows it all the same, and tells it to its own tools in this way, on Linux, too.
_DIRECTORY = "SELECT CAST(SERVERPROPERTY('InstanceDefaultBackupPath') AS nvarchar(4000))"
_REGISTERED = (
    "EXEC master.sys.xp_instance_regread N'HKEY_LOCAL_MACHINE', N'Software\\Microsoft\\MSSQLServer\\MSSQLServer', "
    "N'BackupDirectory'"
)
#: What reading a backup takes.
_MAY_READ = "SELECT HAS_PERMS_BY_NAME(N'master', N'DATABASE', N'CREATE DATABASE')"
#: To others xp_fileexist says that nothing is there, whatever is.
_SEES_FILES = "SELECT IS_SRVROLEMEMBER(N'sysadmin')"
_DATA = (
    "SELECT CAST(SERVERPROPERTY('InstanceDefaultDataPath') AS nvarchar(4000)), "
    "CAST(SERVERPROPERTY('InstanceDefaultLogPath') AS nvarchar(4000))"
)
_NOTE, _TESTED = "axops.retail.restored_from", "axops.retail.tested_backup"
_MARK = "axops.retail"
#: A backup that was cut off at once is an empty file.
_EMPTY = 3254
#: A file could not be opened, for a reason that the operating system gives as a number: 2, no such file; 3, no such folder.
_NOT_OPENED, _NOT_THERE = 3201, ("2", "3")
_SYSTEMS_NUMBER = re.compile(r"(?<!\d)(\d+)\(")
#: What is wrong with a backup itself, and not with the server's disk, version or rights: it cannot be read, pages of it are bad, it is no
#: backup, is of another format, or was cut off, or its database was damaged already.
_DAMAGED = frozenset({3182, 3183, 3189, 3191, 3203, 3241, 3242, 3243, 3256, 3270, 3271})
_ATTEMPTS, _PAUSE = 5, 1.0
#: Somebody is in the database: it has another single user (924, 5064), cannot be locked (5030, 5061), or is in use (3702, 5070).
_IN_USE = frozenset({924, 3702, 5030, 5061, 5064, 5070})


def directory(server: Any) -> str:
    """Where backups go unless told otherwise.

    :raises RetailError: the server does not say.
    """
    found = server.value(_DIRECTORY) or _registered(server)
    if not found:
        raise RetailError(
            "The server %s names no folder for backups." % server.target.where, "Set the option directory."
        )
    return str(found)


def _registered(server: Any) -> str:
    try:
        row = server.row(_REGISTERED)
    except StatementFailed as error:
        if error.kind in ("lost", "transient"):
            raise
        return ""  # not allowed, or not there
    return row[1] if row else ""


def check(server: Any) -> None:
    """See that backups can be made here: and read, or one that is there would count as none, and be overwritten.

    :raises RetailError: this login may not.
    """
    if server.value(_MAY_READ) == 0:
        raise RetailError(
            "The login %s may not read backups on %s." % (server.target.user or "of this account", server.target.where),
            "It takes the right CREATE DATABASE, which members of dbcreator have: ALTER SERVER ROLE dbcreator ADD MEMBER [LOGIN].",
        )


def read(server: Any, folder: str, name: str) -> Backup | None:
    """The backup of that name, None where there is none, or where it was cut off.

    :raises StatementFailed: that cannot be told.
    :raises RetailError: somebody else made it.
    """
    path = _path(folder, name)
    header = _header(server, path)
    if header is None:
        return None
    found = _described(server, name, header)
    if found is None:
        raise RetailError(
            "The backup in %s was made by somebody else, and is left alone." % path,
            "Choose another name, or another folder.",
        )
    return found


def list(server: Any, folder: str, database: str) -> builtins.list[Backup]:  # noqa: A001 - as databases.list
    """The backups of that database in the folder that this server remembers, the oldest first."""
    rows = server.query(
        "SELECT DISTINCT f.physical_device_name FROM msdb.dbo.backupset s "
        "JOIN msdb.dbo.backupmediafamily f ON f.media_set_id = s.media_set_id WHERE s.database_name = CAST(? AS nvarchar(128))",
        database,
    )
    start = _path(folder, "")[: -len(SUFFIX)]
    inside = [row[0][len(start) : -len(SUFFIX)] for row in rows if row[0].startswith(start) and row[0].endswith(SUFFIX)]
    headers = {name: _header(server, _path(folder, name)) for name in inside if not set(name) & set("/\\")}
    found = [_described(server, name, header) for name, header in headers.items() if header]
    return sorted((one for one in found if one and one.database == database), key=lambda one: (one.made, one.name))


def prepare(server: Any, folder: str) -> None:
    """Make the folder, as the server's account; one that is there is left as it is."""
    server.execute("EXEC master.sys.xp_create_subdir %s" % names.literal(folder))


def prepared(server: Any, folder: str) -> bool:
    """Whether the folder is there. Where this login may not see that, it is taken to be there: BACKUP says so if it is not."""
    if not server.value(_SEES_FILES):
        return True
    row = server.row("EXEC master.sys.xp_fileexist %s" % names.literal(folder))
    return bool(row[1])


def make(db: Any, folder: str, backup: Backup, with_content: bool) -> Backup:
    """Back up the connected database, beside whatever chain of backups it has; a backup of that name is overwritten.

    :param with_content: note which tables there are, for :func:`compare`.
    :raises StatementFailed: the server refused.
    """
    facts = json.dumps({_MARK: {"release": backup.release, "made": backup.made}}, separators=(",", ":"))
    options = ["COPY_ONLY", "CHECKSUM", "FORMAT", "INIT"]
    options += ["NAME = %s" % names.literal(backup.name[:128]), "DESCRIPTION = %s" % names.literal(facts)]
    if db.value(_COMPRESSES):
        options.append("COMPRESSION")
    # The server's own copy is of the moment at which it ended, so rows cannot be held against it.
    tables = dict.fromkeys(_tables(db), (-1, "")) if with_content else {}
    path = names.literal(_path(folder, backup.name))
    sql = "BACKUP DATABASE %s TO DISK = %s WITH %s" % (names.quote(backup.database), path, ", ".join(options))
    db.execute(sql)
    return changed(backup, content=tables)


def verify(server: Any, folder: str, backup: Backup) -> None:
    """Read the backup through.

    :raises Damaged: it cannot be restored.
    """
    try:
        server.execute("RESTORE VERIFYONLY FROM DISK = %s WITH CHECKSUM" % names.literal(_path(folder, backup.name)))
    except StatementFailed as error:
        if not _DAMAGED.intersection(error.numbers):
            raise
        raise _damaged(backup, error) from error


def restore(server: Any, folder: str, backup: Backup, name: str) -> None:
    """Restore into a new database, whose files are new ones; one of that name is dropped first, whatever a restore left of it.

    :raises Damaged: the backup is worth nothing.
    :raises StatementFailed: it was not restored for another reason: no room, no right, an older server.
    """
    _drop(server, name)
    # A database takes the names of its files along when it is renamed, so those of an earlier restore may be in use.
    stem = "%s_%s" % (re.sub(r"[^\w.-]", "_", name), secrets.token_hex(4))
    path = names.literal(_path(folder, backup.name))
    try:
        files = server.query("RESTORE FILELISTONLY FROM DISK = %s" % path)
        data, log = server.row(_DATA)
        moves = [
            "MOVE %s TO %s"
            % (names.literal(file.LogicalName), names.literal(_beside_file(folder, stem, number, file.Type)))
            for number, file in enumerate(files)
            for folder in [log if file.Type == "L" else data]
        ]
        options = ", ".join(["CHECKSUM", "RECOVERY", *moves])
        server.execute("RESTORE DATABASE %s FROM DISK = %s WITH %s" % (names.quote(name), path, options))
    except StatementFailed as error:
        # Why it failed is what is to be seen; what cannot be dropped now is dropped before the next restore.
        with contextlib.suppress(StatementFailed):
            _drop(server, name)
        if not _DAMAGED.intersection(error.numbers):
            raise
        raise _damaged(backup, error) from error


def content(db: Any) -> dict[str, tuple[int, str]]:
    """The tables of the connected database, after its pages were checked.

    :raises StatementFailed: pages are damaged.
    """
    db.execute("DBCC CHECKDB WITH NO_INFOMSGS, PHYSICAL_ONLY")
    return dict.fromkeys(_tables(db), (-1, ""))


def mark_tested(server: Any, folder: str, backup: Backup) -> None:
    """Note that the backup was restored, and found whole."""
    _set_property(server, backup.database, _TESTED, "%s %s" % (backup.name, backup.made))


def put_in_place(server: Any, name: str, restored: str) -> None:
    """Let the database ``restored`` take the place of the one of that name, which is dropped, whoever is connected to it.

    :raises StatementFailed: somebody stays in the old one; it has its name still, or again.
    """
    old = beside(name, "replaced")
    replaces = databases.exists(server, name)
    if replaces:
        _drop(server, old)
        _rename(server, name, old)
    try:
        _rename(server, restored, name)
    except StatementFailed:
        if replaces:
            _rename(server, old, name)
        raise
    _drop(server, old)


def beside(name: str, purpose: str) -> str:
    """A name for a database that is there for a while beside the one of that name."""
    room = names.MAX_LENGTH - len(purpose) - 1
    return "%s_%s" % (name[:room], purpose)


def remove(server: Any, folder: str, name: str) -> None:
    """Remove a backup: the server deletes nothing but a backup there.

    :raises RetailError: it did not.
    """
    path = _path(folder, name)
    server.execute("EXEC master.sys.xp_delete_file 0, %s" % names.literal(path))
    if _header(server, path) is not None:
        raise RetailError(
            "The backup %s is still there: the server did not delete %s." % (name, path),
            "Delete the file on the server, or do this with a login that is a sysadmin.",
        )


def note(server: Any, name: str, text: str) -> None:
    """Let a database remember which backup it was restored from."""
    _set_property(server, name, _NOTE, text)


def noted(server: Any, name: str) -> str:
    """What :func:`note` wrote, empty where it did not."""
    return _property(server, name, _NOTE)


def _path(folder: str, name: str) -> str:
    """The server may be of another system than this one."""
    separator = "\\" if "\\" in folder else "/"
    return folder.rstrip("/\\") + separator + name + SUFFIX


def _beside_file(folder: str, stem: str, number: int, kind: str) -> str:
    separator = "\\" if "\\" in folder else "/"
    ending = "ldf" if kind == "L" else "mdf" if number == 0 else "ndf"
    return "%s%s%s_%d.%s" % (folder.rstrip("/\\"), separator, stem, number, ending)


def _header(server: Any, path: str) -> Any | None:
    """What the first backup in a file says of itself, None where there is no such file, or no whole backup in it."""
    try:
        header = server.row("RESTORE HEADERONLY FROM DISK = %s" % names.literal(path))
    except StatementFailed as error:
        if _DAMAGED.union([_EMPTY]).intersection(error.numbers) or _is_missing(error, path):
            return None
        raise
    return None if header is None or header.IsDamaged or header.HasIncompleteMetaData else header


def _described(server: Any, name: str, header: Any) -> Backup | None:
    """The backup of which that is the header, None where it is none of ours."""
    try:
        facts = json.loads(header.BackupDescription or "{}")[_MARK]
        made, release, database = facts["made"], facts["release"], str(header.DatabaseName)
    except (ValueError, LookupError, TypeError):
        return None
    tested = _property(server, database, _TESTED) == "%s %s" % (name, made)
    return Backup(name, database, release, made, tested)


def _is_missing(error: StatementFailed, path: str) -> bool:
    if _NOT_OPENED not in error.numbers:
        return False
    number = _SYSTEMS_NUMBER.search(error.message.replace(path, ""))
    return number is not None and number.group(1) in _NOT_THERE


def _tables(db: Any) -> builtins.list[str]:
    rows = db.query("SELECT s.name + N'.' + t.name FROM sys.tables t JOIN sys.schemas s ON s.schema_id = t.schema_id")
    return [row[0] for row in rows]


def _drop(server: Any, name: str) -> None:
    for statement in databases.drop(name):
        server.execute(statement)


def _rename(server: Any, name: str, other: str) -> None:
    """Rename a database, and cut off whoever is in it.

    :raises StatementFailed: somebody is in it all the time; anybody may be, again.
    """
    for attempt in range(_ATTEMPTS):
        try:
            server.execute(_renaming(name, other))
            return
        except StatementFailed as error:
            _let_in(server, name, other)
            if not _IN_USE.intersection(error.numbers):
                raise
            if attempt + 1 == _ATTEMPTS:
                advice = "Stop what connects to %s, and run this again. %s" % (name, refusals.NUMBERS[924])
                raise StatementFailed(error.message, error.kind, error.state, advice, error.numbers) from error
        time.sleep(_PAUSE)


def _renaming(name: str, other: str) -> str:
    """Said from inside the database, so that its single user is this session, and nobody who connects again."""
    return "USE {name}; ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE; {rename}; {open}; USE {home}".format(
        name=names.quote(name),
        rename="ALTER DATABASE %s MODIFY NAME = %s" % (names.quote(name), names.quote(other)),
        open="ALTER DATABASE %s SET MULTI_USER" % names.quote(other),
        home=names.quote(MAINTENANCE_DATABASE),
    )


def _let_in(server: Any, name: str, other: str) -> None:
    """After a renaming that was cut off, whose single user may still be this session."""
    for one in (name, other):
        single = "EXISTS (SELECT 1 FROM sys.databases WHERE name = %s AND user_access = 1)" % names.literal(one)
        with contextlib.suppress(StatementFailed):
            server.execute("IF %s ALTER DATABASE %s SET MULTI_USER" % (single, names.quote(one)))
    with contextlib.suppress(StatementFailed):
        server.execute("USE %s" % names.quote(MAINTENANCE_DATABASE))


def _property(server: Any, database: str, key: str) -> str:
    if not databases.exists(server, database):
        return ""
    sql = "SELECT CAST(value AS nvarchar(400)) FROM %s.sys.extended_properties WHERE class = 0 AND name = %s"
    return str(server.value(sql % (names.quote(database), names.literal(key))) or "")


def _set_property(server: Any, database: str, key: str, value: str) -> None:
    procedure = "sp_updateextendedproperty" if _property(server, database, key) else "sp_addextendedproperty"
    sql = "EXEC %s.sys.%s @name = %s, @value = %s"
    server.execute(sql % (names.quote(database), procedure, names.literal(key), names.literal(value)))


def _damaged(backup: Backup, error: StatementFailed) -> Damaged:
    return Damaged(
        "The backup %s of %s cannot be restored: %s" % (backup.name, backup.database, error.message),
        "Do not rely on it: look at the server's log and its disk, remove the backup, and make another one.",
    )
