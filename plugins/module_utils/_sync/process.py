# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes, told apart for certain: a number alone may be somebody else's by the time that it is used."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

_POLL = 0.05


@dataclass(frozen=True)
class Process:
    """``started`` tells two processes of the same number apart, also across restarts of the machine."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now, None where there is none, or only its remains."""
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
                # The program's name stands in parentheses and may hold any character.
                fields = stream.read().rpartition(")")[2].split()
        except OSError:
            return None
        if fields[0] in ("Z", "X"):
            return None
        return cls(pid, "%s/%s" % (_boot(), fields[19]))

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def send(self, number: int) -> bool:
        """Send a signal; False where the process is gone. Never reaches another process of the same number."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        except (AttributeError, OSError):
            return self._send_by_number(number)
        try:
            # Opened first, compared then: from here on the descriptor means this very process.
            if not self.alive:
                return False
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
                return True
            return False
        finally:
            os.close(descriptor)

    def _send_by_number(self, number: int) -> bool:
        if not self.alive:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    def end(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL where the process is still there after the time; returns when it is gone."""
        self.send(signal.SIGTERM)
        if not self.wait(seconds):
            self.send(signal.SIGKILL)
            self.wait(seconds)

    def wait(self, seconds: float) -> bool:
        """Whether the process ended within the time."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True


def _boot() -> str:
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()
    return ""
