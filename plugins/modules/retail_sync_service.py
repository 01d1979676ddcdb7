#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: retail_sync_service
version_added: 0.1.0
short_description: Installs and runs the service that keeps two retail databases in step
description:
  - Installs, configures, starts, stops, restarts and removes the synchronisation service of one pair of databases.
    A pair is a child and its parent, a register's offline database and the channel database of its store for
    example, or a channel database and the one at headquarters.
  - The service is packed from this collection on the controller, and is the same file from every controller. It
    needs Python and pyodbc on the host, nothing else.
  - After a start the module checks what an administrator would look at. Every table of the pair's scopes has its
    tracking table and triggers on both sides, and C(RETAILOFFLINESYNCLOG) in the parent gets rows of this register.
    Otherwise it fails and says why.
  - Scopes, tables, directions and frequencies are not configured here. The service reads them from the child
    database, where M(axops.retail.retail_offline_db) writes them, and notices when they change.
options:
  name:
    description:
      - The name of this instance, one for each pair. By convention the store and the register, such as
        V(HOUSTON-000001).
      - It becomes part of the names of the configuration and of the systemd unit, so it has 1 to 100 letters from A to Z, digits,
        C(_), C(.) and C(-), and begins with a letter or a digit. Where the IDs of a store or a register have other signs, such as spaces
        or accents, declare a name here; the roles have C(store_server_service_name) and C(pos_register_service_name) for it.
    type: str
    required: true
  state:
    description:
      - V(started) has the service installed, up to date and running, now and after the next boot.
      - V(restarted) does the same and always restarts it.
      - V(stopped) has it installed and not running, now and after the next boot.
      - V(present) has it installed and up to date, and otherwise leaves it running or not as it is.
      - V(absent) stops it and removes its configuration; with the last instance of the host the program and the
        unit go too. Logs and the service's account stay.
      - A running service is restarted whenever its program, its configuration or its unit has changed.
    type: str
    choices: [started, stopped, restarted, present, absent]
    default: started
  interval:
    description:
      - How many seconds the service rests between two looks at the databases. A look at which nothing has changed
        costs each database one short question.
      - A scope that its profile gives a frequency has its turn every so many seconds instead, which may be more often or less.
      - Each pause is up to a tenth longer or shorter by chance, and the first one up to a half, by the name of the service, so
        that the registers of a chain do not come at the same moment.
    type: float
    default: 10
  heartbeat:
    description:
      - A scope in which nothing moves gets a row in the parent's log after so many seconds, which shows that the
        service lives.
    type: float
    default: 300
  frequency_floor:
    description:
      - The least number of seconds between two sessions of a scope, whatever frequency its offline profile gives it. The
        profile is made at headquarters for many stores; this protects their servers.
      - A scope of frequency 0 follows O(interval), and this does not concern it.
    type: float
    default: 5
  moved_after:
    description:
      - The least number of seconds for which the register that the store server knows must not have been heard of, before
        another database at another place, which asks meanwhile, may go on as that register by itself. Sooner it is taken for a
        clone, and refused.
      - A database that was restored in its place, or whose server was, goes on at once. C(retail-sync rebaseline --moved) says
        that another one is the register from now on, whatever was heard of.
    type: float
    default: 900
  package:
    description:
      - The folder of a package, made with C(retail-sync package make), from which a new register loads at first while it is
        fresh enough. Else, and without this option, it loads from its parent. It belongs to the service's account, mode 0700.
    type: path
  keep:
    description:
      - For how many days each of the two databases keeps what nobody needs for ever. The service deletes it a few times a day.
      - Days are counted while services look, and not read off a clock, so that one that is wrong deletes nothing. What was switched off
        does not age.
    type: dict
    default: {}
    suboptions:
      tombstones:
        description:
          - Deletions, once every register that lives has taken them. A register that is away for longer loads its data again.
        type: float
        default: 30
      log:
        description:
          - Rows of RETAILOFFLINESYNCLOG.
        type: float
        default: 90
      conflicts:
        description:
          - What lost in a conflict, with both images.
        type: float
        default: 365
  retention:
    description:
      - Old sales on a small register. What the parent has and what has not changed for so long goes from the child, whole sales
        only; the parent keeps it.
    type: list
    elements: dict
    default: []
    suboptions:
      scope:
        description:
          - An upload scope of the offline profile.
        type: str
        required: true
      days:
        description:
          - For how many days a sale stays after its last change.
        type: float
        required: true
      unit:
        description:
          - The columns that make a sale of the rows of the scope's tables. Tables without them keep their rows.
        type: list
        elements: str
        required: true
  log_level:
    description:
      - From which level on messages are written.
    type: str
    choices: [debug, info, warning, error]
    default: info
  install_dir:
    description:
      - The folder of the program. All instances of a host share it.
    type: path
    default: /opt/axops-retail-sync
  config_dir:
    description:
      - The folder of the configurations. Each one is a file of mode 0600 that belongs to the service's account.
    type: path
    default: /etc/retail-offline-sync
  log_dir:
    description:
      - The folder of the log files, for O(service_manager=process). A file is begun anew at 5 MB, and five older ones are kept.
        Under systemd the messages go to the journal.
    type: path
    default: /var/log/retail-offline-sync
  state_dir:
    description:
      - The folder in which the service notes what it runs with. It is given to the service's account.
    type: path
    default: /var/lib/retail-offline-sync
  user:
    description:
      - The account that the service runs as.
      - Under systemd the default is V(retail-sync), and the account is created where it is missing. Otherwise the
        default is the user that runs the module, and another one has to exist.
    type: str
  group:
    description:
      - The group that the service runs as; by default that of O(user).
    type: str
  python:
    description:
      - The Python interpreter that runs the service. By default the one that runs the module.
      - pyodbc must be installed for it, and under systemd the service's account must be able to reach it.
    type: path
  service_manager:
    description:
      - What keeps the service running.
      - V(systemd) is a template unit, C(retail-offline-sync@.service), with one instance for each pair. All
        instances of a host share O(install_dir), O(config_dir), O(state_dir), O(user), O(group) and O(python).
      - V(process) is a supervised process in the background, for hosts without an init system. It does not come up
        with the machine by itself.
      - V(auto) takes systemd where it is the init system and the module runs as root.
    type: str
    choices: [auto, systemd, process]
    default: auto
  check_timeout:
    description:
      - For how many seconds the module waits for the service to show in the parent's log. V(0) does not check, for
        a register whose store server cannot be reached now.
    type: int
    default: 60
  archive_path:
    description:
      - Set by the action plugin. Where the packed service is on the host.
    type: path
  archive_sha256:
    description:
      - Set by the action plugin. The digest of the packed service.
    type: str
