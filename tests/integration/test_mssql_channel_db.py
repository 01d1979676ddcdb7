# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retail_channel_db on SQL Server: made, upgraded by the vendor's scripts, and removed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mssql_world as world
import pytest
from playbook_world import Playbook

from ansible_collections.axops.retail.plugins.module_utils import _engine

pytestmark = world.needs_server
MODULE = "retail_channel_db"

SCRIPT = """SET NOCOUNT ON; PRINT N'Grüße';
GO
/* GO
GO
*/
CREATE TABLE [ax].[FRU IT] (name nvarchar(20) NOT NULL PRIMARY KEY);
go
BEGIN TRANSACTION;
INSERT INTO [ax].[FRU IT] VALUES (N'rolled back');
GO
ROLLBACK TRANSACTION;
GO
INSERT INTO [ax].[FRU IT] VALUES (N'it''s
GO
');
GO
BEGIN TRANSACTION;
BEGIN TRY INSERT INTO [ax].[FRU IT] VALUES (NULL); END TRY
BEGIN CATCH INSERT INTO [ax].[FRU IT] VALUES (N'mended'); END CATCH;
COMMIT TRANSACTION;
GO
PRINT 'on its way'; INSERT INTO [ax].[NO SUCH] VALUES (1);
GO
CREATE PROCEDURE [dbo].[COUNTFRUIT] AS SELECT COUNT(*) FROM [ax].[FRU IT];
GO
"""


@pytest.fixture
def options() -> Iterator[dict[str, Any]]:
    at = world.server()
    name = "channel_" + secrets.token_hex(4)
    values = {
        "engine": "mssql", "server": at.host, "port": at.port, "login_user": at.user, "login_password": at.password,
        "driver": at.driver, "encrypt": at.encrypt, "trust_server_certificate": at.trust_server_certificate,
        "database": name,
    }  # fmt: skip
    yield values
    with _engine.connect(at) as server:
        for statement in world.ENGINE.databases.drop(name):
            server.execute(statement)


def left_to_do(result: dict[str, Any], options: dict[str, Any]) -> list[str]:
    with _engine.connect(world.server().on(options["database"])) as db:
        return world.left_to_do(db, result["steps"])


def test_a_database_is_made_upgraded_by_scripts_and_removed(options, tmp_path: Path) -> None:
    playbook = Playbook(tmp_path)
    login = "pos " + secrets.token_hex(4)
    declared = {
        **options,
        "logins": [{"name": login, "password": "Str0ng.Passw0rd", "update_password": "on_create"}],
        "groups": [{"name": "Auditors", "members": [login], "permissions": ["read"]}],
    }
    made = playbook.succeed(MODULE, **declared)
    assert made["tables_created"] == 548
    again = playbook.succeed(MODULE, **declared)
    assert left_to_do(again, options) == []
    assert again["statements"] <= 12 or again["changed"]

    folder = tmp_path / "package"
    folder.mkdir()
    row = "<row UPGRADEVERSION='6.3.200.0' UPGRADESCRIPT='up.sql'/>"
    (folder / "POSISUPGRADES.xml").write_text(f"<a>{row}</a>", encoding="utf-8")
    (folder / "up.sql").write_bytes(SCRIPT.replace("\n", "\r\n").encode("utf-16"))
    declared["package"] = str(folder)
    failed = playbook.task(MODULE, **declared)
    assert "up.sql, batch 7 of 8, line 22: the database refused: " in failed["msg"]
    assert "no such" in failed["script"]["message"].lower()
    assert failed["script"]["messages"] == ["Grüße", "on its way"], "what the batch that failed had printed, too"
    mended = SCRIPT.replace("PRINT 'on its way'; INSERT INTO [ax].[NO SUCH] VALUES (1);", "PRINT 'mended';")
    (folder / "up.sql").write_text(mended, encoding="utf-8")
    done = playbook.succeed(MODULE, **declared)
    assert (done["previous_release"], done["release"]) == ("6.3.158.0", "6.3.200.0")
    assert [(one["resumed_at"], one["messages"]) for one in done["scripts"]] == [(7, ["mended"])]
    assert left_to_do(playbook.succeed(MODULE, **declared), options) == []
    with _engine.connect(world.server().on(options["database"])) as db:
        names = [row[0] for row in db.query("SELECT name FROM [ax].[FRU IT] ORDER BY name")]
        assert names[0].split() == ["it's", "GO"] and names[1:] == ["mended"]
        assert db.value("EXEC dbo.COUNTFRUIT") == 2

    gone = {**options, "state": "absent", "logins": [{"name": login, "state": "absent"}]}
    assert playbook.succeed(MODULE, **gone)["steps"] == [f"Drop database {options['database']}", f"Drop login {login}"]
    assert not playbook.succeed(MODULE, **gone)["changed"]
