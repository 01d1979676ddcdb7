# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applying a landed batch: decide for every row, write what is to be written, track it, remember it.

Everything runs in the caller's transaction at READ COMMITTED. Check and write are one: the rows, and the gaps where there
are none yet, are locked first, in the order of their keys, and the tracking rows are read by a later statement, so no
write of the POS falls in between.
"""

from __future__ import annotations

import contextlib
from typing import Any

from .._errors import StatementFailed
from .._model import Column, TableName
from .._phrases import CONFLICT, LINK, WINDOW, Phrases, check_written, count, count_settled, left_out, received
from .._wire import ONLY, Outcome, Work
from . import images, marks, names, sizes, texts, tracking, types

#: What a row brings along beside its columns.
_OF_THE_ROW = (
    "v bigint '$.v', b bigint '$.b', n smallint '$.n', e smallint '$.e', d smallint '$.d', x bigint '$.x', k smallint '$.k', "
    "m bigint '$.m'"
)
#: More columns than these are read from JSON in parts, where a function takes no more than 100 arguments (Babelfish).
_MOST_COLUMNS = 90


def apply_batch(db: Any, work: Work) -> Outcome:
    """Apply one batch in the open transaction and say what became of its rows.

    :raises StatementFailed: ``data`` when a row cannot be stored here; the transaction is then to be rolled back.
    """
    sql = _Phrases(work, names, tracking.tracking_name(work.table.name), "#")
    _land(db, work, sql)
    _lock(db, sql)
    if work.exact and sql.spellings:
        _forget_former(db, sql)
        _check_spelling(db, work, sql)
    _decide(db, work, sql)
    outcome = count(db, sql)
    if outcome.conflicts:
        _record_conflicts(db, work, sql)
        _settle_conflicts(db, work, sql)
        outcome = count_settled(db, sql, outcome)
    if outcome.moved:
        if work.goes_further:
            _link(db, work, sql)
        check_written(work, outcome, _write(db, work, sql))
        _track(db, work, sql)
    if outcome.same and not work.upload:
        _adopt(db, work, sql)
    if outcome.same and work.goes_further:
        _keep_moves(db, work, sql)
    if work.window_from is not None:
        _remember(db, work, sql)
    return outcome


class _Phrases(Phrases):
    """And the tracking table as SQL Server needs it."""

    @property
    def tracked(self) -> str:
        """SQL: the tracking table as alias t, its version as the number that the rules compare and as the stamp it
        is."""
        columns = "CAST(version AS bigint) AS version, version AS stamp, origin, parent_version, created_here, sync_row_is_tombstone"
        return "(SELECT %s, %s FROM %s) AS t" % (
            self.key_list,
            columns,
            self.tracking,
        )

    @property
    def untracked(self) -> str:
        """SQL: the incoming row has no tracking row here. Nobody makes one meanwhile: the row, or its gap, is
        locked."""
        return "NOT EXISTS (SELECT 1 FROM %s AS t WHERE %s)" % (self.tracking, self.match("t"))

    @property
    def spellings(self) -> list[tuple[str, Column]]:
        """The columns of the key that a collation may find equal to another spelling."""
        return [(key, column) for key, column in zip(self.wire_keys, self.key_columns) if texts.is_text(column)]

    def spelled_otherwise(self, value: str) -> str:
        """SQL: the incoming row's key is, byte for byte, not what ``value`` says, with the column at {0} and its wire name at {1}."""
        return " OR ".join(
            "%s <> %s" % (_bytes(column, value.format(names.quote(column.name), key)), _bytes(column, "i." + key))
            for key, column in self.spellings
        )


