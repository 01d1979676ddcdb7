# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When scopes have their turn, and how long the pauses are."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ansible_collections.axops.retail.plugins.module_utils._sync.clock import LONGEST_PAUSE, Absence, Clock, Rhythm

MARKS = ("child 1", "parent 1")


CHAIN = ["STORE%02d-%06d" % (store, till) for store in range(31) for till in range(20)]


def steady(_low: float, _high: float) -> float:
    return 1.0


def test_no_scope_has_its_turn_below_the_floor() -> None:
    for name in CHAIN[:50]:
        rhythm = Rhythm(name, interval=1, floor=5)
        for _look in range(20):
            assert rhythm.turn(1) == rhythm.turn(3) == 5
            assert rhythm.turn(6) >= 5
            assert rhythm.turn(0) == rhythm.turn(-1) == 0, "each look"
            rhythm.look()


def test_a_pause_is_the_declared_one_but_for_a_tenth() -> None:
    rhythm = Rhythm("HOUSTON-000001", interval=10, floor=5)
    rhythm.look()
    pauses = []
    for _look in range(1000):
        turn = rhythm.turn(60)
        pauses.append(rhythm.look())
        assert turn == pytest.approx(6 * pauses[-1]), "what is due together stays together"
    assert min(pauses) >= 9 and max(pauses) <= 11
    assert 9.9 < sum(pauses) / len(pauses) < 10.1


def test_a_services_phase_is_its_own_and_always_the_same() -> None:
    first = {name: Rhythm(name, interval=10, floor=5).look() for name in CHAIN}
    assert first == {name: Rhythm(name, interval=10, floor=5).look() for name in CHAIN}
    assert min(first.values()) >= 5 and max(first.values()) <= 15
    assert len(set(first.values())) > 600


def test_a_chain_that_starts_at_once_does_not_come_at_once() -> None:
    """620 registers, started by the same power: how many come in the busiest second of ten minutes, but for the first."""
    chance = random.Random(1).uniform
    seconds: Counter[int] = Counter()
    for name in CHAIN:
        rhythm, now = Rhythm(name, interval=10, floor=5, chance=chance), 0.0
        while (now := now + rhythm.look()) < 600:
            seconds[int(now)] += 1
    assert sum(seconds.values()) > 0.95 * 60 * len(CHAIN)
    assert max(seconds.values()) < 2 * len(CHAIN) / 10, "in step, it would be all of them"
    # The phase alone spreads them, before chance has a part in it.
    calm = Counter(int(Rhythm(name, interval=10, floor=5, chance=steady).look()) for name in CHAIN)
    assert max(calm.values()) < 2 * len(CHAIN) / 10


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
