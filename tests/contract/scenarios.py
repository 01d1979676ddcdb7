# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module is asked to do. A scenario is a function with the module's name, and gets a world to do it in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import offline_world
import register_world
from offline_world import insert_into
from stage import Failure, Preparation, Scenario, Stage, Step

FIRST = register_world.FIRST
OFFLINE_TABLES = [
    "RETAILOFFLINEPROFILE", "RETAILOFFLINEPROFILESCOPES", "RETAILOFFLINESCOPE", "RETAILOFFLINESCOPETABLES",
    "RETAILOFFLINETABLE", "RETAILOFFLINETABLECOLUMNS",
]  # fmt: skip
SCOPES = [
    {"name": "1020 Prices", "direction": "download", "tables": ["PRICEDISCTABLE", "ax.INVENTTABLE"]},
    {"name": "P-0001 Sales", "direction": "upload", "frequency": 30, "tables": ["RETAILTRANSACTIONTABLE"]},
]
JOBS = [
    {"id": "1020", "name": "Prices", "tables": ["PRICEDISCTABLE", "INVENTTABLE"]},
    {"id": "1095", "name": "Offline scopes", "tables": OFFLINE_TABLES},
    {"id": "P-0001", "name": "Sales", "direction": "upload", "tables": ["RETAILTRANSACTIONTABLE"]},
]


class World:
    """A database server with a superuser and a login without any rights, both with passwords that have it all.

    :param server: it is this world's alone while the scenario is played.
    """

    def __init__(self, stage: Stage, server: Any) -> None:
        self.stage, self.server, self.vault = stage, server, stage.vault
        self.admin, self.nobody = f"{stage.prefix}_admin", f"{stage.prefix}_nobody"
        self.passwords = {self.admin: self.vault.new("admin"), self.nobody: self.vault.new("nobody")}
        self.databases: list[str] = []
        with self.connect("postgres") as db:
            for name, rights in ((self.admin, "SUPERUSER"), (self.nobody, "NOSUPERUSER")):
                password = self.vault.text(self.passwords[name]).replace("'", "''")
                db.execute(f"CREATE ROLE \"{name}\" LOGIN {rights} PASSWORD '{password}'")
                # What the server writes down, passwords must not stand in either.
                db.execute(f"ALTER ROLE \"{name}\" SET log_statement = 'all'")

    def close(self) -> None:
        """Drop everything that has the prefix."""
        with self.connect("postgres") as db:
            names = [
                row[0]
                for row in db.query("SELECT datname FROM pg_database WHERE starts_with(datname, ?)", self.stage.prefix)
            ]
        for name in {*names, *self.databases}:
            self.server.drop_database(name)
        with self.connect("postgres") as db:
            for row in db.query("SELECT rolname FROM pg_roles WHERE starts_with(rolname, ?)", self.stage.prefix):
                db.execute(f'DROP ROLE "{row[0]}"')

    def name(self, suffix: str) -> str:
        return f"{self.stage.prefix}_{suffix}"

    def connect(self, database: str) -> Any:
        return offline_world.connect(self.server.facts(database))

    def database(self, name: str, *extensions: str) -> Any:
        """A new database of the product, open."""
        self.server.create_database(name)
        self.databases.append(name)
        return offline_world.make_database(self.connect(name), *extensions)

    def reach(self, prefix: str = "", login: str = "") -> dict[str, Any]:
        """The options of a connection to the server."""
        login = login or self.admin
        facts = self.server.facts("postgres")
        options = {
            "engine": "postgresql",
            "encrypt": "no",
            "server": facts["host"],
            "port": facts["port"],
            "login_user": login,
            "login_password": self.passwords[login],
        }
        return {prefix + name: value for name, value in options.items()}

    def unreachable(self, options: dict[str, Any], *prefixes: str) -> list[Failure]:
        """The same task with a wrong password, and with nobody at the port, for each of the connections."""
        failures = []
        for prefix in prefixes:
            wrong = {**options, f"{prefix}login_password": self.vault.new("wrong")}
            failures.append(Failure(f"a wrong {prefix}login_password", wrong, "password|log in|login"))
            dead = {**options, f"{prefix}port": 1}
            failures.append(Failure(f"nobody at {prefix}port", dead, "[Cc]annot be reached|[Cc]annot reach|connect"))
        return failures

    def forbidden(self, options: dict[str, Any], prefix: str = "") -> Failure:
        """The same task with a login that may do nothing."""
        return Failure(
            "a login without rights", {**options, **self.reach(prefix, self.nobody)}, "denied|right|may not|permission"
        )


