# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs 1030 and 1050: reason codes; loyalty schemes, tiers and cards."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from _masterdata.customers import customers
from _masterdata.world import BEGINNING, FIRST_RECID, LANGUAGES, NEVER, Table, World, moment

REASONS = (
    ("AGE", "Age check", "¿Mayor de 18?", ("Yes", "No")),
    ("RETURN", "Return reason", "Warum zurück?", ("Defekt", "Zu klein", "Zu groß", "気が変わった")),
    ("ZIP", "ZIP code", "ZIP code, please", ()),
    ("DISC", "Discount reason", "Grund für den Rabatt", ("Damaged 💔", "Competitor", "Manager's choice")),
    ("VOID", "Void reason", "Why is it void?", ("Customer left", "Wrong item", "Training")),
)
CARDS = 400
TIERS = (("Silber", 1), ("Gold", 2), ("Platin ✨", 3))
LOYALTY_AFFILIATION = FIRST_RECID + 1000


def tables(world: World) -> Iterator[Table]:
    """The tables of both jobs."""
    yield from _reasons(world)
    yield from _answers(world)
    yield from _points(world)
    yield from _tiers(world)
    yield from _cards(world)


def _reasons(world: World) -> Iterator[Table]:
    rng = world.random("reasons")
    codes = world.numbered("RETAILINFOCODE", [(code, world.area) for code, *_ in REASONS])
    yield Table("RETAILINFOCODE", ("RECID", "INFOCODEID", "DATAAREAID"), codes)
    columns = ("RECID", "INFOCODEID", "DESCRIPTION", "PROMPT", "INPUTTYPE", "MAXIMUMLENGTH", "RANDOMFACTOR")
    rows = [
        (code, text, prompt, 1 if answers else 4, 60, Decimal("33.3333333333333333"), moment(rng), world.area)
        for code, text, prompt, answers in REASONS
    ]
    columns += ("MODIFIEDDATETIME", "DATAAREAID")
    yield Table("RETAILINFOCODETABLE", columns, world.numbered("RETAILINFOCODETABLE", rows))
    texts = [
        (code[0], language, reason[1], reason[2], world.area)
        for code, reason in zip(codes, REASONS)
        for language in LANGUAGES
    ]
    columns = ("RECID", "INFOCODE", "LANGUAGEID", "DESCRIPTION", "PROMPT", "DATAAREAID")
    yield Table("RETAILINFOCODETRANSLATION", columns, world.numbered("RETAILINFOCODETRANSLATION", texts))
    groups = world.numbered("RETAILINFOCODEGROUP", [("CHECKOUT", "An der Kasse", world.area)])
    yield Table("RETAILINFOCODEGROUP", ("RECID", "GROUPID", "DESCRIPTION", "DATAAREAID"), groups)
    rows = [("CHECKOUT", code, place, world.area) for place, (code, *_) in enumerate(REASONS[:3], 1)]
    columns = ("RECID", "GROUPID", "INFOCODEID", "PRIORITY", "DATAAREAID")
    yield Table("RETAILINFOCODEGROUPSPECIFIC", columns, world.numbered("RETAILINFOCODEGROUPSPECIFIC", rows))


def _answers(world: World) -> Iterator[Table]:
    rows = [
        (code, f"{place}", answer, Decimal(0), world.area)
        for code, _, _, answers in REASONS
        for place, answer in enumerate(answers, 1)
    ]
    columns = ("RECID", "INFOCODEID", "SUBCODEID", "DESCRIPTION", "AMOUNTPERCENT", "DATAAREAID")
    numbered = world.numbered("RETAILINFORMATIONSUBCODETABLE", rows)
    yield Table("RETAILINFORMATIONSUBCODETABLE", columns, numbered)
    texts = [(row[0], language, row[3], world.area) for row in numbered for language in LANGUAGES]
    columns = ("RECID", "INFOSUBCODE", "LANGUAGEID", "DESCRIPTION", "DATAAREAID")
    rows = world.numbered("RETAILINFORMATIONSUBCODETRANSLATION", texts)
    yield Table("RETAILINFORMATIONSUBCODETRANSLATION", columns, rows)


