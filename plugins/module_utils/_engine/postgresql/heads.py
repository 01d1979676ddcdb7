# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The highest version in each tracking table, asked for hundreds of tables at once: a prepared statement of the connection.

Most cycles of a service find nothing. Planning the question costs more than ten times what answering it does, so it is
planned once for a connection; and each answer is the last entry of an index, whatever the tables' statistics say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from . import names

#: max(version) would cost twice as much: it leaves out null, and asks for that. EXISTS (… version >= …) costs half, but planned without
#: the value it would read whole tables.
_HEAD = "(SELECT version FROM %s ORDER BY version DESC LIMIT 1)"


def reached(db: Any, tables: Sequence[tuple[str, int]]) -> list[int]:
    """Positions of those tracking tables that hold a version of at least the given one.

    :param tables: quoted names of tracking tables, each with a version.
    """
    if not tables:
        return []
    question = "SELECT CAST(ARRAY[%s] AS text)" % ", ".join(_HEAD % name for name, _low in tables)
    name = names.quote("axops_heads_%s" % hashlib.sha256(question.encode()).hexdigest()[:16])
    if name not in db.prepared:
        db.execute("PREPARE %s AS %s" % (name, question))
        db.prepared.add(name)
    heads = db.value("EXECUTE %s" % name).strip("{}").split(",")
    return [
        position
        for position, (head, (_name, low)) in enumerate(zip(heads, tables))
        if head != "NULL" and int(head) >= low
    ]
