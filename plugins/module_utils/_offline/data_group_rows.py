# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A channel data group as it is declared, into the rows at HQ: its scheduler jobs and its channel databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._engine._errors import RetailError
from .._engine._filter import members
from .._engine._model import TableName
from .._plan import Plan, Step
from .._sync.metadata import DIRECTIONS
from . import row_filters
from .checks import check_scopes, check_tables
from .draft import Draft
from .filters import check_filter
from .profiles import STORE, make_scope

GROUP = TableName("ax", "RETAILCDXDATAGROUP")
GROUP_JOBS = TableName("ax", "RETAILCDXDATAGROUPJOB")
JOB = TableName("ax", "RETAILCDXSCHEDULERJOB")
JOB_TABLES = TableName("ax", "RETAILCDXSCHEDULERJOBTABLE")
DATABASE = TableName("ax", "RETAILCONNDATABASEPROFILE")
DATABASE_CHANNELS = TableName("ax", "RETAILCDXDATASTORECHANNEL")

COLUMNS = {
    GROUP_JOBS: ("DATAGROUP", "JOB"),
    JOB_TABLES: ("JOB", "TABLENAME", "SEQUENCE", "ROWFILTER"),
    JOB: ("JOBID", "NAME", "DIRECTION", "SEQUENCE"),
    DATABASE_CHANNELS: ("CHANNEL", "DATABASEPROFILE"),
    DATABASE: ("NAME", "SERVER", "DATABASE", "DATAGROUP"),
    GROUP: ("NAME", "DESCRIPTION"),
}
STORE_COLUMNS = {STORE: ("STORENUMBER",)}

#: The characters that the columns hold.
_LONGEST = {"data group": 60, "job ID": 20, "job name": 60, "channel database": 50, "table name": 130}


