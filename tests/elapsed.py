# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time that passes for a database without anybody waiting for it: what it counts is moved on, see ``_sync/ages.py``."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._sync import ages, cleanup

YEARS = 10_000.0


def let_pass(db: Any, days: float = YEARS, silent: bool = False) -> None:
    """The database was seen to run for so long, and a day more; all that has happened in it before is older than that now.

    silent: none of its children was heard of meanwhile.
    """
    ages.look(db)
    _move_on(db, 1.0)
    ages._count(db)
    cleanup._stale(db, ages.read(db).seconds, YEARS)
    _move_on(db, days)
    if not silent:
        heard = cleanup.heard(db)
        with db.transaction():
            ages.put(
                db, cleanup.HEARD, {guid: [moment, ages.read(db).seconds] for guid, (moment, _at) in heard.items()}
            )


def jump(db: Any, hours: float) -> None:
    """The database's clock goes forward, or back, as its next look sees it."""
    seen = (ages.read(db).seen - timedelta(hours=hours)).isoformat(timespec="milliseconds")
    place, native = db.engine.names.quote(*ages.UPKEEP), db.engine.types.native("datetime")
    db.execute("UPDATE %s SET done = CAST(? AS %s) WHERE task = 'age'" % (place, native), seen)


def pass_hours(db: Any, hours: float) -> None:
    """So much time passes between two looks, by all clocks."""
    looked = ages._looked[db.target.where]
    jump(db, hours)
    moved = {"at": looked.at - hours * 3600, "since": looked.since - hours * 3600, "seen": ages.read(db).seen}
    ages._looked[db.target.where] = replace(looked, **moved)


def _move_on(db: Any, days: float) -> None:
    count = ages.read(db)
    said = asdict(replace(count, seconds=count.seconds + days * ages.DAY))
    del said["seen"]
    with db.transaction():
        ages.put(db, "age", said)
