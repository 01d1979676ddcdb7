# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bookkeeping tables of the synchronisation, in every database that takes part.

``scope_info`` keeps Sync Framework's name, since that is where an administrator looks first. Everything in it can be checked
with plain SQL. Peer number 0 is the parent; children are numbered from 1 in the database that is their parent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._engine import _filter
from .._engine._model import Column, Table, TableName
from .._engine._rights import LOG

PARENT = 0

PEER = TableName("dbo", "sync_peer")
SCOPE = TableName("dbo", "scope_info")
STAGING = TableName("dbo", "sync_staging")
WINDOW = TableName("dbo", "sync_window")
CONFLICT = TableName("dbo", "sync_conflict")
QUARANTINE = TableName("dbo", "sync_quarantine")
LINK = TableName("dbo", "sync_transaction_link")
INCARNATION = TableName("dbo", "sync_incarnation")
UPKEEP = TableName("dbo", "sync_upkeep")


def _table(name: TableName, key: str, indexes: tuple[tuple[str, ...], ...], **columns: str) -> Table:
    return Table(
        name=name,
        columns=tuple(Column.parse(column, text) for column, text in columns.items()),
        primary_key=tuple(key.split()),
        indexes=indexes,
    )


#: Who synchronises with this database. ``peer_guid`` is made at provisioning and known to both sides; ``incarnation`` is that of
#: the peer's database, so a restored or moved one is noticed. A row without a GUID stands for nobody: it keeps the number of
#: a child that was taken away from being given again.
PEER_TABLE = _table(
    PEER,
    "peer_id",
    (),
    peer_id="int not null",
    peer_name="nvarchar(100) not null",
    peer_guid="nvarchar(36) not null",
    incarnation="nvarchar(100) not null",
    store_id="nvarchar(10) not null default ''",
    register_id="nvarchar(10) not null default ''",
    registered="datetime not null default getutcdate()",
)

#: A row per scope and peer. ``anchor_in`` (and ``anchor_seen``, the snapshot): how far we took the peer's changes, in the peer's
#: versions; NULL: the first load has not been taken. ``acked_out``: how far the peer says it took ours. ``min_valid_anchor``
#: (at the parent): below it deletions have been forgotten; a child whose anchor is lower loads the scope again. ``landing``: the
#: low marks of a landing that was cut off. ``anew``: the scope begins anew, and how, until a session has done so.
#: ``config_data``: the tables, in order, and their policies.
SCOPE_TABLE = _table(
    SCOPE,
    "peer_id sync_scope_name",
    (),
    peer_id="int not null",
    sync_scope_name="nvarchar(100) not null",
    scope_id="bigint not null default 0",
    sequence="int not null default 0",
    direction="nvarchar(13) not null",
    frequency="int not null default 0",
    config_data="nvarchar(max) not null",
    anchor_in="bigint",
    anchor_seen="nvarchar(max)",
    acked_out="bigint",
    min_valid_anchor="bigint",
    session_token="nvarchar(36) not null",  # noqa: S106 - a column, not a secret
    previous_token="nvarchar(36) not null",  # noqa: S106
    landing="nvarchar(max)",
    anew="nvarchar(max)",
    last_session="datetime",
    last_error="nvarchar(max)",
    last_error_time="datetime",
)

#: Every database that ever came under the identity of a child, see ``identity.py``. Times are this database's own.
INCARNATION_TABLE = _table(
    INCARNATION,
    "peer_guid incarnation place",
    (),
    peer_guid="nvarchar(36) not null",
    incarnation="nvarchar(100) not null",
    place="nvarchar(200) not null",
    state="nvarchar(10) not null",
    first_heard="datetime not null default getutcdate()",
    last_heard="datetime not null default getutcdate()",
)

#: What is done now and then, when it was done last, by this database's clock, and what came of it, as JSON.
UPKEEP_TABLE = _table(
    UPKEEP,
    "task",
    (),
    task="nvarchar(100) not null",
    done="datetime not null default getutcdate()",
    said="nvarchar(max) not null",
)

