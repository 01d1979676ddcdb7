# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has landed in the staging table becomes rows: all batches of one way of one scope, in the caller's transaction.

As a rule each batch by itself, as it came. Where something was refused it is done with care: all of a table at once, so that
unique values may change hands over any number of rows, and deletions before images, those of the last table first, so that
foreign keys inside the scope hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .._engine._errors import RetailError, StatementFailed
from .._engine._model import TableName
from .._engine._wire import Outcome, Work
from . import metadata, rules
from .anew import Anew
from .merge import Merging
from .metadata import STAGING, Scope
from .package import Package
from .pair import SharedTable
from .quarantine import Source


@dataclass(frozen=True)
class Way:
    """``receiver_number`` is the receiver's number at the sender: rows of that origin came from it and stay. ``sender_number`` is
    the sender's number at the receiver: the origin that written rows get there."""

    sender: Any
    receiver: Any
    receiver_number: int
    sender_number: int
    upload: bool
    scope: Scope
    tables: list[SharedTable]
    anew: Anew | None = None
    merge: Merging | None = None
    package: Package | None = None

    def table_at_sender(self, shared: SharedTable) -> Any:
        return shared.child if self.upload else shared.parent

    def table_at_receiver(self, shared: SharedTable) -> Any:
        return shared.parent if self.upload else shared.child

    def spelled(self, shared: SharedTable) -> bool:
        """Whether the receiver finds a row whatever the letter case of its key, see ``Extract``."""
        return self.receiver.engine.tracking.overlooks_case(self.receiver, self.table_at_receiver(shared))

    def exact(self, shared: SharedTable) -> bool:
        """Whether the sender tells keys apart that differ in letter case alone, see ``Work``."""
        return not self.sender.engine.tracking.overlooks_case(self.sender, self.table_at_sender(shared))


@dataclass(frozen=True)
class Anchor:
    """Up to where a receiver has taken a sender's changes: everything below ``low``, and what the snapshot ``seen`` saw."""

    low: int = 0
    seen: str | None = None


#: So many batches, of one megabyte each at the most, are applied at a time,
_TOGETHER = 8
#: and so many rows: SQL Server locks the whole table, and keeps the POS out of it, from about 5,000 locks a statement on.
_TOGETHER_ROWS = 2_000


@dataclass(frozen=True)
class _Part:
    """Batches of one table that are applied together, and which of their rows."""

    sequences: tuple[int, ...]
    fields: dict[str, Any]
    only: str = ""


def apply_all(way: Way, mark: Any, acked: Anchor, without: frozenset[Source], with_care: bool) -> Outcome:
    """Apply all that has landed, but for the source transactions ``without``.

    :raises StatementFailed: ``data`` when a row cannot be stored here.
    """
    receiver, key = way.receiver, (way.sender_number, way.scope.name)
    total = Outcome()
    landed = receiver.query(
        "SELECT sequence, header FROM %s WHERE peer_id = ? AND sync_scope_name = ? ORDER BY sequence"
        % receiver.engine.names.quote(*STAGING),
        *key,
    )
    by_name = {str(shared.name): shared for shared in way.tables}
    headers = [(int(sequence), json.loads(header)) for sequence, header in landed]
    further = going_up(way) if way.upload and headers else frozenset()
    twice_from = _read_twice_from(headers)
    track_all = way.upload or (any(fields["load"] for _sequence, fields in headers) and goes_further(way))
    for part in _with_care(headers, list(by_name)) if with_care else _as_they_came(headers):
        shared = by_name[part.fields["table"]]
        known = Anchor(*part.fields["acked"]) if "acked" in part.fields else acked
        bodies = "SELECT body, sequence AS place FROM %s WHERE peer_id = ? AND sync_scope_name = ? AND sequence IN (%s)" % (
            receiver.engine.names.quote(*STAGING), ", ".join(str(number) for number in part.sequences),
        )  # fmt: skip
        absent = frozenset(source for source in without if source[0] in (0, *part.sequences))
        columns, said = part.fields["columns"], part.fields.get("anew")
        work = make_work(way, shared, columns, mark, known, bodies, key, absent, said)
        work = replace(work, track_all=track_all, goes_further=shared.name in further, only=part.only)
        if work.window_from is not None:
            work = replace(work, window_from=min(work.window_from, twice_from.get(str(shared.name), work.window_from)))
        outcome = receiver.engine.applying.apply_batch(receiver, work)
        if outcome.held_at is not None:
            outcome.held_at = max(int(outcome.held_at), part.fields.get("floor", 0))
        total.add(outcome, part.fields["table"])
    return total


def _as_they_came(headers: list[tuple[int, dict[str, Any]]]) -> Iterator[_Part]:
    """Neighbours that were read in one go share the statements, which cost the same for many rows as for few."""
    group: list[tuple[int, dict[str, Any]]] = []
    for landed in headers:
        rows = sum(fields["rows"] for _sequence, fields in [*group, landed])
        full = len(group) == _TOGETHER or rows > _TOGETHER_ROWS
        if group and (full or not _one_go([*group, landed])):
            yield _Part(tuple(sequence for sequence, _fields in group), group[0][1])
            group = []
        group.append(landed)
    if group:
        yield _Part(tuple(sequence for sequence, _fields in group), group[0][1])


