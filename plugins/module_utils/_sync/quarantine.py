# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that cannot be stored: found by trial, put aside with the whole transaction they were written in."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from .._engine import _wire
from .._engine._errors import StatementFailed
from .keys import Key, Shape, image_of, key_of
from .metadata import QUARANTINE, STAGING

#: A source transaction: 0 and its number. A row of the baseline, which has none: its batch, and its negative number there.
Source = tuple[int, int]
#: A batch: its place in staging, its header and its body.
Batch = tuple[int, str, str]
Attempt = Callable[[frozenset[Source]], None]


#: Up to so many suspects are also tried by leaving out one of them at a time.
_FEW = 16


class _RolledBack(Exception):
    pass


@contextlib.contextmanager
def rolled_back(db: Any) -> Iterator[None]:
    """A transaction that is always undone: a trial."""
    with contextlib.suppress(_RolledBack), db.transaction():
        yield
        raise _RolledBack


def find_guilty(
    attempt: Attempt, batches: Iterable[Batch], links: Iterable[tuple[Source, Source]] = ()
) -> dict[Source, str]:
    """The source transactions that cannot be applied, each with the engine's message.

    :param attempt: applies everything but the transactions given, and rolls back.
    :param batches: all of them.
    :param links: pairs of transactions that stand or fall together: they wrote the same row one after the other.
    """
    everything = {source for sequence, _header, body in batches for source, _row in rows_of(sequence, body)}
    groups = joined(links)
    parts = {id(group): frozenset(group & everything) for group in groups.values()}
    alone = [frozenset((source,)) for source in everything.difference(groups)]
    guilty: dict[Source, str] = {}
    good: set[Source] = set()
    parted = sorted([*parts.values(), *alone], key=sorted)
    while parted:
        _search(attempt, parted, frozenset(everything), good, guilty)
        left = [group for group in parted if group & guilty.keys()]
        if len(left) == len(parted):
            return _all_but_one(attempt, left, frozenset(everything), good, guilty)
        # Some may only have waited for others to let go of a unique value.
        parted, guilty = left, {}
    return guilty


def _all_but_one(
    attempt: Attempt,
    left: list[frozenset[Source]],
    everything: frozenset[Source],
    good: set[Source],
    guilty: dict[Source, str],
) -> dict[Source, str]:
    """Of the few that are left some may need each other, as rows do that swap a unique value: then one alone is to blame."""
    for group in left if 2 < len(left) <= _FEW else ():
        found: dict[Source, str] = {}
        _search(attempt, [frozenset().union(*left) - group], everything, set(good), found)
        if not found:
            return {source: message for source, message in guilty.items() if source in group}
    return guilty


def joined(links: Iterable[tuple[Any, Any]]) -> dict[Any, set[Any]]:
    """Members that links connect, over however many steps: each with the group that it shares with the others."""
    groups: dict[Any, set[Any]] = {}
    for one, other in links:
        small, large = sorted((groups.get(one, {one}), groups.get(other, {other})), key=len)
        large |= small
        for member in (*small, one, other):
            groups[member] = large
    return groups


def _search(
    attempt: Attempt,
    part: list[frozenset[Source]],
    everything: frozenset[Source],
    good: set[Source],
    guilty: dict[Source, str],
) -> None:
    """Add ``part`` to what is known to be good, or halve it until the guilty ones stand alone."""
    if not part:
        return
    try:
        attempt(everything.difference(good, *part))
    except StatementFailed as failure:
        if failure.kind != "data":
            raise
        if len(part) == 1:
            guilty.update(dict.fromkeys(part[0], failure.message))
            return
        middle = len(part) // 2
        _search(attempt, part[:middle], everything, good, guilty)
        _search(attempt, part[middle:], everything, good, guilty)
        return
    good.update(*part)


def rows_of(sequence: int, body: str) -> Iterator[tuple[Source, str]]:
    """Each row of a batch as (source transaction, its JSON text untouched)."""
    decoder = json.JSONDecoder()
    position = 1
    while position < len(body) and body[position] != "]":
        row, end = decoder.raw_decode(body, position)
        number = int(row.get("x") or 0)
        yield (0 if number > 0 else sequence, number), body[position:end]
        position = end + 1 if body[end : end + 1] == "," else end


