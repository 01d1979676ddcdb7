# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles, logins, memberships and grants.

Groups, database roles and logins are all roles of the cluster; the roles that SQL Server brings (db_datareader …) are
made here like any other. Rights are given per database: on the tables there are, and as default privileges on those
to come.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._errors import ConnectFailed, RetailError, StatementFailed, UnsupportedName
from .._model import TableName
from .._rights import EXECUTE, READ, SYNCHRONISE, WRITE, AccessState, Grants, Rights, Securable, dump, gather
from . import connect, names
from .scram import matches, verifier

#: Kinds of securables on which rights beyond the wanted ones are taken away from the principals we manage.
REVOCABLE = ("table", "future", "schema")

#: Two transactions that change one role, or one membership, end in "tuple concurrently updated". Such locks are a
#: database's own, which is one more reason to change roles on the maintenance database only.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('axops.retail roles', 0))"

_RIGHTS: dict[str, frozenset[str]] = {READ: frozenset({"select"}), WRITE: frozenset({"insert", "update", "delete"})}
_INCARNATION = Securable("function", "pg_catalog", "pg_control_system()")

#: Words that stand for all roles, and for no role.
_NO_ROLES = ("public", "none")

_ASKED = "(SELECT q.name FROM json_to_recordset(CAST(CAST(? AS text) AS json)) AS q(name text))"

# From PostgreSQL 16 on whoever creates a role becomes its member with ADMIN OPTION: that is no member in our sense.
_PRINCIPALS = """
SELECT 'role', r.rolname, '' FROM pg_roles r WHERE r.rolname IN {asked}
UNION ALL SELECT 'login', r.rolname, '' FROM pg_roles r WHERE r.rolcanlogin AND r.rolname IN {asked}
UNION ALL SELECT DISTINCT 'member', r.rolname, m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid
 JOIN pg_roles m ON m.oid = a.member
 WHERE r.rolname IN {asked} AND NOT (a.admin_option AND m.rolname = current_user)""".format(asked=_ASKED)

# Names are aggregated: a role has the same rights on hundreds of tables.
_GRANTS = """
WITH asked AS MATERIALIZED (SELECT oid, rolname FROM pg_roles WHERE rolname IN {asked}),
given AS (
 SELECT 'table' AS kind, n.nspname AS schema, c.relname AS name, e.grantee, e.privilege_type
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) e WHERE c.relkind IN ('r', 'p')
   AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
 UNION ALL SELECT 'schema', n.nspname, '', e.grantee, e.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) e
 UNION ALL SELECT 'database', '', d.datname, e.grantee, e.privilege_type
  FROM pg_database d, aclexplode(d.datacl) e WHERE d.datname = current_database()
 UNION ALL SELECT 'future', n.nspname, '', e.grantee, e.privilege_type FROM pg_default_acl d
  JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) e
  WHERE d.defaclobjtype = 'r' AND d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
 UNION ALL SELECT 'function', 'pg_catalog', 'pg_control_system()', a.oid, 'EXECUTE' FROM asked a
  WHERE has_function_privilege(a.oid, 'pg_catalog.pg_control_system()', 'EXECUTE')
), gathered AS (
 SELECT g.kind, g.schema, g.name, a.rolname, string_agg(DISTINCT lower(g.privilege_type), ',') AS rights
 FROM given g JOIN asked a ON a.oid = g.grantee GROUP BY 1, 2, 3, 4
)
SELECT kind, schema, rolname, rights, CAST(json_agg(name) AS text)
 FROM gathered GROUP BY 1, 2, 3, 4
UNION ALL SELECT 'function', 'pg_catalog', '', 'execute', '["pg_control_system()"]'
 WHERE has_function_privilege('public', 'pg_catalog.pg_control_system()', 'EXECUTE')""".format(asked=_ASKED)

# What does not exist is not lacking. A right on a table is worth nothing without USAGE on its schema, which is asked for by itself.
_LACKING = """
WITH asked AS (
 SELECT * FROM json_to_recordset(CAST(CAST(? AS text) AS json)) AS q(kind text, schema text, name text, privilege text)
)
SELECT a.kind, a.schema, a.name, a.privilege FROM asked a JOIN pg_namespace n ON n.nspname = a.schema
 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = a.name
 WHERE a.kind = 'table' AND NOT has_table_privilege(c.oid, a.privilege)
UNION ALL SELECT a.kind, a.schema, a.name, a.privilege FROM asked a JOIN pg_namespace n ON n.nspname = a.schema
 WHERE a.kind = 'schema' AND NOT has_schema_privilege(n.oid, a.privilege)
UNION ALL SELECT a.kind, a.schema, a.name, a.privilege FROM asked a
 WHERE a.kind = 'database' AND NOT has_database_privilege(current_database(), a.privilege)
UNION ALL SELECT a.kind, a.schema, a.name, a.privilege FROM asked a
 WHERE a.kind = 'function' AND NOT has_function_privilege(a.schema || '.' || a.name, a.privilege)"""

