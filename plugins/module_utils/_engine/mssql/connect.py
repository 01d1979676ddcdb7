# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a connection."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import sys
from typing import Any

from .._database import Target
from .._driver import connection_string, environment, find_driver, kerberos, require_pyodbc
from .._errors import ConnectFailed, DriverMissing, RetailError
from . import refusals, scripts, texts
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

#: One error ends the whole transaction: nothing of it is ever committed by mistake. How many rows a statement touched is told,
#: whatever the server's ``user options`` say. In a deadlock it is not the POS that gives way.
_SETTINGS = (
    "SET XACT_ABORT ON; SET NOCOUNT OFF; SET DEADLOCK_PRIORITY LOW; "
    # What the server says is looked at, and told to people far from it: in one language, whatever the login's own is.
    "IF OBJECT_ID(N'sys.sp_set_session_context') IS NOT NULL BEGIN DECLARE @language nvarchar(128) = @@LANGUAGE; "
    "EXEC sp_set_session_context N'%s', @language; END; SET LANGUAGE us_english" % scripts.LANGUAGE
)

#: Some versions of FreeTDS take a closing brace that is doubled for two.
_RAW = ("Database", "UID", "PWD", "APP")
_OLD_DRIVER = re.compile(r"(ODBC Driver |msodbcsql[-.]?)(13|17)", re.IGNORECASE)
#: Those that take a name and a password; a managed identity may have a name, and nobody else has one.
_WITH_PASSWORD = ("ActiveDirectoryPassword", "ActiveDirectoryServicePrincipal")
_NAMELESS = ("ActiveDirectoryIntegrated",)
#: That is all that the driver says where nobody answers.
_TIMED_OUT = "Login timeout expired"
_CANNOT_OPEN = (4060, 4064)
_STATE = "SELECT state_desc, user_access_desc FROM sys.databases WHERE name = CAST(? AS nvarchar(128))"


def open_connection(target: Target) -> Any:
    """A pyodbc connection in autocommit mode.

    :raises DriverMissing: pyodbc or a driver for SQL Server is not there.
    :raises ConnectFailed: the server could not be reached or refused; the message says what to look at.
    """
    odbc = require_pyodbc()
    driver = _driver(target)
    try:
        connection = _connect(odbc, target, driver)
        if not _is_freetds(driver):
            texts.read_halves(odbc, connection)
        _settle(connection)
    except odbc.Error as error:
        raise _explained(odbc, target, driver, error) from None
    return connection


def check(target: Target) -> None:
    """See that the driver can be told all this.

    :raises DriverMissing, RetailError: it cannot.
    """
    _string(target, _driver(target))


def _settle(connection: Any) -> None:
    """Each statement has its turn; what goes wrong in one shows then."""
    cursor = connection.execute(_SETTINGS)
    while cursor.nextset():
        pass
    cursor.close()


def _connect(odbc: Any, target: Target, driver: str) -> Any:
    variables = kerberos(target.keytab)
    if target.ca_file and not _is_freetds(driver):
        # The driver takes what OpenSSL trusts, and has no keyword for more: ServerCertificate is for encrypt=strict alone, and
        # names the server's own certificate. OpenSSL looks here, and for the system's ones in the folder of certificates.
        variables["SSL_CERT_FILE"] = _readable(target.ca_file, "ca_file")
    if target.keytab:
        _readable(target.keytab, "keytab")
    with environment(variables):
        return odbc.connect(_string(target, driver), autocommit=True, timeout=target.login_timeout)


def _readable(path: str, option: str) -> str:
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise ConnectFailed(
            "The file %s cannot be read: %s." % (path, error.strerror),
            "Correct the option %s, or give the account that runs this the right to read it." % option,
        ) from None


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
    parts += _freetds(target) if _is_freetds(driver) else _microsoft(target, driver)
    parts += [("Database", target.database or MAINTENANCE_DATABASE), *_login(target), ("APP", target.application_name)]
    # The driver takes the first of two equal keywords, and who writes one down means it.
    given = {name.lower() for name in target.options}
    parts = [(name, value) for name, value in parts if name.lower() not in given]
    return connection_string([*parts, *target.options.items()], raw=_RAW if _is_freetds(driver) else ())


def _is_freetds(driver: str) -> bool:
    return "tds" in os.path.basename(driver).lower()


