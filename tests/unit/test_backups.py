# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups where no server can be had: what SQL Server is told, and how PostgreSQL's programs are told where to connect.

Servers that speak T-SQL and are not SQL Server have no BACKUP, so these statements have been read, and not run.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import namedtuple
from pathlib import Path

import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._backup import Backup, Damaged, compare
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed
from ansible_collections.axops.retail.plugins.module_utils._engine.postgresql import programs
from ansible_collections.axops.retail.plugins.module_utils._schema import backup as planning

BACKUP = Backup("before'6", "Retail]Channel", "6.3.158.0", "2026-01-31T22:00:00Z")
Header = namedtuple("Header", "IsDamaged HasIncompleteMetaData BackupDescription DatabaseName")
File = namedtuple("File", "LogicalName Type")


class Recorder:
    """Stands where a connection to SQL Server does: answers by the beginning of a statement, and keeps all of them."""

    engine = mssql

    def __init__(self, **answers):
        self.answers, self.said, self.target = answers, [], Target("mssql", "houston", "master")

    def _answer(self, sql):
        self.said.append(sql)
        found = next(
            (value for words, value in self.answers.items() if words in sql or words.replace("_", " ") in sql), []
        )
        if isinstance(found, Exception):
            raise found
        return found

    def query(self, sql, *_parameters):
        return self._answer(sql)

    def row(self, sql, *parameters):
        return next(iter(self.query(sql, *parameters)), None)

    def value(self, sql, *parameters):
        row = self.row(sql, *parameters)
        return row[0] if row else None

    def execute(self, sql, *_parameters):
        self._answer(sql)


def described(**facts):
    return json.dumps({"axops.retail": {"release": "6.3.158.0", "made": "2026-01-31T22:00:00Z", **facts}})


@pytest.mark.parametrize("compresses", [0, 1])
def test_sql_server_makes_a_copy_with_checksums_compressed_where_it_can(compresses):
    db = Recorder(EngineEdition=[(compresses,)])
    mssql.backups.make(db, "D:\\Backups\\", BACKUP, with_content=False)
    statement = db.said[-1]
    assert statement.startswith(
        "BACKUP DATABASE [Retail]]Channel] TO DISK = N'D:\\Backups\\before''6.bak' WITH COPY_ONLY, CHECKSUM, "
    )
    assert statement.endswith(", COMPRESSION") == bool(compresses)
    assert len(described()) < 255, "a description has no more room"


def test_sql_server_verifies_and_restores_into_files_of_another_name():
    files = [File("data", "D"), File("more", "D"), File("log", "L")]
    server = Recorder(FILELISTONLY=files, InstanceDefaultDataPath=[("/var/opt/data/", "/var/opt/log")])
    mssql.backups.verify(server, "/backups", BACKUP)
    assert server.said[-1] == "RESTORE VERIFYONLY FROM DISK = N'/backups/before''6.bak' WITH CHECKSUM"
    mssql.backups.restore(server, "/backups", BACKUP, "Copy")
    restored = next(sql for sql in server.said if sql.startswith("RESTORE DATABASE"))
    stem = re.search(r"Copy_[0-9a-f]{8}", restored).group()
    assert restored == (
        "RESTORE DATABASE [Copy] FROM DISK = N'/backups/before''6.bak' WITH CHECKSUM, RECOVERY, "
        f"MOVE N'data' TO N'/var/opt/data/{stem}_0.mdf', MOVE N'more' TO N'/var/opt/data/{stem}_1.ndf', "
        f"MOVE N'log' TO N'/var/opt/log/{stem}_2.ldf'"
    )


def test_a_second_restore_on_sql_server_takes_no_file_of_the_first():
    """The first one's database was renamed and lives on, and its files are called as they were."""
    server = Recorder(FILELISTONLY=[File("data", "D"), File("log", "L")], InstanceDefaultDataPath=[("D:\\", "L:\\")])
    for _time in range(2):
        mssql.backups.restore(server, "/backups", BACKUP, "a/b:Copy")
    first, second = [
        set(re.findall(r"TO N'([^']+)'", sql)) for sql in server.said if sql.startswith("RESTORE DATABASE")
    ]
    assert len(first) == len(second) == 2 and not first & second
    assert all(path.startswith(("D:\\a_b_Copy_", "L:\\a_b_Copy_")) for path in first | second)


