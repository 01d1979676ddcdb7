# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: changes (being written)."""

from __future__ import annotations

from typing import Any, Iterator, List, Optional, Sequence, Tuple
from .._model import Table, TableName
from .._wire import Extract, key_of
from . import marks, names, tracking, types


def stream(db: Any, extract: Extract) -> Iterator[Tuple[Optional[int], str]]:
    raise NotImplementedError()


def query(extract: Extract) -> str:
    raise NotImplementedError()


def probe(db: Any, extracts: Sequence[Extract]) -> List[int]:
    raise NotImplementedError()


def backlog(db: Any, extracts: Sequence[Extract]) -> List[Tuple[int, Optional[float]]]:
    raise NotImplementedError()


def count(db: Any, tables: Sequence[TableName]) -> List[int]:
    raise NotImplementedError()
