# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two stores with their registers, made by the site playbook and served by real processes, and tills that sell all the time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import offline_world
import pgserver
from offline_world import insert_into
from playbook_world import ansible_playbook, collections, descendants

OLD, NEW = "6.3.158.0", "6.3.158.1"
SALES = ["ax.RETAILTRANSACTIONTABLE", "ax.RETAILTRANSACTIONSALESTRANS", "ax.RETAILTRANSACTIONPAYMENTTRANS"]
PARTNERS = "ax.CONTOSOLOYALTYTRANS"
_OFFLINE = [
    "RETAILOFFLINEPROFILE", "RETAILOFFLINEPROFILESCOPES", "RETAILOFFLINESCOPE", "RETAILOFFLINESCOPETABLES",
    "RETAILOFFLINETABLE", "RETAILOFFLINETABLECOLUMNS",
]  # fmt: skip
JOBS = [
    {"id": "1020", "name": "Prices", "direction": "download", "tables": ["ax.PRICEDISCTABLE"]},
    {"id": "1095", "name": "Offline scopes", "direction": "download", "tables": [f"ax.{name}" for name in _OFFLINE]},
    {"id": "P-0001", "name": "Sales", "direction": "upload", "tables": SALES},
]
LOYALTY = {"id": "C-0001", "name": "Loyalty", "direction": "upload", "tables": [PARTNERS]}
_RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


def write_extension(folder: Path) -> Path:
    """A partner's table, and a column of the partner's on the sales."""
    tables = folder / "contoso" / "tables" / "ax"
    tables.mkdir(parents=True)
    release = {"title": "Contoso loyalty", "extends": "ax2012r3", "release": NEW}
    (folder / "contoso" / "release.json").write_text(json.dumps(release), encoding="utf-8")
    column = {"columns": {"CONTOSOCARD": "nvarchar(20) not null default ''"}}
    (tables / "RETAILTRANSACTIONTABLE.json").write_text(json.dumps(column), encoding="utf-8")
    columns = {"TRANSACTIONID": "nvarchar(44) not null", "POINTS": "int not null default 0"}
    table = {"columns": columns, "primary_key": ["TRANSACTIONID"]}
    (tables / "CONTOSOLOYALTYTRANS.json").write_text(json.dumps(table), encoding="utf-8")
    return folder / "contoso"


@dataclass
class Till(threading.Thread):
    """Sells into the offline database of one register until it is told to stop.

    ``books``: what was committed, by number, kept nowhere else; ``longest``: the longest that a sale had to wait, in seconds.
    """

    store: str
    register: str
    facts: dict[str, Any]
    pause: float = 0.25
    books: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    longest: float = 0.0
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._knows_partner = False

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        number, connection = 0, None
        while not self._over.wait(self.pause):
            number += 1
            began = time.monotonic()
            # a sale that breaks off is tried again, as a cashier would; the customer waits meanwhile
            while True:
                try:
                    connection = connection or pgserver.connect(self.facts)
                    self.sell(connection, f"{self.store}-{self.register}-{number:06d}", number)
                    break
                except Exception as error:  # noqa: BLE001 - whatever a driver raises
                    self.errors.append(str(error))
                    connection = None
                    if self._over.wait(0.05):
                        return
            self.longest = max(self.longest, time.monotonic() - began)

    def sell(self, connection: Any, name: str, number: int) -> None:
        cursor = connection.cursor()
        if not self._knows_partner:
            self._knows_partner = bool(
                cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'CONTOSOLOYALTYTRANS'").fetchval()
            )
        lines, card = number % 3 + 1, f"card {number}" if self._knows_partner else ""
        if cursor.execute('SELECT 1 FROM ax."RETAILTRANSACTIONTABLE" WHERE "TRANSACTIONID" = ?', name).fetchone():
            connection.rollback()  # a commit that broke off had gone through
            self.books[name] = (lines, card, number)
            return
        common = {
            "TRANSACTIONID": name,
            "STORE": self.store,
            "TERMINAL": self.register,
            "CHANNEL": 1,
            "DATAAREAID": "usrt",
        }
        head = {**common, "NUMBEROFITEMLINES": lines, **({"CONTOSOCARD": card} if card else {})}
        _insert(cursor, "RETAILTRANSACTIONTABLE", head)
        below = {("TERMINALID" if key == "TERMINAL" else key): value for key, value in common.items()}
        for line in range(lines):
            _insert(cursor, "RETAILTRANSACTIONSALESTRANS", {**below, "LINENUM": line + 1})
        _insert(cursor, "RETAILTRANSACTIONPAYMENTTRANS", {**common, "LINENUM": 1})
        if card:
            _insert(cursor, "CONTOSOLOYALTYTRANS", {"TRANSACTIONID": name, "POINTS": number})
        connection.commit()
        self.books[name] = (lines, card, number)

    def stop(self) -> None:
        self._over.set()
        self.join()


