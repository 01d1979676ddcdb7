# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts: cut into batches, and many statements at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .. import _batches
from .._batches import Batch, Syntax

_ESCAPED_END = re.compile(r"[^'\\]*(?:(?:\\.|'')[^'\\]*)*'", re.DOTALL)


def _escaped(text: str, match: re.Match[str]) -> int | None:
    """Skips a string in which a backslash takes the next character's meaning: E'it\\'s'."""
    found = _ESCAPED_END.match(text, match.end())
    return found.end() if found else None


def _dollars(text: str, match: re.Match[str]) -> int | None:
    """Skips a string between two equal tags: $body$ … $body$."""
    found = text.find(match.group(), match.end())
    return None if found < 0 else found + len(match.group())


_SYNTAX = Syntax(
    r"(?P<escaped>(?<![\w$])E')|(?P<string>')|(?P<quoted>\")|(?P<dollars>(?<![\w$])\$(?:[^\W\d]\w*)?\$)"
    r"|(?P<line>--)|(?P<comment>/\*)",
    {
        "escaped": _escaped,
        "string": _batches.until("'"),
        "quoted": _batches.until('"'),
        "dollars": _dollars,
        "line": _batches.to_line_end,
        "comment": _batches.nested_comment,
    },
)
_PATTERN = _SYNTAX.pattern()

#: What a script's own connection has otherwise than ours: nothing.
SETTINGS: tuple[str, ...] = ()
#: Asked on a script's own connection: is a transaction still open, and where are we. In a transaction of its own the
#: statement began when the transaction did.
OPEN_TRANSACTION = "SELECT CASE WHEN now() < statement_timestamp() THEN 1 ELSE 0 END, current_database()"


def split(text: str) -> list[Batch]:
    """The batches of a script, cut by lines that say GO as one for SQL Server is. What PostgreSQL is sent at once runs in one
    transaction, unless it says otherwise: without any GO the whole script does.

    :raises RetailError: it has commands of sqlcmd's own.
    """
    return _batches.split(text, _SYNTAX, _PATTERN)


def said(records: Iterable[tuple[str, str]]) -> list[str]:
    """What a batch told, line by line, from the driver's diagnostic records: NOTICE, WARNING."""
    return [line for _state, text in records for line in text.splitlines()]


def together(statements: Iterable[Any]) -> list[tuple[str, tuple]]:
    """The statements of one transaction in as few round trips as can be, as pairs of SQL and parameters.

    :param statements: SQL texts, or pairs of SQL and parameters.
    """
    trips: list[tuple[str, tuple]] = []
    texts: list[str] = []
    for statement in statements:
        if isinstance(statement, str):
            texts.append(statement)
            continue
        trips += _joined(texts)
        texts = []
        trips.append(statement)
    return trips + _joined(texts)


def _joined(texts: list[str]) -> list[tuple[str, tuple]]:
    return [(";\n".join(texts), ())] if texts else []
