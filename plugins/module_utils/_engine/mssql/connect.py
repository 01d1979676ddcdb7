# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a connection."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from typing import Any

from .._database import Target
from .._driver import connection_string, find_driver, require_pyodbc
from .._errors import ConnectFailed, DriverMissing, RetailError
from .errors import plain_message

DEFAULT_PORT = 1433
#: The database that is always there, for statements about other databases.
MAINTENANCE_DATABASE = "master"

_REGISTERED = ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server")
_FILES = (
    "/opt/microsoft/msodbcsql18/lib64/libmsodbcsql-18*.so*",
    "/opt/microsoft/msodbcsql18/lib/libmsodbcsql-18*.so*",
    "/opt/microsoft/msodbcsql17/lib64/libmsodbcsql-17*.so*",
    "/opt/homebrew/lib/libmsodbcsql.1[78].dylib",
    "/usr/local/lib/libmsodbcsql.1[78].dylib",
)
_FREETDS = ("FreeTDS",)
_FREETDS_FILES = ("/usr/lib/*/odbc/libtdsodbc.so", "/usr/lib64/libtdsodbc.so*", "/usr/lib/libtdsodbc.so*")
#: Microsoft's driver as a Python wheel; whoever installs it accepts Microsoft's licence.
_WHEEL = "mssql_python_odbc"
_ADVICE = (
    "Install Microsoft's ODBC Driver 18 where the module runs (package msodbcsql18, or 'pip install "
    "mssql-python-odbc'; both "
    "under Microsoft's licence), or FreeTDS ('apt install tdsodbc')."
)
_SYSTEMS = {
    "debian_ubuntu": ("debian", "ubuntu"),
    "rhel": ("rhel", "fedora", "centos"),
    "suse": ("suse",),
    "alpine": ("alpine",),
}

#: One error ends the whole transaction: nothing of it is ever committed by mistake.
_SETTINGS = "SET XACT_ABORT ON"

_REASONS = (
    ("(18456)", "Check the user name and the password, and that the server allows SQL Server authentication."),
    ("Login failed", "Check the user name and the password, and that the server allows SQL Server authentication."),
    ("(4060)", "Check the name of the database, and that this login has a user in it; create it first."),
    ("Cannot open database", "Check the name of the database, and that this login has a user in it; create it first."),
    (
        "certificate verify failed",
        "Name the server's certificate in the option ca_file, or set trust_server_certificate.",
    ),
    (
        "self-signed certificate",
        "Name the server's certificate in the option ca_file, or set trust_server_certificate.",
    ),
    (
        "self signed certificate",
        "Name the server's certificate in the option ca_file, or set trust_server_certificate.",
    ),
    ("SSL Provider", "Check the server's certificate and its name; see ca_file, hostname_in_certificate and encrypt."),
    ("Kerberos", "Get a ticket first (kinit, or a keytab), or give login_user and login_password."),
    ("SSPI", "Get a Kerberos ticket first (kinit, or a keytab), or give login_user and login_password."),
    ("IM004", "The driver could not be loaded: check that the libraries it needs (Kerberos, OpenSSL) are installed."),
    (
        "Can't open lib",
        "The driver could not be loaded: check that the libraries it needs (Kerberos, OpenSSL) are installed.",
    ),
)
_NO_REASON = "Check that SQL Server runs there, listens on TCP and that port, and that no firewall is in between."


def open_connection(target: Target) -> Any:
    """A pyodbc connection in autocommit mode.

    :raises DriverMissing: pyodbc or a driver for SQL Server is not there.
    :raises ConnectFailed: the server could not be reached or refused; the message says what to look at.
    """
    odbc = require_pyodbc()
    driver = _driver(target)
    try:
        connection = odbc.connect(_string(target, driver), autocommit=True, timeout=target.login_timeout)
        connection.execute(_SETTINGS).close()
    except odbc.Error as error:
        raise _explained(target, error) from None
    return connection


def commit(connection: Any) -> None:
    """End the transaction."""
    connection.commit()


