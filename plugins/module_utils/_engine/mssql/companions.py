# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that stand beside another one, such as its tracking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._model import Column, TableName
from .._rights import BOOKS, LOG
from . import names, sizes, texts, types

#: Copies (c) that a column (b) does not fit into, or that tell other texts apart than the column does. A longer one does no harm.
MISFITS = (
    "FROM INFORMATION_SCHEMA.COLUMNS b JOIN INFORMATION_SCHEMA.COLUMNS c ON c.TABLE_SCHEMA = b.TABLE_SCHEMA "
    "AND c.COLUMN_NAME = b.COLUMN_NAME WHERE (c.DATA_TYPE <> b.DATA_TYPE "
    "OR COALESCE(c.COLLATION_NAME, N'') <> COALESCE(b.COLLATION_NAME, N'') "
    "OR c.CHARACTER_MAXIMUM_LENGTH < b.CHARACTER_MAXIMUM_LENGTH OR c.NUMERIC_PRECISION < b.NUMERIC_PRECISION "
    "OR c.NUMERIC_SCALE < b.NUMERIC_SCALE OR c.DATETIME_PRECISION < b.DATETIME_PRECISION)"
)
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def hand_on_rights(table: TableName, companion: TableName) -> str:
    """Who has a right on the table itself, other than through a role that has it on all tables, gets the same right on its companion:
    its tracking, or another log beside it. Who may only read the one may only read the other.

    But for a role that keeps the books of the synchronisation, and writes other tables of the schema: it writes the companions of
    tables that it may only read, too, as those of a store's transactions.
    """
    place = names.quote(*companion)
    # The catalog has names of rights in a collation of its own, whatever the database's is, and two of them make no one text.
    return (
        "DECLARE @statement nvarchar(max); DECLARE granted CURSOR LOCAL FAST_FORWARD FOR "
        "SELECT N'GRANT ' + g.permission_name COLLATE DATABASE_DEFAULT + N' ON ' + {place} + N' TO ' + QUOTENAME(g.name) "
        "FROM (SELECT DISTINCT p.name, d.permission_name FROM sys.database_permissions AS d "
        "JOIN sys.database_principals AS p ON p.principal_id = d.grantee_principal_id "
        "JOIN sys.tables AS o ON o.object_id = d.major_id "
        "WHERE d.class = 1 AND d.minor_id = 0 AND d.state IN ('G', 'W') AND p.type = 'R' AND p.name <> N'public' "
        "AND d.permission_name IN ({rights}) AND (d.major_id = OBJECT_ID({base}) OR d.permission_name <> N'SELECT' "
        "AND o.schema_id = SCHEMA_ID({schema}) AND NOT (o.schema_id = SCHEMA_ID({of_books}) AND o.name IN ({books})) "
        "AND {reads} AND {logs})) AS g; OPEN granted; FETCH NEXT FROM granted INTO @statement; WHILE @@FETCH_STATUS = 0 BEGIN "
        "EXEC (@statement); FETCH NEXT FROM granted INTO @statement; END; CLOSE granted; DEALLOCATE granted"
    ).format(
        place=names.literal(place),
        base=names.literal(names.quote(*table)),
        rights=_listed(_RIGHTS),
        schema=names.literal(companion.schema),
        of_books=names.literal(LOG.schema),
        books=_listed(sorted(book.name for book in BOOKS)),
        reads=_has("SELECT", table),
        logs=_has("INSERT", LOG),
    )


def copied(column: Column) -> str:
    """SQL: the definition of a copy of a column, but for NULL. It tells apart what the column itself tells apart, and no more."""
    return "%s %s%s" % (names.quote(column.name), types.native(column.type), texts.collated(column))


def fit(table: TableName, companion: TableName, columns: Sequence[Column], index: str, index_on: str) -> str:
    """SQL: the copies of these columns, which the companion has as its primary key, are made as the columns are now, if they are not.

    :param index: the companion's other index, and ``index_on`` its columns: nothing changes under an index.
    """
    place, wanted = names.quote(*companion), _listed(column.name for column in columns)
    key, made = names.quote("PK_" + companion.name), sizes.primary_key(columns)
    steps = [
        "DROP INDEX %s ON %s" % (names.quote(index), place),
        "ALTER TABLE %s DROP CONSTRAINT %s" % (place, key),
        *("ALTER TABLE %s ALTER COLUMN %s NOT NULL" % (place, copied(column)) for column in columns),
        "ALTER TABLE %s ADD CONSTRAINT %s %s (%s)"
        % (place, key, made, ", ".join(names.quote(column.name) for column in columns)),
        "CREATE INDEX %s ON %s (%s)" % (names.quote(index), place, index_on),
    ]
    return (
        "IF EXISTS (SELECT 1 {misfits} AND b.TABLE_SCHEMA = {schema} AND b.TABLE_NAME = {table} AND c.TABLE_NAME = {companion} "
        "AND c.COLUMN_NAME IN ({wanted})) BEGIN {steps}; END"
    ).format(
        misfits=MISFITS,
        schema=names.literal(table.schema),
        table=names.literal(table.name),
        companion=names.literal(companion.name),
        wanted=wanted,
        # As texts: a batch with a statement that a server does not have (Babelfish) would be refused even where nothing is to be done.
        steps="; ".join("EXEC (%s)" % names.literal(step) for step in steps),
    )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(names.literal(value) for value in values)


def _has(right: str, table: TableName) -> str:
    """SQL: the grantee of d has a right on a table."""
    return (
        "EXISTS (SELECT 1 FROM sys.database_permissions AS m WHERE m.class = 1 AND m.minor_id = 0 AND m.state IN ('G', 'W') "
        "AND m.major_id = OBJECT_ID(%s) AND m.permission_name = %s AND m.grantee_principal_id = d.grantee_principal_id)"
        % (names.literal(names.quote(*table)), names.literal(right))
    )
