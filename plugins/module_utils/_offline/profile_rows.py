# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An offline profile as it is declared, into the rows that AX keeps of it at HQ."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import TableName
from .._plan import Plan, Statement, Step
from .._sync.metadata import DIRECTIONS, Scope
from .checks import check_scopes
from .draft import Draft
from .profiles import PROFILE, PROFILE_SCOPES, SCOPE, SCOPE_TABLES, STORE, TABLE, TABLE_COLUMNS, make_scope

#: In the order in which rows may be deleted.
COLUMNS = {
    TABLE_COLUMNS: ("SYNCTABLE", "SYNCCOLUMNNAME"),
    SCOPE_TABLES: ("SCOPEID", "SYNCTABLEID"),
    PROFILE_SCOPES: ("PROFILEID", "SCOPEID"),
    TABLE: ("TABLENAME",),
    SCOPE: ("DESCRIPTION", "SYNCDIRECTION", "SYNCFREQUENCY"),
    PROFILE: ("NAME", "DESCRIPTION"),
}
STORE_COLUMNS = {STORE: ("STORENUMBER", "OFFLINEPROFILE")}

LONGEST_NAME = 10
LONGEST_DESCRIPTION = 256
LONGEST_TABLE_NAME = 50
LONGEST_COLUMN_NAME = 40
#: What an int of the database holds.
LONGEST_FREQUENCY = 2**31 - 1


@dataclass(frozen=True)
class Declared:
    """A profile as a user declares it. ``stores``: who has it, None to leave that alone."""

    name: str
    description: str
    scopes: tuple[Scope, ...]
    stores: tuple[str, ...] | None = None
    change_shared: bool = False


@dataclass
class ProfilePlan:
    """The plan; ``missing_stores``: declared stores of which HQ has no record (yet)."""

    plan: Plan = field(default_factory=Plan)
    missing_stores: list[str] = field(default_factory=list)


def declare(name: str, description: str, scopes: Sequence[dict[str, Any]], **more: Any) -> Declared:
    """Check what a user wrote, and bring it into form.

    :param scopes: dictionaries of name, direction, frequency (seconds), tables and columns.
    :raises RetailError: it cannot be stored, or contradicts itself.
    """
    if not name or len(name) > LONGEST_NAME or name != name.strip():
        raise RetailError(
            "%r is no name of an offline profile." % name,
            "It has 1 to %d characters, and no spaces around them." % LONGEST_NAME,
        )
    if len(description) > LONGEST_DESCRIPTION:
        raise RetailError("The description has more than %d characters." % LONGEST_DESCRIPTION, "Shorten it.")
    made = tuple(_declared_scope(scope) for scope in scopes)
    check_scopes(made)
    return Declared(name, description, made, **more)


def plan_profile(engine: Any, db: Any, declared: Declared, key: str) -> ProfilePlan:
    """Compare a declared profile with the rows at HQ.

    :param db: the HQ database, None where it does not exist yet.
    :param key: the plan's name for it.
    :raises RetailError: a scope is shared with another profile, and would change for it as well; or a column is not there.
    """
    draft = Draft.read(db, COLUMNS)
    if db is not None:
        _check_columns(db, declared)
    result = ProfilePlan()
    before = document(draft, declared.name)
    profile = write_profile(draft, declared)
    statements = draft.statements(engine)
    if statements:
        verb = "Create" if before is None else "Change"
        title = "%s the offline profile %r" % (verb, declared.name)
        path = (key, "profiles", declared.name)
        result.plan.add(Step(title, path, before, document(draft, declared.name), key, statements))
    if declared.stores is not None:
        stores = Draft.read(db, STORE_COLUMNS).before.get(STORE, {})
        result.missing_stores = _assign(engine, stores, profile, declared, key, result.plan)
    return result


