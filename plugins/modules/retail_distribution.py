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
  - Each run of a job that moved something, or failed, has a row in C(ax.RETAILCDXSESSION) at HQ. It is there from the first
    session on and brought up to date with each, so it shows how far a long run has come; see RV(history).
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
    description: The name of the channel database. It is needed, unless each of O(targets) has its own.
    type: str
  name:
    description:
      - The name of the channel database profile at HQ; see M(axops.retail.retail_data_group).
      - Either this or O(targets) is needed.
    type: str
    aliases: [channel_database_profile]
  targets:
    description:
      - Channel databases to distribute to in one call, several at a time.
      - What an entry does not say is taken from the option of the same name.
      - One that fails does not stop the others; the module fails at the end and names it.
    type: list
    elements: dict
    suboptions:
      name:
        description: As O(name).
        type: str
        required: true
      channel_database:
        description: As O(channel_database).
        type: str
      schedule:
        description: As O(schedule).
        type: list
        elements: str
      reprovision:
        description: As O(reprovision).
        type: str
        choices: [never, if_needed]
      force:
        description: As O(force).
        type: bool
      channel_engine:
        description: As O(channel_engine).
        type: str
        choices: [mssql, postgresql]
      channel_server:
        description: As O(channel_server).
        type: str
      channel_port:
        description: As O(channel_port).
        type: int
      channel_login_user:
        description: As O(channel_login_user).
        type: str
      channel_login_password:
        description: As O(channel_login_password).
        type: str
      channel_driver:
        description: As O(channel_driver).
        type: str
      channel_encrypt:
        description: As O(channel_encrypt).
        type: str
        choices: ['yes', 'no', optional, strict]
      channel_trust_server_certificate:
        description: As O(channel_trust_server_certificate).
        type: bool
      channel_ca_file:
        description: As O(channel_ca_file).
        type: path
      channel_hostname_in_certificate:
        description: As O(channel_hostname_in_certificate).
        type: str
      channel_authentication:
        description: As O(channel_authentication).
        type: str
        choices: [ActiveDirectoryPassword, ActiveDirectoryIntegrated, ActiveDirectoryServicePrincipal, ActiveDirectoryMsi]
      channel_keytab:
        description: As O(channel_keytab).
        type: path
      channel_login_timeout:
        description: As O(channel_login_timeout).
        type: int
      channel_connection_options:
        description: As O(channel_connection_options).
        type: dict
  workers:
    description: How many of O(targets) are distributed to at a time.
    type: int
    default: 4
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
  history:
    description: How many of the last runs of jobs for the channel database to return; see RV(history).
    type: int
    default: 0
  reprovision:
    description:
      - Whether the pair of the two databases begins anew.
      - V(never) refuses a pair that cannot just go on, since one of the two is new or was restored or moved.
      - V(if_needed) has such a pair begin anew. Where the two know each other, and one was restored or moved, what one of them has and
        the other lost is brought back. Where one of the two is a new database, all jobs begin again with a load, and with sending
        all that the channel database has for HQ. Where the pair is in order, this changes nothing.
    type: str
    choices: [never, if_needed]
    default: never
  force:
    description:
      - Remove a job or table that is no longer in the data group even while rows of it wait to go to HQ.
    type: bool
    default: false
notes:
  - The tables must be there on both sides; see M(axops.retail.retail_channel_db).
  - A run that is cut off is completed by the next one.
  - In check mode, while HQ or its data group does not exist yet, it is foretold that something is distributed, but not what.
  - On both sides the login makes tables and triggers, so it needs C(db_owner) in the database, or on PostgreSQL the role
    that made it. It needs no right on the server.
seealso:
  - module: axops.retail.retail_channel_db
  - module: axops.retail.retail_data_group
  - module: axops.retail.retail_sync_service
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

- name: What ran for Houston lately, and how far a run has come that goes on elsewhere
  axops.retail.retail_distribution:
    hq_server: hq.example.com
    hq_database: RetailHQ
    channel_server: houston-db.example.com
    channel_database: RetailChannel
    name: Houston
    schedule: []
    history: 20
  check_mode: true

- name: All stores, eight at a time
  axops.retail.retail_distribution:
    hq_server: hq.example.com
    hq_database: RetailHQ
    channel_database: RetailChannel
    targets:
      - name: Houston
        channel_server: houston-db.example.com
      - name: Boston
        channel_server: boston-db.example.com
    workers: 8
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, in order, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Register Houston in the HQ database", "Run the job 1095 Offline scopes for Houston"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: without O(targets)
  type: list
  elements: str
  sample: []
jobs:
  description: The jobs of the schedule, in order, and what they moved; nothing in check mode.
  returned: without O(targets)
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
    expected:
      description: How many rows waited before the run; null where that cannot be told, since a first load is to come.
      type: int
      sample: 113
    tables:
      description: The tables of which rows changed a database.
      type: list
      elements: dict
      contains:
        table:
          description: Its name.
          type: str
          sample: ax.RETAILOFFLINETABLE
        downloaded:
          description: Rows that changed the channel database.
          type: int
          sample: 73
        uploaded:
          description: Rows that changed the HQ database.
          type: int
          sample: 0
      sample: []
    waiting:
      description: Whether rows were left for a later run, since another process is at work on them.
      type: bool
      sample: false
