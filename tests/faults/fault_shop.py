# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A register and its store server on two database servers, clients that sell there, and the service as its own process."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fault_books
import pgserver
from fault_books import Books
from fault_proxy import Proxy
from integration import service_hosts as hosts
from integration.service_pairs import ProvisionedPair, target

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import RetailError
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName
from ansible_collections.axops.retail.plugins.module_utils._offline.pairs import Identity
from ansible_collections.axops.retail.plugins.module_utils._sync.metadata import Scope, ScopeTable

LONG = os.environ.get("RETAIL_FAULTS") == "long"
ACCOUNTS = 6


def repeated(quick: int, thorough: int) -> int:
    """How often a fault is made: seldom in the default run, many times with RETAIL_FAULTS=long."""
    return thorough if LONG else quick


def _table(name: str, key: str, **columns: str) -> Table:
    parsed = tuple(Column.parse(column, text) for column, text in columns.items())
    return Table(TableName("ax", name), parsed, tuple(key.split()))


HEAD = _table(
    "RETAILTRANSACTIONTABLE", "TRANSACTIONID",
    TRANSACTIONID="nvarchar(44) not null", LINES="int not null", AMOUNT="int not null", CURRENCY="nvarchar(3) not null",
)  # fmt: skip
LINE = _table(
    "RETAILTRANSACTIONSALESTRANS", "TRANSACTIONID LINENUM",
    TRANSACTIONID="nvarchar(44) not null", LINENUM="int not null", AMOUNT="int not null", COMMENT="nvarchar(max) not null",
)  # fmt: skip
PAYMENT = _table(
    "RETAILTRANSACTIONPAYMENTTRANS", "TRANSACTIONID LINENUM",
    TRANSACTIONID="nvarchar(44) not null", LINENUM="int not null", AMOUNT="int not null", TENDERTYPE="nvarchar(10) not null",
)  # fmt: skip
PRICE = _table("PRICEDISCTABLE", "RECID", RECID="bigint not null", AMOUNT="int not null")
IMAGE = _table("RETAILIMAGES", "RECID", RECID="bigint not null", PICTURE="varbinary(max)")
CUSTOMER = _table("CUSTTABLE", "ACCOUNTNUM", ACCOUNTNUM="bigint not null", WRITE="int not null")

DOWN = Scope(
    "Prices", "download", tuple(ScopeTable(table.name, "parent") for table in (PRICE, IMAGE)), sequence=1, scope_id=101
)
BOTH = Scope(
    "Customers", "bidirectional", (ScopeTable(CUSTOMER.name, "parent"),), sequence=2, scope_id=102, uploads_deletes=True
)
UP = Scope(
    "Sales",
    "upload",
    tuple(ScopeTable(table.name, "child") for table in (HEAD, LINE, PAYMENT)),
    sequence=3,
    scope_id=103,
)


