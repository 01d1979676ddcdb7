# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the modules' documentation work as they stand there."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import catalogue
import example_world
import passwords
import pytest
import returned
from ansible.module_utils.common.arg_spec import ModuleArgumentSpecValidator
from stage import Run, Stage, Task

EXAMPLES = [(name, example) for name in catalogue.module_names() for example in catalogue.modules()[name].examples]


def _action(example: dict[str, Any]) -> str:
    return next(key for key in example if "." in key)


def _is_mssql_only(example: dict[str, Any]) -> bool:
    return example["name"] in example_world.MSSQL_ONLY


@pytest.fixture(scope="module")
def runs(pg_pair: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Each example that PostgreSQL can follow, run in check mode; by its name."""
    vault = passwords.Vault()
    for name in catalogue.module_names():
        for variable in example_world.variables(catalogue.modules()[name]):
            vault.values.setdefault(variable, "of an example")
    stage = Stage(tmp_path_factory.mktemp("examples"), vault, {}, f"x{secrets.token_hex(3)}")
    chain = example_world.Chain(stage, pg_pair)
    try:
        tasks = [
            Task("preparation", "real", f"{catalogue.COLLECTION}.{needed.module}", needed.options)
            for needed in chain.preparations
        ]
        tasks += [chain.task(example) for _name, example in EXAMPLES if not _is_mssql_only(example)]
        yield {run.of: run for run in stage.play(tasks, watches_databases=False)}
    finally:
        chain.close()


def test_examples_have_names_of_their_own() -> None:
    names = [example["name"] for _name, example in EXAMPLES]
    assert len(names) == len(set(names))
    assert set(example_world.MSSQL_ONLY) <= set(names)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example["name"] for _name, example in EXAMPLES])
def test_options_are_those_of_the_module(name: str, example: dict[str, Any]) -> None:
    module = catalogue.modules()[name]
    if _action(example) != module.full_name:
        pytest.skip("a task of another collection")
    rules = {key: value for key, value in module.rules.items() if key != "supports_check_mode"}
    assert not ModuleArgumentSpecValidator(module.spec, **rules).validate(example[module.full_name]).error_messages
    if _is_mssql_only(example):
        assert example_world.MSSQL_ONLY[example["name"]] in json.dumps(example).replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name, example in EXAMPLES if not _is_mssql_only(example)],
    ids=[example["name"] for _name, example in EXAMPLES if not _is_mssql_only(example)],
)
def test_they_run(name: str, example: dict[str, Any], runs: dict[str, Run]) -> None:
    run = runs[example["name"]]
    assert not run.result.get("failed"), run.result["msg"]
    assert not run.touched
    module = catalogue.modules()[name]
    if run.module == name:
        faults = returned.faults(module.returns, run.options, {**run.result, "_check_mode": True})
        assert not list(faults)
