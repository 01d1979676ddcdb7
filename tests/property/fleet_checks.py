# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold at the end of every history. The comparisons are this file's own, not the product's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fleet_state as state
from fleet_shapes import NODES, PARENTS

from ansible_collections.axops.retail.plugins.module_utils._sync import session
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair


def check_everything(history: Any, pairs: Mapping[str, Pair]) -> None:
    """Everything that is promised, of a history whose pairs have settled."""
    check_quiet(history, pairs)
    for child in PARENTS:
        check_agreement(history, child)
    check_sales(history)
    check_stamps(history)
    check_nothing_vanished(history)
    check_recorded_once(history)


def check_quiet(history: Any, pairs: Mapping[str, Pair]) -> None:
    """Another round moves nothing and records nothing."""
    fleet = history.fleet
    before = {name: state.records(fleet[name].reader) for name in fleet.NODES}
    for child, pair in pairs.items():
        assert session.pending(pair, pair.scopes) == [], "%s has something to move for ever" % child
        for scope in pair.scopes:
            again = session.run(pair, scope)
            assert not again.noteworthy, "another session of %s in %s moves something: %s" % (child, scope.name, again)
    after = {name: state.records(fleet[name].reader) for name in fleet.NODES}
    assert after == before, "another round records something: %s, %s" % (before, after)


def check_agreement(history: Any, child: str) -> None:
    """A child and its parent have the same rows where the scopes say so; what was put aside is a person's business."""
    ours, theirs = history.fleet[child].reader, history.fleet[PARENTS[child]].reader
    aside = {(table, key) for db in (ours, theirs) for table, key, _number in state.put_aside(db)}
    both = ["CARD", "CUSTOMER"] + (["SHELF"] if history.fleet.with_shelf[child] else [])
    for table in both:
        left, right = (_without(state.images(db, table), table, aside) for db in (ours, theirs))
        assert left == right, "%s: %s" % (table, _difference(child, left, right))
    left, right = (_without(state.images(db, "ITEM"), "ITEM", aside) for db in (ours, theirs))
    # What somebody wrote in a table that only goes down stays there until the parent's row changes.
    ledger = history.ledger
    strange = [row for key, row in left.items() if right.get(key) != row and ledger.written_at.get(row[-1]) != child]
    missing = [key for key in set(right) - set(left) if (child, "ITEM", *key) not in ledger.deleted_at]
    assert not strange and not missing, "ITEM: %s" % _difference(child, left, right)
    for table in ("SALE", "LINE", "PAYMENT", "STAMP"):
        left, right = (_without(state.images(db, table), table, aside) for db in (ours, theirs))
        purged = {sale for where, sale in ledger.purged_at if where == PARENTS[child]}
        lacking = {key: row for key, row in left.items() if right.get(key) != row and key[0] not in purged}
        assert not lacking, "%s of %s has not arrived: %s" % (table, child, lacking)
    check_extras(history, child)


def _without(rows: dict[state.Key, Any], table: str, aside: set[tuple[str, state.Key]]) -> dict[state.Key, Any]:
    return {key: row for key, row in rows.items() if (table, key) not in aside}


def _difference(child: str, left: dict[state.Key, Any], right: dict[state.Key, Any]) -> str:
    here, there = set(left.items()) - set(right.items()), set(right.items()) - set(left.items())
    return "only %s has %s, only its parent %s" % (child, sorted(here), sorted(there))


def check_extras(history: Any, child: str) -> None:
    """The next version's column travels between those that have it: of all rows written since the last one got it."""
    fleet, ledger = history.fleet, history.ledger
    here, there = state.extras(fleet[child].reader), state.extras(fleet[PARENTS[child]].reader)
    if here is None or there is None:
        return
    rows = state.images(fleet[child].reader, "CARD")
    for key in set(here) & set(there) & set(rows):
        number = rows[key][-1]
        if number > history.schema_changed_at and number in ledger.with_extra:
            assert here[key] == there[key], "EXTRA of %s is %s at %s and %s above" % (key, here[key], child, there[key])


def check_sales(history: Any) -> None:
    """Every sale is at HQ, whole, or was put aside on its way as a whole."""
    fleet = history.fleet
    arrived = {key[0] for key in state.images(fleet["hq"].reader, "SALE")}
    aside = {key[0] for name in NODES for table, key, _ in state.put_aside(fleet[name].reader) if table == "SALE"}
    wanted = {sale for sale, book in history.ledger.sales.items() if not book.optional}
    assert wanted <= arrived | aside, "sales lost: %s" % sorted(wanted - arrived - aside)
    known = set(history.ledger.sales) | (history.ledger.former if history.disasters else set())
    assert arrived <= known, "sales that nobody made: %s" % sorted(arrived - known)


def check_stamps(history: Any) -> None:
    """What a trigger wrote beside a customer has arrived, too."""
    stamps = set(state.images(history.fleet["hq"].reader, "STAMP"))
    wanted = {(history.ledger.written_at[number], number) for number in history.ledger.customers}
    missing = wanted - stamps - history.ledger.lost_stamps
    assert not missing, "stamps lost: %s" % sorted(missing)


def check_nothing_vanished(history: Any) -> None:
    """Every write stands, was seen by whoever wrote over it or deleted it, or is kept."""
    standing = set().union(*(state.numbers(history.fleet[name].reader) for name in NODES))
    lost = history.ledger.lost(standing)
    assert lost == [], "silently lost: %s" % lost


def check_recorded_once(history: Any) -> None:
    """A conflict is recorded once, and a row is put aside once."""
    for name in NODES:
        for counted in (state.conflicts(history.fleet[name].reader), state.quarantine(history.fleet[name].reader)):
            twice = [entry for entry, count in counted.items() if count > 1]
            assert twice == [], "recorded more than once at %s: %s" % (name, twice)
