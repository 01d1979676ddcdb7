# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One session: one scope of one pair, both ways, under the pair's lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._engine._errors import RetailError, StatementFailed
from .._engine._wire import Extract
from . import anew, identity, log, merge, metadata, package, transfer
from .merge import Merging
from .messages import LOGGER
from .metadata import PARENT, SCOPE, Scope, ScopeState
from .pair import Pair, Restored
from .tokens import Tokens
from .transfer import Anchor, Forgotten, TablesChanged, Transfer, Way


@dataclass
class Session:
    """What a session did. ``busy``: another process holds the lock of this pair and scope; nothing was done."""

    scope: str
    up: Transfer | None = None
    down: Transfer | None = None
    busy: bool = False

    @property
    def moved(self) -> int:
        """Rows that changed either side."""
        return sum(way.outcome.moved for way in (self.up, self.down) if way)

    @property
    def noteworthy(self) -> bool:
        """Whether the session belongs into the log: rows were moved, put aside, or in conflict."""
        ways = [way for way in (self.up, self.down) if way]
        return any(way.outcome.moved or way.outcome.conflicts or way.quarantined for way in ways)

    @property
    def waiting(self) -> bool:
        """Whether rows were left for the next session, which should then follow soon."""
        return self.busy or bool(self.down and self.down.outcome.held)


def run(pair: Pair, scope: Scope) -> Session:
    """Synchronise one scope.

    Where one side is older than the other knows it, the scope begins anew, see ``anew.py``.

    :raises Cloned: this child is, or may be, a copy of another one; nothing was moved.
    :raises RetailError: anything else that stopped the session; what had been committed stays, and is no less than whole.
    """
    session = Session(scope.name)
    started = log.now()
    with pair.parent.engine.locks.held(pair.parent, "axops.retail:%s:%s" % (pair.guid, scope.name)) as taken:
        if not taken:
            session.busy = True
            return session
        try:
            _run(pair, scope, session)
        except Restored as found:
            anew.settle(pair, scope, found.lost)
            _run(pair, scope, session)
        if session.noteworthy:
            with logged(pair):
                terminal = pair.downwards.register_id or pair.downwards.store_id
                log.write(pair.parent, scope, terminal, started, session.down, session.up)
    return session


@contextlib.contextmanager
def logged(pair: Pair) -> Iterator[None]:
    """A log that cannot be written stops nothing: said once, and left. Its numbers may have run out, or a column come to it."""
    try:
        yield
        pair.unlogged = ""
    except StatementFailed as error:
        if error.kind == "lost":
            raise
        if pair.unlogged != error.message:
            LOGGER.warning("%s: the log of the parent cannot be written: %s", pair.name, error.message)
        pair.unlogged = error.message


def _run(pair: Pair, scope: Scope, session: Session) -> None:
    """Run the steps; once more where a side was upgraded since its tables were read, or cleaned up since its books were."""
    try:
        _Steps(pair, scope).run(session)
    except (TablesChanged, Forgotten, StatementFailed) as found:
        if isinstance(found, StatementFailed) and found.kind != "changed":
            raise
        pair.preload([scope])
        _Steps(pair, scope).run(session)


