# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing a channel database, or the HQ database, and what speaks against it."""

from __future__ import annotations

from typing import Any

from .._engine._errors import RetailError
from .._plan import Plan, Step
from .._schema import tier, versions
from .._sync import acknowledged, metadata
from .._sync.metadata import PARENT, PEER
from . import taking_over

#: More names than this are counted, not listed.
_LISTED = 10


def plan(name: str, db: Any, asked: str, server: str, force: bool) -> Plan:
    """The steps that remove the connected database.

    :param db: the database, open; it has to be closed before the plan is applied.
    :param asked: its tier, as it was asked for: a database of the other one is another than was meant.
    :param server: the key of the connection to the server's maintenance database.
    :param force: whatever is lost with it.
    :raises RetailError: it is no channel database, or one of the other tier, or something would be lost.
    """
    there = db.engine.tables.read(db, [versions.POSISINFO, versions.DBVERSION, versions.HISTORY, tier.HQ_TABLE, PEER])
    if versions.POSISINFO not in there and versions.DBVERSION not in there:
        raise RetailError(
            "The database %s is not a channel database: it has neither dbo.POSISINFO nor ax.DBVERSION." % name,
            "Check its name. What this module has not made, it does not remove.",
        )
    recorded = versions.read_all(db, there)
    tier.check(recorded, there, asked, name)
    if not force:
        taking_over.check_removal(db, name)
        check_unacknowledged(db, "The database %s is not removed" % name)
        _check_children(name, db, PEER in there)
    release = recorded.release
    before = {"name": name, "release": str(release) if release else None}
    statements = db.engine.databases.drop(name)
    return Plan([Step("Drop database %s" % name, ("database",), before, None, server, statements, atomic=False)])


def check_unacknowledged(db: Any, what: str) -> None:
    """Refuse while the database has rows that nobody else is known to have.

    :param what: how the message begins: what is not done.
    :raises RetailError: the message says whose rows, and how many.
    """
    rows = acknowledged.unacknowledged(db)
    if rows:
        listed = ", ".join("%s: %d rows of scope %s" % (one.peer, one.rows, one.scope) for one in rows[:_LISTED])
        more = " and %d more" % (len(rows) - _LISTED) if len(rows) > _LISTED else ""
        raise RetailError(
            "%s: it holds rows that were not acknowledged (%s%s)." % (what, listed, more),
            "Let the services synchronise until nothing waits, and look at quarantined rows; or set force to do it anyway.",
        )


def _check_children(name: str, db: Any, has_peers: bool) -> None:
    children = [peer for peer in metadata.read_peers(db) if peer.peer_id != PARENT] if has_peers else []
    if children:
        names = ", ".join(peer.name for peer in children[:_LISTED])
        more = " and %d more" % (len(children) - _LISTED) if len(children) > _LISTED else ""
        raise RetailError(
            "The database %s is not removed: these synchronise with it: %s%s." % (name, names, more),
            "Remove their databases first, since only they know what they have not handed over; or set force.",
        )
