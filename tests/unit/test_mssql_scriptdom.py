# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every statement of the SQL Server speaker, backups included, is Transact-SQL of SQL Server 2016 as Microsoft's own parser has it.

That parser is ScriptDom, with a grammar for each version of the server; the program maxdop carries it. It reads syntax: whether a
view, a procedure or a function of some name exists, and since when, stands in the record that ``test_mssql_names.py`` looks after.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from mssql_said import everything, unparsed_statements

from ansible_collections.axops.retail.plugins.module_utils._engine import mssql

OLDEST = str(mssql.databases.OLDEST_VERSION)
#: A whole statement in a text; parts of one, which end with a space, are put together by the server.
_INNER = re.compile(r"N'((?:CREATE|ALTER|GRANT|DROP|IF|INSERT) (?:[^']|'')*(?:[^' ]|''))'(?!'| \+)")
_REFUSED = re.compile(r"^maxdop: (?:.*/)?(\d+)\.sql: could not be parsed.*?\. (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def program() -> str:
    folder = str(Path(sys.executable).parent)
    found = shutil.which("maxdop", path=folder) or shutil.which("maxdop")
    if not found:
        pytest.skip("there is no maxdop with Microsoft's parser for this machine (requirements-dev.txt)")
    return found


def texts() -> list[str]:
    """Each statement, and each text that one of them runs. A parameter is a variable here; where it is, nobody asks."""
    said = [batch.replace("?", "@p") for batch in dict.fromkeys([*everything(), *unparsed_statements()])]
    inner = [text.replace("''", "'") for batch in said for text in _INNER.findall(batch)]
    # CREATE DATABASE alone is the name of a right
    return [*said, *(text for text in inner if not re.fullmatch("[A-Z ]+", text))]


def refused(program: str, folder: Path, statements: Iterable[str], version: str = OLDEST) -> dict[str, str]:
    """What the parser does not take, with what it says."""
    numbered = dict(enumerate(statements))
    for number, text in numbered.items():
        (folder / ("%d.sql" % number)).write_text(text, encoding="utf-8")
    command = [program, "--check", "--parser-version", version, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    found = {numbered[int(number)]: said for number, said in _REFUSED.findall(done.stderr)}
    assert done.returncode in (0, 1), done.stderr
    assert len(found) == done.stderr.count("could not be parsed"), done.stderr
    return found


def test_every_statement_is_of_the_oldest_version(program: str, tmp_path: Path) -> None:
    statements = texts()
    assert refused(program, tmp_path, statements) == {}
    assert len(statements) > 280
    for words in (
        "BACKUP DATABASE",
        "RESTORE DATABASE",
        "RESTORE HEADERONLY",
        "MODIFY NAME",
        "DBCC CHECKDB",
        "ON PRIMARY",
    ):
        assert any(words in text for text in statements), words


@pytest.mark.parametrize(
    "wrong",
    [
        "RESTORE DATABASE [a] FROM DISK = N'x' WITH CHECKSUM, MOVING N'a' TO N'b'",
        "BACKUP DATABASE [a] TO DISK = N'x' WITH COPY_ONLY, DESCRIBED = N'x'",
        "ALTER DATABASE [a] SET PAGE_VERIFY SOMETIMES",
        "ALTER DATABASE [a] MODIFY TITLE = [b]",
        "ALTER TABLE [a].[b] SET (LOCK_ESCALATION = NEVER)",
        "CREATE DATABASE [a] ON PRIMARY (NAME = [a], FILENAME N'x')",
        "SELECT TRIM(LEADING 'x' FROM a) FROM t",  # 2022
        "SELECT 1 WHERE 1 IS NOT DISTINCT FROM 2",  # 2022
        "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t",  # not alone in its batch
    ],
)
def test_what_is_not_of_it_is_noticed(program: str, tmp_path: Path, wrong: str) -> None:
    assert wrong in refused(program, tmp_path, ["SELECT 1", wrong])


def test_an_older_version_would_be_noticed(program: str, tmp_path: Path) -> None:
    assert refused(program, tmp_path, ["DROP DATABASE IF EXISTS [a]"], "2014")
