# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults are made to happen to real processes on real databases; at the end of each test the loss is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pgserver
import pytest
from fault_shop import Service, Shop
from integration import service_hosts as hosts


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed service."""
    return hosts.build_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def servers(pg_pair: tuple[pgserver.PgServer, pgserver.PgServer]) -> dict[str, pgserver.PgServer]:
    """The register's and the store's."""
    return dict(zip(("child", "parent"), pg_pair))


@pytest.fixture
def shop(scratch_pair: tuple[Any, Any]) -> Shop:
    """Provisioned, with prices and customers at the parent; nothing was synchronised yet."""
    made = Shop(*scratch_pair)
    made.begin()
    return made


@pytest.fixture
def service(shop: Shop, archive: Path, tmp_path: Path) -> Any:
    """Configured, not started."""
    made = Service(archive, tmp_path / "service.json", tmp_path / "output")
    shop.write_configuration(made.config)
    yield made
    made.end()
