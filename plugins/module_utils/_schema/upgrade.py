# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An upgrade package in the vendor's form: POSISUPGRADES.xml with its scripts, and a folder of customisations.

Read on the controller, as text whatever its encoding, and shipped to the target as one file.
"""

from __future__ import annotations

import codecs
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree import ElementTree

from .._engine._errors import RetailError
from .release import Release

INDEX = "POSISUPGRADES.xml"
_VERSION, _SCRIPT = "UPGRADEVERSION", "UPGRADESCRIPT"
_SCRIPT_ENDING = ".sql"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Script(NamedTuple):
    """One script. ``release``: what the database is at afterwards, None for a customisation."""

    file: str
    text: str
    release: Release | None = None


@dataclass(frozen=True)
class Upgrades:
    """What a package folder and a customisation folder hold.

    :param scripts: in the order of their releases.
    :param dead_ends: the releases of rows without a script: there is no way on from there.
    :param customizations: in the order of their file names.
    """

    scripts: tuple[Script, ...] = ()
    dead_ends: tuple[Release, ...] = ()
    customizations: tuple[Script, ...] = ()

    @property
    def has_package(self) -> bool:
        """Whether there is a package of release scripts, and not customisations alone."""
        return bool(self.scripts or self.dead_ends)

    @property
    def releases(self) -> list[Release]:
        """What the scripts lead to, in order."""
        return [script.release for script in self.scripts if script.release]

    def way(self, installed: Release, wanted: Release) -> tuple[Script, ...]:
        """The scripts that lead from one release to another, in order.

        :raises RetailError: there is no way.
        """
        if installed == wanted:
            return ()
        for stop in self.dead_ends:
            if installed <= stop <= wanted:
                raise RetailError(
                    "There is no upgrade path from release %s to %s: the package has no script for %s."
                    % (installed, wanted, stop),
                    "Get the package that upgrades release %s, or make a new database." % str(installed),
                )
        return tuple(script for script in self.scripts if script.release and installed < script.release <= wanted)

    def wanted(self, release: str | None, base: Release | None) -> Release:
        """The release that is asked for; by default the highest one.

        :param base: a release that the database has, or will have, before any script.
        :raises RetailError: the package does not lead there.
        """
        known = sorted({*self.releases, *([base] if base else [])})
        if not known:
            raise RetailError("The package has no scripts.", "Check %s in the package." % INDEX)
        if release is None:
            return known[-1]
        asked = Release.parse(release)
        if asked not in known:
            listed = ", ".join(map(str, known))
            raise RetailError("Release %s is unknown." % str(asked), "The package leads to: %s." % listed)
        return asked


def read(package: str | None, customizations: str | None) -> Upgrades:
    """Read the folders; either may be None.

    :raises RetailError: something is missing or wrong there; the message names the file.
    """
    scripts, dead_ends = _package(package) if package else ((), ())
    upgrades = Upgrades(scripts, dead_ends, _customizations(customizations) if customizations else ())
    files = [script.file.lower() for script in scripts + upgrades.customizations]
    twice = sorted({file for file in files if files.count(file) > 1})
    if twice:
        raise RetailError("There are two scripts %s." % twice[0], "Rename one: what has run is noted by file name.")
    return upgrades


def dumps(upgrades: Upgrades) -> bytes:
    """One compact file; the same folders give the same bytes everywhere."""
    content = {
        "scripts": [[script.file, script.text, str(script.release)] for script in upgrades.scripts],
        "dead_ends": [str(release) for release in upgrades.dead_ends],
        "customizations": [[script.file, script.text] for script in upgrades.customizations],
    }
    return gzip.compress(json.dumps(content, separators=(",", ":")).encode("utf-8"), mtime=0)


def loads(content: bytes) -> Upgrades:
    """Read what :func:`dumps` wrote.

    :raises RetailError: these are not such bytes.
    """
    try:
        facts = json.loads(gzip.decompress(content))
    except (OSError, EOFError, ValueError) as error:
        raise RetailError("The upgrade package is damaged: %s." % error, "Run the task again.") from None
    return Upgrades(
        tuple(Script(file, text, Release.parse(release)) for file, text, release in facts["scripts"]),
        tuple(Release.parse(release) for release in facts["dead_ends"]),
        tuple(Script(file, text) for file, text in facts["customizations"]),
    )


def decoded(content: bytes, name: str) -> str:
    """A script's text: UTF-8 or UTF-16, by their marks, UTF-16 without one, UTF-8, or Windows' Western code page.

    :raises RetailError: it is none of those.
    """
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None) or _guessed(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise RetailError(
            "%s is no text in %s: %s." % (name, encoding, error.reason), "Save it as UTF-8 or UTF-16."
        ) from None


def _guessed(content: bytes) -> str:
    """SQL is mostly ASCII, every second byte of which is 0 in UTF-16."""
    sample = content[:4096]
    if sample.count(0) > len(sample) // 4:
        return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _package(folder: str) -> tuple[tuple[Script, ...], tuple[Release, ...]]:
    index = os.path.join(folder, _found(folder, INDEX))
    rows = sorted(_rows(index))
    releases = [release for release, _file in rows]
    twice = sorted({str(release) for release in releases if releases.count(release) > 1})
    if twice:
        raise RetailError("%s names release %s twice." % (index, twice[0]), "Leave one row of it.")
    scripts = tuple(_script(folder, file, release) for release, file in rows if file)
    return scripts, tuple(release for release, file in rows if not file)


def _rows(index: str) -> Iterator[tuple[Release, str]]:
    """Release and file of each row, be they elements or attributes, whatever stands around them."""
    content = _bytes(index)
    if b"<!DOCTYPE" in content.replace(b"\0", b"") or b"<!ENTITY" in content.replace(b"\0", b""):
        raise RetailError("%s has a document type definition." % index, "Remove it: rows are all that is read.")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - without a DTD there are no entities to expand
    except ElementTree.ParseError as error:
        raise RetailError("%s is not valid XML: %s." % (index, error), "Correct the file.") from None
    found = False
    for element in root.iter():
        facts = {_bare(name): value for name, value in element.attrib.items()}
        facts.update((_bare(child.tag), child.text or "") for child in element)
        if _VERSION in facts:
            found = True
            yield Release.parse(facts[_VERSION]), (facts.get(_SCRIPT) or "").strip()
    if not found:
        raise RetailError(
            "%s has no rows with %s and %s." % (index, _VERSION, _SCRIPT), "Is this the vendor's upgrade package?"
        )


def _bare(name: str) -> str:
    return str(name).rpartition("}")[2].upper()


def _customizations(folder: str) -> tuple[Script, ...]:
    names = [name for name in _names(folder) if name.lower().endswith(_SCRIPT_ENDING)]
    if not names:
        raise RetailError(
            "The folder %s has no file *%s." % (folder, _SCRIPT_ENDING), "Name the folder that holds the scripts."
        )
    return tuple(_script(folder, name, None) for name in sorted(names, key=lambda name: (name.lower(), name)))


def _script(folder: str, file: str, release: Release | None) -> Script:
    path = folder
    for part in file.replace("\\", "/").split("/"):
        if part in ("", ".", ".."):
            raise RetailError("%s names %s, outside of the package." % (INDEX, file), "Correct the row.")
        path = os.path.join(path, _found(path, part))
    return Script(file, decoded(_bytes(path), path), release)


def _found(folder: str, name: str) -> str:
    """The file's name as it is spelled here: on Windows, case makes no difference."""
    names = _names(folder)
    same = [name] if name in names else [one for one in names if one.lower() == name.lower()]
    if not same:
        raise RetailError("There is no file %s in %s." % (name, folder), "Check that the package is complete.")
    return same[0]


def _names(folder: str) -> Sequence[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise RetailError(
            "The folder %s cannot be read: %s." % (folder, error.strerror), "Check the path and its rights."
        ) from None


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise RetailError("%s cannot be read: %s." % (path, error.strerror), "Check the path and its rights.") from None
