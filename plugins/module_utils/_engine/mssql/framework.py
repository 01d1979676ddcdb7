# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Microsoft Sync Framework has left in a database: reading it, and taking it away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .._canonical import numbered
from .._errors import RetailError
from .._framework import (
    BOOKS,
    ORIGIN_COLUMN,
    SCOPES,
    TRACKING_COLUMN,
    TRACKING_SUFFIX,
    TYPE_SUFFIX,
    Remains,
    Tracked,
    base_of,
    books,
    declared,
    event_of,
    table_of_routine,
    unfinished,
)
from .._model import Table, TableName
from . import digests, names, probes, tracking

# Its own tables and tracking tables, by the columns that only they have, and all others by name.
_TABLES = "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = N'BASE TABLE'"
_COLUMNS = "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE COLUMN_NAME IN (%s)"
_TRIGGERS = (
    "SELECT s.name, o.name, g.name, CAST(g.is_disabled AS int) FROM sys.triggers g JOIN sys.tables o "
    "ON o.object_id = g.parent_id JOIN sys.schemas s ON s.schema_id = o.schema_id"
)
_PROCEDURES = "SELECT s.name, p.name FROM sys.procedures p JOIN sys.schemas s ON s.schema_id = p.schema_id"
_TYPES = "SELECT s.name, t.name FROM sys.table_types t JOIN sys.schemas s ON s.schema_id = t.schema_id"
#: Who is connected; not where a server does not say in which database a session is.
_SESSIONS = (
    "SELECT DISTINCT COALESCE(host_name, N'') FROM sys.dm_exec_sessions WHERE database_id = DB_ID() "
    "AND session_id <> @@SPID AND program_name = "
)
#: Without one of these rights (the second came with SQL Server 2022) a login sees its own sessions alone.
_SEES_SESSIONS = (
    "SELECT CASE WHEN HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE') = 1 "
    "OR HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER PERFORMANCE STATE') = 1 THEN 1 ELSE 0 END"
)


def read(db: Any) -> Remains:
    """All that is there."""
    wanted = ", ".join(names.literal(name) for name in (*BOOKS.values(), TRACKING_COLUMN))
    marked = [(TableName(row[0], row[1]), row[2]) for row in db.query(_COLUMNS % wanted)]
    there = {TableName(row[0], row[1]) for row in db.query(_TABLES)}
    own = books(marked, there)
    configured, states = _configurations(db, own)
    named = declared(configured)
    trackings = [name for name, column in marked if column == TRACKING_COLUMN]
    return Remains(own, _scopes(db, own), _tracked(db, trackings, there, named), named, unfinished(states))


def drop_table(tracked: Tracked) -> list[str]:
    """Statements that take away what there is of one table, whatever of it is still there."""
    statements = ["DROP TRIGGER IF EXISTS %s" % names.quote(*name) for name in tracked.triggers]
    statements += ["DROP PROCEDURE IF EXISTS %s" % names.quote(*name) for name in tracked.routines]
    statements += ["DROP TYPE IF EXISTS %s" % names.quote(*name) for name in tracked.types]
    if tracked.tracking is not None:
        statements.append("DROP TABLE IF EXISTS %s" % names.quote(*tracked.tracking))
    return statements


def drop_books(remains: Remains) -> list[str]:
    """Statements that take away its own tables."""
    return ["DROP TABLE IF EXISTS %s" % names.quote(*name) for name in remains.books]


def received(db: Any, table: Table, tracked: Tracked, keys: Sequence[str]) -> set[int]:
    """Which of the rows came by a scope and have not been changed here since, as places in ``keys``.

    :param keys: wire objects, as :func:`digests.members` gives them.
    """
    rows = db.query(
        "SELECT q.p FROM {keys} JOIN {tracking} AS t ON {match} WHERE t.{origin} IS NOT NULL "
        "AND t.sync_row_is_tombstone = 0".format(
            keys=digests.keys_from_json(table),
            tracking=names.quote(*_tracking(tracked)),
            match=tracking.matching("t", "q", _keys(table)),
            origin=ORIGIN_COLUMN,
        ),
        numbered(keys),
    )
    return {int(row[0]) for row in rows}


def deleted(db: Any, table: Table, tracked: Tracked) -> list[str]:
    """The rows that were deleted here, and not by a scope, as wire objects of their keys."""
    rows = db.query(
        "SELECT %s FROM %s AS r WHERE r.sync_row_is_tombstone = 1 AND r.%s IS NULL"
        % (digests.wire_key(table), names.quote(*_tracking(tracked)), ORIGIN_COLUMN)
    )
    return [row[0] for row in rows]