def _check_columns(db: Any, declared: Declared) -> None:
    """The columns that are listed must be there; a table that HQ does not have is found out about by whoever has it."""
    listed = {item.name: item.columns for scope in declared.scopes for item in scope.tables if item.columns}
    for name, table in (db.engine.tables.read(db, sorted(listed)) if listed else {}).items():
        unknown = [column for column in listed[name] if table.column(column) is None]
        if unknown:
            raise RetailError(
                "The offline profile %r lists the column %s of the table %s, which it does not have."
                % (declared.name, unknown[0], name),
                "It has: %s." % ", ".join(column.name for column in table.columns),
            )


def plan_no_profile(engine: Any, db: Any, name: str, force: bool, key: str) -> ProfilePlan:
    """Take a profile away, with those of its scopes that no other profile has.

    :param force: take it from the stores that have it.
    :raises RetailError: stores have it.
    """
    draft, result = Draft.read(db, COLUMNS), ProfilePlan()
    before, profile = document(draft, name), draft.find(PROFILE, NAME=name)
    if profile is None:
        return result
    stores = Draft.read(db, STORE_COLUMNS).before.get(STORE, {})
    having = [record["STORENUMBER"] for record in stores.values() if record["OFFLINEPROFILE"] == profile]
    if having and not force:
        raise RetailError(
            "The offline profile %r is assigned to %s." % (name, _some(having, "store")),
            "Give these stores another profile first, or set the option force to leave them without one.",
        )
    _assign(engine, stores, profile, Declared(name, "", (), ()), key, result.plan)
    write_profile(draft, Declared(name, "", ()))
    draft.drop(PROFILE, profile)
    title = "Remove the offline profile %r" % name
    result.plan.add(Step(title, (key, "profiles", name), before, None, key, draft.statements(engine)))
    return result


def _some(names: Sequence[str], what: str) -> str:
    more = " and %d more" % (len(names) - 3) if names[3:] else ""
    return "%s %s%s" % (what if len(names) == 1 else what + "s", ", ".join(sorted(names)[:3]), more)


def write_profile(draft: Draft, declared: Declared) -> int:
    """Edit the rows so that they say what is declared; returns the profile's RECID.

    :raises RetailError: see :func:`plan_profile`.
    """
    profile = draft.put(PROFILE, {"NAME": declared.name}, DESCRIPTION=declared.description)
    before = [record["SCOPEID"] for _link, record in draft.rows(PROFILE_SCOPES, PROFILEID=profile)]
    scopes = [_put_scope(draft, profile, scope, declared.change_shared) for scope in declared.scopes]
    draft.arrange(PROFILE_SCOPES, ("PROFILEID", profile), "SCOPEID", scopes)
    left = [scope for scope in before if scope not in scopes and not draft.rows(PROFILE_SCOPES, SCOPEID=scope)]
    _write_tables(draft, dict(zip(scopes, declared.scopes)), left)
    for scope in left:
        if scope in draft.after[SCOPE]:
            draft.drop(SCOPE, scope)
    return profile


def document(draft: Draft, name: str) -> dict[str, Any] | None:
    """A profile as people read it, None where there is none."""
    profile = draft.find(PROFILE, NAME=name)
    if profile is None:
        return None
    links = draft.rows(PROFILE_SCOPES, PROFILEID=profile)
    return {
        "description": draft.after[PROFILE][profile]["DESCRIPTION"],
        "scopes": [_scope_document(draft, record["SCOPEID"]) for _link, record in links],
    }


def _declared_scope(scope: dict[str, Any]) -> Scope:
    if not scope["tables"]:
        raise RetailError("The scope %r has no tables." % scope["name"], "Give it tables, or leave it out.")
    if not 0 <= scope["frequency"] <= LONGEST_FREQUENCY:
        raise RetailError(
            "The scope %r has the frequency %d." % (scope["name"], scope["frequency"]),
            "Use a number of seconds up to %d, or 0 for the interval of the service." % LONGEST_FREQUENCY,
        )
    tables = [TableName.parse(name) for name in scope["tables"]]
    for table in tables:
        if len(_stored(table)) > LONGEST_TABLE_NAME or not table.name or not table.schema:
            raise RetailError(
                "%r is no table name that AX can store." % str(table),
                "It has 1 to %d characters, with or without its schema." % LONGEST_TABLE_NAME,
            )
    columns = _declared_columns(scope, tables)
    made = make_scope(scope["name"], scope["direction"], tables, scope["frequency"])
    return replace(made, tables=tuple(replace(item, columns=columns.get(item.name, ())) for item in made.tables))


