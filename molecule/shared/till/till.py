# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a host of a scenario: enter master data, sell, and tell which sales stand in the host's database.

    till.py enter                    stores as JSON on standard input; prints "entered" where that was still to be done
    till.py sell [--sales N]         sell, two customers a second, until told to stop; keep books of it
    till.py books                    print which sales were sold here, a line each
    till.py whole                    print {"whole": {sale: fingerprint}, "broken": […]} of all sales in the database

The books are a file beside the database: a sale is noted when its commit has been answered, and before the next one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append("/opt/retail-till/tools")

import masterdata  # where the scenario mounts it
import pos
import pyodbc

SETTINGS = Path("/etc/retail-till.json")
BOOKS = Path("/var/lib/retail-till/books")
PROFILE = "Default pr"
PAUSE = 0.5


def main() -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("what", choices=["enter", "sell", "books", "whole"])
    parser.add_argument("--sales", type=int, default=0, help="stop after so many")
    options = parser.parse_args()
    if options.what == "books":
        print(BOOKS.read_text(encoding="utf-8") if BOOKS.exists() else "", end="")
        return 0
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    connection = connect(settings)
    if options.what == "enter":
        print("entered" if enter(connection, json.load(sys.stdin)) else "there")
    elif options.what == "whole":
        found = {"whole": pos.whole_sales(connection, quote), "broken": pos.broken_sales(connection, quote)}
        print(json.dumps(found))
    else:
        sell(connection, settings, options.sales)
    return 0


#: How each engine is reached; FreeTDS reads no default version that the servers of today speak.
DRIVERS = {
    "postgresql": {"Driver": "PostgreSQL Unicode"},
    "mssql": {"Driver": "FreeTDS", "Port": "1433", "TDS_Version": "7.4"},
}


def connect(settings: dict[str, Any]) -> Any:
    """A pyodbc connection to the database of this host."""
    parts = {
        **DRIVERS[settings["engine"]],
        "Server": settings["server"],
        "Database": settings["database"],
        "UID": settings["user"],
        "PWD": settings["password"],
    }
    return pyodbc.connect(";".join(f"{name}={value}" for name, value in parts.items()), autocommit=True)


def quote(*names: str) -> str:
    """The standard's quoting of identifiers, which both engines understand."""
    return ".".join('"%s"' % name.replace('"', '""') for name in names)


def enter(connection: Any, stores: list[dict[str, Any]]) -> bool:
    """Enter the master data at HQ, and choose the offline profile of each store; returns whether that was left to do."""
    if connection.cursor().execute("SELECT count(*) FROM %s" % quote("ax", "INVENTTABLE")).fetchval():
        return False
    masterdata.load(connection, quote, stores)
    chosen = "UPDATE {store} SET {profile} = (SELECT {recid} FROM {profiles} WHERE {name} = ?)".format(
        store=quote("ax", "RETAILSTORETABLE"),
        profile=quote("OFFLINEPROFILE"),
        recid=quote("RECID"),
        profiles=quote("ax", "RETAILOFFLINEPROFILE"),
        name=quote("NAME"),
    )
    connection.cursor().execute(chosen, PROFILE)
    return True


def sell(connection: Any, settings: dict[str, Any], sales: int) -> None:
    """Sell and keep books; ends with an error when the database goes, and is then started again."""
    find = "SELECT %s FROM %s WHERE %s = ?" % (
        quote("RECID"),
        quote("ax", "RETAILSTORETABLE"),
        quote("STORENUMBER"),
    )
    channel = connection.cursor().execute(find, settings["store"]).fetchval()
    till = pos.Till(connection, quote, settings["store"], settings["register"], channel, time.time_ns(), offline=True)
    BOOKS.parent.mkdir(exist_ok=True)
    with BOOKS.open("a", encoding="utf-8") as books:
        number = 0
        while not sales or number < sales:
            number += 1
            books.write(till.sell() + "\n")
            books.flush()
            os.fsync(books.fileno())
            time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(main())
