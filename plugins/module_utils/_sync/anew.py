# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pair of which one side was restored, moved or left behind begins anew, by itself where :mod:`identity` lets it.

What shows it: another incarnation, tokens that do not chain, or an anchor beyond what the other side has come to. Which side
has lost something follows from the anchors, since each side knows how far it had come and how far the other said it had.
Where they do not say, either may have. Where the tokens chain and all anchors are as the last session left them, nothing was
lost: the scope goes on, unless versions mean nothing any more on a new server. Whether they do is known by the servers on which
the database has been (:mod:`homes`), too: it may have been elsewhere in between, or be a backup from before a move.

Beginning anew is three commits, each of which may be run again. The parent marks its rows of ``scope_info`` and gives them a
new token (:func:`mark`). The next session of the scope finds that the tokens do not chain and why, and the child marks its
own row (:func:`follow`). That session then sends up all that the child has of the scope, in three classes that
``rules.anew`` judges, and loads the scope again: what the parent has is as it was, what it lacks comes, what was changed on
both sides is a conflict, and nothing that is identical moves. Rows of the child that are not in the load, and are not
changes of its own, go (:mod:`merge`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import TableName
from . import homes, identity, metadata, quarantine
from .identity import Instance
from .messages import LOGGER
from .metadata import PARENT, PEER, SCOPE, STAGING, WINDOW, Peer, Scope, ScopeState
from .pair import Pair, Restored, acquaint

SIDES = frozenset({"child", "parent"})
#: Above the versions of renumbered rows that the other side had taken; see ``tracking.renumber``.
_TAKEN = 2


@dataclass(frozen=True)
class Anew:
    """How a scope begins anew, as the upload has to know it.

    ``below``: the child's versions under it were taken by the parent. ``newest_base``: the parent's versions up to it mean what
    they meant; None: all of them do. ``given``: up to where the parent remembers having given its changes, in the numbers that
    the child knows: those of the server that it came from. ``aside``: as in :class:`Knowledge`.
    """

    child_lost: bool
    parent_lost: bool
    below: int
    newest_base: int | None
    given: int | None
    aside: Mapping[str, int] = field(default_factory=dict)

    def base_of(self, table: str) -> int | None:
        """The newest version of the parent's that rows of a table derive from, where they do not say so themselves."""
        newest = self.newest_base
        return newest if newest is None or table not in self.aside else min(newest, self.aside[table] - 1)


@dataclass(frozen=True)
class Knowledge:
    """What a child knows of its parent. ``parent``: which database it was. ``aside``: by table, from which version on the child has put
    rows aside, which it has not taken."""

    parent: str = ""
    aside: Mapping[str, int] = field(default_factory=dict)


UNKNOWN = Knowledge()


def open_pair(child: Any, parent: Any, silence: float = identity.SILENCE) -> Pair:
    """The pair, healed where a side is not the database that it was.

    :param silence: seconds, see :func:`identity.admit`.
    :raises Cloned: the child is, or may be, another one than the one that the parent knows.
    :raises NotProvisioned: a side does not know the other.
    """
    for db in (child, parent):
        homes.note(db)
    try:
        pair = Pair(child, parent)
    except Restored as found:
        if not found.lost:
            raise
        begin(child, parent, found.lost, silence)
        pair = Pair(child, parent)
    pair.silence = silence
    identity.beat(parent, pair.guid, pair.instance)
    return pair


def begin(child: Any, parent: Any, lost: Collection[str], silence: float, moved: bool = False) -> None:
    """All scopes of a pair begin anew.

    :param moved: the operator's word that this child is the one.
    :raises Cloned: it may not be.
    """
    upwards, downwards = acquaint(child, parent)
    me = identity.here(child)
    LOGGER.warning("%s begins anew with %s: a side was restored or moved", downwards.name, parent.target.where)
    if moved:
        identity.accept(parent, downwards.guid, me)
    else:
        identity.admit(parent, downwards.guid, me, silence)
    _mark_all(child, parent, upwards, downwards, lost, forced=moved)


def make_good(child: Any, parent: Any) -> None:
    """Whoever provisions the pair says that the two belong together: every scope that one of them has lost something of begins anew.

    The service may reach the child in another way than this process does, so any place will do for the child.
    """
    upwards, downwards = acquaint(child, parent)
    here, there = child.engine.marks.incarnation(child), parent.engine.marks.incarnation(parent)
    changed = (("child", downwards.incarnation, here), ("parent", upwards.incarnation, there))
    identity.accept(parent, downwards.guid, Instance(here, identity.ANYWHERE))
    _mark_all(child, parent, upwards, downwards, {side for side, old, new in changed if old != new})


def _mark_all(
    child: Any, parent: Any, upwards: Peer, downwards: Peer, lost: Collection[str], forced: bool = False
) -> None:
    """All scopes at the parent, and on both sides which database the other one is now."""
    for db in (child, parent):
        homes.note(db)
    here, there = child.engine.marks.incarnation(child), parent.engine.marks.incarnation(parent)
    number, ours, below = downwards.peer_id, metadata.read_states(child, PARENT), homes.read(child)
    sides = (
        ("child", child, downwards.incarnation, here, below, PARENT),
        ("parent", parent, upwards.incarnation, there, homes.read(parent), number),
    )
    strange: set[str] = set()
    with parent.transaction():
        homes.hold(parent)
        for scope in metadata.read_scopes(parent, number):
            foreign = {
                side
                for side, db, old, new, been, peer in sides
                if not db.engine.marks.continues(old, new) or been.came(peer, scope.name)
            }
            strange |= foreign
            knows = Knowledge(upwards.incarnation, metadata.oldest_aside(child, PARENT, scope.name))
            mark(parent, number, scope, ours.get(scope.name), lost, foreign, forced, knows)
        _know(parent, number, here, child if "child" in strange else None)
    with child.transaction():
        _know(child, PARENT, there, parent if "parent" in strange else None)


def _know(db: Any, peer_id: int, incarnation: str, stranger: Any | None) -> None:
    """Which database the peer is now; in the caller's transaction.

    :param stranger: the peer, where it came to another server. What was put aside of it keeps apart from what comes, which may have
        the same numbers.
    """
    quote, mine = db.engine.names.quote, "WHERE peer_id = ? AND incarnation <> ?"
    if not db.query("SELECT incarnation FROM %s %s" % (quote(*PEER), mine), peer_id, incarnation):
        return
    if stranger is not None:
        quarantine.renumber(db, peer_id, stranger.engine.tracking.number_elsewhere)
    db.execute("UPDATE %s SET incarnation = ? %s" % (quote(*PEER), mine), incarnation, peer_id, incarnation)


def mark(
    parent: Any,
    peer_id: int,
    scope: Scope,
    ours: ScopeState | None,
    lost: Collection[str],
    foreign: Collection[str] = (),
    forced: bool = False,
    knows: Knowledge = UNKNOWN,
) -> None:
    """The parent's part, in the caller's transaction. What was said before and has not been done yet is kept.

    :param ours: the child's row of the scope.
    :param lost: the sides of which it is known that they may have lost something; where it is empty, the anchors are asked.
    :param foreign: the sides that came to a server whose versions have nothing to do with the earlier ones.
    :param forced: begin anew in any case.
    :param knows: where the parent came to another server.
    """
    state = metadata.read_state(parent, peer_id, scope.name)
    if state is None or ours is None:
        return
    if state.anew is not None and not (lost or foreign or forced):
        return
    if is_whole(ours, state) and not forced:
        if not foreign:
            return
        lost = ()
    else:
        lost = lost or _lost(ours, state) or SIDES
    said = state.anew or {"lost": [], "foreign": [], "reload": False, "base": state.acked_out or 0}
    said["lost"] = sorted({*said["lost"], *lost})
    said["foreign"] = sorted({*said["foreign"], *foreign})
    said["reload"] = bool(said["reload"] or lost or "parent" in foreign)
    if "parent" in foreign:
        been = homes.read(parent)
        _fit_parent(parent, peer_id, scope, 0 if been.strayed(peer_id, scope.name) else said["base"], knows.aside)
        # A backup from before a move does not say what was given since.
        said.setdefault("given", said["base"] if been.speaks_of(peer_id, scope.name, knows.parent) else 0)
        said["base"] = _TAKEN
    _begin_row(parent, peer_id, scope, said)


def _fit_parent(parent: Any, peer_id: int, scope: Scope, taken: int, aside: Mapping[str, int]) -> None:
    """The versions of a parent that came to another server, so that they say what the child has taken, and has not put aside."""
    for table in _tracked(parent, scope):
        below = _taken_by_all(parent, table, peer_id, min(taken, aside.get(str(table), taken)))
        for statement in parent.engine.tracking.renumber(table, below):
            parent.execute(statement)
    for log in parent.engine.moves.read(parent):
        for statement in parent.engine.moves.renumber(log):
            parent.execute(statement)
    quarantine.rebase(parent, peer_id, scope.name, _TAKEN - 1)
    homes.fit(parent, peer_id, scope.name)


def is_whole(ours: ScopeState, theirs: ScopeState) -> bool:
    """Whether both sides are as their last session left them."""
    return (
        theirs.anew is None
        and theirs.session_token in (ours.session_token, ours.previous_token)
        and (ours.acked_out or 0) == (theirs.anchor_in or 0)
        and (theirs.acked_out or 0) == (ours.anchor_in or 0)
    )


def _begin_row(parent: Any, peer_id: int, scope: Scope, said: dict[str, Any]) -> None:
    quote = parent.engine.names.quote
    for table in (STAGING, WINDOW):
        parent.execute("DELETE FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % quote(*table), peer_id, scope.name)
    void = ", acked_out = NULL" if said["reload"] and scope.downloads else ""
    void += ", min_valid_anchor = NULL" if "parent" in said["foreign"] else ""
    parent.execute(
        "UPDATE %s SET anew = ?, session_token = ?, anchor_in = 0, anchor_seen = NULL, landing = NULL%s "
        "WHERE peer_id = ? AND sync_scope_name = ?" % (quote(*SCOPE), void),
        json.dumps(said, sort_keys=True), str(uuid.uuid4()), peer_id, scope.name,
    )  # fmt: skip


def _tracked(db: Any, scope: Scope) -> list[TableName]:
    there = db.engine.tracking.read(db)
    return [item.name for item in scope.tables if item.name in there]


def _taken_by_all(db: Any, table: TableName, peer_id: int, taken: int) -> int:
    """Below which version of the server that it came from all peers have taken a table's changes.

    Renumbered for one of them, what another lacks must not look as if everybody had it.

    :param taken: up to where the peer ``peer_id`` has.
    """
    marks, been = [taken], homes.read(db)
    rows = db.query(
        "SELECT peer_id, sync_scope_name, direction, config_data, acked_out, anew FROM %s WHERE peer_id <> %d"
        % (db.engine.names.quote(*SCOPE), peer_id)
    )
    for number, scope, direction, config, acked, anew in rows:
        sends = direction != ("download" if number == PARENT else "upload")
        mark = acked
        if acked is None and anew is not None:
            # It has yet to begin anew, and had come so far before.
            mark = json.loads(anew)["below" if number == PARENT else "base"]
        # A child that has taken nothing yet begins with a load.
        counts = mark is not None or number == PARENT
        if sends and counts and any(item["table"] == str(table) for item in json.loads(config)["tables"]):
            marks.append(0 if been.strayed(number, scope) else int(mark or 0))
    return min(marks)


def settle(pair: Pair, scope: Scope, lost: Collection[str]) -> None:
    """One scope whose tokens do not chain begins anew: decide whether it may, and mark it at the parent.

    :param lost: the sides of which that is known; where it is empty, the anchors are asked.
    :raises Cloned: another child may be using the same identity.
    """
    number = pair.downwards.peer_id
    ours = metadata.read_state(pair.child, PARENT, scope.name)
    theirs = metadata.read_state(pair.parent, number, scope.name)
    if ours is None or theirs is None:
        raise RetailError("The scope %r is provisioned on one side only." % scope.name, "Provision the pair again.")
    identity.admit(pair.parent, pair.guid, identity.here(pair.child), pair.silence)
    if theirs.anew is None:
        with pair.parent.transaction():
            mark(pair.parent, number, scope, ours, lost, forced=True)
        LOGGER.warning("%s: the scope %s begins anew", pair.name, scope.name)
    follow(pair, scope)


def _lost(ours: ScopeState, theirs: ScopeState) -> Collection[str]:
    """Who lost something, by what each side was told."""
    lost = set()
    if (theirs.acked_out or 0) > (ours.anchor_in or 0):
        lost.add("child")
    if (ours.acked_out or 0) > (theirs.anchor_in or 0):
        lost.add("parent")
    if not lost and theirs.acked_out is not None and (ours.anchor_in or 0) > theirs.acked_out:
        # It took more than the parent was told; and the parent would know the session, had it not lost it.
        lost.add("parent")
    return lost


def follow(pair: Pair, scope: Scope) -> None:
    """The child's part: its row says the same, and its token chains again. Where nothing goes up, the parent's mark goes."""
    child, number = pair.child, pair.downwards.peer_id
    ours = metadata.read_state(child, PARENT, scope.name)
    theirs = metadata.read_state(pair.parent, number, scope.name)
    if ours is None or theirs is None or theirs.anew is None:
        raise RetailError("The scope %r has changed meanwhile." % scope.name, "The next session sees to it.")
    said = dict(ours.anew or {"below": ours.acked_out or 0})
    said["reload"] = scope.downloads and theirs.anew["reload"]
    said["forget"] = "parent" in (*theirs.anew["lost"], *theirs.anew["foreign"])
    quote = child.engine.names.quote
    landing = None if said["reload"] or not ours.landing else json.dumps(_landing_anew(child, scope, ours))
    with child.transaction():
        if "child" in theirs.anew["foreign"]:
            taken = 0 if homes.hold(child).strayed(PARENT, scope.name) else said["below"]
            for table in _tracked(child, scope):
                below = _taken_by_all(child, table, PARENT, taken)
                for statement in child.engine.tracking.renumber(table, below):
                    child.execute(statement)
            homes.fit(child, PARENT, scope.name)
            said["below"] = _TAKEN
        child.execute("DELETE FROM %s WHERE peer_id = ? AND sync_scope_name = ?" % quote(*STAGING), PARENT, scope.name)
        child.execute(
            "UPDATE %s SET anew = ?, previous_token = ?, acked_out = NULL, landing = ?%s WHERE peer_id = ? AND sync_scope_name = ?"
            % (quote(*SCOPE), ", anchor_in = NULL, anchor_seen = NULL" if said["reload"] else ""),
            json.dumps(said, sort_keys=True) if scope.uploads or said["reload"] else None, theirs.session_token, landing,
            PARENT, scope.name,
        )  # fmt: skip
    if not scope.uploads:
        sql = "UPDATE %s SET anew = NULL WHERE peer_id = ? AND sync_scope_name = ?"
        pair.parent.execute(sql % pair.parent.engine.names.quote(*SCOPE), number, scope.name)


def _landing_anew(child: Any, scope: Scope, ours: ScopeState) -> dict[str, int | None]:
    """What has landed and was not applied goes, since it would be judged by the numbers of the other server: it is read again."""
    low = dict(ours.landing)
    for table in low:
        starts = metadata.landed_from(child, PARENT, scope.name, table)
        if starts:
            low[table] = None if None in starts else min(mark or 0 for mark in starts)
    return low


def reload(pair: Pair, scope: Scope) -> None:
    """A child that was away for longer than deletions are remembered loads the scope again; it has lost nothing. What has landed
    and was not applied may have been deleted meanwhile, too."""
    child, key = pair.child, (PARENT, scope.name)
    quote, mine = child.engine.names.quote, "WHERE peer_id = ? AND sync_scope_name = ?"
    with child.transaction():
        child.execute("DELETE FROM %s %s" % (quote(*STAGING), mine), *key)
        # Into a first load that was cut off nothing has to be merged.
        child.execute(
            "UPDATE %s SET anew = ? %s AND anchor_in IS NOT NULL" % (quote(*SCOPE), mine),
            json.dumps({"below": 0, "forget": False, "reload": True}), *key,
        )  # fmt: skip
        child.execute(
            "UPDATE %s SET anchor_in = NULL, anchor_seen = NULL, landing = NULL %s" % (quote(*SCOPE), mine), *key
        )


def upload(child: Any, scope: Scope, ours: ScopeState, theirs: ScopeState) -> Anew | None:
    """How the upload begins anew, None where it goes on."""
    if theirs.anew is None or not scope.uploads:
        return None
    lost = theirs.anew["lost"]
    strange = "parent" in (*lost, *theirs.anew["foreign"])
    base = theirs.anew["base"] - 1 if strange else None
    given = theirs.anew.get("given", theirs.anew["base"]) - 1 if strange else None
    below = int((ours.anew or {}).get("below") or 0)
    aside = metadata.oldest_aside(child, PARENT, scope.name)
    return Anew("child" in lost, "parent" in lost, below, base, given, aside)
