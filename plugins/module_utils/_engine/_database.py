# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection to one database, and the facts needed to open it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ._errors import RetailError, StatementFailed

#: Ways to log in by Microsoft Entra that ask nobody, as Microsoft's driver calls them.
AUTHENTICATIONS = (
    "ActiveDirectoryPassword",
    "ActiveDirectoryIntegrated",
    "ActiveDirectoryServicePrincipal",
    "ActiveDirectoryMsi",
)

LAST_PORT = 65535

#: So many queries stay prepared on a connection, see :meth:`Database.ask`.
_MOST_KEPT = 24


@dataclass(frozen=True)
class Target:
    """How to reach one database. ``password`` never leaves this object but for the driver; ``repr`` hides it.

    ``authentication``: one of ``AUTHENTICATIONS``, "" for a login of the server or the account that runs this. ``keytab``: a file by
    which that account gets Kerberos tickets.
    """

    engine: str
    host: str = "localhost"
    database: str = ""
    port: int | None = None
    instance: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    driver: str = ""
    encrypt: str = "yes"
    trust_server_certificate: bool = False
    ca_file: str = ""
    hostname_in_certificate: str = ""
    authentication: str = ""
    keytab: str = ""
    login_timeout: int = 15
    application_name: str = "axops.retail"
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """:raises RetailError: there can be no such server."""
        if not self.host.strip():
            raise RetailError(
                "The name of the database server is empty.", "Name it, or leave the option server out for localhost."
            )
        if self.port is not None and not 1 <= self.port <= LAST_PORT:
            raise RetailError(
                "%d is no TCP port of the database server %s." % (self.port, self.host),
                "Declare one from 1 to %d, or leave the option port out for the engine's own." % LAST_PORT,
            )
        if self.login_timeout < 0:
            raise RetailError(
                "%d is no number of seconds to wait for a connection." % self.login_timeout,
                "Set login_timeout to 1 or more, or to 0 to wait for ever.",
            )

    def on(self, database: str) -> Target:
        """The same server and login, another database."""
        return replace(self, database=database)

    @property
    def where(self) -> str:
        """For messages: host, port and database, nothing secret."""
        host = self.host + ("\\" + self.instance if self.instance else "")
        port = ":%d" % self.port if self.port else ""
        return "%s%s/%s" % (host, port, self.database) if self.database else host + port


