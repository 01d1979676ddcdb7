# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests that need a SQL Server, dealt out to several machines: RETAIL_TEST_SHARD=2/6 runs the second of six parts of them."""

from __future__ import annotations

from collections.abc import Mapping

#: Names a part: which one, and of how many.
VARIABLE = "RETAIL_TEST_SHARD"
#: One test here takes as long as so many others.
_LONG = {"tests/property/": 40, "tests/faults/": 5, "tests/integration/test_mssql_site.py": 10}


def files(tests: Mapping[str, int], part: str) -> set[str]:
    """The files of a part. Each belongs to one, since its tests may share a database; the largest are dealt out first.

    :param tests: how many tests each file has.
    :param part: as ``2/6``.
    :raises ValueError: there is no such part.
    """
    mine, parts = (int(number) for number in part.split("/"))
    if not 0 < mine <= parts:
        raise ValueError("%s=%s: there is no such part" % (VARIABLE, part))
    weights = {name: number * _weight(name) for name, number in tests.items()}
    loads: list[tuple[int, int, set[str]]] = [(0, place, set()) for place in range(parts)]
    for name in sorted(weights, key=lambda name: (-weights[name], name)):
        load, place, names = min(loads)
        loads[place] = (load + weights[name], place, names | {name})
    return loads[mine - 1][2]


def _weight(name: str) -> int:
    return next((weight for start, weight in _LONG.items() if name.startswith(start)), 1)
