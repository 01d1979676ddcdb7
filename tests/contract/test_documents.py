# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML in READMEs and guides is what it looks like: inventories that the roles accept, and playbooks that parse."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catalogue
import pytest
import yaml
from playbook_world import ansible_playbook

ROOT = catalogue.ROOT
#: The group of hosts that each role is for.
GROUPS = {"hq": "hq", "store_servers": "store_server", "pos_registers": "pos_register"}


@functools.cache
def blocks() -> dict[str, str]:
    """All blocks of YAML, by document and line."""
    found = {}
    for path in [ROOT / "README.md", *sorted(ROOT.glob("roles/*/README.md")), *sorted(ROOT.glob("docs/**/*.rst"))]:
        for line, text in _blocks(path):
            found[f"{path.relative_to(ROOT)}:{line}"] = text
    return found


def _blocks(path: Path) -> Iterator[tuple[int, str]]:
    """The blocks of one document, as (line, text)."""
    text = path.read_text(encoding="utf-8")
    markdown = r"^```ya?ml\n(?P<block>.*?)^```$"
    restructured = r"^\.\. code-block:: ya?ml\n\n(?P<block>(?:   [^\n]*\n|\n)+)"
    for match in re.finditer(restructured if path.suffix == ".rst" else markdown, text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start()) + 1, textwrap.dedent(match["block"])


def _is_inventory(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(group, dict) for group in content.values())


def _play(folder: Path, *arguments: str) -> str:
    """What a playbook printed that must not fail."""
    done = ansible_playbook(arguments, _environment(), folder, seconds=120)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def _inventory(path: Path) -> dict[str, Any]:
    """An inventory as Ansible reads it."""
    executable = Path(sys.executable).with_name("ansible-inventory")
    command = [str(executable), "-i", str(path), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=_environment())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def _environment() -> dict[str, str]:
    return {**os.environ, **catalogue.environment(), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0"}


def test_there_are_such_blocks() -> None:
    documents = {place.partition(":")[0] for place in blocks()}
    names = ("hq", "store_server", "pos_register", "prerequisites", "windows")
    roles = {f"roles/{role}/README.md" for role in names}
    assert documents >= {"README.md", "docs/docsite/rst/guide_fleet.rst", *roles}


@pytest.mark.parametrize("place", blocks())
def test_yaml_in_the_documents(place: str, tmp_path: Path) -> None:
    content = yaml.safe_load(blocks()[place])
    path = tmp_path / "block.yml"
    path.write_text(blocks()[place], encoding="utf-8")
    if isinstance(content, list) and all("hosts" in play or "import_playbook" in play for play in content):
        _play(tmp_path, "-i", "localhost,", "--syntax-check", str(path))
    else:
        assert _is_inventory(content), "neither a playbook nor an inventory"
        _accepted(path, place)


def _accepted(inventory: Path, place: str) -> None:
    """The roles take the variables of the inventory; only their interfaces are looked at."""
    listed = _inventory(inventory)
    hosts = listed["_meta"]["hostvars"]
    assert hosts or any(listed[group].get("hosts") for group in GROUPS if group in listed)
    vaulted = dict.fromkeys(re.findall(r"{{ (vault_\w+) }}", blocks()[place]), "secret")
    extra = {**vaulted, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    arguments = ["-i", str(inventory), "--check", "--tags", "only the interfaces", "-e", json.dumps(extra)]
    printed = _play(inventory.parent, *arguments, f"{catalogue.COLLECTION}.site")
    for group, role in GROUPS.items():
        if listed.get(group, {}).get("hosts"):
            assert re.search(rf"TASK \[axops\.retail\.{role} : Validating arguments against arg spec", printed)
    known = _variables_of_roles()
    given = {name for variables in hosts.values() for name in variables}
    assert {name for name in given if name.startswith("retail_")} <= known


@functools.cache
def _variables_of_roles() -> set[str]:
    """What the defaults of the roles read of the inventory."""
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("roles/*/defaults/**/*.yml")]
    return {name for text in texts for name in re.findall(r"\bretail_\w+", text)}
