# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles, logins, users, memberships and grants.

The groups that the product knows are database roles here. Their members are users: of SQL Server logins, or, where a
name has
a backslash (``SERVER\\RetailOfflineSyncUsers``), of the Windows account or group of that name, which gets its login
FROM
WINDOWS. SQL Server knows no rights on tables to come but those on a whole schema, and in dbo there are tables with sales, too. So
they are given by the fixed roles; to tracking tables and to the books of the synchronisation when they are made; all others
at the next run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._errors import ConnectFailed, RetailError, StatementFailed
from .._model import TableName
from .._rights import EXECUTE, READ, SYNCHRONISE, WRITE, AccessState, Grants, Rights, Securable, dump, gather
from . import companions, connect, names, probes

#: Kinds of securables on which rights beyond the wanted ones are taken away from the principals we manage.
REVOCABLE = ("table", "schema")

_BATCH = 100
#: The password was right, and the database cannot be opened, or the password has expired, or must be changed at first. The server
#: says that the login failed (18456) as well.
_PASSED = frozenset({4060, 4064, 18487, 18488})
_REFUSED = 18456
_RIGHTS: dict[str, frozenset[str]] = {
    READ: frozenset({"select"}),
    WRITE: frozenset({"insert", "update", "delete"}),
    SYNCHRONISE: frozenset({"select", "insert", "update", "delete"}),
}

_CASES_ARE_ALIKE = "SELECT 1 / CASE WHEN N'a' = N'A' THEN 1 ELSE 0 END"
_FIXED = "SELECT name FROM sys.database_principals WHERE is_fixed_role = 1 AND principal_id BETWEEN 16384 AND 16399"
_LOGINS = "SELECT name FROM sys.server_principals WHERE type IN ('S', 'U', 'G')"
# A user without a login (type 2: contained, 0: none) is meant so. After a restore, a login's user has a sid that nobody here has.
_PRINCIPALS = """
SELECT 'principal', p.name, N'' FROM sys.database_principals p
UNION ALL SELECT 'orphan', p.name, N'' FROM sys.database_principals p
 WHERE p.type IN ('S', 'U', 'G') AND p.authentication_type IN (1, 3) AND p.principal_id > 4 AND p.sid IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM sys.server_principals l WHERE l.sid = p.sid)
UNION ALL SELECT 'account', p.name, N'' FROM sys.database_principals p WHERE p.type IN ('S', 'U', 'G') AND p.principal_id > 4
UNION ALL SELECT 'member', r.name, m.name FROM sys.database_role_members a
 JOIN sys.database_principals r ON r.principal_id = a.role_principal_id
 JOIN sys.database_principals m ON m.principal_id = a.member_principal_id"""

_GRANTS = """
SELECT g.class, s.name, o.name, o.type, h.name, p.name, LOWER(g.permission_name)
FROM sys.database_permissions g JOIN sys.database_principals p ON p.principal_id = g.grantee_principal_id
LEFT JOIN sys.objects o ON g.class = 1 AND o.object_id = g.major_id LEFT JOIN sys.schemas s ON s.schema_id = o.schema_id
LEFT JOIN sys.schemas h ON g.class = 3 AND h.schema_id = g.major_id
WHERE g.state IN ('G', 'W') AND g.minor_id = 0 AND g.class IN (0, 1, 3)"""

_COMPARE = (
    "SELECT q.name, CAST(PWDCOMPARE(q.password, l.password_hash) AS int) FROM sys.sql_logins AS l "
    "JOIN OPENJSON(CAST(? AS nvarchar(max))) WITH (name nvarchar(128) '$.name', password nvarchar(128) '$.password') "
    "AS q "
    "ON q.name = l.name"
)

_OWNED = "SELECT l.name, d.name FROM sys.databases d JOIN sys.server_principals l ON l.sid = d.owner_sid"
_OWNED_HERE = """
SELECT p.name, DB_NAME() FROM sys.schemas s JOIN sys.database_principals p ON p.principal_id = s.principal_id
UNION SELECT p.name, DB_NAME() FROM sys.database_principals r JOIN sys.database_principals p ON p.principal_id = r.owning_principal_id"""

# A table that the account may do nothing with is one that it does not see: NULL. What does not exist is not asked for.
_LACKING = (
    "SELECT q.kind, q.[schema], q.name, q.privilege FROM OPENJSON(CAST(? AS nvarchar(max))) WITH (kind nvarchar(20) '$.kind', "
    "[schema] nvarchar(128) '$.schema', name nvarchar(128) '$.name', privilege nvarchar(60) '$.privilege') AS q "
    "WHERE q.kind = N'table' AND COALESCE(HAS_PERMS_BY_NAME(CONCAT(QUOTENAME(q.[schema]), N'.', QUOTENAME(q.name)), N'OBJECT', "
    "q.privilege), 0) = 0"
)


