# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First loads from a package: made once, used by every register of the store, completed when it was cut off."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dialects import count_up
from elapsed import let_pass
from offline_world import Couple, Identity
from session_world import Killed, World, both_engines, rows

from ansible_collections.axops.retail.plugins.module_utils._engine import connect
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database, Target
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.profiles import make_scope
from ansible_collections.axops.retail.plugins.module_utils._sync import ages, package, session, transfer
from ansible_collections.axops.retail.plugins.module_utils._sync.package import PackageError
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import Pair

pytestmark = both_engines
KEY, NAME = Column.parse("ID", "bigint not null"), Column.parse("NAME", "nvarchar(400)")
ITEM = Table(TableName("ax", "ITEM"), (KEY, NAME), ("ID",))
PRICE = Table(TableName("ax", "PRICE"), (KEY, NAME), ("ID",))
CUSTOMER = Table(TableName("ax", "CUSTOMER"), (KEY, NAME), ("ID",))
TABLES = (ITEM, PRICE, CUSTOMER)
SCOPES = (make_scope("items", "download", [ITEM.name, PRICE.name], 0, 1, 11),)
CUSTOMERS = make_scope("customers", "bidirectional", [CUSTOMER.name], 0, 2, 12)


@pytest.fixture
def store(world: World) -> World:
    """5,000 items and 5,000 prices; a register that has not loaded them yet."""
    for name in ("ITEM", "PRICE"):
        count_up(world.parent, name, 5000, "g, CONCAT('row ', g)")
    world.provision(SCOPES)
    return world


def _load(store: Couple, folder: Path) -> Pair:
    pair = Pair(store.child, store.parent)
    pair.package = str(folder)
    for scope in session.pending(pair, pair.scopes):
        session.run(pair, scope)
    return pair


def _same(store: Couple) -> None:
    for name in ("ITEM", "PRICE"):
        assert rows(store.child, name) == rows(store.parent, name)
    assert store.pending == []


def _loads(store: Couple, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables of which the parent is asked for all rows."""
    asked: list[str] = []
    stream = store.parent.engine.changes.stream

    def watched(db: Database, extract: object) -> object:
        if extract.low is None:  # type: ignore[attr-defined]
            asked.append(extract.table.name.name)  # type: ignore[attr-defined]
        return stream(db, extract)

    monkeypatch.setattr(store.parent.engine.changes, "stream", watched)
    return asked


def test_a_register_loads_from_the_package_and_takes_what_changed_since(
    store: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = package.make(Pair(store.child, store.parent), str(tmp_path / "package"))
    store.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'changed since' WHERE "ID" = 1""")
    store.parent.execute('DELETE FROM ax."ITEM" WHERE "ID" = 2')
    store.parent.execute("""INSERT INTO ax."ITEM" VALUES (6000, 'new since')""")
    asked = _loads(store, monkeypatch)
    _load(store, tmp_path / "package")
    assert asked == []
    _same(store)
    places = [tmp_path / "package", *(tmp_path / "package").iterdir()]
    assert {stat.S_IMODE(place.stat().st_mode) for place in places} == {0o700, 0o600}
    assert sum(part.rows for part in made.parts.values()) == 10_000


def test_the_package_of_one_register_serves_another_of_the_store_and_no_other_store(
    store: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_place: Callable[..., Target]
) -> None:
    package.make(Pair(store.child, store.parent), str(tmp_path / "package"))
    asked = _loads(store, monkeypatch)
    for identity, expected in (
        (Identity("H2", "HOUSTON", "000002"), []),
        (Identity("D1", "DALLAS", "1"), ["ITEM", "PRICE"]),
    ):
        with connect(new_place()) as child:
            other = Couple(child, store.parent, identity)
            other.provision(SCOPES)
            _load(other, tmp_path / "package")
            _same(other)
        assert asked == expected


