# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1040, second half: categories, attributes with values of every kind, pictures, units, barcode masks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from _masterdata.catalogue import Category, categories, products
from _masterdata.pictures import picture
from _masterdata.world import FIRST_RECID, LANGUAGES, Table, World, long_decimal, moment

RETAIL_CATEGORY, RETAIL_HIERARCHY = 5435, FIRST_RECID
TRANSLATED = {"en-us": "{}", "de": "Warengruppe {}", "ja": "{}売り場"}
ATTRIBUTES = (
    ("Text", 5, "Material", "TEXT"),
    ("Integer", 3, "Warranty (months)", "INT"),
    ("Decimal", 1, "Voltage", "FLOAT"),
    ("Boolean", 6, "Washable", "BOOLEAN"),
    ("Currency", 2, "Deposit", "CURRENCY"),
    ("DateTime", 4, "Best before", "DATETIME"),
)
"""Type, AX's number for it, the attribute's name, and the middle of the table's name."""
MATERIALS = ("Cotton", "Wolle", "Jute", "Plástico", "竹", "Carbon 🖤", "Æthervelour")
UNITS = (
    ("ea", 0, "each", "Stück", "個"),
    ("kg", 3, "kilogram", "Kilogramm", "キログラム"),
    ("l", 3, "litre", "Liter", "リットル"),
    ("m", 2, "metre", "Meter", "メートル"),
    ("box", 0, "box", "Karton", "箱"),
    ("pr", 0, "pair", "Paar", "足"),
    ("µg", 6, "microgram", "Mikrogramm", "マイクログラム"),
)
CONVERSIONS = (("box", "ea", "12"), ("pr", "ea", "2"), ("kg", "µg", "1000000000"), ("l", "kg", "0.9982071000000001"))
MASKS = (("EAN13", "", "4XXXXXXXXXXXM"), ("WEIGHT", "28", "28XXXXXQQQQQM"), ("COUPON", "99", "99CCCCCCCCCCM"))


def tables(world: World) -> Iterator[Table]:
    """The tables about how products are grouped and described."""
    yield from _tree(world, world.shared(categories))
    yield from _attributes(world)
    yield from _pictures(world)
    yield from _units(world)
    yield from _masks(world)


def _tree(world: World, tree: list[Category]) -> Iterator[Table]:
    rng = world.random("tree")
    hierarchy = [(RETAIL_HIERARCHY, "Retail product hierarchy", 1)]
    yield Table("ECORESCATEGORYHIERARCHY", ("RECID", "NAME", "HIERARCHYMODIFIER"), hierarchy)
    roles = world.numbered("ECORESCATEGORYHIERARCHYROLE", [(4, RETAIL_HIERARCHY), (5, RETAIL_HIERARCHY)])
    columns = ("RECID", "NAMEDCATEGORYHIERARCHYROLE", "CATEGORYHIERARCHY")
    yield Table("ECORESCATEGORYHIERARCHYROLE", columns, roles)
    columns = (
        "RECID",
        "NAME",
        "PARENTCATEGORY",
        "LEVEL",
        "NESTEDSETLEFT",
        "NESTEDSETRIGHT",
        "CATEGORYHIERARCHY",
        "ISACTIVE",
    )
    columns += ("INSTANCERELATIONTYPE", "RELATIONTYPE", "CREATEDDATETIME", "MODIFIEDDATETIME")
    rows = [
        (node.recid, node.name, node.parent, node.level, node.left, node.right, RETAIL_HIERARCHY, 1)
        + (RETAIL_CATEGORY, RETAIL_CATEGORY, moment(rng), moment(rng))
        for node in tree
    ]
    yield Table("ECORESCATEGORY", columns, rows)
    texts = [
        (node.recid, language, TRANSLATED[language].format(node.name), node.name.upper())
        for node in tree
        for language in LANGUAGES
    ]
    columns = ("RECID", "CATEGORY", "LANGUAGEID", "FRIENDLYNAME", "SEARCHTEXT")
    yield Table("ECORESCATEGORYTRANSLATION", columns, world.numbered("ECORESCATEGORYTRANSLATION", texts))
    inside = [(a.recid, b.recid) for a in tree for b in tree if a.left <= b.left and b.right <= a.right]
    rows = world.numbered("RETAILCATEGORYCONTAINMENTLOOKUP", inside)
    yield Table("RETAILCATEGORYCONTAINMENTLOOKUP", ("RECID", "CATEGORY", "CONTAINEDCATEGORY"), rows)
    rows = [(one.category.recid, RETAIL_HIERARCHY, one.recid, moment(rng)) for one in world.shared(products)]
    columns = ("RECID", "CATEGORY", "CATEGORYHIERARCHY", "PRODUCT", "MODIFIEDDATETIME")
    yield Table("ECORESPRODUCTCATEGORY", columns, world.numbered("ECORESPRODUCTCATEGORY", rows))