BAD_PAGE = StatementFailed("RESTORE detected an error on page 7", numbers=(3183, 3013))
NO_ROOM = StatementFailed("Insufficient free space on disk volume", numbers=(3257, 3119, 3013))


def restoring(failure, **answers):
    return Recorder(
        RESTORE_DATABASE=failure, FILELISTONLY=[File("data", "D")], InstanceDefaultDataPath=[("/d", "/l")], **answers
    )


def test_a_backup_that_sql_server_cannot_restore_leaves_no_database():
    server = restoring(BAD_PAGE)
    with pytest.raises(Damaged, match="page 7"):
        mssql.backups.restore(server, "/b", BACKUP, "Copy")
    assert server.said[-1] == "DROP DATABASE IF EXISTS [Copy]"


@pytest.mark.parametrize("number", sorted(mssql.backups._DAMAGED))
def test_a_backup_is_called_damaged_for_what_is_wrong_with_it(number):
    wrong = StatementFailed("RESTORE refused", numbers=(number, 3013))
    for use in (mssql.backups.restore, lambda *arguments: mssql.backups.verify(*arguments[:3])):
        with pytest.raises(Damaged, match="remove the backup"):
            use(Recorder(RESTORE=wrong), "/b", BACKUP, "Copy")


@pytest.mark.parametrize("number", [262, 1834, 3101, 3156, 3169, 3201, 3257])
def test_a_good_backup_is_not_called_damaged_for_what_the_server_lacks(number):
    """Rights, a file in use, an older server, no such file, no room: the advice to remove the backup would be harmful."""
    wrong = StatementFailed("RESTORE refused", numbers=(number, 3013))
    for use in (mssql.backups.restore, lambda *arguments: mssql.backups.verify(*arguments[:3])):
        with pytest.raises(StatementFailed) as failure:
            use(Recorder(RESTORE=wrong), "/b", BACKUP, "Copy")
        assert failure.value is wrong


def test_why_a_restore_failed_is_seen_also_where_what_it_left_cannot_be_dropped():
    class Left(Recorder):
        """Its database can be dropped once: before the restore."""

        def execute(self, sql, *parameters):
            super().execute(sql, *parameters)
            if self.said.count("DROP DATABASE IF EXISTS [Copy]") > 1:
                raise StatementFailed("Cannot drop database", numbers=(3702,))

    server = Left(RESTORE_DATABASE=NO_ROOM, FILELISTONLY=[File("data", "D")], InstanceDefaultDataPath=[("/d", "/l")])
    with pytest.raises(StatementFailed, match="Insufficient free space"):
        mssql.backups.restore(server, "/b", BACKUP, "Copy")


def test_a_database_that_a_restore_left_half_way_is_dropped_without_a_word_to_it():
    """ALTER DATABASE is refused for one that is being restored (5052), so it is said to one that is online alone."""
    alone, drop = mssql.databases.drop("it's")
    assert drop == "DROP DATABASE IF EXISTS [it's]"
    online = "EXISTS (SELECT 1 FROM sys.databases WHERE name = N'it''s' AND state = 0 AND HAS_DBACCESS(name) = 1)"
    assert "; IF %s AND " % online in alone.partition(" EXEC ")[0]


def test_who_connects_again_does_not_become_the_single_user_of_a_database_that_is_dropped():
    inside = mssql.databases.drop("x")[0].split("N'")[1].split("'")[0].split("; ")
    assert inside == [
        "USE [x]", "ALTER DATABASE [x] SET SINGLE_USER WITH ROLLBACK IMMEDIATE", "USE [master]", "DROP DATABASE [x]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "there"),
    [
        (Header(0, 0, described(), "Channel"), True),
        (Header(1, 0, described(), "Channel"), False),
        (Header(0, 1, described(), "Channel"), False),
    ],
)
def test_what_a_header_on_sql_server_says(header, there):
    server = Recorder(HEADERONLY=[header])
    found = mssql.backups.read(server, "/backups", "first")
    assert (found is not None) == there
    if there:
        assert (found.database, found.release, found.tested) == ("Channel", "6.3.158.0", False)


