# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where there is no init system: a small supervisor in the background that keeps the service running.

``<state_dir>/<name>.pid`` says who they are; ``<name>.lock`` is held by the supervisor while it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from typing import Any

from .._engine._errors import RetailError
from .config import ConfigError
from .process import Process

#: Seconds that the service gets to end before it is killed.
PATIENCE = 15
_LONGEST_PAUSE = 60.0
#: A service that ran for so long begins again with short pauses.
_LONG_RUN = 60.0
_UNUSABLE_CONFIGURATION = 2
_ROLES = ("supervisor", "service")


class PidFile:
    """Who the supervisor and the service are."""

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, **processes: Process | None) -> None:
        known = {role: {"pid": p.pid, "started": p.started} for role, p in processes.items() if p is not None}
        temporary = self.path + ".new"
        with open(temporary, "w", encoding="ascii") as stream:
            json.dump(known, stream)
        os.replace(temporary, self.path)

    def read(self) -> dict[str, Process]:
        """Those that are alive, by role. A number that has gone to somebody else does not count."""
        try:
            with open(self.path, encoding="ascii") as stream:
                known = json.load(stream)
            processes = {
                role: Process(int(known[role]["pid"]), known[role]["started"]) for role in _ROLES if role in known
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {role: process for role, process in processes.items() if process.alive}

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def stop(path: str) -> None:
    """End the supervisor and the service behind a pid file, and wait until they are gone.

    :raises RetailError: they do not end.
    """
    pid_file = PidFile(path)
    for role in _ROLES:
        # The service last: it outlives a supervisor that was killed.
        process = pid_file.read().get(role)
        if process is not None:
            process.end(2 * PATIENCE if role == "supervisor" else PATIENCE)
    left = pid_file.read()
    if left:
        raise RetailError(
            "The service does not end (%s)." % ", ".join("%s: process %d" % (role, p.pid) for role, p in left.items()),
            "It hangs in the kernel, on a file system that does not answer, for example.",
        )
    pid_file.remove()


def launch(command: list[str], **more: Any) -> None:
    """Start the supervisor in the background; returns when it runs.

    :param command: the interpreter, the archive, and the options of ``supervise``.
    :param more: for :class:`subprocess.Popen`: user, group.
    :raises RetailError: it did not start, with its reason.
    """
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", timeout=60,
        check=False, **more,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stdout.decode("utf-8", "replace").strip()
        raise RetailError("The service could not be started: %s" % (said or "exit code %d." % done.returncode))


class Supervisor:
    """Runs ``retail-sync run`` again whenever it ends, after a pause that grows while it keeps ending early."""

    def __init__(self, config: str, pid_file: str, output: str) -> None:
        self.config = config
        self.pid_file = PidFile(pid_file)
        self.lock = os.path.splitext(pid_file)[0] + ".lock"
        self.output = output
        self._service: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def run(self) -> int:
        """Go into the background and supervise. The process that was called returns as soon as that works.

        :raises ConfigError: another supervisor runs, or a file cannot be opened.
        """
        lock, output = self._open(self.lock, os.O_RDWR | os.O_CREAT), self._open(self.output, _APPEND)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError("The service runs already (%s is locked)." % self.lock) from None
        ready = _into_the_background(output, keep=lock)
        if ready is None:
            return 0
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, self._hear)
        self._start()
        os.write(ready, b"ready")
        os.close(ready)
        self._supervise()
        self.pid_file.remove()
        return 0

    def _open(self, path: str, flags: int) -> int:
        try:
            return os.open(path, flags, 0o640)
        except OSError as error:
            raise ConfigError("%s cannot be opened: %s." % (path, error.strerror)) from None

    def _start(self) -> None:
        me = Process.of(os.getpid())
        self._service = subprocess.Popen([sys.executable, sys.argv[0], "run", "--config", self.config])
        self.pid_file.write(supervisor=me, service=Process.of(self._service.pid))

    def _supervise(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            code = self._service.wait() if self._service else 0
            if self._stopping.is_set():
                return
            if code == _UNUSABLE_CONFIGURATION:
                _note("the service ended with an unusable configuration; not trying again")
                return
            failures = 0 if time.monotonic() - began > _LONG_RUN else failures + 1
            pause = min(_LONGEST_PAUSE, 2.0 ** (failures - 1) if failures else 0)
            _note("the service ended with code %d; starting it again in %d s" % (code, pause))
            if self._stopping.wait(pause):
                return
            self._start()

    def _hear(self, number: int, _frame: Any) -> None:
        service = self._service
        if number == signal.SIGALRM:
            if service is not None and service.poll() is None:
                service.kill()
            return
        if number != signal.SIGHUP:
            self._stopping.set()
            signal.alarm(PATIENCE)
        if service is not None and service.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)


_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def _into_the_background(output: int, keep: int) -> int | None:
    """Fork twice. In the process that goes on: where to write that it is ready. In the one that was called: None, then.

    :param output: becomes standard output and standard error.
    :param keep: a descriptor that stays open.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            if stream.read() == b"ready":
                return None
        raise RetailError("The supervisor ended at once.", "Its output says why.")
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o027)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Whoever called may hold pipes open to what it started, and would wait for us for ever.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in (writing, keep):
            with contextlib.suppress(OSError):
                os.close(int(name))
    return writing


def _note(text: str) -> None:
    moment = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    sys.stderr.write("%s supervisor: %s\n" % (moment, text))
    sys.stderr.flush()
