# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child and its parent on real databases, for the tests of sessions.

A test module says which tables and scopes they have: ``TABLES`` and ``SCOPES``. With ``pytestmark = both_engines`` it runs on
PostgreSQL, and again on the SQL Server that RETAIL_TEST_MSSQL names; its statements quote names as standard SQL does.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from integration import mssql_world
from offline_world import Couple, make_tables, target

from ansible_collections.axops.retail.plugins.module_utils._engine import Database, connect
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._sync import cli, session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair
from ansible_collections.axops.retail.plugins.module_utils._sync.session import Session

#: For a module: each of its tests with each engine on both sides.
both_engines = pytest.mark.parametrize(
    "engine", ["postgresql", pytest.param("mssql", marks=mssql_world.needs_server)], indirect=True
)
_ROWS_A_STATEMENT = 500


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


class Runs(Protocol):
    """What has sessions."""

    def run(self, scope: Scope) -> Session:
        """One session."""


def cut_off(monkeypatch: pytest.MonkeyPatch, world: Runs, scope: Scope, after: int) -> None:
    """A session that is killed when ``after`` batches have landed, each with one row."""
    original, flushes = transfer._Landing.flush, 0

    def flush(landing: transfer._Landing) -> None:
        nonlocal flushes
        if flushes == after:
            raise Killed
        flushes += 1
        original(landing)

    with monkeypatch.context() as patch:
        small_batches(patch)
        patch.setattr(transfer._Landing, "flush", flush)
        with pytest.raises(Killed):
            world.run(scope)


def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each row makes a batch."""
    monkeypatch.setattr(transfer, "BATCH_ROWS", 1)
    monkeypatch.setattr(transfer, "BATCH_SIZE", 1)


def rows(db: Database, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """All rows of a table in schema ax, in order."""
    return sorted(tuple(row) for row in db.query('SELECT %s FROM ax."%s"' % (columns, table)))


def fill(db: Database, table: str, given: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows into a table in schema ax, all in one transaction."""
    wanted = list(given)
    with db.transaction():
        for start in range(0, len(wanted), _ROWS_A_STATEMENT):
            part = wanted[start : start + _ROWS_A_STATEMENT]
            marks = ", ".join("(%s)" % ", ".join("?" for _value in row) for row in part)
            db.execute('INSERT INTO ax."%s" VALUES %s' % (table, marks), *(value for row in part for value in row))


@contextlib.contextmanager
def untracked(db: Database) -> Iterator[None]:
    """What no trigger sees, as when rows are loaded in bulk; on PostgreSQL TRUNCATE is allowed meanwhile, too."""
    if db.target.engine == "postgresql":
        with db.transaction():
            db.execute("SET LOCAL session_replication_role = replica")
            yield
        return
    tables = [db.engine.names.quote(*name) for name in db.engine.tracking.read(db)]
    for table in tables:
        db.execute("ALTER TABLE %s DISABLE TRIGGER ALL" % table)
    try:
        yield
    finally:
        for table in tables:
            db.execute("ALTER TABLE %s ENABLE TRIGGER ALL" % table)


def truncate(db: Database, table: str) -> None:
    """TRUNCATE a table in schema ax, which SQL Server never refuses; on PostgreSQL as somebody who sees to that it does not."""
    statement = 'TRUNCATE TABLE ax."%s"' % table
    if db.target.engine == "mssql":
        db.execute(statement)
        return
    with untracked(db):
        db.execute(statement)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The engine of both sides, see ``both_engines``."""
    return getattr(request, "param", "postgresql")


@pytest.fixture
def places(engine: str, request: pytest.FixtureRequest) -> Iterator[tuple[Target, Target]]:
    """Two empty databases: the child's and the parent's."""
    if engine == "postgresql":
        child, parent = request.getfixturevalue("scratch_pair")
        yield target(child), target(parent)
        return
    with mssql_world.fresh() as below, mssql_world.fresh() as above:
        yield below.target, above.target


@pytest.fixture
def world(places: tuple[Target, Target], request: pytest.FixtureRequest) -> Iterator[World]:
    """The parent has its tables; the child has nothing yet."""
    child, parent = (connect(place) for place in places)
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
def other_client(places: tuple[Target, Target]) -> Iterator[Callable[[str], Database]]:
    """More connections, as the POS has them: ``other_client("child")``."""
    opened: list[Database] = []

    def make(side: str) -> Database:
        opened.append(connect(places[0 if side == "child" else 1]))
        return opened[-1]

    yield make
    for db in opened:
        db.close()


#: Runs ``retail-sync`` with the words given; returns its exit code and its JSON.
Command = Callable[..., tuple[int, dict[str, Any]]]
_CONNECTION = (
    "engine",
    "host",
    "port",
    "database",
    "user",
    "password",
    "driver",
    "encrypt",
    "trust_server_certificate",
)


@pytest.fixture
def command(pair: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command as a person does."""
    sides = {}
    for side in ("child", "parent"):
        facts = getattr(pair, side).target
        sides[side] = {name: getattr(facts, name) for name in _CONNECTION}
    config = tmp_path / "config.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"name": "HOUSTON-000001", **sides}))

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = cli.main([*words, "--config", str(config), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else {"said": said.err}

    return run
