# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and literals."""

from __future__ import annotations

from .._errors import UnsupportedName

#: ``sysname`` holds so many characters, in UTF-16.
MAX_LENGTH = 128


def _length(name: str) -> int:
    """The length as SQL Server counts it: a character outside the basic plane counts twice."""
    return len(name.encode("utf-16-le")) // 2


def check(name: str) -> str:
    """The name itself.

    :raises UnsupportedName: empty, too long, or with a NUL character.
    """
    if not name:
        raise UnsupportedName("A name is empty.", "Give everything that is declared a name.")
    if "\0" in name:
        raise UnsupportedName("%r is no name that SQL Server can hold." % name, "Choose a name without NUL characters.")
    if _length(name) > MAX_LENGTH:
        raise UnsupportedName(
            "The name %r is longer than the %d characters that SQL Server holds." % (name, MAX_LENGTH),
            "Choose a shorter name.",
        )
    return name


def quote(*parts: str) -> str:
    """``quote("ax", "CUSTTABLE")`` is ``[ax].[CUSTTABLE]``: exact case, any character."""
    return ".".join("[%s]" % check(part).replace("]", "]]") for part in parts)


def literal(text: str) -> str:
    """A string literal, for the few statements that take no parameters (DDL)."""
    if "\0" in text:
        raise UnsupportedName("A text with a NUL character cannot be stored everywhere.", "Remove the NUL character.")
    return "N'%s'" % text.replace("'", "''")
