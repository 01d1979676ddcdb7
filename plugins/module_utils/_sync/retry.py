# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was put aside is tried again: rows in quarantine are stored whole or stay there with the new message; the image that lost
a conflict wins now, as a change of the database that decides. One unit is one transaction; an interrupted run may be run anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._engine._errors import RetailError, StatementFailed
from .._engine._model import Table, TableName
from .._engine._wire import Outcome, to_json
from . import kept, keys, landed, metadata, recall, transfer
from .kept import Kept
from .metadata import CONFLICT, PARENT, QUARANTINE, Scope
from .pair import Pair, SharedTable
from .quarantine import joined
from .transfer import Anchor, Way

Document = dict[str, Any]

_TRIES = 5

STORED, BACK, HELD = "stored", "back in quarantine", "waiting"
#: What becomes of a conflict that is not overturned: its row is another one by now; somebody else has settled it.
CHANGED, GONE = "changed since", "settled meanwhile"


class _Held(Exception):
    """A change here has yet to be judged by the parent."""


def retry(pair: Pair, rows: Sequence[Kept]) -> list[Document]:
    """Store rows of the quarantine that can be stored by now; an entry a unit.

    Units that wrote the same rows are tried together. What fails is tried once more after others were stored, which it may
    have been waiting for.

    :raises RetailError: a session was running for too long, or a connection was lost; what was stored stays stored.
    """
    done = []
    wanted = kept.units(rows)
    for side, scope in sorted({key[:2] for key in wanted}):
        found = next((one for one in pair.scopes if one.name == scope), None)
        if found is None:
            raise RetailError("The pair has no scope %r any more." % scope, "Put it back, or discard its rows.")
        with kept.alone(pair, scope):
            done += _Units(pair, found, side).run({key[2] for key in wanted if key[:2] == (side, scope)})
    return done


class _Units:
    """The quarantine of one scope on one side."""

    def __init__(self, pair: Pair, scope: Scope, side: str) -> None:
        self.way = _way(pair, scope, upload=side == "parent")
        self.side = side
        self.above = metadata.read_state(pair.parent, pair.downwards.peer_id, scope.name)
        self.state = self.above if side == "parent" else metadata.read_state(pair.child, PARENT, scope.name)

    def run(self, wanted: set[str]) -> list[Document]:
        groups = [group for group in self._groups() if any(row.unit in wanted for row in group)]
        results = [(group, self._try(group)) for group in groups]
        if any(one["result"] == STORED for _group, one in results):
            results = [(group, one if one["result"] == STORED else self._try(group)) for group, one in results]
        return [one for _group, one in results]

    def _groups(self) -> list[list[_Row]]:
        """All rows of the scope, those together that stand or fall together."""
        rows = _read(self.way)
        links = [(("unit", row.unit), key) for row in rows for key in (row.key or ("row", row.number), *row.linked)]
        groups = joined(links)
        found: dict[int, list[_Row]] = {}
        for row in rows:
            found.setdefault(id(groups["unit", row.unit]), []).append(row)
        return list(found.values())

    def _try(self, group: list[_Row]) -> Document:
        document: Document = {
            "side": self.side,
            "scope": self.way.scope.name,
            "units": sorted({row.unit for row in group}),
            "rows": len(group),
            "result": STORED,
            "error": None,
        }
        try:
            self._store(group)
        except _Held:
            document.update(result=HELD, error="A change of the same row has yet to go up.")
        except StatementFailed as failure:
            if failure.kind != "data":
                raise
            self._note(group, failure.message)
            document.update(result=BACK, error=failure.message)
        return document

    def _store(self, group: list[_Row]) -> None:
        unfit = [row for row in group if row.key is None]
        if unfit:
            message = "The table %s, or a column of it, is not there." % unfit[0].table
            raise StatementFailed(message, "data")
        for attempt in range(_TRIES):
            try:
                self._store_once(group)
                return
            except StatementFailed as failure:
                if failure.kind != "transient" or attempt + 1 == _TRIES:
                    raise

    def _store_once(self, group: list[_Row]) -> None:
        receiver = self.way.receiver
        with receiver.transaction():
            outcome = Outcome()
            newest = self._newest(group)
            for header, body in recall.batches_of((row.header, row.row) for row in newest):
                outcome.add(self._apply(json.loads(header), body))
            if outcome.held:
                raise _Held
            self._give_back(newest)
            _delete(receiver, QUARANTINE, "quarantine_id", group)

    def _newest(self, group: list[_Row]) -> list[_Row]:
        """Of each row what was put aside last, which numbers of versions do not say: they begin anew with a sender that was restored
        or moved."""
        way = self.way
        newest = {row.key: row for row in group if row.source > 0 or not _has_newer(way, row)}
        return [row for row in newest.values() if not (_is_gone(way, row) or _is_answered(way, row))]

    def _give_back(self, rows: list[_Row]) -> None:
        """What comes from a child does not go down to it again; where the child has taken the parent's image meanwhile, or has lost its
        own, it has to."""
        way = self.way
        if not (way.upload and way.scope.downloads):
            return
        for row in rows:
            if _has_its_own(way, row):
                continue
            table = way.table_at_receiver(_shared(way, row))
            way.receiver.engine.repairs.touch(way.receiver, table, [_wire(row.key[1:])], born=False, alone=False)

    def _apply(self, fields: dict[str, Any], body: str) -> Outcome:
        way = self.way
        shared = next(one for one in way.tables if str(one.name) == fields["table"])
        acked = Anchor(self.above.anchor_in or 0, self.above.anchor_seen)
        text = "CAST(? AS %s)" % way.receiver.engine.types.native("nvarchar(max)")
        work = landed.make_work(
            way,
            shared,
            fields["columns"],
            Anchor(self.state.anchor_in or 0),
            acked,
            "SELECT %s AS body" % text,
            (body,),
            frozenset(),
            fields.get("anew"),
        )
        track_all = way.upload or not fields["load"] or landed.goes_further(way)
        return way.receiver.engine.applying.apply_batch(
            way.receiver,
            replace(work, track_all=track_all, goes_further=way.upload and shared.name in landed.going_up(way)),
        )

    def _note(self, group: list[_Row], message: str) -> None:
        receiver = self.way.receiver
        with receiver.transaction():
            for row in group:
                receiver.execute(
                    "UPDATE %s SET error = ? WHERE quarantine_id = ?" % receiver.engine.names.quote(*QUARANTINE),
                    message,
                    row.number,
                )


