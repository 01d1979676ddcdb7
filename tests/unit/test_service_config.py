# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's configuration: what is taken, what is refused, and what may be shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.axops.retail.plugins.module_utils._sync import config
from ansible_collections.axops.retail.plugins.module_utils._sync.config import ConfigError

SIDE = {"engine": "postgresql", "host": "localhost", "database": "offline", "user": "sync", "password": "s3cret"}


def document(**more: Any) -> dict[str, Any]:
    return {"name": "HOUSTON-000001", "child": dict(SIDE), "parent": {**SIDE, "database": "channel"}, **more}


def parse(**more: Any) -> config.ServiceConfig:
    return config.parse(json.dumps(document(**more)))


def test_the_least_that_is_needed() -> None:
    parsed = parse()
    assert (parsed.interval, parsed.heartbeat, parsed.log_level, parsed.log_file) == (10, 300, "info", "")
    assert parsed.frequency_floor == 5
    assert parsed.child.application_name == parsed.parent.application_name == "Retail Offline Sync Service"


def test_text_and_back() -> None:
    parsed = parse(interval=2.5, log_file="/var/log/sync.log")
    assert config.parse(config.dumps(parsed)) == parsed
    assert config.dumps(config.parse(config.dumps(parsed))) == config.dumps(parsed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../x"}, "no name"),
        ({"interval": 0.5}, "'interval'"),
        ({"interval": True}, "'interval'"),
        ({"interval": "10"}, "'interval'"),
        ({"name": "HOUSTON\n"}, "no name"),
        ({"interval": float("inf")}, "'interval'"),
        ({"interval": float("nan")}, "'interval'"),
        ({"keep": {"log": float("inf")}}, "'log'"),
        ({"heartbeat": 0}, "'heartbeat'"),
        ({"frequency_floor": 0}, "'frequency_floor'"),
        ({"log_level": "loud"}, "loud"),
        ({"log_file": 1}, "'log_file'"),
        ({"color": "blue"}, "color"),
        ({"child": None}, "'child'"),
        ({"child": {**SIDE, "engine": "oracle"}}, "no engine"),
        ({"child": {**SIDE, "database": ""}}, "no database"),
        ({"child": {**SIDE, "port": "5432"}}, "'port'"),
        ({"child": {**SIDE, "application_name": "x"}}, "application_name"),
        ({"child": {**SIDE, "host": " "}}, "The connection 'child': The name of the database server is empty."),
        ({"child": {**SIDE, "port": 0}}, "0 is no TCP port of the database server localhost."),
        ({"parent": {**SIDE, "port": 65536}}, "The connection 'parent': 65536 is no TCP port"),
        ({"parent": {**SIDE, "login_timeout": -1}}, "login_timeout"),
    ],
)
def test_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(**changes)
    assert words in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_what_is_no_json_is_not_quoted() -> None:
    with pytest.raises(ConfigError) as refusal:
        config.parse('{"password": "s3cret",')
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "service.json"
    path.write_text(json.dumps(document()), encoding="utf-8")
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"{mode:04o}"):
        config.load(str(path))
    path.chmod(0o600)
    assert config.load(str(path)) == parse()


def test_a_missing_file_and_one_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(str(tmp_path / "missing"))
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    os.chmod(path, 0o600)
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(str(path))


def test_what_is_shown_has_no_password() -> None:
    shown = config.redacted(config.document(parse()))
    assert "s3cret" not in json.dumps(shown)
    assert shown["child"]["password"] == shown["parent"]["password"] == config.HIDDEN
    assert "s3cret" not in repr(parse())
