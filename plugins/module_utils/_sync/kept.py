# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pair has put aside: rows in quarantine, images that lost a conflict. Both sides are looked at.

Uploaded rows are kept at the parent, downloaded ones at the child: always in the database that decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import Table
from .._engine._wire import spelled
from . import log
from .metadata import CONFLICT, PARENT, QUARANTINE
from .pair import Pair

Document = dict[str, Any]

_PATIENCE = 30.0
_POLL = 0.2


@dataclass(frozen=True)
class Choice:
    """Which of the rows are meant: all that fit each filter that is not empty. ``units``: see :attr:`Kept.unit`."""

    scopes: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def accepts(self, one: Kept) -> bool:
        return (
            (not self.scopes or one.scope in self.scopes)
            and (not self.tables or one.table in self.tables)
            and (not self.units or one.unit in self.units)
        )


@dataclass(frozen=True)
class Kept:
    """One row that was put aside. ``side``: whose database keeps it. ``unit``: what is handled together: a source transaction in
    the quarantine, else the row itself. ``key`` and ``images`` by column name, as they travel; ``fields``: what else there is."""

    side: str
    number: int
    scope: str
    table: str
    unit: str
    since: datetime
    key: dict[str, Any]
    images: dict[str, Any]
    fields: dict[str, Any]

    def document(self, images: bool) -> Document:
        """As plain values."""
        shown = {"id": self.number, "table": self.table, "key": self.key, "since": log.utc(self.since), **self.fields}
        return {**shown, **(self.images if images else {})}


def quarantined(pair: Pair) -> list[Kept]:
    """The rows in quarantine on both sides, oldest first."""
    found = []
    for side, db, peer in sides(pair):
        keys = _keys(pair, side)
        for number, since, scope, table, source, error, header, image in db.query(
            "SELECT quarantine_id, occurred, sync_scope_name, table_name, source_transaction, error, header, row_image FROM %s "
            "WHERE peer_id = ? ORDER BY quarantine_id" % db.engine.names.quote(*QUARANTINE),
            peer,
        ):
            row = json.loads(image)
            named = {name: row.get("c%d" % place) for place, name in enumerate(json.loads(header)["columns"])}
            # A row of the baseline has no transaction: it stands alone.
            unit = str(source) if source is not None and source > 0 else "row-%d" % number
            fields = {"deletion": bool(row.get("d")), "version": row.get("v"), "error": error}
            images = {"image": None if row.get("d") else named}
            key = {name: named.get(name) for name in keys.get(table, ())}
            found.append(Kept(side, int(number), scope, table, unit, since, key, images, fields))
    return found


def conflicts(pair: Pair) -> list[Kept]:
    """The conflicts that both sides remember, oldest first."""
    found = []
    for side, db, peer in sides(pair):
        keys = _keys(pair, side)
        for number, since, scope, table, key, kind, winner, incoming, local in db.query(
            "SELECT conflict_id, occurred, sync_scope_name, table_name, row_key, kind, winner, incoming_image, local_image FROM %s "
            "WHERE peer_id = ? ORDER BY conflict_id" % db.engine.names.quote(*CONFLICT),
            peer,
        ):
            came_from = "child" if side == "parent" else "parent"
            images = {came_from: _load(incoming), side: _load(local)}
            named = {
                "winner": winner,
                "kind": kind,
                "loser": "parent" if winner == "child" else "child",
            }
            values = json.loads(key)
            known = keys.get(table, tuple("key%d" % place for place in range(len(values))))
            pairs = dict(zip(known, values))
            found.append(
                Kept(side, int(number), scope, table, "%s-%d" % (side, number), since, pairs, {"images": images}, named)
            )
    return found


def sides(pair: Pair) -> Iterator[tuple[str, Any, int]]:
    """Side, connection, and the other side's number there."""
    yield "child", pair.child, PARENT
    yield "parent", pair.parent, pair.downwards.peer_id


def chosen(rows: Sequence[Kept], choice: Choice) -> list[Kept]:
    """The rows that are meant.

    :raises RetailError: there are none.
    """
    found = [one for one in rows if choice.accepts(one)]
    if not found:
        raise RetailError("Nothing of that kind has been put aside.", "List what there is; filters are exact.")
    return found


def units(rows: Sequence[Kept]) -> dict[tuple[str, str, str], list[Kept]]:
    """The rows by side, scope and unit, in their order."""
    found: dict[tuple[str, str, str], list[Kept]] = {}
    for one in rows:
        found.setdefault((one.side, one.scope, one.unit), []).append(one)
    return found


def discard(pair: Pair, name: Any, column: str, rows: Sequence[Kept]) -> None:
    """Forget rows, one unit a transaction."""
    for (side, _scope, _unit), members in units(rows).items():
        db = pair.child if side == "child" else pair.parent
        with db.transaction():
            for one in members:
                db.execute("DELETE FROM %s WHERE %s = ?" % (db.engine.names.quote(*name), column), one.number)


def save(path: str, document: Document) -> None:
    """Write what is about to be discarded into a new file of mode 0600, and see that it is on the disk.

    :raises RetailError: the file is there already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(spelled(json.dumps(document, indent=2, ensure_ascii=False)))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise RetailError("%s cannot be written: %s." % (path, error.strerror), "Nothing was discarded.") from None


@contextlib.contextmanager
def alone(pair: Pair, scope: str) -> Iterator[None]:
    """No session of the scope runs meanwhile.

    :raises RetailError: one went on for too long.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        with pair.parent.engine.locks.held(pair.parent, "axops.retail:%s:%s" % (pair.guid, scope)) as taken:
            if taken:
                yield
                return
        if time.monotonic() >= deadline:
            raise RetailError("A session of the scope %r is running." % scope, "Try again when it has ended.")
        time.sleep(_POLL)


def tables_of(pair: Pair, side: str) -> dict[str, Table]:
    """The tables of all scopes as one side has them, by name."""
    db = pair.child if side == "child" else pair.parent
    wanted = {table.name for scope in pair.scopes for table in scope.tables}
    return {str(name): table for name, table in db.engine.tables.read(db, sorted(wanted)).items()}


def _keys(pair: Pair, side: str) -> dict[str, tuple[str, ...]]:
    return {name: table.primary_key for name, table in tables_of(pair, side).items()}


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)
