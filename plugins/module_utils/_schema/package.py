# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A schema package: a complete schema and its extensions, put together to one release; and its form for transfer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .._engine._errors import RetailError
from .._engine._model import Table, TableName
from . import folder
from .release import Release


class Part(NamedTuple):
    """A folder that went into a package. ``custom``: a partner's, or any other extension."""

    name: str
    release: Release
    custom: bool
    checksum: str


@dataclass(frozen=True)
class Package:
    """What a database of ``release`` contains. ``parts``: the folders that it was made from."""

    release: Release
    title: str
    tables: Mapping[TableName, Table]
    parts: tuple[Part, ...] = ()


def load(folders: Sequence[str], release: str | None = None) -> Package:
    """Put folders together: a complete schema first, then its extensions in the order of their releases.

    :param folders: paths; the first one holds the complete schema.
    :param release: the release wanted, of one of the folders; extensions above it are left out. None: the highest.
    :raises RetailError: a folder is wrong or extends something else, the release is unknown, or folders contradict.
    """
    base, *others = [folder.read(path) for path in folders]
    if base.extends:
        raise RetailError(
            "%s extends %s: it is no complete schema." % (base.name, base.extends), "Name that one first."
        )
    for other in others:
        _check_extension(base, other)
    parts = [base] + sorted(others, key=lambda part: (part.release, part.name))
    wanted = _wanted(parts, release)
    tables: dict[TableName, Table] = {}
    for part in parts:
        if part.release <= wanted:
            _add(tables, part)
    kept = tuple(
        Part(part.name, part.release, bool(part.extends), part.checksum) for part in parts if part.release <= wanted
    )
    return Package(wanted, base.title, tables, kept)


def dumps(package: Package) -> bytes:
    """One compact file; the same package gives the same bytes everywhere."""
    content = {
        "release": str(package.release),
        "title": package.title,
        "parts": [[part.name, str(part.release), part.custom, part.checksum] for part in package.parts],
        "tables": {str(name): folder.document(table) for name, table in package.tables.items()},
    }
    return gzip.compress(json.dumps(content, separators=(",", ":")).encode("utf-8"), mtime=0)


def loads(content: bytes) -> Package:
    """Read what :func:`dumps` wrote.

    :raises RetailError: these are not such bytes.
    """
    try:
        facts: dict[str, Any] = json.loads(gzip.decompress(content))
    except (OSError, EOFError, ValueError) as error:
        raise RetailError("The schema package is damaged: %s." % error, "Run the task again.") from None
    tables = {
        TableName.parse(name): folder.table(TableName.parse(name), table) for name, table in facts["tables"].items()
    }
    parts = tuple(Part(name, Release.parse(number), custom, sum_) for name, number, custom, sum_ in facts["parts"])
    return Package(Release.parse(facts["release"]), facts["title"], tables, parts)


def _check_extension(base: folder.Folder, other: folder.Folder) -> None:
    if other.extends != base.name:
        raise RetailError(
            "The schema folder %s does not extend %s." % (other.name, base.name),
            'Its release.json must say "extends": "%s".' % base.name,
        )
    if not other.release.extends(base.release):
        raise RetailError(
            "The schema folder %s has release %s, which is no extension of %s."
            % (other.name, other.release, base.release),
            "An extension has the same first three numbers and a fourth of its own, such as %s."
            % str(base.release._replace(partner=base.release.partner + 1)),
        )


def _wanted(parts: Sequence[folder.Folder], release: str | None) -> Release:
    known = sorted({part.release for part in parts})
    if release is None:
        return known[-1]
    wanted = Release.parse(release)
    if wanted not in known:
        raise RetailError(
            "Release %s is unknown." % str(wanted),
            "Known: %s. Name the folder of a partner's release as an extension." % ", ".join(str(one) for one in known),
        )
    return wanted


def _add(tables: dict[TableName, Table], part: folder.Folder) -> None:
    spelled = {(name.schema.lower(), name.name.lower()): name for name in tables}
    for name, table in part.tables.items():
        same = spelled.get((name.schema.lower(), name.name.lower()))
        if same is not None and same != name:
            raise _contradiction(part, "table %s is spelled %s" % (name, same), "Spell it so.")
        tables[name] = table if same is None else _extended(part, tables[name], table)
        _check_table(part, tables[name])


def _extended(part: folder.Folder, base: Table, more: Table) -> Table:
    if more.primary_key and more.primary_key != base.primary_key:
        raise _contradiction(part, "table %s has another primary key" % str(base.name), "Leave primary_key out.")
    taken = {column.name.lower() for column in base.columns}
    for column in more.columns:
        if column.name.lower() in taken:
            raise _contradiction(part, "table %s has a column %s already" % (base.name, column.name), "Rename it.")
        if not (column.nullable or column.default is not None or column.synchronises is False):
            raise _contradiction(
                part,
                "column %s of table %s must not be null and has no default" % (column.name, base.name),
                "Give it a default: the table may have rows already.",
            )
    return replace(
        base,
        columns=base.columns + more.columns,
        unique=base.unique + tuple(key for key in more.unique if key not in base.unique),
        indexes=base.indexes + tuple(key for key in more.indexes if key not in base.indexes),
    )


def _check_table(part: folder.Folder, table: Table) -> None:
    if not table.columns:
        raise _contradiction(part, "table %s has no columns" % str(table.name), "Declare them under columns.")
    there = {column.name for column in table.columns}
    missing = [name for key in (table.primary_key, *table.unique, *table.indexes) for name in key if name not in there]
    if missing:
        raise _contradiction(
            part, "a key of table %s names %s, no column" % (table.name, missing[0]), "Correct the key."
        )


def _contradiction(part: folder.Folder, what: str, advice: str) -> RetailError:
    return RetailError("The schema folder %s (%s): %s." % (part.name, part.release, what), advice)
