# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of ``scope_info`` on both sides, from what they are to what the scopes say.

The parent's row comes before the child's and goes after it: sessions go by the child's rows, so they never meet a scope
that the parent does not know. A run that is killed in between leaves a difference on one side, for the next to find.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._engine import _filter
from .._engine._errors import RetailError
from .._engine._filter import Filter
from .._engine._model import Table, TableName
from .._plan import Plan, Statement, Step
from .._sync.metadata import PARENT, PEER, SCOPE_TABLE, STAGING_TABLE, WINDOW_TABLE, Scope, ScopeTable
from . import rows
from .relation import Identity, Relation
from .state import Entry, Side
from .waiting import waiting

#: How far a table was taken already, by name; None: nothing of it, so it begins with a load.
Marks = dict


@dataclass
class ScopePlan:
    """``touched``: the scopes there are that change, whose sessions must not run meanwhile."""

    plan: Plan = field(default_factory=Plan)
    touched: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Pair:
    """Everything that the steps of one pair share."""

    child: Side
    parent: Side
    relation: Relation
    identity: Identity
    tables: dict[TableName, Table]
    unlogged: Collection[TableName] = ()

    def has_peer(self, name: str) -> tuple[str, tuple]:
        """A condition on rows of the parent that belong to this child in the scope ``name``, with its parameters."""
        quote = self.parent.engine.names.quote
        guid = rows.typed_text(self.parent.engine, 36)
        number = "SELECT p.peer_id FROM %s p WHERE p.peer_guid = %s AND p.peer_id <> %d" % (quote(*PEER), guid, PARENT)
        return "peer_id = (%s) AND sync_scope_name = ?" % number, (self.relation.guid, name)

    def track_existing(self, names: Iterable[TableName]) -> list[Statement]:
        """Rows that only the child has must travel, so each gets its tracking row."""
        engine = self.child.engine
        return [engine.tracking.track_existing(self.child.tables.get(name, self.tables[name])) for name in names]


def plan_scopes(
    child: Side,
    parent: Side,
    relation: Relation,
    identity: Identity,
    scopes: Sequence[Scope],
    tables: dict[TableName, Table],
    force: bool,
    unlogged: Collection[TableName] = (),
) -> ScopePlan:
    """Compare the scopes with the rows of both sides.

    :param tables: the definitions of the scopes' tables.
    :param force: let go of rows of a removed scope that the parent has not got.
    :param unlogged: filtered tables of which moves may have gone unnoticed at the parent; the child takes them anew.
    :raises RetailError: a scope or table would be removed while rows of it wait to go up.
    """
    pair = _Pair(child, parent, relation, identity, tables, unlogged)
    if not force:
        _check_nothing_waits(pair, scopes)
    result = ScopePlan()
    for scope in scopes:
        _plan_scope(pair, scope, result)
    wanted = {scope.name for scope in scopes}
    for name in sorted((set(relation.child_entries) | set(relation.parent_entries)) - wanted):
        result.touched.append(name)
        _remove(pair, name, result.plan)
    return result


def _plan_scope(pair: _Pair, scope: Scope, result: ScopePlan) -> None:
    ours, theirs = pair.relation.child_entries.get(scope.name), pair.relation.parent_entries.get(scope.name)
    if ours is None or theirs is None:
        _add(pair, scope, theirs if ours is None else None, result.plan)
        return
    steps = [_change_parent(pair, scope, ours, theirs), _change_child(pair, scope, ours)]
    if any(steps):
        result.touched.append(scope.name)
    for step in steps:
        result.plan.add(step)


# ---- a new scope


def _add(pair: _Pair, scope: Scope, left_over: Entry | None, plan: Plan) -> None:
    """Rows on both sides, with one token.

    :param left_over: the parent's row of a run that was killed before the child had its own.
    """
    token = str(uuid.uuid4())
    if left_over is not None and left_over.scope == scope and not left_over.state.anchor_in:
        token = left_over.state.session_token
    else:
        plan.add(_add_to_parent(pair, scope, token))
    plan.add(_add_to_child(pair, scope, token))


