# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1010, second half: countries, states, counties, cities, ZIP codes, and how an address is written."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from _masterdata import words
from _masterdata.world import FIRST_RECID, LANGUAGES, Table, World

CITY_RECIDS = [FIRST_RECID + position for position in range(len(words.CITIES))]
ROLES = (
    ("Home", "Zuhause", "自宅"),
    ("Business", "Geschäft", "会社"),
    ("Delivery", "Lieferung", "配送先"),
    ("Store", "Filiale", "店舗"),
)
HOME_ROLE = FIRST_RECID
ZIP_CODES_PER_CITY = 40
STREET_ELEMENT, CITY_ELEMENT, STATE_ELEMENT, ZIP_ELEMENT, COUNTRY_ELEMENT = 2, 3, 5, 1, 6


def tables(world: World) -> Iterator[Table]:
    """The tables about places."""
    yield from _countries(world)
    yield from _states(world)
    yield from _cities(world)
    yield from _roles(world)
    yield from _formats(world)


def _countries(world: World) -> Iterator[Table]:
    yield Table(
        "LOGISTICSADDRESSCOUNTRYREGION",
        ("RECID", "COUNTRYREGIONID", "ISOCODE", "CURRENCYCODE", "ADDRFORMAT", "ADDRESSUSEZIPPLUS4"),
        world.numbered(
            "LOGISTICSADDRESSCOUNTRYREGION",
            [
                (code, iso, currency, "US" if code == "USA" else "Intl", int(code == "USA"))
                for code, iso, currency, *_ in words.COUNTRIES
            ],
        ),
    )
    names = [
        (code, language, name, name)
        for code, _, _, *names in words.COUNTRIES
        for language, name in zip(LANGUAGES, names)
    ]
    columns = ("RECID", "COUNTRYREGIONID", "LANGUAGEID", "SHORTNAME", "LONGNAME")
    rows = world.numbered("LOGISTICSADDRESSCOUNTRYREGIONTRANSLATION", names)
    yield Table("LOGISTICSADDRESSCOUNTRYREGIONTRANSLATION", columns, rows)


def _states(world: World) -> Iterator[Table]:
    rows = world.numbered("LOGISTICSADDRESSSTATE", [("USA", code, name) for code, name in words.STATES])
    yield Table("LOGISTICSADDRESSSTATE", ("RECID", "COUNTRYREGIONID", "STATEID", "NAME"), rows)
    counties = sorted({(state, county) for _, state, county, _ in words.CITIES})
    columns = ("RECID", "COUNTRYREGIONID", "STATEID", "COUNTYID", "NAME", "COUNTYCODE_SP")
    rows = [("USA", state, county, f"{county} County", county[:1]) for state, county in counties]
    yield Table("LOGISTICSADDRESSCOUNTY", columns, world.numbered("LOGISTICSADDRESSCOUNTY", rows))


def _cities(world: World) -> Iterator[Table]:
    columns = ("RECID", "NAME", "DESCRIPTION", "STATEID", "COUNTYID", "COUNTRYREGIONID")
    rows = [
        (recid, city, f"City of {city}", state, county, "USA")
        for recid, (city, state, county, _) in zip(CITY_RECIDS, words.CITIES)
    ]
    yield Table("LOGISTICSADDRESSSCITY", columns, rows)
    columns = ("RECID", "ZIPCODE", "CITY", "CITYALIAS", "CITYRECID", "STATE", "COUNTY", "COUNTRYREGIONID")
    rows = [
        (f"{prefix}{number:02d}", city, city.upper()[:30], recid, state, county, "USA")
        for recid, (city, state, county, prefix) in zip(CITY_RECIDS, words.CITIES)
        for number in range(ZIP_CODES_PER_CITY)
    ]
    yield Table("LOGISTICSADDRESSZIPCODE", columns, world.numbered("LOGISTICSADDRESSZIPCODE", rows))


def _roles(world: World) -> Iterator[Table]:
    roles = world.numbered("LOGISTICSLOCATIONROLE", [(names[0], 1, 1, type_) for type_, names in enumerate(ROLES, 1)])
    yield Table("LOGISTICSLOCATIONROLE", ("RECID", "NAME", "ISPOSTALADDRESS", "ISCONTACTINFO", "TYPE"), roles)
    texts = [(role[0], language, text) for role, names in zip(roles, ROLES) for language, text in zip(LANGUAGES, names)]
    rows = world.numbered("LOGISTICSLOCATIONROLETRANSLATION", texts)
    yield Table("LOGISTICSLOCATIONROLETRANSLATION", ("RECID", "LOCATIONROLE", "LANGUAGEID", "DESCRIPTION"), rows)


def _formats(world: World) -> Iterator[Table]:
    formats = (("US", "United States"), ("Intl", "Rest der Welt 🌍"))
    rows = world.numbered("LOGISTICSADDRESSFORMATHEADING", formats)
    yield Table("LOGISTICSADDRESSFORMATHEADING", ("RECID", "ADDRFORMAT", "NAME"), rows)
    elements = (STREET_ELEMENT, CITY_ELEMENT, STATE_ELEMENT, ZIP_ELEMENT, COUNTRY_ELEMENT)
    lines = [
        (name, Decimal(line), element, ", " if element == CITY_ELEMENT else " ", int(element == STREET_ELEMENT))
        for name, _ in formats
        for line, element in enumerate(elements, 1)
    ]
    columns = ("RECID", "ADDRFORMAT", "LINENUM", "ELEMENT", "SEPARATOR", "SEPARATORCRLF")
    yield Table("LOGISTICSADDRESSFORMATLINES", columns, world.numbered("LOGISTICSADDRESSFORMATLINES", lines))
