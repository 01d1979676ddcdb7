# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of a register's settings on the host that this runs on."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Any, Callable

from .._engine._errors import RetailError
from .._plan import Step
from .._sync import files
from .plan import ADVICE
from .settings import Section


@dataclass
class LocalFile:
    """A :class:`Place`. ``mode`` None: as it is, or as the content demands; an empty owner or group: as it is.

    ``before_write``: called just before a file that is there is replaced or removed; makes the backup.
    """

    path: str
    section: Section | None = None
    mode: int | None = None
    owner: str = ""
    group: str = ""
    before_write: Callable[[], Any] = lambda: None

    def __post_init__(self) -> None:
        # A link stays a link: what it points to is replaced.
        self.path = os.path.realpath(self.path)

    def read(self) -> bytes | None:
        try:
            with open(self.path, "rb") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RetailError("%s cannot be read: %s." % (self.path, error.strerror), ADVICE) from None

    def write(self, content: bytes, mode: int | None) -> None:
        shape = self._shape(mode)
        if os.path.exists(self.path):
            self.before_write()
        files.write(self.path, content, shape)

    def remove(self) -> None:
        self.before_write()
        os.unlink(self.path)

    def folder_step(self) -> Step | None:
        return files.folder_step(os.path.dirname(self.path), files.Shape(0o755))

    def shape_step(self, mode: int | None) -> Step | None:
        return files.shape_step(self.path, self._shape(mode))

    def _shape(self, usual: int | None) -> files.Shape:
        facts = files.facts_of(self.path)
        mode = usual if self.mode is None else self.mode
        if mode is None:
            mode = stat.S_IMODE(facts.st_mode) if facts else 0o644
        owner, group = self.owner, self.group
        if facts is not None:
            # A new file takes the place of the old one, and belongs to the same account.
            owner, group = owner or files.user_of(facts), group or files.group_of(facts)
        return files.Shape(mode, owner, group)
