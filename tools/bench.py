# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure, on throw-away servers of its own, and say what is beyond its limit.

./dev bench [--rounds N] [--only channel|service] [--write]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pgserver
import tree
from _bench import figures, modules, pairs

PAGE = tree.ROOT / "docs" / "docsite" / "rst" / "figures.rst"


def main() -> int:
    """Return 0 if every limit was held."""
    options = _options()
    found: list[figures.Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="axops-bench-") as folder,
        pgserver.throwaway("bench", pgserver.DISK) as server,
    ):
        if options.only in (None, "channel"):
            found += modules.ChannelBench(server, Path(folder)).run(options.rounds)
        if options.only in (None, "service"):
            found += pairs.ServiceBench(server, Path(folder)).run(options.rounds)
    sys.stdout.write(figures.table(found))
    if options.write:
        PAGE.write_text(figures.page(found), encoding="utf-8")
    return int(not all(figure.held for figure in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure, and compare with the limits.")
    parser.add_argument("--rounds", type=int, default=7, help="how often each side has its turn")
    parser.add_argument("--only", choices=("channel", "service"), help="one subject alone")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation anew")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
