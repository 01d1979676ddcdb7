# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change tracking: a ``<table>_tracking`` table beside each table, kept by triggers.

Set-based triggers on ``inserted`` and ``deleted``. Whoever may write the table need not have rights on its tracking table: the two have
one owner, and SQL Server then asks for rights on the first only. The server option ``nested triggers`` must be 1, as it is by default, for
writes of other triggers to be tracked; ``databases.check_server`` sees to it. TRUNCATE TABLE fires no trigger on SQL Server, and nothing
can refuse it: an audit finds the difference.
"""

from __future__ import annotations

from typing import Any

from .._model import Table, TableName
from .._phrases import LINK, pending_from, source_of
from . import companions, names, probes, sizes, texts

SUFFIX = "_tracking"
#: While this key of the session's context names a table, statements of ours write it, and write its tracking rows
#: themselves.
APPLYING = "axops.applying"
TRIGGERS = ("insert", "update", "delete")

#: SQL Server stamps every row that is written with a version of its own; nothing has to be said for it.
NOW = "GETUTCDATE()"
#: Which rows were written together. It starts again with the server: two transactions may then look like one, and where
#: one of them is refused the other is put aside with it, to be stored by a retry; one never looks like two.
TRANSACTION = "CURRENT_TRANSACTION_ID()"
SUBSTITUTE = "pg_catalog.txid_current()"
#: The transaction that a tracking row was written in.
SOURCE = source_of("t", "COALESCE(t.source_transaction, CAST(t.version AS bigint))")
#: So many rows, of three locks each, are too many to be locked one by one: they would take some thirty megabytes.
_MANY = 100_000
#: Of the database's own collation.
_OVERLOOKS = "SELECT CASE WHEN N'a' = N'A' THEN 1 ELSE 0 END"
#: The columns of a tracking table, beside the key.
_OWN = (
    *("version", "origin", "parent_version", "created_here", "sync_row_is_tombstone", "source_transaction"),
    *("earlier_transaction", "moved_in", "last_change_datetime"),
)
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
    meanwhile.

    For its row, by the lock on the table itself. So nobody is kept from anything by a lock on the whole tracking table, too, and
    without it there would be two for each of its rows, of which a small server runs out (1204). First the table, then its tracking:
    in this order all who write both take their locks.
    """
    keys = _keys(table)
    return _with_transaction(
        "IF EXISTS (SELECT 1 FROM {base} WITH (TABLOCK, HOLDLOCK)) "
        "INSERT INTO {tracking} WITH (TABLOCK) ({keys}, {columns}) SELECT {base_keys}, NULL, NULL, 1, 0, {transaction}, {now} "
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


def forget_versions(table: TableName, origin: int | None = None) -> str:
    """A statement after which no row of a table knows which version of the parent's it derives from.

    Few rows are locked one by one. Where there are many, hardly a writer would find one that is not locked, and each takes three
    locks, of which a small server runs out (1204): then one lock on the tracking table, for which whoever writes waits until the
    transaction ends. Those who read in a snapshot, as sessions do, wait for neither.

    :param origin: only of rows that came from this peer.
    """
    place = names.quote(*tracking_name(table))
    wanted = "parent_version IS NOT NULL" + ("" if origin is None else " AND origin = %d" % int(origin))
    update = "UPDATE %s%s SET parent_version = NULL WHERE %s"
    return "IF (SELECT COUNT(*) FROM (SELECT TOP (%d) 1 AS n FROM %s WHERE %s) AS q) < %d %s ELSE %s" % (
        *(_MANY, place, wanted, _MANY),
        update % (place, "", wanted),
        update % (place, " WITH (TABLOCK)", wanted),
    )


def renumber(table: TableName, taken_below: int) -> list[str]:
    """Statements that fit the versions of a moved database to its new server: none, they came with it."""
    return []


def number_elsewhere(number: int) -> int:
    """The number that a transaction of a peer on this engine has, where others have it, once the peer came to another server:
    the same, since it starts again at any time (:data:`TRANSACTION`)."""
    return number


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


def outdated(db: Any) -> set[TableName]:
    """The tables whose tracking an earlier release made, or does not hold their keys as they are now; :func:`create` brings it up to
    date."""
    rows = db.query(
        "SELECT TABLE_SCHEMA, TABLE_NAME, MAX(CASE WHEN COLUMN_NAME = N'moved_in' THEN 1 ELSE 0 END) "
        "FROM INFORMATION_SCHEMA.COLUMNS WHERE COLUMN_NAME IN (N'parent_version', N'moved_in') "
        "AND RIGHT(TABLE_NAME, %d) = %s GROUP BY TABLE_SCHEMA, TABLE_NAME" % (len(SUFFIX), names.literal(SUFFIX))
    )
    old = {TableName(schema, name[: -len(SUFFIX)]) for schema, name, is_new in rows if not is_new}
    # Its other columns may have the names of columns of the table.
    misfits = db.query(
        "SELECT DISTINCT b.TABLE_SCHEMA, b.TABLE_NAME %s AND c.TABLE_NAME = b.TABLE_NAME + %s AND LOWER(c.COLUMN_NAME) NOT IN (%s) "
        "AND EXISTS (SELECT 1 FROM INFORMATION_SCHEMA.COLUMNS p WHERE p.TABLE_SCHEMA = c.TABLE_SCHEMA "
        "AND p.TABLE_NAME = c.TABLE_NAME AND p.COLUMN_NAME = N'parent_version')"
        % (companions.MISFITS, names.literal(SUFFIX), ", ".join(names.literal(name) for name in _OWN))
    )
    return old | {TableName(*row) for row in misfits}


def overlooks_case(db: Any, table: Table) -> bool:
    """Whether a row is found here whatever the letter case of its key: so it may change while the key stays the same."""
    known = [column.collation.upper() for column in table.key_columns if texts.is_text(column)]
    if not known or any(collation and "_CI_" not in collation + "_" for collation in known):
        return False
    return all(known) or probes.is_so(db, _OVERLOOKS)


def pending(table: TableName) -> str:
    """SQL: the stamp from which on the parent may lack changes of a table, NULL where none of them go up."""
    return "CAST(%s AS binary(8))" % pending_from(names.quote, names.literal, "CHARINDEX(%s, %s)", table)


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
            names.literal(SUBSTITUTE[:-2]),
            names.literal(TRANSACTION),
            names.literal(SUBSTITUTE),
        )
    )


