# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting to SQL Server: what the driver is told, and what is made of what it says.

The texts are those of Microsoft's ODBC driver, from its documentation, from reports of its users, and from runs of it. Where the
driver is there, it is run against what goes wrong on a network.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, _driver, mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import ConnectFailed
from ansible_collections.axops.retail.plugins.module_utils._engine.mssql import connect, probes, refusals

pyodbc = pytest.importorskip("pyodbc", reason="pyodbc is not installed")

D18 = "{ODBC Driver 18 for SQL Server}"
D17 = "{ODBC Driver 17 for SQL Server}"
FREETDS = "/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so"
TARGET = Target("mssql", host="hq01", database="Retail")


def string(driver: str = D18, **changes: Any) -> dict[str, str]:
    text = connect._string(replace(TARGET, **changes), driver)
    return dict(part.split("=", 1) for part in text.split(";"))


# ---- what the driver is told


def test_the_certificate_is_verified_unless_it_is_trusted_by_name() -> None:
    told = string()
    assert (told["Encrypt"], told["TrustServerCertificate"]) == ("yes", "no")
    assert string(trust_server_certificate=True)["TrustServerCertificate"] == "yes"
    assert string(hostname_in_certificate="hq.example.com")["HostNameInCertificate"] == "hq.example.com"
    assert "ServerCertificate" not in string(ca_file="/etc/ca.pem"), (
        "it would only count with strict, and is no authority"
    )


def test_strict_does_not_go_with_trust_or_with_an_old_driver() -> None:
    assert string(encrypt="strict")["Encrypt"] == "strict"
    with pytest.raises(RetailError, match=r"verified, whatever trust_server_certificate says"):
        string(encrypt="strict", trust_server_certificate=True)
    for driver in (D17, "/opt/microsoft/msodbcsql17/lib64/libmsodbcsql-17.10.so.6.1"):
        for changes in ({"encrypt": "strict"}, {"hostname_in_certificate": "hq"}):
            with pytest.raises(RetailError, match="Driver 18"):
                string(driver, **changes)
        assert string(driver, encrypt="optional")["Encrypt"] == "no"


def test_freetds_encrypts_and_checks_nothing() -> None:
    told = string(FREETDS, trust_server_certificate=True)
    assert (told["TDS_Version"], told["Encryption"]) == ("7.4", "require")
    assert string(FREETDS, encrypt="no")["Encryption"] == "off"
    for changes in (
        {},
        {"ca_file": "/ca.pem", "encrypt": "no"},
        {"encrypt": "strict", "trust_server_certificate": True},
    ):
        with pytest.raises(RetailError, match="FreeTDS cannot check"):
            string(FREETDS, **changes)
    with pytest.raises(RetailError, match="FreeTDS does not know ActiveDirectoryMsi"):
        string(FREETDS, trust_server_certificate=True, authentication="ActiveDirectoryMsi")
    assert "TDS_Version" not in string("/home/tds/lib/libmsodbcsql-18.so"), "a folder's name is no driver's"


def test_who_connects_is_said_once() -> None:
    assert string()["Trusted_Connection"] == "yes"
    assert "Trusted_Connection" not in string(user="sync", password="x")
    entra = string(authentication="ActiveDirectoryPassword", user="sync@example.com", password="x")
    assert (entra["Authentication"], entra["UID"]) == ("ActiveDirectoryPassword", "{sync@example.com}")
    managed = string(authentication="ActiveDirectoryMsi")
    assert managed["Authentication"] == "ActiveDirectoryMsi"
    assert not {"UID", "PWD", "Trusted_Connection"} & set(managed)
    assert string(authentication="ActiveDirectoryMsi", user="0f6c9a52")["UID"] == "{0f6c9a52}"
    assert "Trusted_Connection" not in string(options={"Authentication": "ActiveDirectoryMsi"})


@pytest.mark.parametrize(
    ("password", "told"),
    [("plain", "{plain}"), ("{text}", "{{text}}}"), ("}", "{}}}"), (" a=b'\"{ ", "{ a=b'\"{ }"), ("{}", "{{}}}")],
)
def test_a_password_has_the_braces_that_it_has(password: str, told: str) -> None:
    """Whatever is in it, it stands in braces of its own, and each closing one is doubled."""
    assert string(user="sync", password=password)["PWD"] == told
    assert string(user=password, password="x")["UID"] == told


