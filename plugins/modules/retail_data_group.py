#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_data_group
short_description: Declares a channel data group at HQ
version_added: 0.1.0
description:
  - Writes a channel data group into the HQ database, with its scheduler jobs and their tables, and the channel
    databases that belong to it with the stores they serve.
  - What is not declared is taken out of the data group. Rows that stay keep their RECID.
  - Rows are moved by M(axops.retail.retail_distribution), or by a sync service for the pair of HQ and channel database.
author:
  - the axops.retail contributors (@axops)
extends_documentation_fragment:
  - axops.retail.connection
  - axops.retail.attributes
options:
  database:
    description: The name of the HQ database.
    type: str
    required: true
  name:
    description: The name of the data group, at most 60 characters.
    type: str
    required: true
  state:
    description:
      - V(present) for a data group that is as declared, V(absent) for none of that name.
      - A data group that has channel databases is not removed; see O(force).
    type: str
    choices: [present, absent]
    default: present
  description:
    description: What people read about the data group.
    type: str
    default: ''
  jobs:
    description:
      - The scheduler jobs of the data group, in the order in which they run.
      - Required if O(state=present).
    type: list
    elements: dict
    suboptions:
      id:
        description: The ID of the job, such as V(1040) or V(P-0001); at most 20 characters.
        type: str
        required: true
      name:
        description: The name of the job; at most 60 characters.
        type: str
        default: ''
      direction:
        description: V(download) moves rows from HQ to the channel databases, V(upload) the other way.
        type: str
        choices: [download, upload, bidirectional]
        default: download
      tables:
        description:
          - The tables of the job, in order. A name without a schema means the schema C(ax). HQ must have them.
          - A table stands in one job of a data group only.
        type: list
        elements: str
        required: true
      filters:
        description:
          - Which rows of a table a channel database receives; all rows of the tables that have no filter here.
          - A row that comes under the filter is sent, and one that leaves it is deleted in the channel database, whether the
            row itself changed or what decides about it. Where the filter or what a channel database calls its own changes,
            the table is taken anew.
          - What goes up is never filtered, nor is what goes from a channel database to its registers.
        type: list
        elements: dict
        default: []
        suboptions:
          table:
            description: One of the job's tables.
            type: str
            required: true
          where:
            description:
              - The conditions, all of which must hold. A condition holds where its column has one of its values, one of the
                channel database's own, or is a member. None holds for NULL.
            type: list
            elements: dict
            required: true
            suboptions:
              column:
                description: A column of the table.
                type: str
                required: true
              own:
                description:
                  - What the channel database calls its own. V(channel) is the C(RECID) of its stores in C(ax.RETAILSTORETABLE),
                    V(store) their C(STORENUMBER), V(operating_unit) the C(OMOPERATINGUNITID) in C(ax.RETAILCHANNELTABLE).
                type: str
                choices: [channel, store, operating_unit]
              values:
                description: Values that are the same for all channel databases.
                type: list
                elements: str
              member_of:
                description:
                  - The column has a value that another table of HQ names. A dictionary of C(table), C(column) and C(where),
                    conditions like these for the rows of that table that count; they may have memberships of their own.
                type: dict
  channel_databases:
    description:
      - All channel databases of the data group. A profile of a channel database that is not declared is removed, unless
        O(keep_undeclared) is set; the database itself stays.
      - Leave it out to leave them alone.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name of the channel database profile, at most 50 characters; no other one at HQ has it.
        type: str
        required: true
      server:
        description: The database server, for people to read.
        type: str
        default: ''
      database:
        description: The name of the channel database, for people to read.
        type: str
        default: ''
      store_ids:
        description:
          - The numbers of the stores that the channel database serves.
          - A store that HQ has no record of yet is entered in a later run; see RV(missing_stores).
        type: list
        elements: str
        default: []
  keep_undeclared:
    description:
      - Leave channel databases of the data group alone that are not in O(channel_databases), such as where it is not known of all of
        them what they are.
    type: bool
    default: false
  change_shared:
    description:
      - Change a job although another data group has it as well, and with it for that one.
      - By default that is an error.
    type: bool
    default: false
  force:
    description:
      - With O(state=absent), remove the profiles of the data group's channel databases, too. The databases themselves stay.
    type: bool
    default: false
  lock_timeout:
    description: How many seconds to wait for another run that changes profiles or data groups at HQ.
    type: int
    default: 60
notes:
  - The login has to read and write the tables of the HQ database; it needs no right on the server.
seealso:
  - module: axops.retail.retail_distribution
  - module: axops.retail.retail_offline_profile
