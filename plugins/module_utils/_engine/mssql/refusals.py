# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a connection to SQL Server failed, and what to do about it.

The texts and numbers are Microsoft's (the pages "Database Engine events and errors" and those of the ODBC driver). Where the
driver says no more than that time was up, the network is looked at: the name, the port, and the browser service.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from collections.abc import Sequence

#: The browser service listens here for UDP, and answers with its instances.
BROWSER_PORT = 1434
_NUMBER = re.compile(r"\((-?\d+)\)(?=$| \(SQL\w+\)|;)")
_ALL_INSTANCES = b"\x03"
_PATIENCE = 3.0

_LOGIN = "Check login_user and login_password, and that the server allows SQL Server authentication (mixed mode)."
_TICKET = (
    "Get a Kerberos ticket (kinit), or name a keytab in the option keytab; or give login_user and login_password for SQL Server "
    "authentication."
)
_AUTHORITY = (
    "Name the authority that signed the server's certificate in the option ca_file, or add it to the system's trusted ones; or "
    "set trust_server_certificate on a network that you trust."
)
_RESTART = "Wait until it is back, and run this again."

#: By the number of the server's error.
NUMBERS = {
    911: "Check the name of the database; create it first.",
    916: "Make a user for this login in the database, or correct login_user.",
    922: "The database is being recovered after a restart of its server. " + _RESTART,
    924: "The database is in single-user mode and somebody else is in it. End that session, or ALTER DATABASE … SET MULTI_USER.",
    926: "The database is suspect: its recovery failed. Look into the server's error log; restore it from a backup.",
    927: "The database is being restored. Let the restore end, or finish it with RESTORE DATABASE … WITH RECOVERY.",
    942: "The database is offline. Bring it online: ALTER DATABASE … SET ONLINE.",
    945: "Files of the database are missing, or memory or disk is short. Look into the server's error log.",
    976: "Connect to the primary replica, or to the listener of the availability group.",
    983: "Its replica in the availability group is not ready. Connect to the primary replica, or to the listener.",
    4060: "Check the name of the database, and that this login has a user in it; create it first.",
    4064: "The login's default database cannot be opened. Name a database, or ALTER LOGIN … WITH DEFAULT_DATABASE = master.",
    10054: (
        "The server ended the connection. With encrypt: strict it has to be SQL Server 2022 or later; else see that both sides "
        "have a version of TLS in common, and that nothing in between cuts connections."
    ),
    17142: "The service SQL Server is paused. Resume it.",
    17809: "The server has as many connections as it may. Raise 'user connections', or lower the number of parallel hosts.",
    18401: "The server is being upgraded. " + _RESTART,
    18451: "Only administrators may connect at this time. " + _RESTART,
    18452: (
        "The login is from a domain that the server does not trust. Give login_user and login_password, or get a ticket of a "
        "domain that it trusts."
    ),
    18456: _LOGIN + " The state in the server's error log says what exactly was wrong.",
    18461: "The server was started in single-user mode, and somebody else is connected. Start it without -m.",
    18470: "The login is disabled. Enable it: ALTER LOGIN … ENABLE.",
    18486: "The login is locked out. Unlock it: ALTER LOGIN … WITH PASSWORD = '…' UNLOCK.",
    18487: "The login's password has expired. Change it: ALTER LOGIN … WITH PASSWORD = '…'.",
    18488: "The login's password must be changed before its first use. Change it, or make the login without MUST_CHANGE.",
    40532: "Check the name of the server, and write the login as LOGIN@SERVER if it needs to.",
    40613: "The database is not available at this moment, such as while it is moved or scaled. " + _RESTART,
    40615: "The server's firewall does not let this address in. Add a rule for it.",
    47073: "The server refuses public networks. Connect through its private endpoint, or allow public access.",
}
#: By what the driver says, the narrower words first.
WORDS = (
    ("Cannot use Authentication option with Integrated Security", "Leave Trusted_Connection out of connection_options."),
    ("Invalid value specified for connection string attribute", "Correct the option, or take a newer driver that knows the value."),
    ("Invalid connection string attribute", "Correct connection_options, or take a newer driver that knows the keyword."),
    ("Encryption not supported on SQL Server", "Switch TLS on at the server; or set encrypt to 'no' on a network that you trust."),
    (
        "subject name does not match host name",
        (
            "Connect by a name that stands in the server's certificate, or give that name in the option hostname_in_certificate. "
            "An IP address does not count."
        ),
    ),
    ("certificate has expired", "Renew the server's certificate."),
    ("self-signed certificate", _AUTHORITY),
    ("self signed certificate", _AUTHORITY),
    ("unable to get local issuer certificate", _AUTHORITY),
    ("certificate verify failed", _AUTHORITY),
    ("unsupported protocol", "The server offers no version of TLS that this host accepts: have it offer TLS 1.2."),
    ("SSL Provider", "Check the server's certificate and its name; see ca_file, hostname_in_certificate and encrypt."),
    ("Error code 0x2746", NUMBERS[10054]),
    (
        "handshakes before login",
        "Check the port: what answers there speaks another protocol, or has no room for one more connection.",
    ),
    (
        "Server not found in Kerberos database",
        "Register the service principal name MSSQLSvc/HOST:PORT of the server's account (setspn), and connect by that host name.",
    ),
    (
        "unknown while looking up 'MSSQLSvc",
        "Register the service principal name MSSQLSvc/HOST:PORT of the server's account (setspn), and connect by that host name.",
    ),
    ("Clock skew too great", "Set the clock of this host right: Kerberos takes five minutes at most."),
    ("Kerberos", _TICKET),
    ("SSPI", _TICKET),
    ("AADSTS", "See what Microsoft Entra says under that code; check the tenant, login_user and login_password."),
    (
        "Can't open lib",
        (
            "Check the option driver: it takes a name in odbcinst.ini, or the path of the driver's library, whose own libraries "
            "(Kerberos, OpenSSL) have to be there, too."
        ),
    ),
    ("Data source name not found", "Check the option driver: it takes a name in odbcinst.ini, or the path of the driver's library."),
    ("IM004", "The driver could not be loaded: check that the libraries it needs (Kerberos, OpenSSL) are installed."),
    ("Login failed", _LOGIN),
    ("Cannot open database", NUMBERS[4060]),
)  # fmt: skip

