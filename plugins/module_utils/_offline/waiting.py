# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a child has that its parent has not acknowledged: rows that would be lost with the child's database."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .._engine._errors import RetailError
from .._engine._model import Table, TableName
from .._engine._wire import Extract
from .._sync.metadata import PARENT, Scope, ScopeState
from .state import Entry, Side

#: More tables than this are counted, not listed.
_LISTED = 5


def waiting(
    child: Side, ours: Mapping[str, Entry], theirs: Mapping[str, Entry], only: Collection[TableName] | None = None
) -> dict[TableName, int]:
    """How many rows of each table wait to go up; tables of which none waits are left out.

    :param ours: the child's rows of ``scope_info``.
    :param theirs: the parent's rows for this child: how far it has taken each scope. Where it has none, or cannot be
        asked, what it acknowledged last decides, so that rows it has may be counted too, and none is forgotten.
    :param only: look at these tables of the scopes alone, and at no others.
    """
    db = child.place.db
    wanted: dict[TableName, tuple[Scope, ScopeState, bool]] = {}
    for name, entry in ours.items():
        known = theirs.get(name)
        state = known.state if known else entry.state
        for item in entry.scope.tables if entry.scope.uploads else ():
            wanted[item.name] = (entry.scope, state, known is not None)
    listed = {item.name for entry in ours.values() for item in entry.scope.tables}
    # A run that was killed between two steps may have left tracked tables in no scope.
    strays = set(child.tracked) - listed if only is None else set()
    names = sorted(name for name in {*wanted, *strays} if name in child.tracked and (only is None or name in only))
    tables = db.engine.tables.read(db, names) if names else {}
    asked = [name for name in names if name in tables]
    extracts = [_extract(tables[name], *wanted.get(name, (None, None, False))) for name in asked]
    counts = db.engine.changes.backlog(db, extracts)
    return {name: count for name, (count, _age) in zip(asked, counts) if count}


def _extract(table: Table, scope: Scope | None, state: ScopeState | None, known: bool) -> Extract:
    low, seen = 0, None
    if state is not None and known:
        anchor = state.anchor_in or 0
        # What has landed is not taken yet; and of a table that came to the scope later, less was taken than of the others.
        low = min(anchor, state.landing.get(str(table.name), anchor) or 0)
        seen = state.anchor_seen if low == anchor else None
    elif state is not None:
        low = state.acked_out or 0
    deletes = scope is not None and scope.uploads_deletes
    return Extract(table=table, columns=(), low=low, seen=seen, not_origin=PARENT, with_deletes=deletes, base=0)


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
