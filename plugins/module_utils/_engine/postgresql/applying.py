# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applying a landed batch: decide for every row, write what is to be written, track it, remember it.

Everything runs in the caller's transaction at READ COMMITTED. Check and write are one: existing rows are locked first, in the
order of their keys, and the tracking rows are read by a later statement, so no write of the POS falls in between. Only rows
that were locked are changed; one that another transaction inserts meanwhile makes our INSERT fail on its key, and the caller
runs the whole transaction again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._model import Column
from .._phrases import CONFLICT, LINK, WINDOW, Phrases, check_written, count, count_settled, left_out, received
from .._wire import ONLY, Outcome, Work
from . import marks, names, tracking, types

#: More rows than this are worth a look at their statistics before they are joined.
_ANALYZE_FROM = 200

#: A transaction's last statement that makes it fail now where its commit would. SQL Server defers nothing and has none.
CHECK_DEFERRED = "SET CONSTRAINTS ALL IMMEDIATE"


def apply_batch(db: Any, work: Work) -> Outcome:
    """Apply one batch in the open transaction and say what became of its rows.

    :raises StatementFailed: ``data`` when a row cannot be stored here; the transaction is then to be rolled back.
    """
    sql = Phrases(work, names, tracking.tracking_name(work.table.name), "pg_temp.")
    _land(db, work, sql)
    _lock(db, sql)
    _decide(db, work, sql)
    outcome = count(db, sql)
    if outcome.conflicts:
        _record_conflicts(db, work, sql)
        _settle_conflicts(db, work, sql)
        outcome = count_settled(db, sql, outcome)
    if outcome.moved:
        if work.goes_further:
            _link(db, work, sql)
        check_written(work, outcome, outcome.moved - _write(db, work, sql))
        _track(db, work, sql)
    if outcome.same and not work.upload:
        _adopt(db, work, sql)
    if outcome.same and work.goes_further:
        _keep_moves(db, work, sql)
    if work.window_from is not None:
        _remember(db, work, sql)
    return outcome


def _land(db: Any, work: Work, sql: Phrases) -> None:
    """The batch as a temporary table, typed as the receiver's columns are; made once per connection and table."""
    columns = ", ".join("%s %s" % (key, types.native(column.type)) for key, column in sql.columns)
    db.execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS %s (v bigint, b bigint, n smallint, e smallint, d smallint, x bigint, k smallint, m bigint, "
        "act varchar(8), here boolean, row_key text, %s) ON COMMIT DELETE ROWS"
        % (sql.incoming.partition(".")[2], columns)
    )
    db.execute("DELETE FROM %s" % sql.incoming)
    read = ", ".join("%s %s" % (key, types.read_as(column)) for key, column in sql.columns)
    values = ", ".join(types.from_wire(column, "q." + key) for key, column in sql.columns)
    rows = db.execute(
        "INSERT INTO %s SELECT q.v, coalesce(q.b, -1), coalesce(q.n, 0), coalesce(q.e, 0), coalesce(q.d, 0), q.x, "
        "coalesce(q.k * q.d, 0), q.m, NULL, false, CAST(json_build_array(%s) AS text), %s "
        "FROM (%s) s CROSS JOIN LATERAL json_to_recordset(%s) AS q (v bigint, b bigint, n smallint, e smallint, "
        "d smallint, x bigint, k smallint, m bigint, %s)%s"
        % (
            sql.incoming, ", ".join("q." + key for key in sql.wire_keys), values, work.bodies, _body(work), read, ONLY[work.only],
        ),
        *work.body_parameters,
    )  # fmt: skip
    if rows < 0 or rows > _ANALYZE_FROM:
        # How many rows there are is what matters; each further column would be looked at for nothing.
        db.execute("ANALYZE %s (v)" % sql.incoming)