def _attributes(world: World) -> Iterator[Table]:
    rng = world.random("attributes")
    kinds = world.numbered("ECORESATTRIBUTETYPE", [(name, number) for name, number, _, _ in ATTRIBUTES])
    yield Table("ECORESATTRIBUTETYPE", ("RECID", "NAME", "DATATYPE"), kinds)
    attributes = world.numbered("ECORESATTRIBUTE", [(kind[0], row[2]) for kind, row in zip(kinds, ATTRIBUTES)])
    yield Table("ECORESATTRIBUTE", ("RECID", "ATTRIBUTETYPE", "NAME"), attributes)
    texts = [(one[0], language, f"{one[2]} ({language})", "¿?") for one in attributes for language in LANGUAGES]
    columns = ("RECID", "ATTRIBUTE", "LANGUAGE", "FRIENDLYNAME", "HELPTEXT")
    yield Table("ECORESATTRIBUTETRANSLATION", columns, world.numbered("ECORESATTRIBUTETRANSLATION", texts))
    described = world.shared(products)[::4]
    instances = [(world.recid("ECORESINSTANCEVALUE"), product) for product in described]
    yield Table(
        "ECORESINSTANCEVALUE", ("RECID", "INSTANCERELATIONTYPE", "RELATIONTYPE"), [(i, 1, 1) for i, _ in instances]
    )
    yield Table("ECORESPRODUCTINSTANCEVALUE", ("RECID", "PRODUCT"), [(i, product.recid) for i, product in instances])
    for position, (attribute, (_, number, _, table)) in enumerate(zip(attributes, ATTRIBUTES)):
        owners = [instance for instance, _ in instances[position :: len(ATTRIBUTES)]]
        yield from _values(world, rng, attribute[0], number, table, owners)


def _values(
    world: World, rng: random.Random, attribute: int, number: int, table: str, owners: list[int]
) -> Iterator[Table]:
    """Values of one attribute: the common row, the typed row with the same RECID, and the link to the product."""
    numbered = [(world.recid("ECORESVALUE"), owner) for owner in owners]
    common = [(recid, number, number) for recid, _ in numbered]
    yield Table("ECORESVALUE", ("RECID", "INSTANCERELATIONTYPE", "RELATIONTYPE"), common)
    columns, first = _typed(rng, table)
    rows = [(numbered[0][0], *first)] + [(recid, *_typed(rng, table)[1]) for recid, _ in numbered[1:]]
    yield Table(f"ECORES{table}VALUE", ("RECID", *columns), rows)
    links = world.numbered("ECORESATTRIBUTEVALUE", [(attribute, owner, recid) for recid, owner in numbered])
    yield Table("ECORESATTRIBUTEVALUE", ("RECID", "ATTRIBUTE", "INSTANCEVALUE", "VALUE"), links)


