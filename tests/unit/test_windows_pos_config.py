# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retail_pos_config for a Windows host: the real action plugin, by ansible-playbook; what is Windows is a stand-in (windows_till)."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from windows_till import STAND_INS, Till

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.modules import retail_pos_config
from ansible_collections.axops.retail.plugins.plugin_utils.windows_file import WindowsFile

SECRET = "t1ll;s3cret"
FILE = "C:\\Retail POS\\POS.exe.config"
OURS = "C:\\ProgramData\\Retail POS\\HOUSTON-000001.json"
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
XML = {"path": FILE, "format": "xml", **WANTED}
JSON = {"path": OURS, **WANTED}
VENDORS = (
    b"\xef\xbb\xbf"
    + b"""<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <configSections><section name="AxRetailPOS" type="any" /></configSections>
  <!-- of a partner --><AxRetailPOS StoreId='old' DATAAREAID="abc"   Partner="x" />
</configuration>
""".replace(b"\n", b"\r\n")
)
CHANNEL = (
    "Data Source=houston-db.example.com;Initial Catalog=RetailChannel;User ID=till;Password=&quot;t1ll;s3cret&quot;;"
    "Persist Security Info=False;Pooling=True;Encrypt=True;TrustServerCertificate=False"
)
OFFLINE = (
    "Data Source=localhost\\SQLEXPRESS;Initial Catalog=RetailOffline;Integrated Security=True;"
    "Persist Security Info=False;Pooling=True;Encrypt=True;TrustServerCertificate=False"
)
#: Byte for byte: what is not ours stays what it was.
EDITED = (
    VENDORS.replace(b"'old'", b"'HOUSTON'")
    .replace(b'"abc"', b'"usrt"')
    .replace(
        b'Partner="x"',
        b'Partner="x" TerminalId="000001" StoreDatabaseConnectionString="%s" OfflineDatabaseConnectionString="%s"'
        % (CHANNEL.encode(), OFFLINE.encode()),
    )
)
READS = ["win_stat", "slurp"]


@pytest.fixture
def till(tmp_path: Path) -> Till:
    """A till that the POS is installed on."""
    till = Till(tmp_path)
    (till.drive / "Retail POS").mkdir()
    (till.drive / "Retail POS" / "POS.exe.config").write_bytes(VENDORS)
    return till


def content(till: Till, path: str = FILE) -> bytes:
    return till.files()[path.removeprefix("C:\\").replace("\\", "/")]


def shows_password(text: str) -> bool:
    """As it is, as JSON and XML write it, or in the form in which files travel."""
    whole = [SECRET[start : start + 9].encode() for start in range(3)]
    return any(part in text for part in ("s3cret", *[base64.b64encode(part).decode() for part in whole]))


def is_as_documented(result: dict[str, Any]) -> bool:
    """The keys are those that the module documents, and what Ansible itself has."""
    documented = yaml.safe_load(retail_pos_config.RETURN)
    when = "failure" if result.get("failed") else "success"
    wanted = {name for name, facts in documented.items() if facts["returned"].startswith(when)}
    shown = {name for name in result if not name.startswith("_")}
    return wanted <= shown <= {*documented, "changed", "failed", "msg", "diff", "exception"}


def test_the_vendors_file_is_edited_in_place_and_once(till: Till) -> None:
    dry = till.task(XML, "--check", "--diff")
    assert content(till) == VENDORS and till.names() == READS, "a dry run only reads"
    real = till.task({**XML, "backup": True}, "--diff")
    assert content(till) == EDITED
    assert till.names() == [*READS, *READS, "on the controller", "win_copy"], "read again just before it is written"
    again = till.task({**XML, "backup": True}, "--diff")
    assert till.names() == READS and content(till) == EDITED
    assert (dry["changed"], real["changed"], again["changed"]) == (True, True, False)
    assert is_as_documented(dry) and is_as_documented(real) and is_as_documented(again)
    assert dry["diff"] == real["diff"] and dry["steps"] == real["steps"] and dry["pending"] == real["steps"]
    assert real["steps"] == ["Write the register's settings to " + FILE]
    assert (real["pending"], again["steps"], again["diff"]) == ([], [], {"before": {}, "after": {}})
    assert real["file"] == FILE
    kept = real["backup_file"]
    assert kept.startswith(FILE + ".") and content(till, kept) == VENDORS
    assert "backup_file" not in dry and "backup_file" not in again


