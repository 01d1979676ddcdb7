# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases, schema folders, and how extensions are put on top of the packaged schema."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._model import TableName
from ansible_collections.axops.retail.plugins.module_utils._schema import package
from ansible_collections.axops.retail.plugins.module_utils._schema.release import Release

GROUP = TableName("ax", "CUSTGROUP")
Folder = Callable[..., str]


@pytest.fixture
def base(repository: Path) -> str:
    return str(repository / "schemas" / "ax2012r3")


@pytest.fixture
def make_folder(tmp_path: Path) -> Folder:
    """Return a function that writes a schema folder: tables by name, as documents."""

    def make(name: str = "contoso", release: str = "6.3.158.1", extends: str = "ax2012r3", **tables: Any) -> str:
        root = tmp_path / name
        for table, document in tables.items():
            schema, bare = table.split("__")
            (root / "tables" / schema).mkdir(parents=True, exist_ok=True)
            (root / "tables" / schema / f"{bare}.json").write_text(json.dumps(document), encoding="utf-8")
        (root / "tables").mkdir(parents=True, exist_ok=True)
        facts = {"release": release, "title": name, **({"extends": extends} if extends else {})}
        (root / "release.json").write_text(json.dumps(facts), encoding="utf-8")
        return str(root)

    return make


# ---- releases


def test_releases_compare_as_numbers():
    assert Release.parse("6.3.10.0") > Release.parse("6.3.9.0")
    assert str(Release.parse(" 6.3.158.0 ")) == "6.3.158.0"


@pytest.mark.parametrize("text", ["", "6.3.158", "6.3.158.0.1", "6.3.x.0", "-6.3.158.0", "6.3.158.0; DROP", None])
def test_nonsense_is_no_release(text):
    with pytest.raises(RetailError, match="is not a release"):
        Release.parse(text)


def test_the_vendors_number_collides_so_it_is_never_compared():
    one, other = Release.parse("6.3.1000.309"), Release.parse("6.4.0.309")
    assert one.number == other.number
    assert one < other


# ---- the packaged schema


def test_the_packaged_schema_is_complete(base):
    loaded = package.load([base])
    assert str(loaded.release) == "6.3.158.0"
    assert len(loaded.tables) == 547
    assert sum(not table.primary_key for table in loaded.tables.values()) == 25
    assert sum(any(column.is_rowversion for column in table.columns) for table in loaded.tables.values()) == 363
    assert sum(any(column.identity for column in table.columns) for table in loaded.tables.values()) == 52


def test_the_hq_schema_adds_to_it(base, repository):
    hq = package.load([base, str(repository / "schemas" / "ax2012r3_hq")])
    assert hq.release == package.load([base]).release
    assert hq.tables[TableName("ax", "RETAILCONNDATABASEPROFILE")].column("DATAGROUP")
    assert TableName("ax", "RETAILCDXDATAGROUP") in hq.tables


def test_a_package_survives_its_transfer(base):
    loaded = package.load([base])
    assert package.loads(package.dumps(loaded)) == loaded


def test_a_package_is_the_same_bytes_whatever_the_order_on_disk(base, monkeypatch):
    first = package.dumps(package.load([base]))
    listdir = package.folder.os.listdir
    monkeypatch.setattr(package.folder.os, "listdir", lambda path: random.sample(listdir(path), len(listdir(path))))
    assert package.dumps(package.load([base])) == first


