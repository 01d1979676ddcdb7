# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario of a module, played by one ansible-playbook: each step foretold, done, done again and foretold again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import catalogue
import passwords

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Step:
    """Something to declare. ``changes``: whether there is anything to do about it the first time."""

    name: str
    options: dict[str, Any]
    changes: bool = True


@dataclass(frozen=True)
class Failure:
    """Something that cannot be; ``words`` stand in the message. ``changes``: a part of it may have been done."""

    name: str
    options: dict[str, Any]
    words: str
    changes: bool = False


@dataclass(frozen=True)
class Preparation:
    """A task that the scenario needs first."""

    module: str
    options: dict[str, Any]


@dataclass
class Scenario:
    """:param keepers: files that may hold passwords, as patterns of paths below the world's folder."""

    steps: list[Step]
    failures: list[Failure] = field(default_factory=list)
    preparations: list[Preparation] = field(default_factory=list)
    keepers: Sequence[str] = ()
    watches_databases: bool = True


@dataclass(frozen=True)
class Run:
    """One task: of which step, which time (``check``, ``real``, ``again``, ``check again``, ``failure``), what came of it."""

    of: str
    kind: str
    module: str
    options: dict[str, Any]
    result: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.of!r} ({self.kind})"

    @property
    def checks(self) -> bool:
        return self.kind.startswith("check")

    @property
    def touched(self) -> list[str]:
        """What is not as it was."""
        names = {*self.before, *self.after}
        return sorted(name for name in names if self.before.get(name) != self.after.get(name))


@dataclass(frozen=True)
class Task:
    """A task of the play. ``body`` is what stands in the playbook."""

    of: str
    kind: str
    module: str
    options: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        task = {"name": f"{self.of} ({self.kind})", self.module: self.options, "ignore_errors": True, **self.more}
        return {**task, "check_mode": True} if self.kind.startswith("check") else task


def tasks_of(module: str, scenario: Scenario) -> Iterator[Task]:
    for number, needed in enumerate(scenario.preparations):
        yield Task(f"preparation {number}", "real", f"{catalogue.COLLECTION}.{needed.module}", needed.options)
    name = f"{catalogue.COLLECTION}.{module}"
    for step in scenario.steps:
        for kind in ("check", "real", "again", "check again"):
            yield Task(step.name, kind, name, step.options)
    for failure in scenario.failures:
        yield Task(failure.name, "failure", name, failure.options)


class Stage:
    """Where playbooks run: a home, temporary folders and logs of their own, below ``folder``.

    ``printed``: what ansible-playbook said at -vvv --diff; ``seconds``: how long it took.
    """

    def __init__(self, folder: Path, vault: passwords.Vault, facts: Mapping[str, Any], prefix: str) -> None:
        self.folder, self.vault, self.prefix, self.facts = folder, vault, prefix, facts
        self.printed, self.seconds = "", 0.0
        for name in ("input", "home", "tmp", "remote", "log", "work"):
            (folder / name).mkdir(mode=0o700, parents=True)

    @property
    def work(self) -> Path:
        """The folder for a module's files."""
        return self.folder / "work"

    @property
    def remote(self) -> Path:
        """Ansible's temporary folder on the host."""
        return self.folder / "remote"

    def play(self, tasks: Sequence[Task], watches_databases: bool = True) -> list[Run]:
        """Run the tasks in one playbook, each whatever became of those before it."""
        self._write("vault.json", self.vault.values)
        self._write("play.json", [self._play([task.body() for task in tasks])])
        server = self.facts if watches_databases else None
        world = {"server": server, "prefix": self.prefix, "folders": [str(self.work)], "report": str(self._report)}
        self._write("world.json", world)
        self._report.unlink(missing_ok=True)
        started = time.monotonic()
        done = self._ansible_playbook()
        self.seconds += time.monotonic() - started
        self.printed += done.stdout
        lines = self._report.read_text(encoding="utf-8").splitlines() if self._report.exists() else []
        assert done.returncode == 0 and len(lines) == len(tasks), _what_went_wrong(done.stdout)
        return [_run(task, json.loads(line)) for task, line in zip(tasks, lines)]

    @property
    def _report(self) -> Path:
        return self.folder / "log" / "results.jsonl"

    def _write(self, name: str, content: Any) -> None:
        path = self.folder / "input" / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(content), encoding="utf-8")

    def _play(self, tasks: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            "tasks": tasks,
        }

    def _ansible_playbook(self) -> subprocess.CompletedProcess[str]:
        executable = Path(sys.executable).with_name("ansible-playbook")
        given = self.folder / "input"
        command = [str(executable), "-vvv", "--diff", "-i", "localhost,", "-e", f"@{given / 'vault.json'}"]
        return subprocess.run(
            [*command, str(given / "play.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=400,
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        folder, log = self.folder, self.folder / "log"
        paths = [_HERE / "journal", _HERE, catalogue.ROOT / "tools", os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            **catalogue.environment(),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "ANSIBLE_HOME": str(folder / "home" / ".ansible"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(self.remote),
            "ANSIBLE_LOG_PATH": str(log / "ansible.log"),
            "ANSIBLE_LOG_VERBOSITY": "3",
            "ANSIBLE_CALLBACK_PLUGINS": str(_HERE / "callback_plugins"),
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_NOCOLOR": "1",
            "CONTRACT_WORLD": str(folder / "input" / "world.json"),
            "CONTRACT_JOURNAL": str(log / "journal.jsonl"),
        }


def _what_went_wrong(printed: str) -> str:
    lines = printed.splitlines()
    return "\n".join([*(line for line in lines if "WARNING" in line or "ERROR" in line), *lines[-10:]])


def _run(task: Task, line: dict[str, Any]) -> Run:
    name = task.module.rpartition(".")[2]
    return Run(task.of, task.kind, name, task.options, line["result"], line["before"], line["after"])
