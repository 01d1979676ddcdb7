# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a child has that its parent has not acknowledged: rows that would be lost with the child's database."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .._engine._errors import RetailError
from .._engine._model import Table, TableName
from .._engine._wire import Extract
from .._sync.acknowledged import extract_of
from .._sync.metadata import PARENT
from .state import Entry, Side

#: More tables than this are counted, not listed.
_LISTED = 5


def waiting(
    child: Side,
    ours: Mapping[str, Entry],
    theirs: Mapping[str, Entry] | None,
    only: Collection[TableName] | None = None,
) -> dict[TableName, int]:
    """How many rows of each table wait to go up; tables of which none waits are left out.

    :param ours: the child's rows of ``scope_info``.
    :param theirs: the parent's rows for this child; None: the parent cannot be asked, and what it acknowledged last
        decides.
    :param only: look at these tables of the scopes alone, and at no others.
    """
    db = child.place.db
    owners = {item.name: name for name, entry in ours.items() for item in entry.scope.tables}
    uploads = {name for name, owner in owners.items() if ours[owner].scope.uploads}
    # A run that was killed between two steps may have left tracked tables in no scope.
    asked = uploads | (set(child.tracked) - set(owners)) if only is None else uploads & set(only)
    tables = db.engine.tables.read(db, sorted(asked & set(child.tracked))) if asked else {}
    states = None if theirs is None else {name: entry.state for name, entry in theirs.items()}
    extracts = [
        extract_of(table, ours[owners[name]].scope, ours[owners[name]].state, states) if name in owners else _all(table)
        for name, table in tables.items()
    ]
    counts = db.engine.changes.backlog(db, extracts)
    return {name: count for name, (count, _age) in zip(tables, counts) if count}


def _all(table: Table) -> Extract:
    """Every row that was written here."""
    return Extract(table=table, columns=(), low=0, seen=None, not_origin=PARENT, with_deletes=False, base=0)


def refuse(counts: Mapping[TableName, int], who: str, where: str, verb: str) -> None:
    """Refuse to lose rows.

    :param counts: as :func:`waiting` gives them.
    :param who: the register; ``where``: its database, for the message; ``verb``: what is refused.
    :raises RetailError: there are such rows; the message names the register, the tables and how many.
    """
    if not counts:
        return
    listed = ["%s: %d" % (name, count) for name, count in sorted(counts.items())]
    if listed[_LISTED:]:
        listed = [*listed[:_LISTED], "and %d more tables" % (len(listed) - _LISTED)]
    total = sum(counts.values())
    raise RetailError(
        "%s is not %s: %d row%s in %s %s not been acknowledged by the channel database (%s)."
        % (who, verb, total, "" if total == 1 else "s", where, "has" if total == 1 else "have", ", ".join(listed)),
        "Let the sync service run until they have, or set the option force to lose them.",
    )


def refuse_aside(rows: int, who: str, verb: str) -> None:
    """Refuse to lose the only copy of rows that could not be stored, but for the one in quarantine, which nobody could retry.

    :param rows: how many of the register's are in quarantine in the channel database.
    :raises RetailError: there are such rows.
    """
    if rows:
        raise RetailError(
            "%s is not %s: %d row%s of it %s in quarantine in the channel database, which could not store %s."
            % (who, verb, rows, *(("", "is", "it") if rows == 1 else ("s", "are", "them"))),
            "Retry or discard what retail-sync quarantine lists, or set the option force to leave it there.",
        )