@pytest.mark.parametrize("text", [None, "somebody else's", "[1]", "7", '{"axops.retail": 1}', '{"axops.retail": {}}'])
def test_a_backup_of_somebody_elses_is_not_taken_for_none(text):
    """A backup of that name would else be made over it; and a list of ours goes by it."""
    path = "/b/nightly.bak"
    server = Recorder(HEADERONLY=[Header(0, 0, text, "Channel")], backupset=[(path,)])
    with pytest.raises(RetailError, match=r"/b/nightly.bak was made by somebody else"):
        mssql.backups.read(server, "/b", "nightly")
    assert mssql.backups.list(server, "/b", "Channel") == []
    server.answers["HEADERONLY"] = [Header(0, 0, described(), "Channel")]
    assert [one.name for one in mssql.backups.list(server, "/b", "Channel")] == ["nightly"]


def test_a_backup_that_was_cut_off_on_sql_server_is_none_but_a_refusal_is_told():
    cut, denied = StatementFailed("damaged", numbers=(3241, 3013)), StatementFailed("no rights", "denied")
    assert mssql.backups.read(Recorder(HEADERONLY=cut), "/b", "first") is None
    assert (
        mssql.backups.read(Recorder(HEADERONLY=StatementFailed("empty", numbers=(3254, 3013))), "/b", "first") is None
    )
    with pytest.raises(StatementFailed):
        mssql.backups.read(Recorder(HEADERONLY=denied), "/b", "first")


NOT_OPENED = "Cannot open backup device '%s'. Operating system error %s."


@pytest.mark.parametrize(
    ("reason", "is_none"),
    [
        ("2(The system cannot find the file specified.)", True),
        ("3(Das System kann den angegebenen Pfad nicht finden.)", True),
        ("5(Access is denied.)", False),
        ("32(The process cannot access the file because it is being used by another process.)", False),
        ("53(The network path was not found.)", False),
    ],
)
def test_a_backup_that_cannot_be_looked_at_is_not_one_that_is_missing(reason, is_none):
    """It would be made anew, and so overwritten."""
    path = "\\\\nas\\backups 2(old)\\first.bak"
    server = Recorder(HEADERONLY=StatementFailed(NOT_OPENED % (path, reason), numbers=(3201, 3013)))
    folder = path.rpartition("\\")[0]
    if is_none:
        assert mssql.backups.read(server, folder, "first") is None
        return
    with pytest.raises(StatementFailed):
        mssql.backups.read(server, folder, "first")


def test_whether_a_backup_is_there_is_no_matter_of_rights():
    """To a login that is no sysadmin xp_fileexist says of every file and folder that it is not there."""
    header = Header(0, 0, described(), "Channel")
    server = Recorder(HEADERONLY=[header])
    server.answers["IS_SRVROLEMEMBER"] = [(0,)]
    assert mssql.backups.read(server, "/b", "first") is not None
    assert mssql.backups.prepared(server, "/b")
    server.answers["IS_SRVROLEMEMBER"] = [(1,)]
    server.answers["sys.xp_fileexist N'/b'"] = [(0, 1, 1)]
    server.answers["sys.xp_fileexist N'/c'"] = [(0, 0, 1)]
    assert mssql.backups.prepared(server, "/b") and not mssql.backups.prepared(server, "/c")


@pytest.mark.parametrize("may", [0, 1, None])
def test_who_may_not_read_backups_makes_none(may):
    server = Recorder()
    server.answers["HAS_PERMS_BY_NAME(N'master', N'DATABASE', N'CREATE DATABASE')"] = [(may,)]
    if may == 0:
        with pytest.raises(RetailError, match=r"may not read backups .* dbcreator"):
            mssql.backups.check(server)
    else:
        mssql.backups.check(server)


