# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated master data against the packaged schema: it must fit every column and keep every key."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import masterdata
import pytest

STORES = [
    {"store_id": "HOUSTON", "registers": ["000001", "000002"]},
    {"store_id": "SEATTLE", "registers": ["000003"], "name": "Seattle – 東京 ☕"},
]
DATETIME_RANGE = (datetime(1753, 1, 1), datetime(9999, 12, 31))
INT_RANGES = {"int": 2**31, "bigint": 2**63}
PYTHON_TYPES = {
    "nvarchar": str,
    "nchar": str,
    "varchar": str,
    "ntext": str,
    "text": str,
    "int": int,
    "bigint": int,
    "bit": bool,
    "numeric": Decimal,
    "decimal": Decimal,
    "datetime": datetime,
    "date": date,
    "varbinary": bytes,
    "image": bytes,
    "uniqueidentifier": UUID,
}


@pytest.fixture(scope="module")
def schema(repository):
    """Table with its schema → its packaged definition."""
    folder = repository / "schemas" / "ax2012r3" / "tables"
    paths = folder.glob("*/*.json")
    return {f"{path.parent.name}.{path.stem}": json.loads(path.read_text(encoding="utf-8")) for path in paths}


@pytest.fixture(scope="module")
def rows():
    """Table → its rows, each a dict of the given columns."""
    found: dict[str, list[dict]] = {}
    for table, columns, chunk in masterdata.generate(STORES):
        found.setdefault(table, []).extend(dict(zip(columns, row, strict=True)) for row in chunk)
    return found


def column_type(definition: dict, column: str) -> tuple[str, tuple[int, ...]]:
    base, sizes = re.match(r"(\w+)(?:\(([^)]*)\))?", definition["columns"][column]).groups()
    return base, tuple(int(size) for size in (sizes or "").split(",") if size.isdigit())


def misfit(kind: str, sizes: tuple[int, ...], value) -> str | None:
    """Why a value does not fit its column, or None."""
    if type(value) is not PYTHON_TYPES[kind]:
        return f"is a {type(value).__name__}"
    if isinstance(value, str) and sizes and len(value.encode("utf-16-le")) // 2 > sizes[0]:
        return "is too wide"
    if kind in ("varchar", "text") and not value.isascii():
        return "is not ASCII"
    if isinstance(value, bytes) and sizes and len(value) > sizes[0]:
        return "is too long"
    if kind in INT_RANGES and not -INT_RANGES[kind] <= value < INT_RANGES[kind]:
        return "is out of range"
    if isinstance(value, Decimal) and not fits_decimal(value, *sizes):
        return "has too many digits"
    if kind == "datetime" and not (DATETIME_RANGE[0] <= value < DATETIME_RANGE[1] and survives_sql_server(value)):
        return "is a time that SQL Server would round"
    return None


def fits_decimal(value: Decimal, precision: int, scale: int) -> bool:
    _, digits, exponent = value.as_tuple()
    return -exponent <= scale and len(digits) + exponent <= precision - scale


def survives_sql_server(value: datetime) -> bool:
    """SQL Server's datetime counts in 1/300 s: milliseconds end in 0, 3 or 7."""
    return value.microsecond % 1000 == 0 and value.microsecond // 1000 % 10 in (0, 3, 7)


def all_chunks():
    yield from masterdata.generate(STORES)
    yield from masterdata.type_samples()


def test_it_is_as_much_as_a_store_has(rows):
    assert sum(map(len, rows.values())) >= 50_000
    assert len(rows) >= 40


def test_it_moves_with_the_scheduler_jobs_but_for_what_others_write(rows):
    assert not [table for table in rows if table.startswith("ax.RETAILOFFLINE")]
    assert all(row.get("OFFLINEPROFILE") is None for row in rows["ax.RETAILSTORETABLE"])
    for table in ("CURRENCY", "CUSTTABLE", "RETAILTERMINALTABLE", "RETAILSTAFFTABLE", "RETAILCHANNELTABLE", "TAXDATA"):
        assert rows[f"ax.{table}"]


def test_every_table_and_column_exists_and_none_belongs_to_the_engine(schema):
    wrong = []
    for table, columns, _ in all_chunks():
        for column in columns:
            text = schema[table]["columns"].get(column, "missing")
            if text == "missing" or re.search(r"\bidentity\b|^timestamp|^rowversion", text):
                wrong.append((table, column, text))
    assert wrong == []


