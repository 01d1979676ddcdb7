# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database as Microsoft's utility leaves it: the objects of Sync Framework 2.1, with the names and columns that its
SqlSyncScopeProvisioning gives them, and triggers that track as its own do.

On SQL Server they have its own form. On PostgreSQL, where Sync Framework never ran, they are a stand-in with the same names and
columns: what the product recognises, refuses and takes over is tested with them where there is no SQL Server.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.axops.retail.plugins.module_utils._engine._model import Table, TableName

SERVICE = "Retail Offline Sync Service"
#: Its procedures, with the parameters besides the columns.
ROUTINES = {
    "selectchanges": ("sync_min_timestamp", "sync_scope_local_id", "sync_scope_restore_count", "sync_update_peer_key"),
    "selectrow": ("sync_scope_local_id", "sync_scope_restore_count"),
    "insert": ("sync_row_count",),
    "update": ("sync_force_write", "sync_min_timestamp", "sync_row_count"),
    "delete": ("sync_force_write", "sync_min_timestamp", "sync_row_count"),
    "insertmetadata": ("sync_scope_local_id", "sync_row_is_tombstone", "sync_check_concurrency", "sync_row_count"),
    "updatemetadata": ("sync_scope_local_id", "sync_row_is_tombstone", "sync_check_concurrency", "sync_row_count"),
    "deletemetadata": ("sync_check_concurrency", "sync_row_timestamp", "sync_row_count"),
    "bulkinsert": ("sync_min_timestamp", "sync_scope_local_id"),
    "bulkupdate": ("sync_min_timestamp", "sync_scope_local_id"),
    "bulkdelete": ("sync_min_timestamp", "sync_scope_local_id"),
}
_TRACKING = (
    ("update_scope_local_id", "int"),
    ("scope_update_peer_key", "int"),
    ("scope_update_peer_timestamp", "bigint"),
    ("local_update_peer_key", "int NOT NULL"),
    ("local_update_peer_timestamp", "{stamp} NOT NULL"),
    ("create_scope_local_id", "int"),
    ("scope_create_peer_key", "int"),
    ("scope_create_peer_timestamp", "bigint"),
    ("local_create_peer_key", "int NOT NULL"),
    ("local_create_peer_timestamp", "bigint NOT NULL"),
    ("sync_row_is_tombstone", "int NOT NULL"),
    ("restore_timestamp", "bigint"),
    ("last_change_datetime", "{moment}"),
)


def provision(db: Any, scopes: Mapping[str, Sequence[Table]], status: str = "C") -> None:
    """Provision the tables, which are there, for these scopes; rows that are there count as changed here."""
    for statement in _books(db):
        db.execute(statement)
    for name, tables in scopes.items():
        config = str(uuid.uuid4())
        adapters = "".join(_adapter(table.name) for table in tables)
        db.execute(
            "INSERT INTO dbo.scope_config (config_id, config_data, scope_status) VALUES (?, CAST(? AS xml), ?)",
            config,
            '<SqlSyncProviderScopeConfiguration IsTemplate="false">%s</SqlSyncProviderScopeConfiguration>' % adapters,
            status,
        )
        db.execute(
            "INSERT INTO dbo.scope_info (scope_id, sync_scope_name, scope_config_id) VALUES (?, ?, ?)",
            str(uuid.uuid4()), name, config,
        )  # fmt: skip
        for table in tables:
            for statement in _tracked(db, table):
                db.execute(statement)


def arrive(db: Any, table: Table, where: str, scope: int = 1) -> None:
    """Note of some rows that they came by a scope, as its bulk procedures do after writing them."""
    quote = db.engine.names.quote
    db.execute(
        "UPDATE %s SET update_scope_local_id = %d, scope_update_peer_key = 1, scope_update_peer_timestamp = 7 WHERE %s"
        % (quote(*table.name.with_suffix("_tracking")), scope, where)
    )


def objects(db: Any) -> list[str]:
    """The names of all tables, triggers, routines and types of the database that are Sync Framework's by their names."""
    if db.engine.__name__.endswith("mssql"):
        sql = (
            "SELECT LOWER(name) FROM sys.tables UNION ALL SELECT LOWER(name) FROM sys.triggers "
            "UNION ALL SELECT LOWER(name) FROM sys.procedures UNION ALL SELECT LOWER(name) FROM sys.table_types"
        )
    else:
        sql = (
            "SELECT lower(relname) FROM pg_class WHERE relkind = 'r' UNION ALL SELECT lower(tgname) FROM pg_trigger "
            "UNION ALL SELECT lower(proname) FROM pg_proc WHERE pronamespace <> 'pg_catalog'::regnamespace "
            "UNION ALL SELECT lower(typname) FROM pg_type WHERE typtype = 'c' "
            "AND typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c')"
        )
    endings = ("_tracking", "_bulktype", *("_%s_trigger" % event for event in ("insert", "update", "delete")))
    endings += tuple("_" + routine for routine in ROUTINES)
    books = ("scope_info", "scope_config", "schema_info", "scope_templates", "scope_parameters")
    return sorted(row[0] for row in db.query(sql) if row[0].endswith(endings) or row[0] in books)