extends_documentation_fragment:
  - axops.retail.attributes
  - axops.retail.attributes.action
  - axops.retail.connection
  - axops.retail.connection.child
  - axops.retail.connection.parent
seealso:
  - module: axops.retail.retail_offline_db
  - module: axops.retail.retail_pos_config
  - module: axops.retail.retail_sync_info
notes:
  - The service's logins are members of C(RetailOfflineSyncUsers) in an offline and a channel database, and of
    C(RetailDataSyncUsers) in a channel and the HQ database. They need no right on the servers.
  - On the host the module has to be root, or the folders have to be ones that it may write.
  - The passwords are written to the configuration, a file of mode 0600, and nowhere else.
  - On the host, C(<python> <install_dir>/retail-sync.pyz status --config <config_dir>/<name>.json) says how the
    pair is. C(--help) names the other commands, such as C(verify), C(quarantine) and C(conflicts).
author:
  - the axops.retail contributors (@axops)
"""

EXAMPLES = r"""
- name: Keep a register's offline database and its store's channel database in step
  axops.retail.retail_sync_service:
    name: HOUSTON-000001
    engine: mssql
    child_server: localhost
    child_database: RetailOffline
    child_login_user: retail_sync
    child_login_password: "{{ offline_sync_password }}"
    parent_server: houston-db.example.com
    parent_database: RetailChannel
    parent_login_user: retail_sync
    parent_login_password: "{{ channel_sync_password }}"

- name: Keep a channel database and headquarters in step, looking once a minute
  axops.retail.retail_sync_service:
    name: HOUSTON
    engine: postgresql
    child_server: localhost
    child_database: channel_houston
    parent_server: hq-db.example.com
    parent_database: hq
    login_user: retail_sync
    login_password: "{{ sync_password }}"
    interval: 60

- name: Stop the service of a register before a maintenance
  axops.retail.retail_sync_service:
    name: HOUSTON-000001
    state: stopped
    child_database: RetailOffline
    parent_server: houston-db.example.com
    parent_database: RetailChannel
    login_user: retail_sync
    login_password: "{{ sync_password }}"