def _create_table(table: Table) -> list[str]:
    tracking = tracking_name(table.name)
    copies = ", ".join("%s NOT NULL" % companions.copied(column) for column in table.key_columns)
    place, by_version = names.quote(*tracking), sizes.by_version(table.key_columns)
    # Its second index is what a page of changes is read from: with the key in it extraction runs four times as fast.
    made = (
        "IF OBJECT_ID({literal}, N'U') IS NULL BEGIN CREATE TABLE {place} ({copies}, version rowversion NOT NULL, "
        "origin int NULL, "
        "parent_version bigint NULL, created_here smallint NOT NULL DEFAULT 0, sync_row_is_tombstone smallint NOT "
        "NULL DEFAULT 0, "
        "source_transaction bigint NULL, earlier_transaction bigint NULL, moved_in bigint NULL, "
        "last_change_datetime datetime NOT NULL DEFAULT {now}, CONSTRAINT {primary} "
        "{kind} ({key_names})); CREATE INDEX {index} ON {place} ({by_version}); END"
    ).format(
        literal=names.literal(place),
        place=place,
        copies=copies,
        now=NOW,
        primary=names.quote("PK_" + tracking.name),
        kind=sizes.primary_key(table.key_columns),
        key_names=", ".join(_keys(table)),
        by_version=by_version,
        index=names.quote(tracking.name + "_version"),
    )
    escalation = "ALTER TABLE %s SET (LOCK_ESCALATION = DISABLE)" % place
    fits = companions.fit(table.name, tracking, table.key_columns, tracking.name + "_version", by_version)
    return [made, escalation, *_add_columns(tracking), fits, companions.hand_on_rights(table.name, tracking)]


