# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade packages in the vendor's form, through ansible-playbook: run once, in order, and resumed where they failed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pgserver
import pytest
from offline_world import connection
from playbook_world import Playbook

MODULE = "retail_channel_db"
ROW = "<POSISUPGRADES><UPGRADEVERSION>{}</UPGRADEVERSION><UPGRADESCRIPT>{}</UPGRADESCRIPT></POSISUPGRADES>"

FIRST = """CREATE TABLE ax."FRUIT" (name text PRIMARY KEY)
GO
/*
GO
*/
INSERT INTO ax."FRUIT" VALUES ('apple
GO
')
GO
DO $$ BEGIN RAISE NOTICE 'Fruit is there'; END $$
go;
"""
BROKEN = """BEGIN
GO
INSERT INTO ax."FRUIT" VALUES ('rolled back')
GO
ROLLBACK
GO
INSERT INTO ax."FRUIT" VALUES ('pear')
GO

INSERT INTO ax."FRUIT" VALUES (nonsense)
GO
INSERT INTO ax."FRUIT" SELECT 'plum ' || count(*) FROM ax."FRUIT"
GO 2
"""


@pytest.fixture
def options(pg_server: pgserver.PgServer) -> Iterator[dict[str, Any]]:
    name = "Channel " + secrets.token_hex(4)
    yield connection(pg_server.facts(name))
    pg_server.drop_database(name)


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


@pytest.fixture
def query(pg_server: pgserver.PgServer, options: dict[str, Any]) -> Callable[[str], list[Any]]:
    def run(sql: str) -> list[Any]:
        database = pg_server.connect(options["database"], autocommit=True)
        try:
            rows = database.execute(sql)
            return [tuple(row) for row in rows.fetchall()] if rows.description else []
        finally:
            database.close()

    return run