@pytest.mark.skipif(not os.path.exists(FREETDS), reason="FreeTDS is not installed")
@pytest.mark.parametrize(
    "name", ["sync", "a}b", "x}", "a;b", "{", "{a", "{a;", " both ", "}}", "q'\"=", "%[]@,", "päß"]
)
def test_freetds_tells_the_server_the_name_as_it_is(name: str) -> None:
    """Asked of the driver itself: what stands in its login, of TDS 7.0, which begins without a word of the server's."""
    target = replace(TARGET, host="127.0.0.1", user=name, password=name, encrypt="no", database=name, login_timeout=5)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        text = connect._string(replace(target, port=listening.getsockname()[1]), FREETDS)
        heard: list[bytes] = []
        thread = threading.Thread(target=_hear, args=(listening, heard))
        thread.start()
        with contextlib.suppress(pyodbc.Error):
            pyodbc.connect(text.replace("TDS_Version=7.4", "TDS_Version=7.0"))
        thread.join()
    said = [_field(heard[0], number) for number in (1, 2, 8)]
    password = bytes(((byte ^ 0xA5) << 4 & 0xF0) | ((byte ^ 0xA5) >> 4) for byte in said[1])
    assert [said[0].decode("utf-16le"), password.decode("utf-16le"), said[2].decode("utf-16le")] == [name] * 3


def _hear(listening: socket.socket, heard: list[bytes]) -> None:
    """What a client says first; then it is hung up on."""
    client, _address = listening.accept()
    with client:
        client.settimeout(10)
        heard.append(client.recv(8192))


def _field(login: bytes, number: int) -> bytes:
    """A text in a login of TDS: its place and length in characters stand in a list of them."""
    start, length = (int.from_bytes(login[at : at + 2], "little") for at in (44 + 4 * number, 46 + 4 * number))
    return login[8 + start : 8 + start + 2 * length]


@pytest.mark.parametrize("name", ["{a}", "{}", "a};b"])
def test_what_freetds_cannot_be_told_is_refused_and_kept_secret(name: str) -> None:
    for changes in ({"user": "sync", "password": name}, {"user": name, "password": "x"}, {"database": name}):
        with pytest.raises(RetailError, match="cannot be given") as failure:
            connect._string(replace(TARGET, encrypt="no", **changes), FREETDS)
        assert name not in str(failure.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"authentication": "ActiveDirectoryPassword"},
        {"authentication": "ActiveDirectoryServicePrincipal", "user": "id"},
        {"authentication": "ActiveDirectoryIntegrated", "user": "sync", "password": "x"},
        {"keytab": "/etc/sync.keytab", "user": "sync", "password": "x"},
        {"options": {"authentication": "ActiveDirectoryPassword"}},
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RetailError, match=r"login_user|two ways"):
        string(**changes)


def test_a_keyword_that_is_given_comes_before_an_option() -> None:
    """The driver would take the first of the two, without a word."""
    told = connect._string(replace(TARGET, options={"encrypt": "no", "ConnectRetryCount": "3"}), D18)
    assert told.lower().count("encrypt=") == 1
    assert told.endswith("encrypt=no;ConnectRetryCount=3")


# ---- which driver


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """No driver at all; ``registered`` names some, and files can be made in ``wheel`` and ``freetds``."""
    found: dict[str, Any] = {
        "registered": [],
        "wheel": tmp_path / "libmsodbcsql-18.6.so",
        "freetds": tmp_path / "libtdsodbc.so",
    }
    monkeypatch.setattr(pyodbc, "drivers", lambda: found["registered"])
    monkeypatch.setattr(connect, "_FILES", (str(tmp_path / "system" / "libmsodbcsql-18*.so"),))
    monkeypatch.setattr(connect, "_wheel_files", lambda: (str(found["wheel"]),))
    monkeypatch.setattr(connect, "_FREETDS_FILES", (str(found["freetds"]),))
    return found