def test_a_damaged_package_is_refused(base):
    content = package.dumps(package.load([base]))
    with pytest.raises(RetailError, match="damaged"):
        package.loads(content[: len(content) // 2])


# ---- extensions


def test_an_extension_adds_columns_and_tables_under_its_own_release(base, make_folder):
    folder = make_folder(
        ax__CUSTGROUP={"columns": {"CONTOSOTIER": "int not null default 3"}, "indexes": [["CONTOSOTIER"]]},
        ax__CONTOSOCARD={"columns": {"CARD": "nvarchar(20) not null"}, "primary_key": ["CARD"]},
    )
    loaded = package.load([base, folder])
    plain = package.load([base])
    assert str(loaded.release) == "6.3.158.1"
    assert loaded.tables[GROUP].columns == plain.tables[GROUP].columns + (loaded.tables[GROUP].column("CONTOSOTIER"),)
    assert loaded.tables[GROUP].indexes == (("CONTOSOTIER",),)
    assert loaded.tables[TableName("ax", "CONTOSOCARD")].primary_key == ("CARD",)
    assert [part.name for part in loaded.parts] == ["ax2012r3", "contoso"]


def test_extensions_build_on_each_other_in_the_order_of_their_releases(base, make_folder):
    second = make_folder("second", "6.3.158.2", ax__CARD={"columns": {"B": "int"}})
    first = make_folder("first", "6.3.158.1", ax__CARD={"columns": {"A": "int not null"}, "primary_key": ["A"]})
    loaded = package.load([base, second, first])
    assert [column.name for column in loaded.tables[TableName("ax", "CARD")].columns] == ["A", "B"]
    older = package.load([base, second, first], "6.3.158.1")
    assert [column.name for column in older.tables[TableName("ax", "CARD")].columns] == ["A"]


def test_an_unknown_release_is_refused_with_the_known_ones(base, make_folder):
    with pytest.raises(RetailError, match=r"Release 6\.3\.200\.0 is unknown.*6\.3\.158\.0, 6\.3\.158\.1"):
        package.load([base, make_folder()], "6.3.200.0")


def test_the_same_content_has_the_same_checksum_however_it_is_spelled(base, make_folder, tmp_path):
    folder = make_folder(ax__CARD={"columns": {"A": "int"}})
    before = package.load([base, folder]).parts[-1].checksum
    path = tmp_path / "contoso" / "tables" / "ax" / "CARD.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=8), encoding="utf-8")
    assert package.load([base, folder]).parts[-1].checksum == before
    path.write_text(json.dumps({"columns": {"A": "bigint"}}), encoding="utf-8")
    assert package.load([base, folder]).parts[-1].checksum != before


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"ax__CUSTGROUP": {"columns": {"X": "int not null"}}}, "column X of table ax.CUSTGROUP must not be null"),
        ({"ax__CUSTGROUP": {"columns": {"NAME": "int"}}}, "table ax.CUSTGROUP has a column NAME already"),
        ({"ax__CUSTGROUP": {"columns": {"name": "int"}}}, "table ax.CUSTGROUP has a column name already"),
        ({"ax__CUSTGROUP": {"primary_key": ["NAME"]}}, "table ax.CUSTGROUP has another primary key"),
        ({"ax__custgroup": {"columns": {"X": "int"}}}, "table ax.custgroup is spelled ax.CUSTGROUP"),
        ({"ax__CARD": {"columns": {}}}, "table ax.CARD has no columns"),
        ({"ax__CARD": {"columns": {"A": "int"}, "unique": [["B"]]}}, "a key of table ax.CARD names B"),
        ({"ax__CARD": {"columns": {"A": "int; DROP TABLE x"}}}, "Table ax.CARD: Column A"),
        ({"ax__CARD": {"columns": {"A": "int"}, "foreign_keys": []}}, "foreign_keys is not part of a table"),
    ],
)
def test_a_contradiction_is_refused_by_name(base, make_folder, tables, message):
    with pytest.raises(RetailError, match=message):
        package.load([base, make_folder(**tables)])


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"release": "6.3.159.1"}, "no extension of 6.3.158.0"),
        ({"release": "6.4.158.1"}, "no extension of 6.3.158.0"),
        ({"extends": "ax2009"}, "does not extend ax2012r3"),
        ({"extends": ""}, "does not extend ax2012r3"),
        ({"release": "one"}, "is not a release"),
    ],
)
def test_what_extends_something_else_is_refused(base, make_folder, facts, message):
    with pytest.raises(RetailError, match=message):
        package.load([base, make_folder(**facts)])


def test_a_missing_or_broken_folder_is_named(base, make_folder, tmp_path):
    with pytest.raises(RetailError, match=r"nowhere/release\.json cannot be read: No such file"):
        package.load([base, str(tmp_path / "nowhere")])
    folder = make_folder(ax__CARD={"columns": {"A": "int"}})
    (tmp_path / "contoso" / "tables" / "ax" / "CARD.json").write_text("{", encoding="utf-8")
    with pytest.raises(RetailError, match=r"CARD\.json is not valid JSON"):
        package.load([base, folder])
