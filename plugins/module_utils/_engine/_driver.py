# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only place that imports pyodbc, and the only one that looks for ODBC drivers on the host."""

from __future__ import annotations

import contextlib
import glob
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._errors import DriverMissing, RetailError

try:
    import pyodbc
except ImportError as _missing:
    pyodbc = None
    PYODBC_ERROR: Any = _missing
else:
    PYODBC_ERROR = None
    # Connections here live for minutes or months; a pool behind our back would hand a session another one's settings.
    pyodbc.pooling = False


def require_pyodbc() -> Any:
    """The module pyodbc.

    :raises DriverMissing: it cannot be imported; the message says which package brings it.
    """
    if pyodbc is None:
        raise DriverMissing(
            "The Python library pyodbc cannot be imported by this interpreter (%s)." % PYODBC_ERROR,
            "Install it where the module runs: 'apt install python3-pyodbc', 'dnf install python3-pyodbc' or 'pip install pyodbc'.",
        )
    return pyodbc


def find_driver(named: str, registered: Sequence[str], patterns: Sequence[str], advice: str) -> str:
    """What goes behind ``Driver=``: the driver that was named, else a registered one, else a library file that is there.

    :param named: a driver name or a path given by the user; it always wins.
    :param registered: driver names to look for in odbcinst.ini, best first.
    :param patterns: glob patterns of library files, best first.
    :raises DriverMissing: nothing was found; ``advice`` says which package brings it.
    """
    odbc = require_pyodbc()
    if named:
        return named
    known = set(odbc.drivers())
    for name in registered:
        if name in known:
            return "{%s}" % name
    files = [path for pattern in patterns for path in sorted(glob.glob(pattern), reverse=True) if os.path.isfile(path)]
    if files:
        return files[0]
    raise DriverMissing("No ODBC driver for this engine was found (looked for %s)." % ", ".join(registered), advice)


class _Environment:
    """The environment of the process, which libraries of drivers read while a connection is opened."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._wanted: dict[str, str] = {}
        self._before: dict[str, str | None] = {}
        self._users = 0

    @contextlib.contextmanager
    def __call__(self, wanted: Mapping[str, str]) -> Iterator[None]:
        """These variables, until the end of the block. Who wants the same is let in at once, others one after the other."""
        with self._free:
            self._free.wait_for(lambda: not self._users or self._wanted == wanted)
            if not self._users:
                self._wanted = dict(wanted)
                self._before = {name: os.environ.get(name) for name in wanted}
                os.environ.update(wanted)
            self._users += 1
        try:
            yield
        finally:
            with self._free:
                self._users -= 1
                if not self._users:
                    for name, value in self._before.items():
                        if value is None:
                            os.environ.pop(name, None)
                        else:
                            os.environ[name] = value
                self._free.notify_all()


environment = _Environment()


def kerberos(keytab: str) -> dict[str, str]:
    """The variables with which MIT Kerberos gets tickets by a keytab, and keeps them in this process's memory."""
    return {"KRB5_CLIENT_KTNAME": "FILE:" + keytab, "KRB5CCNAME": "MEMORY:axops.retail:" + keytab} if keytab else {}


#: What is put in braces whatever is in it: a value that begins and ends with braces is one that has them, none that is braced.
_CREDENTIALS = ("UID", "PWD", "Password")


def connection_string(parts: list[tuple], braced: Sequence[str] | None = None, raw: Sequence[str] = ()) -> str:
    """Join keyword and value; a value with special characters is braced, as ODBC wants it.

    :param braced: the only keywords whose braces the driver takes off, for a driver that is no better; None: all of them.
    :param raw: the keywords whose value goes without braces wherever it can, for a driver of which some versions take two closing
        braces for two, and others for one.
    :raises RetailError: a value cannot be given to such a driver.
    """
    given = [(key, str(value)) for key, value in parts if value not in (None, "")]
    return ";".join("%s=%s" % (key, _written(key, value, braced, raw)) for key, value in given)


def _written(key: str, value: str, braced: Sequence[str] | None, raw: Sequence[str]) -> str:
    if key in raw:
        return _raw(key, value)
    return _brace(key, value) if braced is None or key in braced else _bare(key, value)


def is_bare(value: str) -> bool:
    """Whether a driver understands the value that takes no braces off."""
    return not (";" in value or value.startswith("{") or value != value.strip())


def _bare(key: str, value: str) -> str:
    if not is_bare(value):
        raise RetailError(
            "The driver cannot be given %r as %s." % (value, key),
            "Give it one without semicolons and outer spaces or braces.",
        )
    return value


def _raw(key: str, value: str) -> str:
    if ";" not in value and not value.startswith("{"):
        return value
    if "}" in value:
        raise RetailError(
            "This driver cannot be given a %s with a closing brace and a semicolon, or an opening brace before all else."
            % key,
            "Choose another one, or another driver.",
        )
    return "{%s}" % value


def _brace(key: str, value: str) -> str:
    always = key in _CREDENTIALS
    if not always and value.startswith("{") and value.endswith("}") and "}" not in value[1:-1]:
        return value
    if always or any(mark in value for mark in ";{}[](),?*=!@ '\"") or value != value.strip():
        return "{%s}" % value.replace("}", "}}")
    return value
