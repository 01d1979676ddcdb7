# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HQ and two channel databases that receive filtered rows: own ones, those of a group that they belong to, and cards both ways."""

from __future__ import annotations

from fleet import Fleet, Node, run
from fleet_shapes import execute, table

from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Condition, Member
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable

#: The channel of each child, by which the filters tell its rows.
CHANNELS = {"c1": 1, "c2": 2}
#: The keys of items, of rows of one's own, and of cards.
KEYS = (1, 2, 3, 4)

OWN = table("OWN", "ID", ID="bigint not null", CHANNEL="bigint", VALUE="int not null")
ITEM = table("ITEM", "ID", ID="bigint not null", VALUE="int not null")
LINK = table("LINK", "ITEM GRP", ITEM="bigint not null", GRP="bigint not null")
GRP = table("GRP", "GRP CHANNEL", GRP="bigint not null", CHANNEL="bigint not null")
CARD = table("CARD", "ID", ID="bigint not null", CHANNEL="bigint", VALUE="int not null")
TABLES = {one.name.name: one for one in (OWN, ITEM, LINK, GRP, CARD)}
#: What each channel has to have in the end, in plain SQL.
WANTED = {
    "OWN": "{CHANNEL} = %d",
    "CARD": "{CHANNEL} = %d",
    "ITEM": "{ID} IN (SELECT l.{ITEM} FROM {ax.LINK} l JOIN {ax.GRP} g ON g.{GRP} = l.{GRP} WHERE g.{CHANNEL} = %d)",
}
SCOPES = ("down", "both")


class Filtered(Fleet):
    """The three databases of one history."""

    PARENTS, NODES, ROUND, TABLES = dict.fromkeys(CHANNELS, "hq"), ("hq", *CHANNELS), tuple(CHANNELS), TABLES

    def scopes(self, child: str) -> tuple[Scope, ...]:
        own = (Condition("CHANNEL", (str(CHANNELS[child]),)),)
        group = Member(GRP.name, "GRP", own)
        items = (Condition("ID", member=Member(LINK.name, "ITEM", (Condition("GRP", member=group),))),)
        down = (ScopeTable(OWN.name, "parent", own), ScopeTable(ITEM.name, "parent", items))
        return (
            Scope("down", "download", down, 0, 1, 1),
            Scope("both", "bidirectional", (ScopeTable(CARD.name, self.winner, own),), 0, 2, 2, True),
        )

    def furnish(self, node: Node) -> None:
        """The channels get their tables when they are provisioned."""
        super().furnish(node)
        for one in self.TABLES.values() if node.name == "hq" else ():
            run(node.db, node.db.engine.tables.create(one))

    def fill(self) -> None:
        """Items of which each channel has some, by groups that overlap, and a row and a card of each channel and of nobody."""
        hq = self["hq"].db
        rows: dict[str, list[tuple[int | None, ...]]] = {
            "ITEM": [(key, -key) for key in KEYS],
            "LINK": [(1, 1), (2, 1), (2, 2), (3, 2)],
            "GRP": [(1, 1), (2, 2)],
            "OWN": [(key, channel, -key) for key, channel in zip(KEYS, (1, 2, None))],
            "CARD": [(key, channel, -key) for key, channel in zip(KEYS, (1, 2, None))],
        }
        for name, wanted in rows.items():
            columns = ", ".join("{%s}" % column.name for column in self.TABLES[name].columns)
            marks = ", ".join("?" for _column in self.TABLES[name].columns)
            for row in wanted:
                execute(hq, "INSERT INTO {ax.%s} (%s) VALUES (%s)" % (name, columns, marks), *row)
