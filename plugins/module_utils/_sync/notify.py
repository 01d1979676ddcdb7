# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd wants to hear from a service: sd_notify in plain Python. Without systemd all of it does nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Speaks to the socket that ``NOTIFY_SOCKET`` names, if any."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        self._address = known.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._status = ""
        mine = known.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        #: Seconds within which :meth:`alive` must be called again; 0 where nobody watches.
        self.watchdog_seconds = int(known.get("WATCHDOG_USEC") or 0) / 1e6 if mine else 0.0

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        self._send("RELOADING=1\nMONOTONIC_USEC=%d" % (time.monotonic_ns() // 1000))

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """A line for ``systemctl status``; nothing secret."""
        if text != self._status:
            self._status = text
            self._send("STATUS=%s" % text.replace("\n", " "))

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A service must not fail because nobody listens to how it is.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.settimeout(1)
            out.sendto(message.encode("utf-8"), self._address)
