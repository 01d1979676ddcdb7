# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: applying (being written)."""

from __future__ import annotations

import hashlib
from typing import Any, Iterable, List, Tuple
from .._model import Column, TableName
from .._wire import Outcome, Work, key_of
from . import marks, names, tracking, types
WINDOW = TableName('dbo', 'sync_window')
CONFLICT = TableName('dbo', 'sync_conflict')


def apply_batch(db: Any, work: Work) -> Outcome:
    raise NotImplementedError()
