# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job 1040: products as the register needs them to find, show and sell them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from _masterdata.catalogue import (
    COLORS,
    NO_DIMENSION,
    SIZES,
    Product,
    SalesUnit,
    Variant,
    dimension_id,
    products,
    sales_units,
)
from _masterdata.world import BEGINNING, FIRST_RECID, LANGUAGES, NEVER, Table, World, long_decimal, moment, share

MASTER, ARTICLE, VARIANT = 3265, 3264, 3266
"""AX's table ids of the three kinds of product."""
COLOR_DIMENSION, SIZE_DIMENSION = FIRST_RECID + 1, FIRST_RECID + 3
INVENTORY, PURCHASE, SALES = 0, 1, 2
"""The module types of INVENTTABLEMODULE."""
ASSORTMENT = FIRST_RECID
DESCRIPTIONS = {
    "en-us": "{name}: hard-wearing, well made.\r\nTwo years' guarantee — \u201cno questions asked\u201d ✓",
    "de": "{name}: strapazierfähig, gut verarbeitet.\r\nZwei Jahre Garantie",
    "ja": "{name}：丈夫で長持ち。\n保証二年",
}
GROUPS = {"FOOD": "Lebensmittel", "SPIR": "Wine & spirits", "FULL": "Goods, full rate", "RED": "Clothing & shoes"}


def tables(world: World) -> Iterator[Table]:
    """The tables of the job, but for categories, attributes and units (their own modules)."""
    catalogue, units = world.shared(products), world.shared(sales_units)
    masters = [product for product in catalogue if product.variants]
    pairs = [(master, variant) for master in masters for variant in master.variants]
    yield from _products(world, catalogue, pairs)
    yield from _master_dimensions(world, masters)
    yield from _variant_dimensions(world, pairs)
    yield from _inventory_dimensions(world, pairs)
    yield from _items(world, catalogue)
    yield from _identification(world, units)
    yield from _assortment(world, catalogue)
    yield from _relations(world, catalogue)


def _products(world: World, catalogue: list[Product], pairs: list[tuple[Product, Variant]]) -> Iterator[Table]:
    columns = ("RECID", "DISPLAYPRODUCTNUMBER", "SEARCHNAME", "PRODUCTTYPE", "INSTANCERELATIONTYPE", "RELATIONTYPE")
    yield Table(
        "ECORESPRODUCT",
        columns,
        [
            (one.recid, one.item, one.name[:20], 1, kind, kind)
            for one in catalogue
            for kind in [MASTER if one.variants else ARTICLE]
        ],
    )
    yield Table(
        "ECORESPRODUCT",
        columns,
        [
            (v.recid, f"{m.item} : {SIZES[v.size]} : {COLORS[v.color]}", m.name[:20], 1, VARIANT, VARIANT)
            for m, v in pairs
        ],
    )
    yield Table("ECORESDISTINCTPRODUCTVARIANT", ("RECID", "PRODUCTMASTER"), [(v.recid, m.recid) for m, v in pairs])
    names = [
        (one.recid, language, one.name, DESCRIPTIONS[language].format(name=one.name))
        for one in catalogue
        for language in (LANGUAGES if one.variants else LANGUAGES[:1])
    ]
    names += [(v.recid, LANGUAGES[0], f"{m.name}, {COLORS[v.color]}, {SIZES[v.size]}", "") for m, v in pairs]
    columns = ("RECID", "PRODUCT", "LANGUAGEID", "NAME", "DESCRIPTION")
    yield Table("ECORESPRODUCTTRANSLATION", columns, world.numbered("ECORESPRODUCTTRANSLATION", names))


def _master_dimensions(world: World, masters: list[Product]) -> Iterator[Table]:
    """Values that a master comes in: a row of the common table and one, with the same RECID, of the dimension's own."""
    rng = world.random("dimensions")
    for table, kind, names, positions in (
        ("COLOR", COLOR_DIMENSION, COLORS, lambda master: master.colors),
        ("SIZE", SIZE_DIMENSION, SIZES, lambda master: master.sizes),
    ):
        yield Table(f"ECORES{table}", ("RECID", "NAME"), [(FIRST_RECID + at, name) for at, name in enumerate(names)])
        rows = [
            (world.recid("ECORESPRODUCTMASTERDIMENSIONVALUE"), kind, FIRST_RECID + at, master.recid)
            for master in masters
            for at in positions(master)
        ]
        columns = ("RECID", f"{table}PRODUCTDIMENSIONATTRIBUTE", table, f"{table}PRODUCTMASTER")
        yield Table(f"ECORESPRODUCTMASTER{table}", columns, rows)
        yield Table(
            "ECORESPRODUCTMASTERDIMENSIONVALUE",
            ("RECID", "INSTANCERELATIONTYPE", "RELATIONTYPE", "RETAILDISPLAYORDER", "RETAILWEIGHT"),
            [
                (row[0], kind - FIRST_RECID, kind - FIRST_RECID, long_decimal(rng, 0, 9), rng.randrange(9))
                for row in rows
            ],
        )


