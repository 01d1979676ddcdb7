# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL Server changes no type under a key or an index: they go and come again just as they were, or the plan says what is in the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from mssql_said import NAME, TABLE, Indexed, dependents, index_row

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table
from ansible_collections.axops.retail.plugins.module_utils._schema import plan

PLACE = "[ax].[INVENT]]TABLE]"
TRACKING = "[ax].[INVENT]]TABLE_tracking]"
LOG = "[ax].[%s]" % Indexed.LOG.replace("]", "]]")


def said(*texts: str, server: type[Indexed] = Indexed) -> list[str]:
    """What is said to give columns their types."""
    return mssql.tables.alter_columns(NAME, [Column.parse(*text.split(" ", 1)) for text in texts], dependents(server()))


def with_rows(**rows: Any) -> type[Indexed]:
    return type("Other", (Indexed,), rows)


def starts(statements: list[str]) -> list[str]:
    """What each statement does, and to what."""
    texts = (one.replace("DECLARE @statement nvarchar(max) = N'", "") for one in statements)
    return [re.split(r" ?\(| WITH", text)[0] for text in texts]


def test_a_key_that_gets_longer_goes_and_comes_again_with_those_of_its_copies() -> None:
    statements = said("ITEMID nvarchar(40) not null")
    key = "CONSTRAINT [PK]]INVENT]"
    own = "CONSTRAINT [PK_INVENT]]TABLE_tracking]"
    log = "CONSTRAINT [PK_%s]" % Indexed.LOG.replace("]", "]]")
    assert starts(statements) == [
        "DROP STATISTICS %s.[plain]" % PLACE,
        "ALTER TABLE %s DROP %s" % (PLACE, key),
        "ALTER TABLE %s ALTER COLUMN [ITEMID] nvarchar" % PLACE,
        "ALTER TABLE %s ADD %s PRIMARY KEY CLUSTERED" % (PLACE, key),
        "CREATE STATISTICS [plain] ON %s" % PLACE,
        "ALTER TABLE %s DROP %s" % (TRACKING, own),
        "ALTER TABLE %s ALTER COLUMN [ITEMID] nvarchar" % TRACKING,
        "ALTER TABLE %s ADD %s PRIMARY KEY CLUSTERED" % (TRACKING, own),
        "ALTER TABLE %s DROP %s" % (LOG, log),
        "ALTER TABLE %s ALTER COLUMN [ITEMID] nvarchar" % LOG,
        "ALTER TABLE %s ADD %s PRIMARY KEY CLUSTERED" % (LOG, log),
    ]
    assert statements[3].endswith(
        "([ITEMID] ASC, [DATAAREAID] DESC) WITH (PAD_INDEX = ON, FILLFACTOR = 90, DATA_COMPRESSION = PAGE) ON [PRIMARY]"
    )
    assert all("nvarchar(40)" in statements[place] and "NOT NULL" in statements[place] for place in (2, 6, 9))


def test_two_columns_of_one_key_make_it_anew_once() -> None:
    statements = starts(said("ITEMID nvarchar(40) not null", "DATAAREAID nvarchar(9) not null"))
    for place, key in ((PLACE, "[PK]]INVENT]"), (TRACKING, "[PK_INVENT]]TABLE_tracking]")):
        own = [text for text in statements if text.startswith("ALTER TABLE %s " % place)]
        assert own == [
            "ALTER TABLE %s DROP CONSTRAINT %s" % (place, key),
            *("ALTER TABLE %s ALTER COLUMN [%s] nvarchar" % (place, name) for name in ("ITEMID", "DATAAREAID")),
            "ALTER TABLE %s ADD CONSTRAINT %s PRIMARY KEY CLUSTERED" % (place, key),
        ]


def test_a_key_too_long_for_a_clustered_index_is_none_in_its_copies() -> None:
    """Of the table itself everything comes again as it was."""
    statements = said("ITEMID nvarchar(447) not null")
    assert any("%s ADD CONSTRAINT [PK]]INVENT] PRIMARY KEY CLUSTERED (" % PLACE in one for one in statements)
    assert any(
        "[PK_INVENT]]TABLE_tracking] PRIMARY KEY NONCLUSTERED ([ITEMID] ASC, [DATAAREAID] ASC)" in one
        for one in statements
    )
    assert not any("INDEX [INVENT]]TABLE_tracking_version]" in one for one in statements)


