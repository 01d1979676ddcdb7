# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store's first load as a package: made once, given to every register, so that the parent is not asked by each.

A folder of mode 0700, since customers are in it: chunks of rows as they would travel, each with its count and checksum, and a
manifest that says from which parent they are and, for each table, up to where it was read (all from one snapshot; a run
that was cut off is completed from another). Loading puts the chunks where batches from the parent would land; the session
goes on from there, and reads from the parent what has changed since. So a package need not be new, but it must not be
older than the parent's memory of deletions. Nor must the parent have lost what is in it: for each snapshot that was read it
remembers a token that it committed later than that, see ``tokens.py``. A package expires before its parent forgets deletions, by
the parent's clock or by what ``ages.py`` counts there. It is removed by the latter alone, since a clock may be wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._engine._errors import RetailError
from .._engine._wire import Extract
from . import ages
from .messages import LOGGER
from .metadata import PARENT, SCOPE, UPKEEP, Scope
from .pair import Pair, SharedTable

FORMAT = 3
MANIFEST = "manifest.json"
#: Hours for which a package may be used, unless somebody says otherwise.
HOURS = 72.0
#: What the parent remembers a snapshot of a package by, with the token behind it.
_TASK = "package %s"
_CHUNK = 1_000_000
_CHUNK_ROWS = 2_000
#: Counted seconds after which a token is forgotten: packages last for days.
_REMEMBERED = 365 * ages.DAY
#: No peer's number: changes of every origin.
NOBODY = -1


class PackageError(RetailError):
    """The package cannot be used, or not be made there."""


@dataclass(frozen=True)
class Part:
    """One table of a package; ``chunks``: file, rows and SHA-256 of each; ``low``: up to where the parent was read."""

    table: str
    columns: list[str]
    filter: str
    low: int
    rows: int
    chunks: list[list[Any]]


