# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups where no server can be had: what SQL Server is told, and how PostgreSQL's programs are told where to connect.

Servers that speak T-SQL and are not SQL Server have no BACKUP, so these statements have been read, and not run.
"""

from __future__ import annotations

import json
import os
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
        found = next((value for words, value in self.answers.items() if words.replace("_", " ") in sql), [])
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
    assert restored == (
        "RESTORE DATABASE [Copy] FROM DISK = N'/backups/before''6.bak' WITH CHECKSUM, RECOVERY, "
        "MOVE N'data' TO N'/var/opt/data/Copy_0.mdf', MOVE N'more' TO N'/var/opt/data/Copy_1.ndf', "
        "MOVE N'log' TO N'/var/opt/log/Copy_2.ldf'"
    )


def test_a_backup_that_sql_server_cannot_restore_leaves_no_database():
    server = Recorder(RESTORE_DATABASE=StatementFailed("RESTORE detected an error on page 7"))
    with pytest.raises(RetailError, match="cannot be restored"):
        mssql.backups.restore(Recorder(RESTORE=StatementFailed("The file is no backup")), "/b", BACKUP, "Copy")
    server.answers["FILELISTONLY"] = []
    server.answers["InstanceDefaultDataPath"] = [("/d", "/l")]
    with pytest.raises(Damaged, match="page 7"):
        mssql.backups.restore(server, "/b", BACKUP, "Copy")
    assert server.said[-1] == "DROP DATABASE IF EXISTS [Copy]"


@pytest.mark.parametrize(
    ("header", "there"),
    [
        (Header(0, 0, described(), "Channel"), True),
        (Header(1, 0, described(), "Channel"), False),
        (Header(0, 1, described(), "Channel"), False),
        (Header(0, 0, "somebody else's", "Channel"), False),
        (Header(0, 0, None, "Channel"), False),
    ],
)
def test_what_a_header_on_sql_server_says(header, there):
    server = Recorder(xp_fileexist=[(1, 0, 1)], HEADERONLY=[header])
    server.answers["xp fileexist"] = [(1, 0, 1)]
    server.answers["master.sys.xp"] = [(1, 0, 1)]
    found = mssql.backups.read(server, "/backups", "first")
    assert (found is not None) == there
    if there:
        assert (found.database, found.release, found.tested) == ("Channel", "6.3.158.0", False)


def test_a_backup_that_was_cut_off_on_sql_server_is_none_but_a_refusal_is_told():
    cut, denied = StatementFailed("damaged"), StatementFailed("no rights", "denied")
    answers = {"master.sys.xp": [(1, 0, 1)]}
    assert mssql.backups.read(Recorder(HEADERONLY=cut, **answers), "/b", "first") is None
    with pytest.raises(StatementFailed):
        mssql.backups.read(Recorder(HEADERONLY=denied, **answers), "/b", "first")


def test_a_restored_database_takes_the_place_of_one_that_is_used():
    server = Recorder()
    server.answers["sys.databases WHERE"] = [(1,)]
    mssql.backups.put_in_place(server, "Channel", "Channel_restored")
    renamed = [sql for sql in server.said if "MODIFY NAME" in sql]
    assert renamed[0] == (
        "ALTER DATABASE [Channel] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; ALTER DATABASE [Channel] MODIFY NAME = [Channel_replaced]"
    )
    assert renamed[1].endswith("ALTER DATABASE [Channel_restored] MODIFY NAME = [Channel]")
    assert server.said[-1] == "DROP DATABASE IF EXISTS [Channel_replaced]"


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
    assert {"host=db.example.com", "port=5432", "dbname=My Database", "user=adm in", "sslmode=verify-full"} <= set(
        lines
    )
    assert "*:*:*:*:a\\:b\\\\c 's" in lines and "600" in lines
    called = lines[-1]
    assert "service=retail" in called and "b\\c" not in called and "adm in" not in called
    assert not service.exists() and not service.parent.exists()


def test_a_name_with_a_line_break_is_refused():
    with pytest.raises(RetailError, match="no dbname with a line break"):
        programs.run(Target("postgresql", database="x\nhost=evil"), "pg_dump")


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
