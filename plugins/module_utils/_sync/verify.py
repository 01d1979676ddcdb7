# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a pair is whole.

Rights of the service's accounts, tracking on both sides of every table, the same keys and scopes, sessions that continue each
other, anchors that the sender can know, the same number of rows, and a log that is alive. On request the same rows, by their
digests; and those that differ are made to travel again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._engine._errors import RetailError, StatementFailed
from .._engine._model import TableName
from . import compare, log, metadata, repair, rights, session
from .config import ServiceConfig
from .link import SIDES, Link, reach
from .metadata import PARENT, Scope
from .pair import Pair
from .service import terminal_of
from .status import Document

_LEFT = (
    "The table %s has lost %d rows at the %s, and nothing was done about them, since others may have them: repair with "
    "those, too."
)


@dataclass(frozen=True)
class Rows:
    """Which rows are compared, and whether those that differ travel again. Empty: all scopes, all tables. ``limit``: how many
    are named a table."""

    repair: bool = False
    scopes: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    limit: int = compare.LIMIT

    def __contains__(self, place: tuple[str, str]) -> bool:
        scope, table = place
        return (not self.scopes or scope in self.scopes) and (not self.tables or table in self.tables)


def check(config: ServiceConfig, rows: Rows | None = None) -> Document:
    """Everything about one pair, as plain values; ``problems`` is empty where all is well.

    :param rows: compare the rows, too.
    :raises RetailError: a connection was lost; or ``rows`` names a scope or table that the pair does not have.
    """
    with Link(config) as link:
        there, missing = reach(link)
        document: Document = {"name": config.name, "unreachable": sorted(missing), "problems": [], "tables": []}
        if missing:
            document["problems"] = ["%s" % missing[side] for side in SIDES if side in missing]
            return document
        # First, since without them all else ends with the one that is missed first.
        document["problems"], blind = _rights_on_books(there)
        if blind:
            return document
        try:
            pair = link.pair()
        except RetailError as error:
            document["problems"].append(str(error))
            return document
        denied, blind = _rights_on_tables(pair)
        document["problems"] += denied
        if blind:
            return document
        pair.preload(pair.scopes)
        document["tracking_tables"] = count_tracked(pair)
        # Before rows are counted: what is repaired waits from then on.
        compared = _compare(pair, rows, document) if rows is not None else []
        document["tables"] = _tables(pair)
        document["problems"] += _servers(pair) + _room(pair) + tracking(pair) + _definitions(pair) + _sessions(pair)
        document["problems"] += _differences(pair, document["tables"]) + _silence(pair, config) + compared
        return document


def _rights_on_books(there: Mapping[str, Any]) -> tuple[list[str], bool]:
    """What the service's accounts lack for its books, and whether so much that these cannot be read."""
    lack = {side: rights.books(db) for side, db in there.items()}
    said = [text for side, db in there.items() for text in rights.sentences(side, db, lack[side])]
    return said, any(map(rights.blinds, lack.values()))


def _rights_on_tables(pair: Pair) -> tuple[list[str], bool]:
    """The same for the tables of the scopes."""
    lack = rights.tables(pair)
    said = [text for side, db in _both(pair) for text in rights.sentences(side, db, lack[side])]
    return said, any(map(rights.blinds, lack.values()))


def _compare(pair: Pair, rows: Rows, document: Document) -> list[str]:
    """Compare rows, and repair them where that is asked for; returns what is wrong, or is so still."""
    _check_names(pair, rows)
    found = compare.compare(
        pair, lambda scope, table: (scope.name, table) in rows, repair.MOST if rows.repair else rows.limit
    )
    orphans = _orphans(pair, found)
    document["comparison"] = [{**one.document(rows.limit), "without_row": lost} for one, lost in zip(found, orphans)]
    if rows.repair:
        document["repaired"] = repair.repair(pair, found)
        document["buried"] = repair.bury(pair, found)
        return _left(found, document["buried"])
    return [
        "The table %s has %s%d rows that differ, and nothing of them waits."
        % (one.shared.name, "more than " if one.more else "", one.count(compare.DIFFERENT))
        for one in found
        if one.count(compare.DIFFERENT)
    ] + [
        "The table %s has lost %d rows at the %s that its tracking has: it was truncated."
        % (one.shared.name, lost[side], side)
        for one, lost in zip(found, orphans)
        for side in SIDES
        if lost[side]
    ]


