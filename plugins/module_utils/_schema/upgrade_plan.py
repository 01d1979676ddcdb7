# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an upgrade package to steps: the scripts above the installed release, and the customisations that never ran.

A new database is made from the schema folders first; one that has a release is theirs no more: scripts bring it on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .._engine._errors import RetailError
from .._plan import Plan, Step
from . import scripts, versions
from .channel import Actual
from .package import Package, Part
from .release import Release
from .scripts import Run
from .upgrade import Script, Upgrades

_RETAIL, _CUSTOM = False, True
#: Where a release is written: some database of the vendor's may lack one of them.
_VERSIONS = (versions.POSISINFO, versions.DBVERSION)


@dataclass
class UpgradePlan:
    """What is to be run. ``changed``: customisations that read otherwise than when they ran; they do not run again."""

    release: Release
    runs: list[Run] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def steps(self, connect: Callable[[], Any]) -> Plan:
        """A step for each script.

        :param connect: opens a new connection to the database.
        """
        plan = Plan()
        for run in self.runs:
            release = run.script.release
            title = "Run %s%s" % (run.script.file, ", to release %s" % str(release) if release else "")
            title += " from batch %d of %d" % (run.done + 1, run.runs) if run.done else ", %d batches" % run.runs
            before = "%d of %d batches" % (run.done, run.runs) if run.done else None
            path = ("scripts", run.script.file)
            after = "%d batches" % run.runs
            plan.add(Step(title, path, before, after, action=lambda run=run: run.carry_out(connect)))
        return plan


def base(actual: Actual, package: Package, upgrades: Upgrades) -> Package:
    """What the schema folders still have to say: all of it for a new database or where there are no release scripts,
    nothing but the place for the scripts' history for one that they have made already."""
    books = {scripts.PROGRESS: scripts.PROGRESS_TABLE}
    installed = actual.versions.release
    if installed is None or not upgrades.has_package:
        return replace(package, tables={**package.tables, **books})
    missing = {name: package.tables[name] for name in _VERSIONS if name not in actual.tables}
    return Package(installed, package.title, {**missing, **books}, ())


def plan(engine: Any, actual: Actual, there: Package, upgrades: Upgrades, release: str | None, db: Any) -> UpgradePlan:
    """Which scripts are to be run.

    :param there: what :func:`base` gave.
    :param release: the release asked for.
    :param db: the database, None where it does not exist yet.
    :raises RetailError: there is no way to that release, it is a downgrade, or a script was changed half-way.
    """
    progress = scripts.read_progress(db, actual.tables) if db else {}
    result = UpgradePlan(there.release)
    if upgrades.has_package:
        result.release = upgrades.wanted(release, there.release)
        versions.check(actual.versions, replace(there, release=result.release), actual.tables, _name(db))
        if result.release < there.release:
            raise RetailError(
                "A new database is made at release %s, above the wanted %s." % (there.release, result.release),
                "Ask for release %s or later." % str(there.release),
            )
        for script in upgrades.way(there.release, result.release):
            result.runs.append(_run(engine, script, progress, script.release or result.release, _RETAIL))
    for script in upgrades.customizations:
        stamp = actual.versions.history.get(script.file)
        if stamp is None or script.file in progress:
            result.runs.append(_run(engine, script, progress, result.release, _CUSTOM))
        elif stamp[1] and stamp[1] != scripts.checksum(script):
            result.changed.append(script.file)
    return result


def _name(db: Any) -> str:
    return str(db.target.database) if db else ""


def _run(engine: Any, script: Script, progress: dict, release: Release, custom: bool) -> Run:
    run = scripts.make_run(engine, script, progress.get(script.file))
    part = Part(script.file, release, custom, scripts.checksum(script))
    run.finish = versions.history_statements(engine, part)
    if not custom:
        run.finish = versions.release_statements(engine, release) + run.finish
    return run
