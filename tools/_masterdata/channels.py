# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1070: the channels: stores, their warehouses, tenders, cash declarations, delivery modes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

from _masterdata.customers import ORGANISATION, PARTY_COLUMNS, customers
from _masterdata.prices import CARDS
from _masterdata.world import FIRST_RECID, Store, Table, World, moment

RETAIL_CHANNEL, RETAIL_STORE = 4550, 4551
CASH, CARD, ACCOUNT, CURRENCY, LOYALTY = "1", "2", "4", "6", "10"
TENDERS = (
    (CASH, "Cash", 0, 200, CASH),
    (CARD, "Cards", 1, 201, ""),
    ("3", "Check ✍", 2, 204, CASH),
    (ACCOUNT, "Kundenkonto", 3, 202, ""),
    (CURRENCY, "Fremdwährung €/¥", 0, 203, CASH),
    ("8", "Geschenkkarte 🎁", 0, 214, ""),
    (LOYALTY, "Treuepunkte", 0, 207, ""),
)
"""Number, name, function, POS operation, tender for change."""
COINS = ("0.01", "0.05", "0.10", "0.25", "1", "5", "10", "20", "50", "100")
DELIVERY = (("10", "Standard"), ("20", "Über Nacht"), ("99", "Carry out"), ("E-Mail", "メール"))
ACCOUNTS = (("INCOME", 0, "Kaffeekasse"), ("EXPENSE", 1, "Büromaterial"), ("TIPS", 0, "Propinas"))
HOUR = 3600


def tables(world: World) -> Iterator[Table]:
    """The tables of the job."""
    yield from _organisation(world)
    yield from _channels(world)
    yield _stores(world)
    yield from _tenders(world)
    yield from _cash(world)
    yield from _delivery(world)
    yield from _locator(world)


def _organisation(world: World) -> Iterator[Table]:
    rng = world.random("organisation")
    rows = [
        (
            s.operating_unit,
            ORGANISATION,
            s.name,
            s.name[:20],
            s.number,
            "en-us",
            f"OU-{s.number}",
            moment(rng),
            moment(rng),
        )
        for s in world.stores
    ]
    yield Table("DIRPARTYTABLE", PARTY_COLUMNS, rows)
    yield Table("OMINTERNALORGANIZATION", ("RECID", "ORGANIZATIONTYPE"), [(s.operating_unit, 2) for s in world.stores])
    columns = ("RECID", "OMOPERATINGUNITNUMBER", "OMOPERATINGUNITTYPE", "HCMWORKER")
    rows = [(s.operating_unit, f"{place + 1:08d}", 4, None) for place, s in enumerate(world.stores)]
    yield Table("OMOPERATINGUNIT", columns, rows)
    rows = world.numbered("RETAILINTERNALORGANIZATION", [(store.operating_unit,) for store in world.stores])
    yield Table("RETAILINTERNALORGANIZATION", ("RECID", "INTERNALORGANIZATION"), rows)


def _channels(world: World) -> Iterator[Table]:
    default = world.shared(customers)[0].account
    columns = ("RECID", "OMOPERATINGUNITID", "CHANNELTYPE", "CURRENCY", "DEFAULTCUSTACCOUNT", "DEFAULTCUSTDATAAREAID")
    columns += ("INVENTLOCATION", "INVENTLOCATIONDATAAREAID", "CHANNELTIMEZONEINFOID", "PRICEINCLUDESSALESTAX")
    columns += ("TRANSACTIONSERVICEPROFILE", "INSTANCERELATIONTYPE", "RELATIONTYPE")
    rows = [
        (s.channel, s.operating_unit, 0, "USD", default, world.area, s.warehouse, world.area, "Central Standard Time")
        + (0, "TS1", RETAIL_STORE, RETAIL_CHANNEL)
        for s in world.stores
    ]
    yield Table("RETAILCHANNELTABLE", columns, rows)
    yield Table("RETAILCHANNELPROFILE", ("RECID", "NAME", "CHANNELPROFILETYPE"), [(FIRST_RECID, "Filialprofil", 0)])
    rows = [(FIRST_RECID, key, value) for key, value in ((1, "https://retail.example/"), (2, "π ≈ 3.14"))]
    columns = ("RECID", "CHANNELPROFILE", "KEY", "VALUE")
    yield Table("RETAILCHANNELPROFILEPROPERTY", columns, world.numbered("RETAILCHANNELPROFILEPROPERTY", rows))
    rows = world.numbered("RETAILCHANNELTABLEEXT", [(store.channel, FIRST_RECID) for store in world.stores])
    yield Table("RETAILCHANNELTABLEEXT", ("RECID", "CHANNEL", "CHANNELPROFILE"), rows)


STORE_COLUMNS = (
    *("RECID", "STORENUMBER", "CULTURENAME", "FUNCTIONALITYPROFILE", "TAXGROUP", "TAXGROUPDATAAREAID"),
    *("TAXIDENTIFICATIONNUMBER", "PHONE", "OPENFROM", "OPENTO", "MAXIMUMPOSTINGDIFFERENCE", "MAXROUNDINGAMOUNT"),
    *(
        "MAXSHIFTDIFFERENCEAMOUNT",
        "SERVICECHARGEPCT",
        "SERVICECHARGEPROMPT",
        "STATEMENTMETHOD",
        "USEDEFAULTCUSTACCOUNT",
    ),
    *("INVENTORYLOOKUP", "PASSWORD"),
)


