# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and places, plain ones and ones that find every shortcut in the handling of text."""

from __future__ import annotations


def words(text: str, separator: str | None = None) -> list[str]:
    """The words of a text: long lists read better so."""
    return text.split(separator)


FIRST_NAMES = words(
    "Ada Ágnes Aiko Alejandra Amélie Anaïs Anders Åsa Ayşe Béla Björk Brigitte Carlos Chloé Dagmar Đorđe Emre "
    "Eöl Fatima François Frühling Gábor Giulia Göran Guðrún Hélène İbrahim Ingrid Irena Jānis João José Jürgen "
    "Katarzyna Kerstin Lars Łukasz Małgorzata Marek María Mehmet Mónica Nađa Niño Ólafur Özlem Paweł Renée "
    "Şebnem Siân Søren Tomáš Ulrike Václav Wiesława Xóchitl Yasmine Zoë Żaneta Михаил Ольга Юлия Ελένη Γιώργος "
    "محمد فاطمة דוד נועה प्रिया राहुल สมชาย 太郎 花子 伟 芳 민준 서연"
)

LAST_NAMES = words(
    "Abbott Ångström Baker Björnsdóttir Brown Castañeda Čapek Dvořák D'Angelo Estévez Fröbe Garcia González "
    "Grönvall Hoang Ibáñez Ionescu Jensen Jönsson Kowalski Kováč Köhler Łęcki Lindqvist Müller Muñoz Nagy "
    "Nguyễn Núñez O'Brien O'Hara Ölgötze Öztürk Peña Petrović Quiñones Rossi Sánchez Schröder Şahin "
    "Smith-Jones Straße Szabó Tõnisson Ünal Vámos Weiß Wójcik Ximénez Yılmaz Zieliński Źdźbło Иванов Шевченко "
    "Παπαδόπουλος الحسن כהן शर्मा วงศ์ไทย 山田 佐藤 王 李 김 이"
)

AWKWARD_NAMES = (
    "Ölgötze & Söhne",
    "東京タワー商店",
    "Café 🦉 Minerva",
    "👩‍👩‍👧‍👦 Familie 🏳️‍🌈",
    'Say "cheese"',
    "O'Hara's [bracket] shop",
    "Robert'); DROP TABLE ax.CUSTTABLE;--",
    "back\\slash \\n \\u0041",
    "100 % {json: 'x'} ?, ?",
    "NULL",
    "  leading and trailing  ",
    "\u00c5 is not A\u030a",
    "ıİiI ßẞ ſs ŒÆ",
    "שלום, العالم",
    "<b>&amp;</b>]]>",
    "tab\tand new\nline",
    "𝒜𝒳 𠮷野家",
    "COLA",
    "Cola",
    "Cola ",
)
"""The two Å differ (one is composed); the last three are equal to a careless comparison and are three customers."""

STREETS = words(
    "Main St.,Elm Street,Königstraße,Rue de l'Église,Calle Ñandú,Ulica Źródlana,Nørregade,Šafaříkova,Via Città,"
    "Bağdat Caddesi,улица Ленина,Οδός Ερμού,銀座,Rua São João,Þórsgata,Laurel Rd.,Westheimer Rd.,Kirby Dr.",
    ",",
)

COMPANIES = words("Ltd.,GmbH,S.A.,Kft.,sp. z o.o.,ApS,株式会社,ООО,A.Ş.,S. de R.L.", ",")

STATES = (
    ("AZ", "Arizona"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("IL", "Illinois"),
    ("LA", "Louisiana"),
    ("MA", "Massachusetts"),
    ("MN", "Minnesota"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("TX", "Texas"),
    ("WA", "Washington"),
)

CITIES = (
    ("Houston", "TX", "Harris", "770"),
    ("Dallas", "TX", "Dallas", "752"),
    ("Austin", "TX", "Travis", "787"),
    ("San Antonio", "TX", "Bexar", "782"),
    ("Cañon City", "CO", "Fremont", "812"),
    ("Española", "NM", "Rio Arriba", "875"),
    ("La Cañada Flintridge", "CA", "LA", "910"),
    ("San José", "CA", "SantaClara", "951"),
    ("Coeur d'Alene Heights", "WA", "Spokane", "992"),
    ("Tucson", "AZ", "Pima", "857"),
    ("Tulsa", "OK", "Tulsa", "741"),
    ("New Orleans", "LA", "Orleans", "701"),
    ("Boston", "MA", "Suffolk", "021"),
    ("Minneapolis", "MN", "Hennepin", "554"),
    ("Seattle", "WA", "King", "981"),
)
"""Name, state, county, and the first three digits of its ZIP codes."""

COUNTRIES = (
    ("USA", "US", "USD", "United States of America", "Vereinigte Staaten", "アメリカ合衆国"),
    ("CAN", "CA", "CAD", "Canada", "Kanada", "カナダ"),
    ("MEX", "MX", "MXN", "Mexico", "Mexiko", "メキシコ"),
    ("DEU", "DE", "EUR", "Germany", "Deutschland", "ドイツ"),
    ("AUT", "AT", "EUR", "Austria", "Österreich", "オーストリア"),
    ("CHE", "CH", "CHF", "Switzerland", "Schweiz", "スイス"),
    ("FRA", "FR", "EUR", "France", "Frankreich", "フランス"),
    ("GBR", "GB", "GBP", "United Kingdom", "Vereinigtes Königreich", "イギリス"),
    ("DNK", "DK", "DKK", "Denmark", "Dänemark", "デンマーク"),
    ("HUN", "HU", "HUF", "Hungary", "Ungarn", "ハンガリー"),
    ("JPN", "JP", "JPY", "Japan", "Japan", "日本"),
    ("CIV", "CI", "", "Côte d'Ivoire", "Elfenbeinküste", "コートジボワール"),
)
