# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and folders of the service: what is there, what is wanted, and the steps between."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from typing import Any

from .._plan import Step


@dataclass(frozen=True)
class Shape:
    """What of a file or folder is compared beside its content. An empty ``user`` or ``group`` is left as it is.

    Names and not numbers: the account may be made by an earlier step of the same plan.
    """

    mode: int
    user: str = ""
    group: str = ""

    def fits(self, facts: os.stat_result) -> bool:
        actual = (stat.S_IMODE(facts.st_mode), _user(facts.st_uid), _group(facts.st_gid))
        wanted = (self.mode, self.user or actual[1], self.group or actual[2])
        return actual == wanted

    def describe(self, facts: os.stat_result | None = None) -> dict[str, Any]:
        """The wanted values for the diff, or the actual ones of the same fields."""
        mode = self.mode if facts is None else stat.S_IMODE(facts.st_mode)
        found: dict[str, Any] = {"mode": "%04o" % mode}
        if self.user:
            found["user"] = self.user if facts is None else _user(facts.st_uid)
        if self.group:
            found["group"] = self.group if facts is None else _group(facts.st_gid)
        return found

    def own(self, path: str) -> None:
        if self.user or self.group:
            shutil.chown(path, _account(self.user), _account(self.group))

    def give(self, path: str) -> None:
        self.own(path)
        os.chmod(path, self.mode)


def facts_of(path: str) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.stat(path)
    return None


def read(path: str) -> bytes | None:
    """The content, None where the file is not there or cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        return stream.read()
    return None


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(path: str, content: bytes, shape: Shape) -> None:
    """Replace the file in one go; readers see the old one or the new one, and at no moment one that others may read."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".%s." % os.path.basename(path))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        shape.give(temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def folder_step(path: str, shape: Shape) -> Step | None:
    """Make the folder; one that is there only has to belong to the service's account."""
    facts = facts_of(path)
    if facts is None:
        return Step(
            "Create the folder %s" % path, ("folders", path), None, shape.describe(), action=lambda: _make(path, shape)
        )
    # A folder such as /tmp is shared, whoever owns it.
    if not shape.user or _user(facts.st_uid) == shape.user or facts.st_mode & stat.S_ISVTX:
        return None
    before, after = {"user": _user(facts.st_uid)}, {"user": shape.user}
    title = "Give the folder %s to %s" % (path, shape.user)
    return Step(title, ("folders", path), before, after, action=lambda: shape.own(path))


def _make(path: str, shape: Shape) -> None:
    """Make the folder with its owner and mode in one go: one that is there is taken as it is by the next run."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = tempfile.mkdtemp(dir=os.path.dirname(path), prefix=".%s." % os.path.basename(path))
    try:
        shape.give(temporary)
        os.rename(temporary, path)
    except BaseException as error:
        os.rmdir(temporary)
        # Another run, for another instance on this host, may have been faster, and have put files into it already.
        if not (isinstance(error, OSError) and os.path.isdir(path)):
            raise


def shape_step(path: str, shape: Shape) -> Step | None:
    """Put mode and owner of a file right, where its content is."""
    facts = facts_of(path)
    if facts is None or shape.fits(facts):
        return None
    title = "Set mode and owner of %s" % path
    return Step(title, ("modes", path), shape.describe(facts), shape.describe(), action=lambda: shape.give(path))


def remove_step(path: str, before: Any) -> Step | None:
    """Remove a file, or an empty folder."""
    if not os.path.lexists(path):
        return None

    def remove() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path) if os.path.isdir(path) else os.unlink(path)

    return Step("Remove %s" % path, ("files", path), before, None, action=remove)


def user_of(facts: os.stat_result) -> str:
    return _user(facts.st_uid)


def group_of(facts: os.stat_result) -> str:
    return _group(facts.st_gid)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _account(name: str) -> str | int | None:
    """What chown takes: a number where the account has no name."""
    return int(name) if name.isdigit() else name or None


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
