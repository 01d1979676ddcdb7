# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo plays on: four servers, an inventory, and connections to look into the databases."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pgserver

from _demo import playbook

STORE = "HOUSTON"
REGISTERS = ("000001", "000002")
PROFILE = "Default pr"
STORES = [{"store_id": STORE, "registers": list(REGISTERS)}]

#: Each store receives its own tenders only.
FILTERS: list[dict[str, Any]] = [
    {"table": "ax.RETAILSTORETENDERTYPETABLE", "where": [{"column": "CHANNEL", "own": "channel"}]}
]

#: Inventory host, and the database that it has.
SERVERS = {
    "hq01": "RetailHQ",
    "houston-db": "RetailChannel_HOUSTON",
    "houston-01": "RetailOffline_000001",
    "houston-02": "RetailOffline_000002",
}
#: Instances of the sync service, and the host that runs each.
SERVICES = {STORE: "houston-db", STORE + "-000001": "houston-01", STORE + "-000002": "houston-02"}

#: Seconds between two cycles of a service; stores use the default of 10.
INTERVAL = 1
HEARTBEAT = 60


class Stage:
    """Everything that the demo makes lives in ``home``."""

    def __init__(self) -> None:
        # Not in the repository: user postgres, which the servers run as, must be able to reach it.
        self.home = Path("/var/tmp/axops-retail-demo-%d" % os.getuid())  # noqa: S108 - owned by us, checked in create
        self.servers = {host: pgserver.PgServer(self.home / "servers" / host, name=host) for host in SERVERS}

    @property
    def exists(self) -> bool:
        return self.home.exists()

    @property
    def inventory(self) -> Path:
        return self.home / "inventory.json"

    @property
    def settings(self) -> Path:
        """Where the services have their files."""
        return self.home / "sync"

    def create(self) -> None:
        """Start the servers, and write the inventory that declares them; what is there already is kept."""
        self.home.mkdir(mode=0o755, exist_ok=True)
        if self.home.is_symlink() or self.home.stat().st_uid != os.getuid():
            raise playbook.PlaybookFailed("%s belongs to somebody else." % self.home)
        for server in self.servers.values():
            server.create()
            server.start()
        self._write_inventory()

    def remove(self) -> None:
        for server in self.servers.values():
            server.destroy()
        shutil.rmtree(self.home)

    def stop_services(self) -> None:
        """Remove the services, as an administrator would: with the module."""
        for instance, host in SERVICES.items():
            playbook.module(
                self.inventory,
                host,
                "axops.retail.retail_sync_service",
                {"name": instance, "state": "absent", **self._places()},
            )

    def connect(self, host: str) -> Any:
        """A pyodbc connection of the administrator to a host's database."""
        return pgserver.connect(self.servers[host].facts(SERVERS[host]), autocommit=True)

    def databases(self, host: str) -> set[str]:
        """The names of the databases that a host's server has, but for those that every server has."""
        with contextlib.closing(pgserver.connect(self.servers[host].facts("postgres"), autocommit=True)) as connection:
            rows = connection.cursor().execute(
                "SELECT datname FROM pg_database WHERE datname <> 'postgres' AND NOT datistemplate"
            )
            return {row[0] for row in rows.fetchall()}

    def _places(self) -> dict[str, str]:
        return {
            "install_dir": str(self.settings / "lib"),
            "config_dir": str(self.settings / "etc"),
            "log_dir": str(self.settings / "log"),
            "state_dir": str(self.settings / "run"),
            "service_manager": "process",
        }

    def _write_inventory(self) -> None:
        """The inventory, in the form of architecture and README; with passwords in it, so only we may read it."""
        known = json.loads(self.inventory.read_text(encoding="utf-8")) if self.inventory.exists() else {}
        password = known.get("all", {}).get("vars", {}).get("retail_sync_login_password") or secrets.token_urlsafe(24)
        registers = {
            host: {
                "retail_store_id": STORE,
                "retail_register_id": register,
                "retail_pos_config_path": str(self.settings / "pos" / (STORE + "-" + register + ".json")),
            }
            for host, register in zip(list(SERVERS)[2:], REGISTERS, strict=True)
        }
        groups = {
            "hq": {"hq01": self._login("hq", "hq01")},
            "store_servers": {"houston-db": {"retail_store_id": STORE, **self._login("channel", "houston-db")}},
            "pos_registers": {host: {**facts, **self._login("offline", host)} for host, facts in registers.items()},
        }
        inventory = {
            "all": {
                "children": {group: {"hosts": hosts} for group, hosts in groups.items()},
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                    "retail_engine": "postgresql",
                    "retail_encrypt": "no",
                    "retail_legal_entity": "usrt",
                    "retail_release": "6.3.158.0",
                    "retail_offline_profile": PROFILE,
                    "hq_filters": FILTERS,
                    "retail_sync_login_user": "retail_sync",
                    "retail_sync_login_password": password,
                    "retail_sync_interval": INTERVAL,
                    "retail_sync_heartbeat": HEARTBEAT,
                    **{"retail_sync_" + name: value for name, value in self._places().items()},
                },
            }
        }
        descriptor = os.open(self.inventory, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(inventory, file, indent=2)

    def _login(self, tier: str, host: str) -> dict[str, Any]:
        facts = self.servers[host].facts(SERVERS[host])
        names: Callable[[str], str] = ("retail_%s_{}" % tier).format
        return {
            names("server"): facts["host"],
            names("port"): facts["port"],
            names("database"): SERVERS[host],
            names("login_user"): facts["user"],
            names("login_password"): facts["password"],
        }

    def directions(self) -> str:
        """Where to look, for people."""
        status = "%s status --config %s" % (
            self.settings / "lib" / "retail-sync.pyz",
            self.settings / "etc" / (STORE + "-000001.json"),
        )
        lines = ["Everything is left running:"]
        lines += [
            "  %-11s PostgreSQL on 127.0.0.1:%-6d database %s" % (host, server.port, SERVERS[host])
            for host, server in self.servers.items()
        ]
        lines += [
            "  inventory   %s" % self.inventory,
            "  logs        %s" % (self.settings / "log"),
            "  status      python3 %s" % status,
        ]
        return "\n".join([*lines, "'./dev demo-clean' removes it all."])
