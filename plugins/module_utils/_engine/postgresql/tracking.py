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
from .._phrases import LINK, pending_from, source_of
from . import moved, names, types

SUFFIX = "_tracking"
#: While this setting names a table, statements of ours write it, and write its tracking rows themselves.
APPLYING = "axops.applying"
TRIGGERS = ("insert", "update", "delete", "truncate")

VERSION = "CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
NOW = "(now() AT TIME ZONE 'utc')"
#: The transaction that a tracking row was written in.
SOURCE = source_of("t", "coalesce(t.source_transaction, t.version)")
_COLUMNS = (
    "version, origin, parent_version, created_here, sync_row_is_tombstone, source_transaction, last_change_datetime"
)


def tracking_name(table: TableName) -> TableName:
    return table.with_suffix(SUFFIX)


def create(table: Table) -> list[str]:
    """Statements that put tracking on a table; each may be run again."""
    return [_create_table(table), _add_columns(table), _create_index(table)] + [
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


def forget_versions(table: TableName, origin: int | None = None) -> str:
    """A statement after which no row of a table knows which version of the parent's it derives from.

    :param origin: only of rows that came from this peer.
    """
    wanted = "parent_version IS NOT NULL" + ("" if origin is None else " AND origin = %d" % int(origin))
    return "UPDATE %s SET parent_version = NULL WHERE %s" % (names.quote(*tracking_name(table)), wanted)


def renumber(table: TableName, taken_below: int) -> list[str]:
    """Statements that fit the versions of a database that came from another cluster to the numbers of this one.

    What the parent had taken (versions below ``taken_below``) becomes version 1, everything else a change of now. A row that
    changed since the database came here has a version of this cluster, and stays: only such a row was stored by the very
    transaction that is its version, or by a part of it. Which rows one transaction wrote, and which transactions belong together,
    is still known. May be run again.
    """
    return [
        _keep_moves(table),
        "UPDATE {tracking} t SET version = CASE WHEN t.version < {taken} THEN 1 ELSE {version} END, source_transaction = CASE "
        "WHEN t.origin IS NULL AND t.source_transaction IS NULL THEN {source} ELSE t.source_transaction END WHERE {came}".format(
            tracking=names.quote(*tracking_name(table)), taken=int(taken_below), version=VERSION, source=moved.kept("t.version"),
            came=moved.came_along("t", names.quote(*tracking_name(table))),
        ),
        _keep_links(table),
    ]  # fmt: skip


def number_elsewhere(number: int) -> int:
    """The number that a transaction of a peer on this engine has, where others have it, once the peer came to another server."""
    return moved.number_elsewhere(number)


def _keep_moves(table: TableName) -> str:
    """Rows that came to their keys before the database came here; some of them may have changed since."""
    return (
        "UPDATE {tracking} t SET moved_in = {number} WHERE {own} AND EXISTS (SELECT 1 FROM {tracking} k "
        "WHERE k.sync_row_is_tombstone = 2 AND k.version = t.moved_in AND {came})"
    ).format(
        tracking=names.quote(*tracking_name(table)), number=moved.kept("t.moved_in"), own=moved.is_own("t.moved_in"),
        came=moved.came_along("k", names.quote(*tracking_name(table))),
    )  # fmt: skip


def _keep_links(table: TableName) -> str:
    """Links of transactions that may be the other cluster's, under the numbers that those have now. One too many does no harm: it
    would join what is refused with what need not be, and it goes when it has gone up."""
    later, earlier = (
        "(VALUES (l.{}), ({})) AS {} (number)".format(column, moved.kept("l." + column), alias)
        for column, alias in (("source_transaction", "s"), ("earlier_transaction", "e"))
    )
    return (
        "INSERT INTO {link} (table_name, source_transaction, earlier_transaction) SELECT l.table_name, s.number, e.number "
        "FROM {link} l CROSS JOIN LATERAL {later} CROSS JOIN LATERAL {earlier} WHERE l.table_name = {name} ON CONFLICT DO NOTHING"
    ).format(link=names.quote(*LINK), later=later, earlier=earlier, name=names.literal(str(table)))


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


def outdated(db: Any) -> set[TableName]:
    """The tables whose tracking an earlier release made; :func:`create` brings it up to date."""
    rows = db.query(
        "SELECT n.nspname, left(c.relname, -length(CAST(? AS text))) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'parent_version' AND NOT a.attisdropped "
        "WHERE c.relkind = 'r' AND right(c.relname, length(CAST(? AS text))) = ? AND NOT EXISTS (SELECT 1 FROM pg_attribute m "
        "WHERE m.attrelid = c.oid AND m.attname = 'moved_in' AND NOT m.attisdropped)",
        SUFFIX, SUFFIX, SUFFIX,
    )  # fmt: skip
    return {TableName(schema, name) for schema, name in rows}


def overlooks_case(db: Any, table: Table) -> bool:
    """Whether a row is found here whatever the letter case of its key: no, every other spelling is another key."""
    return False


def pending(table: TableName) -> str:
    """SQL: the version from which on the parent may lack changes of a table, NULL where none of them go up."""
    return pending_from(names.quote, names.literal, "position(%s IN %s)", table)


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
        "earlier_transaction bigint, moved_in bigint, "
        "last_change_datetime timestamp(3) NOT NULL DEFAULT {now}, PRIMARY KEY ({key_names}))"
    ).format(tracking=names.quote(*tracking_name(table.name)), keys=keys, now=NOW, key_names=", ".join(_keys(table)))


