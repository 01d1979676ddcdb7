#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: retail_sync_info
version_added: 0.1.0
short_description: Tells how the synchronisation of a retail database is
description:
  - Reads, from one channel or HQ database, which registers or stores synchronise with it, what waits for each and
    since when, what they failed with, the last rows of C(RETAILOFFLINESYNCLOG), which tables are tracked, and which
    release is installed.
  - Changes nothing. It works on an offline database, too, where it tells what waits to go up.
  - A database that Microsoft's own utility has provisioned is recognised by the objects of Sync Framework.
options:
  database:
    description:
      - The name of the database.
    type: str
    required: true
  log_rows:
    description:
      - How many rows of the log to return, newest first; 0 for none.
    type: int
    default: 10
  backlog:
    description:
      - Whether to count the rows that wait. That reads the tracking tables once for each register, which takes its
        time in a database with hundreds of them.
    type: bool
    default: true
  compare:
    description:
      - The configuration file of a service on the host where the module runs. The rows of its two databases are then
        compared by digests, as C(retail-sync verify --digest) does; nothing is repaired, and nothing is written. The connections are
        those of the service, so rights that its accounts lack on either side are among RV(comparison.problems), too.
      - Reads every table of the pair's scopes once on both sides.
    type: path
extends_documentation_fragment:
  - axops.retail.attributes.info
  - axops.retail.connection
notes:
  - The login has to read all tables of the database, as members of C(RetailOfflineSyncUsers) do. For all of RV(oldest_transaction) it
    takes C(VIEW SERVER STATE) on SQL Server, and C(pg_read_all_stats) on PostgreSQL. Without them RV(oldest_transaction_seconds) is what
    the services have counted, which look every ten minutes.
seealso:
  - module: axops.retail.retail_offline_db
  - module: axops.retail.retail_sync_service
author:
  - the axops.retail contributors (@axops)
"""

EXAMPLES = r"""
- name: See how a store's registers are
  axops.retail.retail_sync_info:
    engine: mssql
    server: houston-db.example.com
    database: RetailChannel
    login_user: retail_audit
    login_password: "{{ audit_password }}"
  register: sync

- name: Fail when a register has left rows waiting for more than an hour
  ansible.builtin.assert:
    that: item.1.oldest_seconds is none or item.1.oldest_seconds < 3600
    fail_msg: "{{ item.0.name }} is behind in {{ item.1.name }}"
  loop: "{{ sync.peers | subelements('scopes') }}"
  loop_control:
    label: "{{ item.0.name }} {{ item.1.name }}"
"""

RETURN = r"""
database:
  description: Where the database is.
  returned: success
  type: str
  sample: houston-db.example.com/RetailChannel
engine:
  description: Its engine.
  returned: success
  type: str
  sample: mssql
version:
  description: The release in dbo.POSISINFO and ax.DBVERSION, null where there is none.
  returned: success
  type: str
  sample: 6.3.158.0
provisioned_by:
  description:
    - V(axops.retail), or V(microsoft_sync_framework) for a database that Microsoft's utility has provisioned, or
      null.
  returned: success
  type: str
  sample: axops.retail
sync_framework:
  description:
    - What Microsoft Sync Framework has left in the database, null where there is nothing of it.
    - Where RV(provisioned_by) is V(axops.retail) all the same, taking the store over was cut off; run it again.
  returned: success
  type: dict
  contains:
    scopes:
      description: The names of its scopes.
      type: list
      elements: str
      sample: [P-0001 Channel transactions]
    tables:
      description: The tables that its scopes name or that it tracks.
      type: list
      elements: str
      sample: [ax.RETAILTRANSACTIONTABLE]
    tracking_tables:
      description: Its tracking tables.
      type: list
      elements: str
      sample: [ax.RETAILTRANSACTIONTABLE_tracking]
    missing_tracking:
      description: Those of RV(sync_framework.tables) that have no tracking table.
      type: list
      elements: str
      sample: []
    missing_triggers:
      description: The tables whose triggers are not complete, with the events that go unnoticed.
      type: dict
      sample: {}
    unfinished_scopes:
      description: The scopes that were not provisioned to the end.
      type: list
      elements: str
      sample: []
    complete:
      description: Whether there are scopes, and nothing that they need is missing.
      type: bool
      sample: true
    registers:
      description: The registers that the log names, with the newest row of each, as one of RV(log).
      type: list
      elements: dict
      sample: []
tracking:
  description: The tables that have a tracking table of ours.
  returned: success
  type: dict
  contains:
    count:
      description: How many there are.
      type: int
    tables:
      description: Their names.
      type: list
      elements: str
    missing_triggers:
      description: The tables whose triggers are not complete, with the events that would go unnoticed.
      type: dict
oldest_transaction_seconds:
  description:
    - For how long the oldest writing transaction has been open at least, 0 where none is. What is written meanwhile may be sent again
      at each session.
    - Null where there is one that the login may not see, and that no service has met yet.
  returned: success
  type: float
  sample: 0.2
oldest_transaction:
  description:
    - Whose transaction that is, null where none is open or the login may not see other sessions. What it may not see of one is null.
  returned: success
  type: dict
  contains:
    session:
      description: The session, on PostgreSQL its process ID; null for a prepared transaction.
      type: int
    user:
      description: Its login.
      type: str
    host:
      description: Where it comes from.
      type: str
    program:
      description: The name that the program gave itself.
      type: str
    database:
      description: The database that it is in; on PostgreSQL a transaction in any database of the server counts.
      type: str
    seconds:
      description: For how long it has been open.
      type: float
