# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of rows that every engine computes alike; the spelling is described in ``_canonical``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._canonical import Bucket, Digest, Form, Seen, numbered
from .._filtering import Filtering
from .._model import Column, Table
from .._wire import Extract
from . import changes, marks, names, probes, texts, tracking, types

_FAMILIES: dict[str, Form] = {
    "int": Form("integer"),
    "bigint": Form("integer"),
    "smallint": Form("integer"),
    "tinyint": Form("integer"),
    "bit": Form("bit"),
    "numeric": Form("exact"),
    "money": Form("exact"),
    "date": Form("date"),
    "datetime": Form("moment", 300),
    "smalldatetime": Form("moment", 0),
    "uniqueidentifier": Form("guid"),
    "float": Form("double"),
    "real": Form("single"),
    "nvarchar": Form("text"),
    "varchar": Form("text"),
    "ntext": Form("text"),
    "text": Form("text"),
    "nchar": Form("fixed"),
    "char": Form("fixed"),
    "varbinary": Form("binary"),
    "binary": Form("binary"),
    "image": Form("binary"),
    "xml": Form("xml"),
}
#: A function takes at most 254 arguments; 100 where it is one of PostgreSQL's (Babelfish).
_MOST_ARGUMENTS = 90
#: Style 2 of CONVERT, hexadecimal digits, is not everywhere (Babelfish), and neither are the bytes of UTF-16.
_HAS_STYLE = "SELECT 1 / CASE WHEN CONVERT(varchar(4), 0x0102, 2) = '0102' THEN 1 ELSE 0 END"
_PRINTABLE = "COLLATE Latin1_General_BIN2 NOT LIKE N'%[^ -~]%'"
#: The longest text whose spelling, a ``u`` and four hexadecimal digits a character, is still short of the 8,000 bytes at which
#: CONCAT, silently, cuts off what has no ``max`` in it.
_SHORT = 1_999


def form(column: Column) -> Form:
    """How the column is spelled as far as this engine is concerned."""
    name, _paren, size = types.normalize(column.type).partition("(")
    if name in ("datetime2", "time"):
        return Form("time" if name == "time" else "moment", min(10 ** int(size.rstrip(")") or 7), 1_000_000))
    return _FAMILIES[name]


def buckets(db: Any, digest: Digest, number: int) -> dict[int, Bucket]:
    """The table in ``number`` buckets (a power of two up to 65,536) by the first digits of each row's digest."""
    rows = db.query(
        "SELECT q.b, COUNT_BIG(*), SUM(CAST(SUBSTRING(q.h, 3, 4) AS bigint)), SUM(CAST(SUBSTRING(q.h, 7, 4) AS bigint)) "
        "FROM (SELECT {bucket} AS b, s.h AS h FROM (SELECT {row} AS h FROM {base} AS r{wanted}) AS s) AS q GROUP BY q.b".format(
            bucket=_bucket("s.h", number),
            row=_row(db, digest),
            base=names.quote(*digest.table.name),
            wanted=_wanted(digest),
        )
    )
    return {int(row[0]): Bucket(int(row[1]), int(row[2]), int(row[3])) for row in rows}


