# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a database is headquarters' or a store's, by what it records; the other one's rights and tables are none for it."""

from __future__ import annotations

from collections.abc import Collection

from .._engine._errors import RetailError
from .._engine._model import TableName
from . import versions
from .versions import Versions

CHANNEL, HQ = "channel", "hq"

#: The packaged schemas: the one that channel databases are made from, HQ's, too; and what only that has besides, with a table of
#: it, which is made before the schema is recorded.
SCHEMA, HQ_SCHEMA = "ax2012r3", "ax2012r3_hq"
HQ_TABLE = TableName("ax", "RETAILCDXDATAGROUP")

_WHOSE = {CHANNEL: "a channel database", HQ: "headquarters'"}


def check(recorded: Versions, tables: Collection[TableName], asked: str, name: str) -> None:
    """Refuse a database of the other tier: its groups would lose the rights that its services need.

    :param tables: the tables there are.
    :raises RetailError: the message says what is recorded, and what is asked for.
    """
    found = _found(recorded, tables)
    if found is None or found[0] == asked:
        return
    tier, shown = found
    raise RetailError(
        "The database %s is %s: %s. Asked for is tier: %s." % (name, _WHOSE[tier], shown, asked),
        "Set tier: %s, or name another database. " % tier + _MISTAKEN[tier],
    )


def check_channel(tables: Collection[TableName], name: str) -> None:
    """Refuse headquarters' database where a store's channel database is meant: its groups have no rights for that there.

    :param tables: the tables there are, as far as :data:`HQ_TABLE` would be among them.
    :raises RetailError: it is headquarters'.
    """
    if HQ_TABLE in tables:
        raise RetailError(
            "The database %s is headquarters', and no channel database: it has the table %s." % (name, HQ_TABLE),
            "Correct the option channel_database: it names the database of a store.",
        )


def check_no_registers(recorded: Versions, tables: Collection[TableName], name: str) -> None:
    """Refuse to take a channel database, or headquarters', for the offline database of a register, which records no schema.

    :param tables: the tables there are.
    :raises RetailError: it is one of them.
    """
    found = _found(recorded, tables)
    if found is None or (found[0] == CHANNEL and SCHEMA not in recorded.history):
        return
    tier, shown = found
    shown = shown if tier == HQ else "%s records the schema %s" % (versions.HISTORY, SCHEMA)
    raise RetailError(
        "The database %s is %s, and no register's: %s." % (name, _WHOSE[tier], shown),
        "Correct the option offline_database: a register has a database of its own.",
    )


_MISTAKEN = {
    HQ: "Where a run for headquarters made its tables in a store's database by mistake, restore the backup from before it, or drop "
    "those of schemas/%s and delete that row." % HQ_SCHEMA,
    CHANNEL: "A channel database does not become headquarters'; that is made under a name of its own.",
}


def _found(recorded: Versions, tables: Collection[TableName]) -> tuple[str, str] | None:
    """The tier, and what shows it; None for a database that is not made yet, or not to its end."""
    if HQ_SCHEMA in recorded.history:
        return HQ, "%s records the schema %s" % (versions.HISTORY, HQ_SCHEMA)
    if HQ_TABLE in tables:
        return HQ, "it has the table %s" % str(HQ_TABLE)
    release = recorded.release
    if release is not None:
        return CHANNEL, "it is at release %s, and %s records no schema %s" % (release, versions.HISTORY, HQ_SCHEMA)
    return None
