# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories of HQ, two channel databases and three registers."""

from __future__ import annotations

from typing import Any

from fleet_events import UPWARDS
from fleet_history import History
from fleet_machine import Machine, ends, killed, phases, seldom, stops, tills
from fleet_shapes import EDITED, NODES, PARENTS, REGISTERS, SCOPES
from hypothesis import strategies as st
from hypothesis.stateful import rule

anywhere = st.sampled_from(NODES)
keys = st.integers(1, 3)
some_scope = st.sampled_from(("people", "people", "sales", "sales", "items", "stamps"))
edited = st.sampled_from(EDITED)
coded = st.sampled_from(("CARD", "ITEM"))
sellers = st.sampled_from((*REGISTERS, "c1", "c2"))
children = st.sampled_from(tuple(PARENTS))
touches = st.sampled_from(("line", "more", "paid", "header"))
#: Edits by name, and their arguments after those that all have.
EDITS: dict[str, tuple[Any, ...]] = {
    "remove": (edited, keys),
    "rekey": (edited, keys, st.integers(1, 6)),
    "swap": (coded, keys, keys),
    "claim": (coded, keys, st.integers(1, 3)),
}


class Histories(Machine):
    """Histories of three tiers."""

    kind = History

    # ---- tills

    @rule(where=anywhere, till=tills, table=edited, key=keys, then=ends)
    def put(self, where: str, till: int, table: str, key: int, then: str) -> None:
        self.step("put", where, till, table, key, then)

    @rule(data=st.data(), where=anywhere, till=tills, then=ends)
    def edit(self, data: st.DataObject, where: str, till: int, then: str) -> None:
        what = data.draw(st.sampled_from(tuple(EDITS)))
        self.step(what, where, till, *(data.draw(argument) for argument in EDITS[what]), then)

    @rule(
        data=st.data(), child=children, table=st.sampled_from(("CARD", "CARD", "CUSTOMER", "SHELF", "ITEM")), key=keys
    )
    def contend(self, data: st.DataObject, child: str, table: str, key: int) -> None:
        """A child and its parent both change a row, and do not know of each other."""
        for where in (child, PARENTS[child]):
            names = ["put", "put", "remove", "rekey", *(("swap", "claim") if table in ("CARD", "ITEM") else ())]
            what = data.draw(st.sampled_from(names))
            rest = [data.draw(argument) for argument in EDITS[what][2:]] if what in EDITS else []
            self.step(what, where, data.draw(tills), table, key, *rest, data.draw(ends))

    @rule(where=sellers, till=tills, lines=st.integers(1, 3), debt=seldom, then=ends)
    def sell(self, where: str, till: int, lines: int, debt: bool, then: str) -> None:
        self.step("sell", where, till, lines, debt, then)

    @rule(where=sellers, till=tills, choice=keys, what=touches, then=ends)
    def touch(self, where: str, till: int, choice: int, what: str, then: str) -> None:
        self.step("touch", where, till, choice, what, then)

    @rule(where=sellers, till=tills, choice=keys, then=ends)
    def rename(self, where: str, till: int, choice: int, then: str) -> None:
        self.step("rename", where, till, choice, then)

    @rule(where=sellers, till=tills, choice=keys, then=ends)
    def purge(self, where: str, till: int, choice: int, then: str) -> None:
        self.step("purge", where, till, choice, then)

    # ---- sessions

    @rule(child=children, scope=some_scope)
    def session(self, child: str, scope: str) -> None:
        self.step("session", child, scope)

    @rule(child=children)
    def sessions(self, child: str) -> None:
        for scope in SCOPES:
            self.step("session", child, scope)

    @rule(
        data=st.data(),
        child=children,
        phase=phases,
        key=keys,
        stop=killed,
    )
    def broken_session(self, data: st.DataObject, child: str, phase: str, key: int, stop: str) -> None:
        """A session that has something to do, so that it comes to the phase."""
        up = phase in UPWARDS
        scope = data.draw(st.sampled_from(("people", "sales") if up else ("people", "items")))
        where = child if up else PARENTS[child]
        if scope == "sales":
            self.step("sell", where, 0, data.draw(st.integers(1, 3)), False, "commit")
        else:
            table = "ITEM" if scope == "items" else data.draw(st.sampled_from(("CARD", "CUSTOMER")))
            self.step("put", where, 0, table, key, "commit")
        self.step("session", child, scope, stop=stop, at=phase)

    @rule(data=st.data(), child=children, scope=some_scope, stop=stops)
    def session_broken_anywhere(self, data: st.DataObject, child: str, scope: str, stop: str) -> None:
        self.step("session", child, scope, stop=stop, at=self.moment(data, child, scope))

    @rule(data=st.data(), child=children, stop=st.sampled_from(("", "", "kill")))
    def session_amid_edits(self, data: st.DataObject, child: str, stop: str) -> None:
        where = data.draw(st.sampled_from((child, PARENTS[child])))
        arguments = (where, data.draw(tills), data.draw(edited), data.draw(keys), data.draw(ends))
        scope = "items" if arguments[2] == "ITEM" else "people"
        at = self.moment(data, child, scope)
        deed = (at, data.draw(st.sampled_from(("put", "remove"))), arguments)
        later = (at + data.draw(st.integers(0, 10)), "commit", arguments[:2])
        self.step("session", child, scope, stop=stop, at=at + 5, meanwhile=[deed, later])

    @rule(data=st.data(), child=children, stop=st.sampled_from(("", "", "kill")))
    def session_amid_sales(self, data: st.DataObject, child: str, stop: str) -> None:
        deed = data.draw(st.sampled_from((("sell", (1, False)), ("touch", (1, "more")), ("purge", (1,)))))
        till, then = data.draw(tills), data.draw(ends)
        at = self.moment(data, child, "sales")
        steps = [(at, deed[0], (child, till, *deed[1], then)), (at + 6, "commit", (child, till))]
        self.step("session", child, "sales", stop=stop, at=at + 10, meanwhile=steps)

    # ---- operators and disasters

    @rule(where=anywhere, silent=st.booleans())
    def clean(self, where: str, silent: bool) -> None:
        self.step("clean", where, silent)

    @rule(child=children)
    def pack(self, child: str) -> None:
        self.step("pack", child)

    @rule(data=st.data(), what=st.sampled_from(("upgrade", "profile")))
    def change(self, data: st.DataObject, what: str) -> None:
        if not self.workshop.server.copies:
            return  # six databases would have to be made anew after it
        if what == "upgrade":
            self.step("upgrade", data.draw(anywhere))
        else:
            self.step("profile", data.draw(children), data.draw(st.booleans()))

    @rule(data=st.data(), what=st.sampled_from(("backup", "restore", "replace", "heal")))
    def suffer(self, data: st.DataObject, what: str) -> None:
        if what != "heal" and not self.workshop.server.copies:
            return
        there = {"restore": sorted(self.history.backups), "heal": sorted(self.history.apart), "replace": REGISTERS}
        places = there.get(what, NODES)
        if places:
            self.step(what, places[data.draw(st.integers(0, 9)) % len(places)])
