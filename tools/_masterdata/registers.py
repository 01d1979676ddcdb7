# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1090: the registers: profiles, devices, screen layouts, buttons, pictures, texts, receipts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date

from _masterdata.pictures import picture
from _masterdata.staff import OPERATIONS, workers
from _masterdata.world import FIRST_RECID, LANGUAGES, UTC, Table, World, moment

PICTURES = 24
TEXTS = 700
GRIDS = ("SALE", "TENDER", "NUMPAD", "MANAGER", "RETURNS", "STOCK")
BUTTONS_PER_GRID = 24
DAYS_A_SALE_STAYS = 60
RECEIPTS = (("1", "Kassenbon"), ("2", "Kartenbeleg"), ("3", "Geschenkbon 🎁"))
LAYOUT = (
    '<?xml version="1.0" encoding="utf-16"?>\r\n<Form Name="{name}">\r\n'
    + "".join(
        f'  <Control Id="{place}" Text="Größe &amp; Farbe №{place} — \u201c色\u201d" X="{place * 8}" Y="0"/>\r\n'
        for place in range(60)
    )
    + "</Form>"
)
WORDS = {
    "en-us": "Please scan item {}",
    "de": "Bitte Artikel {} scannen (Übergröße)",
    "ja": "商品{}をスキャンしてください",
}


def tables(world: World) -> Iterator[Table]:
    """The tables of the job."""
    yield from _terminals(world)
    yield from _profiles(world)
    yield from _buttons(world)
    yield from _layouts(world)
    yield from _receipts(world)
    yield from _texts(world)
    yield from _looks(world)


def _terminals(world: World) -> Iterator[Table]:
    rng = world.random("terminals")
    registers = [(store, register) for store in world.stores for register in store.registers]
    columns = ("RECID", "TERMINALID", "NAME", "LOCATION", "STORERECID", "HARDWAREPROFILE", "VISUALPROFILE", "LAYOUTID")
    columns += ("CUSTOMERDISPLAYTEXT1", "AUTOLOGOFFTIMEOUT", "MODIFIEDDATETIME")
    rows = [
        (
            register,
            f"{store.number}-{register}",
            "Erdgeschoß",
            store.channel,
            "HW1",
            "VP1",
            "LAYOUT1",
            "¡Bienvenidos! ようこそ",
            15,
        )
        + (moment(rng),)
        for store, register in registers
    ]
    yield Table("RETAILTERMINALTABLE", columns, world.numbered("RETAILTERMINALTABLE", rows))
    kinds = world.numbered("RETAILDEVICETYPES", [(0, "Retail POS"), (1, "Modern POS – Tablet")])
    yield Table("RETAILDEVICETYPES", ("RECID", "TYPE", "DESCRIPTION"), kinds)
    columns = ("RECID", "DEVICEID", "TERMINAL", "TYPE", "DESCRIPTION", "ACTIVATIONSTATUS", "ACTIVATEDDATETIME")
    rows = [
        (f"{store.number}-{register}-PC", register, kinds[0][0], "Kassen-PC", 1, moment(rng), UTC, moment(rng))
        for store, register in registers
    ]
    devices = world.numbered("RETAILDEVICE", rows)
    yield Table("RETAILDEVICE", (*columns, "ACTIVATEDDATETIMETZID", "MODIFIEDDATETIME"), devices)
    rows = [(device[0], device[2], moment(rng)) for device in devices]
    columns = ("RECID", "DEVICE", "TERMINALID", "MODIFIEDDATETIME")
    yield Table("RETAILTERMINALDEVICE", columns, world.numbered("RETAILTERMINALDEVICE", rows))


