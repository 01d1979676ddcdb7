#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: retail_backup
version_added: 0.1.0
short_description: Backs a channel database up before an upgrade, and puts it back
description:
  - Makes a backup of a channel, HQ or offline database under a name, tests it by restoring it, and keeps it. A backup that is
    there is never made anew by a later run, so what was taken before an upgrade is not overwritten by a database that is
    half-way through it; see O(max_age).
  - The database is in use meanwhile. On PostgreSQL C(pg_dump) writes the backup where the module runs; on SQL Server the
    server writes it, where it runs, with C(BACKUP DATABASE) as a copy beside whatever chain of backups there is (C(COPY_ONLY),
    C(CHECKSUM), compressed where the edition can).
  - With O(state=restored), the backup takes the place of the database. What the sync service does then is described in the
    guide to upgrades; no sale that a register or headquarters has is lost by it.
options:
  database:
    description:
      - The name of the database.
    type: str
    required: true
  name:
    description:
      - The name of the backup, such as C(RetailChannel-before-6.3.1000.309).
      - Up to 100 letters, digits, dots, hyphens and underscores.
    type: str
    required: true
  state:
    description:
      - With V(present), there is a backup of that name, and it was tested as O(verify) says. One that was cut off, or whose file
        has changed since, counts as none.
      - With V(absent), there is none. Such files as a cut-off run has left are not looked for.
      - With V(restored), the database is what the backup has. It is first restored beside the database, and takes its place
        once it is whole; whoever is connected is cut off then. A database that was restored from this backup before, and is at its
        release, has gone on since, and is left alone; see O(force).
    type: str
    choices: [present, absent, restored]
    default: present
  directory:
    description:
      - The folder of the backups. It is made with mode 0700 where it is not there.
      - On PostgreSQL it is one where the module runs, by default C(/var/backups/axops-retail). On SQL Server it is one where the
        server runs, made by its account, by default the server's own folder for backups.
    type: str
  verify:
    description:
      - V(readable) reads the backup through once it is made.
      - V(restore) also restores it into a database of its own on the same server, which takes the space and the time of one. On
        PostgreSQL the rows of every table are then held against those of the moment at which the backup was made, by number and
        digest; on SQL Server the pages are checked, and the tables are.
    type: str
    choices: [readable, restore]
    default: readable
  keep:
    description:
      - How many backups of the database stay in the folder, this one counted; the oldest of the others are removed. By default
        all stay.
    type: int
  max_age:
    description:
      - A backup that is older than so many seconds is made anew. By default none is too old.
      - Do not set it once the upgrade has begun.
    type: int
  force:
    description:
      - With O(state=restored), put the backup back although the database was restored from it already. What the database has got
        since is lost, unless others have it.
    type: bool
    default: false
extends_documentation_fragment:
  - axops.retail.attributes
  - axops.retail.connection
notes:
  - Backups hold everything that the database does, customers' data too. On PostgreSQL the files have mode 0600; passwords are
    given to the programs in a file that nobody else can read.
  - On PostgreSQL the module needs C(pg_dump) and C(pg_restore) where it runs, not older than the server. Settings that were made
    with C(ALTER DATABASE … SET) are not in a backup.
  - The login needs what M(axops.retail.retail_channel_db) says of its login. On SQL Server restoring and reading a backup take
    C(dbcreator); removing backups, and making a folder for them, takes C(sysadmin). A login that is none has to name a folder
    that is there.
  - Backups on SQL Server are removed with C(xp_delete_file), and found by the history in C(msdb).
seealso:
  - module: axops.retail.retail_channel_db
  - module: axops.retail.retail_sync_drain
author:
  - the axops.retail contributors (@axops)
"""

EXAMPLES = r"""
- name: A backup before an upgrade, tested by restoring it
  axops.retail.retail_backup:
    engine: postgresql
    server: houston-db.example.com
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
    database: RetailChannel
    name: RetailChannel-before-6.3.158.1
    directory: /srv/retail/backups
    verify: restore
    keep: 3

