# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``retail-sync quarantine`` and ``retail-sync conflicts``: list, show, retry, discard."""

from __future__ import annotations

import argparse
from typing import Any

from .._engine._errors import RetailError
from . import kept, retry
from .config import ConfigError, ServiceConfig
from .kept import Choice, Kept
from .link import Link
from .metadata import CONFLICT, QUARANTINE
from .pair import Pair

Document = dict[str, Any]

#: What the subcommands do, by command.
ACTIONS = {
    "quarantine": {
        "list": "the units (source transactions) that could not be stored, on either side, and why",
        "show": "the same with the full rows",
        "retry": "store what can be stored by now; what cannot stays, with the new message",
        "discard": "forget rows for good; they are printed, or saved, before",
    },
    "conflicts": {
        "list": "the conflicts that are remembered, on either side",
        "show": "the same with both images",
        "retry": "let the image that lost win now, as a change of the database that keeps the conflict",
        "discard": "forget conflicts for good; they are printed, or saved, before",
    },
}


def add_options(command: argparse.ArgumentParser, name: str, action: str) -> None:
    """The options of one subcommand: ``action`` of ``name``."""
    command.add_argument(
        "--scope", action="append", default=[], metavar="NAME", help="only of this scope; may be repeated"
    )
    command.add_argument(
        "--table", action="append", default=[], metavar="ax.NAME", help="only of this table; may be repeated"
    )
    command.add_argument(
        "--unit", action="append", default=[], help="only this unit, as list names it; may be repeated"
    )
    if action in ("retry", "discard"):
        command.add_argument("--all", action="store_true", help="everything; needed where there is no filter")
    if (name, action) == ("conflicts", "retry"):
        command.add_argument(
            "--over-changes",
            action="store_true",
            help="also where the row was changed since, which is kept as the loser then",
        )
    if action == "discard":
        command.add_argument("--yes", action="store_true", help="yes, forget them")
        command.add_argument(
            "--save", metavar="FILE", help="save them in this new file of mode 0600 instead of printing them"
        )


def run(config: ServiceConfig, options: argparse.Namespace) -> Document:
    """One subcommand.

    :raises ConfigError: the options do not say what is meant, or that it is meant.
    :raises RetailError: a side cannot be reached, or nothing fits the filters.
    """
    choice = Choice(tuple(options.scope), tuple(options.table), tuple(options.unit))
    changes = options.action in ("retry", "discard")
    if changes and choice == Choice() and not options.all:
        raise ConfigError("Nothing says what to %s." % options.action, "Give --unit, --scope or --table; or --all.")
    with Link(config) as link:
        pair = link.pair()
        rows = kept.quarantined(pair) if options.command == "quarantine" else kept.conflicts(pair)
        if changes or options.unit:
            rows = kept.chosen(rows, choice)
        rows = [one for one in rows if choice.accepts(one)]
        document: Document = {"name": config.name, "action": options.action, "problems": []}
        document.update(_ACTIONS[options.action](pair, rows, options))
        return document


def _list(_pair: Pair, rows: list[Kept], _options: argparse.Namespace) -> Document:
    return {"units": _units(rows, images=False)}


def _show(_pair: Pair, rows: list[Kept], _options: argparse.Namespace) -> Document:
    return {"units": _units(rows, images=True)}


def _retry(pair: Pair, rows: list[Kept], options: argparse.Namespace) -> Document:
    if options.command == "quarantine":
        results = retry.retry(pair, rows)
    else:
        results = retry.overturn(pair, rows, options.over_changes)
    problems = ["%s: %s" % (_units_of(one), one["error"]) for one in results if one["error"]]
    if any(one["result"] == retry.CHANGED for one in results):
        problems.append(
            "Look at the rows; --over-changes lets the images that lost win over them, and keeps what they are."
        )
    return {"results": results, "problems": problems}


def _units_of(result: Document) -> str:
    return "%s %s" % (result["scope"], ", ".join(result.get("units") or [result["unit"]]))


def _discard(pair: Pair, rows: list[Kept], options: argparse.Namespace) -> Document:
    units = _units(rows, images=True)
    if not options.yes:
        raise ConfigError(
            "%d rows in %d units would be forgotten for good." % (len(rows), len(units)),
            "Look at them with show, and say --yes.",
        )
    if options.save:
        kept.save(options.save, {"discarded": units})
    name, column = (QUARANTINE, "quarantine_id") if options.command == "quarantine" else (CONFLICT, "conflict_id")
    document = {"discarded": len(rows), "saved": options.save, "units": [] if options.save else units}
    try:
        kept.discard(pair, name, column, rows)
    except RetailError as error:
        document["problems"] = ["Not everything was discarded: %s" % error]
    return document


_ACTIONS = {"list": _list, "show": _show, "retry": _retry, "discard": _discard}


def _units(rows: list[Kept], images: bool) -> list[Document]:
    return [
        {
            "side": side,
            "scope": scope,
            "unit": unit,
            "since": min(one.document(False)["since"] for one in members),
            "count": len(members),
            "rows": [one.document(images) for one in members],
        }
        for (side, scope, unit), members in kept.units(rows).items()
    ]


def report(document: Document) -> list[str]:
    """The document for people."""
    lines = []
    for unit in document.get("units", ()):
        heads = (unit["unit"], unit["scope"], unit["side"], unit["count"], unit["since"])
        lines.append("unit %s of %s, kept at the %s: %d rows since %s" % heads)
        lines += ["  " + line for row in unit["rows"] for line in _row(row)]
    lines += ["%s %s: %s" % (one["side"], _place(one), one["result"]) for one in document.get("results", ())]
    if "discarded" in document:
        where = ", saved in %s" % document["saved"] if document["saved"] else ""
        lines.append("%d rows were discarded%s" % (document["discarded"], where))
    lines += ["PROBLEM: %s" % text for text in document["problems"]]
    return lines or ["nothing has been put aside"]


def _row(row: Document) -> list[str]:
    key = ", ".join("%s=%s" % item for item in row["key"].items())
    lines = ["%s %s%s" % (row["table"], key, " (deletion)" if row.get("deletion") else "")]
    if row.get("error"):
        lines.append("  %s" % row["error"])
    if "winner" in row:
        lines[0] += ": %s, the %s won" % (row["kind"], row["winner"])
    shown = row.get("images", {"row": row["image"]} if row.get("image") else {})
    return lines + ["  %s: %s" % item for item in shown.items()]


def _place(result: Document) -> str:
    if "units" in result:
        return "%s %s, %d rows" % (result["scope"], ", ".join(result["units"]), result["rows"])
    return "%s %s" % (result["table"], ", ".join("%s=%s" % item for item in result["key"].items()))
