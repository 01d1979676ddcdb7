# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories over three tiers of real databases: HQ, two channel databases, three registers.

Tills write and leave transactions open, sessions run and are killed at any statement, databases are lost and put back, in
an order that Hypothesis makes up. After each history all databases agree, another round moves nothing, every write is
there, was overwritten by somebody who had seen it, or is kept; and no reader ever sees a part of a sale.

The histories of this test are the same at each run. ``./dev soak 600`` tries others for ten minutes.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import fleet_machine
import pgserver
import pytest
from fleet import Workshop
from fleet_engines import MssqlServer, PostgresServer
from fleet_events import PHASES
from fleet_history import History
from integration import mssql_world


@pytest.fixture(scope="module", params=["postgresql", pytest.param("mssql", marks=mssql_world.needs_server)])
def workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """On a throw-away PostgreSQL, and on the SQL Server that the environment names."""
    if request.param == "mssql":
        server: Any = MssqlServer()
    else:
        server = PostgresServer(request.getfixturevalue("pg_server"))
    with contextlib.closing(server), contextlib.closing(Workshop(server)) as made:
        yield made


def test_no_history_loses_doubles_or_halves_anything(workshop: Workshop) -> None:
    examples, steps = (12, 30) if workshop.server.copies else (4, 20)
    if not workshop.server.copies:
        mssql_world.lacks("databases are not copied here: histories without restores, replacements and new versions")
    tally = fleet_machine.explore(workshop, examples, steps)
    print("%d histories, %d steps, killed %s" % (tally.histories, tally.steps, dict(sorted(tally.kills.items()))))
    assert tally.steps >= steps
    if workshop.server.copies:
        kinds = {phase.partition(" at the ")[0] for phase in tally.kills}
        assert {"before the commit", "after the commit"} <= kinds, "no session was killed there"


def test_a_session_is_killed_at_each_phase_by_its_name(workshop: Workshop) -> None:
    """Customers go both ways, so their sessions have all phases."""
    with contextlib.closing(History(workshop)) as history:
        history.batches(1)
        for key, phase in enumerate(PHASES, 1):
            for where in ("r1", "c1"):
                history.put(where, 0, "CUSTOMER", 100 * key + (where == "c1"))
            before = Counter(history.kills)
            history.session("r1", "people", stop="kill", at=phase)
            assert history.kills - before == Counter([phase])
            history.session("r1", "people")
        history.check()


def test_a_fleet_that_is_emptied_serves_for_another_history(pg_server: pgserver.PgServer) -> None:
    """As it does where databases cannot be copied; tried where making one does not take minutes."""
    server = PostgresServer(pg_server)
    server.copies = False  # type: ignore[misc]
    with contextlib.closing(server), contextlib.closing(Workshop(server)) as workshop:
        first = workshop.fleet("parent")
        workshop.take_back(first)
        tally = fleet_machine.explore(workshop, 2, 15)
        assert tally.steps >= 15
        assert "parent" not in workshop._used or workshop._used["parent"] is first


def test_a_bad_history_prints_a_script_that_replays_it(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a promise that nobody can keep: that nothing is ever written."""
    if not workshop.server.copies:
        pytest.skip("this takes many histories, and each needs six databases, which cannot be copied here")

    def verdict(history: History) -> None:
        assert history.ledger.ancestor == {}, "something was written"

    class Broken(fleet_machine.Histories):
        pass

    Broken.verdict = staticmethod(verdict)
    with pytest.raises(AssertionError, match="something was written") as caught:
        fleet_machine.explore(workshop, 20, 8, machine=Broken, shrink=False)
    script = caught.value.tally.bad.script()
    assert script in "".join(caught.value.__notes__)
    assert "        h.check()" in script
    monkeypatch.setattr(History, "check", verdict)
    monkeypatch.setattr(fleet_machine, "replaying", lambda: contextlib.nullcontext(workshop))
    with pytest.raises(AssertionError, match="something was written"):
        exec(compile(script, "script", "exec"), {})
