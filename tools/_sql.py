# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few sentences of SQL for the tools, over pyodbc and for any engine.

Statements have their identifiers in brackets, [ax].[CURRENCY]; `quote` makes a name an identifier of the engine at
hand: quote("STORE") is '"STORE"' on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Quote = Callable[[str], str]
STATEMENT_ROWS = 1000
STATEMENT_PARAMETERS = 2000
"""SQL Server takes 1,000 rows in one VALUES and 2,100 parameters in one statement."""


@contextlib.contextmanager
def transaction(connection: Any) -> Iterator[Any]:
    """One transaction, whatever the connection's mode; committed at the end, rolled back on an error."""
    mode = connection.autocommit
    if mode:
        connection.autocommit = False
    cursor = connection.cursor()
    try:
        yield cursor
        connection.commit()
    except BaseException:
        with contextlib.suppress(Exception):  # the connection may be what broke
            connection.rollback()
        raise
    finally:
        with contextlib.suppress(Exception):
            cursor.close()
            if mode:
                connection.autocommit = True


def spell(quote: Quote, statement: str) -> str:
    """Put the engine's identifiers where a statement has [NAME]."""
    return re.sub(r"\[(\w+)\]", lambda found: quote(found.group(1)), statement)


def ask(cursor: Any, quote: Quote, query: str, *values: Any) -> list[Any]:
    """Return all rows of a query that has its identifiers in brackets."""
    return cursor.execute(spell(quote, query), list(values)).fetchall()


def insert(cursor: Any, quote: Quote, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows into a table given with its schema, such as ax.CURRENCY: as many rows a statement as engines take."""
    schema, _, name = table.partition(".")
    into = spell(quote, f"INSERT INTO [{schema}].[{name}] ({', '.join(f'[{column}]' for column in columns)}) VALUES ")
    one_row = f"({', '.join('?' * len(columns))})"
    step = max(1, min(STATEMENT_ROWS, STATEMENT_PARAMETERS // len(columns)))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        cursor.execute(into + ", ".join([one_row] * len(part)), [value for row in part for value in row])
