# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A history of filtered rows: HQ writes rows and what decides about them, in transactions that overlap; channels take them in
sessions that are cut off anywhere. In the end each channel has what its filters let through, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fleet_shapes as shapes
from filtered_fleet import CHANNELS, WANTED, Filtered
from fleet import Work, Workshop
from fleet_checks import check_quiet
from fleet_steps import Steps


class FilteredHistory(Steps):
    """One history of HQ and two channel databases."""

    FLEET = Filtered
    fleet: Filtered

    def __init__(self, workshop: Workshop, winner: str = "parent") -> None:
        super().__init__(workshop, winner)
        self._value = 0

    def put(
        self, where: str, till: int, table: str, key: int, channel: int | None = None, then: str = "commit"
    ) -> None:
        """Insert a row, or change the one there is.

        :param channel: whose it becomes: 0 of nobody, None of the one whose it is.
        """

        def deed(work: Work) -> None:
            self._value += 1
            values: dict[str, Any] = {"VALUE": self._value}
            if channel is not None and table != "ITEM":
                values["CHANNEL"] = channel or None
            settings = ", ".join("{%s} = ?" % name for name in values)
            if not shapes.execute(
                work.db, "UPDATE {ax.%s} SET %s WHERE {ID} = ?" % (table, settings), *values.values(), key
            ):
                _insert(work, table, {"ID": key, **values})

        self._till(where, till, deed, then)

    def remove(self, where: str, till: int, table: str, key: int, then: str = "commit") -> None:
        """Delete a row."""
        self._till(
            where, till, lambda work: shapes.execute(work.db, "DELETE FROM {ax.%s} WHERE {ID} = ?" % table, key), then
        )

    def link(self, till: int, item: int, group: int, then: str = "commit") -> None:
        """An item comes to a group of HQ's, or leaves it."""
        self._turn(till, "LINK", {"ITEM": item, "GRP": group}, then)

    def group(self, till: int, group: int, channel: int, then: str = "commit") -> None:
        """A channel gets a group, or loses it."""
        self._turn(till, "GRP", {"GRP": group, "CHANNEL": channel}, then)

    def _turn(self, till: int, table: str, row: dict[str, int], then: str) -> None:
        """A member that is there goes, one that is not comes."""

        def deed(work: Work) -> None:
            where = " AND ".join("{%s} = ?" % name for name in row)
            if not shapes.execute(work.db, "DELETE FROM {ax.%s} WHERE %s" % (table, where), *row.values()):
                _insert(work, table, row)

        self._till("hq", till, deed, then)

    def check(self) -> None:
        self._end_all()
        check_quiet(self, self.fleet.settle())
        for child, channel in CHANNELS.items():
            for table, condition in WANTED.items():
                wanted = self._rows("hq", table, condition % channel)
                found = self._rows(child, table)
                assert found == wanted, "%s of %s: there is %s, wanted is %s" % (table, child, found, wanted)
        for name in self.fleet.NODES:
            aside = shapes.query(self.fleet[name].reader, "SELECT {row_image} FROM {dbo.sync_quarantine}")
            assert aside == [], "put aside at %s: %s" % (name, aside)

    def _rows(self, where: str, table: str, condition: str = "1 = 1") -> list[tuple[Any, ...]]:
        columns = ", ".join("{%s}" % column.name for column in self.fleet.TABLES[table].columns)
        rows = shapes.query(self.fleet[where].reader, "SELECT %s FROM {ax.%s} WHERE %s" % (columns, table, condition))
        return sorted(rows, key=repr)


def _insert(work: Work, table: str, row: dict[str, Any]) -> None:
    columns: Sequence[str] = ["{%s}" % name for name in row]
    marks = ", ".join("?" for _name in row)
    shapes.execute(work.db, "INSERT INTO {ax.%s} (%s) VALUES (%s)" % (table, ", ".join(columns), marks), *row.values())
