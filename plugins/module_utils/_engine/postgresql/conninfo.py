# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How to connect, in libpq's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._database import Target

_MODES = {"yes": "require", "no": "disable", "optional": "prefer", "strict": "verify-full"}


def sslmode(target: Target) -> str:
    """How a connection is encrypted: the value of libpq's ``sslmode``."""
    found = _MODES.get(target.encrypt, target.encrypt)
    if found == "require" and target.ca_file and not target.trust_server_certificate:
        return "verify-full"
    return found


def text(parameters: Mapping[str, Any]) -> str:
    """A connection string of libpq's, without what is empty."""
    return " ".join(
        "%s=%s" % (name, _value(str(value))) for name, value in parameters.items() if value not in (None, "")
    )


def _value(value: str) -> str:
    return "'%s'" % value.replace("\\", "\\\\").replace("'", "\\'")
