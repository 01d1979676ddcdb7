# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions, procedures and views of SQL Server that are used stand in the record, which says who has looked them up and where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mssql_said import everything, unparsed_statements

RECORD = "docs/docsite/rst/contributing_tsql.rst"
#: Names in brackets and texts: what is in them is ours, or data. A text that is run is a statement of its own below.
_OURS = re.compile(r"\[(?:[^\]]|\]\])*\]|N?'(?:[^']|'')*'")
_NAMES = re.compile(r"\b(?:sys|msdb\.dbo|INFORMATION_SCHEMA)\.\w+|\b[sx]p_\w+|@@\w+|\b[A-Z][A-Z_]+(?=\()")
#: Written before a bracket, and no functions.
_KEYWORDS = {
    "VALUES",
    "COLUMNS",
    "IN",
    "EXEC",
    "TOP",
    "NOT",
    "WITH",
    "KEY",
    "INCLUDE",
    "SET",
    "UNIQUE",
    "CHECK",
    "FILE",
}


def names_in(text: str) -> set[str]:
    """The server's own names in a statement, and in the statements that it runs as texts."""
    found = {re.sub(r"^sys\.(?=[sx]p_)", "", name) for name in _NAMES.findall(_OURS.sub("[]", text))}
    for inner in re.findall(r"N'((?:[^']|'')*)'", text):
        if re.match(r"(CREATE|ALTER|SELECT|IF|DECLARE) ", inner):
            found |= names_in(inner.replace("''", "'"))
    return found - _KEYWORDS


@pytest.fixture(scope="module")
def used() -> set[str]:
    said = dict.fromkeys([*everything(), *unparsed_statements()])
    return set().union(*(names_in(text) for text in said))


@pytest.fixture(scope="module")
def recorded(repository: Path) -> set[str]:
    return set(re.findall(r"``([\w.@]+)``", (repository / RECORD).read_text(encoding="utf-8")))


def test_every_name_that_is_used_stands_in_the_record(used: set[str], recorded: set[str]) -> None:
    assert sorted(used - recorded) == []
    assert {"OPENJSON", "sp_getapplock", "xp_delete_file", "sys.extended_properties", "@@DBTS"} <= used
