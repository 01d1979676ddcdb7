# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the start, the check that the founding page ends with: every table is tracked, and the log gets rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .._engine._errors import ConnectFailed, RetailError, StatementFailed
from . import log, metadata, verify
from .config import ServiceConfig
from .link import Link
from .metadata import PARENT
from .pair import Pair
from .service import terminal_of
from .status import Document

_POLL = 0.25


class NotAlive(RetailError):
    """The service does not do what it should; the message says why."""


def wait(config: ServiceConfig, since: datetime | None, seconds: float, runs: Callable[[], bool]) -> Document:
    """Wait until the parent's log has a row of every scope.

    :param since: only rows from that time on count, by the clock of this host, which is that of the service too; None
        takes older ones, for a service that has been running all the time.
    :param runs: whether the service still runs.
    :raises NotAlive: it does not come to that within the time; with the reason, as far as it can be known.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with Link(config) as link:
                return _watch(link.pair(), since, deadline, runs)
        except (ConnectFailed, StatementFailed) as error:
            passing = isinstance(error, ConnectFailed) or error.kind in ("lost", "transient")
            if not passing or time.monotonic() >= deadline:
                raise NotAlive(error.message, error.advice) from None
        time.sleep(_POLL)


def _watch(pair: Pair, since: datetime | None, deadline: float, runs: Callable[[], bool]) -> Document:
    _see_tracking(pair)
    wanted = {scope.scope_id: scope.name for scope in pair.scopes}
    terminal = terminal_of(pair)
    while True:
        alive, missing = runs(), set(wanted) - log.scopes_since(pair.parent, terminal, since)
        if not missing:
            return {"tracking_tables": verify.count_tracked(pair), "last_log": _last(pair, terminal)}
        if not alive:
            raise NotAlive("The service has ended.", "")
        if time.monotonic() >= deadline:
            raise NotAlive(_why(pair, sorted(wanted[number] for number in missing)), "")
        time.sleep(_POLL)


def _see_tracking(pair: Pair) -> None:
    problems = verify.tracking(pair)
    if problems:
        more = " And %d more." % (len(problems) - 3) if len(problems) > 3 else ""
        raise NotAlive(" ".join(problems[:3]) + more, "Provision the pair again.")


def _why(pair: Pair, missing: list[str]) -> str:
    errors = metadata.read_errors(pair.child, PARENT)
    said = ["%s: %s" % (name, errors[name]) for name in missing if name in errors]
    text = "RETAILOFFLINESYNCLOG has got no row of %s for the scopes %s." % (terminal_of(pair), ", ".join(missing))
    return " ".join([text, *said])


def _last(pair: Pair, terminal: str) -> Any:
    rows = log.read_last(pair.parent, 1, terminal)
    return rows[0] if rows else None
