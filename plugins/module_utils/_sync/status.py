# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a pair is: what waits in each direction and for how long, what went last, what is wrong.

Works with one side down.
"""

from __future__ import annotations

import time
from typing import Any

from .._engine._errors import RetailError
from .._engine._wire import Extract
from .._schema import versions
from . import ages, identity, log, metadata, package, session, upkeep
from .config import ServiceConfig
from .link import SIDES, Link, reach
from .metadata import CONFLICT, PARENT, QUARANTINE, Scope, ScopeState
from .pair import Pair

Document = dict[str, Any]

#: Seconds after which a transaction that nobody has met before is looked at again: most are over by then.
_MOMENT = 1.0


class _Side:
    """What one database says about the pair, None and empty where it cannot be reached."""

    def __init__(self, db: Any, peer_id: int) -> None:
        self.db = db
        self.peer_id = peer_id
        self.scopes = metadata.read_scopes(db, peer_id)
        self.states = metadata.read_states(db, peer_id)
        self.histories = metadata.read_histories(db, peer_id)
        self.conflicts = metadata.count_kept(db, CONFLICT, peer_id)
        self.quarantine = metadata.count_kept(db, QUARANTINE, peer_id)


def look(config: ServiceConfig) -> Document:
    """The state of one pair as plain values, times as ISO 8601 in UTC. What cannot be known is None."""
    with Link(config) as link:
        there, missing = reach(link)
        pair, problems = _pair(link, missing)
        sides = _sides(config, pair, there, problems)
        document: Document = {"name": config.name, "time": log.utc(log.now()), "unreachable": sorted(missing)}
        for side in SIDES:
            document[side] = _database(config, side, there, missing)
        document["scopes"] = _scopes(pair, sides, problems)
        document["package"] = _package(config, pair, problems)
        document["others"] = _others(pair, problems)
        document["log"] = _log(pair, there.get("parent"), sides.get("parent"))
        problems += _held_back(document)
        document["problems"] = problems
        return document


def _pair(link: Link, missing: dict[str, RetailError]) -> tuple[Pair | None, list[str]]:
    if missing:
        return None, [str(missing[side]) for side in SIDES if side in missing]
    try:
        pair = link.pair()
        pair.preload(pair.scopes)
        return pair, []
    except RetailError as error:
        return None, [str(error)]


def _sides(config: ServiceConfig, pair: Pair | None, there: dict[str, Any], problems: list[str]) -> dict[str, _Side]:
    sides = {}
    for side, db in there.items():
        try:
            number = PARENT if side == "child" else _number_of_child(config, pair, db)
            if number is not None:
                sides[side] = _Side(db, number)
        except RetailError as error:
            problems.append("The %s could not be read: %s" % (side, error))
    return sides


def _number_of_child(config: ServiceConfig, pair: Pair | None, parent: Any) -> int | None:
    """The child's number at its parent; while the child is down, by the service's name, the register's by default."""
    if pair is not None:
        return pair.downwards.peer_id
    named = [
        peer.peer_id for peer in metadata.read_peers(parent) if peer.name == config.name and peer.peer_id != PARENT
    ]
    return named[0] if len(named) == 1 else None


def _database(config: ServiceConfig, side: str, there: dict[str, Any], missing: dict[str, RetailError]) -> Document:
    target = config.child if side == "child" else config.parent
    found: Document = {"where": target.where, "engine": target.engine, "reachable": side in there, "error": None}
    if side in missing:
        found["error"] = str(missing[side])
    found["oldest_transaction_seconds"] = found["oldest_transaction"] = found["version"] = None
    found["cleaned"] = None
    if side in there:
        db = there[side]
        found["version"] = version(db)
        found["cleaned"] = upkeep.last(db)
        found["oldest_transaction_seconds"] = open_seconds(db)
        found["oldest_transaction"] = db.engine.marks.holder(db)
    return found


def open_seconds(db: Any) -> float | None:
    """For how long the oldest writing transaction has been open at least, by the server's word or by what the service's looks have
    counted; 0: none is; None: one is, and neither says for how long."""
    mark = db.engine.marks.oldest_open(db)
    said, counted = db.engine.marks.low_age(db), ages.open_for(db)
    if mark is not None and said is None and counted is None:
        time.sleep(_MOMENT)
        return None if db.engine.marks.oldest_open(db) == mark else 0.0
    return round(max(said or 0.0, counted or 0.0), 1)


def _package(config: ServiceConfig, pair: Pair | None, problems: list[str]) -> Document | None:
    """The package that the configuration names, and whether it is of use."""
    if not config.package:
        return None
    try:
        shown = package.show(config.package)
        shown["refusal"] = package.refusal(package.read(config.package), pair) if pair else None
    except package.PackageError as error:
        problems.append(str(error))
        return None
    return shown


def _others(pair: Pair | None, problems: list[str]) -> list[Document]:
    """Databases that came, or come, under this child's identity, without being it: clones, and what it was before it moved."""
    if pair is None:
        return []
    others = [one for one in identity.read(pair.parent, pair.guid) if one.state != identity.ACCEPTED]
    problems += [
        "Another database came as this child and is refused: %s, at %s."
        % (one.instance.incarnation, one.instance.place)
        for one in others
        if one.state in (identity.REFUSED, identity.WAITING)
    ]
    return [{**vars(one.instance), "state": one.state, "last_heard": log.utc(one.last_heard)} for one in others]


def version(db: Any) -> str | None:
    """The installed release; None where there is none, or nothing that can be read as one."""
    try:
        release = versions.read(db)
    except RetailError:
        return None
    return None if release is None else str(release)