- name: A backup of SQL Server, on the server's own disk
  axops.retail.retail_backup:
    engine: mssql
    server: houston-db.example.com
    database: RetailChannel
    name: RetailChannel-before-6.3.1000.309
    directory: D:\Backups

- name: A backup that nobody needs any more
  axops.retail.retail_backup:
    engine: postgresql
    server: houston-db.example.com
    login_user: retail_admin
    login_password: "{{ vault_admin_password }}"
    database: RetailChannel
    name: RetailChannel-before-6.3.158.0
    directory: /srv/retail/backups
    state: absent
"""

RETURN = r"""
database:
  description: The name of the database.
  returned: success
  type: str
  sample: RetailChannel
name:
  description: The name of the backup.
  returned: success
  type: str
  sample: RetailChannel-before-6.3.158.1
directory:
  description: The folder that it is in.
  returned: success
  type: str
  sample: /srv/retail/backups
release:
  description: The release that the database was at when the backup was made; empty where it had none, null with O(state=absent).
  returned: success
  type: str
  sample: 6.3.158.0
steps:
  description: What was done, or would be done in check mode, in order, in sentences. After a failure, what was done before it.
  returned: success, or when a step failed
  type: list
  elements: str
  sample: ["Back up RetailChannel at release 6.3.158.0 as RetailChannel-before-6.3.158.1"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: success, or when a step failed
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
  sample: "There is no backup RetailChannel-before-6.3.158.1 in /srv/retail/backups, or it is damaged."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "Check the name and the folder; what else is there stands in its files."
"""

from typing import Any

from ..module_utils._engine import RetailError
from ..module_utils._module import RetailModule
from ..module_utils._plan import Plan
from ..module_utils._schema import backup

SPEC: dict[str, Any] = {
    "database": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
    "directory": {"type": "str"},
    "verify": {"type": "str", "choices": [backup.READABLE, backup.RESTORE], "default": backup.READABLE},
    "keep": {"type": "int"},
    "max_age": {"type": "int"},
    "force": {"type": "bool", "default": False},
}


def main() -> None:
    with RetailModule(SPEC) as module:
        name = backup.check_name(module.params["name"])
        check(module.params)
        shelf = open_shelf(module)
        plan, facts = wanted(module, shelf, name)
        # A backup can be made of a standby, too; restored nowhere on it.
        if plan.changed and (module.params["state"] == "restored" or module.params["verify"] == backup.RESTORE):
            shelf.server.engine.databases.check_writable(shelf.server)
        facts = {"database": shelf.database, "name": name, "directory": shelf.folder, **facts}
        module.finish(plan, lambda _key: shelf.server, **facts)


def check(params: dict[str, Any]) -> None:
    """:raises RetailError: a number cannot be."""
    if params["keep"] is not None and params["keep"] < 1:
        raise RetailError("keep counts the backup itself, so it is 1 or more.", "Set state to absent to remove it.")
    if params["max_age"] is not None and params["max_age"] < 0:
        raise RetailError("No backup is younger than 0 seconds.", "Set max_age to 0 or more.")


def open_shelf(module: RetailModule) -> backup.Shelf:
    """The backups that the options speak of."""
    target = module.target()
    server = module.connect(module.maintenance(target))
    server.engine.databases.check_name(target.database)
    server.engine.databases.check_server(server)
    folder = module.params["directory"] or server.engine.backups.directory(server)
    return backup.Shelf(server, target.database, folder, lambda name: module.connect_anew(target.on(name)))


def wanted(module: RetailModule, shelf: backup.Shelf, name: str) -> tuple[Plan, dict[str, Any]]:
    """The plan, and what is known of the backup."""
    params = module.params
    if params["state"] == "absent":
        return backup.absent(shelf, name), {"release": None}
    if params["state"] == "restored":
        return backup.restored(shelf, name, params["force"])
    return backup.present(shelf, name, params["verify"], params["keep"], params["max_age"])


if __name__ == "__main__":
    main()
