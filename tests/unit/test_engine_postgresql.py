# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PostgreSQL speaker, as far as no server is needed."""

from __future__ import annotations

import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, Target
from ansible_collections.axops.retail.plugins.module_utils._engine.postgresql import connect, errors


@pytest.mark.parametrize(
    "text",
    [
        "The connection has been lost;\nError while preparing parameters (1) (SQLExecDirectW)",
        "FATAL:  terminating connection due to administrator command\nserver closed the connection unexpectedly",
    ],
)
def test_a_lost_connection_is_recognised_under_the_state_that_says_nothing(text: str) -> None:
    assert errors.classify("HY000", "('HY000', '[HY000] %s')" % text) == "lost"
    assert errors.classify("HY000", "('HY000', '[HY000] something else')") == "other"


def test_locks_for_which_there_is_no_room_just_now_are_tried_again() -> None:
    said = "ERROR: out of shared memory;\nError while executing the query (1) (SQLExecDirectW)"
    assert errors.classify("53200", "('53200', '[53200] %s')" % said) == "transient"
    assert errors.classify("53200", "('53200', '[53200] ERROR: out of memory')") == "other"


@pytest.mark.parametrize("option", ["CommLog", "commlog", "Debug", "B2", "b3"])
def test_a_log_of_the_driver_that_everybody_could_read_is_refused(option: str) -> None:
    with pytest.raises(RetailError, match="write the password into a file that everybody can read"):
        connect._string(Target("postgresql", password="geheim", options={option: "1"}), "PostgreSQL Unicode")
    assert "%s=0" % option in connect._string(Target("postgresql", options={option: 0}), "PostgreSQL Unicode")