def test_a_key_that_has_no_room_behind_a_version_goes_from_there() -> None:
    statements = [one for one in said("ITEMID nvarchar(846) not null") if TRACKING in one]
    version = "INDEX [INVENT]]TABLE_tracking_version] ON %s" % TRACKING
    assert starts(statements)[0] == "DROP " + version
    assert statements[-1] == "CREATE NONCLUSTERED %s ([version] ASC) ON [PRIMARY]" % version


def test_a_text_gets_longer_under_no_condition_of_an_index() -> None:
    filtered = index_row("FX", "COUNTED", where="([ITEMID]>N'a')")
    statements = starts(said("ITEMID nvarchar(40) not null", server=with_rows(INDEXES=(filtered,), COPIES=())))
    assert statements[1] == "DROP INDEX [FX] ON %s" % PLACE
    assert statements[3] == "CREATE NONCLUSTERED INDEX [FX] ON %s" % PLACE


def test_under_another_type_no_index_stays_and_what_is_clustered_comes_first() -> None:
    statements = said("ITEMID nchar(40) not null")
    kinds = [text.split(" ON ")[0] for text in starts(statements)]
    assert [kind for kind in kinds[:5] if kind.startswith(("DROP", "ALTER"))] == [
        *(
            "DROP STATISTICS %s.[plain]" % PLACE,
            "DROP INDEX [IX_DAY]",
            "ALTER TABLE %s DROP CONSTRAINT [UQ_PRICE]" % PLACE,
        ),
        *("ALTER TABLE %s DROP CONSTRAINT [PK]]INVENT]" % PLACE, "ALTER TABLE %s ALTER COLUMN [ITEMID] nchar" % PLACE),
    ]
    assert statements[5].startswith("ALTER TABLE %s ADD CONSTRAINT [PK]]INVENT] PRIMARY KEY CLUSTERED" % PLACE)
    assert statements[6] == (
        "ALTER TABLE %s ADD CONSTRAINT [UQ_PRICE] UNIQUE NONCLUSTERED ([PRICE] ASC, [ITEMID] DESC) "
        "WITH (STATISTICS_NORECOMPUTE = ON) ON [PRIMARY]" % PLACE
    )
    assert statements[7] == (
        "CREATE UNIQUE NONCLUSTERED INDEX [IX_DAY] ON %s ([DAY] ASC) INCLUDE ([ITEMID]) "
        "WHERE ([PRICE]>(0) AND [OWNER] IS NOT NULL) WITH (IGNORE_DUP_KEY = ON) ON [FAST]]]" % PLACE
    )


def test_what_names_a_column_in_its_condition_depends_on_it_too() -> None:
    statements = starts(said("PRICE numeric(38,16)"))
    assert [text for text in statements if text.startswith("DROP")] == [
        "DROP STATISTICS %s.[it's]" % PLACE,
        "DROP INDEX [IX_DAY] ON %s" % PLACE,
    ]
    assert any(
        one == "CREATE STATISTICS [it's] ON %s ([DAY]) WHERE ([PRICE]>(0)) WITH NORECOMPUTE" % PLACE
        for one in said("PRICE numeric(38,16)")
    )


def test_an_index_that_nobody_may_use_is_not_usable_afterwards() -> None:
    statements = said("COUNTED bigint")
    assert statements[-3:] == [
        "CREATE NONCLUSTERED INDEX [IX_OLD] ON %s ([COUNTED] ASC) WITH (ALLOW_ROW_LOCKS = OFF, ALLOW_PAGE_LOCKS = OFF) ON [PRIMARY]"
        % PLACE,
        "ALTER INDEX [IX_OLD] ON %s DISABLE" % PLACE,
        "CREATE STATISTICS [plain] ON %s ([ITEMID], [COUNTED])" % PLACE,
    ]


def test_where_nothing_depends_on_a_column_one_plain_change_is_enough() -> None:
    assert len(said("OWNER nvarchar(40)", server=with_rows(INDEXES=(), STATISTICS=()))) == 1


