# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""./dev soak on a product with one promise broken: ``python broken_soak.py ARGUMENTS…``; the environment says which, as it does to
mutant_plugin.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tools")]

import mutant_plugin  # noqa: E402 -- needs the folder that the line above names
from mutant import NoMutant  # noqa: E402

if __name__ == "__main__":
    # Now that the mutant is switched on.
    code = importlib.import_module("soak").main(sys.argv[1:])
    if mutant_plugin._switch is None or not mutant_plugin._switch.on:
        raise NoMutant("nobody has imported what RETAIL_MUTANT breaks")
    sys.exit(code)
