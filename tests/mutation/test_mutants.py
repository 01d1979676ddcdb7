# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mutants still are what they say, and the machinery that runs them tells one that is noticed from one that is not."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import mutant_catalogue  # noqa: E402 -- found in the folder that the line above names
from mutant import PACKAGE, Mutant, NoMutant, Switch  # noqa: E402

ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """tools/mutants.py."""
    return importlib.import_module("mutants")


EVERY = (*mutant_catalogue.MUTANTS, *mutant_catalogue.TSQL)


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_the_product_as_it_is_today(mutant: Mutant) -> None:
    source = mutant.path.read_text(encoding="utf-8")
    assert mutant.change(source) != source
    for test in mutant.tests:
        file, _colons, name = test.partition("[")[0].partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_no_two_mutants_share_a_name() -> None:
    assert len(mutant_catalogue.BY_NAME) == len(EVERY)


def test_what_is_sql_servers_alone_is_kept_apart() -> None:
    assert {mutant.module.startswith("_engine.mssql.") for mutant in mutant_catalogue.TSQL} == {True}
    assert {mutant.name.startswith("mssql-") for mutant in mutant_catalogue.TSQL} == {True}


def test_a_phrase_that_is_gone_is_an_error() -> None:
    mutant = dataclasses.replace(mutant_catalogue.MUTANTS[0], edits=(("this stands nowhere", ""),))
    with pytest.raises(NoMutant, match="has 0 times, not once"):
        mutant.change(mutant.path.read_text(encoding="utf-8"))


def test_the_table_says_what_every_mutant_came_to(runner: ModuleType) -> None:
    for page, mutants in (("mutants", mutant_catalogue.MUTANTS), ("mutants_tsql", mutant_catalogue.TSQL)):
        table = (ROOT / "docs" / "docsite" / "rst" / f"{page}.rst").read_text(encoding="utf-8")
        assert [mutant.name for mutant in mutants if f"(``{mutant.name}``)" not in table] == []
        assert "a test is missing" not in table


def test_mutants_of_sql_server_are_refused_without_one(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETAIL_TEST_MSSQL", raising=False)
    with pytest.raises(SystemExit) as refused:
        runner.main(["mssql"])
    assert refused.value.code == 2


CELL = (
    "tests/integration/test_conflict_matrix.py::test_cell[child-parent:postgresql-postgresql-insert-insert-parent_wins]"
)


@pytest.mark.slow
def test_a_mutant_is_noticed_by_the_test_that_knows_its_promise_alone(runner: ModuleType, pg_server: Any) -> None:
    """The whole way, in processes of their own: switched on, noticed or not, and said."""
    folders = dict.fromkeys("ab", str(pg_server.directory))
    noticed = dataclasses.replace(mutant_catalogue.BY_NAME["policy-reversed"], tests=(CELL,))
    assert runner.run(noticed, folders)["noticed"] == CELL
    unnoticed = dataclasses.replace(mutant_catalogue.BY_NAME["package-unchecked"], tests=(CELL,))
    assert runner.run(unnoticed, folders)["noticed"] is None


def test_a_mutant_of_what_has_been_imported_is_an_error() -> None:
    """It would be on for nobody."""
    finders = list(sys.meta_path)
    importlib.import_module(f"{PACKAGE}._sync.rules")
    with pytest.raises(NoMutant, match="has been imported before"):
        Switch(mutant_catalogue.BY_NAME["resurrection"])
    assert sys.meta_path == finders
