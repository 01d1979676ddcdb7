# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the roles, groups, logins and grants that are there to those that should be, both ways.

Managed are the tier's roles and groups: what they may do, and their memberships among each other. The members of a
group are managed where they are declared: who is not declared is removed. Logins that are not declared are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import TableName
from .._engine._rights import AccessState, Grants, Securable, merge
from .._plan import Plan, Step
from . import model

#: More names than this are counted, not listed.
_LISTED = 5


@dataclass(frozen=True)
class Wanted:
    """What a user declares.

    :param tier: ``channel``, ``offline`` or ``hq``.
    :param members: the members of groups (or roles), for those that are declared.
    :param logins: passwords by login name, None for one without a password.
    """

    tier: str
    members: Mapping[str, Collection[str]] = field(default_factory=dict)
    logins: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.members) - set(self.managed))
        if unknown:
            raise RetailError(
                "%s is no group of the %s database." % (unknown[0], self.tier), "Known: %s." % ", ".join(self.managed)
            )

    @property
    def managed(self) -> list[str]:
        """The tier's groups and roles."""
        return [*model.GROUPS[self.tier], *model.roles_of(self.tier)]


def read(server: Any, db: Any | None, wanted: Wanted) -> AccessState:
    """What there is of all that ``wanted`` names.

    :param server: a connection to the maintenance database.
    :param db: a connection to the database, None where it does not exist yet.
    :raises RetailError: whether a login's password is right cannot be told.
    """
    principals = set(wanted.managed).union(*wanted.members.values(), wanted.logins)
    access = server.engine.access
    state = access.read(server, db, principals, wanted.logins)
    for name, same in list(state.logins.items()):
        if same is None:
            state.logins[name] = access.password_works((db or server).target, name, wanted.logins[name])
    return state


def access_plan(
    engine: Any,
    state: AccessState,
    wanted: Wanted,
    database_name: str,
    there: Iterable[TableName],
    coming: Iterable[TableName],
    database: str,
    server: str | None = None,
) -> Plan:
    """The steps that give everybody exactly what they should have.

    :param there: the tables of the database.
    :param coming: the tables that earlier steps of the same run make.
    :param database: the key of the database that the steps run on.
    :param server: the key of the maintenance database, for what belongs to the whole server; None: ``database``.
    :raises RetailError: a member is declared that exists nowhere.
    """
    plan = Plan()
    tables = sorted({*there, *coming})
    place = {what: server or database if what in state.shared else database for what in ("role", "login", "member")}
    for name in wanted.managed:
        if name not in state.principals and name not in state.fixed:
            plan.add(_present("role", name, engine.access.create_role(name), place["role"]))
    for name, password in wanted.logins.items():
        plan.extend(_login(engine, state, name, password, place["login"]))
    plan.extend(_users(engine, state, wanted, database))
    plan.extend(_members(engine, state, wanted, place["member"]))
    plan.extend(_grants(engine, state, wanted, database_name, tables, set(tables) - set(there), database))
    return plan


def _present(what: str, name: str, statements: list[Any], database: str) -> Step:
    return Step("Create %s %s" % (what, name), ("access", what + "s", name), None, "present", database, statements)


def _login(engine: Any, state: AccessState, name: str, password: str | None, database: str) -> Plan:
    plan = Plan()
    if name not in state.logins:
        plan.add(_present("login", name, engine.access.create_login(name, password), database))
    elif not state.logins[name]:
        statements = engine.access.set_password(name, password)
        title, path = "Set the password of login %s" % name, ("access", "logins", name)
        plan.add(Step(title, path, "another password", "the declared password", database, statements))
    return plan


def _users(engine: Any, state: AccessState, wanted: Wanted, database: str) -> Plan:
    """Users of the declared logins and members, on an engine that tells users from logins."""
    plan = Plan()
    members = set().union(*wanted.members.values())
    for name in sorted(members.union(wanted.logins) - state.principals - set(wanted.managed)):
        statements = engine.access.create_user(name)
        if statements:
            plan.add(_present("user", name, statements, database))
        elif name not in wanted.logins:
            raise RetailError("%s is declared a member, but does not exist." % name, "Declare it under logins, too.")
    return plan


