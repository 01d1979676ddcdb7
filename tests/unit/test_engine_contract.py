# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speakers are equals: the same subjects, the same public functions with the same parameters, what callers name."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine import ENGINES, SUBJECTS, RetailError, speaker

#: What code above the engines, and the engines themselves, promise under a name in capitals.
CONSTANTS = {
    "access": {"REVOCABLE"},
    "applying": {"CONFLICT", "WINDOW"},
    "connect": {"DEFAULT_PORT", "MAINTENANCE_DATABASE"},
    "databases": {"DISCONNECTS", "LASTING", "OLDEST_VERSION", "OPTIONS"},
    "scripts": {"OPEN_TRANSACTION", "SETTINGS"},
    "tracking": {"APPLYING", "NOW", "SUFFIX", "TRIGGERS"},
}
SPEAKERS = [speaker(name) for name in ENGINES]
_USED = re.compile(r"\bengine\.([a-z]+)\.([A-Za-z_]+)")


def parameters(function: object) -> list[tuple[str, object, object]]:
    return [(one.name, one.kind, one.default) for one in inspect.signature(function).parameters.values()]


def public(module: ModuleType) -> dict[str, object]:
    """The functions and classes that a module makes itself."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_speaker_has_every_subject(name: str) -> None:
    assert set(SUBJECTS) <= set(speaker(name).__all__)
    assert all(inspect.ismodule(getattr(speaker(name), subject)) for subject in SUBJECTS)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_speakers_have_the_same_public_functions_with_the_same_parameters(subject: str) -> None:
    shapes = {}
    for name in ENGINES:
        functions = public(getattr(speaker(name), subject))
        shapes[name] = {one: parameters(function) for one, function in functions.items()}
    assert shapes["mssql"] == shapes["postgresql"]
    assert shapes["mssql"]


@pytest.mark.parametrize("subject", sorted(CONSTANTS))
def test_speakers_have_the_same_constants(subject: str) -> None:
    for package in SPEAKERS:
        module = getattr(package, subject)
        assert {one for one in CONSTANTS[subject] if not hasattr(module, one)} == set()


def test_bookkeeping_and_tracking_have_the_same_names_everywhere() -> None:
    first, second = SPEAKERS
    for subject, name in (("applying", "WINDOW"), ("applying", "CONFLICT"), ("tracking", "SUFFIX")):
        assert getattr(getattr(first, subject), name) == getattr(getattr(second, subject), name)


def test_marks_hold_the_same_facts() -> None:
    fields = [[one.name for one in dataclasses.fields(package.marks.Mark)] for package in SPEAKERS]
    assert fields[0] == fields[1] == ["low", "seen"]


def test_what_is_used_of_an_engine_exists_in_every_one(repository: Path) -> None:
    used = set()
    for path in (repository / "plugins").rglob("*.py"):
        if "_engine" not in path.parts:
            used.update(_USED.findall(path.read_text(encoding="utf-8")))
    used = {(subject, name) for subject, name in used if subject in SUBJECTS}
    assert ("names", "quote") in used
    for package in SPEAKERS:
        assert {one for one in used if not hasattr(getattr(package, one[0]), one[1])} == set()


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_neutral_type_survives_its_engine(name: str) -> None:
    types = speaker(name).types
    for neutral in ("int", "bigint", "nvarchar(20)", "nvarchar(max)", "numeric(32,16)", "datetime", "date", "bit"):
        assert types.normalize(types.normalize(neutral)) == types.normalize(neutral) == neutral


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(RetailError, match="Unknown engine 'oracle'"):
        _engine.speaker("oracle")
