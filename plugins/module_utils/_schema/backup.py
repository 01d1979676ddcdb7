# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups of a database of the product: one is made, tested by restoring it, kept, put back, or removed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

from .._engine._backup import Backup, compare
from .._engine._errors import RetailError
from .._plan import Plan, Step
from . import versions

READABLE, RESTORE = "readable", "restore"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Shelf:
    """Where backups of one database are.

    :param server: the open maintenance database of its server.
    :param database: its name.
    :param connect: opens a connection of its own to the database of that name, on that server.
    """

    server: Any
    database: str
    folder: str
    connect: Callable[[str], Any]

    @property
    def backups(self) -> Any:
        """What the engine does about backups."""
        return self.server.engine.backups

    def exists(self) -> bool:
        """Whether the database is there."""
        return bool(self.server.engine.databases.exists(self.server, self.database))

    def release(self) -> str:
        """The release of the database, empty where it has none."""
        with contextlib.closing(self.connect(self.database)) as db:
            return str(versions.read(db) or "")

    def read(self, name: str) -> Backup | None:
        """The backup of that name, None where there is none that can be relied on."""
        return self.backups.read(self.server, self.folder, name)


def check_name(name: str) -> str:
    """The name itself.

    :raises RetailError: it cannot be part of a file's name everywhere.
    """
    if not _NAME.fullmatch(name):
        raise RetailError(
            "%r is no name for a backup." % name,
            "Use up to 100 letters, digits, dots, hyphens and underscores, a letter or digit first.",
        )
    return name


def present(shelf: Shelf, name: str, test: str, keep: int | None, max_age: int | None) -> tuple[Plan, dict[str, Any]]:
    """The plan that makes a backup of that name be there, and what is known of it.

    One that is there stays, whatever became of the database since.

    :param test: ``readable``: it was read through; ``restore``: it was restored into a database of its own, and held against
        what it was made of.
    :param keep: how many backups of the database stay, this one and the newest; None: all.
    :param max_age: one that is older than so many seconds is made anew; None: it is never too old.
    :raises RetailError: the database is not there, or backups cannot be made here.
    """
    if not shelf.exists():
        raise RetailError(
            "There is no database %s on %s." % (shelf.database, shelf.server.target.where), "Check its name."
        )
    shelf.backups.check(shelf.server)
    there = shelf.read(name)
    if there and there.database != shelf.database:
        raise RetailError(
            "The backup %s is one of the database %s." % (name, there.database),
            "Choose another name, or another folder.",
        )
    plan, release = Plan(), shelf.release()
    work = _Work(shelf, name, test)
    if not shelf.backups.prepared(shelf.server, shelf.folder):
        make = partial(shelf.backups.prepare, shelf.server, shelf.folder)
        plan.add(Step("Make the folder %s" % shelf.folder, ("folders", shelf.folder), None, "there", action=make))
    old = there is not None and max_age is not None and _age(there) > max_age
    if there is None or old:
        title = "Back up %s at release %s as %s" % (shelf.database, release or "none", name)
        before = _state(there) if there else None
        after = {"database": shelf.database, "release": release, "tested": test == RESTORE}
        action = partial(work.make, release)
        plan.add(Step(title, ("backups", name), before and {**before, "made": "before"}, after, action=action))
    elif test == RESTORE and not there.tested:
        title = "Test the backup %s by restoring it" % name
        action = partial(work.test, there)
        plan.add(Step(title, ("backups", name), _state(there), {**_state(there), "tested": True}, action=action))
    plan.extend(_retention(shelf, name, keep))
    return plan, {"release": release if there is None or old else there.release}


def absent(shelf: Shelf, name: str) -> Plan:
    """The plan that removes a backup; what remains of one that was cut off, too."""
    plan, there = Plan(), shelf.read(name)
    if there is not None:
        plan.add(_removal(shelf, there))
    return plan