def test_the_best_driver_that_is_there(drivers: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RetailError, match="pip install mssql-python-odbc"):
        connect._driver(TARGET)
    drivers["freetds"].touch()
    assert connect._driver(TARGET) == str(drivers["freetds"])
    drivers["wheel"].touch()
    assert connect._driver(TARGET) == str(drivers["wheel"])
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "libmsodbcsql-18.5.so").touch()
    assert connect._driver(TARGET) == str(tmp_path / "system" / "libmsodbcsql-18.5.so")
    drivers["registered"] = ["FreeTDS", "ODBC Driver 17 for SQL Server"]
    assert connect._driver(TARGET) == D17
    assert connect._driver(replace(TARGET, driver="/my/driver.so")) == "/my/driver.so"


def test_the_wheel_that_is_installed_is_found() -> None:
    patterns = connect._wheel_files()
    if not patterns:
        pytest.skip("the package mssql-python-odbc is not installed: its licence is Microsoft's")
    assert _driver.find_driver("", (), patterns, "").endswith((".so.2.1", ".so", ".dylib")) or patterns


# ---- what the environment says while a connection is opened


def test_the_environment_is_the_connections_own_and_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "before")
    monkeypatch.delenv("KRB5CCNAME", raising=False)
    with (
        _driver.environment({"SSL_CERT_FILE": "a", **_driver.kerberos("/k")}),
        _driver.environment({"SSL_CERT_FILE": "a", **_driver.kerberos("/k")}),
    ):
        assert os.environ["SSL_CERT_FILE"] == "a"
        assert os.environ["KRB5_CLIENT_KTNAME"] == "FILE:/k"
        assert os.environ["KRB5CCNAME"].startswith("MEMORY:")
    assert os.environ["SSL_CERT_FILE"] == "before"
    assert "KRB5CCNAME" not in os.environ
    assert _driver.kerberos("") == {}


def test_who_wants_another_environment_waits() -> None:
    seen: list[str] = []

    def other() -> None:
        with _driver.environment({"SSL_CERT_FILE": "b"}):
            seen.append(os.environ["SSL_CERT_FILE"])

    with _driver.environment({"SSL_CERT_FILE": "a"}):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)
        assert seen == [] and os.environ["SSL_CERT_FILE"] == "a"
    thread.join(10)
    assert seen == ["b"]


@pytest.mark.parametrize("option", ["ca_file", "keytab"])
def test_a_file_that_cannot_be_read_is_named(option: str) -> None:
    with pytest.raises(ConnectFailed, match="/nowhere cannot be read") as refusal:
        connect._connect(pyodbc, replace(TARGET, **{option: "/nowhere"}), D18)
    assert option in refusal.value.advice


# ---- what is made of what the driver says

_VERIFY = "SSL Provider: [error:0A000086:SSL routines::certificate verify failed:%s]"
_START = "[%s] [Microsoft][ODBC Driver 18 for SQL Server]"


