# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A history: what tills, sessions, operators and disasters do to a fleet, and what must hold in the end.

Each public method is one step. What cannot be done at the moment (a row is locked, a sale is gone) is left undone, so that
any steps in any order make a history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import fleet_shapes as shapes
import fleet_state as state
from fleet import Node, Work, Workshop
from fleet_checks import check_everything
from fleet_ledger import Ledger
from fleet_shapes import EXTRA, PARENTS, REGISTERS, TABLES
from fleet_steps import Steps
from tiers_fleet import Tiers

from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._sync.pair import NotProvisioned


class History(Steps):
    """One history of HQ, two channel databases and three registers."""

    FLEET = Tiers
    fleet: Tiers

    def __init__(self, workshop: Workshop, winner: str = "parent") -> None:
        super().__init__(workshop, winner)
        self.ledger = Ledger()
        self.backups: set[str] = set()
        #: How often a database was lost.
        self.disasters = 0
        self.schema_changed_at = 0

    # ---- tills: each step is part of the transaction that the till has open, or begins one

    def put(self, where: str, till: int, table: str, key: int, then: str = "commit") -> None:
        """Insert a row, or change the one there is."""

        def deed(work: Work) -> None:
            before, number = _take(work, table, key), self.ledger.number()
            if before is None:
                values = {"ID": key, "VALUE": number, "CODE": "%s-%d" % (where, number), **self._extra(where, number)}
                _insert(work, table, values)
            else:
                self._change(where, work, table, key, number)
            self._wrote(work, table, number, before)

        self._till(where, till, deed, then)

    def remove(self, where: str, till: int, table: str, key: int, then: str = "commit") -> None:
        """Delete a row."""

        def deed(work: Work) -> None:
            before = _take(work, table, key)
            if before is not None:
                shapes.execute(work.db, "DELETE FROM {ax.%s} WHERE {ID} = ?" % table, key)
                work.deleted.append(before)
                work.gone.append((table, key))

        self._till(where, till, deed, then)

    def rekey(self, where: str, till: int, table: str, key: int, new: int, then: str = "commit") -> None:
        """Give a row another key."""

        def deed(work: Work) -> None:
            before = _take(work, table, key)
            if before is not None and key != new:
                number = self.ledger.number()
                self._change(where, work, table, key, number, ID=new)
                self._wrote(work, table, number, before)
                work.gone.append((table, key))

        self._till(where, till, deed, then)

    def swap(self, where: str, till: int, table: str, one: int, other: int, then: str = "commit") -> None:
        """Two rows exchange their unique codes."""

        def deed(work: Work) -> None:
            taken = {key: _take(work, table, key) for key in sorted({one, other})}
            if None in taken.values() or len(taken) < 2:
                return
            codes = {key: _code(work, table, key) for key in taken}
            self._change(where, work, table, one, self.ledger.number(), CODE="between")
            for key, code in ((other, codes[one]), (one, codes[other])):
                number = self.ledger.number()
                self._change(where, work, table, key, number, CODE=code)
                self._wrote(work, table, number, taken[key])

        self._till(where, till, deed, then)

    def claim(self, where: str, till: int, table: str, key: int, code: int, then: str = "commit") -> None:
        """A row takes a code that others may claim elsewhere."""

        def deed(work: Work) -> None:
            before = _take(work, table, key)
            if before is not None:
                number = self.ledger.number()
                self._change(where, work, table, key, number, CODE="claimed-%d" % code)
                self._wrote(work, table, number, before)

        self._till(where, till, deed, then)

    def sell(self, where: str, till: int, lines: int, debt: bool = False, then: str = "commit") -> None:
        """A sale: lines, a payment and a header, in one transaction. ``debt``: one that some databases refuse."""

        def deed(work: Work) -> None:
            sale, paid = self.ledger.number(), -5 if debt else 5
            for line in range(lines):
                self._add(work, "LINE", SALE=sale, NUMBER=line, AMOUNT=line + 1)
            self._add(work, "PAYMENT", SALE=sale, NUMBER=0, AMOUNT=paid)
            total = sum(range(1, lines + 1))
            work.touched[sale] = self._add(work, "SALE", ID=sale, LINES=lines, TOTAL=total, PAYMENTS=1, PAID=paid)
            work.sold.append(sale)

        self._till(where, till, deed, then)

    def touch(self, where: str, till: int, choice: int, what: str, then: str = "commit") -> None:
        """A sale of this database is changed: a ``line``, one ``more`` line, what is ``paid``, or the ``header`` alone."""
        sale = self._own_sale(where, choice)
        if sale is None:
            return

        def deed(work: Work) -> None:
            before = _take(work, "SALE", sale)
            if before is None:
                return
            sql = "SELECT {LINES}, {TOTAL}, {PAID} FROM {ax.SALE} WHERE {ID} = ?"
            lines, total, paid = shapes.query(work.db, sql, sale)[0]
            changes: dict[str, int] = {}
            if what == "line":
                self._set_amount(work, "LINE", sale, total + 1)
                changes = {"TOTAL": _sum(work, "LINE", sale)}
            elif what == "more":
                self._add(work, "LINE", SALE=sale, NUMBER=lines, AMOUNT=1)
                changes = {"LINES": lines + 1, "TOTAL": total + 1}
            elif what == "paid":
                self._set_amount(work, "PAYMENT", sale, abs(paid) + 1)
                changes = {"PAID": abs(paid) + 1}
            number = self.ledger.number()
            self._change(where, work, "SALE", sale, number, **changes)
            self._wrote(work, "SALE", number, before)
            work.touched[sale] = number

        self._till(where, till, deed, then)

    def rename(self, where: str, till: int, choice: int, then: str = "commit") -> None:
        """A sale of this database gets another number: the key of all its rows."""
        sale = self._own_sale(where, choice)
        if sale is None:
            return

        def deed(work: Work) -> None:
            before = _take(work, "SALE", sale)
            if before is None:
                return
            new = self.ledger.number()
            self._change(where, work, "SALE", sale, new, ID=new)
            self._wrote(work, "SALE", new, before)
            for table in ("LINE", "PAYMENT"):
                shapes.execute(work.db, "UPDATE {ax.%s} SET {SALE} = ? WHERE {SALE} = ?" % table, new, sale)
            work.touched.pop(sale, None)
            work.renamed[sale] = work.touched[new] = new

        self._till(where, till, deed, then)

    def purge(self, where: str, till: int, choice: int, then: str = "commit") -> None:
        """An old sale is deleted to make room, as the POS does it; nobody touches it any more."""
        heads = dict(sorted(shapes.query(self.fleet[where].reader, "SELECT {ID}, {VALUE} FROM {ax.SALE}")))
        # Old is a sale only when all of it has arrived here.
        books = self.ledger.sales
        heads = {sale: head for sale, head in heads.items() if sale in books and head == books[sale].head}
        if not heads:
            return
        sale = sorted(heads)[choice % len(heads)]
        if any(
            sale in {*work.touched, *work.renamed} for node in self.fleet.nodes.values() for work in node.open.values()
        ):
            return

        def deed(work: Work) -> None:
            work.purged[sale] = set() if self._has_gone_up(where, sale) else self._numbers_of(where, sale)
            for table, key in (("SALE", "ID"), ("LINE", "SALE"), ("PAYMENT", "SALE")):
                shapes.execute(work.db, "DELETE FROM {ax.%s} WHERE {%s} = ?" % (table, key), sale)

        self._till(where, till, deed, then)

    def _committed(self, where: str, work: Work) -> None:
        self.ledger.commit(where, work)

    def _change(self, where: str, work: Work, table: str, key: int, number: int, **changes: Any) -> None:
        changes.update(VALUE=number, **(self._extra(where, number) if table == "CARD" else {}))
        settings = ", ".join("{%s} = ?" % name for name in changes)
        shapes.execute(work.db, "UPDATE {ax.%s} SET %s WHERE {ID} = ?" % (table, settings), *changes.values(), key)

    def _extra(self, where: str, number: int) -> dict[str, int]:
        if not state.has_extra(self.fleet[where].reader):
            return {}
        self.ledger.with_extra.add(number)
        return {EXTRA.name: number}

    def _wrote(self, work: Work, table: str, number: int, before: int | None) -> None:
        work.writes.append((number, before))
        if table == "ITEM" and not state.is_provisioned(work.db):
            # In a table that only goes down, what stands there before the register is provisioned is nobody's edit: the load
            # puts the parent's rows in its place, and nothing is kept.
            self.ledger.forgiven.add(number)
        if table == "CUSTOMER":
            work.customers.append(number)

    def _add(self, work: Work, table: str, **values: int) -> int:
        number = self.ledger.number()
        _insert(work, table, {**values, "VALUE": number})
        work.writes.append((number, None))
        return number

    def _set_amount(self, work: Work, table: str, sale: int, amount: int) -> None:
        """The first line or payment of a sale gets another amount."""
        row = "WHERE {SALE} = ? AND {NUMBER} = 0"
        found = shapes.query(work.db, "SELECT {VALUE} FROM {ax.%s} %s" % (table, row), sale)
        number = self.ledger.number()
        shapes.execute(work.db, "UPDATE {ax.%s} SET {AMOUNT} = ?, {VALUE} = ? %s" % (table, row), amount, number, sale)
        work.writes.append((number, found[0][0]))

    def _own_sale(self, where: str, choice: int) -> int | None:
        busy = {sale for work in self.fleet[where].open.values() for sale in work.renamed}
        own = sorted(sale for sale, book in self.ledger.sales.items() if book.owner == where and not book.closed)
        own = [sale for sale in own if sale not in busy]
        return own[choice % len(own)] if own else None

    def _numbers_of(self, where: str, sale: int) -> set[int]:
        keys = (("SALE", "ID"), ("LINE", "SALE"), ("PAYMENT", "SALE"))
        parts = ["SELECT {VALUE} FROM {ax.%s} WHERE {%s} = %d" % (table, key, sale) for table, key in keys]
        return {row[0] for row in shapes.query(self.fleet[where].reader, " UNION ALL ".join(parts))}

    def _has_gone_up(self, where: str, sale: int) -> bool:
        parent = self.fleet[PARENTS[where]].reader
        ours = shapes.query(self.fleet[where].reader, "SELECT {VALUE} FROM {ax.SALE} WHERE {ID} = ?", sale)
        return ours == shapes.query(parent, "SELECT {VALUE} FROM {ax.SALE} WHERE {ID} = ?", sale)

    # ---- sessions

    def _visible(self, scope: str, where: str) -> None:
        if scope == "sales":
            self._look((where,))

    def _look(self, where: Sequence[str] = ("c1", "c2", "hq")) -> None:
        """A reader must never see a part of a sale."""
        for name in where:
            broken = shapes.query(self.fleet[name].reader, shapes.BROKEN)
            assert broken == [], "a reader sees a part of the sales %s at %s" % (broken, name)

    # ---- operators and disasters

    def backup(self, where: str) -> None:
        """Copy a database. Nobody may be connected meanwhile, so what tills have open there is undone."""
        node, copy = self.fleet[where], self.fleet[where].database + "_backup"
        node.close()
        self.fleet.server.drop(copy)
        self.fleet.server.create(copy, node.database)
        self.backups.add(where)

    def restore(self, where: str) -> None:
        """Put the copy back in the database's place."""
        if where not in self.backups:
            return

        def put_back(node: Node) -> None:
            self.fleet.server.drop(node.database)
            self.fleet.server.create(node.database, node.database + "_backup")

        self._lose(where, put_back)

    def replace(self, where: str) -> None:
        """A register breaks down, and another one with an empty database takes its place."""

        def renew(node: Node) -> None:
            self.fleet.server.drop(node.database)
            self.fleet.server.create(node.database)
            self.fleet.furnish(node)

        self._lose(where, renew)

    def _lose(self, where: str, disaster: Callable[[Node], None]) -> None:
        node = self.fleet[where]
        self.fleet.reshaped = True
        node.close()
        before, stamps = state.numbers(node.reader), set(state.images(node.reader, "STAMP"))
        node.close()
        disaster(node)
        self._excuse(where, before, stamps)
        self.disasters += 1
        self.schema_changed_at = self.ledger.last
        self.apart |= {child for child, parent in PARENTS.items() if where in (child, parent)}

    def _excuse(self, where: str, numbers: set[int], stamps: set[state.Key]) -> None:
        """What a lost database took with it, and nobody else has, need not arrive.

        :param numbers: of the writes that it had; ``stamps``: the keys of its stamps.
        """
        readers = [node.reader for node in self.fleet.nodes.values()]
        self.ledger.forgiven |= numbers - set().union(*(state.numbers(db) for db in readers))
        self.ledger.lost_stamps |= stamps - {key for db in readers for key in state.images(db, "STAMP")}
        there = {key[0] for db in readers for key in state.images(db, "SALE")}
        arrived = {key[0] for key in state.images(self.fleet["hq"].reader, "SALE")}
        purged = {sale for _where, sale in self.ledger.purged_at}
        for sale, book in self.ledger.sales.items():
            # Who has purged a sale does not send it again to a parent that has lost it.
            book.optional |= sale not in there or (sale in purged and sale not in arrived)
            # Its owner may have an older one now, or one that is newer than the parent's.
            book.closed |= shapes.is_under(book.owner, where)

    def heal(self, child: str) -> None:
        """Somebody runs the playbook for a pair that a disaster may have torn apart."""
        if child not in self.apart:
            return
        with self._unless_busy(child):
            self.fleet.provision(child, reprovision=True)
            self.apart.discard(child)

    def pack(self, child: str) -> None:
        """A package is made for a child, from which all its loads begin from now on, however old it is then."""
        try:
            with self._unless_busy(child):
                self.fleet.pack(child)
        except NotProvisioned as failure:
            assert child in self.apart, failure

    def upgrade(self, where: str) -> None:
        """The next version of the schema, from the top down."""
        node = self.fleet[where]
        if state.has_extra(node.reader) or (where != "hq" and not state.has_extra(self.fleet[PARENTS[where]].reader)):
            return
        self.fleet.reshaped = True
        with self._unless_busy(where):
            for statement in node.db.engine.tables.add_columns(TABLES["CARD"].name, [EXTRA]):
                node.db.execute(statement)
            self.schema_changed_at = self.ledger.last

    def profile(self, child: str, with_shelf: bool) -> None:
        """The table SHELF comes to a pair's profile, or leaves it."""
        if child in self.apart:
            return
        before, self.fleet.with_shelf[child] = self.fleet.with_shelf[child], with_shelf
        self.fleet.reshaped = True
        try:
            with self._unless_busy(child):
                self.fleet.provision(child)
                before = with_shelf
        except RetailError as refusal:
            assert not with_shelf, refusal
            assert "have not reached" in str(refusal), refusal
        self.fleet.with_shelf[child] = before

    # ---- the end

    def check(self) -> None:
        self._end_all()
        for child in ("c1", "c2", *REGISTERS):
            self.heal(child)
        assert not self.apart
        check_everything(self, self.fleet.settle())


