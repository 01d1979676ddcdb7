# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database need not keep for ever: deletions and moves that everybody has heard of, old log rows, old conflicts.

A deletion is forgotten once it is older than the horizon and every live peer of its scopes has taken it; so is a move, by which
rows came under a filter or out of it. A child that has not been heard of for longer than the horizon holds nothing back: what is
forgotten without it raises the scope's
``min_valid_anchor``, and such a child loads the scope again when it comes back (it is *stale*). Ages are counted, see ``ages.py``: a
clock that jumps makes nothing old. All is deleted in small transactions of their own, each with the anchor that it makes necessary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .._engine._filter import Moves, all_moves, load
from .._engine._model import TableName
from . import ages
from .ages import Note
from .metadata import CONFLICT, INCARNATION, LOG, PARENT, PEER, SCOPE, UPKEEP
from .steps import Steps, to_the_end

BATCH = 1_000
#: Batches of one table in one run; what is left is for the next.
_BATCHES = 50
_LOCK = "axops.retail:cleanup"
_DONE = "cleanup"
#: In what is noted then: the count of seconds up to which deletions may have been forgotten.
FORGOTTEN = "forgotten_at"
#: When the children were heard of last.
HEARD = "heard"


@dataclass(frozen=True)
class Keep:
    """How long what is kept, in days."""

    tombstones: float = 30
    log: float = 90
    conflicts: float = 365


@dataclass
class Cleaned:
    """``deletions``, ``moves``, ``log`` and ``conflicts``: rows that went. ``stale``: children that hold nothing back any more.
    ``finished``: nothing is left that could go now."""

    deletions: int = 0
    moves: int = 0
    log: int = 0
    conflicts: int = 0
    stale: list[str] = field(default_factory=list)
    finished: bool = True


@dataclass(frozen=True)
class _Use:
    """A scope of a peer; ``acked``: how far the peer took our changes; ``tables``: as the scope has them."""

    peer_id: int
    scope: str
    acked: int | None
    holds: bool
    tables: list[dict[str, Any]]


@dataclass(frozen=True)
class _Memory:
    """A table of versions; ``condition``: which of its rows may be forgotten; ``has_origin``: whether a row says which peer it came
    from, who need not take it back."""

    table: TableName
    condition: str = "1 = 1"
    has_origin: bool = False


def run(db: Any, keep: Keep, every: float = 0.0) -> Cleaned | None:
    """Clean one database up.

    :param every: hours that must have passed since the last time; 0 for now.
    :return: None where it is not due, or somebody else is at it.
    """
    return to_the_end(in_steps(db, keep, every))


def in_steps(db: Any, keep: Keep, every: float = 0.0) -> Steps[Cleaned | None]:
    """The same, in steps of one small transaction each. Until it has ended nobody else cleans up."""
    if not {PEER, SCOPE, UPKEEP, INCARNATION} <= set(db.engine.tables.read(db, [PEER, SCOPE, UPKEEP, INCARNATION])):
        return None
    with db.engine.locks.held(db, _LOCK) as taken:
        if not taken:
            return None
        count = ages.look(db)
        if every and not _is_due(db, count, every):
            return None
        cleaned = Cleaned()
        stale = _stale(db, count, keep.tombstones)
        cleaned.stale = sorted(stale.values())
        horizon, uses = ages.older_than(db, keep.tombstones), _uses(db, set(stale))
        if horizon is not None:
            yield from _forget_all(db, uses, horizon, cleaned)
        cleaned.log = yield from _age_out(db, LOG, "REPLICATIONCOUNTER", "LOGTIME", keep.log, cleaned)
        cleaned.conflicts = yield from _age_out(db, CONFLICT, "conflict_id", "occurred", keep.conflicts, cleaned)
        if cleaned.finished:
            _note(db, cleaned, keep, count, None if horizon is None else count - keep.tombstones * ages.DAY)
        return cleaned


def _is_due(db: Any, count: float, every: float) -> bool:
    done = last(db)
    return done is None or count - done[1].get("count", -math.inf) >= every * 3600


def _forget_all(db: Any, uses: list[_Use], horizon: Note, cleaned: Cleaned) -> Steps[None]:
    for table, concerned in sorted(_of_tables(db, uses).items()):
        memory = _Memory(db.engine.tracking.tracking_name(table), "sync_row_is_tombstone <> 0", True)
        cleaned.deletions += yield from _forget(db, memory, concerned, horizon, cleaned)
    for moves, concerned in _of_logs(db, uses).items():
        cleaned.moves += yield from _forget(db, _Memory(moves.name), concerned, horizon, cleaned)