def connected(db: Any, program: str) -> list[str]:
    """From which hosts a program is connected to this database, in alphabetical order.

    :raises RetailError: this login may not see that.
    """
    question = _SESSIONS + names.literal(program)
    if not probes.works(db, question):
        return []
    if not db.value(_SEES_SESSIONS):
        raise RetailError(
            "Whether %s is connected to %s cannot be told: the login %s sees its own sessions alone."
            % (program, db.target.where, db.target.user or "of this account"),
            "Give it that right in the database master, until this is done: GRANT VIEW SERVER STATE TO [LOGIN].",
        )
    return sorted(row[0] for row in db.query(question))


def _tracked(
    db: Any, trackings: Iterable[TableName], there: set[TableName], named: Iterable[TableName]
) -> dict[TableName, Tracked]:
    """The tables that have a tracking table of its own; and those that only its scopes name, where they have its triggers.

    Ours have the same names, so of a table that we track they are ours.
    """
    bases = {base_of(name, there): name for name in trackings if name.name.endswith(TRACKING_SUFFIX)}
    places = {**{name: name for name in set(named) - set(tracking.read(db))}, **bases}
    spelled = {(name.schema.lower(), name.name.lower()): name for name in places}
    triggers: dict[TableName, list[tuple[TableName, str, bool]]] = defaultdict(list)
    for schema, table, trigger, is_disabled in db.query(_TRIGGERS) if places else ():
        event, base = event_of(trigger, table), spelled.get((schema.lower(), table.lower()))
        if event and base:
            triggers[base].append((TableName(schema, trigger), event, not is_disabled))
    routines, types = _by_table(db, places)
    return {
        base: Tracked(
            base,
            bases.get(base),
            tuple(event for _name, event, is_enabled in triggers.get(base, ()) if is_enabled),
            tuple(sorted(name for name, _event, _is_enabled in triggers.get(base, ()))),
            tuple(sorted(routines.get(base, ()))),
            tuple(sorted(types.get(base, ()))),
        )
        for base in sorted({*bases, *triggers})
    }


def _by_table(
    db: Any, places: dict[TableName, TableName]
) -> tuple[dict[TableName, list[TableName]], dict[TableName, list[TableName]]]:
    """The procedures and the types of each table: they are in the schema of its tracking table."""
    owners = {(place.schema.lower(), base.name.lower()): base for base, place in places.items()}
    routines: dict[TableName, list[TableName]] = defaultdict(list)
    types: dict[TableName, list[TableName]] = defaultdict(list)
    if not places:
        return routines, types
    for schema, name in db.query(_PROCEDURES):
        owner = owners.get((schema.lower(), table_of_routine(name).lower()))
        if owner:
            routines[owner].append(TableName(schema, name))
    for schema, name in db.query(_TYPES):
        is_bulk = name.lower().endswith(TYPE_SUFFIX.lower())
        owner = owners.get((schema.lower(), name[: -len(TYPE_SUFFIX)].lower())) if is_bulk else None
        if owner:
            types[owner].append(TableName(schema, name))
    return routines, types


def _scopes(db: Any, books: Iterable[TableName]) -> tuple[str, ...]:
    found = [
        row[0]
        for name in books
        if name.name == SCOPES
        for row in db.query("SELECT sync_scope_name FROM %s" % names.quote(*name))
    ]
    return tuple(sorted(found))


def _configurations(db: Any, books: Iterable[TableName]) -> tuple[list[str], list[tuple[str, str]]]:
    """What the scopes say of their tables, and how far each has been provisioned."""
    there = set(books)
    texts, states = [], []
    for name in there:
        config = TableName(name.schema, "scope_config")
        if name.name == SCOPES and config in there:
            for scope, status, data in db.query(
                "SELECT i.sync_scope_name, c.scope_status, CAST(c.config_data AS nvarchar(max)) FROM %s AS i "
                "LEFT JOIN %s AS c ON c.config_id = i.scope_config_id" % (names.quote(*name), names.quote(*config))
            ):
                states.append((scope, status))
                texts.append(data or "")
    return texts, states


def _tracking(tracked: Tracked) -> TableName:
    return tracked.tracking or tracked.table.with_suffix(TRACKING_SUFFIX)


def _keys(table: Table) -> list[str]:
    return [names.quote(column.name) for column in table.key_columns]