class Database:
    """A connection that speaks through its engine's package (``.engine``).

    Outside :meth:`transaction` every statement commits by itself. ``statements`` counts what was sent, for the
    benchmark.
    """

    def __init__(self, target: Target, engine: Any) -> None:
        self.target = target
        self.engine = engine
        self.statements = 0
        self.closed = False
        #: What the engine's speaker has prepared on this connection: names with sizes; what was used last stands last.
        self.prepared: dict[str, int] = {}
        #: Queries that are asked again and again, with their cursors; what was asked last stands last.
        self._kept: dict[str, tuple[str, Any]] = {}
        self._connection = engine.connect.open_connection(target)
        self._in_transaction = False

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def another(self) -> Database:
        """A second connection of the same kind to the same database, for what must not wait until this one has read to the end.

        :raises ConnectFailed: the database refused, or is gone.
        """
        return Database(self.target, self.engine)

    def close(self) -> None:
        """Close; a transaction that is still open is rolled back by the server."""
        self.closed = True
        with contextlib.suppress(Exception):
            self._connection.close()

    def execute(self, sql: str, *parameters: Any) -> int:
        """Run one statement; returns the number of rows it touched (-1 where the driver does not know)."""
        return self._run(sql, parameters, _touched)

    def query(self, sql: str, *parameters: Any) -> list[Any]:
        """All rows of one query, as tuples that also answer to column names."""
        return self._run(sql, parameters, lambda cursor: _at_rows(cursor).fetchall())

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        """As :meth:`query`, for a query with parameters and short answers that is asked again and again.

        It stays prepared on the connection: to prepare, plan and forget it costs several times what answering it does.
        """
        was_prepared = sql in self._kept
        try:
            return self._run(sql, parameters, _all_of_it, True)
        except StatementFailed:
            if self._in_transaction or not was_prepared:
                raise
            # Somebody may have changed a table under the prepared query: then it is prepared anew.
            return self.query(sql, *parameters)

    def row(self, sql: str, *parameters: Any) -> Any | None:
        """The first row, None where there is none."""
        return self._run(sql, parameters, lambda cursor: _at_rows(cursor).fetchone())

    def value(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row, None where there is no row."""
        row = self.row(sql, *parameters)
        return None if row is None else row[0]

    def run_batch(self, sql: str) -> list[str]:
        """Run a batch of somebody else's script, as it stands; returns what it printed.

        :raises StatementFailed: the database refused; what the batch had printed before stands in ``said``.
        """
        self.statements += 1
        said: list[str] = []
        try:
            cursor = self._connection.cursor()
            try:
                cursor.noscan = True  # braces are the script's own, no escapes for the driver
                cursor.execute(sql)
                while True:
                    said += self.engine.scripts.said(cursor.messages or ())
                    if not cursor.nextset():
                        return said
            finally:
                cursor.close()
        except Exception as error:
            failure = self.failure(error)
            if isinstance(failure, StatementFailed):
                failure.said = tuple(said)
            raise failure from error

    def stream(self, sql: str, *parameters: Any) -> Iterator[Any]:
        """The rows of one query, read forward one by one while the server sends them: however large they are, no two of them are in
        memory at a time. Nothing else may run here until the last one."""
        self.statements += 1
        try:
            cursor = self._connection.cursor()
            try:
                cursor.execute(sql, *parameters)
                yield from cursor
            finally:
                cursor.close()
        except Exception as error:
            raise self.failure(error) from error

    def _run(self, sql: str, parameters: tuple, take: Any, kept: bool = False) -> Any:
        self.statements += 1
        try:
            with self._cursor_kept(sql) if kept else self._cursor(sql) as (text, cursor):
                cursor.execute(text, *parameters)
                return take(cursor)
        except Exception as error:
            raise self.failure(error) from error

    @contextlib.contextmanager
    def _cursor(self, sql: str) -> Iterator[tuple[str, Any]]:
        cursor = self._connection.cursor()
        try:
            yield sql, cursor
        finally:
            cursor.close()

    @contextlib.contextmanager
    def _cursor_kept(self, sql: str) -> Iterator[tuple[str, Any]]:
        """A cursor that has prepared this text, and the text: pyodbc prepares an equal one that is another object again."""
        text, cursor = self._kept.pop(sql, None) or (sql, self._connection.cursor())
        try:
            yield text, cursor
        except BaseException:
            cursor.close()
            raise
        self._kept[sql] = (text, cursor)
        self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        for sql in list(self._kept)[: max(0, len(self._kept) - _MOST_KEPT)]:
            _text, cursor = self._kept.pop(sql)
            cursor.close()

    def failure(self, error: Exception) -> Exception:
        """The driver's exception as ours; anything that is not the driver's comes back as it is."""
        state = error.args[0] if len(getattr(error, "args", ())) > 1 else ""
        if type(error).__module__ != "pyodbc":
            return error
        errors, text = self.engine.errors, str(error)
        kind = errors.classify(str(state), text)
        return StatementFailed(errors.plain_message(error), kind=kind, state=str(state), numbers=errors.numbers(text))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Database]:
        """Everything inside commits together, or nothing does. Not nestable."""
        if self._in_transaction:
            raise RuntimeError("a transaction is open already")
        self._connection.autocommit = False
        self._in_transaction = True
        try:
            yield self
            self._commit()
        except BaseException:
            with contextlib.suppress(Exception):
                self._connection.rollback()
            raise
        finally:
            self._in_transaction = False
            with contextlib.suppress(Exception):
                self._connection.autocommit = True

    @contextlib.contextmanager
    def patience(self, seconds: int) -> Iterator[None]:
        """Statements inside fail where they take longer."""
        self._connection.timeout = seconds
        try:
            yield
        finally:
            # A connection that is gone takes no more settings, and needs none.
            with contextlib.suppress(Exception):
                self._connection.timeout = 0

    def _commit(self) -> None:
        try:
            self.engine.connect.commit(self._connection)
        except Exception as error:
            raise self.failure(error) from error


def _touched(cursor: Any) -> int:
    """The row count of a batch's first statement. An error in a later one, or in a trigger, shows when its turn comes
    only."""
    count = cursor.rowcount
    while cursor.nextset():
        pass
    return count


def _all_of_it(cursor: Any) -> list[Any]:
    """The rows; then the cursor has nothing left that would keep the connection busy."""
    rows = _at_rows(cursor).fetchall()
    while cursor.nextset():
        pass
    return rows


def _at_rows(cursor: Any) -> Any:
    """The cursor at its first result that has rows: what precedes it are counts and messages."""
    while cursor.description is None and cursor.nextset():
        pass
    return cursor
