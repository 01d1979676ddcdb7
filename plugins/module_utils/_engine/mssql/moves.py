# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs of moves: beside a table that decides which rows a filter lets through, kept by triggers.

Such a log has a row for each image that came or went, with the version of the last time it did. See ``_filtering``. TRUNCATE TABLE
fires no trigger on SQL Server: a table that decides who is a member must be emptied with DELETE.
"""

from __future__ import annotations

from typing import Any

from .._filter import MOVES, Moves, before_digest
from .._model import Column, Table, TableName
from . import companions, names, sizes, tracking

EVENTS = ("insert", "update", "delete")


def create(moves: Moves, table: Table) -> list[str]:
    """Statements that put a log on a table; each may be run again."""
    place = names.quote(*moves.name)
    statements = [
        _create_table(moves, table),
        companions.fit(moves.table, moves.name, _kept(moves, table), moves.name.name + "_v", "version"),
        "ALTER TABLE %s SET (LOCK_ESCALATION = DISABLE)" % place,
        companions.hand_on_rights(moves.table, moves.name),
    ]
    for event in _events(moves):
        statements += _create_trigger(moves, event)
    return statements


def drop(log: TableName) -> list[str]:
    """Statements that take a log away, whatever of it is there."""
    triggers = ["DROP TRIGGER IF EXISTS %s" % names.quote(log.schema, _trigger_name(log, event)) for event in EVENTS]
    return [*triggers, "DROP TABLE IF EXISTS %s" % names.quote(*log)]


def renumber(log: TableName) -> list[str]:
    """Statements that fit the versions of a moved database to its new server: none, they came with it."""
    return []


def read(db: Any) -> dict[TableName, bool]:
    """The logs that there are, and whether each has all its triggers, enabled, and holds the columns as they are now."""
    logs = db.query(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS "
        "WHERE COLUMN_NAME IN (N'entering', N'leaving') AND CHARINDEX(%s, TABLE_NAME) > 0" % names.literal(MOVES)
    )
    if not logs:
        return {}
    triggers = db.query("SELECT g.name FROM sys.triggers g WHERE g.is_disabled = 0")
    misfits = db.query(
        "SELECT b.TABLE_SCHEMA, b.TABLE_NAME, c.TABLE_NAME %s AND CHARINDEX(%s, c.TABLE_NAME) > 0 "
        "AND c.COLUMN_NAME NOT IN (N'version', N'entering', N'leaving')" % (companions.MISFITS, names.literal(MOVES))
    )
    narrow = {
        TableName(schema, log)
        for schema, table, log in misfits
        if log.startswith(before_digest(TableName(schema, table)))
    }
    there = {row[0].lower() for row in triggers}
    found = {}
    for schema, name, kind in logs:
        log = TableName(schema, name)
        events = EVENTS if kind == "entering" else EVENTS[1:]
        found[log] = log not in narrow and all(_trigger_name(log, event).lower() in there for event in events)
    return found


def _events(moves: Moves) -> tuple[str, ...]:
    """A row that is new was under no filter before."""
    return EVENTS if moves.entering else EVENTS[1:]


def _trigger_name(log: TableName, event: str) -> str:
    return names.check("%s_%s" % (log.name, event))


def _columns(moves: Moves, alias: str = "") -> str:
    return ", ".join(alias + names.quote(column) for column in moves.columns)


def _kept(moves: Moves, table: Table) -> list[Column]:
    by_name = {column.name: column for column in table.columns}
    return [by_name[name] for name in moves.columns]


def _create_table(moves: Moves, table: Table) -> str:
    columns = _kept(moves, table)
    kept = ["%s NOT NULL" % companions.copied(column) for column in columns]
    place = names.quote(*moves.name)
    # The column's name says which kind of log this is.
    return (
        "IF OBJECT_ID({literal}, N'U') IS NULL BEGIN CREATE TABLE {place} ({kept}, version rowversion NOT NULL, "
        "{kind} datetime NOT NULL DEFAULT {now}, CONSTRAINT {primary} {key} ({columns})); "
        "CREATE INDEX {index} ON {place} (version); END"
    ).format(
        literal=names.literal(place),
        place=place,
        kept=", ".join(kept),
        kind="entering" if moves.entering else "leaving",
        now=tracking.NOW,
        primary=names.quote("PK_" + moves.name.name),
        key=sizes.primary_key(columns),
        columns=_columns(moves),
        index=names.quote(moves.name.name + "_v"),
    )


def _create_trigger(moves: Moves, event: str) -> list[str]:
    name = names.quote(moves.name.schema, _trigger_name(moves.name, event))
    match = " AND ".join("l.{0} = s.{0}".format(names.quote(column)) for column in moves.columns)
    known = " AND ".join("q.%s IS NOT NULL" % names.quote(column) for column in moves.columns)
    # Two writers of one image wait for each other: the one that comes last has to give it its version. SET ROWCOUNT: as in tracking.
    body = (
        "SET NOCOUNT ON; SET ROWCOUNT 0; UPDATE l SET {kind} = {now} FROM {log} AS l WITH (UPDLOCK, HOLDLOCK) JOIN {images} ON {match}; "
        "INSERT INTO {log} ({columns}) SELECT {picked} FROM {images} "
        "WHERE NOT EXISTS (SELECT 1 FROM {log} AS l WITH (UPDLOCK, HOLDLOCK) WHERE {match});"
    ).format(
        kind="entering" if moves.entering else "leaving",
        now=tracking.NOW,
        log=names.quote(*moves.name),
        images="(SELECT DISTINCT %s FROM (%s) AS q WHERE %s) AS s" % (_columns(moves), _images(moves, event), known),
        match=match,
        columns=_columns(moves),
        picked=_columns(moves, "s."),
    )
    trigger = "CREATE TRIGGER %s ON %s AFTER %s AS BEGIN %s END" % (
        name,
        names.quote(*moves.table),
        event.upper(),
        body,
    )
    return ["DROP TRIGGER IF EXISTS %s" % name, trigger]


def _images(moves: Moves, event: str) -> str:
    """The images of this event that matter; of an update only those that differ in a column that is kept."""
    new, old = "SELECT %s FROM inserted" % _columns(moves), "SELECT %s FROM deleted" % _columns(moves)
    if event != "update":
        return new if event == "insert" else old
    gone = "SELECT * FROM (%s EXCEPT %s) AS o" % (old, new)
    return gone + (" UNION ALL SELECT * FROM (%s EXCEPT %s) AS n" % (new, old) if moves.entering else "")
