# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the histories need of a database server and the product does not: copies, triggers of the application, impatience."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pgserver
from integration import mssql_world

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target

#: Milliseconds that anybody waits for a lock. Whoever holds one here holds it until the history goes on.
PATIENCE = 15


class PostgresServer:
    """A throw-away PostgreSQL server."""

    #: Whether databases can be copied: templates, and backups that are put back.
    copies = True

    def __init__(self, server: pgserver.PgServer) -> None:
        facts = server.facts()
        self._target = Target(engine="postgresql", encrypt="no", **{**facts, "database": ""})
        self._admin = self.connect("postgres")
        # By files: a third of the work, since a template is at rest, and its pages need not go through the log.
        modern = int(self._admin.value("SHOW server_version_num")) >= 150000
        self._how = " STRATEGY FILE_COPY" if modern else ""

    def connect(self, database: str) -> Database:
        db = _engine.connect(self._target.on(database))
        db.execute("SET lock_timeout = '%dms'" % PATIENCE)
        return db

    def create(self, database: str, template: str = "template0") -> None:
        quote = self._admin.engine.names.quote
        self._admin.execute("CREATE DATABASE %s TEMPLATE %s%s" % (quote(database), quote(template), self._how))

    def drop(self, database: str) -> None:
        for statement in self._admin.engine.databases.drop(database):
            self._admin.execute(statement)

    def cut(self, db: Database) -> bool:
        """End a connection at the server. Returns whether this server can do that."""
        number = int(db.value("SELECT pg_backend_pid()"))
        until = time.monotonic() + 5
        # Asked here, since the server itself would wait for a tenth of a second at least.
        self._admin.value("SELECT pg_terminate_backend(%d)" % number)
        while self._admin.value("SELECT COUNT(*) FROM pg_stat_activity WHERE pid = %d" % number):
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def put_triggers(self, db: Database, writer: str) -> None:
        """The application's triggers on CUSTOMER: see ``fleet_shapes``."""
        db.execute(
            """CREATE FUNCTION ax.customer_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF;
            UPDATE ax."CUSTOMER" c SET "MODIFIED" = c."MODIFIED" + 1 FROM inserted i WHERE i."ID" = c."ID";
            INSERT INTO ax."STAMP" ("WRITER", "VALUE") SELECT '%s', i."VALUE" FROM inserted i ON CONFLICT DO NOTHING;
            RETURN NULL; END $$"""
            % writer
        )
        for event in ("INSERT", "UPDATE"):
            db.execute(
                'CREATE TRIGGER application_%s AFTER %s ON ax."CUSTOMER" REFERENCING NEW TABLE AS inserted '
                "FOR EACH STATEMENT EXECUTE FUNCTION ax.customer_written()" % (event.lower(), event)
            )

    def close(self) -> None:
        self._admin.close()


class MssqlServer:
    """The SQL Server that the environment names."""

    copies = False

    def __init__(self) -> None:
        self._target = mssql_world.server()
        self._admin = _engine.connect(self._target)

    def connect(self, database: str) -> Database:
        db = _engine.connect(self._target.on(database))
        db.execute("SET LOCK_TIMEOUT %d" % PATIENCE)
        return db

    def create(self, database: str) -> None:
        mssql_world.create(self._admin, database)

    def drop(self, database: str) -> None:
        for _try in range(50):
            try:
                self._admin.execute("DROP DATABASE IF EXISTS " + self._admin.engine.names.quote(database))
                return
            except _engine.RetailError:
                self._admin.value("SELECT 1")
        raise AssertionError("the database %s cannot be dropped" % database)

    def cut(self, db: Database) -> bool:
        number = int(db.value("SELECT @@SPID"))
        try:
            self._admin.execute("KILL %d" % number)
        except _engine.RetailError:
            return False
        return True

    def put_triggers(self, db: Database, writer: str) -> None:
        db.execute(
            "CREATE TRIGGER [ax].[customer_written] ON [ax].[CUSTOMER] AFTER INSERT, UPDATE AS BEGIN SET NOCOUNT ON; "
            "IF TRIGGER_NESTLEVEL() > 1 RETURN; "
            "UPDATE c SET [MODIFIED] = c.[MODIFIED] + 1 FROM [ax].[CUSTOMER] AS c JOIN inserted AS i ON i.[ID] = c.[ID]; "
            "INSERT INTO [ax].[STAMP] ([WRITER], [VALUE]) SELECT N'%s', i.[VALUE] FROM inserted AS i WHERE NOT EXISTS "
            "(SELECT 1 FROM [ax].[STAMP] AS s WHERE s.[WRITER] = N'%s' AND s.[VALUE] = i.[VALUE]) END"
            % (writer, writer)
        )

    def close(self) -> None:
        self._admin.close()


Server = PostgresServer | MssqlServer


def chosen_engine() -> str:
    """SQL Server where the environment names one, else PostgreSQL."""
    return "mssql" if os.environ.get(mssql_world.VARIABLE) else "postgresql"


@contextlib.contextmanager
def serving(engine: str) -> Iterator[Any]:
    """A server of this engine: a throw-away one, or the one that the environment names."""
    if engine == "mssql":
        with contextlib.closing(MssqlServer()) as server:
            yield server
        return
    with pgserver.throwaway("histories") as process, contextlib.closing(PostgresServer(process)) as server:
        yield server