def retail_channel_db(world: World) -> Scenario:
    name, sync, pos = world.name("channel"), world.name("sync"), world.name("pos")
    base = {**world.reach(), "database": name, "release": "6.3.158.0"}
    logins = [{"name": sync, "password": world.vault.new("sync")}, {"name": pos, "password": world.vault.new("pos")}]
    groups = [{"name": "RetailOfflineSyncUsers", "members": [sync]}]
    create = {**base, "logins": logins, "groups": groups}
    changed = [{"name": sync, "password": world.vault.new("sync")}, {**logins[1], "update_password": "on_create"}]
    own = {"name": world.name("auditors"), "permissions": ["read"], "members": [pos], "exclusive": True}
    change = {**base, "logins": changed, "groups": [*groups, own], "settings": {"connection_limit": 40}}
    scripts = _script(
        world,
        "scripts",
        "CREATE TABLE ax.\"CONTOSO\" (id int PRIMARY KEY);\nGO\nDO $$ BEGIN RAISE NOTICE 'hello'; END $$;\n",
    )
    bad = _script(world, "bad", "SELECT 1;\nGO\nINSERT INTO ax.nothing VALUES (1);\n")
    gone = {"name": sync, "state": "absent"}
    return Scenario(
        [
            Step("create", create),
            Step("change", change),
            Step("customise", {**base, "customizations": scripts}),
            Step("remove", {**world.reach(), "database": name, "state": "absent", "logins": [gone]}),
        ],
        [
            *world.unreachable(create, ""),
            world.forbidden(create),
            Failure("a script that fails", {**base, "customizations": bad}, "nothing", changes=True),
            Failure("an unknown release", {**base, "release": "9.9.9.9"}, "9.9.9.9"),
        ],
    )


def _script(world: World, folder: str, text: str) -> str:
    path = world.stage.folder / folder
    path.mkdir()
    (path / "contoso.sql").write_text(text, encoding="utf-8")
    return str(path)


def make_hq(world: World, name: str) -> str:
    """An HQ database with two stores; returns its name."""
    with world.database(name, "ax2012r3_hq") as db:
        stores = [{"RECID": 11, "STORENUMBER": "HOUSTON"}, {"RECID": 12, "STORENUMBER": "BOSTON"}]
        insert_into(db, "RETAILSTORETABLE", *stores)
        insert_into(db, "PRICEDISCTABLE", {"RECID": 1, "AMOUNT": 10}, {"RECID": 2, "AMOUNT": 20})
    return name


def retail_offline_profile(world: World) -> Scenario:
    base = {**world.reach(), "database": make_hq(world, world.name("hq")), "name": "Default pr"}
    create = {**base, "description": "A profile", "scopes": SCOPES, "stores": ["HOUSTON", "LATER"]}
    change = {**base, "scopes": [{**SCOPES[1], "frequency": 60}], "stores": ["BOSTON"]}
    return Scenario(
        [Step("create", create), Step("change", change), Step("remove", {**base, "state": "absent", "force": True})],
        [
            *world.unreachable(create, ""),
            world.forbidden(create),
            Failure("a name that is too long", {**create, "name": "Default profile"}, "10 characters"),
        ],
    )


def retail_data_group(world: World) -> Scenario:
    base = {**world.reach(), "database": make_hq(world, world.name("hq")), "name": "Default"}
    houston = {"name": "Houston", "store_ids": ["HOUSTON", "LATER"]}
    create = {**base, "jobs": JOBS, "channel_databases": [houston]}
    own = {"table": "PRICEDISCTABLE", "where": [{"column": "ACCOUNTRELATION", "own": "store"}]}
    filtered = {**JOBS[0], "tables": ["PRICEDISCTABLE"], "filters": [own]}
    change = {
        **base,
        "jobs": [filtered, *JOBS[1:]],
        "channel_databases": [houston, {"name": "Boston", "store_ids": ["BOSTON"]}],
    }
    return Scenario(
        [Step("create", create), Step("change", change), Step("remove", {**base, "state": "absent", "force": True})],
        [
            *world.unreachable(create, ""),
            world.forbidden(create),
            Failure("a table in two jobs", {**create, "jobs": [JOBS[0], {**JOBS[0], "id": "1021"}]}, "PRICEDISCTABLE"),
        ],
    )


