# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain that the examples in the modules' documentation speak of, on the servers of the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import catalogue
import offline_world
import scenarios
from stage import Preparation, Stage, Task

from ansible_collections.axops.retail.plugins.module_utils._engine._model import Table
from ansible_collections.axops.retail.plugins.module_utils._schema import package

#: Which server stands for which host: the first has headquarters and Houston, the second Boston and the registers.
HOSTS = {
    "hq.example.com": 0,
    "hq-db.example.com": 0,
    "houston-db.example.com": 0,
    "houston-02.example.com": 0,
    "boston-db.example.com": 1,
    "houston-01.example.com": 1,
    "localhost": 1,
    "localhost\\SQLEXPRESS": 1,
}
#: Examples that only SQL Server can follow, with what is its own in them. Their options are validated all the same.
MSSQL_ONLY = {
    "The same, for a Windows group, with a partner's tables": "HOUSTON-DB\\RetailOfflineSyncUsers",
    "An upgrade with the vendor's package, and a partner's scripts": "files",
    "A backup of SQL Server, on the server's own disk": "D:\\Backups",
}
_SIDES = ("", "hq_", "channel_", "offline_", "child_", "parent_")


class Chain:
    """HQ with the stores HOUSTON and BOSTON and their data group, and the two channel databases with an offline profile."""

    def __init__(self, stage: Stage, servers: tuple[Any, ...]) -> None:
        self.stage = stage
        self.worlds = [scenarios.World(stage, server) for server in servers]
        first, second = self.worlds
        for world in self.worlds:
            scenarios.make_channel(world, "RetailChannel")
        scenarios.make_hq(first, "RetailHQ")
        with first.connect("RetailHQ") as db:
            offline_world.make_tables(db, tables_of_examples())
        stores = [{"name": "Houston", "store_ids": ["HOUSTON"]}, {"name": "Boston", "store_ids": ["BOSTON"]}]
        # Less than the examples declare.
        group = {
            "name": "Default",
            "jobs": [job for job in scenarios.JOBS if job["id"] == "1095"],
            "channel_databases": stores,
        }
        self.preparations = [Preparation("retail_data_group", {**first.reach(), "database": "RetailHQ", **group})]
        self.login = second.admin

    def close(self) -> None:
        for world in self.worlds:
            world.close()

    def task(self, example: dict[str, Any]) -> Task:
        """An example as it is, but for where everything is and who logs in. It is run in check mode."""
        name, action = example["name"], next(key for key in example if "." in key)
        more = {key: value for key, value in example.items() if key not in ("name", "delegate_to", action)}
        if not action.startswith(catalogue.COLLECTION):
            return Task(name, "check", action, example[action], more)
        module = catalogue.modules()[action.rpartition(".")[2]]
        return Task(name, "check", action, self._options(module, example[action]), more)

    def _options(self, module: catalogue.Module, given: dict[str, Any]) -> dict[str, Any]:
        options = dict(given)
        if module.connects:
            for side in [side for side in _SIDES if f"{side}server" in module.options]:
                self._place(options, side, always=not side)
            targets = options.get("targets") or []
            options.update({"targets": [dict(target) for target in targets]} if targets else {})
            for target in options.get("targets", ()):
                for side in _SIDES[1:]:
                    self._place(target, side)
        if "path" in options:
            options["path"] = self._path(options)
        return options

    def _place(self, options: dict[str, Any], side: str, always: bool = False) -> None:
        """Say where the server is, instead of its name."""
        host = options.pop(f"{side}server", "localhost" if always else None)
        if host is not None:
            number = HOSTS[host]
            options.update(self.worlds[number].reach(side))
        elif f"{side}login_user" in options:
            options.update(
                {f"{side}login_user": self.login, f"{side}login_password": self.worlds[1].passwords[self.login]}
            )

    def _path(self, options: dict[str, Any]) -> str:
        # This host stands for one of Windows, too.
        path = self.stage.work / options["path"].replace("\\", "/").lstrip("/")
        if options.get("format") == "xml" and not path.exists():
            path.parent.mkdir(parents=True)
            scenarios.write_vendors(path)
        return str(path)


def tables_of_examples() -> list[Table]:
    """The tables that are named in examples, of the packaged schema."""
    words = {word for module in catalogue.modules().values() for word in re.findall(r"[A-Z]{6,}", str(module.examples))}
    whole = package.load([str(offline_world.ROOT / "schemas" / "ax2012r3")])
    return [table for name, table in whole.tables.items() if name.schema == "ax" and name.name in words]


def variables(module: catalogue.Module) -> Iterator[str]:
    """The passwords that the examples take from variables."""
    yield from re.findall(r"{{ (\w+_password) }}", str(module.examples))