STAGING_TABLE = _table(
    STAGING,
    "peer_id sync_scope_name sequence",
    (),
    peer_id="int not null",
    sync_scope_name="nvarchar(100) not null",
    sequence="int not null",
    header="nvarchar(max) not null",
    body="nvarchar(max) not null",
)

WINDOW_TABLE = _table(
    WINDOW,
    "",
    (("peer_id", "table_name", "version"), ("peer_id", "sync_scope_name", "version")),
    peer_id="int not null",
    sync_scope_name="nvarchar(100) not null",
    table_name="nvarchar(130) not null",
    row_key="nvarchar(max) not null",
    version="bigint not null",
)

CONFLICT_TABLE = _table(
    CONFLICT,
    "conflict_id",
    (("occurred",),),
    conflict_id="bigint identity not null",
    occurred="datetime not null default getutcdate()",
    peer_id="int not null",
    sync_scope_name="nvarchar(100) not null",
    table_name="nvarchar(130) not null",
    row_key="nvarchar(max) not null",
    kind="nvarchar(20) not null",
    winner="nvarchar(10) not null",
    incoming_version="bigint",
    incoming_image="nvarchar(max)",
    local_image="nvarchar(max)",
)

QUARANTINE_TABLE = _table(
    QUARANTINE,
    "quarantine_id",
    (("peer_id", "sync_scope_name"),),
    quarantine_id="bigint identity not null",
    occurred="datetime not null default getutcdate()",
    peer_id="int not null",
    sync_scope_name="nvarchar(100) not null",
    table_name="nvarchar(130) not null",
    source_transaction="bigint",
    version="bigint",
    error="nvarchar(max) not null",
    header="nvarchar(max) not null",
    row_image="nvarchar(max) not null",
)

#: Transactions that wrote the same row before it went up, written by the triggers; see ``links.py``.
LINK_TABLE = _table(
    LINK,
    "table_name source_transaction earlier_transaction",
    (),
    table_name="nvarchar(130) not null",
    source_transaction="bigint not null",
    earlier_transaction="bigint not null",
)

#: RETAILOFFLINESYNCLOG is one of the vendor's tables: databases that were not made from the packaged schema get it from here.
LOG_TABLE = _table(
    LOG,
    "REPLICATIONCOUNTER",
    (("SCOPEID",), ("TERMINAL",), ("SYNCSTOPTIME",)),
    RECID="bigint not null",
    LOGTIME="datetime not null default '1900-01-01 00:00:00.000'",
    LOGTIMETZID="int not null default 37001",
    SCOPEID="bigint not null default 0",
    TOTALDOWNLOADED="int not null default 0",
    TOTALDOWNLOADEDOK="int not null default 0",
    TOTALDOWNLOADEDERR="int not null default 0",
    TOTALUPLOADED="int not null default 0",
    TOTALUPLOADEDOK="int not null default 0",
    TOTALUPLOADEDERR="int not null default 0",
    SYNCSTARTTIME="datetime not null default '1900-01-01 00:00:00.000'",
    SYNCSTARTTIMETZID="int not null default 37001",
    SYNCSTOPTIME="datetime not null default '1900-01-01 00:00:00.000'",
    SYNCSTOPTIMETZID="int not null default 37001",
    TERMINAL="nvarchar(10) not null default ''",
    REPLICATIONCOUNTER="int identity not null",
)

TABLES: tuple[Table, ...] = (
    PEER_TABLE,
    SCOPE_TABLE,
    STAGING_TABLE,
    WINDOW_TABLE,
    CONFLICT_TABLE,
    QUARANTINE_TABLE,
    LINK_TABLE,
    INCARNATION_TABLE,
    UPKEEP_TABLE,
    LOG_TABLE,
)

DIRECTIONS = ("download", "upload", "bidirectional")


