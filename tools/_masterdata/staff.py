# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1060: the people who work in the stores, their positions, and what they may do at a register."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from _masterdata import words
from _masterdata.customers import PARTY_COLUMNS, PERSON, customers, person_names
from _masterdata.world import BEGINNING_TIME, FIRST_RECID, NEVER_TIME, UTC, Table, World, moment

STAFF_PER_STORE = 12
JOBS = ("CASHIER", "STOREMANAGER", "STOCKCLERK")
GROUPS = (("Cashier", "Kassiererin"), ("Manager", "Filialleiter"), ("Stock", "Lager"))
OPERATIONS = (
    *((100, "Item sale"), (101, "Price check"), (102, "Void item"), (103, "Item comment"), (104, "Price override")),
    *((200, "Pay cash"), (201, "Pay card"), (202, "Pay customer account"), (300, "Line discount amount")),
    *(
        (500, "Void transaction"),
        (501, "Transaction comment"),
        (503, "Suspend transaction"),
        (504, "Recall transaction"),
    ),
    *((600, "Log on"), (701, "Log off"), (1053, "Close shift"), (1054, "Blind close shift"), (1056, "Print Z")),
)
RIGHTS = (
    "ALLOWPRICEOVERRIDE",
    "ALLOWTRANSACTIONVOIDING",
    "ALLOWZREPORTPRINTING",
    "MANAGERPRIVILEGES",
    "ALLOWBLINDCLOSE",
)


@dataclass(frozen=True)
class Worker:
    """Somebody who logs on to a register."""

    staff: str
    first: str
    last: str
    recid: int
    party: int
    job: int


def workers(world: World) -> list[Worker]:
    """The staff of all stores, a manager first in each."""
    world.shared(customers)  # parties are numbered customers first, whatever is asked for first
    rng = world.random("staff")
    return [
        Worker(
            staff=f"{place + 1:06d}",
            first=rng.choice(words.FIRST_NAMES),
            last=rng.choice(words.LAST_NAMES),
            recid=world.recid("HCMWORKER"),
            party=world.recid("DIRPARTYTABLE"),
            job=1 if place % STAFF_PER_STORE == 0 else rng.choice((0, 0, 0, 2)),
        )
        for place in range(STAFF_PER_STORE * len(world.stores))
    ]


def tables(world: World) -> Iterator[Table]:
    """The tables of the job."""
    team = world.shared(workers)
    yield from _people(world, team)
    yield from _positions(world, team)
    yield from _rights(world)
    yield from _logons(world, team)


def _people(world: World, team: list[Worker]) -> Iterator[Table]:
    rng = world.random("workers")
    rows = [
        (one.party, PERSON, f"{one.first} {one.last}", one.last[:20], one.first, "en-us", f"S{one.staff}", *_times(rng))
        for one in team
    ]
    yield Table("DIRPARTYTABLE", PARTY_COLUMNS, rows)
    yield person_names(world, [(one.first, one.last, "", one.party) for one in team])
    columns = ("RECID", "PERSONNELNUMBER", "PERSON", "CREATEDDATETIME", "MODIFIEDDATETIME")
    yield Table("HCMWORKER", columns, [(one.recid, one.staff, one.party, *_times(rng)) for one in team])


def _times(rng: random.Random) -> tuple:
    return moment(rng), moment(rng)


