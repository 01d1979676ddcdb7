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
from .._sync.metadata import PARENT, Scope
from . import filters, taking_over
from . import tables as pair_tables
from .checks import check_columns, check_scopes, check_tables
from .locking import LOCK_TIMEOUT, scopes_of, take_provisioning, take_sessions
from .relation import Identity, Relation, SameDatabase, plan_making_good, plan_relation, relate
from .scopes import plan_scopes
from .shared import Shared
from .state import Place, Side, read_side


@dataclass(frozen=True)
class Request:
    """What is wanted of one pair.

    :param open_database: gives the connection for a place's key, when the plan is applied.
    :param create_tables: the child gets the tables that it lacks, as its parent has them; else they must be there.
    :param reprovision: where the pair cannot just go on, since a side is new or was restored or moved, let it begin anew.
    :param force: remove scopes even while rows of theirs wait to go up.
    :param shared: the parent, where several children of it are provisioned at once: it is made ready by all together.
    """

    child: Place
    parent: Place
    scopes: Sequence[Scope]
    identity: Identity
    open_database: Callable[[str], Any]
    create_tables: bool = False
    reprovision: bool = False
    force: bool = False
    shared: Shared | None = None


@dataclass
class PairPlan:
    """The plan of one pair.

    ``guid``: the child's; ``begins``: it is a new one, which the plan gives it.
    ``tables``: all that synchronise, as the parent has them. ``touched``: the scopes there are that change.
    ``unfinished``: the child was to be made anew, and has not been.
    ``taken_over``: the parent was Microsoft's until now.
    ``freed``: the tables of Microsoft's that go from the child.
    ``gone``: the numbers at the parent whose scopes count no more, for they are the child's own.
    ``release()``: let others provision, once the plan has been applied.
    """

    plan: Plan = field(default_factory=Plan)
    guid: str = ""
    begins: bool = False
    tables: dict[TableName, Table] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    unfinished: bool = False
    gone: list[int] = field(default_factory=list)
    taken_over: bool = False
    freed: set[TableName] = field(default_factory=set)
    release: Callable[[], None] = lambda: None


def plan_pair(request: Request) -> PairPlan:
    """Compare the two databases with what is wanted.

    :raises RetailError: the scopes cannot be, or a side is not what it should be; nothing has been changed.
    """
    check_scopes(request.scopes)
    wanted = [item.name for scope in request.scopes for item in scope.tables]
    parent = request.shared.side(request.parent, wanted) if request.shared else read_side(request.parent, wanted)
    child = read_side(request.child, wanted)
    check_tables(request.scopes, parent.tables, request.parent.db.target.where)
    check_columns(request.scopes, child.tables, parent.tables)
    relation = relate(child, parent, request.identity, request.reprovision)
    desired = [parent.tables[name] for name in wanted]
    pair_tables.check_keys(child, desired)
    # In check mode an earlier task would have made the child and its tables.
    if not request.create_tables and request.child.db is not None:
        pair_tables.check_copies(child, desired)
    taking_over.check(child, parent, request.scopes, request.identity.name, request.force)
    result = PairPlan(guid=relation.guid, begins=relation.begins, tables={table.name: table for table in desired})
    result.unfinished = relation.kept
    result.taken_over, result.freed = bool(parent.framework), child.framework.owned
    result.gone = [peer.peer_id for peer in relation.replaced]
    result.gone += [relation.number] if relation.number is not None else []
    _add_steps(request, child, parent, relation, desired, result)
    return result


def _add_steps(
    request: Request, child: Side, parent: Side, relation: Relation, desired: Sequence[Table], result: PairPlan
) -> None:
    plan, uploading = result.plan, [item.name for scope in request.scopes if scope.uploads for item in scope.tables]
    copies = [child.tables.get(table.name, table) for table in desired]
    alone = request.shared is None
    if alone:
        plan.extend(pair_tables.plan_bookkeeping(parent))
    plan.extend(pair_tables.plan_bookkeeping(child))
    if request.create_tables:
        plan.extend(pair_tables.plan_tables(child, desired))
    # Tracking comes before the scopes: nothing that changes after the first session may go unnoticed.
    if alone:
        plan.extend(pair_tables.plan_tracking(parent, desired))
    plan.extend(pair_tables.plan_tracking(child, copies, uploading))
    logs = filters.plan_moves(parent, request.scopes, result.tables)
    plan.extend(logs.plan)
    plan.extend(plan_relation(child, parent, relation, request.identity, request.open_database))
    scopes = plan_scopes(
        child, parent, relation, request.identity, request.scopes, result.tables, request.force, logs.unlogged
    )
    plan.extend(scopes.plan)
    plan.extend(plan_making_good(child, parent, relation, request.identity, request.open_database))
    result.touched = scopes.touched
    if relation.torn:
        result.touched = sorted({*scopes.touched, *relation.child_entries, *relation.parent_entries})
    here = set(result.tables)
    plan.extend(pair_tables.plan_untracking(child, here | child.used_by_others([PARENT])))
    if alone:
        plan.extend(pair_tables.plan_untracking(parent, here | parent.used_by_others(result.gone)))
        plan.extend(filters.plan_dropping(parent, logs.needed, result.gone))


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
        except SameDatabase:
            raise
        except RetailError:
            _lock_provisioning(held, request, timeout)
            with contextlib.suppress(RetailError):
                take_sessions(held, request.parent.db, request.child.db, scopes_of(request.child.db), timeout)
            result, done = plan_pair(request), True
        if not done:
            result = _plan_locked(held, request, timeout)
        if request.shared is not None and not check_mode and result.plan.changed:
            request.shared.make_ready(result.tables.values())
        result.release = held.close
        yield result


def _plan_locked(held: contextlib.ExitStack, request: Request, timeout: float) -> PairPlan:
    _lock_provisioning(held, request, timeout)
    result = plan_pair(request)
    if result.touched:
        take_sessions(held, request.parent.db, request.child.db, result.touched, timeout)
        result = plan_pair(request)
    return result


def _lock_provisioning(held: contextlib.ExitStack, request: Request, timeout: float) -> None:
    if request.shared is not None:
        request.shared.begin()
        take_provisioning(held, [request.child], timeout)
    else:
        take_provisioning(held, [request.parent, request.child], timeout)


__all__ = ["LOCK_TIMEOUT", "Identity", "PairPlan", "Place", "Request", "plan_pair", "planned"]
