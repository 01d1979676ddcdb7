# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a connection to Windows: this host, with a shell that says that it is one of Windows. Nothing else is."""

from __future__ import annotations

from typing import Any

from ansible.plugins.connection import local

DOCUMENTATION = """
name: psrp
short_description: A stand-in for a connection to Windows
description: [Runs everything on this host.]
author: [the axops.retail contributors]
extends_documentation_fragment: [connection_pipelining]
"""


class Connection(local.Connection):
    """What the action plugins of Ansible ask is the shell."""

    transport = "axops_tests.windows.psrp"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._shell._IS_WINDOWS = True
