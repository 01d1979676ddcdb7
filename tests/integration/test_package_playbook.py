# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package in the vendor's form and a partner's scripts, through the playbooks: at headquarters by site, at a store by upgrade.

What they do to one database, and where they are resumed, is test_channel_upgrade.py's. How a store with its registers is upgraded
while it sells is test_upgrade_playbook.py's.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pgserver
import pytest
from offline_world import connect, connection
from playbook_world import Playbook, collections

from ansible_collections.axops.retail.plugins.module_utils._sync import metadata

OLD, NEW = "6.3.158.0", "6.3.1000.309"
PACKAGE = f"""<POSISUPGRADES><POSISUPGRADES><UPGRADEVERSION>{NEW}</UPGRADEVERSION><UPGRADESCRIPT>UP.SQL</UPGRADESCRIPT>
</POSISUPGRADES></POSISUPGRADES>"""


@dataclass
class Chain:
    """Headquarters, and a store that is fed by somebody else: what is tested is the databases, so nothing is between the two."""

    folder: Path
    server: pgserver.PgServer
    mark: str

    def facts(self, tier: str) -> dict[str, Any]:
        return self.server.facts(f"axops_{self.mark}_{tier}")

    def start(self, tier: str, book: str, *arguments: str) -> subprocess.Popen[str]:
        executable = Path(sys.executable).with_name("ansible-playbook")
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections()), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.Popen(
            [str(executable), "-i", str(self._inventory(tier)), f"axops.retail.{book}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )  # fmt: skip

    def _inventory(self, tier: str) -> Path:
        """Of one of them alone."""
        facts = self.facts(tier)
        found = {"server": facts["host"], "port": facts["port"], "database": facts["database"]}
        found.update(login_user=facts["user"], login_password=facts["password"])
        host = {"retail_store_id": "HOUSTON", **{f"retail_{tier}_{name}": value for name, value in found.items()}}
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "retail_engine": "postgresql",
            "retail_encrypt": "no",
            "retail_release": NEW,
            "retail_upgrade_package": str(self.folder / "package"),
            "retail_customizations": str(self.folder / "scripts"),
            "retail_upgrade_directory": str(self.folder / "record"),
            # its turn is in test_upgrade_playbook.py
            "retail_upgrade_backup": False,
        }
        children = {{"hq": "hq", "channel": "store_servers"}[tier]: {"hosts": {tier: host}}}
        path = self.folder / "inventory.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"all": {"children": children, "vars": common}}), encoding="utf-8")
        return path

    def found(self, tier: str) -> tuple[Any, ...]:
        """The release of a database, what the package made, how often the partner's script ran, and what a group may do."""
        with connect(self.facts(tier)) as db:
            return (
                db.value('SELECT "TEXT" FROM dbo."POSISINFO" WHERE "ID" = \'DBVERSION\''),
                [row[0] for row in db.query('SELECT name FROM ax."FRUIT"')],
                db.value("SELECT count(*) FROM dbo.ran"),
                bool(int(db.value("SELECT has_table_privilege('RetailDataSyncUsers', 'ax.\"FRUIT\"', 'select')"))),
            )


@pytest.fixture
def chain(tmp_path: Path, pg_server: pgserver.PgServer) -> Iterator[Chain]:
    made = Chain(tmp_path, pg_server, secrets.token_hex(3))
    scripts = {
        "package/POSISUpgrades.xml": PACKAGE,
        "package/Up.sql": 'CREATE TABLE ax."FRUIT" (name text PRIMARY KEY)\nGO\nINSERT INTO ax."FRUIT" VALUES (\'plum\')\n',
        "scripts/partner.sql": "CREATE TABLE IF NOT EXISTS dbo.ran (a int)\nGO\nINSERT INTO dbo.ran VALUES (1)\n",
    }
    for name, text in scripts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    yield made
    for tier in ("hq", "channel"):
        pg_server.drop_database(made.facts(tier)["database"])


def put_aside(db: Any) -> None:
    """A row that is in this database alone."""
    for table in metadata.TABLES:
        for statement in db.engine.tables.create(table):
            db.execute(statement)
    db.execute(
        "INSERT INTO dbo.sync_quarantine (peer_id, sync_scope_name, table_name, error, header, row_image) "
        "VALUES (1, 'Sales', 'ax.CUSTTABLE', 'e', '{}', '{}')"
    )


def test_headquarters_gets_what_its_stores_get(chain: Chain) -> None:
    printed, _nothing = (process := chain.start("hq", "site", "--tags", "database")).communicate(timeout=120)
    assert process.returncode == 0, printed
    assert chain.found("hq") == (NEW, ["plum"], 1, True)


def test_a_store_goes_to_the_release_of_a_package_once_its_rows_are_safe(chain: Chain) -> None:
    """The look before it runs nothing, so it is not refused; the scripts are, as long as a row is in this database alone."""
    facts = chain.facts("channel")
    Playbook(chain.folder).succeed("retail_channel_db", release=OLD, **connection(facts))
    with connect(facts) as db:
        put_aside(db)
        process = chain.start("channel", "upgrade")
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "FAILED - RETRYING" in line:
                assert db.value("SELECT to_regclass('ax.\"FRUIT\"')") is None
                db.execute("DELETE FROM dbo.sync_quarantine")
    assert process.wait() == 0, "".join(lines)
    retried = sum("FAILED - RETRYING" in line for line in lines)
    assert 1 <= retried < 10, "".join(lines)
    assert chain.found("channel") == (NEW, ["plum"], 1, True)
    record = json.loads((chain.folder / "record" / "upgrade-HOUSTON.json").read_text(encoding="utf-8"))
    assert (record["state"], record["from"], record["to"]) == ("finished", OLD, NEW)
