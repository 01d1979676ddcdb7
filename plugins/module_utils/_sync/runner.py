# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process around the loop: signals, systemd, and the way out.

The loop runs in a thread of its own: while it waits for a database, the main thread still hears signals at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from .._engine._errors import RetailError
from . import config as configuration
from . import messages, running
from .messages import LOGGER
from .notify import Notifier
from .service import Service

#: Seconds that a statement gets to end after SIGTERM. What it was part of is rolled back by the server afterwards.
GRACE = 3.0
_LOOK_AROUND = 5.0


class Runner:
    """One service as a process: :meth:`run` returns its exit code."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._heard = threading.Event()
        self._stop = False
        self._reload = False
        self._broken = False
        self._notifier = Notifier()
        self._said = running.facts()

    def run(self) -> int:
        """Run until SIGTERM or SIGINT.

        :raises ConfigError: the configuration cannot be used.
        """
        os.umask(0o027)
        service = Service(self._configure())
        self._listen()
        thread = threading.Thread(target=self._loop, args=(service,), name="loop", daemon=True)
        LOGGER.info("%s: started, process %d", service.config.name, os.getpid())
        thread.start()
        self._notifier.ready()
        self._watch(service, thread)
        return self._leave(service, thread)

    def _configure(self) -> configuration.ServiceConfig:
        # Noted before the file is read: a file that is replaced in between then counts as not read yet.
        self._said["config"] = running.signature(self.path)
        config = configuration.load(self.path)
        try:
            messages.set_up(config)
        except OSError as error:
            raise configuration.ConfigError(
                "The log file %s cannot be opened: %s." % (config.log_file, error.strerror), "Choose another one."
            ) from None
        if config.state_file:
            running.write(config.state_file, self._said)
        return config

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: Any) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self._stop = True
        self._heard.set()

    def _loop(self, service: Service) -> None:
        try:
            service.run()
        except Exception:  # noqa: BLE001 - logged in full, and the process ends
            # A defect: the process ends, and whoever supervises it starts it again.
            self._broken = True
            LOGGER.exception("%s: the service ends with a defect", service.config.name)
        finally:
            self._heard.set()

    def _watch(self, service: Service, thread: threading.Thread) -> None:
        pause = min(_LOOK_AROUND, self._notifier.watchdog_seconds / 4 or _LOOK_AROUND)
        progress = -1
        while thread.is_alive() and not self._stop:
            self._heard.wait(pause)
            self._heard.clear()
            if self._reload and not self._stop:
                self._reload = False
                self._reconfigure(service)
            # Systemd starts a service anew that hangs in one statement for the whole of its patience.
            if service.resting or service.progress != progress:
                progress = service.progress
                self._notifier.alive()
            self._notifier.status(service.summary)

    def _reconfigure(self, service: Service) -> None:
        self._notifier.reloading()
        try:
            service.reconfigure(self._configure())
            LOGGER.info("%s: the configuration was read again", service.config.name)
        except RetailError as error:
            LOGGER.error("%s: going on with the old configuration. %s", service.config.name, error)
        self._notifier.ready()

    def _leave(self, service: Service, thread: threading.Thread) -> int:
        self._notifier.stopping()
        service.stop()
        thread.join(GRACE)
        LOGGER.info("%s: stopped", service.config.name)
        if thread.is_alive():
            # Waiting for a database. Nothing is lost: the server rolls back what was not committed.
            sys.stderr.flush()
            os._exit(0)
        return 1 if self._broken else 0