def _land(db: Any, work: Work, sql: _Phrases) -> None:
    """The batch as a temporary table with the key first, typed as the receiver's columns are; made once per
    connection and table. Its texts have the collations of the columns, or the database's, which need not be the one of tempdb."""
    columns = ", ".join(_landed(key, column, key in sql.wire_keys) for key, column in sql.columns)
    lost = images.lost(("q." + key, column) for key, column in sql.columns)
    # Deletions of keys that are the same here land beside each other, and beside the row; two rows of one key are refused.
    beside = "CASE WHEN q.d = 1 THEN ROW_NUMBER() OVER (ORDER BY (SELECT NULL)) ELSE 0 END" if sql.spellings else "0"
    db.execute(
        "IF OBJECT_ID(%s) IS NULL CREATE TABLE %s (v bigint NULL, b bigint NOT NULL, n smallint NOT NULL, e smallint "
        "NOT NULL, d smallint NOT NULL, "
        "x bigint NULL, k smallint NOT NULL, m bigint NULL, act varchar(8) COLLATE DATABASE_DEFAULT NULL, "
        "row_key nvarchar(max) COLLATE DATABASE_DEFAULT NULL, lost nvarchar(128) COLLATE DATABASE_DEFAULT NULL, "
        "beside bigint NOT NULL, %s, "
        "%s (%s))"
        % (
            names.literal("tempdb.." + sql.incoming),
            sql.incoming,
            columns,
            sizes.primary_key(sql.key_columns, sizes.EIGHT if sql.spellings else 0),
            ", ".join([*sql.wire_keys, *(["beside"] if sql.spellings else [])]),
        )
    )
    db.execute("DELETE FROM %s" % sql.incoming)
    values = ", ".join(images.to_land(column, "q." + key) for key, column in sql.columns)
    db.execute(
        "INSERT INTO {incoming} (v, b, n, e, d, x, k, m, act, row_key, lost, beside, {names}) SELECT q.v, COALESCE(q.b, -1), "
        "COALESCE(q.n, 0), COALESCE(q.e, 0), COALESCE(q.d, 0), q.x, COALESCE(q.k * q.d, 0), q.m, NULL, {row_key}, {lost}, {beside}, "
        "{values} FROM {rows} AS q{only}".format(
            incoming=sql.incoming,
            names=", ".join(key for key, _column in sql.columns),
            row_key=_row_key(sql),
            lost=lost or "NULL",
            beside=beside,
            values=values,
            rows=_rows(db, work, sql),
            only=ONLY[work.only],
        ),
        *work.body_parameters,
    )
    if lost:
        found = db.value("SELECT TOP (1) lost FROM %s WHERE lost IS NOT NULL" % sql.incoming)
        images.refuse(work.table, found)
    if sql.spellings:
        _give_way(db, sql)


def _give_way(db: Any, sql: _Phrases) -> None:
    """Of keys that are the same here one is left: a row that has got another spelling at the sender takes the place of the deletion
    of the one before, and derives from what that derives from."""
    same = " AND ".join("o.%s = i.%s" % (wire, wire) for wire in sql.wire_keys)
    db.execute(
        "UPDATE i SET b = o.b, n = o.n, e = o.e, beside = -1 FROM {incoming} AS i JOIN {incoming} AS o ON {same} "
        "WHERE i.d = 0 AND o.d = 1; DELETE i FROM {incoming} AS i JOIN {incoming} AS o ON {same} "
        "WHERE i.d = 1 AND (o.d = 0 OR o.beside < i.beside)".format(incoming=sql.incoming, same=same)
    )


def _forget_former(db: Any, sql: _Phrases) -> None:
    """The deletion of a key that is spelled otherwise means none of the rows here: the one that it looks like has been renamed."""
    db.execute(
        "DELETE i FROM {incoming} AS i LEFT JOIN {tracking} AS t ON {tracked} LEFT JOIN {base} AS r ON {present} "
        "WHERE i.d = 1 AND ({other})".format(
            incoming=sql.incoming,
            tracking=sql.tracking,
            tracked=sql.match("t"),
            base=sql.base,
            present=sql.match("r"),
            other=sql.spelled_otherwise("COALESCE(t.{0}, r.{0}, i.{1})"),
        )
    )


