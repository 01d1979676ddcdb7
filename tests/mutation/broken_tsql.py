# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises that SQL Server's speaker keeps in words of its own, each broken. They need the server that RETAIL_TEST_MSSQL names."""

from __future__ import annotations

from broken_invariants import KEYS, SESSIONS
from mutant import Mutant

DIGESTS = "tests/integration/test_digests.py::"
ENGINE = "tests/integration/test_mssql_engine.py::"
RIGHTS = "tests/integration/test_mssql_rights.py::"
TSQL_KEYS = "tests/integration/test_mssql_keys.py::"
TSQL_SESSIONS = "tests/integration/test_mssql_sessions.py::"

MUTANTS = (
    Mutant(
        "mssql-highest-mark",
        "2 A low-water mark, never a maximum",
        "The next anchor is the highest version that was given, not the lowest that is undecided.",
        "_engine.mssql.marks",
        (
            (
                "    return int(db.value(_LOW if probes.has_low_mark(db) else _LOW_SUBSTITUTE))\n",
                '    return int(db.value("SELECT CAST(@@DBTS AS bigint)")) + 1\n',
            ),
        ),
        (SESSIONS + "test_a_transaction_that_was_open_is_not_passed_over[mssql]",),
    ),
    Mutant(
        "mssql-no-window",
        "4 Re-delivery changes nothing",
        "The parent does not remember what it took above the anchor.",
        "_engine.mssql.applying",
        (("WHERE i.v >= {low} AND i.act <> 'seen'", "WHERE 1 = 0 AND i.v >= {low} AND i.act <> 'seen'"),),
        (SESSIONS + "test_delivering_again_changes_nothing[mssql]",),
    ),
    Mutant(
        "mssql-identical-loosely",
        "4 Re-delivery changes nothing",
        "Texts are compared by the database's collation: letters' case and trailing blanks do not count.",
        "_engine.mssql.applying",
        (('    if texts.is_text(column):\n        return "CONVERT', '    if False:\n        return "CONVERT'),),
        (SESSIONS + "test_letters_and_trailing_blanks_count_as_different[mssql]",),
    ),
    Mutant(
        "mssql-origin-null-unsafe",
        "5 No echo",
        "A row without an origin counts as the peer's.",
        "_engine.mssql.changes",
        (
            (
                '    return "(t.origin IS NULL OR t.origin <> %d)" % int(extract.not_origin)',
                '    return "(t.origin <> %d)" % int(extract.not_origin)',
            ),
        ),
        (SESSIONS + "test_changes_and_deletions_come_down[mssql]",),
    ),
    Mutant(
        "mssql-all-triggers-silent",
        "5 No echo",
        "What a trigger of the application writes into a table while rows are applied to it is not tracked.",
        "_engine.mssql.tracking",
        (('"IF TRIGGER_NESTLEVEL() = 1 AND CAST(', '"IF CAST('),),
        (
            ENGINE + "test_a_write_of_another_trigger_is_a_change_even_while_the_table_is_applied",
            SESSIONS + "test_triggers_of_the_application_do_not_make_ping_pong[mssql]",
        ),
    ),
    Mutant(
        "mssql-no-row-locks",
        "6 Check and write are one",
        "Rows, and the gaps in their place, are not locked before their tracking is read.",
        "_engine.mssql.applying",
        ((" AS r WITH (UPDLOCK, HOLDLOCK) ON %s ", " AS r ON %s "),),
        (SESSIONS + "test_a_pos_that_writes_the_row_being_applied_loses_nothing[mssql]",),
    ),
    Mutant(
        "mssql-trigger-keeps-a-row",
        "7 Nothing is silently overwritten",
        "A change that a trigger INSTEAD OF the statement has left alone passes for written.",
        "_engine.mssql.applying",
        (("    return unchanged + _misplaced(db, sql)\n", "    return _misplaced(db, sql)\n"),),
        (
            TSQL_SESSIONS
            + "test_a_change_that_a_trigger_keeps_from_a_row_is_put_aside[child-parent:mssql-mssql-update]",
        ),
    ),
    Mutant(
        "mssql-spelling-stays",
        "7 Nothing is silently overwritten",
        "A key that changes in letter case alone keeps the old one on the other side.",
        "_engine.mssql.changes",
        (("    better = (row if extract.spelled else tracked) or key\n", "    better = key\n"),),
        (TSQL_KEYS + "test_another_letter_case_of_a_key_travels",),
    ),
    Mutant(
        "mssql-spelled-for-all",
        "7 Nothing is silently overwritten",
        "A key travels as it is spelled now to those, too, who take that for another key.",
        "_engine.mssql.changes",
        (("    better = (row if extract.spelled else tracked) or key\n", "    better = row or tracked or key\n"),),
        (TSQL_KEYS + "test_a_spelling_of_sql_server_stays_there[below]",),
    ),
    Mutant(
        "mssql-copies-by-the-database",
        "7 Nothing is silently overwritten",
        "The copies of a key have the database's collation, which takes two of its keys for one.",
        "_engine.mssql.texts",
        (("    collation = column.collation or otherwise\n", "    collation = otherwise\n"),),
        (TSQL_KEYS + "test_keys_that_differ_in_letter_case_alone_are_rows_of_their_own",),
    ),
    Mutant(
        "mssql-half-is-an-error",
        "8 A sale never arrives in halves",
        "A text with half of a pair of UTF-16 that stands alone is an error where it is read, and stops everything.",
        "_engine.mssql.texts",
        (('        return spelled(data.decode("utf-16-le", "surrogatepass"))\n', "        raise\n"),),
        (
            TSQL_SESSIONS
            + "test_a_text_that_is_no_unicode_travels_where_it_can_be_held_and_stops_nothing_elsewhere[child-parent:mssql-postgresql]",
        ),
    ),
    Mutant(
        "mssql-no-tombstone",
        "9 Deletes travel where the scope says so",
        "A deletion leaves no tombstone.",
        "_engine.mssql.tracking",
        (('"delete": _deleted}', '"delete": lambda table: "RETURN"}'),),
        (SESSIONS + "test_changes_and_deletions_come_down[mssql]",),
    ),
    Mutant(
        "mssql-old-key-stays",
        "9 Deletes travel where the scope says so",
        "A row whose key changes keeps its old key above.",
        "_engine.mssql.changes",
        (('" AND NOT (%s AND t.sync_row_is_tombstone <> 2)"', '" AND NOT (%s)"'),),
        (KEYS + "test_a_key_change_in_an_upload_scope_reaches_every_tier[renamed-mssql]",),
    ),
    Mutant(
        "mssql-blanks-count",
        "Audit",
        "The blanks that fill up a text of fixed length count as differences from one engine to the other.",
        "_engine.mssql.digests",
        (('"RTRIM(%s)" % value if one.family == "fixed" else value', "value"),),
        (DIGESTS + "test_both_engines_compute_the_same_digests",),
    ),
    Mutant(
        "mssql-readers-write-tracking",
        "Rights",
        "Who may read a table may write its tracking.",
        "_engine.mssql.companions",
        (
            (
                "N'GRANT ' + g.permission_name COLLATE DATABASE_DEFAULT + N' ON '",
                "N'GRANT SELECT, INSERT, UPDATE, DELETE ON '",
            ),
        ),
        (RIGHTS + "test_what_comes_to_stand_beside_a_table_is_written_by_those_who_write_it",),
    ),
)