def _declared_columns(scope: dict[str, Any], tables: Sequence[TableName]) -> dict[TableName, tuple[str, ...]]:
    found: dict[TableName, tuple[str, ...]] = {}
    for item in scope.get("columns") or ():
        table, columns = TableName.parse(item["table"]), tuple(item["columns"])
        if table not in tables or table in found:
            raise RetailError(
                "The scope %r lists columns of the table %s, %s."
                % (scope["name"], table, "twice" if table in found else "which is none of its tables"),
                "List the columns of a table of the scope, and once.",
            )
        wrong = [name for name in columns if not name or len(name) > LONGEST_COLUMN_NAME or columns.count(name) > 1]
        if wrong or not columns:
            raise RetailError(
                "The scope %r lists %s of the table %s."
                % (scope["name"], "%r" % wrong[0] if wrong else "no column", table),
                "List each column once, by a name of 1 to %d characters." % LONGEST_COLUMN_NAME,
            )
        found[table] = columns
    return found


def _stored(table: TableName) -> str:
    """A bare name means schema ax."""
    return table.name if table.schema == "ax" else str(table)


def _put_scope(draft: Draft, profile: int, scope: Scope, change_shared: bool) -> int:
    recid = draft.find(SCOPE, DESCRIPTION=scope.name)
    if recid is not None and not change_shared:
        _check_shared(draft, profile, recid, scope)
    direction = DIRECTIONS.index(scope.direction)
    return draft.put(SCOPE, {"DESCRIPTION": scope.name}, SYNCDIRECTION=direction, SYNCFREQUENCY=scope.frequency)


def _check_shared(draft: Draft, profile: int, recid: int, scope: Scope) -> None:
    links = draft.rows(PROFILE_SCOPES, SCOPEID=recid)
    others = [record["PROFILEID"] for _link, record in links if record["PROFILEID"] != profile]
    tables = [_stored(item.name) for item in scope.tables]
    columns = {_stored(item.name): sorted(item.columns) for item in scope.tables if item.columns}
    wanted = {
        "name": scope.name, "direction": scope.direction, "frequency": scope.frequency, "tables": tables,
        **({"columns": columns} if columns else {}),
    }  # fmt: skip
    if others and _scope_document(draft, recid) != wanted:
        name = draft.after[PROFILE].get(others[0], {}).get("NAME", "")
        raise RetailError(
            "The scope %r is also one of the offline profile %r, and is different there." % (scope.name, name),
            "Give it another name here, or set the option change_shared to change it for both.",
        )


def _write_tables(draft: Draft, scopes: dict[int, Scope], left: Collection[int]) -> None:
    """The tables of the scopes. A table that goes from one scope to another keeps its own row."""
    pool: dict[TableName, int] = {}
    freed: set[int] = set()
    linked = {record["SYNCTABLEID"] for _link, record in draft.rows(SCOPE_TABLES)}
    for recid, record in draft.rows(TABLE):
        if recid not in linked:
            pool.setdefault(TableName.parse(record["TABLENAME"]), recid)
    for scope in [*scopes, *left]:
        wanted = {item.name for item in scopes[scope].tables} if scope in scopes else set()
        for link, record in draft.rows(SCOPE_TABLES, SCOPEID=scope):
            name = _name_of(draft, record["SYNCTABLEID"])
            if name is None or name not in wanted:
                draft.drop(SCOPE_TABLES, link)
                if name is not None:
                    pool[name] = record["SYNCTABLEID"]
                    freed.add(record["SYNCTABLEID"])
    for recid, scope in scopes.items():
        freed.difference_update(_arrange_tables(draft, recid, scope, pool))
    for recid in freed:
        draft.drop(TABLE, recid)
        for column, _record in draft.rows(TABLE_COLUMNS, SYNCTABLE=recid):
            draft.drop(TABLE_COLUMNS, column)


