# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of a register's settings: what is there, what is wanted, and the steps between."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import Any, Callable

from .._engine._errors import RetailError
from .._plan import Plan, Step
from .._sync import files
from . import settings as settings_
from .app_config import AppConfig
from .settings import Section, Settings

_ADVICE = "Run again as somebody who may."


@dataclass(frozen=True)
class File:
    """Where the settings stand, and how. ``mode`` None: as it is, or as the content demands; the same for the owner.

    ``section``: the vendor's section in an application configuration; None for a file of our own.
    ``before_write``: called just before a file that is there is replaced or removed; makes the backup.
    """

    path: str
    section: Section | None = None
    mode: int | None = None
    owner: str = ""
    group: str = ""
    before_write: Callable[[], Any] = lambda: None


def plan(place: File, settings: Settings | None) -> Plan:
    """The steps that bring the settings into the file; out of it where they are None.

    :raises RetailError: the file cannot be read, understood, or edited.
    """
    # A link stays a link: what it points to is replaced.
    path = os.path.realpath(place.path)
    actual = _read(path)
    steps = Plan()
    if place.section is not None:
        content, before, after = _edited(place.section, path, actual, settings)
    elif settings is None:
        content, before, after = None, _understood(actual), None
    else:
        content = settings_.dumps(settings)
        before, after = _understood(actual), settings_.document(settings)
    shape = _shape(place, path, settings)
    if content is None:
        steps.add(_removal(place, path, actual, before))
    elif content == actual:
        steps.add(files.shape_step(path, shape))
    else:
        if actual is None:
            steps.add(files.folder_step(os.path.dirname(path), files.Shape(0o755)))
        steps.add(_writing(place, path, actual, content, shape, before, _marked(before, after)))
    return steps


def apply(steps: Plan) -> None:
    """Run the steps.

    :raises RetailError: the file cannot be written.
    """
    try:
        steps.apply()
    except LookupError as error:
        raise RetailError("The file cannot be given to its owner: %s." % error, "Create the account first.") from None
    except OSError as error:
        reason = "%s cannot be written: %s." % (error.filename or "The file", error.strerror)
        raise RetailError(reason, _ADVICE) from None


def _edited(
    section: Section, path: str, actual: bytes | None, settings: Settings | None
) -> tuple[bytes | None, Any, Any]:
    """The vendor's file as it is to be, and what it says of the register before and after."""
    if actual is None:
        if settings is None:
            return None, None, None
        raise RetailError(
            "There is no file %s." % path, "Install the POS first, which brings it, or name the file that it brought."
        )
    try:
        config = AppConfig(actual)
        before = _attributes(config, section)
        if settings is None:
            settings_.clear_section(config, section)
        else:
            settings_.write_section(config, section, settings)
    except RetailError as error:
        raise RetailError("%s: %s" % (path, error.message), error.advice) from None
    return config.content, before, _attributes(config, section)


def _attributes(config: AppConfig, section: Section) -> Any:
    return settings_.section_shown(config, section)


def _understood(content: bytes | None) -> Any:
    """What a file of our own says, for people."""
    if content is None:
        return None
    try:
        return settings_.hidden(json.loads(content.decode("utf-8")))
    except ValueError:
        return "(not a register's settings)"


def _marked(before: Any, after: Any) -> Any:
    """The new values; where they look like the old ones, a password is what changes."""
    return {**after, "password": "(changed)"} if before == after and isinstance(after, dict) else after


def _shape(place: File, path: str, settings: Settings | None) -> files.Shape:
    mode, facts = place.mode, files.facts_of(path)
    if mode is None and place.section is None and settings is not None:
        mode = 0o600 if settings.is_secret else 0o644
    if mode is None:
        mode = stat.S_IMODE(facts.st_mode) if facts else 0o644
    owner, group = place.owner, place.group
    if facts is not None:
        # A new file takes the place of the old one, and belongs to the same account.
        owner, group = owner or files.user_of(facts), group or files.group_of(facts)
    return files.Shape(mode, owner, group)


def _writing(
    place: File, path: str, actual: bytes | None, content: bytes, shape: files.Shape, before: Any, after: Any
) -> Step:
    def write() -> None:
        _insist(path, actual)
        if actual is not None:
            place.before_write()
        files.write(path, content, shape)

    return Step("Write the register's settings to %s" % path, ("files", path), before, after, action=write)


def _removal(place: File, path: str, actual: bytes | None, before: Any) -> Step | None:
    if actual is None:
        return None

    def remove() -> None:
        _insist(path, actual)
        place.before_write()
        os.unlink(path)

    return Step("Remove the register's settings %s" % path, ("files", path), before, None, action=remove)


def _insist(path: str, known: bytes | None) -> None:
    """See that nobody has changed the file since the plan was made."""
    if _read(path) != known:
        raise RetailError("Somebody changed %s meanwhile." % path, "Run again.")


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RetailError("%s cannot be read: %s." % (path, error.strerror), _ADVICE) from None