"""

EXAMPLES = r"""
- name: Two stores that get the same data
  axops.retail.retail_data_group:
    server: hq.example.com
    database: RetailHQ
    name: Default
    jobs:
      - id: "1020"
        name: Prices and discounts
        tables: [PRICEDISCGROUP, PRICEDISCTABLE]
      - id: P-0001
        name: Channel transactions
        direction: upload
        tables: [RETAILTRANSACTIONTABLE, RETAILTRANSACTIONSALESTRANS]
    channel_databases:
      - name: Houston
        server: houston-db.example.com
        database: RetailChannel
        store_ids: [HOUSTON]
      - name: Boston
        server: boston-db.example.com
        database: RetailChannel
        store_ids: [BOSTON]

- name: Each store gets its own tenders, and the products of its own assortments
  axops.retail.retail_data_group:
    server: hq.example.com
    database: RetailHQ
    name: Own
    jobs:
      - id: "1040"
        name: Products
        tables: [RETAILINVENTTABLE, INVENTTABLE]
        filters:
          - table: INVENTTABLE
            where:
              - column: PRODUCT
                member_of:
                  table: RETAILASSORTMENTLOOKUP
                  column: PRODUCTID
                  where:
                    - column: ASSORTMENTID
                      member_of:
                        table: RETAILASSORTMENTLOOKUPCHANNELGROUP
                        column: ASSORTMENTID
                        where:
                          - column: OMOPERATINGUNITID
                            own: operating_unit
      - id: "1070"
        name: Channel configuration
        tables: [RETAILSTORETABLE, RETAILSTORETENDERTYPETABLE]
        filters:
          - table: RETAILSTORETENDERTYPETABLE
            where:
              - column: CHANNEL
                own: channel
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, in order, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Create the data group 'Default'"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: success, or when a step failed
  type: list
  elements: str
  sample: []
data_group:
  description: The name of the data group.
  returned: success
  type: str
  sample: Default
missing_stores:
  description: Declared stores of which HQ has no record yet.
  returned: success
  type: list
  elements: str
  sample: []
statements:
  description: How many statements were sent to the database server.
  returned: success
  type: int
  sample: 9
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "Cannot connect to Microsoft SQL Server at hq.example.com/RetailHQ."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "Check the name of the server."
"""

from typing import Any

from ..module_utils._module import RetailModule
from ..module_utils._offline import data_group_rows, hq
from ..module_utils._offline.state import Place

SPEC: dict[str, Any] = {
    "database": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "description": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "jobs": {
        "type": "list",
        "elements": "dict",
        "options": {
            "id": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "direction": {"type": "str", "choices": ["download", "upload", "bidirectional"], "default": "download"},
            "tables": {"type": "list", "elements": "str", "required": True},
            "filters": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "table": {"type": "str", "required": True},
                    "where": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": {
                            "column": {"type": "str", "required": True},
                            "own": {"type": "str", "choices": ["channel", "store", "operating_unit"]},
                            "values": {"type": "list", "elements": "str"},
                            "member_of": {"type": "dict"},
                        },
                    },
                },
            },
        },
    },
    "channel_databases": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "server": {"type": "str", "default": ""},
            "database": {"type": "str", "default": ""},
            "store_ids": {"type": "list", "elements": "str", "default": []},
        },
    },
    "keep_undeclared": {"type": "bool", "default": False},
    "change_shared": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    with RetailModule(SPEC, required_if=[("state", "present", ["jobs"])]) as module:
        converge(module)


def converge(module: RetailModule) -> None:
    """Read what is there, compare it with what was declared, and end with the plan's result."""
    params = module.params
    declared = None
    if params["state"] == "present":
        declared = data_group_rows.declare(
            params["name"],
            params["description"],
            params["jobs"],
            params["channel_databases"],
            params["change_shared"],
            params["keep_undeclared"],
        )
    place = hq.place(module.target(), module.connect, module.check_mode)
    if declared is not None and place.db is not None:
        _check_jobs(module, place, declared)

    def plan() -> data_group_rows.GroupPlan:
        if declared is None:
            return data_group_rows.plan_no_data_group(
                place.engine, place.db, params["name"], params["force"], place.key
            )
        return data_group_rows.plan_data_group(place.engine, place.db, declared, place.key)

    with hq.planned(place, plan, module.check_mode, params["lock_timeout"]) as result:
        missing = result.missing_stores
        module.finish(result.plan, lambda _key: place.db, data_group=params["name"], missing_stores=missing)


def _check_jobs(module: RetailModule, place: Place, declared: data_group_rows.Declared) -> None:
    """A slip of the pen is refused here, and not by each store; a dry run cannot know what an upgrade before it would bring."""
    missing = data_group_rows.check_jobs(place.engine, place.db, declared, module.check_mode)
    if missing:
        listed = ", ".join(str(name) for name in missing)
        module.ansible.warn("HQ has no table %s now. If nothing before this makes it, the run fails here." % listed)


if __name__ == "__main__":
    main()
