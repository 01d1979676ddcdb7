# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must happen when life is not as it should be, each rule switched off."""

from __future__ import annotations

from broken_invariants import KEYS, KILLED, PROMISES, RESTORED, REVIEW, SESSIONS
from mutant import Mutant

LATER = "tests/integration/test_sessions_later.py::"
MOMENTS = "tests/integration/test_lost_moments.py::"
LIFE = "tests/integration/test_life.py::"
PACKAGE = "tests/integration/test_first_load_package.py::"
VERIFY = "tests/integration/test_verify_rows.py::"
LOOP = "tests/integration/test_service_loop.py::"
FILTERS = "tests/integration/test_row_filters.py::"

MUTANTS = (
    Mutant(
        "token-after-the-session",
        "A session",
        "The child commits the token of a session when what it sent up was taken.",
        "_sync.transfer",
        (
            (
                "    landing.claim()\n    transfer = _apply(",
                (
                    '    landing.claim() if not way.upload else setattr(landing, "token", str(uuid.uuid4()))\n'
                    "    transfer = _apply("
                ),
            ),
            (
                "    landing.took()\n    links",
                (
                    "    landing.took()\n    if way.upload:\n        tokens.child, tokens.given = landing.token, True\n"
                    '        way.sender.execute("UPDATE dbo.scope_info SET previous_token = session_token, session_token = ? '
                    'WHERE peer_id = 0 AND sync_scope_name = ?", landing.token, way.scope.name)\n    links'
                ),
            ),
        ),
        KILLED,
    ),
    Mutant(
        "locks-kept",
        "Deadlock, snapshot conflict, lost connection",
        "A session keeps the locks of each table that it has read until it has read the last one.",
        "_engine.postgresql.changes",
        (
            (
                '"ROLLBACK TO SAVEPOINT one_table; RELEASE SAVEPOINT one_table"',
                '"CLOSE changes; RELEASE SAVEPOINT one_table"',
            ),
        ),
        ("tests/integration/test_lock_room.py::test_a_session_that_reads_many_tables_holds_the_locks_of_one",),
    ),
    Mutant(
        "landed-in-vain",
        "Deadlock, snapshot conflict, lost connection",
        "A landing that was cut off within one large transaction begins that transaction anew.",
        "_sync.transfer",
        (('        last = {fields["table"]: fields.get("upto") for', '        last = {fields["table"]: None for'),),
        (SESSIONS + "test_one_transaction_that_no_connection_lives_long_enough_for_lands_piece_by_piece",),
    ),
    Mutant(
        "token-before-the-snapshot",
        "A database restored or moved",
        "The sender commits the token of what is read before its snapshot, and may lose what came in between without it.",
        "_sync.transfer",
        (
            (
                """        with self.way.sender.engine.marks.snapshot(self.way.sender) as mark:
            self.token, self.reading = "", True
""",
                """        self.claim()
        with self.way.sender.engine.marks.snapshot(self.way.sender) as mark:
            self.reading = True
""",
            ),
        ),
        (
            PROMISES + "test_what_is_taken_is_taken_with_a_token_that_is_younger_than_what_was_read",
            MOMENTS + "test_what_a_child_wrote_between_the_token_of_a_session_and_its_snapshot",
        ),
    ),
    Mutant(
        "landed-without-a-token",
        "A database restored or moved",
        "What has landed, and was not applied, is not taken as a session of its own.",
        "_sync.transfer",
        (
            ('"UPDATE %s SET landing = ?, %s = ? WHERE', '"UPDATE %s SET landing = COALESCE(?, %s, ?) WHERE'),
            ("        self.took()\n        self.pending", "        self.pending"),
        ),
        (MOMENTS + "test_what_had_landed_of_moments_that_are_lost",),
    ),
    Mutant(
        "parent-not-told-before-a-download",
        "A database restored or moved",
        "A child takes from its parent, and does not know then that the parent has committed which session it is.",
        "_sync.transfer",
        (
            (
                '"anchor_seen": anchor.seen, token_column(way): token}',
                '"anchor_seen": anchor.seen, **({token_column(way): token} if way.upload else {})}',
            ),
        ),
        (MOMENTS + "test_what_a_parent_does_after_it_lost_its_last_moments_comes_down",),
    ),
    Mutant(
        "anchors-ahead-unnoticed-at-rest",
        "A database restored or moved",
        "An anchor beyond what the sender has come to counts only once the sender has something to send.",
        "_sync.session",
        (("    return state.anchor_in is not None and state.anchor_in > low\n", "    return False\n"),),
        (MOMENTS + "test_an_anchor_that_lies_ahead_of_an_idle_sender_is_noticed_before_it_is_passed",),
    ),
    Mutant(
        "put-aside-counts-as-taken",
        "A database restored or moved",
        "What the parent has put aside counts as taken when the child begins anew, and leaves the quarantine unseen.",
        "_sync.transfer",
        (('        if kind != "changed":\n', "        if False:\n"),),
        (RESTORED + "test_what_the_parent_has_put_aside_stays_there_when_the_child_begins_anew",),
    ),
    Mutant(
        "retry-by-version",
        "A database restored or moved",
        "Of two images in quarantine the one with the higher version is stored, whichever server gave it.",
        "_sync.retry",
        (
            (
                "for row in group if row.source > 0 or not _has_newer(way, row)}\n",
                "for row in sorted(group, key=lambda row: row.version) if row.source > 0 or not _has_newer(way, row)}\n",
            ),
        ),
        (RESTORED + "test_of_two_images_in_quarantine_the_one_put_aside_last_is_stored",),
    ),
    Mutant(
        "retry-leaves-the-child-behind",
        "A database restored or moved",
        "What is stored from quarantine stays with the parent although the child has lost it.",
        "_sync.retry",
        (("            self._give_back(newest)\n", ""),),
        (RESTORED + "test_a_child_that_lost_a_change_which_the_parent_has_put_aside_gets_it_back",),
    ),
    Mutant(
        "alone-by-version",
        "A database restored or moved",
        "A row that stood alone is tried again over a newer one whose version another server gave.",
        "_sync.retry",
        (
            (
                "    if int(version or 0) == row.version:\n",
                "    if int(version or 0) <= row.version:\n",
            ),
        ),
        (RESTORED + "test_a_row_that_stood_alone_yields_to_one_of_another_server",),
    ),
    Mutant(
        "tokens-not-compared",
        "A database restored or moved",
        "Sessions go on although they do not continue each other.",
        "_sync.session",
        (("    return theirs.session_token in (ours.session_token, ours.previous_token)", "    return True"),),
        (
            SESSIONS + "test_a_parent_that_knows_older_sessions_only_is_given_everything_again",
            RESTORED + "test_a_server_put_back_to_an_earlier_moment_begins_anew",
        ),
    ),
    Mutant(
        "anchors-ahead-accepted",
        "A database restored or moved",
        "An anchor beyond what the sender has come to is taken as it is.",
        "_sync.transfer",
        (("    if newest > low:", "    if False:"),),
        (SESSIONS + "test_an_anchor_ahead_of_the_sender_begins_the_scope_anew",),
    ),
    Mutant(
        "incarnation-ignored",
        "A database restored or moved",
        "A database that is not the known one is taken for it.",
        "_sync.pair",
        (("        if actual != expected.incarnation:", "        if False:"),),
        (SESSIONS + "test_another_database_in_the_place_of_the_child_is_noticed",),
    ),
    Mutant(
        "moved-sales-joined",
        "A database restored or moved",
        "All that waits is one transaction once the database is on another server.",
        "_engine.postgresql.tracking",
        (
            (
                "WHEN t.origin IS NULL AND t.source_transaction IS NULL THEN {source}",
                "WHEN t.origin IS NULL AND t.source_transaction IS NULL AND {source} IS NULL THEN 0",
            ),
        ),
        (RESTORED + "test_a_refused_sale_holds_up_no_other_after_a_move",),
    ),
    Mutant(
        "moved-links-forgotten",
        "A database restored or moved",
        "Which transactions wrote the same row is forgotten once the database is on another server.",
        "_engine.postgresql.tracking",
        (("        _keep_links(table),", ""),),
        (RESTORED + "test_what_wrote_one_row_is_put_aside_together_after_a_move",),
    ),
    Mutant(
        "moved-keys-forgotten",
        "A database restored or moved",
        "Which row had a key before is forgotten once the database is on another server.",
        "_engine.postgresql.tracking",
        (("        _keep_moves(table),", ""),),
        (RESTORED + "test_a_purge_after_a_move_erases_nothing_whose_key_has_changed",),
    ),
    Mutant(
        "moved-versions-kept",
        "A database restored or moved",
        "Versions of another server are compared with those of this one.",
        "_engine.postgresql.marks",
        (('    return old.split(":")[:2] == new.split(":")[:2]', "    return True"),),
        (RESTORED + "test_what_is_sold_after_a_move_travels_although_its_version_looks_old",),
    ),
    Mutant(
        "clone-accepted",
        "A database restored or moved",
        "A clone of a living till takes its place.",
        "_sync.identity",
        (("    if accepted is None or _is_in_place_of(accepted.instance, instance):", "    if True:"),),
        (RESTORED + "test_the_clone_of_a_living_till_is_refused_and_the_till_goes_on",),
    ),
    Mutant(
        "sessions-meet",
        "A session",
        "Two sessions of one pair and scope run at the same time.",
        "_engine.postgresql.locks",
        (("        yield taken\n", "        yield True\n"),),
        (SESSIONS + "test_two_sessions_of_a_scope_do_not_meet",),
    ),
    Mutant(
        "lost-lock-unnoticed",
        "A session",
        "A session that has lost its lock commits over what another has done.",
        "_sync.tokens",
        (("    if claimed != 1:", "    if False:"),),
        (REVIEW + "test_a_session_that_lost_its_lock_brings_nothing_old",),
    ),
    Mutant(
        "probe-finds-nothing",
        "A session",
        "The question for what is new finds nothing.",
        "_engine.postgresql.heads",
        (("    return [\n        position\n", "    return [] and [\n        position\n"),),
        (SESSIONS + "test_changes_and_deletions_come_down",),
    ),
    Mutant(
        "baseline-untracked",
        "First synchronisation",
        "Rows that a child had before it was provisioned do not travel.",
        "_engine.postgresql.tracking",
        (
            (
                '        "WHERE NOT EXISTS (SELECT 1 FROM {tracking} t WHERE {match}) ON CONFLICT DO NOTHING"',
                '        "WHERE 1 = 0 AND NOT EXISTS (SELECT 1 FROM {tracking} t WHERE {match}) ON CONFLICT DO NOTHING"',
            ),
        ),
        (SESSIONS + "test_what_a_child_had_before_it_was_provisioned_goes_up",),
    ),
    Mutant(
        "loads-without-deletions",
        "First synchronisation",
        "A load brings rows, and not the deletions that are still known.",
        "_engine.postgresql.changes",
        (("    if not extract.filter or extract.removes:", "    if False:"),),
        (PROMISES + "test_a_load_brings_the_deletions_that_are_known",),
    ),
    Mutant(
        "package-is-now",
        "First synchronisation",
        "After a package is loaded only what changes from then on is read.",
        "_sync.transfer",
        (
            (
                "        landing.low[name] = part.low\n",
                '        landing.low[name] = int(way.sender.value("SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text)"))\n',
            ),
        ),
        (PACKAGE + "test_a_register_loads_from_the_package_and_takes_what_changed_since",),
    ),
    Mutant(
        "package-never-expires",
        "First synchronisation",
        "A package is used although it has expired.",
        "_sync.package",
        (
            (
                "    if ages.clock(pair.parent) >= package.expires or package.has_aged(ages.look(pair.parent)):",
                "    if False:",
            ),
        ),
        (PACKAGE + "test_a_package_that_is_damaged_expired_or_open_to_others_is_not_used",),
    ),
    Mutant(
        "package-unchecked",
        "First synchronisation",
        "A chunk of a package is used although its checksum is another.",
        "_sync.package",
        (("        if hashlib.sha256(content).hexdigest() != digest:", "        if False:"),),
        (PACKAGE + "test_a_package_that_is_damaged_expired_or_open_to_others_is_not_used",),
    ),
    Mutant(
        "package-undoes-uploads",
        "First synchronisation",
        "What the child has sent since a package was made is not read again after it was loaded.",
        "_sync.transfer",
        (
            (
                "(state.anchor_in is None or table in landing.packaged)",
                "state.anchor_in is None and table not in landing.packaged",
            ),
        ),
        (PACKAGE + "test_what_a_child_has_sent_since_the_package_was_made_is_not_undone",),
    ),
    Mutant(
        "package-for-nothing",
        "First synchronisation",
        "A table that comes to a live scope is read from the parent although it is in the package.",
        "_sync.session",
        (("return ours.anchor_in is None or None in ours.landing.values()", "return ours.anchor_in is None"),),
        (PACKAGE + "test_a_table_that_comes_to_a_live_scope_loads_from_the_package",),
    ),
    Mutant(
        "package-open-to-others",
        "First synchronisation",
        "A package that others can read, and might have changed, is used.",
        "_sync.package",
        (("            if stat.S_IMODE(os.stat(place).st_mode) & 0o077:", "            if False:"),),
        (PACKAGE + "test_a_package_that_others_may_read_is_not_asked",),
    ),
    Mutant(
        "package-of-lost-moments",
        "First synchronisation",
        "A package is used although its parent has lost the moments in which it was made.",
        "_sync.package",
        (('    if not _is_remembered(package, pair):\n        return "its', '    if False:\n        return "its'),),
        (PACKAGE + "test_a_package_that_its_parent_does_not_remember_is_not_used",),
    ),
    Mutant(
        "package-landed-in-vain",
        "First synchronisation",
        "A table of a package that has landed lands again after the load was cut off.",
        "_sync.transfer",
        (("taken = landing.low.get(name, state.anchor_in) is not None", "taken = state.anchor_in is not None"),),
        (PACKAGE + "test_making_and_loading_go_on_where_they_were_cut_off",),
    ),
    Mutant(
        "baseline-put-aside-again",
        "First synchronisation",
        "A row of a baseline that cannot be stored is put aside again with each load.",
        "_sync.quarantine",
        (("            return _plain(row) in self._of_baseline(table)", "            return False"),),
        (REVIEW + "test_a_bad_row_of_the_baseline_is_put_aside_once_however_often_it_is_loaded",),
    ),
    Mutant(
        "load-over-changes",
        "First synchronisation",
        "A load overwrites rows that were changed here and have tracking.",
        "_sync.rules",
        (
            (
                '        changed_here = "t.version IS NOT NULL AND (t.origin IS NULL OR t.origin <> 0)"',
                '        changed_here = "1 = 0"',
            ),
        ),
        (PROMISES + "test_a_load_gives_no_row_up_unseen_that_was_changed_here",),
    ),
    Mutant(
        "stale-not-noticed",
        "Register away for long",
        "A child that has missed deletions goes on as if it had not.",
        "_sync.session",
        (("    return scope.downloads and oldest is not None", "    return False and oldest is not None"),),
        (LIFE + "test_a_child_away_for_longer_than_deletions_are_kept_uploads_and_loads_again",),
    ),
    Mutant(
        "stale-not-merged",
        "Register away for long",
        "A child that loads again keeps the rows that are not in the load.",
        "_sync.merge",
        (("        if name in landed and name not in merging.spared:", "        if False:"),),
        (LIFE + "test_a_child_away_for_longer_than_deletions_are_kept_uploads_and_loads_again",),
    ),
    Mutant(
        "deletions-forgotten-early",
        "Register away for long",
        "A deletion is forgotten before every live child has taken it.",
        "_sync.cleanup",
        (
            (
                "        holds = sends and peer_id not in stale and (acked is not None or peer_id == PARENT)",
                "        holds = False",
            ),
        ),
        (LIFE + "test_a_deletion_is_forgotten_when_it_is_old_and_every_live_child_has_taken_it",),
    ),
    Mutant(
        "moves-forgotten-early",
        "Register away for long",
        "A move under a filter, or out of it, is forgotten before every live child has taken it.",
        "_sync.cleanup",
        (
            (
                "cleaned.moves += yield from _forget(db, _Memory(moves.name), concerned, horizon, cleaned)",
                "cleaned.moves += yield from _forget(db, _Memory(moves.name), [], horizon, cleaned)",
            ),
        ),
        (FILTERS + "test_a_move_is_forgotten_when_it_is_old_and_every_live_channel_has_taken_it",),
    ),
    Mutant(
        "horizon-not-raised",
        "Register away for long",
        "Deletions are forgotten, and nothing says up to where.",
        "_sync.cleanup",
        (("            _raise_anchors(db, uses, _newest(db, memory, gone, int(bound)))\n", ""),),
        (LIFE + "test_a_child_away_for_longer_than_deletions_are_kept_uploads_and_loads_again",),
    ),
    Mutant(
        "horizon-raised-for-the-deleter",
        "Register away for long",
        "A child that has deleted rows itself loads everything again when that is forgotten.",
        "_sync.cleanup",
        (
            (
                "for origin, version in newest.items() if origin != use.peer_id]",
                "for origin, version in newest.items()]",
            ),
        ),
        (LATER + "test_what_a_child_has_deleted_itself_does_not_make_it_load_again_when_it_is_forgotten",),
    ),
    Mutant(
        "memory-asked-too-early",
        "Register away for long",
        "What a cleanup forgets between a session's beginning and its snapshot is never heard of.",
        "_sync.transfer",
        (("        _check_memory(way, state, landing)\n", ""),),
        (LATER + "test_a_deletion_that_is_forgotten_while_a_session_begins_is_heard_of",),
    ),
    Mutant(
        "load-without-own-rows",
        "Register away for long",
        "A merged load that was cut off deletes what the child has sent up since.",
        "_sync.transfer",
        (("(state.anchor_in is None or table in landing.packaged)", "table in landing.packaged"),),
        (LATER + "test_what_the_child_does_while_a_merged_load_is_cut_off_stays",),
    ),
    Mutant(
        "upkeep-at-rest-only",
        "Register away for long",
        "Nothing is cleaned up as long as there is always something to move.",
        "_sync.service",
        (
            (
                "        self._keep_up(pair, busy=bool(pending))\n",
                "        pending or self._keep_up(pair, busy=False)\n",
            ),
        ),
        (LOOP + "test_a_pair_that_always_has_something_to_move_cleans_up_and_its_sales_do_not_wait",),
    ),
    Mutant(
        "retention-too-early",
        "Old data on a small register",
        "Old sales are purged although the parent does not have them.",
        "_sync.retention",
        (("min(state.anchor_in, horizon.version)", "horizon.version"),),
        (LIFE + "test_old_sales_that_the_parent_has_go_from_the_register_whole",),
    ),
    Mutant(
        "retention-in-halves",
        "Old data on a small register",
        "A sale of which one row is old goes, whatever its other rows are.",
        "_sync.retention",
        (
            (
                '"NOT EXISTS (%s)" % self._unsettled(other) for',
                '"(1 = 1 OR NOT EXISTS (%s))" % self._unsettled(other) for',
            ),
        ),
        (LIFE + "test_old_sales_that_the_parent_has_go_from_the_register_whole",),
    ),
    Mutant(
        "losses-pass-as-purges",
        "Old data on a small register",
        "Whatever a register does not have any more counts as purged.",
        "_sync.compare",
        (
            (
                "purged = not self.scope.downloads and child.digest is None and child.tombstone",
                "purged = not self.scope.downloads and child.digest is None",
            ),
        ),
        (VERIFY + "test_sales_that_vanished_at_the_register_are_told_from_those_that_it_purged",),
    ),
    Mutant(
        "purges-remembered-for-ever",
        "Old data on a small register",
        "The audit takes a register to remember every purge, also those that its cleanup has forgotten.",
        "_sync.compare",
        (("    if forgotten is None:\n", "    if True:\n"),),
        (VERIFY + "test_purges_that_the_register_has_forgotten_are_no_difference",),
    ),
    Mutant(
        "filter-left-unnoticed",
        "The profile changes",
        "A row that comes out of a filter stays at the child.",
        "_engine._filtering",
        (
            (
                "parts = [self._changed(), self._left(), *self._concerned()]",
                "parts = [self._changed(), *self._concerned()]",
            ),
        ),
        (FILTERS + "test_a_row_enters_leaves_and_enters_again",),
    ),
    Mutant(
        "members-unnoticed",
        "The profile changes",
        "A row does not move when only the membership that lets it through changes.",
        "_engine._filtering",
        (("parts = [self._changed(), self._left(), *self._concerned()]", "parts = [self._changed(), self._left()]"),),
        (FILTERS + "test_a_row_that_stands_still_moves_with_its_membership",),
    ),
    Mutant(
        "late-table-from-the-anchor",
        "The profile changes",
        "Of a table that comes to a scope later only what changes from then on is read.",
        "_sync.transfer",
        (
            (
                "        start = landing.low.get(name, None if loads else anchor)",
                "        start = None if loads else anchor",
            ),
        ),
        ("tests/integration/test_offline_pairs.py::test_a_table_added_to_a_download_scope_is_loaded_alone",),
    ),
    Mutant(
        "key-changes-apart",
        "Primary key updated",
        "A changed key leaves no tombstone for the old one.",
        "_engine.postgresql.tracking",
        (
            (
                '_write(table, left, "0", 2, "t.moved_in"),',
                '_write(table, left.replace("WHERE", "WHERE 1 = 0 AND", 1), "0", 2, "t.moved_in"),',
            ),
        ),
        (
            SESSIONS + "test_a_changed_key_is_a_deletion_and_a_new_row",
            KEYS + "test_a_key_change_in_an_upload_scope_reaches_every_tier",
        ),
    ),
    Mutant(
        "swaps-refused",
        "Two rows swap a unique value",
        "A unique value is not let go of before another row takes it.",
        "_engine.postgresql.applying",
        (("    _vacate(db, work, sql)\n", ""),),
        (REVIEW + "test_a_unique_value_may_change_hands",),
    ),
    Mutant(
        "no-second-try",
        "Deadlock, snapshot conflict, lost connection",
        "A transaction that another one was in the way of is not tried again.",
        "_sync.transfer",
        (('            if failure.kind == "transient" and attempt + 1 < _TRIES:', "            if False:"),),
        (PROMISES + "test_a_deadlock_with_the_pos_is_tried_again",),
    ),
    Mutant(
        "statements-of-any-size",
        "Deadlock, snapshot conflict, lost connection",
        "A statement applies as many rows as eight batches have, and SQL Server locks the table.",
        "_sync.landed",
        (("full = len(group) == _TOGETHER or rows > _TOGETHER_ROWS", "full = len(group) == _TOGETHER"),),
        (PROMISES + "test_no_statement_applies_more_than_two_thousand_rows",),
    ),
    Mutant(
        "columns-of-yesterday",
        "The channel database is upgraded first",
        "A column that came since the tables were read travels without its values, which count as taken.",
        "_sync.transfer",
        (("if table is None or table.columns != way.table_at_sender(shared).columns:", "if table is None:"),),
        (PROMISES + "test_a_column_that_came_since_the_tables_were_read_travels",),
    ),
    Mutant(
        "truncate-allowed",
        "TRUNCATE, bulk load without triggers",
        "TRUNCATE takes the rows of a tracked table away unnoticed.",
        "_engine.postgresql.tracking",
        (("\"RAISE EXCEPTION '%% is synchronised", "\"RAISE NOTICE '%% is synchronised"),),
        (SESSIONS + "test_truncate_is_refused",),
    ),
    Mutant(
        "buried-although-others-have-it",
        "TRUNCATE, bulk load without triggers",
        "What was truncated at the parent and one register is deleted although another register may have it.",
        "_sync.repair",
        (
            ("        return lambda _origin: alone\n", "        return lambda _origin: True\n"),
            ("        return lambda origin: origin in (None, other)\n", "        return lambda origin: True\n"),
        ),
        (VERIFY + "test_what_another_register_may_have_is_left_and_said",),
    ),
    Mutant(
        "removed-unacknowledged",
        "Removing or re-creating a database",
        "Rows that the parent does not have are not counted.",
        "_sync.acknowledged",
        (("        low = min(anchor, (state.landing.get", "        low = 2**62 + min(anchor, (state.landing.get"),),
        (LIFE + "test_what_the_parent_has_not_taken_is_named_per_scope",),
    ),
)