def test_every_value_fits_its_column(schema):
    wrong = []
    for table, columns, chunk in all_chunks():
        types = [column_type(schema[table], column) for column in columns]
        nullable = ["not null" not in schema[table]["columns"][column] for column in columns]
        for row in chunk:
            for column, (kind, sizes), may_be_null, value in zip(columns, types, nullable, row, strict=True):
                reason = (None if may_be_null else "is null") if value is None else misfit(kind, sizes, value)
                if reason:
                    wrong.append((table, column, value, reason))
    assert wrong == []


def test_nothing_is_left_to_the_clock_or_to_a_missing_default(schema):
    """A column that fills itself with the time would make two runs differ; one without default cannot be left out."""
    wrong = []
    for table, columns, _ in all_chunks():
        for column, text in schema[table]["columns"].items():
            left_out = column not in columns and not re.search(r"\bidentity\b|^timestamp|^rowversion", text)
            if left_out and (
                "getutcdate" in text or "getdate" in text or ("not null" in text and "default" not in text)
            ):
                wrong.append((table, column))
    assert wrong == []


def folded(value):
    """What a careless collation takes for the same: case and trailing spaces."""
    return value.casefold().rstrip(" ") if isinstance(value, str) else value


def test_every_key_is_unique_even_to_a_careless_collation(schema, rows):
    wrong = []
    for table, found in rows.items():
        definition = schema[table]
        defaults = {name: default_of(text) for name, text in definition["columns"].items()}
        for key in [definition["primary_key"], *definition.get("unique", [])]:
            seen = Counter(tuple(folded(row.get(column, defaults[column])) for column in key) for row in found)
            wrong += [(table, key, values) for values, times in seen.items() if times > 1]
    assert wrong == []


def default_of(text: str):
    match = re.search(r"default (.+)$", text)
    return match.group(1).strip("'") if match else None


