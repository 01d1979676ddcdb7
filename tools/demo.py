# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on this machine: four PostgreSQL servers, the site playbook, and what a store manager cares about.

    tools/demo.py run      start the servers, converge, tell the story; leaves everything running
    tools/demo.py clean    stop the services and the servers, and remove what the demo made

Called by ``./dev demo`` and ``./dev demo-clean``, which prepare the environment.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from _demo import playbook, story
from _demo.report import Report
from _demo.stage import Stage


def run() -> int:
    """Play the story; returns 0 when every check held."""
    stage, report = Stage(), Report()
    try:
        story.play(stage, report)
    except (story.CheckFailed, playbook.PlaybookFailed) as failure:
        report.failed(str(failure))
    report.table()
    if not report.ok:
        print("The servers and logs are left for a look in %s; './dev demo-clean' removes them." % stage.home)
        return 1
    print(stage.directions())
    return 0


def clean() -> int:
    """Remove everything that the demo made."""
    stage = Stage()
    if not stage.exists:
        print("There is no demo at %s." % stage.home)
        return 0
    if stage.inventory.exists():
        stage.stop_services()
    stage.remove()
    print("The demo is gone: services, servers and %s." % stage.home)
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run one of the two commands; returns the exit code."""
    commands = {"run": run, "clean": clean}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    return commands[arguments[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