# Owner, rights, and the roles of a policy; what is of no database is said to be of the whole server.
_BOUND = """
SELECT DISTINCT r.rolname, COALESCE(d.datname, 'the whole server') FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
 LEFT JOIN pg_database d ON d.oid = CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid ELSE s.dbid END
 WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype IN ('o', 'a', 'r') AND r.rolname IN {asked}""".format(
    asked=_ASKED
)


def read(server: Any, db: Any | None, principals: Collection[str], passwords: Mapping[str, str | None]) -> AccessState:
    """What there is of these principals and logins, in at most three statements and none for each of them.

    :param server: a connection to the maintenance database.
    :param db: a connection to the database, None where it does not exist yet.
    :param principals: names of roles, groups and users.
    :param passwords: the declared logins with their passwords, None for a login without one.
    """
    state = _principals(db or server, set(principals) | set(passwords), passwords)
    if passwords and state.logins:
        state.logins.update(_compare(db or server, {name: passwords[name] for name in state.logins}))
    if db is None:
        # A fresh database has the cluster's defaults: everybody may ask which database this is.
        state.grants = {(name, _INCARNATION): frozenset({"execute"}) for name in principals}
    else:
        state.grants = _grants(db, principals)
    return state


def password_works(target: Any, name: str, password: str) -> bool:
    """Whether somebody can log in so, for administrators who may not read the stored verifiers.

    :raises RetailError: that cannot be told, because no login from here gets that far.
    """
    try:
        connect.open_connection(replace(target, user=name, password=password)).close()
    except ConnectFailed as error:
        if "password authentication failed" in error.message:
            return False
        raise RetailError(
            "Whether the password of login %s is the declared one cannot be told: %s" % (name, error.message),
            "Connect as a role that may read pg_authid (a superuser), or let this login in from here.",
        ) from None
    return True


def needs(
    need: str, database: str, schemas: Iterable[str], tables: Sequence[TableName]
) -> list[tuple[Securable, frozenset[str]]]:
    """The rights that one need takes: on ``tables``, and on what will be made in ``schemas`` later."""
    if need == SYNCHRONISE:
        here = Securable("database", "", database)
        return [(here, frozenset({"connect", "temporary"})), (_INCARNATION, frozenset({"execute"}))]
    if need == EXECUTE:
        # Functions here are triggers; they run with their owner's rights and need none.
        return [(Securable("schema", schema), frozenset({"usage"})) for schema in schemas]
    wanted = [(Securable("schema", schema), frozenset({"usage"})) for schema in schemas]
    if need == READ:
        # Everybody may connect by default; where an administrator has changed that, readers still may.
        wanted.append((Securable("database", "", database), frozenset({"connect"})))
    wanted += [(Securable("future", schema), _RIGHTS[need]) for schema in schemas]
    return wanted + [(Securable.table(table), _RIGHTS[need]) for table in tables]


def lacking(db: Any, wanted: Rights) -> Rights:
    """What the connected account has not of the rights that are wanted, by none of the roles that it is in."""
    return gather(db.query(_LACKING, dump(wanted)))


def bound(server: Any, db: Any | None, logins: Collection[str]) -> dict[str, set[str]]:
    """In which databases these logins own something or have rights: the server drops none of them before."""
    found: dict[str, set[str]] = {}
    for name, database in server.query(_BOUND, _json(logins)):
        found.setdefault(name, set()).add(database)
    return found


def create_role(name: str) -> list[str]:
    return [_ALONE, _unless_there(name, "CREATE ROLE %s NOLOGIN" % _role(name))]


def create_login(name: str, password: str | None) -> list[str]:
    """The password leaves this process as a SCRAM verifier only: neither the server's log nor a listener learns it."""
    made = "CREATE ROLE %s" % _role(name)
    return [_ALONE, _unless_there(name, made)] + set_password(name, password)


def set_password(name: str, password: str | None) -> list[str]:
    secret = " PASSWORD %s" % names.literal(verifier(password)) if password is not None else ""
    return [_ALONE, "ALTER ROLE %s LOGIN%s" % (names.quote(name), secret)]


def create_user(name: str) -> list[str]:
    """The user of a login in this database: on PostgreSQL a login is that already."""
    return []


