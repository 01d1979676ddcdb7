# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long ago something was, without believing a clock.

Clocks are wrong now and then: an hour off, a year ahead, in 1970 since the battery is empty. What was forgotten by a clock's word
would be gone. So each database counts the time for which it was seen to run, in ``sync_upkeep``: a look adds what has passed
by the database's own clock since the look before, but nothing where that is backwards, and no more than whoever looks has seen
pass by a clock that nobody sets. So a clock that jumps counts nothing, however often it does, and in however small steps. Where
several processes look in turns, one knows of another's look that it was after its own last one, and no more than that. Of the
time before a process began to look an hour is believed, and nothing where it was more. Once a day of that count it is noted up
to where versions and numbers had come. What lies below a note made n days ago, as counted, is older than n days, whatever a
clock says or said. A database that nobody looks at does not age: everything is kept for longer, never for less.

The same looks tell for how long a transaction has been open, which not every login may see: as long as its mark is the lowest
one that is undecided.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from .metadata import CONFLICT, LOG, UPKEEP

DAY = 86_400.0
#: Seconds after which a transaction that stays open is worth an alarm: it holds back what others have written since.
LONG_OPEN = 900.0
#: Seconds that are believed at a process's first look.
_UNSEEN = 3600.0
#: A look that follows sooner writes nothing.
_SOON = 300.0
_LOCK = "axops.retail:age"
_COUNT, _NOTE = "age", "age %012d"


@dataclass(frozen=True)
class Count:
    """``seconds``: for which the database was seen to run; ``seen``: its clock at the last look. ``incarnation``: whose versions are
    noted. ``mark``: that of the oldest open transaction, which was met first when ``since`` had been counted."""

    seen: datetime
    seconds: float
    incarnation: str
    mark: int | None
    since: float

    def until(self, now: datetime, believed: float | None) -> float:
        """The count at a later moment of the database's clock; ``believed``: the seconds that may have passed at the most, None: nobody
        has seen them pass."""
        passed = max(0.0, (now - self.seen).total_seconds())
        if believed is None:
            return self.seconds + (passed if passed <= _UNSEEN else 0.0)
        return self.seconds + min(passed, believed)


@dataclass(frozen=True)
class Note:
    """What is older than the note: versions below ``version``, conflicts and rows of the log up to these numbers."""

    version: int
    conflict: int
    log: int


@dataclass(frozen=True)
class _Look:
    """What this process saw of a database last. Moments are those of the monotonic clock: ``at``: of this look; ``since``: no earlier
    was written what it found. ``seen``: the database's clock in what it found."""

    at: float
    seen: datetime
    since: float


#: By the place of the database.
_looked: dict[str, _Look] = {}


def clock(db: Any) -> datetime:
    """The database's own time, UTC; wrong for all we know."""
    return db.value("SELECT CAST(%s AS %s)" % (db.engine.tracking.NOW, db.engine.types.native("datetime")))


def look(db: Any) -> float:
    """Count what has passed, and note how far the database has come, where that is due; returns the seconds counted so far."""
    if not db.engine.tables.read(db, [UPKEEP]):
        return 0.0
    known = read(db)
    age = -1.0 if known is None else (clock(db) - known.seen).total_seconds()
    if known is not None and 0 <= age < _SOON:
        _found(db, known.seen, age)
        return known.seconds
    with db.engine.locks.held(db, _LOCK) as taken:
        if taken:
            return _count(db)
    return known.seconds if known else 0.0


def _found(db: Any, seen: datetime, age: float) -> None:
    """This process has looked, and found what was written ``age`` seconds ago, if the database's clock is right."""
    now, before = time.monotonic(), _looked.get(db.target.where)
    since = now - age
    if before is not None:
        # What was not there at the look before was written after it.
        since = before.since if before.seen == seen else max(since, before.at)
    _looked[db.target.where] = _Look(now, seen, since)


def believed(db: Any, count: Count) -> float | None:
    """Seconds that may have passed since the count was written, at the most, as this process has seen them pass; None: it has not
    looked before."""
    before = _looked.get(db.target.where)
    if before is None:
        return None
    return time.monotonic() - (before.since if before.seen == count.seen else before.at)