def test_making_and_loading_go_on_where_they_were_cut_off(
    store: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = tmp_path / "package", package._write_table

    def killed(pair: Pair, place: str, shared: object, low: int, number: int) -> object:
        if number:
            raise Killed
        return write(pair, place, shared, low, number)  # type: ignore[arg-type]

    monkeypatch.setattr(package, "_write_table", killed)
    pair = Pair(store.child, store.parent)
    with pytest.raises(Killed):
        package.make(pair, str(folder))
    assert package.refusal(package.read(str(folder)), pair) == "it is not finished"
    monkeypatch.setattr(package, "_write_table", write)
    first = os.stat(folder / "0000-000000.json.gz").st_mtime_ns
    package.make(pair, str(folder))
    assert os.stat(folder / "0000-000000.json.gz").st_mtime_ns == first

    flush = transfer._Landing.flush

    def cut_off(landing: transfer._Landing) -> None:
        flush(landing)
        raise Killed

    monkeypatch.setattr(transfer._Landing, "flush", cut_off)
    with pytest.raises(Killed):
        _load(store, folder)
    monkeypatch.setattr(transfer._Landing, "flush", flush)
    asked, landed = _loads(store, monkeypatch), []
    bodies = package.Package.bodies
    monkeypatch.setattr(package.Package, "bodies", lambda self, part: landed.append(part.table) or bodies(self, part))
    _load(store, folder)
    assert (asked, landed) == ([], ["ax.PRICE"]), "the table that had landed did not land again, from nowhere"
    _same(store)


def test_a_package_that_is_damaged_expired_or_open_to_others_is_not_used(
    store: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "package"
    pair = Pair(store.child, store.parent)
    with pytest.raises(PackageError, match="deletions are kept"):
        package.make(pair, str(folder), hours=24 * 30)
    package.make(pair, str(folder), hours=0)
    assert package.refusal(package.read(str(folder)), pair) == "it has expired"
    package.make(pair, str(folder))
    chunk = sorted(folder.glob("0001-*"))[0]
    chunk.write_bytes(chunk.read_bytes()[:-1])
    asked = _loads(store, monkeypatch)
    _load(store, folder)
    assert asked == ["PRICE"]
    assert "is damaged" in caplog.text
    _same(store)


def test_a_package_that_its_parent_does_not_remember_is_not_used(
    store: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent has lost its last moments, and the package was made in them: what it has written since may have the same versions."""
    folder, pair = tmp_path / "package", Pair(store.child, store.parent)
    before = store.parent.query("SELECT task FROM dbo.sync_upkeep WHERE task LIKE 'package %'")
    assert before == []
    package.make(pair, str(folder))
    assert package.refusal(package.read(str(folder)), pair) == ""
    store.parent.execute("DELETE FROM dbo.sync_upkeep WHERE task LIKE 'package %'")
    assert "does not remember it" in package.refusal(package.read(str(folder)), pair)
    asked = _loads(store, monkeypatch)
    _load(store, folder)
    assert asked == ["ITEM", "PRICE"]
    _same(store)


def test_the_token_of_a_package_is_younger_than_what_was_read(
    store: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks, seen = store.parent.engine.marks, []
    original = marks.snapshot

    @contextmanager
    def snapshot(db: Database) -> Iterator[Any]:
        with original(db) as mark:
            seen.append(db.value("SELECT count(*) FROM dbo.sync_upkeep WHERE task LIKE 'package %'"))
            yield mark

    pair, folder = Pair(store.child, store.parent), tmp_path / "package"
    ages.look(store.parent)
    with monkeypatch.context() as patch:
        patch.setattr(marks, "snapshot", snapshot)
        made = package.make(pair, str(folder))
    assert (seen, len(made.facts["tokens"])) == ([0], 1)
    monkeypatch.setattr(package, "_REMEMBERED", -1)
    made = package.make(pair, str(tmp_path / "another"))
    tokens = store.parent.query("SELECT task FROM dbo.sync_upkeep WHERE task LIKE 'package %'")
    assert [task for (task,) in tokens] == ["package " + made.facts["tokens"][0]], "old ones are forgotten"


def test_a_table_that_comes_to_a_live_scope_loads_from_the_package(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ITEM", "PRICE"):
        count_up(world.parent, name, 3000, "g, CONCAT('row ', g)")
    world.provision((make_scope("items", "download", [ITEM.name], 0, 1, 11),))
    world.settle()
    world.provision(SCOPES)
    package.make(Pair(world.child, world.parent), str(tmp_path / "package"))
    world.parent.execute("""UPDATE ax."PRICE" SET "NAME" = 'changed since' WHERE "ID" = 1""")
    world.parent.execute("""UPDATE ax."ITEM" SET "NAME" = 'changed since' WHERE "ID" = 1""")
    asked, landed = _loads(world, monkeypatch), []
    bodies = package.Package.bodies
    monkeypatch.setattr(package.Package, "bodies", lambda self, part: landed.append(part.table) or bodies(self, part))
    _load(world, tmp_path / "package")
    assert (asked, landed) == ([], ["ax.PRICE"]), "the table that was there is not loaded again"
    _same(world)


def test_what_a_child_has_sent_since_the_package_was_made_is_not_undone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child was away for so long that it loads again, uploads first, and meets a package that is older than its upload."""
    child, parent = world.child, world.parent
    count_up(parent, "CUSTOMER", 5, "g, 'as it was'")
    world.provision((CUSTOMERS,))
    world.settle()
    child.execute("""UPDATE ax."CUSTOMER" SET "NAME" = 'changed' WHERE "ID" = 1""")
    child.execute('DELETE FROM ax."CUSTOMER" WHERE "ID" = 2')
    child.execute("""INSERT INTO ax."CUSTOMER" VALUES (6, 'born here')""")
    parent.execute('DELETE FROM ax."CUSTOMER" WHERE "ID" = 3')
    parent.execute('DELETE FROM ax."CUSTOMER_tracking" WHERE sync_row_is_tombstone <> 0')
    pair = Pair(child, parent)
    with parent.engine.marks.snapshot(parent) as mark:
        forgotten = mark.low
    parent.execute("UPDATE dbo.scope_info SET min_valid_anchor = ? WHERE peer_id <> 0", forgotten)
    package.make(pair, str(tmp_path / "package"))
    asked = _loads(world, monkeypatch)
    _load(world, tmp_path / "package")
    world.settle()
    assert asked == [], "it did load from the package"
    expected = [(1, "changed"), (4, "as it was"), (5, "as it was"), (6, "born here")]
    assert rows(child, "CUSTOMER") == rows(parent, "CUSTOMER") == expected
    assert child.query("SELECT 1 FROM dbo.sync_conflict") == parent.query("SELECT 1 FROM dbo.sync_conflict") == []


def test_a_package_that_others_may_read_is_not_asked(
    store: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "package"
    package.make(Pair(store.child, store.parent), str(folder))
    folder.chmod(0o755)
    asked = _loads(store, monkeypatch)
    _load(store, folder)
    assert asked == ["ITEM", "PRICE"]
    _same(store)


def test_a_package_is_removed_when_it_has_expired_and_nobody_is_making_one(store: World, tmp_path: Path) -> None:
    pair = Pair(store.child, store.parent)
    assert not package.remove_expired(pair), "none is named"
    pair.package = str(tmp_path / "package")
    assert not package.remove_expired(pair), "there is none"
    package.make(pair, pair.package)
    assert not package.remove_expired(pair), "it is fresh"
    let_pass(store.parent, 1)
    assert not package.remove_expired(pair), "the store has not run for three days since"
    let_pass(store.parent, 2)
    assert package.refusal(package.read(pair.package), pair) == "it has expired"
    manifest = tmp_path / "package" / package.MANIFEST
    theirs = manifest.read_text(encoding="utf-8")
    manifest.write_text(theirs.replace('"store": "HOUSTON"', '"store": "DALLAS"'), encoding="utf-8")
    assert not package.remove_expired(pair), "it is another store's"
    manifest.write_text(theirs, encoding="utf-8")
    with package._alone(pair.package) as taken:
        assert taken
        assert not package.remove_expired(pair), "somebody is making one"
        with pytest.raises(PackageError, match="Somebody else is at"):
            package.make(pair, pair.package)
    assert package.remove_expired(pair)
    assert os.listdir(pair.package) == []


@pytest.mark.parametrize("made", ["2020-01-01T00:00:00.000", "2090-01-01T00:00:00.000"], ids=["forward", "back"])
def test_a_package_outlives_a_clock_that_jumps_and_not_its_time(store: World, tmp_path: Path, made: str) -> None:
    """By the clock it was made long ago, or is not made yet."""
    pair = Pair(store.child, store.parent)
    pair.package = str(tmp_path / "package")
    package.make(pair, pair.package)
    manifest = tmp_path / "package" / package.MANIFEST
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**facts, "made": made}), encoding="utf-8")
    assert not package.remove_expired(pair)
    let_pass(store.parent, 4)
    assert package.refusal(package.read(pair.package), pair) == "it has expired"
    assert package.remove_expired(pair)
