# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the account of the service may do what it has to in a database, and what it may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._engine import _filter
from .._engine._model import TableName
from .._engine._rights import READ, SYNCHRONISE, WRITE, Rights, Securable
from . import metadata
from .metadata import Scope
from .pair import Pair

#: More names than this are counted, not listed.
_LISTED = 5
#: Without these nothing else can be looked at.
_READING = frozenset({"select", "usage"})

_ADVICE = (
    "Make it a member of RetailOfflineSyncUsers (offline and channel databases) or of RetailDataSyncUsers (channel and HQ databases), "
    "and run the playbook or the module that looks after that database's groups."
)


def books(db: Any) -> Rights:
    """What the account lacks on the tables in which the synchronisation keeps its books, and in the database as a whole."""
    names = [table.name for table in metadata.TABLES]
    return _lack(db, {READ: names, WRITE: names, SYNCHRONISE: names})


def tables(pair: Pair) -> dict[str, Rights]:
    """What it lacks on the tables of the pair's scopes, and on those beside them, on each side."""
    return {
        "child": _lack(
            pair.child, _needs(pair.child, pair.scopes, [scope for scope in pair.scopes if scope.downloads], False)
        ),
        "parent": _lack(
            pair.parent, _needs(pair.parent, pair.scopes, [scope for scope in pair.scopes if scope.uploads], True)
        ),
    }


def blinds(lack: Rights) -> bool:
    """Whether so much is lacking that rows cannot be read."""
    return any(rights & _READING for rights in lack.values())


def sentences(side: str, db: Any, lack: Rights) -> list[str]:
    """What is lacking, a sentence for what lacks the same rights."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for securable, rights in lack.items():
        alike.setdefault((securable.kind, tuple(sorted(rights))), []).append(str(securable))
    who = db.target.user or "that runs this"
    return [
        "The account %s lacks the right to %s on %s at the %s. %s"
        % (who, ", ".join(rights), _named(kind, sorted(places)), side, _ADVICE)
        for (kind, rights), places in alike.items()
    ]


def _needs(db: Any, scopes: Sequence[Scope], received: Sequence[Scope], sends_down: bool) -> dict[str, list[TableName]]:
    """Tables by what is needed on them: a sender only reads its rows, so an account at HQ need not write a store's sales."""
    beside = [db.engine.tracking.tracking_name(name) for name in _names(scopes)]
    deciding = list(_deciding(scopes)) if sends_down else []
    if sends_down:
        beside += _logs(db, scopes)
    return {READ: [*_names(scopes), *deciding, *beside], WRITE: [*_names(received), *beside]}


def _names(scopes: Iterable[Scope]) -> list[TableName]:
    return [table.name for scope in scopes for table in scope.tables]


def _logs(db: Any, scopes: Iterable[Scope]) -> list[TableName]:
    """The logs of moves that their filters go by; what is old in them is forgotten, as in tracking tables."""
    filtered = [table for scope in scopes for table in scope.tables if table.filter]
    known = db.engine.tables.read(db, sorted({table.name for table in filtered})) if filtered else {}
    return [
        moves.name
        for table in filtered
        if table.name in known
        for moves in _filter.all_moves(known[table.name], table.filter)
    ]


def _deciding(scopes: Iterable[Scope]) -> Iterable[TableName]:
    """The tables that say which rows a child receives."""
    for scope in scopes:
        for table in scope.tables:
            yield from (member.table for member in _filter.members(table.filter))


def _lack(db: Any, needed: Mapping[str, Sequence[TableName]]) -> Rights:
    wanted: dict[Securable, frozenset[str]] = {}
    for need, names in needed.items():
        schemas = sorted({name.schema for name in names})
        for securable, rights in db.engine.access.needs(need, db.target.database, schemas, sorted(set(names))):
            if securable.kind != "future":
                wanted[securable] = wanted.get(securable, frozenset()) | rights
    return db.engine.access.lacking(db, wanted)


def _named(kind: str, places: list[str]) -> str:
    if len(places) > _LISTED:
        return "%d %ss (%s …)" % (len(places), kind, ", ".join(places[:_LISTED]))
    return ", ".join(places)
