# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a register has to know to sell, and how it is said in the two kinds of file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .._engine._database import Target
from .._engine._errors import RetailError
from . import connection_string
from .app_config import AppConfig, check_name

#: The attributes of the vendor's section that are not connections, and the settings that they hold.
_IDENTITY = {"StoreId": "store_id", "TerminalId": "register_id", "DATAAREAID": "legal_entity"}
#: What the vendor's utility writes besides, where it writes a connection string from nothing.
_CUSTOMARY = "Persist Security Info=False;Pooling=True"
_LONGEST = {"store_id": 10, "register_id": 10, "legal_entity": 4}
_TITLES = {"store_id": "store ID", "register_id": "register ID", "legal_entity": "legal entity"}


@dataclass(frozen=True)
class Section:
    """Where the vendor's application keeps the settings: the names of the section and of its connections' attributes.

    ``kind``: the .NET type that reads the section, for a file that does not declare it.
    """

    name: str = "AxRetailPOS"
    kind: str = ""
    channel: str = "StoreDatabaseConnectionString"
    offline: str = "OfflineDatabaseConnectionString"

    def check(self) -> Section:
        """This section.

        :raises RetailError: a name is none, or two of them are the same.
        """
        check_name(self.name, "a section")
        names = [check_name(name, "an attribute") for name in (self.channel, self.offline, *_IDENTITY)]
        if len(set(names)) < len(names):
            raise RetailError("Two settings would stand in one attribute.", "Give each attribute a name of its own.")
        return self


@dataclass(frozen=True)
class Settings:
    """A register's settings. ``offline`` None: it has no offline database. An empty text is not declared."""

    store_id: str
    register_id: str
    channel: Target
    offline: Target | None = None
    legal_entity: str = ""
    sync_account: str = ""

    @property
    def is_secret(self) -> bool:
        """Whether a password stands in it."""
        return bool(self.channel.password or (self.offline and self.offline.password))


def check(settings: Settings) -> Settings:
    """These settings.

    :raises RetailError: a name is missing, or longer than AX takes it.
    """
    for name, longest in _LONGEST.items():
        value = getattr(settings, name)
        if len(value) > longest:
            raise RetailError(
                "The %s %r has more than %d characters." % (_TITLES[name], value, longest), "AX has room for no more."
            )
        if not value and name != "legal_entity":
            raise RetailError("The %s is empty." % _TITLES[name], "Say which one it is.")
    return settings


# ---- our own file


def document(settings: Settings, with_passwords: bool = False) -> dict[str, Any]:
    """The settings as plain values."""
    return {
        "store_id": settings.store_id,
        "register_id": settings.register_id,
        "legal_entity": settings.legal_entity,
        "sync_account": settings.sync_account,
        "channel": _side(settings.channel, with_passwords),
        "offline": _side(settings.offline, with_passwords) if settings.offline else None,
    }


def dumps(settings: Settings) -> bytes:
    """Our own file; equal settings give equal files."""
    text = json.dumps(document(settings, with_passwords=True), indent=2, ensure_ascii=False)
    return (text + "\n").encode("utf-8", "surrogateescape")


def hidden(document: Any) -> Any:
    """What a file of ours says, for people: passwords hidden, and nothing quoted of what is no such file."""
    if not isinstance(document, dict):
        return "(not a register's settings)"
    found = dict(document)
    for side in ("channel", "offline"):
        if isinstance(found.get(side), dict) and found[side].get("password"):
            found[side] = {**found[side], "password": connection_string.HIDDEN}
    return found


def _side(target: Target, with_password: bool) -> dict[str, Any]:
    password = target.password if with_password or not target.password else connection_string.HIDDEN
    return {
        "engine": target.engine,
        "server": _host(target),
        "port": target.port,
        "database": target.database,
        "user": target.user,
        "password": password,
        "encrypt": target.encrypt,
        "trust_server_certificate": target.trust_server_certificate,
    }


def _host(target: Target) -> str:
    return target.host + ("\\" + target.instance if target.instance else "")


# ---- the vendor's file


def write_section(config: AppConfig, section: Section, settings: Settings) -> None:
    """Put the settings into the vendor's section, which is added where it is missing.

    :raises RetailError: the file cannot take them.
    """
    actual = config.section(section.name)
    if actual is None:
        config.add_section(section.name, section.kind)
        actual = {}
    for attribute, name in _IDENTITY.items():
        if getattr(settings, name):
            config.set(section.name, attribute, getattr(settings, name))
    for attribute, target in ((section.channel, settings.channel), (section.offline, settings.offline)):
        if target is not None:
            config.set(section.name, attribute, connection(actual.get(attribute, ""), target))


def clear_section(config: AppConfig, section: Section) -> None:
    """Take the register's settings out of the vendor's section; what else stands in it stays."""
    if config.section(section.name) is not None:
        for attribute in (section.channel, section.offline, *_IDENTITY):
            config.set(section.name, attribute, None)


def section_shown(config: AppConfig, section: Section) -> dict[str, str] | None:
    """The register's settings in the vendor's section, for people; None where there are none."""
    attributes = config.section(section.name) or {}
    found = {name: attributes[name] for name in _IDENTITY if name in attributes}
    for name in (section.channel, section.offline):
        if name in attributes:
            found[name] = connection_string.shown(attributes[name])
    return found or None


def connection(actual: str, target: Target) -> str:
    """The connection string to a database; what the actual one says besides stays as it is.

    :raises RetailError: the vendor's application cannot connect to such a database.
    """
    wanted = _keywords(target)
    try:
        if connection_string.read(actual):
            return connection_string.edited(actual, wanted)
    except connection_string.NotUnderstood:
        pass  # The POS cannot use it either: it is written anew.
    ordered = {name: value for name, value in wanted.items() if value is not None}
    encryption = {
        name: ordered.pop(name) for name in (connection_string.ENCRYPT, connection_string.TRUST_SERVER_CERTIFICATE)
    }
    return connection_string.edited(connection_string.edited("", ordered) + ";" + _CUSTOMARY, encryption)


def _keywords(target: Target) -> connection_string.Wanted:
    if target.engine != "mssql":
        raise RetailError(
            "The vendor's POS cannot connect to %s, which is on %s." % (target.where, target.engine),
            "Use format json for a POS that can.",
        )
    if target.encrypt == "strict":
        raise RetailError("The vendor's POS does not know the encryption 'strict'.", "Use yes, or format json.")
    by_login = bool(target.user)
    return {
        connection_string.DATA_SOURCE: _host(target) + (",%d" % target.port if target.port else ""),
        connection_string.INITIAL_CATALOG: target.database,
        connection_string.INTEGRATED_SECURITY: None if by_login else "True",
        connection_string.USER_ID: target.user if by_login else None,
        connection_string.PASSWORD: target.password if by_login else None,
        connection_string.ENCRYPT: str(target.encrypt == "yes"),
        connection_string.TRUST_SERVER_CERTIFICATE: str(target.trust_server_certificate),
    }
