#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: retail_sync_drain
version_added: 0.1.0
short_description: Waits until a database has handed its rows over
description:
  - Waits until everything that an offline database has sold has arrived at its store, or until everything of a channel
    database has arrived at headquarters, such as before an upgrade.
  - Nobody has to stop selling. It waits for the rows that were there when it began, until the database above has acknowledged
    them; rows that come meanwhile may wait.
  - Changes nothing. The rows are moved by the sync service, which has to run; see M(axops.retail.retail_sync_service).
options:
  database:
    description:
      - The name of the offline database, or of the channel database.
      - One that does not exist yet, or that synchronises with nobody above it, has nothing to hand over.
    type: str
    required: true
  timeout:
    description:
      - How many seconds to wait at most. With V(0), and in check mode, it looks once.
    type: int
    default: 300
  pause:
    description:
      - How many seconds to wait between two looks.
    type: float
    default: 1
  tolerate:
    description:
      - What is reported instead of being a failure.
      - V(away), that nobody answers at the server, such as at a register that is switched off. RV(reached) says so. A server that
        answers and refuses the login is a failure all the same.
      - V(waiting), that rows still wait when the time is over, such as at a register that is cut off from its store.
        RV(drained) says so.
    type: list
    elements: str
    choices: [away, waiting]
    default: []
extends_documentation_fragment:
  - axops.retail.attributes.info
  - axops.retail.connection
notes:
  - In check mode rows that wait are no failure, since a look tells nothing of whether they would arrive in time.
  - Rows that the database above could not store and has put aside count as handed over. Transactions that are open when the
    module begins do not count as there.
  - The login has to read all tables of the database, as members of C(RetailOfflineSyncUsers) do.
seealso:
  - module: axops.retail.retail_sync_info
  - module: axops.retail.retail_sync_service
  - module: axops.retail.retail_backup
author:
  - the axops.retail contributors (@axops)
"""

EXAMPLES = r"""
- name: Let the sales of a register arrive, if it is there
  axops.retail.retail_sync_drain:
    engine: postgresql
    server: houston-01.example.com
    database: RetailOffline
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
    timeout: 600
    tolerate: [away]
  register: drain

- name: Let what the store has arrive at headquarters
  axops.retail.retail_sync_drain:
    engine: mssql
    server: houston-db.example.com
    database: RetailChannel
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
"""

RETURN = r"""
database:
  description: Where the database is.
  returned: success, or when rows still wait
  type: str
  sample: houston-01.example.com/RetailOffline
reached:
  description: Whether the server has answered. Where it has not, nothing is known of the rows.
  returned: success, or when rows still wait
  type: bool
  sample: true
drained:
  description: Whether everything from before has been acknowledged; false where the server has not answered.
  returned: success, or when rows still wait
  type: bool
  sample: true
provisioned:
  description: Whether the database is there and synchronises with one above it.
  returned: success, or when rows still wait
  type: bool
  sample: true
waited:
  description: How many seconds it took.
  returned: success, or when rows still wait
  type: float
  sample: 2.1
waiting:
  description: How many rows wait at the end, those from after the beginning too; null where the server has not answered.
  returned: success, or when rows still wait
  type: int
  sample: 3
scopes:
  description: The scopes in which the database sends something to the one above it.
  returned: success, or when rows still wait
  type: list
  elements: dict
  contains:
    name:
      description: The name of the scope.
      type: str
    waiting:
      description: How many rows wait.
      type: int
    oldest_seconds:
      description: For how many seconds the oldest of them has waited; null where none does.
      type: float
    last_error:
      description: What the scope fails with; null where it does not.
      type: str
reason:
  description: Why the server was not reached, or what still waits; empty where all has arrived.
  returned: success, or when rows still wait
  type: str
  sample: ""
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
  sample: "After 300 s, 12 rows of houston-01.example.com/RetailOffline still wait (P-0001: 12)."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "See with retail-sync status whether the service runs."
"""

from typing import Any

from ..module_utils import _engine
from ..module_utils._engine import RetailError
from ..module_utils._engine._errors import ConnectFailed
from ..module_utils._module import RetailModule
from ..module_utils._plan import Plan
from ..module_utils._sync import drain

AWAY = "away"
WAITING = "waiting"

SPEC: dict[str, Any] = {
    "database": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 300},
    "pause": {"type": "float", "default": 1.0},
    "tolerate": {"type": "list", "elements": "str", "choices": [AWAY, WAITING], "default": []},
}


def main() -> None:
    with RetailModule(SPEC) as module:
        check(module.params)
        try:
            module.finish(Plan(), **look(module))
        except ConnectFailed as error:
            if not (error.away and AWAY in module.params["tolerate"]):
                raise
            module.finish(Plan(), **absent(module, error))


def check(params: dict[str, Any]) -> None:
    """:raises RetailError: a number cannot be."""
    if params["timeout"] < 0 or params["pause"] <= 0:
        raise RetailError("There is no such time to wait.", "Set timeout to 0 or more, and pause to more than 0.")


def look(module: RetailModule) -> dict[str, Any]:
    """Wait, and say what came of it.

    :raises RetailError: rows still wait, and that is not tolerated.
    """
    target = module.target()
    server = module.connect(module.maintenance(target))
    if not _engine.speaker(target.engine).databases.exists(server, target.database):
        return document(target.where, drain.Backlog(), 0.0, True)
    timeout = 0 if module.check_mode else module.params["timeout"]
    found, waited, drained = drain.wait(module.connect(target), timeout, module.params["pause"])
    result = document(target.where, found, waited, drained)
    if not drained and not module.check_mode and WAITING not in module.params["tolerate"]:
        error = RetailError(
            result["reason"], "See with retail-sync status whether the service runs, and what keeps the rows."
        )
        error.facts = result
        raise error
    return result


def document(where: str, found: drain.Backlog, waited: float, drained: bool) -> dict[str, Any]:
    """The module's result."""
    return {
        "database": where,
        "reached": True,
        "drained": drained,
        "provisioned": found.provisioned,
        "waited": round(waited, 1),
        "waiting": found.waiting,
        "scopes": found.scopes,
        "reason": "" if drained else reason(where, found, waited),
    }


def reason(where: str, found: drain.Backlog, waited: float) -> str:
    """What still waits, in a sentence."""
    late = found.older(waited)
    listed = ", ".join("%(name)s: %(waiting)d" % scope for scope in late)
    errors = "".join(" %(name)s fails: %(last_error)s" % scope for scope in late if scope["last_error"])
    count = sum(scope["waiting"] for scope in late)
    text = "After %d s, %d rows of %s still wait (%s)." if count != 1 else "After %d s, %d row of %s still waits (%s)."
    return text % (waited, count, where, listed) + errors


def absent(module: RetailModule, error: ConnectFailed) -> dict[str, Any]:
    """The result where nobody answered."""
    return {
        **document(module.target().where, drain.Backlog(), 0.0, False),
        "reached": False,
        "waiting": None,
        "reason": error.message,
    }


if __name__ == "__main__":
    main()