def _login(target: Target) -> list[tuple]:
    """Who connects: a login with its password, Microsoft Entra, or the account that runs this.

    :raises RetailError: the options contradict each other.
    """
    options = {name.lower(): value for name, value in target.options.items()}
    way = target.authentication or options.get("authentication", "")
    if way and way.lower() in [name.lower() for name in _WITH_PASSWORD] and not (target.user and target.password):
        raise RetailError("%s needs login_user and login_password." % way, "Give both.")
    if target.user and (target.keytab or way.lower() in [name.lower() for name in _NAMELESS]):
        raise RetailError(
            "A login with its password and a Kerberos ticket are two ways to connect.",
            "Leave out login_user and login_password, or the options keytab and authentication.",
        )
    parts: list[tuple] = [("Authentication", target.authentication)]
    if target.user:
        return [*parts, ("UID", target.user), ("PWD", target.password)]
    if way or "trusted_connection" in options or "uid" in options:
        return parts
    return [*parts, ("Trusted_Connection", "yes")]


def _microsoft(target: Target, driver: str) -> list[tuple]:
    """:raises RetailError: the driver cannot do what is declared, or the options contradict each other."""
    encrypt, strict = target.encrypt, target.encrypt == "strict"
    if _OLD_DRIVER.search(driver):
        if strict or target.hostname_in_certificate:
            raise RetailError(
                "The driver %s knows neither encrypt: strict nor hostname_in_certificate." % driver.strip("{}"),
                "Install Microsoft's ODBC Driver 18.",
            )
        encrypt = "no" if encrypt == "optional" else encrypt  # another word for the same, which came with 18
    if strict and target.trust_server_certificate:
        raise RetailError(
            "With encrypt: strict the server's certificate is verified, whatever trust_server_certificate says.",
            "Leave one of the two out; name the certificate's authority in ca_file.",
        )
    return [
        ("Server", _server(target)),
        ("Encrypt", encrypt),
        ("TrustServerCertificate", "yes" if target.trust_server_certificate else "no"),
        ("HostNameInCertificate", target.hostname_in_certificate),
    ]


def _server(target: Target) -> str:
    if target.port:
        return "tcp:%s,%d" % (target.host, target.port)
    return "%s\\%s" % (target.host, target.instance) if target.instance else "tcp:%s,%d" % (target.host, DEFAULT_PORT)


def _freetds(target: Target) -> list[tuple]:
    """FreeTDS: ``request`` could end unencrypted without a word, so ``optional`` is the only one that asks for it.

    :raises RetailError: the server's certificate is to be checked, or Microsoft Entra asked, which this driver cannot.
    """
    checks = target.encrypt != "no" and not target.trust_server_certificate
    if checks or target.encrypt == "strict" or target.ca_file or target.hostname_in_certificate:
        raise RetailError(
            "The driver FreeTDS cannot check the server's certificate.",
            "Install Microsoft's ODBC Driver 18, or set trust_server_certificate on a trusted network.",
        )
    if target.authentication:
        raise RetailError(
            "The driver FreeTDS does not know %s." % target.authentication, "Install Microsoft's ODBC Driver 18."
        )
    if target.port or not target.instance:
        place: list[tuple] = [("Server", target.host), ("Port", target.port or DEFAULT_PORT)]
    else:
        place = [("Server", "%s\\%s" % (target.host, target.instance))]
    encryption = {"yes": "require", "no": "off", "optional": "request"}.get(target.encrypt, "require")
    return [*place, ("TDS_Version", "7.4"), ("ClientCharset", "UTF-8"), ("Encryption", encryption)]


def _explained(odbc: Any, target: Target, driver: str, error: Exception) -> ConnectFailed:
    text = str(error)
    numbers = refusals.native_numbers(text)
    message = (plain_message(error).splitlines() or [""])[0].rstrip(".") or "no reason given"
    advice = refusals.advice(numbers, text)
    if set(numbers) & set(_CANNOT_OPEN):
        advice = _state_advice(odbc, target, driver) or advice
    silent = not advice
    if silent:
        advice = refusals.RUNS
        if _TIMED_OUT in text or "Unable to connect" in text:
            port = target.port or (None if target.instance else DEFAULT_PORT)
            found, advice = refusals.look(target.host, port, target.instance)
            message += ": " + found if found else ""
    return ConnectFailed(
        "Cannot connect to SQL Server at %s as %s: %s." % (target.where, target.user or "(this account)", message),
        advice,
        away=silent,
        numbers=tuple(numbers),
    )


def _state_advice(odbc: Any, target: Target, driver: str) -> str:
    """What the server says of a database that cannot be opened, "" where it is as it should be, or may not be seen."""
    if not target.database or target.database == MAINTENANCE_DATABASE:
        return ""
    with contextlib.suppress(odbc.Error):
        connection = _connect(odbc, target.on(MAINTENANCE_DATABASE), driver)
        try:
            row = connection.execute(_STATE, target.database).fetchone()
        finally:
            connection.close()
        if row:
            return refusals.STATES.get(row[0], "") or refusals.STATES.get(row[1], "")
    return ""