def _held_back(document: Document) -> list[str]:
    return [
        "A transaction has been open at the %s for %s%s: what is written meanwhile may come again at each session."
        % (side, seconds, _whose(document[side]["oldest_transaction"]))
        for side, seconds in ((side, _too_long(document[side])) for side in SIDES)
        if seconds
    ]


def _too_long(facts: Document) -> str:
    """For how long a transaction has been open, where that has to be said."""
    seconds = facts["oldest_transaction_seconds"]
    if seconds is None and facts["reachable"]:
        # Never taken for fine: the next looks of the service tell.
        return "a time that this login may not see, and no service has counted yet"
    return "%d s" % seconds if (seconds or 0) > ages.LONG_OPEN else ""


def _whose(holder: Document | None) -> str:
    if holder is None:
        return ""
    words = (
        ("session", "session %s"),
        ("user", "of %s"),
        ("host", "on %s"),
        ("database", "in %s"),
        ("program", "by %s"),
    )
    return " (%s)" % " ".join(text % holder[name] for name, text in words if holder[name])


def _scopes(pair: Pair | None, sides: dict[str, _Side], problems: list[str]) -> list[Document]:
    known = sides.get("child") or sides.get("parent")
    documents = []
    for scope in known.scopes if known else []:
        document = _scope(scope, sides)
        try:
            _add_backlog(document, scope, pair, sides)
        except RetailError as error:
            problems.append("%s: %s" % (scope.name, error))
        if document["last_error"]:
            problems.append("%s: %s" % (scope.name, document["last_error"]))
        if document["quarantined"]:
            problems.append("%s: %d rows are in quarantine." % (scope.name, document["quarantined"]))
        documents.append(document)
    return documents


def _scope(scope: Scope, sides: dict[str, _Side]) -> Document:
    child, parent = sides.get("child"), sides.get("parent")
    history = child.histories.get(scope.name) if child else None
    at_child = child.states.get(scope.name) if child else None
    at_parent = parent.states.get(scope.name) if parent else None
    return {
        "name": scope.name,
        "direction": scope.direction,
        "frequency": scope.frequency,
        "tables": len(scope.tables),
        "loaded": None if at_child is None else at_child.anchor_in is not None or not scope.downloads,
        "upload": _way(parent, child, scope) if scope.uploads else None,
        "download": _way(child, parent, scope) if scope.downloads else None,
        "last_session": log.utc(history.last_session) if history else None,
        "last_error": history.last_error if history else None,
        "last_error_time": log.utc(history.last_error_time) if history else None,
        "stale": bool(at_child and at_parent and session.is_stale(scope, at_child, at_parent)),
        "conflicts": sum(side.conflicts.get(scope.name, 0) for side in sides.values()),
        "quarantined": sum(side.quarantine.get(scope.name, 0) for side in sides.values()),
    }


def _way(receiver: _Side | None, sender: _Side | None, scope: Scope) -> Document:
    taken = receiver.states.get(scope.name) if receiver else None
    told = sender.states.get(scope.name) if sender else None
    return {
        "anchor": taken.anchor_in if taken else None,
        "acknowledged": told.acked_out if told else None,
        "waiting": None,
        "oldest_seconds": None,
        "estimated": False,
    }


def _add_backlog(document: Document, scope: Scope, pair: Pair | None, sides: dict[str, _Side]) -> None:
    """How many rows wait in each direction; with one side down, what the other knows of it."""
    for upload in (True, False):
        way = document["upload" if upload else "download"]
        sender, receiver = ("child", "parent") if upload else ("parent", "child")
        if way is None or sender not in sides:
            continue
        if pair is not None and receiver in sides:
            state = sides[receiver].states.get(scope.name)
            extracts = session.extracts_of(pair, scope, upload, state) if state else []
        else:
            extracts = _extracts_of_one(sides[sender], scope, upload)
            way["estimated"] = True
        way["waiting"], way["oldest_seconds"] = total(sides[sender].db, extracts)


def _extracts_of_one(sender: _Side, scope: Scope, upload: bool) -> list[Extract]:
    """What waits by the sender's own books: what the receiver has acknowledged may be less than what it has taken."""
    state: ScopeState | None = sender.states.get(scope.name)
    tables = sender.db.engine.tables.read(sender.db, [table.name for table in scope.tables])
    return [
        Extract(
            table=tables[table.name], columns=(), low=(state.acked_out if state else None) or 0, seen=None,
            not_origin=sender.peer_id, with_deletes=not upload or scope.uploads_deletes, base=0 if upload else None,
            filter=() if upload else table.filter, sends_strays=scope.uploads,
        )
        for table in scope.tables
        if table.name in tables
    ]  # fmt: skip


def total(db: Any, extracts: list[Extract]) -> tuple[int, float | None]:
    """How many rows wait in all, and for how many seconds the oldest has."""
    found = db.engine.changes.backlog(db, extracts)
    ages = [age for _waiting, age in found if age is not None]
    return sum(waiting for waiting, _age in found), round(max(ages), 1) if ages else None


def _log(pair: Pair | None, parent: Any, side: _Side | None) -> list[Document]:
    """The last rows of this register in the parent's log."""
    if parent is None or side is None:
        return []
    peers = {peer.peer_id: peer for peer in metadata.read_peers(parent)}
    peer = pair.downwards if pair else peers[side.peer_id]
    return log.read_last(parent, 5, peer.register_id or peer.store_id)
