#!/usr/bin/python
# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: retail_channel_db
short_description: Creates, upgrades or removes a channel database
version_added: 0.1.0
description:
  - Creates the channel database of a store server, or brings it to a newer release in place, as the Retail Channel
    Configuration Utility does.
  - Records the release where the vendor does, in C(dbo.POSISINFO), C(ax.DBVERSION) and C(crt.RETAILUPGRADEHISTORY).
  - Creates roles, groups (C(RetailOfflineSyncUsers) first of all), logins and grants, and keeps them as declared.
  - Can create the HQ database that channel databases exchange data with, too; see O(tier).
  - Nothing is ever dropped but the whole database, with O(state=absent). Tables, columns and indexes that are not part of
    the release are left alone.
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
      - With V(absent), it does not. A database that is none of a channel is refused, and so is one that others still
        synchronise with, or that holds rows which nobody has acknowledged; see O(force). Groups and logins belong to
        the server and stay; a login that is declared absent among the O(logins) goes with it.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Remove a database, or run scripts on it, although rows in it were not acknowledged or others synchronise with it.
      - With it, a database that Microsoft's utility has provisioned is removed, too.
      - What only this database has is lost with it, so look at M(axops.retail.retail_sync_info) first.
    type: bool
    default: false
  tier:
    description:
      - V(channel) is the database of a store server.
      - V(hq) is the database at headquarters, which also has the scheduler's tables (data groups, jobs, sessions).
      - A database that is recorded as one of the other tier (in C(crt.RETAILUPGRADEHISTORY), or by having the scheduler's tables) is
        refused, since its groups would lose the rights that its services need.
    type: str
    choices: [channel, hq]
    default: channel
  release:
    description:
      - The release that the database is brought to, such as V(6.3.158.0).
      - It is the release of the packaged schema, of one of the O(extensions) or of a script in the O(package). By default
        the highest of them.
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
  package:
    description:
      - A folder on the controller with an upgrade package in the vendor's form, which is C(POSISUPGRADES.xml) with rows of
        C(UPGRADEVERSION) and C(UPGRADESCRIPT), and the scripts. A relative path is looked for in the folder C(files) of the
        role or beside the playbook.
      - A new database is made from the packaged schema first. Of one that has a release, the packaged schema is taken to be
        made already, and scripts alone bring it on, that is every script above its release, in the order of the numbers, up to
        O(release). After each one, its release is recorded.
      - A row without a script says that there is no upgrade path from that release.
      - Scripts are run as C(sqlcmd) runs them, on SQL Server with C(XACT_ABORT) off. They are cut at lines with C(GO), on
        PostgreSQL, too, each batch commits by itself unless the script opens a transaction, and each script has a connection of
        its own. UTF-8, UTF-16 and Windows' Western code page are read. Commands of C(sqlcmd) itself, such as C(:setvar),
        or C(EXIT) alone on its line, are refused. Texts that stand for dates are read in the language of the login.
      - What was run is noted batch by batch in C(dbo.upgrade_progress), so after a failure the next run goes on with the batch
        that failed. The script may be corrected from there on; one that was changed before is refused.
      - Scripts can change anything, so they are refused while the database holds rows that were not acknowledged; see
        O(force). Let all registers synchronise before an upgrade, since only they know what they have not handed over yet.
        Without scripts, an upgrade only adds and widens, and registers go on synchronising the columns that both know.
      - SQL Server changes no type of a column that a key or an index is made of. Those are dropped, and made again as they were, in
        the transaction that widens the column; nobody else gets at the table for as long as that takes. Where something else
        depends on the column, such as a foreign key, a computed column or a view with schema binding, the run is refused before
        anything is changed, in check mode, too.
      - Cannot be combined with O(extensions).
    type: path
  customizations:
    description:
      - A folder on the controller with a partner's scripts. Each file C(*.sql) runs once, by its name, in the order of names,
        after everything else, and is recorded in C(crt.RETAILUPGRADEHISTORY).
    type: path
  settings:
    description:
      - Options of the database. What is not declared is set as the vendor's utility sets it (snapshot isolation and row
        versions on, recovery simple, page checksums, neither auto-close nor auto-shrink), or left as it is.
      - Switching O(settings.read_committed_snapshot) of a database that is there fails while others are connected, so that no sale
        is cut off; see O(disconnect_after).
    type: dict
    suboptions:
      allow_snapshot_isolation:
        description: Transactions may read a snapshot, which synchronising needs. SQL Server only.
        type: bool
      read_committed_snapshot:
        description:
          - Readers do not wait for writers. SQL Server only.
          - Where it is off, a till that changes a row which has been changed before waits for as long as a session applies what came
            from above, for its change tracking reads how far the sessions have come.
        type: bool
      recovery:
        description: The recovery model. SQL Server only.
        type: str
        choices: [simple, full, bulk_logged]
      page_verify:
        description: How damaged pages are found. SQL Server only.
        type: str
        choices: [checksum, torn_page_detection, none]
      auto_close:
        description: Close the database when nobody uses it. SQL Server only.
        type: bool
      auto_shrink:
        description: Shrink files when they have room. SQL Server only.
        type: bool
      compatibility_level:
        description:
          - The compatibility level, V(130) or higher, and at most the server's own. SQL Server only.
          - A database that an earlier SQL Server has made keeps its level when the server is upgraded or when it is restored on a newer
            one; below V(130) nothing can be synchronised with it.
        type: int
      collation:
        description:
          - The collation. It is given when the database is made; another one than that of a database that is there is refused.
          - By default the server's on SQL Server, and V(C) on PostgreSQL.
        type: str
      owner:
        description:
          - The role that owns the database. PostgreSQL only.
          - It has to be there already, since declared logins are made after the database.
        type: str
      tablespace:
        description: The tablespace. Moving a database to another one waits for nobody to be connected. PostgreSQL only.
        type: str
      connection_limit:
        description: How many connections there may be, V(-1) for any number. PostgreSQL only.
        type: int
  disconnect_after:
    description:
      - Where an option of O(settings) needs a database that is there for itself, how many seconds others have to go. Then they
        are disconnected, and transactions that are open are rolled back; V(0) is at once. SQL Server only.
      - By default nobody is disconnected, and the module fails.
    type: int
  files:
    description:
      - The first data file and the log of the database. SQL Server only.
    type: dict
    suboptions:
      data:
        description: The data file.
        type: dict
        suboptions:
          path:
            description:
              - Where the file is put on the database server when the database is made. Of a database that is there it may be
                anywhere else, as it is after a restore.
            type: str
          size:
            description: The size that it has at least, such as V(512MB) or V(10GB).
            type: str
          max_size:
            description: How far it may grow, or V(unlimited).
            type: str
          growth:
            description: How much it grows at a time, such as V(64MB) or V(10%).
            type: str
      log:
        description: The transaction log.
        type: dict
        suboptions:
          path:
            description: As for the data file.
            type: str
          size:
            description: As for the data file.
            type: str
          max_size:
            description: As for the data file.
            type: str
          growth:
            description: As for the data file.
            type: str
  _schema_package:
    description:
      - Internal, set by the action plugin. The path of the packed schema on the host.
    type: path
  _upgrade_package:
    description:
      - Internal, set by the action plugin. The path of the packed scripts on the host.
    type: path