REFERENCES = [
    ("EXCHANGERATE", "EXCHANGERATECURRENCYPAIR", "EXCHANGERATECURRENCYPAIR", "RECID"),
    ("EXCHANGERATECURRENCYPAIR", "TOCURRENCYCODE", "CURRENCY", "CURRENCYCODE"),
    ("CUSTTABLE", "PARTY", "DIRPARTYTABLE", "RECID"),
    ("CUSTTABLE", "CUSTGROUP", "CUSTGROUP", "CUSTGROUP"),
    ("CUSTTABLE", "TAXGROUP", "TAXGROUPHEADING", "TAXGROUP"),
    ("RETAILCUSTTABLE", "ACCOUNTNUM", "CUSTTABLE", "ACCOUNTNUM"),
    ("RETAILCUSTAFFILIATION", "CUSTACCOUNTNUM", "CUSTTABLE", "ACCOUNTNUM"),
    ("RETAILCUSTAFFILIATION", "RETAILAFFILIATIONID", "RETAILAFFILIATION", "RECID"),
    ("DIRPERSONNAME", "PERSON", "DIRPARTYTABLE", "RECID"),
    ("DIRPARTYLOCATION", "PARTY", "DIRPARTYTABLE", "RECID"),
    ("DIRPARTYLOCATION", "LOCATION", "LOGISTICSLOCATION", "RECID"),
    ("DIRPARTYLOCATIONROLE", "PARTYLOCATION", "DIRPARTYLOCATION", "RECID"),
    ("DIRPARTYLOCATIONROLE", "LOCATIONROLE", "LOGISTICSLOCATIONROLE", "RECID"),
    ("LOGISTICSPOSTALADDRESS", "LOCATION", "LOGISTICSLOCATION", "RECID"),
    ("LOGISTICSPOSTALADDRESS", "CITYRECID", "LOGISTICSADDRESSSCITY", "RECID"),
    ("LOGISTICSELECTRONICADDRESS", "LOCATION", "LOGISTICSLOCATION", "RECID"),
    ("ECORESDISTINCTPRODUCTVARIANT", "PRODUCTMASTER", "ECORESPRODUCT", "RECID"),
    ("ECORESDISTINCTPRODUCTVARIANT", "RECID", "ECORESPRODUCT", "RECID"),
    ("ECORESPRODUCTTRANSLATION", "PRODUCT", "ECORESPRODUCT", "RECID"),
    ("ECORESPRODUCTCATEGORY", "CATEGORY", "ECORESCATEGORY", "RECID"),
    ("ECORESPRODUCTVARIANTCOLOR", "RECID", "ECORESPRODUCTVARIANTDIMENSIONVALUE", "RECID"),
    ("ECORESPRODUCTVARIANTSIZE", "SIZE", "ECORESSIZE", "RECID"),
    ("ECORESPRODUCTMASTERCOLOR", "RECID", "ECORESPRODUCTMASTERDIMENSIONVALUE", "RECID"),
    ("ECORESATTRIBUTEVALUE", "VALUE", "ECORESVALUE", "RECID"),
    ("ECORESATTRIBUTEVALUE", "ATTRIBUTE", "ECORESATTRIBUTE", "RECID"),
    ("ECORESFLOATVALUE", "RECID", "ECORESVALUE", "RECID"),
    ("INVENTTABLE", "PRODUCT", "ECORESPRODUCT", "RECID"),
    ("INVENTTABLEMODULE", "ITEMID", "INVENTTABLE", "ITEMID"),
    ("INVENTTABLEMODULE", "UNITID", "UNITOFMEASURE", "SYMBOL"),
    ("INVENTDIMCOMBINATION", "INVENTDIMID", "INVENTDIM", "INVENTDIMID"),
    ("INVENTDIMCOMBINATION", "DISTINCTPRODUCTVARIANT", "ECORESDISTINCTPRODUCTVARIANT", "RECID"),
    ("INVENTITEMBARCODE", "ITEMID", "INVENTTABLE", "ITEMID"),
    ("INVENTITEMBARCODE", "INVENTDIMID", "INVENTDIM", "INVENTDIMID"),
    ("PRICEDISCTABLE", "ITEMRELATION", "INVENTTABLE", "ITEMID"),
    ("PRICEDISCTABLE", "INVENTDIMID", "INVENTDIM", "INVENTDIMID"),
    ("RETAILPERIODICDISCOUNTLINE", "OFFERID", "RETAILPERIODICDISCOUNT", "OFFERID"),
    ("RETAILPERIODICDISCOUNTLINE", "RETAILGROUPMEMBERLINE", "RETAILGROUPMEMBERLINE", "RECID"),
    ("RETAILDISCOUNTOFFER", "RECID", "RETAILPERIODICDISCOUNT", "RECID"),
    ("RETAILDISCOUNTLINEOFFER", "RECID", "RETAILPERIODICDISCOUNTLINE", "RECID"),
    ("RETAILDISCOUNTPRICEGROUP", "PRICEDISCGROUP", "PRICEDISCGROUP", "RECID"),
    ("RETAILLOYALTYCARD", "PARTY", "DIRPARTYTABLE", "RECID"),
    ("RETAILLOYALTYCARDTIER", "LOYALTYTIER", "RETAILLOYALTYTIER", "RECID"),
    ("HCMWORKER", "PERSON", "DIRPARTYTABLE", "RECID"),
    ("RETAILSTAFFTABLE", "STAFFID", "HCMWORKER", "PERSONNELNUMBER"),
    ("RETAILSTORETABLE", "RECID", "RETAILCHANNELTABLE", "RECID"),
    ("RETAILSTORETABLE", "FUNCTIONALITYPROFILE", "RETAILFUNCTIONALITYPROFILE", "PROFILEID"),
    ("RETAILCHANNELTABLE", "OMOPERATINGUNITID", "OMOPERATINGUNIT", "RECID"),
    ("RETAILCHANNELTABLE", "DEFAULTCUSTACCOUNT", "CUSTTABLE", "ACCOUNTNUM"),
    ("OMOPERATINGUNIT", "RECID", "DIRPARTYTABLE", "RECID"),
    ("RETAILSTORETENDERTYPETABLE", "CHANNEL", "RETAILCHANNELTABLE", "RECID"),
    ("RETAILTERMINALTABLE", "STORERECID", "RETAILSTORETABLE", "RECID"),
    ("RETAILTERMINALTABLE", "HARDWAREPROFILE", "RETAILHARDWAREPROFILE", "PROFILEID"),
    ("RETAILTERMINALTABLE", "VISUALPROFILE", "RETAILVISUALPROFILE", "PROFILEID"),
    ("RETAILTERMINALTABLE", "LAYOUTID", "RETAILTILLLAYOUT", "LAYOUTID"),
    ("TAXDATA", "TAXCODE", "TAXTABLE", "TAXCODE"),
    ("TAXONITEM", "TAXCODE", "TAXTABLE", "TAXCODE"),
    ("TAXGROUPDATA", "TAXCODE", "TAXTABLE", "TAXCODE"),
]


