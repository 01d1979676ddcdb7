# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A register's settings in both kinds of file: what is asked for is there, and nothing else has changed."""

from __future__ import annotations

import codecs
import dataclasses
import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError, Target
from ansible_collections.axops.retail.plugins.module_utils._pos import connection_string as cs
from ansible_collections.axops.retail.plugins.module_utils._pos import plan as planning
from ansible_collections.axops.retail.plugins.module_utils._pos.app_config import AppConfig, NotXml
from ansible_collections.axops.retail.plugins.module_utils._pos.local_file import LocalFile
from ansible_collections.axops.retail.plugins.module_utils._pos.settings import Section, Settings

CHANNEL = Target("mssql", "houston-db", "RetailChannel")
OFFLINE = Target("mssql", "localhost", "RetailOffline", instance="SQLEXPRESS", trust_server_certificate=True)
WANTED = Settings("HOUSTON", "000001", CHANNEL, OFFLINE, "usrt", "retail_sync")
SECTION = Section()
KIND = "LSRetailPosis.Settings.ConfigFile.AppConfiguration, SystemSettings, Version=6.2.0.0"

#: A busy machine is no failure, and nothing is left behind.
CALM = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

#: After an example in the vendor's documentation; quotes, spaces and comments are varied on purpose.
VENDORS = (
    """<?xml version="1.0" encoding="utf-8" ?>
<!-- AxRetailPOS StoreId="of a comment" -->
<configuration>
  <configSections><section name="AxRetailPOS" type="%s" /></configSections>
  <AxRetailPOS   OfflineDatabaseConnectionString='Data Source=till;Initial Catalog=OLD;Integrated Security=True'
      StoreDatabaseConnectionString="Data Source=HOUSTON-DB;Initial Catalog=RetailChannel;Integrated Security=SSPI;Pooling=True;\
Encrypt=yes;TrustServerCertificate=False;Connect Timeout=30"
      StoreId = "S&amp;0001" Partner="a &gt; b&#10;" TerminalId="0001" DATAAREAID="tst"/>
  <system.diagnostics><trace autoflush='true' /><!-- > --></system.diagnostics>
  <notes><![CDATA[<AxRetailPOS StoreId="of a text">]]></notes>
</configuration>
"""
    % KIND
)


def place(path: Path, section: Section | None = SECTION, **more: Any) -> LocalFile:
    return LocalFile(str(path), section, **more)


def converge(where: LocalFile, wanted: Settings | None) -> list[str]:
    """Plan and apply; returns what was done."""
    plan = planning.plan(where, wanted)
    planning.apply(plan)
    return plan.titles


def section_of(content: bytes) -> dict[str, str]:
    """What an XML parser that is not ours reads."""
    found = ElementTree.fromstring(content).findall("AxRetailPOS")
    assert len(found) == 1
    return dict(found[0].attrib)


# ---- connection strings


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("a;b=c", '"a;b=c"'),
        ("it's", '"it\'s"'),
        ('say "x"', "'say \"x\"'"),
        ("""both ' and \"""", '"both \' and """'),
        ("", '""'),
    ],
)
def test_values_are_quoted_as_ado_net_does(value: str, text: str) -> None:
    assert cs.quoted(value) == text
    assert cs.read("Password=%s;Encrypt=True" % text) == {"Password": value, "Encrypt": "True"}


@settings(CALM)
@given(st.dictionaries(st.sampled_from(["Data Source", "Initial Catalog", "User ID", "Password"]), st.text()))
def test_what_is_written_is_read(values: dict[str, str]) -> None:
    values = {name: value.replace("\x00", "") for name, value in values.items()}
    assert cs.read(cs.edited("", dict(values))) == values


def test_synonyms_are_known_and_the_last_one_counts() -> None:
    text = " server = a ;Database=b;UID=c; pwd='d;e' ;Data Source=f ; App==Name=x"
    assert cs.read(text) == {
        "Data Source": "f",
        "Initial Catalog": "b",
        "User ID": "c",
        "Password": "d;e",
        "app=name": "x",
    }


