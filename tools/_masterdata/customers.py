# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1010: customers, the parties behind them, and where they live."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from _masterdata import words
from _masterdata.places import CITY_RECIDS, HOME_ROLE
from _masterdata.world import BEGINNING_TIME, LANGUAGES, NEVER_TIME, UTC, Table, World, long_decimal, moment

CUSTOMERS = 1300
ORGANISATION, PERSON = 2978, 2975
"""AX's table ids of the two kinds of party."""
PHONE, EMAIL = 1, 2
GROUPS = (("10", "Wholesale"), ("20", "Retail"), ("30", "Online"), ("40", "Staff"), ("80", "Öffentliche Hand"))
ADDRESS_BOOKS = (("USCUST", "Customers, Süd & West"), ("USSTAFF", "Personnel"))


@dataclass(frozen=True)
class Customer:
    """A customer with the record ids of the party and of its two locations (postal, electronic)."""

    account: str
    name: str
    first: str
    last: str
    party: int
    postal: int
    electronic: int
    born: datetime
    changed: datetime

    @property
    def is_person(self) -> bool:
        return bool(self.first)


def customers(world: World) -> list[Customer]:
    """All customers; the first is the one that stores sell to when nobody gives a name."""
    rng = world.random("customers")
    return [_customer(world, rng, number) for number in range(CUSTOMERS)]


def _customer(world: World, rng: random.Random, number: int) -> Customer:
    first, last, name = _name(rng, number)
    return Customer(
        account=f"{100001 + number}" if number % 50 else f"C-Ü{number:05d}",
        name=name,
        first=first,
        last=last,
        party=world.recid("DIRPARTYTABLE"),
        postal=world.recid("LOGISTICSLOCATION"),
        electronic=world.recid("LOGISTICSLOCATION"),
        born=moment(rng),
        changed=moment(rng),
    )


def _name(rng: random.Random, number: int) -> tuple[str, str, str]:
    first, last = rng.choice(words.FIRST_NAMES), rng.choice(words.LAST_NAMES)
    if 0 < number <= len(words.AWKWARD_NAMES):
        return "", "", words.AWKWARD_NAMES[number - 1]
    if number == 0:
        return "", "", "Retail customer"
    if number % 12 == 0:
        return "", "", f"{last} {rng.choice(words.COMPANIES)}"
    return first, last, f"{first} {last}"


def tables(world: World) -> Iterator[Table]:
    """The tables of the job, but for the places (places.py)."""
    people = world.shared(customers)
    yield Table(
        "CUSTGROUP",
        ("RECID", "CUSTGROUP", "NAME", "DATAAREAID"),
        world.numbered("CUSTGROUP", [(*group, world.area) for group in GROUPS]),
    )
    yield from _accounts(world, people)
    yield from _parties(world, people)
    yield from _locations(world, people)


def _accounts(world: World, people: list[Customer]) -> Iterator[Table]:
    rng = world.random("accounts")
    columns = (
        "RECID",
        "ACCOUNTNUM",
        "INVOICEACCOUNT",
        "PARTY",
        "CUSTGROUP",
        "CURRENCY",
        "TAXGROUP",
        "CREDITMAX",
        "BLOCKED",
    )
    rows = [
        (
            *(one.account, one.account, one.party, rng.choice(GROUPS)[0], "USD", "TX"),
            *(long_decimal(rng, 0, 10**9), int(rng.random() < 0.02), f"US{rng.randrange(10**9):09d}"),
            *(one.born, one.changed, world.area),
        )
        for one in people
    ]
    columns += ("VATNUM", "CREATEDDATETIME", "MODIFIEDDATETIME", "DATAAREAID")
    yield Table("CUSTTABLE", columns, world.numbered("CUSTTABLE", rows))
    columns = (
        "RECID",
        "ACCOUNTNUM",
        "RECEIPTEMAIL",
        "RECEIPTOPTION",
        "NONCHARGABLEACCOUNT",
        "MODIFIEDDATETIME",
        "DATAAREAID",
    )
    rows = [(one.account, _email(one), rng.randrange(4), rng.randrange(2), one.changed, world.area) for one in people]
    yield Table("RETAILCUSTTABLE", columns, world.numbered("RETAILCUSTTABLE", rows))


def _email(one: Customer) -> str:
    return f"kunde.{one.account.lower()}@bücher.example"


def _parties(world: World, people: list[Customer]) -> Iterator[Table]:
    rng = world.random("parties")
    yield Table("DIRPARTYTABLE", PARTY_COLUMNS, [_party(rng, one) for one in people])
    named = [(one.first, one.last, rng.choice(("", "", "M.", "von")), one.party) for one in people if one.is_person]
    yield person_names(world, named)
    books = world.numbered(
        "DIRADDRESSBOOK", [(name, text, BEGINNING_TIME, moment(rng)) for name, text in ADDRESS_BOOKS]
    )
    yield Table("DIRADDRESSBOOK", ("RECID", "NAME", "DESCRIPTION", "CREATEDDATETIME", "MODIFIEDDATETIME"), books)
    members = world.numbered("DIRADDRESSBOOKPARTY", [(books[0][0], one.party) for one in people])
    yield Table("DIRADDRESSBOOKPARTY", ("RECID", "ADDRESSBOOK", "PARTY"), members)


