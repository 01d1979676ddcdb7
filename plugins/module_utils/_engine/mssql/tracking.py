# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change tracking: a ``<table>_tracking`` table beside each table, kept by triggers.

Set-based triggers on ``inserted`` and ``deleted``. Whoever may write the table need not have rights on its tracking
table:
the two have one owner, and SQL Server then asks for rights on the first only. The server option ``nested triggers``
must be
1, as it is by default, for writes of other triggers to be tracked. TRUNCATE TABLE fires no trigger on SQL Server, and
nothing
can refuse it: an audit finds the difference.
"""

from __future__ import annotations

from typing import Any

from .._model import Table, TableName
from . import companions, names, types

SUFFIX = "_tracking"
#: While this key of the session's context names a table, statements of ours write it, and write its tracking rows
#: themselves.
APPLYING = "axops.applying"
TRIGGERS = ("insert", "update", "delete")

#: SQL Server stamps every row that is written with a version of its own; nothing has to be said for it.
NOW = "GETUTCDATE()"
#: Which rows were written together. It starts again with the server: two transactions may then look like one, which
#: does no
#: harm; one never looks like two.
TRANSACTION = "CURRENT_TRANSACTION_ID()"
_SUBSTITUTE = "pg_catalog.txid_current()"
_COLUMNS = "origin, parent_version, created_here, sync_row_is_tombstone, source_transaction, last_change_datetime"


def tracking_name(table: TableName) -> TableName:
    return table.with_suffix(SUFFIX)


def create(table: Table) -> list[str]:
    """Statements that put tracking on a table; each may be run again."""
    return [*_create_table(table)] + [statement for event in TRIGGERS for statement in _create_trigger(table, event)]


def drop(table: TableName) -> list[str]:
    """Statements that take tracking off a table again, whatever of it is there."""
    triggers = [
        "DROP TRIGGER IF EXISTS %s" % names.quote(table.schema, _trigger_name(table, event)) for event in TRIGGERS
    ]
    return [*triggers, "DROP TABLE IF EXISTS %s" % names.quote(*tracking_name(table))]


def track_existing(table: Table) -> str:
    """A statement that gives every row without a tracking row one, as if it were born here now; writers wait
    meanwhile."""
    keys = _keys(table)
    return _with_transaction(
        "INSERT INTO {tracking} ({keys}, {columns}) SELECT {base_keys}, NULL, NULL, 1, 0, {transaction}, {now} "
        "FROM {base} AS b WITH (TABLOCK, HOLDLOCK) WHERE NOT EXISTS (SELECT 1 FROM {tracking} AS t "
        "WHERE {match})".format(
            tracking=names.quote(*tracking_name(table.name)),
            keys=", ".join(keys),
            columns=_COLUMNS,
            base_keys=", ".join("b." + key for key in keys),
            transaction=TRANSACTION,
            now=NOW,
            base=names.quote(*table.name),
            match=matching("t", "b", keys),
        )
    )


def read(db: Any) -> dict[TableName, tuple[str, ...]]:
    """The tables that have a tracking table of ours, with the events (``insert`` …) whose trigger is there and
    enabled."""
    tables = db.query(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE COLUMN_NAME = N'parent_version' "
        "AND RIGHT(TABLE_NAME, %d) = %s" % (len(SUFFIX), names.literal(SUFFIX))
    )
    triggers = db.query(
        "SELECT s.name, o.name, g.name FROM sys.triggers g JOIN sys.tables o ON o.object_id = g.parent_id "
        "JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE g.is_disabled = 0"
    )
    there = {tuple(part.lower() for part in row) for row in triggers}
    found = {}
    for schema, name in tables:
        table = TableName(schema, name[: -len(SUFFIX)])
        found[table] = tuple(
            event
            for event in TRIGGERS
            if (schema.lower(), table.name.lower(), _trigger_name(table, event).lower()) in there
        )
    return found


def matching(left: str, right: str, keys: list[str]) -> str:
    """SQL: the keys of two aliases are equal."""
    return " AND ".join("%s.%s = %s.%s" % (left, key, right, key) for key in keys)


def _keys(table: Table) -> list[str]:
    return [names.quote(column.name) for column in table.key_columns]


def _trigger_name(table: TableName, event: str) -> str:
    return names.check("%s_%s_trigger" % (table.name, event))


def _with_transaction(statement: str) -> str:
    """The statement as a batch that runs, too, where the function goes by another name (Babelfish)."""
    if TRANSACTION not in statement:
        return statement
    return (
        # No SET NOCOUNT here: outside a trigger it would stay on for the whole session.
        "DECLARE @statement nvarchar(max) = %s; IF OBJECT_ID(%s) IS NOT NULL SET @statement = "
        "REPLACE(@statement, %s, %s); EXEC (@statement)"
        % (
            names.literal(statement),
            names.literal(_SUBSTITUTE[:-2]),
            names.literal(TRANSACTION),
            names.literal(_SUBSTITUTE),
        )
    )


def _create_table(table: Table) -> list[str]:
    tracking = tracking_name(table.name)
    keys = ", ".join(
        "%s %s NOT NULL" % (names.quote(column.name), types.native(column.type)) for column in table.key_columns
    )
    place, key_names = names.quote(*tracking), ", ".join(_keys(table))
    # Its second index is what a page of changes is read from: with the key in it extraction runs four times as fast.
    made = (
        "IF OBJECT_ID({literal}, N'U') IS NULL BEGIN CREATE TABLE {place} ({keys}, version rowversion NOT NULL, "
        "origin int NULL, "
        "parent_version bigint NULL, created_here smallint NOT NULL DEFAULT 0, sync_row_is_tombstone smallint NOT "
        "NULL DEFAULT 0, "
        "source_transaction bigint NULL, earlier_transaction bigint NULL, "
        "last_change_datetime datetime NOT NULL DEFAULT {now}, CONSTRAINT {primary} "
        "PRIMARY KEY ({key_names})); CREATE INDEX {index} ON {place} (version, {key_names}); END"
    ).format(
        literal=names.literal(place),
        place=place,
        keys=keys,
        now=NOW,
        primary=names.quote("PK_" + tracking.name),
        key_names=key_names,
        index=names.quote(tracking.name + "_version"),
    )
    return [
        made,
        "ALTER TABLE %s SET (LOCK_ESCALATION = DISABLE)" % place,
        companions.hand_on_rights(table.name, tracking),
    ]


def _create_trigger(table: Table, event: str) -> list[str]:
    name = names.quote(table.name.schema, _trigger_name(table.name, event))
    source = "deleted" if event == "delete" else "inserted"
    # A deeper level is a write by another trigger: a change of its own, unless the row is one that we apply; then the
    # tracking row, which is written after the row, puts the origin right.
    body = (
        "SET NOCOUNT ON; IF NOT EXISTS (SELECT 1 FROM {source}) RETURN; "
        "IF TRIGGER_NESTLEVEL() = 1 AND CAST(SESSION_CONTEXT({applying}) AS nvarchar(300)) = {table} RETURN; {work}"
    ).format(
        source=source,
        applying=names.literal(APPLYING),
        table=names.literal(str(table.name)),
        work=_BODIES[event](table),
    )
    trigger = "CREATE TRIGGER %s ON %s AFTER %s AS BEGIN %s END" % (name, names.quote(*table.name), event.upper(), body)
    return ["DROP TRIGGER IF EXISTS %s" % name, _with_transaction(trigger)]


#: The transaction before this one that changed the row here. What both wrote belongs together until it has gone up.
_EARLIER = (
    "CASE WHEN t.origin IS NULL AND t.source_transaction <> %s THEN t.source_transaction "
    "WHEN t.origin IS NULL THEN t.earlier_transaction END"
)


def _write(table: Table, source: str, created: str, tombstone: int, more: str) -> str:
    """The rows of ``source`` (alias s) become local changes."""
    # No range locks here: they would make all who sell at the same time wait for each other. The statement that fired
    # us holds
    # the row itself, and whoever else writes its tracking row has locked the row, or the gap in its place, before.
    keys = _keys(table)
    return (
        "UPDATE t SET origin = NULL, earlier_transaction = {earlier}, "
        "source_transaction = {transaction}, sync_row_is_tombstone = {tombstone}, "
        "last_change_datetime = {now}{more} FROM {tracking} AS t JOIN {source} ON {match}; "
        "INSERT INTO {tracking} ({keys}, {columns}) SELECT {source_keys}, NULL, NULL, {created}, {tombstone}, "
        "{transaction}, {now} "
        "FROM {source} WHERE NOT EXISTS (SELECT 1 FROM {tracking} AS t WHERE {match});"
    ).format(
        transaction=TRANSACTION,
        earlier=_EARLIER % TRANSACTION,
        tombstone=tombstone,
        now=NOW,
        more=more,
        tracking=names.quote(*tracking_name(table.name)),
        source=source,
        match=matching("t", "s", keys),
        keys=", ".join(keys),
        columns=_COLUMNS,
        source_keys=", ".join("s." + key for key in keys),
        created=created,
    )


def _inserted(table: Table) -> str:
    # Re-created after a deletion that the parent sent: for the parent a new row. After a deletion of our own: a
    # changed one.
    born = ", created_here = CASE WHEN t.sync_row_is_tombstone = 1 AND t.origin = 0 THEN 1 ELSE t.created_here END"
    return _write(table, "inserted AS s", "1", 0, born)


def _updated(table: Table) -> str:
    keys = _keys(table)
    gone = "(SELECT %s FROM deleted AS o WHERE NOT EXISTS (SELECT 1 FROM inserted AS i WHERE %s)) AS s" % (
        ", ".join("o." + key for key in keys),
        matching("i", "o", keys),
    )
    is_new_key = "CASE WHEN EXISTS (SELECT 1 FROM deleted AS o WHERE %s) THEN 0 ELSE 1 END" % matching("o", "s", keys)
    return _write(table, gone, "0", 1, "") + " " + _write(table, "inserted AS s", is_new_key, 0, "")


def _deleted(table: Table) -> str:
    return _write(table, "deleted AS s", "0", 1, "")


_BODIES = {"insert": _inserted, "update": _updated, "delete": _deleted}
