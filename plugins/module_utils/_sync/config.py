# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of one service: which two databases it keeps in step, and how often it looks.

A JSON file of mode 0600, since the passwords stand in it. A file that others may read is refused, as ssh refuses such
a key.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from .._engine import ENGINES
from .._engine._database import Target
from .._engine._errors import RetailError
from .cleanup import Keep
from .identity import SILENCE
from .pair import APPLICATION_NAME
from .retention import Rule

#: What stands in place of a password wherever a configuration is shown.
HIDDEN = "********"

LEVELS = ("debug", "info", "warning", "error")
SMALLEST_INTERVAL = 1
#: Thirty years: what waits for longer than a clock of the operating system counts ends at once.
MOST_SECONDS = 10**9
#: The profile is made once for all stores, and 620 registers that came every second would be all that a server does.
FREQUENCY_FLOOR = 5

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
ADVICE = "Correct the file, or run the module retail_sync_service, which writes it."
_NOT_OURS = ("application_name",)
_TYPES = {"port": (int, type(None)), "trust_server_certificate": (bool,), "login_timeout": (int,), "options": (dict,)}


class ConfigError(RetailError):
    """The configuration cannot be used."""


@dataclass(frozen=True)
class ServiceConfig:
    """One pair. ``interval``, ``heartbeat`` and ``frequency_floor`` are in seconds; an empty ``log_file`` means standard error.

    ``frequency_floor``: the least time between two turns of a scope, whatever frequency its profile gives it.
    ``state_file``: where the service writes at its start what it runs with, for whoever installed it.
    ``moved_after``: seconds for which the child that the parent knows must have been silent, while it is asked for, before another
    database, at another place, goes on as that child by itself.
    ``package``: the folder of a package from which a new register loads, while it is fresh enough; else it loads from the parent.
    ``retention``: by upload scope, how long rows that the parent has stay at the child, see ``retention.py``.
    ``keep``: for how many days, as ``ages.py`` counts them, each database keeps deletions, log rows and conflicts.
    """

    name: str
    child: Target
    parent: Target
    interval: float = 10
    heartbeat: float = 300
    frequency_floor: float = FREQUENCY_FLOOR
    log_file: str = ""
    log_level: str = "info"
    state_file: str = ""
    moved_after: float = SILENCE
    package: str = ""
    retention: dict[str, Rule] = field(default_factory=dict)
    keep: Keep = field(default_factory=Keep)


def load(path: str) -> ServiceConfig:
    """Read a configuration.

    :raises ConfigError: it is not there, not JSON, not complete, or others than its owner may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ConfigError("The configuration %s cannot be read: %s." % (path, error.strerror), ADVICE) from None
    with os.fdopen(descriptor, encoding="utf-8") as stream:
        mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        if mode & 0o077:
            raise ConfigError(
                "The configuration %s has the mode %04o, and there are passwords in it." % (path, mode),
                "Give it the mode 0600; and change the passwords, if others than the service may have read them.",
            )
        try:
            return parse(stream.read())
        except UnicodeDecodeError:
            raise ConfigError("The configuration %s is not UTF-8." % path, ADVICE) from None
        except ConfigError as error:
            raise ConfigError("%s: %s" % (path, error.message), error.advice) from None


def parse(text: str) -> ServiceConfig:
    """Understand the text of a configuration.

    :raises ConfigError: it is not JSON, or a field is missing, unknown or out of range.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        # The parser's own message would quote the text, and the text holds passwords.
        where = "line %d" % error.lineno if isinstance(error, json.JSONDecodeError) else "an unknown place"
        raise ConfigError("This is not JSON (%s)." % where, ADVICE) from None
    if not isinstance(document, dict):
        raise ConfigError("This is not a JSON object.", ADVICE)
    _no_more_than(document, [field.name for field in dataclasses.fields(ServiceConfig)], "the configuration")
    return ServiceConfig(
        name=check_name(document.get("name", "")),
        child=_target(document, "child"),
        parent=_target(document, "parent"),
        interval=_seconds(document, "interval", 10, SMALLEST_INTERVAL),
        heartbeat=_seconds(document, "heartbeat", 300, SMALLEST_INTERVAL),
        frequency_floor=_seconds(document, "frequency_floor", FREQUENCY_FLOOR, SMALLEST_INTERVAL),
        log_file=_text(document, "log_file", ""),
        log_level=_level(document),
        state_file=_text(document, "state_file", ""),
        moved_after=_seconds(document, "moved_after", SILENCE, 0),
        package=_text(document, "package", ""),
        retention=_retention(document),
        keep=_keep(document),
    )