def _points(world: World) -> Iterator[Table]:
    points = world.numbered("RETAILLOYALTYREWARDPOINT", [("Puntos", 1, "USD", 1, 24), ("Sterne ★", 0, "", 1, 12)])
    columns = ("RECID", "REWARDPOINTID", "REWARDPOINTTYPE", "REWARDPOINTCURRENCY", "REDEEMABLE", "EXPIRATIONTIMEVALUE")
    yield Table("RETAILLOYALTYREWARDPOINT", columns, points)
    texts = [(point[0], language, f"{point[1]} ({language})") for point in points for language in LANGUAGES]
    columns = ("RECID", "REWARDPOINT", "LANGUAGEID", "DESCRIPTION")
    rows = world.numbered("RETAILLOYALTYREWARDPOINTTRANSLATION", texts)
    yield Table("RETAILLOYALTYREWARDPOINTTRANSLATION", columns, rows)
    schemes = world.numbered("RETAILLOYALTYSCHEME", [("BASIC", "Für alle", LOYALTY_AFFILIATION)])
    yield Table("RETAILLOYALTYSCHEME", ("RECID", "LOYALTYSCHEMEID", "DESCRIPTION", "AFFILIATION"), schemes)
    rows = [(schemes[0][0], store.operating_unit) for store in world.stores]
    rows = world.numbered("RETAILLOYALTYSCHEMECHANNELEXPLODED", rows)
    yield Table("RETAILLOYALTYSCHEMECHANNELEXPLODED", ("RECID", "LOYALTYSCHEME", "OMOPERATINGUNIT"), rows)
    columns = ("RECID", "LOYALTYSCHEME", "TOREWARDPOINT", "FROMACTIVITYAMOUNTCURRENCY", "FROMACTIVITYAMOUNTQTY")
    columns += ("TOREWARDPOINTAMOUNTQTY", "VALIDFROM", "VALIDTO")
    rate = Decimal("0.1428571428571429")
    rows = [(schemes[0][0], point[0], "USD", Decimal(1), rate, BEGINNING, NEVER) for point in points]
    yield Table("RETAILLOYALTYEARNSCHEMELINE", columns, world.numbered("RETAILLOYALTYEARNSCHEMELINE", rows))


def _tiers(world: World) -> Iterator[Table]:
    rows = [(LOYALTY_AFFILIATION, name, Decimal(level), "1Y") for name, level in TIERS]
    tiers = world.numbered("RETAILLOYALTYTIER", rows)
    yield Table("RETAILLOYALTYTIER", ("RECID", "AFFILIATION", "TIERID", "TIERLEVEL", "VALIDDATEINTERVAL"), tiers)
    texts = [(tier[0], language, f"{tier[2]} – {language}") for tier in tiers for language in LANGUAGES]
    columns = ("RECID", "LOYALTYTIER", "LANGUAGEID", "DESCRIPTION")
    yield Table("RETAILLOYALTYTIERTRANSLATION", columns, world.numbered("RETAILLOYALTYTIERTRANSLATION", texts))


def _cards(world: World) -> Iterator[Table]:
    rng = world.random("loyalty")
    owners = rng.sample([one for one in world.shared(customers) if one.is_person], CARDS)
    rows = [(f"{1000000 + place}", rng.randrange(3), owner.party) for place, owner in enumerate(owners)]
    cards = world.numbered("RETAILLOYALTYCARD", rows)
    yield Table("RETAILLOYALTYCARD", ("RECID", "CARDNUMBER", "CARDTENDERTYPE", "PARTY"), cards)
    rows = [(card[0], LOYALTY_AFFILIATION, FIRST_RECID + rng.randrange(len(TIERS)), BEGINNING, NEVER) for card in cards]
    columns = ("RECID", "LOYALTYCARD", "AFFILIATION", "LOYALTYTIER", "VALIDFROM", "VALIDTO")
    yield Table("RETAILLOYALTYCARDTIER", columns, world.numbered("RETAILLOYALTYCARDTIER", rows))
