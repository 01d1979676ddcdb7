# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of rows that every engine computes alike; the spelling is described in ``_canonical``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable

from .._canonical import Bucket, Digest, Form, Seen, numbered
from .._filtering import Filtering
from .._model import Column, Table
from .._wire import Extract
from . import changes, marks, names, tracking, types

_FAMILIES: dict[str, Form] = {
    "int": Form("integer"),
    "bigint": Form("integer"),
    "smallint": Form("integer"),
    "bit": Form("bit"),
    "numeric": Form("exact"),
    "date": Form("date"),
    "datetime": Form("moment", 1_000),
    "smalldatetime": Form("moment", 1),
    "datetime2": Form("moment", 1_000_000),
    "time": Form("time", 1_000_000),
    "uniqueidentifier": Form("guid"),
    "float": Form("double"),
    "real": Form("single"),
    "nvarchar": Form("text"),
    "nchar": Form("fixed"),
    "varbinary": Form("binary"),
}
#: A function takes at most 100 arguments.
_MOST_ARGUMENTS = 90
_PRINTABLE = "COLLATE \"C\" ~ '^[ -~]*$'"
#: Makes the SQL of a value's spelling from the SQL of the value and the form's unit.
Spelling = Callable[[str, int], str]


def form(column: Column) -> Form:
    """How the column is spelled as far as this engine is concerned."""
    return _FAMILIES[types.normalize(column.type).partition("(")[0]]


def buckets(db: Any, digest: Digest, number: int) -> dict[int, Bucket]:
    """The table in ``number`` buckets (a power of two up to 65,536) by the first digits of each row's digest."""
    rows = db.query(
        "SELECT {bucket}, count(*), sum({first}), sum({second}) FROM (SELECT {row} AS h FROM {base} r{wanted}) q GROUP BY 1".format(
            bucket=_bucket("h", number),
            first=_part("h", 5),
            second=_part("h", 13),
            row=_row(digest),
            base=names.quote(*digest.table.name),
            wanted=_wanted(digest),
        )
    )
    return {int(row[0]): Bucket(int(row[1]), int(row[2]), int(row[3])) for row in rows}


def members(db: Any, digest: Digest, number: int, wanted: Iterable[int]) -> list[tuple[str, str, str]]:
    """The rows of some buckets: the key's spelling, the row's digest, and the key as a wire object (``k0``, ``k1`` …)."""
    rows = db.query(
        "SELECT q.k, q.h, q.w FROM (SELECT {key} AS k, {row} AS h, {wire} AS w FROM {base} r{wanted}) q "
        "WHERE {bucket} IN ({numbers})".format(
            key=_joined(digest.keys),
            row=_row(digest),
            wire=wire_key(digest.table),
            base=names.quote(*digest.table.name),
            wanted=_wanted(digest),
            bucket=_bucket("q.h", number),
            numbers=", ".join(str(int(one)) for one in wanted),
        )
    )
    return [(row[0], row[1], row[2]) for row in rows]


def look(db: Any, digest: Digest, extract: Extract | None, keys: Sequence[str]) -> list[Seen]:
    """What is here of each key, a wire object as :func:`members` gives it.

    :param extract: what this side would send; None where nothing goes that way.
    """
    waits = "false"
    if extract is not None:
        waits = "(%s AND (t.origin IS NULL OR t.origin <> %d)%s)" % (
            marks.newer_than("t.version", extract.low or 0, extract.seen),
            int(extract.not_origin),
            "" if extract.with_deletes else " AND t.sync_row_is_tombstone <> 1",
        )
    key_names = [names.quote(column.name) for column in digest.table.key_columns]
    if extract is not None and extract.filter:
        waits = _waits(extract, key_names)
    rows = db.query(
        "SELECT q.p, CASE WHEN r.{first} IS NOT NULL THEN {row} END, t.version IS NOT NULL, coalesce(t.sync_row_is_tombstone, 0), "
        "coalesce({waits}, false), CASE WHEN t.source_transaction IS NULL THEN t.version ELSE t.source_transaction END "
        "FROM {keys} LEFT JOIN {base} r ON {present} LEFT JOIN {tracking} t ON {tracked}".format(
            first=key_names[0],
            row=_row(digest),
            waits=waits,
            keys=keys_from_json(digest.table),
            base=names.quote(*digest.table.name),
            present=tracking.matching("r", "q", key_names) + (" AND " + _under_filter(digest) if digest.filter else ""),
            tracking=names.quote(*tracking.tracking_name(digest.table.name)),
            tracked=tracking.matching("t", "q", key_names),
        ),
        numbered(keys),
    )
    found = {int(row[0]): Seen(row[1], _true(row[2]), bool(row[3]), _true(row[4]), row[5]) for row in rows}
    return [found[position] for position in range(len(keys))]