def _left(found: list[compare.Comparison], buried: list[Document]) -> list[str]:
    """What a repair has left as it was."""
    more = {str(one.shared.name) for one in found if one.more} | {one["table"] for one in buried if one["more"]}
    return [
        "The table %s has more rows to repair than one run does: repair once more." % name for name in sorted(more)
    ] + [_LEFT % (one["table"], one["left"], one["side"]) for one in buried if one["left"]]


def _check_names(pair: Pair, rows: Rows) -> None:
    for wanted, known, what in (
        (rows.scopes, {scope.name for scope in pair.scopes}, "scope"),
        (rows.tables, {str(name) for name in _wanted(pair)}, "table"),
    ):
        for name in wanted:
            if name not in known:
                raise RetailError("The pair has no %s %s." % (what, name), "It has: %s." % ", ".join(sorted(known)))


def _orphans(pair: Pair, found: list[compare.Comparison]) -> list[dict[str, int]]:
    """Tracking rows of live rows that are not there, a pair of numbers a table."""
    child = pair.child.engine.repairs.orphans(pair.child, [one.shared.child for one in found])
    parent = pair.parent.engine.repairs.orphans(pair.parent, [one.shared.parent for one in found])
    return [{"child": ours, "parent": theirs} for ours, theirs in zip(child, parent)]


def count_tracked(pair: Pair) -> dict[str, int]:
    """How many tables of the scopes have a tracking table, on each side."""
    wanted = _wanted(pair)
    return {side: len(wanted & set(db.engine.tracking.read(db))) for side, db in _both(pair)}


def tracking(pair: Pair) -> list[str]:
    """What is missing of tracking tables and triggers, a sentence each."""
    problems = []
    for side, db in _both(pair):
        there = db.engine.tracking.read(db)
        for table in sorted(_wanted(pair)):
            gaps = sorted(set(db.engine.tracking.TRIGGERS) - set(there.get(table, ())))
            if table not in there:
                problems.append("The table %s has no tracking table at the %s." % (table, side))
            elif gaps:
                problems.append("The table %s lacks the trigger for %s at the %s." % (table, ", ".join(gaps), side))
    return problems


def _servers(pair: Pair) -> list[str]:
    """What is wrong with the two servers, or with how they are set: an administrator may have changed it since."""
    problems = []
    for _side, db in _both(pair):
        try:
            db.engine.databases.check_server(db)
        except StatementFailed:
            raise
        except RetailError as error:
            problems.append(str(error))
    return problems


def _room(pair: Pair) -> list[str]:
    """Whether the parent's server has room for the locks of all its children, should all of them send rows of all tables at once, as
    after a day without it."""
    locks = pair.parent.engine.locks
    tables = sorted({table.name for scope in pair.scopes if scope.uploads for table in scope.tables})
    children = sum(peer.peer_id != PARENT for peer in metadata.read_peers(pair.parent))
    room = locks.room(pair.parent)
    needed = children * locks.needed(pair.parent, tables)
    if room is None or needed <= room:
        return []
    text = "The server of the parent has room for %d locks, and its %d children may take %d at once."
    advice = "Multiply max_locks_per_transaction by %d in its settings, and restart it."
    return ["%s %s" % (text % (room, children, needed), advice % math.ceil(needed / room))]


def _wanted(pair: Pair) -> set[TableName]:
    return {table.name for scope in pair.scopes for table in scope.tables}


def _both(pair: Pair) -> Any:
    return (("child", pair.child), ("parent", pair.parent))


def _definitions(pair: Pair) -> list[str]:
    """Where the two sides have another idea of a scope, or of a table in it."""
    above = {scope.name: scope for scope in metadata.read_scopes(pair.parent, pair.downwards.peer_id)}
    problems = []
    for scope in pair.scopes:
        theirs = above.pop(scope.name, None)
        if theirs is None:
            problems.append("The parent does not know the scope %s." % scope.name)
        elif (scope.direction, scope.config_data()) != (theirs.direction, theirs.config_data()):
            problems.append("The scope %s is not the same on both sides." % scope.name)
        try:
            pair.shared_tables(scope)
        except RetailError as error:
            problems.append(str(error))
    return problems + ["The child does not know the scope %s." % name for name in sorted(above)]


