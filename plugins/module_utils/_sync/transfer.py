# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One way of one scope: what the sender has goes to the receiver, lands in its staging table, and is applied at once.

Landing is cheap and may be cut off at any time: what has landed stays, and the next session goes on from the low marks that
were committed with it. Applying is one transaction: rows, window, anchor and the end of the landing commit together.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Callable

from .._engine._errors import RetailError, StatementFailed
from .._engine._wire import Extract, Outcome, spelled
from . import landed, links, merge, quarantine
from .anew import Anew
from .keys import Shape, image_of, key_of
from .landed import Anchor, Way, going_up
from .links import Link
from .metadata import SCOPE, STAGING, WINDOW, ScopeState
from .package import NOBODY, Package
from .pair import Restored, SharedTable
from .quarantine import Source
from .recall import Recalled, recall, release
from .tokens import Tokens, check_claimed

#: A batch is closed at this many characters or rows, whichever comes first; one larger row travels alone.
BATCH_SIZE = 1_000_000
BATCH_ROWS = 2_000
#: Characters of a body that are handed to the driver at once, which holds what it sends several times over.
PIECE = 8_000_000

_TRIES = 6


class TablesChanged(RetailError):
    """A table of the sender is not what it was when the pair read it."""


class Forgotten(RetailError):
    """The parent has forgotten deletions, since the session began, that the child has not heard of."""


@dataclass
class Transfer:
    """What one way moved. ``anchor``: up to where the receiver has taken the sender's changes now."""

    rows: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    quarantined: int = 0
    anchor: Anchor = field(default_factory=Anchor)


@dataclass
class _Batch:
    """``fields``: its header."""

    fields: dict[str, Any]
    body: str
    rows: int

    @property
    def header(self) -> str:
        return json.dumps(self.fields, ensure_ascii=False)


