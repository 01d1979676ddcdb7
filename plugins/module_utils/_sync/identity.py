# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is who: a child's database that was restored or moved, and one that was cloned.

The parent keeps, for each child, every database that ever came under its identity: its incarnation (what the server says of
the database), and its place (the host of the service, and how that reaches the database). A cloned image has the
incarnation of the original where it is a copy of the server's files, but another place; a restored dump has the same place,
but another incarnation. One of them is ``accepted``: it alone moves rows. Another one is

* **restored** where it has the place of the accepted one: two databases cannot be reached in the same way, so the accepted one
  is no more. It takes over at once.
* **moved or cloned** at any other place; nothing in the databases can tell which. A moved one's original is silent from then
  on, a clone's is not. So it has to wait (``waiting``) until the accepted one has not been heard of for a while, in which this
  one asked again and again: silence counts only while the parent could have heard. If the accepted one is heard of after
  the other has come, there are two, and the one that came later is a clone for good (``refused``): it must not take over in
  the night when the original is switched off.
* **formerly accepted** (``former``): it comes back after another one has taken over, with whatever it has sold meanwhile.

A clone that took over since its original was switched off loses nothing either: the original is refused when it comes back,
its rows stay where they are, and its name stands in the status of both. What no machine can decide the operator does:
``retail-sync rebaseline --moved``, run where the database is that is to be the child from now on.

The parent's clock may jump meanwhile. Times that lie in the future are set back to now before they are compared, and between two
questions of one that waits no more than a third of the silence is believed.
"""

from __future__ import annotations

import functools
import platform
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .._engine._errors import RetailError
from .metadata import INCARNATION

#: Seconds of silence after which another database may take the place of the accepted one: three heartbeats of the service.
SILENCE = 900.0

#: The place of a database that the operator named, until it is heard of: from wherever that is.
ANYWHERE = ""

ACCEPTED, WAITING, REFUSED, FORMER = "accepted", "waiting", "refused", "former"
ADVICE = (
    "If this one is to be the child from now on, stop the other's service and run retail-sync rebaseline --moved here. If both "
    "are registers, provision this one under its own register ID, with reprovision: if_needed."
)


class Cloned(RetailError):
    """Another database is, or may still be, the one of this identity; nothing was moved."""


@dataclass(frozen=True)
class Instance:
    """One database of a child. ``place`` is for people, too."""

    incarnation: str
    place: str


@dataclass(frozen=True)
class Known:
    """A row of ``sync_incarnation``; times are the parent's, and so is ``now``."""

    instance: Instance
    state: str
    first_heard: Any
    last_heard: Any
    now: Any

    @property
    def silent(self) -> float:
        """Seconds since it was heard of."""
        return float((self.now - self.last_heard).total_seconds())


@functools.cache
def _host() -> str:
    number = uuid.getnode()
    # Where no network card says its number, one is made up at each start.
    return platform.node() if number >> 40 & 1 else "%s %012x" % (platform.node(), number)


def here(child: Any) -> Instance:
    """The child that this process is connected to."""
    return Instance(child.engine.marks.incarnation(child), place(child))


def place(child: Any) -> str:
    """Where the child is, as it is reached from here."""
    return ("%s, %s" % (child.target.where, _host()))[:200]


def read(parent: Any, guid: str) -> list[Known]:
    """All that the parent has heard of under one identity, the latest first."""
    rows = parent.query(
        "SELECT incarnation, place, state, first_heard, last_heard, CAST(%s AS %s) FROM %s WHERE peer_guid = ? "
        "ORDER BY last_heard DESC"
        % (parent.engine.tracking.NOW, parent.engine.types.native("datetime"), parent.engine.names.quote(*INCARNATION)),
        guid,
    )
    return [Known(Instance(row[0], row[1]), *row[2:]) for row in rows]


def hear(parent: Any, guid: str, instance: Instance) -> None:
    """The accepted one was heard of; where none is accepted yet, or it is only reached in another way now, this one is."""
    if not _update(parent, guid, instance, "last_heard = %s" % parent.engine.tracking.NOW, " AND state = 'accepted'"):
        accepted = [known.instance.incarnation for known in read(parent, guid) if known.state == ACCEPTED]
        if accepted in ([], [instance.incarnation]):
            accept(parent, guid, instance)


