# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value is read out of a row on the wire without reading the whole row, and rows are read from behind a key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine import ENGINES, speaker
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._engine._wire import Extract, value_in

NASTY = (
    'a"b',
    "back\\",
    '\\"c1":"x"',
    '{"c1":1}',
    ',"c1":7',
    ', "c1": 7',
    ",",
    ", ",
    "}",
    "Ölgötze 🎄",
    "line\n\t",
    "",
    "\\\\\\",
)


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("value", [0, -12345678901234567890, "x", 'q",}\\', True, None, "1.5", ""])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_value_is_found_whatever_the_others_say(text: str, value: Any, separators: tuple[str, str]) -> None:
    row = {"v": 7, "c0": text, "c1": value, "c11": "another", "c2": text}
    said = json.dumps(row, ensure_ascii=False, separators=separators)
    assert (value_in(said, 0), value_in(said, 1), value_in(said, 2)) == (text, value, text)
    assert value_in(said, 3) is None


def test_fractions_keep_all_their_digits() -> None:
    assert value_in('{"v":1,"c0":1234567890123456.0123456789012345}', 0) == "1234567890123456.0123456789012345"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_rows_are_read_from_behind_a_key(engine: str) -> None:
    columns = (Column.parse("NAME", "nvarchar(20) not null"), Column.parse("ID", "bigint not null"))
    table = Table(TableName("ax", "T"), columns, ("ID", "NAME"))
    extract = Extract(table, columns, 7, None, 0, after=(3, "it's"))
    changes = speaker(engine).changes
    sql = changes.query(extract)
    assert "it''s" in sql
    assert changes.query(Extract(table, columns, 7, None, 0)) != sql
    assert extract.key_in('{"v":7,"x":1,"d":0,"c0":"it\'s","c1":3}') == (3, "it's")
