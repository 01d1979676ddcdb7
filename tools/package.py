# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection, and ask those who would refuse it: Galaxy's importer, the licence checker, ansible-builder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import tree

FOLDER = tree.CACHE / "package"

# ansible-test has a command of its own here (./dev sanity), and wants a container there.
IMPORTER = """[galaxy-importer]
RUN_ANSIBLE_DOC = True
RUN_ANSIBLE_LINT = True
RUN_ANSIBLE_TEST = False
CHECK_REQUIRED_TAGS = True
CHECK_CHANGELOG = True
"""


def main() -> int:
    """Return 0 if nobody has an objection."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    failed = [check.__name__.strip("_") for check in (_licences, _galaxy, _execution_environment) if check()]
    if failed:
        sys.stdout.write(f"not fit to be published: {', '.join(failed)}\n")
    else:
        sys.stdout.write(f"fit to be published: {_archive()}\n")
    return bool(failed)


def _licences() -> int:
    return _run("reuse", "lint", "--quiet", folder=tree.TREE) or _run("reuse", "lint", folder=tree.TREE, quiet=True)


def _galaxy() -> int:
    config = FOLDER / "galaxy-importer.cfg"
    config.write_text(IMPORTER, encoding="utf-8")
    return _run("ansible-galaxy", "collection", "build", "--output-path", str(FOLDER), folder=tree.TREE) or _run(
        sys.executable, "-m", "galaxy_importer.main", str(_archive()), GALAXY_IMPORTER_CONFIG=str(config), quiet=True
    )


def _execution_environment() -> int:
    """See that ansible-builder finds what an execution environment needs, makes the build context, and that what the image would
    install can be installed from there; no image is pulled."""
    # beside the archive, as with whoever has built one in the repository
    definition = shutil.copy(tree.TREE / "execution-environment.yml", FOLDER)
    context = ("--context", str(FOLDER / "context"), "--output-filename", "Containerfile")
    installed = FOLDER / "collections"
    return (
        _run("ansible-builder", "introspect", str(tree.COLLECTIONS), quiet=True)
        or _run("ansible-builder", "create", "--file", str(definition), *context)
        or _run(
            "ansible-galaxy", "collection", "install", "--requirements-file", "requirements.yml",
            # by force, since the copy that this runs in counts as installed
            "--force", "--collections-path", str(installed), folder=FOLDER / "context" / "_build", quiet=True,
        )
        or _missing(installed / "ansible_collections" / "axops" / "retail" / "MANIFEST.json")
    )  # fmt: skip


def _missing(path: Path) -> int:
    if not path.exists():
        sys.stdout.write(f"not installed: {path}\n")
    return int(not path.exists())


def _archive() -> Path:
    return next(FOLDER.glob("axops-retail-*.tar.gz"))


def _run(*command: str, folder: Path = FOLDER, quiet: bool = False, **environment: str) -> int:
    """Run a command; a quiet one is heard only if it fails."""
    done = subprocess.run(
        command, cwd=folder, check=False, env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT if quiet else None,
    )  # fmt: skip
    if quiet and done.returncode:
        sys.stdout.write(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
