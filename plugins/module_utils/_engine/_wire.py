# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What passes between two speakers: which rows to read, what a row looks like on the wire, how a batch is to be applied.

A row travels as one JSON object with short keys:

* ``v``: its version at the sender, absent in a row that never changed since the baseline
* ``x``: the transaction it was written in; negative: a row of the baseline, alone
* ``d``: 1 for a deletion
* ``c0``, ``c1`` …: the columns in the order of the batch's header
* ``b`` (uploads): the parent's version that the sender's image derives from
* ``e`` (uploads): 1 where it is the very version that the row came with, 0 where it is the last one that it can be
* ``n`` (uploads): 1 for a row born at the sender
* ``k`` (uploads): 1 for a deletion because the row lives on under another key; it travels where other deletions stay
* ``m`` (uploads): the transaction in which the row came to its key, if it had another one before

What a text can hold at one engine and not at another is written as JSON escapes it, by the engine (a NUL character) or by its
speaker (half of a pair of UTF-16): so it lands anywhere, and is refused, where it is, as a value of its row.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable

from ._filter import Filter
from ._model import Column, Table

#: Within a text a quotation mark has a backslash before it, so nothing but a member looks like this. Not every server writes JSON
#: without blanks.
_MEMBER = r'[{,]\s*"%s"\s*:\s*("(?:[^"\\]|\\.)*"|[^,}\s]*)'


def key_of(position: int) -> str:
    """The wire's name for the column at ``position``."""
    return "c%d" % position


def value_in(row: str, position: int) -> Any:
    """One column's value of a row on the wire, which may be too large to be read as a whole.

    Fractions come as text, which has all their digits.
    """
    match = re.search(_MEMBER % key_of(position), row)
    return None if match is None else json.loads(match.group(1), parse_float=str)


def renumbered(row: str, number_now: Callable[[int], int]) -> str:
    """The row with other numbers for its transactions; all else stays as it is spelled.

    :param number_now: the number that a transaction has from now on, by the one that it had.
    """
    return _with(_with(row, "x", number_now), "m", number_now)


def rebased(row: str, newest: int) -> str:
    """The row, derived from no later version of the receiver's than ``newest``; all else stays as it is spelled."""
    return _with(row, "b", lambda base: min(base, newest))


def _with(row: str, name: str, number_now: Callable[[int], int]) -> str:
    match = re.search(_MEMBER % name, row)
    if not match or match.group(1) == "null":
        return row
    return "%s%d%s" % (row[: match.start(1)], number_now(int(match.group(1))), row[match.end(1) :])