def said(state: str, text: str, number: int, server: bool = True) -> Exception:
    start = _START % state + ("[SQL Server]" if server else "")
    return pyodbc.OperationalError(state, "%s%s (%d) (SQLDriverConnect)" % (start, text, number))


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (said("28000", "Login failed for user 'sync'.", 18456), "Check login_user and login_password"),
        (
            said("28000", "Login failed for user 'sync'. Reason: The account is disabled.", 18470),
            "The login is disabled. Enable it",
        ),
        (
            said("28000", "Login failed for user 'sync' because the account is currently locked out.", 18486),
            "The login is locked out",
        ),
        (
            said("28000", "Login failed for user 'sync'.  Reason: The password of the account has expired.", 18487),
            "password has expired",
        ),
        (
            said("28000", "Login failed for user 'sync'.  Reason: The password of the account must be changed.", 18488),
            "must be changed",
        ),
        (
            said("28000", "Login failed. The login is from an untrusted domain and cannot be used with Integrated ...", 18452),
            "domain that the server does not trust",
        ),
        (
            said("28000", "Login failed for user 'sync'. Reason: Server is in single user mode.", 18461),
            "single-user mode",
        ),
        (said("42000", "Database 'Retail' is being recovered. Waiting until recovery is finished.", 922), "being recovered"),
        (
            said("42000", "Database 'Retail' is already open and can only have one user at a time.", 924),
            "SET MULTI_USER",
        ),
        (said("42000", "Database 'Retail' cannot be opened. It is in the middle of a restore.", 927), "RESTORE DATABASE"),
        (said("42000", "Database 'Retail' cannot be opened because it is offline.", 942), "SET ONLINE"),
        (said("42000", "Database 'Retail' cannot be opened. It has been marked SUSPECT by recovery.", 926), "suspect"),
        (
            said("08004", 'The server principal "sync" is not able to access the database "Retail" under the current ...', 916),
            "Make a user for this login",
        ),
        (said("42000", "Cannot open user default database. Login failed.", 4064), "DEFAULT_DATABASE"),
        (
            said("HY000", "Database 'Retail' on server 'x' is not currently available.  Please retry the connection ...", 40613),
            "not available at this moment",
        ),
        (
            said("42000", "Cannot open server 'x' requested by the login. Client with IP address '1.2.3.4' is not ...", 40615),
            "firewall",
        ),
        (said("08001", "TCP Provider: Error code 0x2746", 10054, server=False), "SQL Server 2022"),
        (
            said("08001", _VERIFY % "self-signed certificate", -1, server=False),
            "ca_file",
        ),
        (
            said("08001", _VERIFY % "unable to get local issuer certificate", -1, server=False),
            "ca_file",
        ),
        (
            said("08001", _VERIFY % "subject name does not match host name", -1, server=False),
            "hostname_in_certificate",
        ),
        (
            said("08001", _VERIFY % "certificate has expired", -1, server=False),
            "Renew",
        ),
        (said("08001", "SSL Provider: [error:0A000102:SSL routines::unsupported protocol]", -1, server=False), "TLS 1.2"),
        (said("08001", "Encryption not supported on SQL Server.", 20, server=False), "Switch TLS on"),
        (
            said("08001", "Client unable to establish connection because ... during handshakes before login.", 26, False),
            "another protocol",
        ),
        (
            said("HY000", "SSPI Provider: No credentials were supplied, or ... No Kerberos credentials available", 458752, False),
            "keytab",
        ),
        (
            said("HY000", "SSPI Provider: Server not found in Kerberos database", 851968, server=False),
            "setspn",
        ),
        (said("FA001", "Cannot use Authentication option with Integrated Security option.", 0, server=False), "Trusted_Connection"),
        (
            pyodbc.Error("01000", "[01000] [unixODBC][Driver Manager]Can't open lib '/nope.so' : file not found (0) (SQLDriverConnect)"),
            "option driver",
        ),
    ],
)  # fmt: skip
def test_each_error_says_what_to_do(error: Exception, advice: str) -> None:
    found = connect._explained(pyodbc, TARGET, D18, error)
    assert advice in found.advice
    assert str(found).startswith("Cannot connect to SQL Server at hq01/Retail as (this account): ")


@pytest.mark.parametrize(("state", "access", "advice"), [
    ("OFFLINE", "MULTI_USER", "SET ONLINE"),
    ("RESTORING", "MULTI_USER", "WITH RECOVERY"),
    ("RECOVERY_PENDING", "MULTI_USER", "error log"),
    ("ONLINE", "SINGLE_USER", "SET MULTI_USER"),
    ("ONLINE", "MULTI_USER", "has a user in it"),
    (None, None, "create it first"),
])  # fmt: skip
def test_a_database_that_cannot_be_opened_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, state: str, access: str, advice: str
) -> None:
    """All that the server says to the login is 4060, whatever is wrong with the database."""

    class Answer:
        def execute(self, _sql: str, name: str) -> Answer:
            assert name == "Retail"
            return self

        def fetchone(self) -> tuple[str, str] | None:
            return (state, access) if state else None

        def close(self) -> None:
            pass

    monkeypatch.setattr(
        connect, "_connect", lambda _odbc, target, _driver: Answer() if target.database == "master" else None
    )
    error = said("42000", 'Cannot open database "Retail" requested by the login. The login failed.', 4060)
    assert advice in connect._explained(pyodbc, TARGET, D18, error).advice


@pytest.mark.parametrize("number", [922, 924, 927, 942, 40613])
def test_a_database_that_goes_away_is_a_lost_connection(number: int) -> None:
    text = "[42000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Gone. (%d) (SQLExecDirectW)" % number
    assert mssql.errors.classify("42000", text) == "lost"


