# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: databases (being written)."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any
from .._errors import RetailError
from . import names
OLDEST_VERSION = 14
OPTIONS = ()


def check_server(db: Any) -> None:
    raise NotImplementedError()


def exists(db: Any, name: str) -> bool:
    raise NotImplementedError()


def list(db: Any) -> builtins.list[str]:
    raise NotImplementedError()


def create(name: str) -> builtins.list[str]:
    raise NotImplementedError()


def options(db: Any) -> dict[str, str]:
    raise NotImplementedError()


def set_options(name: str, options: Mapping[str, str]) -> builtins.list[str]:
    raise NotImplementedError()


def drop(name: str) -> builtins.list[str]:
    raise NotImplementedError()