@dataclass(frozen=True)
class Job:
    """One scheduler job: tables that move together, ``download`` (HQ to channel) or ``upload``.

    ``filters``: which rows of a table go down, as ``row_filters.declare`` has it; all of the tables that are not in it.
    """

    id: str
    name: str
    direction: str
    tables: tuple[TableName, ...]
    filters: Mapping[TableName, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class ChannelDatabase:
    """One channel database profile, and the stores whose data it holds."""

    name: str
    server: str
    database: str
    store_ids: tuple[str, ...]


@dataclass(frozen=True)
class Declared:
    """A data group as a user declares it.

    ``databases``: None to leave them alone. ``keep_undeclared``: those that are not among them stay in the data group.
    """

    name: str
    description: str
    jobs: tuple[Job, ...]
    databases: tuple[ChannelDatabase, ...] | None = None
    change_shared: bool = False
    keep_undeclared: bool = False


@dataclass
class GroupPlan:
    """The plan; ``missing_stores``: declared stores of which HQ has no record (yet)."""

    plan: Plan = field(default_factory=Plan)
    missing_stores: list[str] = field(default_factory=list)


def declare(
    name: str,
    description: str,
    jobs: Sequence[Mapping[str, Any]],
    databases: Sequence[Mapping[str, Any]] | None,
    change_shared: bool = False,
    keep_undeclared: bool = False,
) -> Declared:
    """Check what a user wrote, and bring it into form.

    :param jobs: dictionaries of id, name, direction, tables and filters.
    :param databases: dictionaries of name, server, database and store_ids.
    :raises RetailError: it cannot be stored, or contradicts itself.
    """
    _check_length("data group", name)
    made = tuple(_declared_job(job) for job in jobs)
    # What holds for scopes holds for jobs: each is one scope of the pair of HQ and a channel database.
    check_scopes(make_scope(job.id, job.direction, job.tables) for job in made)
    found = None if databases is None else tuple(_declared_database(database) for database in databases)
    names = [database.name for database in found or ()]
    if len(set(names)) < len(names):
        raise RetailError("A channel database is declared twice in the data group %r." % name, "Declare it once.")
    return Declared(name, description, made, found, change_shared, keep_undeclared)


def check_jobs(engine: Any, db: Any, declared: Declared, may_come: bool) -> list[TableName]:
    """See that HQ has the tables of all jobs, and that they can be synchronised; returns those that it does not have.

    :param may_come: an earlier step would bring missing ones, as one that upgrades the database.
    :raises RetailError: a table cannot be synchronised, or is missing and does not come.
    """
    names = [name for job in declared.jobs for name in job.tables]
    known = engine.tables.read(db, names)
    missing = [name for name in names if name not in known] if may_come else []
    jobs = [
        make_scope(job.id, job.direction, [name for name in job.tables if name not in missing]) for job in declared.jobs
    ]
    check_tables(jobs, known, db.target.where)
    return missing


def plan_data_group(engine: Any, db: Any, declared: Declared, key: str) -> GroupPlan:
    """Compare a declared data group with the rows at HQ.

    :param db: the HQ database, None where it does not exist yet.
    :param key: the plan's name for it.
    :raises RetailError: a job is shared with another data group, and would change for it as well; or a channel database
        belongs to another one; or a filter goes by what is not there.
    """
    draft, result = Draft.read(db, COLUMNS), GroupPlan()
    if db is not None:
        _check_filters(engine, db, declared)
    stores = {
        record["STORENUMBER"]: recid for recid, record in Draft.read(db, STORE_COLUMNS).before.get(STORE, {}).items()
    }
    before = document(draft, declared.name, stores)
    write_data_group(draft, declared, stores)
    statements = draft.statements(engine)
    if statements:
        title = "%s the data group %r" % ("Create" if before is None else "Change", declared.name)
        after = document(draft, declared.name, stores)
        result.plan.add(Step(title, (key, "data groups", declared.name), before, after, key, statements))
    wanted = {store for database in declared.databases or () for store in database.store_ids}
    result.missing_stores = sorted(wanted - set(stores))
    return result


def plan_no_data_group(engine: Any, db: Any, name: str, force: bool, key: str) -> GroupPlan:
    """Take a data group away, with those of its jobs that no other one has.

    :param force: take its channel database profiles away, too.
    :raises RetailError: it has channel databases.
    """
    draft, result = Draft.read(db, COLUMNS), GroupPlan()
    before, group = document(draft, name, {}), draft.find(GROUP, NAME=name)
    if group is None:
        return result
    databases = [record["NAME"] for _recid, record in draft.rows(DATABASE, DATAGROUP=group)]
    if databases and not force:
        raise RetailError(
            "The data group %r still distributes to channel databases: %s." % (name, ", ".join(sorted(databases)[:5])),
            "Declare them in another data group first, or set the option force to give up distributing to them.",
        )
    write_data_group(draft, Declared(name, "", (), ()), {})
    draft.drop(GROUP, group)
    title = "Remove the data group %r" % name
    result.plan.add(Step(title, (key, "data groups", name), before, None, key, draft.statements(engine)))
    return result


def write_data_group(draft: Draft, declared: Declared, stores: Mapping[str, int]) -> int:
    """Edit the rows so that they say what is declared; returns the data group's RECID.

    :param stores: RECIDs by store number.
    :raises RetailError: see :func:`plan_data_group`.
    """
    group = draft.put(GROUP, {"NAME": declared.name}, DESCRIPTION=declared.description)
    before = [record["JOB"] for _link, record in draft.rows(GROUP_JOBS, DATAGROUP=group)]
    jobs = [
        _put_job(draft, group, sequence, job, declared.change_shared) for sequence, job in enumerate(declared.jobs, 1)
    ]
    draft.arrange(GROUP_JOBS, ("DATAGROUP", group), "JOB", jobs)
    for job in before:
        if job not in jobs and not draft.rows(GROUP_JOBS, JOB=job):
            _drop_job(draft, job)
    if declared.databases is not None:
        if not declared.keep_undeclared:
            _drop_undeclared(draft, group, declared.databases)
        _write_databases(draft, group, declared.databases, stores)
    return group


def document(draft: Draft, name: str, stores: Mapping[str, int]) -> dict[str, Any] | None:
    """A data group as people read it, None where there is none."""
    group = draft.find(GROUP, NAME=name)
    if group is None:
        return None
    numbers = {recid: number for number, recid in stores.items()}
    jobs = [record["JOB"] for _link, record in draft.rows(GROUP_JOBS, DATAGROUP=group)]
    databases = draft.rows(DATABASE, DATAGROUP=group)
    return {
        "description": draft.after[GROUP][group]["DESCRIPTION"],
        "jobs": [_job_document(draft, job) for job in jobs if job in draft.after[JOB]],
        "channel_databases": {
            record["NAME"]: {
                "server": record["SERVER"],
                "database": record["DATABASE"],
                "store_ids": [numbers.get(channel, "(RECID %d)" % channel) for channel in channels_of(draft, recid)],
            }
            for recid, record in databases
        },
    }


def job_tables(draft: Draft, job: int) -> list[TableName]:
    """The tables of a job, in order."""
    found = sorted(draft.rows(JOB_TABLES, JOB=job), key=lambda item: (item[1]["SEQUENCE"], item[0]))
    return [TableName.parse(record["TABLENAME"]) for _recid, record in found]


def job_filters(draft: Draft, job: int) -> dict[TableName, list[dict[str, Any]]]:
    """The declared filters of a job's tables, in their order."""
    found = sorted(draft.rows(JOB_TABLES, JOB=job), key=lambda item: (item[1]["SEQUENCE"], item[0]))
    return {
        TableName.parse(record["TABLENAME"]): row_filters.loads(record["ROWFILTER"])
        for _recid, record in found
        if record["ROWFILTER"]
    }


def _check_length(what: str, text: str) -> None:
    if not text or len(text) > _LONGEST[what] or text != text.strip():
        raise RetailError(
            "%r is no %s." % (text, what), "It has 1 to %d characters, and no spaces around them." % _LONGEST[what]
        )


def _declared_job(job: Mapping[str, Any]) -> Job:
    _check_length("job ID", job["id"])
    _check_length("job name", job["name"] or job["id"])
    if not job["tables"]:
        raise RetailError("The job %s has no tables." % job["id"], "Give it tables, or leave it out.")
    tables = tuple(TableName.parse(name) for name in job["tables"])
    for table in tables:
        _check_length("table name", str(table))
    return Job(job["id"], job["name"] or "", job["direction"], tables, _declared_filters(job, tables))


def _declared_filters(job: Mapping[str, Any], tables: Sequence[TableName]) -> dict[TableName, list[dict[str, Any]]]:
    filters: dict[TableName, list[dict[str, Any]]] = {}
    for item in job.get("filters") or ():
        table = TableName.parse(item["table"])
        title = "The filter of %s in the job %s" % (table, job["id"])
        if table not in tables or table in filters:
            reason = "is there twice" if table in filters else "has no such table to go by"
            raise RetailError("%s %s." % (title, reason), "Give each table of the job one filter at most.")
        if job["direction"] == "upload":
            raise RetailError(
                "%s restricts what goes up." % title,
                "A filter restricts what goes down; leave it out of an upload job.",
            )
        filters[table] = row_filters.declare(item["where"], title)
    return filters


def _check_filters(engine: Any, db: Any, declared: Declared) -> None:
    """What the filters go by must be there; what a channel database calls its own is looked up when it is distributed to."""
    found = [
        (table, row_filters.resolve(conditions, lambda _kind: ()))
        for job in declared.jobs
        for table, conditions in job.filters.items()
    ]
    wanted = {name for table, conditions in found for name in (table, *(one.table for one in members(conditions)))}
    known = engine.tables.read(db, sorted(wanted)) if wanted else {}
    for table, conditions in found:
        check_filter(table, conditions, known, db.target.where)


def _declared_database(database: Mapping[str, Any]) -> ChannelDatabase:
    _check_length("channel database", database["name"])
    return ChannelDatabase(
        database["name"], database["server"] or "", database["database"] or "", tuple(database["store_ids"] or ())
    )


def _put_job(draft: Draft, group: int, sequence: int, job: Job, change_shared: bool) -> int:
    recid = draft.find(JOB, JOBID=job.id)
    others = [] if recid is None else [link for _id, link in draft.rows(GROUP_JOBS, JOB=recid)]
    shared = any(link["DATAGROUP"] != group for link in others)
    if shared and not change_shared:
        _check_shared(draft, recid or 0, job)
        return recid or 0
    facts = {"NAME": job.name, "DIRECTION": DIRECTIONS.index(job.direction), "SEQUENCE": sequence}
    recid = draft.put(JOB, {"JOBID": job.id}, **facts)
    wanted = [str(name) for name in job.tables]
    for link, record in draft.rows(JOB_TABLES, JOB=recid):
        if record["TABLENAME"] not in wanted:
            draft.drop(JOB_TABLES, link)
    for place, table in enumerate(job.tables, 1):
        text = row_filters.dumps(job.filters.get(table, ()))
        draft.put(JOB_TABLES, {"JOB": recid, "TABLENAME": str(table)}, SEQUENCE=place, ROWFILTER=text)
    return recid


def _check_shared(draft: Draft, recid: int, job: Job) -> None:
    """A job that other data groups have too stays as it is, its place in their order included."""
    wanted: dict[str, Any] = {
        "id": job.id, "name": job.name, "direction": job.direction, "tables": [str(name) for name in job.tables],
    }  # fmt: skip
    if job.filters:
        wanted["filters"] = {str(table): conditions for table, conditions in job.filters.items()}
    if _job_document(draft, recid) != wanted:
        raise RetailError(
            "The job %s belongs to another data group as well, and is different there." % job.id,
            "Give it another ID here, or set the option change_shared to change it for both.",
        )


def _drop_job(draft: Draft, job: int) -> None:
    for link, _record in draft.rows(JOB_TABLES, JOB=job):
        draft.drop(JOB_TABLES, link)
    if job in draft.after[JOB]:
        draft.drop(JOB, job)


def _drop_undeclared(draft: Draft, group: int, databases: Sequence[ChannelDatabase]) -> None:
    names = {database.name for database in databases}
    for recid, record in draft.rows(DATABASE, DATAGROUP=group):
        if record["NAME"] not in names:
            _write_channels(draft, recid, [])
            draft.drop(DATABASE, recid)


def _write_databases(draft: Draft, group: int, databases: Sequence[ChannelDatabase], stores: Mapping[str, int]) -> None:
    for database in databases:
        there = draft.find(DATABASE, NAME=database.name)
        owner = draft.after[DATABASE][there]["DATAGROUP"] if there is not None else 0
        if owner not in (0, group):
            raise RetailError(
                "The channel database %r belongs to the data group %r."
                % (database.name, draft.after[GROUP].get(owner, {}).get("NAME", owner)),
                "Take it out there first; a channel database belongs to one data group.",
            )
        facts = {"SERVER": database.server, "DATABASE": database.database, "DATAGROUP": group}
        recid = draft.put(DATABASE, {"NAME": database.name}, **facts)
        _write_channels(draft, recid, [stores[store] for store in database.store_ids if store in stores])


def _write_channels(draft: Draft, database: int, channels: Sequence[int]) -> None:
    for link, record in draft.rows(DATABASE_CHANNELS, DATABASEPROFILE=database):
        if record["CHANNEL"] not in channels:
            draft.drop(DATABASE_CHANNELS, link)
    for channel in channels:
        draft.put(DATABASE_CHANNELS, {"CHANNEL": channel, "DATABASEPROFILE": database})


def channels_of(draft: Draft, database: int) -> list[int]:
    """The RECIDs of the channels that a channel database serves."""
    return [record["CHANNEL"] for _link, record in draft.rows(DATABASE_CHANNELS, DATABASEPROFILE=database)]


def _job_document(draft: Draft, recid: int) -> dict[str, Any]:
    record = draft.after[JOB][recid]
    direction = record["DIRECTION"]
    filters = {str(table): conditions for table, conditions in job_filters(draft, recid).items()}
    return {
        "id": record["JOBID"],
        "name": record["NAME"],
        "direction": DIRECTIONS[direction] if direction in range(len(DIRECTIONS)) else direction,
        "tables": [str(name) for name in job_tables(draft, recid)],
        **({"filters": filters} if filters else {}),
    }