def _typed(rng: random.Random, table: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    unknown = rng.random() < 0.25  # NULL wherever the column admits it
    if table == "TEXT":
        return ("TEXTVALUE",), (rng.choice(MATERIALS) * rng.choice((1, 1, 3, 100)),)
    if table == "INT":
        return ("INTVALUE", "INTUNITOFMEASURE"), (
            None if unknown else rng.choice((0, -1, 2**31 - 1, -(2**31), 24)),
            None,
        )
    if table == "FLOAT":
        return ("FLOATVALUE", "FLOATUNITOFMEASURE"), (None if unknown else -long_decimal(rng, 0, 10**15), FIRST_RECID)
    if table == "BOOLEAN":
        return ("BOOLEANVALUE",), (None if unknown else rng.randrange(2),)
    if table == "CURRENCY":
        return ("CURRENCYCODE", "CURRENCYVALUE"), ("EUR", None if unknown else long_decimal(rng, 0, 10**12))
    extremes = (datetime(1900, 1, 1), datetime(2154, 12, 31, 23, 59, 59), datetime(2000, 2, 29, 12, 0, 0, 997000))
    return ("DATETIMEVALUE",), (None if unknown else rng.choice((*extremes, moment(rng))),)


def _pictures(world: World) -> Iterator[Table]:
    columns = ("RECID", "REFRECORD", "DEFAULTIMAGE", "MEDIUMSIZE")
    shown = world.shared(products)[::20]
    rows = [(one.recid, 1, None if number % 7 == 0 else picture(one.item)) for number, one in enumerate(shown)]
    yield Table("ECORESPRODUCTIMAGE", columns, world.numbered("ECORESPRODUCTIMAGE", rows))


def _units(world: World) -> Iterator[Table]:
    rng = world.random("units")
    units = world.numbered("UNITOFMEASURE", [(unit[0], unit[1], moment(rng)) for unit in UNITS])
    yield Table("UNITOFMEASURE", ("RECID", "SYMBOL", "DECIMALPRECISION", "MODIFIEDDATETIME"), units)
    texts = [
        (row[0], language, text, moment(rng))
        for row, (_, _, *names) in zip(units, UNITS)
        for language, text in zip(LANGUAGES, names)
    ]
    columns = ("RECID", "UNITOFMEASURE", "LANGUAGEID", "DESCRIPTION", "MODIFIEDDATETIME")
    yield Table("UNITOFMEASURETRANSLATION", columns, world.numbered("UNITOFMEASURETRANSLATION", texts))
    by_symbol = {row[1]: row[0] for row in units}
    rows = [(by_symbol[a], by_symbol[b], Decimal(factor), 1, 1, moment(rng)) for a, b, factor in CONVERSIONS]
    columns = (
        "RECID",
        "FROMUNITOFMEASURE",
        "TOUNITOFMEASURE",
        "FACTOR",
        "NUMERATOR",
        "DENOMINATOR",
        "MODIFIEDDATETIME",
    )
    yield Table("UNITOFMEASURECONVERSION", columns, world.numbered("UNITOFMEASURECONVERSION", rows))
    rows = [(unit[0], Decimal("0.001") if unit[1] else Decimal(1), int(unit[0] == "kg"), world.area) for unit in UNITS]
    columns = ("RECID", "UNITID", "MINDENOMINATOR", "WEIGHTUNITOFMEASURE", "DATAAREAID")
    yield Table("RETAILUNIT", columns, world.numbered("RETAILUNIT", rows))


def _masks(world: World) -> Iterator[Table]:
    columns = ("RECID", "MASKID", "PREFIX", "MASK", "DESCRIPTION", "TYPE", "DATAAREAID")
    rows = [
        (name, prefix, mask, f"Maske {name}", type_, world.area) for type_, (name, prefix, mask) in enumerate(MASKS)
    ]
    yield Table("RETAILBARCODEMASKTABLE", columns, world.numbered("RETAILBARCODEMASKTABLE", rows))
    columns = ("RECID", "MASKID", "SEGMENTNUM", "CHAR", "LENGTH", "TYPE", "DATAAREAID")
    rows = [
        (name, place, char, Decimal(mask.count(char)), place, world.area)
        for name, _, mask in MASKS
        for place, char in enumerate(dict.fromkeys(mask), 1)
        if char.isalpha()
    ]
    yield Table("RETAILBARCODEMASKSEGMENT", columns, world.numbered("RETAILBARCODEMASKSEGMENT", rows))
    characters = (
        ("X", 0, "Article"),
        ("M", 1, "Prüfziffer"),
        ("Q", 2, "Menge"),
        ("C", 3, "Coupon"),
        ("*", 4, "Anything"),
    )
    columns = ("RECID", "CHARACTER", "CHARACTERTYPE", "COMMENT", "DATAAREAID")
    rows = world.numbered("RETAILBARCODEMASKCHARACTER", [(*one, world.area) for one in characters])
    yield Table("RETAILBARCODEMASKCHARACTER", columns, rows)
