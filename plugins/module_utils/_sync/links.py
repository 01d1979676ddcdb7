# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transactions that wrote the same row before it went up belong together: a sale would else arrive without the row that a later
transaction touched. The triggers write each such pair into ``sync_transaction_link``; it goes when both have gone up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._engine._model import TableName
from .._engine._phrases import PEER_FACTOR
from .metadata import LINK
from .quarantine import Source

#: A table, a transaction, and the one that had written the same row before.
Link = tuple[str, int, int]

_A_STATEMENT = 500


def read(db: Any, tables: Iterable[TableName]) -> list[Link]:
    """The links of these tables; inside a snapshot, so that what they link is read, too."""
    wanted = {str(table) for table in tables}
    sql = "SELECT table_name, source_transaction, earlier_transaction FROM %s" % db.engine.names.quote(*LINK)
    return [(row[0], int(row[1]), int(row[2])) for row in db.query(sql) if row[0] in wanted]


def forget(db: Any, links: Sequence[Link]) -> None:
    """What :func:`read` gave has gone up. All links of a transaction were there when its first was read."""
    by_table: dict[str, list[int]] = {}
    for table, number, _earlier in links:
        by_table.setdefault(table, []).append(number)
    for table, numbers in by_table.items():
        for start in range(0, len(numbers), _A_STATEMENT):
            some = ", ".join(str(number) for number in sorted(set(numbers[start : start + _A_STATEMENT])))
            sql = "DELETE FROM %s WHERE table_name = ? AND source_transaction IN (%s)"
            db.execute(sql % (db.engine.names.quote(*LINK), some), table)


def pass_on(db: Any, peer: int, links: Iterable[Link]) -> None:
    """Keep the links that came from ``peer`` for the way further up; in the caller's transaction."""
    place = db.engine.names.quote(*LINK)
    sql = (
        "INSERT INTO %s (table_name, source_transaction, earlier_transaction) SELECT CAST(? AS %s), %d, %d WHERE NOT EXISTS "
        "(SELECT 1 FROM %s WHERE table_name = ? AND source_transaction = %d AND earlier_transaction = %d)"
    )
    text, offset = db.engine.types.native("nvarchar(130)"), (peer + 1) * PEER_FACTOR
    for table, number, earlier in sorted(set(links)):
        pair = (number + offset, earlier + offset)
        db.execute(sql % (place, text, *pair, place, *pair), table, table)


def pairs(links: Iterable[Link]) -> list[tuple[Source, Source]]:
    """The links as pairs of source transactions."""
    return [((0, number), (0, earlier)) for _table, number, earlier in links]