def _check_spelling(db: Any, work: Work, sql: _Phrases) -> None:
    """A row that comes without the deletion of the one that it looks like is another one, for which there is no room here.

    :raises StatementFailed: ``data``; it is then put aside like any that cannot be stored.
    """
    taken = db.value(
        "SELECT COUNT(*) FROM {incoming} AS i JOIN {base} AS r ON {present} LEFT JOIN {tracking} AS t ON {tracked} "
        "WHERE i.d = 0 AND i.beside = 0 AND ({other})".format(
            incoming=sql.incoming,
            base=sql.base,
            present=sql.match("r"),
            tracking=sql.tracking,
            tracked=sql.match("t"),
            other=sql.spelled_otherwise("COALESCE(t.{0}, r.{0})"),
        )
    )
    if taken:
        raise StatementFailed(
            "%d rows of %s have keys that differ from those of other rows in letter case alone."
            % (taken, work.table.name),
            "data",
            advice="The collation here takes both for one key: give one of the two rows another key.",
        )


def _landed(key: str, column: Column, is_key: bool) -> str:
    native = types.native(column.type)
    # The old large types can neither be compared nor converted where the new ones can.
    native = {"text": "varchar(max)", "ntext": "nvarchar(max)", "image": "varbinary(max)", "xml": "nvarchar(max)"}.get(
        native, native
    )
    collation = texts.collated(column, "DATABASE_DEFAULT")
    return "%s %s%s %s" % (key, native, collation, "NOT NULL" if is_key else "NULL")


def _rows(db: Any, work: Work, sql: _Phrases) -> str:
    """SQL: the rows of the landed bodies (alias s), with their columns."""
    read = ["%s %s '$.%s'" % (key, types.read_as(column), key) for key, column in sql.columns]
    in_parts = len(read) > _MOST_COLUMNS and db.value("SELECT OBJECT_ID(%s)" % names.literal(tracking.SUBSTITUTE[:-2]))
    body, row = "(%s) AS s CROSS APPLY OPENJSON(s.body)" % work.bodies, "e.value"
    if work.without:
        # Quarantined transactions are left out before any value is converted: theirs may be the value that cannot be.
        number = "COALESCE(CAST(JSON_VALUE(e.value, '$.x') AS bigint), 0)"
        row = "CASE WHEN NOT %s THEN e.value END" % left_out(work.without, number)
    if work.without or in_parts:
        body += " AS e CROSS APPLY OPENJSON(%s)" % row
    if not in_parts:
        return "%s WITH (%s, %s)" % (body, _OF_THE_ROW, ", ".join(read))
    parts = [", ".join(read[start : start + _MOST_COLUMNS]) for start in range(0, len(read), _MOST_COLUMNS)]
    more = ["CROSS APPLY OPENJSON(%s) WITH (%s) AS q%d" % (row, part, number) for number, part in enumerate(parts)]
    picked = ", ".join("q%d.*" % number for number in range(len(parts)))
    return "(SELECT q.*, %s FROM %s WITH (%s) AS q %s)" % (picked, body, _OF_THE_ROW, " ".join(more))


def _row_key(sql: _Phrases) -> str:
    """SQL: the key as a JSON array, the same text for the same key."""
    parts = ["N', ' + %s" % _member(key, column) for key, column in zip(sql.wire_keys, sql.key_columns)]
    return "N'[' + %s + N']'" % " + ".join(parts)[len("N', ' + ") :]


def _member(key: str, column: Column) -> str:
    text = "CONVERT(nvarchar(max), q.%s)" % key
    if types.normalize(column.type).partition("(")[0] in (
        "int",
        "bigint",
        "smallint",
        "tinyint",
        "numeric",
        "bit",
        "money",
    ):
        return text
    if "date" in column.type or column.type.startswith("time"):
        text = "CONVERT(nvarchar(max), q.%s, 126)" % key
    return "N'\"' + STRING_ESCAPE(%s, N'json') + N'\"'" % text


