# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a key may be. A clustered index, which a primary key has unless told otherwise, takes 900 bytes, any other 1,700 since SQL
Server 2016. A longer one of texts is made with no more than a warning, and refuses the row that fills it (error 1946): a key that a
table itself holds must be held by its copies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._model import Column
from . import names, types

CLUSTERED, OTHER = 900, 1_700
#: A version, or a number that tells rows of one key apart.
EIGHT = 8
_BYTES = {
    "bit": 1,
    "tinyint": 1,
    "smallint": 2,
    "int": 4,
    "bigint": 8,
    "date": 3,
    "smalldatetime": 4,
    "datetime": 8,
    "datetime2": 8,
    "time": 5,
    "money": 8,
    "real": 4,
    "float": 8,
    "numeric": 17,
    "uniqueidentifier": 16,
    "rowversion": 8,
}
_A_CHARACTER = {"nvarchar": 2, "nchar": 2, "varchar": 1, "char": 1, "varbinary": 1, "binary": 1}


def width(columns: Iterable[Column]) -> int:
    """The most bytes that a key of these columns has."""
    return sum(_width(column) for column in columns)


def is_clustered(columns: Iterable[Column], more: int = 0) -> bool:
    """Whether a clustered index holds a primary key of these columns, and of ``more`` bytes."""
    return width(columns) + more <= CLUSTERED


def has_room_behind_a_version(columns: Iterable[Column]) -> bool:
    """Whether an index on a version holds a key of these columns, too."""
    return width(columns) + EIGHT <= OTHER


def primary_key(columns: Iterable[Column], more: int = 0) -> str:
    """SQL: what a primary key of these columns, and of ``more`` bytes, is."""
    return "PRIMARY KEY" if is_clustered(columns, more) else "PRIMARY KEY NONCLUSTERED"


def by_version(columns: Sequence[Column]) -> str:
    """SQL: the columns of an index on the version that a row has, with the key behind it where there is room."""
    behind = columns if has_room_behind_a_version(columns) else ()
    return ", ".join(["version", *(names.quote(column.name) for column in behind)])


def _width(column: Column) -> int:
    name, _parenthesis, size = types.native(column.type).partition("(")
    if name in _A_CHARACTER:
        # What has no limit is in no key: the server says so.
        return _A_CHARACTER[name] * int(size.rstrip(")")) if not size.startswith("max") else OTHER
    return _BYTES.get(name, EIGHT)