def test_a_copy_that_holds_the_type_already_is_left_alone() -> None:
    assert not [one for one in said("ITEMID nvarchar(10) not null") if TRACKING in one]


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        (("foreign key", "FK_X", "ITEMID", None), "ITEMID nvarchar(40) not null", "foreign key FK_X depends on it"),
        (
            ("computed column", "FULL", None, "([itemid]+N'x')"),
            "ITEMID nvarchar(40) not null",
            "computed column FULL depends",
        ),
        (
            ("check constraint", "CK", None, "([PRICE]>(0))"),
            "PRICE numeric(38,16)",
            "check constraint CK depends on it",
        ),
        (("view or function", "V", "DAY", None), "DAY datetime2", "view or function V depends on it"),
        (("full-text index", None, "NOTE", None), "NOTE nvarchar(max)", "full-text index depends on it"),
        (
            ("change tracking", None, None, None),
            "ITEMID nvarchar(40) not null",
            "and change tracking depends on that one",
        ),
        (
            ("full-text search", None, None, None),
            "ITEMID nvarchar(40) not null",
            "and full-text search depends on that one",
        ),
    ],
)
def test_what_is_not_made_again_is_said_before_anything_is_done(row: tuple[Any, ...], column: str, why: str) -> None:
    with pytest.raises(RetailError) as failure:
        said(column, server=with_rows(OBSTACLES=(("ax", NAME.name, *row),)))
    assert why in failure.value.message
    assert failure.value.message.startswith(
        "Column %s of table ax.INVENT]TABLE cannot get the type " % column.split(maxsplit=1)[0]
    )
    # Another column is none of its business.
    assert said("OWNER uniqueidentifier", server=with_rows(OBSTACLES=(("ax", NAME.name, *row),)))


def test_a_text_gets_longer_under_a_check() -> None:
    check = ("ax", NAME.name, "check constraint", "CK", None, "(len([ITEMID])>(0))")
    assert said("ITEMID nvarchar(40) not null", server=with_rows(OBSTACLES=(check,)))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            (index_row("CX", None, 5), index_row("CX", "COUNTED", 5, is_included=1)),
            "the index CX depends on it, of a kind",
        ),
        ((index_row("PX", "COUNTED", space_type="PS", space="BY_YEAR"),), "the index PX depends on it, of a kind"),
        ((index_row("HX", "COUNTED", is_hypothetical=1),), "the index HX depends on it, of a kind"),
        ((index_row("PK", "COUNTED", 1, "PRIMARY KEY"), index_row("XML", "SHAPE", 3)), "and XML depends on that one"),
    ],
)
def test_an_index_of_another_kind_is_not_made_again(rows: tuple[tuple[Any, ...], ...], why: str) -> None:
    with pytest.raises(RetailError) as failure:
        said("COUNTED bigint", server=with_rows(INDEXES=rows))
    assert why in failure.value.message


def test_no_key_holds_a_text_without_a_limit() -> None:
    with pytest.raises(RetailError, match="no key holds that type"):
        said("ITEMID nvarchar(max) not null")


def _wider(table: Table) -> Mapping[Any, Table]:
    columns = tuple(
        Column.parse("ITEMID", "nvarchar(40) not null") if one.name == "ITEMID" else one for one in table.columns
    )
    return {NAME: Table(NAME, columns, table.primary_key, table.unique, table.indexes)}


def test_the_plan_says_what_is_in_the_way_and_asks_only_where_a_column_changes() -> None:
    asked: list[Any] = []

    def read(names: Any) -> Any:
        asked.append(list(names))
        server = with_rows(OBSTACLES=(("ax", NAME.name, "foreign key", "FK_X", "ITEMID", None),))()
        return mssql.tables.read_dependents(server, names)

    assert not plan.tables(mssql, {NAME: TABLE}, {NAME: TABLE}, "db", ["ax"], read).changed
    assert asked == []
    with pytest.raises(RetailError, match="foreign key FK_X"):
        plan.tables(mssql, {NAME: TABLE}, _wider(TABLE), "db", ["ax"], read)
    assert asked == [[NAME]]