def _lock(db: Any, sql: _Phrases) -> None:
    # One look into the index a key, in the order of the keys: any other plan would lock far more than these rows. All
    # columns of the row are asked for, since a join that nothing is taken from is left out, and an index that has all
    # that is asked for, as one with included columns may, locks its entries alone: who changes others would pass.
    asked = " AND ".join("r.%s IS NULL" % names.quote(column.name) for _key, column in sql.plain)
    db.value(
        "SELECT SUM(CASE WHEN %s THEN 0 ELSE 1 END) FROM %s AS i LEFT JOIN %s AS r WITH (UPDLOCK, HOLDLOCK) ON %s "
        "OPTION (FORCE ORDER, LOOP JOIN)" % (asked or sql.absent("r"), sql.incoming, sql.base, sql.match("r"))
    )


def _decide(db: Any, work: Work, sql: _Phrases) -> None:
    identical = "(i.d = 1 AND {absent} OR i.d = 0 AND NOT {absent}{images})".format(
        absent=sql.absent("r"), images=_same_image([*sql.spellings, *sql.plain])
    )
    pending = marks.newer_than("t.stamp", work.acked, work.acked_seen)
    db.execute(
        "UPDATE i SET act = {decide} FROM {incoming} AS i LEFT JOIN {tracking} ON {tracked} LEFT JOIN {base} AS r ON "
        "{present} "
        "LEFT JOIN {window} AS w ON w.peer_id = {peer} AND w.table_name = {name} AND w.row_key = i.row_key COLLATE Latin1_General_BIN2 "
        "AND w.version = i.v".format(
            incoming=sql.incoming,
            decide=work.decide(identical, sql.absent("r"), pending),
            tracking=sql.tracked,
            tracked=sql.match("t"),
            base=sql.base,
            present=sql.match("r"),
            window=names.quote(*WINDOW),
            peer=int(work.peer),
            name=sql.table_literal,
        )
    )


def _same_image(plain: list[tuple[str, Column]]) -> str:
    """Byte for byte, NULL equal to NULL: text is compared as its bytes, for no collation tells all texts apart."""
    if not plain:
        return ""
    here = ", ".join(_looked_at(column, "r." + names.quote(column.name)) for _key, column in plain)
    incoming = ", ".join(_looked_at(column, "i." + key) for key, column in plain)
    return " AND EXISTS (SELECT %s INTERSECT SELECT %s)" % (here, incoming)


def _looked_at(column: Column, expression: str) -> str:
    """Bytes with their number: without it, those that end with zeros are equal to those that end before them."""
    shown = _bytes(column, expression)
    is_bytes = texts.is_text(column) or types.read_as(column).startswith("varbinary")
    return "%s, DATALENGTH(%s)" % (shown, shown) if is_bytes else shown


def _bytes(column: Column, expression: str) -> str:
    native = types.native(column.type)
    if native in ("text", "ntext", "xml"):
        return "CONVERT(varbinary(max), CONVERT(%s, %s))" % (
            "varchar(max)" if native == "text" else "nvarchar(max)",
            expression,
        )
    if native == "image":
        return "CONVERT(varbinary(max), %s)" % expression
    if texts.is_text(column):
        return "CONVERT(varbinary(%s), %s)" % ("max" if native.endswith("(max)") else "8000", expression)
    return expression


