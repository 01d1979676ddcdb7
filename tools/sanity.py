# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test sanity on the copy of the collection, and say plainly what ran and what did not.

Arguments go to ansible-test: --test NAME, --python VERSION, paths. The Python is the one that runs this, unless told
otherwise. What does not become part of the built collection (tests, tools) is left to ruff.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import tree
from ansible_test._internal.python_requirements import get_venv_packages

HOME = tree.CACHE / "sanity"
REPORTS = tree.TREE / "tests" / "output" / "junit"
NOT_SHIPPED = ("tests/", "tools/", "molecule/")

# ansible-test makes a virtual environment for a test that needs packages, and bootstraps pip into it with a script that
# it downloads from a server of the Ansible project: one more host that a closed network would have to let through. It
# looks for the script in a cache first, so we put one there that does the same with what Python brings along. Two of
# the flags that it passes are get-pip's, and pip itself does not know them.
BOOTSTRAP = '''"""Install pip without a download of get-pip.py; written by tools/sanity.py, which says why."""
import subprocess
import sys

# A process of its own: ensurepip hides the configuration of pip from the one that it runs in.
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted]).returncode)
'''


def make_home() -> None:
    """Give ansible-test a home of its own: what it keeps there is no business of the user's other projects."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{_pip_version().replace('.', '_')}.py").write_text(BOOTSTRAP, encoding="utf-8")
    # pip must still find the user's package index, and need not download twice
    for name in (".config/pip", ".pip", ".cache/pip"):
        _link(Path.home() / name, HOME / name)


def _pip_version() -> str:
    """Return the version of pip that this ansible-test wants to bootstrap."""
    return get_venv_packages(SimpleNamespace(version=_python_version()))["pip"]


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _link(there: Path, here: Path) -> None:
    if there.exists() and not os.path.lexists(here):
        here.parent.mkdir(parents=True, exist_ok=True)
        here.symlink_to(there)


def run(arguments: list[str]) -> int:
    """Run ansible-test sanity with these arguments and return its exit code."""
    command = ["ansible-test", "sanity", "--junit", "--truncate", "0"]
    if "--python" not in arguments:
        command += ["--python", _python_version()]
    for folder in NOT_SHIPPED:
        if (tree.TREE / folder).is_dir():
            command += ["--exclude", folder]
    command += arguments
    print("$", *command, flush=True)
    # Without the content root, ansible-test would find the repository around the copy, which ignores the copy.
    environment = dict(os.environ, HOME=str(HOME), ANSIBLE_TEST_CONTENT_ROOT=str(tree.TREE))
    return subprocess.run(command, cwd=tree.TREE, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def read_reports() -> dict[str, list[str]]:
    """Return the tests that passed, failed and were skipped (with the reason), as ansible-test reported them."""
    found: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    for path in sorted(REPORTS.glob("*.xml")):
        for case in ElementTree.parse(path).iter("testcase"):
            found[_outcome(case)].append(path.stem.removeprefix("ansible-test-sanity-") + _reason(case))
    return found


def _outcome(case: ElementTree.Element) -> str:
    if case.find("skipped") is not None:
        return "skipped"
    return "failed" if len(case) else "passed"


def _reason(case: ElementTree.Element) -> str:
    reason = (case.findtext("skipped") or "").strip()
    return f" [{reason}]" if reason else ""


def main() -> int:
    """Run everything; return what ansible-test returned, or 1 if it claims success without a report of a test."""
    tree.synchronise()
    shutil.rmtree(REPORTS, ignore_errors=True)
    make_home()
    code = run(sys.argv[1:])
    found = read_reports()
    for outcome, names in found.items():
        print(f"sanity: {len(names)} {outcome}{': ' if names else ''}{', '.join(names)}")
    if code and not found["failed"]:
        print(f"sanity: ansible-test itself failed with {code} before it was through; see above")
    return code or int(not found["passed"])


if __name__ == "__main__":
    sys.exit(main())
