# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases that came from another cluster, whose transactions have other numbers."""

from __future__ import annotations

#: The transaction of this cluster that brought the database here: the one that made a table of ours, of all the first.
_CAME = (
    "(SELECT CAST(CAST(a.xmin AS text) AS bigint) FROM pg_attribute a WHERE a.attrelid = CAST('dbo.sync_peer' AS regclass) "
    "AND a.attnum = 1)"
)


def came_along(alias: str) -> str:
    """SQL: the row's version was given by the cluster that the database came from.

    Only a row that changed here was stored by the very transaction that is its version, or by a part of it.
    """
    return "NOT ({a}.version >= {came} AND {a}.version % 4294967296 <= CAST(CAST({a}.xmin AS text) AS bigint))".format(
        a=alias, came=_CAME
    )