def package(folder: Path, scripts: dict[str, str | bytes]) -> str:
    """A package: scripts by release; an empty one is no upgrade path."""
    folder.mkdir(exist_ok=True)
    rows = []
    for release, text in scripts.items():
        file = f"Upgrade{release}.sql" if text else ""
        rows.append(ROW.format(release, file.upper()))
        if text:
            (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8-sig"))
    (folder / "POSISUpgrades.xml").write_text("<NewDataSet>%s</NewDataSet>" % "".join(rows), encoding="utf-8")
    return str(folder)


def test_scripts_run_in_the_order_of_their_numbers_and_resume_where_they_failed(options, playbook, query, tmp_path):
    # As numbers 6.3.200 comes after 6.3.199, and 6.3.1000 last of all.
    scripts = {"6.3.1000.1": BROKEN.encode("utf-16"), "6.3.200.0": FIRST, "6.3.9.0": "SELECT never"}
    declared = {**options, "package": package(tmp_path / "package", scripts)}
    failed = playbook.task(MODULE, **declared)
    assert failed["failed"]
    assert failed["changed"], failed
    assert "Upgrade6.3.1000.1.sql".upper() in failed["msg"]
    assert ", batch 5 of 6, line 10: the database refused: " in failed["msg"]
    assert (failed["script"]["batch"], failed["script"]["line"]) == (5, 10)
    assert 'column "nonsense" does not exist' in failed["script"]["message"]
    assert failed["pending"] == [
        "Run UPGRADE6.3.1000.1.SQL, to release 6.3.1000.1, 7 batches",
        "Give groups their rights on what the scripts made",
    ]
    assert query('SELECT "TEXT" FROM dbo."POSISINFO"') == [("6.3.200.0",)]
    assert query('SELECT name FROM ax."FRUIT" ORDER BY 1') == [("apple\nGO\n",), ("pear",)]

    (tmp_path / "package" / "Upgrade6.3.1000.1.sql").write_text(BROKEN.replace("'pear'", "'peach'"), encoding="utf-8")
    assert "was changed in what was run of it already" in playbook.fail(MODULE, **declared)["msg"]
    mended = BROKEN.replace("(nonsense)", "('mended')")
    (tmp_path / "package" / "Upgrade6.3.1000.1.sql").write_text(mended, encoding="utf-8")
    foretold = playbook.succeed(MODULE, "--check", "--diff", **declared)
    assert foretold["pending"] == foretold["steps"]
    done = playbook.succeed(MODULE, "--diff", **declared)
    assert done["pending"] == []
    for key in ("changed", "steps", "diff", "release", "previous_release"):
        assert done[key] == foretold[key], key
    assert (done["previous_release"], done["release"]) == ("6.3.200.0", "6.3.1000.1")
    assert [(one["batches"], one["resumed_at"]) for one in done["scripts"]] == [(7, 5)]
    assert query('SELECT count(*), max(name) FROM ax."FRUIT"') == [(5, "plum 4")]
    assert query("SELECT count(*) FROM dbo.upgrade_progress") == [(0,)]
    history = query('SELECT "UPGRADETYPE", "FILENAME", "BUILD" FROM crt."RETAILUPGRADEHISTORY" ORDER BY "ID"')
    assert [row[1:] for row in history[1:]] == [
        ("UPGRADE6.3.200.0.SQL", "6.3.200.0"),
        ("UPGRADE6.3.1000.1.SQL", "6.3.1000.1"),
    ]
    rights = query("SELECT has_table_privilege('RetailOfflineSyncUsers', 'ax.\"FRUIT\"', 'insert')")
    assert [bool(int(row[0])) for row in rights] == [True]
    assert not playbook.succeed(MODULE, **declared)["changed"]

    (tmp_path / "package" / "POSISUpgrades.xml").unlink()
    lower = {**options, "package": package(tmp_path / "package", {"6.3.200.0": FIRST})}
    assert "a downgrade would lose data" in playbook.fail(MODULE, release="6.3.200.0", **lower)["msg"]
    ended = {**options, "package": package(tmp_path / "ended", {"6.3.1000.1": "", "6.3.1000.2": "SELECT 1"})}
    assert "There is no upgrade path from release 6.3.1000.1 to 6.3.1000.2" in playbook.fail(MODULE, **ended)["msg"]


def test_customisations_run_once_by_name_and_print(options, playbook, query, tmp_path):
    custom = tmp_path / "custom"
    custom.mkdir()
    (custom / "b.sql").write_text('INSERT INTO dbo."LIST" VALUES (2)', encoding="utf-8")
    (custom / "A.sql").write_text(
        "CREATE TABLE dbo.\"LIST\" (a int)\nGO\nDO $$ BEGIN RAISE NOTICE 'made for %', 'Zoë'; END $$", encoding="utf-8"
    )
    declared = {**options, "customizations": str(custom)}
    done = playbook.succeed(MODULE, **declared)
    assert [one["file"] for one in done["scripts"]] == ["A.sql", "b.sql"]
    assert done["scripts"][0]["messages"] == ["NOTICE: made for Zoë"]
    assert done["release"] == "6.3.158.0"
    assert not playbook.succeed(MODULE, **declared)["changed"]
    (custom / "b.sql").write_text("SELECT changed", encoding="utf-8")
    again = playbook.succeed(MODULE, **declared)
    assert not again["changed"]
    assert "b.sql was changed since it ran" in again["warnings"][0]
    assert query('SELECT a FROM dbo."LIST"') == [(2,)]
    history = query(
        """SELECT "FILENAME" FROM crt."RETAILUPGRADEHISTORY" WHERE "UPGRADETYPE" = 'CUSTOM' ORDER BY "ID" """
    )
    assert history == [("A.sql",), ("b.sql",)]


def test_nonsense_is_refused_before_anything_is_made(pg_server, options, playbook, tmp_path):
    folder = package(tmp_path / "package", {"6.3.200.0": FIRST})
    index = tmp_path / "package" / "POSISUpgrades.xml"

    def refused(**more: Any) -> str:
        return playbook.fail(MODULE, **{**options, "package": folder, **more})["msg"]

    assert "mutually exclusive" in refused(extensions=["contoso"])
    assert "Release 6.3.201.0 is unknown. The package leads to: 6.3.158.0, 6.3.200.0." in refused(release="6.3.201.0")
    assert "There is no file POSISUPGRADES.xml in" in refused(package=str(tmp_path))
    index.write_text("<a>" + ROW.format("6.3.200.0", "../../etc/passwd") + "</a>", encoding="utf-8")
    assert "outside of the package" in refused()
    index.write_text("<a>" + ROW.format("6.3.200.0", "missing.sql") + "</a>", encoding="utf-8")
    assert "There is no file missing.sql in" in refused()
    index.write_text('<!DOCTYPE a [<!ENTITY b "c">]><a/>', encoding="utf-8")
    assert "document type definition" in refused()
    index.write_text("<a/>", encoding="utf-8")
    assert "has no rows with UPGRADEVERSION" in refused()
    databases = pg_server.connect().execute("SELECT datname FROM pg_database").fetchall()
    assert options["database"] not in [row[0] for row in databases]