class Shop(ProvisionedPair):
    """The pair, its clients' books, and a way to count the loss at the end."""

    def __init__(
        self, child: dict[str, Any], parent: dict[str, Any], identity: Identity | None = None, first: bool = True
    ) -> None:
        """first: the parent has no tables yet."""
        self.identity = identity or self.identity
        #: How clients and the service reach each side.
        self.facts = {"child": child, "parent": parent}
        tables = (HEAD, LINE, PAYMENT, PRICE, IMAGE, CUSTOMER) if first else ()
        super().__init__(child, parent, (DOWN, BOTH, UP), tables)
        self.books = Books()
        self.ports: dict[str, int] = {}
        if first:
            with self.parent() as above:
                _note_arrivals(above)

    def child(self) -> Database:
        return _engine.connect(target(self.facts["child"]))

    def parent(self) -> Database:
        return _engine.connect(target(self.facts["parent"]))

    def configuration(self, **more: Any) -> dict[str, Any]:
        """The service's; it goes through the proxies where there are any."""
        self.child_facts, self.parent_facts = self.facts["child"], self.facts["parent"]
        configured = super().configuration(**more)
        for side, port in self.ports.items():
            configured[side]["port"] = port
        return configured

    def begin(self) -> None:
        """Customers and prices that everything starts from."""
        with self.parent() as above, above.transaction():
            for account in range(1, ACCOUNTS + 1):
                write = self.books.number()
                above.execute('INSERT INTO ax."CUSTTABLE" VALUES (?, ?)', account, write)
                above.execute('INSERT INTO ax."PRICEDISCTABLE" VALUES (?, ?)', account, write)
                self.books.writes[write] = None
                self.books.prices[account] = write

    def sales_above(self) -> set[str]:
        """The numbers of the sales that the parent has, whole or not."""
        with self.parent() as above:
            return {row[0] for row in above.query('SELECT "TRANSACTIONID" FROM ax."RETAILTRANSACTIONTABLE"')}

    def arrived(self) -> bool:
        """Whether the databases agree as far as the scopes say, right now."""
        with self.child() as below, self.parent() as above:
            return (
                set(fault_books.sales_of(below)) <= set(fault_books.sales_of(above))
                and fault_books.prices_of(below) == fault_books.prices_of(above)
                and fault_books.customers_of(below) == fault_books.customers_of(above)
            )

    def settle(self, archive: Path, config: Path) -> None:
        """One run of the service by hand, until nothing is pending."""
        done = hosts.run(archive, "once", "--config", config)
        assert done.returncode == 0, done.stdout + done.stderr

    def count(self, gone: frozenset[str] = frozenset(), remembered: Iterable[int] = ()) -> fault_books.Count:
        """The loss, printed; every kind of it has to be 0."""
        with self.child() as below, self.parent() as above:
            counted = fault_books.count(self.books, below, above, gone, remembered)
        print(counted.kinds())
        counted.expect_nothing()
        return counted


def _note_arrivals(db: Database) -> None:
    """At the parent, in no scope: each insertion of a row of a sale. The table has no key, on purpose."""
    db.execute('CREATE TABLE ax."ARRIVAL" ("WHAT" text, "NUMBER" text, "LINE" int)')
    for what, table, line in (("head", HEAD, "0"), ("line", LINE, 'r."LINENUM"'), ("payment", PAYMENT, 'r."LINENUM"')):
        db.execute(
            "CREATE FUNCTION ax.arrival_of_%s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            'INSERT INTO ax."ARRIVAL" SELECT \'%s\', r."TRANSACTIONID", %s FROM inserted r; RETURN NULL; END $$'
            % (what, what, line)
        )
        db.execute(
            'CREATE TRIGGER arrival AFTER INSERT ON ax."%s" REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT '
            "EXECUTE FUNCTION ax.arrival_of_%s()" % (table.name.name, what)
        )


# ---- clients