def _add_columns(tracking: TableName) -> list[str]:
    """What tracking of an earlier release lacks. With the triggers in one transaction: the column says that they are
    new, too."""
    return [
        "IF NOT EXISTS (SELECT 1 FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s "
        "AND COLUMN_NAME = N'%s') ALTER TABLE %s ADD %s bigint NULL"
        % (names.literal(tracking.schema), names.literal(tracking.name), column, names.quote(*tracking), column)
        for column in ("earlier_transaction", "moved_in")
    ]


def _create_trigger(table: Table, event: str) -> list[str]:
    name = names.quote(table.name.schema, _trigger_name(table.name, event))
    source = "deleted" if event == "delete" else "inserted"
    # Whoever writes a few rows at a time with SET ROWCOUNT has bounded the statements of triggers, too; it is so again behind us.
    # A deeper level is a write by another trigger: a change of its own, unless the row is one that we apply; then the
    # tracking row, which is written after the row, puts the origin right.
    body = (
        "SET NOCOUNT ON; SET ROWCOUNT 0; IF NOT EXISTS (SELECT 1 FROM {source}) RETURN; "
        "IF TRIGGER_NESTLEVEL() = 1 AND CAST(SESSION_CONTEXT({applying}) AS nvarchar(300)) = {table} RETURN; {work}"
    ).format(
        source=source,
        applying=names.literal(APPLYING),
        table=names.literal(str(table.name)),
        work=_BODIES[event](table),
    )
    trigger = "CREATE TRIGGER %s ON %s AFTER %s AS BEGIN %s END" % (name, names.quote(*table.name), event.upper(), body)
    return ["DROP TRIGGER IF EXISTS %s" % name, _with_transaction(trigger)]


def _write(
    table: Table, source: str, created: str, tombstone: int, moved: str, first_moved: str = "NULL", former: bool = False
) -> str:
    """The rows of ``source`` (alias s) become local changes.

    :param former: a key that is not tracked yet is noted as it was spelled before the change, for that is how others know it.
    :param moved: the transaction in which a row came to its key; ``first_moved`` of one that is not tracked yet.
    """
    # No range locks here: they would make all who sell at the same time wait for each other. The statement that fired
    # us holds
    # the row itself, and whoever else writes its tracking row has locked the row, or the gap in its place, before.
    # Re-created after a deletion that the parent sent: for the parent a new row. After a deletion of our own: a
    # changed one.
    keys = _keys(table)
    born = "CASE WHEN t.sync_row_is_tombstone <> 0 AND t.origin = 0 THEN 1 ELSE t.created_here END"
    return (
        "UPDATE t SET origin = NULL, earlier_transaction = {earlier}, "
        "source_transaction = {transaction}, sync_row_is_tombstone = {tombstone}, moved_in = {moved}, "
        "created_here = {born}, last_change_datetime = {now} FROM {tracking} AS t JOIN {source} ON {match}; "
        "IF @@ROWCOUNT > 0 {link}; "
        "INSERT INTO {tracking} ({keys}, {columns}, moved_in) SELECT {source_keys}, NULL, NULL, {created}, {tombstone}, "
        "{transaction}, {now}, {first_moved} "
        "FROM {source} WHERE NOT EXISTS (SELECT 1 FROM {tracking} AS t WHERE {match});"
    ).format(
        transaction=TRANSACTION,
        earlier=_earlier(table),
        tombstone=tombstone,
        moved=moved,
        first_moved=first_moved,
        born="t.created_here" if tombstone else born,
        now=NOW,
        tracking=names.quote(*tracking_name(table.name)),
        source=source,
        match=matching("t", "s", keys),
        keys=", ".join(keys),
        columns=_COLUMNS,
        source_keys=_former(table) if former else ", ".join("s." + key for key in keys),
        created=created,
        link=_link(table, source),
    )


