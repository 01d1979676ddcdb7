# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who gets what in the product's databases, as data: the vendor's roles and groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .._engine._errors import RetailError
from .._engine._model import TableName
from .._engine._rights import BOOKS, EXECUTE, READ, SYNCHRONISE, WRITE

CHANNEL, OFFLINE, HQ = "channel", "offline", "hq"


class Rule(NamedTuple):
    """One need of a role. ``transactions`` False: not on the tables that hold a store's transactions."""

    need: str
    transactions: bool = True

    def covers(self, table: TableName) -> bool:
        """Whether it is a need of rights on this table."""
        if self.need == SYNCHRONISE:
            return table in BOOKS
        return self.transactions or not is_transaction(table)


class Group(NamedTuple):
    """What a group of accounts is in the databases of one tier: the roles it is a member of, and needs of its own."""

    roles: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()


#: The database roles, and what each is for. UsersRole and PublishersRole belong to the vendor's runtime: its scripts
#: and partners' grant to them, so they must be there; nothing of ours needs them.
ROLES: Mapping[str, tuple[Rule, ...]] = {
    "db_datareader": (Rule(READ),),
    "db_datawriter": (Rule(WRITE),),
    "db_executor": (Rule(EXECUTE),),
    "UsersRole": (),
    "PublishersRole": (),
    "DataSyncUsersRole": (Rule(READ), Rule(WRITE, transactions=False)),
}

_READ_WRITE = ("db_datareader", "db_datawriter")
_ALL = ("db_datareader", "db_datawriter", "db_executor")

_SYNCHRONISE = (Rule(SYNCHRONISE),)

#: The groups of each tier. HQ receives every store's transactions through the accounts in RetailDataSyncUsers: there
#: they write everything, by rights of the group's own. As members of db_datawriter they could do so in a channel
#: database, too, that stands on the same PostgreSQL cluster: memberships there hold for the whole cluster.
GROUPS: Mapping[str, Mapping[str, Group]] = {
    CHANNEL: {
        "RetailOfflineSyncUsers": Group(_READ_WRITE, _SYNCHRONISE),
        "POSUsers": Group(_ALL),
        "RetailDataSyncUsers": Group(("DataSyncUsersRole",), _SYNCHRONISE),
    },
    OFFLINE: {
        "RetailOfflineSyncUsers": Group(_READ_WRITE, _SYNCHRONISE),
        "POSUsers": Group(_ALL),
    },
    HQ: {
        "RetailDataSyncUsers": Group((), (Rule(READ), Rule(WRITE), *_SYNCHRONISE)),
    },
}

#: Job P-0001's tables that the prefix below does not catch.
_TRANSACTION_TABLES = {"RETAILLOG", "RETAILPOSBATCHACCOUNTTRANS", "RETAILPOSBATCHTABLE", "RETAILPOSBATCHTENDERTRANS"}
_TRANSACTION_PREFIX = "RETAILTRANSACTION"
#: A set-up table, for all its name.
_NO_TRANSACTION_TABLES = {"RETAILTRANSACTIONSERVICEPROFILE"}


def is_transaction(table: TableName) -> bool:
    """Whether HQ only reads the table in a channel database. A ``_tracking`` table is ours and does not count."""
    if table.name.endswith("_tracking") or table.name in _NO_TRANSACTION_TABLES:
        return False
    return table.name.startswith(_TRANSACTION_PREFIX) or table.name in _TRANSACTION_TABLES


#: What a group can be permitted, by its name in the modules' options: the role that it becomes a member of, what else.
PERMISSIONS: Mapping[str, Group] = {
    "read": Group(("db_datareader",)),
    "write": Group(("db_datawriter",)),
    "execute": Group(("db_executor",)),
    "datasync": Group(("DataSyncUsersRole",), _SYNCHRONISE),
    "synchronise": Group((), _SYNCHRONISE),
}
#: The same at HQ, by rights of the group's own; see GROUPS.
_HQ_PERMISSIONS: Mapping[str, Group] = {
    "read": Group((), (Rule(READ),)),
    "write": Group((), (Rule(WRITE),)),
    "execute": Group((), (Rule(EXECUTE),)),
    "synchronise": Group((), _SYNCHRONISE),
}


def permitted(tier: str, name: str, permissions: Iterable[str]) -> Group:
    """A group that may do just this.

    :raises RetailError: there is no such permission in a database of this tier.
    """
    known = _HQ_PERMISSIONS if tier == HQ else PERMISSIONS
    if tier == OFFLINE:
        known = {word: group for word, group in PERMISSIONS.items() if word != "datasync"}
    parts = []
    for word in permissions:
        if word not in known:
            raise RetailError(
                "The group %s cannot have the permission %s in the %s database." % (name, word, tier),
                "Known there: %s." % ", ".join(known),
            )
        parts.append(known[word])
    roles = tuple(dict.fromkeys(role for part in parts for role in part.roles))
    return Group(roles, tuple(dict.fromkeys(rule for part in parts for rule in part.rules)))


def roles_of(tier: str, groups: Iterable[Group] = ()) -> list[str]:
    """The roles of a tier: all of them in a channel database, elsewhere those that a group needs."""
    if tier == CHANNEL:
        return list(ROLES)
    used = {role for group in (*GROUPS[tier].values(), *groups) for role in group.roles}
    return [role for role in ROLES if role in used]