def _record_conflicts(db: Any, work: Work, sql: _Phrases) -> None:
    """Both images go into sync_conflict, by column name, so that a person can read them and put the loser back."""
    incoming = [(column.name, types.to_wire(column, "i." + key)) for key, column in sql.columns]
    local = [(column.name, types.to_wire(column, "r." + names.quote(column.name))) for _key, column in sql.columns]
    db.execute(
        "INSERT INTO {conflict} (occurred, peer_id, sync_scope_name, table_name, row_key, kind, winner, "
        "incoming_version, "
        "incoming_image, local_image) SELECT {now}, {peer}, CAST(? AS nvarchar(100)), {name}, i.row_key, "
        "CASE WHEN i.d = 1 THEN 'delete' WHEN i.n = 1 THEN 'insert' ELSE 'update' END + '-' + CASE WHEN {absent} "
        "THEN 'delete' "
        "WHEN t.created_here = 1 THEN 'insert' ELSE 'update' END, {winner}, i.v, CASE WHEN i.d = 0 THEN "
        "{incoming_image} END, "
        "CASE WHEN NOT {absent} THEN {local_image} END FROM {incoming} AS i LEFT JOIN {tracking} AS t ON {tracked} "
        "LEFT JOIN {base} AS r ON {present} WHERE i.act = 'conflict'".format(
            conflict=names.quote(*CONFLICT),
            now=tracking.NOW,
            peer=int(work.peer),
            name=sql.table_literal,
            absent=sql.absent("r"),
            winner=names.literal("parent" if work.parent_wins else "child"),
            incoming_image=images.json_object(incoming),
            local_image=images.json_object(local),
            incoming=sql.incoming,
            tracking=sql.tracking,
            tracked=sql.match("t"),
            base=sql.base,
            present=sql.match("r"),
        ),
        work.scope,
    )


def _settle_conflicts(db: Any, work: Work, sql: _Phrases) -> None:
    """The incoming image wins: it is written. It loses: the row here must travel back, so it needs a tracking row."""
    if work.parent_wins != work.upload:
        db.execute("UPDATE %s SET act = 'write' WHERE act = 'conflict'" % sql.incoming)
        return
    db.execute(
        "INSERT INTO {tracking} ({keys}, origin, created_here, sync_row_is_tombstone) SELECT {values}, 0, 0, "
        "CASE WHEN r.{key} IS NULL THEN 1 ELSE 0 END FROM {incoming} AS i LEFT JOIN {base} AS r ON {present} "
        "WHERE i.act = 'conflict' AND {untracked}".format(
            tracking=sql.tracking,
            keys=sql.key_list,
            values=sql.incoming_keys,
            key=sql.keys[0],
            incoming=sql.incoming,
            base=sql.base,
            present=sql.match("r"),
            untracked=sql.untracked,
        )
    )


def _write(db: Any, work: Work, sql: _Phrases) -> int:
    """Deletions first, then updates, then inserts: a unique value is free before somebody else takes it.

    Returns how many rows are not as they came. The counts of the statements would be those of a trigger INSTEAD OF them.
    """
    with _applying(db, work.table.name):
        unchanged = _write_rows(db, work, sql)
    return unchanged + _misplaced(db, sql)


@contextlib.contextmanager
def _applying(db: Any, table: TableName) -> Any:
    """Tell the table's triggers that we write it. A transaction that is rolled back does not take that back, so we
    do."""
    db.execute("EXEC sp_set_session_context %s, %s" % (names.literal(tracking.APPLYING), names.literal(str(table))))
    done = False
    try:
        yield
        done = True
    finally:
        # After an error, which is the one to be seen, this may fail, too: with the connection, and then nothing is
        # left to do.
        with contextlib.nullcontext() if done else contextlib.suppress(StatementFailed):
            db.execute("EXEC sp_set_session_context %s, NULL" % names.literal(tracking.APPLYING))


def _write_rows(db: Any, work: Work, sql: _Phrases) -> int:
    """Returns how many rows were to be changed and were not."""
    wanted, unchanged = "i.act = 'write' AND i.d = ", 0
    db.execute("DELETE r FROM %s AS r JOIN %s AS i ON %s WHERE %s1" % (sql.base, sql.incoming, sql.match("r"), wanted))
    if sql.plain:
        _vacate(db, work, sql)
        replaced_since = _replaced_since(db, sql)
        changes = ", ".join(
            "%s = %s" % (names.quote(column.name), images.from_landed(column, "i." + key)) for key, column in sql.plain
        )
        db.execute(
            "UPDATE r SET %s FROM %s AS r JOIN %s AS i ON %s WHERE %s0"
            % (changes, sql.base, sql.incoming, sql.match("r"), wanted)
        )
        unchanged = 0 if replaced_since is None else _unchanged(db, sql, replaced_since)
    if sql.spellings:
        _spell(db, sql, sql.base, "i.d = 0")
    db.execute(
        "INSERT INTO {base} ({columns}) SELECT {values} FROM {incoming} AS i WHERE {wanted}0 "
        "AND NOT EXISTS (SELECT 1 FROM {base} AS r WHERE {present})".format(
            base=sql.base,
            columns=", ".join(names.quote(column.name) for _key, column in sql.columns),
            values=", ".join(images.from_landed(column, "i." + key) for key, column in sql.columns),
            incoming=sql.incoming,
            wanted=wanted,
            present=sql.match("r"),
        )
    )
    return unchanged


