# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All mutants."""

from __future__ import annotations

import broken_events
import broken_invariants
import broken_places
import broken_tsql

MUTANTS = (*broken_invariants.MUTANTS, *broken_events.MUTANTS, *broken_places.MUTANTS)
#: Those that need a SQL Server.
TSQL = broken_tsql.MUTANTS
BY_NAME = {mutant.name: mutant for mutant in (*MUTANTS, *TSQL)}
