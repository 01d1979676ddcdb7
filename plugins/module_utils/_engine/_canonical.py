# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One spelling of a row for all engines, so that digests of it can be compared: what the speakers agree on.

A row is the texts of its columns, joined by ``|``; NULL is an empty text. The text of a column follows its form:

* ``integer``, ``bit``, ``date`` (days since 1970), ``time`` and ``moment``: a whole number; times in ``unit`` parts of a
  second, a moment since 1970, rounded half up. Unit 0: whole minutes.
* ``exact``: digits, with a point where there is a fraction, which does not end with a zero
* ``guid``: lower case; ``single`` and ``double``: the bytes of the IEEE number in hexadecimal digits
* ``text``: ``5:Pizza`` where all of it is printable ASCII, else ``u`` and its UTF-16 code units, low byte first, in
  hexadecimal digits; ``fixed`` likewise, without the blanks at the end
* ``binary``: the MD5 of the bytes

The digest of a row is the MD5 of that ASCII text. MD5 guards against chance here, not against malice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ._filter import Filter
from ._model import Column, Table


@dataclass(frozen=True)
class Form:
    """How a column is spelled. ``unit``: see above; of two sides the coarser one counts, for the finer side's digits never
    arrive."""

    family: str
    unit: int = 0


def common(one: Form, other: Form) -> Form | None:
    """The form in which two sides can be compared, None where there is none."""
    if {one.family, other.family} == {"text", "fixed"}:
        return Form("fixed")
    return Form(one.family, min(one.unit, other.unit)) if one.family == other.family else None


@dataclass(frozen=True)
class Digest:
    """Which rows of a table are summed up, and how their columns are spelled.

    ``origin`` not None: only rows whose tracking names that peer as their origin, with a version of ``low`` or more, written at
    ``since`` or later by the database's clock. ``filter``: only rows under it.
    """

    table: Table
    columns: tuple[Column, ...]
    forms: tuple[Form, ...]
    origin: int | None = None
    filter: Filter = ()
    low: int | None = None
    since: datetime | None = None

    @property
    def keys(self) -> Sequence[tuple[Column, Form]]:
        """The key's columns with their forms."""
        forms = {column.name: form for column, form in zip(self.columns, self.forms)}
        return [(column, forms[column.name]) for column in self.table.key_columns]


def numbered(keys: Sequence[str]) -> str:
    """Wire objects of keys as one JSON array; ``p`` is the place of each."""
    return "[%s]" % ",".join('{"p":%d,%s' % (place, key[1:]) for place, key in enumerate(keys))


@dataclass(frozen=True)
class Bucket:
    """Rows whose digests begin alike: how many, and two sums that do not depend on their order."""

    rows: int
    first: int
    second: int


@dataclass(frozen=True)
class Seen:
    """What one side has of a key. ``digest`` None: no row. ``waits``: a change of it has yet to go to the other side.
    ``unit``: the transaction that last wrote it here, None where nothing is known of it."""

    digest: str | None
    tracked: bool
    tombstone: bool
    waits: bool
    unit: int | None
