# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What SQL Server refuses, or does otherwise, that neither a parser nor another server that speaks T-SQL tells: by its documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import sqlglot
from mssql_said import NAME, TABLE, Recorder, applied, everything, unparsed_statements, work

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, mssql
from ansible_collections.axops.retail.plugins.module_utils._engine._filter import Moves
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._sync import pair


def said() -> list[str]:
    return list(dict.fromkeys([*everything(), *unparsed_statements()]))


# ---- collations (the pages "Collation precedence" and "Contained database collations")

#: What the catalog says in words of its own has a collation of its own, whatever the database's is.
_OWN = r"\w+\.(?:permission_name|\w+_desc)\b(?! COLLATE)"


def test_words_of_the_catalog_make_no_text_with_names_unless_told_a_collation() -> None:
    mixed = re.compile(r"%s\s*\+|\+\s*%s" % (_OWN, _OWN))
    assert [batch for batch in said() if mixed.search(batch)] == []
    assert [batch for batch in said() if "permission_name COLLATE DATABASE_DEFAULT +" in batch]


def test_names_are_looked_for_in_a_contained_database_too() -> None:
    asked = [batch for batch in said() if re.search(r"OPENJSON\(.*\$\.s'.*\$\.t'", batch, re.DOTALL)]
    assert len(asked) > 3
    for batch in asked:
        compared = re.findall(r"q\.[st]( COLLATE DATABASE_DEFAULT)? = ", batch)
        assert compared
        assert all(compared)


def test_an_expression_is_told_its_collation_once() -> None:
    made = mssql.images.json_object([("a.b", "r.x"), ("plain", "r.y"), ("c.d", "r.z")])
    assert made.count("REPLACE(") == 2
    assert made.count(" COLLATE ") == 1


# ---- data types (the page "Data type precedence": NULL alone is an int, and so are two of them)


def unions(batch: str) -> Iterator[list[sqlglot.exp.Select]]:
    tree = sqlglot.parse_one(batch, dialect="tsql")
    for union in tree.find_all(sqlglot.exp.Union):
        if not isinstance(union.parent, sqlglot.exp.Union):
            yield list(branches(union))


def branches(node: sqlglot.exp.Expression) -> Iterator[sqlglot.exp.Select]:
    if isinstance(node, sqlglot.exp.Union):
        yield from branches(node.this)
        yield from branches(node.expression)
    elif isinstance(node, sqlglot.exp.Select):
        yield node


def test_a_union_begins_with_values_that_have_types() -> None:
    found = [one for batch in said() if " UNION ALL" in batch.replace("\n", " ") and batch.startswith(("SELECT", "\nSELECT"))
             for one in unions(batch)]  # fmt: skip
    assert len(found) > 10
    for first, *_others in found:
        bare = [column for column in first.expressions if isinstance(column.unalias(), sqlglot.exp.Null)]
        assert bare == [], first.sql(dialect="tsql")


# ---- columns that no statement may name beside others (the pages "Use column sets" and "Temporal table considerations and limitations")


class Filled:
    """A catalog with a table that has a column of each kind that the server fills."""

    def query(self, sql: str, *_parameters: str) -> list[tuple[object, ...]]:
        if "INFORMATION_SCHEMA.COLUMNS c WHERE" in sql:
            names = ("ID", "SUM", "SET", "SINCE")
            return [("ax", "FILLED", name, "int", None, 10, 0, None, "NO", None, None) for name in names]
        filled = {"is_computed = 1": "SUM", "is_column_set = 1": "SET", "generated_always_type <> 0": "SINCE"}
        found = [("ax", "FILLED", name, "computed", 0, 0) for words, name in filled.items() if words in sql]
        return [("ax", "FILLED", "", "table", 0, 0), ("ax", "FILLED", "ID", "primary", 1, 1), *found]


def test_what_the_server_fills_is_none_of_the_columns() -> None:
    [table] = mssql.tables.read(Filled()).values()
    assert [column.name for column in table.columns] == ["ID"]


# ---- masks (the page "Dynamic data masking": who copies without UNMASK copies masks)


