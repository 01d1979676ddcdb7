# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Offline profiles, as a channel database has them: which tables a store's registers hold, and which way they move."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import TableName
from .._sync.metadata import DIRECTIONS, Scope, ScopeTable, default_uploads_deletes, default_winner
from .checks import check_scopes

PROFILE = TableName("ax", "RETAILOFFLINEPROFILE")
PROFILE_SCOPES = TableName("ax", "RETAILOFFLINEPROFILESCOPES")
SCOPE = TableName("ax", "RETAILOFFLINESCOPE")
SCOPE_TABLES = TableName("ax", "RETAILOFFLINESCOPETABLES")
TABLE = TableName("ax", "RETAILOFFLINETABLE")
TABLE_COLUMNS = TableName("ax", "RETAILOFFLINETABLECOLUMNS")
STORE = TableName("ax", "RETAILSTORETABLE")

_JOB = "Distribute the scheduler job 1095 (Offline scopes) from HQ to this channel database first."


@dataclass(frozen=True)
class Profile:
    """One offline profile; ``recid`` and each scope's ``scope_id`` are AX's."""

    recid: int
    name: str
    scopes: tuple[Scope, ...]


def read_profile(db: Any, store_id: str, declared: str = "") -> Profile:
    """The offline profile of a store.

    The store's own record decides. Where it has not come yet, or names no profile, ``declared`` does.

    :param db: the channel database.
    :param declared: the name of a profile, "" for none.
    :raises RetailError: there is no such profile here (yet), or it cannot be used; the message says why.
    """
    found = _check_tables(db)
    names = _names(db)
    recid = _assigned(db, store_id)
    if recid is None:
        recid = _declared(names, store_id, declared)
    elif recid not in names:
        raise RetailError(
            "The offline profile of the store %s (RECID %d) is not in the channel database %s yet."
            % (store_id, recid, db.target.where),
            _JOB,
        )
    columns = _read_columns(db) if TABLE_COLUMNS in found else {}
    profile = Profile(recid, names[recid], read_scopes(db, recid, names[recid], columns))
    if not profile.scopes:
        raise RetailError(
            "The offline profile %r has no tables." % profile.name, "Give it scopes with tables at HQ. " + _JOB
        )
    check_scopes(profile.scopes)
    return profile


def _read_columns(db: Any) -> dict[int, tuple[str, ...]]:
    """The columns that travel, by the RECID of their table in the profiles; tables of which all do are left out."""
    quote = db.engine.names.quote
    found: dict[int, tuple[str, ...]] = {}
    rows = db.query(
        "SELECT %s, %s FROM %s ORDER BY %s"
        % (quote("SYNCTABLE"), quote("SYNCCOLUMNNAME"), quote(*TABLE_COLUMNS), quote("RECID"))
    )
    for table, column in rows:
        found[int(table)] = (*found.get(int(table), ()), column)
    return found


def read_scopes(
    db: Any, profile: int, name: str, columns: Mapping[int, tuple[str, ...]] = MappingProxyType({})
) -> tuple[Scope, ...]:
    """The scopes of one profile and their tables, in the order in which they were declared; empty scopes are left out.

    :param columns: the columns that travel, by the RECID of their table.
    :raises RetailError: the rows contradict each other.
    """
    quote = db.engine.names.quote
    rows = db.query(
        "SELECT p.{recid}, s.{recid}, s.{description}, s.{direction}, s.{frequency}, l.{recid}, t.{name}, t.{recid} "
        "FROM {links} p LEFT JOIN {scopes} s ON s.{recid} = p.{scope} LEFT JOIN {tables} l ON l.{scope} = s.{recid} "
        "LEFT JOIN {table} t ON t.{recid} = l.{table_id} WHERE p.{profile} = ? ORDER BY p.{recid}, l.{recid}".format(
            recid=quote("RECID"), description=quote("DESCRIPTION"), direction=quote("SYNCDIRECTION"),
            frequency=quote("SYNCFREQUENCY"), name=quote("TABLENAME"), links=quote(*PROFILE_SCOPES),
            scopes=quote(*SCOPE), scope=quote("SCOPEID"), tables=quote(*SCOPE_TABLES), table=quote(*TABLE),
            table_id=quote("SYNCTABLEID"), profile=quote("PROFILEID"),
        ),
        profile,
    )  # fmt: skip
    links: dict[int, list[Any]] = {}
    for row in rows:
        links.setdefault(row[0], []).append(row)
    scopes = (_scope(name, sequence, found, columns) for sequence, found in enumerate(links.values(), 1))
    return tuple(scope for scope in scopes if scope.tables)


