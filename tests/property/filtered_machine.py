# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories of filtered rows."""

from __future__ import annotations

from typing import Any

from filtered_fleet import CHANNELS, KEYS, SCOPES, Filtered
from filtered_history import FilteredHistory
from fleet_events import DECIDING, UPWARDS
from fleet_machine import Machine, ends, killed, phases, seldom, stops, tills
from hypothesis import strategies as st
from hypothesis.stateful import rule

#: The tables with a value, their keys, whose a row becomes.
tables = st.sampled_from(("OWN", "ITEM", "CARD"))
keys = st.sampled_from(KEYS)
own_or_card = st.sampled_from(("OWN", "CARD"))
channels = st.sampled_from((None, 0, 1, 1, 2, 2))
#: What HQ may change in a transaction: a step, and its arguments between the till and the end.
changes = st.one_of(
    st.tuples(st.just("put"), tables, keys, channels),
    st.tuples(st.just("remove"), tables, keys),
    st.tuples(st.just("link"), keys, st.integers(1, 2)),
    st.tuples(st.just("group"), st.integers(1, 2), st.integers(1, 2)),
)
children = st.sampled_from(Filtered.ROUND)
scopes = st.sampled_from(SCOPES)


class FilteredHistories(Machine):
    """Histories of filtered rows."""

    kind = FilteredHistory

    # ---- HQ and the channels write

    @rule(till=tills, table=tables, key=keys, channel=channels, then=ends)
    def put(self, till: int, table: str, key: int, channel: int | None, then: str) -> None:
        self.step("put", "hq", till, table, key, channel, then)

    @rule(till=tills, table=tables, key=keys, then=ends)
    def remove(self, till: int, table: str, key: int, then: str) -> None:
        self.step("remove", "hq", till, table, key, then)

    @rule(child=children, till=tills, key=keys, channel=channels, gone=seldom, then=ends)
    def change_card(self, child: str, till: int, key: int, channel: int | None, gone: bool, then: str) -> None:
        """A channel's own change; it may give the card to another one."""
        self.step(*(("remove", child, till, "CARD", key) if gone else ("put", child, till, "CARD", key, channel)), then)

    @rule(till=tills, item=keys, group=st.integers(1, 2), then=ends)
    def link(self, till: int, item: int, group: int, then: str) -> None:
        self.step("link", till, item, group, then)

    @rule(till=tills, group=st.integers(1, 2), channel=st.integers(1, 2), then=ends)
    def group(self, till: int, group: int, channel: int, then: str) -> None:
        self.step("group", till, group, channel, then)

    @rule(data=st.data(), till=tills, keep=st.booleans())
    def several(self, data: st.DataObject, till: int, keep: bool) -> None:
        """Changes of HQ's in one transaction."""
        for _change in range(data.draw(st.integers(2, 3))):
            name, *arguments = data.draw(changes)
            self.step(name, *(("hq",) if name in ("put", "remove") else ()), till, *arguments, "open")
        self.step("commit" if keep else "rollback", "hq", till)

    # ---- sessions

    @rule(child=children)
    def sessions(self, child: str) -> None:
        for scope in SCOPES:
            self.step("session", child, scope)

    @rule(child=children, phase=phases, table=own_or_card, key=keys, stop=killed)
    def broken_session(self, child: str, phase: str, table: str, key: int, stop: str) -> None:
        """A session that has something to do, so that it comes to the phase."""
        up = phase in UPWARDS
        self.step("put", child if up else "hq", 0, "CARD" if up else table, key, CHANNELS[child], "commit")
        self.step("session", child, "down" if not up and table == "OWN" else "both", stop=stop, at=phase)

    @rule(child=children, phase=st.sampled_from(DECIDING), table=own_or_card, key=keys)
    def session_killed_at_its_commit(self, child: str, phase: str, table: str, key: int) -> None:
        self.broken_session(child, phase, table, key, "kill")

    @rule(data=st.data(), child=children, scope=scopes, stop=stops)
    def session_broken_anywhere(self, data: st.DataObject, child: str, scope: str, stop: str) -> None:
        self.step("session", child, scope, stop=stop, at=self.moment(data, child, scope))

    @rule(data=st.data(), child=children, scope=scopes, stop=st.sampled_from(("", "", "kill")))
    def session_amid_changes(self, data: st.DataObject, child: str, scope: str, stop: str) -> None:
        """What decides about rows changes in the middle of a session, and may be committed in it or after it."""
        till, at = data.draw(tills), self.moment(data, child, scope)
        one, other, then = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2)), data.draw(ends)
        deeds: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("link", (till, data.draw(keys), one, then)),
            ("group", (till, one, other, then)),
            ("put", ("hq", till, data.draw(tables), data.draw(keys), data.draw(channels), then)),
        )
        steps = [(at, *data.draw(st.sampled_from(deeds))), (at + 6, "commit", ("hq", till))]
        self.step("session", child, scope, stop=stop, at=at + 10, meanwhile=steps)

    # ---- time

    @rule(where=st.sampled_from(Filtered.NODES), silent=st.booleans())
    def clean(self, where: str, silent: bool) -> None:
        self.step("clean", where, silent)