def members(db: Any, digest: Digest, number: int, wanted: Iterable[int]) -> list[tuple[str, str, str]]:
    """The rows of some buckets: the key's spelling, the row's digest, and the key as a wire object (``k0``, ``k1`` …)."""
    rows = db.query(
        "SELECT q.k, {digits}, q.w FROM (SELECT {key} AS k, {row} AS h, {wire} AS w FROM {base} AS r{wanted}) AS q "
        "WHERE {bucket} IN ({numbers})".format(
            digits=_hex(db, "q.h", 32),
            key=_joined(db, digest.keys),
            row=_row(db, digest),
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
    waits = "1 = 0"
    if extract is not None:
        waits = "%s AND (t.origin IS NULL OR t.origin <> %d)%s" % (
            marks.newer_than("t.version", extract.low or 0, extract.seen),
            int(extract.not_origin),
            "" if extract.with_deletes else " AND t.sync_row_is_tombstone <> 1",
        )
    key_names = [names.quote(column.name) for column in digest.table.key_columns]
    if extract is not None and extract.filter:
        waits = _waits(extract, key_names)
    rows = db.query(
        "SELECT q.p, CASE WHEN r.{first} IS NOT NULL THEN {digits} END, CASE WHEN t.version IS NULL THEN 0 ELSE 1 END, "
        "COALESCE(t.sync_row_is_tombstone, 0), CASE WHEN {waits} THEN 1 ELSE 0 END, "
        "COALESCE(t.source_transaction, CAST(t.version AS bigint)) "
        "FROM {keys} LEFT JOIN {base} AS r ON {present} LEFT JOIN {tracking} AS t ON {tracked}".format(
            first=key_names[0],
            digits=_hex(db, _row(db, digest), 32),
            waits=waits,
            keys=keys_from_json(digest.table),
            base=names.quote(*digest.table.name),
            present=tracking.matching("r", "q", key_names) + (" AND " + _under_filter(digest) if digest.filter else ""),
            tracking=names.quote(*tracking.tracking_name(digest.table.name)),
            tracked=tracking.matching("t", "q", key_names),
        ),
        numbered(keys),
    )
    found = {int(row[0]): Seen(row[1], bool(row[2]), bool(row[3]), bool(row[4]), row[5]) for row in rows}
    return [found[position] for position in range(len(keys))]


def images(db: Any, digest: Digest, keys: Sequence[str]) -> list[str | None]:
    """The digest of each key's row, None where there is no row. ``keys``: wire objects as :func:`members` gives them."""
    key_names = [names.quote(column.name) for column in digest.table.key_columns]
    rows = db.query(
        "SELECT q.p, CASE WHEN r.{first} IS NOT NULL THEN {row} END FROM {keys} LEFT JOIN {base} AS r ON {present}".format(
            first=key_names[0],
            row=_hex(db, _row(db, digest), 32),
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
    return "EXISTS (SELECT 1 FROM (%s) AS w WHERE %s)" % (found, tracking.matching("w", "q", keys))


def keys_from_json(table: Table) -> str:
    """SQL: the keys of one bound parameter (see ``_canonical.numbered``) as alias q, under their own names, with their place p."""
    return rows_from_json(table, table.key_columns)


def rows_from_json(table: Table, columns: Sequence[Column]) -> str:
    """SQL: likewise with any columns of the table, as ``k0``, ``k1`` … in their order."""
    read = ", ".join("k%d %s '$.k%d'" % (place, types.read_as(column), place) for place, column in enumerate(columns))
    values = ", ".join(
        "%s AS %s" % (_read(table, column, types.from_wire(column, "j.k%d" % place)), names.quote(column.name))
        for place, column in enumerate(columns)
    )
    return "(SELECT j.p, %s FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (p int '$.p', %s) AS j) AS q" % (values, read)


def _read(table: Table, column: Column, value: str) -> str:
    # A key in its column's own type: an index is of no use to a longer one. Anything else as it came, so that what is too long
    # is refused and not cut.
    if column.name not in table.primary_key:
        return value
    return "CONVERT(%s, %s)%s" % (types.native(column.type), value, texts.collated(column))


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
    return "(SELECT %s FOR JSON PATH, WITHOUT_ARRAY_WRAPPER)" % members


def _row(db: Any, digest: Digest) -> str:
    return "HASHBYTES('MD5', %s)" % _joined(db, list(zip(digest.columns, digest.forms)))


def _joined(db: Any, columns: Sequence[tuple[Column, Form]]) -> str:
    parts: list[str] = []
    for column, one in columns:
        parts += ["'|'"] if parts else []
        parts.append(_text(db, one, column, "r." + names.quote(column.name)))
    groups = [parts[start : start + _MOST_ARGUMENTS] for start in range(0, len(parts), _MOST_ARGUMENTS)]
    # max first, in each of them: it would else be cut at 8,000 characters.
    return " + ".join("CONCAT(CONVERT(varchar(max), ''), %s)" % ", ".join(group) for group in groups)


def _bucket(digest: str, number: int) -> str:
    return "CAST(SUBSTRING(%s, 1, 2) AS int) %% %d" % (digest, number)


def _hex(db: Any, value: str, digits: int) -> str:
    if probes.works(db, _HAS_STYLE):
        return "LOWER(CONVERT(varchar(%s), %s, 2))" % (digits if digits < 8_000 else "max", value)
    return "CAST(pg_catalog.encode(CAST(CAST(%s AS varbinary(max)) AS bytea), 'hex') AS varchar(%s))" % (
        value,
        digits if digits < 8_000 else "max",
    )


def _text(db: Any, one: Form, column: Column, value: str) -> str:
    """Like NULL in CONCAT, a NULL is an empty text here."""
    if one.family in ("text", "fixed"):
        return _string(db, column, "RTRIM(%s)" % value if one.family == "fixed" else value)
    if one.family in ("double", "single"):
        size = 8 if one.family == "double" else 4
        return _hex(db, "CAST(%s AS binary(%d))" % (value, size), 2 * size)
    if one.family == "binary":
        return _hex(db, "HASHBYTES('MD5', CONVERT(varbinary(max), %s))" % value, 32)
    if one.family == "xml":
        return _string(db, column, "CONVERT(nvarchar(max), %s)" % value)
    if column.type == "money":
        value = "CONVERT(numeric(19, 4), %s)" % value
    return _SPELLINGS[one.family](value, one.unit)


def _string(db: Any, column: Column, value: str) -> str:
    name, _paren, size = types.native(column.type).partition("(")
    length = int(size.rstrip(")")) if size.rstrip(")").isdigit() else _SHORT + 1
    if name in ("text", "ntext"):
        value = "CONVERT(nvarchar(max), %s)" % value
    elif name in ("varchar", "char"):
        # Before its collation is another one: what the other's code page does not have would be question marks.
        value = "CONVERT(nvarchar(%s), %s)" % (length if length <= _SHORT else "max", value)
    # Columns of several collations do not make one text, unless each is told the same one.
    narrow = "CONVERT(varchar(%s), %s COLLATE Latin1_General_BIN2)" % (length if length <= _SHORT else "max", value)
    # A printable text has one byte a character there. LEN would pass over blanks at the end, and N'.' behind them has no room
    # where the text takes up all of its type.
    return (
        "CASE WHEN {value} {printable} THEN CONCAT(DATALENGTH({narrow}), ':', {narrow}) "
        "WHEN {value} IS NOT NULL THEN CONCAT('u', {units}) END"
    ).format(value=value, printable=_PRINTABLE, narrow=narrow, units=_code_units(db, value, length))


def _code_units(db: Any, value: str, length: int) -> str:
    if probes.works(db, _HAS_STYLE):
        short = length <= _SHORT
        text = "CONVERT(nvarchar(%s), %s)" % (length if short else "max", value)
        return _hex(db, "CONVERT(varbinary(%s), %s)" % (2 * length if short else "max", text), 4 * length)
    code = "UNICODE(SUBSTRING(%s, n.v, 1))" % value
    high, low = "(55296 + (%s - 65536) / 1024)" % code, "(56320 + (%s - 65536) %% 1024)" % code
    return (
        "(SELECT STRING_AGG(CASE WHEN %s < 65536 THEN %s ELSE %s + %s END, '') "
        "FROM pg_catalog.generate_series(1, LEN(%s + N'.') - 1) AS n(v))"
    ) % (code, _swapped(code), _swapped(high), _swapped(low), value)


def _swapped(number: str) -> str:
    return "RIGHT('000' + CAST(pg_catalog.to_hex({0} % 256 * 256 + {0} / 256) AS varchar(8)), 4)".format(number)


def _number(value: str, _unit: int) -> str:
    return "CONVERT(varchar(20), %s)" % value


def _bit(value: str, _unit: int) -> str:
    return "CONVERT(varchar(1), %s)" % value


def _exact(value: str, _unit: int) -> str:
    # No TRIM of other characters before 2017. A number without a point keeps its zeros.
    text = "CONVERT(varchar(60), %s)" % value
    trimmed = "REPLACE(RTRIM(REPLACE(%s, '0', ' ')), ' ', '0')" % text
    return (
        "CASE WHEN CHARINDEX('.', {0}) = 0 THEN {0} ELSE REPLACE(RTRIM(REPLACE({1}, '.', ' ')), ' ', '.') END".format(
            text, trimmed
        )
    )


def _date(value: str, _unit: int) -> str:
    return "CONVERT(varchar(20), DATEDIFF(day, '19700101', %s))" % value


def _time(value: str, unit: int) -> str:
    return "CONVERT(varchar(20), %s)" % _parts("CAST('00:00:00' AS time)", value, unit)


def _moment(value: str, unit: int) -> str:
    start = "CAST('19700101' AS datetime2)"
    if not unit:
        seconds = "CAST(DATEDIFF_BIG(second, %s, %s) AS numeric(20, 0))" % (start, value)
        return "CONVERT(varchar(20), CAST(FLOOR((%s + 30) / 60.0) AS bigint))" % seconds
    return "CONVERT(varchar(20), %s)" % _parts(start, value, unit)


def _parts(start: str, value: str, unit: int) -> str:
    rest = "FLOOR(CAST(DATEPART(nanosecond, %s) AS bigint) * %d / 1000000000.0 + 0.5)" % (value, unit)
    return "DATEDIFF_BIG(second, %s, %s) * %d + CAST(%s AS bigint)" % (start, value, unit, rest)


def _guid(value: str, _unit: int) -> str:
    return "LOWER(CONVERT(char(36), %s))" % value


_SPELLINGS = {
    "integer": _number,
    "bit": _bit,
    "exact": _exact,
    "date": _date,
    "time": _time,
    "moment": _moment,
    "guid": _guid,
}