def _books(db: Any) -> list[str]:
    is_mssql = db.engine.__name__.endswith("mssql")
    words = {
        "guid": "uniqueidentifier" if is_mssql else "uuid",
        "bytes": "varbinary(max)" if is_mssql else "bytea",
        "stamp": "rowversion" if is_mssql else "bigint",
        "text": "nvarchar" if is_mssql else "varchar",
        "long": "nvarchar(max)" if is_mssql else "text",
        "number": "int IDENTITY(1,1)" if is_mssql else "int GENERATED BY DEFAULT AS IDENTITY",
    }
    info = (
        "CREATE TABLE dbo.schema_info (schema_major_version int NOT NULL, schema_minor_version int NOT NULL, "
        "schema_extended_info {text}(100) NOT NULL, CONSTRAINT PK_schema_info PRIMARY KEY (schema_major_version, "
        "schema_minor_version))"
    )
    config = (
        "CREATE TABLE dbo.scope_config (config_id {guid} NOT NULL, config_data xml NOT NULL, scope_status char(1), "
        "CONSTRAINT PK_scope_config PRIMARY KEY (config_id))"
    )
    scopes = (
        "CREATE TABLE dbo.scope_info (scope_local_id {number} NOT NULL, scope_id {guid} NOT NULL, "
        "sync_scope_name {text}(100) NOT NULL, scope_sync_knowledge {bytes}, scope_tombstone_cleanup_knowledge {bytes}, "
        "scope_timestamp {stamp}, scope_config_id {guid}, scope_restore_count int NOT NULL DEFAULT 0, "
        "scope_user_comment {long}, CONSTRAINT PK_scope_info PRIMARY KEY (sync_scope_name))"
    )
    statements = (
        info,
        "INSERT INTO dbo.schema_info VALUES (2, 1, '')",
        config,
        scopes,
        "CREATE TABLE dbo.scope_templates (template_name {text}(100) NOT NULL PRIMARY KEY)",
        "CREATE TABLE dbo.scope_parameters (sync_scope_name {text}(100) NOT NULL PRIMARY KEY)",
    )
    return [statement.format(**words) for statement in statements]


def _adapter(table: TableName) -> str:
    name = "[%s].[%s" % table
    return (
        '<Adapter Name="{0}]" GlobalName="{0}]" TrackingTable="{0}_tracking]" SelChngProc="{0}_selectchanges]" '
        'SelRowProc="{0}_selectrow]" BulkTableType="{0}_BulkType]" InsTrig="{0}_insert_trigger]" '
        'UpdTrig="{0}_update_trigger]" DelTrig="{0}_delete_trigger]" />'.format(name)
    )


def _tracked(db: Any, table: Table) -> list[str]:
    return (_mssql if db.engine.__name__.endswith("mssql") else _postgresql)(db.engine, table)


def _tracking_table(engine: Any, table: Table, stamp: str, moment: str) -> str:
    quote = engine.names.quote
    keys = ["%s %s NOT NULL" % (quote(one.name), engine.types.native(one.type)) for one in table.key_columns]
    columns = ["%s %s" % (name, kind.format(stamp=stamp, moment=moment)) for name, kind in _TRACKING]
    return "CREATE TABLE %s (%s, CONSTRAINT %s PRIMARY KEY (%s))" % (
        quote(*table.name.with_suffix("_tracking")),
        ", ".join(keys + columns),
        quote("PK_%s.%s_tracking" % table.name),
        ", ".join(quote(name) for name in table.primary_key),
    )


