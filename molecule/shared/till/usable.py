# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a register: could it go offline now? Looks ten times a second, until told to stop, and notes for how long it could not.

A look is a sale without a row: it reads what a sale reads, and takes the locks that a sale takes in each of its tables. It goes on
trying until that works, so whatever keeps a till waiting, or turns it away, counts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import till

NOTES = Path("/var/lib/retail-till/usable.json")
PAUSE = 0.1
READ = ("PRICEDISCTABLE", "INVENTTABLE", "RETAILSTORETABLE")
WRITTEN = (
    "RETAILTRANSACTIONTABLE",
    "RETAILTRANSACTIONSALESTRANS",
    "RETAILTRANSACTIONPAYMENTTRANS",
    "RETAILTRANSACTIONTAXTRANS",
)


def main() -> None:
    settings = json.loads(till.SETTINGS.read_text(encoding="utf-8"))
    NOTES.parent.mkdir(exist_ok=True)
    connection, found = None, {"looks": 0, "failed": 0, "longest": 0.0, "at": ""}
    while True:
        began = time.monotonic()
        while True:
            try:
                connection = connection or till.connect(settings)
                look(connection)
                break
            except Exception:  # noqa: BLE001 -- whatever it is, the till could not sell
                connection = None
                found["failed"] += 1
                time.sleep(0.02)
        waited = time.monotonic() - began
        found["looks"] += 1
        if waited > found["longest"]:
            found.update(longest=round(waited, 3), at=time.strftime("%H:%M:%S", time.gmtime()))
        if found["looks"] % 10 == 0 or waited == found["longest"]:
            NOTES.write_text(json.dumps(found), encoding="utf-8")
        time.sleep(PAUSE)


def look(connection: Any) -> None:
    """One sale without a row."""
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    for table in READ:
        cursor.execute("SELECT 1 FROM %s LIMIT 1" % till.quote("ax", table)).fetchall()
    for table in WRITTEN:
        name = till.quote("ax", table)
        cursor.execute("INSERT INTO %s SELECT * FROM %s WHERE false" % (name, name))
    cursor.execute("COMMIT")


if __name__ == "__main__":
    main()
