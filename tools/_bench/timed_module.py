# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module, run as a host runs it, that tells where its time went. Started by modules.py; the arguments come by stdin.

Prints one JSON object: the module's result, the seconds until its code was there, those in which it waited for the server,
all of those of its main program, and the statements that it changed the server with.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from typing import Any

#: What the servers of the benchmark speak.
ENGINE = "postgresql"


class Stopwatch:
    """Seconds spent inside calls that it was put around; a call inside another one counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def around(self, function: Any) -> Any:
        def timed(*arguments: Any, **options: Any) -> Any:
            started, self._depth = time.perf_counter(), self._depth + 1
            try:
                return function(*arguments, **options)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - started

        return timed


def main() -> None:
    started = time.perf_counter()
    # AnsibleModule would take an argument for the file with its own
    module = importlib.import_module("ansible_collections.axops.retail.plugins.modules." + sys.argv.pop())
    server, statements = _watch_the_driver(), _record()
    imported = time.perf_counter()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        module.main()
    ended = time.perf_counter()
    json.dump(
        {
            "result": json.loads(said.getvalue()),
            "imports": imported - started,
            "server": server.seconds,
            "main": ended - imported,
            "statements": statements,
        },
        sys.stdout,
    )


def _watch_the_driver() -> Stopwatch:
    """Time everything that goes through the connection, connecting included."""
    from ansible_collections.axops.retail.plugins.module_utils import _engine  # noqa: PLC0415 - within the time of imports

    watch = Stopwatch()
    for name in ("_run", "_commit", "close"):
        setattr(_engine.Database, name, watch.around(getattr(_engine.Database, name)))
    connect = _engine.speaker(ENGINE).connect
    connect.open_connection = watch.around(connect.open_connection)
    return watch


def _record() -> list[list[Any]]:
    """Collect what changes the server, each as [database, SQL, parameters]."""
    from ansible_collections.axops.retail.plugins.module_utils._engine import Database  # noqa: PLC0415 - as above

    statements: list[list[Any]] = []
    execute = Database.execute

    def recording(self: Any, sql: str, *parameters: Any) -> int:
        statements.append([self.target.database, sql, parameters])
        return execute(self, sql, *parameters)

    Database.execute = recording  # type: ignore[method-assign]
    return statements


if __name__ == "__main__":
    main()
