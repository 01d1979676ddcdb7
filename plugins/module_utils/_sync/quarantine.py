# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that cannot be stored: found by trial, put aside with the whole transaction they were written in."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Sequence, Tuple

from .._engine._errors import StatementFailed
from .metadata import QUARANTINE, STAGING

Attempt = Callable[[FrozenSet[int]], None]


class _RolledBack(Exception):
    pass


@contextlib.contextmanager
def rolled_back(db: Any) -> Iterator[None]:
    """A transaction that is always undone: a trial."""
    with contextlib.suppress(_RolledBack), db.transaction():
        yield
        raise _RolledBack


def find_guilty(attempt: Attempt, batches: Sequence[Tuple[str, str]]) -> Dict[int, str]:
    """The source transactions that cannot be applied, each with the engine's message.

    :param attempt: applies everything but the transactions given, and rolls back.
    :param batches: header and body of all batches.
    """
    everything = sorted({number for _header, body in batches for number, _row in rows_of(body)})
    guilty: Dict[int, str] = {}
    good: List[int] = []
    _search(attempt, everything, frozenset(everything), good, guilty)
    return guilty


def _search(attempt: Attempt, part: List[int], everything: FrozenSet[int], good: List[int], guilty: Dict[int, str]) -> None:
    """Add ``part`` to what is known to be good, or halve it until the guilty ones stand alone."""
    if not part:
        return
    try:
        attempt(everything - set(good) - set(part))
    except StatementFailed as failure:
        if failure.kind != "data":
            raise
        if len(part) == 1:
            guilty[part[0]] = failure.message
            return
        middle = len(part) // 2
        _search(attempt, part[:middle], everything, good, guilty)
        _search(attempt, part[middle:], everything, good, guilty)
        return
    good.extend(part)


def rows_of(body: str) -> Iterator[Tuple[int, str]]:
    """Each row of a batch as (source transaction, its JSON text untouched); the numbers of baseline rows are negative."""
    decoder = json.JSONDecoder()
    position = 1
    while position < len(body) and body[position] != "]":
        row, end = decoder.raw_decode(body, position)
        yield int(row.get("x") or 0), body[position:end]
        position = end + 1 if body[end : end + 1] == "," else end


def keep(db: Any, peer_id: int, scope: str, errors: Dict[int, str]) -> int:
    """Move the rows of the guilty transactions from staging into quarantine; in the caller's transaction. Returns how many."""
    quote = db.engine.names.quote
    key = (peer_id, scope)
    kept = 0
    for header, body in db.query(
        "SELECT header, body FROM %s WHERE peer_id = ? AND sync_scope_name = ? ORDER BY sequence" % quote(*STAGING), *key
    ):
        table = json.loads(header)["table"]
        for number, row in rows_of(body):
            if number in errors:
                db.execute(
                    "INSERT INTO %s (peer_id, sync_scope_name, table_name, source_transaction, version, error, header, row_image) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)" % quote(*QUARANTINE),
                    *key, table, number, json.loads(row).get("v"), errors[number], header, row,
                )  # fmt: skip
                kept += 1
    return kept
