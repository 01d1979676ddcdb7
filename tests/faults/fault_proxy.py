# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy between the service and a database server, which knows how to fail.

It reads the statements that go by, so a fault can be made at one of them: just before the server gets it, once the server has run
it and nobody knows yet, in the middle of what is bound to it, or in the middle of a row that it brings.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pgserver
from fault_wire import Message, Statement, Talk

_PIECE = 65536
#: How the first column of a row is called in a batch.
_ROW = b'"c0"'

BEFORE, AFTER, IN_VALUES, IN_ROWS = "before", "after", "in the values of", "in the rows of"


@dataclass(frozen=True)
class Hit:
    """A fault that was made. ``there``: what had arrived of the message that was cut off, as far as it can be seen; ``missing``: how
    many bytes had not."""

    statement: Statement
    there: bytes = b""
    missing: int = 0


@dataclass
class _Order:
    """``path``: statements that one connection says one after the other, though not in a row; the last one counts."""

    path: tuple[re.Pattern[str], ...]
    moment: str
    action: Callable[[], None]
    goes_on: bool
    hit: Hit | None = None


@dataclass
class _Line:
    """A connection through the proxy. ``done``: how many statements of the order's path it has said. ``asked``: the last one, while
    the server is at it."""

    client: socket.socket
    server: socket.socket
    talk: Talk = field(default_factory=Talk)
    order: _Order | None = None
    done: int = 0
    asked: Statement | None = None


class Proxy:
    """Forwards 127.0.0.1:``port`` to a server's port, until it is told otherwise.

    ``carried``: bytes forwarded since :meth:`arm_cut`, by direction.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self.port = pgserver.free_port()
        self.cuts = 0
        self._order: _Order | None = None
        self._limit: tuple[str, int, bool] | None = None
        self.carried = {"up": 0, "down": 0}
        self._dark = False
        self._lines: dict[socket.socket, _Line] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._ending = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- orders

    def arm(self, path: Sequence[str], moment: str, action: Callable[[], None], goes_on: bool = False) -> None:
        """Call ``action`` once, at the statement that a path of regular expressions leads to.

        moment: ``BEFORE`` the server gets it; ``AFTER`` it has run it, before the client hears of that; ``IN_VALUES``: a part of the
        rows that are bound to it has arrived; ``IN_ROWS``: a part of the rows that it brings. What is stopped there is never
        forwarded. goes_on: it is, after the action, which concerns somebody else.
        """
        with self._lock:
            self._order = _Order(tuple(re.compile(text, re.DOTALL) for text in path), moment, action, goes_on)

    @property
    def hit(self) -> Hit | None:
        """The fault that was ordered last, once it was made."""
        return self._order.hit if self._order else None

    def disarm(self) -> None:
        with self._lock:
            self._order = self._limit = None

    def arm_cut(self, direction: str, size: int, dark: bool = False) -> None:
        """Cut all connections once ``size`` bytes more have gone ``up`` (to the server) or ``down``.

        dark: first nothing arrives any more and nobody is told, as where a cable is pulled; :meth:`cut` ends that.
        """
        with self._lock:
            self.carried = {"up": 0, "down": 0}
            self._limit = (direction, size, dark)

    @property
    def dark(self) -> bool:
        """Whether nothing is forwarded now."""
        return self._dark

    def cut(self) -> None:
        """End all connections, at once and on both sides, and forward again what comes then."""
        with self._lock:
            self._dark = False
            for line in {id(line): line for line in self._lines.values()}.values():
                self._drop(line)
            self.cuts += 1

    def close(self) -> None:
        self._ending = True
        self._thread.join(5)
        for end in [*self._lines, self._listener]:
            end.close()
        self._selector.close()

    # ---- the thread

    def _run(self) -> None:
        while not self._ending:
            for key, _events in self._selector.select(0.2):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._lines:
                        self._carry(key.fileobj)

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target()), timeout=5)
        except OSError:
            client.close()
            return
        line = _Line(client, server)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(5)
            self._lines[one] = line
            self._selector.register(one, selectors.EVENT_READ)

    def _carry(self, end: socket.socket) -> None:
        if self._dark:
            # Nothing is read either: what is in flight stays there.
            self._selector.unregister(end)
            return
        line = self._lines[end]
        up = end is line.client
        other = line.server if up else line.client
        try:
            data = end.recv(_PIECE)
            if not data:
                self._drop(line)
                return
            passes, action = self._ordered(line, up, data)
            if action is None:
                passes, action = self._limited("up" if up else "down", data)
            elif passes == len(data):
                action()
                action = None
            other.sendall(data[:passes])
        except OSError:
            self._drop(line)
            return
        if action is not None:
            action()

    def _limited(self, direction: str, data: bytes) -> tuple[int, Callable[[], None] | None]:
        """How many of the bytes may go on, and what is done then."""
        self.carried[direction] += len(data)
        if self._limit is None or self._limit[0] != direction or self.carried[direction] < self._limit[1]:
            return len(data), None
        over, dark = self.carried[direction] - self._limit[1], self._limit[2]
        self._limit = None
        return len(data) - over, self._darken if dark else self.cut

    def _darken(self) -> None:
        self._dark = True

    # ---- at a statement

    def _ordered(self, line: _Line, up: bool, data: bytes) -> tuple[int, Callable[[], None] | None]:
        """How many of the bytes may go on, and what is done then."""
        if line.order is not self._order:
            line.order, line.done, line.asked = self._order, 0, None
        action = None
        for message in line.talk.up(data) if up else line.talk.down(data):
            order = line.order
            if order is None or order.hit is not None:
                continue
            place = self._asks(line, order, message) if up else self._answers(line, order, message)
            if place is not None:
                action = order.action
                if not order.goes_on:
                    return place, action
        return len(data), action

    def _asks(self, line: _Line, order: _Order, message: Message) -> int | None:
        """Where in the piece the client is stopped."""
        if message.statement is None:
            return None
        if message.runs and re.match("ROLLBACK(?! TO )", message.statement.text):
            line.done = 0
            return None
        if not order.path[line.done].search(message.statement.whole):
            return None
        is_last = line.done == len(order.path) - 1
        if is_last and order.moment == IN_VALUES:
            return _cut_off(order, message, message.statement) if message.kind == "B" else None
        if not message.runs:
            return None
        if not is_last:
            line.done += 1
        elif order.moment == BEFORE:
            order.hit = Hit(message.statement)
            return 0
        else:
            line.asked = message.statement
        return None

    def _answers(self, line: _Line, order: _Order, message: Message) -> int | None:
        """Where in the piece the server is stopped."""
        if line.asked is None:
            return None
        if order.moment == IN_ROWS and message.kind == "D":
            return _cut_off(order, message, line.asked)
        if order.moment == AFTER and message.kind == "Z":
            order.hit = Hit(line.asked)
            return 0
        if message.kind == "Z":
            line.asked = None
        return None

    def _drop(self, line: _Line) -> None:
        for one in (line.client, line.server):
            self._lines.pop(one, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(one)
            one.close()


def _cut_off(order: _Order, message: Message, statement: Statement) -> int | None:
    """In the middle of a row, where there is one: all but its key's first column is missing."""
    found = message.body.rfind(_ROW)
    if found < 0:
        return None
    # The kind and the length precede the body.
    place = message.start + 5 + found + len(_ROW)
    if place < 0:
        return None
    order.hit = Hit(statement, message.body[: found + len(_ROW)], message.end - place)
    return place
