# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test of both engines has to say to each of them in its own words, see ``session_world.both_engines``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from integration import mssql_world
from offline_world import target

from ansible_collections.axops.retail.plugins.module_utils._engine import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Table
from ansible_collections.axops.retail.plugins.module_utils._engine.mssql import probes

_DIGITS = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))"
_PATIENCE = 10.0


def only_on(engine: str, reason: str) -> pytest.MarkDecorator:
    """For a test whose subject the other engine does not have: it is left out there, and that is said."""
    return pytest.mark.only_on(engine, reason)


def say(db: Database, *parameters: Any, postgresql: str, mssql: str) -> int:
    """A statement for which the engines have different words."""
    return db.execute({"postgresql": postgresql, "mssql": mssql}[db.target.engine], *parameters)


def count_up(db: Database, table: str, last: int, values: str, columns: str = "") -> None:
    """Insert rows into a table in schema ax, by one statement.

    :param values: SQL for the values of the row g, of which there are those from 1 to ``last``.
    :param columns: SQL for the columns that get them; all by default.
    """
    digits = range(len(str(last)))
    number = " + ".join("d%d.n * %d" % (digit, 10**digit) for digit in digits)
    places = " CROSS JOIN ".join("%s AS d%d (n)" % (_DIGITS, digit) for digit in digits)
    db.execute(
        'INSERT INTO ax."%s" %s SELECT %s FROM (SELECT %s + 1 AS g FROM %s) AS s WHERE g <= %d ORDER BY g'
        % (table, columns and "(%s)" % columns, values, number, places, last)
    )


def conflicts(db: Database) -> list[tuple[Any, ...]]:
    """The winner, the incoming image and the local one of each conflict; images as dictionaries, None where a row was not there."""
    found = db.query("SELECT winner, incoming_image, local_image FROM dbo.sync_conflict")
    return [(row[0], *(json.loads(image) if image else None for image in row[1:])) for row in found]


def end_connection(db: Database) -> None:
    """What the server does when the connection of a killed session ends: its locks go."""
    if db.target.engine == "postgresql":
        db.execute("SELECT pg_advisory_unlock_all()")
        return
    session = db.value("SELECT @@SPID")
    db._connection.close()
    db._connection = db.engine.connect.open_connection(db.target)
    db.prepared.clear()
    db._kept.clear()
    alive = "SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE session_id = ? AND session_id <> @@SPID"
    until = time.monotonic() + _PATIENCE
    while db.value(alive, session):
        assert time.monotonic() < until, "the server does not end the session %d" % session
        time.sleep(0.05)


def needs_row_locks(db: Database, table: Table) -> None:
    """Skip where a row that was read to be changed can be changed by others meanwhile.

    :param table: one with a row in it.
    """
    if db.target.engine == "mssql" and not mssql_world.heeds_hints(db, table):
        pytest.skip("this server does not heed WITH (UPDLOCK, HOLDLOCK)")


def needs_triggers_that_see(db: Database) -> None:
    """Skip where the triggers of a table that has lost a column see no rows any more; SQL Server's do."""
    if db.target.engine == "postgresql":
        return
    for statement in (
        "CREATE TABLE dbo.probed (n int NOT NULL PRIMARY KEY, more int)",
        "CREATE TABLE dbo.seen (n int NOT NULL)",
        "CREATE TRIGGER dbo.sees ON dbo.probed AFTER INSERT AS INSERT INTO dbo.seen SELECT i.n FROM inserted AS i",
        "INSERT INTO dbo.probed VALUES (1, 1)",
        "ALTER TABLE dbo.probed DROP COLUMN more",
        "INSERT INTO dbo.probed VALUES (2)",
    ):
        db.execute(statement)
    if db.value("SELECT COUNT(*) FROM dbo.seen") != 2:
        pytest.skip("triggers see no rows here of a table that has lost a column")


def reads_texts_from_json(db: Database) -> bool:
    """Whether OPENJSON ... WITH gives texts as they are, of any length and with what JSON escapes; SQL Server's does."""
    if db.target.engine == "postgresql":
        return True
    text = '"\n' + "x" * 5000
    read = "SELECT c FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (c nvarchar(max) '$.c')"
    return db.value(read, json.dumps([{"c": text}])) == text


def needs_texts_from_json(db: Database) -> None:
    """Skip where a text is not read from JSON as it is."""
    if not reads_texts_from_json(db):
        pytest.skip("OPENJSON ... WITH gives texts here as JSON escapes them, and no more than a part of long ones")


def writes_binary_as_json(db: Database) -> bool:
    """Whether the server can; FOR JSON of SQL Server can. What was left out is said."""
    if db.target.engine == "postgresql" or probes.works(
        db, "SELECT (SELECT CAST(0x00 AS varbinary(max)) AS b FOR JSON PATH)"
    ):
        return True
    mssql_world.lacks("FOR JSON takes no binary values here: a column of them was left out")
    return False


@pytest.fixture
def new_place(engine: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Target]]:
    """Return a function that makes one more empty database of the test's engine; ``apart=True``: on the second server, where there
    are two."""
    with ExitStack() as made:

        def make(apart: bool = False) -> Target:
            if engine == "mssql":
                return made.enter_context(mssql_world.fresh()).target
            server = request.getfixturevalue("pg_other_server" if apart else "pg_server")
            return target(request.getfixturevalue("new_database")(server))

        yield make
