# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All scopes of a pair, again and again until nothing is pending: what a person runs by hand, or a playbook."""

from __future__ import annotations

import time
from typing import Any

from .._engine._errors import RetailError, StatementFailed
from . import log, metadata, session
from .config import ServiceConfig
from .link import Link
from .metadata import PARENT, Scope
from .pair import Pair
from .status import Document

#: Rounds without any movement after which what still waits is left to a later run: another process has to act first.
_PATIENCE = 5
_PAUSE = 0.5


def run(config: ServiceConfig) -> Document:
    """Run every scope until nothing is pending.

    :raises RetailError: a side cannot be reached, or the two do not belong together.
    """
    with Link(config, heals=True) as link:
        pair = link.pair()
        pair.preload(pair.scopes)
        rounds = _Rounds(pair)
        rounds.run()
        return {
            "name": config.name,
            "scopes": [rounds.totals[scope.name] for scope in pair.scopes],
            "waiting": rounds.waiting,
            "problems": ["%s: %s" % item for item in rounds.failed.items()],
        }


class _Rounds:
    """One pending scope after the other, until none is left."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.totals: dict[str, Document] = {scope.name: _nothing(scope) for scope in pair.scopes}
        self.failed: dict[str, str] = {}
        self.waiting: list[str] = []

    def run(self) -> None:
        still = 0
        while still < _PATIENCE:
            scopes = self._pending()
            self.waiting = [scope.name for scope in scopes]
            if not scopes:
                return
            moved = sum([self._session(scope) for scope in scopes])
            still = 0 if moved else still + 1
            if not moved and still > 1:
                time.sleep(_PAUSE)

    def _pending(self) -> list[Scope]:
        return [scope for scope in self.pair.scopes if scope.name not in self.failed and self._is_pending(scope)]

    def _is_pending(self, scope: Scope) -> bool:
        try:
            return bool(session.pending(self.pair, [scope]))
        except RetailError as error:
            self._note(scope, error)
            return False

    def _session(self, scope: Scope) -> int:
        try:
            done = session.run(self.pair, scope)
        except RetailError as error:
            self._note(scope, error)
            return 0
        _add(self.totals[scope.name], done)
        return sum(way.rows for way in (done.up, done.down) if way)

    def _note(self, scope: Scope, error: RetailError) -> None:
        if isinstance(error, StatementFailed) and error.kind == "lost":
            raise error
        self.failed[scope.name] = str(error)
        metadata.note_error(self.pair.child, PARENT, scope.name, str(error), log.now())


def _nothing(scope: Scope) -> Document:
    nothing = {"rows": 0, "moved": 0, "conflicts": 0, "quarantined": 0}
    return {
        "name": scope.name,
        "sessions": 0,
        "upload": dict(nothing) if scope.uploads else None,
        "download": dict(nothing) if scope.downloads else None,
    }


def _add(total: Document, done: session.Session) -> None:
    total["sessions"] += 0 if done.busy else 1
    for name, way in (("upload", done.up), ("download", done.down)):
        if way is not None:
            _add_way(total[name], way)


def _add_way(total: Document, way: Any) -> None:
    total["rows"] += way.rows
    total["moved"] += way.outcome.moved
    total["conflicts"] += way.outcome.conflicts
    total["quarantined"] += way.quarantined
