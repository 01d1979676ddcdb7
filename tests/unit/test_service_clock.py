# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When scopes have their turn, and how long the pauses are."""

from __future__ import annotations

from ansible_collections.axops.retail.plugins.module_utils._sync.clock import LONGEST_PAUSE, Absence, Clock

MARKS = ("child 1", "parent 1")


def test_frequency_counts_from_the_last_turn() -> None:
    clock = Clock()
    assert clock.is_due(100)
    clock.settled(100, 60, MARKS)
    assert not clock.is_due(159) and clock.is_due(160)
    clock.ran(160, 0, waiting=False, interval=10)
    assert clock.is_due(160), "frequency 0 is each look"


def test_what_waits_is_followed_soon_and_less_soon_each_time() -> None:
    clock = Clock()
    pauses = []
    for _turn in range(6):
        clock.ran(0, 0, waiting=True, interval=10)
        pauses.append(clock.due_at)
    assert pauses == [1, 2, 4, 8, 10, 10]
    clock.ran(0, 0, waiting=False, interval=10)
    assert (clock.due_at, clock.hurries) == (0, 0)


def test_failures_are_tried_again_after_growing_pauses() -> None:
    clock = Clock()
    pauses = []
    for _turn in range(8):
        clock.failed(0, 10, "no such table")
        pauses.append(clock.due_at)
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
    assert pauses[-1] == LONGEST_PAUSE
    clock.settled(0, 0, MARKS)
    assert (clock.failures, clock.error, clock.quiet_at) == (0, "", MARKS)


def test_an_absence_is_news_once() -> None:
    absence = Absence()
    assert absence.begins(10, "ConnectFailed") and not absence.begins(11, "ConnectFailed")
    assert absence.begins(12, "another reason")
    assert absence.ends(70) == 60
    assert absence.ends(71) is None
    assert absence.begins(80, "ConnectFailed"), "news again"


def test_pauses_of_an_absence_grow_to_three_intervals() -> None:
    absence = Absence()
    pauses = []
    for _turn in range(8):
        absence.begins(0, "ConnectFailed")
        pauses.append(absence.pause(10))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert absence.pause(1) == 5 and absence.pause(3600) == 60
