# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merging a whole table into what is there: which rows of it are not in the load."""

from __future__ import annotations

from typing import Any

from .._wire import Merge, key_of
from . import marks, names, tracking, types


def missing(db: Any, merge: Merge) -> list[str]:
    """The keys of the rows that are here and in none of the landed batches, as JSON; rows of ours are left out."""
    table = merge.table
    keys = [names.quote(column.name) for column in table.key_columns]
    fields = ", ".join("k%d %s" % (n, types.native(column.type)) for n, column in enumerate(table.key_columns))
    db.execute("DROP TABLE IF EXISTS pg_temp.merging")
    db.execute("CREATE TEMPORARY TABLE merging (%s) ON COMMIT DROP" % fields)
    for body, parameters, places in merge.bodies:
        wires = list(zip((key_of(place) for place in places), table.key_columns))
        db.execute(
            "INSERT INTO pg_temp.merging SELECT %s FROM json_to_recordset(CAST(%s AS json)) AS q (%s)"
            % (
                ", ".join(types.from_wire(column, "q." + wire) for wire, column in wires),
                body,
                ", ".join("%s %s" % (wire, types.read_as(column)) for wire, column in wires),
            ),
            *parameters,
        )
    db.execute("ANALYZE pg_temp.merging")
    ours = "t.created_here = 1"
    if merge.acked is not None:
        ours = marks.newer_than("t.version", *merge.acked)
    rows = db.query(
        "SELECT CAST(row_to_json(q) AS text) FROM (SELECT {keys} FROM {base} r LEFT JOIN {tracking} t ON {tracked} "
        "WHERE NOT EXISTS (SELECT 1 FROM pg_temp.merging m WHERE {there}) "
        "AND (t.version IS NULL OR t.origin = 0 OR NOT ({ours}))) q".format(
            keys=", ".join(
                "%s AS %s" % (types.to_wire(column, "r." + key), key_of(n))
                for n, (key, column) in enumerate(zip(keys, table.key_columns))
            ),
            base=names.quote(*table.name), tracking=names.quote(*tracking.tracking_name(table.name)),
            tracked=tracking.matching("t", "r", keys), ours=ours,
            there=" AND ".join("m.k%d = r.%s" % (n, key) for n, key in enumerate(keys)),
        )
    )  # fmt: skip
    return [row[0] for row in rows]