def read(db: Any) -> Count | None:
    """What was counted when somebody looked last; None: nobody ever has."""
    row = db.row("SELECT done, said FROM %s WHERE task = ?" % db.engine.names.quote(*UPKEEP), _COUNT)
    return None if row is None else Count(row[0], **json.loads(row[1]))


def older_than(db: Any, days: float) -> Note | None:
    """The youngest note that is older than so many days; None: nothing is known to be."""
    count = read(db)
    limit = -1.0 if count is None else count.seconds - days * DAY
    if limit < 0:
        return None
    place = db.engine.names.quote(*UPKEEP)
    said = db.value(
        "SELECT said FROM %s WHERE task = (SELECT MAX(task) FROM %s WHERE task LIKE 'age 0%%' AND task <= ?)"
        % (place, place),
        _NOTE % int(limit),
    )
    return None if said is None else Note(**json.loads(said))


def younger_than(db: Any, seconds: float) -> Note | None:
    """The oldest note that is younger than so many counted seconds; None: there is none."""
    count = read(db)
    if count is None:
        return None
    place = db.engine.names.quote(*UPKEEP)
    said = db.value(
        "SELECT said FROM %s WHERE task = (SELECT MIN(task) FROM %s WHERE task LIKE 'age 0%%' AND task >= ?)"
        % (place, place),
        _NOTE % math.ceil(max(0.0, count.seconds - seconds)),
    )
    return None if said is None else Note(**json.loads(said))


def open_for(db: Any) -> float | None:
    """Seconds for which the oldest open transaction has been open at least, as looks have met it; 0: none is open; None: one is, and
    no look has met it yet."""
    mark = db.engine.marks.oldest_open(db)
    if mark is None:
        return 0.0
    count = read(db) if db.engine.tables.read(db, [UPKEEP]) else None
    return (
        count.until(clock(db), believed(db, count)) - count.since if count is not None and count.mark == mark else None
    )


def _count(db: Any) -> float:
    known, now = read(db), clock(db)
    seconds = known.until(now, believed(db, known)) if known else 0.0
    here, mark = db.engine.marks.incarnation(db), db.engine.marks.oldest_open(db)
    since = known.since if known and known.mark == mark else seconds
    # Versions of another incarnation say nothing here; the count goes on.
    goes_on = known is not None and known.incarnation == here
    note = None if goes_on and seconds - _last_note(db) < DAY else _note(db)
    with db.transaction():
        if not goes_on:
            db.execute("DELETE FROM %s WHERE task LIKE 'age 0%%'" % db.engine.names.quote(*UPKEEP))
        if note is not None:
            put(db, _NOTE % math.ceil(seconds), asdict(note))
        written = time.monotonic()
        put(db, _COUNT, {"seconds": seconds, "incarnation": here, "mark": mark, "since": since})
    count = read(db)
    if count is not None:
        _looked[db.target.where] = _Look(written, count.seen, written)
    return seconds


def _last_note(db: Any) -> float:
    task = db.value("SELECT MAX(task) FROM %s WHERE task LIKE 'age 0%%'" % db.engine.names.quote(*UPKEEP))
    return -math.inf if task is None else float(task.split()[1])


def _note(db: Any) -> Note:
    with db.engine.marks.snapshot(db) as mark:
        conflict, log = (
            db.value("SELECT MAX(%s) FROM %s" % (db.engine.names.quote(key), db.engine.names.quote(*table)))
            for table, key in ((CONFLICT, "conflict_id"), (LOG, "REPLICATIONCOUNTER"))
        )
        return Note(mark.low, int(conflict or 0), int(log or 0))


def put(db: Any, task: str, said: dict[str, Any]) -> None:
    """Write a row of ``sync_upkeep`` anew; in the caller's transaction."""
    place, now = db.engine.names.quote(*UPKEEP), db.engine.tracking.NOW
    db.execute("DELETE FROM %s WHERE task = ?" % place, task)
    db.execute("INSERT INTO %s (task, done, said) VALUES (?, %s, ?)" % (place, now), task, json.dumps(said))
