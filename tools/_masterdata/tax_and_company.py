# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs 1080 and 1110: sales tax as Houston has it; the company and its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from _masterdata.places import CITY_RECIDS
from _masterdata.words import words
from _masterdata.world import BEGINNING, FIRST_RECID, NEVER, Table, World, moment

CODES = (
    ("TXSTATE", "Texas, 6.25 %", "6.25"),
    ("HOUCITY", "Houston, 1 %", "1"),
    ("MTA", "Metro transit, 1 %", "1"),
    ("SPIRIT", "Mixed bev.", "8.25"),
)
ITEM_GROUPS = {
    "FULL": ("TXSTATE", "HOUCITY", "MTA"),
    "RED": ("TXSTATE", "HOUCITY"),
    "SPIR": ("TXSTATE", "HOUCITY", "MTA", "SPIRIT"),
    "FOOD": (),
}
GROUPS = (("TX", "Texas, Houston"), ("EXEMPT", "Steuerfrei"))
LANGUAGES_OF_AX = words(
    "ar cs da de de-at de-ch en-au en-ca en-gb en-us es es-mx et fi"
    " fr fr-be fr-ca hu is it ja lt lv nb-no nl pl pt-br ru sv th tr zh-hans"
)


def tables(world: World) -> Iterator[Table]:
    """The tables of both jobs."""
    yield from _codes(world)
    yield from _groups(world)
    yield from _overrides(world)
    yield from _company(world)
    yield from _parameters(world)


def _codes(world: World) -> Iterator[Table]:
    rows = [(code, name, "SALES", "USD", Decimal("0.01"), world.area) for code, name, _ in CODES]
    columns = ("RECID", "TAXCODE", "TAXNAME", "TAXPERIOD", "TAXCURRENCYCODE", "TAXROUNDOFF", "DATAAREAID")
    yield Table("TAXTABLE", columns, world.numbered("TAXTABLE", rows))
    new = date(2014, 1, 1)
    rows = [
        (code, start, end, Decimal(rate) - earlier, Decimal(0), Decimal(0), world.area)
        for code, _, rate in CODES
        for start, end, earlier in ((BEGINNING, date(2013, 12, 31), Decimal("0.125")), (new, NEVER, Decimal(0)))
    ]
    columns = ("RECID", "TAXCODE", "TAXFROMDATE", "TAXTODATE", "TAXVALUE", "TAXLIMITMIN", "TAXLIMITMAX", "DATAAREAID")
    yield Table("TAXDATA", columns, world.numbered("TAXDATA", rows))
    rows = [
        (code, BEGINNING, NEVER, Decimal(0), Decimal("9999999999999999.9999999999999999"), world.area)
        for code, *_ in CODES
    ]
    columns = ("RECID", "TAXCODE", "TAXFROMDATE", "TAXTODATE", "TAXMIN", "TAXMAX", "DATAAREAID")
    yield Table("TAXCOLLECTLIMIT", columns, world.numbered("TAXCOLLECTLIMIT", rows))


def _groups(world: World) -> Iterator[Table]:
    rows = world.numbered("TAXGROUPHEADING", [(*group, world.area) for group in GROUPS])
    yield Table("TAXGROUPHEADING", ("RECID", "TAXGROUP", "TAXGROUPNAME", "DATAAREAID"), rows)
    rows = world.numbered("TAXGROUPDATA", [("TX", code, 0, world.area) for code, *_ in CODES])
    yield Table("TAXGROUPDATA", ("RECID", "TAXGROUP", "TAXCODE", "EXEMPTTAX", "DATAAREAID"), rows)
    rows = [(group, code, world.area) for group, codes in ITEM_GROUPS.items() for code in codes]
    yield Table("TAXONITEM", ("RECID", "TAXITEMGROUP", "TAXCODE", "DATAAREAID"), world.numbered("TAXONITEM", rows))
    rows = [(CITY_RECIDS[0], "USA", "TX", "Harris", "TX", world.area)]
    columns = ("RECID", "CITY", "COUNTRYREGIONID", "STATEID", "COUNTYID", "TAXGROUPHEADING", "DATAAREAID")
    yield Table("RETAILTAXFILTERS", columns, world.numbered("RETAILTAXFILTERS", rows))


