# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for the newest few rows, where "few" may be none: SQL Server refuses ``FETCH NEXT 0 ROWS`` (error 10744),
and neither PostgreSQL nor a stand-in for SQL Server does."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine import ENGINES, speaker
from ansible_collections.axops.retail.plugins.module_utils._offline import cdx_history
from ansible_collections.axops.retail.plugins.module_utils._sync import log


class Asked:
    """A database with all tables and no rows, which writes down what it is asked."""

    def __init__(self, engine: str) -> None:
        self.engine = type("Engine", (), {"names": speaker(engine).names, "tables": self})
        self.said: list[str] = []

    def read(self, _db: Any, names: list[Any]) -> dict[Any, None]:
        return dict.fromkeys(names)

    def query(self, sql: str, *_parameters: Any) -> list[tuple[Any, ...]]:
        self.said.append(sql)
        return []


READERS = {
    "RETAILOFFLINESYNCLOG": log.read_last,
    "a register's rows there": lambda db, few: log.read_last(db, few, "000001"),
    "sessions of the data exchange": lambda db, few: cdx_history.read(db, "HOUSTON", few),
}


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize("reader", READERS)
def test_for_no_rows_nobody_is_asked(engine: str, reader: str) -> None:
    db = Asked(engine)
    assert [READERS[reader](db, few) for few in (0, -1)] == [[], []]
    assert db.said == []
    READERS[reader](db, 1)
    assert [sql.partition("OFFSET")[2] for sql in db.said] == [" 0 ROWS FETCH NEXT 1 ROWS ONLY"]
