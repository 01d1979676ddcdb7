# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a module could change, as digests by name: two that are equal saw the same world."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pgserver

#: Catalogs of one database. A row that is written anew has another xmin, even with what it had before; ANALYZE writes
#: in place.
_CATALOGS = (
    "pg_namespace", "pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_proc", "pg_trigger",
    "pg_type", "pg_default_acl",
)  # fmt: skip
#: Catalogs of the whole server.
_SHARED = ("pg_authid", "pg_auth_members", "pg_db_role_setting")
_DATABASES = "SELECT datname, xmin::text FROM pg_database WHERE starts_with(datname, ?)"
#: The names of tables with rows, and of sequences.
_FILLED = """
SELECT c.oid::regclass::text, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
AND (c.relkind = 'S' OR c.relkind = 'r' AND pg_relation_size(c.oid) > 0)
"""
#: What a table holds, and where a sequence is.
_DIGEST = {
    "r": "md5(string_agg(t::text || ctid::text || xmin::text, ',' ORDER BY ctid))",
    "S": "last_value || is_called::text",
}


def take(world: Mapping[str, Any]) -> dict[str, Any]:
    """The databases of ``server`` whose names begin with ``prefix``, the server's roles, and what is in ``folders``."""
    seen: dict[str, Any] = {}
    if world.get("server"):
        seen.update(_server(world["server"], world["prefix"]))
    for folder in world["folders"]:
        seen.update(_files(Path(folder)))
    return seen


def _server(facts: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    connection = pgserver.connect({**facts, "database": "postgres"}, autocommit=True)
    for catalog in _SHARED:
        yield f"roles: {catalog}", _value(connection, _written(catalog))
    databases = [tuple(row) for row in connection.execute(_DATABASES, prefix)]
    connection.close()
    for name, written in databases:
        yield f"database {name}", written
        yield from _database({**facts, "database": name})


def _database(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    connection = pgserver.connect(facts, autocommit=True)
    name = facts["database"]
    for catalog in _CATALOGS:
        yield f"{name}: {catalog}", _value(connection, _written(catalog))
    for table, kind in list(connection.execute(_FILLED)):
        yield f"{name}: {table}", _value(connection, f"SELECT {_DIGEST[kind]} FROM {table} t")
    connection.close()


def _written(catalog: str) -> str:
    return f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(ctid::text || xmin::text, 0)), 0) FROM {catalog}"


def _value(connection: Any, sql: str) -> Any:
    return connection.execute(sql).fetchone()[0]


def _files(folder: Path) -> Iterator[tuple[str, Any]]:
    for parent, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = Path(parent, name)
            status = path.lstat()
            content = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
            yield (
                str(path),
                [oct(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns * (not path.is_dir()), content],
            )