def last(db: Any) -> tuple[datetime, dict[str, Any]] | None:
    """When this database was last cleaned up, by its own clock, and what was done; None: never."""
    row = db.row("SELECT done, said FROM %s WHERE task = ?" % db.engine.names.quote(*UPKEEP), _DONE)
    return None if row is None else (row[0], json.loads(row[1]))


def forgotten(db: Any) -> float | None:
    """Deletions of so many counted seconds ago, and of before, may have been forgotten here; None: none have been."""
    done, count = last(db), ages.read(db)
    said = None if done is None else done[1].get(FORGOTTEN, done[1].get("count"))
    return None if said is None or count is None else count.seconds - said


def _note(db: Any, cleaned: Cleaned, keep: Keep, count: float, horizon: float | None) -> None:
    said = {name: value for name, value in vars(cleaned).items() if name != "finished"}
    before = forgotten(db)
    # Less may have been kept the last time.
    horizons = [one for one in (horizon, None if before is None else count - before) if one is not None]
    said.update({"horizon_days": keep.tombstones, "count": count, FORGOTTEN: max(horizons, default=None)})
    with db.transaction():
        ages.put(db, _DONE, said)


def _stale(db: Any, count: float, days: float) -> dict[int, str]:
    """The children that have not been heard of for so many days, by number.

    When one was heard of its row says another time than before: which one does not matter, and neither does the clock of that time.
    """
    peers = db.query(
        "SELECT p.peer_id, p.peer_name, p.peer_guid, MAX(i.last_heard) FROM %s p LEFT JOIN %s i ON i.peer_guid = p.peer_guid "
        "AND i.state = 'accepted' WHERE p.peer_id <> %d AND p.peer_guid <> '' GROUP BY p.peer_id, p.peer_name, p.peer_guid"
        % (db.engine.names.quote(*PEER), db.engine.names.quote(*INCARNATION), PARENT)
    )
    known = heard(db)
    now: dict[str, list[Any]] = {}
    for _number, _name, guid, moment in peers:
        before, since = known.get(guid, (None, count))
        now[guid] = [str(moment), since if before == str(moment) else count]
    if now != known:
        with db.transaction():
            ages.put(db, HEARD, now)
    return {int(number): name for number, name, guid, _moment in peers if count - now[guid][1] > days * ages.DAY}


def heard(db: Any) -> dict[str, list[Any]]:
    """The time that each child's row said at the last cleanup, and what was counted when it was seen first; by GUID."""
    said = db.value("SELECT said FROM %s WHERE task = ?" % db.engine.names.quote(*UPKEEP), HEARD)
    return {} if said is None else json.loads(said)


def _uses(db: Any, stale: set[int]) -> list[_Use]:
    """All scopes of all peers."""
    rows = db.query(
        "SELECT peer_id, sync_scope_name, direction, config_data, acked_out FROM %s" % db.engine.names.quote(*SCOPE)
    )
    found = []
    for peer_id, name, direction, config, acked in rows:
        # Up to the parent what the scope uploads, down to the children what it downloads. A child that has taken
        # nothing yet begins with a load.
        sends = direction != ("download" if peer_id == PARENT else "upload")
        holds = sends and peer_id not in stale and (acked is not None or peer_id == PARENT)
        found.append(_Use(int(peer_id), name, acked, holds, json.loads(config)["tables"]))
    return found


def _of_tables(db: Any, uses: Iterable[_Use]) -> dict[TableName, list[_Use]]:
    """Who synchronises each tracked table."""
    found: dict[TableName, list[_Use]] = {table: [] for table in db.engine.tracking.read(db)}
    for use in uses:
        for item in use.tables:
            found.setdefault(TableName.parse(item["table"]), []).append(use)
    return {table: concerned for table, concerned in found.items() if concerned}


def _of_logs(db: Any, uses: Iterable[_Use]) -> dict[Moves, list[_Use]]:
    """Whose filters go by each log of moves."""
    filtered = [(use, item) for use in uses if use.peer_id != PARENT for item in use.tables if item.get("filter")]
    if not filtered:
        return {}
    there = db.engine.moves.read(db)
    known = db.engine.tables.read(db, sorted({TableName.parse(item["table"]) for _use, item in filtered}))
    found: dict[Moves, list[_Use]] = {}
    for use, item in filtered:
        table = known.get(TableName.parse(item["table"]))
        for moves in all_moves(table, load(item["filter"])) if table else ():
            if moves.name in there:
                found.setdefault(moves, []).append(use)
    return found


