# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HQ, two channel databases and three registers."""

from __future__ import annotations

from typing import Any

import fleet_shapes as shapes
from fleet import Fleet, Node, run

from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope


class Tiers(Fleet):
    """The six databases of one history."""

    PARENTS, NODES, ROUND, TABLES = shapes.PARENTS, shapes.NODES, shapes.ROUND, shapes.TABLES

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.with_shelf = dict.fromkeys(self.PARENTS, True)

    def scopes(self, child: str) -> tuple[Scope, ...]:
        return shapes.scopes(self.winner, self.with_shelf[child])

    def furnish(self, node: Node) -> None:
        super().furnish(node)
        for table in self.TABLES.values():
            run(node.db, node.db.engine.tables.create(table))
        self.server.put_triggers(node.db, node.name)
        if node.name in ("c2", "hq"):
            # Only some refuse such a payment, so that it is put aside at the first hop or at the second.
            shapes.execute(node.db, "ALTER TABLE {ax.PAYMENT} ADD CONSTRAINT {no_debts} CHECK ({AMOUNT} >= 0)")

    def fill(self) -> None:
        """A little master data, that is everywhere."""
        hq = self["hq"].db
        # Numbers below those of any ledger.
        for number in (1, 2, 3):
            for table in ("ITEM", "CARD"):
                row = (number, "first-%d" % number, -number)
                shapes.execute(hq, "INSERT INTO {ax.%s} ({ID}, {CODE}, {VALUE}) VALUES (?, ?, ?)" % table, *row)
            for table in ("CUSTOMER", "SHELF"):
                shapes.execute(hq, "INSERT INTO {ax.%s} ({ID}, {VALUE}) VALUES (?, ?)" % table, number, -number)
