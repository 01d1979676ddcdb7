# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retail_pos_config as a user calls it: by ansible-playbook."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from playbook_world import Playbook

MODULE = "retail_pos_config"
SECRET = "t1ll;s3cret"
WANTED = {
    "store_id": "HOUSTON",
    "register_id": "000001",
    "legal_entity": "usrt",
    "channel_server": "houston-db.example.com",
    "channel_database": "RetailChannel",
    "channel_login_user": "till",
    "channel_login_password": SECRET,
    "offline_server": "localhost\\SQLEXPRESS",
    "offline_database": "RetailOffline",
}
VENDORS = (
    b"\xef\xbb\xbf"
    + b"""<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <configSections><section name="AxRetailPOS" type="any" /></configSections>
  <!-- of a partner --><AxRetailPOS StoreId='old' Partner="x" />
</configuration>
""".replace(b"\n", b"\r\n")
)


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_what_a_dry_run_foretells_is_done_once(playbook: Playbook, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pos" / "file"
    options: dict[str, Any] = {"path": str(path), "format": kind, "backup": True, **WANTED}
    if kind == "xml":
        path.parent.mkdir()
        path.write_bytes(VENDORS)
    dry = playbook.succeed(MODULE, "--check", "--diff", "-vvv", **options)
    assert path.read_bytes() == VENDORS if kind == "xml" else not path.parent.exists()
    real = playbook.succeed(MODULE, "--diff", "-vvv", **options)
    again = playbook.succeed(MODULE, "--diff", **options)
    assert (dry["changed"], real["changed"], again["changed"]) == (True, True, False)
    assert (dry["diff"], dry["steps"]) == (real["diff"], real["steps"]) and again["steps"] == []
    assert SECRET in path.read_text(encoding="utf-8-sig")
    for result in (dry, real, again):
        assert "s3cret" not in json.dumps(result)
    if kind == "xml":
        assert Path(real["backup_file"]).read_bytes() == VENDORS
        assert path.read_bytes().startswith(VENDORS[: VENDORS.index(b"'old'")] + b"'HOUSTON'")
    else:
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"register_id": "00000000001"}, "more than 10 characters"),
        ({"section": "AxRetailPOS2"}, "does not declare one"),
        ({"channel_engine": "postgresql"}, "cannot connect to"),
        ({"owner": "nobody-of-this-name"}, "Create the account first"),
        ({"mode": "u=rw"}, "is no mode"),
    ],
)
def test_bad_input_changes_nothing_and_says_what_to_do(
    playbook: Playbook, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = tmp_path / "pos" / "POS.exe.config"
    path.parent.mkdir()
    path.write_bytes(VENDORS)
    refusal = playbook.fail(MODULE, path=str(path), format="xml", **{**WANTED, **changes})
    assert words in refusal["msg"] and refusal["advice"]
    assert "s3cret" not in json.dumps(refusal)
    assert path.read_bytes() == VENDORS and os.listdir(path.parent) == [path.name]