def drop_login(name: str) -> list[str]:
    """It must not own anything, nor have rights of its own, in any database of the cluster."""
    return [_ALONE, "DROP ROLE IF EXISTS %s" % _role(name)]


def drop_user(name: str) -> list[str]:
    """The user of a login in this database: on PostgreSQL it goes with the login."""
    return []


def reconnect_user(name: str) -> list[str]:
    """The user gets the login of its name: on PostgreSQL it is one."""
    return []


def add_member(role: str, member: str) -> list[str]:
    return [_ALONE, "GRANT %s TO %s" % (names.quote(role), names.quote(member))]


def remove_member(role: str, member: str) -> list[str]:
    return [_ALONE, "REVOKE %s FROM %s" % (names.quote(role), names.quote(member))]


def grant(principal: str, rights: Iterable[str], securables: Sequence[Securable]) -> list[str]:
    """Statements that give the rights on securables of one kind; run in the database itself."""
    return [
        "%sGRANT %s ON %s TO %s" % (prefix, _list(rights), objects, names.quote(principal))
        for prefix, objects in _objects(securables)
    ]


def hand_on(table: TableName, other: TableName) -> list[str]:
    """Statements for the making of a table, for those who have rights on the first one: none, default privileges reach it."""
    return []


def revoke(principal: str, rights: Iterable[str], securables: Sequence[Securable]) -> list[str]:
    return [
        "%sREVOKE %s ON %s FROM %s" % (prefix, _list(rights), objects, names.quote(principal))
        for prefix, objects in _objects(securables)
    ]


def _principals(db: Any, asked: set[str], passwords: Mapping[str, str | None]) -> AccessState:
    state = AccessState(shared=frozenset({"role", "login", "member"}))
    wanted = _json(asked)
    for kind, name, member in db.query(_PRINCIPALS, wanted, wanted, wanted):
        if kind == "member":
            state.members.setdefault(name, set()).add(member)
        elif kind == "role":
            state.principals.add(name)
        else:
            state.accounts.add(name)
            if name in passwords:
                state.logins[name] = True
    return state


def _compare(db: Any, passwords: Mapping[str, str | None]) -> dict[str, bool | None]:
    """Whether each login's password is the given one; None where the verifiers cannot be read."""
    asked = {name: password for name, password in passwords.items() if password is not None}
    if not asked:
        return {}
    try:
        rows = db.query("SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN " + _ASKED, _json(asked))
    except StatementFailed as error:
        if error.kind != "denied":
            raise
        return dict.fromkeys(asked)
    return {name: matches(stored, asked[name]) for name, stored in rows}


def _grants(db: Any, principals: Collection[str]) -> Grants:
    grants: Grants = {}
    for kind, schema, role, rights, objects in db.query(_GRANTS, _json(principals)):
        for name in json.loads(objects):
            # No role means everybody, those included that are yet to be made.
            for holder in [role] if role else principals:
                grants[(holder, Securable(kind, schema, name))] = frozenset(rights.split(","))
    return grants


def _json(wanted: Iterable[str]) -> str:
    return json.dumps([{"name": name} for name in sorted(wanted)])


def _role(name: str) -> str:
    """The quoted name of a role that is to be made or dropped.

    :raises UnsupportedName: the server keeps such names for itself, or holds none such.
    """
    if name in _NO_ROLES or name.startswith("pg_"):
        raise UnsupportedName(
            "PostgreSQL keeps the name %s for itself." % name,
            "Choose another name for the login or group: none that begins with pg_, and neither public nor none.",
        )
    return names.quote(name)


def _unless_there(role: str, statement: str) -> str:
    # Roles belong to the whole cluster: another database's run may have made the same one since.
    body = (
        "BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) THEN %s; END IF; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END"
    )
    return "DO %s" % names.literal(body % (names.literal(role), statement))


def _list(rights: Iterable[str]) -> str:
    return ", ".join(right.upper() for right in sorted(rights))


def _objects(securables: Sequence[Securable]) -> list[tuple[str, str]]:
    """What stands before GRANT and behind ON; as few statements as the syntax allows."""
    kind = securables[0].kind
    if kind == "future":
        prefix = "ALTER DEFAULT PRIVILEGES IN SCHEMA %s "
        return [(prefix % names.quote(securable.schema), "TABLES") for securable in securables]
    if kind == "function":
        return [("", "FUNCTION %s" % ", ".join("%s.%s" % (item.schema, item.name) for item in securables))]
    quoted = (names.quote(*(part for part in (item.schema, item.name) if part)) for item in securables)
    return [("", "%s %s" % (kind.upper(), ", ".join(quoted)))]
