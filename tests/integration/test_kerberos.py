# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option keytab against a real KDC, which is made for the test: who logs in by it, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pgserver
import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import ConnectFailed
from ansible_collections.axops.retail.plugins.module_utils._engine.mssql import connect as mssql_connect

REALM = "RETAIL.TEST"
#: Where Debian has them.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local")

CLIENT = """[libdefaults]
default_realm = %(realm)s
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
[realms]
%(realm)s = {
kdc = 127.0.0.1:%(port)d
}
"""
SERVER = """[realms]
%(realm)s = {
database_name = %(folder)s/principal
key_stash_file = %(folder)s/stash
kdc_listen = 127.0.0.1:%(port)d
kdc_tcp_listen = 127.0.0.1:%(port)d
}
[logging]
kdc = FILE:%(folder)s/kdc.log
"""


@dataclass
class Kdc:
    """A key distribution centre of one realm."""

    folder: Path
    programs: dict[str, str]

    def make(self, port: int) -> None:
        facts = {"realm": REALM, "port": port, "folder": self.folder}
        (self.folder / "krb5.conf").write_text(CLIENT % facts)
        (self.folder / "kdc.conf").write_text(SERVER % facts)
        self.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "of the test alone")

    @property
    def environment(self) -> dict[str, str]:
        files = {"KRB5_CONFIG": "krb5.conf", "KRB5_KDC_PROFILE": "kdc.conf"}
        return {**os.environ, **{name: str(self.folder / file) for name, file in files.items()}}

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs[program], *arguments], env=self.environment, check=True, capture_output=True, timeout=60
        )

    def keytab(self, name: str, *principals: str) -> Path:
        """A file with the keys of new principals."""
        path = self.folder / (name + ".keytab")
        for principal in principals:
            self.run("kadmin.local", "-r", REALM, "-q", f"addprinc -randkey {principal}")
            self.run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {path} {principal}")
        path.chmod(0o644)  # the database server is another account
        return path

    def issued(self, principal: str, service: str) -> bool:
        """Whether it has issued a ticket for the service."""
        said = (self.folder / "kdc.log").read_text(encoding="utf-8", errors="replace")
        issued = [line for line in said.splitlines() if ": ISSUE:" in line]
        return any(f"{principal}@{REALM} for {service}@{REALM}" in line for line in issued)


@pytest.fixture(scope="module")
def kdc() -> Iterator[Kdc]:
    programs = {name: shutil.which(name, path=PATH) or "" for name in PROGRAMS}
    missing = [name for name, path in programs.items() if not path]
    if missing:
        pytest.skip("no KDC is installed (Debian's krb5-kdc and krb5-admin-server): %s" % ", ".join(missing))
    folder = Path(tempfile.mkdtemp(prefix="axops-kdc-", dir=pgserver.DISK))
    folder.chmod(0o755)  # the database server is another account
    port = pgserver.free_port()
    one = Kdc(folder, programs)
    one.make(port)
    process = subprocess.Popen([programs["krb5kdc"], "-n"], env=one.environment)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield one
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


