# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that stand beside another one, such as its tracking."""

from __future__ import annotations

from .._model import TableName
from . import names


def hand_on_rights(table: TableName, companion: TableName, right: str = "SELECT") -> str:
    """Who has rights on the table itself, other than through a role that has them on all tables, must reach its
    companion: its tracking, or another log beside it.

    :param right: the right on the table that tells who.
    """
    place = names.quote(*companion)
    return (
        "DECLARE @statement nvarchar(max) = N''; SELECT @statement = @statement + N'GRANT SELECT, INSERT, UPDATE, "
        "DELETE ON ' + {place} "
        "+ N' TO ' + QUOTENAME(g.name) + N'; ' FROM (SELECT DISTINCT p.name FROM sys.database_permissions d "
        "JOIN sys.database_principals p ON p.principal_id = d.grantee_principal_id WHERE d.class = 1 AND d.minor_id "
        "= 0 "
        "AND d.major_id = OBJECT_ID({base}) AND d.permission_name = N'{right}' AND d.state IN ('G', 'W') AND p.type = "
        "'R' "
        "AND p.name <> N'public') AS g; EXEC (@statement)"
    ).format(place=names.literal(place), base=names.literal(names.quote(*table)), right=right)
