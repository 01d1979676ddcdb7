# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's protocol (version 3, not encrypted) as it goes by: which statements a client has the server run, and its answers.

See "Message Formats" in PostgreSQL's documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: Instead of a version in a connection's first message: the server answers with one byte, and the first message comes again.
_ASKS_FOR_ENCRYPTION = (80877103, 80877104)
#: So much of a message is looked at.
_LOOK = 65536


@dataclass(frozen=True)
class Statement:
    """``values``: what is bound to it, as it travels."""

    text: str
    values: bytes = b""

    @property
    def whole(self) -> str:
        """The text and the values, to look something up in them."""
        return self.text + "\n" + self.values.decode("utf-8", "replace")

    def __str__(self) -> str:
        return " ".join(self.text.split())[:100]


@dataclass(frozen=True)
class Message:
    """``kind``: its letter in the protocol. ``start``, ``end``: where it stands in the piece that was read: an earlier piece may have
    begun it, a later one may end it. ``body``: what is there of it so far, where that is not too much."""

    kind: str
    start: int
    end: int
    body: bytes
    complete: bool
    statement: Statement | None = None

    @property
    def runs(self) -> bool:
        """Whether the server runs the statement once it has this message."""
        return self.complete and self.kind in "QE" and self.statement is not None


class Talk:
    """One connection. Messages are told when they are complete, and before that whenever more of them has come."""

    def __init__(self) -> None:
        self._client, self._server = _Stream(named=False), _Stream(named=True)
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, Statement] = {}
        self._single = 0

    def up(self, piece: bytes) -> Iterator[Message]:
        """What the client says."""
        for message in self._client.read(piece):
            if message.kind != "":
                yield self._understood(message)
            elif message.complete:
                encrypts = int.from_bytes(message.body[:4], "big") in _ASKS_FOR_ENCRYPTION
                self._single += encrypts
                self._client.named = not encrypts

    def down(self, piece: bytes) -> Iterator[Message]:
        """What the server says."""
        skipped = min(self._single, len(piece))
        self._single -= skipped
        yield from self._server.read(piece[skipped:])

    def _understood(self, message: Message) -> Message:
        first, _end, rest = message.body.partition(b"\0")
        second = rest.partition(b"\0")[0]
        statement = None
        if message.kind == "Q":
            statement = Statement(first.decode("utf-8", "replace"))
        elif message.kind == "P":
            self._prepared[first] = second.decode("utf-8", "replace")
        elif message.kind == "B" and second in self._prepared:
            statement = self._portals[first] = Statement(self._prepared[second], message.body)
        elif message.kind == "E":
            statement = self._portals.get(first)
        return Message(message.kind, message.start, message.end, message.body, message.complete, statement)


class _Stream:
    """One direction, cut into messages. ``named``: whether they begin with their letter, as all do but a client's first."""

    def __init__(self, named: bool) -> None:
        self.named = named
        self._rest = bytearray()

    def read(self, piece: bytes) -> Iterator[Message]:
        before = len(self._rest)
        self._rest += piece
        place = 0
        while True:
            begins = place + self.named
            if len(self._rest) < begins + 4:
                break
            ends = begins + int.from_bytes(self._rest[begins : begins + 4], "big")
            kind = chr(self._rest[place]) if self.named else ""
            complete = len(self._rest) >= ends
            body = bytes(self._rest[begins + 4 : min(ends, begins + _LOOK)])
            yield Message(kind, place - before, ends - before, body, complete)
            if not complete:
                break
            place = ends
        del self._rest[:place]
