# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue that all else refers to: categories, masters with their variants, articles."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from _masterdata.words import words
from _masterdata.world import FIRST_RECID, World, check_digit, money

MASTERS = 130
ARTICLES = 600

COLORS = ["Black", "Blue", "Türkis", "Grün", "Rosé", "Weiß", "Crème", "Orange", "Braun", "Silver", "藍色", "Žlutá"]
SIZES = ["XS", "S", "M", "L", "XL", "XXL", "36", "38½", "42", "One size"]
NO_DIMENSION = "AllBlank"

TREE = {
    "Apparel": ("Shirts", "Trousers", "Jackets", "Kimono 着物"),
    "Shoes": ("Running", "Boots", "Sandals", "Kids' shoes"),
    "Food": ("Bakery", "Dairy", "Wines & Spirits", "Süßwaren", "Fruit"),
    "Electronics": ("Cameras", "Audio", "Computers", "Zubehör"),
    "Home": ("Kitchen", "Lighting", "Möbel", "Textiles"),
    "Sports": ("Cycling", "Football ⚽", "Ski", "Camping"),
}
WITH_VARIANTS = ("Apparel", "Shoes", "Sports")
TAX_OF_DEPARTMENT = {
    "Food": "FOOD",
    "Electronics": "FULL",
    "Home": "FULL",
    "Sports": "FULL",
    "Apparel": "RED",
    "Shoes": "RED",
}
SPIRITS = "Wines & Spirits"
UNIT_OF_LEAF = {"Fruit": "kg", "Dairy": "l", "Textiles": "m"}
ADJECTIVES = words(
    "Classic Leichte Premium Organic Día Vintage Été Everyday Nordic Señorita Urban Größe Café Ñandú Pro Mini"
)
NOUNS = words(
    "Aurora Bär Cobra Dragón Eßzimmer Fjord Güiro Hygge Iglu Jalapeño Kōhaku Łoś Maçã Niño Œuvre Polička Quetzal"
)


@dataclass(frozen=True)
class Category:
    """A node of the tree with the nested set that AX keeps of it."""

    recid: int
    name: str
    parent: int
    level: int
    left: int
    right: int


@dataclass(frozen=True)
class Variant:
    """One colour and size of a master."""

    recid: int
    variant_id: str
    color: int
    size: int

    @property
    def dimension(self) -> str:
        return dimension_id(self.color, self.size)


@dataclass
class Product:
    """Something with an item number: an article, or a master that is sold in variants."""

    recid: int
    item: str
    name: str
    category: Category
    unit: str
    price: Decimal
    tax: str
    variants: list[Variant] = field(default_factory=list)

    @cached_property
    def colors(self) -> list[int]:
        """The positions in COLORS that occur among the variants."""
        return sorted({variant.color for variant in self.variants})

    @cached_property
    def sizes(self) -> list[int]:
        """The positions in SIZES that occur among the variants."""
        return sorted({variant.size for variant in self.variants})


@dataclass(frozen=True)
class SalesUnit:
    """What a barcode stands for: an article, or one variant."""

    product: Product
    product_recid: int
    variant_id: str
    dimension: str
    barcode: str


def dimension_id(color: int, size: int) -> str:
    """The INVENTDIMID of a colour and a size."""
    return f"{1 + color * len(SIZES) + size:06d}"


def categories(_world: World) -> list[Category]:
    """The tree, root first, every parent before its children."""
    nodes: list[Category] = []

    def grow(name: str, parent: int, level: int, left: int, children: dict | tuple) -> int:
        recid, at = FIRST_RECID + len(nodes), len(nodes)
        nodes.append(Category(recid, name, parent, level, left, 0))
        edge = left
        for child in children:
            below = children[child] if isinstance(children, dict) else ()
            edge = grow(child, recid, level + 1, edge + 1, below)
        nodes[at] = Category(recid, name, parent, level, left, edge + 1)
        return edge + 1

    grow("All goods", 0, 1, 1, TREE)
    return nodes


def products(world: World) -> list[Product]:
    """All masters, then all articles."""
    rng = world.random("catalogue")
    tree = world.shared(categories)
    leaves = [node for node in tree if node.level == 3]
    department = {leaf.recid: next(node.name for node in tree if node.recid == leaf.parent) for leaf in leaves}
    dressed = [leaf for leaf in leaves if department[leaf.recid] in WITH_VARIANTS]
    plain = [leaf for leaf in leaves if department[leaf.recid] not in WITH_VARIANTS]
    made = [_product(world, rng, number, rng.choice(dressed), department) for number in range(MASTERS)]
    for master in made:
        master.variants = list(_variants(world, rng))
    made += [_product(world, rng, MASTERS + number, rng.choice(plain), department) for number in range(ARTICLES)]
    return made


def _product(world: World, rng: random.Random, number: int, leaf: Category, department: dict[int, str]) -> Product:
    name = f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {leaf.name.rstrip('s')} {number}"
    tax = "SPIR" if leaf.name == SPIRITS else TAX_OF_DEPARTMENT[department[leaf.recid]]
    return Product(
        recid=world.recid("ECORESPRODUCT"),
        item=f"{81000 + number}" if number % 40 else f"Ä-{81000 + number}",
        name=name,
        category=leaf,
        unit=UNIT_OF_LEAF.get(leaf.name, "ea"),
        price=money(rng, 1, 25) if tax == "FOOD" else money(rng, 5, 900),
        tax=tax,
    )


def _variants(world: World, rng: random.Random) -> Iterator[Variant]:
    for color in sorted(rng.sample(range(len(COLORS)), rng.randint(2, 4))):
        for size in range(rng.randint(0, 2), rng.randint(4, 6)):
            number = world.recid("RETAILVARIANT") - FIRST_RECID
            yield Variant(world.recid("ECORESPRODUCT"), f"V{number + 1:07d}", color, size)


def sales_units(world: World) -> list[SalesUnit]:
    """Everything that has a barcode, in the order of the catalogue."""
    units = []
    for product in world.shared(products):
        for variant in product.variants or [None]:
            barcode = check_digit(f"4{12345 + len(units):011d}")
            if variant is None:
                units.append(SalesUnit(product, product.recid, "", NO_DIMENSION, barcode))
            else:
                units.append(SalesUnit(product, variant.recid, variant.variant_id, variant.dimension, barcode))
    return units