def _spell(db: Any, sql: _Phrases, table: str, condition: str) -> None:
    """Rows that were found under another spelling of their key get the incoming one; all others are left as they are."""
    db.execute(
        "UPDATE r SET {changes} FROM {table} AS r JOIN {incoming} AS i ON {present} WHERE i.act = 'write' AND {condition} "
        "AND ({other})".format(
            changes=", ".join("%s = i.%s" % (names.quote(column.name), key) for key, column in sql.spellings),
            table=table,
            incoming=sql.incoming,
            present=sql.match("r"),
            condition=condition,
            other=sql.spelled_otherwise("r.{0}"),
        )
    )


def _replaced_since(db: Any, sql: _Phrases) -> int | None:
    """The newest version so far, where a trigger INSTEAD OF UPDATE is in the place of our statement; else None. Whoever may read a
    table sees its triggers."""
    return db.value(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM sys.triggers AS g JOIN sys.trigger_events AS e ON e.object_id = g.object_id "
        "WHERE g.parent_id = OBJECT_ID(%s) AND g.is_instead_of_trigger = 1 AND g.is_disabled = 0 AND e.type_desc = 'UPDATE') "
        "THEN CAST(@@DBTS AS bigint) END" % names.literal(sql.base)
    )


def _unchanged(db: Any, sql: _Phrases, since: int) -> int:
    """How many rows a trigger INSTEAD OF UPDATE has left alone. What it does write, as it likes, is a deeper level: our own trigger
    tracks it, with a new version. Asked before the insertions, while every row that is here was to be changed."""
    return int(
        db.value(
            "SELECT COUNT(*) FROM {incoming} AS i JOIN {base} AS r ON {present} WHERE i.act = 'write' AND i.d = 0 AND NOT EXISTS "
            "(SELECT 1 FROM {tracking} AS t WHERE {tracked} AND t.version > CAST(CAST({since} AS bigint) AS binary(8)))".format(
                incoming=sql.incoming,
                base=sql.base,
                present=sql.match("r"),
                tracking=sql.tracking,
                tracked=sql.match("t"),
                since=int(since),
            )
        )
    )


def _misplaced(db: Any, sql: _Phrases) -> int:
    """How many rows are missing, or still there."""
    return int(
        db.value(
            "SELECT COUNT(*) FROM %s AS i WHERE i.act = 'write' AND i.d = CASE WHEN EXISTS (SELECT 1 FROM %s AS r WHERE %s) "
            "THEN 1 ELSE 0 END" % (sql.incoming, sql.base, sql.match("r"))
        )
    )