def _positions(world: World, team: list[Worker]) -> Iterator[Table]:
    rng = world.random("positions")
    jobs = world.numbered("HCMJOB", [(job, 1000, *_times(rng)) for job in JOBS])
    yield Table("HCMJOB", ("RECID", "JOBID", "MAXIMUMPOSITIONS", "CREATEDDATETIME", "MODIFIEDDATETIME"), jobs)
    positions = world.numbered("HCMPOSITION", [(f"P{one.staff}", *_times(rng)) for one in team])
    yield Table("HCMPOSITION", ("RECID", "POSITIONID", "CREATEDDATETIME", "MODIFIEDDATETIME"), positions)
    validity = ("VALIDFROM", "VALIDFROMTZID", "VALIDTO", "VALIDTOTZID", "CREATEDDATETIME", "MODIFIEDDATETIME")
    ever = (BEGINNING_TIME, UTC, NEVER_TIME, UTC)
    rows = [
        (
            position[0],
            jobs[one.job][0],
            f"{JOBS[one.job].title()} № {one.staff}",
            Decimal("0.7500000000000001"),
            *ever,
            *_times(rng),
        )
        for position, one in zip(positions, team)
    ]
    columns = ("RECID", "POSITION", "JOB", "DESCRIPTION", "FULLTIMEEQUIVALENCY", *validity)
    yield Table("HCMPOSITIONDETAIL", columns, world.numbered("HCMPOSITIONDETAIL", rows))
    rows = [(position[0], one.recid, *ever, *_times(rng)) for position, one in zip(positions, team)]
    rows = world.numbered("HCMPOSITIONWORKERASSIGNMENT", rows)
    yield Table("HCMPOSITIONWORKERASSIGNMENT", ("RECID", "POSITION", "WORKER", *validity), rows)


def _rights(world: World) -> Iterator[Table]:
    groups = [
        (name, text, *(level,) * len(RIGHTS), Decimal(5 + 45 * level)) for level, (name, text) in enumerate(GROUPS[:2])
    ]
    columns = ("RECID", "POSPERMISSIONGROUPID", "NAME", *RIGHTS, "MAXIMUMDISCOUNTPCT")
    yield Table("RETAILPOSPERMISSIONGROUP", columns, world.numbered("RETAILPOSPERMISSIONGROUP", groups))
    rows = world.numbered(
        "RETAILJOBPOSPERMISSIONGROUP", [(FIRST_RECID, FIRST_RECID), (FIRST_RECID + 1, FIRST_RECID + 1)]
    )
    yield Table("RETAILJOBPOSPERMISSIONGROUP", ("RECID", "JOB", "RETAILPOSPERMISSIONGROUP"), rows)
    rows = world.numbered("RETAILPERMISSIONS", [(number, right) for number, right in enumerate(RIGHTS, 1)])
    yield Table("RETAILPERMISSIONS", ("RECID", "PERMISSIONID", "PERMISSIONNAME"), rows)
    rows = [(number, name, int(number >= 500), 1, number % len(RIGHTS) + 1) for number, name in OPERATIONS]
    columns = ("RECID", "OPERATIONID", "OPERATIONNAME", "CHECKUSERACCESS", "USEROPERATION", "PERMISSIONID")
    yield Table("RETAILOPERATIONS", columns, world.numbered("RETAILOPERATIONS", rows))


def _logons(world: World, team: list[Worker]) -> Iterator[Table]:
    rng = world.random("logons")
    columns = ("RECID", "STAFFID", "NAMEONRECEIPT", "CULTURENAME", "PASSWORDDATA", "EMPLOYMENTTYPE", "MODIFIEDDATETIME")
    rows = [
        (
            one.recid,
            one.staff,
            f"{one.first[:10]} {one.last[:1]}.",
            "en-us",
            rng.randbytes(32).hex(),
            one.job,
            moment(rng),
        )
        for one in team
    ]
    yield Table("RETAILSTAFFTABLE", columns, rows)
    rows = [
        (one.recid, hashlib.sha256(one.staff.encode()).hexdigest(), 1, None if place % 3 == 0 else bytes(range(256)))
        for place, one in enumerate(team)
    ]
    columns = ("RECID", "STAFF", "LOGONKEY", "LOGONTYPE", "EXTRADATA")
    yield Table("RETAILSTAFFEXTENDEDLOGON", columns, world.numbered("RETAILSTAFFEXTENDEDLOGON", rows))