def _forget(db: Any, memory: _Memory, uses: Iterable[_Use], horizon: Note, cleaned: Cleaned) -> Steps[int]:
    """Forget what is beyond the horizon and nobody holds back."""
    place, condition = db.engine.names.quote(*memory.table), _forgettable(db, memory, uses, horizon)
    newer, number = db.engine.marks.newer_than, 0
    for _batch in range(_BATCHES):
        with db.transaction():
            bound = db.value(
                "SELECT MAX(v) FROM (SELECT CAST(version AS bigint) AS v FROM %s WHERE %s ORDER BY version "
                "OFFSET 0 ROWS FETCH NEXT %d ROWS ONLY) q" % (place, condition, BATCH)
            )
            if bound is None:
                break
            gone = "%s AND NOT %s" % (condition, newer("version", int(bound) + 1, None))
            _raise_anchors(db, uses, _newest(db, memory, gone, int(bound)))
            number += db.execute("DELETE FROM %s WHERE %s" % (place, gone))
        yield
    else:
        cleaned.finished = False
    yield
    return number


def _forgettable(db: Any, memory: _Memory, uses: Iterable[_Use], horizon: Note) -> str:
    """SQL: what may go."""
    holders = {(use.peer_id, use.acked or 0) for use in uses if use.holds}
    passed = []
    for peer, acked in sorted(holders):
        taken = "NOT %s" % db.engine.marks.newer_than("version", acked, None)
        passed.append("(origin = %d OR %s)" % (peer, taken) if memory.has_origin else taken)
    old = "NOT %s" % db.engine.marks.newer_than("version", horizon.version, None)
    return " AND ".join([memory.condition, old, *passed])


def _newest(db: Any, memory: _Memory, gone: str, bound: int) -> dict[int | None, int]:
    """The newest version of what goes, by the peer that it came from."""
    if not memory.has_origin:
        return {None: bound}
    sql = "SELECT origin, MAX(CAST(version AS bigint)) FROM %s WHERE %s GROUP BY origin"
    return {row[0]: int(row[1]) for row in db.query(sql % (db.engine.names.quote(*memory.table), gone))}


def _raise_anchors(db: Any, uses: Iterable[_Use], newest: dict[int | None, int]) -> None:
    """Whoever has taken less than this has not heard of all deletions. A child that is not stale has taken more, but for its own:
    nothing comes down of those, so its anchor may stay below them."""
    raised: dict[tuple[str, int], set[int]] = {}
    for use in uses:
        others = [version for origin, version in newest.items() if origin != use.peer_id]
        if use.peer_id != PARENT and others:
            raised.setdefault((use.scope, max(others) + 1), set()).add(use.peer_id)
    for (scope, anchor), peers in sorted(raised.items()):
        db.execute(
            "UPDATE %s SET min_valid_anchor = %d WHERE peer_id IN (%s) AND sync_scope_name = ? AND direction <> 'upload' "
            "AND COALESCE(min_valid_anchor, 0) < %d"
            % (db.engine.names.quote(*SCOPE), anchor, ", ".join(map(str, sorted(peers))), anchor),
            scope,
        )


def _age_out(db: Any, table: TableName, key: str, moment: str, days: float, cleaned: Cleaned) -> Steps[int]:
    """Delete the rows of a table that are older than so many days.

    They are where their numbers are below the note; numbers may have been begun anew by hand, so a row that is young by its own
    time stays, too. A time in the future says nothing.
    """
    note = ages.older_than(db, days)
    if note is None:
        return 0
    quote, number, now = db.engine.names.quote, 0, db.engine.tracking.NOW
    newest = note.conflict if table == CONFLICT else note.log
    old = "{0} <= {1} AND ({2} < CAST(? AS {3}) OR {2} > {4})".format(
        quote(key), newest, quote(moment), db.engine.types.native("datetime"), now
    )
    limit = (ages.clock(db) - timedelta(days=days)).isoformat(timespec="milliseconds")
    for _batch in range(_BATCHES):
        bound = db.value(
            "SELECT MAX(k) FROM (SELECT %s AS k FROM %s WHERE %s ORDER BY %s OFFSET 0 ROWS FETCH NEXT %d ROWS ONLY) q"
            % (quote(key), quote(*table), old, quote(key), BATCH),
            limit,
        )
        if bound is None:
            return number
        number += db.execute("DELETE FROM %s WHERE %s AND %s <= %d" % (quote(*table), old, quote(key), bound), limit)
        yield
    cleaned.finished = False
    return number
