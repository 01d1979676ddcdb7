# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The throwaway servers themselves: what every other integration test stands on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pgserver
import pytest

KILLED_OWNER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import pgserver
with pgserver.throwaway("orphan") as server:
    print(server.pid, server.directory.parent, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_server_comes_back_with_what_was_committed(pg_server, scratch_database):
    connection = pgserver.connect(scratch_database, autocommit=True)
    connection.execute("CREATE TABLE t (a int)")
    connection.execute("INSERT INTO t VALUES (7)")
    pg_server.kill()
    assert not pg_server.is_running
    pg_server.start()
    assert pgserver.connect(scratch_database).execute("SELECT a FROM t").fetchval() == 7


def test_a_stopped_server_refuses_connections_and_starts_on_the_same_port(pg_server, scratch_database):
    port = pg_server.port
    pg_server.stop("fast")
    with pytest.raises(Exception, match="refused"):
        pgserver.connect(scratch_database)
    pg_server.start()
    assert pg_server.port == port
    assert pgserver.connect(scratch_database).execute("SELECT 1").fetchval() == 1


def test_another_process_finds_the_server_by_its_directory(pg_server):
    again = pgserver.PgServer(pg_server.directory)
    assert (again.port, again.password, again.pid) == (pg_server.port, pg_server.password, pg_server.pid)


def test_secrets_are_for_the_owner_only(pg_server):
    assert pg_server.record.stat().st_mode & 0o077 == 0
    leftovers = [path.name for path in pg_server.log.parent.iterdir() if path.name.startswith("pw-")]
    assert leftovers == []


def test_a_wrong_password_is_refused(pg_server):
    with pytest.raises(Exception, match="password authentication failed"):
        pgserver.connect({**pg_server.facts(), "password": "wrong"})


def test_two_servers_share_nothing(scratch_pair):
    first, second = scratch_pair
    assert first["port"] != second["port"]
    assert first["password"] != second["password"]


def test_destroy_leaves_a_foreign_directory_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(pgserver.PgServerError, match="left alone"):
        pgserver.PgServer(tmp_path).destroy()
    assert (tmp_path / "photos").is_dir()


def test_the_server_of_a_killed_owner_is_swept(repository):
    owner = [sys.executable, "-c", KILLED_OWNER, str(repository / "tools")]
    pid, home = subprocess.run(owner, capture_output=True, text=True, check=False).stdout.split()
    for _ in range(100):  # another worker may be sweeping it at this very moment
        pgserver.sweep_throwaways()
        if not Path(home).exists():
            break
        time.sleep(0.05)
    assert not Path(home).exists()
    assert pgserver.process_state(int(pid)) in (None, "Z")


def test_a_server_whose_owner_was_killed_while_removing_it_is_swept(tmp_path, monkeypatch):
    """What is left of it says no more what it was."""
    home = tmp_path / (pgserver.THROWAWAY_PREFIX + "a-half")
    (home / "pg" / "data" / "pg_wal").mkdir(parents=True)
    (home / "owner.lock").touch()
    monkeypatch.setattr(pgserver, "MEMORY", str(tmp_path))
    monkeypatch.setattr(pgserver, "DISK", str(tmp_path / "nowhere"))
    assert pgserver.sweep_throwaways() == [str(home)]
    assert not home.exists()
