# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many statements at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def together(statements: Iterable[Any]) -> list[tuple[str, tuple]]:
    """The statements of one transaction in as few round trips as can be, as pairs of SQL and parameters.

    Each goes alone: a batch is compiled as a whole, before its first statement has made what the second one names, and
    variables live as long as it.

    :param statements: SQL texts, or pairs of SQL and parameters.
    """
    return [(statement, ()) if isinstance(statement, str) else statement for statement in statements]