def _vacate(db: Any, work: Work, sql: _Phrases) -> None:
    """Unique values change hands: SQL Server looks at the end of a statement only, so rows may swap theirs in one. A server that
    compares row by row (Babelfish) has to see that whoever gives one to another row of this batch lets go of it first."""
    wire = {column.name: key for key, column in sql.columns}
    for unique in work.table.unique:
        free = [(column, _placeholder(column)) for _key, column in sql.plain if column.name in unique]
        free = [item for item in free if item[1]]
        if not free or not set(unique) <= set(wire):
            continue
        taken = " AND ".join("o.%s = r.%s" % (wire[name], names.quote(name)) for name in unique)
        db.execute(
            "IF OBJECT_ID({row_by_row}) IS NOT NULL UPDATE r SET {column} = {placeholder} FROM {base} AS r JOIN "
            "(SELECT *, ROW_NUMBER() OVER (ORDER BY (SELECT NULL)) AS place FROM {incoming}) AS i ON {present} "
            "WHERE i.act = 'write' AND i.d = 0 AND EXISTS (SELECT 1 FROM {incoming} AS o WHERE o.act = 'write' AND o.d = 0 "
            "AND o.row_key <> i.row_key COLLATE Latin1_General_BIN2 AND {taken})".format(
                row_by_row=names.literal(tracking.SUBSTITUTE[:-2]),
                column=names.quote(free[0][0].name),
                placeholder=free[0][1],
                base=sql.base,
                incoming=sql.incoming,
                present=sql.match("r"),
                taken=taken,
            )
        )


def _placeholder(column: Column) -> str:
    """SQL for a value that no row has, a different one for each ``i.place``; empty where the type has none to spare."""
    native = types.native(column.type)
    if native.startswith(("nvarchar", "varchar")):
        # For private use: an ICU collation passes over a control character, and what is left is a number.
        return "NCHAR(57344) + CAST(i.place AS nvarchar(20))"
    lowest = {"bigint": -(2**63), "int": -(2**31), "smallint": -(2**15)}
    if native in lowest:
        return "CAST(%d + i.place AS %s)" % (lowest[native] + 1, native)
    if native.startswith(("numeric", "decimal")):
        precision, _comma, scale = native.partition("(")[2].rstrip(")").partition(",")
        return "-%s + i.place" % ("9" * (int(precision) - int(scale or 0)) or "0")
    return "NEWID()" if native == "uniqueidentifier" else ""


def _link(db: Any, work: Work, sql: _Phrases) -> None:
    """What is overwritten here before it has gone further up belongs together with what overwrites it."""
    db.execute(
        "INSERT INTO {link} (table_name, source_transaction, earlier_transaction) SELECT DISTINCT {name}, {now}, {before} "
        "FROM {incoming} AS i JOIN {tracking} AS t ON {tracked} WHERE i.act = 'write' AND i.x > 0 "
        "AND (t.origin IS NULL OR t.origin <> 0) AND t.version >= {pending} AND {before} <> {now} "
        "AND NOT EXISTS (SELECT 1 FROM {link} AS l WHERE l.table_name = {name} AND l.source_transaction = {now} "
        "AND l.earlier_transaction = {before})".format(
            link=names.quote(*LINK),
            name=sql.table_literal,
            now=received("i.x", work.peer),
            before=tracking.SOURCE,
            incoming=sql.incoming,
            tracking=sql.tracking,
            tracked=sql.match("t"),
            pending=tracking.pending(work.table.name),
        )
    )


def _track(db: Any, work: Work, sql: _Phrases) -> None:
    """The tracking rows of what was written. Written after the rows, so that the origin stays the peer's even where a
    trigger of the application has rewritten the very row meanwhile."""
    if work.upload:
        parent_version, created, keep = "CAST(NULL AS bigint)", "i.n", ""
    else:
        parent_version, created, keep = "i.v", "0", ", parent_version = i.v, created_here = 0"
    db.execute(
        "UPDATE t SET origin = {peer}, sync_row_is_tombstone = i.d + i.k, source_transaction = i.x, "
        "earlier_transaction = NULL, moved_in = {moved}, last_change_datetime = {now}{keep} "
        "FROM {tracking} AS t JOIN {incoming} AS i ON {tracked} WHERE i.act = 'write'".format(
            peer=int(work.peer),
            moved=received("i.m", work.peer),
            now=tracking.NOW,
            keep=keep,
            tracking=sql.tracking,
            incoming=sql.incoming,
            tracked=sql.match("t"),
        )
    )
    if work.exact and sql.spellings:
        # It is under this spelling that the sender knows the key from now on.
        _spell(db, sql, sql.tracking, "i.d = 0")
    baseline = "" if work.track_all else " AND i.v IS NOT NULL"
    db.execute(
        "INSERT INTO {tracking} ({keys}, origin, parent_version, created_here, sync_row_is_tombstone, "
        "source_transaction, moved_in, last_change_datetime) SELECT {values}, {peer}, {parent_version}, "
        "{created}, i.d + i.k, i.x, {moved}, {now} FROM {incoming} AS i WHERE i.act = 'write'{baseline} AND {untracked}".format(
            tracking=sql.tracking,
            keys=sql.key_list,
            values=sql.incoming_keys,
            peer=int(work.peer),
            parent_version=parent_version,
            created=created,
            moved=received("i.m", work.peer),
            now=tracking.NOW,
            incoming=sql.incoming,
            baseline=baseline,
            untracked=sql.untracked,
        )
    )