def _overrides(world: World) -> Iterator[Table]:
    rows = world.numbered("RETAILSALESTAXOVERRIDE", [("EXEMPT", "Diplomat 🛂", "TX", "EXEMPT", 1, world.area)])
    columns = ("RECID", "CODE", "DESCRIPTION", "SOURCETAXGROUP", "DESTINATIONTAXGROUP", "STATUS", "DATAAREAID")
    yield Table("RETAILSALESTAXOVERRIDE", columns, rows)
    rows = world.numbered("RETAILSALESTAXOVERRIDEGROUP", [("ALL", "Alle", world.area)])
    yield Table("RETAILSALESTAXOVERRIDEGROUP", ("RECID", "CODE", "DESCRIPTION", "DATAAREAID"), rows)
    rows = world.numbered("RETAILSALESTAXOVERRIDEGROUPMEMBER", [("ALL", "EXEMPT", world.area)])
    columns = ("RECID", "RBOSALESTAXOVERRIDEGROUPCODE", "RBOSALESTAXOVERRIDECODE", "DATAAREAID")
    yield Table("RETAILSALESTAXOVERRIDEGROUPMEMBER", columns, rows)


def _company(world: World) -> Iterator[Table]:
    companies = world.numbered("COMPANYINFO", [(world.area,), ("dat",)])
    yield Table("COMPANYINFO", ("RECID", "DATAAREA"), companies)
    rows = [(world.area.upper(), "Hauptbuch", "USD", "EUR", companies[0][0], FIRST_RECID)]
    columns = ("RECID", "NAME", "DESCRIPTION", "ACCOUNTINGCURRENCY", "REPORTINGCURRENCY", "PRIMARYFORLEGALENTITY")
    yield Table("LEDGER", (*columns, "DEFAULTEXCHANGERATETYPE"), world.numbered("LEDGER", rows))
    rows = world.numbered("LANGUAGETABLE", [(language, 1) for language in LANGUAGES_OF_AX])
    yield Table("LANGUAGETABLE", ("RECID", "LANGUAGEID", "LABELFILE"), rows)


def _parameters(world: World) -> Iterator[Table]:
    rng = world.random("parameters")
    rows = world.numbered("TAXPARAMETERS", [(0, "TX", 1, moment(rng), world.area)])
    yield Table("TAXPARAMETERS", ("RECID", "KEY", "TAXGROUP", "TAXSPECIFYLINE", "MODIFIEDDATETIME", "DATAAREAID"), rows)
    rows = world.numbered("PRICEPARAMETERS", [(0, 1, 1, 1, world.area)])
    columns = ("RECID", "KEY", "SALESPRICEACCOUNTITEM", "SALESPRICEGROUPITEM", "SALESPRICEALLITEM", "DATAAREAID")
    yield Table("PRICEPARAMETERS", columns, rows)
    rows = world.numbered("SALESPARAMETERS", [(0, 1, "Spedition Größe & Co", 90, world.area)])
    yield Table("SALESPARAMETERS", ("RECID", "KEY", "DISC", "BOLCARRIERNAME", "VALIDDAYS", "DATAAREAID"), rows)
    rows = world.numbered("RETAILPARAMETERS", [(0, Decimal("12.5"), 8, 1, world.area)])
    columns = ("RECID", "KEY", "CANCELLATIONCHARGE", "MINIMUMPASSWORDLENGTH", "REQUIRENUMERICCHAR", "DATAAREAID")
    yield Table("RETAILPARAMETERS", columns, rows)
    rows = world.numbered("RETAILSHAREDPARAMETERS", [(0, "SHA256", "SHA256", FIRST_RECID, "TS1")])
    columns = (
        "RECID",
        "KEY",
        "STAFFPASSWORDHASH",
        "DEVICETOKENALGORITHM",
        "EXCHANGERATETYPE",
        "TRANSACTIONSERVICEPROFILE",
    )
    yield Table("RETAILSHAREDPARAMETERS", columns, rows)
    rows = world.numbered(
        "RETAILTRANSACTIONSERVICEPROFILE", [("TS1", "Real-time service", "en-us", "hq.example", "1239", 0)]
    )
    columns = ("RECID", "PROFILEID", "NAME", "LANGUAGE", "CENTRALTABLESERVER", "CENTRALTABLESERVERPORT", "PROTOCOL")
    yield Table("RETAILTRANSACTIONSERVICEPROFILE", columns, rows)
