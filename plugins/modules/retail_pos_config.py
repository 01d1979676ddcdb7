#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_pos_config
version_added: 0.1.0
short_description: Tells a register who it is, and where its databases are
description:
  - Writes what the command "Configure Retail POS and Offline Sync Service" of the Retail Channel Configuration Utility
    asks for. That is the store ID, the register ID, the legal entity, the channel database and the offline database.
  - With O(format=json) into a file of its own, for a POS or a script that reads it.
  - With O(format=xml) into the configuration file of the vendor's Retail POS, C(POS.exe.config), which is edited in place.
    Every byte that does not belong to one of these values stays what it is, comments, spaces, quotes, line ends and the
    encoding included.
author:
  - the axops.retail contributors (@axops)
extends_documentation_fragment:
  - axops.retail.attributes
options:
  path:
    description:
      - The path of the file, where the module runs.
      - A link stays a link, and what it points to is replaced.
    type: path
    required: true
  state:
    description:
      - V(present) has the settings in the file.
      - V(absent) removes a file of its own, and takes these settings, and nothing else, out of the vendor's.
    type: str
    choices: [present, absent]
    default: present
  format:
    description:
      - V(json) is a file that belongs to this module, with nothing else in it. It is made with its folder if need be. See
        the notes.
      - V(xml) is the application configuration of the vendor's POS, which has to be there.
    type: str
    choices: [json, xml]
    default: json
  store_id:
    description: The number of the store, as it is at headquarters, at most 10 characters. Required with O(state=present).
    type: str
  register_id:
    description: The number of the register, at most 10 characters. Required with O(state=present).
    type: str
  legal_entity:
    description:
      - The company that the store belongs to, at most 4 characters.
      - Left out, the vendor's file keeps what it has.
    type: str
  sync_account:
    description:
      - The account that the sync service runs as.
      - Only a file of O(format=json) says it, since the vendor keeps it with the Windows service.
    type: str
  channel_database:
    description: The name of the channel database. Required with O(state=present).
    type: str
  channel_engine:
    description: The engine of the channel database.
    type: str
    choices: [mssql, postgresql]
    default: mssql
  channel_server:
    description:
      - The host name or address of the server with the channel database, as the register reaches it.
      - A named instance of SQL Server is written as V(HOST\\INSTANCE).
    type: str
    default: localhost
  channel_port:
    description: The TCP port of this server; by default the engine's own.
    type: int
  channel_login_user:
    description:
      - The login with which the POS connects to the channel database.
      - Without one it connects as the Windows account that runs it.
    type: str
  channel_login_password:
    description: The password of O(channel_login_user). It stands in the file as it is.
    type: str
  channel_encrypt:
    description: Whether the connection to the channel database is encrypted.
    type: str
    choices: ['yes', 'no', optional, strict]
    default: 'yes'
  channel_trust_server_certificate:
    description: Take the server's certificate without verifying it, such as a self-signed one.
    type: bool
    default: false
  offline_database:
    description:
      - The name of the offline database.
      - Left out, the register has none, or the vendor's file keeps what it has.
    type: str
  offline_engine:
    description: The engine of the offline database.
    type: str
    choices: [mssql, postgresql]
    default: mssql
  offline_server:
    description:
      - The host name or address of the server with the offline database, as the register reaches it.
      - A named instance of SQL Server is written as V(HOST\\INSTANCE).
    type: str
    default: localhost
  offline_port:
    description: The TCP port of this server; by default the engine's own.
    type: int
  offline_login_user:
    description:
      - The login with which the POS connects to the offline database.
      - Without one it connects as the Windows account that runs it.
    type: str
  offline_login_password:
    description: The password of O(offline_login_user). It stands in the file as it is.
    type: str
  offline_encrypt:
    description: Whether the connection to the offline database is encrypted.
    type: str
    choices: ['yes', 'no', optional, strict]
    default: 'yes'
  offline_trust_server_certificate:
    description: Take the server's certificate without verifying it, such as a self-signed one.
    type: bool
    default: false
  section:
    description:
      - With O(format=xml), the section of the file that the settings stand in.
      - A POS that serves several registers from one computer has a section for each.
    type: str
    default: AxRetailPOS
  section_type:
    description:
      - With O(format=xml), the .NET type that reads the section, with its assembly, version and public key token.
      - Only needed for a file that does not declare the section yet. It is the one of other registers of the same release.
    type: str
  channel_attribute:
    description:
      - With O(format=xml), the attribute with the connection to the channel database.
      - Retail POS of AX 2012 Feature Pack calls it V(LocalConnectionString).
    type: str
    default: StoreDatabaseConnectionString
  offline_attribute:
    description: With O(format=xml), the attribute with the connection to the offline database.
    type: str
    default: OfflineDatabaseConnectionString
  mode:
    description:
      - The mode of the file, as an octal number in quotes, such as V('0640').
      - By default a file of O(format=json) has V('0600') where there is a password in it, and V('0644') where there is
        none; the vendor's file keeps the mode that it has.
    type: raw
  owner:
    description: The user that the file belongs to. By default a file that is there keeps its owner.
    type: str
  group:
    description: The group that the file belongs to. By default a file that is there keeps its group.
    type: str
  backup:
    description: Keep a copy of the file, with a time in its name, before it is changed or removed.
    type: bool
    default: false