class _Row:
    """One row in quarantine. ``key`` None: it does not fit the receiver's tables any more."""

    def __init__(self, shapes: Mapping[str, keys.Shape], record: Any) -> None:
        self.number, source, self.table, version, self.header, self.row = record
        self.source = int(source or 0)
        self.unit = str(self.source) if self.source > 0 else "row-%d" % self.number
        self.version = int(version or 0)
        self.deletion = bool(json.loads(self.row).get("d"))
        fields = json.loads(self.header)
        self.key = keys.key_of(self.table, fields["columns"], self.row, shapes)
        self.linked = [("linked", fields["unit"])] if fields.get("unit") is not None else []


def _read(way: Way) -> list[_Row]:
    shapes = transfer.shapes_of(way)
    rows = way.receiver.query(
        "SELECT quarantine_id, source_transaction, table_name, version, header, row_image FROM %s "
        "WHERE peer_id = ? AND sync_scope_name = ? ORDER BY quarantine_id" % way.receiver.engine.names.quote(*QUARANTINE),
        way.sender_number, way.scope.name,
    )  # fmt: skip
    return [_Row(shapes, row) for row in rows]


def _way(pair: Pair, scope: Scope, upload: bool) -> Way:
    number = pair.downwards.peer_id
    return Way(
        sender=pair.child if upload else pair.parent, receiver=pair.parent if upload else pair.child,
        receiver_number=PARENT if upload else number, sender_number=number if upload else PARENT,
        upload=upload, scope=scope, tables=pair.shared_tables(scope),
    )  # fmt: skip


def _has_newer(way: Way, row: _Row) -> bool:
    """Whether the sender has another image of the row since. One that stood alone was stored then without this one. Versions do not
    say which of two is the later one, where the sender was restored or moved, only whether they are the same."""
    tracking = way.sender.engine.tracking.tracking_name
    version = _at_sender(way, row, "CAST(t.version AS bigint)", tracking)
    if int(version or 0) == row.version:
        return False
    there = _image_at_sender(way, row)
    if there is None and way.upload and not way.scope.uploads_deletes:
        # What a child has deleted is the parent's to keep, unless the row lives on under another key.
        return int(_at_sender(way, row, "t.sync_row_is_tombstone", tracking) or 0) == 2
    return not _alike(there, keys.image_of(json.loads(row.header)["columns"], row.row))


def _image_at_sender(way: Way, row: _Row) -> Any:
    table = way.table_at_sender(_shared(way, row))
    # It is only read: HQ's service may not write a store's sales.
    return _exact(
        way.sender.engine.repairs.image(way.sender, table, table.travelling_columns, _wire(row.key[1:]), False)
    )


def _shared(way: Way, row: _Row) -> SharedTable:
    return next(one for one in way.tables if str(one.name) == row.table)


def _has_its_own(way: Way, row: _Row) -> bool:
    """Whether what the sender has of the row was changed there, or below it."""
    tracking = way.sender.engine.tracking.tracking_name
    return bool(_at_sender(way, row, "CASE WHEN t.origin = %d THEN 0 ELSE 1 END" % PARENT, tracking))


def _is_gone(way: Way, row: _Row) -> bool:
    """Whether the parent has deleted a row that came from it, and may have forgotten so. What a child has deleted is the parent's to
    keep."""
    return not way.upload and not row.deletion and _at_sender(way, row, "1", lambda name: name) is None


def _is_answered(way: Way, row: _Row) -> bool:
    """Whether the parent has taken an image of the child's since, in the place of the one that the child has put aside. It is not sent
    back, and what it replaced is kept as a conflict."""
    origin = None if way.upload else _at_sender(way, row, "t.origin", way.sender.engine.tracking.tracking_name)
    return origin is not None and int(origin) == way.receiver_number


