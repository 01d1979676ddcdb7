#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_offline_profile
short_description: Declares an offline profile at HQ
version_added: 0.1.0
description:
  - Writes an offline profile with its scopes and tables into the HQ database, where Retail Headquarters would have them
    (C(ax.RETAILOFFLINEPROFILE) and the tables around it), and assigns it to stores.
  - Scopes and tables that are not declared are taken out of the profile. Rows that stay keep their RECID.
  - Channel databases get the profile with the scheduler job 1095, registers with M(axops.retail.retail_offline_db)
    after that.
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
    description: The name of the profile, at most 10 characters.
    type: str
    required: true
  state:
    description:
      - V(present) for a profile that is as declared, V(absent) for none of that name.
      - A profile that stores have is not removed; see O(force).
    type: str
    choices: [present, absent]
    default: present
  description:
    description: What people read about the profile.
    type: str
    default: ''
  scopes:
    description:
      - The scopes of the profile, in the order in which they synchronise.
      - Required if O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: The name of the scope. No other scope at HQ has it, unless it is the same one.
        type: str
        required: true
      direction:
        description:
          - V(download) moves rows from the channel database to the registers, V(upload) the other way.
        type: str
        choices: [download, upload, bidirectional]
        required: true
      frequency:
        description:
          - Seconds between two sessions of the scope, 0 for the sync service's own interval.
          - This is C(SYNCFREQUENCY), a field that AX keeps and never implemented. The service honours it, but for its floor;
            see O(axops.retail.retail_sync_service#module:frequency_floor).
        type: int
        default: 0
      tables:
        description:
          - The tables of the scope, in order. A name without a schema means the schema C(ax).
          - A table stands in one scope of a profile only.
        type: list
        elements: str
        required: true
      columns:
        description:
          - Of which tables only some columns synchronise, and which (C(ax.RETAILOFFLINETABLECOLUMNS)). All columns of the tables
            that are not listed here do.
          - The columns of the primary key always do. A column that is left out needs a default or must be nullable.
        type: list
        elements: dict
        default: []
        suboptions:
          table:
            description: One of the scope's tables.
            type: str
            required: true
          columns:
            description: The names of its columns.
            type: list
            elements: str
            required: true
  stores:
    description:
      - The numbers of all stores that have this profile; it is taken from other stores.
      - A store that HQ has no record of yet gets it in a later run; see RV(missing_stores).
      - Leave it out to leave assignments alone.
    type: list
    elements: str
  change_shared:
    description:
      - Change a scope although another profile has it as well, and with it for that one.
      - By default that is an error.
    type: bool
    default: false
  force:
    description: With O(state=absent), take the profile from the stores that have it.
    type: bool
    default: false
  lock_timeout:
    description: How many seconds to wait for another run that changes profiles or data groups at HQ.
    type: int
    default: 60
notes:
  - The login has to read and write the tables of the HQ database; it needs no right on the server.
seealso:
  - module: axops.retail.retail_data_group
  - module: axops.retail.retail_distribution
  - module: axops.retail.retail_offline_db
"""

EXAMPLES = r"""
- name: What registers hold
  axops.retail.retail_offline_profile:
    server: hq.example.com
    database: RetailHQ
    name: Default pr
    description: Default offline profile
    scopes:
      - name: 1020 Prices and discounts
        direction: download
        tables: [PRICEDISCGROUP, PRICEDISCTABLE]
        columns:
          - table: PRICEDISCGROUP
            columns: [RECID, NAME]
      - name: P-0001 Channel transactions
        direction: upload
        frequency: 30
        tables: [RETAILTRANSACTIONTABLE, RETAILTRANSACTIONSALESTRANS]
    stores: [HOUSTON, BOSTON]

- name: A profile that nobody needs any more
  axops.retail.retail_offline_profile:
    server: hq.example.com
    database: RetailHQ
    name: AX6 CU8
    state: absent
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, in order, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Create the offline profile 'Default pr'", "Give the offline profile 'Default pr' to store HOUSTON"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: success, or when a step failed
  type: list
  elements: str
  sample: []
profile:
  description: The name of the profile.
  returned: success
  type: str
  sample: Default pr
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
  sample: 11
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "The table PRICEDISCTABLE stands in two scopes."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "Leave it in one of them."
"""

from typing import Any

from ..module_utils._module import RetailModule
from ..module_utils._offline import hq, profile_rows

SPEC: dict[str, Any] = {
    "database": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "description": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "scopes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "direction": {"type": "str", "required": True, "choices": ["download", "upload", "bidirectional"]},
            "frequency": {"type": "int", "default": 0},
            "tables": {"type": "list", "elements": "str", "required": True},
            "columns": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "table": {"type": "str", "required": True},
                    "columns": {"type": "list", "elements": "str", "required": True},
                },
            },
        },
    },
    "stores": {"type": "list", "elements": "str"},
    "change_shared": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    with RetailModule(SPEC, required_if=[("state", "present", ["scopes"])]) as module:
        converge(module)


def converge(module: RetailModule) -> None:
    """Read what is there, compare it with what was declared, and end with the plan's result."""
    params = module.params
    declared = None if params["state"] == "absent" else declare(params)
    place = hq.place(module.target(), module.connect, module.check_mode)

    def plan() -> profile_rows.ProfilePlan:
        if declared is None:
            return profile_rows.plan_no_profile(place.engine, place.db, params["name"], params["force"], place.key)
        return profile_rows.plan_profile(place.engine, place.db, declared, place.key)

    with hq.planned(place, plan, module.check_mode, params["lock_timeout"]) as result:
        missing = result.missing_stores
        module.finish(result.plan, lambda _key: place.db, profile=params["name"], missing_stores=missing)


def declare(params: dict[str, Any]) -> profile_rows.Declared:
    """The profile as the options declare it.

    :raises RetailError: it cannot be stored, or contradicts itself.
    """
    stores = params["stores"]
    return profile_rows.declare(
        params["name"],
        params["description"],
        params["scopes"],
        stores=None if stores is None else tuple(stores),
        change_shared=params["change_shared"],
    )


if __name__ == "__main__":
    main()
