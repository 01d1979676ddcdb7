# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module keeps what it promises: check mode, idempotence, its results, and passwords to itself."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catalogue
import passwords
import pytest
import returned
import scenarios
from stage import Failure, Run, Scenario, Stage, tasks_of

from ansible_collections.axops.retail.plugins.module_utils._sync import supervise

MODULES = catalogue.module_names()


@dataclass(frozen=True)
class Played:
    """A scenario, and what came of it."""

    module: catalogue.Module
    scenario: Scenario
    stage: Stage
    runs: list[Run]

    def steps(self) -> Iterator[dict[str, Run]]:
        """The runs of each step, by kind."""
        for step in self.scenario.steps:
            yield {run.kind: run for run in self.runs if run.of == step.name and run.kind != "failure"}

    @property
    def own(self) -> list[Run]:
        """The runs of the module itself."""
        return [run for run in self.runs if run.module == self.module.name]


def play(name: str, server: Any, folder: Path) -> Played:
    module = catalogue.modules()[name]
    declare = getattr(scenarios, name, None)
    assert declare, f"no scenario declared for module {name}: write one in tests/contract/scenarios.py"
    prefix = f"c{name.removeprefix('retail')}_{secrets.token_hex(3)}"
    stage = Stage(folder / name, passwords.Vault(), server.facts("postgres"), prefix)
    world = scenarios.World(stage, server)
    try:
        scenario = declare(world)
        runs = stage.play(list(tasks_of(name, scenario)), scenario.watches_databases)
    finally:
        for pid_file in stage.work.glob("state/*.pid"):
            supervise.stop(str(pid_file))
        world.close()
    return Played(module, scenario, stage, runs)


class Theatre:
    """Plays the scenarios, two at a time, each on a server that is its own meanwhile; and watches the process list."""

    def __init__(self, servers: tuple[Any, ...], folder: Path, names: list[str]) -> None:
        self.processes = passwords.ProcessList()
        self._lanes = [ThreadPoolExecutor(1) for _server in servers]
        self._played: dict[str, Future[Played]] = {}
        catalogue.modules()
        for number, name in enumerate(names):
            lane = number % len(servers)
            self._played[name] = self._lanes[lane].submit(play, name, servers[lane], folder)

    def __enter__(self) -> Theatre:
        self.processes.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for lane in self._lanes:
            lane.shutdown(cancel_futures=True)
        self.processes.__exit__(*error)

    def played(self, name: str) -> Played:
        played = self._played[name].result()
        print(f"{name}: {played.stage.seconds:.1f} s for {len(played.runs)} tasks")
        return played


