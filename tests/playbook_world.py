# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task of a module on this host, run by ansible-playbook as a user would run it; for the tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warm_ansible import WarmAnsible

from ansible_collections.axops.retail.plugins.plugin_utils import _service_archive


class Playbook:
    """Runs one task of a module.

    :param folder: where the playbook and the result are written; one at a time.
    :param environment: variables of ansible-playbook, and so of the module, besides this process's own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = dict(environment or {})

    def task(self, module: str, *flags: str, **options: Any) -> dict[str, Any]:
        """The module's result, and what was ``printed``; ``flags`` for ansible-playbook, such as ``--check``."""
        arguments = self._prepare(module, flags, options)
        done = ansible_playbook(arguments, self._environment(), self.folder, warm=not self.environment)
        assert done.returncode == 0, done.stdout
        result: dict[str, Any] = json.loads(self.result_file.read_text(encoding="utf-8"))
        return {**result, "printed": done.stdout}

    def succeed(self, module: str, *flags: str, **options: Any) -> dict[str, Any]:
        """The result of a task that must not fail."""
        result = self.task(module, *flags, **options)
        assert not result.get("failed"), result
        return result

    def fail(self, module: str, *flags: str, **options: Any) -> dict[str, Any]:
        """The result of a task that must fail, with a message and advice, and say that it has changed nothing."""
        result = self.task(module, *flags, **options)
        assert result.get("failed"), result
        assert not result.get("changed"), result
        assert "Traceback" not in result["msg"], result
        return result

    def start(self, module: str, *flags: str, **options: Any) -> subprocess.Popen[str]:
        """ansible-playbook, leader of a session of its own, so that a test can interrupt it."""
        return subprocess.Popen(
            [_executable(), *self._prepare(module, flags, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment(),
            start_new_session=True,
        )

    def _prepare(self, module: str, flags: Sequence[str], options: Mapping[str, Any]) -> list[str]:
        """Write the playbook; the arguments with which it is run."""
        self.result_file.unlink(missing_ok=True)
        book = self.folder / "play.yml"
        book.write_text(json.dumps([self._play(module, options)]), encoding="utf-8")
        return ["-i", "localhost,", *flags, str(book)]

    @property
    def result_file(self) -> Path:
        return self.folder / "result.json"

    def _play(self, module: str, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            "tasks": [{"name": "The task", f"axops.retail.{module}": options, "ignore_errors": True}],
        }

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collections()),
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback_plugins"),
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_NOCOLOR": "1",
            "KEPT_RESULT": str(self.result_file),
            **self.environment,
        }


#: By what Ansible has read from the environment while it was imported.
_WARM: dict[tuple[tuple[str, str], ...], WarmAnsible] = {}


def ansible_playbook(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, warm: bool = True, seconds: int = 300
) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in a folder, to its end.

    :param warm: by a process that has imported it already; not where the environment is to matter to its imports.
    :returns: with all that was printed, to either stream.
    """
    output = folder / "printed"
    if warm:
        key = tuple(sorted(item for item in environment.items() if item[0] == "HOME" or item[0].startswith("ANSIBLE_")))
        if key not in _WARM:
            _WARM[key] = WarmAnsible(environment)
        return _WARM[key].run(arguments, environment, folder, output, seconds)
    with output.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            [_executable(), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            check=False,
            timeout=seconds,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, output.read_text(encoding="utf-8"))


def _executable() -> str:
    return str(Path(sys.executable).with_name("ansible-playbook"))


def collections() -> Path:
    """The folder that ansible_collections is in."""
    return Path(_service_archive.__file__).parents[5]


def descendants(pid: int) -> list[int]:
    """The processes below one, its nearest first: Ansible's workers lead sessions of their own."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = children.get(pid, [])
    return found + [one for child in found for one in descendants(child)]


def signal_all(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> list[int]:
    """Send a signal to a playbook and everything that it has started, all at once; returns who they are."""
    processes = [process.pid, *descendants(process.pid)]
    for pid in processes:
        # Ansible's other helpers come and go
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return processes


def wait_for_the_end(process: subprocess.Popen[str], processes: list[int]) -> None:
    """Wait until a playbook and what it had started have ended."""
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in processes):
        assert time.monotonic() < deadline, "not all have ended"
        time.sleep(0.1)