#: What ``sys.databases`` says of a database that cannot be opened.
STATES = {
    "RESTORING": NUMBERS[927],
    "RECOVERING": NUMBERS[922],
    "RECOVERY_PENDING": NUMBERS[945],
    "SUSPECT": NUMBERS[926],
    "OFFLINE": NUMBERS[942],
    "EMERGENCY": "The database is in emergency mode, for administrators alone. Repair or restore it.",
    "SINGLE_USER": NUMBERS[924],
    "RESTRICTED_USER": "Only the database's owners may connect. ALTER DATABASE … SET MULTI_USER.",
}
RUNS = "Check that SQL Server runs there, has TCP/IP enabled, and listens on that port; and that no firewall is in between."


def native_numbers(message: str) -> list[int]:
    """The server's error numbers in what the driver says, in order."""
    return [int(number) for number in _NUMBER.findall(message)]


def advice(numbers: Sequence[int], text: str) -> str:
    """What to do, "" where the driver does not say enough.

    :param numbers: the native error numbers of all messages; ``text``: all that the driver says.
    """
    for number in numbers:
        if number in NUMBERS:
            return NUMBERS[number]
    return next((hint for words, hint in WORDS if words in text), "")


def look(host: str, port: int | None, instance: str, timeout: float = _PATIENCE) -> tuple[str, str]:
    """Why a server does not answer, as this host sees it: what was found, and what to do.

    :param port: where it should listen; None: the browser service is asked for the port of ``instance``.
    """
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "the name %s cannot be resolved" % host, "Check the server's name, and that this host can resolve it."
    if port is None:
        return _look_for(host, instance, timeout)
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return "nothing listens on port %d" % port, RUNS
        return (
            "port %d does not answer" % port,
            "Check the address, that the host is up, and that a firewall lets port %d through." % port,
        )
    return (
        "",
        "Something listens on port %d, and does not answer as SQL Server: check the port, and that the server is not hung."
        % port,
    )


def _look_for(host: str, instance: str, timeout: float) -> tuple[str, str]:
    known = instances(host, timeout)
    if known is None:
        return (
            "the browser service of %s does not answer" % host,
            "Start the service SQL Server Browser there and let UDP port %d through the firewall, or give the instance's TCP "
            "port in the option port." % BROWSER_PORT,
        )
    found = {name.lower(): port for name, port in known.items()}
    if instance.lower() not in found:
        return (
            "%s has no instance %s" % (host, instance),
            "Correct the name; the browser service knows: %s." % (", ".join(sorted(known)) or "none"),
        )
    port = found[instance.lower()]
    if port is None:
        return (
            "the instance %s does not listen on TCP" % instance,
            "Enable TCP/IP for it in SQL Server Configuration Manager, and restart it.",
        )
    return look(host, port, "", timeout)


def instances(host: str, timeout: float = _PATIENCE, port: int = BROWSER_PORT) -> dict[str, int | None] | None:
    """The instances that the browser service knows, with their TCP ports; None where it does not answer."""
    with contextlib.suppress(OSError):
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as asked:
            asked.settimeout(timeout)
            asked.sendto(_ALL_INSTANCES, address)
            return _read_instances(asked.recv(65535))
    return None


def _read_instances(answer: bytes) -> dict[str, int | None]:
    """What [MC-SQLR] calls SVR_RESP: names and values between semicolons, an instance ending with two of them."""
    found: dict[str, int | None] = {}
    for one in answer[3:].decode("ascii", "replace").split(";;"):
        words = one.split(";")
        facts = {name.lower(): value for name, value in zip(words[::2], words[1::2])}
        if "instancename" in facts:
            port = facts.get("tcp", "")
            found[facts["instancename"]] = int(port) if port.isdigit() else None
    return found
