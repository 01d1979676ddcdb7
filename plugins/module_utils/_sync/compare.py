# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two sides of a pair compared row by row, without moving the rows: digests of buckets, then of what is in those that
differ. Sales go on meanwhile: a difference counts only where both sides are as they were at a second look, and nothing waits.

In a download or bidirectional scope both sides have the same rows. In an upload scope the parent has each row of the child;
what the child has deleted (old sales that the POS has purged) is no difference, and neither are other children's rows. What
is gone at the child, and was not deleted, is one: its tracking tells the two apart as far back as it remembers deletions.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Callable

from .._engine._canonical import Bucket, Digest, Seen
from .._engine._errors import RetailError
from .._engine._wire import Extract
from . import ages, cleanup, identity, metadata, session
from .digesting import digests_of
from .metadata import CONFLICT, PARENT, QUARANTINE, Scope, ScopeState
from .pair import Pair, SharedTable

Document = dict[str, Any]

#: Differences that are named a table.
LIMIT = 100
#: Seconds between the two looks.
PAUSE = 1.0

_ROWS_A_BUCKET = 64
_MOST_BUCKETS = 65_536
#: Rows of one side that are held in memory at a time.
_ROWS_A_PORTION = 20_000
_KEYS_A_LOOK = 500

DIFFERENT, WAITING, IN_CONFLICT, QUARANTINED = "different", "waiting", "conflict", "quarantined"


@dataclass
class Difference:
    """One key that the two sides do not agree on. ``wire``: the key as a wire object; ``status``: one of the four above."""

    wire: str
    child: Seen
    parent: Seen
    status: str = DIFFERENT

    @property
    def what(self) -> str:
        if self.child.digest is None:
            return "missing at the child"
        return "missing at the parent" if self.parent.digest is None else "another image"


@dataclass
class Comparison:
    """What was found in one table. ``left_out``: columns whose types cannot be compared. ``purged``: rows of this child's that
    only the parent still has. ``more``: there are differences beyond those in ``found``."""

    scope: Scope
    shared: SharedTable
    left_out: list[str] = field(default_factory=list)
    child_rows: int = 0
    parent_rows: int = 0
    purged: int = 0
    found: list[Difference] = field(default_factory=list)
    more: bool = False

    def count(self, status: str) -> int:
        return sum(one.status == status for one in self.found)

    def key_of(self, one: Difference) -> dict[str, Any]:
        """The key by column name, as it travels."""
        return dict(zip(self.shared.child.primary_key, json.loads(one.wire).values()))

    def document(self, limit: int) -> Document:
        """As plain values, with at most ``limit`` rows."""
        shown = sorted(self.found, key=lambda one: one.status != DIFFERENT)[:limit]
        return {
            "scope": self.scope.name,
            "table": str(self.shared.name),
            "rows": {"child": self.child_rows, "parent": self.parent_rows},
            "columns_left_out": self.left_out,
            **{status: self.count(status) for status in (DIFFERENT, WAITING, IN_CONFLICT, QUARANTINED)},
            "purged": self.purged,
            "more": self.more or len(shown) < len(self.found),
            "differences": [{"key": self.key_of(one), "what": one.what, "status": one.status} for one in shown],
        }


def compare(pair: Pair, wanted: Callable[[Scope, str], bool], most: int, pause: float = PAUSE) -> list[Comparison]:
    """Compare the tables that ``wanted`` (scope, table's name) accepts.

    Scopes that were never loaded and tables that do not fit each other are left out.

    :param most: differences a table after which no more are looked for.
    :raises RetailError: a side does not answer any more.
    """
    return [result for scope in pair.scopes for result in _compare_scope(pair, scope, wanted, most, pause)]


def _compare_scope(
    pair: Pair, scope: Scope, wanted: Callable[[Scope, str], bool], most: int, pause: float
) -> Iterator[Comparison]:
    try:
        chosen = [shared for shared in pair.shared_tables(scope) if wanted(scope, str(shared.name))]
    except RetailError:
        return
    results = []
    if not chosen:
        return
    with _moment(pair, scope) as now:
        if now is None:
            return
        results += [_Table(now, shared).compare(most) for shared in chosen]
    if any(result.count(DIFFERENT) for result in results):
        time.sleep(pause)
        with _moment(pair, scope) as later:
            for result in results:
                _look_again(later, result)
    yield from results


@dataclass(frozen=True)
class _Since:
    """Rows of the parent's from some version and moment on, by its own clock; None: all."""

    version: int | None
    moment: datetime | None


@dataclass
class _Moment:
    """Both sides, each within one snapshot, and how far each had come with the other's changes by then."""

    pair: Pair
    scope: Scope
    states: dict[str, ScopeState]
    pool: ThreadPoolExecutor
    remembered: _Since

    def both(self, ask: Callable[[str, Any], Any]) -> tuple[Any, Any]:
        """The answers of the child and of the parent; both are asked at once."""
        answer = self.pool.submit(ask, "child", self.pair.child)
        parent = ask("parent", self.pair.parent)
        return answer.result(), parent


