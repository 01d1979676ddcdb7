# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of a register's settings on a Windows host, read and written by ansible.windows from the controller.

What ansible.windows takes and returns: https://docs.ansible.com/ansible/latest/collections/ansible/windows/
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ntpath
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from ansible import constants

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._plan import Step
from ansible_collections.axops.retail.plugins.module_utils._pos.plan import ADVICE
from ansible_collections.axops.retail.plugins.module_utils._pos.settings import Section

#: A drive, a share, or a variable that Windows puts one of them in place of.
_WHOLE = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\/]+[\\/][^\\/]|%[^%]+%")

#: Runs a module or action of ansible.windows, by its short name; returns its result.
Run = Callable[[str, dict[str, Any]], dict[str, Any]]


class WindowsFile:
    """A ``Place`` of ``_pos.plan``. Windows has no modes: the file has the rights that it had, or those of its folder.

    :param module: runs a module on the host.
    :param copy: runs the action win_copy for the host.
    :param backup: keep a copy before the file is changed or removed; ``backup_file`` then says where it is.
    :raises RetailError: the path is none of Windows.
    """

    def __init__(self, path: str, section: Section | None, backup: bool, module: Run, copy: Run) -> None:
        if not _WHOLE.match(path):
            raise RetailError(
                "%r is no full path on Windows." % path,
                r"Begin with the drive, as in C:\POS\POS.exe.config; for a path where a share is mounted, let that host do "
                "the task (delegate_to).",
            )
        self.path = self._asked = path
        self.section = section
        self.backup_file = ""
        self._backup = backup
        self._module = module
        self._copy = copy
        self._is_there = False

    def read(self) -> bytes | None:
        # Where a link leads: a link stays a link.
        facts = self._stat(self._asked)
        self._is_there = facts["exists"]
        if not self._is_there:
            return None
        if facts.get("isdir"):
            raise RetailError("%s is a folder." % self._asked, "Name the file in it.")
        self.path = facts.get("path") or self._asked
        answer = _done(self._module("slurp", {"src": self.path}), "%s cannot be read" % self.path)
        try:
            return base64.b64decode(answer["content"], validate=True)
        except (KeyError, binascii.Error):
            raise RetailError("%s was not read whole." % self.path, "Run again.") from None

    def write(self, content: bytes, _mode: int | None) -> None:
        with _on_controller(content) as source:
            # The content is what it is, also where it looks like one of Ansible Vault.
            given = {"src": source, "dest": self.path, "backup": self._backup and self._is_there, "decrypt": False}
            answer = _done(self._copy("win_copy", given), "%s cannot be written" % self.path)
        self.backup_file = answer.get("backup_file") or ""

    def remove(self) -> None:
        if self._backup:
            copy = "%s.%d.%s.bak" % (self.path, os.getpid(), time.strftime("%Y%m%d-%H%M%S"))
            given = {"src": self.path, "dest": copy, "remote_src": True}
            _done(self._copy("win_copy", given), "%s cannot be copied" % self.path)
            self.backup_file = copy
        _done(self._module("win_file", {"path": self.path, "state": "absent"}), "%s cannot be removed" % self.path)

    def folder_step(self) -> Step | None:
        folder = ntpath.dirname(self.path)
        if self._stat(folder)["exists"]:
            return None

        def make() -> None:
            given = {"path": folder, "state": "directory"}
            _done(self._module("win_file", given), "%s cannot be made" % folder)

        return Step("Create the folder %s" % folder, ("folders", folder), None, {"state": "directory"}, action=make)

    def shape_step(self, _mode: int | None) -> Step | None:
        return None

    def _stat(self, path: str) -> dict[str, Any]:
        asked = {"path": path, "follow": True, "get_checksum": False}
        found: dict[str, Any] = _done(self._module("win_stat", asked), "%s cannot be looked at" % path)["stat"]
        return found


def _done(answer: dict[str, Any], trouble: str) -> dict[str, Any]:
    """The result of a module that has succeeded.

    :raises RetailError: it has not.
    """
    if answer.get("failed"):
        raise RetailError(
            "%s: %s" % (trouble, str(answer.get("msg") or "no reason was given").rstrip(".") + "."), ADVICE
        )
    return answer


@contextlib.contextmanager
def _on_controller(content: bytes) -> Iterator[str]:
    """A file with this content, for the copy; nobody else can read it, and it is gone afterwards."""
    descriptor, path = tempfile.mkstemp(dir=constants.DEFAULT_LOCAL_TMP, prefix="retail-pos-config-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        yield path
    finally:
        os.unlink(path)
