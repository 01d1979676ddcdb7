# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One folder of schema data: ``release.json`` and ``tables/<schema>/<TABLE>.json``. Read on the controller."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._engine._errors import RetailError
from .._engine._model import Column, Table, TableName
from .release import Release

_TABLE_PARTS = {"columns", "primary_key", "unique", "indexes"}


@dataclass(frozen=True)
class Folder:
    """What a folder declares. ``extends`` is the name of the folder that it adds to, empty for a complete schema.

    A table of an extension may be new, or add columns, unique keys and indexes to one that is there (``primary_key`` is
    then empty). ``checksum`` is the SHA-256 of the content, whatever its spelling.
    """

    name: str
    release: Release
    title: str
    extends: str
    tables: Mapping[TableName, Table]
    checksum: str


def read(path: str) -> Folder:
    """Read a folder.

    :raises RetailError: it is not there or not of that form; the message names the file.
    """
    facts = _json(os.path.join(path, "release.json"))
    if "release" not in facts:
        raise RetailError("%s names no release." % os.path.join(path, "release.json"), 'Add "release": "6.3.158.1".')
    documents = dict(_documents(os.path.join(path, "tables")))
    return Folder(
        name=os.path.basename(os.path.abspath(path)),
        release=Release.parse(facts["release"]),
        title=str(facts.get("title", "")),
        extends=str(facts.get("extends", "")),
        tables={name: table(name, document) for name, document in documents.items()},
        checksum=_checksum(documents),
    )


def table(name: TableName, document: Mapping[str, Any]) -> Table:
    """A table from its document.

    :raises RetailError: a column's definition is wrong, or a key names a column that is not there.
    """
    unknown = sorted(set(document) - _TABLE_PARTS)
    if unknown or not isinstance(document.get("columns", {}), dict):
        raise RetailError(
            "Table %s: %s is not part of a table." % (name, ", ".join(unknown) or "columns that is no object"),
            "A table has: %s." % ", ".join(sorted(_TABLE_PARTS)),
        )
    return Table(
        name,
        tuple(_column(name, column, text) for column, text in document.get("columns", {}).items()),
        tuple(document.get("primary_key", ())),
        tuple(tuple(columns) for columns in document.get("unique", ())),
        tuple(tuple(columns) for columns in document.get("indexes", ())),
    )


def document(table: Table) -> dict[str, Any]:
    """The document of a table, as a folder holds it."""
    parts: dict[str, Any] = {"columns": {column.name: str(column) for column in table.columns}}
    parts["primary_key"] = list(table.primary_key)
    if table.unique:
        parts["unique"] = [list(columns) for columns in table.unique]
    if table.indexes:
        parts["indexes"] = [list(columns) for columns in table.indexes]
    return parts


def _column(table: TableName, name: str, text: Any) -> Column:
    try:
        return Column.parse(name, str(text))
    except RetailError as error:
        raise RetailError("Table %s: %s" % (table, error.message), error.advice) from None


def _documents(tables: str):
    for schema in _entries(tables):
        for entry in _entries(os.path.join(tables, schema)):
            if entry.endswith(".json"):
                yield TableName(schema, entry[: -len(".json")]), _json(os.path.join(tables, schema, entry))


def _entries(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise RetailError(
            "The schema folder %s cannot be read: %s." % (path, error.strerror),
            "A schema folder has release.json and tables/<schema>/<TABLE>.json, as this collection's schemas/ax2012r3.",
        ) from None


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except OSError as error:
        raise RetailError("%s cannot be read: %s." % (path, error.strerror), "Check the path and its rights.") from None
    except ValueError as error:
        raise RetailError("%s is not valid JSON: %s." % (path, error), "Correct the file.") from None
    if not isinstance(content, dict):
        raise RetailError("%s must hold a JSON object." % path, "Correct the file.")
    return content


def _checksum(documents: Mapping[TableName, Any]) -> str:
    # The order of columns is content, the spelling of the file is not.
    canonical = json.dumps([[str(name), documents[name]] for name in sorted(documents)], separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
