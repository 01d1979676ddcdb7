#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_offline_db
short_description: Creates, provisions and removes registers' offline databases
version_added: 0.1.0
description:
  - Creates the offline database of a register and provisions it against its store's channel database; does what
    I(Create or reprovision offline database) of the Retail Channel Configuration Utility does.
  - Which tables the database holds, and which way they synchronise, stands in the store's offline profile, as the
    channel database has it. Where the profile names columns of a table, these and the key are all that moves of it.
  - On both sides it puts a tracking table and triggers beside each of these tables, and writes C(dbo.sync_peer) and
    C(dbo.scope_info). Rows are moved by the sync service afterwards, not by this module.
  - A changed profile changes the difference only, and the register can go on selling offline meanwhile.
  - Creates the groups C(RetailOfflineSyncUsers) and C(POSUsers), logins and grants of the offline database.
  - With O(state=absent), it drops the database, and the channel database forgets the register.
  - With O(targets), it looks after many registers of one channel database at once.
author:
  - the axops.retail contributors (@axops)
extends_documentation_fragment:
  - axops.retail.connection
  - axops.retail.connection.channel
  - axops.retail.connection.offline
  - axops.retail.access
  - axops.retail.attributes
options:
  state:
    description:
      - With V(present), the database exists and is provisioned.
      - With V(absent), the database does not exist, and the channel database does not know the register. This is refused
        while rows of it have not been acknowledged by the channel database, unless O(force=true). A database that is
        not this register's is refused, too. Logins and groups of the server stay, and so do the register's rows in the
        channel database, with the tracking tables there.
    type: str
    choices: [present, absent]
    default: present
  side:
    description:
      - Which side O(state=absent) clears.
      - V(offline) drops the database and leaves the channel database alone, such as one that cannot be reached. How much
        of the register's rows has arrived is then told by what was acknowledged last.
      - V(channel) unregisters the register and leaves its database alone, such as one on a server that is gone. Rows that
        it has and the channel database has not are not looked for.
    type: str
    choices: [both, offline, channel]
    default: both
  store_id:
    description: The store's number, as it is at HQ; at most 10 characters.
    type: str
    required: true
  register_id:
    description: The register's number; at most 10 characters. Either this or O(targets) is needed.
    type: str
  profile:
    description:
      - The name of the offline profile, at most 10 characters.
      - It decides where the store's record has not come to the channel database yet, or names no profile. Else the
        record does.
    type: str
  channel_database:
    description: The name of the channel database.
    type: str
    required: true
  offline_database:
    description: The name of the offline database. It is needed, unless each of O(targets) has its own.
    type: str
  offline_settings:
    description:
      - Options of the offline database, as O(axops.retail.retail_channel_db#module:settings) are those of the channel database. What
        is not declared is set as the vendor's utility sets it, or left as it is.
      - They are the same for all of O(targets).
    type: dict
    suboptions:
      allow_snapshot_isolation:
        description: As O(axops.retail.retail_channel_db#module:settings.allow_snapshot_isolation).
        type: bool
      read_committed_snapshot:
        description: As O(axops.retail.retail_channel_db#module:settings.read_committed_snapshot).
        type: bool
      recovery:
        description: As O(axops.retail.retail_channel_db#module:settings.recovery).
        type: str
        choices: [simple, full, bulk_logged]
      page_verify:
        description: As O(axops.retail.retail_channel_db#module:settings.page_verify).
        type: str
        choices: [checksum, torn_page_detection, none]
      auto_close:
        description: As O(axops.retail.retail_channel_db#module:settings.auto_close).
        type: bool
      auto_shrink:
        description: As O(axops.retail.retail_channel_db#module:settings.auto_shrink).
        type: bool
      compatibility_level:
        description: As O(axops.retail.retail_channel_db#module:settings.compatibility_level).
        type: int
      collation:
        description: As O(axops.retail.retail_channel_db#module:settings.collation).
        type: str
      owner:
        description: As O(axops.retail.retail_channel_db#module:settings.owner).
        type: str
      tablespace:
        description: As O(axops.retail.retail_channel_db#module:settings.tablespace).
        type: str
      connection_limit:
        description: As O(axops.retail.retail_channel_db#module:settings.connection_limit).
        type: int
  offline_files:
    description:
      - The first data file and the log of the offline database, as O(axops.retail.retail_channel_db#module:files) are those of the
        channel database. SQL Server only.
      - They are the same for all of O(targets).
    type: dict
    suboptions:
      data:
        description: The data file.
        type: dict
        suboptions:
          path:
            description: As O(axops.retail.retail_channel_db#module:files.data.path).
            type: str
          size:
            description: As O(axops.retail.retail_channel_db#module:files.data.size).
            type: str
          max_size:
            description: As O(axops.retail.retail_channel_db#module:files.data.max_size).
            type: str
          growth:
            description: As O(axops.retail.retail_channel_db#module:files.data.growth).
            type: str
      log:
        description: The transaction log.
        type: dict
        suboptions:
          path:
            description: As O(axops.retail.retail_channel_db#module:files.log.path).
            type: str
          size:
            description: As O(axops.retail.retail_channel_db#module:files.log.size).
            type: str
          max_size:
            description: As O(axops.retail.retail_channel_db#module:files.log.max_size).
            type: str
          growth:
            description: As O(axops.retail.retail_channel_db#module:files.log.growth).
            type: str
  reprovision:
    description:
      - Whether the pair begins anew.
      - V(never) refuses a pair that cannot just go on; the database is a new one although its register is known to the
        channel database, or one of the two was restored or moved.
      - V(if_needed) has such a pair begin anew. Where the two know each other, and one was restored or moved, each scope of which
        something was lost begins anew with its next session, which brings back what one side has and the other lost; the sync service
        does the same by itself. Of a register and its clone the database that is named here is the one from then on. Where one of
        the two is a new database, all scopes begin with a load of what the channel database has, and with sending all that was
        written at the register; the register gets a new number. Where the pair is in order, this changes nothing.
      - V(always) drops the offline database and makes a new one, at each run. This is refused while rows have not been
        acknowledged by the channel database, unless O(force=true). If it is cut off, the next run goes on with it,
        whatever it is told here.
    type: str
    choices: [never, if_needed, always]
    default: never
  force:
    description:
      - Go on although rows wait to go to the channel database. With O(state=absent) and O(reprovision=always), they are
        lost.
      - Where a scope or table is no longer in the profile, they stay in the offline database and go nowhere.
    type: bool
    default: false
  take_over:
    description:
      - Take over a store that Microsoft's utility has provisioned. What Sync Framework has left in the offline database and
        in the channel database, its tracking tables, triggers, procedures, types and scopes, makes way for ours. The rows
        stay.
      - This is refused while Microsoft's service is connected to the offline database, and while a row that goes up is
        missing or different in the channel database; with O(force=true), the first session of ours uploads such rows.
      - Name all registers of the store in O(targets). It is done for all of them or for none, as long as the channel database is
        Microsoft's; a register that comes later is taken over on its own, and the first session of ours uploads its rows that
        are missing there.
      - Where nothing of Sync Framework is there, this changes nothing. Without it, such a database is refused and left
        untouched.
    type: bool
    default: false
  targets:
    description:
      - The registers of one channel database, to be looked after in one call, several at a time.
      - What an entry does not say is taken from the option of the same name.
      - A register that fails does not stop the others; the module fails at the end and names it.
    type: list
    elements: dict
    suboptions:
      register_id:
        description: As O(register_id).
        type: str
        required: true
      store_id:
        description: As O(store_id).
        type: str
      profile:
        description: As O(profile).
        type: str
      reprovision:
        description: As O(reprovision).
        type: str
        choices: [never, if_needed, always]
      force:
        description: As O(force).
        type: bool
      offline_engine:
        description: As O(offline_engine).
        type: str
        choices: [mssql, postgresql]
      offline_server:
        description: As O(offline_server).
        type: str
      offline_port:
        description: As O(offline_port).
        type: int
      offline_database:
        description: As O(offline_database).
        type: str
      offline_login_user:
        description: As O(offline_login_user).
        type: str
      offline_login_password:
        description: As O(offline_login_password).
        type: str
      offline_driver:
        description: As O(offline_driver).
        type: str
      offline_encrypt:
        description: As O(offline_encrypt).
        type: str
        choices: ['yes', 'no', optional, strict]
      offline_trust_server_certificate:
        description: As O(offline_trust_server_certificate).
        type: bool
      offline_ca_file:
        description: As O(offline_ca_file).
        type: path
      offline_hostname_in_certificate:
        description: As O(offline_hostname_in_certificate).
        type: str
      offline_authentication:
        description: As O(offline_authentication).
        type: str
        choices: [ActiveDirectoryPassword, ActiveDirectoryIntegrated, ActiveDirectoryServicePrincipal, ActiveDirectoryMsi]
      offline_keytab:
        description: As O(offline_keytab).
        type: path
      offline_login_timeout:
        description: As O(offline_login_timeout).
        type: int
      offline_connection_options:
        description: As O(offline_connection_options).
        type: dict
  workers:
    description: How many of O(targets) are looked after at a time.
    type: int
    default: 4
  lock_timeout:
    description: How many seconds to wait for another run against the same channel database, or for a running session.
    type: int
    default: 300
notes:
  - A run that is cut off is completed by the next one.
  - On SQL Server both databases need the compatibility level 130 or higher. That of the offline database is raised where
    O(offline_settings.compatibility_level) says so; before it is, check mode can foretell nothing else.
  - A database that Microsoft Sync Framework has provisioned is refused and left untouched, unless O(take_over=true).
  - Tables that leave the profile stay in the offline database, with their rows; they are no longer synchronised.
  - In check mode, while the channel database does not exist yet, only the creation of the offline database can be
    foretold.
  - When the last register of a store is gone, its tables in the channel database stay tracked, for the next one.
  - On the offline database's server, O(offline_login_user) needs what M(axops.retail.retail_channel_db) says of its login.
    In the channel database, O(channel_login_user) makes tables and triggers, so it needs C(db_owner) there, or on
    PostgreSQL the role that made the database.
seealso:
  - module: axops.retail.retail_channel_db
  - module: axops.retail.retail_offline_profile
  - module: axops.retail.retail_distribution
  - module: axops.retail.retail_sync_service
"""

EXAMPLES = r"""
- name: The offline database of register 000001, on the register itself
  axops.retail.retail_offline_db:
    store_id: HOUSTON
    register_id: "000001"
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    channel_login_user: retail_admin
    channel_login_password: "{{ vault_channel_password }}"
    offline_server: localhost\SQLEXPRESS
    offline_database: RetailOffline
    logins:
      - name: retail_sync
        password: "{{ vault_sync_password }}"
    groups:
      - name: RetailOfflineSyncUsers
        members: [retail_sync]

- name: A new till takes the place of a broken one
  axops.retail.retail_offline_db:
    engine: postgresql
    store_id: HOUSTON
    register_id: "000002"
    profile: Default pr
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    offline_server: houston-02.example.com
    offline_database: RetailOffline
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
    reprovision: if_needed

- name: All registers of a store, from the control node
  axops.retail.retail_offline_db:
    store_id: HOUSTON
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    offline_database: RetailOffline
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
    targets:
      - register_id: "000001"
        offline_server: houston-01.example.com
      - register_id: "000002"
        offline_server: houston-02.example.com
    workers: 8

- name: A store that Microsoft's utility has provisioned, taken over with all its registers
  axops.retail.retail_offline_db:
    take_over: true
    store_id: HOUSTON
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    offline_database: RetailOffline
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
    targets:
      - register_id: "000001"
        offline_server: houston-01.example.com
      - register_id: "000002"
        offline_server: houston-02.example.com

- name: A register is given away
  axops.retail.retail_offline_db:
    state: absent
    store_id: HOUSTON
    register_id: "000002"
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    offline_server: houston-02.example.com
    offline_database: RetailOffline
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
"""

RETURN = r"""
steps:
  description:
    - What was done, or would be done in check mode, in order, in sentences.
    - With O(targets), only what was done at the channel database for all of them together.
  returned: success
  type: list
  elements: str
  sample: ["Create database RetailOffline", "Register HOUSTON-000001 in the channel database"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: without O(targets)
  type: list
  elements: str
  sample: []
profile:
  description: The name of the offline profile; null where it could not be read in check mode, and with O(state=absent).
  returned: without O(targets)
  type: str
  sample: Default pr
scopes:
  description: The scopes of the profile, in order.
  returned: without O(targets)
  type: list
  elements: dict
  contains:
    name:
      description: The name of the scope.
      type: str
      sample: P-0001 Channel transactions
    direction:
      description: Which way it moves; V(download), V(upload) or V(bidirectional).
      type: str
      sample: upload
    frequency:
      description: Seconds between two sessions, 0 for the sync service's own interval.
      type: int
      sample: 0
    tables:
      description: Its tables, in order.
      type: list
      elements: str
      sample: [ax.RETAILTRANSACTIONTABLE]
tables:
  description: All tables that synchronise, in alphabetical order.
  returned: without O(targets)
  type: list
  elements: str
  sample: [ax.CURRENCY, ax.CUSTTABLE]
peer_guid:
  description: The GUID under which both databases know this pair; null where it is yet to be made in check mode.
  returned: without O(targets)
  type: str
  sample: 0f6c9a52-6c1c-4a39-8a5e-1d3b5fd6c8d1
targets:
  description: What became of each of O(targets), in their order.
  returned: with O(targets), also where one has failed
  type: list
  elements: dict
  contains:
    name:
      description: The register, as the channel database calls it.
      type: str
      sample: HOUSTON-000001
    changed:
      description: Whether something was changed.
      type: bool
      sample: true
    failed:
      description: Whether it failed.
      type: bool
      sample: false
    msg:
      description: What it failed with, and what to do about it; empty where it did not.
      type: str
      sample: ""
    exception:
      description: The trace of an error that nobody foresaw.
      returned: when there was one
      type: str
      sample: Traceback (most recent call last)
    steps:
      description: What was done, in order, in sentences.
      type: list
      elements: str
      sample: ["Create database RetailOffline", "Register HOUSTON-000001 in the channel database"]
    pending:
      description: As RV(pending), for this one.
      type: list
      elements: str
      sample: []
    profile:
      description: The name of its offline profile; null as for RV(profile).
      type: str
      sample: Default pr
    tables:
      description: All tables that synchronise, in alphabetical order.
      type: list
      elements: str
      sample: [ax.CURRENCY, ax.CUSTTABLE]
    peer_guid:
      description: The GUID under which both databases know this pair; null as for RV(peer_guid).
      type: str
      sample: 0f6c9a52-6c1c-4a39-8a5e-1d3b5fd6c8d1
statements:
  description: How many statements were sent to the database servers.
  returned: success
  type: int
  sample: 31
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "The profile 'Default pr' is not in the channel database."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "Run the scheduler job 1095 for this store first."
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._engine import RetailError
from ..module_utils._module import ACCESS, FILES, SETTINGS, RetailModule, connection_spec
from ..module_utils._offline import offline_db, registers
from ..module_utils._offline.registers import Register, Report

TARGET: dict[str, Any] = {
    "register_id": {"type": "str", "required": True},
    "store_id": {"type": "str"},
    "profile": {"type": "str"},
    "reprovision": {"type": "str", "choices": list(offline_db.REPROVISION)},
    "force": {"type": "bool"},
    **connection_spec("offline_"),
}

SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "side": {"type": "str", "choices": list(registers.SIDES), "default": registers.BOTH},
    "store_id": {"type": "str", "required": True},
    "register_id": {"type": "str"},
    "profile": {"type": "str"},
    "channel_database": {"type": "str", "required": True},
    "reprovision": {"type": "str", "choices": list(offline_db.REPROVISION), "default": offline_db.NEVER},
    "force": {"type": "bool", "default": False},
    "take_over": {"type": "bool", "default": False},
    "offline_settings": SETTINGS,
    "offline_files": FILES,
    "targets": {"type": "list", "elements": "dict", "options": TARGET},
    "workers": {"type": "int", "default": 4},
    "lock_timeout": {"type": "int", "default": 300},
    **ACCESS,
}


def main() -> None:
    rules = {"mutually_exclusive": [("register_id", "targets")], "required_one_of": [("register_id", "targets")]}
    with RetailModule(SPEC, connections=("channel_", "offline_"), **rules) as module:
        if module.params["targets"] is None:
            converge_one(module)
        else:
            converge_all(module)


def declared(module: RetailModule, given: Mapping[str, Any]) -> Register:
    """What is wanted of one register.

    :param given: what comes before the module's own options.
    :raises RetailError: something about it cannot be.
    """
    params = {**module.params, **{name: value for name, value in given.items() if value is not None}}
    offline = module.target("offline_", given)
    if not offline.database:
        raise RetailError("There is no name for the offline database.", "Set the option offline_database.")
    if params["side"] != registers.BOTH and params["state"] == "present":
        raise RetailError("The option side goes with state: absent.", "Leave it out.")
    if params["take_over"] and (params["state"] != "present" or params["reprovision"] == offline_db.ALWAYS):
        raise RetailError(
            "The option take_over keeps the rows of the offline database, and state: absent and reprovision: always drop them.",
            "Take the register over first.",
        )
    return Register(
        identity=offline_db.identity(params["store_id"], params["register_id"]),
        channel=module.target("channel_"),
        offline=offline,
        access=module.access("offline"),
        present=params["state"] == "present",
        side=params["side"],
        profile=offline_db.profile_name(params["profile"] or ""),
        reprovision=params["reprovision"],
        force=params["force"],
        take_over=params["take_over"],
        settings=params["offline_settings"],
        files=params["offline_files"],
        lock_timeout=params["lock_timeout"],
    )


def converge_one(module: RetailModule) -> None:
    register = declared(module, {})
    registers.check([register])
    report = registers.converge(register, module.check_mode)
    if report.error is not None:
        module.fail(report.error, exception=report.trace, plan=report.plan)
    for text in report.warnings:
        module.ansible.warn(text)
    module.exit(report.plan, statements=report.statements, **report.facts)


def converge_all(module: RetailModule) -> None:
    if not module.params["targets"]:
        module.ansible.exit_json(changed=False, steps=[], targets=[], statements=0)
    wanted = [declared(module, given) for given in module.params["targets"]]
    reports, together = registers.converge_all(wanted, module.check_mode, module.params["workers"])
    module.exit_all("registers", reports, document, ("the channel database", together))


def document(report: Report) -> dict[str, Any]:
    """One register in the module's result."""
    return {
        "name": report.name,
        "changed": report.changed,
        "failed": report.error is not None,
        "msg": str(report.error or ""),
        **({"exception": report.trace} if report.trace else {}),
        "steps": report.plan.titles,
        "pending": report.plan.pending,
        **{name: report.facts[name] for name in ("profile", "tables", "peer_guid")},
    }


if __name__ == "__main__":
    main()
