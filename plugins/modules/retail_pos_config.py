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
  - axops.retail.attributes.action
options:
  path:
    description:
      - The path of the file, on the host of the task. On Windows it begins with a drive, a share or a variable such as
        C(%ProgramFiles%).
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
      - Not on Windows; see the notes.
    type: raw
  owner:
    description: The user that the file belongs to. By default a file that is there keeps its owner. Not on Windows.
    type: str
  group:
    description: The group that the file belongs to. By default a file that is there keeps its group. Not on Windows.
    type: str
  backup:
    description: Keep a copy of the file, with a time in its name, before it is changed or removed.
    type: bool
    default: false
notes:
  - On a Windows host, which is one whose connection has a shell of Windows, the decisions are made on the controller, and the
    file is read and written there by the collection C(ansible.windows), which has to be installed on the controller
    (C(ansible-galaxy collection install ansible.windows)).
  - A file on Windows keeps the rights that it has, and a new one gets those of its folder, whether there is a password in it or
    not. C(ansible.windows.win_acl) and C(ansible.windows.win_owner) set others.
  - A file of O(format=json) has the keys C(store_id), C(register_id), C(legal_entity), C(sync_account), C(channel) and
    C(offline). The last two have C(engine), C(server), C(port), C(database), C(user), C(password), C(encrypt) and
    C(trust_server_certificate); C(offline) is null for a register without an offline database.
  - A connection string in the vendor's file keeps all keywords that say something else, such as C(Pooling) or
    C(Connect Timeout), and is left alone where it says the same in other words. One that cannot be understood is written
    anew. The vendor's POS connects to SQL Server only.
  - The file is changed only where nobody else has changed it meanwhile, and replaced in one go; on Windows it is written over,
    so a connection that breaks in the middle can leave a part of it, and O(backup) is the way back. The vendor's POS reads it
    when it starts.
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

- name: Tell the vendor's POS on a Windows register
  axops.retail.retail_pos_config:
    path: C:\Retail POS\POS.exe.config
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

- name: Tell it over a share that the control node has mounted
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
  returned: success, or when a step failed
  type: list
  elements: str
  sample: ["Write the register's settings to /etc/retail-pos/HOUSTON-000001.json"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: success, or when a step failed
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

from ansible_collections.axops.retail.plugins.module_utils._module import RetailModule
from ansible_collections.axops.retail.plugins.module_utils._pos import options
from ansible_collections.axops.retail.plugins.module_utils._pos import plan as planning
from ansible_collections.axops.retail.plugins.module_utils._pos.local_file import LocalFile


def run(module: RetailModule) -> None:
    """Plan, apply, report."""
    params = module.params
    result: dict[str, Any] = {"file": params["path"]}

    def keep() -> None:
        if params["backup"]:
            result["backup_file"] = module.ansible.backup_local(params["path"])

    place = LocalFile(
        path=params["path"],
        section=options.section_of(params),
        mode=options.mode_of(params["mode"]),
        owner=params["owner"] or "",
        group=params["group"] or "",
        before_write=keep,
    )
    plan = planning.plan(place, options.settings_of(params))
    if not module.check_mode:
        planning.apply(plan)
    if module.diff_mode:
        result["diff"] = plan.diff()
    module.ansible.exit_json(**plan.outcome, **result)


def main() -> None:
    """Run the module."""
    with RetailModule(options.argument_spec(), connections=None, required_if=options.REQUIRED_IF) as module:
        run(module)


if __name__ == "__main__":
    main()
