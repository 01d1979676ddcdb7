# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tokens by which two databases know that they continue each other.

Each way of a session has a token of its own. The sender commits it after the snapshot that is read was taken, and before the
receiver commits anything of that snapshot, which it does together with the token. So a sender that has lost any of what was
taken from it has lost the token, too, whether it was restored from a backup, put back to an earlier moment, or replaced by a
standby to which its last moments had not come. A token committed before the snapshot would be known to a copy that lacks
what was written in between.

What was begun and came to nothing must not look like that: the child keeps the parent's token beside its own, and commits a
new one before the parent does.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from .._engine._errors import StatementFailed
from .metadata import PARENT, SCOPE, Scope, ScopeState


class Tokens:
    """Those of one session of one scope. ``child``, ``parent``: what each side has now."""

    def __init__(
        self, child: Any, parent: Any, number: int, scope: Scope, ours: ScopeState, theirs: ScopeState
    ) -> None:
        self._child, self._parent = child, parent
        self._number, self._scope = number, scope
        self.child, self.parent = ours.session_token, theirs.session_token
        #: Whether the session has given any.
        self.given = False

    def give(self, upload: bool, reading: bool) -> str:
        """A new token for one way, committed at its sender; of a download at the child, too.

        :param reading: the sender's own connection is in the snapshot that is read; it is done on another one.
        :raises StatementFailed: another session has been there since this one began.
        """
        token = str(uuid.uuid4())
        with _at(self._child, reading and upload) as child:
            claimed = child.execute(
                "UPDATE %s SET previous_token = ?, session_token = ? WHERE peer_id = ? AND sync_scope_name = ? AND session_token = ?"
                % child.engine.names.quote(*SCOPE),
                self.parent, token, PARENT, self._scope.name, self.child,
            )  # fmt: skip
        check_claimed(self._scope, claimed)
        self.child, self.given = token, True
        if upload:
            return token
        with _at(self._parent, reading) as parent:
            claimed = parent.execute(
                "UPDATE %s SET session_token = ? WHERE peer_id = ? AND sync_scope_name = ? AND session_token = ?"
                % parent.engine.names.quote(*SCOPE),
                token, self._number, self._scope.name, self.parent,
            )  # fmt: skip
        check_claimed(self._scope, claimed)
        self.parent = token
        return token


@contextlib.contextmanager
def _at(db: Any, reading: bool) -> Iterator[Any]:
    if not reading:
        yield db
        return
    with db.another() as other:
        yield other


def check_claimed(scope: Scope, claimed: int) -> None:
    """See that exactly the row of ``scope_info`` was changed that was meant.

    :raises StatementFailed: it is not as this session has read it.
    """
    if claimed != 1:
        raise StatementFailed("Another session has moved the scope %r meanwhile." % scope.name, "other")