def _stores(world: World) -> Table:
    """The stores; OFFLINEPROFILE stays NULL until a profile is assigned."""
    rng = world.random("stores")
    return Table("RETAILSTORETABLE", STORE_COLUMNS, [_store(rng, world, store) for store in world.stores])


def _store(rng: random.Random, world: World, store: Store) -> tuple:
    hours = (rng.randrange(7, 10) * HOUR, rng.randrange(18, 23) * HOUR)
    limits = (Decimal(5), Decimal("0.0049999999999999"), Decimal(1))
    return (
        *(store.channel, store.number, "en-us", "FP1", "TX", world.area, None, "+1 713 555 0100", *hours, *limits),
        *(None, "¿Servicio incluido?", rng.randrange(3), 1, None, None),
    )


def _tenders(world: World) -> Iterator[Table]:
    columns = (
        "RECID",
        "CHANNEL",
        "TENDERTYPEID",
        "NAME",
        "FUNCTION",
        "POSOPERATION",
        "CHANGETENDERID",
        "ALLOWOVERTENDER",
    )
    columns += ("MAXIMUMAMOUNTALLOWED", "ROUNDING", "OPENDRAWER", "DATAAREAID")
    rows = [
        (store.channel, number, name, function, operation, change, int(number == CASH), Decimal("99999.99"))
        + (Decimal("0.01"), int(bool(change)), world.area)
        for store in world.stores
        for number, name, function, operation, change in TENDERS
    ]
    yield Table("RETAILSTORETENDERTYPETABLE", columns, world.numbered("RETAILSTORETENDERTYPETABLE", rows))
    rng = world.random("tender cards")
    rows = [
        (store.channel, CARD, card, name, Decimal("0.35"), moment(rng), world.area)
        for store in world.stores
        for card, name, *_ in CARDS[:3]
    ]
    columns = ("RECID", "CHANNEL", "TENDERTYPEID", "CARDTYPEID", "NAME", "CARDFEE", "MODIFIEDDATETIME", "DATAAREAID")
    yield Table("RETAILSTORETENDERTYPECARDTABLE", columns, world.numbered("RETAILSTORETENDERTYPECARDTABLE", rows))


def _cash(world: World) -> Iterator[Table]:
    rows = [
        (s.number, "USD", int(Decimal(coin) > 1), Decimal(coin), world.area) for s in world.stores for coin in COINS
    ]
    columns = ("RECID", "STOREID", "CURRENCY", "TYPE", "AMOUNT", "DATAAREAID")
    yield Table("RETAILSTORECASHDECLARATIONTABLE", columns, world.numbered("RETAILSTORECASHDECLARATIONTABLE", rows))
    rows = [(s.number, *account, account[2].upper(), world.area) for s in world.stores for account in ACCOUNTS]
    columns = ("RECID", "STOREID", "ACCOUNTNUM", "ACCOUNTTYPE", "NAME", "NAMEALIAS", "DATAAREAID")
    yield Table("RETAILINCOMEEXPENSEACCOUNTTABLE", columns, world.numbered("RETAILINCOMEEXPENSEACCOUNTTABLE", rows))
    rows = [(s.warehouse, "1", 0, f"Lager {s.name}"[:60], world.area) for s in world.stores]
    columns = ("RECID", "INVENTLOCATIONID", "INVENTSITEID", "INVENTLOCATIONTYPE", "NAME", "DATAAREAID")
    yield Table("INVENTLOCATION", columns, world.numbered("INVENTLOCATION", rows))


def _delivery(world: World) -> Iterator[Table]:
    modes = world.numbered("DLVMODE", [(code, text, world.area) for code, text in DELIVERY])
    yield Table("DLVMODE", ("RECID", "CODE", "TXT", "DATAAREAID"), modes)
    rows = [(mode[0], store.operating_unit, world.area) for mode in modes for store in world.stores]
    columns = ("RECID", "DLVMODE", "OMOPERATINGUNIT", "DATAAREAID")
    yield Table("RETAILDLVMODECHANNELEXPLODED", columns, world.numbered("RETAILDLVMODECHANNELEXPLODED", rows))
    rows = [(mode[0], "USA", "", world.area) for mode in modes]
    columns = ("RECID", "DLVMODE", "COUNTRYREGION", "STATE", "DATAAREAID")
    yield Table("RETAILDLVMODEADDRESSEXPLODED", columns, world.numbered("RETAILDLVMODEADDRESSEXPLODED", rows))


def _locator(world: World) -> Iterator[Table]:
    groups = world.numbered("RETAILSTORELOCATORGROUP", [("Texas", "Läden in Texas")])
    yield Table("RETAILSTORELOCATORGROUP", ("RECID", "NAME", "DESCRIPTION"), groups)
    rows = world.numbered("RETAILSTORELOCATORGROUPMEMBER", [(groups[0][0], store.channel) for store in world.stores])
    yield Table("RETAILSTORELOCATORGROUPMEMBER", ("RECID", "LOCATORGROUP", "STORE"), rows)
    rows = [(FIRST_RECID + kind, kind, store.channel) for store in world.stores for kind in (0, 1)]
    columns = ("RECID", "ADDRESSBOOK", "ADDRESSBOOKTYPE", "STORERECID")
    yield Table("RETAILSTOREADDRESSBOOK", columns, world.numbered("RETAILSTOREADDRESSBOOK", rows))
