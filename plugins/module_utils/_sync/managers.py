# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How one instance of the service is kept running: by systemd, or by our own supervisor.

Two classes with the same methods.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._engine._errors import RetailError
from .._plan import Plan, Step
from . import account, files, log, supervise, systemd
from .process import Process

SYSTEMD, PROCESS = "systemd", "process"
_TAIL_BYTES = 20_000


@dataclass(frozen=True)
class Places:
    """Where everything of one instance lies."""

    name: str
    python: str
    install_dir: str
    config_dir: str
    log_dir: str
    state_dir: str
    user: str
    group: str

    @property
    def archive(self) -> str:
        return os.path.join(self.install_dir, "retail-sync.pyz")

    @property
    def config(self) -> str:
        return os.path.join(self.config_dir, self.name + ".json")

    @property
    def state(self) -> str:
        return os.path.join(self.state_dir, self.name + ".running.json")

    @property
    def pid_file(self) -> str:
        return os.path.join(self.state_dir, self.name + ".pid")

    @property
    def lock(self) -> str:
        return os.path.join(self.state_dir, self.name + ".lock")

    @property
    def log(self) -> str:
        return os.path.join(self.log_dir, self.name + ".log")

    @property
    def output(self) -> str:
        return os.path.join(self.log_dir, self.name + ".out")

    def private(self, mode: int) -> files.Shape:
        """The shape of what belongs to the service's account."""
        return files.Shape(mode, self.user, self.group)


def choose(wanted: str) -> str:
    """What ``auto`` means here: systemd where it is the init system and we may speak to it.

    :raises RetailError: systemd is asked for, and is not the init system.
    """
    if wanted == SYSTEMD and not systemd.is_booted():
        raise RetailError("systemd is not the init system here.", "Set the option service_manager to 'process'.")
    if wanted != "auto":
        return wanted
    return SYSTEMD if systemd.is_booted() and os.geteuid() == 0 else PROCESS


class SystemdManager:
    """An instance of the template unit."""

    kind = SYSTEMD
    log_file = ""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.started_at: datetime | None = None
        self._state = systemd.read(places.name)
        self._unit = systemd.unit_text(
            places.python, places.archive, places.config_dir, places.state_dir, places.user, places.group
        )

    @property
    def is_running(self) -> bool:
        return self._state.running

    @property
    def has_processes(self) -> bool:
        return self._state.running

    def service(self) -> Process | None:
        """The process of the service as it is at this moment."""
        return systemd.process_of(systemd.read(self.places.name))

    def prepare(self) -> Plan:
        """The account, the folders, the unit."""
        plan = account.plan(self.places.user, self.places.group)
        plan.add(files.folder_step(self.places.state_dir, self.places.private(0o750)))
        before = files.read(systemd.UNIT_FILE)
        if before != self._unit.encode("utf-8"):
            shown = None if before is None else before.decode("utf-8", "replace").splitlines()
            title, path = "Write the unit %s" % systemd.TEMPLATE, ("files", systemd.UNIT_FILE)
            plan.add(Step(title, path, shown, self._unit.splitlines(), action=self._write_unit))
        elif self._state.stale:
            plan.add(Step("Let systemd read its units again", ("systemd", "units"), "old", "new", action=_reload))
        return plan

    def boot(self, wanted: bool) -> Plan:
        """Whether the service comes up with the machine."""
        plan = Plan()
        if self._state.enabled != wanted:
            verb, unit = "enable" if wanted else "disable", systemd.unit_name(self.places.name)
            words = {True: "enabled", False: "disabled"}
            plan.add(
                Step("%s %s" % (verb.capitalize(), unit), ("boot", unit), words[not wanted], words[wanted],
                     action=lambda: systemd.systemctl("--quiet", verb, unit))
            )  # fmt: skip
        return plan

    def is_current(self, said: dict[str, Any]) -> bool:
        """Whether the running service was started by the unit as it is wanted."""
        return said.get("unit") == systemd.digest_in(self._unit) and said.get("pid") == self._state.pid

    def start(self) -> None:
        self.started_at = log.now()
        if self._state.active == "failed":
            systemd.systemctl("reset-failed", systemd.unit_name(self.places.name))
        systemd.systemctl("start", systemd.unit_name(self.places.name))

    def stop(self) -> None:
        systemd.systemctl("stop", systemd.unit_name(self.places.name))

    def tail(self, lines: int) -> list[str]:
        """The last lines that the service wrote."""
        return systemd.journal(self.places.name, lines)

    def remove(self, last: bool) -> Plan:
        """What goes with the instance; the unit with the last one."""
        plan = Plan()
        if last and os.path.exists(systemd.UNIT_FILE):
            plan.add(files.remove_step(systemd.UNIT_FILE, "there"))
            plan.add(Step("Let systemd read its units again", ("systemd", "units"), "old", "new", action=_reload))
        return plan

    def describe(self) -> dict[str, Any]:
        state = systemd.read(self.places.name)
        return {
            "manager": self.kind,
            "unit": systemd.unit_name(self.places.name),
            "unit_state": "%s (%s)" % (state.active, state.sub),
            "enabled": state.enabled,
            "running": state.running,
            "pid": state.pid or None,
        }

    def _write_unit(self) -> None:
        files.write(systemd.UNIT_FILE, self._unit.encode("utf-8"), files.Shape(0o644))
        _reload()


