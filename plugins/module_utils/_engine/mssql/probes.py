# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this server can do: asked once a connection, by trying. Not every server that speaks T-SQL is SQL Server."""

from __future__ import annotations

import weakref
from typing import Any

from .._errors import StatementFailed

_known: weakref.WeakKeyDictionary[Any, dict[str, bool]] = weakref.WeakKeyDictionary()


def works(db: Any, question: str) -> bool:
    """Whether the server can answer ``question``, a SELECT without parameters; outside a transaction the first time.

    :raises StatementFailed: the connection is gone, or the server is busy.
    """
    answers = _known.setdefault(db, {})
    if question not in answers:
        try:
            db.value(question)
            answers[question] = True
        except StatementFailed as error:
            if error.kind in ("lost", "transient"):
                raise
            answers[question] = False
    return answers[question]


def is_so(db: Any, question: str) -> bool:
    """The answer to a SELECT of 1 or 0 that is the same as long as the connection lasts."""
    answers = _known.setdefault(db, {})
    if question not in answers:
        answers[question] = bool(db.value(question))
    return answers[question]


def has_low_mark(db: Any) -> bool:
    """Whether there is ``MIN_ACTIVE_ROWVERSION()``."""
    return works(db, "SELECT CAST(MIN_ACTIVE_ROWVERSION() AS bigint)")
