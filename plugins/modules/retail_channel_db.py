#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_channel_db
short_description: Creates or upgrades a channel database
version_added: 0.1.0
description:
  - Creates the channel database of a store server, or brings it to a newer release in place, as the Retail Channel
    Configuration Utility does.
  - Records the release where the vendor does, in C(dbo.POSISINFO), C(ax.DBVERSION) and C(crt.RETAILUPGRADEHISTORY).
  - Creates roles, groups (C(RetailOfflineSyncUsers) first of all), logins and grants, and keeps them as declared.
  - Can create the HQ database that channel databases exchange data with, too; see O(tier).
  - Nothing is ever dropped. Tables, columns and indexes that are not part of the release are left alone.
author:
  - the axops.retail contributors (@axops)
extends_documentation_fragment:
  - axops.retail.connection
  - axops.retail.access
  - axops.retail.attributes
  - axops.retail.attributes.action
options:
  database:
    description:
      - The name of the database.
      - A database of that name that has tables, but none of a channel database, is refused.
    type: str
    required: true
    aliases: [name]
  state:
    description:
      - With V(present), the database exists, at the release, with its roles, groups and grants.
    type: str
    choices: [present]
    default: present
  tier:
    description:
      - V(channel) is the database of a store server.
      - V(hq) is the database at headquarters, which also has the scheduler's tables (data groups, jobs, sessions).
    type: str
    choices: [channel, hq]
    default: channel
  release:
    description:
      - The release that the database is brought to, such as V(6.3.158.0).
      - It is the release of the packaged schema, or that of one of the O(extensions). By default the highest of them.
      - A database that is at a higher release is refused, since a downgrade would lose data.
    type: str
  extensions:
    description:
      - Folders on the controller with a partner's tables and columns, in the form of the packaged schema.
      - C(release.json) names the C(release), whose fourth number is the partner's own, and C(ax2012r3) as what it
        C(extends); C(tables/SCHEMA/TABLE.json) declares a new table, or columns, unique keys and indexes to add to one.
      - A relative path is looked for in the folder C(schemas) of the role or beside the playbook.
    type: list
    elements: path
    default: []
  _schema_package:
    description:
      - Internal, set by the action plugin. The path of the packed schema on the host.
    type: path
notes:
  - A run that is cut off is completed by the next one.
  - PostgreSQL has no counterpart for row versions; columns of that type are left out there.
"""

EXAMPLES = r"""
- name: The channel database of a store server
  axops.retail.retail_channel_db:
    server: houston-db.example.com
    login_user: sa
    login_password: "{{ vault_sa_password }}"
    database: RetailChannel
    release: 6.3.158.0
    logins:
      - name: retail_sync
        password: "{{ vault_sync_password }}"
    groups:
      - name: RetailOfflineSyncUsers
        members: [retail_sync]

- name: The same, for a Windows group, with a partner's tables
  axops.retail.retail_channel_db:
    server: houston-db.example.com
    database: RetailChannel
    release: 6.3.158.1
    extensions:
      - contoso_loyalty
    logins:
      - name: HOUSTON-DB\RetailOfflineSyncUsers
    groups:
      - name: RetailOfflineSyncUsers
        members: [HOUSTON-DB\RetailOfflineSyncUsers]

- name: The HQ database, on PostgreSQL
  axops.retail.retail_channel_db:
    engine: postgresql
    server: hq.example.com
    login_user: admin
    login_password: "{{ vault_hq_password }}"
    database: RetailHQ
    tier: hq
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, in order, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Create database RetailChannel", "Create schema ax", "Create table dbo.POSISINFO"]
database:
  description: The name of the database.
  returned: success
  type: str
  sample: RetailChannel
release:
  description: The release that the database is at, or would be at in check mode.
  returned: success
  type: str
  sample: 6.3.158.0
previous_release:
  description: The release that the database was at before; null where there was none.
  returned: success
  type: str
  sample: 6.3.158.0
tables_created:
  description: How many tables were created, or would be created in check mode.
  returned: success
  type: int
  sample: 548
statements:
  description: How many statements were sent to the database server.
  returned: success
  type: int
  sample: 9
"""

from typing import Any

from ..module_utils import _engine
from ..module_utils._access import plan as access
from ..module_utils._engine import RetailError
from ..module_utils._module import ACCESS, RetailModule
from ..module_utils._schema import channel, package

SPEC: dict[str, Any] = {
    "database": {"type": "str", "required": True, "aliases": ["name"]},
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    "tier": {"type": "str", "choices": ["channel", "hq"], "default": "channel"},
    "release": {"type": "str"},
    "extensions": {"type": "list", "elements": "path", "default": []},
    **ACCESS,
    "_schema_package": {"type": "path"},
}


def main() -> None:
    with RetailModule(SPEC) as module:
        converge(module)


def converge(module: RetailModule) -> None:
    """Read what is there, compare it with what was declared, and end with the plan's result."""
    target = module.target()
    targets = {"server": module.maintenance(target), "database": target}
    engine = _engine.speaker(target.engine)
    engine.names.check(target.database)
    wanted, schema = module.access(module.params["tier"]), read_package(module.params["_schema_package"])

    server = module.connect(targets["server"])
    engine.databases.check_server(server)
    db = module.connect(target) if engine.databases.exists(server, target.database) else None
    if db is not None:
        engine.databases.check_server(db)  # a database may behave like one of an older server
    actual = channel.read(db) if db else channel.Actual()
    coming = channel.coming_tables(actual, schema)

    plan = channel.database_plan(engine, target.database, actual, schema, "server", "database")
    state = access.read(server, db, wanted)
    plan.extend(access.access_plan(engine, state, wanted, target.database, actual.tables, coming, "database", "server"))
    installed = actual.versions.release
    module.finish(
        plan,
        lambda key: module.connect(targets[key]),
        database=target.database,
        release=str(schema.release),
        previous_release=None if installed is None else str(installed),
        tables_created=len(coming),
    )


def read_package(path: str | None) -> package.Package:
    """The schema that the action plugin shipped.

    :raises RetailError: it is not there.
    """
    if not path:
        raise RetailError(
            "The schema was not shipped.", "Call the module by its full name, axops.retail.retail_channel_db."
        )
    with open(path, "rb") as stream:
        return package.loads(stream.read())


if __name__ == "__main__":
    main()