def _body(work: Work) -> str:
    body = "CAST(s.body AS json)"
    if not work.without:
        return body
    # Quarantined transactions are left out before any value is converted: theirs may be the value that cannot be.
    # PostgreSQL refuses to look into an object that has a text which it cannot hold (a NUL character, half of a pair of UTF-16), so the
    # number is read off its spelling. Inside of a text each quotation mark has a backslash before it.
    number = """coalesce(CAST(substring(CAST(e.value AS text) FROM '"x": *(-*[0-9]+)') AS bigint), 0)"""
    return "(SELECT coalesce(json_agg(e.value), CAST('[]' AS json)) FROM json_array_elements(%s) e WHERE NOT %s)" % (
        body, left_out(work.without, number),
    )  # fmt: skip


def _lock(db: Any, sql: Phrases) -> None:
    """Lock the rows that are here, in the order of their keys, and note which ones those are.

    Each is looked up by its key. Left to itself the server would read whole tables, while its statistics know nothing of the
    rows that came in this very transaction: then the time would grow with the square of the rows.
    """
    db.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    db.execute(
        "WITH locked AS (SELECT i.ctid AS place FROM {base} r JOIN {incoming} i ON {present} ORDER BY {order} FOR UPDATE OF r) "
        "UPDATE {incoming} o SET here = true FROM locked WHERE o.ctid = locked.place".format(
            base=sql.base,
            incoming=sql.incoming,
            present=sql.match("r"),
            order=", ".join("r." + key for key in sql.keys),
        )
    )
    db.execute("SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on")


def _decide(db: Any, work: Work, sql: Phrases) -> None:
    identical = "(i.d = 1 AND {absent} OR i.d = 0 AND NOT {absent}{images})".format(
        absent=sql.absent("r"), images=_same_image(sql.plain)
    )
    pending = marks.newer_than("t.version", work.acked, work.acked_seen)
    # LATERAL and LIMIT: by the key, as above. The window is left to the server, since a large transaction there has one version.
    db.execute(
        "UPDATE {incoming} AS o SET act = q.act FROM (SELECT i.ctid AS place, {decide} AS act FROM {incoming} i "
        "LEFT JOIN LATERAL (SELECT * FROM {tracking} t WHERE {tracked} LIMIT 1) t ON true "
        "LEFT JOIN LATERAL (SELECT * FROM {base} r WHERE i.here AND {present} LIMIT 1) r ON true LEFT JOIN {window} w "
        "ON w.peer_id = {peer} AND w.table_name = {name} AND w.row_key = i.row_key AND w.version = i.v) q "
        "WHERE o.ctid = q.place".format(
            incoming=sql.incoming, decide=work.decide(identical, sql.absent("r"), pending), tracking=sql.tracking, tracked=sql.match("t"),
            base=sql.base, present=sql.match("r"), window=names.quote(*WINDOW), peer=int(work.peer), name=sql.table_literal,
        )
    )  # fmt: skip


def _same_image(plain: Iterable[tuple[str, Column]]) -> str:
    """Byte for byte: text is compared under the collation "C", so that nothing that differs is called equal."""
    phrase = ""
    for key, column in plain:
        binary = ' COLLATE "C"' if types.native(column.type).startswith(("character", "text")) else ""
        phrase += " AND r.%s%s IS NOT DISTINCT FROM i.%s%s" % (names.quote(column.name), binary, key, binary)
    return phrase