def keep(
    db: Any, peer_id: int, scope: str, errors: dict[Source, str], links: Iterable[tuple[Source, Source]] = ()
) -> int:
    """Copy the rows of the guilty transactions from staging into quarantine, in the caller's transaction.

    ``unit`` in the header of a row is the same number for all transactions that belong together. Returns
    how many; what is there already, since it was delivered again, does not count.
    """
    quote = db.engine.names.quote
    key = (peer_id, scope)
    kept, there = 0, _Kept(db, key)
    groups = joined(links)
    mine = "FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % quote(*STAGING)
    for (sequence,) in db.query("SELECT sequence %s ORDER BY sequence" % mine, *key):
        # One body at a time is in memory.
        landed_header, body = db.row("SELECT header, body %s AND sequence = ?" % mine, *key, sequence)
        fields = json.loads(landed_header)
        table = fields["table"]
        for source, row in rows_of(sequence, body):
            header = landed_header
            if source in errors and source in groups:
                header = json.dumps({**fields, "unit": min(groups[source])[1]}, ensure_ascii=False)
            if source in errors and not there.has(table, row):
                db.execute(
                    "INSERT INTO %s (peer_id, sync_scope_name, table_name, source_transaction, version, error, header, row_image) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)" % quote(*QUARANTINE),
                    *key, table, source[1], json.loads(row).get("v"), errors[source], header, row,
                )  # fmt: skip
                kept += 1
    return kept


def renumber(db: Any, peer_id: int, number_now: Callable[[int], int]) -> None:
    """The transactions of a peer that came to another server have other numbers from now on, so that none of them looks like one of
    those that it begins there; in the caller's transaction.

    :param number_now: the number that a transaction has from now on, by the one that it had.
    """
    quarantined = db.engine.names.quote(*QUARANTINE)
    rows = db.query("SELECT quarantine_id FROM %s WHERE peer_id = ? AND source_transaction > 0" % quarantined, peer_id)
    for (place,) in rows:
        # One image at a time is in memory.
        source, header, row = db.row(
            "SELECT source_transaction, header, row_image FROM %s WHERE quarantine_id = ?" % quarantined, place
        )
        fields = json.loads(header)
        if fields.get("unit", 0) > 0:
            fields["unit"] = number_now(fields["unit"])
        db.execute(
            "UPDATE %s SET source_transaction = ?, header = ?, row_image = ? WHERE quarantine_id = ?" % quarantined,
            number_now(source), json.dumps(fields, ensure_ascii=False), _wire.renumbered(row, number_now), place,
        )  # fmt: skip


def rebase(db: Any, peer_id: int, scope: str, newest: int) -> None:
    """What a peer has put up here derives from no later version than ``newest`` of this database's, which came to another server: a
    number of the one that it came from would look as if the peer had seen all that is done here; in the caller's transaction."""
    quarantined = db.engine.names.quote(*QUARANTINE)
    sql = "SELECT quarantine_id FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % quarantined
    for (place,) in db.query(sql, peer_id, scope):
        row = db.value("SELECT row_image FROM %s WHERE quarantine_id = ?" % quarantined, place)
        rebased = _wire.rebased(row, newest)
        if rebased != row:
            db.execute("UPDATE %s SET row_image = ? WHERE quarantine_id = ?" % quarantined, rebased, place)


class _Kept:
    """What of a scope is in quarantine already. A row with a version is known by it; one of a baseline by what it says, since each
    load brings it again."""

    def __init__(self, db: Any, key: tuple[int, str]) -> None:
        self._db = db
        self._key = key
        self._sql = (
            "SELECT row_image FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND table_name = ? AND version %%s"
            % (db.engine.names.quote(*QUARANTINE))
        )
        self._baseline: dict[str, set[str]] = {}
        #: By table and version: all rows of a transaction have one on PostgreSQL.
        self._images: dict[tuple[str, int], set[bytes]] = {}

    def has(self, table: str, row: str) -> bool:
        version = json.loads(row).get("v")
        if version is None:
            return _plain(row) in self._of_baseline(table)
        if (table, version) not in self._images:
            found = self._db.query(self._sql % "= ?", *self._key, table, version)
            self._images[table, version] = {_digest(image) for (image,) in found}
        known, one = self._images[table, version], _digest(row)
        there = one in known
        # What is not there is kept now.
        known.add(one)
        return there

    def _of_baseline(self, table: str) -> set[str]:
        if table not in self._baseline:
            found = self._db.query(self._sql % "IS NULL", *self._key, table)
            self._baseline[table] = {_plain(image) for (image,) in found}
        return self._baseline[table]


def aside(
    db: Any, peer_id: int, scope: str, table: str, shapes: Mapping[str, Shape]
) -> dict[Key, dict[str, Any] | None]:
    """What a scope has put aside last of each row of a table, by its key: the image, None for a deletion."""
    found = {}
    for header, row in db.query(
        "SELECT header, row_image FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND table_name = ? "
        "ORDER BY quarantine_id" % db.engine.names.quote(*QUARANTINE),
        *(peer_id, scope, table),
    ):
        columns = json.loads(header)["columns"]
        key = key_of(table, columns, row, shapes)
        if key is not None:
            found[key] = image_of(columns, row)
    return found


def _digest(row: str) -> bytes:
    return hashlib.sha256(row.encode("utf-8")).digest()


def _plain(row: str) -> str:
    """A row of a baseline without its number in its batch."""
    values = json.loads(row, parse_float=str)
    values.pop("x", None)
    return json.dumps(values, sort_keys=True)
