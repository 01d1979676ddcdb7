# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the documentation and build it as a site, with antsibull-docs and Sphinx: docs/docsite and every plugin and role.

Warnings are errors: a reference that leads nowhere, an option that is not there, RST that does not parse.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import tree

SITE = tree.CACHE / "docs"
ANSIBLE = "https://docs.ansible.com/projects/ansible/devel/"

# The labels of Ansible's own documentation that the generated pages point at, with the page each is on. Sphinx takes them
# from Ansible's site; where that cannot be reached it takes them from here, and the links are the same.
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "attributes": "reference_appendices/common_return_values.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}

CONF = '''"""Written by tools/docs.py."""
project = "axops.retail"
copyright = "the axops.retail contributors"
title = html_short_title = "axops.retail"
extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
html_theme = "sphinx_ansible_theme"
html_show_sphinx = False
html_use_index = False
html_copy_source = False
intersphinx_mapping = {"ansible_devel": ("%s", (None, "%s"))}
intersphinx_timeout = 5
nitpicky = True
'''


def main() -> int:
    """Check, then build; return the exit code of the first that finds something."""
    code = _run("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=all", ".")
    return code or _build()


def _build() -> int:
    sources = SITE / "rst"
    shutil.rmtree(SITE, ignore_errors=True)
    sources.mkdir(parents=True)
    # antsibull-docs writes only where nobody else can
    sources.chmod(0o700)
    inventory = SITE / "ansible.inv"
    inventory.write_bytes(_inventory())
    (SITE / "conf.py").write_text(CONF % (ANSIBLE, inventory), encoding="utf-8")
    (SITE / "antsibull-docs.cfg").write_text("collection_url = {}\n", encoding="utf-8")
    return (
        _run(
            "antsibull-docs", "collection", "--cleanup", "everything", "--fail-on-error", "--use-current", "--squash-hierarchy",
            "--dest-dir", str(sources), "axops.retail",
        )
        or _run("sphinx-build", "-q", "-W", "--keep-going", "-c", str(SITE), "-b", "html", str(sources), str(SITE / "html"))
        or _say(SITE / "html" / "index.html")
    )  # fmt: skip


def _inventory() -> bytes:
    """Return an inventory in Sphinx's second format that holds LABELS."""
    lines = "".join(
        f"{label} std:label -1 {page}#{label.replace('_', '-')} -\n" for label, page in sorted(LABELS.items())
    )
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version: devel\n# The remainder of this file is compressed using zlib.\n"
    return head.encode() + zlib.compress(lines.encode())


def _run(*command: str) -> int:
    return subprocess.run(command, cwd=tree.TREE, check=False, env=os.environ).returncode


def _say(index: Path) -> int:
    sys.stdout.write(f"the site is at {index}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
