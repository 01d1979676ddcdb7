# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what, as plain values: what the speakers' ``access`` modules read, and what they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ._model import TableName

#: What a role can need, in product terms; each speaker says with ``access.needs`` what that takes on its engine.
READ, WRITE, EXECUTE, SYNCHRONISE = "read", "write", "execute", "synchronise"

#: The log of the synchronisation, the one of its books that every database of the product has from the start.
LOG = TableName("dbo", "RETAILOFFLINESYNCLOG")
#: The tables in which the synchronisation keeps its books.
BOOKS = frozenset(
    TableName("dbo", name)
    for name in (
        *("sync_peer", "scope_info", "sync_staging", "sync_window", "sync_conflict", "sync_quarantine"),
        *("sync_transaction_link", "sync_incarnation", "sync_upkeep", LOG.name),
    )
)


class Securable(NamedTuple):
    """What rights are given on.

    ``kind``: ``table``, ``future`` (tables to come in a schema), ``schema``, ``database``, ``function`` or one of a
    speaker's own.
    """

    kind: str
    schema: str = ""
    name: str = ""

    @classmethod
    def table(cls, name: TableName) -> Securable:
        return cls("table", name.schema, name.name)

    def __str__(self) -> str:
        place = ".".join(part for part in (self.schema, self.name) if part)
        if self.kind == "table":
            return place
        return "tables to come in %s" % place if self.kind == "future" else ("%s %s" % (self.kind, place)).strip()


#: The rights of each principal on each securable, in lower case (``select``).
Grants = dict[tuple[str, Securable], frozenset[str]]


@dataclass
class AccessState:
    """What a server and a database have of the principals that were asked for.

    ``principals``: the roles and users that exist. ``logins``: those that exist, and whether their password is the one
    asked for (None: that cannot be read). ``members``: direct members by role. ``orphans``: users whose login
    is none of this server's. ``accounts``: those of ``principals`` that can log in. ``fixed``: the engine's own roles.
    ``bound``: the databases in which those that are to go own something or, where that keeps them, have rights of their own.
    ``shared``: what belongs to the whole server (``role``, ``login``, ``member``); it is changed on the maintenance
    database, where the speaker lets one run at a time do so.
    """

    principals: set[str] = field(default_factory=set)
    logins: dict[str, bool | None] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    grants: Grants = field(default_factory=dict)
    orphans: set[str] = field(default_factory=set)
    bound: dict[str, set[str]] = field(default_factory=dict)
    accounts: set[str] = field(default_factory=set)
    fixed: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


def merge(grants: Grants, principal: str, wanted: Iterable[tuple[Securable, frozenset[str]]]) -> None:
    """Add rights to what the principal has in ``grants`` already."""
    for securable, rights in wanted:
        key = (principal, securable)
        grants[key] = grants.get(key, frozenset()) | rights


#: The rights of one account on each securable.
Rights = Mapping[Securable, frozenset[str]]


def dump(rights: Rights) -> str:
    """A JSON text with an object for each right, as speakers hand it to their servers."""
    return json.dumps(
        [
            {"kind": one.kind, "schema": one.schema, "name": one.name, "privilege": right}
            for one, some in rights.items()
            for right in sorted(some)
        ]
    )


def gather(rows: Iterable[Any]) -> Rights:
    """Rows of kind, schema, name and right as the rights of one account."""
    found: dict[Securable, set[str]] = {}
    for kind, schema, name, right in rows:
        found.setdefault(Securable(kind, schema, name), set()).add(right)
    return {one: frozenset(some) for one, some in found.items()}
