# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service of one pair: looks at both databases, runs the scopes in which something is pending, and rests.

While nothing happens a look is one short question to each database. A register that is offline is normal life: it is
said once when it goes and once when it comes back.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from typing import Any

from .._engine._errors import ConnectFailed, RetailError, StatementFailed
from . import identity, log, metadata, session, upkeep
from .clock import Absence, Clock, Marks, Rhythm
from .config import ServiceConfig
from .link import Link
from .messages import LOGGER
from .metadata import PARENT, SCOPE, Scope
from .pair import Pair
from .steps import Steps, Unfinished, for_a_while, to_the_end


class Stopped(BaseException):
    """The service has been asked to stop; transactions that are open are rolled back on the way out."""


class Reprovisioned(RetailError):
    """The child has got another identity or another parent since the pair was opened."""


class Service:
    """The loop. One thread runs it; others may call :meth:`stop` and :meth:`reconfigure` and read the attributes."""

    def __init__(self, config: ServiceConfig) -> None:
        self.config = config
        self.resting = False
        self.summary = "starting"
        self._link = Link(config, self._check, heals=True)
        self._clocks: dict[str, Clock] = {}
        self._rhythm = _rhythm(config)
        self._keep_up_at = 0.0
        self._upkeep: Steps[bool] | None = None
        self._count_at = 0.0
        self._absence = Absence()
        self._connected = False
        self._doubtful = False
        self._announced = False
        self._scopes_read_at = ""
        self._next_config: ServiceConfig | None = None
        self._stopping = False
        self._wake = threading.Event()

    # ---- for other threads

    def stop(self) -> None:
        """End :meth:`run` at the next statement."""
        self._stopping = True
        self._wake.set()

    def reconfigure(self, config: ServiceConfig) -> None:
        """Go on with another configuration from the next look on, which follows at once."""
        self._next_config = config
        self._wake.set()

    @property
    def progress(self) -> int:
        """A number that grows as long as the loop gets anywhere."""
        return self._link.statements

    # ---- the loop

    def run(self) -> None:
        """Look, rest, and look again until :meth:`stop`."""
        try:
            while not self._stopping:
                self._rest(self.cycle())
        except Stopped:
            LOGGER.info("%s: interrupted in a session; what was not whole is rolled back", self.config.name)
        finally:
            self._leave_upkeep()
            self._link.close()

    def cycle(self) -> float:
        """One look at the pair and what follows from it. Returns the seconds until the next look is due."""
        self._take_next_config()
        try:
            pair = self._link.pair()
            self._arrived(pair)
            self._look(pair)
            self._returned()
        except Reprovisioned:
            LOGGER.info("%s: the pair was provisioned anew", self.config.name)
            self._disconnect()
            return 0
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may find the cause gone
            return self._lost(error)
        pause = self._pause(pair)
        if self._doubtful:
            # What a scope failed with may come from what was read of the pair long ago.
            self._disconnect()
        return pause

    def _check(self) -> None:
        if self._stopping:
            raise Stopped

    def _rest(self, seconds: float) -> None:
        self.resting = True
        self._wake.wait(seconds)
        self._wake.clear()
        self.resting = False

    def _take_next_config(self) -> None:
        config, self._next_config = self._next_config, None
        if config is None:
            return
        self._leave_upkeep()
        if (config.child, config.parent) != (self.config.child, self.config.parent):
            self._link.close()
            self._link = Link(config, self._check, heals=True)
            self._connected = False
        self.config = config
        self._rhythm = _rhythm(config)
        self._clocks.clear()

    def _pause(self, pair: Pair) -> float:
        """The interval, unless a scope has to follow sooner."""
        now = time.monotonic()
        own = [scope for scope in pair.scopes if scope.frequency > 0 or self._clock(scope).hurries]
        return max(0.05, min([self._rhythm.look(), *[self._clock(scope).due_at - now for scope in own]]))

    # ---- coming and going

    def _arrived(self, pair: Pair) -> None:
        """Where the pair has just been opened: read everything anew."""
        if self._connected:
            return
        pair.preload(pair.scopes)
        for name in metadata.read_errors(pair.child, PARENT):
            self._clocks.setdefault(name, Clock()).noted = True
        self._connected = True
        said = "%s: %s and %s, %d scopes"
        # Said once; a scope that fails has the pair opened again and again.
        level = logging.DEBUG if self._announced else logging.INFO
        LOGGER.log(level, said, self.config.name, pair.child.target.where, pair.parent.target.where, len(pair.scopes))
        self._announced = True

    def _returned(self) -> None:
        lasted = self._absence.ends(time.monotonic())
        if lasted is not None:
            LOGGER.info("%s: the pair is connected again after %d s", self.config.name, lasted)

    def _lost(self, error: Exception) -> float:
        """The pair cannot be had: say so once, and try again after a pause that grows."""
        failure = self._link.failure(error)
        kind = type(failure).__name__ if isinstance(failure, ConnectFailed) else str(failure)
        if self._absence.begins(time.monotonic(), kind):
            LOGGER.warning("%s: %s Trying again until it works.", self.config.name, failure)
            self.summary = "waiting: %s" % failure.message
            if not isinstance(failure, (ConnectFailed, StatementFailed)):
                self._note_everywhere(failure)
        else:
            LOGGER.debug("%s: %s", self.config.name, failure)
        if not isinstance(error, RetailError):
            LOGGER.debug("%s: the defect in full", self.config.name, exc_info=error)
        self._disconnect()
        return self._absence.pause(self.config.interval) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def _disconnect(self) -> None:
        self._leave_upkeep()
        self._link.close()
        self._connected = self._doubtful = False
        for clock in self._clocks.values():
            clock.quiet_at = None

    def _note_everywhere(self, failure: RetailError) -> None:
        """Write what keeps the pair apart into the child's scope_info, where an administrator looks."""
        child = self._link.child
        try:
            if child is not None and child.engine.tables.read(child, [SCOPE]):
                for scope in metadata.read_scopes(child, PARENT):
                    self._note(child, scope, str(failure))
        except RetailError as error:
            LOGGER.debug("%s: the error could not be noted: %s", self.config.name, error)

    # ---- one look

    def _look(self, pair: Pair) -> None:
        marks = (pair.child.engine.marks.current(pair.child), pair.parent.engine.marks.current(pair.parent))
        self._notice_changed_scopes(pair, marks)
        now = time.monotonic()
        due = [scope for scope in pair.scopes if self._clock(scope).is_due(now)]
        quiet = [scope for scope in due if self._clock(scope).quiet_at == marks]
        for scope in quiet:
            self._clock(scope).settled(now, self._rhythm.turn(scope.frequency), marks)
        pending = self._pending(pair, [scope for scope in due if scope not in quiet], marks)
        self._beat(pair)
        self._count(pair)
        if pending:
            # A side may have been upgraded since the tables were read: new columns have to travel from now on.
            pair.preload(pending)
        for scope in pending:
            self._session(pair, scope)
        self._keep_up(pair, busy=bool(pending))
        self._summarize(pair)

    def _count(self, pair: Pair) -> None:
        """Now and then, however busy the pair is, the time for which its databases run is counted."""
        if time.monotonic() < self._count_at:
            return
        self._count_at = time.monotonic() + upkeep.LOOK * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, not a secret
        try:
            upkeep.look(pair, self.config.name)
        except RetailError as error:
            self._only_if_sound(error)
            LOGGER.warning("%s: counting the time: %s", self.config.name, error)

    def _keep_up(self, pair: Pair, busy: bool) -> None:
        """Now and then what a database need not keep is deleted: where nothing else is to be done, at once; else a little at a time,
        after what was pending, for a pair may always have something to move."""
        if self._upkeep is None:
            if time.monotonic() < self._keep_up_at:
                return
            self._keep_up_at = time.monotonic() + upkeep.LOOK * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, not a secret
            self._upkeep = upkeep.keep_up(pair, self.config)
        try:
            finished = for_a_while(self._upkeep, upkeep.SLICE) if busy else to_the_end(self._upkeep)
        except Unfinished:
            return
        except RetailError as error:
            self._upkeep = None
            self._only_if_sound(error)
            LOGGER.warning("%s: cleaning up: %s", self.config.name, error)
            return
        self._upkeep = None
        if not finished:
            self._keep_up_at = 0.0

    def _leave_upkeep(self) -> None:
        """What is left of it is done when it is due again; another service may go on with it."""
        left, self._upkeep = self._upkeep, None
        if left is not None:
            with contextlib.suppress(Stopped):
                left.close()

    def _notice_changed_scopes(self, pair: Pair, marks: Marks) -> None:
        if self._scopes_read_at == marks[0]:
            return
        if pair.upwards not in metadata.read_peers(pair.child):
            raise Reprovisioned("The pair was provisioned anew.")
        scopes = metadata.read_scopes(pair.child, PARENT)
        if scopes != pair.scopes:
            LOGGER.info("%s: the scopes have changed, there are %d now", self.config.name, len(scopes))
            pair.replace_scopes(scopes)
            self._clocks = {scope.name: self._clock(scope) for scope in scopes}
        self._scopes_read_at = marks[0]

    def _pending(self, pair: Pair, scopes: list[Scope], marks: Marks) -> list[Scope]:
        """The scopes with something to move; those that cannot be asked count too, their session says what is wrong."""
        if not scopes:
            return []
        try:
            pending = session.pending(pair, scopes)
        except RetailError as error:
            self._only_if_sound(error)
            pending = [scope for scope in scopes if self._is_pending(pair, scope)]
        names = {scope.name for scope in pending}
        for scope in scopes:
            if scope.name not in names:
                self._clock(scope).settled(time.monotonic(), self._rhythm.turn(scope.frequency), marks)
                self._clear(pair, scope)
        return pending

    def _is_pending(self, pair: Pair, scope: Scope) -> bool:
        try:
            return bool(session.pending(pair, [scope]))
        except RetailError as error:
            self._only_if_sound(error)
            self._clock(scope).error = str(error)
            return True

    def _session(self, pair: Pair, scope: Scope) -> None:
        try:
            done = session.run(pair, scope)
        except Exception as error:  # noqa: BLE001 - one scope's failure must not stop the others
            self._only_if_sound(error)
            self._failed(pair, scope, error)
            return
        clock = self._clock(scope)
        clock.ran(time.monotonic(), self._rhythm.turn(scope.frequency), done.waiting, self.config.interval)
        self._clear(pair, scope)
        if done.noteworthy:
            clock.beat_at = time.monotonic()
        LOGGER.log(logging.INFO if done.noteworthy else logging.DEBUG, "%s: %s", self.config.name, describe(done))

    def _only_if_sound(self, error: Exception) -> None:
        """Let the error pass where it is the end of a connection, whatever it looks like."""
        if getattr(error, "kind", "") == "lost" or not self._link.sound():
            raise error

    # ---- what is left behind for people

    def _failed(self, pair: Pair, scope: Scope, error: Exception) -> None:
        failure = self._link.failure(error)
        self._doubtful = True
        clock = self._clock(scope)
        is_news = clock.error != str(failure) or not clock.failures
        clock.failed(time.monotonic(), self.config.interval, str(failure))
        LOGGER.log(
            logging.WARNING if is_news else logging.DEBUG, "%s: scope %s: %s", self.config.name, scope.name, failure
        )
        if not isinstance(error, RetailError):
            LOGGER.error("%s: scope %s: a defect of the service", self.config.name, scope.name, exc_info=error)
        self._note(pair.child, scope, str(failure))

    def _note(self, child: Any, scope: Scope, text: str) -> None:
        self._clock(scope).noted = True
        metadata.note_error(child, PARENT, scope.name, text, log.now())

    def _clear(self, pair: Pair, scope: Scope) -> None:
        clock = self._clock(scope)
        if clock.noted:
            metadata.clear_error(pair.child, PARENT, scope.name)
            clock.noted = False
            LOGGER.info("%s: scope %s works again", self.config.name, scope.name)

    def _beat(self, pair: Pair) -> None:
        """A row in the parent's log for each scope that works and has had none for a while."""
        now, started = time.monotonic(), log.now()
        silent = [
            s for s in pair.scopes if not self._clock(s).error and now - self._clock(s).beat_at >= self.config.heartbeat
        ]
        if not silent:
            return
        with session.logged(pair), pair.parent.transaction():
            for scope in silent:
                log.write(pair.parent, scope, terminal_of(pair), started, None, None)
        identity.beat(pair.parent, pair.guid, pair.instance)
        for scope in silent:
            self._clock(scope).beat_at = now

    def _summarize(self, pair: Pair) -> None:
        failing = [scope.name for scope in pair.scopes if self._clock(scope).error]
        self.summary = "failing: %s" % ", ".join(failing) if failing else "connected, %d scopes" % len(pair.scopes)

    def _clock(self, scope: Scope) -> Clock:
        return self._clocks.setdefault(scope.name, Clock())


def _rhythm(config: ServiceConfig) -> Rhythm:
    return Rhythm(config.name, config.interval, config.frequency_floor)


def terminal_of(pair: Pair) -> str:
    """What stands as TERMINAL in the parent's log: the register, or the store where the child is a store server."""
    return pair.downwards.register_id or pair.downwards.store_id


def describe(done: session.Session) -> str:
    """One line for people on what a session did."""
    if done.busy:
        return "scope %s: another session is at it" % done.scope
    parts = ["scope %s:" % done.scope]
    for word, way in (("up", done.up), ("down", done.down)):
        if way is not None:
            extras = (
                ("conflicts", way.outcome.conflicts),
                ("quarantined", way.quarantined),
                ("waiting", way.outcome.held),
            )
            said = "".join(", %d %s" % (number, what) for what, number in extras if number)
            parts.append("%s %d of %d%s;" % (word, way.outcome.moved, way.rows, said))
    return " ".join(parts).rstrip(";:")