def _add_to_parent(pair: _Pair, scope: Scope, token: str) -> Step:
    engine = pair.parent.engine
    condition, parameters = pair.has_peer(scope.name)
    statements: list[Statement] = [
        rows.delete(engine, table, condition, *parameters) for table in (WINDOW_TABLE, STAGING_TABLE, SCOPE_TABLE)
    ]
    source = "FROM %s WHERE peer_guid = %s AND peer_id <> %d" % (
        engine.names.quote(*PEER), rows.typed_text(engine, 36), PARENT,
    )  # fmt: skip
    values = {**_values(scope), "anchor_in": 0, "session_token": token, "previous_token": token}
    sql, bound = rows.insert_from(engine, SCOPE_TABLE, {"peer_id": "peer_id"}, values, source)
    statements.append((sql, (*bound, pair.relation.guid)))
    title = "Add the scope %s of %s to %s" % (_described(scope), pair.identity.name, pair.parent.title)
    return _step(pair, pair.parent, title, scope.name, None, _document(scope), statements)


def _add_to_child(pair: _Pair, scope: Scope, token: str) -> Step:
    engine = pair.child.engine
    statements: list[Statement] = [
        rows.delete(engine, table, "peer_id = %d AND sync_scope_name = ?" % PARENT, scope.name)
        for table in (STAGING_TABLE, SCOPE_TABLE)
    ]
    if scope.uploads:
        statements += pair.track_existing(item.name for item in scope.tables)
    values = {"peer_id": PARENT, **_values(scope), "session_token": token, "previous_token": token}
    statements.append(rows.insert(engine, SCOPE_TABLE, values))
    title = "Add the scope %s to %s" % (_described(scope), pair.child.title)
    return _step(pair, pair.child, title, scope.name, None, _document(scope), statements)


# ---- a scope that is there


def _change_parent(pair: _Pair, scope: Scope, ours: Entry, theirs: Entry) -> Step | None:
    # Judged by the child's row as well: a session could use up what is written here before the child's row follows.
    marks = _upload_marks(pair, scope, ours, theirs) if scope.uploads else {}
    if theirs.scope == scope and not marks:
        return None
    engine = pair.parent.engine
    condition, parameters = pair.has_peer(scope.name)
    gone = _names(theirs.scope) - _names(scope)
    values = {**_values(scope), "landing": _landing(theirs, gone, marks)}
    statements: list[Statement] = [rows.update(engine, SCOPE_TABLE, values, condition, *parameters)]
    statements += _forget_staged(engine, gone, condition, parameters)
    statements += _hand_over_window(pair, scope, gone, marks)
    # What comes again with more columns has not been seen.
    for name in sorted(_wider(ours.scope, scope) | _wider(theirs.scope, scope)):
        statements.append(rows.delete(engine, WINDOW_TABLE, condition + " AND table_name = ?", *parameters, str(name)))
    title = "Change the scope %r of %s in %s" % (scope.name, pair.identity.name, pair.parent.title)
    return _step(pair, pair.parent, title, scope.name, _document(theirs.scope), _document(scope), statements)


def _change_child(pair: _Pair, scope: Scope, ours: Entry) -> Step | None:
    new, gone = _names(scope) - _names(ours.scope), _names(ours.scope) - _names(scope)
    again = _taken_anew(pair, scope, ours)
    if ours.scope == scope and not again:
        return None
    engine = pair.child.engine
    wider = _wider(ours.scope, scope)
    new |= wider
    marks = _download_marks(pair, scope, ours, new) if scope.downloads else {}
    marks.update(dict.fromkeys(map(str, sorted(again))))
    condition = "peer_id = %d AND sync_scope_name = ?" % PARENT
    values = {**_values(scope), "landing": _landing(ours, gone, marks)}
    statements = _forget_staged(engine, gone | again, condition, (scope.name,))
    if scope.uploads:
        added = new if ours.scope.uploads else _names(scope)
        statements += pair.track_existing(sorted(added))
    if scope.downloads:
        statements += _forget_versions(engine, wider & set(pair.child.tracked))
    statements.append(rows.update(engine, SCOPE_TABLE, values, condition, scope.name))
    title = "Change the scope %r in %s" % (scope.name, pair.child.title)
    return _step(pair, pair.child, title, scope.name, _document(ours.scope), _document(scope), statements)


