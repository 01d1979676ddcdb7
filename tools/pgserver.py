# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private PostgreSQL servers on loopback, for the tests and the demo.

A server lives in one directory: ``data`` (the cluster), ``log`` and ``server.json`` (port, superuser and password,
mode 0600). It is PostgreSQL 14 or later as the distribution installs it, listens on 127.0.0.1 only and outlives the
Python process that started it. PostgreSQL refuses to run as root, so for root everything runs as user ``postgres``.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ADMIN = "axops_admin"
OS_USER = "postgres"
OLDEST_VERSION = 14
PROGRAMS = ("initdb", "pg_ctl", "postgres")
#: Where throwaway servers may live, see throwaway().
MEMORY, DISK = "/dev/shm", "/var/tmp"  # noqa: S108 -- mkdtemp makes a fresh folder in it
ROOM = 6 << 30
THROWAWAY_PREFIX = "axops-test-"
START_ATTEMPTS = 5

_handed_out: set[int] = set()


class PgServerError(Exception):
    """A PostgreSQL server could not be found, created, started or stopped; the message says what to do."""


def find_binaries() -> Path:
    """Return the folder of the newest installed PostgreSQL of version 14 or later.

    Raises PgServerError when there is none.
    """
    folders = [Path(name) for name in glob.glob("/usr/lib/postgresql/*/bin")]
    folders += [Path(name) for name in os.environ.get("PATH", "").split(os.pathsep) if name]
    complete = [folder for folder in folders if all(os.access(folder / program, os.X_OK) for program in PROGRAMS)]
    version, folder = max(
        ((_version(folder), folder) for folder in complete), key=lambda found: found[0], default=(0, "")
    )
    if version < OLDEST_VERSION:
        raise PgServerError(
            f"PostgreSQL {OLDEST_VERSION} or later is not installed (Debian, Ubuntu: apt install postgresql)"
        )
    return Path(folder)


def _version(folder: Path) -> int:
    said = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)(\.\d+|\w+)", said)
    return int(match.group(1)) if match else 0


def find_odbc_driver() -> str:
    """Return the path of psqlodbc's Unicode driver. Raises PgServerError when it is not installed."""
    found = sorted(glob.glob("/usr/lib/*/odbc/psqlodbcw.so") + glob.glob("/usr/lib*/psqlodbcw.so"))
    if not found:
        raise PgServerError("the ODBC driver psqlodbc is not installed (Debian, Ubuntu: apt install odbc-postgresql)")
    return found[0]


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on and that this process has not handed out before.

    Never one of the kernel's ephemeral ports: while a server is stopped, somebody's outgoing connection could sit on
    its port, and a client that keeps knocking at a dead ephemeral port on loopback will one day connect to itself.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    candidates = list(range(15000, max(ephemeral, 16000)))
    random.SystemRandom().shuffle(candidates)
    for port in candidates:
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port
    raise PgServerError("no free TCP port on 127.0.0.1")


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