def _record_conflicts(db: Any, work: Work, sql: Phrases) -> None:
    """Both images go into sync_conflict, by column name, so that a person can read them and put the loser back."""
    incoming = [(column.name, types.to_wire(column, "i." + key)) for key, column in sql.columns]
    local = [(column.name, types.to_wire(column, "r." + names.quote(column.name))) for _key, column in sql.columns]
    db.execute(
        "INSERT INTO {conflict} (occurred, peer_id, sync_scope_name, table_name, row_key, kind, winner, incoming_version, "
        "incoming_image, local_image) SELECT {now}, {peer}, CAST(? AS varchar), {name}, i.row_key, "
        "CASE WHEN i.d = 1 THEN 'delete' WHEN i.n = 1 THEN 'insert' ELSE 'update' END || '-' || CASE WHEN {absent} THEN 'delete' "
        "WHEN t.created_here = 1 THEN 'insert' ELSE 'update' END, {winner}, i.v, CASE WHEN i.d = 0 THEN {incoming_image} END, "
        "CASE WHEN NOT {absent} THEN {local_image} END FROM {incoming} i LEFT JOIN {tracking} t ON {tracked} "
        "LEFT JOIN {base} r ON {present} WHERE i.act = 'conflict'".format(
            conflict=names.quote(*CONFLICT), now=tracking.NOW, peer=int(work.peer), name=sql.table_literal, absent=sql.absent("r"),
            winner=names.literal("parent" if work.parent_wins else "child"), incoming_image=_object(incoming),
            local_image=_object(local), incoming=sql.incoming, tracking=sql.tracking, tracked=sql.match("t"), base=sql.base,
            present=sql.match("r"),
        ),
        work.scope,
    )  # fmt: skip


def _object(pairs: Iterable[tuple[str, str]]) -> str:
    items = ", ".join("%s AS %s" % (expression, names.quote(name)) for name, expression in pairs)
    return "CAST(row_to_json((SELECT o FROM (SELECT %s) o)) AS text)" % items


def _settle_conflicts(db: Any, work: Work, sql: Phrases) -> None:
    """The incoming image wins: it is written. It loses: the row here must travel back, so it needs a tracking row."""
    if work.parent_wins != work.upload:
        db.execute("UPDATE %s SET act = 'write' WHERE act = 'conflict'" % sql.incoming)
        return
    db.execute(
        "INSERT INTO {tracking} ({keys}, version, origin, created_here, sync_row_is_tombstone) SELECT {values}, {version}, 0, 0, "
        "CASE WHEN EXISTS (SELECT 1 FROM {base} r WHERE {present}) THEN 0 ELSE 1 END FROM {incoming} i WHERE i.act = 'conflict' "
        "ORDER BY {values} ON CONFLICT DO NOTHING".format(
            tracking=sql.tracking, keys=sql.key_list, values=sql.incoming_keys, version=tracking.VERSION, base=sql.base,
            present=sql.match("r"), incoming=sql.incoming,
        )
    )  # fmt: skip


def _write(db: Any, work: Work, sql: Phrases) -> int:
    """Deletions first, then updates, then inserts: a unique value is free before somebody else takes it.

    Returns how many rows were written, deletions included.
    """
    # Not "where it exists": a row that came up since it was judged absent is somebody else's, and nobody has looked at it.
    there, absent = "i.act = 'write' AND i.here AND i.d = ", "i.act = 'write' AND NOT i.here AND i.d = 0"
    db.value(
        "SELECT set_config('%s', CAST(CAST(%s AS regclass) AS oid)::text, true)"
        % (tracking.APPLYING, names.literal(sql.base))
    )
    gone = "DELETE FROM %s r USING %s i WHERE %s1 AND %s" % (sql.base, sql.incoming, there, sql.match("r"))
    written = db.execute(gone)
    _vacate(db, work, sql)
    if sql.plain:
        changes = ", ".join("%s = i.%s" % (names.quote(column.name), key) for key, column in sql.plain)
        written += db.execute(
            "UPDATE %s r SET %s FROM %s i WHERE %s0 AND %s" % (sql.base, changes, sql.incoming, there, sql.match("r"))
        )
    written += db.execute(
        "INSERT INTO {base} ({columns}) SELECT {values} FROM {incoming} i WHERE {absent}".format(
            base=sql.base, columns=", ".join(names.quote(column.name) for _key, column in sql.columns),
            values=", ".join("i." + key for key, _column in sql.columns), incoming=sql.incoming, absent=absent,
        )
    )  # fmt: skip
    db.value("SELECT set_config('%s', '', true)" % tracking.APPLYING)
    return written