@dataclass(frozen=True)
class ScopeTable:
    """One table of a scope. ``winner``: ``parent`` or ``child``, whose image stays in a conflict. ``filter``: which of the parent's
    rows this child receives, all of them where it is empty; what goes up is never filtered. ``columns``: those that travel besides the
    key, all of them where it is empty."""

    name: TableName
    winner: str
    filter: _filter.Filter = ()
    columns: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The table as JSON has it."""
        fields: dict[str, Any] = {"table": str(self.name), "winner": self.winner}
        if self.filter:
            fields["filter"] = _filter.dump(self.filter)
        if self.columns:
            fields["columns"] = list(self.columns)
        return fields

    @classmethod
    def from_document(cls, fields: dict[str, Any]) -> ScopeTable:
        return cls(
            TableName.parse(fields["table"]),
            fields["winner"],
            _filter.load(fields.get("filter", ())),
            tuple(fields.get("columns", ())),
        )


@dataclass(frozen=True)
class Scope:
    """A list of tables that synchronise together, in order, in one direction.

    ``frequency`` is in seconds, 0 for the service's own interval. ``uploads_deletes`` False: a deletion at the child does not
    travel (the POS purges old sales with a plain DELETE, and HQ must keep them). ``scope_id`` is the RECID of AX's scope.
    """

    name: str
    direction: str
    tables: tuple[ScopeTable, ...]
    frequency: int = 0
    sequence: int = 0
    scope_id: int = 0
    uploads_deletes: bool = False

    @property
    def uploads(self) -> bool:
        return self.direction != "download"

    @property
    def downloads(self) -> bool:
        return self.direction != "upload"

    def config_data(self) -> str:
        """The tables and policies as the JSON text of ``scope_info.config_data``; equal scopes give equal texts."""
        tables = [table.document() for table in self.tables]
        return json.dumps({"tables": tables, "uploads_deletes": self.uploads_deletes}, sort_keys=True)

    @classmethod
    def from_row(
        cls, name: str, direction: str, config_data: str, frequency: int, sequence: int, scope_id: int
    ) -> Scope:
        data = json.loads(config_data)
        tables = tuple(ScopeTable.from_document(item) for item in data["tables"])
        return cls(name, direction, tables, int(frequency), int(sequence), int(scope_id), bool(data["uploads_deletes"]))


def default_winner(direction: str) -> str:
    """Who wins where nobody has said: the register owns what it uploads, the parent everything else."""
    return "child" if direction == "upload" else "parent"


def default_uploads_deletes(direction: str) -> bool:
    """Deletions go up in bidirectional scopes only."""
    return direction == "bidirectional"


@dataclass
class ScopeState:
    """One row of ``scope_info``, as a session reads it."""

    anchor_in: int | None
    anchor_seen: str | None
    acked_out: int | None
    session_token: str
    previous_token: str
    landing: dict[str, int | None]
    min_valid_anchor: int | None
    anew: dict[str, Any] | None = None


_STATE = (
    "sync_scope_name, anchor_in, anchor_seen, acked_out, session_token, previous_token, landing, min_valid_anchor, anew"
)


def read_states(db: Any, peer_id: int) -> dict[str, ScopeState]:
    """The rows of one peer, by scope."""
    rows = db.ask("SELECT %s FROM %s WHERE peer_id = ?" % (_STATE, db.engine.names.quote(*SCOPE)), peer_id)
    return {row[0]: _scope_state(row) for row in rows}


def read_state(db: Any, peer_id: int, scope: str) -> ScopeState | None:
    """The row of one scope and peer, None where the pair is not provisioned for it."""
    sql = "SELECT %s FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % (_STATE, db.engine.names.quote(*SCOPE))
    rows = db.ask(sql, peer_id, scope)
    return _scope_state(rows[0]) if rows else None


def _scope_state(row: Any) -> ScopeState:
    landing, anew = (json.loads(text) if text else None for text in (row[6], row[8]))
    return ScopeState(row[1], row[2], row[3], row[4], row[5], landing or {}, row[7], anew)


def landed_from(db: Any, peer_id: int, scope: str, table: str) -> list[int | None]:
    """From which versions on the landed batches of a table were read; None: a load."""
    sql = "SELECT header FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % db.engine.names.quote(*STAGING)
    headers = [json.loads(row[0]) for row in db.query(sql, peer_id, scope)]
    return [fields.get("start") for fields in headers if fields["table"] == table]


def oldest_aside(db: Any, peer_id: int, scope: str) -> dict[str, int]:
    """By table, the lowest version that a scope has in quarantine from a peer."""
    sql = "SELECT table_name, MIN(version) FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND version IS NOT NULL GROUP BY table_name"
    return {row[0]: int(row[1]) for row in db.ask(sql % db.engine.names.quote(*QUARANTINE), peer_id, scope)}


def read_scopes(db: Any, peer_id: int) -> list[Scope]:
    """The scopes that this database synchronises with a peer, in order."""
    rows = db.ask(
        "SELECT sync_scope_name, direction, config_data, frequency, sequence, scope_id FROM %s WHERE peer_id = ? "
        "ORDER BY sequence, sync_scope_name" % db.engine.names.quote(*SCOPE),
        peer_id,
    )
    return [Scope.from_row(*row) for row in rows]


@dataclass(frozen=True)
class Peer:
    """One row of ``sync_peer``."""

    peer_id: int
    name: str
    guid: str
    incarnation: str
    store_id: str = ""
    register_id: str = ""


def read_peers(db: Any) -> list[Peer]:
    """Everybody who synchronises with this database."""
    rows = db.query(
        "SELECT peer_id, peer_name, peer_guid, incarnation, store_id, register_id FROM %s WHERE peer_guid <> '' "
        "ORDER BY peer_id" % db.engine.names.quote(*PEER)
    )
    return [Peer(*row) for row in rows]


def read_errors(db: Any, peer_id: int) -> dict[str, str]:
    """What the scopes of one peer failed with, by scope; only those that do."""
    sql = "SELECT sync_scope_name, last_error FROM %s WHERE peer_id = ? AND last_error IS NOT NULL"
    return {row[0]: row[1] for row in db.query(sql % db.engine.names.quote(*SCOPE), peer_id)}


def note_error(db: Any, peer_id: int, scope: str, text: str, moment: datetime) -> None:
    """Write what a scope failed with."""
    db.execute(
        "UPDATE %s SET last_error = ?, last_error_time = CAST(? AS %s) WHERE peer_id = ? AND sync_scope_name = ?"
        % (db.engine.names.quote(*SCOPE), db.engine.types.native("datetime")),
        text, moment.isoformat(timespec="milliseconds"), peer_id, scope,
    )  # fmt: skip


def clear_error(db: Any, peer_id: int, scope: str) -> None:
    """The scope works again; the time of its last error stays."""
    sql = "UPDATE %s SET last_error = NULL WHERE peer_id = ? AND sync_scope_name = ? AND last_error IS NOT NULL"
    db.execute(sql % db.engine.names.quote(*SCOPE), peer_id, scope)


@dataclass(frozen=True)
class History:
    """What people want to know of one scope: its last session that moved something, and its last error. UTC."""

    last_session: datetime | None
    last_error: str | None
    last_error_time: datetime | None


def read_histories(db: Any, peer_id: int) -> dict[str, History]:
    """The histories of one peer's scopes, by scope."""
    sql = "SELECT sync_scope_name, last_session, last_error, last_error_time FROM %s WHERE peer_id = ?"
    return {row[0]: History(row[1], row[2], row[3]) for row in db.query(sql % db.engine.names.quote(*SCOPE), peer_id)}


def count_kept(db: Any, kept: TableName, peer_id: int) -> dict[str, int]:
    """How many rows of one peer ``sync_conflict`` or ``sync_quarantine`` keeps, by scope."""
    sql = "SELECT sync_scope_name, count(*) FROM %s WHERE peer_id = ? GROUP BY sync_scope_name"
    return {row[0]: int(row[1]) for row in db.query(sql % db.engine.names.quote(*kept), peer_id)}
