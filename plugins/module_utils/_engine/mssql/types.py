# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types: the neutral vocabulary (see ``_model``) is SQL Server's own; and how values look on the wire.

The wire's form is the one that every engine reads: times as ISO 8601, binary as base64, exact numbers as JSON
numbers, bits
as true and false.
"""

from __future__ import annotations

import functools
import re

from .._errors import UnsupportedType
from .._model import Column

_PARTS = re.compile(r"^([a-z0-9]+)(?:\((.+)\))?$")

#: A schema has thousands of columns, of some dozens of types and defaults: each of those is worked out once.
_DISTINCT = 4096

_PLAIN: dict[str, str] = {
    "int": "int",
    "bigint": "bigint",
    "smallint": "smallint",
    "tinyint": "tinyint",
    "bit": "bit",
    "date": "date",
    "datetime": "datetime",
    "smalldatetime": "smalldatetime",
    "datetime2": "datetime2(7)",
    "time": "time(7)",
    "uniqueidentifier": "uniqueidentifier",
    "float": "float",
    "real": "real",
    "money": "money",
    "text": "text",
    "ntext": "ntext",
    "image": "image",
    "xml": "xml",
    "timestamp": "rowversion",
    "rowversion": "rowversion",
}
_UNICODE = ("nvarchar", "nchar", "ntext", "sysname", "xml")
_ANSI = ("varchar", "char", "text")
_BINARY = ("varbinary", "binary", "image")
_DEFAULT_SIZE = {"sysname": "128", "nchar": "1", "char": "1"}


@functools.lru_cache(maxsize=_DISTINCT)
def native(neutral: str) -> str:
    """The type as SQL Server's DDL takes it.

    :raises UnsupportedType: the neutral type is unknown.
    """
    name, size = _split(neutral)
    if name in ("nvarchar", "varchar", "nchar", "char", "sysname"):
        return "%s(%s)" % ("nvarchar" if name == "sysname" else name, size or _DEFAULT_SIZE.get(name, "128"))
    if name in ("varbinary", "binary"):
        return "%s(%s)" % (name, size or ("max" if name == "varbinary" else "1"))
    if name in ("numeric", "decimal"):
        return "numeric(%s)" % _precision(size)
    if name in ("datetime2", "time") and size:
        return "%s(%s)" % (name, size)
    if name in _PLAIN:
        return _PLAIN[name]
    raise UnsupportedType("There is no counterpart for the column type %s." % neutral, "Choose another type.")


@functools.lru_cache(maxsize=_DISTINCT)
def normalize(neutral: str) -> str:
    """The neutral type that remains after a round trip through this engine; equal texts mean equal columns."""
    text = native(neutral)
    if text == "rowversion":
        return "timestamp"
    return text[: -len("(7)")] if text in ("datetime2(7)", "time(7)") else text


@functools.lru_cache(maxsize=_DISTINCT)
def neutral(format_type: str) -> str:
    """The neutral type of what the catalog said; an unknown one comes back in brackets and is not touched."""
    try:
        return normalize(format_type)
    except UnsupportedType:
        return "[%s]" % format_type


def is_held(column: Column) -> bool:
    """Whether this engine has the column at all: it has all of them, row versions too."""
    return True


def read_as(column: Column) -> str:
    """The type under which the receiver reads the column from JSON.

    Text is read unbounded, so that a value that is too long is refused when it is stored, and never cut while it is
    read.
    Times come with more digits than ``datetime`` would accept. OPENJSON decodes base64 for a binary type.
    """
    name = _split(column.type)[0]
    if name in _UNICODE + _ANSI:
        return "nvarchar(max)"
    if name in _BINARY:
        return "varbinary(max)"
    if name in ("datetime", "smalldatetime"):
        return "datetime2(7)"
    return native(column.type)


def to_wire(column: Column, expression: str) -> str:
    """SQL that gives the value as it travels: FOR JSON writes base64 for a binary value, and numbers and bits as they
    are."""
    name = _split(column.type)[0]
    if name in _BINARY:
        return "CONVERT(varbinary(max), %s)" % expression
    if name in ("text", "ntext", "xml"):
        return "CONVERT(nvarchar(max), %s)" % expression
    if name in ("datetime", "smalldatetime", "datetime2"):
        return "CONVERT(varchar(33), %s, 126)" % expression
    if name == "date":
        return "CONVERT(varchar(10), %s, 23)" % expression
    if name == "time":
        return "CONVERT(varchar(16), %s, 126)" % expression
    if name in ("float", "real"):
        # Style 3 alone gives every distinct value a text of its own.
        return "CONVERT(varchar(40), %s, 3)" % expression
    if name == "money":
        return "CONVERT(numeric(19,4), %s)" % expression
    return expression


def from_wire(column: Column, expression: str) -> str:
    """SQL that turns what ``read_as`` delivered into the column's own type; a value that does not fit is an error."""
    name = _split(column.type)[0]
    if name in ("datetime", "smalldatetime"):
        return "CONVERT(%s, %s)" % (native(column.type), expression)
    if name == "xml":
        # Style 1 keeps all white space. Said by nobody it would be dropped, and the row never be like the one that was sent.
        return "CONVERT(xml, %s, 1)" % expression
    return expression


def default(column: Column) -> str | None:
    """The default as SQL Server spells it, which is the neutral spelling; None where there is none."""
    return column.default


@functools.lru_cache(maxsize=_DISTINCT)
def neutral_default(expression: str | None) -> str | None:
    """The neutral spelling of a default read from the catalog: ``((0))`` is ``0``, ``(N'x')`` is ``'x'``."""
    if expression is None:
        return None
    text = expression.strip()
    while _is_wrapped(text):
        text = text[1:-1].strip()
    text = re.sub(r"::.*$", "", text) if text.startswith("'") else text
    return text[1:] if text.startswith("N'") else text


def _is_wrapped(text: str) -> bool:
    """Whether the first parenthesis is closed by the last one, and by no other."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth, quoted = 0, False
    for position, mark in enumerate(text):
        quoted = quoted != (mark == "'")
        depth += 0 if quoted else (mark == "(") - (mark == ")")
        if depth == 0 and position < len(text) - 1:
            return False
    return True


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
