# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens between two statements of a session: a kill, a cut connection, a till, a reader."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database


class Killed(BaseException):
    """The process ends here, as far as a test in the same process can end it."""


@contextlib.contextmanager
def watched(dbs: Collection[Database], moment: Callable[[], None], visible: Callable[[], None]) -> Iterator[None]:
    """Have ``moment`` called before each statement on these connections, before each commit and after it, and ``visible``
    whenever others may see something new. What they do themselves is not watched."""
    run, commit = Database._run, Database._commit
    watching = True

    def call(deed: Callable[[], None]) -> None:
        nonlocal watching
        if watching:
            watching = False
            try:
                deed()
            finally:
                watching = True

    def watched_run(db: Database, *arguments: Any) -> Any:
        if db not in dbs:
            return run(db, *arguments)
        call(moment)
        result = run(db, *arguments)
        if not db._in_transaction:
            call(visible)
        return result

    def watched_commit(db: Database) -> None:
        if db not in dbs:
            commit(db)
            return
        call(moment)
        commit(db)
        call(visible)
        call(moment)

    Database._run, Database._commit = watched_run, watched_commit  # type: ignore[method-assign]
    try:
        yield
    finally:
        Database._run, Database._commit = run, commit  # type: ignore[method-assign]
