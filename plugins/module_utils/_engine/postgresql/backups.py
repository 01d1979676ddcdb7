# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups with pg_dump: a file where this runs, with what it was made of in another one beside it.

The second file is written last. A backup without it, or whose file is not the one that it describes, is none: a run was cut off.
"""

from __future__ import annotations

import builtins
import contextlib
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace as changed
from typing import Any

from .._backup import Backup, Damaged
from .._errors import RetailError, StatementFailed
from . import databases, marks, names, programs

SUFFIX = ".dump"
#: Where backups go unless told otherwise.
DIRECTORY = "/var/backups/axops-retail"

_FACTS = ".json"
_TABLES = (
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
    "AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2"
)
#: What the text of a value depends on.
_SPELLING = ("datestyle TO 'ISO, YMD'", "intervalstyle TO 'iso_8601'", "extra_float_digits TO 1", "bytea_output TO 'hex'",
             "timezone TO 'UTC'")  # fmt: skip
_RIGHTS = (
    "SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type FROM pg_database d, "
    "LATERAL aclexplode(d.datacl) a WHERE d.datname = CAST(? AS text)"
)
_DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = CAST(? AS text)"
_IN_USE, _ATTEMPTS = "55006", 5
#: What the database itself remembers, as a setting that nothing reads.
_NOTE = "axops_retail.restored_from"


def directory(server: Any) -> str:
    """Where backups go unless told otherwise."""
    return DIRECTORY


def check(server: Any) -> None:
    """See that backups can be made here.

    :raises RetailError: pg_dump or pg_restore is not there.
    """
    for program in ("pg_dump", "pg_restore"):
        programs.find(program)


def read(server: Any, folder: str, name: str) -> Backup | None:
    """The backup of that name, None where there is none, or where it was cut off or has changed since."""
    backup = _facts(os.path.join(folder, name + _FACTS))
    path = os.path.join(folder, name + SUFFIX)
    return backup if backup and os.path.exists(path) and _digest(path) == backup.digest else None


def list(server: Any, folder: str, database: str) -> builtins.list[Backup]:  # noqa: A001 - as databases.list
    """The backups of that database in the folder, the oldest first."""
    found = [_facts(path) for path in glob.glob(os.path.join(glob.escape(folder), "*" + _FACTS))]
    there = [one for one in found if one and one.database == database]
    return sorted(there, key=lambda one: (one.made, one.name))


def prepare(server: Any, folder: str) -> None:
    """Make the folder, for nobody else to read; one that is there is left as it is.

    :raises RetailError: it cannot be made.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise RetailError(
            "The folder %s cannot be made: %s." % (folder, error.strerror),
            "Make it, for the account that the module runs as, or set the option directory.",
        ) from None


def prepared(server: Any, folder: str) -> bool:
    """Whether the folder is there."""
    return os.path.isdir(folder)


def make(db: Any, folder: str, backup: Backup, with_content: bool) -> Backup:
    """Back up the connected database; a backup of that name is replaced once the new one is whole.

    :param with_content: note what each table has, for :func:`compare`.
    :raises RetailError: it failed, and an earlier backup of that name is as it was.
    """
    path = os.path.join(folder, backup.name + SUFFIX)
    with _temporary(folder, backup.name) as file:
        # The dump sees what this transaction sees, however many sales come meanwhile.
        with marks.snapshot(db):
            snapshot = str(db.value("SELECT pg_export_snapshot()"))
            programs.run(db.target, "pg_dump", "--format=custom", "--snapshot=" + snapshot, "--file=" + file)
            found = _content(db) if with_content else {}
            options = databases.options(db)
        lasting = {name: options[name] for name in databases.LASTING}
        made = changed(backup, digest=_digest(file), lasting=lasting, content=found)
        _sync(file)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, backup.name + _FACTS))
        os.replace(file, path)
    _write(folder, made)
    return made


def verify(server: Any, folder: str, backup: Backup) -> None:
    """Read the backup through.

    :raises Damaged: it cannot be restored.
    """
    path = os.path.join(folder, backup.name + SUFFIX)
    programs.run(None, "pg_restore", "--file=" + os.devnull, path, failure=Damaged)


def restore(server: Any, folder: str, backup: Backup, name: str) -> None:
    """Restore into a new database; one of that name is dropped first.

    :raises Damaged: it cannot be restored; there is no such database then.
    """
    path = os.path.join(folder, backup.name + SUFFIX)
    _drop(server, name)
    for statement in databases.create(name, backup.lasting):
        server.execute(statement)
    try:
        programs.run(server.target.on(name), "pg_restore", "--exit-on-error", path, failure=Damaged)
    except BaseException:
        _drop(server, name)
        raise


