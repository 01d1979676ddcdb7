# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook, imported once and forked for each run: most of its time goes into its imports, and the tests run it often.

What runs is Ansible's own command line, in a process of its own with the arguments, the environment and the output of the run.
Only what Ansible reads from the environment while it is imported is common to all runs of one :class:`WarmAnsible`. A test
that interrupts or kills ansible-playbook starts it by its name, as a user does.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: What a play loads sooner or later.
_MODULES = (
    "ansible.executor.module_common",
    "ansible.executor.task_queue_manager",
    "ansible.plugins.action.normal",
    "ansible.plugins.callback.default",
    "ansible.plugins.connection.local",
    "ansible.plugins.shell.sh",
    "ansible.plugins.strategy.linear",
)


class WarmAnsible:
    """A process that has imported ansible-playbook and waits; it ends with this one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            text=True,
            start_new_session=True,
        )
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, output: Path, seconds: int
    ) -> subprocess.CompletedProcess[str]:
        """Run ansible-playbook with these arguments.

        :param folder: where it runs. ``output``: the file that standard output and error go to.
        :param seconds: after so many it is killed, with all that it has started, and its code is that of SIGALRM.
        """
        asked = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "output": str(output),
            "seconds": seconds,
            "folder": str(folder),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(list(arguments), code, output.read_text(encoding="utf-8"))

    def close(self) -> None:
        self._process.communicate()


def _serve() -> None:
    """Answer each line on standard input with the exit code of its run, until there are no more."""
    import importlib  # noqa: PLC0415

    import ansible.cli.playbook as playbook  # noqa: PLC0415 - seconds that the tests' process does not need

    for name in _MODULES:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
            _run(playbook, asked["arguments"])
        sys.stdout.write("%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        sys.stdout.flush()


def _become(asked: dict[str, Any]) -> None:
    """Be the process that a shell would have started."""
    os.setsid()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(source, number)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
    signal.alarm(asked["seconds"])


def _run(playbook: Any, arguments: list[str]) -> None:
    code: Any = 1
    try:
        playbook.main(["ansible-playbook", *arguments])
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Without what the process that was forked has to do at its end.
        os._exit(int(code))


if __name__ == "__main__":
    _serve()
