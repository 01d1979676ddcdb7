# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types: the neutral vocabulary (see ``_model``) to PostgreSQL and back, and how values look on the wire."""

from __future__ import annotations

import functools
import re

from .._errors import UnsupportedType
from .._model import Column

_PARTS = re.compile(r"^([a-z0-9]+)(?:\((.+)\))?$")

#: A schema has thousands of columns, of some dozens of types and defaults: each of those is worked out once.
_DISTINCT = 4096

_PLAIN: dict[str, str] = {
    "int": "integer",
    "bigint": "bigint",
    "smallint": "smallint",
    "tinyint": "smallint",
    "bit": "boolean",
    "date": "date",
    "datetime": "timestamp(3) without time zone",
    "smalldatetime": "timestamp(0) without time zone",
    "datetime2": "timestamp(6) without time zone",
    "time": "time(6) without time zone",
    "uniqueidentifier": "uuid",
    "float": "double precision",
    "real": "real",
    "money": "numeric(19,4)",
    "text": "text",
    "ntext": "text",
    "image": "bytea",
    "varbinary": "bytea",
    "binary": "bytea",
    "xml": "text",
}

#: What PostgreSQL has no separate type for is compared as the type that stores it.
_SAME_AS: dict[str, str] = {
    "tinyint": "smallint",
    "money": "numeric(19,4)",
    "text": "nvarchar(max)",
    "ntext": "nvarchar(max)",
    "xml": "nvarchar(max)",
    "image": "varbinary(max)",
    "binary": "varbinary(max)",
    "varbinary": "varbinary(max)",
}

_BACK: dict[str, str] = {
    "integer": "int",
    "bigint": "bigint",
    "smallint": "smallint",
    "boolean": "bit",
    "date": "date",
    "timestamp(3) without time zone": "datetime",
    "timestamp(0) without time zone": "smalldatetime",
    "timestamp(6) without time zone": "datetime2",
    "timestamp without time zone": "datetime2",
    "time(6) without time zone": "time",
    "time without time zone": "time",
    "uuid": "uniqueidentifier",
    "double precision": "float",
    "real": "real",
    "text": "nvarchar(max)",
    "character varying": "nvarchar(max)",
    "bytea": "varbinary(max)",
}


@functools.lru_cache(maxsize=_DISTINCT)
def native(neutral: str) -> str:
    """The PostgreSQL type, spelled as ``format_type`` spells it.

    :raises UnsupportedType: the neutral type is unknown; row versions have no counterpart (they are left out).
    """
    name, size = _split(neutral)
    if name in ("nvarchar", "varchar", "sysname"):
        return "text" if size == "max" else "character varying(%s)" % (size or "128")
    if name in ("nchar", "char"):
        return "character(%s)" % (size or "1")
    if name in ("numeric", "decimal"):
        return "numeric(%s)" % _precision(size)
    if name in _PLAIN:
        return _PLAIN[name]
    raise UnsupportedType("PostgreSQL has no counterpart for the column type %s." % neutral, "Choose another type.")


@functools.lru_cache(maxsize=_DISTINCT)
def normalize(neutral: str) -> str:
    """The neutral type that remains after a round trip through this engine; equal texts mean equal columns."""
    name, size = _split(neutral)
    if name in _SAME_AS:
        return _SAME_AS[name]
    if name in ("nvarchar", "varchar", "sysname"):
        return "nvarchar(%s)" % (size or "128")
    if name in ("nchar", "char"):
        return "nchar(%s)" % (size or "1")
    if name in ("numeric", "decimal"):
        return "numeric(%s)" % _precision(size)
    native(neutral)
    return name


@functools.lru_cache(maxsize=_DISTINCT)
def neutral(format_type: str) -> str:
    """The neutral type of what ``format_type`` said; an unknown one comes back in brackets and is not touched."""
    if format_type in _BACK:
        return _BACK[format_type]
    match = re.match(r"^(character varying|character|numeric)\((.+)\)$", format_type)
    if not match:
        return "[%s]" % format_type
    prefix = {"character varying": "nvarchar", "character": "nchar", "numeric": "numeric"}[match.group(1)]
    return "%s(%s)" % (prefix, match.group(2))


def is_held(column: Column) -> bool:
    """Whether this engine has the column at all: row versions are left out, nothing here would fill them."""
    return not column.is_rowversion


def read_as(column: Column) -> str:
    """The type under which the receiver reads the column from JSON; binary travels as base64 text."""
    return "text" if native(column.type) == "bytea" else native(column.type)


def to_wire(column: Column, expression: str) -> str:
    """SQL that gives the value as it travels: binary as base64 without line breaks, everything else as JSON has it."""
    if native(column.type) == "bytea":
        return "translate(encode(%s, 'base64'), E'\\n', '')" % expression
    return expression


def from_wire(column: Column, expression: str) -> str:
    """SQL that turns what ``read_as`` delivered into the column's own type."""
    return "decode(%s, 'base64')" % expression if native(column.type) == "bytea" else expression


def default(column: Column) -> str | None:
    """The default as PostgreSQL spells it, None where there is none."""
    text = column.default
    if text is None:
        return None
    known = {
        "getutcdate()": "(now() AT TIME ZONE 'utc')",
        "getdate()": "localtimestamp",
        "newid()": "gen_random_uuid()",
    }
    if text.lower() in known:
        return known[text.lower()]
    if normalize(column.type) == "bit" and text in ("0", "1", "'0'", "'1'"):
        return "true" if "1" in text else "false"
    return text


@functools.lru_cache(maxsize=_DISTINCT)
def neutral_default(expression: str | None) -> str | None:
    """The neutral spelling of a default read from the catalog (``pg_get_expr``)."""
    if expression is None:
        return None
    if "timezone('utc'" in expression or "AT TIME ZONE 'utc'" in expression:
        return "getutcdate()"
    if expression.upper() in ("LOCALTIMESTAMP", "NOW()"):
        return "getdate()"
    if expression == "gen_random_uuid()":
        return "newid()"
    if expression in ("true", "false"):
        return "1" if expression == "true" else "0"
    return re.sub(r"::[a-z ]+(\(\d+(,\d+)?\))?( without time zone)?$", "", expression)


def _split(neutral_type: str):
    match = _PARTS.match(neutral_type)
    if not match:
        raise UnsupportedType(
            "%r is not a column type." % neutral_type, "Write it as SQL Server does, e.g. nvarchar(20)."
        )
    return match.group(1), (match.group(2) or "").replace(" ", "")


def _precision(size: str) -> str:
    precision, _comma, scale = (size or "18").partition(",")
    return "%s,%s" % (precision, scale or "0")
