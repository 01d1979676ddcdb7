# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service tells systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.axops.retail.plugins.module_utils._sync.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@axops-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        listening.settimeout(5)
        yield listening, address


def test_messages_arrive(listener: tuple[socket.socket, str]) -> None:
    listening, address = listener
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_seconds == 600
    notifier.ready()
    notifier.status("two\nlines")
    notifier.status("two\nlines")
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    received = [listening.recv(500).decode() for _message in range(5)]
    assert received[:3] == ["READY=1", "STATUS=two lines", "WATCHDOG=1"], "the same status is not sent twice"
    assert received[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert received[4] == "STOPPING=1"


def test_without_systemd_nothing_happens() -> None:
    notifier = Notifier({})
    notifier.ready()
    assert notifier.watchdog_seconds == 0


def test_another_process_is_watched() -> None:
    assert Notifier({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}).watchdog_seconds == 0


def test_nobody_listens(tmp_path: Path) -> None:
    socket = tmp_path / "missing"
    Notifier({"NOTIFY_SOCKET": str(socket)}).ready()
    assert not socket.exists()