- name: Take the service off a register that is given away
  axops.retail.retail_sync_service:
    name: HOUSTON-000001
    state: absent
"""

RETURN = r"""
instance:
  description: The name of the instance.
  returned: success, or when the service does not do what it should
  type: str
  sample: HOUSTON-000001
steps:
  description: What was done, or would be done in check mode, a sentence each.
  returned: success, or when the service does not do what it should
  type: list
  elements: str
  sample: [Write the configuration /etc/retail-offline-sync/HOUSTON-000001.json, Restart the service]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: success, or when the service does not do what it should
  type: list
  elements: str
  sample: []
status:
  description: How the service is kept running, and how it is.
  returned: success, or when the service does not do what it should
  type: dict
  contains:
    manager:
      description: V(systemd) or V(process).
      type: str
      sample: systemd
    running:
      description: Whether it runs.
      type: bool
    pid:
      description: The process ID of the service; null where it does not run.
      type: int
    supervisor_pid:
      description: The process ID of its supervisor, for a supervised process; null where it does not run.
      type: int
    unit:
      description: The name of the unit.
      returned: under systemd
      type: str
      sample: retail-offline-sync@HOUSTON-000001.service
    unit_state:
      description: The state of the unit.
      returned: under systemd
      type: str
      sample: active (running)
    enabled:
      description: Whether it comes up with the machine.
      returned: under systemd
      type: bool
pid:
  description: The process ID of the service; null where it does not run.
  returned: success
  type: int
  sample: 4711
tracking_tables:
  description: How many tables of the pair's scopes have a tracking table, on each side.
  returned: when the service is running and was checked
  type: dict
  sample: {"child": 263, "parent": 263}
last_log:
  description: The newest row of this register in the parent's log; times in UTC.
  returned: when the service is running and was checked
  type: dict
  sample:
    counter: 1041
    terminal: "000001"
    scope_id: 5637144576
    started: "2026-01-31T08:00:00.120Z"
    stopped: "2026-01-31T08:00:00.157Z"
    downloaded: 12
    downloaded_refused: 0
    uploaded: 3
    uploaded_refused: 0