def test_a_mask_does_not_travel_as_a_value() -> None:
    class Masked(Recorder):
        def query(self, sql: str, *parameters: str) -> list[tuple[str, ...]]:
            self.execute(sql, *parameters)
            return [("ax", "CARD", "OWNER"), ("ax", "CARD", "PIN"), ("dbo", "OTHER", "X")]

    db = Masked()
    masked = mssql.tables.masked(db)
    assert masked == {TableName("ax", "CARD"): "OWNER", TableName("dbo", "OTHER"): "X"}
    assert "sys.masked_columns" in db.said[0]
    pair.check_masks(db, masked, [NAME])
    with pytest.raises(
        RetailError, match=r"^The column OWNER of ax\.CARD in localhost/RetailChannel is masked, and the account"
    ) as failure:
        pair.check_masks(db, masked, [NAME, TableName("ax", "CARD")])
    assert "GRANT UNMASK TO" in failure.value.advice


# ---- SET ROWCOUNT (its page: it bounds the statements of triggers, too)


def test_triggers_write_all_rows_however_few_their_statement_was_to_write() -> None:
    moves = [Moves(NAME, ("ITEMID", "DATAAREAID"), entering) for entering in (True, False)]
    statements = [*mssql.tracking.create(TABLE), *(one for log in moves for one in mssql.moves.create(log, TABLE))]
    triggers = [one for one in statements if "CREATE TRIGGER" in one]
    assert len(triggers) == 8
    assert all("SET NOCOUNT ON; SET ROWCOUNT 0; " in one for one in triggers)


# ---- lengths of keys (the page "Maximum capacity specifications": 900 bytes in a clustered index, 1,700 in any other)


def keyed(*types: str) -> Table:
    columns = tuple(Column("K%d" % number, text, False) for number, text in enumerate(types))
    return Table(TableName("ax", "LONG"), columns, tuple(column.name for column in columns))


@pytest.mark.parametrize(
    ("types", "width"),
    [
        (("nvarchar(450)",), 900),
        (("varchar(10)", "char(3)", "nchar(3)", "varbinary(4)", "binary(2)", "sysname"), 10 + 3 + 6 + 4 + 2 + 256),
        (("bigint", "int", "smallint", "tinyint", "bit", "date", "uniqueidentifier"), 8 + 4 + 2 + 1 + 1 + 3 + 16),
        (("datetime", "smalldatetime", "datetime2", "datetime2(3)", "time", "money"), 8 + 4 + 8 + 8 + 5 + 8),
        (("numeric(32,16)", "decimal", "float", "real"), 17 + 17 + 8 + 4),
        (("nvarchar(max)",), 1_700),
    ],
)
def test_how_long_a_key_may_get(types: tuple[str, ...], width: int) -> None:
    assert mssql.sizes.width(keyed(*types).columns) == width


@pytest.mark.parametrize(
    ("types", "kind", "behind"),
    [
        (("nvarchar(450)",), "PRIMARY KEY (", True),
        (("nvarchar(440)", "nvarchar(11)"), "PRIMARY KEY NONCLUSTERED (", True),
        (("nvarchar(846)",), "PRIMARY KEY NONCLUSTERED (", True),
        (("nvarchar(846)", "tinyint"), "PRIMARY KEY NONCLUSTERED (", False),
    ],
)
def test_a_key_that_the_table_holds_is_held_by_its_copies(types: tuple[str, ...], kind: str, behind: bool) -> None:
    table = keyed(*types)
    key = ", ".join("[%s]" % name for name in table.primary_key)
    made, _escalation, *others = mssql.tracking.create(table)
    fits = next(one for one in others if "ADD CONSTRAINT" in one)
    index = "[LONG_tracking_version] ON [ax].[LONG_tracking] (version%s)" % (", " + key if behind else "")
    for statement in (made, fits):
        assert kind + key in statement
        assert index in statement
    [log] = [
        one for one in mssql.moves.create(Moves(table.name, table.primary_key, False), table) if "CREATE TABLE" in one
    ]
    assert kind + key in log
    [own] = mssql.tables.create(table)
    assert kind + key in own


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (("nvarchar(446)",), "PRIMARY KEY (c0, beside)"),
        (("nvarchar(447)",), "PRIMARY KEY NONCLUSTERED (c0, beside)"),
        (("varbinary(900)",), "PRIMARY KEY (c0)"),
        (("varbinary(901)",), "PRIMARY KEY NONCLUSTERED (c0)"),
    ],
)
def test_a_long_key_lands(types: tuple[str, ...], kind: str) -> None:
    [made] = [one for one in applied(work(keyed(*types))) if "CREATE TABLE #" in one]
    assert made.endswith("%s)" % kind)
