# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Application locks: one session at a time for a pair and scope. And a table that has to stay as it is for a while."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from .._model import TableName
from . import names

#: ``sp_getapplock`` cuts longer names silently, which would make two locks one.
_LONGEST = 240

# SQL Server keeps the locks of each database apart; where a server does not (Babelfish), the database's number does.
_RESOURCE = "DECLARE @resource nvarchar(255) = CONCAT(DB_ID(), N':', CAST(? AS nvarchar(255))); "
_TAKE = (
    _RESOURCE + "DECLARE @answer int; EXEC @answer = sp_getapplock @Resource = @resource, @LockMode = N'Exclusive', "
    "@LockOwner = N'Session', @LockTimeout = 0; SELECT @answer"
)
_FREE = _RESOURCE + "EXEC sp_releaseapplock @Resource = @resource, @LockOwner = N'Session'"


@contextlib.contextmanager
def held(db: Any, name: str) -> Iterator[bool]:
    """Yields whether the lock ``name`` could be taken; it is freed at the end, or by the server when the connection
    goes."""
    resource = name if len(name) <= _LONGEST else hashlib.sha256(name.encode("utf-8")).hexdigest()
    taken = int(db.value(_TAKE, resource)) >= 0
    try:
        yield taken
    finally:
        if taken:
            with contextlib.suppress(Exception):
                db.execute(_FREE, resource)


def room(db: Any) -> int | None:
    """None: SQL Server makes room for locks as they are needed."""
    return None


def needed(db: Any, tables: Sequence[TableName]) -> int:
    """0: see :func:`room`."""
    return 0


def share(db: Any, table: TableName) -> None:
    """Wait for those who are writing the table; until the end of this transaction nobody else begins to."""
    db.value("SELECT COUNT_BIG(*) FROM %s WITH (TABLOCK, HOLDLOCK)" % names.quote(*table))