def _vacate(db: Any, work: Work, sql: Phrases) -> None:
    """Unique values change hands: whoever gives one to another row of this batch lets go of it first.

    PostgreSQL compares with every row as it goes along, so a swap, or the wrong order, would look like a duplicate.
    """
    wire = {column.name: key for key, column in sql.columns}
    for unique in work.table.unique:
        free = [(column, _placeholder(column)) for _key, column in sql.plain if column.name in unique]
        free = [item for item in free if item[1]]
        if not free or not set(unique) <= set(wire):
            continue
        taken = " AND ".join("o.%s = r.%s" % (wire[name], names.quote(name)) for name in unique)
        db.execute(
            "UPDATE {base} r SET {column} = {placeholder} FROM (SELECT *, row_number() OVER () AS place FROM {incoming}) i "
            "WHERE i.act = 'write' AND i.here AND i.d = 0 AND {present} AND EXISTS (SELECT 1 FROM {incoming} o "
            "WHERE o.act = 'write' AND o.d = 0 AND o.row_key <> i.row_key AND {taken})".format(
                base=sql.base, column=names.quote(free[0][0].name), placeholder=free[0][1], incoming=sql.incoming,
                present=sql.match("r"), taken=taken,
            )
        )  # fmt: skip


def _placeholder(column: Column) -> str:
    """SQL for a value that no row has, a different one for each ``i.place``; empty where the type has none to spare."""
    native = types.native(column.type)
    if column.nullable:
        return "NULL"
    if native.startswith(("character varying", "text")):
        return "chr(1) || to_hex(i.place)"
    if native.startswith("numeric"):
        precision, _comma, scale = native.partition("(")[2].rstrip(")").partition(",")
        return "-%s + i.place" % ("9" * (int(precision) - int(scale or 0)) or "0")
    lowest = {"bigint": -(2**63), "integer": -(2**31), "smallint": -(2**15)}
    if native in lowest:
        return "(%d + i.place)::%s" % (lowest[native] + 1, native)
    return "gen_random_uuid()" if native == "uuid" else ""


def _link(db: Any, work: Work, sql: Phrases) -> None:
    """What is overwritten here before it has gone further up belongs together with what overwrites it."""
    db.execute(
        "INSERT INTO {link} (table_name, source_transaction, earlier_transaction) SELECT DISTINCT {name}, {now}, {before} "
        "FROM {incoming} i JOIN {tracking} t ON {tracked} WHERE i.act = 'write' AND i.x > 0 AND (t.origin IS NULL OR t.origin <> 0) "
        "AND t.version >= {pending} AND {before} <> {now} ON CONFLICT DO NOTHING".format(
            link=names.quote(*LINK), name=sql.table_literal, now=received("i.x", work.peer), before=tracking.SOURCE,
            incoming=sql.incoming, tracking=sql.tracking, tracked=sql.match("t"), pending=tracking.pending(work.table.name),
        )
    )  # fmt: skip