def content(db: Any) -> dict[str, tuple[int, str]]:
    """Of each table of the connected database how many rows it has, and a digest of them."""
    with marks.snapshot(db):
        return _content(db)


def mark_tested(server: Any, folder: str, backup: Backup) -> None:
    """Note that the backup was restored, and found whole."""
    _write(folder, changed(backup, tested=True))


def put_in_place(server: Any, name: str, restored: str) -> None:
    """Let the database ``restored`` take the place of the one of that name, which is dropped, whoever is connected to it.

    Owner, limit of connections and rights on the database are those of the old one. At every moment there is one of that name.

    :raises StatementFailed: somebody connects to the old one again and again.
    """
    if not databases.exists(server, name):
        server.execute(_renaming(restored, name))
        return
    with contextlib.closing(_on(server, name)) as db:
        options = databases.options(db)
    wanted = {option: options[option] for option in ("owner", "connection_limit")}
    for statement in databases.set_options(restored, wanted) + _rights(server, name, restored):
        server.execute(statement)
    old = beside(name, "replaced")
    _drop(server, old)
    for attempt in range(_ATTEMPTS):
        try:
            with server.transaction():
                server.query(_DISCONNECT, name)
                # From here on nobody can connect, and who is connected has some seconds to go.
                server.execute(_renaming(name, old))
                server.execute(_renaming(restored, name))
            break
        except StatementFailed as error:
            if error.state != _IN_USE or attempt + 1 == _ATTEMPTS:
                raise
    _drop(server, old)


def beside(name: str, purpose: str) -> str:
    """A name for a database that is there for a while beside the one of that name."""
    room = names.MAX_BYTES - len(purpose) - 1
    return "%s_%s" % (name.encode("utf-8")[:room].decode("utf-8", "ignore"), purpose)


def remove(server: Any, folder: str, name: str) -> None:
    """Remove a backup."""
    for suffix in (_FACTS, SUFFIX):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name + suffix))


def note(server: Any, name: str, text: str) -> None:
    """Let a database remember which backup it was restored from."""
    server.execute("ALTER DATABASE %s SET %s TO %s" % (names.quote(name), _NOTE, names.literal(text)))


def noted(server: Any, name: str) -> str:
    """What :func:`note` wrote, empty where it did not."""
    rows = server.query(
        "SELECT unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase "
        "WHERE s.setrole = 0 AND d.datname = CAST(? AS text)",
        name,
    )
    prefix = _NOTE + "="
    return next((row[0][len(prefix) :] for row in rows if row[0].startswith(prefix)), "")


def _on(server: Any, name: str) -> Any:
    return type(server)(server.target.on(name), server.engine)


def _drop(server: Any, name: str) -> None:
    for statement in databases.drop(name):
        server.execute(statement)


def _renaming(name: str, other: str) -> str:
    return "ALTER DATABASE %s RENAME TO %s" % (names.quote(name), names.quote(other))


def _rights(server: Any, name: str, other: str) -> builtins.list[str]:
    """Statements that give everybody the rights on the database ``other`` that they have on the one of that name."""
    given = server.query(_RIGHTS, name)
    if not given:
        return []
    statements = ["REVOKE ALL ON DATABASE %s FROM PUBLIC" % names.quote(other)]
    for grantee, right in given:
        who = names.quote(grantee) if grantee else "PUBLIC"
        statements.append("GRANT %s ON DATABASE %s TO %s" % (right, names.quote(other), who))
    return statements


def _content(db: Any) -> dict[str, tuple[int, str]]:
    for setting in _SPELLING:
        db.execute("SET LOCAL %s" % setting)
    found = {}
    for schema, table in db.query(_TABLES):
        row = db.row(
            "SELECT count(*), CAST(coalesce(sum(hashtextextended(CAST(t AS text), 0)), 0) AS text) FROM %s t"
            % names.quote(schema, table)
        )
        found["%s.%s" % (schema, table)] = (int(row[0]), str(row[1]))
    return found


# ---- files


def _facts(path: str) -> Backup | None:
    """What a file says of a backup, None where it is none of ours."""
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
        document["content"] = {table: (int(rows), str(digest)) for table, (rows, digest) in document["content"].items()}
        return Backup(**document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _write(folder: str, backup: Backup) -> None:
    with _temporary(folder, backup.name) as file:
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(backup.document(), stream, indent=1, sort_keys=True)
        _sync(file)
        os.replace(file, os.path.join(folder, backup.name + _FACTS))
    _sync(folder)


@contextlib.contextmanager
def _temporary(folder: str, name: str) -> Iterator[str]:
    """A new file in the folder that nobody else may read; it is gone afterwards, unless it was given another name."""
    descriptor, path = tempfile.mkstemp(dir=folder, prefix=".%s." % name)
    os.close(descriptor)
    try:
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _digest(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
