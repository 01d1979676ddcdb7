# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases that came from another cluster, whose transactions have other numbers."""

from __future__ import annotations

from . import names

#: Transactions of the cluster that a database came from have this added to their numbers, so that they are none of this one's. Half of
#: ``PEER_FACTOR``: this cluster would need that many to come there, and the number of a peer stays readable in front.
_ELSEWHERE = 8796093022208
#: The transaction of this cluster in which the key of a table was made: after its rows had been loaded.
_KEY = (
    "(SELECT CAST(CAST(a.xmin AS text) AS bigint) FROM pg_constraint a WHERE a.conrelid = CAST({} AS regclass) "
    "AND a.contype = 'p')"
)
#: The one that brought the database here: a key of ours that nobody ever changes.
_CAME = _KEY.format("'dbo.sync_peer'")


def came_along(alias: str, place: str) -> str:
    """SQL: the row's version was given by the cluster that the database came from.

    Only a row that changed here was stored by the very transaction that is its version, or by a part of it; and not by the one that
    brought the database here, which may have loaded all of it, and have a number that the other cluster had given, too. Tables may
    be loaded side by side, so one may have got its rows when our key was made long ago; but before its own key, which is made again
    where its columns are changed. What one transaction stored and many had given was loaded.

    :param place: the table, quoted.
    """
    stored, given = "CAST(CAST({a}.xmin AS text) AS bigint)", "{a}.version % 4294967296"
    loaded = "SELECT o.xmin FROM {place} o GROUP BY o.xmin HAVING min(o.version) <> max(o.version)"
    own = (
        "{a}.version > {came} AND %s <= %s AND (%s >= coalesce({key}, 0) OR %s = %s AND {a}.xmin NOT IN (%s))"
        % (given, stored, stored, given, stored, loaded)
    )  # fmt: skip
    key = _KEY.format(names.literal(place))
    return ("NOT (%s)" % own).format(a=alias, came=_CAME, key=key, place=place)


def is_own(number: str) -> str:
    """SQL: the number was given by a cluster, and has not been kept apart yet."""
    return "({0} > 0 AND {0} < {1})".format(number, _ELSEWHERE)


def kept(number: str) -> str:
    """SQL: the number that a transaction of the other cluster has from now on; NULL, and what is no such number, stay."""
    return "CASE WHEN {1} THEN {0} + {2} ELSE {0} END".format(number, is_own(number), _ELSEWHERE)


def number_elsewhere(number: int) -> int:
    """As :func:`kept`, for a number that was read: a peer on this engine came from another cluster."""
    return number + _ELSEWHERE if 0 < number < _ELSEWHERE else number