def test_nothing_shows_the_password_at_any_verbosity(till: Till) -> None:
    changed = {**XML, "channel_login_password": SECRET + "2"}
    for options in (XML, changed):
        result = till.task(options, "--diff", "-vvvvvv")
        assert result["changed"] and b"s3cret" in content(till)
        assert not shows_password(json.dumps(result)) and not shows_password(till.said)
        assert not shows_password(json.dumps(till.asked)), "passwords are in no module's options"
    assert "(changed)" in json.dumps(result["diff"]), "a password that alone changes is seen to change"
    (brought,) = [options for name, options in till.asked if name == "on the controller"]
    assert brought["mode"] == "0600" and not Path(brought["path"]).exists()
    assert not list(till.folder.glob("remote/*")), "nothing is left in the temporary folder of the host"


def test_settings_come_out_again_and_leave_the_rest(till: Till) -> None:
    absent = {"path": FILE, "format": "xml", "state": "absent"}
    _written, result, again = till.tasks([XML, {**absent, "backup": True}, absent])
    rest = VENDORS.replace(b" StoreId='old'", b"").replace(b' DATAAREAID="abc"', b"")
    assert result["changed"] and content(till) == rest
    assert content(till, result["backup_file"]) == EDITED
    assert not again["changed"]


def test_a_file_of_our_own_comes_and_goes(till: Till) -> None:
    absent = {"path": OURS, "state": "absent"}
    dry = till.task(JSON, "--check", "--diff")
    assert not (till.drive / "ProgramData").exists()
    real, again = till.tasks([JSON, JSON], "--diff")
    assert (dry["steps"], dry["diff"]) == (real["steps"], real["diff"])
    folder = "C:\\ProgramData\\Retail POS"
    assert real["steps"] == ["Create the folder " + folder, "Write the register's settings to " + OURS]
    assert not again["changed"]
    found = json.loads(content(till, OURS))
    assert (found["store_id"], found["channel"]["password"]) == ("HOUSTON", SECRET)
    dry = till.task({**absent, "backup": True}, "--check")
    assert dry["changed"] and content(till, OURS)
    gone, again = till.tasks([{**absent, "backup": True}, absent], "--diff")
    assert not shows_password(json.dumps(gone)) and gone["steps"] == dry["steps"]
    assert not (till.drive / "ProgramData/Retail POS/HOUSTON-000001.json").exists()
    assert json.loads(content(till, gone["backup_file"])) == found
    assert not again["changed"]


def test_a_link_stays_a_link(till: Till) -> None:
    link = till.drive / "link.config"
    link.symlink_to(till.drive / "Retail POS" / "POS.exe.config")
    result = till.task({**XML, "path": "C:\\link.config"})
    assert content(till) == EDITED and link.is_symlink()
    assert result["steps"] == ["Write the register's settings to " + FILE]
    assert result["file"] == "C:\\link.config"


def test_a_file_that_somebody_changes_meanwhile_is_left_alone(till: Till) -> None:
    refusal = till.task(XML, STAND_IN_MEDDLES="1")
    assert refusal["failed"] and refusal["error"] == "Somebody changed %s meanwhile." % FILE
    assert (refusal["advice"], refusal["changed"], refusal["steps"]) == ("Run again.", False, [])
    assert refusal["pending"] == ["Write the register's settings to " + FILE]
    assert content(till) == VENDORS + b"<!-- mine -->" and "win_copy" not in till.names()
    assert is_as_documented(refusal)


def test_what_was_done_before_a_step_failed_is_said(till: Till) -> None:
    refusal = till.task(JSON, STAND_IN_REFUSES="win_copy")
    assert refusal["failed"] and refusal["changed"], refusal
    assert refusal["steps"] == ["Create the folder C:\\ProgramData\\Retail POS"]
    assert refusal["pending"] == ["Write the register's settings to " + OURS]
    assert refusal["error"] == OURS + " cannot be written: Access to the path is denied."
    assert not shows_password(json.dumps(refusal))
    assert till.task(JSON)["steps"] == ["Write the register's settings to " + OURS], "the next run does the rest"


REFUSED = [
    ({**XML, "path": "C:\\none\\POS.exe.config"}, "Install the POS first"),
    ({**XML, "path": "C:\\Retail POS"}, "is a folder"),
    ({**XML, "path": "/mnt/till/POS.exe.config"}, "is no full path on Windows.*delegate_to"),
    ({**XML, "path": "~\\POS.exe.config"}, "is no full path on Windows"),
    ({**XML, "mode": "0600"}, "no such mode as.*win_acl"),
    ({**XML, "owner": "a", "group": "b"}, "no such owner and group as.*win_owner"),
    ({**XML, "register_id": "00000000001"}, "more than 10 characters"),
    ({**XML, "channel_engine": "postgresql"}, "cannot connect to"),
    ({**XML, "section": "AxRetailPOS2"}, "does not declare one"),
]


