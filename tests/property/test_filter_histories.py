# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random histories of filtered rows: HQ writes rows and what decides about them, in transactions that overlap; channels take
them in sessions that die anywhere. In the end each channel has what its filters let through, and no more.

The histories of this test are the same at each run. ``./dev soak 600`` tries others for ten minutes.
"""

from __future__ import annotations

import fleet_machine
from filtered_machine import FilteredHistories
from fleet import Workshop


def test_a_channel_ends_with_what_its_filters_let_through(workshop: Workshop) -> None:
    examples, steps = (5, 25) if workshop.server.copies else (3, 20)
    tally = fleet_machine.explore(workshop, FilteredHistories, examples, steps)
    print("%d histories, %d steps, killed %s" % (tally.histories, tally.steps, dict(sorted(tally.kills.items()))))
    assert tally.steps >= steps
    kinds = {phase.partition(" at the ")[0] for phase in tally.kills}
    assert {"before the commit", "after the commit"} <= kinds, "no session was killed there"
