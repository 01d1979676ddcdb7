# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The driver's errors, sorted by what a caller can do about them."""

from __future__ import annotations

import re

_TRANSIENT = {"40001", "40P01", "55P03", "40003", "57014"}
_LOST = {"08S01", "08001", "08003", "08006", "08007", "57P01", "57P02", "57P03", "01002"}
#: What psqlodbc and libpq say under a state that tells nothing.
_LOST_TEXTS = ("server closed the connection", "no connection to the server", "The connection has been lost")
_DENIED = {"42501", "28000", "28P01"}
#: The last ones: what a trigger of the application stumbles over, such as a CASE without a case for this row.
_DATA_CLASSES = ("22", "23", "44", "45", "P0", "20", "21", "2F", "38", "39")
#: An index entry that is too large; a constraint that the transaction as a whole violates.
_DATA = {"54000", "40002"}
#: A detail that says what is wrong with a text, and shows nothing of it.
_TELLING = re.compile(r"\nDETAIL:\s*(Unicode \w+ surrogate [a-z ]+|\\u0000 [a-z ]+)\.")
#: Classes beginning with these are left to whoever raises an error; the server itself uses a few of them.
_FREE, _TAKEN = "56789IJKLMNOPQRSTUVWXYZ", ("53", "54", "55", "57", "58", "72", "IM", "XX")


def classify(state: str, message: str) -> str:
    """``transient``, ``lost``, ``data``, ``denied`` or ``other``; see :class:`StatementFailed`."""
    # There is no room for locks just now; it comes with the end of other sessions. SQL Server's 1204.
    if state in _TRANSIENT or (state == "53200" and "out of shared memory" in message):
        return "transient"
    if state in _LOST or any(text in message for text in _LOST_TEXTS):
        return "lost"
    if state in _DENIED:
        return "denied"
    # psqlodbc reports some of the server's errors under the driver's own state HY000; the text then still says which.
    if state[:2] in _DATA_CLASSES or state in _DATA:
        return "data"
    # A trigger of the application that refuses a row may do so under a state of its own.
    if state[:1] in _FREE and state[:2] not in _TAKEN and len(state) == 5:
        return "data"
    return "other"


def numbers(message: str) -> tuple[int, ...]:
    """None: PostgreSQL tells errors by their state alone."""
    return ()


def plain_message(error: Exception) -> str:
    """The server's own words, without the driver's prefixes, the statement, and the detail: that shows whole rows, as a rule."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    text = re.sub(r"^(\[[^\]]*\]\s*)+", "", text)
    text = re.sub(r"\s*\(\d+\) \(SQL\w+\)$", "", text)
    text = re.sub(r";?\s*Error while (executing the query|preparing parameters)", "", text)
    telling = _TELLING.search(text)
    said = re.split(r"\n(?:DETAIL|CONTEXT|HINT|QUERY):", text)[0].strip()
    return "%s: %s" % (said, telling.group(1)) if telling else said