@contextlib.contextmanager
def _moment(pair: Pair, scope: Scope) -> Iterator[_Moment | None]:
    child, parent = pair.child, pair.parent
    with (
        child.engine.marks.snapshot(child),
        parent.engine.marks.snapshot(parent) as mark,
        ThreadPoolExecutor(1) as pool,
    ):
        below = metadata.read_state(child, PARENT, scope.name)
        above = metadata.read_state(parent, pair.downwards.peer_id, scope.name)
        loaded = below and above and (below.anchor_in is not None or not scope.downloads)
        states = {"child": below, "parent": above}
        yield _Moment(pair, scope, states, pool, _remembered(pair, mark.low)) if loaded else None


def _remembered(pair: Pair, now: int) -> _Since:
    """From when on the child knows, of the rows that came up, which it has deleted.

    Its cleanup forgets deletions, and a database that took the place of another one does not know what that one had.

    :param now: the parent's mark: what has come up by now is below it.
    """
    known = identity.read(pair.parent, pair.guid)
    heard = [one.first_heard for one in known if one.state == identity.ACCEPTED] if len(known) > 1 else []
    forgotten = cleanup.forgotten(pair.child)
    if forgotten is None:
        return _Since(None, max(heard, default=None))
    # The parent has seen as many seconds pass as the child, or more: what it calls younger is younger. A day, since it notes one
    # version a day.
    note = ages.younger_than(pair.parent, forgotten - ages.DAY)
    return _Since(now if note is None else note.version, max(heard, default=None))


class _Table:
    """One table at one moment."""

    def __init__(self, now: _Moment, shared: SharedTable) -> None:
        self.now, self.shared, self.scope = now, shared, now.scope
        self.result = Comparison(now.scope, shared)
        engines = (now.pair.child.engine, now.pair.parent.engine)
        self.digests = digests_of(*engines, shared, now.scope.downloads, self.result.left_out)
        self.extracts = _extracts(now, shared)
        self.named: set[str] = set()
        #: Rows come under a filter, and leave it, without being written: nobody can say which of them wait.
        downwards = self.extracts["parent"]
        above = now.pair.parent
        self.moving = bool(downwards and downwards.filter and above.engine.changes.probe(above, [downwards]))

    def compare(self, most: int) -> Comparison:
        child, parent, number = self._buckets()
        self.result.child_rows, self.result.parent_rows = _rows(child), _rows(parent)
        differing = sorted(one for one in {*child, *parent} if child.get(one) != parent.get(one))
        for portion in _portions(differing, child, parent):
            if len(self.result.found) >= most:
                self.result.more = True
                break
            self._note(self._suspects(number, portion))
        if not self.scope.downloads:
            missing = sum(one.parent.digest is None for one in self.result.found)
            lost = sum(one.child.digest is None for one in self.result.found)
            self.result.purged = max(0, self.result.parent_rows - self.result.child_rows + missing - lost)
        return self.result

    def differ(self, child: Seen, parent: Seen) -> bool:
        """Whether the two sides do not agree on a row, as the scope wants it."""
        purged = not self.scope.downloads and child.digest is None and child.tombstone
        return child.digest != parent.digest and not purged

    def _buckets(self) -> tuple[dict[int, Bucket], dict[int, Bucket], int]:
        rows = max(self.now.both(lambda _side, db: db.engine.changes.count(db, [self.shared.name])[0]))
        number = 1
        while number < min(_MOST_BUCKETS, rows / _ROWS_A_BUCKET):
            number *= 16
        asked = {**self.digests, "parent": self._of_child()}
        return (*self.now.both(lambda side, db: db.engine.digests.buckets(db, asked[side], number)), number)

    def _of_child(self) -> Digest:
        """The parent's rows that the child has, too: the parent of an upload scope has other children's as well."""
        origin = None if self.scope.downloads else self.now.pair.downwards.peer_id
        return replace(self.digests["parent"], origin=origin)

    def _suspects(self, number: int, portion: Sequence[int]) -> list[str]:
        """The keys, as wire objects, of rows that differ; in an upload scope also of old ones that the child may have purged."""
        since = self.now.remembered
        asked = {**self.digests, "parent": replace(self._of_child(), low=since.version, since=since.moment)}

        def read(side: str, db: Any) -> dict[str, tuple[str, str]]:
            return {row[0]: row[1:] for row in db.engine.digests.members(db, asked[side], number, portion)}

        child, parent = self.now.both(read)
        nothing = ("", "")
        differing = [key for key in {**child, **parent} if child.get(key, nothing)[0] != parent.get(key, nothing)[0]]
        fresh = sorted(key for key in differing if key not in self.named)
        # The two images of a row are in two buckets, which may be in two portions.
        self.named.update(fresh)
        return [(child.get(key) or parent[key])[1] for key in fresh]

    def _note(self, keys: Sequence[str]) -> None:
        kept = None
        for start in range(0, len(keys), _KEYS_A_LOOK):
            part = keys[start : start + _KEYS_A_LOOK]
            for wire, child, parent in zip(part, *self.look(part)):
                if self.differ(child, parent):
                    kept = kept or _kept(self.now, str(self.shared.name))
                    one = Difference(wire, child, parent)
                    one.status = WAITING if self.moving else _status(one, kept)
                    self.result.found.append(one)

    def look(self, keys: Sequence[str]) -> tuple[list[Seen], list[Seen]]:
        return self.now.both(lambda side, db: db.engine.digests.look(db, self.digests[side], self.extracts[side], keys))


