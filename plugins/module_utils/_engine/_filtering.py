# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters in SQL that every engine understands; what differs are quotes, literals and how a version is compared.

A row can come under a filter, or out of it, without being touched itself: by a change of the rows that say who is a member.
Both the change and the row may be in transactions that do not see each other, so no trigger could tell which rows are
concerned. The triggers therefore only log what changed (:class:`_filter.Moves`), and the rows are found when they are
extracted, in a snapshot that sees all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from ._filter import Condition, Member, Moves, member_moves, own_moves
from ._model import TableName
from ._wire import Extract


class Filtering:
    """The phrases about one filtered extract. Aliases: r the row, c a candidate.

    :param names, marks: the speaker's modules.
    :param tracking_table: the name of the table's tracking table.
    """

    def __init__(self, extract: Extract, names: ModuleType, marks: ModuleType, tracking_table: TableName) -> None:
        self.extract = extract
        self.names = names
        self.marks = marks
        self.base = names.quote(*extract.table.name)
        self.tracking = names.quote(*tracking_table)
        self.keys = [names.quote(name) for name in extract.table.primary_key]
        self._aliases = 0

    def matching(self, alias: str) -> str:
        """SQL: the row of ``alias`` is under the filter now."""
        return self._all(self.extract.filter, alias, former=False)

    def candidates(self) -> str:
        """SQL: a SELECT of the keys that may have to travel, each once.

        ``moved``: 1 where the row came under the filter since the receiver took the changes, or was under it then, and so has to
        go there as what it is now; ``other``: 1 where it was not the receiver that changed it.
        """
        parts = [self._changed(), self._left(), *self._concerned()]
        return "SELECT %s, MAX(u.moved) AS moved, MAX(u.other) AS other FROM (%s) u GROUP BY %s" % (
            self._key_list("u"), " UNION ALL ".join(parts), self._key_list("u"),
        )  # fmt: skip

    @property
    def version(self) -> str:
        """SQL: the version of a candidate c, t being its tracking row. A row that never changed itself says no more than what the
        receiver knows already: it derives from no later change of it."""
        return "COALESCE(%%s, %d)" % max(0, int(self.extract.low or 0) - 1)

    def travels(self) -> str:
        """SQL: whether a candidate c has something for the receiver; r is its row where it is under the filter."""
        there = "r.%s IS NOT NULL" % self.keys[0]
        if self.extract.sends_strays:
            return "(NOT (%s) OR c.other = 1 OR c.moved = 1)" % there
        return "(%s AND c.other = 1 OR c.moved = 1)" % there

    def _changed(self) -> str:
        """What changed here. In a scope that also goes up the receiver may have made a row that is not for it."""
        other = "CASE WHEN t.origin = %d THEN 0 ELSE 1 END" % int(self.extract.not_origin)
        return "SELECT %s, 0 AS moved, %s AS other FROM %s t WHERE %s" % (
            self._key_list("t"), other, self.tracking, self._newer("t.version"),
        )  # fmt: skip

    def _left(self) -> str:
        """Rows that are gone, or whose columns changed, and that were under the filter before."""
        log = self._log(own_moves(self.extract.table, self.extract.filter))
        return "SELECT %s, 1 AS moved, 1 AS other FROM %s g WHERE %s AND %s" % (
            self._key_list("g"), log, self._newer("g.version"), self._all(self.extract.filter, "g", former=True),
        )  # fmt: skip

    def _concerned(self) -> list[str]:
        """Rows that stand still while who is a member changes."""
        parts = []
        for condition in self.extract.filter:
            if condition.member is None:
                continue
            # The logs are asked first: as long as nothing changed, no row is looked at.
            gates = " OR ".join(self._has_moved(member) for member in _chain(condition.member))
            parts.append(
                "SELECT %s, 1 AS moved, 1 AS other FROM %s r WHERE (%s) AND %s AND %s"
                % (
                    self._key_list("r"), self.base, gates,
                    self._all(self.extract.filter, "r", former=True), self._affected(condition, "r"),
                )
            )  # fmt: skip
        return parts

    def _has_moved(self, member: Member) -> str:
        alias = self._alias()
        log = self._log(member_moves(member))
        return "EXISTS (SELECT 1 FROM %s %s WHERE %s)" % (log, alias, self._newer("%s.version" % alias))

    def _all(self, conditions: Sequence[Condition], alias: str, former: bool) -> str:
        """SQL: all conditions hold for ``alias``; with ``former``, members that went since the anchor still count."""
        if not conditions:
            return "1 = 1"
        return "(%s)" % " AND ".join(self._holds(condition, alias, former) for condition in conditions)

    def _holds(self, condition: Condition, alias: str, former: bool) -> str:
        column = "%s.%s" % (alias, self.names.quote(condition.column))
        parts = []
        if condition.values:
            parts.append("%s IN (%s)" % (column, ", ".join(self.names.literal(value) for value in condition.values)))
        if condition.member is not None:
            parts.append("%s IN (%s)" % (column, self._members(condition.member, former)))
        return "(%s)" % (" OR ".join(parts) or "1 = 0")

    def _members(self, member: Member, former: bool) -> str:
        now = self._named(member, self.names.quote(*member.table), former)
        return now + " UNION ALL " + self._moved_members(member) if former else now

    def _moved_members(self, member: Member) -> str:
        return self._named(member, self._log(member_moves(member)), former=True, newer_only=True)

    def _named(self, member: Member, source: str, former: bool, newer_only: bool = False) -> str:
        alias = self._alias()
        newer = " AND " + self._newer("%s.version" % alias) if newer_only else ""
        return "SELECT {a}.{column} FROM {source} {a} WHERE {where}{newer}".format(
            a=alias, column=self.names.quote(member.column), source=source, newer=newer,
            where=self._all(member.where, alias, former),
        )  # fmt: skip

    def _affected(self, condition: Condition, alias: str) -> str:
        """SQL: ``alias`` became a member since the anchor, or was one and is none any more, by this condition."""
        column = "%s.%s" % (alias, self.names.quote(condition.column))
        member = condition.member
        if member is None:
            return "1 = 0"
        inner = self._alias()
        deeper = " OR ".join(self._affected(one, inner) for one in member.where if one.member is not None)
        parts = [self._moved_members(member)]
        if deeper:
            parts.append(
                "SELECT {a}.{column} FROM {table} {a} WHERE {where} AND ({deeper})".format(
                    a=inner, column=self.names.quote(member.column), table=self.names.quote(*member.table),
                    where=self._all(member.where, inner, former=True), deeper=deeper,
                )
            )  # fmt: skip
        return "%s IN (%s)" % (column, " UNION ALL ".join(parts))

    def _newer(self, column: str) -> str:
        return self.marks.newer_than(column, self.extract.low or 0, self.extract.seen)

    def _log(self, moves: Moves) -> str:
        return self.names.quote(*moves.name)

    def _key_list(self, alias: str) -> str:
        return ", ".join("%s.%s" % (alias, key) for key in self.keys)

    def _alias(self) -> str:
        self._aliases += 1
        return "m%d" % self._aliases


def _chain(member: Member) -> list[Member]:
    """A membership and those that it depends on."""
    return [member] + [one for condition in member.where if condition.member for one in _chain(condition.member)]