class _Steps:
    """The steps of one session; keeps the two rows of scope_info between them."""

    def __init__(self, pair: Pair, scope: Scope) -> None:
        self.pair = pair
        self.scope = scope
        self.child_state = _state(pair.child, PARENT, scope)
        self.parent_state = _state(pair.parent, pair.downwards.peer_id, scope)
        #: From which version on the child has put rows of a table aside, once that was asked.
        self._aside: dict[str, int] | None = None
        if not _chains(self.child_state, self.parent_state):
            raise Restored(
                "The sessions of %s and %s in scope %r do not continue each other: one of them was restored from a backup or cloned."
                % (pair.child.target.where, pair.parent.target.where, scope.name),
                "The next session begins the scope anew.",
            )
        if is_stale(scope, self.child_state, self.parent_state):
            anew.reload(pair, scope)
            self.child_state = _state(pair.child, PARENT, scope)
        self.tokens = Tokens(
            pair.child, pair.parent, pair.downwards.peer_id, scope, self.child_state, self.parent_state
        )

    def run(self, session: Session) -> None:
        acked = Anchor(self.parent_state.anchor_in or 0, self.parent_state.anchor_seen)
        if self.scope.uploads and self._has_work(upload=True):
            session.up = transfer.run(self._way(upload=True), self.parent_state, self._base, acked, self.tokens)
            acked = session.up.anchor
        if self.scope.downloads and self._has_work(upload=False):
            session.down = transfer.run(self._way(upload=False), self.child_state, self._base, acked, self.tokens)
        if self.tokens.given:
            self._acknowledge(session)

    def _base(self, table: str) -> int:
        """The version that rows derive from which the parent never sent: the last state that we took from it.

        Of a table that came to the scope later that is less than the anchor says, or nothing at all; and what was put aside here was
        not taken either.
        """
        if self._aside is None:
            self._aside = metadata.oldest_aside(self.pair.child, PARENT, self.scope.name)
        anchor, landing = self.child_state.anchor_in or 0, self.child_state.landing
        anchor = min(anchor, self._aside.get(table, anchor))
        if table not in landing:
            return anchor - 1
        # What has landed, and was not applied, was not taken.
        starts = metadata.landed_from(self.pair.child, PARENT, self.scope.name, table)
        return min(mark or 0 for mark in (landing[table], anchor, *starts)) - 1

    def _has_work(self, upload: bool) -> bool:
        """Asked before anything is read, so that a session without work writes nothing at all."""
        state = self.parent_state if upload else self.child_state
        if state.landing or state.anew:
            return True
        db = self.pair.child if upload else self.pair.parent
        is_ahead = _is_ahead(state, db.engine.marks.low(db))
        return is_ahead or bool(db.engine.changes.probe(db, extracts_of(self.pair, self.scope, upload, state)))

    def _way(self, upload: bool) -> Way:
        pair, number = self.pair, self.pair.downwards.peer_id
        return Way(
            sender=pair.child if upload else pair.parent,
            receiver=pair.parent if upload else pair.child,
            receiver_number=PARENT if upload else number,
            sender_number=number if upload else PARENT,
            upload=upload,
            scope=self.scope,
            tables=pair.shared_tables(self.scope),
            anew=anew.upload(pair.child, self.scope, self.child_state, self.parent_state) if upload else None,
            merge=None if upload else self._merging(),
            package=None if upload or not _loads(self.child_state) else package.offered(pair, self.scope),
        )

    def _merging(self) -> Merging | None:
        said = self.child_state.anew
        if said is None or not said["reload"]:
            return None
        number = self.pair.downwards.peer_id
        return Merging(bool(said["forget"]), merge.spared(self.pair.parent, number, self.scope))

    def _acknowledge(self, session: Session) -> None:
        """Tell each side how far the other has come: for cleanup and for people. What counts is each side's own anchor."""
        pair, now = self.pair, log.now().isoformat(timespec="milliseconds")
        identity.hear(pair.parent, pair.guid, pair.instance)
        for db, peer, anchor in (
            (pair.parent, pair.downwards.peer_id, session.down.anchor.low if session.down else None),
            (pair.child, PARENT, session.up.anchor.low if session.up else None),
        ):
            settings, values = (
                ["last_session = CAST(? AS %s)" % db.engine.types.native("datetime"), "last_error = NULL"],
                [now],
            )
            if anchor is not None:
                settings.append("acked_out = ?")
                values.append(anchor)
            if db is pair.child and session.up and not (self.child_state.anew or {}).get("reload"):
                settings.append("anew = NULL")
            db.execute(
                "UPDATE %s SET %s WHERE peer_id = ? AND sync_scope_name = ?"
                % (db.engine.names.quote(*SCOPE), ", ".join(settings)),
                *values, peer, self.scope.name,
            )  # fmt: skip


def _loads(ours: ScopeState) -> bool:
    """Whether the scope, or a table that came to it later, is still to be loaded."""
    return ours.anchor_in is None or None in ours.landing.values()