def images(db: Any, digest: Digest, keys: Sequence[str]) -> list[str | None]:
    """The digest of each key's row, None where there is no row. ``keys``: wire objects as :func:`members` gives them."""
    key_names = [names.quote(column.name) for column in digest.table.key_columns]
    rows = db.query(
        "SELECT q.p, CASE WHEN r.{first} IS NOT NULL THEN {row} END FROM {keys} LEFT JOIN {base} r ON {present}".format(
            first=key_names[0],
            row=_row(digest),
            keys=keys_from_json(digest.table),
            base=names.quote(*digest.table.name),
            present=tracking.matching("r", "q", key_names),
        ),
        numbered(keys),
    )
    found = {int(row[0]): row[1] for row in rows}
    return [found[position] for position in range(len(keys))]


def _waits(extract: Extract, keys: list[str]) -> str:
    """SQL: the row of the key q has yet to go, in a filtered extract, or its deletion."""
    found = changes.waiting(extract, ", ".join("c." + key for key in keys))
    return "EXISTS (SELECT 1 FROM (%s) w WHERE %s)" % (found, tracking.matching("w", "q", keys))


def keys_from_json(table: Table) -> str:
    """SQL: the keys of one bound parameter (see ``_canonical.numbered``) as alias q, under their own names, with their place p."""
    return rows_from_json(table, table.key_columns)


def rows_from_json(table: Table, columns: Sequence[Column]) -> str:
    """SQL: likewise with any columns of the table, as ``k0``, ``k1`` … in their order."""
    read = ", ".join("k%d %s" % (place, types.read_as(column)) for place, column in enumerate(columns))
    values = ", ".join(
        "%s AS %s" % (types.from_wire(column, "j.k%d" % place), names.quote(column.name))
        for place, column in enumerate(columns)
    )
    return "(SELECT j.p, %s FROM json_to_recordset(CAST(CAST(? AS text) AS json)) AS j (p integer, %s)) AS q" % (
        values,
        read,
    )


def _true(value: Any) -> bool:
    # psqlodbc gives booleans as texts, unless it is told otherwise.
    return value in (True, 1, "1", "t", "true")


def _wanted(digest: Digest) -> str:
    conditions = [_under_filter(digest)] if digest.filter else []
    if digest.origin is not None:
        keys = [names.quote(column.name) for column in digest.table.key_columns]
        conditions.append(
            "EXISTS (SELECT 1 FROM %s AS t WHERE %s AND t.origin = %d%s)"
            % (
                names.quote(*tracking.tracking_name(digest.table.name)),
                tracking.matching("t", "r", keys),
                int(digest.origin),
                _since(digest),
            )
        )
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _since(digest: Digest) -> str:
    conditions = "" if digest.low is None else " AND " + marks.newer_than("t.version", digest.low, None)
    if digest.since is not None:
        moment = names.literal(digest.since.isoformat(timespec="milliseconds"))
        conditions += " AND t.last_change_datetime >= CAST(%s AS %s)" % (moment, types.native("datetime"))
    return conditions


def _under_filter(digest: Digest) -> str:
    extract = Extract(table=digest.table, columns=(), low=None, seen=None, not_origin=0, filter=digest.filter)
    return "(%s)" % Filtering(extract, names, marks, tracking.tracking_name(digest.table.name)).matching("r")


def wire_key(table: Table) -> str:
    """SQL: the key of the alias r as a wire object (``k0``, ``k1`` …)."""
    members = ", ".join(
        "%s AS k%d" % (types.to_wire(column, "r." + names.quote(column.name)), place)
        for place, column in enumerate(table.key_columns)
    )
    return "CAST(row_to_json((SELECT o FROM (SELECT %s) o)) AS text)" % members