history:
  description: The last runs of jobs for the channel database, the newest first; as many as O(history) says.
  returned: without O(targets)
  type: list
  elements: dict
  contains:
    job:
      description: The ID of the job.
      type: str
      sample: "1095"
    direction:
      description: Which way it moves.
      type: str
      sample: download
    status:
      description: V(running), V(applied) or V(failed). A run that was killed stays V(running), and has no end.
      type: str
      sample: applied
    rows:
      description: Rows that changed a database.
      type: int
      sample: 113
    started:
      description: When it began (UTC).
      type: str
      sample: "2026-01-31T20:15:00.000Z"
    stopped:
      description: When it ended (UTC); null where it has not.
      type: str
      sample: "2026-01-31T20:15:02.500Z"
    message:
      description: What it failed with.
      type: str
      sample: ""
    tables:
      description: As RV(jobs[].tables).
      type: list
      elements: dict
      sample: []
targets:
  description: Each of O(targets), in order.
  returned: with O(targets)
  type: list
  elements: dict
  contains:
    name:
      description: As O(name).
      type: str
      sample: Houston
    changed:
      description: Whether something was changed for it.
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
      description: The trace of an error that nobody foresaw; else empty.
      type: str
      sample: ""
    steps:
      description: What was done, in order, in sentences.
      type: list
      elements: str
      sample: ["Run the job 1095 Offline scopes for Houston"]
    pending:
      description: As RV(pending), for this one.
      type: list
      elements: str
      sample: []
    jobs:
      description: As RV(jobs).
      type: list
      elements: dict
      sample: []
    history:
      description: As RV(history).
      type: list
      elements: dict
      sample: []
    peer_guid:
      description: As RV(peer_guid); null where it failed before that.
      type: str
      sample: 0f6c9a52-6c1c-4a39-8a5e-1d3b5fd6c8d1
peer_guid:
  description: The GUID under which both databases know this pair; null where it is yet to be made in check mode.
  returned: without O(targets)
  type: str
  sample: 0f6c9a52-6c1c-4a39-8a5e-1d3b5fd6c8d1
statements:
  description: How many statements were sent to the database servers.
  returned: success
  type: int
  sample: 64
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "HQ has no channel database Houston."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "Declare it with retail_data_group."
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._engine import RetailError
from ..module_utils._module import RetailModule, connection_spec
from ..module_utils._offline import distributing
from ..module_utils._offline.distributing import Order, Report

TARGET: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "channel_database": {"type": "str"},
    "schedule": {"type": "list", "elements": "str"},
    "reprovision": {"type": "str", "choices": list(distributing.REPROVISION)},
    "force": {"type": "bool"},
    **{name: spec for name, spec in connection_spec("channel_").items() if name != "channel_database"},
}

SPEC: dict[str, Any] = {
    "hq_database": {"type": "str", "required": True},
    "channel_database": {"type": "str"},
    "name": {"type": "str", "aliases": ["channel_database_profile"]},
    "schedule": {"type": "list", "elements": "str", "default": ["Full sync"]},
    "targets": {"type": "list", "elements": "dict", "options": TARGET},
    "workers": {"type": "int", "default": 4},
    "timeout": {"type": "int", "default": 3600},
    "lock_timeout": {"type": "int", "default": 300},
    "history": {"type": "int", "default": 0},
    "reprovision": {"type": "str", "choices": list(distributing.REPROVISION), "default": distributing.NEVER},
    "force": {"type": "bool", "default": False},
}


def main() -> None:
    rules = {"mutually_exclusive": [("name", "targets")], "required_one_of": [("name", "targets")]}
    with RetailModule(SPEC, connections=("hq_", "channel_"), **rules) as module:
        if module.params["targets"] is None:
            converge_one(module)
        else:
            converge_all(module)


def declared(module: RetailModule, given: Mapping[str, Any]) -> Order:
    """What is wanted for one channel database.

    :param given: what comes before the module's own options.
    :raises RetailError: something is missing.
    """
    params = {**module.params, **{name: value for name, value in given.items() if value is not None}}
    channel = module.target("channel_", given)
    if not channel.database:
        raise RetailError("There is no name for the channel database.", "Set the option channel_database.")
    return Order(
        name=params["name"],
        hq=module.target("hq_"),
        channel=channel,
        schedule=tuple(params["schedule"]),
        timeout=params["timeout"],
        lock_timeout=params["lock_timeout"],
        reprovision=params["reprovision"],
        force=params["force"],
        history=params["history"],
    )


def converge_one(module: RetailModule) -> None:
    """Read what is there, compare it with what was declared, and end with the plan's result."""
    report = distributing.distribute(declared(module, {}), module.check_mode)
    facts: dict[str, Any] = {"jobs": report.jobs, "history": report.history, "peer_guid": report.peer_guid}
    if report.error is not None:
        report.error.facts = {**report.error.facts, **facts}
        module.fail(report.error, exception=report.trace, plan=report.plan)
    for text in report.warnings:
        module.ansible.warn(text)
    module.exit(report.plan, statements=report.statements, **facts)


def converge_all(module: RetailModule) -> None:
    """The same for each of the targets; one that fails does not stop the others."""
    wanted = [declared(module, given) for given in module.params["targets"]]
    reports = distributing.distribute_all(wanted, module.check_mode, module.params["workers"])
    module.exit_all("channel databases", reports, document)


def document(report: Report) -> dict[str, Any]:
    """One channel database in the module's result."""
    return {
        "name": report.name,
        "changed": report.changed,
        "failed": report.error is not None,
        "msg": str(report.error or ""),
        "exception": report.trace,
        "steps": report.plan.titles,
        "pending": report.plan.pending,
        "jobs": report.jobs,
        "history": report.history,
        "peer_guid": report.peer_guid,
    }


if __name__ == "__main__":
    main()