def read(server: Any, db: Any | None, principals: Collection[str], passwords: Mapping[str, str | None]) -> AccessState:
    """What there is of these principals and logins, in a handful of statements and none for each of them.

    :param server: a connection to the maintenance database.
    :param db: a connection to the database, None where it does not exist yet.
    :param principals: names of roles, groups and users.
    :param passwords: the declared logins with their passwords, None for a login without one.
    """
    asked = set(principals) | set(passwords)
    # Every database has the same fixed roles, so the maintenance database can tell those of one to come.
    state = AccessState(fixed=frozenset(row[0] for row in (db or server).query(_FIXED)))
    if passwords:
        declared = _Declared(server, passwords)
        state.logins = dict.fromkeys(filter(None, (declared.find(row[0]) for row in server.query(_LOGINS))), True)
    if state.logins:
        state.logins.update(_compare(server, {name: passwords[name] for name in state.logins}))
    if db is not None:
        _add_principals(db, asked, state)
        state.grants = _grants(db, asked)
    return state


def password_works(target: Any, name: str, password: str) -> bool:
    """Whether somebody can log in so, for administrators who may not read the stored hashes.

    :raises RetailError: that cannot be told, because no login from here gets that far.
    """
    try:
        connect.open_connection(replace(target, user=name, password=password)).close()
    except ConnectFailed as error:
        # By words only where a server has no numbers for it.
        if _PASSED.intersection(error.numbers) or "Cannot open database" in error.message:
            return True
        if _REFUSED in error.numbers or "password authentication failed" in error.message:
            return False
        raise RetailError(
            "Whether the password of login %s is the declared one cannot be told: %s" % (name, error.message),
            "Run this with a login that has CONTROL SERVER, or let %s connect from here." % name,
        ) from None
    return True


def needs(
    need: str, database: str, schemas: Sequence[str], tables: Sequence[TableName]
) -> list[tuple[Securable, frozenset[str]]]:
    """The rights that one need takes: on ``tables``, and on what will be made in ``schemas`` later.

    Of those that are made later there are just procedures here; see :func:`hand_on`.
    """
    if need == EXECUTE:
        return [(Securable("schema", schema), frozenset({"execute"})) for schema in schemas]
    return [(Securable.table(table), _RIGHTS[need]) for table in tables]


def lacking(db: Any, wanted: Rights) -> Rights:
    """What the connected account has not of the rights that are wanted, by none of the roles that it is in."""
    return gather(db.query(_LACKING, dump(wanted)))


def bound(server: Any, db: Any | None, logins: Collection[str]) -> dict[str, set[str]]:
    """Which databases these logins own, and whether their users own a schema or a role here: before that ends, none is dropped."""
    declared = _Declared(server, logins)
    found: dict[str, set[str]] = {}
    for owner, database in [*server.query(_OWNED), *(db.query(_OWNED_HERE) if db is not None else ())]:
        name = declared.find(owner)
        if name is not None:
            found.setdefault(name, set()).add(database)
    return found


def create_role(name: str) -> list[str]:
    return ["IF DATABASE_PRINCIPAL_ID(%s) IS NULL CREATE ROLE %s" % (names.literal(name), names.quote(name))]


def create_login(name: str, password: str | None) -> list[str]:
    """A login with a password, or, without one, the login of a Windows account or group.

    :raises RetailError: it has neither a password nor a Windows name, or both.
    """
    if password is not None and "\\" in name:
        raise RetailError(
            "%s is the name of a Windows account, whose password is not SQL Server's affair." % name,
            "Leave its password out, or choose a name without a backslash.",
        )
    if password is not None:
        return [
            _unless_login(name, "CREATE LOGIN %s WITH PASSWORD = %s" % (names.quote(name), names.literal(password)))
        ]
    if "\\" not in name:
        raise RetailError(
            "The login %s has no password." % name,
            "Give it one, or name a Windows account: DOMAIN\\name or SERVER\\name.",
        )
    return [_unless_login(name, "CREATE LOGIN %s FROM WINDOWS" % names.quote(name))]


def set_password(name: str, password: str | None) -> list[str]:
    if password is None:
        return []
    return ["ALTER LOGIN %s WITH PASSWORD = %s" % (names.quote(name), names.literal(password))]


def create_user(name: str) -> list[str]:
    """The user of a login in this database; a Windows name gets its login, too."""
    login = create_login(name, None) if "\\" in name else []
    user = "CREATE USER %s FOR LOGIN %s" % (names.quote(name), names.quote(name))
    return [*login, "IF DATABASE_PRINCIPAL_ID(%s) IS NULL %s" % (names.literal(name), user)]


def drop_login(name: str) -> list[str]:
    there = "EXISTS (SELECT 1 FROM sys.server_principals WHERE name = %s)" % names.literal(name)
    return ["IF %s DROP LOGIN %s" % (there, names.quote(name))]


def drop_user(name: str) -> list[str]:
    """The user of a login in this database; it must not own anything."""
    return ["DROP USER IF EXISTS %s" % names.quote(name)]