class ProcessManager:
    """A supervised process, where there is no init system. It does not come up with the machine by itself."""

    kind = PROCESS

    def __init__(self, places: Places) -> None:
        self.places = places
        self.started_at: datetime | None = None
        self.log_file = places.log
        self._pid_file = supervise.PidFile(places.pid_file)
        self._processes = self._pid_file.read()

    @property
    def is_running(self) -> bool:
        return "supervisor" in self._processes

    @property
    def has_processes(self) -> bool:
        """Whether there is anything to stop: a service outlives a supervisor that was killed."""
        return bool(self._processes)

    def service(self) -> Process | None:
        """The process of the service; between two tries of its supervisor, that one."""
        processes = self._pid_file.read()
        return processes.get("service") or processes.get("supervisor")

    def prepare(self) -> Plan:
        """The folders."""
        if self.places.user:
            account.check(self.places.user)
        plan = Plan()
        for folder in dict.fromkeys((self.places.log_dir, self.places.state_dir)):
            plan.add(files.folder_step(folder, self.places.private(0o750)))
        return plan

    def boot(self, wanted: bool) -> Plan:  # noqa: ARG002 - nothing here starts processes at boot
        return Plan()

    def is_current(self, said: dict[str, Any]) -> bool:
        """Whether what the service says of itself is said by the process that runs."""
        service = self._processes.get("service")
        return service is None or said.get("pid") == service.pid

    def start(self) -> None:
        # A service whose supervisor was killed goes on alone; it would hold the pair's lock.
        supervise.stop(self.places.pid_file)
        self.started_at = log.now()
        places = self.places
        command = [places.python, places.archive, "supervise", "--config", places.config]
        supervise.launch([*command, "--pid-file", places.pid_file, "--output", places.output], **self._account())

    def stop(self) -> None:
        supervise.stop(self.places.pid_file)

    def tail(self, lines: int) -> list[str]:
        """The last lines that the service and its supervisor wrote."""
        found: list[str] = []
        for path in (self.places.output, self.places.log):
            content = files.read(path) or b""
            found += content[-_TAIL_BYTES:].decode("utf-8", "replace").splitlines()[-lines:]
        return found

    def remove(self, last: bool) -> Plan:  # noqa: ARG002 - nothing is shared
        plan = Plan()
        for path in (self.places.pid_file, self.places.lock):
            plan.add(files.remove_step(path, "there"))
        return plan

    def describe(self) -> dict[str, Any]:
        processes = self._pid_file.read()
        service = processes.get("service")
        return {
            "manager": self.kind,
            "running": "supervisor" in processes,
            "pid": service.pid if service else None,
            "supervisor_pid": processes["supervisor"].pid if "supervisor" in processes else None,
        }

    def _account(self) -> dict[str, Any]:
        user = self.places.user
        if not user or os.geteuid() != 0 or pwd.getpwnam(user).pw_uid == 0:
            return {}
        groups = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
        return {"user": user, "group": self.places.group or groups[0], "extra_groups": groups}


def manager(kind: str, places: Places) -> SystemdManager | ProcessManager:
    """The manager of that kind for one instance."""
    return SystemdManager(places) if kind == SYSTEMD else ProcessManager(places)


def _reload() -> None:
    systemd.systemctl("daemon-reload")
