# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection strings of SqlClient, as the vendor's POS has them: read, and edited with everything else kept.

The rules are those of ADO.NET: keywords without regard to case, the last of several counts, values in quotes where they
need them. https://learn.microsoft.com/dotnet/framework/data/adonet/connection-string-syntax
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from .._engine._errors import RetailError

#: What stands in place of a password wherever a connection string is shown.
HIDDEN = "********"

DATA_SOURCE = "Data Source"
INITIAL_CATALOG = "Initial Catalog"
INTEGRATED_SECURITY = "Integrated Security"
USER_ID = "User ID"
PASSWORD = "Password"  # noqa: S105 - a keyword
ENCRYPT = "Encrypt"
TRUST_SERVER_CERTIFICATE = "TrustServerCertificate"

#: From keyword to value; None means that the keyword must not be there.
Wanted = dict[str, Optional[str]]

_SYNONYMS = {
    "server": DATA_SOURCE,
    "address": DATA_SOURCE,
    "addr": DATA_SOURCE,
    "network address": DATA_SOURCE,
    "database": INITIAL_CATALOG,
    "trusted_connection": INTEGRATED_SECURITY,
    "uid": USER_ID,
    "user": USER_ID,
    "pwd": PASSWORD,
    "trust server certificate": TRUST_SERVER_CERTIFICATE,
}
_NAMES = {
    name.lower(): name
    for name in (
        DATA_SOURCE, INITIAL_CATALOG, INTEGRATED_SECURITY, USER_ID, PASSWORD, ENCRYPT, TRUST_SERVER_CERTIFICATE,
    )
}  # fmt: skip
_SWITCHES = (INTEGRATED_SECURITY, ENCRYPT, TRUST_SERVER_CERTIFICATE)
_YES, _NO = ("true", "yes", "sspi"), ("false", "no")

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_PAIR = re.compile(
    r"""(?P<lead>[\s;]*)
    (?P<key>(?:[^=\s;%(control)s]|==)(?:[^=\s%(control)s]|==|\s+(?:[^=\s%(control)s]|==))*)
    (?P<sign>\s*=(?!=)\s*)
    (?P<value>"(?:[^"\x00]|"")*" | '(?:[^'\x00]|'')*' | (?:(?!["'\s])(?:[^;\s%(control)s]|\s+[^;\s%(control)s])*(?<!["']))?)
    (?P<trail>\s*(?:;|\Z))"""
    % {"control": _CONTROL},
    re.VERBOSE,
)
_BARE = re.compile(r"[^\"'=;\s%s]+\Z" % _CONTROL)


class NotUnderstood(RetailError):
    """The text is no connection string."""


@dataclass
class _Pair:
    """One keyword with its value; the five texts together are what stands there, to the letter."""

    lead: str
    key: str
    sign: str
    value: str
    trail: str

    @property
    def name(self) -> str:
        key = self.key.replace("==", "=").lower()
        return _SYNONYMS.get(key) or _NAMES.get(key) or key

    @property
    def text(self) -> str:
        return self.lead + self.key + self.sign + self.value + self.trail


def read(text: str) -> dict[str, str]:
    """The values by keyword; well-known keywords in their usual spelling, others in lower case.

    :raises NotUnderstood: the text breaks the rules.
    """
    return {pair.name: _unquoted(pair.value) for pair in _pairs(text)}


def edited(text: str, wanted: Wanted) -> str:
    """The connection string with the wanted values; what has them already, and every other keyword, stays to the letter.

    :raises NotUnderstood: the text breaks the rules.
    :raises RetailError: a wanted value cannot stand in a connection string.
    """
    pairs = [pair for pair in _pairs(text) if wanted.get(pair.name, "") is not None]
    last = {pair.name: pair for pair in pairs}
    for name, value in wanted.items():
        if value is None:
            continue
        if name not in last:
            if pairs and not pairs[-1].trail.endswith(";"):
                pairs[-1].trail += ";"
            pairs.append(_Pair("", name, "=", quoted(value), ""))
        elif not _alike(name, _unquoted(last[name].value), value):
            last[name].value = quoted(value)
    return "".join(pair.text for pair in pairs)


def quoted(value: str) -> str:
    """The value as it stands in a connection string.

    :raises RetailError: it has a NUL character.
    """
    if "\x00" in value:
        raise RetailError(
            "A value for a connection string has a NUL character.", "Look where the value comes from: no name has one."
        )
    if _BARE.match(value):
        return value
    if '"' in value and "'" not in value:
        return "'%s'" % value
    return '"%s"' % value.replace('"', '""')


def shown(text: str) -> str:
    """The connection string for people, its password hidden."""
    try:
        pairs = _pairs(text)
    except NotUnderstood:
        return "(a connection string that cannot be understood)"
    for pair in pairs:
        if pair.name == PASSWORD:
            pair.value = HIDDEN
    return "".join(pair.text for pair in pairs)


def _pairs(text: str) -> list[_Pair]:
    pairs, position = [], 0
    while text[position:].strip(" \t\r\n;\x00"):
        match = _PAIR.match(text, position)
        if match is None:
            raise NotUnderstood("This is no connection string.", "Correct it, or remove it.")
        pairs.append(_Pair(**match.groupdict()))
        position = match.end()
    if pairs:
        pairs[-1].trail += text[position:]
    return pairs


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        return value[1:-1].replace(value[0] * 2, value[0])
    return value


def _alike(name: str, actual: str, wanted: str) -> bool:
    if name in _SWITCHES:
        return _truth(actual) == _truth(wanted)
    if name == DATA_SOURCE:
        return actual.casefold() == wanted.casefold()
    return actual == wanted


def _truth(value: str) -> str:
    value = value.strip().lower()
    return "true" if value in _YES else "false" if value in _NO else value