notes:
  - A run that is cut off is completed by the next one.
  - A database that Microsoft's utility has provisioned is not upgraded, and no table that Sync Framework tracks is changed, since
    its registers could upload no more afterwards. Its options and rights are looked after. See O(force) for removing it, and
    the option O(axops.retail.retail_offline_db#module:take_over).
  - PostgreSQL has no counterpart for row versions; columns of that type are left out there.
  - On SQL Server the login needs the server roles C(dbcreator) and C(securityadmin), and in a database that somebody else
    has made C(db_owner). On PostgreSQL it needs C(CREATEDB) and C(CREATEROLE), and owns what it has made, so use the same
    login for later runs, or a superuser.
  - Whether a login's password is the declared one is asked of the server, which takes C(CONTROL SERVER), or reading
    C(pg_authid). Without that right, the module tries to log in with it.
seealso:
  - module: axops.retail.retail_offline_db
  - module: axops.retail.retail_data_group
  - module: axops.retail.retail_distribution
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

- name: An upgrade with the vendor's package, and a partner's scripts
  axops.retail.retail_channel_db:
    server: houston-db.example.com
    database: RetailChannel
    package: upgrades/6.3.1000.309
    customizations: upgrades/contoso
    files:
      data:
        size: 4GB
        growth: 512MB

- name: A store that was closed
  axops.retail.retail_channel_db:
    server: houston-db.example.com
    database: RetailChannel
    state: absent

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
  description: What was done, or would be done in check mode, in order, in sentences. After a failure, what was done before it.
  returned: success, or when a step failed
  type: list
  elements: str
  sample: ["Create database RetailChannel", "Create schema ax", "Create table dbo.POSISINFO"]
pending:
  description: What is left to do. In check mode all of it, after a success nothing, after a failure the step that failed and
    those behind it; the next run does them.
  returned: success, or when a step failed
  type: list
  elements: str
  sample: []
scripts:
  description: The scripts that were run, or would be run in check mode, in order.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The name of the file.
      type: str
    release:
      description: The release that it leads to; null for a customisation.
      type: str
    batches:
      description: How many batches it has, repetitions counted.
      type: int
    resumed_at:
      description: The batch that the run began with, where an earlier one had ended before it; null otherwise.
      type: int
    messages:
      description: What it printed, its last 100 lines.
      type: list
      elements: str
  sample:
    - file: Upgrade6.3.0.1.sql
      release: 6.3.0.1
      batches: 12
      resumed_at: null
      messages: [Adding columns]
script:
  description: The script that failed, the number of its batch, the line on which that begins, what the server said, and what the
    script had printed; on SQL Server also what the batch that failed had printed before, which PostgreSQL's driver does not tell.
  returned: when a script failed
  type: dict
  sample: {file: Upgrade6.3.0.1.sql, batch: 7, line: 120, message: "Invalid object name 'ax.X'.", messages: []}
database:
  description: The name of the database.
  returned: success
  type: str
  sample: RetailChannel
release:
  description: The release that the database is at, or would be at in check mode; null where it is absent.
  returned: success
  type: str
  sample: 6.3.158.0
previous_release:
  description: The release that the database was at before; null where there was none.
  returned: success
  type: str
  sample: 6.3.158.0
tables_created:
  description:
    - How many tables were created, or would be created in check mode. A new database gets those of the packaged schema, 547, and
      C(crt.RETAILUPGRADEHISTORY), in which scripts are recorded.
  returned: success
  type: int
  sample: 548
statements:
  description: How many statements were sent to the database server.
  returned: success
  type: int
  sample: 9
error:
  description: What is wrong, in a sentence.
  returned: failure
  type: str
  sample: "The database RetailChannel is at release 6.3.1000.309."
advice:
  description: What to do about it; empty where nothing general can be said.
  returned: failure
  type: str
  sample: "A downgrade would lose data; declare this release or a higher one."
"""

from typing import Any

from ..module_utils import _engine
from ..module_utils._access import plan as access
from ..module_utils._engine import Database, RetailError, Target
from ..module_utils._module import ACCESS, FILES, SETTINGS, RetailModule
from ..module_utils._offline import channel_removal as removal
from ..module_utils._offline import taking_over
from ..module_utils._plan import Plan, Step
from ..module_utils._schema import channel, package, settings, tier, upgrade, upgrade_plan

#: Seconds that the server can be told.
LONGEST_WAIT = 2**31 - 1

SPEC: dict[str, Any] = {
    "database": {"type": "str", "required": True, "aliases": ["name"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
    "tier": {"type": "str", "choices": ["channel", "hq"], "default": "channel"},
    "release": {"type": "str"},
    "extensions": {"type": "list", "elements": "path", "default": []},
    "package": {"type": "path"},
    "customizations": {"type": "path"},
    "settings": SETTINGS,
    "disconnect_after": {"type": "int"},
    "files": FILES,
    **ACCESS,
    "_schema_package": {"type": "path"},
    "_upgrade_package": {"type": "path"},
}


def main() -> None:
    with RetailModule(SPEC) as module:
        Work(module).run()


class Work:
    """One run of the module.

    ``server`` and ``database`` are the keys of the plan's two connections; what it needs of them is open as long as they
    are read, and opened again when the plan is applied: some steps want to be alone.
    """

    def __init__(self, module: RetailModule) -> None:
        self.module = module
        self.target: Target = module.target()
        self.engine = _engine.speaker(self.target.engine)
        self.name = self.target.database

    def run(self) -> None:
        """Read what is there, compare it with what was declared, and end with the plan's result."""
        self.engine.databases.check_name(self.name)
        self.engine.connect.check(self.target)
        absent = self.module.params["state"] == "absent"
        wanted = self.module.access(self.module.params["tier"])
        server = self.open("server")
        self.engine.databases.check_server(server)
        db = self.open("database") if self.engine.databases.exists(server, self.name) else None
        if absent:
            self.remove(server, db, wanted)
        else:
            self.converge(server, db, wanted)

    def open(self, key: str) -> Database:
        """The connection of a plan's key."""
        return self.module.connect(self.module.maintenance(self.target) if key == "server" else self.target)

    def remove(self, server: Database, db: Database | None, wanted: access.Wanted) -> None:
        """End with the database gone, and the logins that are declared absent."""
        params = self.module.params
        plan = removal.plan(self.name, db, params["tier"], "server", params["force"]) if db else Plan()
        before = plan.steps[0].before["release"] if plan.steps else None
        plan.extend(access.removal_plan(self.engine, access.read(server, None, wanted), wanted, "server", self.name))
        if plan.changed:
            self.engine.databases.check_writable(server)
        self.module.disconnect(self.target)
        self.module.apply(plan, self.open)
        self.finish(plan, release=None, previous_release=before, tables_created=0, scripts=[])

    def converge(self, server: Database, db: Database | None, wanted: access.Wanted) -> None:
        """End with the database at its release, with its options and rights."""
        params, engine = self.module.params, self.engine
        options = settings.wanted(engine, server, params["settings"], params["files"], self.name)
        schema, scripts = read_package(params["_schema_package"]), read_scripts(params["_upgrade_package"])
        if db is not None and "compatibility_level" not in options:
            engine.databases.check_server(
                db
            )  # a database may behave like one of an older server, unless told otherwise
        actual = channel.read(db) if db else channel.Actual()
        tier.check(actual.versions, actual.tables, params["tier"], self.name)
        if db is not None and actual.versions.release is None:
            engine.databases.check_holds(db)
        if scripts is not None:
            schema = upgrade_plan.base(actual, schema, scripts)
        coming = channel.coming_tables(actual, schema)
        after = params["disconnect_after"]
        if after is not None and not 0 <= after <= LONGEST_WAIT:
            raise RetailError(
                "%d is no number of seconds to wait." % after,
                "Set disconnect_after to a number from 0 to %d, or leave it out." % LONGEST_WAIT,
            )
        plan = channel.database_plan(engine, self.name, actual, schema, "server", "database", options, after)
        state = access.read(server, db, wanted)
        tables = actual.tables
        plan.extend(access.access_plan(engine, state, wanted, self.name, tables, coming, "database", "server"))
        upgrades = upgrade_plan.UpgradePlan(schema.release)
        if scripts is not None:
            upgrades = upgrade_plan.plan(engine, actual, schema, scripts, params["release"], db)
            self.add_scripts(plan, upgrades, db, wanted)
        installed = actual.versions.release
        if db is not None:
            upgraded = bool(upgrades.runs) or installed != upgrades.release
            taking_over.check_changes(db, actual.tables, plan, upgraded)
        if plan.changed:
            engine.databases.check_writable(db or server)
        self.module.disconnect(self.target)
        self.module.apply(plan, self.open)
        for file in upgrades.changed:
            self.module.ansible.warn("%s was changed since it ran; each customisation runs once." % file)
        self.finish(
            plan,
            release=str(upgrades.release),
            previous_release=None if installed is None else str(installed),
            tables_created=len(coming),
            scripts=[run.document() for run in upgrades.runs],
        )

    def add_scripts(
        self, plan: Plan, upgrades: upgrade_plan.UpgradePlan, db: Database | None, wanted: access.Wanted
    ) -> None:
        """The steps of an upgrade package, and the rights on what they make."""
        if not upgrades.runs:
            return
        if db is not None and not self.module.params["force"]:
            removal.check_unacknowledged(db, "The database %s is not upgraded by scripts" % self.name)
        plan.extend(upgrades.steps(lambda: self.module.connect_anew(self.target)))
        title, path = "Give groups their rights on what the scripts made", ("access", "after scripts")
        plan.add(Step(title, path, None, "as declared", action=lambda: self.mend_rights(wanted)))

    def mend_rights(self, wanted: access.Wanted) -> None:
        """Give everybody what they should have, by what there is now."""
        server, db = self.open("server"), self.open("database")
        tables = self.engine.tables.read(db)
        state = access.read(server, db, wanted)
        rights = access.access_plan(self.engine, state, wanted, self.name, tables, (), "database", "server")
        rights.apply(self.open)

    def finish(self, plan: Plan, **result: Any) -> None:
        self.module.exit(plan, database=self.name, **result)


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


def read_scripts(path: str | None) -> upgrade.Upgrades | None:
    """The upgrade package that the action plugin shipped, None where none is declared."""
    if not path:
        return None
    with open(path, "rb") as stream:
        return upgrade.loads(stream.read())


if __name__ == "__main__":
    main()
