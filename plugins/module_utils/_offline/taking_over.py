# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking over a register that Microsoft's utility has provisioned: what must be true before, and who is left behind.

How far Sync Framework has come stands in a knowledge that only its own library reads. So nobody asks it: the rows themselves
are compared. What the register has and the channel database has not, or has otherwise, has not been uploaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._engine import _framework
from .._engine._errors import RetailError
from .._engine._framework import Tracked
from .._engine._model import TableName
from .._plan import Plan
from .._sync import log
from .._sync.digesting import digests_of
from .._sync.metadata import LOG, Scope
from .._sync.pair import APPLICATION_NAME, SharedTable, shared_table
from .state import Side, refuse_framework

#: More tables than this are counted, not listed.
_LISTED = 10
_ROWS_A_PORTION = 20_000
_MOST_PORTIONS = 65_536
_KEYS_A_LOOK = 500


@dataclass
class Left:
    """What a table of the register has that the channel database has not. ``deleted``: rows that the register deleted, in a scope
    in which deletions go up, and the channel database still has."""

    missing: int = 0
    different: int = 0
    deleted: int = 0

    def __bool__(self) -> bool:
        return bool(self.missing or self.different or self.deleted)

    def __str__(self) -> str:
        return ", ".join("%d %s" % (number, what) for what, number in vars(self).items() if number)


def check(child: Side, parent: Side, scopes: Sequence[Scope], who: str, force: bool) -> None:
    """See that the register can be taken over; nothing to do where Sync Framework tracks nothing there any more.

    :param who: the register, for the message.
    :param force: go on although rows have not been uploaded: they are by the first session of ours.
    :raises RetailError: Microsoft's service is still at work, or rows have not been uploaded.
    """
    if not child.framework:
        return
    db = child.place.db
    hosts = db.engine.framework.connected(db, APPLICATION_NAME)
    if hosts:
        raise RetailError(
            "%s is not taken over: Microsoft's service is connected to %s (from %s)."
            % (who, db.target.where, ", ".join(host or "this host" for host in hosts)),
            "Stop it on the register, and keep it from starting again; then run this again.",
        )
    found = {} if force else left(child, parent, scopes)
    if found:
        listed = ["%s: %s" % (name, found[name]) for name in sorted(found)]
        if listed[_LISTED:]:
            listed = [*listed[:_LISTED], "and %d more tables" % (len(listed) - _LISTED)]
        raise RetailError(
            "%s is not taken over: rows in %s have not been uploaded to the channel database (%s)."
            % (who, db.target.where, "; ".join(listed)),
            "Let Microsoft's service run until they are; or set the option force, and the first session of ours uploads them.",
        )


def left(child: Side, parent: Side, scopes: Sequence[Scope]) -> dict[TableName, Left]:
    """What has not been uploaded, by table, of those tables that go up and that Sync Framework tracks at the register.

    In a table that comes down as well, what the register has received and not changed since is the channel database's affair.
    A table that is not tracked by it any more was looked at by the run that took its tracking away. And where the channel database
    has no scopes of it any more, its service can bring nothing there: rows that are missing are uploaded by the first session of
    ours, for it begins with all that the register has.
    """
    found = {}
    ours_alone = not parent.framework.scopes
    for scope in scopes:
        for item in scope.tables if scope.uploads else ():
            tracked = child.framework.tables.get(item.name)
            if tracked is None or item.name not in child.tables:
                continue
            shared = shared_table(item, child.tables, parent.tables)
            result = _Table(child.place.db, parent.place.db, scope, shared, tracked).look()
            result.missing = 0 if ours_alone else result.missing
            if result:
                found[item.name] = result
    return found