log:
  description: The last lines that the service wrote.
  returned: when the service does not do what it should
  type: list
  elements: str
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "'../evil' is no name for a service: it becomes part of the names of files and of a systemd unit."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "Use 1 to 100 letters from A to Z, digits, '_', '.' and '-', a letter or a digit first, such as HOUSTON-000001."
"""

import dataclasses
import os
import sys
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._module import RetailModule
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._sync import account, check, config, install, managers

CHILD = "child_"
PARENT = "parent_"
DEFAULT_USER = "retail-sync"
TAIL = 20

SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": list(install.STATES), "default": "started"},
    "interval": {"type": "float", "default": 10},
    "heartbeat": {"type": "float", "default": 300},
    "frequency_floor": {"type": "float", "default": config.FREQUENCY_FLOOR},
    "moved_after": {"type": "float", "default": 900},
    "package": {"type": "path"},
    "keep": {
        "type": "dict",
        "default": {},
        "options": {
            "tombstones": {"type": "float", "default": 30},
            "log": {"type": "float", "default": 90},
            "conflicts": {"type": "float", "default": 365},
        },
    },
    "retention": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "scope": {"type": "str", "required": True},
            "days": {"type": "float", "required": True},
            "unit": {"type": "list", "elements": "str", "required": True},
        },
    },
    "log_level": {"type": "str", "choices": list(config.LEVELS), "default": "info"},
    "install_dir": {"type": "path", "default": "/opt/axops-retail-sync"},
    "config_dir": {"type": "path", "default": "/etc/retail-offline-sync"},
    "log_dir": {"type": "path", "default": "/var/log/retail-offline-sync"},
    "state_dir": {"type": "path", "default": "/var/lib/retail-offline-sync"},
    "user": {"type": "str"},
    "group": {"type": "str"},
    "python": {"type": "path"},
    "service_manager": {"type": "str", "choices": ["auto", "systemd", "process"], "default": "auto"},
    "check_timeout": {"type": "int", "default": 60},
    "archive_path": {"type": "path"},
    "archive_sha256": {"type": "str"},
}


def check_options(params: dict[str, Any]) -> None:
    """:raises RetailError: an option cannot be, whatever there is on the host."""
    for option in ("install_dir", "config_dir", "log_dir", "state_dir", "package"):
        if params[option] and not os.path.isabs(params[option]):
            raise RetailError(
                "%r, the option %s, is no full path." % (params[option], option),
                "Begin it with a slash: the service does not run in the folder where the module does.",
            )
    if params["check_timeout"] < 0:
        raise RetailError("%d is no time to wait." % params["check_timeout"], "Set check_timeout to 0 or more.")
    scopes = [rule["scope"] for rule in params["retention"]]
    twice = sorted({scope for scope in scopes if scopes.count(scope) > 1})
    if twice:
        raise RetailError("The retention of the scope %r is declared twice." % twice[0], "Declare it once.")


def places_of(params: dict[str, Any], kind: str) -> managers.Places:
    """Where everything of the instance lies, and whom it belongs to."""
    user = params["user"] or (DEFAULT_USER if kind == managers.SYSTEMD else "")
    folders = {name: params[name] for name in ("install_dir", "config_dir", "log_dir", "state_dir")}
    return managers.Places(
        name=params["name"],
        python=params["python"] or sys.executable,
        user=user,
        group=params["group"] or (account.group_of(user) if user else ""),
        **folders,
    )


def config_of(module: RetailModule, manager: Any) -> config.ServiceConfig:
    """The configuration that the options declare.

    :raises ConfigError: an option is out of range.
    """
    params = module.params
    wanted = config.ServiceConfig(
        name=params["name"],
        child=dataclasses.replace(module.target(CHILD), application_name=config.APPLICATION_NAME),
        parent=dataclasses.replace(module.target(PARENT), application_name=config.APPLICATION_NAME),
        interval=params["interval"],
        heartbeat=params["heartbeat"],
        frequency_floor=params["frequency_floor"],
        moved_after=params["moved_after"],
        package=params["package"] or "",
        keep=config.Keep(**params["keep"]),
        retention={rule["scope"]: config.Rule(rule["days"], tuple(rule["unit"])) for rule in params["retention"]},
        log_file=manager.log_file,
        log_level=params["log_level"],
        state_file=manager.places.state,
    )
    try:
        return config.parse(config.dumps(wanted))
    except config.ConfigError as error:
        advice = "Correct the option of that name." if error.advice == config.ADVICE else error.advice
        raise config.ConfigError(error.message, advice) from None


def apply(module: RetailModule, plan: Plan, manager: Any, wanted: config.ServiceConfig | None) -> dict[str, Any]:
    """Run the plan, and see that the service lives where it should run; returns what the check saw."""
    try:
        plan.apply()
    except OSError as error:
        reason = "%s: %s." % (error.filename or "The service cannot be installed", error.strerror)
        raise RetailError(reason, "Become root, or choose folders that you may write.") from None
    seconds = module.params["check_timeout"]
    if wanted is None or not seconds or module.params["state"] not in ("started", "restarted"):
        return {}
    return check.wait(wanted, manager.started_at, seconds, lambda: manager.service() is not None)


def run(module: RetailModule) -> None:
    """Plan, apply, check, report."""
    params = module.params
    config.check_name(params["name"])
    check_options(params)
    kind = managers.choose(params["service_manager"])
    manager = managers.manager(kind, places_of(params, kind))
    wanted = None if params["state"] == "absent" else config_of(module, manager)
    archive = install.Archive(params["archive_path"] or "", params["archive_sha256"] or "")
    plan = install.plan(params["state"], manager.places, manager, archive, wanted)
    result: dict[str, Any] = {"instance": params["name"]}
    if not module.check_mode:
        try:
            result.update(apply(module, plan, manager, wanted))
        except RetailError as error:
            module.ansible.fail_json(
                msg=str(error), error=error.message, advice=error.advice, log=manager.tail(TAIL), changed=plan.done > 0,
                steps=plan.titles[: plan.done], pending=plan.pending, status=manager.describe(), **result,
            )  # fmt: skip
    status = manager.describe()
    if module.ansible._diff:  # noqa: SLF001 - Ansible's documented way to ask for diff mode
        result["diff"] = plan.diff()
    result.update(steps=plan.titles, pending=plan.pending, status=status, pid=status["pid"])
    module.ansible.exit_json(changed=plan.changed, **result)


def main() -> None:
    """Run the module."""
    databases = (CHILD + "database", PARENT + "database")
    rules = [("state", state, databases) for state in install.STATES if state != "absent"]
    with RetailModule(SPEC, connections=(CHILD, PARENT), required_if=rules) as module:
        run(module)


if __name__ == "__main__":
    main()
