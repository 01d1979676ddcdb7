# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of a pair: the bookkeeping, the child's copies of the parent's tables, and the tracking beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from .._engine._errors import RetailError
from .._engine._model import Table, TableName
from .._plan import Plan, Step
from .._schema import plan as schema_plan
from .._sync import metadata
from .state import Side


def plan_bookkeeping(side: Side) -> Plan:
    """The tables in which the synchronisation keeps its books; those of Sync Framework go before."""
    plan = Plan()
    if side.framework.books:
        title = "Remove the scopes of Microsoft Sync Framework from %s" % side.title
        before = list(side.framework.scopes) or [str(name) for name in side.framework.books]
        statements = side.engine.framework.drop_books(side.framework)
        plan.add(_step(side, title, ("sync_framework", "scopes"), before, None, statements))
    plan.extend(Plan([_with_rights(side, step) for step in plan_tables(side, metadata.TABLES).steps]))
    return plan


def _with_rights(side: Side, step: Step) -> Step:
    """Who has rights on the log, which every database of the product has from the start, has them on the other books, too."""
    made = [table.name for table in metadata.TABLES if step.path == (side.key, "tables", str(table.name))]
    if not made or step.before is not None or made[0] == metadata.LOG:
        return step
    return replace(step, statements=[*step.statements, *side.engine.access.hand_on(metadata.LOG, made[0])])


def plan_tables(side: Side, desired: Iterable[Table]) -> Plan:
    """Make what is missing of these tables: schemas, tables, columns, keys and indexes; widen what is too narrow."""
    wanted = {table.name: table for table in desired}
    there = {name: side.tables[name] for name in wanted if name in side.tables}
    read_dependents = partial(side.engine.tables.read_dependents, side.place.db)
    made = schema_plan.tables(side.engine, there, wanted, side.key, side.schemas, read_dependents)
    side.schemas.update(name.schema for name in wanted)
    return Plan([_at(side, step) for step in made.steps])


def _at(side: Side, step: Step) -> Step:
    """The same step, saying on which of the two databases."""
    return replace(step, title="%s in %s" % (step.title, side.title), path=(side.key, *step.path))


def check_copies(child: Side, desired: Iterable[Table]) -> None:
    """See that the child has the tables, where it is not for us to make them.

    :raises RetailError: a table is missing.
    """
    missing = [str(table.name) for table in desired if table.name not in child.tables]
    if missing:
        more = " and %d more of the scopes" % (len(missing) - 1) if missing[1:] else ""
        raise RetailError(
            "%s has no table %s%s." % (_sentence(child.title), missing[0], more),
            "Create or upgrade it first, or take the table out of the scope.",
        )


def check_keys(child: Side, desired: Iterable[Table]) -> None:
    """See that a table that is on both sides has the same key.

    :raises RetailError: the keys differ.
    """
    for table in desired:
        actual = child.tables.get(table.name)
        if actual is not None and actual.primary_key != table.primary_key:
            raise RetailError(
                "The table %s has the primary key (%s) in %s and (%s) at its parent."
                % (table.name, ", ".join(actual.primary_key), child.title, ", ".join(table.primary_key)),
                "Both need the same primary key.",
            )


def plan_tracking(side: Side, tables: Iterable[Table], retrack: Iterable[TableName] = ()) -> Plan:
    """Put tracking on the tables that lack it or a part of it; that of Sync Framework goes.

    Of a table that stays tracked it goes in the same step, and so the same transaction, in which ours comes: no change goes
    unnoticed in between. Tables that we do not track come first: while something of Sync Framework is left, a table that we
    want shows it.

    :param retrack: tables of which rows written while a trigger was missing must travel.
    """
    tables = list(tables)
    engine, retrack = side.engine, set(retrack)
    theirs = dict(side.framework.tables)
    plan = Plan()
    for name in sorted(set(theirs) - {table.name for table in tables}):
        title = "Remove the change tracking of Microsoft Sync Framework of %s from %s" % (name, side.title)
        statements = engine.framework.drop_table(theirs[name])
        plan.add(_step(side, title, ("sync_framework", "tables", str(name)), "tracked", None, statements))
    for table in tables:
        if table.name in theirs:
            title = "Replace the change tracking of Microsoft Sync Framework of %s in %s" % (table.name, side.title)
            statements = [*engine.framework.drop_table(theirs[table.name]), *engine.tracking.create(table)]
            path = ("tracking", str(table.name))
            plan.add(_step(side, title, path, "Microsoft Sync Framework", "complete", statements))
            continue
        if side.is_tracked(table.name):
            continue
        statements = list(engine.tracking.create(table))
        repaired = table.name in side.tracked
        if repaired and _missing(side, table.name) and table.name in retrack:
            statements.append(engine.tracking.track_existing(table))
        title = "%s the change tracking of %s in %s" % ("Repair" if repaired else "Create", table.name, side.title)
        before = ("without %s" % ", ".join(_missing(side, table.name) or ["changed keys"])) if repaired else None
        plan.add(_step(side, title, ("tracking", str(table.name)), before, "complete", statements))
    return plan


def plan_untracking(side: Side, used: Iterable[TableName]) -> Plan:
    """Take tracking off the tables that no scope of any peer uses."""
    plan = Plan()
    for name in sorted(set(side.tracked) - set(used)):
        title = "Remove the change tracking of %s from %s" % (name, side.title)
        plan.add(_step(side, title, ("tracking", str(name)), "complete", None, side.engine.tracking.drop(name)))
    return plan


def _missing(side: Side, table: TableName) -> Sequence[str]:
    return [event for event in side.engine.tracking.TRIGGERS if event not in side.tracked[table]]


def _step(
    side: Side, title: str, path: tuple[str, ...], before: object, after: object, statements: Sequence[str]
) -> Step:
    return Step(title, (side.key, *path), before, after, side.key, statements)


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:]
