# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which row of a receiver's table a row on the wire is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: A table, and the values of its key.
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Shape:
    """What the receiver has of a table: its key, and all of its columns."""

    key: tuple[str, ...]
    columns: frozenset[str]


def key_of(table: str, columns: Sequence[str], row: str, shapes: Mapping[str, Shape]) -> Key | None:
    """The key of a row as it travels; None where it does not fit the receiver's table.

    :param columns: what its batch has. ``shapes``: the receiver's tables by name.
    """
    shape = shapes.get(table)
    if shape is None or not set(columns) <= shape.columns or not set(shape.key) <= set(columns):
        return None
    # Numbers as they are spelled: a float would make one of two keys that differ in the last digit.
    values = json.loads(row, parse_float=str)
    return (table, *(values.get("c%d" % columns.index(name)) for name in shape.key))


def image_of(columns: Sequence[str], row: str) -> dict[str, Any] | None:
    """What a row as it travels says, by column; None for a deletion."""
    values = json.loads(row, parse_float=str)
    return None if values.get("d") else {name: values.get("c%d" % place) for place, name in enumerate(columns)}
