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

_SYNTAX = Syntax(
    r"(?P<string>')|(?P<quoted>\")|(?P<bracket>\[)|(?P<line>--)|(?P<comment>/\*)",
    {
        "string": _batches.until("'"),
        "quoted": _batches.until('"'),
        "bracket": _batches.until("]"),
        "line": _batches.to_line_end,
        "comment": _batches.nested_comment,
    },
    (_batches.SQLCMD_LINE, _batches.OSQL_LINE),
)
_PATTERN = _SYNTAX.pattern()

#: What the drivers put before the server's words.
_PREFIX = re.compile(r"^(\[(?:Microsoft|ODBC |SQL Server|FreeTDS|unixODBC)[^\]]*\])+")

#: The key of the session's context that keeps the language of the login.
LANGUAGE = "axops.language"
#: What a script's own connection has otherwise than ours, as with sqlcmd and the vendor's utility: an error that the script's own
#: TRY … CATCH looks after leaves its transaction open, and it may commit it. And a date that it writes as a text is read as the
#: login's language reads it.
SETTINGS = (
    "SET XACT_ABORT OFF",
    "DECLARE @language nvarchar(128) = CAST(SESSION_CONTEXT(N'%s') AS nvarchar(128)); "
    "IF @language IS NOT NULL SET LANGUAGE @language" % LANGUAGE,
)
#: Asked on a script's own connection: is a transaction still open, and where are we.
OPEN_TRANSACTION = "SELECT CASE WHEN @@TRANCOUNT > 0 THEN 1 ELSE 0 END, DB_NAME()"


def split(text: str) -> list[Batch]:
    """The batches of a script for sqlcmd.

    :raises RetailError: it has commands of sqlcmd's own.
    """
    return _batches.split(text, _SYNTAX, _PATTERN)


def said(records: Iterable[tuple[str, str]]) -> list[str]:
    """What a batch told, line by line, from the driver's diagnostic records: PRINT, RAISERROR of low severity."""
    return [line for _state, text in records for line in _PREFIX.sub("", text).splitlines()]


def together(statements: Iterable[Any]) -> list[tuple[str, tuple]]:
    """The statements of one transaction in as few round trips as can be, as pairs of SQL and parameters.

    Each goes alone: a batch is compiled as a whole, before its first statement has made what the second one names, and
    variables live as long as it.

    :param statements: SQL texts, or pairs of SQL and parameters.
    """
    return [(statement, ()) if isinstance(statement, str) else statement for statement in statements]
