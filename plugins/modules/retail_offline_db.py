#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_offline_db
short_description: Creates and provisions a register's offline database
version_added: 0.1.0
description:
  - Creates the offline database of a register and provisions it against its store's channel database; does what
    I(Create or reprovision offline database) of the Retail Channel Configuration Utility does.
  - Which tables the database holds, and which way they synchronise, stands in the store's offline profile, as the
    channel database has it.
  - On both sides it puts a tracking table and triggers beside each of these tables, and writes C(dbo.sync_peer) and
    C(dbo.scope_info). Rows are moved by the sync service afterwards, not by this module.
  - A changed profile changes the difference only, and the register can go on selling offline meanwhile.
  - Creates the groups C(RetailOfflineSyncUsers) and C(POSUsers), logins and grants of the offline database.
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
    description: With V(present), the database exists and is provisioned.
    type: str
    choices: [present]
    default: present
  store_id:
    description: The store's number, as it is at HQ; at most 10 characters.
    type: str
    required: true
  register_id:
    description: The register's number; at most 10 characters.
    type: str
    required: true
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
    description: The name of the offline database.
    type: str
    required: true
  reprovision:
    description:
      - Provision anew where the pair cannot just go on; the database is a new one although its register is known to the
        channel database, or one of the two was restored or moved.
      - All scopes begin again with a load of what the channel database has, and with sending all that the register has;
        the register gets a new number. Where the pair is in order, this changes nothing.
    type: bool
    default: false
  force:
    description:
      - Remove a scope or table that is no longer in the profile even while rows of it wait to go to the channel
        database. These rows stay in the offline database and go nowhere.
    type: bool
    default: false
  lock_timeout:
    description: How many seconds to wait for another run against the same channel database, or for a running session.
    type: int
    default: 300
notes:
  - A run that is cut off is completed by the next one.
  - A database that Microsoft Sync Framework has provisioned is refused and left untouched.
  - Tables that leave the profile stay in the offline database, with their rows; they are no longer synchronised.
  - In check mode, while the channel database does not exist yet, only the creation of the offline database can be
    foretold.
seealso:
  - module: axops.retail.retail_channel_db
  - module: axops.retail.retail_offline_profile
  - module: axops.retail.retail_distribution
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
    reprovision: true
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, in order, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Create database RetailOffline", "Register HOUSTON-000001 in the channel database"]
profile:
  description: The name of the offline profile; null where it could not be read in check mode.
  returned: success
  type: str
  sample: Default pr
scopes:
  description: The scopes of the profile, in order.
  returned: success
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
  returned: success
  type: list
  elements: str
  sample: [ax.CURRENCY, ax.CUSTTABLE]
peer_guid:
  description: The GUID under which both databases know this pair; null where it is yet to be made in check mode.
  returned: success
  type: str
  sample: 0f6c9a52-6c1c-4a39-8a5e-1d3b5fd6c8d1
statements:
  description: How many statements were sent to the database servers.
  returned: success
  type: int
  sample: 31
"""

from typing import Any

from ..module_utils import _engine
from ..module_utils._module import ACCESS, RetailModule
from ..module_utils._offline import offline_db
from ..module_utils._plan import Plan

SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    "store_id": {"type": "str", "required": True},
    "register_id": {"type": "str", "required": True},
    "profile": {"type": "str"},
    "channel_database": {"type": "str", "required": True},
    "offline_database": {"type": "str", "required": True},
    "reprovision": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 300},
    **ACCESS,
}


def main() -> None:
    with RetailModule(SPEC, connections=("channel_", "offline_")) as module:
        converge(module)


def converge(module: RetailModule) -> None:
    """Read what is there, compare it with what was declared, and end with the plan's result."""
    params = module.params
    identity = offline_db.identity(params["store_id"], params["register_id"])
    wanted = module.access("offline")
    targets = {"channel": module.target("channel_"), "offline": module.target("offline_")}
    targets["server"] = module.maintenance(targets["offline"])
    name = targets["offline"].database
    _engine.speaker(targets["offline"].engine).names.check(name)
    server = module.connect(targets["server"])
    server.engine.databases.check_server(server)
    there = server.engine.databases.exists(server, name)
    if there:
        server.engine.databases.check_server(module.connect(targets["offline"]))  # it may behave like an older server's
    if module.check_mode and not channel_exists(module):
        foretell(module, None if there else offline_db.creation(server.engine, name))
    request = offline_db.Request(
        identity=identity,
        channel=module.connect(targets["channel"]),
        server=server,
        name=name,
        offline=module.connect(targets["offline"]) if there else None,
        open_database=lambda key: module.connect(targets[key]),
        profile=params["profile"] or "",
        access=wanted,
        reprovision=params["reprovision"],
        force=params["force"],
    )
    with offline_db.planned(request, module.check_mode, params["lock_timeout"]) as result:
        module.finish(result.plan, request.open_database, **result.facts(module.check_mode))


def channel_exists(module: RetailModule) -> bool:
    target = module.target("channel_")
    server = module.connect(module.maintenance(target))
    return server.engine.databases.exists(server, target.database)


def foretell(module: RetailModule, creation: Any) -> None:
    """End check mode without a channel database: an earlier task would have made it."""
    module.ansible.warn("The channel database does not exist yet, so what the offline database would hold is unknown.")
    plan = Plan()
    plan.add(creation)
    module.finish(plan, None, profile=None, scopes=[], tables=[], peer_guid=None)


if __name__ == "__main__":
    main()
