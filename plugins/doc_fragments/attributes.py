# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module of the collection supports."""

from __future__ import annotations


class ModuleDocFragment:
    """``axops.retail.attributes``; ``.info``: the module changes nothing; ``.action``: it has an action plugin."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Says what would change, and changes nothing, in C(check_mode).
  diff_mode:
    support: full
    description: Returns the touched part of the state before and after, when in diff mode.
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Says what would change, and changes nothing, in C(check_mode).
  diff_mode:
    support: N/A
    description: Returns the touched part of the state before and after, when in diff mode.
"""

    ACTION = r"""
options: {}
attributes:
  action:
    support: full
    description: Has an action plugin, which does a part of the work on the controller.
"""