def _merge(engine: Any, table: Table, source: str, tombstone: int, stamp: str, now: str) -> tuple[str, str]:
    """What a trigger does: the tracking rows that there are, and those that there are not."""
    quote = engine.names.quote
    side = quote(*table.name.with_suffix("_tracking"))
    match = " AND ".join("side.{0} = i.{0}".format(quote(name)) for name in table.primary_key)
    keys = ", ".join(quote(name) for name in table.primary_key)
    stamped, value = (", local_update_peer_timestamp", ", " + stamp) if stamp else ("", "")
    change = (
        "SET sync_row_is_tombstone = %d, local_update_peer_key = 0, restore_timestamp = NULL, "
        "update_scope_local_id = NULL, last_change_datetime = %s" % (tombstone, now)
    )
    change += ", local_update_peer_timestamp = %s" % stamp if stamp else ""
    created = stamp or "CAST(@@DBTS AS bigint) + 1"
    insert = (
        "INSERT INTO {side} ({keys}, create_scope_local_id, local_create_peer_key, local_create_peer_timestamp, "
        "update_scope_local_id, local_update_peer_key, sync_row_is_tombstone, last_change_datetime{stamped}) "
        "SELECT {from_keys}, NULL, 0, {created}, NULL, 0, {tombstone}, {now}{value} FROM {source} i "
        "WHERE NOT EXISTS (SELECT 1 FROM {side} AS side WHERE {match})"
    ).format(
        side=side, keys=keys, stamped=stamped, value=value, created=created, tombstone=tombstone, now=now, source=source,
        match=match, from_keys=", ".join("i." + quote(name) for name in table.primary_key),
    )  # fmt: skip
    if stamp:
        return "UPDATE %s AS side %s FROM %s i WHERE %s" % (side, change, source, match), insert
    return "UPDATE side %s FROM %s AS side JOIN %s AS i ON %s" % (change, side, source, match), insert


def _mssql(engine: Any, table: Table) -> list[str]:
    quote = engine.names.quote
    schema, name = table.name
    statements = [_tracking_table(engine, table, "rowversion", "datetime NULL")]
    _update, existing = _merge(engine, table, quote(*table.name), 0, "", "GETDATE()")
    statements.append(existing)
    for event, source, tombstone in (("insert", "INSERTED", 0), ("update", "INSERTED", 0), ("delete", "DELETED", 1)):
        update, insert = _merge(engine, table, source, tombstone, "", "GETDATE()")
        statements.append(
            "CREATE TRIGGER %s ON %s FOR %s AS BEGIN SET NOCOUNT ON; %s; %s; END"
            % (quote(schema, "%s_%s_trigger" % (name, event)), quote(*table.name), event.upper(), update, insert)
        )
    columns = ["%s %s NULL" % (quote(one.name), engine.types.native(one.type)) for one in table.travelling_columns]
    columns += ["sync_update_peer_timestamp bigint", "sync_update_peer_key int", "sync_create_peer_timestamp bigint"]
    bulk = quote(schema, name + "_BulkType")
    statements.append("CREATE TYPE %s AS TABLE (%s)" % (bulk, ", ".join(columns)))
    for routine, parameters in ROUTINES.items():
        given = ["@%s bigint" % parameter for parameter in parameters]
        given += ["@changeTable %s READONLY" % bulk] if routine.startswith("bulk") else []
        statements.append(
            "CREATE PROCEDURE %s %s AS BEGIN SELECT 1 FROM %s WHERE update_scope_local_id IS NULL END"
            % (quote(schema, "%s_%s" % (name, routine)), ", ".join(given), quote(*table.name.with_suffix("_tracking")))
        )
    second = quote(schema, "%s_selectchanges_%s" % (name, uuid.uuid4()))
    return [*statements, "CREATE PROCEDURE %s @sync_min_timestamp bigint AS SELECT 1" % second]


def _postgresql(engine: Any, table: Table) -> list[str]:
    quote = engine.names.quote
    schema, name = table.name
    stamp = "txid_current()"
    statements = [_tracking_table(engine, table, "bigint", "timestamp")]
    _update, existing = _merge(engine, table, quote(*table.name), 0, stamp, "now()")
    statements.append(existing)
    for event, source, tombstone in (("insert", "new", 0), ("update", "new", 0), ("delete", "old", 1)):
        update, insert = _merge(engine, table, "changed", tombstone, stamp, "now()")
        trigger = "%s_%s_trigger" % (name, event)
        statements += [
            "CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; %s; RETURN NULL; END $$"
            % (quote(schema, trigger), update, insert),
            "CREATE TRIGGER %s AFTER %s ON %s REFERENCING %s TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION %s()"
            % (quote(trigger), event.upper(), quote(*table.name), source.upper(), quote(schema, trigger)),
        ]
    keys = ["%s %s" % (quote(one.name), engine.types.native(one.type)) for one in table.travelling_columns]
    statements.append("CREATE TYPE %s AS (%s)" % (quote(schema, name + "_BulkType"), ", ".join(keys)))
    for routine, parameters in ROUTINES.items():
        given = ", ".join("%s bigint" % parameter for parameter in parameters)
        statements.append(
            "CREATE PROCEDURE %s (%s) LANGUAGE sql AS $$ SELECT 1 $$"
            % (quote(schema, "%s_%s" % (name, routine)), given)
        )
    return statements
