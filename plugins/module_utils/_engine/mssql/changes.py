# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what changed, as rows in the wire's form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from .._filter import Filter
from .._filtering import Filtering
from .._model import Column, Table, TableName
from .._wire import Extract, key_of
from . import marks, names, texts, tracking, types

#: A statement takes at most 2,100 parameters.
_MOST_PARAMETERS = 2_000


#: The version as the wire has it. Compared is the column itself, so that its index is used.
_VERSION = "CAST(t.version AS bigint)"

#: A row of the baseline has no transaction: a number of its own.
_ALONE = "-ROW_NUMBER() OVER (ORDER BY (SELECT NULL))"


def stream(db: Any, extract: Extract) -> Iterator[tuple[int | None, str]]:
    """The rows, each as (version, JSON text), in the order of their versions; inside a snapshot only.

    The result is read forward as the server sends it, so the memory stays flat.
    """
    for row in db.stream(query(extract)):
        yield row[0], row[1]


def query(extract: Extract) -> str:
    """The SELECT behind :func:`stream`. Each row is made to JSON by itself: FOR JSON over all would cut its text in
    pieces."""
    if extract.unchanged:
        rows, order = _unchanged(extract), ""
    elif extract.low is None:
        rows, order = _load(extract), ""
    else:
        rows, order = _changes(extract), " ORDER BY %s" % _order(extract)
    members = ["v", "x", "d"]
    if extract.unchanged:
        members += ["b", "n"]
    elif extract.uploads and extract.low is not None:
        members += ["b", "n", "e", "k", "m"]
    members += [key_of(position) for position in range(len(extract.columns))]
    return (
        "SELECT q.v, j.body FROM (%s) AS q CROSS APPLY (SELECT %s FOR JSON PATH, INCLUDE_NULL_VALUES, "
        "WITHOUT_ARRAY_WRAPPER) "
        "AS j(body)%s" % (rows, ", ".join("q.%s AS %s" % (name, name) for name in members), order)
    )


def _order(extract: Extract) -> str:
    """The order of the index on (version, key); the sort keys travel beside the row. The version as it is stored: of a number
    made of it no index knows that it is in the same order. A candidate of a filter may have none of its own."""
    version = "q.v" if extract.filter else "q.s"
    return ", ".join([version] + ["q.k%d" % position for position in range(len(extract.table.primary_key))])


def _load(extract: Extract) -> str:
    """Every row, and the deletions that are still known: the receiver may have made a row of that key meanwhile. Of a filtered
    table the rows under the filter, and deletions of all others if the receiver has any rows."""
    # A row of the baseline has no source transaction: a number of its own lets one bad row be put aside without the
    # others.
    keys, filtering = _keys(extract.table), _filtering(extract)
    rows = (
        "SELECT {version} AS v, COALESCE({source}, {alone}) AS x, 0 AS d{columns} "
        "FROM {base} AS r LEFT JOIN {tracking} AS t ON {tracked} WHERE {matching}"
    ).format(columns=_columns(extract, "r", tracked="t"), matching=filtering.matching("r"), **_places(extract))
    if not extract.filter or extract.removes:
        rows += (
            " UNION ALL SELECT {version}, {source}, 1{deleted} "
            "FROM {tracking} AS t LEFT JOIN {base} AS r ON {tracked} WHERE t.sync_row_is_tombstone <> 0 AND r.{key} IS NULL"
        ).format(deleted=_columns(extract, "t"), key=keys[0], **_places(extract))
    if extract.removes:
        rows += (
            " UNION ALL SELECT {version}, COALESCE({source}, {alone}), 1{deleted} FROM {base} AS o "
            "LEFT JOIN {tracking} AS t ON {here} LEFT JOIN {base} AS r ON 1 = 0 "
            "WHERE CASE WHEN {matching} THEN 1 ELSE 0 END = 0"
        ).format(
            deleted=_columns(extract, "o", tracked="t"),
            here=tracking.matching("t", "o", keys),
            matching=filtering.matching("o"),
            **_places(extract),
        )
    return rows


def _places(extract: Extract) -> dict[str, str]:
    return {
        "base": names.quote(*extract.table.name),
        "tracking": _tracking(extract.table),
        "tracked": tracking.matching("t", "r", _keys(extract.table)),
        "source": tracking.SOURCE,
        "alone": _ALONE,
        "version": _VERSION,
    }


