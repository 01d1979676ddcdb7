# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a connection is encrypted, in libpq's words."""

from __future__ import annotations

from .._database import Target

_MODES = {"yes": "require", "no": "disable", "optional": "prefer", "strict": "verify-full"}


def mode(target: Target) -> str:
    """The value of libpq's ``sslmode``."""
    found = _MODES.get(target.encrypt, target.encrypt)
    if found == "require" and target.ca_file and not target.trust_server_certificate:
        return "verify-full"
    return found
