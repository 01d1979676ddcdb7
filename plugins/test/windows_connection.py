# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host is one of Windows, by how it is reached: what all roles go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_CONNECTIONS = ("winrm", "psrp")
_SHELLS = ("cmd", "powershell")


def windows_connection(connection: str, shell_type: str = "") -> bool:
    """Whether this connection plugin, or this shell plugin, leads to Windows; both may be named in full."""
    return _short(connection) in _CONNECTIONS or _short(shell_type) in _SHELLS


def _short(name: str) -> str:
    return str(name).rpartition(".")[2]


class TestModule:
    """The tests of this file."""

    def tests(self) -> dict[str, Callable[..., Any]]:
        """By name, as Ansible takes them."""
        return {"windows_connection": windows_connection}
