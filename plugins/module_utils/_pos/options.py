# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of retail_pos_config, for the module and for its half on the controller, and what they declare."""

from __future__ import annotations

from typing import Any

from .._engine import RetailError, Target
from . import settings

SIDES = ("channel_", "offline_")

_OWN: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "format": {"type": "str", "choices": ["json", "xml"], "default": "json"},
    "store_id": {"type": "str"},
    "register_id": {"type": "str"},
    "legal_entity": {"type": "str"},
    "sync_account": {"type": "str"},
    "section": {"type": "str", "default": settings.Section.name},
    "section_type": {"type": "str"},
    "channel_attribute": {"type": "str", "default": settings.Section.channel},
    "offline_attribute": {"type": "str", "default": settings.Section.offline},
    "mode": {"type": "raw"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "backup": {"type": "bool", "default": False},
}

_CONNECTION: dict[str, dict[str, Any]] = {
    "engine": {"type": "str", "choices": ["mssql", "postgresql"], "default": "mssql"},
    "server": {"type": "str", "default": "localhost"},
    "port": {"type": "int"},
    "database": {"type": "str"},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "encrypt": {"type": "str", "choices": ["yes", "no", "optional", "strict"], "default": "yes"},
    "trust_server_certificate": {"type": "bool", "default": False},
}

#: What the options have to agree on, as AnsibleModule takes it.
REQUIRED_IF = [("state", "present", ("store_id", "register_id", "channel_database"))]


def argument_spec(path_type: str = "path") -> dict[str, dict[str, Any]]:
    """The options.

    :param path_type: ``str`` where the path is one of another system, and must not be expanded by this one's rules.
    """
    sides = {side + name: facts for side in SIDES for name, facts in _CONNECTION.items()}
    return {"path": {"type": path_type, "required": True}, **_OWN, **sides}


def settings_of(params: dict[str, Any]) -> settings.Settings | None:
    """The settings that the options declare, None where they are to go.

    :raises RetailError: a name is missing, or longer than AX takes it.
    """
    if params["state"] == "absent":
        return None
    wanted = settings.Settings(
        store_id=params["store_id"],
        register_id=params["register_id"],
        channel=_target_of(params, "channel_"),
        offline=_target_of(params, "offline_") if params["offline_database"] else None,
        legal_entity=params["legal_entity"] or "",
        sync_account=params["sync_account"] or "",
    )
    return settings.check(wanted)


def section_of(params: dict[str, Any]) -> settings.Section | None:
    """Where the vendor's POS looks, None for a file of our own.

    :raises RetailError: a name is none.
    """
    if params["format"] == "json":
        return None
    names = [params[name] for name in ("section", "section_type", "channel_attribute", "offline_attribute")]
    return settings.Section(*[name or "" for name in names]).check()


def mode_of(given: Any) -> int | None:
    """The mode as a number; a text is octal, as everywhere in Ansible.

    :raises RetailError: it is no mode.
    """
    try:
        mode = given if given is None or isinstance(given, int) else int(given, 8)
    except (TypeError, ValueError):
        mode = -1
    if mode is not None and not 0 <= mode <= 0o777:
        raise RetailError("%r is no mode for this file." % given, "Use an octal number in quotes, such as '0640'.")
    return mode


def _target_of(params: dict[str, Any], side: str) -> Target:
    """The database that the options of one side declare."""
    host, _backslash, instance = params[side + "server"].partition("\\")
    return Target(
        engine=params[side + "engine"],
        host=host,
        instance=instance,
        port=params[side + "port"],
        database=params[side + "database"],
        user=params[side + "login_user"] or "",
        password=params[side + "login_password"] or "",
        encrypt=params[side + "encrypt"],
        trust_server_certificate=params[side + "trust_server_certificate"],
    )
