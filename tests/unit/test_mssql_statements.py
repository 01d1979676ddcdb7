# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every statement of the SQL Server speaker is T-SQL, as a parser understands it that others wrote: sqlglot, which reads queries
closely and keeps most DDL as text. Whole batches, with what is SQL Server's alone, are read by Microsoft's own parser, in
test_mssql_scriptdom.py."""

from __future__ import annotations

import ast
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot
from mssql_said import everything, unparsed_statements

from ansible_collections.axops.retail.plugins.module_utils._engine import mssql

# ---- sqlglot reads single statements; what stands inside a batch is taken out of it first

_GUARD = re.compile(
    r"^IF (?:EXISTS \(SELECT 1 FROM INFORMATION_SCHEMA.COLUMNS .*? IN \([^)]*\)\)|"
    r"NOT EXISTS \(SELECT .*? AND name = N'(?:[^']|'')*'\)|NOT EXISTS \(SELECT 1 FROM sys\.server_principals "
    r"WHERE name = N'(?:[^']|'')*'\)|[A-Z_]+\((?:N'(?:[^']|'')*'(?:, )?)+\) IS (?:NOT )?NULL) (?=[A-Z])"
)
#: What decides which of two statements runs, each of which is read by itself.
_CHOICE = re.compile(
    r"^IF EXISTS \(SELECT 1 FROM \S+ WITH \([A-Z, ]+\)\) |^IF \((SELECT .*?)\) < \d+ (?=UPDATE)| ELSE (?=UPDATE)"
)
#: T-SQL that sqlglot does not know: existing rows get a new column's default; the lock on what is written.
_UNKNOWN = re.compile(r" WITH VALUES$|(?<=\]) WITH \(TABLOCK\)(?= \(| SET)")
_LITERAL = re.compile(r"N'((?:[^']|'')*)'")
_RUN = re.compile(r"^EXEC \(N'((?:[^']|'')*)'\)$")
_PART = re.compile(r"(?:'(?:[^']|'')*'|\[(?:[^\]]|\]\])*\]|[^';\[])+")
_TRIGGER = re.compile(r"^(CREATE TRIGGER .*?) AS BEGIN (.*) END$", re.DOTALL)
_FLOW = re.compile(
    r"WHILE @\w+ > 0 BEGIN|BEGIN TRY|END TRY|BEGIN CATCH|END CATCH|IF @tries = 0|WAITFOR DELAY '[0-9:.]+'|\bEND$|\bEND(?=;)"
)
_CURSOR = re.compile(r"DECLARE \w+ CURSOR LOCAL FAST_FORWARD FOR (?=SELECT)|WHILE @@FETCH_STATUS = 0 BEGIN ")
#: T-SQL that sqlglot does not know in CREATE INDEX: the options behind a condition.
_OPTIONS = re.compile(r"(?<=\)) WITH \([A-Z_]+ = [^)]*\)(?= ON \[)")
#: What sqlglot keeps as text: procedure calls, the ends of blocks, and DDL that is SQL Server's alone.
_KEPT_AS_TEXT = (
    "END",
    "EXEC",
    "SET",
    "DROP TRIGGER",
    "DROP PROCEDURE",
    "DROP TYPE",
    "DROP STATISTICS",
    "CREATE STATISTICS",
    "ALTER",
    "GRANT",
    "REVOKE",
    "CREATE LOGIN",
    "CREATE USER",
    "CREATE ROLE",
    "CREATE SCHEMA",
    "DROP USER",
    "DROP LOGIN",
    "OPEN",
    "FETCH NEXT",
    "CLOSE",
    "DEALLOCATE",
)


def statements_in(batch: str) -> Iterator[str]:
    """The single statements of a batch: behind its guard, inside BEGIN … END, inside a text that it runs."""
    if "BEGIN TRY" in batch:
        batch = _FLOW.sub(";", batch)
    batch = _CHOICE.sub(lambda found: "%s;" % (found.group(1) or ""), batch).lstrip(";")
    batch = _GUARD.sub("", _CURSOR.sub("", batch)).strip()
    if batch.startswith("BEGIN "):
        batch = batch[len("BEGIN ") : -len(" END")]
    run = _RUN.match(batch) or (
        _LITERAL.search(batch) if batch.startswith("DECLARE @statement nvarchar(max) = N'") else None
    )
    if run and run.group(1):
        yield from statements_in(run.group(1).replace("''", "'"))
        return
    trigger = _TRIGGER.match(batch)
    if trigger:
        yield from (part.strip() for part in _PART.findall(trigger.group(2)) if not part.strip().startswith("IF "))
        return
    for part in _PART.findall(batch):
        run = _RUN.match(part.strip())
        if run:
            yield from statements_in(run.group(1).replace("''", "'"))
        else:
            yield part.strip()


@pytest.fixture(scope="module")
def parsed() -> list[tuple[str, sqlglot.exp.Expression]]:
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    # "SET TRANSACTION ISOLATION LEVEL SNAPSHOT" is too much for it; ScriptDom reads that.
    return [
        (statement, sqlglot.parse_one(_OPTIONS.sub("", _UNKNOWN.sub("", statement)), dialect="tsql"))
        for batch in everything()
        for statement in statements_in(batch)
        if statement and not statement.startswith("SET TRANSACTION")
    ]


def test_every_statement_is_t_sql(parsed: list[tuple[str, sqlglot.exp.Expression]]) -> None:
    as_text = [text for text, tree in parsed if isinstance(tree, sqlglot.exp.Command)]
    assert [text for text in as_text if not text.startswith(_KEPT_AS_TEXT)] == []
    assert len(parsed) - len(as_text) > 100


def test_nothing_is_said_that_not_every_server_has() -> None:
    for batch in everything():
        assert not re.search(r"\b(MERGE|CREATE OR ALTER|STRING_AGG|JSON_OBJECT|IS (NOT )?DISTINCT FROM|LIMIT)\b", batch)
        assert not re.search(r"\bSET NOCOUNT ON", batch) or "CREATE TRIGGER" in batch


# ---- nothing is left out

#: Files without statements of their own: the driver, errors, names, other people's scripts, phrases.
_SILENT = ("connect", "errors", "names", "refusals", "scripts", "texts", "types")
#: Functions that look at what the catalog has answered, which is nothing here, or at texts.
_READERS = (
    *("tables.is_table", "tables.of", "tables.table", "tables._column", "tables._type", "access._found", "access.find"),
    *("access.needs", "databases.satisfied", "databases._amount", "databases.check_name", "marks.continues"),
    "dependents._refuse",
    *("databases.wants_to_be_alone", "databases.waits", "backups._damaged", "backups._is_missing"),
)
#: It connects with the password.
_CONNECTS = ("access.password_works",)
#: Other engines have something to say, or another answer.
_NOTHING_TO_SAY = ("databases.check_holds", "databases.check_options", "marks.check_seen", "tracking.number_elsewhere")
#: What is said to Babelfish alone.
_SUBSTITUTES = ("digests._swapped",)


def test_every_function_that_says_something_was_asked() -> None:
    folder = Path(mssql.__file__).parent
    called: set[tuple[str, str]] = set()

    def note(frame, event, _argument) -> None:
        if event == "call" and Path(frame.f_code.co_filename).parent == folder:
            called.add((Path(frame.f_code.co_filename).stem, frame.f_code.co_name))

    clear_caches()
    sys.setprofile(note)
    try:
        everything()
        unparsed_statements()
    finally:
        sys.setprofile(None)
    defined = {
        (path.stem, node.name)
        for path in folder.glob("*.py")
        if path.stem not in _SILENT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__")
    }
    missing = {"%s.%s" % one for one in defined - called}
    assert sorted(missing - {*_READERS, *_CONNECTS, *_NOTHING_TO_SAY, *_SUBSTITUTES}) == []


def clear_caches() -> None:
    """A function that answers from memory is not called."""
    for module in vars(mssql).values():
        for function in vars(module).values() if hasattr(module, "__file__") else ():
            getattr(function, "cache_clear", lambda: None)()