def reconnect_user(name: str) -> list[str]:
    """The user gets the login of its name, whatever login it had on the server that the database came from; a Windows name gets
    its login, too: nobody else may have made it here."""
    login = create_login(name, None) if "\\" in name else []
    return [*login, "ALTER USER %s WITH LOGIN = %s" % (names.quote(name), names.quote(name))]


def add_member(role: str, member: str) -> list[str]:
    return ["ALTER ROLE %s ADD MEMBER %s" % (names.quote(role), names.quote(member))]


def remove_member(role: str, member: str) -> list[str]:
    return ["ALTER ROLE %s DROP MEMBER %s" % (names.quote(role), names.quote(member))]


def grant(principal: str, rights: Iterable[str], securables: Sequence[Securable]) -> list[str]:
    """Statements that give the rights on securables of one kind; run in the database itself."""
    who = names.quote(principal)
    return _batches(["GRANT %s ON %s TO %s" % (_list(rights), _securable(one), who) for one in securables])


def hand_on(table: TableName, other: TableName) -> list[str]:
    """Statements for the making of a table: who has been given rights on the first one has the same rights on the other."""
    return [companions.hand_on_rights(table, other)]


def revoke(principal: str, rights: Iterable[str], securables: Sequence[Securable]) -> list[str]:
    # CASCADE, which a right needs that may be handed on, does nothing to any other.
    who = names.quote(principal)
    return _batches(["REVOKE %s ON %s FROM %s CASCADE" % (_list(rights), _securable(one), who) for one in securables])


class _Declared:
    """Names as they were declared, found by those in a catalog: most servers do not tell cases apart, and spell them as they were
    first written.

    :param db: a connection to the database whose collation decides.
    """

    def __init__(self, db: Any, names: Iterable[str]) -> None:
        self._fold = str.casefold if probes.works(db, _CASES_ARE_ALIKE) else str
        self._names = {self._fold(name): name for name in names}

    def find(self, name: str) -> str | None:
        """None where it was not declared."""
        return self._names.get(self._fold(name))


def _add_principals(db: Any, asked: set[str], state: AccessState) -> None:
    declared = _Declared(db, asked)
    for kind, found, member in db.query(_PRINCIPALS):
        name = declared.find(found)
        if name is None:
            continue
        if kind == "member":
            state.members.setdefault(name, set()).add(declared.find(member) or member)
        elif kind == "orphan":
            state.orphans.add(name)
        elif kind == "account":
            state.accounts.add(name)
        else:
            state.principals.add(name)


def _compare(server: Any, passwords: Mapping[str, str | None]) -> dict[str, bool | None]:
    """Whether each login's password is the given one, as the server says; None where it may not or cannot say."""
    asked = {name: password for name, password in passwords.items() if password is not None}
    if not asked:
        return {}
    unknown: dict[str, bool | None] = dict.fromkeys(asked)
    try:
        listed = json.dumps([{"name": name, "password": password} for name, password in asked.items()])
        rows = server.query(_COMPARE, listed)
    except StatementFailed as error:
        if error.kind in ("lost", "transient"):
            raise
        return unknown
    return {**unknown, **{name: None if same is None else bool(same) for name, same in rows}}


def _grants(db: Any, asked: set[str]) -> Grants:
    gathered: dict[tuple[str, Securable], set[str]] = {}
    declared = _Declared(db, asked)
    for kind, schema, name, object_type, own_schema, grantee, right in db.query(_GRANTS):
        principal = declared.find(grantee)
        if principal is not None:
            one = _found(kind, schema, name, object_type, own_schema, db.target.database)
            gathered.setdefault((principal, one), set()).add(right)
    return {key: frozenset(rights) for key, rights in gathered.items()}


def _found(kind: int, schema: str, name: str, object_type: str, own_schema: str, database: str) -> Securable:
    if kind == 0:
        return Securable("database", "", database)
    if kind == 3:
        return Securable("schema", own_schema)
    return Securable("table" if (object_type or "").strip() == "U" else "object", schema or "", name or "")


def _unless_login(name: str, statement: str) -> str:
    return "IF NOT EXISTS (SELECT 1 FROM sys.server_principals WHERE name = %s) %s" % (names.literal(name), statement)


def _list(rights: Iterable[str]) -> str:
    return ", ".join(right.upper() for right in sorted(rights))


def _batches(statements: list[str]) -> list[str]:
    """A statement names one securable, and there are hundreds: many of them make one round trip."""
    return ["; ".join(statements[start : start + _BATCH]) for start in range(0, len(statements), _BATCH)]


def _securable(one: Securable) -> str:
    if one.kind == "schema":
        return "SCHEMA::%s" % names.quote(one.schema)
    if one.kind == "database":
        return "DATABASE::%s" % names.quote(one.name)
    return "OBJECT::%s" % names.quote(one.schema, one.name)