def _variant_dimensions(world: World, pairs: list[tuple[Product, Variant]]) -> Iterator[Table]:
    for table, kind, value in (
        ("COLOR", COLOR_DIMENSION, lambda v: v.color),
        ("SIZE", SIZE_DIMENSION, lambda v: v.size),
    ):
        rows = [(world.recid("ECORESPRODUCTVARIANTDIMENSIONVALUE"), variant) for _, variant in pairs]
        yield Table(
            "ECORESPRODUCTVARIANTDIMENSIONVALUE",
            ("RECID", "DISTINCTPRODUCTVARIANT", "PRODUCTDIMENSIONATTRIBUTE", "INSTANCERELATIONTYPE", "RELATIONTYPE"),
            [(recid, variant.recid, kind, kind - FIRST_RECID, kind - FIRST_RECID) for recid, variant in rows],
        )
        values = [(recid, FIRST_RECID + value(variant)) for recid, variant in rows]
        yield Table(f"ECORESPRODUCTVARIANT{table}", ("RECID", table), values)


def _inventory_dimensions(world: World, pairs: list[tuple[Product, Variant]]) -> Iterator[Table]:
    rows = [(NO_DIMENSION, "", "", "", None, world.area)]
    for color, color_name in enumerate(COLORS):
        for size, size_name in enumerate(SIZES):
            digest = hashlib.sha1(f"{color_name}|{size_name}".encode(), usedforsecurity=False).digest()
            rows.append((dimension_id(color, size), color_name, size_name, "", digest, world.area))
    rows += [(f"W{place:06d}", "", "", store.warehouse, None, world.area) for place, store in enumerate(world.stores)]
    columns = ("RECID", "INVENTDIMID", "INVENTCOLORID", "INVENTSIZEID", "INVENTLOCATIONID", "SHA1HASH", "DATAAREAID")
    yield Table("INVENTDIM", columns, world.numbered("INVENTDIM", rows))
    rng = world.random("combinations")
    combinations = [(m.item, v.dimension, v.recid, v.variant_id, moment(rng), world.area) for m, v in pairs]
    columns = (
        "RECID",
        "ITEMID",
        "INVENTDIMID",
        "DISTINCTPRODUCTVARIANT",
        "RETAILVARIANTID",
        "CREATEDDATETIME",
        "DATAAREAID",
    )
    yield Table("INVENTDIMCOMBINATION", columns, world.numbered("INVENTDIMCOMBINATION", combinations))


def _items(world: World, catalogue: list[Product]) -> Iterator[Table]:
    rng = world.random("items")
    rows = [
        (
            one.item,
            one.recid,
            one.name[:20],
            *(long_decimal(rng, 0, 90) for _ in range(5)),
            rng.randrange(4),
            world.area,
        )
        for one in catalogue
    ]
    sizes = ("NETWEIGHT", "TARAWEIGHT", "HEIGHT", "WIDTH", "DEPTH")
    columns = ("RECID", "ITEMID", "PRODUCT", "NAMEALIAS", *sizes, "ABCREVENUE", "DATAAREAID")
    yield Table("INVENTTABLE", columns, world.numbered("INVENTTABLE", rows))
    yield _modules(world, catalogue)
    columns = (
        "RECID",
        "ITEMID",
        "DATETOACTIVATEITEM",
        "SCALEITEM",
        "NODISCOUNTALLOWED",
        "ZEROPRICEVALID",
        "DATAAREAID",
    )
    rows = [(one.item, _date(rng), int(one.unit == "kg"), int(one.tax == "SPIR"), 0, world.area) for one in catalogue]
    yield Table("RETAILINVENTTABLE", columns, world.numbered("RETAILINVENTTABLE", rows))
    groups = [(group, name, world.area) for group, name in GROUPS.items()]
    yield Table(
        "INVENTITEMGROUP", ("RECID", "ITEMGROUPID", "NAME", "DATAAREAID"), world.numbered("INVENTITEMGROUP", groups)
    )
    rows = [(one.item, world.area, one.tax, world.area) for one in catalogue]
    columns = ("RECID", "ITEMID", "ITEMDATAAREAID", "ITEMGROUPID", "ITEMGROUPDATAAREAID")
    yield Table("INVENTITEMGROUPITEM", columns, world.numbered("INVENTITEMGROUPITEM", rows))
    columns = ("RECID", "ITEMID", "INVENTDIMID", "INVENTDIMIDDEFAULT", "DATAAREAID")
    rows = [(one.item, NO_DIMENSION, NO_DIMENSION, world.area) for one in catalogue]
    yield Table("INVENTITEMSALESSETUP", columns, world.numbered("INVENTITEMSALESSETUP", rows))