def _with_care(headers: list[tuple[int, dict[str, Any]]], order: list[str]) -> Iterator[_Part]:
    """A table at a time, however many rows it has, since a unique value may go from any of them to any other.

    One that was read in several goes, since its landing was cut off, is applied as it came: it may have a row twice.
    """
    tables: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    # What a load that is merged takes away goes first, see merge.prepare.
    yield from _as_they_came([(sequence, fields) for sequence, fields in headers if "merge" in fields])
    for sequence, fields in headers:
        if "merge" in fields:
            continue
        tables.setdefault(fields["table"], []).append((sequence, fields))
    names = sorted(tables, key=lambda name: order.index(name) if name in order else -1)
    whole = {
        name: _Part(tuple(n for n, _fields in tables[name]), tables[name][0][1])
        for name in names
        if _one_go(tables[name])
    }
    for name in reversed(names):
        if name in whole:
            yield replace(whole[name], only="deletions")
    for name in names:
        if name in whole:
            yield replace(whole[name], only="images")
        else:
            yield from _as_they_came(tables[name])


def _read_twice_from(headers: list[tuple[int, dict[str, Any]]]) -> dict[str, int]:
    """From which version on rows of a table may have landed twice: a landing that was cut off while an older transaction was open
    goes on with that one's version. The window has to know such a row by its second time, or what became of it would be recorded twice."""
    first: dict[str, Any] = {}
    found: dict[str, int] = {}
    for _sequence, fields in headers:
        name, start = fields["table"], fields.get("start")
        goes_on = first.setdefault(name, fields.get("read")) != fields.get("read")
        if goes_on and start is not None and not fields.get("behind"):
            found[name] = min(start, found.get(name, start))
    return found


def _one_go(batches: list[tuple[int, dict[str, Any]]]) -> bool:
    goes = {
        json.dumps([fields.get(name) for name in ("table", "read", "load", "columns", "acked", "floor", "anew")])
        for _n, fields in batches
    }
    return len(goes) == 1 and ("read" in batches[0][1] or len(batches) == 1)


def fits(way: Way, fields: dict[str, Any]) -> bool:
    """Whether the receiver still has, in this scope, the table and the columns of a landed batch."""
    for shared in way.tables:
        if str(shared.name) == fields["table"]:
            known = {column.name for column in way.table_at_receiver(shared).columns}
            return known.issuperset(fields["columns"])
    return False


def check_structure(way: Way, failure: StatementFailed) -> None:
    """Tell a receiver that can take no row at all from rows that are bad: nothing is put aside for its defect.

    :raises RetailError: a column of the receiver's needs a value that the sender does not know.
    """
    for shared in way.tables:
        for column in way.table_at_receiver(shared).columns:
            needed = not column.nullable and column.default is None and column.synchronises
            said = (
                column.name.lower() in failure.message.lower() and shared.name.name.lower() in failure.message.lower()
            )
            if failure.kind == "data" and needed and said and column.name not in shared.columns:
                raise RetailError(
                    "The column %s of %s in %s takes no NULL and has no default, and %s does not have it: no row can be stored."
                    % (column.name, shared.name, way.receiver.target.where, way.sender.target.where),
                    "Give it a default, let it be NULL, or upgrade the other database; nothing is lost meanwhile.",
                )


def going_up(way: Way) -> frozenset[TableName]:
    """The tables of this scope whose changes go up from the receiver of an upload, too."""
    scopes = metadata.read_scopes(way.receiver, metadata.PARENT)
    up = {table.name for scope in scopes if scope.uploads for table in scope.tables}
    return frozenset(shared.name for shared in way.tables if shared.name in up)


def goes_further(way: Way) -> bool:
    """Whether what is loaded here has to go further down.

    A register that comes to a running store in this moment waits until the load is there, and then loads it, too.
    """
    way.receiver.engine.locks.share(way.receiver, metadata.PEER)
    return any(peer.peer_id != metadata.PARENT for peer in metadata.read_peers(way.receiver))


def make_work(
    way: Way,
    shared: SharedTable,
    columns: list[str],
    mark: Any,
    acked: Anchor,
    bodies: str,
    parameters: tuple,
    without: frozenset[Source],
    anew: dict[str, Any] | None,
) -> Work:
    """How the receiver of a way applies rows of one table.

    :param bodies: a query that gives their JSON in the column ``body``.
    """
    table = way.table_at_receiver(shared)
    by_name = {column.name: column for column in table.columns}
    return Work(
        table=table,
        columns=tuple(by_name[name] for name in columns),
        decide=_rules(way, anew),
        upload=way.upload,
        peer=way.sender_number,
        scope=way.scope.name,
        # Where changes do not go up, the parent's image is the only one that can stay everywhere.
        parent_wins=shared.winner == "parent" if way.upload else True,
        bodies=bodies,
        body_parameters=parameters,
        acked=acked.low,
        acked_seen=acked.seen,
        window_from=mark.low if way.upload else None,
        without=without,
        gives_up=not way.upload and not way.scope.uploads,
        exact=way.exact(shared),
    )


def _rules(way: Way, anew: dict[str, Any] | None) -> rules.Decide:
    if not way.upload:
        return rules.download(way.scope.uploads)
    return rules.upload(way.sender_number) if anew is None else rules.anew(way.sender_number, **anew)