def test_a_backup_that_the_server_did_not_delete_is_not_called_removed():
    gone = StatementFailed(NOT_OPENED % ("/b/first.bak", "2(No such file)"), numbers=(3201, 3013))
    server = Recorder(HEADERONLY=gone)
    mssql.backups.remove(server, "/b", "first")
    assert server.said[0] == "EXEC master.sys.xp_delete_file 0, N'/b/first.bak'"
    with pytest.raises(RetailError, match="first is still there"):
        mssql.backups.remove(Recorder(HEADERONLY=[Header(0, 0, described(), "Channel")]), "/b", "first")


def test_the_folder_of_backups_is_known_on_older_servers_too():
    server = Recorder(InstanceDefaultBackupPath=[("D:\\Backup",)])
    assert mssql.backups.directory(server) == "D:\\Backup"
    server.answers = {"InstanceDefaultBackupPath": [(None,)], "BackupDirectory": [("BackupDirectory", "E:\\Backup")]}
    assert mssql.backups.directory(server) == "E:\\Backup"
    server.answers["BackupDirectory"] = StatementFailed("EXECUTE permission was denied", "denied", numbers=(229,))
    with pytest.raises(RetailError, match="names no folder for backups"):
        mssql.backups.directory(server)


class Server(Recorder):
    """Databases that can be renamed and dropped; some renamings fail.

    :param failures: by number of the renaming, what the server says.
    """

    def __init__(self, databases, failures=()):
        super().__init__()
        self.databases, self.failures, self.renamed = dict(databases), dict(failures), 0
        self.answers["sys.databases WHERE name = CAST"] = [(1,)]

    def execute(self, sql, *parameters):
        super().execute(sql, *parameters)
        dropped = re.fullmatch(r"DROP DATABASE IF EXISTS \[(\w+)\]", sql)
        if dropped:
            self.databases.pop(dropped.group(1), None)
        renaming = re.search(r"ALTER DATABASE \[(\w+)\] MODIFY NAME = \[(\w+)\]", sql)
        if renaming:
            self.renamed += 1
            if self.renamed in self.failures:
                raise self.failures[self.renamed]
            name, other = renaming.groups()
            assert name in self.databases and other not in self.databases
            self.databases[other] = self.databases.pop(name)


HELD = StatementFailed("Eine Sperre konnte nicht gesetzt werden.", numbers=(5061, 5069))
BOTH = {"Channel": "old", "Channel_restored": "new"}


def test_a_restored_database_takes_the_place_of_one_that_is_used():
    server = Server(BOTH)
    mssql.backups.put_in_place(server, "Channel", "Channel_restored")
    assert server.databases == {"Channel": "new"}
    renaming = next(sql for sql in server.said if "MODIFY NAME" in sql)
    assert renaming.split("; ") == [
        "USE [Channel]",
        "ALTER DATABASE [Channel] SET SINGLE_USER WITH ROLLBACK IMMEDIATE",
        "ALTER DATABASE [Channel] MODIFY NAME = [Channel_replaced]",
        "ALTER DATABASE [Channel_replaced] SET MULTI_USER",
        "USE [master]",
    ]


def test_a_database_that_cannot_be_locked_at_once_is_tried_again_whatever_the_servers_language(monkeypatch):
    monkeypatch.setattr(mssql.backups, "_PAUSE", 0)
    server = Server(BOTH, {1: HELD, 2: StatementFailed("nur ein Benutzer", "lost", numbers=(924,))})
    mssql.backups.put_in_place(server, "Channel", "Channel_restored")
    assert server.databases == {"Channel": "new"}


def test_a_database_that_somebody_stays_in_is_left_as_it_was_and_open_to_all(monkeypatch):
    monkeypatch.setattr(mssql.backups, "_PAUSE", 0)
    server = Server(BOTH, dict.fromkeys(range(1, 99), HELD))
    with pytest.raises(StatementFailed, match="Stop what connects to Channel"):
        mssql.backups.put_in_place(server, "Channel", "Channel_restored")
    assert server.databases == BOTH and server.renamed == mssql.backups._ATTEMPTS
    opened = "IF EXISTS (SELECT 1 FROM sys.databases WHERE name = N'%s' AND user_access = 1) ALTER DATABASE [%s] SET MULTI_USER"
    for name in ("Channel", "Channel_replaced"):
        assert server.said.count(opened % (name, name)) == mssql.backups._ATTEMPTS
    assert server.said[-1] == "USE [master]"


