# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: tracking (being written)."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple
from .._model import Table, TableName
from . import names, types
SUFFIX = '_tracking'
APPLYING = 'axops.applying'
TRIGGERS = ('insert', 'update', 'delete', 'truncate')
VERSION = 'CAST(CAST(pg_current_xact_id() AS text) AS bigint)'
NOW = "(now() AT TIME ZONE 'utc')"


def tracking_name(table: TableName) -> TableName:
    raise NotImplementedError()


def create(table: Table) -> List[str]:
    raise NotImplementedError()


def drop(table: TableName) -> List[str]:
    raise NotImplementedError()


def track_existing(table: Table) -> str:
    raise NotImplementedError()


def read(db: Any) -> Dict[TableName, Tuple[str, ...]]:
    raise NotImplementedError()


def matching(left: str, right: str, keys: List[str]) -> str:
    raise NotImplementedError()