def _row(digest: Digest) -> str:
    # Most rows are plain from end to end, which one look at all of it tells.
    columns = list(zip(digest.columns, digest.forms))
    return "(SELECT CASE WHEN f.plain %s THEN md5(f.plain) ELSE md5(%s) END FROM (SELECT %s AS plain OFFSET 0) f)" % (
        _PRINTABLE,
        _joined(columns),
        _joined(columns, {"text": _plain, "fixed": _plain_fixed}),
    )


def _joined(columns: Sequence[tuple[Column, Form]], instead: Mapping[str, Spelling] | None = None) -> str:
    spellings = {**_SPELLINGS, **(instead or {})}
    texts = [
        "coalesce(%s, '')" % spellings[one.family]("r." + names.quote(column.name), one.unit) for column, one in columns
    ]
    parts = [texts[start : start + _MOST_ARGUMENTS] for start in range(0, len(texts), _MOST_ARGUMENTS)]
    return " || '|' || ".join("concat_ws('|', %s)" % ", ".join(part) for part in parts)


def _bucket(digest: str, number: int) -> str:
    return "(CAST(CAST('x' || left(%s, 4) AS bit(16)) AS integer) & %d)" % (digest, number - 1)


def _part(digest: str, start: int) -> str:
    return "CAST(CAST('x' || substr(%s, %d, 8) AS bit(32)) AS bigint)" % (digest, start)


def _number(value: str, _unit: int) -> str:
    return "CAST(%s AS text)" % value


def _bit(value: str, _unit: int) -> str:
    return "CASE WHEN %s THEN '1' WHEN NOT %s THEN '0' END" % (value, value)


def _exact(value: str, _unit: int) -> str:
    return "CAST(trim_scale(%s) AS text)" % value


def _date(value: str, _unit: int) -> str:
    return "CAST(%s - DATE '1970-01-01' AS text)" % value


def _moment(value: str, unit: int) -> str:
    seconds = "extract(epoch FROM %s)" % value
    if not unit:
        return "CAST(floor((%s + 30) / 60) AS text)" % seconds
    return "CAST(floor(%s * %d + 0.5) AS text)" % (seconds, unit)


def _guid(value: str, _unit: int) -> str:
    return "CAST(%s AS text)" % value


def _double(value: str, _unit: int) -> str:
    return "encode(float8send(%s), 'hex')" % value


def _single(value: str, _unit: int) -> str:
    return "encode(float4send(%s), 'hex')" % value


def _plain(value: str, _unit: int) -> str:
    return "length({0}) || ':' || {0}".format(value)


def _plain_fixed(value: str, unit: int) -> str:
    return _plain("rtrim(%s, ' ')" % value, unit)


def _string(value: str, _unit: int) -> str:
    return (
        "CASE WHEN {value} {printable} THEN {plain} ELSE 'u' || ("
        "SELECT string_agg(CASE WHEN c < 65536 THEN {low} ELSE {high} END, '' ORDER BY n) FROM ("
        "SELECT ascii(s.c) AS c, s.n FROM regexp_split_to_table({value}, '') WITH ORDINALITY AS s(c, n)) AS p) END"
    ).format(
        value=value,
        printable=_PRINTABLE,
        plain=_plain(value, 0),
        low=_code_unit("c"),
        high="%s || %s" % (_code_unit("(55296 + ((c - 65536) >> 10))"), _code_unit("(56320 + ((c - 65536) & 1023))")),
    )


def _code_unit(number: str) -> str:
    return "lpad(to_hex((({0} & 255) << 8) | ({0} >> 8)), 4, '0')".format(number)


def _fixed(value: str, unit: int) -> str:
    return _string("rtrim(%s, ' ')" % value, unit)


def _binary(value: str, _unit: int) -> str:
    return "md5(%s)" % value


_SPELLINGS: dict[str, Spelling] = {
    "integer": _number,
    "bit": _bit,
    "exact": _exact,
    "date": _date,
    "time": _moment,
    "moment": _moment,
    "guid": _guid,
    "double": _double,
    "single": _single,
    "text": _string,
    "fixed": _fixed,
    "binary": _binary,
}
