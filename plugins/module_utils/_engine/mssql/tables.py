# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: tables (being written)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any
from .._model import Column, Table, TableName
from . import names, types


def read(db: Any, names: Iterable[TableName] | None=None) -> dict[TableName, Table]:
    raise NotImplementedError()


def schemas(db: Any) -> set[str]:
    raise NotImplementedError()


def create_schema(name: str) -> list[str]:
    raise NotImplementedError()


def create(table: Table) -> list[str]:
    raise NotImplementedError()


def add_columns(name: TableName, columns: Sequence[Column]) -> list[str]:
    raise NotImplementedError()


def alter_column(name: TableName, column: Column) -> list[str]:
    raise NotImplementedError()


def add_unique(name: TableName, columns: Sequence[str]) -> list[str]:
    raise NotImplementedError()


def add_index(name: TableName, columns: Sequence[str]) -> list[str]:
    raise NotImplementedError()


def drop(name: TableName) -> list[str]:
    raise NotImplementedError()
