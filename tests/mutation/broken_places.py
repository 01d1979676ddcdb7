# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that came to another server, tables that are rewritten, and rows that no statement can name: each rule switched off."""

from __future__ import annotations

from broken_invariants import RESTORED
from mutant import Mutant

REWRITTEN = "tests/integration/test_rewritten_tables.py::"
ROOM = "tests/integration/test_lock_room.py::"
CROSSINGS = "tests/integration/test_crossings.py::"
MOVED = "A database restored or moved"

MUTANTS = (
    Mutant(
        "rewritten-looks-empty",
        "7 Nothing is silently overwritten",
        "A table that was rewritten since the snapshot is read as it looks in it: empty.",
        "_engine.postgresql.changes",
        (("    marks.check_seen(db, _read_by(extract))\n", ""),),
        (REWRITTEN + "test_a_sale_goes_up", REWRITTEN + "test_an_item_stays_at_the_child"),
    ),
    Mutant(
        "members-rewritten",
        "First synchronisation",
        "Only the table itself is looked at for a rewrite, not those that say which of its rows are meant for a channel.",
        "_engine.postgresql.changes",
        (
            (
                "    return [name, tracking.tracking_name(name), *others]\n",
                "    return [name, tracking.tracking_name(name)]\n",
            ),
        ),
        (REWRITTEN + "test_a_load_under_a_filter_is_whole",),
    ),
    Mutant(
        "lines-rewritten",
        "Old data on a small register",
        "A sale goes although its lines cannot be seen, since their table was rewritten.",
        "_engine.postgresql.marks",
        (("    if found:\n", "    if False:\n"),),
        (CROSSINGS + "test_a_sale_stays_whole_whose_lines_were_rewritten_while_old_ones_are_purged",),
    ),
    Mutant(
        "asides-of-the-old-server",
        MOVED,
        "What was put aside of a database keeps the numbers of its transactions when that comes to another server.",
        "_sync.anew",
        (("        quarantine.renumber(db, peer_id, stranger.engine.tracking.number_elsewhere)\n", "        pass\n"),),
        (RESTORED + "test_what_a_moved_sender_begins_is_not_taken_for_what_was_put_aside",),
    ),
    Mutant(
        "landed-of-the-old-server",
        MOVED,
        "What had landed of a download counts as read, although it went with the move.",
        "_sync.anew",
        (("else json.dumps(_landing_anew(child, scope, ours))", "else json.dumps(ours.landing)"),),
        (RESTORED + "test_what_had_landed_arrives",),
    ),
    Mutant(
        "came-with-its-first-table",
        MOVED,
        "All that a restore wrote after its first table counts as changed here.",
        "_engine.postgresql.moved",
        (
            ("FROM pg_constraint a WHERE a.conrelid =", "FROM pg_attribute a WHERE a.attrelid ="),
            ("\"AND a.contype = 'p')\"", '"AND a.attnum = 1)"'),
        ),
        (RESTORED + "test_a_correction_at_the_parent_is_not_undone_by_a_moved_till",),
    ),
    Mutant(
        "filled-though-purged",
        MOVED,
        "A register that lost nothing brings back what its parent has purged.",
        "_sync.transfer",
        (("    table, fill = shared.child, anew.parent_lost\n", "    table, fill = shared.child, True\n"),),
        (RESTORED + "test_what_was_purged_stays_purged",),
    ),
    Mutant(
        "torn-and-left",
        MOVED,
        "Provisioning again leaves a pair of which one side was restored as it is.",
        "_offline.relation",
        (('    if relation.torn:\n        title = "Let', '    if False:\n        title = "Let'),),
        (RESTORED + "test_provisioning_again_makes_good_what_the_service_would",),
    ),
    Mutant(
        "retry-locks-the-sender",
        "A session",
        "A retry locks the sender's row, which takes the right to change it.",
        "_sync.retry",
        (("table.travelling_columns, _wire(row.key[1:]), False)", "table.travelling_columns, _wire(row.key[1:]))"),),
        ("tests/integration/test_retry_rights.py::test_a_retry_needs_no_more_than_a_session_does",),
    ),
    Mutant(
        "key-without-a-name",
        "8 A sale never arrives in halves",
        "A landing is to go on behind a row whose key no statement can name.",
        "_sync.transfer",
        (("if last <= highest and None not in key and _can_be_sent(key):", "if last <= highest and None not in key:"),),
        ("tests/integration/test_no_unicode_key.py::test_one_such_row_stops_no_other",),
    ),
    Mutant(
        "narrow-copies",
        "The channel database is upgraded first",
        "A key that an upgrade widens stays narrow in its tracking, and in the logs of filters.",
        "_engine.postgresql.tables",
        ((", *(_alter_copies(name, column) for column in held)]", "]"),),
        ("tests/integration/test_widened_keys.py::test_longer_keys_are_sold_and_travel",),
    ),
    Mutant(
        "all-at-once",
        "Deadlock, snapshot conflict, lost connection",
        "A look asks for all tables at once, and holds the locks of all of them.",
        "_engine.postgresql.heads",
        (
            (
                '        yield from db.query(" UNION ALL ".join(parts[start : start + TOGETHER]))\n',
                '        yield from db.query(" UNION ALL ".join(parts)) if start == 0 else ()\n',
            ),
        ),
        (
            ROOM + "test_a_look_after_an_outage_locks_few_tables_at_once",
            ROOM + "test_what_is_counted_is_counted_in_few_tables_at_once",
        ),
    ),
    Mutant(
        "asked-once-a-row",
        "8 A sale never arrives in halves",
        "What was put aside of a large transaction is asked for once a row.",
        "_sync.quarantine",
        (("        if (table, version) not in self._images:\n", "        if True:\n"),),
        ("tests/integration/test_put_aside_memory.py::test_a_large_transaction_asks_once_what_was_put_aside_of_it",),
    ),
)
