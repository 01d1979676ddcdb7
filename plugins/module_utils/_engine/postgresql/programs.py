# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's own programs, such as pg_dump, run on one database. A password stands neither in their arguments nor in
their environment."""

from __future__ import annotations

import builtins
import contextlib
import glob
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

from .._errors import RetailError
from . import conninfo
from .connect import DEFAULT_PORT, MAINTENANCE_DATABASE

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_SERVICE = "retail"


def find(name: str) -> str:
    """The newest program of that name: an older one refuses a newer server.

    :raises RetailError: none is installed.
    """
    found = [os.path.join(folder, name) for pattern in _PLACES for folder in glob.glob(pattern)]
    there = sorted((path for path in found if os.access(path, os.X_OK)), key=_numbers)
    path = there[-1] if there else shutil.which(name)
    if not path:
        raise RetailError(
            "The program %s is not installed where the module runs." % name,
            "Install PostgreSQL's client programs there: 'apt install postgresql-client' or 'dnf install postgresql'.",
        )
    return path


def run(target: Any, name: str, *arguments: str, failure: type[RetailError] = RetailError) -> None:
    """Run a program.

    :param target: the database that it is to connect to, None for none.
    :param failure: what is raised where it fails.
    :raises RetailError: it failed; the message is its own.
    """
    with _service(target) as environment:
        database = ["--dbname=" + conninfo.text({"service": _SERVICE, **_names(target)})] if target else []
        done = subprocess.run(
            [find(name), "--no-password", *database, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", check=False, env=environment,
        )  # fmt: skip
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it ended with %d" % done.returncode]
        raise failure(
            "%s failed: %s." % (name, said[0].rstrip(".")),
            "See that there is room on the disk, and that the login may read, or make, everything.",
        )


@contextlib.contextmanager
def _service(target: Any) -> Iterator[dict[str, str]]:
    """The environment of a program that finds how to connect in files that nobody else may read."""
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    if target is None:
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="axops-retail-") as folder:
        service, passwords = (os.path.join(folder, name) for name in ("service", "passwords"))
        lines = ["[%s]" % _SERVICE, "passfile=%s" % passwords]
        lines += ["%s=%s" % (name, _line(name, value)) for name, value in _parameters(target).items()]
        _write(service, lines)
        _write(passwords, ["*:*:*:*:%s" % re.sub(r"([\\:])", r"\\\1", _line("password", target.password))])
        yield {**environment, "PGSERVICEFILE": service}


def _parameters(target: Any) -> dict[str, Any]:
    """How to connect, in libpq's words; all but the password, and the names."""
    found = {
        "host": target.host,
        "port": target.port or DEFAULT_PORT,
        "sslmode": conninfo.sslmode(target),
        "sslrootcert": target.ca_file,
        "connect_timeout": target.login_timeout,
        "application_name": target.application_name,
    }
    return {name: value for name, value in found.items() if value != ""}


def _names(target: Any) -> dict[str, str]:
    """Such a file's lines are cut off at spaces; names that end with one are said otherwise."""
    return {"dbname": target.database or MAINTENANCE_DATABASE, "user": target.user}


def _line(name: str, value: Any) -> str:
    """:raises RetailError: the value cannot stand in such a file."""
    text = str(value)
    if "\n" in text or "\r" in text:
        raise RetailError("PostgreSQL's programs take no %s with a line break in it." % name, "Choose another one.")
    return text


def _write(path: str, lines: builtins.list[str]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


def _numbers(path: str) -> builtins.list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]
