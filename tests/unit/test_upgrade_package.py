# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade packages in the vendor's form: what is read, and which scripts lead from one release to another."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, postgresql
from ansible_collections.axops.retail.plugins.module_utils._schema import scripts, upgrade
from ansible_collections.axops.retail.plugins.module_utils._schema.release import Release

ROW = "<r><UPGRADEVERSION>%s</UPGRADEVERSION><UPGRADESCRIPT>%s</UPGRADESCRIPT></r>"


def package(folder: Path, *rows: tuple[str, str], around: str = "<x>%s</x>") -> upgrade.Upgrades:
    for _release, file in rows:
        if file:
            (folder / file).write_text(file, encoding="utf-8")
    (folder / upgrade.INDEX).write_text(around % "".join(ROW % row for row in rows), encoding="utf-8")
    return upgrade.read(str(folder), None)


def way(found: upgrade.Upgrades, installed: str, wanted: str) -> list[str]:
    return [script.file for script in found.way(Release.parse(installed), Release.parse(wanted))]


def test_scripts_are_ordered_by_number_and_begin_above_the_installed_release(tmp_path):
    found = package(tmp_path, ("6.3.10.0", "c.sql"), ("6.3.9.0", "b.sql"), ("6.3.0.1", "a.sql"))
    assert way(found, "6.3.0.0", "6.3.10.0") == ["a.sql", "b.sql", "c.sql"]
    assert way(found, "6.3.0.1", "6.3.9.0") == ["b.sql"]
    assert way(found, "6.3.10.0", "6.3.10.0") == []
    assert str(found.wanted(None, Release.parse("6.3.0.0"))) == "6.3.10.0"


@pytest.mark.parametrize("installed", ["6.1.0.0", "6.2.0.0"])
def test_a_row_without_a_script_ends_the_way(tmp_path, installed):
    found = package(tmp_path, ("6.2.0.0", ""), ("6.3.0.0", "a.sql"))
    with pytest.raises(RetailError, match=f"no upgrade path from release {installed} to 6.3.0.0: .* for 6.2.0.0"):
        way(found, installed, "6.3.0.0")
    assert way(found, "6.2.0.1", "6.3.0.0") == ["a.sql"]


def test_rows_may_stand_in_a_namespace_with_a_schema_beside_them(tmp_path):
    around = (
        '<NewDataSet xmlns="urn:retail"><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
        '<xs:element name="UPGRADEVERSION"/></xs:schema>%s</NewDataSet>'
    )
    assert package(tmp_path, ("6.3.0.1", "a.sql"), around=around).releases == [Release(6, 3, 0, 1)]


def test_what_is_shipped_is_what_was_read(tmp_path):
    found = package(tmp_path, ("6.2.0.0", ""), ("6.3.0.1", "ä b.sql"))
    assert upgrade.loads(upgrade.dumps(found)) == found


def test_names_that_cannot_be_told_apart_are_refused(tmp_path):
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "A.SQL").touch()
    package(tmp_path, ("6.3.0.1", "a.sql"))
    with pytest.raises(RetailError, match=r"There are two scripts a\.sql"):
        upgrade.read(str(tmp_path), str(tmp_path / "custom"))
    with pytest.raises(RetailError, match=r"names release 6\.3\.0\.1 twice"):
        package(tmp_path, ("6.3.0.1", "a.sql"), ("6.3.0.1", "b.sql"))


TEXT = "PRINT N'Grüße aus Łódź \U0001f600'\r\nGO\r\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-8"),
        TEXT.encode("utf-8-sig"),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16 le", "utf-16 be", "utf-16 le without mark", "utf-16 be without mark"],
)
def test_a_script_is_read_in_any_unicode(content):
    assert upgrade.decoded(content, "a.sql") == TEXT


def test_a_script_of_windows_is_read():
    assert upgrade.decoded("PRINT 'Grüße'".encode("cp1252"), "a.sql") == "PRINT 'Grüße'"
    with pytest.raises(RetailError, match=r"a\.sql is no text in utf-16"):
        upgrade.decoded(codecs.BOM_UTF16_LE + b"\x00\xd8\x41", "a.sql")


def progress(text: str, runs: int) -> scripts.Progress:
    batches = postgresql.scripts.split(text)
    return scripts.Progress(runs, scripts._digest(batches, runs).hexdigest())


def test_a_script_may_be_corrected_behind_what_was_run_and_not_before():
    text = "one\nGO 3\ntwo\nGO\nthree"
    assert scripts.make_run(postgresql, upgrade.Script("a.sql", text), progress(text, 2)).done == 2
    mended = upgrade.Script("a.sql", text.replace("\n", "\r\n").replace("three", "3"))
    assert scripts.make_run(postgresql, mended, progress(text, 4)).done == 4
    with pytest.raises(RetailError, match="was changed in what was run of it already"):
        scripts.make_run(postgresql, upgrade.Script("a.sql", text.replace("two", "2")), progress(text, 4))
    with pytest.raises(RetailError, match="was changed in what was run of it already"):
        scripts.make_run(postgresql, upgrade.Script("a.sql", "one"), progress(text, 4))