def restored(shelf: Shelf, name: str, force: bool) -> tuple[Plan, dict[str, Any]]:
    """The plan that puts a backup back, and what is known of it.

    A database that was restored from it already, and is at its release still, is left alone: it has gone on since.

    :param force: put it back all the same.
    :raises RetailError: there is no such backup.
    """
    there = shelf.read(name)
    if there is None:
        raise RetailError(
            "There is no backup %s in %s, or it is damaged." % (name, shelf.folder),
            "Check the name and the folder; what else is there stands in its files.",
        )
    if there.database != shelf.database:
        raise RetailError(
            "The backup %s is one of the database %s, and not of %s." % (name, there.database, shelf.database),
            "Name that database, or another backup.",
        )
    plan, exists = Plan(), shelf.exists()
    release = shelf.release() if exists else ""
    mark = "%s %s" % (there.name, there.made)
    done = exists and release == there.release and shelf.backups.noted(shelf.server, shelf.database) == mark
    if not done or force:
        before = {"release": release} if exists else None
        after = {"release": there.release, "restored_from": there.name}
        title = "Restore %s from %s, at release %s" % (shelf.database, there.name, there.release or "none")
        action = partial(_put_back, shelf, there, mark)
        plan.add(Step(title, ("databases", shelf.database), before, after, action=action))
    return plan, {"release": there.release}


class _Work:
    """Makes and tests one backup."""

    def __init__(self, shelf: Shelf, name: str, test: str) -> None:
        self.shelf, self.name, self.how = shelf, name, test

    def make(self, release: str) -> None:
        shelf = self.shelf
        made = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        backup = Backup(self.name, shelf.database, release, made)
        with contextlib.closing(shelf.connect(shelf.database)) as db:
            backup = shelf.backups.make(db, shelf.folder, backup, self.how == RESTORE)
        shelf.backups.verify(shelf.server, shelf.folder, backup)
        if self.how == RESTORE:
            self.test(backup)

    def test(self, backup: Backup) -> None:
        """:raises Damaged: it cannot be restored, or holds something else than what it was made of."""
        shelf = self.shelf
        scratch = shelf.backups.beside(shelf.database, "restore_test")
        shelf.backups.restore(shelf.server, shelf.folder, backup, scratch)
        try:
            with contextlib.closing(shelf.connect(scratch)) as db:
                compare(backup, shelf.backups.content(db))
                release = str(versions.read(db) or "")
            if release != backup.release:
                raise RetailError("The restored backup is at release %s, and not at %s." % (release, backup.release))
        finally:
            for statement in shelf.server.engine.databases.drop(scratch):
                shelf.server.execute(statement)
        shelf.backups.mark_tested(shelf.server, shelf.folder, backup)


def _put_back(shelf: Shelf, backup: Backup, mark: str) -> None:
    """The database is there all the time: first as it was, then as the backup has it."""
    coming = shelf.backups.beside(shelf.database, "restored")
    shelf.backups.restore(shelf.server, shelf.folder, backup, coming)
    shelf.backups.note(shelf.server, coming, mark)
    shelf.backups.put_in_place(shelf.server, shelf.database, coming)


def _retention(shelf: Shelf, name: str, keep: int | None) -> Plan:
    """Remove the oldest of the others."""
    plan = Plan()
    if keep is None:
        return plan
    others = [one for one in shelf.backups.list(shelf.server, shelf.folder, shelf.database) if one.name != name]
    for backup in others[: max(0, len(others) - (keep - 1))]:
        plan.add(_removal(shelf, backup))
    return plan


def _removal(shelf: Shelf, backup: Backup) -> Step:
    return Step(
        "Remove the backup %s" % backup.name, ("backups", backup.name), _state(backup), None,
        action=lambda: shelf.backups.remove(shelf.server, shelf.folder, backup.name),
    )  # fmt: skip


def _state(backup: Backup) -> dict[str, Any]:
    return {"database": backup.database, "release": backup.release, "tested": backup.tested}


def _age(backup: Backup) -> float:
    made = datetime.fromisoformat(backup.made.rstrip("Z")).replace(tzinfo=timezone.utc)
    return (datetime.now(timezone.utc) - made).total_seconds()