@pytest.fixture
def client(kdc: Kdc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kdc:
    """This process knows the realm, and has no ticket."""
    monkeypatch.setenv("KRB5_CONFIG", str(kdc.folder / "krb5.conf"))
    monkeypatch.setenv("KRB5CCNAME", "FILE:%s" % (tmp_path / "none"))
    monkeypatch.delenv("KRB5_CLIENT_KTNAME", raising=False)
    return kdc


@pytest.fixture(scope="module")
def server(kdc: Kdc) -> Iterator[Target]:
    """A PostgreSQL server that takes nothing but Kerberos tickets, but for its administrator."""
    keys = kdc.keytab("postgres", "postgres/localhost")
    with pytest.MonkeyPatch.context() as patch, pgserver.throwaway("k") as one:
        one.stop()
        with open(one.data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write("krb_server_keyfile = '%s'\n" % keys)
        rules = one.data / "pg_hba.conf"
        rules.write_text("host all retail_sync all gss include_realm=0\n" + rules.read_text())
        patch.setenv("KRB5_CONFIG", str(kdc.folder / "krb5.conf"))
        one.start()
        admin = one.connect(autocommit=True)
        admin.execute("CREATE ROLE retail_sync LOGIN")
        admin.close()
        yield Target(
            "postgresql", host="localhost", port=one.port, user="retail_sync", encrypt="no", database="postgres"
        )


def test_a_keytab_logs_in_and_its_ticket_stays_in_memory(client: Kdc, server: Target, tmp_path: Path) -> None:
    keytab = client.keytab("retail_sync", "retail_sync")
    before = dict(os.environ)
    with pytest.raises(ConnectFailed):
        _engine.connect(server)
    with _engine.connect(Target(**{**vars(server), "keytab": str(keytab)})) as db:
        assert db.value("SELECT session_user") == "retail_sync"
        assert db.value("SELECT gss_authenticated FROM pg_stat_gssapi WHERE pid = pg_backend_pid()") in (True, "1", 1)
    assert client.issued("retail_sync", "postgres/localhost")
    assert dict(os.environ) == before
    assert not (tmp_path / "none").exists(), "no file with tickets"


def test_somebody_elses_keytab_does_not(client: Kdc, server: Target) -> None:
    keytab = client.keytab("other", "other")
    with pytest.raises(ConnectFailed):
        _engine.connect(Target(**{**vars(server), "keytab": str(keytab)}))
    assert client.issued("other", "postgres/localhost"), "the ticket was had, and the server refused it"


def test_microsofts_driver_gets_its_ticket_by_the_keytab(client: Kdc) -> None:
    """There is no SQL Server in the realm: whether the driver asks the KDC for the right ticket is seen at the KDC, and that it hands
    the ticket on, in what it sends."""
    named = dict(part.split("=", 1) for part in os.environ.get("RETAIL_TEST_MSSQL", "").split(";") if "=" in part)
    try:
        driver = named.get("Driver") or mssql_connect._driver(Target("mssql"))
    except RetailError as error:
        pytest.skip("no driver for SQL Server is installed: %s" % error)
    if mssql_connect._is_freetds(driver):
        pytest.skip("the driver that is installed is FreeTDS, not Microsoft's")
    sent: list[bytes] = []
    port = listening(sent)
    # the driver calls this host by its own name
    names = {socket.gethostname(), socket.getfqdn(), "localhost"}
    services = ["MSSQLSvc/%s:%d" % (name, port) for name in sorted(names)]
    client.keytab("mssql", *services)
    keytab = client.keytab("till", "till")
    target = Target(
        "mssql", host="localhost", port=port, keytab=str(keytab), driver=driver, encrypt="optional",
        trust_server_certificate=True, login_timeout=5,
    )  # fmt: skip
    with pytest.raises(ConnectFailed):
        _engine.connect(target)
    assert any(client.issued("till", service) for service in services)
    assert any(KERBEROS in login for login in sent), "the ticket was handed on"


#: The OID of Kerberos 5 as it stands in a SPNEGO token: 1.2.840.113554.1.2.2.
KERBEROS = bytes.fromhex("06092a864886f712010202")


def listening(sent: list[bytes]) -> int:
    """A server that answers PRELOGIN, does without TLS, and keeps what is sent as a login."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, contextlib.suppress(OSError):
            while True:
                connection, _address = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    connection.recv(4096)
                    connection.sendall(prelogin())
                    sent.append(connection.recv(65536))

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def prelogin() -> bytes:
    """The answer of SQL Server 2019 without a certificate: ENCRYPT_NOT_SUP."""
    options = b"\x00\x00\x0b\x00\x06" + b"\x01\x00\x11\x00\x01" + b"\xff"
    body = options + b"\x0f\x00\x07\xd0\x00\x00" + b"\x02"
    return b"\x04\x01" + (len(body) + 8).to_bytes(2, "big") + b"\x00\x00\x01\x00" + body
