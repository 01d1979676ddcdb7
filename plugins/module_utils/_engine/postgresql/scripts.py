# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many statements at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def together(statements: Iterable[Any]) -> list[tuple[str, tuple]]:
    """The statements of one transaction in as few round trips as can be, as pairs of SQL and parameters.

    :param statements: SQL texts, or pairs of SQL and parameters.
    """
    trips: list[tuple[str, tuple]] = []
    texts: list[str] = []
    for statement in statements:
        if isinstance(statement, str):
            texts.append(statement)
            continue
        trips += _joined(texts)
        texts = []
        trips.append(statement)
    return trips + _joined(texts)


def _joined(texts: list[str]) -> list[tuple[str, tuple]]:
    return [(";\n".join(texts), ())] if texts else []
