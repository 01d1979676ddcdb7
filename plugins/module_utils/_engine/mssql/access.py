# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft SQL Server: access (being written)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from .._errors import ConnectFailed, RetailError, StatementFailed
from .._model import TableName
from .._rights import EXECUTE, READ, SYNCHRONISE, WRITE, AccessState, Grants, Securable
from . import connect, names
REVOCABLE = ('table', 'future', 'schema')


def read(server: Any, db: Any | None, principals: Collection[str], passwords: Mapping[str, str | None]) -> AccessState:
    raise NotImplementedError()


def password_works(target: Any, name: str, password: str) -> bool:
    raise NotImplementedError()


def needs(need: str, database: str, schemas: Iterable[str], tables: Sequence[TableName]) -> list[tuple[Securable, frozenset[str]]]:
    raise NotImplementedError()


def create_role(name: str) -> list[str]:
    raise NotImplementedError()


def create_login(name: str, password: str | None) -> list[str]:
    raise NotImplementedError()


def set_password(name: str, password: str | None) -> list[str]:
    raise NotImplementedError()


def create_user(name: str) -> list[str]:
    raise NotImplementedError()


def add_member(role: str, member: str) -> list[str]:
    raise NotImplementedError()


def remove_member(role: str, member: str) -> list[str]:
    raise NotImplementedError()


def grant(principal: str, rights: Iterable[str], securables: Sequence[Securable]) -> list[str]:
    raise NotImplementedError()


def revoke(principal: str, rights: Iterable[str], securables: Sequence[Securable]) -> list[str]:
    raise NotImplementedError()
