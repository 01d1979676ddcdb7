# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisioning with chosen columns, refusing to lose rows, and unregistering, on SQL Server."""

from __future__ import annotations

from dataclasses import replace

import mssql_world
import offline_world as world
import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._offline import pairs, removal
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._sync import metadata
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = mssql_world.needs_server

PRICES = replace(
    world.PRICES_DOWN,
    tables=tuple(
        replace(item, columns=("AMOUNT",) if item.name == world.PRICES.name else ())
        for item in world.PRICES_DOWN.tables
    ),
)


def test_a_register_goes_once_its_rows_have_arrived() -> None:
    with mssql_world.fresh() as parent, mssql_world.fresh() as child:
        open_database = {"offline": child, "channel": parent}.__getitem__
        mssql_world.make(parent, world.TABLES, tracked=False)
        request = pairs.Request(
            pairs.Place("offline", "the offline database", child.engine, child),
            pairs.Place("channel", "the channel database", parent.engine, parent),
            (PRICES, world.SALES_UP),
            world.HOUSTON_1,
            open_database,
            create_tables=True,
        )
        pairs.plan_pair(request).plan.apply(open_database)
        assert pairs.plan_pair(request).plan.titles == []
        mssql_world.run(parent, "INSERT INTO {ax.PRICEDISCTABLE} (RECID, AMOUNT) VALUES (1, 5)")
        mssql_world.run(child, "INSERT INTO {ax.RETAILTRANSACTIONTABLE} (TRANSACTIONID, STORE) VALUES ('T1', 'H')")

        with _engine.connect(mssql_world.server()) as server:
            away = removal.Request(world.HOUSTON_1, child.target.database, server, child, parent, open_database)
            with pytest.raises(RetailError, match=r"1 row in .*\(ax.RETAILTRANSACTIONTABLE: 1\)"):
                removal.plan_removal(away, removal.find(away))
            assert mssql_world.synchronise(Pair(child, parent)) == 2
            plan = removal.plan_removal(away, removal.find(away))
        assert plan.titles[0] == "Drop database %s" % child.target.database
        Plan(plan.steps[1:]).apply(open_database)
        assert metadata.read_peers(parent) == []
        assert mssql_world.rows(parent, "SELECT peer_id, peer_guid FROM {dbo.sync_peer}") == [(1, "")]
        assert mssql_world.rows(parent, "SELECT COUNT(*) FROM {dbo.scope_info}") == [(0,)]