def _track(db: Any, work: Work, sql: Phrases) -> None:
    """The tracking rows of what was written. Written after the rows, so that the origin stays the peer's even where a trigger
    of the application has rewritten the very row meanwhile."""
    if work.upload:
        parent_version, created, keep = "CAST(NULL AS bigint)", "i.n", ""
    else:
        parent_version, created, keep = "i.v", "0", ", parent_version = excluded.parent_version, created_here = 0"
    untracked = (
        ""
        if work.track_all
        else " AND (i.v IS NOT NULL OR EXISTS (SELECT 1 FROM %s t WHERE %s))" % (sql.tracking, sql.match("t"))
    )
    db.execute(
        "INSERT INTO {tracking} ({keys}, version, origin, parent_version, created_here, sync_row_is_tombstone, source_transaction, "
        "moved_in, last_change_datetime) SELECT {values}, {version}, {peer}, {parent_version}, {created}, "
        "i.d + i.k, i.x, {moved}, {now} FROM {incoming} i "
        "WHERE i.act = 'write'{untracked} ORDER BY {values} ON CONFLICT ({keys}) DO UPDATE SET version = excluded.version, "
        "origin = excluded.origin, sync_row_is_tombstone = excluded.sync_row_is_tombstone, "
        "source_transaction = excluded.source_transaction, earlier_transaction = NULL, moved_in = excluded.moved_in, "
        "last_change_datetime = excluded.last_change_datetime{keep}".format(
            tracking=sql.tracking, keys=sql.key_list, values=sql.incoming_keys, version=tracking.VERSION, peer=int(work.peer),
            parent_version=parent_version, created=created, now=tracking.NOW, incoming=sql.incoming, untracked=untracked, keep=keep,
            moved=received("i.m", work.peer),
        )
    )  # fmt: skip


def _adopt(db: Any, work: Work, sql: Phrases) -> None:
    """The parent's image is here already: only its version is new. Where nothing goes up, the deletion of a row that never was
    here leaves nothing to go further down."""
    # The tombstones are compared for the row that the POS inserts again in this moment: that stays its own.
    mine = "(t.sync_row_is_tombstone = 0) <> (excluded.sync_row_is_tombstone = 0)"
    origin = ", origin = CASE WHEN %s THEN t.origin ELSE 0 END" % mine if work.gives_up else ""
    new = (
        " AND (i.d = 0 OR EXISTS (SELECT 1 FROM %s k WHERE %s))" % (sql.tracking, sql.match("k"))
        if work.gives_up
        else ""
    )
    db.execute(
        "INSERT INTO {tracking} AS t ({keys}, version, origin, parent_version, created_here, sync_row_is_tombstone, "
        "source_transaction) SELECT {values}, {version}, 0, i.v, 0, i.d, i.x FROM {incoming} i WHERE i.act = 'same' "
        "AND i.v IS NOT NULL{new} ORDER BY {values} "
        "ON CONFLICT ({keys}) DO UPDATE SET parent_version = excluded.parent_version{origin}".format(
            tracking=sql.tracking, keys=sql.key_list, values=sql.incoming_keys, version=tracking.VERSION, incoming=sql.incoming,
            origin=origin, new=new,
        )
    )  # fmt: skip


def _keep_moves(db: Any, work: Work, sql: Phrases) -> None:
    """A key that a row had for a while, and that never came here, is a step on the way from its old key to its new one."""
    db.execute(
        "INSERT INTO {tracking} ({keys}, version, origin, sync_row_is_tombstone, source_transaction, moved_in) SELECT {values}, "
        "{version}, {peer}, 2, i.x, {moved} FROM {incoming} i WHERE i.act = 'same' AND i.k = 1 ORDER BY {values} "
        "ON CONFLICT DO NOTHING".format(
            tracking=sql.tracking, keys=sql.key_list, values=sql.incoming_keys, version=tracking.VERSION, peer=int(work.peer),
            moved=received("i.m", work.peer), incoming=sql.incoming,
        )
    )  # fmt: skip


def _remember(db: Any, work: Work, sql: Phrases) -> None:
    """What was taken at or above the next anchor may be delivered again; the window knows it by then."""
    db.execute(
        "INSERT INTO {window} (peer_id, sync_scope_name, table_name, row_key, version) SELECT {peer}, CAST(? AS varchar), {name}, "
        "i.row_key, i.v FROM {incoming} i WHERE i.v >= {low} AND i.act <> 'seen'".format(
            window=names.quote(*WINDOW), peer=int(work.peer), name=sql.table_literal, incoming=sql.incoming, low=int(work.window_from),
        ),
        work.scope,
    )  # fmt: skip
