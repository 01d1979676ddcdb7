# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which change of a column's type loses nothing. Types are neutral and normalised (``engine.types.normalize``)."""

from __future__ import annotations

import functools
import re

SAME, WIDER, NARROWER, OTHER = "same", "wider", "narrower", "other"

#: Families in which every type holds what those before it hold.
_FAMILIES = (
    ("tinyint", "smallint", "int", "bigint"),
    ("smalldatetime", "datetime", "datetime2"),
    ("real", "float"),
)
_SIZED = re.compile(r"^(nvarchar|varchar|nchar|char|varbinary|numeric)\(([^)]*)\)$")
_MAX = 1 << 31


@functools.lru_cache(maxsize=4096)
def compare(actual: str, desired: str) -> str:
    """How ``desired`` stands to ``actual``: the same, wider (a change loses nothing), narrower, or something else."""
    if actual == desired:
        return SAME
    if _holds(desired, actual):
        return WIDER
    return NARROWER if _holds(actual, desired) else OTHER


def _holds(big: str, small: str) -> bool:
    for family in _FAMILIES:
        if big in family and small in family:
            return family.index(big) >= family.index(small)
    one, other = _SIZED.match(big), _SIZED.match(small)
    if not one or not other or one.group(1) != other.group(1):
        return False
    if one.group(1) == "numeric":
        return _digits_hold(one.group(2), other.group(2))
    return _size(one.group(2)) >= _size(other.group(2))


def _digits_hold(big: str, small: str) -> bool:
    big_precision, big_scale = (int(number) for number in big.split(","))
    precision, scale = (int(number) for number in small.split(","))
    return big_scale >= scale and big_precision - big_scale >= precision - scale


def _size(text: str) -> int:
    return _MAX if text == "max" else int(text)