def _unchanged(extract: Extract) -> str:
    """The rows that are here as they came: from the receiver, or before the baseline; and whether it has forgotten that."""
    return (
        "SELECT {version} AS v, -ROW_NUMBER() OVER (ORDER BY (SELECT NULL)) AS x, 0 AS d, {forgotten} AS b, 0 AS n{columns} "
        "FROM {base} AS r LEFT JOIN {tracking} AS t ON {tracked} WHERE t.version IS NULL OR t.origin = {receiver}"
    ).format(
        version=_VERSION,
        columns=_columns(extract, "r", tracked="t"),
        base=names.quote(*extract.table.name),
        tracking=_tracking(extract.table),
        tracked=tracking.matching("t", "r", _keys(extract.table)),
        receiver=int(extract.not_origin),
        forgotten=extract.forgotten,
    )


def _base(extract: Extract) -> str:
    known = "COALESCE(t.parent_version, %d)" % int(extract.base or 0)
    if extract.newest_base is None:
        return known
    newest = int(extract.newest_base)
    return "CASE WHEN %s > %d THEN %d ELSE %s END" % (known, newest, newest, known)


def _changes(extract: Extract) -> str:
    if extract.filter:
        # The keys are sorted by as well, as in any other extract.
        order = "".join(", c.%s AS k%d" % (key, position) for position, key in enumerate(_keys(extract.table)))
        columns = _columns(extract, "c", "r", "t")
        return _moves(extract, "%s%s%s" % (_meta_of_moves(extract), columns, order))
    keys = _keys(extract.table)
    missing = "r.%s IS NULL" % keys[0]
    meta = [
        "%s AS v" % _VERSION,
        "%s AS x" % tracking.SOURCE,
        "CASE WHEN %s THEN 1 ELSE 0 END AS d" % missing,
    ]
    if extract.uploads:
        meta += ["%s AS b" % _base(extract), "t.created_here AS n"]
        meta += ["CASE WHEN t.parent_version IS NULL THEN 0 ELSE 1 END AS e"]
        meta += ["t.moved_in AS m", "CASE WHEN t.sync_row_is_tombstone = 2 THEN 1 END AS k"]
    meta += ["t.version AS s", *("t.%s AS k%d" % (key, position) for position, key in enumerate(keys))]
    return "SELECT %s%s FROM %s AS t LEFT JOIN %s AS r ON %s WHERE %s%s" % (
        ", ".join(meta),
        _columns(extract, "t", "r", "t"),
        _tracking(extract.table),
        names.quote(*extract.table.name),
        tracking.matching("r", "t", keys),
        _wanted(extract),
        "" if extract.with_deletes else " AND NOT (%s AND t.sync_row_is_tombstone <> 2)" % missing,
    )


def _meta_of_moves(extract: Extract) -> str:
    return "%s AS v, COALESCE(%s, %s) AS x, CASE WHEN r.%s IS NULL THEN 1 ELSE 0 END AS d" % (
        _filtering(extract).version % _VERSION,
        tracking.SOURCE,
        _ALONE,
        _keys(extract.table)[0],
    )


def _moves(extract: Extract, columns: str) -> str:
    """What changed, or came under the extract's filter or out of it: c the keys, r the row where it is under it."""
    keys, filtering = _keys(extract.table), _filtering(extract)
    return "SELECT %s FROM (%s) AS c LEFT JOIN %s AS t ON %s LEFT JOIN %s AS r ON %s AND %s WHERE %s" % (
        columns,
        filtering.candidates(),
        _tracking(extract.table),
        tracking.matching("t", "c", keys),
        names.quote(*extract.table.name),
        tracking.matching("r", "c", keys),
        filtering.matching("r"),
        filtering.travels(),
    )


def matching(table: TableName, conditions: Filter, alias: str) -> str:
    """SQL: the row of ``alias`` is under a filter; true for all rows where there are no conditions."""
    return _filtering(Extract(Table(table, ()), (), 0, None, 0, filter=conditions)).matching(alias)


def _filtering(extract: Extract) -> Filtering:
    return Filtering(extract, names, marks, tracking.tracking_name(extract.table.name))


def _wanted(extract: Extract) -> str:
    newer = marks.newer_than("t.version", extract.low or 0, extract.seen)
    if extract.below is not None:
        newer += " AND NOT (%s)" % marks.newer_than("t.version", extract.below, None)
    if extract.after:
        newer += " AND (%s OR %s)" % (marks.newer_than("t.version", int(extract.low or 0) + 1, None), _behind(extract))
    return "%s AND %s" % (newer, _not_from(extract))


def _behind(extract: Extract) -> str:
    """SQL: the key comes after the one that was read last."""
    phrase = ""
    for column, value in reversed(list(zip(extract.table.key_columns, extract.after))):
        name, last = "t." + names.quote(column.name), _literal(column, value)
        further = " OR %s = %s AND %s" % (name, last, phrase) if phrase else ""
        phrase = "(%s > %s%s)" % (name, last, further)
    return phrase


