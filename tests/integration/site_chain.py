# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headquarters, a store server and a register in an inventory, each with a database on the server of its engine, and what
the site playbook makes of them; for the tests."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import masterdata
import yaml
from offline_world import ROOT
from playbook_world import ansible_playbook, collections

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target

STORE, REGISTER, PROFILE = "HOUSTON", "000001", "Default pr"
STORES = [{"store_id": STORE, "registers": [REGISTER]}]
#: What a till reads, and no more rows of one table than these.
MASTER_DATA = (
    *("ax.CUSTTABLE", "ax.INVENTITEMBARCODE", "ax.INVENTTABLE", "ax.INVENTTABLEMODULE", "ax.PRICEDISCTABLE"),
    *("ax.RETAILCHANNELTABLE", "ax.RETAILSTAFFTABLE", "ax.RETAILSTORETABLE", "ax.RETAILSTORETENDERTYPETABLE"),
    *("ax.RETAILTERMINALTABLE", "ax.TAXDATA", "ax.TAXGROUPDATA", "ax.TAXONITEM"),
)
MOST_ROWS = 60
#: What a sale is written to.
SALES = tuple("ax.RETAILTRANSACTION" + name for name in ("TABLE", "SALESTRANS", "PAYMENTTRANS", "TAXTRANS"))
#: Inventory host, and the tier that its variables are named after.
HOSTS = {"hq01": "hq", "houston-db": "channel", "houston-01": "offline"}
#: Instances of the service, and the host that runs each.
SERVICES = {STORE: "houston-db", f"{STORE}-{REGISTER}": "houston-01"}

_CHANGED = re.compile(r"^changed: \[([^\]\s]+)[^\]]*\] (?:=> )?(?:\(item=.*?\) => )?(\{.*\})$", re.MULTILINE)
_FAILED = re.compile(r"^(?:fatal|failed): \[[^\]]*\].*?=> (\{.*\})$", re.MULTILINE)
_RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass
class Played:
    """A run of ansible-playbook: what it printed, how many tasks of each host changed something, and what these did."""

    text: str
    changed: dict[str, int]
    steps: dict[str, list[str]]