def _add_columns(table: Table) -> str:
    """What tracking of an earlier release lacks. With the triggers in one transaction: the column says that they are new, too."""
    return (
        "ALTER TABLE %s ADD COLUMN IF NOT EXISTS earlier_transaction bigint, ADD COLUMN IF NOT EXISTS moved_in bigint"
        % names.quote(*tracking_name(table.name))
    )


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
        "AS $axops$ DECLARE axops_touched bigint[]; axops_moves bigint[]; axops_gone bigint; axops_moved bigint; BEGIN %s END $axops$"
        % (names.quote(table.name.schema, _trigger_name(table.name, event)), body)
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


def _write(table: Table, source: str, created: str, tombstone: int, moved: str) -> str:
    """The rows of ``source`` (alias s) become local changes. Keys in order, so that two writers cannot wait for each other.

    :param moved: of a row that is tracked already: the transaction in which it came to this key.
    """
    keys = _keys(table)
    # Re-created after a deletion that the parent sent: for the parent a new row. After a deletion of our own: a changed one.
    born = "CASE WHEN t.sync_row_is_tombstone <> 0 AND t.origin = 0 THEN 1 ELSE t.created_here END"
    return (
        "WITH written AS (INSERT INTO {tracking} AS t ({keys}, {columns}, moved_in) "
        "SELECT {source_keys}, {version}, NULL, NULL, {created}, {tombstone}, NULL, {now}, axops_moved "
        "FROM {source} ORDER BY {source_keys} ON CONFLICT ({keys}) DO UPDATE SET version = excluded.version, origin = NULL, "
        "earlier_transaction = {earlier}, source_transaction = NULL, sync_row_is_tombstone = {tombstone}, moved_in = {moved}, "
        "created_here = {born}, last_change_datetime = excluded.last_change_datetime "
        "RETURNING t.earlier_transaction AS y, t.moved_in AS m) "
        "SELECT array_agg(DISTINCT y) FILTER (WHERE y IS NOT NULL), array_agg(DISTINCT m) FILTER (WHERE m IS NOT NULL), count(*) "
        "INTO axops_touched, axops_moves, axops_gone FROM written; {link}"
    ).format(
        tracking=names.quote(*tracking_name(table.name)), keys=", ".join(keys), columns=_COLUMNS,
        source_keys=", ".join("s." + key for key in keys), version=VERSION, created=created, tombstone=tombstone, now=NOW,
        source=source, earlier=_earlier(table), moved=moved, link=_link(table), born="t.created_here" if tombstone else born,
    )  # fmt: skip


def _earlier(table: Table) -> str:
    """The transaction that changed the row here before this one. Until it has gone up, what both wrote belongs together."""
    return (
        "CASE WHEN t.version = excluded.version AND t.origin IS NULL THEN t.earlier_transaction "
        "WHEN (t.origin IS NULL OR t.origin <> 0) AND t.version >= %s THEN %s END" % (pending(table.name), SOURCE)
    )


def _link(table: Table) -> str:
    return (
        "IF axops_touched IS NOT NULL THEN INSERT INTO %s (table_name, source_transaction, earlier_transaction) "
        "SELECT %s, %s, n FROM unnest(axops_touched) n ON CONFLICT DO NOTHING; END IF;"
        % (names.quote(*LINK), names.literal(str(table.name)), VERSION)
    )


def _inserted(table: Table) -> str:
    return _write(table, "inserted s", "1", 0, "NULL")


def _updated(table: Table) -> str:
    """A key that nobody has any more says so with a tombstone of its own, 2: its row lives on under another key.

    Which one is not known where a statement changes many keys, so all of its rows count as moved.
    """
    keys = _keys(table)
    left = "(SELECT o.* FROM deleted o WHERE NOT EXISTS (SELECT 1 FROM inserted i WHERE %s)) s" % matching(
        "i", "o", keys
    )
    is_new_key = "CASE WHEN EXISTS (SELECT 1 FROM deleted o WHERE %s) THEN 0 ELSE 1 END" % matching("o", "s", keys)
    return "%s IF axops_gone > 0 THEN axops_moved := %s; END IF; %s" % (
        _write(table, left, "0", 2, "t.moved_in"),
        VERSION,
        _write(table, "inserted s", is_new_key, 0, "coalesce(axops_moved, t.moved_in)"),
    )


def _deleted(table: Table) -> str:
    """Who deletes a moved row before it has gone up wants the parent to keep it: then under the key that the parent knows."""
    stays = (
        "WHILE axops_moves IS NOT NULL LOOP WITH stays AS (UPDATE {tracking} t SET sync_row_is_tombstone = 1 "
        "WHERE t.sync_row_is_tombstone = 2 AND {source} = ANY (axops_moves) RETURNING t.moved_in AS m) "
        "SELECT array_agg(DISTINCT m) FILTER (WHERE m IS NOT NULL) INTO axops_moves FROM stays; END LOOP;"
    ).format(tracking=names.quote(*tracking_name(table.name)), source=SOURCE)
    return _write(table, "deleted s", "0", 1, "t.moved_in") + " " + stays


_BODIES = {"insert": _inserted, "update": _updated, "delete": _deleted}
