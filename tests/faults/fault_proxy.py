# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy between the service and a database server, which knows how to fail.

It counts what the service sends: a request is what arrives from it in one piece, which for a database driver is one
statement. So the n-th request is a phase of a session, the same at each run over the same data.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable

import pgserver

_PIECE = 65536


class Proxy:
    """Forwards 127.0.0.1:``port`` to a server's port, until it is told otherwise.

    ``requests``: how many pieces have come from clients. ``carried``: bytes forwarded since :meth:`arm_cut`, by direction.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self.port = pgserver.free_port()
        self.requests = 0
        self.cuts = 0
        self._at: tuple[int, Callable[[], None], bool] | None = None
        self._limit: tuple[str, int, bool] | None = None
        self.carried = {"up": 0, "down": 0}
        self._dark = False
        self._pairs: dict[socket.socket, tuple[socket.socket, str]] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._ending = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- orders

    def arm(self, request: int, action: Callable[[], None], forward: bool) -> None:
        """Call ``action`` at the n-th request from now on, after (``forward``) or before the server has got it."""
        with self._lock:
            self._at = (self.requests + request, action, forward)

    def disarm(self) -> bool:
        """Returns whether the action was still to come."""
        with self._lock:
            waited, self._at, self._limit = self._at is not None, None, None
            return waited

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
            for end in list(self._pairs):
                self._drop(end)
            self.cuts += 1

    def close(self) -> None:
        self._ending = True
        self._thread.join(5)
        for end in [*self._pairs, self._listener]:
            end.close()
        self._selector.close()

    # ---- the thread

    def _run(self) -> None:
        while not self._ending:
            for key, _events in self._selector.select(0.2):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        self._carry(key.fileobj)

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target()), timeout=5)
        except OSError:
            client.close()
            return
        for one, other, direction in ((client, server, "up"), (server, client, "down")):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(5)
            self._pairs[one] = (other, direction)
            self._selector.register(one, selectors.EVENT_READ)

    def _carry(self, end: socket.socket) -> None:
        if self._dark:
            # Nothing is read either: what is in flight stays there.
            self._selector.unregister(end)
            return
        other, direction = self._pairs[end]
        try:
            data = end.recv(_PIECE)
            if not data:
                self._drop(end)
                return
            if not self._passes(direction, data, other):
                return
            other.sendall(data)
        except OSError:
            self._drop(end)
            return
        if direction == "up":
            self._act(forwarded=True)

    def _passes(self, direction: str, data: bytes, other: socket.socket) -> bool:
        """Whether the data may go on; a part of them may be on its way when the connection is cut."""
        if direction == "up":
            self.requests += 1
            if self._act(forwarded=False):
                return False
        self.carried[direction] += len(data)
        if self._limit is None or self._limit[0] != direction or self.carried[direction] < self._limit[1]:
            return True
        over, dark = self.carried[direction] - self._limit[1], self._limit[2]
        self._limit = None
        other.sendall(data[: len(data) - over])
        if dark:
            self._dark = True
        else:
            self.cut()
        return False

    def _act(self, forwarded: bool) -> bool:
        if self._at is None or self.requests < self._at[0] or self._at[2] != forwarded:
            return False
        action, self._at = self._at[1], None
        action()
        return True

    def _drop(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, (None, ""))[0]
        for one in (end, other):
            if one is not None:
                self._pairs.pop(one, None)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(one)
                one.close()
