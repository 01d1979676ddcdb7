# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables as plain values, in the vocabulary of the real channel schema (T-SQL's type names).

The neutral spelling of a type is SQL Server's, in lower case: ``nvarchar(20)``, ``numeric(32,16)``, ``datetime``. A speaker
translates it to its own engine and back; two tables are compared after ``engine.types.normalize``.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ._errors import RetailError

_COLUMN = re.compile(
    r"^(?P<type>[a-z0-9]+(?:\((?:\d+|max)(?:,\d+)?\))?)"
    r"(?P<identity> identity)?(?P<null> not null| null)?(?: default (?P<default>.+))?$"
)


class TableName(NamedTuple):
    """A schema-qualified table name, spelled exactly as AX spells it."""

    schema: str
    name: str

    def __str__(self) -> str:
        return "%s.%s" % self

    @classmethod
    def parse(cls, text: str, default_schema: str = "ax") -> TableName:
        """Read ``ax.CUSTTABLE`` or a bare ``CUSTTABLE``; a bare name means schema ax, as in AX's offline tables."""
        schema, dot, name = text.partition(".")
        return cls(schema, name) if dot else cls(default_schema, schema)

    def with_suffix(self, suffix: str) -> TableName:
        return TableName(self.schema, self.name + suffix)


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[str, bool, str | None, bool] | None:
    """Type, nullable, default and identity: thousands of columns are declared in some dozens of ways."""
    match = _COLUMN.match(text.strip())
    if not match:
        return None
    default = None if match.group("default") in (None, "NULL") else match.group("default")
    return match.group("type"), match.group("null") != " not null", default, bool(match.group("identity"))


@dataclass(frozen=True)
class Column:
    """One column. ``default`` is the neutral expression (``''``, ``0``, ``getutcdate()``), None where there is none.

    ``collation``: by what a text is compared, in the words of the engine that it was read from; "" where it is the database's own. It
    is no part of what the product declares, so columns that differ in nothing else are equal.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    identity: bool = False
    collation: str = field(default="", compare=False)

    @property
    def is_rowversion(self) -> bool:
        return self.type in ("timestamp", "rowversion")

    @property
    def synchronises(self) -> bool:
        """Row versions and identity values are assigned by each database and never travel."""
        return not (self.identity or self.is_rowversion)

    @classmethod
    def parse(cls, name: str, text: str) -> Column:
        """Read the form of the packaged schema: ``nvarchar(20) not null default ''``.

        :raises RetailError: the text is not of that form.
        """
        facts = _parsed(text)
        if facts is None:
            raise RetailError(
                "Column %s: %r is not a column definition." % (name, text),
                "Write it as 'type [identity] [not null] [default expression]', for example nvarchar(20) not null default ''.",
            )
        return cls(name, *facts)

    def __str__(self) -> str:
        words = [self.type]
        if self.identity:
            words.append("identity")
        if not self.nullable:
            words.append("not null")
        if self.default is not None:
            words.append("default " + self.default)
        return " ".join(words)


@dataclass(frozen=True)
class Table:
    """One table; ``columns`` in order, ``unique`` and ``indexes`` as tuples of column-name tuples."""

    name: TableName
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = field(default=())

    def column(self, name: str) -> Column | None:
        for column in self.columns:
            if column.name == name:
                return column
        return None

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(column for wanted in self.primary_key for column in self.columns if column.name == wanted)

    @property
    def travelling_columns(self) -> tuple[Column, ...]:
        """The columns that synchronisation moves, in the table's order."""
        return tuple(column for column in self.columns if column.synchronises)