class Package:
    """A package in its folder."""

    def __init__(self, folder: str, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.facts = facts
        self.parts = {part["table"]: Part(**part) for part in facts["tables"]}

    @property
    def made(self) -> datetime:
        return datetime.fromisoformat(self.facts["made"])

    @property
    def expires(self) -> datetime:
        """By the parent's clock, UTC."""
        return self.made + timedelta(hours=self.facts["hours"])

    def has_aged(self, count: float) -> bool:
        """Whether its parent was seen to run for long enough since it was made; ``count``: see :func:`ages.look`."""
        return count - self.facts["count"] >= self.facts["hours"] * 3600

    def part_for(self, shared: SharedTable) -> Part | None:
        """The table, if it can be loaded as it is here; an empty one is read from the parent, which costs nothing."""
        part = self.parts.get(str(shared.name))
        fits = (
            part is not None
            and bool(part.chunks)
            and part.filter == _filter(shared)
            and set(part.columns) == set(shared.columns)
        )
        return part if fits else None

    def bodies(self, part: Part) -> Iterator[tuple[str, int]]:
        """The chunks of a table, each as a JSON array and its number of rows.

        :raises PackageError: a chunk is not what was written.
        """
        for chunk in part.chunks:
            yield gzip.decompress(self._content(chunk)).decode("utf-8"), chunk[1]

    def damage(self, part: Part) -> str:
        """What is wrong with the chunks of a table, "" where nothing is."""
        try:
            for chunk in part.chunks:
                self._content(chunk)
        except PackageError as error:
            return error.message
        return ""

    def _content(self, chunk: list[Any]) -> bytes:
        name, _rows, digest = chunk
        path = os.path.join(self.folder, os.path.basename(name))
        try:
            with open(path, "rb") as stream:
                content = stream.read()
        except OSError as error:
            raise PackageError("The package's %s cannot be read: %s." % (path, error.strerror), _AGAIN) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise PackageError("The package's %s is damaged." % path, _AGAIN)
        return content


_AGAIN = "Copy it again, or make it again with retail-sync package make."


def read(folder: str) -> Package:
    """Open a package.

    :raises PackageError: there is none, or others than its owner may read it.
    """
    path = os.path.join(folder, MANIFEST)
    try:
        for place in (folder, path):
            if stat.S_IMODE(os.stat(place).st_mode) & 0o077:
                raise PackageError(
                    "Others than its owner may read the package in %s." % folder,
                    "Give the folder the mode 0700 and its files 0600.",
                )
        with open(path, encoding="utf-8") as stream:
            facts = json.load(stream)
        if facts["format"] != FORMAT:
            raise PackageError("The package in %s has another format (%s)." % (folder, facts["format"]), _AGAIN)
        return Package(folder, facts)
    except OSError as error:
        raise PackageError("There is no package in %s: %s." % (folder, error.strerror), _AGAIN) from None
    except (ValueError, KeyError, TypeError):
        raise PackageError("The package's %s is damaged." % path, _AGAIN) from None


def refusal(package: Package, pair: Pair) -> str:
    """Why the package is of no use to this pair, "" where it is."""
    facts = package.facts
    if not facts["complete"]:
        return "it is not finished"
    if not _is_of(package, pair):
        return "it is another parent's, or another store's"
    if not _is_remembered(package, pair):
        return "its parent does not remember it, and was put back to a moment before it was made"
    if ages.clock(pair.parent) >= package.expires or package.has_aged(ages.look(pair.parent)):
        return "it has expired"
    return ""


def _is_of(package: Package, pair: Pair) -> bool:
    facts = package.facts
    return (facts["parent"], facts["store"]) == (pair.upwards.incarnation, pair.downwards.store_id)


def _is_remembered(package: Package, pair: Pair) -> bool:
    return set(package.facts["tokens"]) <= set(_tokens(pair.parent))


def _tokens(parent: Any) -> dict[str, float]:
    """The tokens that a parent remembers, and what it had counted when they were given."""
    place = parent.engine.names.quote(*UPKEEP)
    rows = parent.query("SELECT task, said FROM %s WHERE task LIKE ?" % place, _TASK % "%")
    return {task.split()[1]: json.loads(said)["count"] for task, said in rows}


def _remember(pair: Pair, count: float) -> str:
    """A token for the snapshot in which the parent's connection is; those of packages that nobody may use any more go."""
    token = str(uuid.uuid4())
    with pair.parent.another() as parent:
        old = [one for one, given in _tokens(parent).items() if count - given > _REMEMBERED]
        with parent.transaction():
            for one in old:
                parent.execute("DELETE FROM %s WHERE task = ?" % parent.engine.names.quote(*UPKEEP), _TASK % one)
            ages.put(parent, _TASK % token, {"count": count})
    return token


def make(pair: Pair, folder: str, hours: float = HOURS, keep_days: float = 30.0) -> Package:
    """Make a package of all tables that come down to this child, and to others of its store.

    :param keep_days: for how many days the parent remembers deletions.
    :raises PackageError: the folder holds something else, or the package would outlive the memory of deletions.
    """
    if hours > keep_days * 24 / 2:
        raise PackageError(
            "A package cannot be used for %g hours where deletions are kept for %g days." % (hours, keep_days),
            "Use half of that time at most.",
        )
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with _alone(folder) as taken:
        if not taken:
            raise PackageError("Somebody else is at the package in %s." % folder, "Wait until that has ended.")
        return _make(pair, folder, hours)


def _make(pair: Pair, folder: str, hours: float) -> Package:
    facts = _begin(pair, folder, hours)
    done = {part["table"] for part in facts["tables"]}
    count = ages.look(pair.parent)
    with pair.parent.engine.marks.snapshot(pair.parent) as mark:
        facts["tokens"].append(_remember(pair, count))
        for scope in pair.scopes:
            for shared in pair.shared_tables(scope) if scope.downloads else ():
                if str(shared.name) not in done:
                    facts["tables"].append(_write_table(pair, folder, shared, mark.low, len(facts["tables"])))
                    _write_manifest(folder, facts)
    facts["complete"] = True
    _write_manifest(folder, facts)
    return Package(folder, facts)


def _begin(pair: Pair, folder: str, hours: float) -> dict[str, Any]:
    """The manifest to go on with: of a package that was cut off and can still be completed, or a new one."""
    now, count = ages.clock(pair.parent), ages.look(pair.parent)
    with contextlib.suppress(PackageError):
        there = read(folder)
        goes_on = _is_of(there, pair) and not there.facts["complete"] and _is_remembered(there, pair)
        if goes_on and not (now >= there.expires or there.has_aged(count)):
            return there.facts
    _empty(folder)
    os.chmod(folder, 0o700)
    facts: dict[str, Any] = {
        "format": FORMAT,
        "parent": pair.upwards.incarnation,
        "store": pair.downwards.store_id,
        "hours": hours,
    }
    facts.update(made=now.isoformat(timespec="milliseconds"), count=count, complete=False, tokens=[], tables=[])
    return facts


def remove_expired(pair: Pair) -> bool:
    """Remove the package that this pair is configured with, if it may not be used any more; what is not its store's is left.

    :return: whether it was removed.
    """
    try:
        found = read(pair.package)
        if not _is_of(found, pair) or not found.has_aged(ages.look(pair.parent)):
            return False
        with _alone(pair.package) as taken:
            # Meanwhile somebody may have made a new one.
            if not taken or read(pair.package).facts["made"] != found.facts["made"]:
                return False
            _empty(pair.package)
            return True
    except PackageError:
        return False
    except OSError as error:
        LOGGER.warning(
            "%s: the package in %s has expired and cannot be removed: %s", pair.name, pair.package, error.strerror
        )
        return False


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[bool]:
    """Hold the folder for making or removing a package; False where somebody else does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _empty(folder: str) -> None:
    names = os.listdir(folder)
    strange = [name for name in names if name != MANIFEST and not name.endswith((".json.gz", ".new"))]
    if strange:
        raise PackageError(
            "The folder %s holds something else: %s." % (folder, strange[0]), "Name a folder for the package alone."
        )
    for name in names:
        os.unlink(os.path.join(folder, name))


def _write_table(pair: Pair, folder: str, shared: SharedTable, low: int, number: int) -> dict[str, Any]:
    columns = shared.columns_of(shared.parent)
    spelled = pair.child.engine.tracking.overlooks_case(pair.child, shared.child)
    extract = Extract(shared.parent, columns, None, None, NOBODY, filter=shared.filter, spelled=spelled)
    chunks: list[list[Any]] = []
    for texts in _cut(pair.parent.engine.changes.stream(pair.parent, extract)):
        content = gzip.compress(("[%s]" % ",".join(texts)).encode("utf-8"), 1, mtime=0)
        name = "%04d-%06d.json.gz" % (number, len(chunks))
        _write(os.path.join(folder, name), content)
        chunks.append([name, len(texts), hashlib.sha256(content).hexdigest()])
    part = Part(str(shared.name), list(shared.columns), _filter(shared), low, sum(chunk[1] for chunk in chunks), chunks)
    return vars(part)


def _cut(rows: Iterator[tuple[int | None, str]]) -> Iterator[list[str]]:
    texts: list[str] = []
    size = 0
    for _version, text in rows:
        texts.append(text)
        size += len(text)
        if size >= _CHUNK or len(texts) >= _CHUNK_ROWS:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts


def _filter(shared: SharedTable) -> str:
    """What the filter of a table lets through may differ from register to register."""
    return hashlib.sha256(repr(shared.filter).encode("utf-8")).hexdigest() if shared.filter else ""


def _write_manifest(folder: str, facts: dict[str, Any]) -> None:
    _write(os.path.join(folder, MANIFEST), json.dumps(facts, ensure_ascii=False, indent=1).encode("utf-8"))


def _write(path: str, content: bytes) -> None:
    """All of it or nothing, for its owner alone."""
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".new", path)


def offered(pair: Pair, scope: Scope) -> Package | None:
    """The package that this pair is configured with, where it is of use to the scope."""
    if not pair.package:
        return None
    try:
        package = read(pair.package)
        reason = refusal(package, pair)
    except PackageError as error:
        package, reason = None, str(error)
    if reason:
        LOGGER.warning(
            "%s: the scope %s loads from the parent, not from %s: %s", pair.name, scope.name, pair.package, reason
        )
        return None
    oldest, newest = _memory(pair, scope)
    mine = [package.parts[str(item.name)] for item in scope.tables if str(item.name) in package.parts]
    package.parts = {
        part.table: part for part in mine if oldest <= part.low <= newest and _is_whole(pair, package, part)
    }
    return package


def _is_whole(pair: Pair, package: Package, part: Part) -> bool:
    """Looked at before anything has landed: a register that could load from its parent must not wait for another package."""
    damage = package.damage(part)
    if damage:
        LOGGER.warning("%s: %s loads from the parent: %s", pair.name, part.table, damage)
    return not damage


def _memory(pair: Pair, scope: Scope) -> tuple[int, int]:
    """The parent's versions between which it can say what has changed since: before, it has forgotten deletions, and what is later
    it has never come to, since it was restored from a backup."""
    parent = pair.parent
    sql = "SELECT MAX(min_valid_anchor) FROM %s WHERE peer_id <> %d AND sync_scope_name = ?"
    oldest = parent.value(sql % (parent.engine.names.quote(*SCOPE), PARENT), scope.name)
    with parent.engine.marks.snapshot(parent) as mark:
        return int(oldest or 0), mark.low


def show(folder: str) -> dict[str, Any]:
    """What a package is, as plain values."""
    package = read(folder)
    parts = package.parts.values()
    return {
        "folder": folder,
        **{name: package.facts[name] for name in ("parent", "store", "made", "complete")},
        "expires": package.expires.isoformat(timespec="milliseconds"),
        "tables": len(package.parts),
        "rows": sum(part.rows for part in parts),
        "bytes": sum(os.path.getsize(os.path.join(folder, chunk[0])) for part in parts for chunk in part.chunks),
        "problems": [] if package.facts["complete"] else ["The package is not finished: make it again."],
    }