class _Table:
    """One table, on both sides."""

    def __init__(self, child: Any, parent: Any, scope: Scope, shared: SharedTable, tracked: Tracked) -> None:
        self.child, self.parent = child, parent
        self.scope, self.shared, self.tracked = scope, shared, tracked
        self.digests = digests_of(child.engine, parent.engine, shared, False, [])

    def look(self) -> Left:
        result = Left()
        for part in self._rows():
            keys = [wire for _digest, wire in part]
            theirs = self._theirs(keys)
            differing = [place for place, (ours, _wire) in enumerate(part) if ours != theirs[place]]
            if self.scope.downloads and differing:
                differing = sorted(set(differing) - self._received(keys))
            result.missing += sum(theirs[place] is None for place in differing)
            result.different += sum(theirs[place] is not None for place in differing)
        if self.scope.uploads_deletes and self.tracked.tracking is not None:
            gone = self.child.engine.framework.deleted(self.child, self.shared.child, self.tracked)
            for start in range(0, len(gone), _KEYS_A_LOOK):
                there = self._theirs(gone[start : start + _KEYS_A_LOOK])
                result.deleted += sum(digest is not None for digest in there)
        return result

    def _rows(self) -> Iterator[list[tuple[str, str]]]:
        """The rows of the register that may differ, as digest and key."""
        engine = self.child.engine
        rows, number = engine.changes.count(self.child, [self.shared.name])[0], 1
        while number < min(_MOST_PORTIONS, rows / _ROWS_A_PORTION):
            number *= 16
        portions = engine.digests.buckets(self.child, self.digests["child"], number)
        theirs = {}
        if self.scope.downloads:  # the channel database has other registers' rows besides, where it only takes them
            theirs = self.parent.engine.digests.buckets(self.parent, self.digests["parent"], number)
        for one in sorted(portion for portion in portions if portions[portion] != theirs.get(portion)):
            members = engine.digests.members(self.child, self.digests["child"], number, [one])
            for start in range(0, len(members), _KEYS_A_LOOK):
                yield [row[1:] for row in members[start : start + _KEYS_A_LOOK]]

    def _theirs(self, keys: Sequence[str]) -> list[str | None]:
        return self.parent.engine.digests.images(self.parent, self.digests["parent"], keys)

    def _received(self, keys: Sequence[str]) -> set[int]:
        if self.tracked.tracking is None:
            return set()
        return self.child.engine.framework.received(self.child, self.shared.child, self.tracked, keys)


def others(db: Any, registers: Collection[str]) -> list[str]:
    """The registers that have synchronised with a channel database by its log, but for those named."""
    if LOG not in db.engine.tables.read(db, [LOG]):
        return []
    return sorted(set(log.terminals(db)) - set(registers))


def warn_of_others(names: Sequence[str]) -> str:
    """What to tell of registers that are left behind."""
    return (
        "By RETAILOFFLINESYNCLOG these registers have synchronised with the channel database, too: %s. Microsoft's service on "
        "them cannot any more; they keep their rows. Take over those that still exist." % ", ".join(names)
    )


# ---- the channel database on its own


def check_changes(db: Any, tables: Mapping[TableName, Any], plan: Plan, upgrades: bool) -> None:
    """See that nothing of what Sync Framework relies on changes.

    :param tables: all tables of the database.
    :param plan: the steps that bring the schema to its release.
    :param upgrades: whether its release changes.
    :raises RetailError: a register that has not uploaded could not do so any more.
    """
    if not _framework.is_provisioned(tables):
        return
    tracked = {str(name) for name in db.engine.framework.read(db).tables}
    changed = sorted({step.path[1] for step in plan.steps if step.path[0] == "tables"} & tracked)
    if upgrades or changed:
        refuse_framework(db.target.where)


def check_removal(db: Any, name: str) -> None:
    """See that no register of Microsoft's loses the database that it uploads to.

    :raises RetailError: it has been provisioned by Sync Framework.
    """
    if _framework.is_provisioned(db.engine.tables.read(db)):
        raise RetailError(
            "The database %s is not removed: it has been provisioned by Microsoft Sync Framework, and only its registers know "
            "what they have not uploaded." % name,
            "Take the store over, or see yourself that nothing is left, and set force.",
        )