@pytest.mark.parametrize(("table", "column", "other", "key"), REFERENCES, ids=lambda value: value)
def test_what_is_referred_to_exists(rows, table, column, other, key):
    known = {row[key] for row in rows[f"ax.{other}"]}
    referred = {row[column] for row in rows[f"ax.{table}"]}
    assert referred
    assert referred <= known


def test_the_category_tree_is_a_nested_set(rows):
    nodes = {row["RECID"]: row for row in rows["ax.ECORESCATEGORY"]}
    edges = sorted(edge for row in nodes.values() for edge in (row["NESTEDSETLEFT"], row["NESTEDSETRIGHT"]))
    assert edges == list(range(1, 2 * len(nodes) + 1))
    for row in nodes.values():
        parent = nodes.get(row["PARENTCATEGORY"])
        if parent:
            assert parent["NESTEDSETLEFT"] < row["NESTEDSETLEFT"] < row["NESTEDSETRIGHT"] < parent["NESTEDSETRIGHT"]


def test_every_type_of_the_schema_occurs(schema):
    used = {
        column_type(schema[table], column)[0]
        for table, columns, chunk in all_chunks()
        for place, column in enumerate(columns)
        if any(row[place] is not None for row in chunk)
    }
    declared = {
        column_type(definition, column)[0] for definition in schema.values() for column in definition["columns"]
    }
    assert declared - used == {"timestamp", "rowversion"}


def test_it_holds_what_finds_shortcuts(rows):
    values = [value for found in rows.values() for row in found for value in row.values()]
    texts = "".join(value for value in values if isinstance(value, str))
    for awkward in ("Ölgötze", "東京", "🦉", "'", '"', "\\", "\n", "\t", "]]>", "العالم", "\u00c5", "A\u030a"):
        assert awkward in texts
    assert {"COLA", "Cola", "Cola "} <= {value for value in values if isinstance(value, str)}
    assert any(value is None for value in values)
    assert b"" in values
    assert any(isinstance(value, Decimal) and value.as_tuple().exponent == -16 for value in values)
    assert min(value for value in values if type(value) is int) == -(2**31)


def digest(stores) -> str:
    return hashlib.sha256(repr(list(masterdata.generate(stores))).encode()).hexdigest()


def test_it_is_the_same_at_every_run():
    assert digest(STORES) == digest(STORES)


def test_one_more_store_leaves_the_catalogue_and_the_customers_alone():
    def shared(stores):
        tables = ("ax.INVENTTABLE", "ax.PRICEDISCTABLE", "ax.CUSTTABLE", "ax.ECORESPRODUCT")
        return [chunk for chunk in masterdata.generate(stores) if chunk[0] in tables]

    assert shared(STORES) == shared(STORES[:1])


def test_stores_and_registers_are_the_declared_ones(rows):
    stores = {row["STORENUMBER"]: row["RECID"] for row in rows["ax.RETAILSTORETABLE"]}
    assert stores == {name: masterdata.channel_of(STORES, name) for name in ("HOUSTON", "SEATTLE")}
    terminals = {row["TERMINALID"]: row["STORERECID"] for row in rows["ax.RETAILTERMINALTABLE"]}
    houston, seattle = stores["HOUSTON"], stores["SEATTLE"]
    assert terminals == {"000001": houston, "000002": houston, "000003": seattle}


@pytest.mark.parametrize(
    ("stores", "complaint"),
    [
        ([{"store_id": "A" * 11, "registers": []}], "store_id"),
        ([{"store_id": "A", "registers": ["1" * 11]}], "register ID"),
        ([{"store_id": "A", "registers": [""]}], "register ID"),
        ([{"store_id": "A", "registers": ["1"]}, {"store_id": "B", "registers": ["1"]}], "declared twice"),
        ([{"store_id": "A", "registers": []}, {"store_id": "a", "registers": []}], "declared twice"),
        (
            [{"store_id": "A", "registers": []}, {"store_id": "B", "registers": [], "legal_entity": "ussi"}],
            "legal entities",
        ),
    ],
)
def test_a_wrong_declaration_fails_before_the_first_row(stores, complaint):
    with pytest.raises(ValueError, match=complaint):
        next(iter(masterdata.generate(stores)))


def test_no_chunk_is_larger_than_one_statement_may_be():
    assert max(len(chunk) for _, _, chunk in all_chunks()) <= 1000