def spelled(text: str) -> str:
    """The text with each half of a pair of UTF-16 that stands alone, which is no character, written as JSON writes it: ``\\ud800``.
    It can be sent, printed and stored then."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_json(value: Any) -> str:
    """A value as one line of JSON, as it may be sent to any engine."""
    return spelled(json.dumps(value, ensure_ascii=False))


@dataclass(frozen=True)
class Extract:
    """Which rows of one table a session reads at the sender.

    ``low`` None reads the whole table (a load); else what :func:`marks.newer_than` (``low``, ``seen``) says.
    Rows whose tracking has ``origin == not_origin`` stay: they came from the receiver. ``base`` is given for uploads only: the
    base version of rows that the parent never sent. ``with_deletes`` False leaves deletions out.

    ``filter``: only rows under it travel, and keys of those that left it, as deletions. ``sends_strays``: also keys of changed rows
    that never were under it, since the receiver may have made or changed them itself. ``removes`` (loads): keys of all rows that
    are not under it, since the receiver may have some of them. ``after`` (not filtered): of the rows of version ``low`` only those
    behind this key, in the form in which it travels; the others were read before. ``spelled``: the receiver finds a row whatever the
    letter case of its key, so keys travel as the rows spell them now; else as tracking has them, which is how others know them.

    A pair that begins anew asks for more: ``below``, only changes that were given a lower version; ``unchanged``, the rows that
    were not changed here since they came from the receiver or since the baseline; ``newest_base``, the highest base version
    that means anything to the receiver; ``given``, the highest version that the receiver remembers having given.
    """

    table: Table
    columns: tuple[Column, ...]
    low: int | None
    seen: str | None
    not_origin: int
    with_deletes: bool = True
    base: int | None = None
    filter: Filter = ()
    sends_strays: bool = False
    removes: bool = False
    below: int | None = None
    unchanged: bool = False
    newest_base: int | None = None
    given: int | None = None
    after: tuple[Any, ...] = ()
    spelled: bool = False

    @property
    def forgotten(self) -> str:
        """SQL, of unchanged rows: the newest base where the row came with a later version, which the receiver has lost; else -1."""
        if self.given is None or self.newest_base is None:
            return "-1"
        return "CASE WHEN t.parent_version > %d THEN %d ELSE -1 END" % (int(self.given), int(self.newest_base))

    @property
    def uploads(self) -> bool:
        return self.base is not None

    def key_in(self, row: str) -> tuple[Any, ...]:
        """The key of a row on the wire."""
        places = {column.name: position for position, column in enumerate(self.columns)}
        return tuple(value_in(row, places[name]) for name in self.table.primary_key)


@dataclass(frozen=True)
class Work:
    """How one batch is applied at the receiver.

    :param decide: makes the neutral CASE expression from the speaker's phrases, see ``_sync/rules.py``.
    :param peer: the origin that written rows get.
    :param bodies: a query that gives the batches' JSON, one a row in the column ``body``, and their ``place`` where some of
        their rows are left out; ``body_parameters`` are its own.
    :param only: ``deletions`` or ``images``: the others are left out.
    :param acked: (downloads, with ``acked_seen``) up to where the parent has taken the changes here.
    :param window_from: (uploads) versions at or above it are remembered in sync_window.
    :param track_all: False leaves rows without a version (baseline rows of a load) untracked.
    :param gives_up: (downloads) what was changed here, and alike at the parent, is the parent's from then on; only where
        nothing goes up, since it would not go to a new parent either.
    :param without: source transactions to leave out: the place of their batch, 0 for any, and their number.
    :param goes_further: (uploads) what is written here goes up from here, too: transactions that wrote the same row are linked.
    :param exact: the sender tells keys apart that differ in letter case alone: a deletion may mean another key than the row has here.
    """

    table: Table
    columns: tuple[Column, ...]
    decide: Callable[[str, str, str], str]
    upload: bool
    peer: int
    scope: str
    parent_wins: bool
    bodies: str
    body_parameters: tuple
    acked: int = 0
    acked_seen: str | None = None
    window_from: int | None = None
    track_all: bool = True
    without: frozenset[tuple[int, int]] = frozenset()
    gives_up: bool = False
    goes_further: bool = False
    only: str = ""
    exact: bool = False


@dataclass(frozen=True)
class Merge:
    """A table into which a whole load is merged.

    :param bodies: the landed batches: a scalar subquery that gives the JSON, its parameters, the places of the key's columns.
    :param acked: up to where the parent has taken the changes here; None where none go up, and rows born here stay.
    """

    table: Table
    bodies: tuple[tuple[str, tuple, tuple[int, ...]], ...]
    acked: tuple[int, str | None] | None


#: What :attr:`Work.only` means, in SQL; q is the row on the wire.
ONLY = {"": "", "deletions": " WHERE q.d = 1", "images": " WHERE COALESCE(q.d, 0) = 0"}


@dataclass
class Outcome:
    """What became of the rows of a batch. ``held_at``: the lowest version that has to come again, None where nothing waits.
    ``tables``: how many rows changed the receiver, by table, where several tables are summed up."""

    written: int = 0
    deleted: int = 0
    same: int = 0
    seen: int = 0
    conflicts: int = 0
    held: int = 0
    held_at: int | None = None
    tables: dict[str, int] = field(default_factory=dict)

    def add(self, other: Outcome, table: str = "") -> None:
        """Sum up.

        :param table: whose rows the other ones are.
        """
        if table and other.moved:
            self.tables[table] = self.tables.get(table, 0) + other.moved
        for name in ("written", "deleted", "same", "seen", "conflicts", "held"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.held_at is not None:
            self.held_at = other.held_at if self.held_at is None else min(self.held_at, other.held_at)

    @property
    def moved(self) -> int:
        """Rows that changed the receiver."""
        return self.written + self.deleted