def _state(db: Any, peer: int, scope: Scope) -> ScopeState:
    state = metadata.read_state(db, peer, scope.name)
    if state is None:
        raise RetailError(
            "The database %s is not provisioned for the scope %r." % (db.target.where, scope.name),
            "Provision the pair again; the offline profile may have changed on one side only.",
        )
    return state


def pending(pair: Pair, scopes: list[Scope]) -> list[Scope]:
    """The scopes in which either side has something for the other: three statements to each database.

    A scope that was never loaded is always among them, and one that a side does not know: its session says so. So is one of which
    more was taken than the sender has come to: once it had come further, what it does until then would never travel.
    """
    taken = {upload: _states(pair, upload) for upload in (True, False)}
    found = {
        scope.name for scope in scopes if not _goes_on(scope, taken[False].get(scope.name), taken[True].get(scope.name))
    }
    for upload in (True, False):
        db = pair.child if upload else pair.parent
        states = taken[upload]
        low = db.engine.marks.low(db)
        extracts, owners = [], []
        for scope in scopes:
            if not (scope.uploads if upload else scope.downloads):
                continue
            state = states.get(scope.name)
            if state is None or state.landing or state.anew or _is_ahead(state, low):
                found.add(scope.name)
            if state is None:
                continue
            try:
                asked = extracts_of(pair, scope, upload, state)
            except RetailError:  # a side has lost a table: the scope's session says so, and the others go on
                found.add(scope.name)
                continue
            extracts += asked
            owners += [scope.name] * len(asked)
        found.update(owners[position] for position in db.engine.changes.probe(db, extracts))
    return [scope for scope in scopes if scope.name in found]


def _chains(ours: ScopeState, theirs: ScopeState) -> bool:
    """Whether the child's next session can go on from the parent's last one."""
    return theirs.session_token in (ours.session_token, ours.previous_token)


def is_stale(scope: Scope, ours: ScopeState, theirs: ScopeState) -> bool:
    """Whether the parent has forgotten deletions that the child has not heard of.

    :param ours: the child's row of scope_info; ``theirs``: the parent's.
    """
    oldest = theirs.min_valid_anchor
    taken = transfer.taken(ours.anchor_in, ours.landing)
    return scope.downloads and oldest is not None and any(mark < oldest for mark in taken)


def _is_ahead(state: ScopeState, low: int) -> bool:
    """Whether the receiver has taken more than the sender has come to; its transfer says so."""
    return state.anchor_in is not None and state.anchor_in > low


def _goes_on(scope: Scope, ours: ScopeState | None, theirs: ScopeState | None) -> bool:
    return bool(ours and theirs and _chains(ours, theirs) and not is_stale(scope, ours, theirs))


def waiting(pair: Pair, scope: Scope) -> int | None:
    """How many rows wait in one scope, both ways; None where a first load, or one of a table, is still to come."""
    rows = 0
    for upload in [way for way, wanted in ((True, scope.uploads), (False, scope.downloads)) if wanted]:
        state = _states(pair, upload).get(scope.name)
        if state is None or state.landing or (state.anchor_in is None and not upload):
            return None
        db = pair.child if upload else pair.parent
        rows += sum(number for number, _age in db.engine.changes.backlog(db, extracts_of(pair, scope, upload, state)))
    return rows


def _states(pair: Pair, upload: bool) -> dict[str, ScopeState]:
    """What the receiver of one way has taken so far, by scope."""
    if upload:
        return metadata.read_states(pair.parent, pair.downwards.peer_id)
    return metadata.read_states(pair.child, PARENT)


def extracts_of(pair: Pair, scope: Scope, upload: bool, state: ScopeState) -> list[Extract]:
    """What one way of a scope would read now, a table each; ``state`` is the receiver's."""
    return [
        Extract(
            table=shared.child if upload else shared.parent,
            columns=(),
            low=state.anchor_in if state.anchor_in is not None or not upload else 0,
            seen=state.anchor_seen,
            not_origin=PARENT if upload else pair.downwards.peer_id,
            with_deletes=not upload or scope.uploads_deletes,
            base=0 if upload else None,
            filter=() if upload else shared.filter,
            sends_strays=scope.uploads,
        )
        for shared in pair.shared_tables(scope)
    ]
