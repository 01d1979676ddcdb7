# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exception family of the collection: every message says what is wrong and what to do about it.

Code below ``_module.py`` raises; only the outermost layer (a module, the command line of the service) reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class RetailError(Exception):
    """Something the user can act on.

    :param message: what is wrong, one sentence, no secrets in it.
    :param advice: what to do about it, one sentence; optional.

    ``facts``: further values for the result of a module, nothing secret.
    """

    facts: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return "%s %s" % (self.message, self.advice) if self.advice else self.message

    @property
    def report(self) -> dict[str, Any]:
        """What the result of a module says of it, beside its text."""
        return {"error": self.message, "advice": self.advice, **self.facts}


class DriverMissing(RetailError):
    """pyodbc or the ODBC driver of the engine is not installed where the module runs."""


class ConnectFailed(RetailError):
    """The server could not be reached, or it refused the login or the database.

    ``away``: nobody answers there, as at a machine that is switched off or cut off; what is declared may well be right.
    ``numbers``: the server's own error numbers, where its engine has them; they are the same in every language.
    """

    def __init__(self, message: str, advice: str = "", away: bool = False, numbers: tuple[int, ...] = ()) -> None:
        super().__init__(message, advice)
        self.away = away
        self.numbers = numbers


class UnsupportedName(RetailError):
    """A name that the engine cannot hold (length, NUL character)."""


class UnsupportedType(RetailError):
    """A column type outside the neutral vocabulary of ``_model``."""


class StatementFailed(RetailError):
    """The database refused a statement.

    ``kind`` is the speaker's verdict, one of:

    * ``transient``: deadlock, lock timeout, snapshot conflict: the same transaction may succeed when it is run again
    * ``lost``: the connection is gone
    * ``data``: this very row cannot be stored here (too long, not null, duplicate key, not convertible, refused by a trigger)
    * ``denied``: missing rights
    * ``changed``: a table is not any more what the transaction's snapshot sees of it: another transaction may read it
    * ``other``: anything else (disk full, missing object, syntax)

    ``numbers``: the server's own error numbers, where its engine has them: of all its messages, in order.
    ``said``: what a batch of somebody else's script had printed before it was refused, line by line.
    """

    def __init__(
        self, message: str, kind: str = "other", state: str = "", advice: str = "", numbers: tuple[int, ...] = ()
    ) -> None:
        super().__init__(message, advice)
        self.kind = kind
        self.state = state
        self.numbers = numbers
        self.said: tuple[str, ...] = ()
