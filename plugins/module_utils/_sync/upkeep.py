# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the service does now and then for both databases of its pair, and a person by hand."""

from __future__ import annotations

from typing import Any

from . import ages, cleanup, log, package, retention
from .config import ServiceConfig
from .link import SIDES, Link
from .messages import LOGGER
from .pair import Pair
from .steps import Steps

Document = dict[str, Any]

#: Seconds between two runs of retention, and between two looks whether it is time for a cleanup.
LOOK = 600.0
#: Seconds that it may take between two looks of a pair that has something to move.
SLICE = 0.5
#: Hours between two cleanups of a database, whoever serves it.
EVERY = 6.0


def look(pair: Pair, name: str) -> None:
    """Count at both databases for how long they have been seen to run, whatever else there is to do; and say so where a transaction
    stays open meanwhile.

    :param name: the service's.
    """
    for side, db in zip(SIDES, (pair.child, pair.parent)):
        ages.look(db)
        seconds = ages.open_for(db) or 0.0
        if seconds > ages.LONG_OPEN:
            LOGGER.warning("%s: a transaction has been open at the %s for %d s or more", name, side, seconds)


def keep_up(pair: Pair, config: ServiceConfig) -> Steps[bool]:
    """Do what is due, in small steps; whether nothing is left."""
    finished = True
    for name, rule in config.retention.items():
        gone = yield from retention.in_steps(pair, name, rule)
        LOGGER.log(
            20 if gone else 10, "%s: %d rows of the scope %s went after %g days", config.name, gone, name, rule.days
        )
    if pair.package and package.remove_expired(pair):
        LOGGER.info("%s: the package in %s has expired and was removed", config.name, pair.package)
    for db in (pair.child, pair.parent):
        done = yield from cleanup.in_steps(db, config.keep, EVERY)
        if done is not None:
            finished = finished and done.finished
            LOGGER.log(
                20 if done.deletions + done.moves + done.log else 10, "%s: cleaned up: %s", db.target.where, _said(done)
            )
    return finished


def clean(config: ServiceConfig) -> Document:
    """Clean both databases up now; a side that somebody else is cleaning up is None.

    :raises RetailError: a side cannot be reached, or the two do not belong together.
    """
    document: Document = {"name": config.name, "problems": []}
    with Link(config) as link:
        pair = link.pair()
        document["retained"] = {name: retention.run(pair, name, rule) for name, rule in config.retention.items()}
        for side, db in zip(SIDES, (pair.child, pair.parent)):
            total: Document | None = None
            done = cleanup.run(db, config.keep)
            while done is not None:
                total = _add(total, done)
                if done.finished:
                    break
                done = cleanup.run(db, config.keep)
            document[side] = total
    return document


def make_package(config: ServiceConfig, folder: str, hours: float) -> Document:
    """Make a package for the registers of this store.

    :raises PackageError: it cannot be made there.
    """
    if not folder:
        raise package.PackageError(
            "No folder is named for the package.", "Name one with --to, or in the configuration."
        )
    with Link(config) as link:
        package.make(link.pair(), folder, hours, config.keep.tombstones)
    return package.show(folder)


def last(db: Any) -> Document | None:
    """When a database was last cleaned up and with which horizon, for people."""
    if not db.engine.tables.read(db, [cleanup.UPKEEP]):
        return None
    found = cleanup.last(db)
    if found is None:
        return None
    return {
        "time": log.utc(found[0]),
        **{name: value for name, value in found[1].items() if name not in ("count", cleanup.FORGOTTEN)},
    }


def _add(total: Document | None, done: cleanup.Cleaned) -> Document:
    said = {name: value for name, value in vars(done).items() if name != "finished"}
    for name in ("deletions", "moves", "log", "conflicts") if total else ():
        said[name] += total[name]  # type: ignore[index]
    return said


def _said(done: cleanup.Cleaned) -> str:
    stale = ", without waiting for %s" % ", ".join(done.stale) if done.stale else ""
    counts = (done.deletions, done.moves, done.log, done.conflicts)
    return "%d deletions, %d moves, %d log rows, %d conflicts%s" % (*counts, stale)
