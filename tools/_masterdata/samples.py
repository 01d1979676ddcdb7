# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows for the types that no scheduler job moves: bit, uniqueidentifier, image, text, ntext, decimal, varchar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from _masterdata.pictures import picture
from _masterdata.world import FIRST_RECID

Sample = tuple[str, list[str], list[tuple[Any, ...]]]
"""Table with its schema, columns, rows."""
PEOPLE = (UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff"), UUID(int=0), UUID("ffffffff-ffff-ffff-ffff-ffffffffffff"))
NOON = datetime(2014, 2, 28, 12, 0, 0, 333000)


def samples() -> Iterator[Sample]:
    """Yield (table with schema, columns, rows) of real tables outside the jobs, NULL among the values of each type."""
    first, second, third = PEOPLE
    people = [(first, True, None), (second, False, third), (third, None, first)]
    yield "dbo.PERSONINFO", ["OID", "ISFEMALE", "PARENT"], people
    photos = [(first, None, picture("photo", 60)), (second, third, None), (third, first, b"")]
    yield "dbo.EMPLOYEE", ["OID", "OCCUPATION", "PHOTO"], photos
    texts = [
        (1, FIRST_RECID, "de", "usrt", "Größe " * 2000),
        (1, FIRST_RECID, "ja", "usrt", "色"),
        (1, FIRST_RECID, "tr", "usrt", None),
    ]
    yield "dbo.LANGUAGETXT", ["TXTTABLEID", "TXTRECID", "LANGUAGEID", "DATAAREAID", "TXT"], texts
    # text and varchar hold one byte a character on SQL Server: ASCII only.
    layouts = [("L1", "<controls/>\r\n" * 500, "usrt"), ("L2", None, "usrt"), ("L3", "", "usrt")]
    yield "dbo.POSISCTRLLAYOUT", ["LAYOUTID", "CONTROLXML", "DATAAREAID"], layouts
    sizes = [("HQ", NOON, Decimal("9999999999999999.99")), ("HQ2", NOON, None), ("HQ3", NOON, Decimal("-0.01"))]
    yield "dbo.DBCAPACITY", ["DBNAME", "DATESTAMP", "SIZEINGB"], sizes
    yield (
        "crt.RETAILSTOCKCOUNTJOURNALS",
        ["RECID", "JOURNALID", "DESCRIPTION"],
        [("5637144576", "J-Ä", None), ("x" * 50, "J2", "棚卸")],
    )
    stamps = [(FIRST_RECID, bytes(8), date(2014, 2, 28)), (FIRST_RECID, b"\x00\x01\xfe\xff\\'\n\r", date(2154, 12, 31))]
    yield "crt.PRICETRACKINGTIMESTAMP", ["CHANNELID", "LASTTIMESTAMP", "LASTUTCTIME"], stamps