def retail_distribution(world: World) -> Scenario:
    hq, first, second = make_hq(world, world.name("hq")), world.name("houston"), world.name("boston")
    for name in (first, second):
        world.database(name).close()
    stores = [{"name": "Houston", "store_ids": ["HOUSTON"]}, {"name": "Boston", "store_ids": ["BOSTON"]}]
    group = {**world.reach(), "database": hq, "name": "Default", "jobs": JOBS, "channel_databases": stores}
    base = {**world.reach("hq_"), "hq_database": hq}
    one = {**base, **world.reach("channel_"), "channel_database": first, "name": "Houston"}
    target = {"name": "Boston", **world.reach("channel_"), "channel_database": second}
    many = {
        **world.reach(),
        "hq_database": hq,
        "targets": [target, {"name": "Houston", **world.reach("channel_"), "channel_database": first}],
    }
    unknown = {**many, "targets": [{**target, "name": "Dallas"}]}
    return Scenario(
        [
            Step("one channel database", one),
            Step("many", many),
            Step("look", {**one, "schedule": [], "history": 5}, changes=False),
        ],
        [
            *world.unreachable(one, "hq_", "channel_"),
            world.forbidden(one, "channel_"),
            Failure("an unknown channel database", unknown, "Dallas"),
        ],
        [Preparation("retail_data_group", group)],
    )


def make_channel(world: World, name: str) -> str:
    """A channel database with an offline profile; returns its name."""
    with world.database(name) as db:
        for table, records in register_world.PROFILE.items():
            insert_into(db, table, *records)
        insert_into(db, "RETAILSTORETABLE", {"RECID": 11, "STORENUMBER": "HOUSTON", "OFFLINEPROFILE": FIRST})
    return name


def _register(world: World, channel: str, number: str = "000001") -> dict[str, Any]:
    """What retail_offline_db is told about a register."""
    return {
        **world.reach("channel_"),
        "channel_database": channel,
        "store_id": "HOUSTON",
        "register_id": number,
        "profile": "Default pr",
        **world.reach("offline_"),
        "offline_database": world.name(f"offline_{number}"),
    }


def retail_offline_db(world: World) -> Scenario:
    one = _register(world, make_channel(world, world.name("channel")))
    sync = {"name": world.name("sync"), "password": world.vault.new("sync")}
    access = {"logins": [sync], "groups": [{"name": "RetailOfflineSyncUsers", "members": [sync["name"]]}]}
    create = {**one, **access}
    changed = [{**sync, "password": world.vault.new("sync")}]
    several = {
        name: value
        for name, value in one.items()
        if name not in ("register_id", "offline_database", "offline_login_password")
    }
    targets = [
        {"register_id": number, "offline_database": world.name(f"offline_{number}"), **world.reach("offline_")}
        for number in ("000001", "000002")
    ]
    reached = [f"{prefix}{name}" for prefix in ("channel_", "offline_") for name in world.reach()]
    plain = {name: value for name, value in one.items() if name not in reached}
    wrong = {**targets[0], "offline_login_password": world.vault.new("wrong")}
    return Scenario(
        [
            Step("create", create),
            Step(
                "change",
                {**create, "logins": changed, "groups": [{**access["groups"][0], "members": [], "exclusive": True}]},
            ),
            Step("several", {**several, "targets": targets}),
            Step("remove one", {**plain, **world.reach(), "state": "absent"}),
            Step("remove several", {**several, "targets": targets, "state": "absent"}),
        ],
        [
            *world.unreachable(create, "channel_", "offline_"),
            world.forbidden(create, "offline_"),
            Failure(
                "one of several with a wrong password",
                {**several, "targets": [wrong, targets[1]]},
                "1 of 2",
                changes=True,
            ),
            Failure("an unknown profile", {**create, "store_id": "DALLAS", "profile": "Nobody's"}, "Nobody's"),
        ],
    )


def retail_sync_service(world: World) -> Scenario:
    channel, work = make_channel(world, world.name("channel")), world.stage.work
    register = _register(world, channel)
    folders = {f"{name}_dir": str(work / name) for name in ("install", "config", "log", "state")}
    base = {"name": "HOUSTON-000001", "service_manager": "process", **folders}
    pair = {
        **base,
        "interval": 1,
        "check_timeout": 20,
        **world.reach("child_"),
        "child_database": register["offline_database"],
        **world.reach("parent_"),
        "parent_database": channel,
    }
    stop = {
        **base,
        "state": "stopped",
        **world.reach(),
        "child_database": register["offline_database"],
        "parent_database": channel,
    }
    wrong = {**pair, "check_timeout": 2, "parent_login_password": world.vault.new("wrong")}
    dead = {**pair, "check_timeout": 2, "child_port": 1}
    return Scenario(
        [
            Step("start", pair),
            Step("change", {**pair, "interval": 2, "log_level": "debug"}),
            Step("stop", stop),
            Step("install only", {**pair, "interval": 3, "state": "present"}),
            Step("remove", {**base, "state": "absent"}),
        ],
        [
            Failure("a wrong parent_login_password", wrong, "parent", changes=True),
            Failure("nobody at child_port", dead, "child", changes=True),
        ],
        [Preparation("retail_offline_db", register)],
        keepers=["config/HOUSTON-000001.json"],
        # The service is at work in them.
        watches_databases=False,
    )


