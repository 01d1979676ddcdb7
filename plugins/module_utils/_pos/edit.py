# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of the content of a register's file, wherever that file is: no file is touched here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .._engine._errors import RetailError
from . import settings as settings_
from .app_config import AppConfig
from .settings import Section, Settings


@dataclass(frozen=True)
class Edit:
    """The content that the file is to have, None for no file; and what it says before and after, for people."""

    content: bytes | None
    before: Any
    after: Any


def edit(path: str, section: Section | None, actual: bytes | None, settings: Settings | None) -> Edit:
    """What is to become of a file with this content.

    :param path: of the file, for messages.
    :param section: the vendor's section in an application configuration; None for a file of our own.
    :param actual: the content, None where there is no file.
    :param settings: what it is to say; None takes the settings out of it.
    :raises RetailError: the content cannot be understood, or cannot take the settings.
    """
    if section is not None:
        return _edited(section, path, actual, settings)
    before = _understood(actual)
    if settings is None:
        return Edit(None, before, None)
    return Edit(settings_.dumps(settings), before, _marked(before, settings_.document(settings)))


def _edited(section: Section, path: str, actual: bytes | None, settings: Settings | None) -> Edit:
    """The vendor's file."""
    if actual is None:
        if settings is None:
            return Edit(None, None, None)
        raise RetailError(
            "There is no file %s." % path, "Install the POS first, which brings it, or name the file that it brought."
        )
    try:
        config = AppConfig(actual)
        before = settings_.section_shown(config, section)
        if settings is None:
            settings_.clear_section(config, section)
        else:
            settings_.write_section(config, section, settings)
    except RetailError as error:
        raise RetailError("%s: %s" % (path, error.message), error.advice) from None
    return Edit(config.content, before, _marked(before, settings_.section_shown(config, section)))


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