@pytest.fixture(scope="session")
def theatre(
    request: pytest.FixtureRequest, pg_pair: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    chosen = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    with Theatre(pg_pair, tmp_path_factory.mktemp("contract"), [name for name in MODULES if name in chosen]) as theatre:
        yield theatre


@pytest.fixture(params=MODULES, scope="session")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def played(theatre: Theatre, name: str) -> Played:
    return theatre.played(name)


def test_check_mode_foretells_the_run(played: Played) -> None:
    for step, runs in zip(played.scenario.steps, played.steps()):
        foretold, done = runs["check"].result, runs["real"].result
        assert not foretold.get("failed"), (step.name, foretold["msg"])
        assert not done.get("failed"), (step.name, done["msg"])
        for key in ("changed", "diff", "steps"):
            assert foretold.get(key) == done.get(key), (step.name, key)
        assert done["changed"] == step.changes, (step.name, done)
        assert _differs(done) == step.changes, (step.name, done.get("diff"))


def test_a_second_run_changes_nothing(played: Played) -> None:
    for step, runs in zip(played.scenario.steps, played.steps()):
        for kind in ("again", "check again"):
            result = runs[kind].result
            assert not result.get("failed"), (step.name, result["msg"])
            assert not result["changed"], (step.name, kind, result.get("steps"))
            assert not _differs(result), (step.name, kind, result["diff"])


def test_what_changes_nothing_touches_nothing(played: Played) -> None:
    """Neither catalogs nor rows nor files: in check mode, in a second run, in a run that fails at once."""
    for run in played.own:
        if run.checks or not run.result.get("changed"):
            assert not run.touched, run.title
    for run in played.own:
        if run.kind == "real" and run.result["changed"] and run.before:
            assert run.touched, f"{run.title}: nobody would have seen a change"


def test_what_fails_says_why_and_whether_anything_was_done(played: Played) -> None:
    for failure, run in zip(played.scenario.failures, _failures(played)):
        assert run.result.get("failed"), failure.name
        assert run.result.get("changed", False) in ((True, False) if failure.changes else (False,)), run.result
        assert _says(failure, run.result["msg"]), (failure.name, run.result["msg"])
        assert "Traceback" not in str(run.result), (failure.name, run.result)


def test_results_are_as_documented(played: Played) -> None:
    faults = []
    for run in played.own:
        result = {**run.result, "_check_mode": run.checks}
        faults += [f"{fault}: {run.title}" for fault in returned.faults(played.module.returns, run.options, result)]
    assert not faults, "\n".join(faults)


def test_samples_are_of_their_type(name: str) -> None:
    assert not list(returned.sample_faults(catalogue.modules()[name].returns))


def test_each_documented_return_has_been_seen(played: Played) -> None:
    seen = {key for run in played.own for key in run.result}
    assert set(played.module.returns) <= seen


def test_each_password_option_is_given_one(played: Played) -> None:
    options = [run.options for run in played.own]
    for path in catalogue.secret_options(played.module.spec):
        given = [value for run in options for value in catalogue.values_at(run, path)]
        assert any("vault_" in value for value in given if value), f"no scenario gives {path} a password"


def test_results_and_output_show_no_password(played: Played) -> None:
    for run in played.runs:
        assert not passwords.shown_in(run.result), run.title
    assert not passwords.shown(played.stage.printed)


def test_files_hold_no_password_but_those_that_must(played: Played) -> None:
    """Logs of Ansible, of the journal and of the service, and whatever is left in temporary folders and at home."""
    stage = played.stage
    folders = [path for path in stage.folder.iterdir() if path.is_dir() and path.name != "input"]
    journal = stage.folder / "log" / "journal.jsonl"
    assert "Invoked with" in journal.read_text(encoding="utf-8")
    assert (stage.folder / "log" / "ansible.log").stat().st_size
    allowed = {path for pattern in played.scenario.keepers for path in stage.work.glob(pattern)}
    for path in passwords.files_with_passwords(folders):
        shown = passwords.shown(path.read_text(encoding="utf-8", errors="replace"))
        assert path in allowed, (path, shown[:3])
        assert path.stat().st_mode & 0o077 == 0, path
    assert not os.listdir(stage.remote), "Ansible's temporary folder on the host"


def test_the_process_list_and_the_servers_logs_show_no_password(played: Played, theatre: Theatre, pg_pair: Any) -> None:
    assert theatre.processes.seen > len(played.runs)
    assert not theatre.processes.leaks
    for server in pg_pair:
        text = server.log.read_text(encoding="utf-8", errors="replace")
        assert not passwords.shown(text)


def test_attributes_are_true(played: Played) -> None:
    """Support of check mode and diff mode is what the other tests have seen."""
    attributes = played.module.attributes
    assert attributes["check_mode"]["support"] == "full" and played.module.rules["supports_check_mode"]
    changes = any(step.changes for step in played.scenario.steps)
    assert attributes["diff_mode"]["support"] == ("full" if changes else "N/A")
    action = (catalogue.ROOT / "plugins/action" / f"{played.module.name}.py").exists()
    assert ("action" in attributes) == action


def _failures(played: Played) -> list[Run]:
    return [run for run in played.runs if run.kind == "failure"]


def _says(failure: Failure, message: str) -> bool:
    return bool(re.search(failure.words, message))


def _differs(result: dict[str, Any]) -> bool:
    """Whether the diff shows a difference."""
    parts = result.get("diff") or []
    return any(part.get("before") != part.get("after") for part in (parts if isinstance(parts, list) else [parts]))
