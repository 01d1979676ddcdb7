# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for the tables of a database: said by comparing values, so no database is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._schema import plan, widening

ENGINE = _engine.speaker("postgresql")
NAME = TableName("ax", "CARD")


def card(unique=(), indexes=(), **columns: str) -> Table:
    parsed = tuple(Column.parse(name, text) for name, text in {"ID": "bigint not null", **columns}.items())
    return Table(NAME, parsed, ("ID",), tuple(unique), tuple(indexes))


def planned(actual: Table | None, desired: Table):
    there = {} if actual is None else {actual.name: actual}
    return plan.tables(ENGINE, there, {desired.name: desired}, "db", ["ax"])


def test_nothing_to_do_for_equal_tables():
    table = card(unique=[("A",)], A="nvarchar(20) not null default ''")
    assert not planned(table, table).changed


def test_a_missing_table_is_created_with_its_schema():
    result = plan.tables(ENGINE, {}, {NAME: card(A="int")}, "db", ["public"])
    assert result.titles == ["Create schema ax", "Create table ax.CARD"]
    assert result.diff()["after"]["tables"]["ax.CARD"]["columns"] == {"ID": "bigint not null", "A": "int"}


def test_missing_columns_are_added_in_one_statement():
    result = planned(card(), card(A="int not null default 0", B="nvarchar(max)"))
    assert result.titles == ["Add columns A, B to ax.CARD"]
    assert len(result.steps[0].statements) == 1
    assert result.diff() == {
        "before": {"tables": {"ax.CARD": {}}},
        "after": {"tables": {"ax.CARD": {"columns": {"A": "int not null default 0", "B": "nvarchar(max)"}}}},
    }


def test_a_missing_column_that_cannot_be_filled_is_an_error():
    with pytest.raises(RetailError, match=r"Column A of table ax\.CARD is missing; it must not be null"):
        planned(card(), card(A="int not null"))


def test_a_column_is_widened_and_keeps_its_default():
    result = planned(card(A="nvarchar(10) not null default 'x'"), card(A="nvarchar(20) not null default 'x'"))
    assert result.titles == ["Widen column A of table ax.CARD to nvarchar(20)"]
    assert result.steps[0].after == {"A": "nvarchar(20) not null default 'x'"}


def test_columns_of_one_table_are_widened_in_one_step():
    result = planned(card(A="int", B="int not null"), card(A="bigint", B="int"))
    assert result.titles == ["Widen column A of table ax.CARD to bigint; allow NULL in column B of table ax.CARD"]
    assert result.diff()["before"] == {"tables": {"ax.CARD": {"columns": {"A": "int", "B": "int not null"}}}}
    assert result.diff()["after"] == {"tables": {"ax.CARD": {"columns": {"A": "bigint", "B": "int"}}}}


def test_a_wider_column_is_left_alone():
    assert not planned(card(A="nvarchar(50)"), card(A="nvarchar(20)")).changed
    assert not planned(card(A="bigint"), card(A="int")).changed


def test_widening_and_adding_stand_side_by_side_in_the_diff():
    result = planned(card(A="int"), card(A="bigint", B="int"))
    assert result.diff()["before"] == {"tables": {"ax.CARD": {"columns": {"A": "int"}}}}
    assert result.diff()["after"] == {"tables": {"ax.CARD": {"columns": {"A": "bigint", "B": "int"}}}}


def test_null_is_allowed_where_the_release_allows_it_but_never_forbidden():
    assert planned(card(A="int not null"), card(A="int")).titles == ["Allow NULL in column A of table ax.CARD"]
    assert not planned(card(A="int"), card(A="int not null default 0")).changed


@pytest.mark.parametrize(("has", "wants"), [("nvarchar(20)", "int"), ("[point]", "int"), ("datetime", "date")])
def test_another_type_is_an_error(has, wants):
    actual = replace(card(), columns=(*card().columns, Column("A", has)))
    with pytest.raises(RetailError, match=r"column A of table ax\.CARD has type"):
        planned(actual, card(A=wants))


def test_another_primary_key_is_an_error():
    table = card(A="int not null")
    with pytest.raises(RetailError, match=r"primary key of table ax\.CARD is \(ID\) here; the release has \(A\)"):
        planned(table, replace(table, primary_key=("A",)))


def test_missing_keys_are_added_and_surplus_ones_left():
    actual = card(indexes=[("ID", "A")], A="int", B="int")
    result = planned(actual, card(unique=[("A",)], indexes=[("B",)], A="int", B="int"))
    assert result.titles == ["Add unique key (A) to ax.CARD", "Add index (B) to ax.CARD"]


def test_a_unique_key_that_equals_the_primary_key_is_there_already():
    assert not planned(card(), card(unique=[("ID",)])).changed


def test_row_versions_are_left_out_where_the_engine_has_none():
    desired = card(indexes=[("V",), ("A",)], A="int", V="timestamp not null")
    result = planned(None, desired)
    assert "V" not in result.steps[0].after["columns"]
    assert result.steps[0].after["indexes"] == [["A"]]
    assert not any('"V"' in statement for statement in result.steps[0].statements)


@pytest.mark.parametrize(
    ("actual", "desired", "relation"),
    [
        ("int", "int", "same"),
        ("int", "bigint", "wider"),
        ("bigint", "int", "narrower"),
        ("nvarchar(20)", "nvarchar(max)", "wider"),
        ("nvarchar(max)", "nvarchar(20)", "narrower"),
        ("numeric(28,12)", "numeric(32,16)", "wider"),
        ("numeric(28,12)", "numeric(28,16)", "other"),
        ("numeric(32,16)", "numeric(28,12)", "narrower"),
        ("datetime", "datetime2", "wider"),
        ("nvarchar(20)", "nchar(20)", "other"),
        ("bit", "int", "other"),
    ],
)
def test_which_changes_of_type_lose_nothing(actual, desired, relation):
    assert widening.compare(actual, desired) == relation
