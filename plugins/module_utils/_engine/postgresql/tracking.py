# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change tracking: a ``<table>_tracking`` table beside each table, kept by triggers.

Set-based triggers with transition tables: they cost a third of per-row ones. They run with their owner's rights, as triggers
on SQL Server do through ownership chaining, so whoever may write the table need not have rights on its tracking table.
"""

from __future__ import annotations

from typing import Any

from .._model import Table, TableName
from . import names, types

SUFFIX = "_tracking"
#: While this setting names a table, statements of ours write it, and write its tracking rows themselves.
APPLYING = "axops.applying"
TRIGGERS = ("insert", "update", "delete", "truncate")

VERSION = "CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
#: The transaction before this one that changed the row here. What both wrote belongs together until it has gone up.
_EARLIER = (
    "CASE WHEN t.origin IS NULL AND t.version <> excluded.version THEN t.version "
    "WHEN t.origin IS NULL THEN t.earlier_transaction END"
)
NOW = "(now() AT TIME ZONE 'utc')"
_COLUMNS = (
    "version, origin, parent_version, created_here, sync_row_is_tombstone, source_transaction, last_change_datetime"
)


def tracking_name(table: TableName) -> TableName:
    return table.with_suffix(SUFFIX)


def create(table: Table) -> list[str]:
    """Statements that put tracking on a table; each may be run again."""
    return [_create_table(table), _create_index(table)] + [
        statement
        for event in TRIGGERS
        for statement in (_create_function(table, event), *_create_trigger(table, event))
    ]


def drop(table: TableName) -> list[str]:
    """Statements that take tracking off a table again, whatever of it is there."""
    functions = [names.quote(table.schema, _trigger_name(table, event)) for event in TRIGGERS]
    return ["DROP FUNCTION IF EXISTS %s() CASCADE" % function for function in functions] + [
        "DROP TABLE IF EXISTS %s" % names.quote(*tracking_name(table))
    ]


def track_existing(table: Table) -> str:
    """A statement that gives every row without a tracking row one, as if it were born here now."""
    keys = _keys(table)
    return (
        "INSERT INTO {tracking} ({keys}, {columns}) SELECT {base_keys}, {version}, NULL, NULL, 1, 0, NULL, {now} FROM {base} b "
        "WHERE NOT EXISTS (SELECT 1 FROM {tracking} t WHERE {match}) ON CONFLICT DO NOTHING"
    ).format(
        tracking=names.quote(*tracking_name(table.name)),
        keys=", ".join(keys),
        columns=_COLUMNS,
        base_keys=", ".join("b." + key for key in keys),
        version=VERSION,
        now=NOW,
        base=names.quote(*table.name),
        match=matching("t", "b", keys),
    )


def read(db: Any) -> dict[TableName, tuple[str, ...]]:
    """The tables that have a tracking table of ours, with the events (``insert`` …) whose trigger is there and enabled."""
    rows = db.query(
        "SELECT n.nspname, left(c.relname, -length(CAST(? AS text))), coalesce(string_agg(DISTINCT g.tgname, '|'), '') "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'parent_version' AND NOT a.attisdropped "
        "LEFT JOIN pg_class b ON b.relnamespace = c.relnamespace AND b.relname = left(c.relname, -length(CAST(? AS text))) "
        "LEFT JOIN pg_trigger g ON g.tgrelid = b.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') "
        "WHERE c.relkind = 'r' AND right(c.relname, length(CAST(? AS text))) = ? GROUP BY 1, 2",
        SUFFIX, SUFFIX, SUFFIX, SUFFIX,
    )  # fmt: skip
    found = {}
    for schema, name, triggers in rows:
        table = TableName(schema, name)
        there = set(triggers.split("|"))
        found[table] = tuple(event for event in TRIGGERS if _trigger_name(table, event) in there)
    return found


def matching(left: str, right: str, keys: list[str]) -> str:
    """SQL: the keys of two aliases are equal."""
    return " AND ".join("%s.%s = %s.%s" % (left, key, right, key) for key in keys)


def _keys(table: Table) -> list[str]:
    return [names.quote(column.name) for column in table.key_columns]


def _trigger_name(table: TableName, event: str) -> str:
    return names.check("%s_%s_trigger" % (table.name, event))


def _create_table(table: Table) -> str:
    keys = ", ".join(
        "%s %s NOT NULL" % (names.quote(column.name), types.native(column.type)) for column in table.key_columns
    )
    return (
        "CREATE TABLE IF NOT EXISTS {tracking} ({keys}, version bigint NOT NULL, origin integer, parent_version bigint, "
        "created_here smallint NOT NULL DEFAULT 0, sync_row_is_tombstone smallint NOT NULL DEFAULT 0, source_transaction bigint, "
        "earlier_transaction bigint, "
        "last_change_datetime timestamp(3) NOT NULL DEFAULT {now}, PRIMARY KEY ({key_names}))"
    ).format(tracking=names.quote(*tracking_name(table.name)), keys=keys, now=NOW, key_names=", ".join(_keys(table)))


def _create_index(table: Table) -> str:
    # A page of changes is read from this index alone: with the key in it extraction runs four times as fast.
    tracking = tracking_name(table.name)
    return "CREATE INDEX IF NOT EXISTS %s ON %s (version, %s)" % (
        names.quote(tracking.name + "_version"), names.quote(*tracking), ", ".join(_keys(table)),
    )  # fmt: skip


def _create_function(table: Table, event: str) -> str:
    if event == "truncate":
        body = (
            "RAISE EXCEPTION '%% is synchronised: TRUNCATE would take its rows away unnoticed. Use DELETE.', TG_TABLE_NAME "
            "USING ERRCODE = 'feature_not_supported';"
        ).replace("%%", "%")
    else:
        # pg_trigger_depth() > 1 is a write by another trigger: a change of its own, unless the row is one that we apply; then
        # the tracking row, which is written after the row, puts the origin right.
        body = (
            "IF pg_trigger_depth() = 1 AND current_setting('%s', true) = CAST(TG_RELID AS text) THEN RETURN NULL; END IF; %s RETURN NULL;"
            % (APPLYING, _BODIES[event](table))
        )
    return (
        "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
        "AS $axops$ BEGIN %s END $axops$" % (names.quote(table.name.schema, _trigger_name(table.name, event)), body)
    )


def _create_trigger(table: Table, event: str) -> list[str]:
    referencing = {
        "insert": "REFERENCING NEW TABLE AS inserted",
        "update": "REFERENCING OLD TABLE AS deleted NEW TABLE AS inserted",
        "delete": "REFERENCING OLD TABLE AS deleted",
        "truncate": "",
    }[event]
    name, base = names.quote(_trigger_name(table.name, event)), names.quote(*table.name)
    return [
        "DROP TRIGGER IF EXISTS %s ON %s" % (name, base),
        "CREATE TRIGGER %s %s %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION %s()"
        % (
            name, "BEFORE" if event == "truncate" else "AFTER", event.upper(), base, referencing,
            names.quote(table.name.schema, _trigger_name(table.name, event)),
        ),
    ]  # fmt: skip


def _write(table: Table, source: str, created: str, tombstone: int, on_conflict: str) -> str:
    """The rows of ``source`` (alias s) become local changes. Keys in order, so that two writers cannot wait for each other."""
    keys = _keys(table)
    source_keys = ", ".join("s." + key for key in keys)
    return (
        "INSERT INTO {tracking} AS t ({keys}, {columns}) SELECT {source_keys}, {version}, NULL, NULL, {created}, {tombstone}, NULL, {now} "
        "FROM {source} ORDER BY {source_keys} ON CONFLICT ({keys}) DO UPDATE SET version = excluded.version, origin = NULL, "
        "earlier_transaction = {earlier}, source_transaction = NULL, sync_row_is_tombstone = {tombstone}, "
        "last_change_datetime = excluded.last_change_datetime{more};"
    ).format(
        tracking=names.quote(*tracking_name(table.name)), keys=", ".join(keys), columns=_COLUMNS, source_keys=source_keys,
        version=VERSION, created=created, tombstone=tombstone, now=NOW, source=source, more=on_conflict, earlier=_EARLIER,
    )  # fmt: skip


def _inserted(table: Table) -> str:
    # Re-created after a deletion that the parent sent: for the parent a new row. After a deletion of our own: a changed one.
    born = ", created_here = CASE WHEN t.sync_row_is_tombstone = 1 AND t.origin = 0 THEN 1 ELSE t.created_here END"
    return _write(table, "inserted s", "1", 0, born)


def _updated(table: Table) -> str:
    keys = _keys(table)
    gone = "(SELECT o.* FROM deleted o WHERE NOT EXISTS (SELECT 1 FROM inserted i WHERE %s)) s" % matching(
        "i", "o", keys
    )
    is_new_key = "CASE WHEN EXISTS (SELECT 1 FROM deleted o WHERE %s) THEN 0 ELSE 1 END" % matching("o", "s", keys)
    return _write(table, gone, "0", 1, "") + " " + _write(table, "inserted s", is_new_key, 0, "")


def _deleted(table: Table) -> str:
    return _write(table, "deleted s", "0", 1, "")


_BODIES = {"insert": _inserted, "update": _updated, "delete": _deleted}