def beat(parent: Any, guid: str, instance: Instance) -> None:
    """The accepted one was heard of, if this is it. Nothing is accepted by being heard of before its sessions chain."""
    _update(parent, guid, instance, "last_heard = %s" % parent.engine.tracking.NOW, " AND state = 'accepted'")


def accept(parent: Any, guid: str, instance: Instance) -> None:
    """From now on this one is the child."""
    with parent.transaction():
        parent.execute(
            "UPDATE %s SET state = 'former' WHERE peer_guid = ? AND state = 'accepted'"
            % parent.engine.names.quote(*INCARNATION),
            guid,
        )
        _write(parent, guid, instance, ACCEPTED)


def admit(parent: Any, guid: str, instance: Instance, silence: float) -> None:
    """Let a database begin anew that does not continue what the parent knows, see above.

    :param silence: seconds for which the accepted one must not have been heard of while this one asks.
    :raises Cloned: this one is a clone, or may be one; the message names both.
    """
    _forget_the_future(parent, guid)
    known = read(parent, guid)
    accepted = next((one for one in known if one.state == ACCEPTED), None)
    if accepted is None or _is_in_place_of(accepted.instance, instance):
        accept(parent, guid, instance)
        return
    me = next((one for one in known if one.instance == instance), None)
    waited = 0.0
    if me is None:
        _write(parent, guid, instance, WAITING)
    elif me.state in (REFUSED, FORMER) or accepted.last_heard > me.first_heard:
        _update(parent, guid, instance, "state = 'refused'", " AND state = 'waiting'")
        raise Cloned(_says(instance, accepted, "is another one"), ADVICE)
    else:
        waited = _wait(parent, guid, me, silence / 3)
    if waited < silence:
        text = "may be a clone: the other has to be silent for %d s, of which %d s have passed"
        raise Cloned(_says(instance, accepted, text % (silence, waited)), ADVICE)
    accept(parent, guid, instance)


def _is_in_place_of(accepted: Instance, instance: Instance) -> bool:
    if accepted.place == ANYWHERE:
        return accepted.incarnation == instance.incarnation
    return accepted.place == instance.place


def _forget_the_future(parent: Any, guid: str) -> None:
    """The parent's clock was ahead when these were heard of."""
    now = parent.engine.tracking.NOW
    # In this order: what was heard of last must not come to lie after what came first.
    for name in ("last_heard", "first_heard"):
        parent.execute(
            "UPDATE {0} SET {1} = {2} WHERE peer_guid = ? AND {1} > {2}".format(
                parent.engine.names.quote(*INCARNATION), name, now
            ),
            guid,
        )


def _wait(parent: Any, guid: str, me: Known, believed: float) -> float:
    """Seconds for which one that waits has been asking; what is not believed of the time since it asked last is taken off."""
    first = me.first_heard + timedelta(seconds=max(0.0, me.silent - believed))
    settings = "last_heard = %s, first_heard = CAST(? AS %s)" % (
        parent.engine.tracking.NOW,
        parent.engine.types.native("datetime"),
    )
    _update(parent, guid, me.instance, settings, "", first.isoformat(timespec="milliseconds"))
    return float((me.now - first).total_seconds())


def _says(instance: Instance, accepted: Known, text: str) -> str:
    return "The child is the database %s (at %s), and this one, %s (at %s), %s." % (
        accepted.instance.incarnation, accepted.instance.place, instance.incarnation, instance.place, text,
    )  # fmt: skip


def _write(parent: Any, guid: str, instance: Instance, state: str) -> None:
    quote, now = parent.engine.names.quote, parent.engine.tracking.NOW
    if not _update(parent, guid, instance, "state = '%s', last_heard = %s" % (state, now), ""):
        parent.execute(
            "INSERT INTO %s (peer_guid, incarnation, place, state, first_heard, last_heard) VALUES (?, ?, ?, '%s', %s, %s)"
            % (quote(*INCARNATION), state, now, now),
            guid, instance.incarnation, instance.place,
        )  # fmt: skip


def _update(parent: Any, guid: str, instance: Instance, settings: str, condition: str, *values: Any) -> int:
    sql = "UPDATE %s SET %s WHERE peer_guid = ? AND incarnation = ? AND place = ?%s"
    return parent.execute(
        sql % (parent.engine.names.quote(*INCARNATION), settings, condition),
        *values,
        guid,
        instance.incarnation,
        instance.place,
    )