# ---- what this host sees of the network


def listener(serve: Callable[[socket.socket], None]) -> int:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)

    def run() -> None:
        while True:
            connection, _address = server.accept()
            with contextlib.suppress(OSError):
                serve(connection)

    threading.Thread(target=run, daemon=True).start()
    return server.getsockname()[1]


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def browser(answer: bytes) -> int:
    """A browser service that says this."""
    service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind(("127.0.0.1", 0))

    def run() -> None:
        asked, address = service.recvfrom(10)
        assert asked == b"\x03"
        service.sendto(answer, address)

    threading.Thread(target=run, daemon=True).start()
    return service.getsockname()[1]


_INSTANCES = (
    b"ServerName;TILL01;InstanceName;SQLEXPRESS;IsClustered;No;Version;15.0.2000.5;tcp;50123;;"
    b"ServerName;TILL01;InstanceName;OLD;IsClustered;No;Version;13.0.1601.5;np;\\\\TILL01\\pipe\\x;;"
)
ANSWER = b"\x05" + len(_INSTANCES).to_bytes(2, "little") + _INSTANCES


def test_the_browser_service_is_asked_for_instances() -> None:
    found = refusals.instances("127.0.0.1", 5, browser(ANSWER))
    assert found == {"SQLEXPRESS": 50123, "OLD": None}
    assert refusals.instances("127.0.0.1", 0.2, closed_port()) is None


@pytest.mark.parametrize(("instance", "found", "advice"), [
    ("SQLEXPRESS", "port 50123|nothing listens on port 50123", "TCP/IP enabled|firewall"),
    ("sqlexpres", "127.0.0.1 has no instance sqlexpres", "OLD, SQLEXPRESS"),
    ("OLD", "does not listen on TCP", "Enable TCP/IP"),
])  # fmt: skip
def test_an_instance_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, instance: str, found: str, advice: str
) -> None:
    known = refusals._read_instances(ANSWER)
    monkeypatch.setattr(refusals, "instances", lambda _host, _timeout: known)
    what, todo = refusals.look("127.0.0.1", None, instance, 2)
    assert any(words in what for words in found.split("|"))
    assert any(words in todo for words in advice.split("|"))


def test_a_browser_service_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "BROWSER_PORT", closed_port())
    monkeypatch.setattr(refusals, "instances", lambda _host, _timeout: None)
    what, todo = refusals.look("127.0.0.1", None, "SQLEXPRESS", 0.3)
    assert "browser service of 127.0.0.1 does not answer" in what
    assert "SQL Server Browser" in todo and "option port" in todo


# ---- the real driver


@pytest.fixture(scope="module")
def driver() -> Iterator[str]:
    """Microsoft's driver: from RETAIL_TEST_MSSQL, or one that is installed."""
    named = dict(part.split("=", 1) for part in os.environ.get("RETAIL_TEST_MSSQL", "").split(";") if "=" in part)
    try:
        found = named.get("Driver") or connect._driver(TARGET)
    except RetailError as error:
        pytest.skip("no driver for SQL Server is installed: %s" % error)
    if connect._is_freetds(found):
        pytest.skip("the driver that is installed is FreeTDS, not Microsoft's")
    yield found


def refusal(driver: str, port: int | None, **changes: Any) -> ConnectFailed:
    target = Target("mssql", host="127.0.0.1", port=port, user="sync", password="x", driver=driver, login_timeout=2)
    with pytest.raises(ConnectFailed) as caught:
        _engine.connect(replace(target, **changes))
    return caught.value


def not_supported(connection: socket.socket) -> None:
    """A server that refuses TLS: its answer to PRELOGIN says ENCRYPT_NOT_SUP."""
    connection.recv(4096)
    options = b"\x00\x00\x0b\x00\x06" + b"\x01\x00\x11\x00\x01" + b"\xff"
    body = options + b"\x0f\x00\x07\xd0\x00\x00" + b"\x02"
    connection.sendall(b"\x04\x01" + (len(body) + 8).to_bytes(2, "big") + b"\x00\x00\x01\x00" + body)
    time.sleep(5)


def test_really_a_closed_port(driver: str) -> None:
    port = closed_port()
    error = refusal(driver, port)
    assert "nothing listens on port %d" % port in error.message
    assert "firewall" in error.advice


