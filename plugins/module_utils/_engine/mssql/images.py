# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of rows on their way: what a landed batch keeps of a value, whether a column can hold it, and a row as a person reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from .._canonical import numbered
from .._errors import StatementFailed
from .._model import Column, Table, TableName
from . import names, types

#: For private use: no name has it.
_NO_DOT = "\ue000"
_COLLATIONS = (
    "SELECT COLUMN_NAME, COLLATION_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s "
    "AND COLLATION_NAME IS NOT NULL"
)
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


def collations(db: Any, table: TableName, columns: Iterable[Column]) -> dict[str, str]:
    """The collation, and so the code page, of each column whose texts are in one, by the column's name."""
    narrow = [column.name for column in columns if is_narrow(column)]
    if not narrow:
        return {}
    found = dict(tuple(row) for row in db.query(_COLLATIONS % (names.literal(table.schema), names.literal(table.name))))
    # It is written as it is, as no name may be quoted there.
    return {name: found[name] if re.fullmatch(r"\w+", found.get(name, "")) else _DEFAULT for name in narrow}


def lost(columns: Iterable[tuple[str, Column]], collations: dict[str, str]) -> str:
    """SQL: the name of the first column that cannot hold its text, NULL where all can. Stored, what the code page lacks would be
    question marks, without an error.

    :param columns: the SQL of each text as it came, and its column.
    """
    whens = [
        "WHEN CONVERT(varbinary(max), CONVERT(nvarchar(max), CONVERT(varchar(max), {text} COLLATE {collation}))) <> "
        "CONVERT(varbinary(max), {text}) THEN {name}".format(
            text=text, collation=collations[column.name], name=names.literal(column.name)
        )
        for text, column in columns
        if column.name in collations
    ]
    return "CASE %s END" % " ".join(whens) if whens else "NULL"


def check(db: Any, table: Table, columns: Sequence[Column], row: str) -> None:
    """See that each column can hold its text.

    :param row: a wire object, ``k0``, ``k1`` … in the order of ``columns``.
    :raises StatementFailed: ``data``; one cannot.
    """
    found = collations(db, table.name, columns)
    narrow = [("k%d" % place, column) for place, column in enumerate(columns) if column.name in found]
    if narrow:
        texts = ", ".join("%s nvarchar(max) '$.%s'" % (key, key) for key, _column in narrow)
        sql = "SELECT %s FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (%s) AS j"
        sql %= (lost([("j." + key, column) for key, column in narrow], found), texts)
        refuse(table.name, db.value(sql, numbered([row])), found)


def refuse(table: TableName, column: str | None, collations: dict[str, str]) -> None:
    """:raises StatementFailed: ``data``; a text has characters that the column, if one is named, cannot hold."""
    if column is not None:
        raise StatementFailed(
            "The column %s of %s cannot hold a character of the text: the code page of its collation, %s, lacks it."
            % (column, table, collations.get(column, _DEFAULT)),
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
    for name, alias, _expression in named:
        if alias != name:
            # As the server spells it, a slash with a backslash before it, too.
            spelled = [json.dumps(one, ensure_ascii=False).replace("/", "\\/") for one in (alias, name)]
            written = [names.literal(one + ":") for one in spelled]
            made = "REPLACE(%s COLLATE Latin1_General_BIN2, %s)" % (made, ", ".join(written))
    return made


def _is_document(column: Column) -> bool:
    return types.native(column.type) == "xml"
