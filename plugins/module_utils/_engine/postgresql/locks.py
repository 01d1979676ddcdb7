# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Application locks: one session at a time for a pair and scope. And a table that has to stay as it is for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .._model import TableName
from . import names


@contextlib.contextmanager
def held(db: Any, name: str) -> Iterator[bool]:
    """Yields whether the lock ``name`` could be taken; it is freed at the end, or by the server when the connection goes."""
    taken = bool(db.value("SELECT pg_try_advisory_lock(hashtextextended(CAST(? AS text), 0))", name))
    try:
        yield taken
    finally:
        if taken:
            with contextlib.suppress(Exception):
                db.value("SELECT pg_advisory_unlock(hashtextextended(CAST(? AS text), 0))", name)


def share(db: Any, table: TableName) -> None:
    """Wait for those who are writing the table; until the end of this transaction nobody else begins to."""
    db.execute("LOCK TABLE %s IN SHARE MODE" % names.quote(*table))