def test_only_what_differs_is_edited() -> None:
    text = " server = HOST ;trusted_connection=Yes;Pooling=true; Initial Catalog = old ; Password=x"
    wanted = {"Data Source": "host", "Integrated Security": "True", "Initial Catalog": "a;b", "Password": None}
    edited = ' server = HOST ;trusted_connection=Yes;Pooling=true; Initial Catalog = "a;b" ;'
    assert cs.edited(text, wanted) == edited
    assert cs.edited(edited, wanted) == edited


@pytest.mark.parametrize("text", ["Data Source", "Data Source='x", "=x", 'a="b"c', "x=\x00;y=1"])
def test_what_is_no_connection_string_is_refused(text: str) -> None:
    with pytest.raises(cs.NotUnderstood):
        cs.read(text)
    assert text not in cs.shown(text)


def test_a_password_is_not_shown() -> None:
    text = "Data Source=a;PWD='s3cret;x';Password = s3cret2;User ID=u"
    assert cs.shown(text) == "Data Source=a;PWD=********;Password = ********;User ID=u"


# ---- the vendor's file


def test_the_vendors_file_is_edited_in_place(tmp_path: Path) -> None:
    path = tmp_path / "POS.exe.config"
    path.write_text(VENDORS, encoding="utf-8", newline="")
    path.chmod(0o664)
    assert converge(place(path), WANTED) != []
    offline = "Data Source=localhost\\SQLEXPRESS;Initial Catalog=RetailOffline;Integrated Security=True;Encrypt=True;"
    expected = (
        VENDORS.replace("Data Source=till;Initial Catalog=OLD;Integrated Security=True", offline + "TrustServerCertificate=True")
        .replace('"S&amp;0001"', '"HOUSTON"')
        .replace('"0001"', '"000001"')
        .replace('"tst"', '"usrt"')
    )  # fmt: skip
    assert path.read_text(encoding="utf-8") == expected
    assert path.stat().st_mode & 0o777 == 0o664
    assert converge(place(path), WANTED) == []