def _date(rng) -> date:
    return BEGINNING.replace(month=rng.randint(1, 12), day=rng.randint(1, 28))


def _modules(world: World, catalogue: list[Product]) -> Table:
    """The base prices: what the item costs, and what it sells for where no trade agreement says otherwise."""
    rng = world.random("modules")
    columns = (
        "RECID",
        "ITEMID",
        "MODULETYPE",
        "PRICE",
        "PRICEDATE",
        "PRICEUNIT",
        "UNITID",
        "TAXITEMGROUPID",
        "DATAAREAID",
    )
    rows = []
    for one in catalogue:
        cost = share(one.price, "0.6180339887498948")
        for module, price in ((INVENTORY, cost), (PURCHASE, cost), (SALES, one.price)):
            rows.append((one.item, module, price, _date(rng), Decimal(1), one.unit, one.tax, world.area))
    return Table("INVENTTABLEMODULE", columns, world.numbered("INVENTTABLEMODULE", rows))


def _identification(world: World, units: list[SalesUnit]) -> Iterator[Table]:
    columns = ("RECID", "ITEMID", "INVENTDIMID", "RETAILVARIANTID", "ITEMBARCODE", "BARCODESETUPID", "UNITID", "QTY")
    rows = [
        (
            *_sold(one),
            one.variant_id,
            one.barcode,
            "EAN13",
            one.product.unit,
            Decimal(1),
            one.product.name,
            1,
            1,
            world.area,
        )
        for one in units
    ]
    columns += ("DESCRIPTION", "USEFORINPUT", "USEFORPRINTING", "DATAAREAID")
    yield Table("INVENTITEMBARCODE", columns, world.numbered("INVENTITEMBARCODE", rows))
    columns = ("RECID", "ITEMID", "INVENTDIMID", "UNITID", "GLOBALTRADEITEMNUMBER", "GTINSETUP", "DATAAREAID")
    rows = [(*_sold(one), one.product.unit, f"0{one.barcode}", 2, world.area) for one in units]
    yield Table("INVENTITEMGTIN", columns, world.numbered("INVENTITEMGTIN", rows))


def _sold(unit: SalesUnit) -> tuple[str, str]:
    return unit.product.item, unit.dimension


def _assortment(world: World, catalogue: list[Product]) -> Iterator[Table]:
    rows = [(ASSORTMENT, one.recid, 0, 1, BEGINNING, NEVER) for one in catalogue]
    columns = ("RECID", "ASSORTMENTID", "PRODUCTID", "VARIANTID", "LINETYPE", "VALIDFROM", "VALIDTO")
    yield Table("RETAILASSORTMENTLOOKUP", columns, world.numbered("RETAILASSORTMENTLOOKUP", rows))
    rows = world.numbered("RETAILASSORTMENTLOOKUPCHANNELGROUP", [(ASSORTMENT, s.operating_unit) for s in world.stores])
    yield Table("RETAILASSORTMENTLOOKUPCHANNELGROUP", ("RECID", "ASSORTMENTID", "OMOPERATINGUNITID"), rows)


def _relations(world: World, catalogue: list[Product]) -> Iterator[Table]:
    kinds = world.numbered("ECORESPRODUCTRELATIONTYPE", [("Accessory",), ("Goes well with ❤",)])
    yield Table("ECORESPRODUCTRELATIONTYPE", ("RECID", "NAME"), kinds)
    rows = [(one.recid, other.recid, kinds[1][0]) for one, other in zip(catalogue[::5], catalogue[1::5])]
    columns = ("RECID", "PRODUCT1", "PRODUCT2", "PRODUCTRELATIONTYPE")
    yield Table("ECORESPRODUCTRELATIONTABLE", columns, world.numbered("ECORESPRODUCTRELATIONTABLE", rows))
    rng = world.random("linked")
    linked = [
        (one.item, other.item, one.unit, Decimal(rng.randint(1, 3)), int(rng.random() < 0.1), world.area)
        for one, other in zip(catalogue[::25], catalogue[7::25])
    ]
    columns = ("RECID", "ITEMID", "LINKEDITEMID", "UNIT", "QTY", "BLOCKED", "DATAAREAID")
    yield Table("RETAILINVENTLINKEDITEM", columns, world.numbered("RETAILINVENTLINKEDITEM", linked))
