# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a session, by the statements that begin and end them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fault_proxy import AFTER, BEFORE


@dataclass(frozen=True)
class Phase:
    """``side``: whose database is asked. ``path``: regular expressions of statements of one connection, in their order, which need
    not follow each other at once; the last one is the phase."""

    name: str
    side: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


COMMIT = "^COMMIT"
STAGED = r'^INSERT INTO "dbo"\."sync_staging"'


def _asked(scope: str, sender: str, way: str, first: str) -> list[Phase]:
    """What is asked of a sender."""
    cursor = r'DECLARE changes .*"ax"\."%s_tracking"' % first
    return [
        Phase(f"{way}, snapshot", sender, ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", cursor)),
        Phase(f"{way}, read", sender, (cursor, "^FETCH FORWARD")),
        Phase(f"{way}, snapshot ended", sender, (cursor, COMMIT)),
    ]


def _applied(scope: str, receiver: str, way: str, table: str, kind: str) -> list[Phase]:
    """What a receiver does with what has come, in one transaction."""
    claim = f"SET landing = NULL.*{scope}"
    anchor = f"SET anchor_in.*{scope}"
    written = {"insert": r'^INSERT INTO "ax"\."%s" ', "update": r'^UPDATE "ax"\."%s" r SET'}[kind] % table
    return [
        Phase(f"{way}, claimed", receiver, (claim,)),
        Phase(f"{way}, put with what has landed", receiver, (claim, STAGED)),
        Phase(f"{way}, locked", receiver, (claim, "FOR UPDATE OF r")),
        Phase(f"{way}, decided", receiver, (claim, r"SET act = q\.act")),
        Phase(f"{way}, written", receiver, (claim, written)),
        Phase(f"{way}, tracked", receiver, (claim, r'^INSERT INTO "ax"\."%s_tracking"' % table)),
        Phase(f"{way}, staging emptied", receiver, (claim, r'^DELETE FROM "dbo"\."sync_staging"')),
        Phase(f"{way}, anchor", receiver, (anchor,)),
        Phase(f"{way}, commit", receiver, (anchor, COMMIT)),
    ]


def _around(scope: str) -> list[Phase]:
    """What a session says before and after what moves."""
    return [
        Phase(f"{scope}, lock", "parent", (f"pg_try_advisory_lock.*:{scope}",)),
        Phase(f"{scope}, token", "child", (f"SET previous_token.*{scope}",)),
        Phase(
            f"{scope}, heard of", "parent", (f"pg_try_advisory_lock.*:{scope}", r'^UPDATE "dbo"\."sync_incarnation"')
        ),
        Phase(f"{scope}, acknowledged above", "parent", (f"SET last_session.*{scope}",)),
        Phase(f"{scope}, acknowledged below", "child", (f"SET last_session.*{scope}",)),
        Phase(
            f"{scope}, logged", "parent", (f"SET last_session.*{scope}", r'^INSERT INTO "dbo"\."RETAILOFFLINESYNCLOG"')
        ),
        Phase(f"{scope}, unlock", "parent", (f"pg_advisory_unlock.*:{scope}",)),
    ]


SESSION = (
    *_around("Sales"),
    *_asked("Sales", "child", "sales up", "RETAILTRANSACTIONTABLE"),
    *_applied("Sales", "parent", "sales up", "RETAILTRANSACTIONTABLE", "insert"),
    Phase("sales up, window", "parent", ("SET landing = NULL.*Sales", r'^INSERT INTO "dbo"\."sync_window"')),
    *_around("Prices"),
    *_asked("Prices", "parent", "prices down", "PRICEDISCTABLE"),
    *_applied("Prices", "child", "prices down", "PRICEDISCTABLE", "update"),
    *_around("Customers"),
    *_asked("Customers", "child", "customers up", "CUSTTABLE"),
    *_applied("Customers", "parent", "customers up", "CUSTTABLE", "insert"),
    *_asked("Customers", "parent", "customers down", "CUSTTABLE"),
    *_applied("Customers", "child", "customers down", "CUSTTABLE", "update"),
)


def landing(scope: str, receiver: str) -> tuple[Phase, ...]:
    """A part of what comes lands, and is committed by itself."""
    staged, mark = f"{STAGED}.*{scope}", rf"SET landing = \$\d.*{scope}"
    return (
        Phase(f"{scope}, landing", receiver, (staged, mark)),
        Phase(f"{scope}, landing, commit", receiver, (staged, mark, COMMIT)),
    )


#: A register's first load, in an order in which each can be met although a commit leaves nothing of what precedes it: of a package
#: each table lands by itself; from the parent, what is large does.
LOAD = (
    *landing("Prices", "child"),
    *(phase for phase in SESSION if phase.name in ("prices down, put with what has landed", "prices down, commit")),
    *(phase for phase in SESSION if phase.name in ("Prices, acknowledged below", "Prices, acknowledged above")),
)
LANDING = landing("Sales", "parent")
#: What the service does when nothing is pending, or for the first time.
_UPKEEP = r'^INSERT INTO "dbo"\."sync_upkeep"'
CLEANED = (
    Phase("child cleaned up", "child", (_UPKEEP,)),
    Phase("child cleaned up, commit", "child", (_UPKEEP, COMMIT)),
    Phase("parent cleaned up, commit", "parent", (_UPKEEP, COMMIT)),
)
IDLE = (Phase("heartbeat, commit", "parent", (r'^INSERT INTO "dbo"\."RETAILOFFLINESYNCLOG"', COMMIT)), *CLEANED)
#: What decides: what was moved is there with it, and was not before.
DECIDING = tuple(phase for phase in SESSION if phase.name in ("sales up, commit", "prices down, commit"))


def moments(phases: Iterable[Phase]) -> list[tuple[Phase, str]]:
    """Just before each phase's statement, and just after it."""
    return [(phase, moment) for phase in phases for moment in (BEFORE, AFTER)]