def _members(engine: Any, state: AccessState, wanted: Wanted, database: str) -> Plan:
    plan = Plan()
    groups = model.GROUPS[wanted.tier]
    for role in wanted.managed:
        ours = {name for name, group in groups.items() if role in group.roles}
        actual = state.members.get(role, set())
        declared = wanted.members.get(role)
        surplus = actual & set(groups) if declared is None else actual
        for member in sorted(ours.union(declared or ()) - actual):
            plan.add(_membership("Add", "to", role, member, engine.access.add_member(role, member), database))
        for member in sorted(surplus - ours.union(declared or ())):
            plan.add(_membership("Remove", "from", role, member, engine.access.remove_member(role, member), database))
    return plan


def _membership(verb: str, preposition: str, role: str, member: str, statements: list[Any], database: str) -> Step:
    before, after = (None, "member") if verb == "Add" else ("member", None)
    title = "%s %s %s %s" % (verb, member, preposition, role)
    return Step(title, ("access", "members", role, member), before, after, database, statements)


def _grants(
    engine: Any,
    state: AccessState,
    wanted: Wanted,
    database_name: str,
    tables: list[TableName],
    coming: Collection[TableName],
    database: str,
) -> Plan:
    plan = Plan()
    desired = _desired(engine, state, wanted, database_name, tables)
    actual = _with_defaults(state.grants, coming)
    for principal in wanted.managed:
        if principal in state.fixed:
            continue
        wants = {securable: rights for (name, securable), rights in desired.items() if name == principal}
        has = {securable: rights for (name, securable), rights in actual.items() if name == principal}
        missing = {one: rights - has.get(one, frozenset()) for one, rights in wants.items()}
        surplus = {
            one: rights - wants.get(one, frozenset())
            for one, rights in has.items()
            if one.kind in engine.access.REVOCABLE
        }
        plan.extend(_grant_steps("Grant", "to", principal, missing, engine.access.grant, database))
        plan.extend(_grant_steps("Revoke", "from", principal, surplus, engine.access.revoke, database))
    return plan


def _desired(engine: Any, state: AccessState, wanted: Wanted, database_name: str, tables: list[TableName]) -> Grants:
    desired: Grants = {}
    schemas = sorted({table.schema for table in tables})
    rules = {role: model.ROLES[role] for role in model.roles_of(wanted.tier) if role not in state.fixed}
    rules.update({name: group.rules for name, group in model.GROUPS[wanted.tier].items()})
    for principal, needs in rules.items():
        for rule in needs:
            covered = [table for table in tables if rule.covers(table)]
            merge(desired, principal, engine.access.needs(rule.need, database_name, schemas, covered))
    return desired


def _with_defaults(grants: Grants, coming: Collection[TableName]) -> Grants:
    """What there will be once the tables to come are made: default rights apply to them at once."""
    result = dict(grants)
    for (principal, securable), rights in grants.items():
        if securable.kind == "future":
            for table in coming:
                if table.schema == securable.schema:
                    result[(principal, Securable.table(table))] = rights
    return result


def _grant_steps(
    verb: str, preposition: str, principal: str, rights: Mapping[Securable, frozenset[str]], say: Any, database: str
) -> Plan:
    """One step for all securables of a kind that get (or lose) the same rights."""
    together: dict[tuple[str, frozenset[str]], list[Securable]] = {}
    for securable, some in rights.items():
        if some:
            together.setdefault((securable.kind, some), []).append(securable)
    plan = Plan()
    for (kind, some), securables in together.items():
        names, objects = ", ".join(sorted(some)), _described(kind, securables)
        before, after = (None, objects) if verb == "Grant" else (objects, None)
        title = "%s %s on %s %s %s" % (verb, names, objects, preposition, principal)
        path = ("access", "grants", principal, "%s on %s" % (names, kind))
        plan.add(Step(title, path, before, after, database, say(principal, some, securables)))
    return plan


def _described(kind: str, securables: list[Securable]) -> str:
    if len(securables) > _LISTED:
        return "%d %ss" % (len(securables), kind)
    return ", ".join(str(securable) for securable in sorted(securables))
