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

import fleet_machine
import pgserver
import pytest
from filtered_history import FilteredHistory
from fleet import Fleet, Workshop
from fleet_engines import PostgresServer
from fleet_events import PHASES
from fleet_history import History
from fleet_script import Step, play
from fleet_shapes import SCOPES
from fleet_steps import Steps
from integration import mssql_world
from tiers_machine import Histories


def test_no_history_loses_doubles_or_halves_anything(workshop: Workshop) -> None:
    examples, steps = (10, 30) if workshop.server.copies else (4, 20)
    if not workshop.server.copies:
        mssql_world.lacks("databases are not copied here: histories without restores, replacements and new versions")
    tally = fleet_machine.explore(workshop, Histories, examples, steps)
    print("%d histories, %d steps, killed %s" % (tally.histories, tally.steps, dict(sorted(tally.kills.items()))))
    # Where the kills fall is left to chance here; that each phase can be hit is what the next test sees.
    assert tally.steps >= steps


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


@pytest.mark.parametrize("kind", [History, FilteredHistory])
def test_a_fleet_that_is_emptied_serves_for_another_history(pg_server: pgserver.PgServer, kind: type[Steps]) -> None:
    """As it does where databases cannot be copied; tried where making one does not take minutes."""
    server = PostgresServer(pg_server)
    server.copies = False  # type: ignore[misc]
    with contextlib.closing(server), contextlib.closing(Workshop(server)) as workshop:
        first = workshop.fleet(kind.FLEET, "child")
        begun = _everything(first)
        workshop.take_back(first)
        play(workshop, kind, "child", FULL[kind])
        assert workshop._used[kind.FLEET, "child"] is first
        assert _everything(workshop.fleet(kind.FLEET, "child")) == begun


def _everything(fleet: Fleet) -> dict[tuple[str, str], int]:
    """How many rows each table has, but for those that count sessions and looks."""
    return {
        (name, str(table)): db.value("SELECT COUNT(*) FROM " + db.engine.names.quote(*table))
        for name, db in ((name, node.reader) for name, node in fleet.nodes.items())
        for table in db.engine.tables.read(db)
    }


#: Steps that leave something in most tables: rows, tracking, moves, conflicts, quarantine, the log, and ages.
FULL: dict[type[Steps], list[Step]] = {
    History: [
        Step("batches", (1,)),
        Step("sell", ("r1", 0, 2)),
        Step("sell", ("r3", 0, 1, True)),
        Step("put", ("c1", 0, "CARD", 1)),
        Step("put", ("hq", 0, "CARD", 1)),
        Step("put", ("r2", 0, "CUSTOMER", 5)),
        Step("remove", ("hq", 0, "ITEM", 2)),
        *(Step("session", ("r1", scope)) for scope in SCOPES),
        Step("session", ("r1", "people"), {"stop": "kill", "at": 30}),
        Step("clean", ("c1", True)),
    ],
    FilteredHistory: [
        Step("group", (0, 1, 2)),
        Step("put", ("c1", 0, "CARD", 1, 2)),
        Step("put", ("hq", 0, "CARD", 1, 1)),
        Step("session", ("c1", "both")),
        Step("session", ("c2", "down"), {"stop": "kill", "at": 20}),
        Step("clean", ("hq", True)),
        Step("put", ("hq", 0, "OWN", 4, 1, "open")),
    ],
}
