# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Microsoft Sync Framework has left in a database: reading it, and taking it away.

It never ran on PostgreSQL. A database that was migrated from SQL Server table by table may have its tables, and triggers that
do what its triggers did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .._canonical import numbered
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
from . import digests, names, tracking

_TABLES = (
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' "
    "AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
)
_COLUMNS = (
    "SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT a.attisdropped AND a.attname IN (%s)"
)
_TRIGGERS = (
    "SELECT n.nspname, c.relname, g.tgname, CASE WHEN g.tgenabled IN ('O', 'A') THEN 0 ELSE 1 END FROM pg_trigger g "
    "JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal"
)
_PROCEDURES = "SELECT DISTINCT n.nspname, p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
_TYPES = (
    "SELECT n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
    "JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'"
)
_SESSIONS = (
    "SELECT DISTINCT coalesce(host(client_addr), '') FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND application_name = "
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
    statements = []
    for name in tracked.triggers:
        statements.append("DROP TRIGGER IF EXISTS %s ON %s" % (names.quote(name.name), names.quote(*tracked.table)))
        # The function of a trigger goes by the trigger's name, as ours do.
        statements.append("DROP FUNCTION IF EXISTS %s()" % names.quote(*name))
    statements += ["DROP ROUTINE IF EXISTS %s" % names.quote(*name) for name in tracked.routines]
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
        "SELECT q.p FROM {keys} JOIN {tracking} t ON {match} WHERE t.{origin} IS NOT NULL "
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
        "SELECT %s FROM %s r WHERE r.sync_row_is_tombstone = 1 AND r.%s IS NULL"
        % (digests.wire_key(table), names.quote(*_tracking(tracked)), ORIGIN_COLUMN)
    )
    return [row[0] for row in rows]


def connected(db: Any, program: str) -> list[str]:
    """From which hosts a program is connected to this database, as far as this login may see; in alphabetical order."""
    return sorted(row[0] for row in db.query(_SESSIONS + names.literal(program)))


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
                "SELECT i.sync_scope_name, c.scope_status, CAST(c.config_data AS text) FROM %s i "
                "LEFT JOIN %s c ON c.config_id = i.scope_config_id" % (names.quote(*name), names.quote(*config))
            ):
                states.append((scope, status))
                texts.append(data or "")
    return texts, states


def _tracking(tracked: Tracked) -> TableName:
    return tracked.tracking or tracked.table.with_suffix(TRACKING_SUFFIX)


def _keys(table: Table) -> list[str]:
    return [names.quote(column.name) for column in table.key_columns]
