# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An application configuration file (.NET's XML) that is edited in place: what nobody asked to change stays byte for byte.

An XML library would write the file anew, with other quotes, other spaces and without comments. So expat only says where the
start tags are and what they mean, and the edit is made in the bytes. Each edit is followed by a new reading, which is cheap
for files of this size and leaves no offsets to go stale.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from .._engine._errors import RetailError

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(rb"""^<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_ATTRIBUTE = re.compile(rb"""(\s+)([^\s=/>]+)(\s*=\s*)("[^"]*"|'[^']*')""")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ADVICE = "Correct the file, or put back the one that was installed."


class NotXml(RetailError):
    """The file cannot be understood, or has what no application configuration has."""


@dataclass
class Element:
    """An element: the offsets of its start tag, and of its end tag where it has one."""

    name: str
    attributes: dict[str, str]
    path: tuple[str, ...]
    start: int
    body: int
    end: int = -1
    empty: bool = False
    places: dict[str, tuple[int, int, int]] = field(default_factory=dict)


class AppConfig:
    """The content of a file.

    :raises NotXml: it is no well-formed XML, its encoding is unknown, or it has a document type.
    """

    def __init__(self, content: bytes) -> None:
        self.original = content
        self._bom, self._encoding = _encoding(content)
        self._data = _decoded(content[len(self._bom) :], self._encoding).encode("utf-8")
        self._read()
        if self._elements[0].name != "configuration":
            raise NotXml(
                "The file is no application configuration: it begins with %s." % self._elements[0].name, _ADVICE
            )

    @property
    def content(self) -> bytes:
        """The file as it is to be, in its own encoding."""
        return self._bom + self._data.decode("utf-8").encode(self._encoding)

    def section(self, name: str) -> dict[str, str] | None:
        """The attributes of a section, None where there is no such section.

        :raises NotXml: there are several, or it stands in a file of its own.
        """
        element = self._section(name)
        return None if element is None else dict(element.attributes)

    def add_section(self, name: str, kind: str) -> None:
        """Add an empty section, and its declaration where it has none.

        :param kind: the .NET type that reads it, for the declaration.
        :raises RetailError: the section is not declared, and no type is given.
        """
        if not self._is_declared(name):
            self._declare(name, kind)
        element = "%s%s<%s />" % (self._newline, self._indent, name)
        declarations = self._only("configSections")
        if declarations is None:
            self._insert(self._elements[0].body, element)
        else:
            self._insert(self._after(declarations), element)

    def set(self, section: str, name: str, value: str | None) -> None:
        """Give an attribute of a section its value; None removes it.

        :raises RetailError: the value has a character that XML cannot hold.
        """
        element = self._section(section)
        if element is None or element.attributes.get(name) == value:
            return
        if value is None:
            start, _value, end = element.places[name]
            self._replace(start, end, "")
        elif name in element.places:
            _start, begin, end = element.places[name]
            quote = self._data[begin : begin + 1].decode()
            self._replace(begin + 1, end - 1, self._escaped(value, quote))
        else:
            places = element.places.values()
            position = max(
                (end for _start, _begin, end in places), default=element.start + 1 + len(element.name.encode())
            )
            self._insert(position, ' %s="%s"' % (name, self._escaped(value, '"')))

    # ---- reading

    def _read(self) -> None:
        self._elements: list[Element] = []
        self._open: list[Element] = []
        # The declaration's encoding is the file's, and what is parsed here is UTF-8.
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, given: self._start(parser.CurrentByteIndex, name, given)
        parser.EndElementHandler = lambda _name: self._end(parser.CurrentByteIndex)
        parser.StartDoctypeDeclHandler = _refuse_doctype
        try:
            parser.Parse(self._data, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise NotXml("The file is no XML: %s, in line %d." % (reason, error.lineno), _ADVICE) from None

    def _start(self, start: int, name: str, attributes: dict[str, str]) -> None:
        position = start + 1 + len(name.encode())
        element = Element(name, attributes, (*[each.name for each in self._open], name), start, position)
        while match := _ATTRIBUTE.match(self._data, position):
            element.places[match.group(2).decode()] = (match.start(), match.start(4), match.end())
            position = match.end()
        closing = self._data.index(b">", position)
        element.empty = self._data[closing - 1 : closing] == b"/"
        element.body = closing + 1
        self._elements.append(element)
        self._open.append(element)

    def _end(self, position: int) -> None:
        element = self._open.pop()
        element.end = element.body if element.empty else position

    def _below(self, *path: str) -> list[Element]:
        return [element for element in self._elements if element.path == ("configuration", *path)]

    def _only(self, name: str) -> Element | None:
        found = self._below(name)
        if len(found) > 1:
            raise NotXml("The file has %d elements %s." % (len(found), name), "Remove all of them but one.")
        return found[0] if found else None

    def _section(self, name: str) -> Element | None:
        element = self._only(name)
        if element is not None and "configSource" in element.attributes:
            raise NotXml(
                "The section %s stands in the file %s." % (name, element.attributes["configSource"]),
                "Move it into this one.",
            )
        return element

    def _is_declared(self, name: str) -> bool:
        return any(each.attributes.get("name") == name for each in self._below("configSections", "section"))

    # ---- writing

    def _declare(self, name: str, kind: str) -> None:
        if not kind:
            raise RetailError(
                "The file has no section %s, and does not declare one." % name,
                "Name the section that it has, or give the type that reads it (section_type), and it is added.",
            )
        line = '<section name="%s" type="%s" />' % (name, self._escaped(kind, '"'))
        declarations = self._only("configSections")
        if declarations is None:
            # .NET insists on its being the first one.
            newline, indent = self._newline, self._indent
            parts = (newline, indent, newline, indent * 2, line, newline, indent)
            self._inside(self._elements[0], "%s%s<configSections>%s%s%s%s%s</configSections>" % parts, first=True)
        elif self._ends_on_a_line_of_its_own(declarations):
            last = len(self._data[: declarations.end].rstrip())
            self._insert(last, self._newline + self._indent * 2 + line)
        else:
            self._inside(declarations, line)

    def _inside(self, element: Element, text: str, first: bool = False) -> None:
        """Put a text into an element, at its end or before everything else."""
        if not element.empty:
            self._insert(element.body if first else element.end, text)
            return
        slash = element.body - 2
        self._replace(slash, element.body, ">%s</%s>" % (text, element.name))

    def _ends_on_a_line_of_its_own(self, element: Element) -> bool:
        inside = self._data[element.body : element.end]
        return b"\n" in inside[len(inside.rstrip()) :]

    def _after(self, element: Element) -> int:
        return element.body if element.empty else self._data.index(b">", element.end) + 1

    @property
    def _newline(self) -> str:
        return "\r\n" if b"\r\n" in self._data else "\n"

    @property
    def _indent(self) -> str:
        """What stands before the first element in the file's own hand; two spaces where there is none."""
        for element in self._elements:
            if len(element.path) == 2:
                line = self._data.rfind(b"\n", 0, element.start) + 1
                before = self._data[line : element.start].decode()
                return before if line and before and not before.strip() else "  "
        return "  "

    def _escaped(self, value: str, quote: str) -> str:
        if _ILLEGAL.search(value):
            raise RetailError("A value has a character that XML cannot hold.", "Look where the value comes from.")
        value = value.replace("&", "&amp;").replace("<", "&lt;")
        value = value.replace(quote, "&quot;" if quote == '"' else "&apos;")
        for sign in "\t\n\r":
            value = value.replace(sign, "&#%d;" % ord(sign))
        return value.encode(self._encoding, "xmlcharrefreplace").decode(self._encoding)

    def _insert(self, position: int, text: str) -> None:
        self._replace(position, position, text)

    def _replace(self, start: int, end: int, text: str) -> None:
        self._data = self._data[:start] + text.encode("utf-8") + self._data[end:]
        self._read()


def check_name(name: str, what: str) -> str:
    """A name that an element or attribute may have here.

    :raises RetailError: it has other characters than letters, digits, ``_``, ``.`` and ``-``.
    """
    if not _NAME.match(name):
        raise RetailError("%r is no name for %s." % (name, what), "Use letters, digits, '_', '.' and '-'.")
    return name


def _refuse_doctype(*_declaration: Any) -> None:
    raise NotXml("The file has a document type, which no application configuration has.", _ADVICE)


def _encoding(content: bytes) -> tuple[bytes, str]:
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return bom, encoding
    for encoding in ("utf-16-le", "utf-16-be"):
        if content.startswith("<?xml".encode(encoding)):
            return b"", encoding
    declared = _DECLARED.match(content)
    return b"", declared.group(1).decode("ascii").lower() if declared else "utf-8"


def _decoded(content: bytes, encoding: str) -> str:
    try:
        text = content.decode(encoding)
        if text.encode(encoding) == content:
            return text
    except (LookupError, UnicodeError):
        pass
    raise NotXml("The file is not in the encoding that it declares, %s." % encoding, _ADVICE)
