# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a vendor's script for SQL Server, whatever it does to its connection."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine import mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Target
from ansible_collections.axops.retail.plugins.module_utils._schema import scripts, upgrade


class Connection:
    """A script's own connection: it has a place for notes, and counts rows unless it was told not to."""

    engine = mssql

    def __init__(self, database="RetailChannel", stored=None):
        self.target, self.stored = Target("mssql", "houston", database), stored or database
        self.said, self.notes, self.counts = [], {}, True

    def __enter__(self):
        return self

    def __exit__(self, *_exc_info):
        pass

    @contextlib.contextmanager
    def transaction(self):
        yield self

    def run_batch(self, sql):
        self.said.append(sql)
        if "SET NOCOUNT ON" in sql:
            self.counts = False
        if "DROP NOTES" in sql:
            self.notes.clear()
        if "USE other" in sql:
            self.stored = "other"
        return []

    def execute(self, sql, *parameters):
        self.said.append(sql)
        verb, touched = sql.split()[0], 0
        if verb == "INSERT":
            self.notes[parameters[0]], touched = parameters[1:], 1
        elif verb == "UPDATE" and parameters[-1] in self.notes:
            self.notes[parameters[-1]], touched = parameters[:-1], 1
        elif verb == "DELETE":
            touched = int(self.notes.pop(parameters[0], None) is not None)
        return touched if self.counts else -1

    def row(self, sql, *parameters):
        self.said.append(sql)
        if "@@TRANCOUNT" in sql:
            return 0, self.stored
        return self.notes.get(parameters[0])

    def value(self, sql, *parameters):
        row = self.row(sql, *parameters)
        return row and row[0]


def run(text, connection):
    scripts.make_run(mssql, upgrade.Script("up.sql", text), None).carry_out(lambda: connection)


def test_a_script_that_switches_counts_off_is_noted_all_the_same():
    connection = Connection()
    run("SET NOCOUNT ON\nGO\nPRINT 'two'\nGO\nPRINT 'three'\nGO", connection)
    assert [sql.strip() for sql in connection.said if "PRINT" in sql] == ["PRINT 'two'", "PRINT 'three'"]
    assert connection.notes == {}


def test_a_script_that_leaves_no_place_for_its_note_is_stopped_also_without_counts():
    connection = Connection()
    with pytest.raises(scripts.ScriptFailed, match="batch 2 of 3, line 3: it left no place to note what was run"):
        run("SET NOCOUNT ON\nGO\nDROP NOTES\nGO\nPRINT 'never'\nGO", connection)
    assert not any("never" in sql for sql in connection.said)


def test_a_script_ends_in_the_database_that_it_began_in_however_that_was_declared():
    """Where cases are not told apart, retailchannel is RetailChannel, and the server calls it that."""
    run("PRINT 'one'", Connection("retailchannel", "RetailChannel"))
    with pytest.raises(scripts.ScriptFailed, match="leaves the database for other at its end"):
        run("USE other", Connection("retailchannel", "RetailChannel"))


def test_an_error_that_a_script_looks_after_itself_does_not_doom_its_transaction():
    """As with sqlcmd and the vendor's utility, XACT_ABORT is off while the script runs, and nowhere else."""
    connection = Connection()
    run("PRINT 'one'", connection)
    assert connection.said.index("SET XACT_ABORT OFF") < connection.said.index("PRINT 'one'")
    assert "XACT_ABORT ON" in mssql.connect._SETTINGS


def test_counts_are_on_whatever_the_servers_options_for_users_say():
    assert "SET NOCOUNT OFF" in mssql.connect._SETTINGS.split("; ")
