# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place here that knows Ansible: connection options, check mode, diff, results and errors.

A module's main program::

    with RetailModule(SPEC, connections=("", "channel_")) as module:
        plan = ...
        module.finish(plan, lambda key: module.connect(targets[key]), database="RetailChannel")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule, remove_values

from . import _engine
from ._access.model import PERMISSIONS
from ._access.plan import Wanted
from ._engine import Database, RetailError, Target
from ._engine._database import AUTHENTICATIONS
from ._plan import Plan

#: Connection options that have a default; a prefixed one (``channel_engine``) has none: it falls back on the plain one.
_DEFAULTS: dict[str, Any] = {
    "engine": "mssql",
    "server": "localhost",
    "encrypt": "yes",
    "trust_server_certificate": False,
    "login_timeout": 15,
}

_CONNECTION: dict[str, dict[str, Any]] = {
    "engine": {"type": "str", "choices": sorted(_engine.ENGINES)},
    "server": {"type": "str"},
    "port": {"type": "int"},
    "database": {"type": "str"},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "driver": {"type": "str"},
    "encrypt": {"type": "str", "choices": ["yes", "no", "optional", "strict"]},
    "trust_server_certificate": {"type": "bool"},
    "ca_file": {"type": "path"},
    "hostname_in_certificate": {"type": "str"},
    "authentication": {"type": "str", "choices": list(AUTHENTICATIONS)},
    "keytab": {"type": "path"},
    "login_timeout": {"type": "int"},
    "connection_options": {"type": "dict"},
}


#: Options of modules that look after who may use a database.
ACCESS: dict[str, dict[str, Any]] = {
    "groups": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "str", "default": []},
            "exclusive": {"type": "bool", "default": False},
            "permissions": {"type": "list", "elements": "str", "choices": sorted(PERMISSIONS)},
        },
    },
    "logins": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "no_log": True},
            "update_password": {
                "type": "str",
                "choices": ["always", "on_create"],
                "default": "always",
                "no_log": False,
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
}


_FILE: dict[str, Any] = {
    "type": "dict",
    "options": {name: {"type": "str"} for name in ("path", "size", "max_size", "growth")},
}

#: Options of modules that make a database: its own options, and its files.
SETTINGS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "allow_snapshot_isolation": {"type": "bool"},
        "read_committed_snapshot": {"type": "bool"},
        "recovery": {"type": "str", "choices": ["simple", "full", "bulk_logged"]},
        "page_verify": {"type": "str", "choices": ["checksum", "torn_page_detection", "none"]},
        "auto_close": {"type": "bool"},
        "auto_shrink": {"type": "bool"},
        "compatibility_level": {"type": "int"},
        "collation": {"type": "str"},
        "owner": {"type": "str"},
        "tablespace": {"type": "str"},
        "connection_limit": {"type": "int"},
    },
}
FILES: dict[str, Any] = {"type": "dict", "options": {"data": _FILE, "log": _FILE}}


