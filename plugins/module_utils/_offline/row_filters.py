# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Row filters as a data group declares them, the same for all its channel databases, and as one of them gets them.

A declared filter is a list of conditions, each a dictionary of ``column`` and at least one of ``own``, ``values`` and
``member_of`` (``table``, ``column``, ``where``: conditions again).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._engine._errors import RetailError
from .._engine._filter import Condition, Filter, Member
from .._engine._model import TableName

#: What a channel database can call its own.
OWN = ("channel", "store", "operating_unit")

_ADVICE = "A condition has a column, and own (%s), values (a list) or member_of (table, column, where)." % ", ".join(
    OWN
)


def declare(conditions: Any, title: str) -> list[dict[str, Any]]:
    """Check what a user wrote, and bring it into form.

    :param title: whose filter it is, for messages.
    :raises RetailError: it means nothing.
    """
    if not isinstance(conditions, (list, tuple)) or not conditions:
        raise RetailError("%s has no conditions." % title, _ADVICE)
    return [_declare_one(condition, title) for condition in conditions]


def _declare_one(condition: Any, title: str) -> dict[str, Any]:
    given = (
        {key: value for key, value in condition.items() if value is not None} if isinstance(condition, Mapping) else {}
    )
    unknown = sorted(map(str, set(given) - {"column", "own", "values", "member_of"}))
    if unknown or not given.get("column") or not set(given) - {"column"}:
        what = "the word %s" % unknown[0] if unknown else "an incomplete condition: %r" % (condition,)
        raise RetailError("%s has %s." % (title, what), _ADVICE)
    made: dict[str, Any] = {"column": str(given["column"])}
    if "own" in given:
        if given["own"] not in OWN:
            raise RetailError("%s compares with own: %s." % (title, given["own"]), _ADVICE)
        made["own"] = given["own"]
    if "values" in given:
        if not isinstance(given["values"], (list, tuple)):
            raise RetailError("%s has values that are no list." % title, _ADVICE)
        made["values"] = [str(value) for value in given["values"]]
    if "member_of" in given:
        made["member_of"] = _declare_member(given["member_of"], title)
    return made


def _declare_member(member: Any, title: str) -> dict[str, Any]:
    given = dict(member) if isinstance(member, Mapping) else {}
    if not given.get("table") or not given.get("column") or set(given) - {"table", "column", "where"}:
        raise RetailError("%s has an incomplete member_of: %r." % (title, member), _ADVICE)
    where = given.get("where") or []
    return {
        "table": str(TableName.parse(str(given["table"]))),
        "column": str(given["column"]),
        "where": declare(where, title) if where else [],
    }


def dumps(conditions: Sequence[Mapping[str, Any]]) -> str:
    """A declared filter as HQ keeps it; equal filters give equal texts, none an empty one."""
    return json.dumps(conditions, ensure_ascii=False, sort_keys=True) if conditions else ""


def loads(text: str) -> list[dict[str, Any]]:
    """The filter that :func:`dumps` wrote."""
    return json.loads(text) if text else []


def resolve(conditions: Sequence[Mapping[str, Any]], own: Callable[[str], Sequence[str]]) -> Filter:
    """The filter for one channel database.

    :param own: gives its own values of one kind (see ``OWN``).
    """
    return tuple(_resolve_one(condition, own) for condition in conditions)


def _resolve_one(condition: Mapping[str, Any], own: Callable[[str], Sequence[str]]) -> Condition:
    values = list(condition.get("values", ()))
    if "own" in condition:
        values += [value for value in own(condition["own"]) if value not in values]
    member = condition.get("member_of")
    if member is None:
        return Condition(condition["column"], tuple(values))
    table = TableName.parse(member["table"])
    return Condition(condition["column"], tuple(values), Member(table, member["column"], resolve(member["where"], own)))
