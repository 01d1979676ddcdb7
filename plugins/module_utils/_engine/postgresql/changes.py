# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what changed, as rows in the wire's form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from .._filter import Filter, all_moves, members
from .._filtering import Filtering
from .._model import Table, TableName
from .._wire import Extract, key_of
from . import heads, marks, names, tracking, types

#: How much a fetch should bring, in characters; the number of rows follows from the rows seen so far.
_FETCH_SIZE = 400_000
_FIRST_ROWS, _MOST_ROWS = 50, 1_000
#: What a fetch may bring at the most, in characters, where rows may be of any size; one larger row comes alone.
_LARGEST_FETCH = 8_000_000


def stream(db: Any, extract: Extract) -> Iterator[tuple[int | None, str]]:
    """The rows, each as (version, JSON text), in the order of their versions; inside a snapshot only.

    A server-side cursor keeps the memory flat: the driver would otherwise collect the whole result first. The locks on the table and
    on all its indexes are given back with it, and not kept until the snapshot ends: a server has room for so many in all, and
    forty registers that each read hundreds of tables would leave none to the POS.
    """
    db.execute("SAVEPOINT one_table; DECLARE changes NO SCROLL CURSOR FOR " + query(extract))
    marks.check_seen(db, _read_by(extract))
    large = _large(extract)
    size, most = (1, 0) if large else (_FIRST_ROWS, _MOST_ROWS)
    while True:
        rows = db.query("FETCH FORWARD %d FROM changes" % size)
        for row in rows:
            yield row[0], row[1]
        if len(rows) < size:
            break
        average = max(1, sum(len(row[1]) for row in rows) // len(rows))
        # The next rows need not be like those before: of a thousand small ones nobody knows what the thousand after them are.
        most = most or max(1, min(_MOST_ROWS, _LARGEST_FETCH // max(1, _largest(db, large))))
        size = max(1, min(most, _FETCH_SIZE // average))
    # Not in a finally: after an error the end of the transaction closes the cursor, and this would hide the error.
    db.execute("ROLLBACK TO SAVEPOINT one_table; RELEASE SAVEPOINT one_table")


def _read_by(extract: Extract) -> list[TableName]:
    """The tables that :func:`query` reads."""
    name, others = extract.table.name, []
    if extract.filter:
        others += [member.table for member in members(extract.filter)]
        others += [moves.name for moves in all_moves(extract.table, extract.filter)]
    return [name, tracking.tracking_name(name), *others]


def query(extract: Extract) -> str:
    """The SELECT behind :func:`stream`."""
    return "SELECT q.v, CAST(row_to_json(q) AS text) FROM (%s) q" % _rows(extract)


def _rows(extract: Extract) -> str:
    if extract.unchanged:
        return _unchanged(extract)
    return _load(extract) if extract.low is None else _changes(extract)


def _large(extract: Extract) -> Extract | None:
    """The same rows with those columns alone whose values may be of any size, as they are; None where there are none."""
    large = [column for column in extract.columns if types.native(column.type) in ("text", "bytea")]
    return replace(extract, columns=tuple(replace(column, type="ntext") for column in large)) if large else None


def _largest(db: Any, large: Extract) -> int:
    """About how many bytes the largest row has. Large values stand elsewhere, and their sizes in the row: none of them is read."""
    sizes = " + ".join("coalesce(octet_length(q.%s), 0)" % key_of(place) for place in range(len(large.columns)))
    return int(db.value("SELECT coalesce(max(%s), 0) FROM (%s) q" % (sizes, _rows(large))))


def _load(extract: Extract) -> str:
    """Every row, and the deletions that are still known: the receiver may have made a row of that key meanwhile. Of a filtered table
    the rows under the filter, and deletions of all others if the receiver has any rows."""
    # A row of the baseline has no source transaction: a number of its own lets one bad row be put aside without the others.
    keys, filtering = _keys(extract.table), _filtering(extract)
    rows = (
        "SELECT t.version AS v, coalesce({source}, -row_number() OVER ()) AS x, 0 AS d, {columns} "
        "FROM {base} r LEFT JOIN {tracking} t ON {tracked} WHERE {matching}"
    ).format(columns=_columns(extract, "r"), matching=filtering.matching("r"), **_places(extract))
    if not extract.filter or extract.removes:
        rows += (
            " UNION ALL SELECT t.version, {source}, 1, {deleted} "
            "FROM {tracking} t LEFT JOIN {base} r ON {tracked} WHERE t.sync_row_is_tombstone <> 0 AND r.{key} IS NULL"
        ).format(deleted=_columns(extract, "t"), key=keys[0], **_places(extract))
    if extract.removes:
        rows += (
            " UNION ALL SELECT t.version, coalesce({source}, -row_number() OVER ()), 1, {deleted} FROM {base} o "
            "LEFT JOIN {tracking} t ON {here} LEFT JOIN {base} r ON 1 = 0 WHERE NOT coalesce({matching}, false)"
        ).format(
            deleted=_columns(extract, "o"), here=tracking.matching("t", "o", keys), matching=filtering.matching("o"),
            **_places(extract),
        )  # fmt: skip
    return rows


def _places(extract: Extract) -> dict[str, str]:
    return {
        "base": names.quote(*extract.table.name),
        "tracking": _tracking(extract.table),
        "tracked": tracking.matching("t", "r", _keys(extract.table)),
        "source": tracking.SOURCE,
    }


def _unchanged(extract: Extract) -> str:
    """The rows that are here as they came: from the receiver, or before the baseline; and whether it has forgotten that."""
    return (
        "SELECT t.version AS v, -row_number() OVER () AS x, 0 AS d, {forgotten} AS b, 0 AS n, {columns} FROM {base} r "
        "LEFT JOIN {tracking} t ON {tracked} WHERE t.version IS NULL OR t.origin = {receiver}"
    ).format(
        columns=_columns(extract, "r"), base=names.quote(*extract.table.name), tracking=_tracking(extract.table),
        tracked=tracking.matching("t", "r", _keys(extract.table)), receiver=int(extract.not_origin),
        forgotten=extract.forgotten,
    )  # fmt: skip


def _base(extract: Extract) -> str:
    known = "coalesce(t.parent_version, %d)" % int(extract.base or 0)
    return known if extract.newest_base is None else "least(%s, %d)" % (known, int(extract.newest_base))


def _changes(extract: Extract) -> str:
    if extract.filter:
        return _moves(extract, "%s, %s" % (_meta_of_moves(extract), _columns(extract, "c"))) + " ORDER BY 1"
    keys = _keys(extract.table)
    missing = "r.%s IS NULL" % keys[0]
    meta = ["t.version AS v", "%s AS x" % tracking.SOURCE, "CASE WHEN %s THEN 1 ELSE 0 END AS d" % missing]
    if extract.uploads:
        meta += ["%s AS b" % _base(extract), "t.created_here AS n"]
        meta += ["CASE WHEN t.parent_version IS NULL THEN 0 ELSE 1 END AS e"]
        meta += ["t.moved_in AS m", "CASE WHEN t.sync_row_is_tombstone = 2 THEN 1 END AS k"]
    stays = "" if extract.with_deletes else " AND NOT (%s AND t.sync_row_is_tombstone <> 2)" % missing
    return "SELECT %s, %s FROM %s t LEFT JOIN %s r ON %s WHERE %s%s ORDER BY t.version, %s" % (
        ", ".join(meta), _columns(extract, "t"), _tracking(extract.table), names.quote(*extract.table.name),
        tracking.matching("r", "t", keys), _wanted(extract), stays,
        ", ".join("t." + key for key in keys),
    )  # fmt: skip


def _meta_of_moves(extract: Extract) -> str:
    return "%s AS v, coalesce(%s, -row_number() OVER ()) AS x, CASE WHEN r.%s IS NULL THEN 1 ELSE 0 END AS d" % (
        _filtering(extract).version % "t.version", tracking.SOURCE, _keys(extract.table)[0],
    )  # fmt: skip


def _moves(extract: Extract, columns: str) -> str:
    """What changed, or came under the extract's filter or out of it: c the keys, r the row where it is under it."""
    keys, filtering = _keys(extract.table), _filtering(extract)
    return "SELECT %s FROM (%s) c LEFT JOIN %s t ON %s LEFT JOIN %s r ON %s AND %s WHERE %s" % (
        columns, filtering.candidates(), _tracking(extract.table), tracking.matching("t", "c", keys),
        names.quote(*extract.table.name), tracking.matching("r", "c", keys), filtering.matching("r"), filtering.travels(),
    )  # fmt: skip


def matching(table: TableName, conditions: Filter, alias: str) -> str:
    """SQL: the row of ``alias`` is under a filter; true for all rows where there are no conditions."""
    return _filtering(Extract(Table(table, ()), (), 0, None, 0, filter=conditions)).matching(alias)


def _filtering(extract: Extract) -> Filtering:
    return Filtering(extract, names, marks, tracking.tracking_name(extract.table.name))


def _wanted(extract: Extract) -> str:
    newer = marks.newer_than("t.version", extract.low or 0, extract.seen)
    if extract.below is not None:
        newer += " AND t.version < %d" % int(extract.below)
    if extract.after:
        newer += " AND " + _behind(extract)
    return "%s AND (t.origin IS NULL OR t.origin <> %d)" % (newer, int(extract.not_origin))


def _behind(extract: Extract) -> str:
    """SQL: the row comes after the one that was read last, in the order in which they are read."""
    columns = extract.table.key_columns
    row = json.dumps({key_of(position): value for position, value in enumerate(extract.after)}, ensure_ascii=False)
    return "(t.version, %s) > (SELECT CAST(%d AS bigint), %s FROM json_to_record(CAST(%s AS json)) AS k (%s))" % (
        ", ".join("t." + key for key in _keys(extract.table)), int(extract.low or 0),
        ", ".join(types.from_wire(column, "k." + key_of(position)) for position, column in enumerate(columns)), names.literal(row),
        ", ".join("%s %s" % (key_of(position), types.read_as(column)) for position, column in enumerate(columns)),
    )  # fmt: skip


def _columns(extract: Extract, key_alias: str) -> str:
    """The columns under their wire names; the key from ``key_alias``, since a deleted row has nothing else."""
    keys = set(extract.table.primary_key)
    return ", ".join(
        "%s AS %s"
        % (
            types.to_wire(column, "%s.%s" % (key_alias if column.name in keys else "r", names.quote(column.name))),
            key_of(position),
        )
        for position, column in enumerate(extract.columns)
    )


def probe(db: Any, extracts: Sequence[Extract]) -> list[int]:
    """Positions of the extracts that have at least one row; outside of a transaction.

    One short question for all of them, and a closer one for those whose tables have been written since.
    """
    loads = [position for position, extract in enumerate(extracts) if extract.low is None]
    plain = [(n, extract) for n, extract in enumerate(extracts) if extract.low is not None and not extract.filter]
    # What comes under a filter, or out of it, need not have been written itself.
    filtered = [(n, extract) for n, extract in enumerate(extracts) if extract.low is not None and extract.filter]
    reached = heads.reached(db, [(_tracking(extract.table), extract.low or 0) for _position, extract in plain])
    parts = [
        "SELECT %d AS n WHERE EXISTS (%s)" % (position, waiting(extract, "1"))
        for position, extract in [*(plain[place] for place in reached), *filtered]
    ]
    return sorted(loads + [int(row[0]) for row in heads.in_portions(db, parts)])


def waiting(extract: Extract, columns: str) -> str:
    """A SELECT of what waits; t is the tracking row."""
    if extract.filter:
        return _moves(extract, columns)
    return "SELECT %s FROM %s t WHERE %s%s" % (columns, _tracking(extract.table), _wanted(extract), _alive(extract))


def _alive(extract: Extract) -> str:
    """Where deletions stay, none of them is a reason for a session."""
    return "" if extract.with_deletes else " AND t.sync_row_is_tombstone <> 1"


def backlog(db: Any, extracts: Sequence[Extract]) -> list[tuple[int, float | None]]:
    """For each extract: how many rows wait, and for how many seconds the oldest has."""
    columns = (
        "%d AS n, count(*) AS waiting, CAST(extract(epoch FROM (now() AT TIME ZONE 'utc') - min(t.last_change_datetime)) "
        "AS double precision) AS age"
    )
    parts = [waiting(extract, columns % position) for position, extract in enumerate(extracts)]
    rows = {
        int(row[0]): (int(row[1]), None if row[2] is None else float(row[2])) for row in heads.in_portions(db, parts)
    }
    return [rows[position] for position in range(len(extracts))]


def count(db: Any, tables: Sequence[TableName], filters: Sequence[Filter] = ()) -> list[int]:
    """The number of rows of each table; of one moment inside a snapshot only.

    :param filters: for each table which rows count; none where all do.
    """
    parts = [
        "SELECT %d AS n, count(*) AS rows FROM %s r WHERE %s" % (n, names.quote(*table), matching(table, wanted, "r"))
        for n, (table, wanted) in enumerate(zip_longest(tables, filters, fillvalue=()))
    ]
    found = {int(row[0]): int(row[1]) for row in heads.in_portions(db, parts)}
    return [found[position] for position in range(len(tables))]


def _tracking(table: Table) -> str:
    return names.quote(*tracking.tracking_name(table.name))


def _keys(table: Table) -> list[str]:
    return [names.quote(column.name) for column in table.key_columns]
