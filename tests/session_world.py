# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child and its parent on real databases, for the tests of sessions.

A test module says which tables and scopes they have: ``TABLES`` and ``SCOPES``.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from offline_world import Couple, make_tables, target

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._sync import session
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair
from ansible_collections.axops.retail.plugins.module_utils._sync.session import Session


class Killed(BaseException):
    """A kill, as far as a test in the same process can give one."""


@contextlib.contextmanager
def killed_at(moment: int = 0) -> Iterator[list[str]]:
    """Kill what runs inside at its n-th moment: each statement is one, before it is sent, each commit two, before it and after it.
    Whatever is tried after that is no more. Yields what the moments met were, which without a moment are all of them."""
    run, commit = Database._run, Database._commit
    met: list[str] = []

    def meet(what: str) -> None:
        if moment and len(met) >= moment - 1:
            raise Killed
        met.append(what)

    def met_run(db: Database, sql: str, *arguments: Any) -> Any:
        meet(sql)
        return run(db, sql, *arguments)

    def met_commit(db: Database) -> None:
        meet("before a commit")
        commit(db)
        meet("after a commit")

    Database._run, Database._commit = met_run, met_commit  # type: ignore[method-assign]
    try:
        yield met
    finally:
        Database._run, Database._commit = run, commit  # type: ignore[method-assign]


def killed_everywhere(work: Callable[[], Any], after: Callable[[], Any]) -> list[str]:
    """Let some work come to its end, and count its moments; then kill it at the first one, at the second one, and so on until it
    comes to its end all the same. ``after`` is called after each of them.

    :return: the moments of the last one; it was killed at each of them.
    """
    with killed_at() as whole:
        work()
    for moment in itertools.count(1):
        after()
        with killed_at(moment) as met, contextlib.suppress(Killed):
            work()
            break
    # A row that comes once more may take a statement more.
    assert abs(len(met) - len(whole)) <= 3
    return met


class World(Couple):
    """A register (child) and its store server (parent)."""

    def run(self, scope: Scope) -> Session:
        return session.run(Pair(self.child, self.parent), scope)

    def settle(self) -> None:
        """Sessions until nothing is pending; then one more of each must move nothing."""
        self.synchronise(rounds=5)
        pair = Pair(self.child, self.parent)
        assert session.pending(pair, pair.scopes) == []
        assert [session.run(pair, scope).noteworthy for scope in pair.scopes] == [False] * len(pair.scopes)


def rows(db: Database, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """All rows of a table in schema ax, in order."""
    return sorted(tuple(row) for row in db.query('SELECT %s FROM ax."%s"' % (columns, table)))


@pytest.fixture
def world(scratch_pair: tuple[dict[str, Any], dict[str, Any]], request: pytest.FixtureRequest) -> Iterator[World]:
    """The parent has its tables; the child has nothing yet."""
    child, parent = (connect(target(facts)) for facts in scratch_pair)
    make_tables(parent, request.module.TABLES)
    yield World(child, parent)
    child.close()
    parent.close()


@pytest.fixture
def pair(world: World, request: pytest.FixtureRequest) -> World:
    """The world, provisioned and loaded with nothing."""
    world.provision(request.module.SCOPES)
    world.settle()
    return world


@pytest.fixture
def other_client(scratch_pair: tuple[dict[str, Any], dict[str, Any]]) -> Iterator[Callable[[str], Database]]:
    """More connections, as the POS has them: ``other_client("child")``."""
    opened: list[Database] = []

    def make(side: str) -> Database:
        opened.append(connect(target(scratch_pair[0 if side == "child" else 1])))
        return opened[-1]

    yield make
    for db in opened:
        db.close()
