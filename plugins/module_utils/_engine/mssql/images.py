# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of rows on their way: what a landed batch keeps of a value, whether a column can hold it, and a row as a person reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from .._canonical import numbered
from .._errors import StatementFailed
from .._model import Column, Table
from . import names, texts, types

#: For private use: no name has it.
_NO_DOT = "\ue000"
_DEFAULT = "DATABASE_DEFAULT"


def to_land(column: Column, expression: str) -> str:
    """SQL that turns what ``read_as`` delivered into what a landed batch keeps of it: a document as the text that the server
    itself would give of it. Nothing but an explicit CONVERT makes one a text."""
    value = types.from_wire(column, expression)
    return "CONVERT(nvarchar(max), %s)" % value if _is_document(column) else value


def from_landed(column: Column, expression: str) -> str:
    """SQL that turns what a landed batch keeps of a value into the column's own type."""
    return types.from_wire(column, expression) if _is_document(column) else expression


def is_narrow(column: Column) -> bool:
    """Whether the column's texts are in a code page, which lacks most characters."""
    return types.native(column.type).startswith(("varchar", "char", "text"))


def lost(columns: Iterable[tuple[str, Column]]) -> str:
    """SQL: the name of the first column that cannot hold its text, NULL where all can; "" where all can hold any. Stored, what the
    code page lacks would be question marks, without an error.

    :param columns: the SQL of each text as it came, and its column.
    """
    whens = [
        "WHEN CONVERT(varbinary(max), CONVERT(nvarchar(max), CONVERT(varchar(max), {text}{collation}))) <> "
        "CONVERT(varbinary(max), {text}) THEN {name}".format(
            text=text, collation=texts.collated(column, _DEFAULT), name=names.literal(column.name)
        )
        for text, column in columns
        if is_narrow(column)
    ]
    return "CASE %s END" % " ".join(whens) if whens else ""


def check(db: Any, table: Table, columns: Sequence[Column], row: str) -> None:
    """See that each column can hold its text.

    :param row: a wire object, ``k0``, ``k1`` … in the order of ``columns``.
    :raises StatementFailed: ``data``; one cannot.
    """
    narrow = [("k%d" % place, column) for place, column in enumerate(columns) if is_narrow(column)]
    if narrow:
        read = ", ".join("%s nvarchar(max) '$.%s'" % (key, key) for key, _column in narrow)
        found = lost(("j." + key, column) for key, column in narrow)
        sql = "SELECT %s FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (%s) AS j" % (found, read)
        refuse(table, db.value(sql, numbered([row])))


def refuse(table: Table, name: str | None) -> None:
    """:raises StatementFailed: ``data``; a text has characters that the column of that name, if there is one, cannot hold."""
    column = table.column(name) if name else None
    if column is not None:
        raise StatementFailed(
            "The column %s of %s cannot hold a character of the text: the code page of %s lacks it."
            % (column.name, table.name, column.collation or "the database's collation"),
            "data",
            advice="Make it an nvarchar, or give it a collation that has that character; or correct the text where it was written.",
        )


def json_object(pairs: Iterable[tuple[str, str]]) -> str:
    """SQL: a JSON object with these names, each with the SQL of its value.

    A name with a dot would make an object in the object, so it goes by another one at first. Within a text a quotation mark
    has a backslash before it, so nothing but a name looks like this.
    """
    named = [(name, name.replace(".", _NO_DOT), expression) for name, expression in pairs]
    items = ", ".join("%s AS %s" % (expression, names.quote(alias)) for _name, alias, expression in named)
    made = "(SELECT %s FOR JSON PATH, INCLUDE_NULL_VALUES, WITHOUT_ARRAY_WRAPPER)" % items
    # Said once: an expression that has been told its collation takes no other word of it.
    collation = " COLLATE Latin1_General_BIN2"
    for name, alias, _expression in named:
        if alias != name:
            # As the server spells it, a slash with a backslash before it, too.
            spelled = [json.dumps(one, ensure_ascii=False).replace("/", "\\/") for one in (alias, name)]
            written = [names.literal(one + ":") for one in spelled]
            made, collation = "REPLACE(%s%s, %s)" % (made, collation, ", ".join(written)), ""
    return made


def _is_document(column: Column) -> bool:
    return types.native(column.type) == "xml"
