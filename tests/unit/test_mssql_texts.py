# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that SQL Server holds and Python takes for errors: halves of pairs of UTF-16 that stand alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.axops.retail.plugins.module_utils._engine import _wire
from ansible_collections.axops.retail.plugins.module_utils._engine.mssql import texts

#: Any code units: what nvarchar takes.
units = st.lists(st.integers(0x20, 0xFFFF) | st.integers(0xD800, 0xDFFF), max_size=20)


def _bytes(code_units: list[int]) -> bytes:
    return b"".join(unit.to_bytes(2, "little") for unit in code_units)


@pytest.mark.parametrize(
    ("code_units", "text"),
    [
        ([0x41, 0xD800, 0x42], "A\\ud800B"),
        ([0xDC00], "\\udc00"),
        ([0x41, 0xDBFF], "A\\udbff"),
        ([0xDE00, 0xD83D], "\\ude00\\ud83d"),
        ([0xD83D, 0xD83D, 0xDE00], "\\ud83d\N{GRINNING FACE}"),
        ([0xD83D, 0xDE00], "\N{GRINNING FACE}"),
        ([0x00E9, 0xFFFD, 0xFFFF], "\u00e9\ufffd\uffff"),
        ([], ""),
    ],
    ids=["high", "low", "at the end", "the wrong way round", "before a pair", "a pair", "none", "empty"],
)
def test_a_half_is_read_as_json_spells_it_and_nothing_else_is_touched(code_units: list[int], text: str) -> None:
    assert texts.decode(_bytes(code_units)) == text
    text.encode("utf-8")


@given(units)
def test_what_is_read_within_json_is_what_the_server_has(code_units: list[int]) -> None:
    """FOR JSON escapes what JSON must have escaped, and leaves halves as they are."""
    value = _bytes(code_units).decode("utf-16-le", "surrogatepass")
    said = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    arrived = texts.decode(said)
    arrived.encode("utf-8")
    assert json.loads(arrived).encode("utf-16-le", "surrogatepass") == _bytes(code_units)
    # Once more, as a row in quarantine goes that is tried again.
    assert json.loads(_wire.to_json(json.loads(arrived))).encode("utf-16-le", "surrogatepass") == _bytes(code_units)
    _wire.to_json(json.loads(arrived)).encode("utf-8")


def test_bytes_that_are_no_code_units_are_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        texts.decode(b"A\x00\xd8")
