# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HQ database as a place that set-up rows are written to, one run after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from .. import _engine
from .._plan import Plan
from .locking import take
from .state import Place, check_writable

_LOCK = "axops.retail:hq"


class Planned(Protocol):
    """Whatever has a plan."""

    plan: Plan


Made = TypeVar("Made", bound=Planned)


def place(
    target: Any, connect: Callable[[Any], Any], check_mode: bool, key: str = "hq", title: str = "the HQ database"
) -> Place:
    """The database behind a target. In check mode it need not exist: an earlier task would have made it.

    :param connect: opens a target.
    :raises ConnectFailed: it cannot be reached.
    :raises RetailError: the server is too old, or the database behaves like one of such a server.
    """
    engine = _engine.speaker(target.engine)
    if check_mode:
        server = connect(target.on(engine.connect.MAINTENANCE_DATABASE))
        if not engine.databases.exists(server, target.database):
            engine.databases.check_server(server)
            return Place(key, title, engine)
    db = connect(target)
    engine.databases.check_server(db)
    return Place(key, title, engine, db)


@contextlib.contextmanager
def planned(there: Place, make: Callable[[], Made], check_mode: bool, timeout: float) -> Iterator[Made]:
    """What ``make`` plans; where that changes something, it plans again under HQ's lock, which is held to the end.

    :param timeout: seconds to wait for the lock.
    :raises RetailError: another run held it all the time, or the database is read-only.
    """
    made = make()
    if made.plan.changed:
        check_writable(there.db)
    with contextlib.ExitStack() as held:
        if there.db is not None and made.plan.changed and not check_mode:
            take(held, there.db, _LOCK, "Another run is changing %s" % there.title, timeout)
            made = make()
        yield made
