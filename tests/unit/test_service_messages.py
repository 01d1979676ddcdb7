# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log file of a service that has no journal: it is rotated, and takes no more of the disk than is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.axops.retail.plugins.module_utils._sync import messages

#: As the option log_dir of retail_sync_service has it: the file and five older ones, 5 MB each.
LARGEST, OLDER = 5_000_000, 5


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "HOUSTON-000001.log"
    before = messages.LOGGER.level, messages.LOGGER.propagate
    messages.set_up(SimpleNamespace(log_file=str(path), log_level="info"))
    yield path
    for handler in list(messages.LOGGER.handlers):
        messages.LOGGER.removeHandler(handler)
        handler.close()
    messages.LOGGER.setLevel(before[0])
    messages.LOGGER.propagate = before[1]


def test_the_log_file_is_rotated_and_the_oldest_goes(log: Path) -> None:
    line = "x" * 400_000
    for number in range(100):
        messages.LOGGER.info("%d %s", number, line)
    files = sorted(log.parent.iterdir())
    assert [path.name for path in files] == [log.name, *(f"{log.name}.{number}" for number in range(1, OLDER + 1))]
    assert all(LARGEST / 2 < path.stat().st_size <= LARGEST for path in files[1:])
    said = [line.split()[3] for path in [*files[:0:-1], files[0]] for line in path.read_text("utf-8").splitlines()]
    assert said == [str(number) for number in range(100 - len(said), 100)], "the newest, each once and in order"
    assert 50 < len(said) < 100


def test_what_is_below_the_level_is_not_written(log: Path) -> None:
    messages.LOGGER.debug("a detail")
    messages.LOGGER.warning("a warning")
    assert [line.split(" ", 2)[2] for line in log.read_text("utf-8").splitlines()] == ["WARNING a warning"]
