# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that differ travel again, in the direction that their scope has, through the normal session.

Nothing is copied here. Rows are made changes of the side that is right, or of both where both have an image: then the rule of
conflicts decides, and the image that loses is kept in sync_conflict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

from .._engine._model import Table
from . import metadata
from .compare import DIFFERENT, Comparison, Difference
from .digesting import digests_of
from .metadata import PARENT, Scope
from .pair import Pair

Document = dict[str, Any]

#: Rows of one table that one run makes travel; another run goes on.
MOST = 50_000
_KEYS_A_STATEMENT = 500


def repair(pair: Pair, comparisons: list[Comparison]) -> list[Document]:
    """Make what differs travel again; returns what was done, an entry a row and side.

    What one transaction wrote is touched in one again. Interrupted, it may be run anew.
    """
    done = []
    for scope in pair.scopes:
        found = [one for one in comparisons if one.scope.name == scope.name]
        wanted = [
            (side, comparison, one)
            for comparison in found
            for one in comparison.found
            if one.status == DIFFERENT
            for side in sides_of(scope, one)
        ]
        for side in ("child", "parent"):
            _touch(pair, side, [(comparison, one) for at, comparison, one in wanted if at == side])
        done += [_described(side, comparison, one) for side, comparison, one in wanted]
    return done


def bury(pair: Pair, comparisons: list[Comparison]) -> list[Document]:
    """Rows that a TRUNCATE has taken from one side, and that the other one does not have either, become deletions there; called
    after :func:`repair`.

    :return: an entry a table and side. ``rows``: how many became deletions; ``left``: how many did not, since another child or
        the parent's parent may have them; ``more``: there are others, which are for another run.
    """
    done = []
    for one in comparisons:
        for side in ("child", "parent"):
            said = _bury_whole(pair, one) if side == "child" and not one.scope.downloads else _bury(pair, side, one)
            if said["rows"] or said["left"]:
                done.append({"scope": one.scope.name, "table": str(one.shared.name), "side": side, **said})
    return done


def _bury_whole(pair: Pair, one: Comparison) -> Document:
    """At the child of a scope that goes up alone. What never went up nobody has, and need not wait; what did the parent keeps, as
    it keeps what the child purges."""
    table = one.shared.child
    gone = [row.wire for row in one.found if row.status == DIFFERENT and row.child.digest is None]
    if one.scope.uploads_deletes:
        return {"rows": 0, "left": len(gone), "more": False}
    _make_deletions(pair.child, table, gone)
    lost = pair.child.engine.repairs.orphans(pair.child, [table])[0]
    rows = pair.child.engine.repairs.bury(pair.child, table) if lost else 0
    return {"rows": len(gone) + rows, "left": 0, "more": False}


def _bury(pair: Pair, side: str, one: Comparison) -> Document:
    db, table = (pair.child, one.shared.child) if side == "child" else (pair.parent, one.shared.parent)
    lost = db.engine.repairs.lost(db, table, MOST)
    # What the other side has is to come again.
    nowhere = _absent(pair, "parent" if side == "child" else "child", one, [wire for wire, _origin in lost])
    ours = _nobody_else(pair, side, one)
    wanted = [wire for wire, origin in lost if wire in nowhere and ours(origin)]
    _make_deletions(db, table, wanted)
    return {"rows": len(wanted), "left": len(nowhere) - len(wanted), "more": len(lost) == MOST}


def _make_deletions(db: Any, table: Table, keys: list[str]) -> None:
    for start in range(0, len(keys), _KEYS_A_STATEMENT):
        with db.transaction():
            db.engine.repairs.touch(db, table, keys[start : start + _KEYS_A_STATEMENT], born=False, alone=True)


def _absent(pair: Pair, side: str, one: Comparison, keys: list[str]) -> set[str]:
    """Those of the keys of which a side has no row, or none for the other side."""
    db = pair.child if side == "child" else pair.parent
    digests = digests_of(pair.child.engine, pair.parent.engine, one.shared, one.scope.downloads, [])
    found: set[str] = set()
    for start in range(0, len(keys), _KEYS_A_STATEMENT):
        part = keys[start : start + _KEYS_A_STATEMENT]
        seen = db.engine.digests.look(db, digests[side], None, part)
        found.update(wire for wire, one_side in zip(part, seen) if one_side.digest is None)
    return found


def _nobody_else(pair: Pair, side: str, one: Comparison) -> Callable[[int | None], bool]:
    """Whether a row of some origin, which a side has lost and the other one does not have, can be nowhere else."""
    db, other = (pair.child, PARENT) if side == "child" else (pair.parent, pair.downwards.peer_id)
    if one.scope.uploads and one.scope.downloads:
        alone = not any(_shares(db, peer.peer_id, one) for peer in metadata.read_peers(db) if peer.peer_id != other)
        return lambda _origin: alone
    if not one.scope.downloads:
        return lambda origin: origin in (None, other)
    # What goes down alone is the parent's own, unless it came from further up; a child has nothing that its parent has not.
    return lambda origin: side == "child" or origin is None


def _shares(db: Any, peer: int, one: Comparison) -> bool:
    scopes = metadata.read_scopes(db, peer)
    return any(table.name == one.shared.name for scope in scopes for table in scope.tables)


def sides_of(scope: Scope, one: Difference) -> tuple[str, ...]:
    """Of which sides the row, or its deletion, has to be a change now."""
    if not scope.downloads:
        if one.child.digest is None:
            # Nothing comes down, and nothing is to be deleted above: see bury.
            return ()
        # What the parent has in its place is to be judged, not just written over.
        return ("child",) if one.parent.digest is None else ("child", "parent")
    if one.child.digest is None and not one.child.tombstone:
        return ("parent",)
    if scope.uploads and one.parent.digest is None and not one.parent.tombstone:
        return ("child",)
    return ("child", "parent")


def _touch(pair: Pair, side: str, rows: list[tuple[Comparison, Difference]]) -> None:
    db = pair.child if side == "child" else pair.parent
    units: dict[Any, list[tuple[Comparison, Difference]]] = {}
    for comparison, one in rows:
        units.setdefault((one.child if side == "child" else one.parent).unit, []).append((comparison, one))
    for unit, members in units.items():
        if unit is not None and unit > 0:
            with db.transaction():
                for group in _groups(side, members, None):
                    db.engine.repairs.touch(db, *group, alone=False)
            continue
        # Nobody knows what was written together: each row stands alone, so that a bad one does not hold others up.
        for group in _groups(side, members, _KEYS_A_STATEMENT):
            with db.transaction():
                db.engine.repairs.touch(db, *group, alone=True)


def _groups(
    side: str, rows: list[tuple[Comparison, Difference]], size: int | None
) -> Iterator[tuple[Table, list[str], bool]]:
    """The arguments of touch: the table, keys and whether the other side never had them, in parts of ``size`` keys."""
    groups: dict[tuple[str, bool], tuple[Table, list[str]]] = {}
    for comparison, one in rows:
        table = comparison.shared.child if side == "child" else comparison.shared.parent
        other = one.parent if side == "child" else one.child
        born = other.digest is None and not other.tracked
        groups.setdefault((str(table.name), born), (table, []))[1].append(one.wire)
    for (_name, born), (table, keys) in groups.items():
        for start in range(0, len(keys), size or len(keys)):
            yield table, sorted(keys[start : start + (size or len(keys))]), born


def _described(side: str, comparison: Comparison, one: Difference) -> Document:
    return {
        "scope": comparison.scope.name,
        "table": str(comparison.shared.name),
        "key": comparison.key_of(one),
        "what": one.what,
        "side": side,
    }