def make_scope(
    name: str, direction: str, tables: Iterable[TableName], frequency: int = 0, sequence: int = 0, scope_id: int = 0
) -> Scope:
    """A scope with the policies that its direction brings with it."""
    winner = default_winner(direction)
    return Scope(
        name=name,
        direction=direction,
        tables=tuple(ScopeTable(table, winner) for table in tables),
        frequency=frequency,
        sequence=sequence,
        scope_id=scope_id,
        uploads_deletes=default_uploads_deletes(direction),
    )


def _scope(profile: str, sequence: int, rows: list[Any], columns: Mapping[int, tuple[str, ...]]) -> Scope:
    _link, recid, description, direction, frequency = rows[0][:5]
    if recid is None or any(row[5] is not None and row[6] is None for row in rows):
        raise RetailError(
            "The offline profile %r is incomplete here: a scope or a table of it is missing." % profile, _JOB
        )
    if direction not in range(len(DIRECTIONS)):
        raise RetailError(
            "The scope %r has the direction %s, which means nothing." % (description, direction),
            "Use 0 (download), 1 (upload) or 2 (bidirectional).",
        )
    tables = [TableName.parse(row[6]) for row in rows if row[6] is not None]
    scope = make_scope(description, DIRECTIONS[direction], tables, int(frequency or 0), sequence, int(recid))
    chosen = [columns.get(int(row[7]), ()) for row in rows if row[6] is not None]
    return replace(scope, tables=tuple(replace(item, columns=some) for item, some in zip(scope.tables, chosen)))


def _check_tables(db: Any) -> Container[TableName]:
    wanted = [PROFILE, PROFILE_SCOPES, SCOPE, SCOPE_TABLES, TABLE, STORE]
    found: Container[TableName] = db.engine.tables.read(db, [*wanted, TABLE_COLUMNS])
    missing = [str(name) for name in wanted if name not in found]
    if missing:
        raise RetailError(
            "The database %s is no channel database: it has no table %s." % (db.target.where, missing[0]),
            "Create or upgrade it with the module retail_channel_db first.",
        )
    return found


def _names(db: Any) -> dict[int, str]:
    quote = db.engine.names.quote
    rows = db.query("SELECT %s, %s FROM %s" % (quote("RECID"), quote("NAME"), quote(*PROFILE)))
    return {int(row[0]): row[1] for row in rows}


def _assigned(db: Any, store_id: str) -> int | None:
    """The RECID in the store's record; None where the record has not come yet, or names none."""
    quote = db.engine.names.quote
    recid = db.value(
        "SELECT %s FROM %s WHERE %s = ?" % (quote("OFFLINEPROFILE"), quote(*STORE), quote("STORENUMBER")), store_id
    )
    return int(recid) if recid else None


def _declared(names: dict[int, str], store_id: str, declared: str) -> int:
    if not declared:
        raise RetailError(
            "The channel database does not say which offline profile the store %s has." % store_id,
            "Assign a profile to the store at HQ and distribute it, or name one in the option profile.",
        )
    for recid, name in names.items():
        if name == declared:
            return recid
    raise RetailError(
        "The offline profile %r is not in the channel database yet (there: %s)."
        % (declared, ", ".join(sorted(names.values())) or "none"),
        _JOB,
    )