def _at_sender(way: Way, row: _Row, what: str, place: Callable[[TableName], TableName]) -> Any:
    """What the sender has under the row's key, None where there is nothing.

    :param what: SQL about the alias t. ``place``: the table to look into.
    """
    table, db = way.table_at_sender(_shared(way, row)), way.sender
    names, digests, tracking = db.engine.names, db.engine.digests, db.engine.tracking
    own = [names.quote(name) for name in table.primary_key]
    wire = _wire(row.key[1:])
    return db.value(
        "SELECT %s FROM %s AS t JOIN %s ON %s"
        % (what, names.quote(*place(table.name)), digests.keys_from_json(table), tracking.matching("t", "q", own)),
        '[{"p":0,%s]' % wire[1:],
    )


def _delete(db: Any, name: Any, column: str, rows: Iterable[Any]) -> None:
    for row in rows:
        db.execute("DELETE FROM %s WHERE %s = ?" % (db.engine.names.quote(*name), column), row.number)


def overturn(pair: Pair, rows: Sequence[Kept], over_changes: bool = False) -> list[Document]:
    """Let the image that lost win now: written like a change of the database that keeps the conflict, which then travels as any.

    A row that is not the winner's any more has been changed since, and stays as it is.

    :param over_changes: such a row is overwritten, too. What it was is kept in the conflict, as the image that lost.
    :raises RetailError: the image does not fit the table any more, or is refused; what was done before stays.
    """
    tables = {side: kept.tables_of(pair, side) for side in {one.side for one in rows}}
    done = []
    # Of several conflicts about one row the latest image is to win: the first one that is written where changes count, the last
    # one where they do not.
    for one in rows if over_changes else reversed(rows):
        db = pair.child if one.side == "child" else pair.parent
        with db.transaction():
            result = _overturn(db, _table_of(tables[one.side], one), one, over_changes)
        error = "The row has been changed since." if result == CHANGED else None
        place = {"side": one.side, "scope": one.scope, "unit": one.unit, "table": one.table, "key": one.key}
        done.append({**place, "result": result, "error": error})
    return done


def _overturn(db: Any, table: Table, one: Kept, over_changes: bool) -> str:
    sides = _images_of(db, one)
    if sides is None:
        return GONE
    loser, winner = sides[one.fields["loser"]], sides[one.fields["winner"]]
    named = loser if loser is not None else winner
    key = _wire(named[name] for name in table.primary_key)
    text = db.engine.repairs.image(db, table, table.travelling_columns, key)
    present = _exact(text)
    if not _alike(present, loser):
        changed = not _alike(present, winner)
        if changed and not over_changes:
            return CHANGED
        if loser is None:
            db.engine.repairs.remove(db, table, key)
        else:
            columns = [table.column(name) for name in loser]
            db.engine.repairs.put(db, table, columns, _wire(loser.values()))
        if changed:
            _turn_round(db, one, text)
            return STORED
    _delete(db, CONFLICT, "conflict_id", [one])
    return STORED


def _images_of(db: Any, one: Kept) -> dict[str, Any] | None:
    """Both images by side, None where somebody else has settled the conflict meanwhile."""
    row = db.row(
        "SELECT incoming_image, local_image FROM %s WHERE conflict_id = ? AND winner = ?"
        % db.engine.names.quote(*CONFLICT),
        one.number,
        one.fields["winner"],
    )
    if row is None:
        return None
    return {"child" if one.side == "parent" else "parent": _exact(row[0]), one.side: _exact(row[1])}


def _exact(text: str | None) -> Any:
    """An image with its numbers as they are spelled: a float would not hold all of their digits."""
    return None if text is None else json.loads(text, parse_float=str)


def _alike(present: Any, image: Any) -> bool:
    """Whether the row is what the image says, as far as it says anything that the row still has."""
    if present is None or image is None:
        return present is image
    return all(present[name] == value for name, value in image.items() if name in present)


def _turn_round(db: Any, one: Kept, text: str | None) -> None:
    """The image that lost has won, and what it has replaced is the one that lost."""
    column = "local_image" if one.fields["winner"] == one.side else "incoming_image"
    db.execute(
        "UPDATE %s SET occurred = %s, winner = ?, %s = ? WHERE conflict_id = ?"
        % (db.engine.names.quote(*CONFLICT), db.engine.tracking.NOW, column),
        one.fields["loser"], text, one.number,
    )  # fmt: skip


def _table_of(tables: dict[str, Any], one: Kept) -> Table:
    table = tables.get(one.table)
    image = one.images["images"][one.fields["loser"]] or one.key
    gone = [name for name in image if table is None or table.column(name) is None]
    if table is None or gone:
        raise RetailError(
            "The conflict %s has columns that %s does not have at the %s: %s."
            % (one.unit, one.table, one.side, ", ".join(gone)),
            "Put them back, or discard the conflict.",
        )
    return table


def _wire(values: Iterable[Any]) -> str:
    return to_json({"k%d" % place: value for place, value in enumerate(values)})
