# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules say of themselves: documentation, examples and returns as ansible-doc reads them, and argument specs.

Nothing here names a module: one that is added to plugins/modules is found.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from ansible.module_utils import basic

COLLECTION = "axops.retail"
ROOT = Path(__file__).resolve().parents[2]
_MODULES = "ansible_collections.axops.retail.plugins.modules"


@dataclass(frozen=True)
class Module:
    """One module: ``options`` and ``returns`` by name, as documented; ``examples``: a list of tasks; ``spec``: the code's."""

    name: str
    options: dict[str, Any]
    attributes: dict[str, Any]
    returns: dict[str, Any]
    examples: list[dict[str, Any]]
    spec: dict[str, Any]
    rules: dict[str, Any]

    @property
    def full_name(self) -> str:
        return f"{COLLECTION}.{self.name}"

    @property
    def connects(self) -> bool:
        """Whether it connects to a database."""
        return "login_timeout" in self.options


def module_names() -> list[str]:
    return sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py") if path.stem != "__init__")


@functools.cache
def modules() -> dict[str, Module]:
    """All modules by name."""
    names = module_names()
    documents = _ansible_doc(names)
    return {name: _module(name, documents[f"{COLLECTION}.{name}"]) for name in names}


def secret_options(spec: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The options that Ansible must not log, such as ``logins[].password``."""
    for name, facts in spec.items():
        if facts.get("no_log"):
            yield path + name
        inside = path + name + ("[]." if facts.get("type") == "list" else ".")
        yield from secret_options(facts.get("options") or {}, inside)


def values_at(options: Any, path: str) -> Iterator[Any]:
    """What the options of a task say at a path of :func:`secret_options`."""
    name, _dot, rest = path.partition(".")
    value = (options or {}).get(name.removesuffix("[]"))
    if value is None:
        return
    for part in value if name.endswith("[]") else [value]:
        if rest:
            yield from values_at(part, rest)
        else:
            yield part


def _ansible_doc(names: list[str]) -> dict[str, Any]:
    executable = Path(sys.executable).with_name("ansible-doc")
    command = [str(executable), "--json", "--type", "module", *(f"{COLLECTION}.{name}" for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment()})
    assert done.returncode == 0, done.stderr
    documents: dict[str, Any] = json.loads(done.stdout)
    return documents


def environment() -> dict[str, str]:
    """Where Ansible finds this collection."""
    package = importlib.import_module(_MODULES)
    return {"ANSIBLE_COLLECTIONS_PATH": str(Path(next(iter(package.__path__))).parents[4])}


def _module(name: str, document: Mapping[str, Any]) -> Module:
    spec, rules = _argument_spec(name)
    doc = document["doc"]
    examples = yaml.safe_load(document["examples"])
    return Module(name, doc["options"], doc["attributes"], document["return"] or {}, examples, spec, rules)


class _CalledError(Exception):
    """Ends a module where it declares its options."""


def _argument_spec(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the module hands to AnsibleModule: its options, and the rules on them."""
    declared: dict[str, Any] = {}

    def declare(_module: Any, argument_spec: dict[str, Any], **rules: Any) -> None:
        declared.update(spec=argument_spec, rules=rules)
        raise _CalledError

    module = importlib.import_module(f"{_MODULES}.{name}")
    with mock.patch.object(basic.AnsibleModule, "__init__", declare):
        try:
            module.main()
        except _CalledError:
            return declared["spec"], declared["rules"]
    raise AssertionError(f"{name} has no AnsibleModule")