def _sessions(pair: Pair) -> list[str]:
    """Whether sessions continue each other, and no anchor lies ahead of the database whose versions it counts."""
    below = metadata.read_states(pair.child, PARENT)
    above = metadata.read_states(pair.parent, pair.downwards.peer_id)
    low = {}
    for side, db in _both(pair):
        with db.engine.marks.snapshot(db) as mark:
            low[side] = mark.low
    problems = []
    for name in sorted(set(below) & set(above)):
        child, parent = below[name], above[name]
        if parent.session_token not in (child.session_token, child.previous_token):
            problems.append(
                "The sessions of the scope %s do not continue each other: one side was restored or cloned." % name
            )
        for anchor, sender in ((child.anchor_in, "parent"), (parent.anchor_in, "child")):
            if anchor is not None and anchor > low[sender]:
                problems.append(
                    "The scope %s has taken changes that the %s has not come to: it was restored." % (name, sender)
                )
    return problems


def _tables(pair: Pair) -> list[Document]:
    """Every table with what waits; rows are counted where both sides should have the same."""
    documents = []
    for scope in pair.scopes:
        waiting = _waiting(pair, scope)
        names = [table.name for table in scope.tables]
        rows: dict[str, list[int | None]] = {side: [None] * len(names) for side in SIDES}
        if scope.downloads and waiting is not None:
            filters = {"child": (), "parent": [table.filter for table in scope.tables]}
            rows = {side: list(db.engine.changes.count(db, names, filters[side])) for side, db in _both(pair)}
        for position, name in enumerate(names):
            documents.append(
                {
                    "scope": scope.name,
                    "table": str(name),
                    "waiting": waiting[position] if waiting is not None else None,
                    "rows": {side: rows[side][position] for side in SIDES},
                }
            )
    return documents


def _waiting(pair: Pair, scope: Scope) -> list[int] | None:
    """Rows that wait in either direction, a number a table; None where that cannot be asked."""
    numbers = [0] * len(scope.tables)
    try:
        for upload in [way for way, wanted in ((True, scope.uploads), (False, scope.downloads)) if wanted]:
            receiver, peer = (pair.parent, pair.downwards.peer_id) if upload else (pair.child, PARENT)
            state = metadata.read_state(receiver, peer, scope.name)
            sender = pair.child if upload else pair.parent
            found = (
                sender.engine.changes.backlog(sender, session.extracts_of(pair, scope, upload, state)) if state else []
            )
            for position, (waiting, _age) in enumerate(found):
                numbers[position] += waiting
            if state is None or (not upload and state.anchor_in is None):
                return None
    except RetailError:
        return None
    return numbers


def _differences(_pair: Pair, tables: list[Document]) -> list[str]:
    """Tables in which nothing waits, and that still have another number of rows on the two sides."""
    return [
        "The table %s has %d rows at the child and %d at the parent, and nothing waits."
        % (table["table"], table["rows"]["child"], table["rows"]["parent"])
        for table in tables
        if table["waiting"] == 0 and table["rows"]["child"] != table["rows"]["parent"]
    ]


def _silence(pair: Pair, config: ServiceConfig) -> list[str]:
    """Whether the log has had a row of this register lately; its times come from the host of the service: this one."""
    last = log.read_last(pair.parent, 1, terminal_of(pair))
    if not last:
        return ["RETAILOFFLINESYNCLOG has no row of %s: the service has never run." % terminal_of(pair)]
    silent = (log.now() - datetime.fromisoformat(last[0]["stopped"].rstrip("Z"))).total_seconds()
    if silent < -config.heartbeat:
        return [
            "The last row of %s in RETAILOFFLINESYNCLOG lies %d s in the future: this host's clock is wrong, or was then."
            % (terminal_of(pair), -silent)
        ]
    if silent > 3 * config.heartbeat + config.interval:
        return [
            "RETAILOFFLINESYNCLOG has had no row of %s for %d s: the service does not run."
            % (terminal_of(pair), silent)
        ]
    return []