class PgServer:
    """One PostgreSQL server in a directory of its own.

    directory: where it lives; user postgres must be able to reach it, so not in a home directory (/var/tmp/… is fine).
    port: TCP port; None takes the one that the server already has, else a free one.
    name: shown in the process list (cluster_name).
    fsync: False gives up safety from a crash of the machine for speed, which suits tests; kill() loses nothing either
        way.
    """

    def __init__(
        self, directory: str | os.PathLike[str], port: int | None = None, name: str = "axops", fsync: bool = True
    ):
        self.directory = Path(directory).absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "log" / "postgresql.log"
        self.record = self.directory / "server.json"
        self.name = name
        self.fsync = fsync
        known = json.loads(self.record.read_text(encoding="utf-8")) if self.record.exists() else {}
        self._port_is_ours_to_choose = port is None and "port" not in known
        self.port: int = port or known.get("port") or free_port()
        self.password: str = known.get("password") or secrets.token_urlsafe(24)
        self.binaries = find_binaries()

    # ---- life cycle

    def create(self) -> PgServer:
        """Make the cluster, unless it is there already, and write its settings. Returns self."""
        if not self.exists:
            self._make_directories()
            self._initdb()
        self._save()
        return self

    def start(self) -> PgServer:
        """Start the server and wait until it takes connections; nothing happens when it runs. Returns self.

        Raises PgServerError with the end of the server's log when it does not come up.
        """
        for attempt in range(START_ATTEMPTS):
            if self.is_running:
                break
            self._forget_dead_postmaster()
            started = self._run("pg_ctl", "start", "-w", "-t", "60", "-D", self.data, "-l", self.log, check=False)
            if started.returncode == 0:
                break
            if attempt + 1 == START_ATTEMPTS or not self._lost_the_port():
                raise PgServerError(f"PostgreSQL in {self.directory} did not start:\n{self.log_tail()}")
            self.port = free_port()
            self._save()
        self._port_is_ours_to_choose = False
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop the server with pg_ctl's mode smart, fast or immediate and wait; nothing happens when it is down."""
        if self.is_running:
            self._run("pg_ctl", "stop", "-w", "-t", "60", "-D", self.data, "-m", mode)

    def kill(self) -> None:
        """End the server as a power cut does: SIGKILL to the postmaster, then to the processes it leaves behind."""
        postmaster = self.pid
        if postmaster is None:
            return
        family = [postmaster, *_children(postmaster)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _wait_until(lambda: not any(_alive(pid) for pid in family), 10, f"the processes of {self.directory} to end")

    def destroy(self) -> None:
        """Stop the server and delete its directory. Refuses a directory that is not one of ours."""
        if not self.directory.exists():
            return
        if not self.exists and not self.record.exists() and any(self.directory.iterdir()):
            raise PgServerError(f"{self.directory} holds no server of this kind; it is left alone")
        self.stop_whatever_it_takes()
        # What says that it is ours goes last: whoever is killed here leaves what can still be removed.
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.directory)

    def stop_whatever_it_takes(self) -> None:
        """Stop the server as a crash would, if need be."""
        try:
            self.stop("immediate")
        except PgServerError:
            self.kill()

    # ---- facts

    @property
    def exists(self) -> bool:
        """Whether the cluster has been made."""
        return (self.data / "PG_VERSION").exists()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None when it does not run."""
        pid = self._noted_pid()
        return pid if pid is not None and _alive(pid) and _works_in(pid, self.data) else None

    @property
    def is_running(self) -> bool:
        """Whether the postmaster runs."""
        return self.pid is not None

    def facts(self, database: str = "postgres") -> dict[str, Any]:
        """Return what a client needs: host, port, user, password, database."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": ADMIN,
            "password": self.password,
            "database": database,
        }

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the server's log."""
        if not self.log.exists():
            return "(it wrote no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    # ---- databases

    def connect(self, database: str = "postgres", autocommit: bool = False) -> Any:
        """Return a pyodbc connection of the superuser."""
        return connect(self.facts(database), autocommit)

    def create_database(self, database: str) -> dict[str, Any]:
        """Create a database and return the facts to connect to it."""
        self._as_admin(f"CREATE DATABASE {_quoted(database)}")
        return self.facts(database)

    def drop_database(self, database: str) -> None:
        """Drop a database if it exists, whoever is connected to it."""
        self._as_admin(f"DROP DATABASE IF EXISTS {_quoted(database)} WITH (FORCE)")

    def _as_admin(self, statement: str) -> None:
        connection = self.connect(autocommit=True)
        try:
            connection.execute(statement)
        finally:
            connection.close()

    # ---- making it

    def _make_directories(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        # mkdtemp makes 0700: the OS user that runs PostgreSQL must pass through, and needs to read nothing.
        self.directory.chmod(0o711)
        for folder in (self.data, self.log.parent):
            folder.mkdir(exist_ok=True)
            self._give_away(folder, 0o700)
        if _is_root() and subprocess.run(self._command("test", "-x", self.data), check=False).returncode != 0:
            raise PgServerError(f"user {OS_USER} cannot reach {self.directory}; choose a directory such as /var/tmp/…")

    def _initdb(self) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.log.parent, prefix="pw-", encoding="utf-8") as handed_over:
            handed_over.write(self.password)
            handed_over.flush()
            self._give_away(Path(handed_over.name), 0o600)
            options = ["-D", self.data, "-U", ADMIN, f"--pwfile={handed_over.name}", "-A", "scram-sha-256"]
            options += ["-E", "UTF8", f"--locale={_utf8_locale()}"]
            self._run("initdb", *options, *([] if self.fsync else ["--no-sync"]))
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write("\ninclude 'axops.conf'\n")

    def _save(self) -> None:
        """Write what survives us: the record for later processes, and the settings for the server."""
        record = {"name": self.name, "port": self.port, "user": ADMIN, "password": self.password}
        descriptor = os.open(self.record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(record, stream, indent=2)
        settings = self.data / "axops.conf"
        lines = (f"{name} = '{value}'" for name, value in self._settings().items())
        settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._give_away(settings, 0o600)

    def _settings(self) -> dict[str, Any]:
        crash_safe = "on" if self.fsync else "off"
        return {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 60,
            "shared_buffers": "48MB",
            "max_wal_size": "512MB",
            "cluster_name": re.sub(r"[^A-Za-z0-9_.-]", "_", self.name),
            "fsync": crash_safe,
            "full_page_writes": crash_safe,
            "timezone": "UTC",
            "jit": "off",
            # A failing CREATE ROLE … PASSWORD must not end up in the log.
            "log_min_error_statement": "panic",
            "log_line_prefix": "%m [%p] %q%u@%d %a ",
        }

    # ---- processes

    def _command(self, program: Any, *arguments: Any) -> list[str]:
        prefix = ["runuser", "-u", OS_USER, "--"] if _is_root() else []
        return prefix + [str(part) for part in (program, *arguments)]

    def _run(self, program: str, *arguments: Any, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
        done = subprocess.run(
            self._command(self.binaries / program, *arguments),
            cwd=self.directory,  # the caller's may be closed to user postgres
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise PgServerError(f"{program} failed in {self.directory}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def _give_away(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if _is_root():
            owner = _os_user()
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def _noted_pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self.data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
        return None

    def _forget_dead_postmaster(self) -> None:
        """Remove the pid file of a postmaster that was killed, where PostgreSQL would take it for alive.

        That happens where nothing reaps orphans (it stays as a zombie), and where its number went to another process.
        """
        pid = self._noted_pid()
        if pid is not None and self.pid is None and process_state(pid) is not None:
            (self.data / "postmaster.pid").unlink()

    def _lost_the_port(self) -> bool:
        return self._port_is_ours_to_choose and not _can_bind(self.port)


def connect(facts: dict[str, Any], autocommit: bool = False) -> Any:
    """Return a pyodbc connection for facts {host, port, user, password, database}."""
    import pyodbc  # noqa: PLC0415 -- servers can be managed before pyodbc is installed

    pyodbc.pooling = False  # a pool would hand out the connection to a server that has stopped since
    password = facts["password"].replace("}", "}}")  # psqlodbc takes braces around Driver and PWD only
    parts = {
        "Driver": f"{{{find_odbc_driver()}}}",
        "Server": facts["host"],
        "Port": facts["port"],
        "Database": facts["database"],
        "UID": facts["user"],
        "PWD": f"{{{password}}}",
    }
    text = ";".join(f"{key}={value}" for key, value in parts.items())
    return pyodbc.connect(text, autocommit=autocommit, timeout=10)


@contextlib.contextmanager
def throwaway(name: str = "test", home: str = "") -> Iterator[PgServer]:
    """Yield a started server without crash safety, and remove every trace of it afterwards.

    :param home: the folder for its own; by default in memory, where there is plenty: a database begins with a thousand files.

    A process that is killed cannot clean up; so each home carries a lock that dies with its owner, and whoever makes
    the next throwaway server removes the homes whose owner is gone.
    """
    sweep_throwaways()
    folder = Path(tempfile.mkdtemp(prefix=f"{THROWAWAY_PREFIX}{name}-", dir=home or _throwaway_home()))
    folder.chmod(0o711)
    # Locked before it gets the name that a sweep looks for.
    lock = _lock(folder / "owner.new")
    os.rename(folder / "owner.new", folder / "owner.lock")
    server = PgServer(folder / "pg", name=name, fsync=False)
    try:
        yield server.create().start()
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _throwaway_home() -> str:
    with contextlib.suppress(OSError):
        if shutil.disk_usage(MEMORY).free >= ROOM:
            return MEMORY
    return DISK


def sweep_throwaways() -> list[str]:
    """Remove throwaway servers of this user whose owner no longer lives. Returns their directories."""
    swept = []
    for home in sorted(found for place in (MEMORY, DISK) for found in Path(place).glob(f"{THROWAWAY_PREFIX}*")):
        with contextlib.suppress(OSError):
            if home.stat().st_uid == os.getuid() and (home / "owner.lock").exists() and _sweep(home):
                swept.append(str(home))
    return swept


def _sweep(home: Path) -> bool:
    try:
        lock = _lock(home / "owner.lock")
    except BlockingIOError:
        return False
    try:
        # The lock says whose it is; its owner may have been killed while it was removing the server.
        PgServer(home / "pg").stop_whatever_it_takes()
        shutil.rmtree(home)
        return True
    finally:
        os.close(lock)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_root() -> bool:
    return os.geteuid() == 0


def _os_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(OS_USER)
    except KeyError:
        raise PgServerError(f"there is no OS user {OS_USER}, and PostgreSQL refuses to run as root") from None


def _utf8_locale() -> str:
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    return next((name for name in listed if name.lower() in ("c.utf8", "c.utf-8")), "C")


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when there is no such process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return []


def process_state(pid: int) -> str | None:
    """Return the state letter of a process as /proc has it, such as S or Z; None when there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else None


def _alive(pid: int) -> bool:
    return process_state(pid) not in (None, "Z", "X")


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process stands in that folder, as a postmaster does: a number alone may be somebody else's by now."""
    with contextlib.suppress(OSError):
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    return False


def _children(parent: int) -> list[int]:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if _stat(pid)[1:2] == [str(parent)]]


def _wait_until(condition: Any, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise PgServerError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)
