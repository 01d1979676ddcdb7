# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installing the service of one pair: what is there, what is wanted, and the plan between."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from .._engine._errors import RetailError
from .._plan import Plan, Step
from . import config as configuration
from . import files, running
from .config import ServiceConfig
from .managers import Places, ProcessManager, SystemdManager

STATES = ("started", "stopped", "restarted", "present", "absent")


@dataclass(frozen=True)
class Archive:
    """The packed service as it came from the controller. ``path`` is empty in check mode, when it does not come."""

    path: str
    sha256: str


def plan(
    state: str, places: Places, manager: SystemdManager | ProcessManager, archive: Archive, config: ServiceConfig | None
) -> Plan:
    """What has to be done for the instance to be in that state.

    :param config: not needed to remove an instance.
    """
    if state == "absent" or config is None:
        return _absent(places, manager)
    steps = manager.prepare()
    for folder in dict.fromkeys((places.install_dir, places.config_dir)):
        steps.add(files.folder_step(folder, files.Shape(0o755)))
    steps.add(_archive_step(places, archive))
    steps.add(_config_step(places, config))
    said = running.read(places.state)
    # Files that change now, or were changed by a run that was cut off before it restarted the service.
    changes = any(step.path[0] == "files" for step in steps.steps)
    outdated = changes or not _is_current(places, archive, said) or not manager.is_current(said)
    if state in ("started", "restarted", "stopped"):
        steps.extend(manager.boot(state != "stopped"))
    steps.add(_service_step(state, places, manager, outdated))
    return steps


def _is_current(places: Places, archive: Archive, said: dict[str, Any]) -> bool:
    """Whether the service says that it runs with the files that are there."""
    return (said.get("archive"), said.get("config")) == (archive.sha256, running.signature(places.config))


def _service_step(state: str, places: Places, manager: SystemdManager | ProcessManager, outdated: bool) -> Step | None:
    path = ("service", places.name)
    if state == "stopped":
        stop = Step("Stop the service", path, "running", "stopped", action=manager.stop)
        return stop if manager.has_processes else None
    if not manager.is_running:
        start = Step("Start the service", path, "stopped", "running", action=manager.start)
        return None if state == "present" else start
    if state == "restarted" or outdated:
        before = "running with other files" if outdated else "running"
        return Step("Restart the service", path, before, "running, restarted", action=lambda: _restart(manager))
    return None


def _restart(manager: SystemdManager | ProcessManager) -> None:
    manager.stop()
    manager.start()


def _archive_step(places: Places, archive: Archive) -> Step | None:
    content = files.read(places.archive)
    shape = files.Shape(0o644)
    if content is not None and files.digest(content) == archive.sha256:
        return files.shape_step(places.archive, shape)

    def write() -> None:
        content = files.read(archive.path)
        if content is None or files.digest(content) != archive.sha256:
            raise RetailError("The packed service did not arrive whole from the controller.", "Run the playbook again.")
        files.write(places.archive, content, shape)

    before = None if content is None else {"sha256": files.digest(content)}
    title, after = "Install the service %s" % places.archive, {"sha256": archive.sha256}
    return Step(title, ("files", places.archive), before, after, action=write)


def _config_step(places: Places, config: ServiceConfig) -> Step | None:
    content = configuration.dumps(config).encode("utf-8")
    actual = files.read(places.config)
    if actual == content:
        return files.shape_step(places.config, places.private(0o600))

    def write() -> None:
        files.write(places.config, content, places.private(0o600))

    before, after = _shown(actual, configuration.document(config))
    return Step("Write the configuration %s" % places.config, ("files", places.config), before, after, action=write)


def _shown(actual: bytes | None, wanted: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Both configurations without their passwords; of a password only that it is another one."""
    after = configuration.redacted(wanted)
    if actual is None:
        return None, after
    try:
        known = json.loads(actual)
        before = configuration.redacted(known)
    except (ValueError, AttributeError):
        return "unreadable", after
    for side in ("child", "parent"):
        there = known.get(side)
        if isinstance(there, dict) and there.get("password") != wanted[side]["password"] and wanted[side]["password"]:
            after[side]["password"] = configuration.HIDDEN + " (changed)"
    return before, after


def _absent(places: Places, manager: SystemdManager | ProcessManager) -> Plan:
    steps = Plan()
    if manager.has_processes:
        steps.add(Step("Stop the service", ("service", places.name), "running", None, action=manager.stop))
    steps.extend(manager.boot(False))
    steps.add(files.remove_step(places.config, "there"))
    steps.add(files.remove_step(places.state, "there"))
    last = not _others(places)
    steps.extend(manager.remove(last))
    if last:
        steps.add(files.remove_step(places.archive, "there"))
        for folder in dict.fromkeys((places.config_dir, places.install_dir, places.state_dir)):
            if _will_be_empty(places, folder):
                steps.add(files.remove_step(folder, "there"))
    return steps


def _others(places: Places) -> list[str]:
    """The configurations of other instances, which use the same archive."""
    names = os.listdir(places.config_dir) if os.path.isdir(places.config_dir) else []
    return [name for name in names if name.endswith(".json") and name != os.path.basename(places.config)]


def _will_be_empty(places: Places, folder: str) -> bool:
    ours = {places.archive, places.config, places.state, places.pid_file, places.lock}
    return os.path.isdir(folder) and all(os.path.join(folder, name) in ours for name in os.listdir(folder))
