# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and literals."""

from __future__ import annotations

from .._errors import UnsupportedName

#: PostgreSQL cuts longer names silently, which would make two tables one.
MAX_BYTES = 63


def check(name: str) -> str:
    """The name itself.

    :raises UnsupportedName: empty, too long in UTF-8, or with a NUL character.
    """
    if not name:
        raise UnsupportedName("A name is empty.", "Give everything that is declared a name.")
    if "\0" in name:
        raise UnsupportedName("%r is no name that PostgreSQL can hold." % name, "Choose a name without NUL characters.")
    if len(name.encode("utf-8")) > MAX_BYTES:
        raise UnsupportedName(
            "The name %r is longer than the %d bytes that PostgreSQL holds." % (name, MAX_BYTES),
            "Choose a shorter name.",
        )
    return name


def quote(*parts: str) -> str:
    """``quote("ax", "CUSTTABLE")`` is ``"ax"."CUSTTABLE"``: exact case, any character."""
    return ".".join('"%s"' % check(part).replace('"', '""') for part in parts)


def literal(text: str) -> str:
    """A string literal, for the few statements that take no parameters (DDL)."""
    if "\0" in text:
        raise UnsupportedName(
            "A text with a NUL character cannot be stored in PostgreSQL.", "Remove the NUL character."
        )
    escaped = text.replace("'", "''")
    return " E'%s'" % escaped.replace("\\", "\\\\") if "\\" in text else "'%s'" % escaped
