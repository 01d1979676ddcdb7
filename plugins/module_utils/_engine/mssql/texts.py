# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts as SQL Server keeps them: any UTF-16 code units, also a half of a pair that stands alone and is no character.

Python takes such a half for an error, and one row that has it would stop all others. Every text of a row is read as JSON, and JSON
has a spelling for it: ``\\ud800``. PostgreSQL, which cannot hold it, refuses the row; what a SQL Server's OPENJSON makes of it is asked by
``test_mssql_sessions.py`` where the server holds such a text at all.

What is equal among them is said by a collation: the database's, or the column's own. Then every copy of the column has it, too: or else
the copy would not find a text that the column has, or take two of them for one.
"""

from __future__ import annotations

from typing import Any

from .._model import Column
from .._wire import spelled
from . import types


def read_halves(odbc: Any, connection: Any) -> None:
    """Let a connection read texts that are no Unicode. With Microsoft's driver, which gives the bytes as the server has them."""
    for kind in (odbc.SQL_WCHAR, odbc.SQL_WVARCHAR, odbc.SQL_WLONGVARCHAR):
        connection.add_output_converter(kind, decode)


def decode(data: bytes) -> str:
    """A text that can be written anywhere.

    :param data: UTF-16, low byte first.
    :raises UnicodeDecodeError: they are no code units: their number is odd.
    """
    try:
        return data.decode("utf-16-le")
    except UnicodeDecodeError:
        return spelled(data.decode("utf-16-le", "surrogatepass"))


def is_text(column: Column) -> bool:
    """Whether a collation decides what is equal in the column."""
    return types.native(column.type).startswith(("nvarchar", "varchar", "nchar", "char", "text", "ntext", "xml"))


def collated(column: Column, otherwise: str = "") -> str:
    """What is said of its collation, with a blank before it, where the column is made or copied.

    :param otherwise: the collation where the column has none of its own; nothing is said by default.
    """
    collation = column.collation or otherwise
    return " COLLATE %s" % collation if collation and is_text(column) else ""