class Chain:
    """The three hosts.

    :param servers: by inventory host how to reach the server that its database is to be on.
    :param plain: without texts that JSON has to escape, where a server does not read them as they were meant.
    """

    def __init__(self, folder: Path, servers: Mapping[str, Target], plain: bool = False) -> None:
        self.folder, self.plain = folder, plain
        mark = secrets.token_hex(3)
        self.targets = {host: server.on("axops_%s_%s" % (HOSTS[host], mark)) for host, server in servers.items()}
        self.login, self.password = "axops_sync_" + mark, "Aa1!" + secrets.token_urlsafe(16)
        self._write()

    # ---- Ansible

    def play(self, book: str, *flags: str) -> Played:
        """Run a playbook of the collection; fails with what it printed where a host failed."""
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collections()),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        }
        arguments = ["-v", "-i", "inventory.json", book, *flags]
        done = ansible_playbook(arguments, environment, self.folder, seconds=1800)
        recap = _RECAP.findall(done.stdout)
        assert recap and done.returncode == 0, _reasons(done.stdout) + done.stdout[-1500:]
        assert self.password not in done.stdout
        steps: dict[str, list[str]] = {host: [] for host in HOSTS}
        for host, result in _CHANGED.findall(done.stdout):
            steps[host] += json.loads(result).get("steps", ["a task without steps"])
        return Played(done.stdout, {host: int(changed) for host, _ok, changed, *_rest in recap}, steps)

    def tool(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the installed service's, for one of its configurations."""
        program, config = self.places["install_dir"] + "/retail-sync.pyz", f"{self.places['config_dir']}/{service}.json"
        command = [sys.executable, program, *arguments, "--config", config]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)

    @property
    def places(self) -> dict[str, str]:
        return {f"{name}_dir": str(self.folder / name) for name in ("install", "config", "log", "state")}

    def _write(self) -> None:
        groups = {
            "hq": {"hq01": {}},
            "store_servers": {"houston-db": {"retail_store_id": STORE}},
            "pos_registers": {
                "houston-01": {
                    "retail_store_id": STORE,
                    "retail_register_id": REGISTER,
                    "retail_pos_config_path": str(self.folder / "pos.json"),
                }
            },
        }
        hosts = {
            group: {"hosts": {host: {**facts, **self._server(host)} for host, facts in members.items()}}
            for group, members in groups.items()
        }
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "retail_legal_entity": "usrt",
            "retail_release": "6.3.158.0",
            "retail_offline_profile": PROFILE,
            "hq_jobs": _jobs(),
            "retail_sync_login_user": self.login,
            "retail_sync_login_password": self.password,
            "retail_sync_interval": 1,
            "retail_sync_heartbeat": 60,
            "retail_sync_check_timeout": 180,
            "retail_sync_service_manager": "process",
            **{"retail_sync_" + name: value for name, value in self.places.items()},
        }
        path = self.folder / "inventory.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"all": {"children": hosts, "vars": common}}), encoding="utf-8")

    def _server(self, host: str) -> dict[str, Any]:
        """The host's variables. A driver is named for those alone that need one."""
        at = self.targets[host]
        tier = {
            "server": at.host,
            "port": at.port,
            "database": at.database,
            "login_user": at.user,
            "login_password": at.password,
        }
        return {
            "retail_engine": at.engine,
            "retail_encrypt": at.encrypt,
            **({"retail_driver": at.driver, "retail_trust_server_certificate": True} if at.driver else {}),
            **{f"retail_{HOSTS[host]}_{name}": value for name, value in tier.items() if value is not None},
        }

    # ---- databases

    def connect(self, host: str) -> Database:
        """The administrator's connection to the database of a host."""
        return _engine.connect(self.targets[host])

    def connect_as_service(self, host: str) -> Database:
        """The connection that the service makes to the database of a host."""
        return _engine.connect(replace(self.targets[host], user=self.login, password=self.password))

    def exists(self, host: str) -> bool:
        with _maintenance(self.targets[host]) as server:
            return bool(server.engine.databases.exists(server, self.targets[host].database))

    def enter_master_data(self) -> dict[str, int]:
        """What is entered at HQ before a store opens, its offline profile included; returns the rows of each table."""
        with self.connect("hq01") as db:
            counts = masterdata.load_chunks(db._connection, db.engine.names.quote, _some_of_each(self.plain))
            quote = db.engine.names.quote
            recid = "SELECT %s FROM %s WHERE %s = ?" % (
                quote("RECID"),
                quote("ax", "RETAILOFFLINEPROFILE"),
                quote("NAME"),
            )
            sql = "UPDATE %s SET %s = (%s)" % (quote("ax", "RETAILSTORETABLE"), quote("OFFLINEPROFILE"), recid)
            db.execute(sql, PROFILE)
        return counts

    def counts(self, host: str, tables: Any) -> dict[str, int]:
        with self.connect(host) as db:
            sql = "SELECT COUNT(*) FROM %s"
            return {table: int(db.value(sql % db.engine.names.quote(*table.split(".")))) for table in tables}

    # ---- the end

    def remove(self) -> None:
        """Stop the services as an administrator would, and drop what was made."""
        try:
            for service, host in SERVICES.items():
                self._stop(service, host)
        finally:
            for at in self.targets.values():
                with _maintenance(at) as server:
                    for statement in server.engine.databases.drop(at.database):
                        server.execute(statement)
            for at in {at.engine: at for at in self.targets.values()}.values():
                with _maintenance(at) as server:
                    for statement in server.engine.access.drop_login(self.login):
                        server.execute(statement)

    def _stop(self, service: str, host: str) -> None:
        options = {"name": service, "state": "absent", "service_manager": "process", **self.places}
        command = [str(Path(sys.executable).with_name("ansible")), host, "-i", "inventory.json"]
        command += ["-m", "axops.retail.retail_sync_service", "-a", json.dumps(options)]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections())}
        subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, check=False, timeout=120)


def _some_of_each(plain: bool) -> Iterator[masterdata.Chunk]:
    """Master data of the tables that travel, but no more of one than a till needs."""
    left = dict.fromkeys(MASTER_DATA, MOST_ROWS)
    for table, columns, rows in masterdata.generate(STORES):
        some = rows[: left.get(table, 0)]
        if some:
            left[table] -= len(some)
            yield table, columns, [tuple(map(plainly, row)) for row in some] if plain else some


def plainly(value: Any) -> Any:
    """The value, a text without what JSON has to escape."""
    return re.sub(r'["\\\x00-\x1f]', "'", value) if isinstance(value, str) else value


def _jobs() -> list[dict[str, Any]]:
    """Of the role's jobs the tables that a till and its sales need, and the offline profile."""
    jobs = yaml.safe_load((ROOT / "roles/hq/defaults/main/jobs.yml").read_text(encoding="utf-8"))["hq_jobs"]
    kept = [{**job, "tables": [table for table in job["tables"] if _travels(job, table)]} for job in jobs]
    return [job for job in kept if job["tables"]]


def _travels(job: Mapping[str, Any], table: str) -> bool:
    return table in (*MASTER_DATA, *SALES) or job["id"] == "1095"


def _reasons(text: str) -> str:
    """What the failed tasks said, ahead of the long lists of what they have not done."""
    said = [json.loads(result) for result in _FAILED.findall(text)]
    return "".join("%s\n%s\n" % (one.get("msg"), "\n".join(one.get("log", []))) for one in said)


def _maintenance(at: Target) -> Database:
    return _engine.connect(at.on(_engine.speaker(at.engine).connect.MAINTENANCE_DATABASE))