def _insert(cursor: Any, table: str, row: dict[str, Any]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _name in row)
    cursor.execute(f'INSERT INTO ax."{table}" ({names}) VALUES ({marks})', *row.values())


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collections()),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0",
    }


def _counted(table: str) -> str:
    return f'(SELECT "TRANSACTIONID" AS id, count(*) AS number FROM ax."{table}" GROUP BY 1)'


class Fleet:
    """HQ, the stores HOUSTON (two registers) and BOSTON (one). The second register of HOUSTON has a server of its own.

    :param servers: for HQ and the stores, for the registers, for the one that goes away.
    """

    def __init__(self, folder: Path, servers: tuple[Any, Any, Any]) -> None:
        self.folder, self.mark = folder, secrets.token_hex(3)
        stores, registers, third = servers
        self.server = {"hq": stores, "houston": stores, "boston": stores, "houston-1": registers, "boston-1": registers}
        self.server["houston-2"] = third
        self.sync = folder / "sync"
        self.extension = write_extension(folder)
        self.upgraded = False
        self.more: dict[str, dict[str, Any]] = {}

    # ---- inventory

    def name(self, host: str) -> str:
        return f"axops_{self.mark}_{host.replace('-', '_')}"

    def facts(self, host: str) -> dict[str, Any]:
        return self.server[host].facts(self.name(host))

    def connect(self, host: str) -> Any:
        return offline_world.connect(self.facts(host))

    def write(self) -> Path:
        """The inventory; ``more``: further variables, by host, ``all`` for all of them."""
        stores = {"houston": {"retail_store_id": "HOUSTON"}, "boston": {"retail_store_id": "BOSTON"}}
        registers = {}
        for host, store, number in (
            ("houston-1", "HOUSTON", "1"),
            ("houston-2", "HOUSTON", "2"),
            ("boston-1", "BOSTON", "1"),
        ):
            config = str(self.sync / "pos" / f"{store}-{number}.json")
            registers[host] = {"retail_store_id": store, "retail_register_id": number, "retail_pos_config_path": config}
        groups = {
            "hq": ("hq", {"hq": {}}),
            "store_servers": ("channel", stores),
            "pos_registers": ("offline", registers),
        }
        children = {
            group: {
                "hosts": {
                    host: {**self._login(tier, host), **own, **self.more.get(host, {})} for host, own in hosts.items()
                }
            }
            for group, (tier, hosts) in groups.items()
        }
        places = {"install_dir": "lib", "config_dir": "etc", "log_dir": "log", "state_dir": "run"}
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "retail_engine": "postgresql",
            "retail_encrypt": "no",
            "retail_sync_login_user": f"sync_{self.mark}",
            "retail_sync_login_password": "s3cret of the service",
            "retail_sync_interval": 2,
            "retail_sync_heartbeat": 60,
            "retail_sync_service_manager": "process",
            **{f"retail_sync_{name}": str(self.sync / place) for name, place in places.items()},
            "retail_upgrade_directory": str(self.folder / "record"),
            "retail_backup_directory": str(self.folder / "backups"),
            "retail_drain_timeout": 120,
            "hq_jobs": [*JOBS, *([LOYALTY] if self.upgraded else [])],
            **({"retail_schema_extensions": [str(self.extension)]} if self.upgraded else {"retail_release": OLD}),
            **self.more.get("all", {}),
        }
        path = self.folder / "inventory.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"all": {"children": children, "vars": common}}), encoding="utf-8")
        return path

    def _login(self, tier: str, host: str) -> dict[str, Any]:
        facts = self.facts(host)
        found = {"server": facts["host"], "port": facts["port"], "database": facts["database"]}
        found.update(login_user=facts["user"], login_password=facts["password"])
        return {f"retail_{tier}_{name}": value for name, value in found.items()}

    # ---- playbooks

    def start(self, book: str, *arguments: str) -> subprocess.Popen[str]:
        executable = Path(sys.executable).with_name("ansible-playbook")
        return subprocess.Popen(
            [str(executable), *self._arguments(book, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(),
            start_new_session=True,
        )

    def play(self, book: str, *arguments: str, fails: bool = False) -> tuple[str, dict[str, int]]:
        """What the playbook printed, and how many tasks of each host changed something."""
        began = time.monotonic()
        done = ansible_playbook(self._arguments(book, arguments), _environment(), self.folder, seconds=600)
        print(f"{book} {' '.join(arguments)}: {time.monotonic() - began:.0f} s")
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout, {
            host: int(changed) for host, _ok, changed, _unreachable, _failed in _RECAP.findall(done.stdout)
        }

    def _arguments(self, book: str, arguments: tuple[str, ...]) -> list[str]:
        return ["-i", str(self.write()), f"axops.retail.{book}", *arguments]

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End a playbook as a power cut at the control node would: all of its processes at once."""
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()

    # ---- looking

    def record(self, store: str) -> dict[str, Any]:
        path = self.folder / "record" / f"upgrade-{store}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def release(self, host: str) -> str:
        with self.connect(host) as db:
            return str(db.value('SELECT "TEXT" FROM dbo."POSISINFO" WHERE "ID" = \'DBVERSION\''))

    def has_partners(self, host: str) -> bool:
        with self.connect(host) as db:
            return bool(db.value("SELECT count(*) FROM pg_tables WHERE tablename = 'CONTOSOLOYALTYTRANS'"))

    def enter_stores(self) -> None:
        """What a person does at HQ before there is a store."""
        with self.connect("hq") as db:
            insert_into(
                db, "RETAILSTORETABLE", {"RECID": 11, "STORENUMBER": "HOUSTON"}, {"RECID": 12, "STORENUMBER": "BOSTON"}
            )
            insert_into(db, "PRICEDISCTABLE", {"RECID": 1, "AMOUNT": 10}, {"RECID": 2, "AMOUNT": 20})

    def sales(self, host: str) -> dict[str, tuple[int, str, int]]:
        """Every sale of a database that is whole: its lines, the partner's column, the partner's row; -1 where it is not."""
        with self.connect(host) as db:
            partners = self.has_partners(host)
            card = 'h."CONTOSOCARD"' if partners else "''"
            points = (
                ('p."POINTS"', 'LEFT JOIN ax."CONTOSOLOYALTYTRANS" p ON p."TRANSACTIONID" = h."TRANSACTIONID"')
                if partners
                else ("NULL", "")
            )
            rows = db.query(
                f'SELECT h."TRANSACTIONID", CASE WHEN h."NUMBEROFITEMLINES" = l.number AND m.number = 1 '
                f'THEN CAST(h."NUMBEROFITEMLINES" AS int) ELSE -1 END, {card}, {points[0]} FROM ax."RETAILTRANSACTIONTABLE" h '
                f'LEFT JOIN {_counted("RETAILTRANSACTIONSALESTRANS")} l ON l.id = h."TRANSACTIONID" '
                f'LEFT JOIN {_counted("RETAILTRANSACTIONPAYMENTTRANS")} m ON m.id = h."TRANSACTIONID" {points[1]}'
            )
        return {row[0]: (int(row[1]), row[2], row[3]) for row in rows}

    def lost(self, host: str, tills: list[Till]) -> list[str]:
        """The sales of the books that are not in a database as they were sold."""
        there = self.sales(host)
        missing = []
        for till in tills:
            for name, (lines, card, number) in till.books.items():
                if there.get(name) != (lines, card, number if card else None):
                    missing.append(f"{name}: sold {(lines, card, number)}, there {there.get(name)}")
        return missing

    # ---- processes

    def stop_services(self) -> None:
        for path in (self.sync / "etc").glob("*.json"):
            self.service(path.stem, "absent")

    def service(self, name: str, state: str) -> None:
        """Have a service stopped, or removed, as an administrator would."""
        places = {"install_dir": "lib", "config_dir": "etc", "log_dir": "log", "state_dir": "run"}
        options = {"name": name, "state": state, "service_manager": "process"}
        options.update({key: str(self.sync / place) for key, place in places.items()})
        if state == "stopped":
            config = json.loads((self.sync / "etc" / f"{name}.json").read_text(encoding="utf-8"))
            options.update(child_database=config["child"]["database"], parent_database=config["parent"]["database"])
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections())}
        executable = Path(sys.executable).with_name("ansible")
        command = [str(executable), "localhost", "-m", "axops.retail.retail_sync_service", "-a", json.dumps(options)]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def drop(self) -> None:
        for host, server in self.server.items():
            server.start()
            server.drop_database(self.name(host))


class Arriving(threading.Thread):
    """Counts the sales that have arrived at each store, again and again while its record says that its upgrade is under way."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(daemon=True)
        self.counted: dict[str, list[int]] = {"HOUSTON": [], "BOSTON": []}
        self._fleet, self._over = fleet, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            for store, counted in self.counted.items():
                if self._fleet.record(store).get("state") == "begun":
                    with self._fleet.connect(store.lower()) as db:
                        counted.append(int(db.value('SELECT count(*) FROM ax."RETAILTRANSACTIONTABLE"')))

    def __enter__(self) -> Arriving:
        self.start()
        return self

    def __exit__(self, *_raised: Any) -> None:
        self._over.set()
        self.join()


def until(condition: Callable[[], Any], what: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.3)


def fleet(folder: Path, servers: tuple[Any, Any]) -> Iterator[Fleet]:
    """A fleet that is made, with its services running; everything is gone afterwards."""
    with pgserver.throwaway("till") as third:
        made = Fleet(folder, (*servers, third))
        try:
            made.play("site", "--tags", "hq")
            made.enter_stores()
            made.play("site")
            yield made
        finally:
            made.stop_services()
            made.drop()
