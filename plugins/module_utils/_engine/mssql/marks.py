# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: marks (being written)."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Any, Iterator, Optional
from .._errors import RetailError


@dataclass(frozen=True)
class Mark:
    """``low``: below it every transaction is decided. ``seen``: the snapshot itself, so that the next session can leave out
    exactly what this one saw even while one long writer holds ``low`` back. ``current``: changes whenever anything commits."""
    low: int
    seen: Optional[str]


@contextlib.contextmanager
def snapshot(db: Any) -> Iterator[Mark]:
    raise NotImplementedError()


def current(db: Any) -> str:
    raise NotImplementedError()


def low_age(db: Any) -> float:
    raise NotImplementedError()


def incarnation(db: Any) -> str:
    raise NotImplementedError()


def newer_than(column: str, low: int, seen: Optional[str]) -> str:
    raise NotImplementedError()