def connection_spec(prefix: str = "", **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The options that declare one connection, each name behind ``prefix``.

    :param changes: what differs for this module, by plain option name: ``database={"required": True}``.
    """
    spec = {}
    for name, facts in _CONNECTION.items():
        if name == "database" and not prefix:
            continue  # a module that has one database says itself what is required of it
        default = {"default": _DEFAULTS[name]} if name in _DEFAULTS and not prefix else {}
        spec[prefix + name] = {**facts, **default, **changes.get(name, {})}
    return spec


class _QuietModule(AnsibleModule):
    """An AnsibleModule that keeps passwords inside of lists out of the host's log, too.

    Ansible writes the options of a call to syslog or the journal. It looks for passwords in the text of a list, where one with
    quotes or a backslash is written in another way, and so is not found. Here they are taken out before there is a text.
    """

    def log(self, msg: Any, log_args: Mapping[str, Any] | None = None) -> None:
        if log_args:
            log_args = {name: self._hidden(name, text) for name, text in log_args.items()}
            msg = "Invoked with %s" % " ".join("%s=%s" % option for option in log_args.items())
        super().log(msg, log_args=log_args)

    def _hidden(self, name: str, text: Any) -> Any:
        value = self.params.get(name)
        return str(remove_values(value, self.no_log_values)) if isinstance(value, (list, dict)) else text


class RetailModule:
    """An AnsibleModule with connection options; as a context manager it reports errors and closes the connections.

    :param argument_spec: the module's own options; they win over connection options of the same name.
    :param connections: the prefixes of its connections; the plain options (``""``) are always there, since they are
        the defaults of the prefixed ones. None: the module connects to nothing, and has none of these options.
    :param rules: what else AnsibleModule takes (``required_if`` …).
    """

    def __init__(self, argument_spec: dict[str, Any], connections: Sequence[str] | None = (), **rules: Any) -> None:
        spec: dict[str, Any] = {}
        for prefix in () if connections is None else ("", *connections):
            spec.update(connection_spec(prefix))
        spec.update(argument_spec)
        self.ansible: AnsibleModule = _QuietModule(argument_spec=spec, supports_check_mode=True, **rules)
        self.params: dict[str, Any] = self.ansible.params
        self._open: dict[tuple[Any, ...], Database] = {}
        self._closed = 0
        self._applied: Plan | None = None

    def __enter__(self) -> RetailModule:
        return self

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        for db in self._open.values():
            db.close()
        if isinstance(error, RetailError):
            self.fail(error)

    @property
    def check_mode(self) -> bool:
        return self.ansible.check_mode

    def option(self, name: str, prefix: str = "", given: Mapping[str, Any] | None = None) -> Any:
        """The value of a connection option: the prefixed one, in ``given`` first, else the plain one."""
        for source in (given or {}, self.params):
            value = source.get(prefix + name)
            # A login that is named goes with its own password, or with none.
            if value is not None or (name == "login_password" and source.get(prefix + "login_user")):
                return value
        return self.params.get(name)

    def target(self, prefix: str = "", given: Mapping[str, Any] | None = None) -> Target:
        """The database that the options behind ``prefix`` declare.

        :param given: options that come before the module's own, such as an entry of a list of databases.
        """
        host, _backslash, instance = self.option("server", prefix, given).partition("\\")
        return Target(
            engine=self.option("engine", prefix, given),
            host=host,
            instance=instance,
            port=self.option("port", prefix, given),
            database=(given or {}).get(prefix + "database") or self.params.get(prefix + "database") or "",
            user=self.option("login_user", prefix, given) or "",
            password=self.option("login_password", prefix, given) or "",
            driver=self.option("driver", prefix, given) or "",
            encrypt=self.option("encrypt", prefix, given),
            trust_server_certificate=self.option("trust_server_certificate", prefix, given),
            ca_file=self.option("ca_file", prefix, given) or "",
            hostname_in_certificate=self.option("hostname_in_certificate", prefix, given) or "",
            authentication=self.option("authentication", prefix, given) or "",
            keytab=self.option("keytab", prefix, given) or "",
            login_timeout=self.option("login_timeout", prefix, given),
            options=_texts(self.option("connection_options", prefix, given)),
        )

    @property
    def diff_mode(self) -> bool:
        return bool(self.ansible._diff)  # noqa: SLF001 - Ansible's documented way to ask for diff mode

    def access(self, tier: str) -> Wanted:
        """The groups and logins that the options of ``ACCESS`` declare.

        :raises RetailError: a name is declared twice, a password is empty, or the tier has no such group.
        """
        for option in ACCESS:
            names = [entry["name"] for entry in self.params[option]]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise RetailError("%s is declared twice under %s." % (twice[0], option), "Declare it once.")
        groups, logins = self.params["groups"], self.params["logins"]
        present = [login for login in logins if login["state"] == "present"]
        for login in present:
            _check_password(login)
        return Wanted(
            tier,
            {group["name"]: group["members"] for group in groups},
            {login["name"]: login["password"] for login in present},
            {group["name"]: group["permissions"] for group in groups if group["permissions"] is not None},
            {group["name"] for group in groups if group["exclusive"]},
            {login["name"] for login in present if login["update_password"] != "always"},  # noqa: S105 - no secret
            {login["name"] for login in logins if login["state"] == "absent"},
        )

    def connect(self, target: Target) -> Database:
        """The connection to this target: opened when first asked for, the same one afterwards.

        :raises DriverMissing, ConnectFailed: see ``_engine.connect``.
        """
        key = (target.engine, target.host, target.instance, target.port, target.database, target.user)
        if key not in self._open:
            self._open[key] = _engine.connect(target)
        return self._open[key]

    def connect_anew(self, target: Target) -> Database:
        """A connection of its own, for somebody else's statements."""
        db = self._open[(target.where, len(self._open))] = _engine.connect(target)
        return db

    def disconnect(self, target: Target) -> None:
        """Close the connections to this target: the next :meth:`connect` opens another one."""
        for key, db in list(self._open.items()):
            if db.target == target:
                db.close()
                self._closed += db.statements
                del self._open[key]

    def maintenance(self, target: Target) -> Target:
        """The database that is always there on the target's server."""
        return target.on(_engine.speaker(target.engine).connect.MAINTENANCE_DATABASE)

    @property
    def statements(self) -> int:
        """How many statements were sent so far, over all connections."""
        return self._closed + sum(db.statements for db in self._open.values())

    def finish(self, plan: Plan, open_database: Callable[[str], Database] | None = None, **result: Any) -> None:
        """Apply the plan, unless in check mode, and end the module successfully.

        :param open_database: gives the connection for a step's ``database`` key.
        :param result: further values for the module's result.
        :raises RetailError: a step failed.
        """
        self.apply(plan, open_database)
        self.exit(plan, **result)

    def apply(self, plan: Plan, open_database: Callable[[str], Database] | None = None) -> None:
        """Apply the plan, unless in check mode.

        :raises RetailError: a step failed.
        """
        self._applied = plan
        if not self.check_mode:
            plan.apply(open_database)

    def exit(self, plan: Plan, **result: Any) -> None:
        """End the module successfully, after :meth:`apply`."""
        if self.diff_mode:
            result["diff"] = plan.diff()
        self.ansible.exit_json(**{**plan.outcome, "statements": self.statements, **result})

    def exit_all(
        self,
        what: str,
        reports: Sequence[Any],
        document: Callable[[Any], dict[str, Any]],
        together: tuple[str, Plan] | None = None,
    ) -> None:
        """End a module that looked after many at once: those that failed are named, and the others have been done.

        :param what: what they are, for the message: "registers".
        :param reports: one for each, with its name, plan, changed, warnings, statements and error.
        :param document: gives its part of the result.
        :param together: a title, and the plan of what was done once for all of them.
        """
        parts = [together] if together else []
        steps = together[1].titles if together else [title for one in reports for title in one.plan.titles]
        for one in reports:
            for text in one.warnings:
                self.ansible.warn("%s: %s" % (one.name, text))
        result: dict[str, Any] = {
            "changed": any(plan.changed for _title, plan in parts) or any(one.changed for one in reports),
            "steps": steps,
            "targets": [document(one) for one in reports],
            "statements": sum(one.statements for one in reports),
        }
        if self.diff_mode:
            parts += [(one.name, one.plan) for one in reports]
            result["diff"] = [
                {"before_header": title, "after_header": title, **plan.diff()} for title, plan in parts if plan.changed
            ]
        failed = ["%s: %s" % (one.name, one.error) for one in reports if one.error is not None]
        if failed:
            message = "%d of %d %s failed. %s" % (len(failed), len(reports), what, "; ".join(failed))
            advice = "What to do stands beside each of them."
            self.ansible.fail_json(msg=message, error=message, advice=advice, **result)
        self.ansible.exit_json(**result)

    def fail(self, error: RetailError, exception: str = "", plan: Plan | None = None) -> None:
        """End the module with the error's message and advice, and with what was done before it.

        :param exception: the trace of an error that nobody foresaw.
        :param plan: what was being applied, where somebody else than :meth:`apply` did it.
        """
        result = error.report
        if exception:
            result["exception"] = exception
        plan = plan or self._applied
        if plan is not None:
            result = {**plan.begun, **result}
        self.ansible.fail_json(msg=str(error), **result)


def _check_password(login: Mapping[str, Any]) -> None:
    """:raises RetailError: nobody could log in with it."""
    password = login["password"]
    if password is not None and (not password or "\0" in password):
        raise RetailError(
            "The password of the login %s is empty, or has a NUL character." % login["name"],
            "Give it another one; or leave the option password out for a login without one, such as a Windows account on SQL Server.",
        )


def _texts(values: dict[Any, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (values or {}).items()}
