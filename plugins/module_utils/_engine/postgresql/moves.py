# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs of moves: beside a table that decides which rows a filter lets through, kept by triggers.

Such a log has a row for each image that came or went, with the version of the last time it did. See ``_filtering``.
"""

from __future__ import annotations

from typing import Any

from .._filter import MOVES, Moves
from .._model import Table, TableName
from . import moved, names, tracking, types

EVENTS = ("insert", "update", "delete", "truncate")

_TRANSITIONS = {
    "insert": "REFERENCING NEW TABLE AS inserted",
    "update": "REFERENCING OLD TABLE AS deleted NEW TABLE AS inserted",
    "delete": "REFERENCING OLD TABLE AS deleted",
    "truncate": "",
}


def create(moves: Moves, table: Table) -> list[str]:
    """Statements that put a log on a table; each may be run again."""
    statements = [_create_table(moves, table), _create_index(moves)]
    for event in _events(moves):
        statements += [_create_function(moves, event), *_create_trigger(moves, event)]
    return statements


def drop(log: TableName) -> list[str]:
    """Statements that take a log away, whatever of it is there."""
    functions = [names.quote(log.schema, _trigger_name(log, event)) for event in EVENTS]
    return ["DROP FUNCTION IF EXISTS %s() CASCADE" % function for function in functions] + [
        "DROP TABLE IF EXISTS %s" % names.quote(*log)
    ]


def renumber(log: TableName) -> list[str]:
    """Statements that fit the versions of a log that came from another cluster to the numbers of this one: what it says is old,
    and every receiver begins with a load. May be run again."""
    place = names.quote(*log)
    return ["UPDATE %s l SET version = 1 WHERE %s AND l.version <> 1" % (place, moved.came_along("l", place))]


def read(db: Any) -> dict[TableName, bool]:
    """The logs that there are, and whether each has all its triggers, enabled."""
    rows = db.query(
        "SELECT n.nspname, c.relname, bool_or(a.attname = 'entering'), (SELECT count(*) FROM pg_trigger g "
        "JOIN pg_class b ON b.oid = g.tgrelid WHERE b.relnamespace = c.relnamespace AND g.tgenabled IN ('O', 'A') "
        "AND left(g.tgname, length(c.relname) + 1) = c.relname || '_') "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relkind = 'r' AND position(%s IN c.relname) > 0 AND NOT a.attisdropped AND a.attname IN ('entering', 'leaving') "
        "GROUP BY c.oid, n.nspname, c.relname" % names.literal(MOVES)
    )
    return {TableName(row[0], row[1]): int(row[3]) == (4 if row[2] else 3) for row in rows}


def _events(moves: Moves) -> tuple[str, ...]:
    """A row that is new was under no filter before."""
    return EVENTS if moves.entering else EVENTS[1:]


def _trigger_name(log: TableName, event: str) -> str:
    return names.check("%s_%s" % (log.name, event))


def _columns(moves: Moves) -> list[str]:
    return [names.quote(column) for column in moves.columns]


def _create_table(moves: Moves, table: Table) -> str:
    by_name = {column.name: column for column in table.columns}
    kept = ["%s %s NOT NULL" % (names.quote(name), types.native(by_name[name].type)) for name in moves.columns]
    # The column's name says which kind of log this is.
    kind = "entering" if moves.entering else "leaving"
    return (
        "CREATE TABLE IF NOT EXISTS %s (%s, version bigint NOT NULL, %s timestamp(3) NOT NULL DEFAULT %s, PRIMARY KEY (%s))"
        % (names.quote(*moves.name), ", ".join(kept), kind, tracking.NOW, ", ".join(_columns(moves)))
    )


def _create_index(moves: Moves) -> str:
    name = names.quote(moves.name.name + "_v")
    return "CREATE INDEX IF NOT EXISTS %s ON %s (version)" % (name, names.quote(*moves.name))


def _create_function(moves: Moves, event: str) -> str:
    return (
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
        "AS $axops$ BEGIN INSERT INTO {log} AS l ({columns}, version) SELECT {picked}, {version} FROM (SELECT DISTINCT {columns} "
        "FROM ({images}) q) s WHERE {known} ORDER BY {picked} ON CONFLICT ({columns}) DO UPDATE SET version = excluded.version, "
        "{kind} = {now}; RETURN NULL; END $axops$"
    ).format(
        name=names.quote(moves.name.schema, _trigger_name(moves.name, event)), log=names.quote(*moves.name),
        columns=", ".join(_columns(moves)), picked=", ".join("s." + column for column in _columns(moves)),
        version=tracking.VERSION, images=_images(moves, event), kind="entering" if moves.entering else "leaving",
        known=" AND ".join("s.%s IS NOT NULL" % column for column in _columns(moves)), now=tracking.NOW,
    )  # fmt: skip


def _images(moves: Moves, event: str) -> str:
    """The images of this event that matter; of an update only those that differ in a column that is kept."""
    columns = ", ".join(_columns(moves))
    new, old = "SELECT %s FROM inserted" % columns, "SELECT %s FROM deleted" % columns
    gone = "(%s EXCEPT %s)" % (old, new)
    if event == "update":
        return gone + (" UNION ALL (%s EXCEPT %s)" % (new, old) if moves.entering else "")
    everything = "SELECT %s FROM %s" % (columns, names.quote(*moves.table))
    return {"insert": new, "delete": old, "truncate": everything}[event]


def _create_trigger(moves: Moves, event: str) -> list[str]:
    name, base = names.quote(_trigger_name(moves.name, event)), names.quote(*moves.table)
    return [
        "DROP TRIGGER IF EXISTS %s ON %s" % (name, base),
        "CREATE TRIGGER %s %s %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION %s()"
        % (
            name, "BEFORE" if event == "truncate" else "AFTER", event.upper(), base, _TRANSITIONS[event],
            names.quote(moves.name.schema, _trigger_name(moves.name, event)),
        ),
    ]  # fmt: skip
