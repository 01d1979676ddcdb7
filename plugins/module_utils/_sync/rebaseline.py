# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operator's word that a pair is to begin anew, and which child is the one."""

from __future__ import annotations

from . import anew, identity
from .config import ServiceConfig
from .link import Link
from .pair import acquaint


def order(config: ServiceConfig, moved: bool) -> None:
    """Have all scopes of the pair begin anew with their next sessions. Nothing that is identical moves.

    :param moved: the child of this configuration is the one from now on; any other that comes is refused.
    :raises Cloned: without ``moved``, where the parent knows another child.
    :raises RetailError: a side cannot be reached, or the two do not know each other.
    """
    with Link(config) as link:
        child, parent = link.connect("child"), link.connect("parent")
        _upwards, downwards = acquaint(child, parent)
        if not moved:
            identity.admit(parent, downwards.guid, identity.here(child), config.moved_after)
        anew.begin(child, parent, anew.SIDES, config.moved_after, moved=True)
