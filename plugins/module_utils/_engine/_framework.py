# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Microsoft Sync Framework 2.1 leaves in a database that it has provisioned, as plain values.

Its tables and triggers have names that ours have, too. They are told apart by columns that only its own have, and by what
only its triggers write. Source: the classes SqlSyncScopeProvisioning and SqlSyncScopeDeprovisioning, and scripts of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from ._model import Table, TableName

TRACKING_SUFFIX = "_tracking"
TYPE_SUFFIX = "_BulkType"
#: A column of each of its own tables by which it is known; the first holds the scopes.
BOOKS: Mapping[str, str] = {
    "scope_info": "scope_sync_knowledge",
    "scope_config": "scope_status",
    "schema_info": "schema_major_version",
}
#: Tables for templates of scopes: its own where they stand beside its scopes.
COMPANIONS = ("scope_parameters", "scope_templates")
SCOPES = "scope_info"
#: What only its tracking tables have.
TRACKING_COLUMN = "local_update_peer_timestamp"
#: What only its triggers write: the scope that a row came by, NULL for a change made here.
ORIGIN_COLUMN = "update_scope_local_id"
EVENTS = ("insert", "update", "delete")
#: The names of its procedures behind that of the table; those of a table's second scope end with a GUID.
_ROUTINES = (
    "bulkdelete", "bulkinsert", "bulkupdate", "delete", "deletemetadata", "insert", "insertmetadata", "selectchanges",
    "selectrow", "update", "updatemetadata",
)  # fmt: skip
_ROUTINE = re.compile(r"(.+)_(%s)(_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?" % "|".join(_ROUTINES), re.IGNORECASE)
#: A scope that is provisioned to the end.
_COMPLETE = "C"
_QUALIFIED = re.compile(r"(?:\[((?:[^\]]|\]\])+)\]\.)?\[((?:[^\]]|\]\])+)\]")


@dataclass(frozen=True)
class Tracked:
    """One table that Sync Framework tracks.

    :param tracking: its tracking table, None where it is gone.
    :param events: the events whose trigger is there and enabled. ``triggers``: all triggers of it, schema and name.
    :param routines: its procedures, ``types``: its table types, schema and name.
    """

    table: TableName
    tracking: TableName | None
    events: tuple[str, ...] = ()
    triggers: tuple[TableName, ...] = ()
    routines: tuple[TableName, ...] = ()
    types: tuple[TableName, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The events that go unnoticed."""
        return [event for event in EVENTS if event not in self.events]


@dataclass(frozen=True)
class Remains:
    """All that is there.

    :param books: its own tables. ``scopes``: the names of its scopes.
    :param declared: the tables that its scopes name; ``unfinished``: scopes that were not provisioned to the end.
    """

    books: tuple[TableName, ...] = ()
    scopes: tuple[str, ...] = ()
    tables: Mapping[TableName, Tracked] = field(default_factory=dict)
    declared: tuple[TableName, ...] = ()
    unfinished: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.books or self.tables)

    @property
    def owned(self) -> set[TableName]:
        """All tables that it has made."""
        return {*self.books, *(one.tracking for one in self.tables.values() if one.tracking)}

    @property
    def untracked(self) -> list[TableName]:
        """Tables that are to be tracked and have no tracking table."""
        lost = {name for name, one in self.tables.items() if one.tracking is None}
        return sorted(lost | (set(self.declared) - set(self.tables)))

    @property
    def complete(self) -> bool:
        """Whether it works: there are scopes, and all that they need."""
        gaps = self.untracked or self.unfinished or any(one.missing for one in self.tables.values())
        return bool(self.scopes and not gaps)


def signs(tables: Mapping[TableName, Table]) -> bool:
    """Whether tables of Sync Framework are among these."""
    return any(is_own(table) for table in tables.values())


def is_own(table: Table) -> bool:
    """Whether a table is one of its own or a tracking table of it."""
    if table.name.name.endswith(TRACKING_SUFFIX):
        return table.column(TRACKING_COLUMN) is not None
    return table.name.name in BOOKS and table.column(BOOKS[table.name.name]) is not None


def is_provisioned(tables: Mapping[TableName, Table]) -> bool:
    """Whether it keeps scopes here."""
    return any(is_own(table) for name, table in tables.items() if name.name == SCOPES)


def books(marked: Iterable[tuple[TableName, str]], there: Collection[TableName]) -> tuple[TableName, ...]:
    """Its own tables.

    :param marked: tables with a column that one of its own has, and the column.
    :param there: all tables.
    """
    own = {name for name, column in marked if BOOKS.get(name.name) == column}
    schemas = {name.schema for name in own if name.name == SCOPES}
    return tuple(sorted(own | {name for name in there if name.name in COMPANIONS and name.schema in schemas}))


def base_of(tracking: TableName, tables: Collection[TableName]) -> TableName:
    """The table that a tracking table belongs to: of its own schema, else of whichever has one of that name."""
    name = tracking.name[: -len(TRACKING_SUFFIX)]
    same = TableName(tracking.schema, name)
    others = sorted(table for table in tables if table.name == name)
    return same if same in tables or not others else others[0]


def table_of_routine(name: str) -> str:
    """The table that a procedure is for, "" where its name is none of Sync Framework's."""
    match = _ROUTINE.fullmatch(name)
    return match.group(1) if match else ""


def event_of(trigger: str, table: str) -> str:
    """The event of a trigger, "" where its name is none of Sync Framework's."""
    wanted = {"%s_%s_trigger" % (table.lower(), event): event for event in EVENTS}
    return wanted.get(trigger.lower(), "")


def declared(documents: Iterable[str]) -> tuple[TableName, ...]:
    """The tables that the configurations of scopes name: ``<Adapter Name="[ax].[CUSTTABLE]" …>``."""
    found = []
    for text in documents:
        try:
            root = ElementTree.fromstring(text)  # noqa: S314 - a column of the database's own type xml, which takes no DTD
        except ElementTree.ParseError:
            continue
        for element in root.iter():
            match = _QUALIFIED.fullmatch(element.get("Name", "")) if element.tag.endswith("Adapter") else None
            if match:
                schema, name = (part.replace("]]", "]") if part else "dbo" for part in match.groups())
                found.append(TableName(schema, name))
    return tuple(sorted(set(found)))


def unfinished(states: Iterable[Sequence[str | None]]) -> tuple[str, ...]:
    """Of pairs of a scope and its status, the scopes that were not provisioned to the end."""
    return tuple(sorted(scope for scope, status in states if scope and (status or "").strip() != _COMPLETE))