def test_really_a_name_that_nobody_knows(driver: str) -> None:
    error = refusal(driver, 1433, host="no-such-host.invalid")
    assert "the name no-such-host.invalid cannot be resolved" in error.message
    assert "server's name" in error.advice


def test_really_no_browser_service(driver: str) -> None:
    error = refusal(driver, None, instance="NOPE")
    assert "browser service" in error.message and "UDP port 1434" in error.advice


def test_really_a_server_that_says_nothing(driver: str) -> None:
    error = refusal(driver, listener(lambda _connection: time.sleep(20)))
    assert "does not answer as SQL Server" in error.advice


def test_really_a_server_without_tls(driver: str) -> None:
    error = refusal(driver, listener(not_supported))
    assert "Encryption not supported" in error.message and "Switch TLS on" in error.advice


def test_really_another_kind_of_server(driver: str, pg_server: Any) -> None:
    error = refusal(driver, pg_server.facts("postgres")["port"])
    assert "another protocol" in error.advice


def test_really_no_ticket(driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", "FILE:%s" % (tmp_path / "none"))
    named = os.environ.get("RETAIL_TEST_MSSQL", "")
    if not named:
        pytest.skip("RETAIL_TEST_MSSQL names no SQL Server, and the driver asks for a ticket once it has reached one")
    parts = dict(part.split("=", 1) for part in named.strip(";").split(";"))
    host, _comma, port = parts["Server"].removeprefix("tcp:").partition(",")
    error = refusal(driver, int(port), host=host, user="", password="", trust_server_certificate=True)
    assert "keytab" in error.advice


def test_really_the_authority_of_a_certificate(driver: str) -> None:
    """RETAIL_TEST_MSSQL_CA names the server's certificate or its authority, RETAIL_TEST_MSSQL_NAME the name in it."""
    named, authority = os.environ.get("RETAIL_TEST_MSSQL", ""), os.environ.get("RETAIL_TEST_MSSQL_CA", "")
    if not named or not authority:
        pytest.skip("RETAIL_TEST_MSSQL_CA names no certificate of the server's")
    parts = dict(part.split("=", 1) for part in named.strip(";").split(";"))
    host, _comma, port = parts["Server"].removeprefix("tcp:").partition(",")
    before = os.environ.get("SSL_CERT_FILE")
    target = Target(
        "mssql", host=host, port=int(port), user=parts["UID"], password=parts["PWD"], driver=driver, ca_file=authority,
        hostname_in_certificate=os.environ.get("RETAIL_TEST_MSSQL_NAME", ""),
    )  # fmt: skip
    with _engine.connect(target) as db:
        assert db.value("SELECT 1") == 1
    with pytest.raises(ConnectFailed) as caught:
        _engine.connect(replace(target, ca_file=""))
    assert "ca_file" in caught.value.advice
    assert os.environ.get("SSL_CERT_FILE") == before


def test_really_freetds() -> None:
    """It connects, encrypted, and says as clearly what is wrong."""
    named = os.environ.get("RETAIL_TEST_MSSQL", "")
    try:
        freetds = _driver.find_driver("", connect._FREETDS, connect._FREETDS_FILES, "")
    except RetailError:
        pytest.skip("FreeTDS is not installed")
    closed = closed_port()
    error = refusal(freetds, closed, trust_server_certificate=True)
    assert "nothing listens on port %d" % closed in error.message
    assert "firewall" in error.advice
    if not named:
        pytest.skip("RETAIL_TEST_MSSQL names no SQL Server")
    parts = dict(part.split("=", 1) for part in named.strip(";").split(";"))
    host, _comma, port = parts["Server"].removeprefix("tcp:").partition(",")
    target = Target(
        "mssql", host=host, port=int(port), user=parts["UID"], password=parts["PWD"], driver=freetds,
        trust_server_certificate=True,
    )  # fmt: skip
    with _engine.connect(target) as db:
        assert db.value("SELECT 1") == 1
        assert db.value("SELECT name FROM sys.databases WHERE name = ?", "master") == "master"
        encrypted = "SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID"
        if probes.works(db, encrypted):
            assert db.value(encrypted) == "TRUE"
