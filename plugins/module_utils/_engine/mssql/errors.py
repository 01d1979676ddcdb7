# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The driver's errors, sorted by what a caller can do about them."""

from __future__ import annotations

import re

from .refusals import native_numbers

#: Deadlock, no memory or none for locks, lock timeout, row versions that are gone, snapshot conflicts, resources, in-memory
#: conflicts; -2 is the client's timeout.
_TRANSIENT = {
    -2,
    701,
    802,
    1204,
    1205,
    1222,
    3958,
    3960,
    3961,
    3966,
    8628,
    8645,
    8651,
    10928,
    10929,
    40501,
    41301,
    41302,
    41305,
    41325,
    41839,
    49918,
    49919,
    49920,
}
#: The connection, its server, or the whole database for a while: offline, restored, recovered, taken by one user.
_LOST = {64, 233, 596, 922, 924, 927, 942, 976, 983, 6005, 10053, 10054, 10060, 11001, 17142, 40197, 40613}
_DENIED = {229, 230, 262, 297, 300, 371, 378, 916, 15151, 15247, 15517, 18452, 18456}
#: Too long, too long for an index or a page, not null, duplicate key, constraint, not convertible, overflow, out of range; 3609,
#: 3930, 3998: a trigger ended it, or caught an error of its own.
_DATA = {
    220,
    232,
    235,
    241,
    242,
    244,
    245,
    248,
    257,
    260,
    295,
    296,
    511,
    512,
    513,
    515,
    517,
    518,
    535,
    547,
    550,
    1505,
    1908,
    1946,
    2601,
    2627,
    2628,
    3609,
    3616,
    3930,
    3998,
    6522,
    8114,
    8115,
    8134,
    8152,
    8169,
    13608,
    13609,
}
#: A text that is no XML, or none that a column's schemas allow.
_XML_ERRORS = (*range(6900, 7000), *range(9400, 9500))
#: From here on numbers are a user's own (RAISERROR, THROW): a trigger refused the row.
_USER_ERRORS = range(50000, 33_000_000)

_TRANSIENT_STATES = {"40001", "HYT00", "HY008"}
_LOST_STATES = {"08S01", "08001", "08003", "08007", "HYT01"}
_DENIED_STATES = {"28000", "42501"}

#: What a server says whose numbers tell nothing.
_TEXTS = (
    ("transient", ("could not serialize access", "due to lock timeout", "deadlock detected")),
    ("lost", ("Communication link failure", "TCP Provider: Error code")),
    ("denied", ("permission denied", "must be owner of")),
    (
        "data",
        (
            "value too long",
            "out of range",
            "invalid input syntax",
            "violates ",
            "duplicate key",
            "Error converting data type",
        ),
    ),
)


def classify(state: str, message: str) -> str:
    """``transient``, ``lost``, ``data``, ``denied`` or ``other``; see :class:`StatementFailed`."""
    found = set(native_numbers(message))
    if state in _LOST_STATES or found & _LOST:
        return "lost"
    if state in _TRANSIENT_STATES or found & _TRANSIENT:
        return "transient"
    if state in _DENIED_STATES or found & _DENIED:
        return "denied"
    if _is_data(state, found):
        return "data"
    for kind, texts in _TEXTS:
        if any(text in message for text in texts):
            return kind
    return "other"


def numbers(message: str) -> tuple[int, ...]:
    """The server's own error numbers, in the order of its messages; they are the same in every language."""
    return tuple(native_numbers(message))


def _is_data(state: str, found: set[int]) -> bool:
    own = any(number in _XML_ERRORS or number in _USER_ERRORS for number in found)
    return state[:2] in ("22", "23") or bool(found & _DATA) or own


#: Where a message quotes a value of a row. They are in English: a connection of ours asks for that.
_QUOTED = (
    (re.compile(r"\s*(Truncated value:|The duplicate key value is) .*$", re.DOTALL), ""),
    (re.compile(r"(?<= value) '.*'(?= (?:to data type|overflowed) )", re.DOTALL), ""),
    (re.compile(r", value = \S+(?=\.(?:\s|$))"), ""),
)


def plain_message(error: Exception) -> str:
    """The server's own words, without the driver's prefixes, and without the values that it quotes from rows."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    # One diagnostic record a message; those behind the first say that the statement was terminated.
    text = re.split(r"\s*\(-?\d+\) \(SQL\w+\)", text)[0]
    text = re.sub(r"^(\[[^\]]*\]\s*)+", "", text)
    for pattern, instead in _QUOTED:
        text = pattern.sub(instead, text)
    return text.strip()
