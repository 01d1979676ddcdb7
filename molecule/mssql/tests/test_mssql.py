# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store on SQL Server: its services run, and what is sold at its register arrives, whole."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import testinfra

testinfra_hosts = ["docker://mssql-01"]

TILL = "python3 /opt/retail-till/till/till.py "
SALES = 5
PATIENCE = 120


def sales(host: Any) -> dict[str, Any]:
    """The sales in the database of a host; none of them may stand there in parts."""
    found = json.loads(host.check_output(TILL + "whole"))
    assert found["broken"] == []
    return dict(found["whole"])


@pytest.mark.parametrize(("where", "unit"), [("mssql-db", "HOUSTON"), ("mssql-01", "HOUSTON-000001")])
def test_the_services_run_now_and_after_a_reboot(where: str, unit: str) -> None:
    service = testinfra.get_host("docker://" + where).service(f"retail-offline-sync@{unit}.service")
    assert service.is_enabled
    assert service.is_running


def test_what_is_sold_arrives_at_the_store_and_at_headquarters(host: Any) -> None:
    before = sales(host)
    host.check_output(TILL + f"sell --sales {SALES}")
    sold = sales(host)
    assert len(sold) == len(before) + SALES
    for where in ("mssql-db", "mssql-hq01"):
        above, deadline = testinfra.get_host("docker://" + where), time.monotonic() + PATIENCE
        while (arrived := sales(above)) != sold and time.monotonic() < deadline:
            time.sleep(1)
        assert arrived == sold, where
