# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of a register's settings: what is there, what is wanted, and the steps between."""

from __future__ import annotations

from typing import Protocol

from .._engine._errors import RetailError
from .._plan import Plan, Step
from .edit import Edit, edit
from .settings import Section, Settings

ADVICE = "Run again as somebody who may."


class Place(Protocol):
    """Where the file is, and how it is reached there; its methods raise RetailError or OSError.

    ``path``: of what is read and written in the end, known once it was read. ``section``: see :func:`edit`.
    ``mode``, where a method takes one: what a file with this content usually has; None: what it has.
    """

    path: str
    section: Section | None

    def read(self) -> bytes | None:
        """The content, None where there is no file."""

    def write(self, content: bytes, mode: int | None) -> None:
        """Replace the file, or make it."""

    def remove(self) -> None:
        """Remove the file."""

    def folder_step(self) -> Step | None:
        """Make the folder, unless it is there."""

    def shape_step(self, mode: int | None) -> Step | None:
        """Put right what is wrong with a file whose content is right."""


def plan(place: Place, settings: Settings | None) -> Plan:
    """The steps that bring the settings into the file; out of it where they are None.

    :raises RetailError: the file cannot be read, understood, or edited.
    """
    actual = place.read()
    wanted = edit(place.path, place.section, actual, settings)
    mode = _usual_mode(place.section, settings)
    steps = Plan()
    if wanted.content is None:
        if actual is not None:
            steps.add(_removal(place, actual, wanted))
    elif wanted.content == actual:
        steps.add(place.shape_step(mode))
    else:
        if actual is None:
            steps.add(place.folder_step())
        steps.add(_writing(place, actual, wanted.content, mode, wanted))
    return steps


def apply(steps: Plan) -> None:
    """Run the steps.

    :raises RetailError: the file cannot be written; its facts say what was done before.
    """
    try:
        _run(steps)
    except RetailError as error:
        error.facts = {**steps.begun, **error.facts}
        raise


def _run(steps: Plan) -> None:
    try:
        steps.apply()
    except LookupError as error:
        raise RetailError("The file cannot be given to its owner: %s." % error, "Create the account first.") from None
    except OSError as error:
        reason = "%s cannot be written: %s." % (error.filename or "The file", error.strerror)
        raise RetailError(reason, ADVICE) from None


def _usual_mode(section: Section | None, settings: Settings | None) -> int | None:
    if section is not None or settings is None:
        return None
    return 0o600 if settings.is_secret else 0o644


def _writing(place: Place, actual: bytes | None, content: bytes, mode: int | None, wanted: Edit) -> Step:
    def write() -> None:
        _insist(place, actual)
        place.write(content, mode)

    title = "Write the register's settings to %s" % place.path
    return Step(title, ("files", place.path), wanted.before, wanted.after, action=write)


def _removal(place: Place, actual: bytes, wanted: Edit) -> Step:
    def remove() -> None:
        _insist(place, actual)
        place.remove()

    title = "Remove the register's settings %s" % place.path
    return Step(title, ("files", place.path), wanted.before, None, action=remove)


def _insist(place: Place, known: bytes | None) -> None:
    """See that nobody has changed the file since the plan was made."""
    if place.read() != known:
        raise RetailError("Somebody changed %s meanwhile." % place.path, "Run again.")