def _arrange_tables(draft: Draft, recid: int, scope: Scope, pool: dict[TableName, int]) -> list[int]:
    tables = [_table_row(draft, recid, item.name, pool) for item in scope.tables]
    draft.arrange(SCOPE_TABLES, ("SCOPEID", recid), "SYNCTABLEID", tables)
    for table, item in zip(tables, scope.tables):
        _write_columns(draft, table, item.columns)
    return tables


def _write_columns(draft: Draft, table: int, columns: Sequence[str]) -> None:
    for recid, record in draft.rows(TABLE_COLUMNS, SYNCTABLE=table):
        if record["SYNCCOLUMNNAME"] not in columns:
            draft.drop(TABLE_COLUMNS, recid)
    for name in columns:
        draft.put(TABLE_COLUMNS, {"SYNCTABLE": table, "SYNCCOLUMNNAME": name})


def _columns_of(draft: Draft, table: int) -> list[str]:
    return [record["SYNCCOLUMNNAME"] for _recid, record in draft.rows(TABLE_COLUMNS, SYNCTABLE=table)]


def _table_row(draft: Draft, scope: int, name: TableName, pool: dict[TableName, int]) -> int:
    for _link, record in draft.rows(SCOPE_TABLES, SCOPEID=scope):
        if _name_of(draft, record["SYNCTABLEID"]) == name:
            return record["SYNCTABLEID"]
    recid = pool.pop(name, None)
    return draft.add(TABLE, TABLENAME=_stored(name)) if recid is None else recid


def _name_of(draft: Draft, table: int) -> TableName | None:
    record = draft.after[TABLE].get(table)
    return None if record is None else TableName.parse(record["TABLENAME"])


def _scope_document(draft: Draft, recid: int) -> dict[str, Any]:
    record = draft.after[SCOPE].get(recid)
    if record is None:
        return {"name": "(missing: RECID %d)" % recid}
    links = draft.rows(SCOPE_TABLES, SCOPEID=recid)
    names = [_name_of(draft, link["SYNCTABLEID"]) for _recid, link in links]
    direction = record["SYNCDIRECTION"]
    columns = {
        _stored(name): sorted(_columns_of(draft, link["SYNCTABLEID"]))
        for name, (_recid, link) in zip(names, links)
        if name is not None and _columns_of(draft, link["SYNCTABLEID"])
    }
    return {
        "name": record["DESCRIPTION"],
        "direction": DIRECTIONS[direction] if direction in range(len(DIRECTIONS)) else direction,
        "frequency": record["SYNCFREQUENCY"],
        "tables": ["(missing)" if name is None else _stored(name) for name in names],
        **({"columns": columns} if columns else {}),
    }


def _assign(
    engine: Any, stores: Mapping[int, Any], profile: int, declared: Declared, key: str, plan: Plan
) -> list[str]:
    """Give the profile to the declared stores and take it from others; returns those without a record."""
    names = set(declared.stores or ())
    for recid, record in sorted(stores.items()):
        number, has = record["STORENUMBER"], record["OFFLINEPROFILE"] == profile
        if has != (number in names):
            plan.add(_assignment(engine, recid, number, None if has else profile, declared.name, key))
    return sorted(names - {record["STORENUMBER"] for record in stores.values()})


def _assignment(engine: Any, recid: int, number: str, profile: int | None, name: str, key: str) -> Step:
    quote = engine.names.quote
    value = "NULL" if profile is None else "?"
    sql = "UPDATE %s SET %s = %s WHERE %s = ?" % (quote(*STORE), quote("OFFLINEPROFILE"), value, quote("RECID"))
    statement: Statement = (sql, (recid,) if profile is None else (profile, recid))
    title = "%s the offline profile %r %s store %s" % (
        ("Take", name, "from", number) if profile is None else ("Give", name, "to", number)
    )
    before, after = (name, None) if profile is None else (None, name)
    return Step(title, (key, "stores", number, "offline profile"), before, after, key, [statement])
