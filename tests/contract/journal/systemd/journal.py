# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records what is sent to the journal: it stands where python-systemd stands on a host, on the modules' path."""

from __future__ import annotations

import json
import os
from typing import Any


def send(**fields: Any) -> None:
    """One entry; from then on one line in the file that CONTRACT_JOURNAL names."""
    with open(os.environ["CONTRACT_JOURNAL"], "a", encoding="utf-8") as stream:
        stream.write(json.dumps(fields, ensure_ascii=False) + "\n")


#: Only there because Ansible looks whether it is.
sendv = send
