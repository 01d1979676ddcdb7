# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merging a whole table into what is there: which rows of it are not in the load."""

from __future__ import annotations

from typing import Any

from .._model import Column
from .._wire import Merge, key_of
from . import marks, names, texts, tracking, types


def missing(db: Any, merge: Merge) -> list[str]:
    """The keys of the rows that are here and in none of the landed batches, as JSON; rows of ours are left out."""
    table = merge.table
    keys = [names.quote(column.name) for column in table.key_columns]
    db.execute("DROP TABLE IF EXISTS #merging")
    db.execute("CREATE TABLE #merging (%s)" % ", ".join(_field(n, c) for n, c in enumerate(table.key_columns)))
    for body, parameters, places in merge.bodies:
        wires = list(zip((key_of(place) for place in places), table.key_columns))
        db.execute(
            "INSERT INTO #merging SELECT %s FROM (SELECT %s AS body) AS s CROSS APPLY OPENJSON(s.body) WITH (%s) AS q"
            % (
                ", ".join(types.from_wire(column, "q." + wire) for wire, column in wires),
                body,
                ", ".join("%s %s '$.%s'" % (wire, types.read_as(column), wire) for wire, column in wires),
            ),
            *parameters,
        )
    ours = "t.created_here = 1"
    if merge.acked is not None:
        ours = marks.newer_than("t.version", *merge.acked)
    rows = db.query(
        "SELECT j.body FROM {base} AS r LEFT JOIN {tracking} AS t ON {tracked} CROSS APPLY (SELECT {keys} FOR JSON PATH, "
        "WITHOUT_ARRAY_WRAPPER) AS j(body) WHERE NOT EXISTS (SELECT 1 FROM #merging AS m WHERE {there}) "
        "AND (t.version IS NULL OR t.origin = 0 OR NOT ({ours}))".format(
            keys=", ".join(
                "%s AS %s" % (types.to_wire(column, "r." + key), key_of(n))
                for n, (key, column) in enumerate(zip(keys, table.key_columns))
            ),
            base=names.quote(*table.name),
            tracking=names.quote(*tracking.tracking_name(table.name)),
            tracked=tracking.matching("t", "r", keys),
            ours=ours,
            there=" AND ".join("m.k%d = r.%s" % (n, key) for n, key in enumerate(keys)),
        )
    )
    db.execute("DROP TABLE #merging")
    return [row[0] for row in rows]


def _field(position: int, column: Column) -> str:
    collation = texts.collated(column, "DATABASE_DEFAULT")
    return "k%d %s%s NOT NULL" % (position, types.native(column.type), collation)