PARTY_COLUMNS = (
    *("RECID", "INSTANCERELATIONTYPE", "NAME", "NAMEALIAS", "KNOWNAS", "LANGUAGEID", "PARTYNUMBER"),
    *("CREATEDDATETIME", "MODIFIEDDATETIME"),
)


def _party(rng: random.Random, one: Customer) -> tuple:
    kind = PERSON if one.is_person else ORGANISATION
    known_as = one.first if rng.random() < 0.2 else ""
    language = rng.choice((LANGUAGES[0],) * 8 + LANGUAGES)
    # 15 characters: an emoji takes two of the 20 places that SQL Server counts.
    return (one.party, kind, one.name, one.name[:15], known_as, language, f"P{one.account}", one.born, one.changed)


def person_names(world: World, people: list[tuple[str, str, str, int]]) -> Table:
    """First name, last name and middle name of persons, given with their party's RECID."""
    columns = (
        "RECID",
        "FIRSTNAME",
        "LASTNAME",
        "MIDDLENAME",
        "PERSON",
        "VALIDFROM",
        "VALIDFROMTZID",
        "VALIDTO",
        "VALIDTOTZID",
    )
    rows = [(*one, BEGINNING_TIME, UTC, NEVER_TIME, UTC) for one in people]
    return Table("DIRPERSONNAME", columns, world.numbered("DIRPERSONNAME", rows))


def _locations(world: World, people: list[Customer]) -> Iterator[Table]:
    both = [(one, place, is_postal) for one in people for place, is_postal in ((one.postal, 1), (one.electronic, 0))]
    yield Table(
        "LOGISTICSLOCATION",
        ("RECID", "LOCATIONID", "DESCRIPTION", "ISPOSTALADDRESS", "CREATEDDATETIME", "MODIFIEDDATETIME"),
        [
            (
                place,
                f"L{one.account}-{is_postal}",
                "Zuhause" if is_postal else "Kontakt",
                is_postal,
                one.born,
                one.changed,
            )
            for one, place, is_postal in both
        ],
    )
    links = world.numbered("DIRPARTYLOCATION", [(one.party, place, is_postal, 1, 1) for one, place, is_postal in both])
    columns = ("RECID", "PARTY", "LOCATION", "ISPOSTALADDRESS", "ISPRIMARY", "ISLOCATIONOWNER")
    yield Table("DIRPARTYLOCATION", columns, links)
    roles = world.numbered("DIRPARTYLOCATIONROLE", [(link[0], HOME_ROLE) for link in links if link[3]])
    yield Table("DIRPARTYLOCATIONROLE", ("RECID", "PARTYLOCATION", "LOCATIONROLE"), roles)
    yield _postal_addresses(world, people)
    yield _electronic_addresses(world, people)


def _postal_addresses(world: World, people: list[Customer]) -> Table:
    rng = world.random("addresses")
    columns = (
        *("RECID", "LOCATION", "STREET", "STREETNUMBER", "CITY", "STATE", "COUNTY", "ZIPCODE", "ADDRESS", "CITYRECID"),
        *("LATITUDE", "LONGITUDE", "COUNTRYREGIONID", "VALIDFROM", "VALIDFROMTZID", "VALIDTO", "VALIDTOTZID"),
        "MODIFIEDDATETIME",
    )
    rows = [(one.postal, *_place(rng), "USA", BEGINNING_TIME, UTC, NEVER_TIME, UTC, one.changed) for one in people]
    return Table("LOGISTICSPOSTALADDRESS", columns, world.numbered("LOGISTICSPOSTALADDRESS", rows))


def _place(rng: random.Random) -> tuple:
    at = rng.randrange(len(words.CITIES))
    city, state, county, zip_code = words.CITIES[at]
    street, number = rng.choice(words.STREETS), str(rng.randrange(1, 9999))
    zip_code += f"{rng.randrange(100):02d}"
    # AX keeps the address as it is printed, with its line breaks.
    printed = f"{number} {street}\n{city}, {state} {zip_code}\nUSA"
    where = long_decimal(rng, 25, 49), -long_decimal(rng, 70, 124)
    return street, number, city, state, county, zip_code, printed, CITY_RECIDS[at], *where


def _electronic_addresses(world: World, people: list[Customer]) -> Table:
    rng = world.random("electronic")
    columns = ("RECID", "LOCATION", "TYPE", "LOCATOR", "DESCRIPTION", "ISPRIMARY", "ISMOBILEPHONE")
    rows = []
    for one in people:
        rows.append((one.electronic, PHONE, f"+1 713 555 {rng.randrange(10000):04d}", "☎", 1, rng.randrange(2)))
        if rng.random() < 0.6:
            rows.append((one.electronic, EMAIL, _email(one), "✉", 1, 0))
    return Table("LOGISTICSELECTRONICADDRESS", columns, world.numbered("LOGISTICSELECTRONICADDRESS", rows))
