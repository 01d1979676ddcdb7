# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The invariants of the synchronisation, each switched off."""

from __future__ import annotations

from mutant import Mutant

SESSIONS = "tests/integration/test_sessions.py::"
REVIEW = "tests/integration/test_sessions_review.py::"
KEYS = "tests/integration/test_sessions_keys.py::"
MATRIX = "tests/integration/test_conflict_matrix.py::test_cell"
KILLED = (SESSIONS + "test_a_session_killed_at_any_statement_is_completed_by_the_next[sales-postgresql]",)
AGES = "tests/integration/test_ages.py::"
RESTORED = "tests/integration/test_restored.py::"
PROMISES = "tests/integration/test_session_promises.py::"
LATER = "tests/integration/test_sessions_later.py::"
ASIDE = "tests/integration/test_put_aside.py::"
PING_PONG = SESSIONS + "test_triggers_of_the_application_do_not_make_ping_pong"

MUTANTS = (
    Mutant(
        "anchor-before-rows",
        "1 The receiver's transaction is the only truth",
        "The new anchor is committed before the rows are applied.",
        "_sync.transfer",
        (
            (
                "    transfer = Transfer()\n    with way.receiver",
                (
                    '    transfer = Transfer()\n    way.receiver.execute("UPDATE %s SET anchor_in = %d WHERE peer_id = ? AND '
                    'sync_scope_name = ?" % (_name(way.receiver, SCOPE), mark.low), way.sender_number, way.scope.name)\n'
                    "    state = replace(state, anchor_in=mark.low)\n    with way.receiver"
                ),
            ),
        ),
        (PROMISES + "test_rows_and_anchor_stand_or_fall_together",),
    ),
    Mutant(
        "anchor-after-rows",
        "1 The receiver's transaction is the only truth",
        "Rows are committed first, then what has landed goes and the anchor moves.",
        "_sync.transfer",
        (("        transfer.anchor = _finish(", "    transfer.anchor = _finish("),),
        (PROMISES + "test_rows_and_anchor_stand_or_fall_together",),
    ),
    Mutant(
        "highest-mark",
        "2 A low-water mark, never a maximum",
        "The next anchor is the highest version there is, not the lowest that is undecided.",
        "_engine.postgresql.marks",
        (
            (
                "pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint), CAST(",
                "pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint), CAST(",
            ),
        ),
        (SESSIONS + "test_a_transaction_that_was_open_is_not_passed_over",),
    ),
    Mutant(
        "snapshot-forgotten",
        "2 A low-water mark, never a maximum",
        "What the last snapshot saw above the mark is sent again as long as a writer holds the mark back.",
        "_engine.postgresql.marks",
        (("    if seen is None:\n", "    if True:\n"),),
        (PROMISES + "test_a_long_writer_does_not_make_everything_be_sent_again",),
    ),
    Mutant(
        "upper-bound",
        "3 No upper bound on what is read",
        "Only what is below the next anchor is read.",
        "_engine.postgresql.changes",
        (
            (
                '    return "%s AND (t.origin IS NULL OR',
                (
                    '    return "t.version < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AND '
                    "%s AND (t.origin IS NULL OR"
                ),
            ),
        ),
        (SESSIONS + "test_a_transaction_that_was_open_is_not_passed_over",),
    ),
    Mutant(
        "no-window",
        "4 Re-delivery changes nothing",
        "The parent does not remember what it took above the anchor.",
        "_engine.postgresql.applying",
        (("    if work.window_from is not None:", "    if False:"),),
        (SESSIONS + "test_delivering_again_changes_nothing",),
    ),
    Mutant(
        "parent-version-not-compared",
        "4 Re-delivery changes nothing",
        "The child does not know a version of the parent that it has taken.",
        "_sync.rules",
        (("t.origin = 0 AND t.parent_version = i.v AND", "1 = 0 AND t.origin = 0 AND t.parent_version = i.v AND"),),
        (PROMISES + "test_delivering_again_downwards_changes_nothing",),
    ),
    Mutant(
        "identical-not-skipped",
        "4 Re-delivery changes nothing",
        "An identical image is taken for a change.",
        "_engine.postgresql.applying",
        (
            (
                '        absent=sql.absent("r"), images=_same_image(sql.plain)\n    )',
                '        absent=sql.absent("r"), images=_same_image(sql.plain)\n    ) + " AND 1 = 0"',
            ),
        ),
        (SESSIONS + "test_the_same_edit_on_both_sides_is_no_conflict",),
    ),
    Mutant(
        "identical-loosely",
        "4 Re-delivery changes nothing",
        "Images that differ in letters' case or trailing blanks pass for identical.",
        "_engine.postgresql.applying",
        (
            (
                '" AND r.%s%s IS NOT DISTINCT FROM i.%s%s"',
                '" AND rtrim(lower(CAST(r.%s%s AS text))) IS NOT DISTINCT FROM rtrim(lower(CAST(i.%s%s AS text)))"',
            ),
        ),
        (SESSIONS + "test_letters_and_trailing_blanks_count_as_different",),
    ),
    Mutant(
        "echo",
        "5 No echo",
        "What came from a peer is sent back to it.",
        "_engine.postgresql.changes",
        (('    return "%s AND (t.origin IS NULL OR', '    return "%s AND (1 = 1 OR t.origin IS NULL OR'),),
        (PROMISES + "test_what_came_from_a_peer_is_not_sent_back",),
    ),
    Mutant(
        "origin-null-unsafe",
        "5 No echo",
        "A row without an origin counts as the peer's.",
        "_engine.postgresql.changes",
        (('    return "%s AND (t.origin IS NULL OR t.origin <> %d)"', '    return "%s AND (t.origin <> %d)"'),),
        (SESSIONS + "test_changes_and_deletions_come_down",),
    ),
    Mutant(
        "trigger-takes-origin",
        "5 No echo",
        "A trigger that rewrites the row being applied makes it a change of this database.",
        "_engine.postgresql.applying",
        (('        "origin = excluded.origin, sync_row', '        "sync_row'),),
        (PING_PONG,),
    ),
    Mutant(
        "all-triggers-silent",
        "5 No echo",
        "What a trigger writes elsewhere while rows are applied is not tracked.",
        "_engine.postgresql.tracking",
        (
            (
                "IF pg_trigger_depth() = 1 AND current_setting('%s', true) = CAST(TG_RELID AS text) THEN",
                "IF current_setting('%s', true) <> '' THEN",
            ),
        ),
        (PING_PONG,),
    ),
    Mutant(
        "no-row-locks",
        "6 Check and write are one",
        "Rows are not locked before their tracking is read.",
        "_engine.postgresql.applying",
        ((" FOR UPDATE OF r)", ")"),),
        (SESSIONS + "test_a_pos_that_writes_the_row_being_applied_loses_nothing",),
    ),
    Mutant(
        "written-where-it-exists",
        "6 Check and write are one",
        "A row that came up since it was judged absent is overwritten.",
        "_engine.postgresql.applying",
        (
            (
                'FROM {incoming} i WHERE {absent}".format(',
                (
                    'FROM {incoming} i WHERE {absent} ON CONFLICT ({key_list}) DO UPDATE SET {sets}".format(key_list=sql.key_list, '
                    'sets=", ".join("%s = excluded.%s" % (name, name) for name in (names.quote(c.name) for _key, c in sql.plain)),'
                ),
            ),
        ),
        (REVIEW + "test_a_row_that_the_pos_inserts_while_the_same_key_is_applied_is_no_silent_loss",),
    ),
    Mutant(
        "conflict-not-recorded",
        "7 Nothing is silently overwritten",
        "A conflict is decided, and the loser's image is not kept.",
        "_engine.postgresql.applying",
        (("        _record_conflicts(db, work, sql)\n", ""),),
        (MATRIX,),
    ),
    Mutant(
        "conflict-recorded-twice",
        "7 Nothing is silently overwritten",
        "A conflict whose row lands a second time, since its landing was cut off, is kept a second time.",
        "_sync.landed",
        (("    twice_from = _read_twice_from(headers)\n", "    twice_from = {}\n"),),
        (PROMISES + "test_a_conflict_whose_row_lands_twice_is_recorded_once",),
    ),
    Mutant(
        "policy-reversed",
        "7 Nothing is silently overwritten",
        "The side that the policy names loses.",
        "_engine.postgresql.applying",
        (("    if work.parent_wins != work.upload:", "    if work.parent_wins == work.upload:"),),
        (MATRIX,),
    ),
    Mutant(
        "no-conflicts",
        "7 Nothing is silently overwritten",
        "What changed at the parent after the child's base version is overwritten.",
        "_sync.rules",
        (
            (
                (
                    '                "t.version IS NOT NULL AND (t.origin IS NULL OR t.origin <> %d) "\n'
                    '                "AND (t.version > i.b OR i.e = 1 AND t.version <> i.b)" % int(peer),'
                ),
                '                "1 = 0",',
            ),
        ),
        (MATRIX,),
    ),
    Mutant(
        "only-higher-versions-are-newer",
        "7 Nothing is silently overwritten",
        "A change at the parent by a transaction that began earlier than the one before it does not count.",
        "_sync.rules",
        (('"AND (t.version > i.b OR i.e = 1 AND t.version <> i.b)"', '"AND t.version > i.b"'),),
        (LATER + "test_an_old_transactions_late_edit_at_the_parent_is_not_silently_overwritten",),
    ),
    Mutant(
        "resurrection",
        "7 Nothing is silently overwritten",
        "An update of a row whose deletion has been forgotten brings the row back.",
        "_sync.rules",
        (('            ("t.version IS NULL AND i.n = 0 AND i.d = 0 AND %s" % absent, "conflict"),\n', ""),),
        (PROMISES + "test_an_update_of_a_row_whose_deletion_was_forgotten_is_a_conflict",),
    ),
    Mutant(
        "pending-overwritten",
        "7 Nothing is silently overwritten",
        "The parent's image is written over a change that has yet to go up.",
        "_sync.rules",
        (('("%s AND %s" % (changed_here, pending), "held"), ', ""),),
        (SESSIONS + "test_an_edit_made_during_the_session_is_not_overwritten",),
    ),
    Mutant(
        "edit-given-up",
        "7 Nothing is silently overwritten",
        "In a scope that only comes down an edit gives way, and is not kept.",
        "_sync.rules",
        (('(identical, "same"), (changed_here, "conflict"))', '(identical, "same"))'),),
        (SESSIONS + "test_an_edit_in_a_download_scope_gives_way_and_is_kept",),
    ),
    Mutant(
        "held-row-forgotten",
        "7 Nothing is silently overwritten",
        "A row that was left alone does not hold the anchor back, and does not come again.",
        "_sync.transfer",
        (("if held_at is None else Anchor(", "if True else Anchor("),),
        (SESSIONS + "test_an_edit_made_during_the_session_is_not_overwritten",),
    ),
    Mutant(
        "overturned-over-edits",
        "7 Nothing is silently overwritten",
        "The image that lost a conflict wins later over what the row has become since.",
        "_sync.retry",
        (("        changed = not _alike(present, winner)\n", "        changed = False\n"),),
        (ASIDE + "test_an_edit_made_since_a_conflict_is_not_overwritten_and_the_image_stays",),
    ),
    Mutant(
        "batch-by-batch",
        "8 A sale never arrives in halves",
        "Each batch is committed by itself.",
        "_sync.landed",
        (
            (
                "        if outcome.held_at is not None:",
                "        receiver._connection.commit()\n        if outcome.held_at is not None:",
            ),
        ),
        KILLED,
    ),
    Mutant(
        "single-rows-aside",
        "8 A sale never arrives in halves",
        "Rows are put aside one by one, not with the transaction they were written in.",
        "_engine.postgresql.changes",
        (
            (
                'meta = ["t.version AS v", "%s AS x" % tracking.SOURCE,',
                'meta = ["t.version AS v", "1000000 + row_number() OVER () AS x",',
            ),
        ),
        (SESSIONS + "test_a_sale_that_cannot_be_stored_is_put_aside_whole_and_the_others_arrive",),
    ),
    Mutant(
        "links-ignored",
        "8 A sale never arrives in halves",
        "Transactions that wrote the same row one after the other are put aside apart.",
        "_sync.transfer",
        (
            (
                "        linked = links.read(way.sender, (shared.name for shared in way.tables)) if way.upload else []",
                "        linked = []",
            ),
        ),
        (SESSIONS + "test_a_sale_that_was_touched_again_before_it_went_up_is_put_aside_whole",),
    ),
    Mutant(
        "links-not-passed-on",
        "8 A sale never arrives in halves",
        "What belongs together is known one tier up, and no further.",
        "_sync.transfer",
        (("    if not way.upload or not (linked or again.units):", "    if True:"),),
        (KEYS + "test_transactions_that_wrote_one_row_are_put_aside_together_at_any_tier",),
    ),
    Mutant(
        "nothing-recalled",
        "8 A sale never arrives in halves",
        "A corrected row arrives without those that stand in quarantine with it.",
        "_sync.recall",
        (("    if not kept:\n        return Recalled()", "    if True:\n        return Recalled()"),),
        (REVIEW + "test_a_sale_that_is_corrected_after_it_was_put_aside_arrives_whole",),
    ),
    Mutant(
        "put-aside-twice",
        "8 A sale never arrives in halves",
        "What is delivered again is put aside again.",
        "_sync.quarantine",
        (("        return there\n", "        return False\n"),),
        (REVIEW + "test_what_comes_again_is_put_aside_once",),
    ),
    Mutant(
        "unspeakable-text-stops-all",
        "8 A sale never arrives in halves",
        "The number of a row's transaction is read by looking into a row that has a text which the server cannot hold.",
        "_engine.postgresql.applying",
        (
            (
                """CAST(substring(CAST(e.value AS text) FROM '"x": *(-*[0-9]+)') AS bigint)""",
                "CAST(e.value->>'x' AS bigint)",
            ),
        ),
        (REVIEW + "test_a_text_that_postgresql_cannot_hold_is_put_aside",),
    ),
    Mutant(
        "retry-over-newer",
        "8 A sale never arrives in halves",
        "A row of a baseline is tried again although a newer version of it has arrived.",
        "_sync.retry",
        (("    if int(version or 0) == row.version:\n", "    if True:\n"),),
        (ASIDE + "test_a_retry_of_a_baseline_yields_to_the_version_that_arrived_since",),
    ),
    Mutant(
        "retry-brings-back",
        "8 A sale never arrives in halves",
        "A row is tried again although the parent has deleted it and forgotten so.",
        "_sync.retry",
        (("    return not way.upload and not row.deletion and", "    return False and not row.deletion and"),),
        (ASIDE + "test_a_retry_of_a_baseline_does_not_bring_back_what_was_deleted_and_forgotten",),
    ),
    Mutant(
        "retry-forgets-what-waits",
        "8 A sale never arrives in halves",
        "What has to wait for a change here to be judged leaves the quarantine.",
        "_sync.retry",
        (("            if outcome.held:\n", "            if False:\n"),),
        (ASIDE + "test_a_retry_waits_while_a_change_here_has_yet_to_go_up",),
    ),
    Mutant(
        "purges-travel",
        "9 Deletes travel where the scope says so",
        "A register that purges its sales erases them above.",
        "_sync.transfer",
        (("            with_deletes=not way.upload or way.scope.uploads_deletes,", "            with_deletes=True,"),),
        (SESSIONS + "test_a_register_that_purges_its_sales_does_not_erase_them_above",),
    ),
    Mutant(
        "old-key-stays",
        "9 Deletes travel where the scope says so",
        "A row whose key changes keeps its old key above.",
        "_engine.postgresql.changes",
        (('" AND NOT (%s AND t.sync_row_is_tombstone <> 2)"', '" AND NOT (%s)"'),),
        (KEYS + "test_a_key_change_in_an_upload_scope_reaches_every_tier",),
    ),
    Mutant(
        "clocks-compared",
        "10 Clocks are never compared",
        "A change is sent only if it is not from the future.",
        "_engine.postgresql.changes",
        (
            (
                '    return "%s AND (t.origin IS NULL OR',
                """    return "t.last_change_datetime <= (now() AT TIME ZONE 'utc') AND %s AND (t.origin IS NULL OR""",
            ),
        ),
        (PROMISES + "test_a_clock_that_was_wrong_loses_nothing",),
    ),
    Mutant(
        "age-off-a-clock",
        "10 Clocks are never compared",
        "Whatever a clock says has passed counts as passed.",
        "_sync.ages",
        (("        return self.seconds + min(passed, believed)\n", "        return self.seconds + passed\n"),),
        (AGES + "test_a_clock_that_jumps_deletes_nothing_and_keeps_nothing_for_ever",),
    ),
    Mutant(
        "age-of-jumps-below-a-day",
        "10 Clocks are never compared",
        "Whatever a clock says has passed within a day counts as passed.",
        "_sync.ages",
        (
            (
                "    return time.monotonic() - (before.since if before.seen == count.seen else before.at)\n",
                "    return DAY\n",
            ),
        ),
        (AGES + "test_a_clock_that_jumps_again_and_again_makes_nothing_old",),
    ),
    Mutant(
        "age-of-small-jumps",
        "10 Clocks are never compared",
        "A look of another process counts as one as old as the clock says, and so does one's own.",
        "_sync.ages",
        (("before.since if before.seen == seen else max(since, before.at)", "since"),),
        (AGES + "test_a_jump_after_anothers_look_counts_nothing",),
    ),
    Mutant(
        "silence-off-a-clock",
        "10 Clocks are never compared",
        "One that waits to be the child has waited for as long as the parent's clock says.",
        "_sync.identity",
        (("timedelta(seconds=max(0.0, me.silent - believed))", "timedelta(0)"),),
        (RESTORED + "test_no_clone_takes_over_since_the_clock_went_forward",),
    ),
    Mutant(
        "heard-in-the-future",
        "10 Clocks are never compared",
        "A till that was heard of in the future counts as heard of since.",
        "_sync.identity",
        (("    _forget_the_future(parent, guid)\n", ""),),
        (RESTORED + "test_a_moved_till_is_not_taken_for_a_clone_for_good_since_the_clock_went_back",),
    ),
    Mutant(
        "age-of-another-server",
        "A database restored or moved",
        "What lies below a version that another server gave counts as old.",
        "_sync.ages",
        (("    goes_on = known is not None and known.incarnation == here", "    goes_on = known is not None"),),
        (AGES + "test_a_database_put_on_another_server_has_no_age_there",),
    ),
    Mutant(
        "unseen-is-fine",
        "A long-open transaction raises an alarm",
        "A transaction that the service's account may not see is none.",
        "_sync.status",
        (("    if mark is not None and said is None and counted is None:", "    if False:"),),
        (AGES + "test_the_services_own_account_tells_for_how_long_a_transaction_has_been_open",),
    ),
)