def _look_again(later: _Moment | None, result: Comparison) -> None:
    """What has become equal, or is on its way, or has changed meanwhile, is no difference after all."""
    doubtful = [one for one in result.found if one.status == DIFFERENT]
    if later is None:
        return
    table = _Table(later, result.shared)
    kept = _kept(later, str(result.shared.name))
    for start in range(0, len(doubtful), _KEYS_A_LOOK):
        part = doubtful[start : start + _KEYS_A_LOOK]
        for one, child, parent in zip(part, *table.look([one.wire for one in part])):
            moved = (child.digest, parent.digest) != (one.child.digest, one.parent.digest)
            one.child, one.parent = child, parent
            one.status = WAITING if moved or table.moving else _status(one, kept)
    result.found = [one for one in result.found if table.differ(one.child, one.parent)]


def _extracts(now: _Moment, shared: SharedTable) -> dict[str, Extract | None]:
    """What each side would send of the table now."""
    place = now.pair.shared_tables(now.scope).index(shared)
    found: dict[str, Extract | None] = {"child": None, "parent": None}
    for sender, receiver, sends in (("child", "parent", now.scope.uploads), ("parent", "child", now.scope.downloads)):
        if sends:
            state = now.states[receiver]
            extract = session.extracts_of(now.pair, now.scope, sender == "child", state)[place]
            # What has landed of a table is not applied yet.
            low = min(extract.low or 0, state.landing.get(str(shared.name), extract.low) or 0)
            found[sender] = replace(extract, low=low, seen=extract.seen if low == extract.low else None)
    return found


def _portions(differing: Sequence[int], child: dict[int, Bucket], parent: dict[int, Bucket]) -> Iterator[list[int]]:
    portion: list[int] = []
    size = 0
    for one in differing:
        rows = max(side[one].rows if one in side else 0 for side in (child, parent))
        if portion and size + rows > _ROWS_A_PORTION:
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += rows
    if portion:
        yield portion


def _rows(buckets: dict[int, Bucket]) -> int:
    return sum(one.rows for one in buckets.values())


def _status(one: Difference, kept: dict[str, Collection[tuple[str, ...]]]) -> str:
    if one.child.waits or one.parent.waits:
        return WAITING
    key = _plain(json.loads(one.wire, parse_float=str).values())
    return next((status for status, keys in kept.items() if key in keys), DIFFERENT)


def _kept(now: _Moment, table: str) -> dict[str, Collection[tuple[str, ...]]]:
    """The keys of the table that either side has put aside in this scope, by status."""
    quarantined, conflicts = set(), set()
    for db, peer in ((now.pair.child, PARENT), (now.pair.parent, now.pair.downwards.peer_id)):
        where = "WHERE peer_id = ? AND sync_scope_name = ? AND table_name = ?"
        values = (peer, now.scope.name, table)
        quote = db.engine.names.quote
        for header, row in db.query("SELECT header, row_image FROM %s %s" % (quote(*QUARANTINE), where), *values):
            quarantined.add(_key_in(now, table, json.loads(header)["columns"], json.loads(row, parse_float=str)))
        # Where the parent's image comes down again, a conflict does not leave the two sides different.
        settled = now.scope.downloads
        for (key,) in () if settled else db.query("SELECT row_key FROM %s %s" % (quote(*CONFLICT), where), *values):
            conflicts.add(_plain(json.loads(key, parse_float=str)))
    return {QUARANTINED: quarantined, IN_CONFLICT: conflicts}


def _key_in(now: _Moment, table: str, columns: Sequence[str], row: dict[str, Any]) -> tuple[str, ...]:
    shared = next(one for one in now.pair.shared_tables(now.scope) if str(one.name) == table)
    places = [columns.index(name) for name in shared.child.primary_key if name in columns]
    return _plain(row.get("c%d" % place) for place in places)


def _plain(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