def _profiles(world: World) -> Iterator[Table]:
    rng = world.random("profiles")
    rows = world.numbered(
        "RETAILFUNCTIONALITYPROFILE",
        [
            ("FP1", "Standard", DAYS_A_SALE_STAYS, "US", "$", "REC1", 1, moment(rng)),
            ("FP2", "Café ☕", 7, "DE", "€", "REC1", 0, moment(rng)),
        ],
    )
    columns = (
        "RECID",
        "PROFILEID",
        "NAME",
        "DAYSTRANSACTIONSEXISTS",
        "SUPPORTEDCOUNTRYREGIONISOCODE",
        "CURRENCYSYMBOL",
    )
    yield Table(
        "RETAILFUNCTIONALITYPROFILE", (*columns, "RETAILRECEIPTPROFILE", "AGGREGATEITEMS", "MODIFIEDDATETIME"), rows
    )
    rows = world.numbered(
        "RETAILHARDWAREPROFILE",
        [("HW1", "Kasse mit Drucker", 1, "?", ";", picture("logo", 64), None, None, moment(rng))],
    )
    columns = ("RECID", "PROFILEID", "NAME", "PRINTER", "ENDTRACK2", "SEPARATOR1", "LOGOBITMAP", "PRINTER2LOGOBITMAP")
    yield Table("RETAILHARDWAREPROFILE", (*columns, "EFTCONNECTORPROPERTIES", "MODIFIEDDATETIME"), rows)
    rows = world.numbered(
        "RETAILVISUALPROFILE",
        [
            ("VP1", "Hell", 1, 1024, 768, None, moment(rng)),
            ("VP2", "Dunkel 🌙", 2, 800, 600, b"\x00\xff" * 300, moment(rng)),
        ],
    )
    columns = ("RECID", "PROFILEID", "NAME", "PICTUREID", "SCREENWIDTH", "SCREENHEIGHT", "SKINFILE", "MODIFIEDDATETIME")
    yield Table("RETAILVISUALPROFILE", columns, rows)


def _buttons(world: World) -> Iterator[Table]:
    rng = world.random("buttons")
    rows = world.numbered("RETAILBUTTONGRID", [(grid, f"Tasten {grid.title()}", "Segoe UI", 14) for grid in GRIDS])
    yield Table("RETAILBUTTONGRID", ("RECID", "BUTTONGRIDID", "NAME", "FONT", "DEFAULTFONTSIZE"), rows)
    rows = [_button(rng, grid, number) for grid in GRIDS for number in range(1, BUTTONS_PER_GRID + 1)]
    columns = (
        "RECID",
        "BUTTONGRIDID",
        "ID",
        "ACTION",
        "ACTIONPROPERTY",
        "DISPLAYTEXT",
        "COL",
        "ROWNUM",
        "BACKCOLOR",
        "PICTUREID",
    )
    yield Table("RETAILBUTTONGRIDBUTTONS", columns, world.numbered("RETAILBUTTONGRIDBUTTONS", rows))
    rows = world.numbered("RETAILKEYBOARDMAPPINGTABLE", [("QWERTY", "US"), ("QWERTZ", "Österreich")])
    yield Table("RETAILKEYBOARDMAPPINGTABLE", ("RECID", "KEYBOARDMAPPINGID", "DESCRIPTION"), rows)
    keys = [
        (board, ord(key), key, rng.choice(OPERATIONS)[0])
        for board in ("QWERTY", "QWERTZ")
        for key in "abcxyzäöß€'\"\\ "
    ]
    columns = ("RECID", "KEYBOARDMAPPINGID", "ASCIIVALUE", "KEYCHAR", "ACTION")
    yield Table("RETAILKEYBOARDMAPPINGTRANS", columns, world.numbered("RETAILKEYBOARDMAPPINGTRANS", keys))


def _button(rng: random.Random, grid: str, number: int) -> tuple:
    action, text = rng.choice(OPERATIONS)
    action_property = f'{{"item": "{number}", "text": "naïve \\u00e9"}}' if number % 4 == 0 else ""
    column, row = number % 6 + 1, number // 6 + 1
    # BACKCOLOR is an ARGB value in a signed integer.
    return grid, number, action, action_property, text, column, row, -rng.randrange(2**31), rng.randrange(PICTURES)