def _taken_anew(pair: _Pair, scope: Scope, ours: Entry) -> set[TableName]:
    """Tables of which the child is to receive other rows than so far, or may have missed some."""
    if not scope.downloads or ours.state.anchor_in is None:
        return set()
    before = {item.name: item.filter for item in ours.scope.tables}
    return {
        item.name
        for item in scope.tables
        if item.name in before and (item.filter != before[item.name] or item.name in pair.unlogged)
    }


def _upload_marks(pair: _Pair, scope: Scope, ours: Entry, theirs: Entry) -> Marks:
    """From where the parent takes the tables that are new to the scope.

    Said even where nothing has been taken yet: a session that does not know them may be the first to move the anchor.
    """
    anchor = theirs.state.anchor_in or 0
    new = _names(scope) - (_names(ours.scope) & _names(theirs.scope))
    new |= _wider(ours.scope, scope) | _wider(theirs.scope, scope)
    return {str(name): _moved_mark(pair.relation.parent_entries, name, scope, anchor, upload=True) or 0 for name in new}


def _download_marks(pair: _Pair, scope: Scope, ours: Entry, new: set[TableName]) -> Marks:
    """From where the child takes the tables that are new to the scope; None: with a load."""
    anchor = ours.state.anchor_in
    return {str(name): _moved_mark(pair.relation.child_entries, name, scope, anchor, upload=False) for name in new}


def _moved_mark(
    entries: dict[str, Entry], name: TableName, scope: Scope, anchor: int | None, upload: bool
) -> int | None:
    """How far a table was taken in the scope that it stood in so far, None where it stood in none."""
    if anchor is None:
        return None
    for other in entries.values():
        moves = other.scope.uploads if upload else other.scope.downloads
        if other.scope.name == scope.name or not moves or name not in _names(other.scope):
            continue
        changed = not upload and _filter_of(other.scope, name) != _filter_of(scope, name)
        if changed or name in _wider(other.scope, scope):
            return None
        mark = other.state.landing.get(str(name), other.state.anchor_in)
        # Below the anchor, since what the anchor's snapshot saw of the scope's other tables was not taken of this one.
        return None if mark is None else max(0, min(int(mark), anchor - 1))
    return None


def _landing(entry: Entry, gone: Iterable[TableName], marks: Marks) -> str | None:
    """The low marks of a landing, without the tables that leave, and with those that come."""
    left = {str(name) for name in gone}
    landing = {name: mark for name, mark in entry.state.landing.items() if name not in left}
    landing.update(marks)
    return json.dumps(landing, sort_keys=True) if landing else None


def _forget_staged(engine: Any, gone: Iterable[TableName], condition: str, parameters: tuple) -> list[Statement]:
    """Batches of tables that leave the scope would have no place to go to."""
    statements: list[Statement] = []
    for name in sorted(gone):
        begin = json.dumps({"table": str(name)}, ensure_ascii=False)[:-1] + ","
        phrase = "%s AND SUBSTRING(header, 1, %d) = %s" % (condition, len(begin), rows.typed_text(engine, len(begin)))
        statements.append(rows.delete(engine, STAGING_TABLE, phrase, *parameters, begin))
    return statements


def _hand_over_window(pair: _Pair, scope: Scope, gone: Iterable[TableName], marks: Marks) -> list[Statement]:
    """What was taken of a table above its mark stays known where the table goes to another scope."""
    engine = pair.parent.engine
    statements: list[Statement] = []
    number = pair.relation.number
    for name in sorted(marks):
        condition = "peer_id = %d AND table_name = ?" % (number or -1)
        statements.append(rows.update(engine, WINDOW_TABLE, {"sync_scope_name": scope.name}, condition, name))
    condition, parameters = pair.has_peer(scope.name)
    condition += " AND table_name = ?"
    leaving = (str(table) for table in sorted(gone) if table not in pair.tables)
    return statements + [rows.delete(engine, WINDOW_TABLE, condition, *parameters, name) for name in leaving]


# ---- a scope that goes


