# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On which servers a database has been, in their order, as far as sessions and services have met it there.

What a peer has taken is known by the versions of the server on which it took it. A database may come to another server, and
from there to a third one, or back, before the peer is heard of again: what was written on the one in between has versions of its own
there, and looks as if it had been taken long ago. So whoever opens a database notes where it is, and for each scope where its versions
were fitted last; see ``anew.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from . import ages
from .metadata import SCOPE, UPKEEP

_LOCK = "axops.retail:homes"
_TASK = "homes"


@dataclass
class Homes:
    """``trail``: the incarnations, the present one last. ``fitted``: on which of them the versions of a scope mean what its peer
    knows; what is not named came to be on the last."""

    continues: Callable[[str, str], bool]
    trail: list[str] = field(default_factory=list)
    fitted: dict[str, str] = field(default_factory=dict)

    def came(self, peer_id: int, scope: str) -> bool:
        """Whether the versions of a scope are those of another server."""
        return self._leaves(peer_id, scope, len(self.trail))

    def strayed(self, peer_id: int, scope: str) -> bool:
        """Whether the database has been on yet another server in between, so that its versions do not say what the peer has taken."""
        return self._leaves(peer_id, scope, len(self.trail) - 1)

    def speaks_of(self, peer_id: int, scope: str, incarnation: str) -> bool:
        """Whether the versions of a scope are those that the peer knows, for whom this is the database ``incarnation``."""
        known = self.fitted.get(_key(peer_id, scope))
        return known is None or self.continues(known, incarnation)

    def _leaves(self, peer_id: int, scope: str, end: int) -> bool:
        known = self.fitted.get(_key(peer_id, scope))
        if known is None:
            return False
        after = len(self.trail) - self.trail[::-1].index(known) if known in self.trail else 0
        return any(not self.continues(known, one) for one in self.trail[after:end])


def note(db: Any) -> None:
    """Note where the database is."""
    here, known = db.engine.marks.incarnation(db), read(db)
    if known.trail[-1:] == [here] or not db.engine.tables.read(db, [UPKEEP]):
        return
    if not known.trail:
        # Who meets it in the same moment would note the same.
        with db.engine.locks.held(db, _LOCK) as taken:
            if taken:
                _begin(db, here)
        return
    with db.transaction():
        known = hold(db)
        if known.trail[-1:] != [here]:
            _append(db, known, here)


def _begin(db: Any, here: str) -> None:
    if not read(db).trail:
        with db.transaction():
            ages.put(db, _TASK, {"trail": [here], "fitted": {}})


def _append(db: Any, known: Homes, here: str) -> None:
    scopes = db.query("SELECT peer_id, sync_scope_name FROM %s" % _name(db, SCOPE))
    # What came since the move before came to be on the last server.
    fitted = {key: known.fitted.get(key, known.trail[-1]) for key in (_key(*row) for row in scopes)}
    _write(db, replace(known, trail=[*known.trail, here], fitted=fitted))


def read(db: Any) -> Homes:
    """What has been noted."""
    there = db.engine.tables.read(db, [UPKEEP])
    said = db.value("SELECT said FROM %s WHERE task = ?" % _name(db, UPKEEP), _TASK) if there else None
    return Homes(db.engine.marks.continues, **({} if said is None else json.loads(said)))


def hold(db: Any) -> Homes:
    """The same, and nobody changes it until the caller's transaction ends."""
    if db.engine.tables.read(db, [UPKEEP]):
        db.execute("UPDATE %s SET done = %s WHERE task = ?" % (_name(db, UPKEEP), db.engine.tracking.NOW), _TASK)
    return read(db)


def fit(db: Any, peer_id: int, scope: str) -> None:
    """The versions of a scope's tables have been fitted to the present server; in the caller's transaction."""
    known = hold(db)
    if known.trail:
        known.fitted[_key(peer_id, scope)] = known.trail[-1]
        _write(db, known)


def _write(db: Any, homes: Homes) -> None:
    said = json.dumps({"trail": homes.trail, "fitted": homes.fitted}, sort_keys=True)
    db.execute("UPDATE %s SET said = ? WHERE task = ?" % _name(db, UPKEEP), said, _TASK)


def _key(peer_id: int, scope: str) -> str:
    return "%d %s" % (peer_id, scope)


def _name(db: Any, table: Any) -> str:
    return db.engine.names.quote(*table)
