# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account that the service runs as."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import time
from collections.abc import Callable
from typing import Any

from .._engine._errors import RetailError
from .._plan import Plan, Step

_TRIES = 5
_SHELLS = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false")


def group_of(user: str) -> str:
    """The user's own group; the same name where the user is yet to be made."""
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        return user


def plan(user: str, group: str) -> Plan:
    """Make the group and the user where they are missing."""
    steps = Plan()
    if not _exists(grp.getgrnam, group):
        command = ["groupadd", "--system", group]
        path = ("accounts", "group", group)
        steps.add(_step("Create the group %s" % group, path, command, lambda: _exists(grp.getgrnam, group)))
    if not _exists(pwd.getpwnam, user):
        shell = next((path for path in _SHELLS if os.path.exists(path)), _SHELLS[-1])
        options = ["--system", "--no-create-home", "--home-dir", "/", "--shell", shell, "--gid", group]
        command = ["useradd", *options, user]
        path = ("accounts", "user", user)
        steps.add(_step("Create the user %s" % user, path, command, lambda: _exists(pwd.getpwnam, user)))
    return steps


def check(user: str) -> None:
    """See that the service can be run as this user, which is not made here.

    :raises RetailError: there is no such user, or only root may switch to it.
    """
    if not _exists(pwd.getpwnam, user):
        raise RetailError("There is no user %s here." % user, "Create it, or leave the option user out.")
    if os.geteuid() not in (0, pwd.getpwnam(user).pw_uid):
        raise RetailError("Only root may run the service as %s." % user, "Become root, or leave the option user out.")


def _exists(look_up: Callable[[str], Any], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True


def _step(title: str, path: tuple[str, ...], command: list[str], there: Callable[[], bool]) -> Step:
    def run() -> None:
        for attempt in range(_TRIES):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            # Another run, for another instance on this host, may be making the same account.
            if done.returncode == 0 or there():
                return
            time.sleep(0.2 * (attempt + 1))
        raise RetailError("%s: %s" % (title, done.stderr.decode("utf-8", "replace").strip()))

    return Step(title, path, None, "there", action=run)
