# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a connection."""

from __future__ import annotations

from typing import Any

from .._database import Target
from .._driver import connection_string, environment, find_driver, is_bare, kerberos, require_pyodbc
from .._errors import ConnectFailed, RetailError
from . import conninfo
from .errors import plain_message

DEFAULT_PORT = 5432
#: The database that is always there, for statements about other databases.
MAINTENANCE_DATABASE = "postgres"

_REGISTERED = ("PostgreSQL Unicode", "PostgreSQL Unicode(x64)", "PostgreSQL")
_FILES = (
    "/usr/lib/*/odbc/psqlodbcw.so",
    "/usr/lib64/psqlodbcw.so",
    "/usr/lib/psqlodbcw.so",
    "/opt/homebrew/lib/psqlodbcw.so",
)
_ADVICE = "Install it where the module runs: 'apt install odbc-postgresql' or 'dnf install postgresql-odbc'."
#: psqlodbc takes the braces off these values only: {my database} would be another database than my database.
_BRACED = ("Driver", "Password", "PWD", "pqopt", "ConnSettings")
#: Keywords that have a word in libpq, by which a name reaches it that the driver cannot be given.
_WORDS = {"Database": "dbname", "Username": "user"}
#: psqlodbc's logs, by their names and abbreviations: files in /tmp that everybody may read, with the password and all statements.
_LOGS = {"commlog": "CommLog", "b3": "B3", "debug": "Debug", "b2": "B2"}
#: A network that is cut in the middle of a session is noticed after a minute, on both sides, not when the kernel gives up: until
#: the server notices it keeps the session's locks, and nobody else gets on with the scope.
_PATIENCE = {
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 60000,
}
#: A row that a policy hides from us would travel as one that was deleted: without this, what would hide it is an error.
_SESSION = {**_PATIENCE, "row_security": "off"}


def open_connection(target: Target) -> Any:
    """A pyodbc connection in autocommit mode.

    :raises DriverMissing: pyodbc or psqlodbc is not there.
    :raises ConnectFailed: the server could not be reached or refused; the message says what to look at.
    """
    odbc = require_pyodbc()
    driver = find_driver(target.driver, _REGISTERED, _FILES, _ADVICE)
    if target.authentication:
        raise RetailError(
            "PostgreSQL does not know %s." % target.authentication, "The option authentication is for SQL Server."
        )
    try:
        with environment(kerberos(target.keytab)):
            return odbc.connect(_string(target, driver), autocommit=True, timeout=target.login_timeout)
    except odbc.Error as error:
        raise _explained(target, error) from None


def check(target: Target) -> None:
    """See that the driver can be told all this.

    :raises DriverMissing, RetailError: it cannot.
    """
    _string(target, find_driver(target.driver, _REGISTERED, _FILES, _ADVICE))


def commit(connection: Any) -> None:
    """End the transaction.

    With a statement of its own: where the server is gone when the driver's own commit comes to it, psqlodbc sometimes says that
    all went well, and whoever believes it has lost the transaction.
    """
    cursor = connection.cursor()
    try:
        cursor.execute("COMMIT")
    finally:
        cursor.close()


def _string(target: Target, driver: str) -> str:
    settings = {
        "application_name": target.application_name,
        "connect_timeout": target.login_timeout,
        **{name.replace("tcp_keep", "keep"): value for name, value in _PATIENCE.items()},
        "options": " ".join("-c %s=%s" % item for item in _SESSION.items()),
        "sslrootcert": target.ca_file,
    }
    names = {"Database": target.database or MAINTENANCE_DATABASE, "Username": target.user}
    odd = {key: name for key, name in names.items() if not is_bare(name)}
    settings.update((_WORDS[key], name) for key, name in odd.items())
    parts = [
        ("Driver", driver),
        ("Servername", target.host),
        ("Port", target.port or DEFAULT_PORT),
        *((key, name) for key, name in names.items() if key not in odd),
        ("Password", target.password),
        ("SSLmode", conninfo.sslmode(target)),
        ("pqopt", conninfo.text(settings)),
        # An error is handled by rolling the transaction back, so the driver need not set a savepoint before each statement.
        ("Protocol", "7.4-0"),
        ("BoolsAsChar", "0"),
        ("TextAsLongVarchar", "1"),
        ("UnknownsAsLongVarchar", "1"),
        ("ByteaAsLongVarBinary", "1"),
    ]
    _refuse_logs(target)
    parts.extend(target.options.items())
    return connection_string(parts, _BRACED)


def _refuse_logs(target: Target) -> None:
    asked = {_LOGS.get(key.lower(), ""): str(value) for key, value in target.options.items()}
    for name in sorted(filter(None, asked)):
        if asked[name] != "0":
            raise RetailError(
                "The connection option %s has the driver write the password into a file that everybody can read."
                % name,
                "Leave it out. The server's own log shows statements: log_statement.",
            )


_HINTS = (
    ("password authentication failed", "Check the user name and the password."),
    ("no password supplied", "Give the login's password."),
    (
        "no pg_hba.conf entry",
        "Allow this client, user and database in the server's pg_hba.conf, with TLS where it asks for it.",
    ),
    ("does not exist", "Check the name of the database or the role; create it first."),
    (
        "does not support SSL",
        "Switch TLS on at the server, or set the option encrypt to 'no' on a network that you trust.",
    ),
    ("certificate", "Name the authority that signed the server's certificate in the option ca_file."),
    ("starting up", "The server is starting or recovering; try again in a moment."),
    (
        "not currently accepting connections",
        "Let connections in again: ALTER DATABASE … ALLOW_CONNECTIONS true; or name another database.",
    ),
    (
        "too many connections for",
        "Raise the limit of connections of the database or the role (connection_limit), or lower the number of parallel hosts.",
    ),
    ("too many clients", "Raise max_connections at the server, or lower the number of parallel hosts."),
    (
        "Can't open lib",
        "Check the option driver: it takes a name in odbcinst.ini, or the path of the driver's library.",
    ),
    ("translate host name", "Check the server's name, and that this host can resolve it."),
)
#: A server that says this, or nothing at all, may be there in a while.
_AWAY = ("starting up", "shutting down", "translate host name")
_NO_HINT = "Check that PostgreSQL runs there and listens on that address, and that no firewall is in between."


def _explained(target: Target, error: Exception) -> ConnectFailed:
    text = str(error)
    advice = next((hint for words, hint in _HINTS if words in text), _NO_HINT)
    said = plain_message(error).splitlines()
    reason = said[0].strip().rstrip(".") if said else "no reason was given"
    who = target.user or "the account that runs this"
    away = advice == _NO_HINT or any(words in text for words in _AWAY)
    return ConnectFailed("Cannot connect to PostgreSQL at %s as %s: %s." % (target.where, who, reason), advice, away)
