# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of PostgreSQL databases for the tests: restored in place, dumped to another server, cloned."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pgserver

Facts = dict[str, Any]


class Backups:
    """Databases, copied while nobody is connected to them."""

    def __init__(self) -> None:
        self._made: list[tuple[pgserver.PgServer, str]] = []

    def copy(self, server: pgserver.PgServer, facts: Facts, suffix: str) -> Facts:
        """Another database on the same server with the same content: a backup, or a clone."""
        name = "%s_%s" % (facts["database"], suffix)
        _sql(server, 'CREATE DATABASE "%s" TEMPLATE "%s"' % (name, facts["database"]))
        self._made.append((server, name))
        return server.facts(name)

    def restore(self, server: pgserver.PgServer, facts: Facts, backup: Facts) -> None:
        """The database becomes what the backup is; its name stays."""
        server.drop_database(facts["database"])
        _sql(server, 'CREATE DATABASE "%s" TEMPLATE "%s"' % (facts["database"], backup["database"]))

    def move(self, facts: Facts, server: pgserver.PgServer, *options: str) -> Facts:
        """Dump a database and load it into another server; ``options``: psql's."""
        moved = server.create_database(facts["database"] + "_moved")
        self._made.append((server, moved["database"]))
        dump = _run("pg_dump", facts, "--no-owner")
        _run("psql", moved, "--quiet", "--set", "ON_ERROR_STOP=1", *options, text=dump)
        return moved

    def move_in_order(self, facts: Facts, server: pgserver.PgServer, folder: Path, first: str) -> Facts:
        """The same, with what is about one table before the data of all others, as ``pg_restore --jobs`` may do it."""
        moved = server.create_database(facts["database"] + "_moved")
        self._made.append((server, moved["database"]))
        archive, order = str(folder / "dump"), folder / "order"
        _run("pg_dump", facts, "--format=custom", "--file", archive)
        listed = _run("pg_restore", None, "--list", archive).splitlines()
        # Stable: what there is to come before the data stays there.
        data = next(place for place, line in enumerate(listed) if " TABLE DATA " in line)
        order.write_text("\n".join(listed[:data] + sorted(listed[data:], key=lambda line: first not in line)))
        _run("pg_restore", moved, "--no-owner", "--exit-on-error", "--use-list", str(order), archive)
        return moved

    def drop(self) -> None:
        for server, name in self._made:
            server.drop_database(name)


def _sql(server: pgserver.PgServer, statement: str) -> None:
    connection = server.connect(autocommit=True)
    try:
        connection.execute(statement)
    finally:
        connection.close()


def _run(program: str, facts: Facts | None, *arguments: str, text: str = "") -> str:
    """``facts`` None: it connects to nothing."""
    command, environment = [str(pgserver.find_binaries() / program)], {"PATH": "/usr/bin:/bin"}
    if facts is not None:
        command += ["-h", facts["host"], "-p", str(facts["port"]), "-U", facts["user"], "-d", facts["database"]]
        environment["PGPASSWORD"] = facts["password"]
    done = subprocess.run(
        [*command, *arguments], input=text, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
