# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The highest version in each tracking table, asked for hundreds of tables at once: a prepared statement of the connection.

Most cycles of a service find nothing. Planning the question costs more than ten times what answering it does, so it is
planned once for a connection; and each answer is the last entry of an index, whatever the tables' statistics say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from . import names

#: max(version) would cost twice as much: it leaves out null, and asks for that. EXISTS (… version >= …) costs half, but planned without
#: the value it would read whole tables.
_HEAD = "(SELECT version FROM %s ORDER BY version DESC LIMIT 1)"


#: Questions about so many tables in all are kept. Scopes with turns of their own are due in ever new companies, each of which is
#: another question; and one about hundreds of tables takes megabytes at the server as long as it is kept.
MOST_TABLES = 2_000
#: So many tables are asked for at once. While a question is planned each table and each of its indexes is locked, and after an outage all
#: services of a store plan theirs at the same moment: the server has room for so many locks in all.
TOGETHER = 100


def _make_room(db: Any, tables: int) -> None:
    """Forget what was asked longest ago."""
    while db.prepared and sum(db.prepared.values()) + tables > MOST_TABLES:
        oldest = next(iter(db.prepared))
        db.execute("DEALLOCATE %s" % oldest)
        del db.prepared[oldest]


def reached(db: Any, tables: Sequence[tuple[str, int]]) -> list[int]:
    """Positions of those tracking tables that hold a version of at least the given one.

    :param tables: quoted names of tracking tables, each with a version.
    """
    heads = [head for start in range(0, len(tables), TOGETHER) for head in _heads(db, tables[start : start + TOGETHER])]
    return [
        position
        for position, (head, (_name, low)) in enumerate(zip(heads, tables))
        if head != "NULL" and int(head) >= low
    ]


def in_portions(db: Any, parts: Sequence[str]) -> Iterator[Any]:
    """The rows of one SELECT a table, so many at a time: each locks its table and all of the indexes while it is planned."""
    for start in range(0, len(parts), TOGETHER):
        yield from db.query(" UNION ALL ".join(parts[start : start + TOGETHER]))


def _heads(db: Any, tables: Sequence[tuple[str, int]]) -> list[str]:
    question = "SELECT CAST(ARRAY[%s] AS text)" % ", ".join(_HEAD % name for name, _low in tables)
    name = names.quote("axops_heads_%s" % hashlib.sha256(question.encode()).hexdigest()[:16])
    if name not in db.prepared:
        _make_room(db, len(tables))
        db.execute("PREPARE %s AS %s" % (name, question))
    # What was asked last stands last.
    db.prepared[name] = db.prepared.pop(name, len(tables))
    return db.value("EXECUTE %s" % name).strip("{}").split(",")