def test_where_the_restored_database_cannot_take_the_place_the_old_one_has_it_again():
    server = Server(BOTH, {2: StatementFailed("The disk is full", numbers=(1105,))})
    with pytest.raises(StatementFailed, match="disk is full"):
        mssql.backups.put_in_place(server, "Channel", "Channel_restored")
    assert server.databases == BOTH


# ---- PostgreSQL's programs


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A program that shows how it was called, with the files that it was pointed to."""
    program = tmp_path / "pg_dump"
    program.write_text(
        '#!/bin/sh\ncat "$PGSERVICEFILE" "$(sed -n s/^passfile=//p "$PGSERVICEFILE")"; stat -c %a "$PGSERVICEFILE"; '
        f'tr "\\0" " " < /proc/$$/cmdline; tr "\\0" " " < /proc/$$/environ; echo "$PGSERVICEFILE" > {tmp_path}/where\n'
        "exit 3\n",
        encoding="utf-8",
    )
    program.chmod(0o700)
    monkeypatch.setattr(programs, "_PLACES", (str(tmp_path),))
    shown = {}

    def run(target):
        original = programs.subprocess.run

        def kept(*args, **options):
            shown["text"] = (done := original(*args, **options)).stdout
            return done

        monkeypatch.setattr(programs.subprocess, "run", kept)
        with pytest.raises(RetailError, match="pg_dump failed: it ended with 3"):
            programs.run(target, "pg_dump", "--file=x")
        return shown["text"], Path((tmp_path / "where").read_text(encoding="utf-8").strip())

    return run


def test_a_password_stands_in_a_file_that_is_gone_afterwards(told):
    target = Target(
        "postgresql", "db.example.com", "My Database", user="adm in", password="a:b\\c 's", ca_file="/ca.pem"
    )
    text, service = told(target)
    lines = text.splitlines()
    assert {"host=db.example.com", "port=5432", "sslmode=verify-full"} <= set(lines)
    assert "*:*:*:*:a\\:b\\\\c 's" in lines and "600" in lines
    called = lines[-1]
    assert "--dbname=service='retail' dbname='My Database' user='adm in'" in called and "b\\c" not in called
    assert not service.exists() and not service.parent.exists()


def test_nothing_gets_into_a_file_by_a_line_break(told):
    with pytest.raises(RetailError, match="no sslrootcert with a line break"):
        programs.run(Target("postgresql", ca_file="x\nhost=evil"), "pg_dump")
    text, _service = told(Target("postgresql", "db.example.com", database="x'\nhost=evil"))
    assert "host=db.example.com" in text.splitlines() and "dbname='x\\'\nhost=evil' " in text


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setattr(programs, "_PLACES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RetailError, match="pg_dump is not installed"):
        programs.find("pg_dump")


def test_the_newest_program_is_taken(tmp_path, monkeypatch):
    for version in ("9.6", "15", "14"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "pg_dump").touch(mode=0o700)
    monkeypatch.setattr(programs, "_PLACES", (str(tmp_path / "*" / "bin"),))
    assert programs.find("pg_dump") == str(tmp_path / "15" / "bin" / "pg_dump")
    assert os.stat(programs.find("pg_dump")).st_mode & stat.S_IXUSR


# ---- what both have in common


def test_what_differs_after_a_restore_is_named():
    backup = Backup("b", "d", "", "", content={f"ax.T{number}": (number, "x") for number in range(9)})
    compare(backup, {table: [rows, digest] for table, (rows, digest) in backup.content.items()})
    with pytest.raises(Damaged, match=r"ax.T0: missing; ax.T1: 0 of 1 rows.* …\)"):
        compare(backup, {f"ax.T{number}": (0, "x") for number in range(1, 9)})


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a b", "-x", "ä", "x" * 101, "a\n"])
def test_a_name_that_is_no_files_is_refused(name):
    with pytest.raises(RetailError, match="no name for a backup"):
        planning.check_name(name)
