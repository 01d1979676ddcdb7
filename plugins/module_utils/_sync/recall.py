# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that were put aside come back when a newer version of one of them arrives.

A corrected sale would else arrive in halves: the row that was corrected, without those that stood in quarantine with
it. What was written in one transaction, and what came over it later, is one unit then: stored whole or put aside whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .keys import Key, Shape, key_of
from .metadata import QUARANTINE
from .quarantine import Batch, Source, joined, rows_of


@dataclass
class Recalled:
    """``batches``: header and body, to be applied before all others. ``sources``: the transactions they come from.
    ``units``: transactions that stand or fall together. ``unfit``: those that have to stay aside, and why: a row of theirs
    does not fit the tables here any more."""

    batches: list[tuple[str, str]] = field(default_factory=list)
    sources: frozenset[Source] = frozenset()
    units: list[frozenset[Source]] = field(default_factory=list)
    unfit: dict[Source, str] = field(default_factory=dict)

    @property
    def links(self) -> list[tuple[Source, Source]]:
        """The units as pairs."""
        return [(min(unit), source) for unit in self.units for source in unit]


@dataclass(frozen=True)
class _Kept:
    source: Source
    key: Key
    header: str
    row: str
    #: The number that it shares with the other transactions that it was put aside with.
    unit: int | None
    fits: bool


def recall(db: Any, peer_id: int, scope: str, batches: Iterable[Batch], shapes: Mapping[str, Shape]) -> Recalled:
    """What has to be tried again since ``batches`` bring something newer.

    :param shapes: the receiver's tables by name.
    """
    kept = _read(db, peer_id, scope, shapes)
    if not kept:
        return Recalled()
    arriving = _arriving(batches, {row.key for row in kept}, shapes)
    units = _units(kept, arriving)
    sources = frozenset(row.source for row in kept if any(row.source in unit for unit in units))
    newest: dict[Key, _Kept] = {}
    unfit: dict[Source, str] = {}
    for row in kept:
        if row.source in sources and not row.fits:
            message = "The table %s, or a column of it, is not there." % row.key[0]
            unfit.update((source, message) for unit in units if row.source in unit for source in unit)
        elif row.source in sources and row.key not in arriving:
            # What was put aside last: numbers of versions begin anew with a sender that was restored or moved.
            newest[row.key] = row
    return Recalled(batches_of((row.header, row.row) for row in newest.values()), sources, units, unfit)


def release(db: Any, peer_id: int, scope: str, sources: Iterable[Source]) -> None:
    """Take transactions that have been stored out of quarantine; in the caller's transaction."""
    sql = "DELETE FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND source_transaction = ?"
    for _place, number in sorted(sources):
        db.execute(sql % db.engine.names.quote(*QUARANTINE), peer_id, scope, number)


def _read(db: Any, peer_id: int, scope: str, shapes: Mapping[str, Shape]) -> list[_Kept]:
    """The rows of real transactions; one of the baseline stood alone, and its newer version is all there is to it."""
    rows = db.query(
        "SELECT quarantine_id, source_transaction, table_name, header, row_image FROM %s "
        "WHERE peer_id = ? AND sync_scope_name = ? AND source_transaction > 0 ORDER BY quarantine_id" % db.engine.names.quote(*QUARANTINE),
        peer_id, scope,
    )  # fmt: skip
    kept = []
    for number, source, table, header, row in rows:
        fields = json.loads(header)
        key = key_of(table, fields["columns"], row, shapes)
        place = key or (table, "row", int(number))
        kept.append(_Kept((0, int(source)), place, header, row, fields.get("unit"), key is not None))
    return kept


def _arriving(batches: Iterable[Batch], wanted: set[Key], shapes: Mapping[str, Shape]) -> dict[Key, set[Source]]:
    """Which transactions bring newer versions of the wanted rows."""
    found: dict[Key, set[Source]] = {}
    for sequence, header, body in batches:
        fields = json.loads(header)
        for source, row in rows_of(sequence, body):
            key = key_of(fields["table"], fields["columns"], row, shapes)
            if key in wanted:
                found.setdefault(key, set()).add(source)
    return found


def _units(kept: Iterable[_Kept], arriving: Mapping[Key, set[Source]]) -> list[frozenset[Source]]:
    """Transactions that wrote the same rows, joined; only those of which something arrives."""
    links: list[tuple[Any, Any]] = [(row.key, row.source) for row in kept]
    links += [(("unit", row.unit), row.source) for row in kept if row.unit is not None]
    links += [(key, source) for key, sources in arriving.items() for source in sources]
    unique = {id(group): group for group in joined(links).values()}
    return [
        frozenset(member for member in group if isinstance(member[0], int))
        for group in unique.values()
        if any(member in arriving for member in group)
    ]


def batches_of(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows, each with its header, as batches: header and body."""
    by_header: dict[str, list[str]] = {}
    for header, row in rows:
        by_header.setdefault(header, []).append(row)
    return [
        (json.dumps({**json.loads(header), "rows": len(texts)}, ensure_ascii=False), "[%s]" % ",".join(texts))
        for header, texts in by_header.items()
    ]
