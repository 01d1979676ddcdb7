# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests that need a SQL Server are dealt out to several jobs: each test to one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import shards
from hypothesis import given
from hypothesis import strategies as st
from yaml import safe_load

NAMES = st.sampled_from(
    ["tests/integration/test_%d.py" % number for number in range(20)] + ["tests/property/test_x.py"]
)


@given(tests=st.dictionaries(NAMES, st.integers(1, 60)), parts=st.integers(1, 8))
def test_every_file_is_of_one_part(tests: dict[str, int], parts: int) -> None:
    dealt = [shards.files(tests, "%d/%d" % (number, parts)) for number in range(1, parts + 1)]
    assert sorted(name for part in dealt for name in part) == sorted(tests)


def test_no_part_has_much_more_to_do_than_another() -> None:
    tests = {"tests/integration/test_%d.py" % number: 10 + number % 7 for number in range(24)}
    loads = [sum(tests[name] for name in shards.files(tests, "%d/6" % number)) for number in range(1, 7)]
    assert max(loads) - min(loads) < 20


@pytest.mark.parametrize("part", ["0/6", "7/6", "6", "a/b"])
def test_a_part_that_there_is_not_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        shards.files({}, part)


def test_the_workflow_runs_every_part_and_one_job_where_cases_are_told_apart(repository: Path) -> None:
    jobs = safe_load((repository / ".github/workflows/mssql.yml").read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["mssql"]["strategy"]["matrix"]
    number = len(matrix["shard"])
    assert matrix["shard"] == ["%d/%d" % (part, number) for part in range(1, number + 1)]
    assert [one["shard"] for one in matrix["include"] if "_CS_" in one["collation"]] == ["1/1"]
    [tests] = [one["tests"] for one in matrix["include"]]
    assert len(list(repository.glob(tests))) > 5
    run = jobs["mssql"]["steps"][-2]["run"]
    assert "RETAIL_TEST_SHARD=${{ matrix.shard }} ./dev test-mssql ${{ matrix.tests }}" in run