def _layouts(world: World) -> Iterator[Table]:
    columns = (
        "RECID",
        "LAYOUTID",
        "NAME",
        "WIDTH",
        "HEIGHT",
        "LAYOUTXML",
        "CUSTOMERLAYOUTXML",
        "IMG_CASHCHANGERLAYOUTXML",
    )
    rows = [("LAYOUT1", "Standard 4:3", 1024, 768, LAYOUT.format(name="LAYOUT1"), None, picture("layout", 40))]
    rows += [("LAYOUT2", "Breit 16:9 📺", 1366, 768, LAYOUT.format(name="LAYOUT2"), "", None)]
    yield Table("RETAILTILLLAYOUT", columns, world.numbered("RETAILTILLLAYOUT", rows))
    rows = world.numbered(
        "RETAILTILLLAYOUTSTORE", [(layout, s.channel) for layout in ("LAYOUT1", "LAYOUT2") for s in world.stores]
    )
    yield Table("RETAILTILLLAYOUTSTORE", ("RECID", "LAYOUTID", "STORE"), rows)
    rows = world.numbered("RETAILTILLLAYOUTSTAFF", [("LAYOUT2", one.recid) for one in world.shared(workers)[::4]])
    yield Table("RETAILTILLLAYOUTSTAFF", ("RECID", "LAYOUTID", "STAFF"), rows)
    rows = world.numbered("RETAILTILLLAYOUTZONE", [(f"Zone{n}", f"Zone № {n}", n % 3, FIRST_RECID) for n in range(12)])
    yield Table("RETAILTILLLAYOUTZONE", ("RECID", "ZONEID", "ZONENAME", "ZONETYPE", "DEVICETYPE"), rows)


def _receipts(world: World) -> Iterator[Table]:
    rows = [
        (form, text, text[:30], int(form), LAYOUT.format(name=form), LAYOUT.format(name="lines"), None)
        for form, text in RECEIPTS
    ]
    columns = ("RECID", "FORMLAYOUTID", "DESCRIPTION", "TITLE", "LAYOUTTYPE", "HEADERXML", "LINESXML", "FOOTERXML")
    yield Table("RETAILFORMLAYOUT", columns, world.numbered("RETAILFORMLAYOUT", rows))
    rows = world.numbered("RETAILRECEIPTPROFILE", [("REC1", "Bons für alle")])
    yield Table("RETAILRECEIPTPROFILE", ("RECID", "PROFILEID", "DESCRIPTION"), rows)
    rows = world.numbered("RETAILRECEIPTPROFILELINE", [("REC1", int(form), form) for form, _ in RECEIPTS])
    yield Table("RETAILRECEIPTPROFILELINE", ("RECID", "PROFILEID", "RECEIPTTYPE", "FORMLAYOUTID"), rows)
    rows = world.numbered("RETAILRECEIPTMASKS", [("FP1", kind, "SSSSTTTT#########"[:18]) for kind in range(4)])
    yield Table("RETAILRECEIPTMASKS", ("RECID", "FUNCPROFILEID", "RECEIPTTRANSTYPE", "MASK"), rows)


def _texts(world: World) -> Iterator[Table]:
    made, changed = date(2012, 2, 29), date(1900, 1, 1)
    rows = [
        (language, number, WORDS[language].format(number), int(number % 9 == 0), 1, made, changed, world.area)
        for language in LANGUAGES
        for number in range(1, TEXTS + 1)
    ]
    columns = (
        "RECID",
        "LANGUAGEID",
        "TEXTID",
        "TEXT",
        "ERRORTEXT",
        "ACTIVE",
        "DATECREATED",
        "DATEUPDATED",
        "DATAAREAID",
    )
    yield Table("RETAILLANGUAGETEXT", columns, world.numbered("RETAILLANGUAGETEXT", rows))


def _looks(world: World) -> Iterator[Table]:
    rows = [
        (number, None if number % 8 == 7 else b"" if number == 3 else picture(f"button {number}", 16 + number))
        for number in range(PICTURES)
    ]
    yield Table("RETAILIMAGES", ("RECID", "PICTUREID", "PICTURE"), world.numbered("RETAILIMAGES", rows))
    rows = world.numbered("RETAILPOSTHEME", [(FIRST_RECID, "Hell"), (FIRST_RECID, "Dunkel")])
    yield Table("RETAILPOSTHEME", ("RECID", "DEVICETYPE", "NAME"), rows)
    rows = world.numbered("RETAILTHEMEACCENT", [("blue", "Blå"), ("red", "Červená"), ("green", "緑")])
    yield Table("RETAILTHEMEACCENT", ("RECID", "ACCENTID", "NAME"), rows)