class _Landing:
    """Batches on their way into the receiver's staging table."""

    def __init__(self, way: Way, state: ScopeState, tokens: Tokens) -> None:
        self.way = way
        self.tokens = tokens
        #: The token that was given for what lands now, "" while none was.
        self.token = ""
        #: Whether the sender's connection is in the snapshot that is read.
        self.reading = False
        self.go = str(uuid.uuid4())
        self.low = dict(state.landing)
        self.anchor = state.anchor_in
        #: The tables that were taken from a package, and not applied yet.
        self.packaged: set[str] = set()
        #: Behind which key a table goes on, of those rows that have the version up to which it has been read.
        self.behind: dict[str, tuple[Any, ...]] = {}
        self.pending: list[_Batch] = []
        self.size = 0
        self.rows = 0

    def add(self, batch: _Batch) -> None:
        # What was read in one go has each row once.
        batch.fields["read"] = self.go
        self.pending.append(batch)
        self.size += len(batch.body)
        self.rows += batch.rows

    @property
    def receivers_token(self) -> str:
        """What the receiver has as long as no other session has been there."""
        return self.tokens.parent if self.way.upload else self.tokens.child

    def claim(self) -> None:
        """See to it that a token was given for what lands now, before the receiver commits anything of it."""
        if not self.token:
            self.token = self.tokens.give(self.way.upload, self.reading)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Any]:
        """The sender's snapshot; yields its mark. A token that was given before it says nothing of what is in it."""
        with self.way.sender.engine.marks.snapshot(self.way.sender) as mark:
            self.token, self.reading = "", True
            try:
                yield mark
            finally:
                self.reading = False

    def flush(self) -> None:
        """Commit what is pending, with the low marks that say how far it goes, and the token of what it was read from."""
        self.claim()
        receiver = self.way.receiver
        with receiver.transaction():
            self.write()
            claimed = receiver.execute(
                "UPDATE %s SET landing = ?, %s = ? WHERE peer_id = ? AND sync_scope_name = ? AND session_token = ?"
                % (_name(receiver, SCOPE), token_column(self.way)),
                json.dumps(self.low), self.token, self.way.sender_number, self.way.scope.name, self.receivers_token,
            )  # fmt: skip
            check_claimed(self.way.scope, claimed)
        self.took()
        self.pending, self.size = [], 0

    def took(self) -> None:
        """The receiver has committed the token."""
        if self.way.upload:
            self.tokens.parent = self.token

    def forget_stale(self) -> None:
        """Take out what has landed in vain: it is read again, and would only pile up, or does not fit any more.

        A load that was cut off in a table begins that table anew. So does, from where its reading began, a table that is gone
        from the scope or has lost a column here: what both sides know of it now is less. And so does what was cut off where the
        reading had begun: in a filtered table, or while an older transaction was open. What was cut off within one large transaction
        goes on behind the last key that has landed.
        """
        receiver, key = self.way.receiver, (self.way.sender_number, self.way.scope.name)
        staging = _name(receiver, STAGING)
        sql = "SELECT sequence, header FROM %s WHERE peer_id = ? AND sync_scope_name = ? ORDER BY sequence" % staging
        headers = [(sequence, json.loads(header)) for sequence, header in receiver.query(sql, *key)]
        self.packaged = {fields["table"] for _sequence, fields in headers if "package" in fields}
        misfits = {fields["table"] for _sequence, fields in headers if not landed.fits(self.way, fields)}
        for table in misfits:
            starts = [fields.get("start") for _sequence, fields in headers if fields["table"] == table]
            self.low[table] = None if None in starts else min(starts)
        cut_off = {
            fields["table"] for _sequence, fields in headers if fields["load"] and self.low.get(fields["table"]) is None
        }
        again = misfits | cut_off
        self.behind = self._behind(fields for _sequence, fields in headers if fields["table"] not in again)
        stale = [sequence for sequence, fields in headers if fields["table"] in again or self._begins_there(fields)]
        if not stale:
            return
        with receiver.transaction():
            claim = "UPDATE %s SET landing = ? WHERE peer_id = ? AND sync_scope_name = ? AND session_token = ?"
            claimed = receiver.execute(claim % _name(receiver, SCOPE), json.dumps(self.low), *key, self.receivers_token)
            check_claimed(self.way.scope, claimed)
            for sequence in stale:
                receiver.execute(
                    "DELETE FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND sequence = ?" % staging,
                    *key,
                    sequence,
                )

    def _behind(self, landed_in_order: Iterable[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
        last = {fields["table"]: fields.get("upto") for fields in landed_in_order}
        return {
            table: tuple(upto[1])
            for table, upto in last.items()
            if upto is not None and upto[0] == self.low.get(table, self.anchor)
        }

    def _begins_there(self, fields: dict[str, Any]) -> bool:
        """Whether the reading goes on where that of a landed batch began, and reads the same again."""
        start, low = fields.get("start"), self.low.get(fields["table"], self.anchor)
        if fields["table"] in self.behind:
            return False
        return start is not None and low is not None and low <= start

    def write(self, before: Recalled | None = None) -> None:
        """Put the pending batches behind those that have landed; in the caller's transaction.

        :param before: what is to be applied before all of them.
        """
        receiver, key = self.way.receiver, (self.way.sender_number, self.way.scope.name)
        staging = _name(receiver, STAGING)
        last = (
            receiver.value("SELECT max(sequence) FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % staging, *key)
            or 0
        )
        batches = [(number, batch.header, batch.body) for number, batch in enumerate(self.pending, int(last) + 1)]
        # What has landed is counted from 1.
        batches += [(-number, *batch) for number, batch in enumerate(before.batches if before else ())]
        for number, header, body in batches:
            self._put(number, header, body)

    def put_first(self, batches: list[tuple[str, str]]) -> None:
        """Put batches before all that have landed; in the caller's transaction."""
        receiver, key = self.way.receiver, (self.way.sender_number, self.way.scope.name)
        staging = _name(receiver, STAGING)
        sql = "SELECT min(sequence) FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % staging
        first = int(receiver.value(sql, *key) or 0)
        for number, (header, body) in enumerate(batches, 1):
            self._put(first - number, header, body)

    def _put(self, number: int, header: str, body: str) -> None:
        receiver, key = self.way.receiver, (self.way.sender_number, self.way.scope.name)
        staging = _name(receiver, STAGING)
        receiver.execute(
            "INSERT INTO %s (peer_id, sync_scope_name, sequence, header, body) VALUES (?, ?, ?, ?, ?)" % staging,
            *key, number, header, body[:PIECE],
        )  # fmt: skip
        more = "CONCAT(body, CAST(? AS %s))" % receiver.engine.types.native("nvarchar(max)")
        for start in range(PIECE, len(body), PIECE):
            receiver.execute(
                "UPDATE %s SET body = %s WHERE peer_id = ? AND sync_scope_name = ? AND sequence = ?" % (staging, more),
                body[start : start + PIECE], *key, number,
            )  # fmt: skip


def token_column(way: Way) -> str:
    """Where the receiver writes the token of what it takes: the child's own one is committed before a download."""
    return "session_token" if way.upload else "previous_token"


def run(way: Way, state: ScopeState, base: Callable[[str], int], acked: Anchor, tokens: Tokens) -> Transfer:
    """Move everything that the sender has for the receiver.

    :param state: the receiver's row of scope_info for the sender.
    :param base: uploads: gives the base version of a table's rows that the parent never sent.
    :param acked: downloads: up to where the parent has our changes.
    :param tokens: gives the token that the sender commits and the receiver writes with its anchor.
    :raises Restored: the receiver's anchor lies ahead of the sender.
    :raises TablesChanged: the sender's tables are no longer those of ``way``; nothing was moved.
    :raises Forgotten: the child has to load the scope again; nothing was moved.
    """
    landing = _Landing(way, state, tokens)
    landing.forget_stale()
    if way.package is not None:
        _land_package(way, way.package, state, landing, acked)
    with landing.snapshot() as mark:
        _check_anchor(way, state, mark.low)
        _check_memory(way, state, landing)
        _check_tables(way)
        for batch in _read(way, state, landing, mark.low, base, acked):
            landing.add(batch)
            if landing.size >= BATCH_SIZE:
                landing.flush()
        linked = links.read(way.sender, (shared.name for shared in way.tables)) if way.upload else []
    landing.claim()
    transfer = _apply(way, state, landing, mark, acked, linked)
    landing.took()
    links.forget(way.sender, linked)
    transfer.rows = landing.rows
    return transfer


def _land_package(way: Way, package: Package, state: ScopeState, landing: _Landing, acked: Anchor) -> None:
    """Let the tables of a package land as if the parent had sent them; what has landed stays, and is not landed again."""
    for shared in way.tables:
        name = str(shared.name)
        part = package.part_for(shared)
        taken = landing.low.get(name, state.anchor_in) is not None
        # What a filter keeps from a child that has rows is said by the parent alone.
        strays = bool(shared.filter) and _has_rows(way.receiver, shared)
        if part is None or taken or strays:
            continue
        for body, rows in package.bodies(part):
            fields = {
                "table": name,
                "columns": part.columns,
                "rows": rows,
                "load": True,
                "package": True,
                "acked": [acked.low, acked.seen],
            }
            landing.add(_Batch(fields, body, rows))
            if landing.size >= BATCH_SIZE:
                landing.flush()
        landing.low[name] = part.low
        landing.packaged.add(name)
        landing.flush()


def _check_anchor(way: Way, state: ScopeState, low: int) -> None:
    newest = max(taken(state.anchor_in, state.landing), default=0)
    if newest > low:
        raise Restored(
            "%s has taken changes up to version %d, and %s has only come to %d: it was restored from a backup."
            % (way.receiver.target.where, newest, way.sender.target.where, low),
            "The next session begins the scope anew.",
            {"child" if way.upload else "parent"},
        )


def _check_memory(way: Way, state: ScopeState, landing: _Landing) -> None:
    """See that the parent remembers, in the snapshot that is read, all deletions of which the child has not heard.

    A cleanup that had given the child up goes on although the child has just come back; it says so with what it forgets.
    """
    if way.upload:
        return
    sql = "SELECT min_valid_anchor FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % _name(way.sender, SCOPE)
    oldest = way.sender.value(sql, way.receiver_number, way.scope.name)
    if oldest is not None and any(mark < oldest for mark in taken(state.anchor_in, landing.low)):
        raise Forgotten(
            "%s has forgotten deletions of the scope %r meanwhile." % (way.sender.target.where, way.scope.name),
            "The next session loads it again.",
        )


def taken(anchor: int | None, landing: dict[str, int | None]) -> list[int]:
    """Up to where a receiver has taken the sender's changes: of a scope, and of its tables that have landed by themselves."""
    return [mark for mark in (anchor, *landing.values()) if mark is not None]


def _check_tables(way: Way) -> None:
    """See that the sender's tables are, in the snapshot that is read, those that are known.

    A column may have come since they were read, and rows with it: they would travel without its values, and count as taken.
    """
    there = way.sender.engine.tables.read(way.sender, [shared.name for shared in way.tables])
    for shared in way.tables:
        table = there.get(shared.name)
        if table is None or table.columns != way.table_at_sender(shared).columns:
            raise TablesChanged(
                "The table %s at %s has changed." % (shared.name, way.sender.target.where), "The next session knows it."
            )


def _read(
    way: Way, state: ScopeState, landing: _Landing, low: int, base: Callable[[str], int], acked: Anchor
) -> Iterator[_Batch]:
    """The batches of all tables; ``landing.low`` says after each of them how far its table has been read."""
    anchor = state.anchor_in or 0
    loads = way.anew is not None if way.upload else state.anchor_in is None
    for shared in way.tables:
        name = str(shared.name)
        start = landing.low.get(name, None if loads else anchor)
        if start is None and way.anew is not None:
            yield from _read_anew(way, way.anew, shared, base(name), acked)
            landing.low[name] = low
            continue
        extract = Extract(
            table=way.table_at_sender(shared),
            columns=shared.columns_of(way.table_at_sender(shared)),
            low=start,
            # A table that came to the scope later starts before the anchor: what the anchor's snapshot saw was not taken then.
            seen=state.anchor_seen if start is None or start >= anchor else None,
            not_origin=_not_origin(way, state, landing, name),
            with_deletes=not way.upload or way.scope.uploads_deletes,
            base=base(name) if way.upload else None,
            filter=() if way.upload else shared.filter,
            sends_strays=way.scope.uploads,
            removes=not way.upload and start is None and bool(shared.filter) and _has_rows(way.receiver, shared),
            after=landing.behind.get(name, ()),
            spelled=way.spelled(shared),
        )
        # Cut off, it has to begin before the anchor again: what is left of it may be what the anchor's snapshot saw.
        highest = low if start is None or start >= anchor else anchor - 1
        for last, row, batch in _cut(way.sender.engine.changes.stream(way.sender, extract), shared, start, acked):
            batch.fields["behind"] = bool(extract.after)
            # What comes under a filter or out of it has no version of its own to go on from: cut off, it is read again.
            if start is not None and not extract.filter:
                landing.low[name] = min(last, highest)
                key = extract.key_in(row)
                if last <= highest and None not in key and _can_be_sent(key):
                    batch.fields["upto"] = [last, key]
            yield batch
        landing.low[name] = low


def _not_origin(way: Way, state: ScopeState, landing: _Landing, table: str) -> int:
    """Of whom nothing is read: what came from the receiver stays with the sender.

    Not where it loads: a package, or what a session that was cut off has let land, is older than what the receiver has sent since.
    It would undo that, and where it is merged, delete what is new.
    """
    loads = not way.upload and (state.anchor_in is None or table in landing.packaged)
    return NOBODY if loads else way.receiver_number


def _can_be_sent(key: Sequence[Any]) -> bool:
    """Whether a statement can name the key: a text that is no Unicode, as SQL Server holds it, can be in none."""
    return all(spelled(value) == value for value in key if isinstance(value, str))


def _has_rows(receiver: Any, shared: SharedTable) -> bool:
    exists = "SELECT CASE WHEN EXISTS (SELECT 1 FROM %s) THEN 1 ELSE 0 END" % _name(receiver, shared.name)
    return bool(receiver.value(exists))


def _read_anew(way: Way, anew: Anew, shared: SharedTable, base: int, acked: Anchor) -> Iterator[_Batch]:
    """All that the child has of a table, by what it knows of its rows; the batches say so, for whoever applies them."""
    table, fill = shared.child, anew.parent_lost
    newest = anew.base_of(str(shared.name))
    whole = Extract(
        table=table,
        columns=shared.columns_of(table),
        low=0,
        seen=None,
        not_origin=way.receiver_number,
        with_deletes=way.scope.uploads_deletes,
        base=base if newest is None else newest,
        newest_base=anew.newest_base,
        spelled=way.spelled(shared),
    )
    parts = (
        ("unchanged", replace(whole, unchanged=True, given=anew.given)),
        ("taken", replace(whole, below=anew.below)),
        ("changed", replace(whole, low=anew.below)),
    )
    for kind, extract in parts:
        if kind == "unchanged" and not fill:
            continue
        said = {"kind": kind, "child_lost": anew.child_lost, "parent_lost": anew.parent_lost, "fill": fill}
        rows = way.sender.engine.changes.stream(way.sender, extract)
        if kind != "changed":
            rows = _not_aside(way, anew, shared, rows)
        for _last, _row, batch in _cut(rows, shared, None, acked):
            batch.fields["anew"] = said
            yield batch


def _not_aside(
    way: Way, anew: Anew, shared: SharedTable, rows: Iterator[tuple[int | None, str]]
) -> Iterator[tuple[int | None, str]]:
    """Of rows that the parent has had: without those that it has put aside. It has not taken them, whatever their versions say, and
    the rules would find them seen: they would leave the quarantine and be nowhere. A child that has lost something has an older
    image, if it is another one; where the parent has, the child's is the newer one."""
    name, shapes = str(shared.name), shapes_of(way)
    kept = quarantine.aside(way.receiver, way.sender_number, way.scope.name, name, shapes)
    older = anew.child_lost and not anew.parent_lost
    for version, text in rows:
        key = key_of(name, shared.columns, text, shapes) if kept else None
        if key in kept and (older or image_of(shared.columns, text) == kept[key]):
            continue
        yield version, text


def _cut(
    rows: Iterator[tuple[int | None, str]], shared: SharedTable, start: int | None, acked: Anchor
) -> Iterator[tuple[int, str, _Batch]]:
    """Cut a stream of rows into batches, each with its last row and the version of that."""
    texts: list[str] = []
    size, last = 0, 0
    for version, text in rows:
        if texts and (size + len(text) > BATCH_SIZE or len(texts) >= BATCH_ROWS):
            yield last, texts[-1], _batch(shared, texts, start, acked)
            texts, size = [], 0
        texts.append(text)
        size += len(text)
        last = version or 0
    if texts:
        yield last, texts[-1], _batch(shared, texts, start, acked)


def _batch(shared: SharedTable, texts: list[str], start: int | None, acked: Anchor) -> _Batch:
    fields: dict[str, Any] = {"table": str(shared.name), "columns": list(shared.columns), "rows": len(texts)}
    fields.update(load=start is None, start=start)
    if shared.filter and start is not None:
        # A row that came under the filter, or out of it, may be far older than what made it come.
        fields["floor"] = start
    # Applied by a later session, the batch must not be judged by what the parent has learned since it was read.
    fields["acked"] = [acked.low, acked.seen]
    return _Batch(fields, "[%s]" % ",".join(texts), len(texts))


def _apply(
    way: Way, state: ScopeState, landing: _Landing, mark: Any, acked: Anchor, linked: Sequence[Link]
) -> Transfer:
    """Apply what has landed, again where another transaction was in the way; quarantine what cannot be stored."""
    again = recall(way.receiver, way.sender_number, way.scope.name, _landed(way, landing), shapes_of(way))
    errors = dict(again.unfit)
    refused = 0
    for attempt in range(_TRIES):
        try:
            return _apply_once(way, state, landing, mark, acked, errors, again, linked, refused > 0)
        except StatementFailed as failure:
            if failure.kind == "transient" and attempt + 1 < _TRIES:
                time.sleep(random.uniform(0.02, 0.2) * 2**attempt)  # noqa: S311 - jitter, not a secret
                continue
            refused += failure.kind == "data"
            landed.check_structure(way, failure)
            # Once more, with care, before the search: unique values that change hands between batches are refused like bad rows,
            # and so is a POS insert of the same key in the same moment.
            if failure.kind != "data" or attempt + 1 >= _TRIES:
                raise
            if refused > 1:
                batches = chain(((0, *batch) for batch in again.batches), _landed(way, landing))
                errors.update(
                    quarantine.find_guilty(
                        _trial(way, landing, mark, acked, again), batches, links.pairs(linked) + again.links
                    )
                )
    raise StatementFailed("The batch could not be applied within %d tries." % _TRIES, "transient")


def shapes_of(way: Way) -> dict[str, Shape]:
    tables = ((str(shared.name), way.table_at_receiver(shared)) for shared in way.tables)
    return {
        name: Shape(table.primary_key, frozenset(column.name for column in table.columns)) for name, table in tables
    }


def _trial(way: Way, landing: _Landing, mark: Any, acked: Anchor, again: Recalled) -> quarantine.Attempt:
    def attempt(without: frozenset[Source]) -> None:
        with quarantine.rolled_back(way.receiver):
            _write_all(way, landing, mark, acked, again)
            landed.apply_all(way, mark, acked, without, with_care=True)
            check = getattr(way.receiver.engine.applying, "CHECK_DEFERRED", "")
            if check:
                way.receiver.execute(check)

    return attempt


def _landed(way: Way, landing: _Landing) -> Iterator[quarantine.Batch]:
    """All batches, landed and pending; these with the places that they will have. One body at a time is in memory."""
    staging, key = _name(way.receiver, STAGING), (way.sender_number, way.scope.name)
    condition = "peer_id = ? AND sync_scope_name = ?"
    places = way.receiver.query("SELECT sequence FROM %s WHERE %s ORDER BY sequence" % (staging, condition), *key)
    for (place,) in places:
        sql = "SELECT header, body FROM %s WHERE %s AND sequence = ?" % (staging, condition)
        header, body = way.receiver.row(sql, *key, place)
        yield int(place), header, body
    last = int(places[-1][0]) if places else 0
    for number, batch in enumerate(landing.pending, last + 1):
        yield number, batch.header, batch.body


def _apply_once(
    way: Way,
    state: ScopeState,
    landing: _Landing,
    mark: Any,
    acked: Anchor,
    errors: dict[Source, str],
    again: Recalled,
    linked: Sequence[Link],
    with_care: bool,
) -> Transfer:
    transfer = Transfer()
    with way.receiver.transaction():
        _claim(way, state, landing.receivers_token)
        _write_all(way, landing, mark, acked, again)
        transfer.outcome = landed.apply_all(way, mark, acked, frozenset(errors), with_care)
        if errors:
            together = links.pairs(linked) + again.links
            transfer.quarantined = quarantine.keep(way.receiver, way.sender_number, way.scope.name, errors, together)
        release(way.receiver, way.sender_number, way.scope.name, again.sources - set(errors))
        _pass_on(way, linked, again)
        transfer.anchor = _finish(way, mark, transfer.outcome.held_at, landing.token)
    return transfer


def _write_all(way: Way, landing: _Landing, mark: Any, acked: Anchor, again: Recalled) -> None:
    """Put all that is to be applied with what has landed; in the caller's transaction."""
    landing.write(again)
    if way.merge is not None:
        landing.put_first(merge.prepare(way, way.merge, mark.low, acked))


def _pass_on(way: Way, linked: Sequence[Link], again: Recalled) -> None:
    """What belongs together here belongs together further up; what is recalled has links that the sender has forgotten."""
    if not way.upload or not (linked or again.units):
        return
    further = {str(name) for name in going_up(way)}
    recalled = [(min(further, default=""), one[1], other[1]) for one, other in again.links if one != other]
    links.pass_on(way.receiver, way.sender_number, (link for link in [*linked, *recalled] if link[0] in further))


def _claim(way: Way, state: ScopeState, token: str) -> None:
    """Lock our row of scope_info and see that nobody else has moved the scope: the lock of the session may have been lost.

    The anchor may be where it was although another session has been there, so the tokens are compared, too.
    """
    same = "anchor_in IS NULL" if state.anchor_in is None else "anchor_in = %d" % state.anchor_in
    # Marks of tables that came to the scope after this session had read it wait for the next one.
    ours = {str(shared.name) for shared in way.tables}
    left = {name: mark for name, mark in state.landing.items() if name not in ours}
    claimed = way.receiver.execute(
        "UPDATE %s SET landing = %s WHERE peer_id = ? AND sync_scope_name = ? AND session_token = ? AND %s"
        % (_name(way.receiver, SCOPE), "?" if left else "NULL", same),
        *([json.dumps(left)] if left else []), way.sender_number, way.scope.name, token,
    )  # fmt: skip
    check_claimed(way.scope, claimed)


def _finish(way: Way, mark: Any, held_at: int | None, token: str) -> Anchor:
    """The end of the transaction: staging and old window rows go, the anchor moves."""
    receiver, key = way.receiver, (way.sender_number, way.scope.name)
    receiver.execute("DELETE FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % _name(receiver, STAGING), *key)
    if way.upload:
        receiver.execute(
            "DELETE FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND version < ?" % _name(receiver, WINDOW),
            *key,
            mark.low,
        )
    # A held row has to come again although the snapshot saw it, so the snapshot is forgotten then.
    anchor = Anchor(mark.low, mark.seen) if held_at is None else Anchor(min(mark.low, int(held_at)))
    settings: dict[str, Any] = {"anchor_in": anchor.low, "anchor_seen": anchor.seen, token_column(way): token}
    if way.anew is not None or way.merge is not None:
        settings["anew"] = None
    receiver.execute(
        "UPDATE %s SET %s WHERE peer_id = ? AND sync_scope_name = ?"
        % (_name(receiver, SCOPE), ", ".join("%s = %s" % (name, "NULL" if value is None else "?") for name, value in settings.items())),
        *(value for value in settings.values() if value is not None), *key,
    )  # fmt: skip
    return anchor


def _name(db: Any, table: Any) -> str:
    return db.engine.names.quote(*table)