parent:
  description: The database above this one, as one of the RV(peers), null where there is none.
  returned: success
  type: dict
peers:
  description: Who synchronises with this database, such as the registers of a store.
  returned: success
  type: list
  elements: dict
  contains:
    peer_id:
      description: The number of the peer in this database.
      type: int
    name:
      description: Its name.
      type: str
      sample: HOUSTON-000001
    store_id:
      description: Its store.
      type: str
    register_id:
      description: Its register, empty for a store.
      type: str
    last_log:
      description: The newest row of the peer in the log, as one of RV(log); null where there is none.
      type: dict
    scopes:
      description: What it synchronises.
      type: list
      elements: dict
      contains:
        name:
          description: The name of the scope.
          type: str
        direction:
          description: V(download), V(upload) or V(bidirectional), as the child sees it.
          type: str
        frequency:
          description: Seconds between two sessions, 0 for the interval of the service.
          type: int
        tables:
          description: How many tables it has.
          type: int
        waiting:
          description:
            - How many rows wait here for the peer, by what it has acknowledged. Null where nothing goes that way.
              What waits at the peer, only the peer knows.
          type: int
        oldest_seconds:
          description: For how many seconds the oldest of them has waited; null where none does.
          type: float
        taken:
          description: Up to which version of the peer's its changes have been taken.
          type: int
        acknowledged:
          description: Up to which version of this database's the peer has taken its changes; null before the first time.
          type: int
        last_session:
          description: When a session last moved something, in UTC; null where none has.
          type: str
        last_error:
          description: What the scope fails with, as noted here; null where it does not. The service notes it at the child.
          type: str
        last_error_time:
          description: When it last failed, in UTC; null where it has not.
          type: str
        conflicts:
          description: How many conflicts are kept here.
          type: int
        quarantined:
          description: How many rows of the peer are in quarantine here.
          type: int
comparison:
  description: What was found of the pair that O(compare) names, null without that option.
  returned: success
  type: dict
  contains:
    problems:
      description: What is wrong with the pair, a sentence each; empty where all is well.
      type: list
      elements: str
    tables:
      description: Every table that was compared.
      type: list
      elements: dict
      contains:
        scope:
          description: The scope.
          type: str
        table:
          description: The table.
          type: str
        rows:
          description: How many rows the C(child) and the C(parent) have; of an upload scope, at the parent those of this child.
          type: dict
        different:
          description: Rows that differ although nothing of them waits.
          type: int
        waiting:
          description: Rows that differ since a change of them has yet to be moved.
          type: int
        conflict:
          description: Rows that differ since the image of the child lost a conflict.
          type: int
        quarantined:
          description: Rows that differ since one is in quarantine.
          type: int
        purged:
          description: Rows of this child's that it has deleted, or may have deleted and forgotten so, and that the parent keeps.
          type: int
        without_row:
          description: Rows that the tracking at the C(child) and at the C(parent) has as alive, and that are gone.
          type: dict
        columns_left_out:
          description: Columns whose types the two engines have nothing in common for.
          type: list
          elements: str
        more:
          description: Whether there are differences that RV(comparison.tables[].differences) does not name.
          type: bool
        differences:
          description: The rows that differ, with their C(key), C(what) differs and C(status), at most 100 a table.
          type: list
          elements: dict
log:
  description: The newest rows of C(RETAILOFFLINESYNCLOG), newest first; times in UTC.
  returned: success
  type: list
  elements: dict
  sample:
    - counter: 1041
      terminal: "000001"
      scope_id: 5637144576
      started: "2026-01-31T08:00:00.120Z"
      stopped: "2026-01-31T08:00:00.157Z"
      downloaded: 12
      downloaded_refused: 0
      uploaded: 3
      uploaded_refused: 0
steps:
  description: Nothing, since nothing is changed.
  returned: success
  type: list
  elements: str
  sample: []
pending:
  description: Nothing, as for RV(steps).
  returned: success
  type: list
  elements: str
  sample: []
statements:
  description: How many statements were sent to the database server.
  returned: success
  type: int
  sample: 12
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "Cannot connect to Microsoft SQL Server at houston-db.example.com/RetailChannel."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "Check the name of the server."
"""

from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._module import RetailModule
from ansible_collections.axops.retail.plugins.module_utils._plan import Plan
from ansible_collections.axops.retail.plugins.module_utils._sync import config as configuration
from ansible_collections.axops.retail.plugins.module_utils._sync import overview, verify

SPEC = {
    "database": {"type": "str", "required": True},
    "log_rows": {"type": "int", "default": 10},
    "backlog": {"type": "bool", "default": True},
    "compare": {"type": "path"},
}


def _check(params: dict[str, Any]) -> None:
    """:raises RetailError: a number cannot be."""
    if params["log_rows"] < 0:
        raise RetailError("There are no fewer rows of the log than none.", "Set log_rows to 0 or more.")


def _compared(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    document = verify.check(configuration.load(path), verify.Rows())
    return {"problems": document["problems"], "tables": document.get("comparison", [])}


def main() -> None:
    """Read and report."""
    with RetailModule(SPEC) as module:
        _check(module.params)
        db = module.connect(module.target())
        found = overview.read(db, module.params["log_rows"], module.params["backlog"])
        module.finish(Plan(), **found, comparison=_compared(module.params["compare"]))


if __name__ == "__main__":
    main()
