# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: types (being written)."""

from __future__ import annotations

import re
from typing import Dict, Optional
from .._errors import UnsupportedType
from .._model import Column


def native(neutral: str) -> str:
    raise NotImplementedError()


def normalize(neutral: str) -> str:
    raise NotImplementedError()


def neutral(format_type: str) -> str:
    raise NotImplementedError()


def is_held(column: Column) -> bool:
    raise NotImplementedError()


def read_as(column: Column) -> str:
    raise NotImplementedError()


def to_wire(column: Column, expression: str) -> str:
    raise NotImplementedError()


def from_wire(column: Column, expression: str) -> str:
    raise NotImplementedError()


def default(column: Column) -> Optional[str]:
    raise NotImplementedError()


def neutral_default(expression: Optional[str]) -> Optional[str]:
    raise NotImplementedError()
