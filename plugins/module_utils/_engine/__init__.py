# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One database engine at a time: connect to it, speak its SQL, track its changes. Knows nothing of retail.

A speaker is a package with the modules named in ``SUBJECTS``; each module has the same public functions in every speaker
(a unit test compares their signatures). To add an engine: write the package, name it in ``ENGINES`` and in :func:`speaker`.
"""

from __future__ import annotations

from types import ModuleType

from ._database import Database, Target
from ._errors import RetailError

ENGINES = ("mssql", "postgresql")

SUBJECTS = (
    "access",
    "applying",
    "backups",
    "changes",
    "connect",
    "databases",
    "digests",
    "errors",
    "framework",
    "locks",
    "marks",
    "merging",
    "moves",
    "names",
    "repairs",
    "scripts",
    "tables",
    "tracking",
    "types",
)


def speaker(name: str) -> ModuleType:
    """The package that speaks for the engine ``name``.

    It is imported when it is asked for: most tasks need one of them alone, and a package comes to a host as text, which Python
    compiles for each task anew.

    :raises RetailError: there is no such engine.
    """
    if name == "mssql":
        from . import mssql as package  # noqa: PLC0415 - see above
    elif name == "postgresql":
        from . import postgresql as package  # noqa: PLC0415
    else:
        raise RetailError("Unknown engine %r." % name, "Use one of: %s." % ", ".join(ENGINES))
    return package


def connect(target: Target) -> Database:
    """Open a connection.

    :raises DriverMissing: pyodbc or the ODBC driver is not there.
    :raises ConnectFailed: the server, the login or the database refused.
    """
    return Database(target, speaker(target.engine))