def check_name(name: Any) -> str:
    """The name of a service, which becomes part of file and unit names.

    :raises ConfigError: it is empty or too long, or has other characters than letters, digits, ``_``, ``.`` and ``-``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            "%r is no name for a service: it becomes part of the names of files and of a systemd unit." % (name,),
            "Use 1 to 100 letters from A to Z, digits, '_', '.' and '-', a letter or a digit first, such as HOUSTON-000001. Where the "
            "IDs of a store or a register have other signs, name the service otherwise: with the option name, or with "
            "store_server_service_name or pos_register_service_name in the roles.",
        )
    return name


def document(config: ServiceConfig) -> dict[str, Any]:
    """The configuration as plain values, passwords included: for the file, and for nothing else."""
    fields = dataclasses.asdict(config)
    for side in ("child", "parent"):
        fields[side] = {name: value for name, value in fields[side].items() if name not in _NOT_OURS}
    return fields


def dumps(config: ServiceConfig) -> str:
    """The text of the file; equal configurations give equal texts."""
    return json.dumps(document(config), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def redacted(fields: dict[str, Any]) -> dict[str, Any]:
    """A document that may be shown: it says that there is a password, and not which."""
    return {
        name: redacted(value) if isinstance(value, dict) else HIDDEN if name == "password" and value else value
        for name, value in fields.items()
    }


def _target(document: dict[str, Any], side: str) -> Target:
    fields = document.get(side)
    if not isinstance(fields, dict):
        raise ConfigError("The connection %r is missing." % side, ADVICE)
    known = [field.name for field in dataclasses.fields(Target) if field.name not in _NOT_OURS]
    _no_more_than(fields, known, "the connection %r" % side)
    for name, value in fields.items():
        if not isinstance(value, _TYPES.get(name, (str,))) or (name == "port" and isinstance(value, bool)):
            raise ConfigError("The field %r of the connection %r has a value of the wrong type." % (name, side), ADVICE)
    if fields.get("engine") not in ENGINES:
        raise ConfigError("The connection %r names no engine." % side, "Use one of: %s." % ", ".join(sorted(ENGINES)))
    if not fields.get("database"):
        raise ConfigError("The connection %r names no database." % side, ADVICE)
    try:
        return Target(**{**fields, "application_name": APPLICATION_NAME})
    except RetailError as error:
        raise ConfigError("The connection %r: %s" % (side, error.message), error.advice) from None


def _no_more_than(fields: dict[str, Any], known: Any, what: str) -> None:
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise ConfigError("There are unknown fields in %s: %s." % (what, ", ".join(unknown)), ADVICE)


def _seconds(document: dict[str, Any], name: str, default: float, least: float) -> int | float:
    value = document.get(name, default)
    if not _is_number(value, least):
        raise ConfigError("%r must be a number of seconds from %d to %d." % (name, least, MOST_SECONDS), ADVICE)
    return value


def _is_number(value: Any, least: float) -> bool:
    """JSON has true and false, and Python's has infinity and what is no number, besides. A number of days is a smaller one."""
    return not isinstance(value, bool) and isinstance(value, (int, float)) and least <= value <= MOST_SECONDS


def _text(document: dict[str, Any], name: str, default: str) -> str:
    value = document.get(name, default)
    if not isinstance(value, str):
        raise ConfigError("%r must be a text." % name, ADVICE)
    return value


def _retention(document: dict[str, Any]) -> dict[str, Rule]:
    declared = document.get("retention", {})
    if not isinstance(declared, dict):
        raise ConfigError("'retention' must be an object, with a rule for each scope.", ADVICE)
    return {name: _rule(name, fields) for name, fields in declared.items()}


def _rule(name: str, fields: Any) -> Rule:
    if not isinstance(fields, dict):
        raise ConfigError("The retention of %r must be an object." % name, ADVICE)
    _no_more_than(fields, ("days", "unit"), "the retention of %r" % name)
    days, unit = fields.get("days"), fields.get("unit")
    if not _is_number(days, 1):
        raise ConfigError("The retention of %r needs 'days', 1 or more." % name, ADVICE)
    if not isinstance(unit, list) or not unit or not all(isinstance(column, str) and column for column in unit):
        raise ConfigError("The retention of %r needs 'unit', the columns that make one sale." % name, ADVICE)
    return Rule(days, tuple(unit))


def _keep(document: dict[str, Any]) -> Keep:
    fields = document.get("keep", {})
    if not isinstance(fields, dict):
        raise ConfigError("'keep' must be an object.", ADVICE)
    _no_more_than(fields, [field.name for field in dataclasses.fields(Keep)], "'keep'")
    for name, value in fields.items():
        if not _is_number(value, 1):
            raise ConfigError("%r in 'keep' must be a number of days, 1 or more." % name, ADVICE)
    return Keep(**fields)


def _level(document: dict[str, Any]) -> str:
    level = _text(document, "log_level", "info")
    if level not in LEVELS:
        raise ConfigError("The log level %r is unknown." % level, "Use one of: %s." % ", ".join(LEVELS))
    return level
