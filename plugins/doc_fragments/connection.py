# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of the connection options, written once: plain, and for each prefix."""

from __future__ import annotations

_TYPES = (
    ("engine", "str, choices: [mssql, postgresql]"),
    ("server", "str"),
    ("port", "int"),
    ("login_user", "str"),
    ("login_password", "str"),
    ("driver", "str"),
    ("encrypt", "str, choices: ['yes', 'no', optional, strict]"),
    ("trust_server_certificate", "bool"),
    ("ca_file", "path"),
    ("hostname_in_certificate", "str"),
    (
        "authentication",
        "str, choices: [ActiveDirectoryPassword, ActiveDirectoryIntegrated, ActiveDirectoryServicePrincipal, ActiveDirectoryMsi]",
    ),
    ("keytab", "path"),
    ("login_timeout", "int"),
    ("connection_options", "dict"),
)


def _prefixed(prefix: str, what: str) -> str:
    lines = ["options:", "  %sdatabase:" % prefix, "    description: The name of the %s." % what, "    type: str"]
    for name, kind in _TYPES:
        default = "O(%s)" % name
        if name == "login_password":
            default += ", unless O(%slogin_user) is set" % prefix
        lines.append("  %s%s:" % (prefix, name))
        lines.append("    description: As O(%s), for the %s. By default the value of %s." % (name, what, default))
        lines += ["    " + line for line in ("type: " + kind).split(", ", 1)]
    return "\n".join(lines) + "\n"


class ModuleDocFragment:
    """``axops.retail.connection``: the plain options; ``axops.retail.connection.channel`` and so on: prefixed ones."""

    DOCUMENTATION = r"""
options:
  engine:
    description:
      - The database engine.
      - V(mssql) is Microsoft SQL Server 2016 or later, V(postgresql) is PostgreSQL 14 or later.
    type: str
    choices: [mssql, postgresql]
    default: mssql
  server:
    description:
      - The host name or address of the database server.
      - A named instance of SQL Server is written as V(HOST\\INSTANCE).
    type: str
    default: localhost
  port:
    description:
      - The TCP port of the database server, from 1 to 65535.
      - By default the engine's own, 1433 or 5432; that of a named instance of SQL Server is asked of the browser service on the
        host, at UDP port 1434.
    type: int
  login_user:
    description:
      - The login to connect with.
      - Leave it out to connect as the account that runs the module, which takes Windows authentication or Kerberos on
        SQL Server, see O(keytab).
      - With O(authentication), the user, the application ID of the service principal, or the client ID of the managed identity.
    type: str
  login_password:
    description: The password of O(login_user).
    type: str
  driver:
    description:
      - The ODBC driver, by its registered name or by the path of its library.
      - By default the newest one of the engine that is found. Of Microsoft's, registered ones come first, then those in their
        usual places, then that of the Python package C(mssql-python-odbc). FreeTDS is taken where there is no other; it cannot
        verify certificates, so it needs O(trust_server_certificate=true).
    type: str
  encrypt:
    description:
      - Whether the connection is encrypted with TLS.
      - V(yes) insists on encryption, V(optional) takes it where the server offers it, V(strict) also insists on a
        verified certificate from the first byte, V(no) does without.
      - On SQL Server, V(strict) takes SQL Server 2022 and Microsoft's ODBC Driver 18.
    type: str
    choices: ['yes', 'no', optional, strict]
    default: 'yes'
  trust_server_certificate:
    description: Take the server's certificate without verifying it, such as a self-signed one.
    type: bool
    default: false
  ca_file:
    description:
      - The path of a file, in the PEM format, with the certificate of the authority that signed the server's certificate, or with
        that certificate itself, if it signed itself.
      - What the system of the host trusts counts besides.
    type: path
  hostname_in_certificate:
    description:
      - The host name in the server's certificate, where it differs from O(server), such as where that is an IP address.
    type: str
  authentication:
    description:
      - Log in by Microsoft Entra, on SQL Server. The value is that of the keyword C(Authentication) of Microsoft's ODBC driver.
      - V(ActiveDirectoryPassword) takes a user with a password, V(ActiveDirectoryServicePrincipal) an application ID with a
        secret, V(ActiveDirectoryMsi) the managed identity of the host, and V(ActiveDirectoryIntegrated) a Kerberos ticket.
    type: str
    choices: [ActiveDirectoryPassword, ActiveDirectoryIntegrated, ActiveDirectoryServicePrincipal, ActiveDirectoryMsi]
  keytab:
    description:
      - The path of a Kerberos keytab, on the host where the module runs. Without O(login_user), tickets are got by it, for the
        first principal in it, and kept in memory.
      - The service gets its tickets in the same way, and renews them; the account that it runs as has to be able to read the file.
      - By default the tickets of the account that runs the module are taken, as C(kinit) has got them.
    type: path
  login_timeout:
    description: How many seconds to wait for the connection.
    type: int
    default: 15
  connection_options:
    description:
      - More keywords for the ODBC connection string. One that an option stands for, too, comes before that option.
      - Do not put secrets here, the values are not hidden.
    type: dict
requirements:
  - pyodbc 4.0.34 or later, where the module runs
  - Microsoft ODBC Driver 17 or 18 for SQL Server, or psqlodbc for PostgreSQL, where the module runs
"""

    # Annotated, because the linter of documentation takes every plain assignment here for a literal.
    CHANNEL: str = _prefixed("channel_", "channel database")
    OFFLINE: str = _prefixed("offline_", "offline database")
    HQ: str = _prefixed("hq_", "HQ database")
    CHILD: str = _prefixed("child_", "child database")
    PARENT: str = _prefixed("parent_", "parent database")