class Client(threading.Thread):
    """Works in one database until it is told to end; what breaks a connection is waited out, and settled afterwards.

    ``done``: how many transactions were committed. ``broken``: why others were not. ``slowest``: the longest that one took, in
    seconds.
    """

    def __init__(self, shop: Shop, facts: dict[str, Any], seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.shop, self.books, self.facts, self.pause = shop, shop.books, facts, pause
        self.random = random.Random(seed)
        self.seed = seed
        self.done = 0
        self.broken: list[str] = []
        self.slowest = 0.0
        self.defect: BaseException | None = None
        self.ending = threading.Event()

    def run(self) -> None:
        db = None
        try:
            while not self.ending.is_set():
                try:
                    db = db or self.connect()
                    began = time.monotonic()
                    self.work(db)
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.done += 1
                    self.ending.wait(self.random.uniform(0, 2 * self.pause))
                except RetailError as error:
                    self.broken.append(str(error))
                    if db is not None:
                        db.close()
                    db = self.settle()
        except BaseException as defect:  # noqa: BLE001 -- raised where the thread is joined
            self.defect = defect

    def connect(self) -> Database:
        return _engine.connect(target(self.facts))

    def settle(self) -> Database:
        """Connect again, as soon as the server is there, and see what became of the last transaction."""
        deadline = time.monotonic() + 60
        while True:
            try:
                db = self.connect()
                self.look(db)
                return db
            except RetailError:
                assert time.monotonic() < deadline, "the server does not come back"
                time.sleep(0.1)

    def end(self) -> None:
        self.ending.set()
        self.join(90)
        assert not self.is_alive(), "a client hangs"
        if self.defect is not None:
            raise self.defect

    def work(self, db: Database) -> None:
        """One transaction, noted in the books once it is committed."""
        raise NotImplementedError

    def look(self, db: Database) -> None:
        """Note the last transaction if it was committed after all."""
        raise NotImplementedError


class Till(Client):
    """Sells: a header, some lines, payments, in one transaction."""

    comment = "ohne Tüte 🎁"
    doubtful: frozenset[fault_books.Row] | None = None

    def work(self, db: Database) -> None:
        number = "%06d-%010d" % (self.seed, self.books.number())
        amounts = [self.random.randint(1, 999) for _line in range(self.random.randint(1, 4))]
        self.doubtful = frozenset(
            [("head", number, len(amounts), sum(amounts), "EUR")]
            + [("line", number, line, amount, self.comment) for line, amount in enumerate(amounts, 1)]
            + [("payment", number, 1, sum(amounts), "1")]
        )
        with db.transaction():
            for kind, _number, line, amount, text in sorted(self.doubtful):
                table = {"head": HEAD, "line": LINE, "payment": PAYMENT}[kind]
                db.execute('INSERT INTO ax."%s" VALUES (?, ?, ?, ?)' % table.name.name, number, line, amount, text)
        self._note()

    def look(self, db: Database) -> None:
        if self.doubtful is None:
            return
        number = next(iter(self.doubtful))[1]
        if db.value('SELECT COUNT(*) FROM ax."RETAILTRANSACTIONTABLE" WHERE "TRANSACTIONID" = ?', number):
            self._note()

    def _note(self) -> None:
        assert self.doubtful is not None
        with self.books.lock:
            self.books.sales[next(iter(self.doubtful))[1]] = self.doubtful
        self.doubtful = None


class Merchant(Client):
    """Sets prices where prices are made; the only one who does."""

    doubtful: tuple[int, int] | None = None

    def work(self, db: Database) -> None:
        item, amount = self.random.randint(1, ACCOUNTS), self.books.number()
        self.doubtful = (item, amount)
        db.execute('UPDATE ax."PRICEDISCTABLE" SET "AMOUNT" = ? WHERE "RECID" = ?', amount, item)
        self.books.prices[item] = amount

    def look(self, db: Database) -> None:
        if self.doubtful is not None:
            item, _amount = self.doubtful
            self.books.prices[item] = db.value('SELECT "AMOUNT" FROM ax."PRICEDISCTABLE" WHERE "RECID" = ?', item)


class Clerk(Client):
    """Changes customers, each time over the write that was read; a journal beside them settles what is in doubt."""

    doubtful: tuple[int, int] | None = None
    account = 0

    def work(self, db: Database) -> None:
        self.account, write = self.random.randint(1, ACCOUNTS), self.books.number()
        account = self.account
        seen = db.value('SELECT "WRITE" FROM ax."CUSTTABLE" WHERE "ACCOUNTNUM" = ?', account)
        if seen is None:
            return
        self.doubtful = (write, int(seen))
        with db.transaction():
            update = 'UPDATE ax."CUSTTABLE" SET "WRITE" = ? WHERE "ACCOUNTNUM" = ? AND "WRITE" = ?'
            if db.execute(update, write, account, seen) == 1:
                db.execute('INSERT INTO ax."JOURNAL" VALUES (?)', write)
            else:
                self.doubtful = None
        self._note()

    def look(self, db: Database) -> None:
        if self.doubtful and db.value('SELECT COUNT(*) FROM ax."JOURNAL" WHERE "WRITE" = ?', self.doubtful[0]):
            self._note()
        self.doubtful = None

    def _note(self) -> None:
        if self.doubtful is not None:
            write, seen = self.doubtful
            with self.books.lock:
                self.books.writes[write] = seen
                place = f"{self.facts['port']}/{self.facts['database']}"
                self.books.where[write] = f"of customer {self.account}, at {place}, over {seen}"
            self.doubtful = None


def make_journals(shop: Shop) -> None:
    for db in (shop.child(), shop.parent()):
        with db:
            db.execute('CREATE TABLE IF NOT EXISTS ax."JOURNAL" ("WRITE" int NOT NULL)')


@contextmanager
def trading(shop: Shop, pause: float = 0.02) -> Iterator[list[Client]]:
    """Two tills and a clerk at the register, a merchant and a clerk above; they end with the block."""
    make_journals(shop)
    clients: list[Client] = [
        Till(shop, shop.facts["child"], 1, pause),
        Till(shop, shop.facts["child"], 2, pause),
        Clerk(shop, shop.facts["child"], 3, pause),
        Merchant(shop, shop.facts["parent"], 4, pause),
        Clerk(shop, shop.facts["parent"], 5, pause),
    ]
    with at_work(clients):
        yield clients


@contextmanager
def at_work(clients: list[Client]) -> Iterator[None]:
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.ending.set()
        for client in clients:
            client.end()


def sell(shop: Shop, db: Database, number: str, comment: str = "") -> None:
    """One sale of one line, noted in the books."""
    with db.transaction():
        db.execute("INSERT INTO ax.\"RETAILTRANSACTIONTABLE\" VALUES (?, 1, 5, 'EUR')", number)
        db.execute('INSERT INTO ax."RETAILTRANSACTIONSALESTRANS" VALUES (?, 1, 5, ?)', number, comment)
        db.execute("INSERT INTO ax.\"RETAILTRANSACTIONPAYMENTTRANS\" VALUES (?, 1, 5, '1')", number)
    note(shop, number, comment)


def note(shop: Shop, number: str, comment: str = "") -> None:
    """Into the books, once it is committed."""
    shop.books.sales[number] = frozenset(
        [("head", number, 1, 5, "EUR"), ("line", number, 1, 5, comment), ("payment", number, 1, 5, "1")]
    )


# ---- the service


class Service:
    """The packed service in the foreground, killed and started again at will."""

    def __init__(self, archive: Path, config: Path, output: Path, **environment: str) -> None:
        self.archive, self.config, self.output, self.environment = archive, config, output, environment
        self.process: subprocess.Popen[bytes] | None = None
        self.killed = 0

    def start(self) -> Service:
        with self.output.open("ab") as stream:
            self.process = subprocess.Popen(
                hosts.command(self.archive, "run", "--config", self.config),
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env={**os.environ, **self.environment},
            )  # fmt: skip
        return self

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.killed += 1

    def restart(self) -> None:
        self.end()
        self.start()

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        assert self.process is not None
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def most_resident(self) -> int:
        """Bytes of memory at its worst."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()

    def __enter__(self) -> Service:
        return self if self.runs else self.start()

    def __exit__(self, *exc_info: Any) -> None:
        self.end()


@contextmanager
def through_proxies(shop: Shop, servers: dict[str, pgserver.PgServer]) -> Iterator[dict[str, Proxy]]:
    """The service reaches both databases through proxies; clients do not."""
    proxies = {side: Proxy(lambda server=server: server.port) for side, server in servers.items()}
    shop.ports = {side: proxy.port for side, proxy in proxies.items()}
    try:
        yield proxies
    finally:
        for proxy in proxies.values():
            proxy.close()


def waits(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait for a condition; a database that is down answers nothing."""

    def answered() -> Any:
        try:
            return condition()
        except RetailError:
            return False

    return hosts.until(answered, what, seconds)
