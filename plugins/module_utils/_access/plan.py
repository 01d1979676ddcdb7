# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the roles, groups, logins and grants that are there to those that should be, both ways.

Managed are the tier's roles and groups, and those that declare what they may do: their rights, and their memberships among
each other. Declared members are added; who is not declared is removed from an exclusive group only. Logins that are not
declared are left alone.
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
    :param members: members of groups (or roles), for those that are declared.
    :param logins: passwords by login name, None for one without a password.
    :param permissions: what a group may do, for those that declare it: one of the tier's then has just that, any other is
        made with it.
    :param exclusive: the groups that have no other members than the declared ones.
    :param keep_passwords: the logins whose password is set when they are made, and never again.
    :param gone: the logins that must not be there.
    """

    tier: str
    members: Mapping[str, Collection[str]] = field(default_factory=dict)
    logins: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    permissions: Mapping[str, Collection[str]] = field(default_factory=dict)
    exclusive: Collection[str] = ()
    keep_passwords: Collection[str] = ()
    gone: Collection[str] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.members) - set(self.managed))
        if unknown:
            raise RetailError(
                "%s is no group of the %s database." % (unknown[0], self.tier),
                "Say in permissions what it may do, or choose one of: %s." % ", ".join(self.managed),
            )
        both = sorted(set(self.managed).intersection({*self.logins, *self.gone}))
        if both:
            raise RetailError("%s is declared a group, and a login." % both[0], "Give one of them another name.")
        self._check_circles()
        needed = sorted(set(self.gone).intersection(set().union(*self.members.values())))
        if needed:
            raise RetailError("The login %s is declared absent, and a member." % needed[0], "Take one of them out.")

    def _check_circles(self) -> None:
        """:raises RetailError: a group would be a member of itself, be it by way of others."""
        within = {name: set(members) for name, members in self.members.items()}
        for name, group in self.groups.items():
            for role in group.roles:
                within.setdefault(role, set()).add(name)
        for name, members in within.items():
            below, seen = set(members), set()
            while below:
                member = below.pop()
                if member == name:
                    raise RetailError(
                        "The group %s would be a member of itself." % name, "Take out one of the members."
                    )
                if member not in seen:
                    seen.add(member)
                    below |= within.get(member, set())

    @property
    def groups(self) -> dict[str, model.Group]:
        """The tier's groups and the declared ones, with what they may do."""
        declared = {name: model.permitted(self.tier, name, some) for name, some in self.permissions.items()}
        return {**model.GROUPS[self.tier], **declared}

    @property
    def roles(self) -> list[str]:
        return model.roles_of(self.tier, self.groups.values())

    @property
    def managed(self) -> list[str]:
        """The groups and roles."""
        return [*self.groups, *self.roles]


def read(server: Any, db: Any | None, wanted: Wanted) -> AccessState:
    """What there is of all that ``wanted`` names.

    :param server: a connection to the maintenance database.
    :param db: a connection to the database, None where it does not exist yet.
    :raises RetailError: whether a login's password is right cannot be told; a name cannot be; or the login that connects is to go.
    """
    principals = set(wanted.managed).union(*wanted.members.values(), wanted.logins, wanted.gone)
    for name in sorted(principals):
        server.engine.names.check(name)
    if server.target.user in wanted.gone:
        raise RetailError(
            "The login %s, which is declared absent, is the one that connects." % server.target.user,
            "Connect with another one, or leave it out.",
        )
    access = server.engine.access
    checked = {name: None if name in wanted.keep_passwords else word for name, word in wanted.logins.items()}
    state = access.read(server, db, principals, {**checked, **dict.fromkeys(wanted.gone)})
    for name, same in list(state.logins.items()):
        if same is None:
            state.logins[name] = access.password_works((db or server).target, name, wanted.logins[name])
    leaving = set(wanted.gone).intersection(state.logins)
    state.bound = access.bound(server, db, sorted(leaving)) if leaving else {}
    return state


def removal_plan(engine: Any, state: AccessState, wanted: Wanted, server: str, database_name: str = "") -> Plan:
    """The steps that remove the logins that must not be there, once their database is gone.

    :param database_name: the database that goes before them, with all that they have there.
    :raises RetailError: one owns something elsewhere, or has rights there that keep it.
    """
    plan = Plan()
    for name in sorted(state.bound):
        places = sorted(state.bound[name] - {database_name})
        if places:
            raise RetailError(
                "The login %s, which is declared absent, owns something, or has rights of its own, in %s: the server would not drop it."
                % (name, ", ".join(places)),
                "Give there what it owns to another one, and revoke its rights (on PostgreSQL with REASSIGN OWNED and DROP OWNED).",
            )
    for name in sorted(set(wanted.gone).intersection(state.logins)):
        path = ("access", "logins", name)
        plan.add(Step("Drop login %s" % name, path, "present", None, server, engine.access.drop_login(name)))
    return plan


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
    :raises RetailError: a member is declared that exists nowhere, or a group that is somebody's login.
    """
    for name in sorted(set(wanted.permissions).intersection(state.accounts)):
        raise RetailError(
            "%s is declared a group, and is a login on this server: it would lose all other rights that it has." % name,
            "Give the group another name, and make the login a member of it.",
        )
    plan = Plan()
    tables = sorted({*there, *coming})
    place = {what: server or database if what in state.shared else database for what in ("role", "login", "member")}
    for name in wanted.managed:
        if name not in state.principals and name not in state.fixed:
            plan.add(_present("role", name, engine.access.create_role(name), place["role"]))
    for name, password in wanted.logins.items():
        plan.extend(_login(engine, state, name, password, place["login"]))
    plan.extend(_users(engine, state, wanted, database))
    plan.extend(_orphans(engine, state, wanted, database))
    plan.extend(_members(engine, state, wanted, place["member"]))
    plan.extend(_grants(engine, state, wanted, database_name, tables, set(tables) - set(there), database))
    plan.extend(_gone(engine, state, wanted, database, place["login"]))
    return plan


def _gone(engine: Any, state: AccessState, wanted: Wanted, database: str, server: str) -> Plan:
    """Users, on an engine that tells them from logins, go before their logins."""
    plan = Plan()
    for name in sorted(set(wanted.gone).intersection(state.principals)):
        statements = engine.access.drop_user(name)
        if statements:
            path = ("access", "users", name)
            plan.add(Step("Drop user %s" % name, path, "present", None, database, statements))
    plan.extend(removal_plan(engine, state, wanted, server))
    return plan


def _orphans(engine: Any, state: AccessState, wanted: Wanted, database: str) -> Plan:
    """Users whose login is another server's, as after a restore: they get the login of their name here."""
    plan = Plan()
    asked = set(wanted.logins).union(*wanted.members.values())
    for name in sorted(asked.intersection(state.orphans)):
        title, path = "Reconnect user %s with its login" % name, ("access", "users", name)
        statements = engine.access.reconnect_user(name)
        plan.add(Step(title, path, "without its login", "with its login", database, statements))
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
    groups = wanted.groups
    for role in wanted.managed:
        ours = {name for name, group in groups.items() if role in group.roles}
        actual = state.members.get(role, set())
        declared = wanted.members.get(role, ())
        surplus = actual if role in wanted.exclusive else actual & set(groups)
        for member in sorted(ours.union(declared) - actual):
            plan.add(_membership("Add", "to", role, member, engine.access.add_member(role, member), database))
        for member in sorted(surplus - ours.union(declared)):
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
    rules = {role: model.ROLES[role] for role in wanted.roles if role not in state.fixed}
    rules.update({name: group.rules for name, group in wanted.groups.items()})
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