def _adopt(db: Any, work: Work, sql: _Phrases) -> None:
    """The parent's image is here already: only its version is new. A tracking row that knows it is left alone, for the
    server gives every row that is written another version. Where nothing goes up, the deletion of a row that never was
    here leaves nothing to go further down."""
    known, origin = "t.parent_version IS NULL OR t.parent_version <> i.v", ""
    if work.gives_up:
        alike = "(t.sync_row_is_tombstone = 0 AND i.d = 0 OR t.sync_row_is_tombstone <> 0 AND i.d = 1)"
        known += " OR (t.origin IS NULL OR t.origin <> 0) AND " + alike
        origin = ", origin = CASE WHEN " + alike + " THEN 0 ELSE t.origin END"
    db.execute(
        "UPDATE t SET parent_version = i.v{origin} FROM {tracking} AS t JOIN {incoming} AS i ON {tracked} "
        "WHERE i.act = 'same' AND i.v IS NOT NULL AND ({known})".format(
            origin=origin, tracking=sql.tracking, incoming=sql.incoming, tracked=sql.match("t"), known=known
        )
    )
    db.execute(
        "INSERT INTO {tracking} ({keys}, origin, parent_version, created_here, sync_row_is_tombstone, "
        "source_transaction) "
        "SELECT {values}, 0, i.v, 0, i.d, i.x FROM {incoming} AS i WHERE i.act = 'same' AND i.v IS NOT NULL{new} "
        "AND {untracked}".format(
            new=" AND i.d = 0" if work.gives_up else "",
            tracking=sql.tracking,
            keys=sql.key_list,
            values=sql.incoming_keys,
            incoming=sql.incoming,
            untracked=sql.untracked,
        )
    )


def _keep_moves(db: Any, work: Work, sql: _Phrases) -> None:
    """A key that a row had for a while, and that never came here, is a step on the way from its old key to its new
    one."""
    db.execute(
        "INSERT INTO {tracking} ({keys}, origin, sync_row_is_tombstone, source_transaction, moved_in) SELECT {values}, "
        "{peer}, 2, i.x, {moved} FROM {incoming} AS i WHERE i.act = 'same' AND i.k = 1 AND {untracked}".format(
            tracking=sql.tracking,
            keys=sql.key_list,
            values=sql.incoming_keys,
            peer=int(work.peer),
            moved=received("i.m", work.peer),
            incoming=sql.incoming,
            untracked=sql.untracked,
        )
    )


def _remember(db: Any, work: Work, sql: _Phrases) -> None:
    """What was taken at or above the next anchor may be delivered again; the window knows it by then."""
    db.execute(
        "INSERT INTO {window} (peer_id, sync_scope_name, table_name, row_key, version) SELECT {peer}, CAST(? AS "
        "nvarchar(100)), "
        "{name}, i.row_key, i.v FROM {incoming} AS i WHERE i.v >= {low} AND i.act <> 'seen'".format(
            window=names.quote(*WINDOW),
            peer=int(work.peer),
            name=sql.table_literal,
            incoming=sql.incoming,
            low=int(work.window_from),
        ),
        work.scope,
    )