def _driver(target: Target) -> str:
    try:
        return find_driver(target.driver, _REGISTERED, _FILES + _wheel_files(), _ADVICE)
    except DriverMissing:
        return find_driver("", _FREETDS, _FREETDS_FILES, _ADVICE)


def _wheel_files() -> tuple[str, ...]:
    """Patterns of the driver's library in its wheel, this system's first; the wheel is found, not imported."""
    found = importlib.util.find_spec(_WHEEL)
    places = list(found.submodule_search_locations or []) if found else []
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
    if sys.platform == "darwin":
        return tuple(os.path.join(place, "libs", "macos", machine, "lib", "libmsodbcsql*.dylib") for place in places)
    parts = ("libs", "linux", _system(), machine, "lib", "libmsodbcsql-*.so*")
    return tuple(os.path.join(place, *parts) for place in places)


def _system() -> str:
    """The folder of the wheel that fits this Linux."""
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            facts = dict(line.strip().replace('"', "").split("=", 1) for line in file if "=" in line)
    except OSError:
        facts = {}
    words = "%s %s" % (facts.get("ID", ""), facts.get("ID_LIKE", ""))
    return next((folder for folder, names in _SYSTEMS.items() if any(name in words for name in names)), "debian_ubuntu")


def _string(target: Target, driver: str) -> str:
    parts: list[tuple] = [("Driver", driver)]
    parts += _freetds(target) if "tds" in driver.lower() else _microsoft(target)
    parts += [("Database", target.database or MAINTENANCE_DATABASE)]
    if target.user:
        parts += [("UID", target.user), ("PWD", target.password)]
    else:
        parts += [("Trusted_Connection", "yes")]
    parts += [("APP", target.application_name)]
    parts += target.options.items()
    return connection_string(parts)


def _microsoft(target: Target) -> list[tuple]:
    return [
        ("Server", _server(target)),
        ("Encrypt", target.encrypt),
        ("TrustServerCertificate", "yes" if target.trust_server_certificate else "no"),
        # The driver trusts what the system trusts; this is the one certificate besides that it takes for the server's.
        ("ServerCertificate", target.ca_file),
        ("HostNameInCertificate", target.hostname_in_certificate),
    ]


def _server(target: Target) -> str:
    if target.port:
        return "tcp:%s,%d" % (target.host, target.port)
    return "%s\\%s" % (target.host, target.instance) if target.instance else "tcp:%s,%d" % (target.host, DEFAULT_PORT)


def _freetds(target: Target) -> list[tuple]:
    """FreeTDS: ``request`` could end unencrypted without a word, so ``optional`` is the only one that asks for it.

    :raises RetailError: the server's certificate is to be checked, which this driver is not trusted to do.
    """
    checks = target.encrypt != "no" and not target.trust_server_certificate
    if checks or target.encrypt == "strict" or target.ca_file or target.hostname_in_certificate:
        raise RetailError(
            "The driver FreeTDS cannot check the server's certificate.",
            "Install Microsoft's ODBC Driver 18, or set trust_server_certificate on a trusted network.",
        )
    if target.port or not target.instance:
        place: list[tuple] = [("Server", target.host), ("Port", target.port or DEFAULT_PORT)]
    else:
        place = [("Server", "%s\\%s" % (target.host, target.instance))]
    encryption = {"yes": "require", "no": "off", "optional": "request"}.get(target.encrypt, "require")
    return [*place, ("TDS_Version", "7.4"), ("ClientCharset", "UTF-8"), ("Encryption", encryption)]


def _explained(target: Target, error: Exception) -> ConnectFailed:
    text = str(error)
    advice = next((hint for words, hint in _REASONS if words in text), _NO_REASON)
    message = (plain_message(error).splitlines() or [""])[0].rstrip(".") or "no reason given"
    return ConnectFailed(
        "Cannot connect to SQL Server at %s as %s: %s." % (target.where, target.user or "(this account)", message),
        advice,
        away=advice == _NO_REASON,
    )