def retail_sync_info(world: World) -> Scenario:
    channel = make_channel(world, world.name("channel"))
    look = {**world.reach(), "database": channel}
    register = _register(world, channel)
    offline = {**world.reach(), "database": register["offline_database"], "log_rows": 2, "backlog": False}
    return Scenario(
        [Step("a channel database", look, changes=False), Step("an offline database", offline, changes=False)],
        [*world.unreachable(look, ""), world.forbidden(look)],
        [Preparation("retail_offline_db", register)],
    )


def retail_sync_drain(world: World) -> Scenario:
    channel = make_channel(world, world.name("channel"))
    register = _register(world, channel)
    look = {**world.reach(), "database": register["offline_database"], "timeout": 1}
    away = {**look, "port": 1, "tolerate": ["away"]}
    return Scenario(
        [
            Step("a register", look, changes=False),
            Step("a store", {**look, "database": channel}, changes=False),
            Step("a database that is not there", {**look, "database": world.name("nobody")}, changes=False),
            Step("a register that is away", away, changes=False),
        ],
        [
            *world.unreachable(look, ""),
            Failure("a wrong password is not being away", {**look, "login_password": world.vault.new("wrong"),
                                                          "tolerate": ["away", "waiting"]}, "password"),
            Failure("a pause of no length", {**look, "pause": 0}, "pause"),
            world.forbidden(look),
        ],
        [Preparation("retail_offline_db", register)],
    )  # fmt: skip


def retail_backup(world: World) -> Scenario:
    channel, folder = make_channel(world, world.name("channel")), str(world.stage.work / "backups")
    base = {**world.reach(), "database": channel, "directory": folder}
    first = {**base, "name": "first"}
    return Scenario(
        [
            Step("make", first),
            Step("test", {**first, "verify": "restore"}),
            Step("make another, and keep one", {**base, "name": "second.2", "verify": "restore", "keep": 1}),
            Step("put it back", {**base, "name": "second.2", "state": "restored"}),
            Step("remove", {**base, "name": "second.2", "state": "absent"}),
        ],
        [
            *world.unreachable(first, ""),
            world.forbidden(first),
            Failure("a name that leaves the folder", {**base, "name": "../first"}, "no name for a backup"),
            Failure("a backup that is not there", {**base, "name": "third", "state": "restored"}, "no backup third"),
            Failure("a database that is not there", {**first, "database": world.name("nobody")}, "no database"),
            Failure("a database of the server's own", {**first, "database": "postgres"}, "server's own"),
            Failure("to keep none", {**first, "keep": 0}, "1 or more"),
            Failure("an age below nothing", {**first, "max_age": -1}, "max_age"),
        ],
    )


def retail_pos_config(world: World) -> Scenario:
    work = world.stage.work
    path, vendors = work / "pos" / "HOUSTON-000001.json", work / "POS.exe.config"
    write_vendors(vendors)
    base = {
        "path": str(path),
        "store_id": "HOUSTON",
        "register_id": "000001",
        "legal_entity": "usrt",
        "channel_server": "houston-db.example.com",
        "channel_database": "RetailChannel",
        "channel_login_user": "till",
        "channel_login_password": world.vault.new("till"),
        "offline_database": "RetailOffline",
        "offline_login_user": "till",
        "offline_login_password": world.vault.new("till"),
    }
    xml = {**base, "path": str(vendors), "format": "xml"}
    return Scenario(
        [
            Step("create", base),
            Step(
                "change",
                {**base, "register_id": "000002", "channel_login_password": world.vault.new("till"), "backup": True},
            ),
            Step("remove", {"path": str(path), "state": "absent"}),
            Step("edit the vendor's", {**xml, "backup": True}),
            Step("remove from the vendor's", {"path": str(vendors), "format": "xml", "state": "absent"}),
        ],
        [
            Failure("an ID that is too long", {**base, "register_id": "00000000001"}, "10 characters"),
            Failure("a file that is not there", {**xml, "path": str(work / "none.config")}, "none.config"),
        ],
        keepers=["pos/*", "POS.exe.config*"],
        watches_databases=False,
    )


def write_vendors(path: Path) -> None:
    """A configuration file as the vendor's POS has it."""
    path.write_text(
        '<?xml version="1.0"?>\r\n<configuration>\r\n'
        '  <configSections><section name="AxRetailPOS" type="any" /></configSections>\r\n'
        "  <AxRetailPOS StoreId='old' Partner=\"x\" />\r\n</configuration>\r\n",
        encoding="utf-8",
    )
    path.chmod(0o600)