def _former(table: Table) -> str:
    """SQL: the key of s as the row had it before; a collation may call both the same."""
    keys = [(names.quote(column.name), texts.is_text(column)) for column in table.key_columns]
    same = matching("o", "s", _keys(table))
    return ", ".join(
        "COALESCE((SELECT o.{0} FROM deleted AS o WHERE {1}), s.{0})".format(key, same) if text else "s." + key
        for key, text in keys
    )


def _earlier(table: Table) -> str:
    """The transaction that changed the row here before this one. Until it has gone up, what both wrote belongs
    together."""
    return (
        "CASE WHEN t.origin IS NULL AND t.source_transaction = %s THEN t.earlier_transaction "
        "WHEN (t.origin IS NULL OR t.origin <> 0) AND t.version >= %s THEN %s END"
        % (TRANSACTION, pending(table.name), SOURCE)
    )


def _link(table: Table, source: str) -> str:
    return (
        "INSERT INTO {link} (table_name, source_transaction, earlier_transaction) SELECT DISTINCT {name}, {transaction}, "
        "t.earlier_transaction FROM {tracking} AS t JOIN {source} ON {match} WHERE t.earlier_transaction IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM {link} AS l WHERE l.table_name = {name} AND l.source_transaction = {transaction} "
        "AND l.earlier_transaction = t.earlier_transaction)"
    ).format(
        link=names.quote(*LINK),
        name=names.literal(str(table.name)),
        transaction=TRANSACTION,
        tracking=names.quote(*tracking_name(table.name)),
        source=source,
        match=matching("t", "s", _keys(table)),
    )


def _inserted(table: Table) -> str:
    return _write(table, "inserted AS s", "1", 0, "NULL")


def _updated(table: Table) -> str:
    """A key that nobody has any more says so with a tombstone of its own, 2: its row lives on under another key.

    Which one is not known where a statement changes many keys, so all of its rows count as moved.
    """
    keys = _keys(table)
    left = "(SELECT %s FROM deleted AS o WHERE NOT EXISTS (SELECT 1 FROM inserted AS i WHERE %s)) AS s" % (
        ", ".join("o." + key for key in keys),
        matching("i", "o", keys),
    )
    is_new_key = "CASE WHEN EXISTS (SELECT 1 FROM deleted AS o WHERE %s) THEN 0 ELSE 1 END" % matching("o", "s", keys)
    return "DECLARE @moved bigint; IF EXISTS (SELECT 1 FROM %s) BEGIN SET @moved = %s; %s END; %s" % (
        left,
        TRANSACTION,
        _write(table, left, "0", 2, "t.moved_in"),
        _write(table, "inserted AS s", is_new_key, 0, "COALESCE(@moved, t.moved_in)", "@moved", former=True),
    )


def _deleted(table: Table) -> str:
    """Who deletes a moved row before it has gone up wants the parent to keep it: then under the key that the parent
    knows."""
    stays = (
        "IF EXISTS (SELECT 1 FROM {tracking} AS t JOIN deleted AS s ON {match} WHERE t.moved_in IS NOT NULL) BEGIN "
        "DECLARE @moves TABLE (number bigint NOT NULL PRIMARY KEY); INSERT INTO @moves SELECT DISTINCT t.moved_in "
        "FROM {tracking} AS t JOIN deleted AS s ON {match} WHERE t.moved_in IS NOT NULL; "
        "WHILE @@ROWCOUNT > 0 INSERT INTO @moves SELECT DISTINCT t.moved_in FROM {tracking} AS t "
        "WHERE t.sync_row_is_tombstone = 2 AND t.moved_in IS NOT NULL AND {source} IN (SELECT number FROM @moves) "
        "AND t.moved_in NOT IN (SELECT number FROM @moves); "
        "UPDATE t SET sync_row_is_tombstone = 1 FROM {tracking} AS t WHERE t.sync_row_is_tombstone = 2 "
        "AND {source} IN (SELECT number FROM @moves); END"
    ).format(tracking=names.quote(*tracking_name(table.name)), match=matching("t", "s", _keys(table)), source=SOURCE)
    return _write(table, "deleted AS s", "0", 1, "t.moved_in") + " " + stays


_BODIES = {"insert": _inserted, "update": _updated, "delete": _deleted}