notes:
  - The module runs where Python runs. For a Windows register, run it on a host that reaches the register's folder, such as
    the control node with the share of the register mounted, and name the path there.
  - A file of O(format=json) has the keys C(store_id), C(register_id), C(legal_entity), C(sync_account), C(channel) and
    C(offline). The last two have C(engine), C(server), C(port), C(database), C(user), C(password), C(encrypt) and
    C(trust_server_certificate); C(offline) is null for a register without an offline database.
  - A connection string in the vendor's file keeps all keywords that say something else, such as C(Pooling) or
    C(Connect Timeout), and is left alone where it says the same in other words. One that cannot be understood is written
    anew. The vendor's POS connects to SQL Server only.
  - The file is replaced in one go, and only where nobody else has changed it meanwhile. The vendor's POS reads it when it
    starts.
seealso:
  - module: axops.retail.retail_offline_db
  - module: axops.retail.retail_sync_service
"""

EXAMPLES = r"""
- name: Tell a register who it is, in a file of its own
  axops.retail.retail_pos_config:
    path: /etc/retail-pos/HOUSTON-000001.json
    store_id: HOUSTON
    register_id: "000001"
    legal_entity: usrt
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    offline_database: RetailOffline

- name: Tell the vendor's POS on a Windows register, over its share
  axops.retail.retail_pos_config:
    path: /mnt/houston-01/Retail POS/POS.exe.config
    format: xml
    store_id: HOUSTON
    register_id: "000001"
    legal_entity: usrt
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    offline_server: localhost\SQLEXPRESS
    offline_database: RetailOffline
    offline_trust_server_certificate: true
    backup: true
  delegate_to: localhost

- name: Take the settings off a register that is given away
  axops.retail.retail_pos_config:
    path: /etc/retail-pos/HOUSTON-000001.json
    state: absent
"""

RETURN = r"""
file:
  description: The path of the file, as it was given.
  returned: success
  type: str
  sample: /etc/retail-pos/HOUSTON-000001.json
steps:
  description: What was done, or would be done in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["Write the register's settings to /etc/retail-pos/HOUSTON-000001.json"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: success
  type: list
  elements: str
  sample: []
backup_file:
  description: The path of the copy.
  returned: when O(backup=true) and the file was changed
  type: str
  sample: /etc/retail-pos/HOUSTON-000001.json.4711.2026-01-31@08:00:00~
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "The register ID '00000000001' has more than 10 characters."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "AX has room for no more."
"""

from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, Target
from ansible_collections.axops.retail.plugins.module_utils._module import RetailModule
from ansible_collections.axops.retail.plugins.module_utils._pos import plan as planning
from ansible_collections.axops.retail.plugins.module_utils._pos import settings

SIDES = ("channel_", "offline_")

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
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

CONNECTION: dict[str, dict[str, Any]] = {
    "engine": {"type": "str", "choices": ["mssql", "postgresql"], "default": "mssql"},
    "server": {"type": "str", "default": "localhost"},
    "port": {"type": "int"},
    "database": {"type": "str"},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "encrypt": {"type": "str", "choices": ["yes", "no", "optional", "strict"], "default": "yes"},
    "trust_server_certificate": {"type": "bool", "default": False},
}


def target_of(params: dict[str, Any], side: str) -> Target:
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


def settings_of(params: dict[str, Any]) -> settings.Settings | None:
    """The settings that the options declare, None where they are to go."""
    if params["state"] == "absent":
        return None
    wanted = settings.Settings(
        store_id=params["store_id"],
        register_id=params["register_id"],
        channel=target_of(params, "channel_"),
        offline=target_of(params, "offline_") if params["offline_database"] else None,
        legal_entity=params["legal_entity"] or "",
        sync_account=params["sync_account"] or "",
    )
    return settings.check(wanted)


def section_of(params: dict[str, Any]) -> settings.Section | None:
    """Where the vendor's POS looks, None for a file of our own."""
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


def run(module: RetailModule) -> None:
    """Plan, apply, report."""
    params = module.params
    result: dict[str, Any] = {"file": params["path"]}

    def keep() -> None:
        if params["backup"]:
            result["backup_file"] = module.ansible.backup_local(params["path"])

    place = planning.File(
        path=params["path"],
        section=section_of(params),
        mode=mode_of(params["mode"]),
        owner=params["owner"] or "",
        group=params["group"] or "",
        before_write=keep,
    )
    plan = planning.plan(place, settings_of(params))
    if not module.check_mode:
        planning.apply(plan)
    if module.ansible._diff:  # noqa: SLF001 - Ansible's documented way to ask for diff mode
        result["diff"] = plan.diff()
    module.ansible.exit_json(changed=plan.changed, steps=plan.titles, pending=plan.pending, **result)


def main() -> None:
    """Run the module."""
    spec = {**SPEC, **{side + name: facts for side in SIDES for name, facts in CONNECTION.items()}}
    rules = [("state", "present", ("store_id", "register_id", "channel_database"))]
    with RetailModule(spec, connections=None, required_if=rules) as module:
        run(module)


if __name__ == "__main__":
    main()
