# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done at headquarters, and by whom."""

from __future__ import annotations

from typing import Any

import pytest
from access import FORBIDDEN, FORBIDDEN_WHERE_TRACKED, check_refused, check_unreadable, secret
from inventory import addresses

testinfra_hosts = addresses("hq")

DATABASE = "RetailHQ"


def ask(host: Any, sql: str) -> str:
    """What the server's administrator sees."""
    command = "runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --dbname=%s --command=%s"
    return str(host.check_output(command, DATABASE, sql)).strip()


def test_the_services_login_is_in_its_group_and_is_no_administrator(host: Any) -> None:
    groups = """SELECT string_agg(g.rolname, ' ') FROM pg_roles u JOIN pg_auth_members m ON m.member = u.oid
                JOIN pg_roles g ON g.oid = m.roleid
                WHERE u.rolname = 'retail_sync' AND NOT (u.rolsuper OR u.rolcreatedb OR u.rolcreaterole)"""
    assert ask(host, groups) == "RetailDataSyncUsers"


@pytest.mark.parametrize(("user", "kind"), [("retail_sync", "sync"), ("pos", "pos")])
def test_a_login_cannot_do_what_it_must_not(host: Any, user: str, kind: str) -> None:
    # no store, no tracking: the scenario of headquarters alone
    tracked = ask(host, "SELECT to_regclass('ax.\"RETAILTRANSACTIONTABLE_tracking\"') IS NOT NULL") == "t"
    statements = FORBIDDEN + (FORBIDDEN_WHERE_TRACKED if tracked else ())
    check_refused(host, user, secret(kind), DATABASE, statements)


def test_no_secret_is_readable_by_others(host: Any) -> None:
    check_unreadable(host, secret("admin"), secret("sync"), secret("pos"))
