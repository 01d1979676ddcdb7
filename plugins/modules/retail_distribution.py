#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_distribution
short_description: Distributes data between HQ and a channel database
version_added: 0.1.0
description:
  - Makes HQ and a channel database synchronise, with one scope for each scheduler job of the channel database's data
    group, and runs jobs until nothing is pending; does what I(Full data sync) and I(Run now) do at Retail Headquarters.
  - A job that runs for the first time loads all its rows; after that it moves what has changed.
  - Each run of a job that moved something, or failed, leaves a row in C(ax.RETAILCDXSESSION) at HQ.
author:
  - the axops.retail contributors (@axops)
extends_documentation_fragment:
  - axops.retail.connection
  - axops.retail.connection.hq
  - axops.retail.connection.channel
  - axops.retail.attributes
options:
  hq_database:
    description: The name of the HQ database.
    type: str
    required: true
  channel_database:
    description: The name of the channel database.
    type: str
    required: true
  name:
    description: The name of the channel database profile at HQ; see M(axops.retail.retail_data_group).
    type: str
    required: true
    aliases: [channel_database_profile]
  schedule:
    description:
      - The jobs to run, by their IDs, such as V(1095) or V(P-0001). They run in the data group's order.
      - V(Full sync) runs all of them.
      - An empty list makes the two databases synchronise, and runs nothing.
    type: list
    elements: str
    default: [Full sync]
  timeout:
    description: How many seconds all jobs together may take. What has been moved by then stays moved.
    type: int
    default: 3600
  lock_timeout:
    description: How many seconds to wait for another run that provisions at HQ, or for a running session.
    type: int
    default: 300
  reprovision:
    description:
      - Begin the pair anew where it cannot just go on, since one of the two databases is new or was restored or moved.
        Where the pair is in order, this changes nothing.
    type: bool
    default: false
  force:
    description:
      - Remove a job or table that is no longer in the data group even while rows of it wait to go to HQ.
    type: bool
    default: false
notes:
  - The tables must be there on both sides; see M(axops.retail.retail_channel_db).
  - A run that is cut off is completed by the next one.
  - In check mode, while HQ or its data group does not exist yet, nothing can be foretold.
seealso:
  - module: axops.retail.retail_data_group
"""

EXAMPLES = r"""
- name: Everything, for the first time
  axops.retail.retail_distribution:
    hq_server: hq.example.com
    hq_database: RetailHQ
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    name: Houston

- name: The offline scopes only
  axops.retail.retail_distribution:
    hq_server: hq.example.com
    hq_database: RetailHQ
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    name: Houston
    schedule: ["1095"]
    timeout: 120
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, in order, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Register Houston in the HQ database", "Run the job 1095 Offline scopes for Houston"]
jobs:
  description: The jobs of the schedule, in order, and what they moved; nothing in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    job:
      description: The ID of the job.
      type: str
      sample: "1095"
    name:
      description: The name of its scope.
      type: str
      sample: 1095 Offline scopes
    direction:
      description: Which way it moves; V(download), V(upload) or V(bidirectional).
      type: str
      sample: download
    sessions:
      description: How many sessions were run.
      type: int
      sample: 1
    downloaded:
      description: Rows that changed the channel database.
      type: int
      sample: 113
    uploaded:
      description: Rows that changed the HQ database.
      type: int
      sample: 0
    conflicts:
      description: Rows that had been changed on both sides; their images are in C(dbo.sync_conflict).
      type: int
      sample: 0
    quarantined:
      description: Rows that the receiver could not store; they are in C(dbo.sync_quarantine).
      type: int
      sample: 0
    waiting:
      description: Whether rows were left for a later run, since another process is at work on them.
      type: bool
      sample: false
peer_guid:
  description: The GUID under which both databases know this pair; null where it is yet to be made in check mode.
  returned: success
  type: str
  sample: 0f6c9a52-6c1c-4a39-8a5e-1d3b5fd6c8d1
statements:
  description: How many statements were sent to the database servers.
  returned: success
  type: int
  sample: 64
"""

from typing import Any

from ..module_utils._engine import RetailError
from ..module_utils._module import RetailModule
from ..module_utils._offline import distribution, hq, pairs
from ..module_utils._plan import Plan

SPEC: dict[str, Any] = {
    "hq_database": {"type": "str", "required": True},
    "channel_database": {"type": "str", "required": True},
    "name": {"type": "str", "required": True, "aliases": ["channel_database_profile"]},
    "schedule": {"type": "list", "elements": "str", "default": ["Full sync"]},
    "timeout": {"type": "int", "default": 3600},
    "lock_timeout": {"type": "int", "default": 300},
    "reprovision": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


def main() -> None:
    with RetailModule(SPEC, connections=("hq_", "channel_")) as module:
        converge(module)


def converge(module: RetailModule) -> None:
    """Read what is there, compare it with what was declared, and end with the plan's result."""
    params, check_mode = module.params, module.check_mode
    headquarters = hq.place(module.target("hq_"), module.connect, check_mode, "hq", "the HQ database")
    channel = hq.place(module.target("channel_"), module.connect, check_mode, "channel", "the channel database")
    jobs = read_jobs(module, headquarters)
    chosen = distribution.select(jobs, params["schedule"])
    request = pairs.Request(
        child=channel,
        parent=headquarters,
        scopes=[job.scope for job in jobs],
        identity=pairs.Identity(params["name"]),
        open_database={"hq": headquarters.db, "channel": channel.db}.__getitem__,
        reprovision=params["reprovision"],
        force=params["force"],
    )
    with pairs.planned(request, check_mode, params["lock_timeout"]) as pair:
        work = distribution.Distribution(params["name"], request.open_database, params["timeout"], pair)
        plan = Plan([*pair.plan.steps, *work.plan(chosen, channel.db, headquarters.db).steps])
        guid = None if check_mode and pair.begins else pair.guid
        module.finish(plan, request.open_database, jobs=work.runs, peer_guid=guid)


def read_jobs(module: RetailModule, headquarters: pairs.Place) -> list[distribution.Job]:
    """The jobs of the data group; ends check mode where HQ has none yet, since an earlier task would have made it."""
    try:
        if headquarters.db is None:
            raise distribution.Undeclared("The HQ database does not exist yet.")
        return distribution.read_jobs(headquarters.db, module.params["name"])
    except RetailError as error:
        if not (module.check_mode and isinstance(error, distribution.Undeclared)):
            raise
        module.ansible.warn("%s What would be distributed is unknown." % error.message)
        module.finish(Plan(), None, jobs=[], peer_guid=None)
        raise


if __name__ == "__main__":
    main()
