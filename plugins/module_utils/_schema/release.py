# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Release numbers: AppMajor.AppMinor.DbVersion.ReservedForPartners, compared as numbers."""

from __future__ import annotations

import re
from typing import NamedTuple

from .._engine._errors import RetailError

_FORM = re.compile(r"^(\d{1,5})\.(\d{1,5})\.(\d{1,5})\.(\d{1,5})$")


class Release(NamedTuple):
    """Four numbers; 6.3.10.0 comes after 6.3.9.0."""

    major: int
    minor: int
    build: int
    partner: int

    @classmethod
    def parse(cls, text: str) -> Release:
        """Read ``6.3.158.0``.

        :raises RetailError: the text is no such release.
        """
        match = _FORM.match(str(text).strip())
        if not match:
            raise RetailError("%r is not a release." % text, "Write it as four numbers, for example 6.3.158.0.")
        return cls(*(int(number) for number in match.groups()))

    def __str__(self) -> str:
        return "%d.%d.%d.%d" % self

    @property
    def number(self) -> int:
        """What the vendor writes to DBVERSION.VERSIONNUMBER: ambiguous (6.3.1000.309 and 6.4.0.309 give the same), so
        write it, and never compare it."""
        return self.major * 10**7 + self.minor * 10**5 + self.build * 10**2 + self.partner

    def extends(self, base: Release) -> bool:
        """Whether this is the base itself or a partner's release of it: the first three numbers are the same."""
        return self[:3] == base[:3] and self.partner >= base.partner
