# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: names (being written)."""

from __future__ import annotations

from .._errors import UnsupportedName
MAX_BYTES = 63


def check(name: str) -> str:
    raise NotImplementedError()


def quote(*parts: str) -> str:
    raise NotImplementedError()


def literal(text: str) -> str:
    raise NotImplementedError()
