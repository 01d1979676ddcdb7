# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command line prints for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .link import SIDES
from .status import Document


def status(document: Document) -> list[str]:
    lines = ["%s at %s" % (document["name"], document["time"])]
    for side in SIDES:
        facts = document[side]
        lines.append("%-7s %s: %s" % (side, facts["where"], "reachable" if facts["reachable"] else facts["error"]))
        if facts["cleaned"]:
            lines.append(
                "        deletions are kept for %(horizon_days)g days; last cleaned up %(time)s" % facts["cleaned"]
            )
    if document["package"]:
        said = "package of %(made)s, expires %(expires)s, %(rows)d rows" % document["package"]
        lines.append(said + (" (%s)" % document["package"]["refusal"] if document["package"]["refusal"] else ""))
    rows = [("SCOPE", "DIRECTION", "TABLES", "UP WAITING", "DOWN WAITING", "CONFLICTS", "QUARANTINE", "LAST SESSION")]
    for scope in document["scopes"]:
        ways = (
            _waiting(scope["upload"]),
            "stale"
            if scope["stale"]
            else "not loaded yet"
            if scope["loaded"] is False
            else _waiting(scope["download"]),
        )
        counts = (str(scope["conflicts"]), str(scope["quarantined"]))
        rows.append(
            (scope["name"], scope["direction"], str(scope["tables"]), *ways, *counts, scope["last_session"] or "none")
        )
    return lines + [""] + _columns(rows) + _log(document["log"]) + _problems(document)


def verify(document: Document) -> list[str]:
    lines = ["%s: %d tables" % (document["name"], len(document["tables"]))]
    for side, number in document.get("tracking_tables", {}).items():
        lines.append("%-7s %d tables are tracked" % (side, number))
    counted = [table for table in document["tables"] if table["rows"]["child"] is not None]
    lines.append(
        "%d tables have %d rows at the child" % (len(counted), sum(table["rows"]["child"] for table in counted))
    )
    return lines + _comparison(document) + _repaired(document) + _problems(document)


def _comparison(document: Document) -> list[str]:
    found = document.get("comparison", ())
    names = ("different", "waiting", "conflict", "quarantined", "purged")
    table = [("TABLE", "SCOPE", "CHILD ROWS", "PARENT ROWS", *(name.upper() for name in names))]
    lines = []
    for one in found:
        if any(one[name] for name in names):
            sizes = [str(one["rows"][side]) for side in SIDES]
            table.append((one["table"], one["scope"], *sizes, *(str(one[name]) for name in names)))
        lines += [
            "%s %s: %s (%s)" % (one["table"], _key(row["key"]), row["what"], row["status"])
            for row in one["differences"]
        ]
        lines += ["%s: and more" % one["table"]] if one["more"] else []
        left_out = ", ".join(one["columns_left_out"])
        lines += ["%s: not compared: %s" % (one["table"], left_out)] if left_out else []
    rows = sum(one["rows"]["child"] for one in found)
    head = ["%d tables with %d rows at the child were compared" % (len(found), rows)] if found else []
    return head + (_columns(table) if len(table) > 1 else []) + lines


def _repaired(document: Document) -> list[str]:
    lines = [
        "travels again from the %s: %s %s" % (row["side"], row["table"], _key(row["key"]))
        for row in document.get("repaired", ())
    ]
    lines += [
        "%s: %d rows that were lost at the %s count as deleted there now" % (row["table"], row["rows"], row["side"])
        for row in document.get("buried", ())
        if row["rows"]
    ]
    return lines + (["the next session moves them; verify again after it"] if lines else [])


def _key(key: Document) -> str:
    return ", ".join("%s=%s" % item for item in key.items())


def package(document: Document) -> list[str]:
    return ["%s: %s" % item for item in document.items() if item[0] != "problems"] + _problems(document)


def cleanup(document: Document) -> list[str]:
    lines = []
    for side in SIDES:
        facts = document[side]
        said = (
            "%(deletions)d deletions, %(moves)d moves, %(log)d log rows, %(conflicts)d conflicts went" % facts
            if facts
            else "somebody else is at it"
        )
        lines.append("%-7s %s" % (side, said))
    return lines + _problems(document)


def once(document: Document) -> list[str]:
    rows = [("SCOPE", "SESSIONS", "UP", "DOWN", "CONFLICTS", "QUARANTINE")]
    for scope in document["scopes"]:
        ways = [way for way in (scope["upload"], scope["download"]) if way]
        moved = [str(scope[name]["moved"]) if scope[name] else "-" for name in ("upload", "download")]
        sums = [str(sum(way[name] for way in ways)) for name in ("conflicts", "quarantined")]
        rows.append((scope["name"], str(scope["sessions"]), *moved, *sums))
    waiting = ["still waiting: %s" % ", ".join(document["waiting"])] if document["waiting"] else []
    return _columns(rows) + waiting + _problems(document)


def _waiting(way: Document | None) -> str:
    if way is None:
        return "-"
    if way["waiting"] is None:
        return "unknown"
    about = "about " if way["estimated"] else ""
    age = " (%s)" % _age(way["oldest_seconds"]) if way["waiting"] and way["oldest_seconds"] is not None else ""
    return "%s%d%s" % (about, way["waiting"], age)


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return "%d %s" % (seconds // size, unit)
    return "%d s" % seconds


def _log(rows: list[Document]) -> list[str]:
    if not rows:
        return []
    last: Any = rows[0]
    numbers = (last["stopped"], last["uploaded"], last["downloaded"])
    return ["", "last row in RETAILOFFLINESYNCLOG: %s, %d up, %d down" % numbers]


def _problems(document: Document) -> list[str]:
    return (
        ["", "no problem found"]
        if not document["problems"]
        else [""] + ["PROBLEM: %s" % text for text in document["problems"]]
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[position]) for row in rows) for position in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