def test_settings_come_out_again_and_leave_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "POS.exe.config"
    path.write_text(VENDORS, encoding="utf-8")
    converge(place(path), None)
    assert section_of(path.read_bytes()) == {"Partner": "a > b\n"}
    assert converge(place(path), None) == []
    converge(place(path), WANTED)
    assert section_of(path.read_bytes())["StoreId"] == "HOUSTON"
    assert "Pooling=True" in section_of(path.read_bytes())["StoreDatabaseConnectionString"]


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff<&'\""), max_size=8
)
SPACES = st.sampled_from([" ", "  ", "\n    ", "\r\n\t"])
ODD = st.sampled_from(["", "<!-- <AxRetailPOS StoreId='x'> -->", "<a b='>'/>", "<c>&amp;<d/></c>", "<?x y?>", "\r\n"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A configuration, and the attributes of its section; managed ones among them or not."""
    managed = draw(st.lists(st.sampled_from(["StoreId", "DATAAREAID"]), unique=True))
    names = [name for name in draw(st.lists(NAMES, max_size=3)) if not name.lower().startswith("xml")]
    given = {name: draw(TEXTS) for name in draw(st.permutations(sorted({*names, *managed})))}
    gap = st.sampled_from(["", " "])
    attributes = ""
    for name, value in given.items():
        quote = draw(st.sampled_from("'\""))
        attributes += draw(SPACES) + name + draw(gap) + "=" + draw(gap) + quote + value + quote
    close = draw(st.sampled_from(["/>", " />", "></AxRetailPOS>", "><x/></AxRetailPOS>"]))
    parts = [draw(ODD), draw(ODD), "<AxRetailPOS%s%s" % (attributes, close), draw(ODD)]
    declaration = draw(st.sampled_from(["", '<?xml version="1.0"?>\r\n']))
    return declaration + "<configuration>%s</configuration>\n" % "".join(parts), given


@settings(CALM, max_examples=150)
@given(documents(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"]), TEXTS.filter(bool))
def test_only_the_asked_value_differs(document: tuple[str, dict[str, str]], encoding: str, value: str) -> None:
    text, attributes = document
    bom = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    content = bom + text.encode(encoding)
    config = AppConfig(content)
    assert config.content == content
    config.set("AxRetailPOS", "StoreId", value + "\"'<&>\n")
    changed = config.content
    # Another parser reads what was asked for, and all other values as they were.
    plain = changed[len(bom) :].decode(encoding)
    read = section_of(plain.encode("utf-8"))
    assert read.pop("StoreId") == value + "\"'<&>\n"
    others = {name: each.replace("\r\n", "\n") for name, each in attributes.items() if name != "StoreId"}
    assert {name: read[name] for name in others} == others and len(read) == len(others)
    # And with the value put back, or taken out again, every byte is what it was.
    config.set("AxRetailPOS", "StoreId", attributes.get("StoreId"))
    assert config.content == content


def test_signs_that_the_encoding_lacks_become_references() -> None:
    config = AppConfig(
        '<?xml version="1.0" encoding="iso-8859-1"?><configuration><S x="é"/></configuration>'.encode("latin-1")
    )
    config.set("S", "StoreId", "é店")
    assert '<S x="é" StoreId="é&#24215;"/>'.encode("latin-1") in config.content


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_missing_section_is_added_where_it_belongs(newline: str) -> None:
    before = newline.join(["<configuration>", "\t<!-- c -->", "\t<startup/>", "</configuration>", ""])
    config = AppConfig(before.encode())
    config.add_section("AxRetailPOS", KIND)
    lines = ["<configuration>", "\t<configSections>", '\t\t<section name="AxRetailPOS" type="%s" />' % KIND]
    lines += ["\t</configSections>", "\t<AxRetailPOS />", "\t<!-- c -->", "\t<startup/>", "</configuration>", ""]
    assert config.content.decode() == newline.join(lines)


@pytest.mark.parametrize("declarations", ["<configSections/>", "<configSections></configSections>"])
def test_declarations_that_are_there_are_used(declarations: str) -> None:
    config = AppConfig(b"<configuration>%s<startup/></configuration>" % declarations.encode())
    config.add_section("AxRetailPOS", KIND)
    root = ElementTree.fromstring(config.content)
    assert [element.tag for element in root] == ["configSections", "AxRetailPOS", "startup"]
    assert [element.attrib for element in root[0]] == [{"name": "AxRetailPOS", "type": KIND}]


def test_a_declaration_has_a_line_where_the_others_have_one() -> None:
    lines = [
        "<configuration>",
        "  <configSections>",
        '    <section name="a" type="b" />',
        "  </configSections>",
        "</configuration>",
    ]
    config = AppConfig("\n".join(lines).encode())
    config.add_section("S", "t")
    lines[3:3] = ['    <section name="S" type="t" />']
    lines[5:5] = ["  <S />"]
    assert config.content.decode() == "\n".join(lines)


def test_an_empty_configuration_is_opened() -> None:
    config = AppConfig(b"<configuration />")
    config.add_section("S", KIND)
    assert [element.tag for element in ElementTree.fromstring(config.content)] == ["configSections", "S"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no XML"),
        (b"<configuration>", "no XML"),
        (b"<configuration><AxRetailPOS a='1' a='2'/></configuration>", "duplicate attribute, in line 1"),
        (b"<other/>", "begins with other"),
        (b'<?xml version="1.0" encoding="utf-16"?><configuration/>', "encoding"),
        (b'<?xml version="1.0" encoding="rot13"?><configuration/>', "encoding"),
        (b"<configuration>\xff</configuration>", "encoding"),
        (b'<!DOCTYPE c [<!ENTITY a "b">]><configuration/>', "document type"),
        (b"<configuration><AxRetailPOS/><AxRetailPOS/></configuration>", "2 elements AxRetailPOS"),
        (b"<configuration><AxRetailPOS configSource='pos.config'/></configuration>", "pos.config"),
        (b"<configuration/>", "does not declare one"),
    ],
)
def test_a_file_that_cannot_be_edited_stays_as_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "POS.exe.config"
    path.write_bytes(content)
    with pytest.raises(RetailError, match=words) as refusal:
        planning.plan(place(path), WANTED)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == content and os.listdir(tmp_path) == [path.name]


def test_values_that_no_file_can_hold_are_refused() -> None:
    with pytest.raises(RetailError, match="XML cannot hold"):
        AppConfig(b"<configuration><S/></configuration>").set("S", "StoreId", "a\x01")
    with pytest.raises(NotXml):
        AppConfig(b"<configuration><S x='\x01'/></configuration>")


@pytest.mark.parametrize("channel", [Target("postgresql", "h", "d"), dataclasses.replace(CHANNEL, encrypt="strict")])
def test_the_vendors_pos_connects_to_sql_server_only(tmp_path: Path, channel: Target) -> None:
    path = tmp_path / "POS.exe.config"
    path.write_text(VENDORS, encoding="utf-8")
    with pytest.raises(RetailError, match="vendor's POS"):
        planning.plan(place(path), dataclasses.replace(WANTED, channel=channel))


# ---- both kinds of file


def test_a_file_of_our_own(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "retail-pos" / "HOUSTON-000001.json"
    converge(place(path, None), WANTED)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["store_id"], found["register_id"], found["legal_entity"]) == ("HOUSTON", "000001", "usrt")
    assert found["sync_account"] == "retail_sync"
    assert (found["channel"]["server"], found["channel"]["database"]) == ("houston-db", "RetailChannel")
    assert (found["offline"]["server"], found["offline"]["port"]) == ("localhost\\SQLEXPRESS", None)
    assert path.stat().st_mode & 0o777 == 0o644
    assert converge(place(path, None), WANTED) == []
    assert converge(place(path, None), None) != []
    assert not path.exists()
    assert converge(place(path, None), None) == []


@pytest.mark.parametrize("section", [None, SECTION])
def test_a_password_is_in_the_file_alone(tmp_path: Path, section: Section | None) -> None:
    path = tmp_path / "file"
    if section:
        path.write_text(VENDORS, encoding="utf-8")
    shown = []
    for password in ("s3cret;1", "s3cret;2"):
        channel = dataclasses.replace(CHANNEL, user="till", password=password)
        plan = planning.plan(place(path, section), dataclasses.replace(WANTED, channel=channel))
        shown.append(json.dumps([plan.diff(), plan.titles]))
        planning.apply(plan)
        assert password in path.read_text(encoding="utf-8")
    assert all("till" in each and "s3cret" not in each for each in shown)
    assert "(changed)" in shown[1]
    if not section:
        assert path.stat().st_mode & 0o777 == 0o600


def test_mode_and_owner_are_put_right(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    converge(place(path, None), WANTED)
    path.chmod(0o666)
    assert converge(place(path, None), WANTED) == ["Set mode and owner of %s" % path]
    assert converge(place(path, None, mode=0o640), WANTED) != []
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "real.json", tmp_path / "link.json"
    path.write_text("{}", encoding="utf-8")
    link.symlink_to(path)
    converge(place(link, None), WANTED)
    assert link.is_symlink() and json.loads(path.read_text(encoding="utf-8"))["store_id"] == "HOUSTON"


def test_a_file_that_somebody_changes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "POS.exe.config"
    path.write_text(VENDORS, encoding="utf-8")
    plan = planning.plan(place(path), WANTED)
    path.write_text(VENDORS + "<!-- mine -->", encoding="utf-8")
    with pytest.raises(RetailError, match="meanwhile"):
        planning.apply(plan)
    assert path.read_text(encoding="utf-8") == VENDORS + "<!-- mine -->"


def test_a_vendors_file_that_is_not_there_is_missed_only_where_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(RetailError, match="There is no file"):
        planning.plan(place(tmp_path / "POS.exe.config"), WANTED)
    assert converge(place(tmp_path / "POS.exe.config"), None) == []