def test_bad_input_changes_nothing_and_says_what_to_do(till: Till) -> None:
    refusals = till.tasks([options for options, _words in REFUSED])
    for (_options, words), refusal in zip(REFUSED, refusals):
        assert refusal["failed"] and not refusal.get("changed"), words
        assert refusal["msg"] == "%s %s" % (refusal["error"], refusal["advice"]) and refusal["advice"]
        assert re.search(words, refusal["msg"]) and is_as_documented(refusal), refusal
    assert not shows_password(till.said)
    assert till.files() == {"Retail POS/POS.exe.config": VENDORS}


def test_options_are_those_of_the_module(till: Till) -> None:
    missing, unknown, unsupported = till.tasks(
        [{"path": FILE, "format": "xml"}, {**XML, "format": "yaml"}, {**XML, "registerid": "1"}]
    )
    assert "missing: store_id, register_id, channel_database" in missing["msg"] and missing["failed"]
    assert "value of format must be one of: json, xml" in unknown["msg"] and unknown["failed"]
    assert "Unsupported parameters" in unsupported["msg"] and unsupported["failed"]
    assert till.asked == []


def test_without_the_collection_for_windows_it_says_how_to_get_it(till: Till, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "ansible_collections"
    alone.mkdir(parents=True)
    (alone / "axops_tests").symlink_to(STAND_INS / "ansible_collections" / "axops_tests")
    ours = Path(__file__).resolve().parents[5]
    refusal = till.task(XML, ANSIBLE_COLLECTIONS_PATH="%s:%s" % (alone.parent, ours))
    assert refusal["error"].startswith("The collection ansible.windows is not there")
    assert refusal["advice"].endswith("ansible-galaxy collection install ansible.windows")


def test_where_another_host_does_it_the_module_runs_there(till: Till, tmp_path: Path) -> None:
    """Delegated, the connection is the other host's: modes and all. In the background it runs there only."""
    path = tmp_path / "mounted.json"
    elsewhere = {
        "axops.retail.retail_pos_config": {**JSON, "path": str(path), "mode": "0640"},
        "delegate_to": "localhost",
    }
    background = {"async": 60, "poll": 1}
    tasks = [{**elsewhere, **background}, {"axops.retail.retail_pos_config": XML, **background}]
    assert till.play(tasks) == 2, till.said
    assert path.stat().st_mode & 0o777 == 0o640 and till.said.count("changed: [till") == 1
    assert "On Windows this does not run in the background. Leave async out." in till.said
    assert till.asked == [] and content(till) == VENDORS


@pytest.mark.parametrize("fails", [False, True])
def test_the_file_on_the_controller_is_always_removed(fails: bool) -> None:
    seen: list[Path] = []

    def module(name: str, _given: dict[str, Any]) -> dict[str, Any]:
        assert name == "win_stat"
        return {"stat": {"exists": False}}

    def copy(_name: str, given: dict[str, Any]) -> dict[str, Any]:
        seen.append(Path(given["src"]))
        assert seen[0].read_bytes() == b"content" and seen[0].stat().st_mode & 0o777 == 0o600
        assert given["decrypt"] is False
        if fails:
            raise ConnectionError("gone")
        return {"changed": True, "backup_file": None}

    place = WindowsFile(FILE, None, True, module, copy)
    assert place.read() is None
    if fails:
        with pytest.raises(ConnectionError):
            place.write(b"content", None)
    else:
        place.write(b"content", None)
    assert len(seen) == 1 and not os.path.exists(seen[0]) and place.backup_file == ""


@pytest.mark.parametrize("path", ["D:/POS/x", "d:\\x", "\\\\till-01\\pos\\POS.exe.config", "%ProgramFiles%\\x"])
def test_full_paths_of_windows(path: str) -> None:
    assert WindowsFile(path, None, False, lambda *_: {}, lambda *_: {}).path == path


@pytest.mark.parametrize("path", ["POS.exe.config", "C:POS.exe.config", "\\POS\\x", "/x", "\\\\till", "~/x", ""])
def test_other_paths(path: str) -> None:
    with pytest.raises(RetailError, match="no full path on Windows"):
        WindowsFile(path, None, False, lambda *_: {}, lambda *_: {})


def test_what_was_not_read_whole_is_refused() -> None:
    answers = {"win_stat": {"stat": {"exists": True, "isdir": False, "path": FILE}}, "slurp": {"content": "%%%"}}
    with pytest.raises(RetailError, match="was not read whole"):
        WindowsFile(FILE, None, False, lambda name, _given: answers[name], lambda *_: {}).read()