def _literal(column: Column, value: Any) -> str:
    """SQL for a value of a key as it travels."""
    if types.read_as(column).startswith("varbinary"):
        return "0x" + base64.b64decode(value).hex()
    text = value if isinstance(value, str) else json.dumps(value)
    return types.from_wire(column, "CAST(%s AS %s)" % (names.literal(text), types.read_as(column)))


def _not_from(extract: Extract) -> str:
    return "(t.origin IS NULL OR t.origin <> %d)" % int(extract.not_origin)


def _columns(extract: Extract, key: str, row: str = "", tracked: str = "") -> str:
    """The columns under their wire names; the key from the alias ``key``, since a deleted row has nothing else.

    A collation may call two spellings of a key the same, and then the row may have another one than its tracking.

    :param row: the alias that has it as the row spells it, ``tracked``: as tracking does; each may lack it.
    """
    keys = set(extract.table.primary_key)
    better = (row if extract.spelled else tracked) or key
    parts = []
    for position, column in enumerate(extract.columns):
        name = names.quote(column.name)
        value = "%s.%s" % (key if column.name in keys else "r", name)
        if column.name in keys and better != key and texts.is_text(column):
            value = "COALESCE(%s.%s, %s)" % (better, name, value)
        parts.append(", %s AS %s" % (types.to_wire(column, value), key_of(position)))
    return "".join(parts)


def probe(db: Any, extracts: Sequence[Extract]) -> list[int]:
    """Positions of the extracts that have at least one row, in one statement.

    The anchors are bound, so that the text, and with it the server's plan for hundreds of tables, is the same at each
    cycle.
    """
    found = [position for position, extract in enumerate(extracts) if extract.low is None or _moved(db, extract)]
    asked = [
        (position, extract)
        for position, extract in enumerate(extracts)
        if extract.low is not None and not extract.filter
    ]
    for start in range(0, len(asked), _MOST_PARAMETERS):
        part = asked[start : start + _MOST_PARAMETERS]
        rows = db.query(
            " UNION ALL ".join(_asks(*one) for one in part), *(int(extract.low or 0) for _position, extract in part)
        )
        found += [int(row[0]) for row in rows]
    return sorted(found)


def _moved(db: Any, extract: Extract) -> bool:
    """Whether a filtered extract has a row. Few tables are filtered, and each in its own way."""
    if not extract.filter:
        return False
    return bool(db.value("SELECT CASE WHEN EXISTS (%s) THEN 1 ELSE 0 END" % _moves(extract, "1 AS n")))


def waiting(extract: Extract, columns: str) -> str:
    """A SELECT of what waits; t is the tracking row."""
    if extract.filter:
        return _moves(extract, columns)
    return "SELECT %s FROM %s AS t WHERE %s%s" % (columns, _tracking(extract.table), _wanted(extract), _alive(extract))


def _asks(position: int, extract: Extract) -> str:
    return (
        "SELECT %d AS n WHERE EXISTS (SELECT 1 FROM %s AS t WHERE t.version >= CAST(CAST(? AS bigint) AS binary(8)) "
        "AND %s%s)" % (position, _tracking(extract.table), _not_from(extract), _alive(extract))
    )


def _alive(extract: Extract) -> str:
    """Where deletions stay, none of them is a reason for a session."""
    return "" if extract.with_deletes else " AND t.sync_row_is_tombstone <> 1"


def backlog(db: Any, extracts: Sequence[Extract]) -> list[tuple[int, float | None]]:
    """For each extract: how many rows wait, and for how many seconds the oldest has."""
    if not extracts:
        return []
    columns = (
        "%d AS n, COUNT(*) AS waiting, DATEDIFF_BIG(millisecond, MIN(t.last_change_datetime), GETUTCDATE()) AS age"
    )
    parts = [waiting(extract, columns % position) for position, extract in enumerate(extracts)]
    rows = {
        int(row[0]): (int(row[1]), None if row[2] is None else row[2] / 1000.0)
        for row in db.query(" UNION ALL ".join(parts))
    }
    return [rows[position] for position in range(len(extracts))]


def count(db: Any, tables: Sequence[TableName], filters: Sequence[Filter] = ()) -> list[int]:
    """The number of rows of each table, in one statement.

    :param filters: for each table which rows count; none where all do.
    """
    if not tables:
        return []
    parts = [
        "SELECT %d AS n, COUNT_BIG(*) AS number FROM %s AS r WHERE %s"
        % (n, names.quote(*table), matching(table, wanted, "r"))
        for n, (table, wanted) in enumerate(zip_longest(tables, filters, fillvalue=()))
    ]
    found = {int(row[0]): int(row[1]) for row in db.query(" UNION ALL ".join(parts))}
    return [found[position] for position in range(len(tables))]


def _tracking(table: Table) -> str:
    return names.quote(*tracking.tracking_name(table.name))


def _keys(table: Table) -> list[str]:
    return [names.quote(column.name) for column in table.key_columns]
