# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role hq leaves at headquarters; who may do what there is tested by shared/tests/test_headquarters.py."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["docker://hq-hq01"]


def ask(host: Any, sql: str) -> str:
    command = "runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --dbname=RetailHQ --command=%s"
    return str(host.check_output(command, sql)).strip()


def test_the_server_runs_now_and_after_a_reboot(host: Any) -> None:
    assert host.service("postgresql").is_enabled
    assert host.service("postgresql").is_running


def test_the_database_has_the_release_and_the_tables(host: Any) -> None:
    assert ask(host, 'SELECT "TEXT" FROM dbo."POSISINFO" WHERE "ID" = \'DBVERSION\'') == "6.3.158.0"
    assert int(ask(host, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('ax', 'crt', 'dbo')")) >= 547


def test_the_profile_is_declared_and_stores_have_it(host: Any) -> None:
    stores = """SELECT count(*) FROM ax."RETAILSTORETABLE" s JOIN ax."RETAILOFFLINEPROFILE" p
                ON p."RECID" = s."OFFLINEPROFILE" WHERE p."NAME" = 'Default pr'"""
    assert ask(host, stores) == "2"
    assert int(ask(host, 'SELECT count(*) FROM ax."RETAILOFFLINESCOPETABLES"')) > 0
