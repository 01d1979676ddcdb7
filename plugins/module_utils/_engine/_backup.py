# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup of one database, as all engines describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ._errors import RetailError


class Damaged(RetailError):
    """A backup cannot be restored, or is not what the database was."""


@dataclass(frozen=True)
class Backup:
    """One backup.

    :param name: what the operator calls it; ``database``: what it is of; ``release``: where that was, "" for none.
    :param made: when it was made, in UTC, as ISO 8601.
    :param tested: whether it was restored into a database of its own and found whole.
    :param digest: of the file, where the engine does not look after that itself.
    :param lasting: options that the database has from its making on, where the file does not hold them.
    :param content: of each table how many rows it had, and a digest of them; empty where that was not asked for.
    """

    name: str
    database: str
    release: str
    made: str
    tested: bool = False
    digest: str = ""
    lasting: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As it stands in a file."""
        return asdict(self)


def compare(backup: Backup, content: Mapping[str, tuple[int, str]]) -> None:
    """Hold what was restored against what the backup was made of.

    :raises Damaged: a table is missing, or has other rows.
    """
    wrong = sorted(
        "%s: %d of %d rows" % (table, content[table][0], rows) if table in content else "%s: missing" % table
        for table, (rows, digest) in backup.content.items()
        if table not in content or tuple(content[table]) != (rows, digest)
    )
    if wrong:
        raise Damaged(
            "The backup %s of %s was restored, and is not what the database was (%s%s)."
            % (backup.name, backup.database, "; ".join(wrong[:5]), " …" if wrong[5:] else ""),
            "Do not rely on it: look at the server's log and its disk, remove the backup, and make another one.",
        )
