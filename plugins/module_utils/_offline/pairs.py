# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a child and its parent synchronise: a register and its channel database, a channel database and HQ.

:func:`plan_pair` compares and plans the difference only. Each step may be run again, and a run that was killed anywhere
is completed by the next. :func:`planned` holds the locks without which two runs, or a run and a session, would meet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import Table, TableName
from .._plan import Plan
from .._sync import metadata
from .._sync.metadata import PARENT, PEER, Scope
from . import tables as pair_tables
from .checks import check_scopes, check_tables
from .locking import LOCK_TIMEOUT, take
from .relation import Identity, Relation, plan_relation, relate
from .scopes import plan_scopes
from .state import Place, Side, read_side

PROVISION_LOCK = "axops.retail:provision"


@dataclass(frozen=True)
class Request:
    """What is wanted of one pair.

    :param open_database: gives the connection for a place's key, when the plan is applied.
    :param create_tables: the child gets the tables that it lacks, as its parent has them; else they must be there.
    :param reprovision: where the pair cannot go on, since a side is new or was restored, begin it anew.
    :param force: remove scopes even while rows of theirs wait to go up.
    """

    child: Place
    parent: Place
    scopes: Sequence[Scope]
    identity: Identity
    open_database: Callable[[str], Any]
    create_tables: bool = False
    reprovision: bool = False
    force: bool = False


@dataclass
class PairPlan:
    """The plan of one pair.

    ``guid``: the child's; ``begins``: it is a new one, which the plan gives it.
    ``tables``: all that synchronise, as the parent has them.
    ``touched``: the scopes there are that change. ``release()``: let others provision, once the plan has been applied.
    """

    plan: Plan = field(default_factory=Plan)
    guid: str = ""
    begins: bool = False
    tables: dict[TableName, Table] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    release: Callable[[], None] = lambda: None


def plan_pair(request: Request) -> PairPlan:
    """Compare the two databases with what is wanted.

    :raises RetailError: the scopes cannot be, or a side is not what it should be; nothing has been changed.
    """
    check_scopes(request.scopes)
    wanted = [item.name for scope in request.scopes for item in scope.tables]
    parent = read_side(request.parent, wanted)
    child = read_side(request.child, wanted)
    check_tables(request.scopes, parent.tables, request.parent.db.target.where)
    relation = relate(child, parent, request.identity, request.reprovision)
    desired = [parent.tables[name] for name in wanted]
    pair_tables.check_keys(child, desired)
    # In check mode an earlier task would have made the child and its tables.
    if not request.create_tables and request.child.db is not None:
        pair_tables.check_copies(child, desired)
    result = PairPlan(guid=relation.guid, begins=relation.begins, tables={table.name: table for table in desired})
    _add_steps(request, child, parent, relation, desired, result)
    return result


def _add_steps(
    request: Request, child: Side, parent: Side, relation: Relation, desired: Sequence[Table], result: PairPlan
) -> None:
    plan, uploading = result.plan, [item.name for scope in request.scopes if scope.uploads for item in scope.tables]
    copies = [child.tables.get(table.name, table) for table in desired]
    plan.extend(pair_tables.plan_bookkeeping(parent))
    plan.extend(pair_tables.plan_bookkeeping(child))
    if request.create_tables:
        plan.extend(pair_tables.plan_tables(child, desired))
    # Tracking comes before the scopes: nothing that changes after the first session may go unnoticed.
    plan.extend(pair_tables.plan_tracking(parent, desired))
    plan.extend(pair_tables.plan_tracking(child, copies, uploading))
    plan.extend(plan_relation(child, parent, relation, request.identity, request.open_database))
    scopes = plan_scopes(child, parent, relation, request.identity, request.scopes, result.tables, request.force)
    plan.extend(scopes.plan)
    result.touched = scopes.touched
    here = set(result.tables)
    plan.extend(pair_tables.plan_untracking(child, here | child.used_by_others([PARENT])))
    gone = [peer.peer_id for peer in relation.replaced] + ([relation.number] if relation.number is not None else [])
    plan.extend(pair_tables.plan_untracking(parent, here | parent.used_by_others(gone)))


@contextlib.contextmanager
def planned(request: Request, check_mode: bool, timeout: float = LOCK_TIMEOUT) -> Iterator[PairPlan]:
    """The plan of a pair; until the end of the block nobody else provisions there, and no changed scope has a session.

    A run without anything to do takes no lock, and check mode none at all; but what looks wrong is looked at again
    under the locks, for it may have been a session on its way.

    :param timeout: seconds to wait for each lock.
    :raises RetailError: see :func:`plan_pair`; or somebody else was busy for longer than ``timeout``.
    """
    with contextlib.ExitStack() as held:
        try:
            result = plan_pair(request)
            done = check_mode or not result.plan.changed
        except RetailError:
            _lock_all(held, request, timeout)
            result, done = plan_pair(request), True
        if not done:
            result = _plan_locked(held, request, timeout)
        result.release = held.close
        yield result


def _plan_locked(held: contextlib.ExitStack, request: Request, timeout: float) -> PairPlan:
    _lock_provisioning(held, request, timeout)
    result = plan_pair(request)
    if result.touched:
        _lock_sessions(held, request, result.touched, timeout)
        result = plan_pair(request)
    return result


def _lock_all(held: contextlib.ExitStack, request: Request, timeout: float) -> None:
    _lock_provisioning(held, request, timeout)
    child = request.child.db
    if child is not None and {metadata.SCOPE, PEER} <= set(child.engine.tables.read(child, [metadata.SCOPE, PEER])):
        with contextlib.suppress(RetailError):
            _lock_sessions(held, request, [scope.name for scope in metadata.read_scopes(child, PARENT)], timeout)


def _lock_provisioning(held: contextlib.ExitStack, request: Request, timeout: float) -> None:
    """Both sides, the parent first: databases form a tree, so nobody can wait for us on the way up."""
    for place in (request.parent, request.child):
        if place.db is not None:
            take(held, place.db, PROVISION_LOCK, "Another run is changing %s" % place.title, timeout)


def _lock_sessions(held: contextlib.ExitStack, request: Request, scopes: Sequence[str], timeout: float) -> None:
    parent, child = request.parent.db, request.child.db
    guid = next((peer.guid for peer in metadata.read_peers(child) if peer.peer_id == PARENT), None) if child else None
    for scope in sorted(scopes) if guid else ():
        reason = "A session of the scope %r is running" % scope
        take(held, parent, "axops.retail:%s:%s" % (guid, scope), reason, timeout)


__all__ = ["LOCK_TIMEOUT", "Identity", "PairPlan", "Place", "Request", "plan_pair", "planned"]