def _take(work: Work, table: str, key: int) -> int | None:
    """Lock a row and read its number; None where there is none."""
    if not shapes.execute(work.db, "UPDATE {ax.%s} SET {VALUE} = {VALUE} WHERE {ID} = ?" % table, key):
        return None
    return int(shapes.query(work.db, "SELECT {VALUE} FROM {ax.%s} WHERE {ID} = ?" % table, key)[0][0])


def _code(work: Work, table: str, key: int) -> str:
    return str(shapes.query(work.db, "SELECT {CODE} FROM {ax.%s} WHERE {ID} = ?" % table, key)[0][0])


def _sum(work: Work, table: str, sale: int) -> int:
    return int(shapes.query(work.db, "SELECT sum({AMOUNT}) FROM {ax.%s} WHERE {SALE} = ?" % table, sale)[0][0])


def _insert(work: Work, table: str, values: dict[str, Any]) -> None:
    known = {column.name for column in TABLES[table].columns} | ({EXTRA.name} if table == "CARD" else set())
    row = {name: value for name, value in values.items() if name in known}
    columns, marks = ", ".join("{%s}" % name for name in row), ", ".join("?" for _name in row)
    shapes.execute(work.db, "INSERT INTO {ax.%s} (%s) VALUES (%s)" % (table, columns, marks), *row.values())