def _remove(pair: _Pair, name: str, plan: Plan) -> None:
    ours, theirs = pair.relation.child_entries.get(name), pair.relation.parent_entries.get(name)
    if ours is not None:
        engine, condition = pair.child.engine, "peer_id = %d AND sync_scope_name = ?" % PARENT
        statements: list[Statement] = [
            rows.delete(engine, table, condition, name) for table in (STAGING_TABLE, SCOPE_TABLE)
        ]
        title = "Remove the scope %s from %s" % (_described(ours.scope), pair.child.title)
        plan.add(_step(pair, pair.child, title, name, _document(ours.scope), None, statements))
    if theirs is not None:
        condition, parameters = pair.has_peer(name)
        statements = [
            rows.delete(pair.parent.engine, table, condition, *parameters)
            for table in (WINDOW_TABLE, STAGING_TABLE, SCOPE_TABLE)
        ]
        title = "Remove the scope %s of %s from %s" % (_described(theirs.scope), pair.identity.name, pair.parent.title)
        plan.add(_step(pair, pair.parent, title, name, _document(theirs.scope), None, statements))


def _check_nothing_waits(pair: _Pair, scopes: Sequence[Scope]) -> None:
    """Rows that have to go up must not lose the scope that would take them.

    :raises RetailError: the message names the scope and how many rows wait.
    """
    upwards = {item.name for scope in scopes if scope.uploads for item in scope.tables}
    for name, ours in pair.relation.child_entries.items():
        theirs = pair.relation.parent_entries.get(name)
        if not ours.scope.uploads or theirs is None:
            continue
        leaving = [table for table in sorted(_names(ours.scope) - upwards) if table in pair.child.tracked]
        counts = waiting(pair.child, {name: ours}, {name: theirs}, leaving)
        if counts:
            raise RetailError(
                "%d rows of the scope %r in %s have not reached %s yet, and would never (tables: %s)."
                % (
                    sum(counts.values()), name, pair.child.title, pair.parent.title,
                    ", ".join(str(table) for table in leaving[:5]),
                ),
                "Let the sync service run until they have, or set the option force to give them up.",
            )  # fmt: skip


# ---- helpers


def _values(scope: Scope) -> dict[str, Any]:
    return {
        "sync_scope_name": scope.name,
        "scope_id": scope.scope_id,
        "sequence": scope.sequence,
        "direction": scope.direction,
        "frequency": scope.frequency,
        "config_data": scope.config_data(),
    }


def _document(scope: Scope) -> dict[str, Any]:
    """The scope as people read it in a diff."""
    filters = {str(item.name): _filter.dump(item.filter) for item in scope.tables if item.filter}
    return {
        "direction": scope.direction,
        "frequency": scope.frequency,
        "sequence": scope.sequence,
        "scope_id": scope.scope_id,
        "uploads_deletes": scope.uploads_deletes,
        "tables": [_described_table(item) for item in scope.tables],
        **({"filters": filters} if filters else {}),
    }


def _described_table(item: ScopeTable) -> str:
    columns = ", columns %s" % ", ".join(item.columns) if item.columns else ""
    return "%s (the %s wins%s)" % (item.name, item.winner, columns)


def _described(scope: Scope) -> str:
    tables = "1 table" if len(scope.tables) == 1 else "%d tables" % len(scope.tables)
    return "%r (%s, %s)" % (scope.name, scope.direction, tables)


def _names(scope: Scope) -> set[TableName]:
    return {item.name for item in scope.tables}


def _filter_of(scope: Scope, name: TableName) -> Filter:
    return next((item.filter for item in scope.tables if item.name == name), ())


def _wider(before: Scope, after: Scope) -> set[TableName]:
    """The tables of both of which more columns travel than before: all rows have to come again."""
    columns = {item.name: set(item.columns) for item in before.tables}
    return {
        item.name
        for item in after.tables
        if columns.get(item.name) and (not item.columns or not set(item.columns) <= columns[item.name])
    }


def _forget_versions(engine: Any, tables: Iterable[TableName]) -> list[Statement]:
    """Rows that came already are taken again."""
    return [engine.tracking.forget_versions(name, PARENT) for name in sorted(tables)]


def _step(
    pair: _Pair, side: Side, title: str, name: str, before: Any, after: Any, statements: Sequence[Statement]
) -> Step:
    path = (side.key, "scopes", name) if side is pair.child else (side.key, "scopes of %s" % pair.identity.name, name)
    return Step(title, path, before, after, side.key, statements)
