# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in recovery, and databases that are read-only: what changes nothing works, and the rest says so in check mode, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import offline_world as world
import pgserver
import pytest
from offline_world import run_module
from playbook_world import Playbook

PRICES = {"name": "1020 Prices", "direction": "download", "tables": ["PRICEDISCTABLE"]}
JOBS = [{"id": "1020", "name": "Prices", "tables": ["PRICEDISCTABLE"]}]
OTHER_PRICES = {**PRICES, "name": "Other"}
FILES = (("hq", "hq"), ("channel", "channel"))


@pytest.fixture(scope="module")
def standby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pgserver.PgServer]:
    """A server with HQ and a channel database that has become a standby of nobody."""
    with pgserver.throwaway("standby") as server:
        for name, tier in FILES:
            options = world.connection({**server.facts("postgres"), "database": name})
            Playbook(tmp_path_factory.mktemp(name)).succeed("retail_channel_db", tier=tier, **options)
        declared = {"name": "Default", "jobs": JOBS, "channel_databases": [{"name": "Houston"}]}
        hq = world.connection(server.facts("hq"))
        assert run_module("retail_data_group", **declared, **hq)["changed"]
        assert run_module("retail_offline_profile", name="Default pr", scopes=[PRICES], **hq)["changed"]
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        yield server


@pytest.fixture
def facts(standby: pgserver.PgServer) -> Any:
    return standby.facts


def test_what_changes_nothing_works_on_a_standby(facts: Any, tmp_path: Path) -> None:
    channel, hq = world.connection(facts("channel")), world.connection(facts("hq"))
    assert not Playbook(tmp_path).succeed("retail_channel_db", **channel)["changed"]
    assert not run_module("retail_offline_profile", name="Default pr", scopes=[PRICES], **hq)["changed"]
    for module in ("retail_sync_info", "retail_sync_drain"):
        assert not run_module(module, **channel).get("failed")
    made = run_module("retail_backup", name="first", directory=str(tmp_path / "backups"), **channel)
    assert made.get("changed"), made
    listed = run_module("retail_backup", name="first", directory=str(tmp_path / "backups"), **channel)
    assert not listed["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_what_would_change_it_says_so(facts: Any, tmp_path: Path, check: bool) -> None:
    channel, hq, absent = (
        world.connection({**facts("postgres"), "database": name}) for name in ("channel", "hq", "new")
    )
    offline = world.connection({**facts("postgres"), "database": "offline"}, "offline_")
    below, above = world.connection(facts("channel"), "channel_"), world.connection(facts("hq"), "hq_")
    refused = [
        run_module("retail_data_group", check, name="Default", state="absent", force=True, **hq),
        run_module("retail_offline_profile", check, name="Default pr", scopes=[OTHER_PRICES], **hq),
        run_module("retail_distribution", check, name="Houston", **below, **above),
    ]
    flags = ("--check",) if check else ()
    login = [{"name": "x", "password": "long secret"}]
    declared = (absent, {**channel, "state": "absent"}, {**channel, "logins": login})
    refused += [Playbook(tmp_path).fail("retail_channel_db", *flags, **one) for one in declared]
    for result in refused:
        assert "is a standby, or is still recovering: nothing can be changed there." in result["msg"], result
        assert "Name the primary server" in result["msg"]
    backups = {"name": "first", "directory": str(tmp_path / "backups"), "verify": "restore"}
    assert "is a standby" in run_module("retail_backup", check, **backups, **channel)["msg"]
    assert not (tmp_path / "backups").exists()
    assert "profile" in run_module("retail_offline_db", check, store_id="H", register_id="1", **below, **offline)["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_a_read_only_database_says_so(scratch_database: Any, check: bool) -> None:
    with world.connect(scratch_database) as db:
        world.make_database(db, "ax2012r3_hq")
        quoted = db.engine.names.quote(db.target.database)
        db.execute("ALTER DATABASE %s SET default_transaction_read_only = on" % quoted)
    hq = world.connection(scratch_database)
    failed = run_module("retail_offline_profile", check, name="Default pr", scopes=[PRICES], **hq)
    assert "Transactions at" in failed["msg"] and "default_transaction_read_only" in failed["msg"]
