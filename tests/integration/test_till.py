# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The master data and the till on a real database: what is loaded is what was made, and every sale is whole."""

from __future__ import annotations

import json
import secrets
import threading
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import masterdata
import pgserver
import pos
import pytest
from _sql import ask, spell

from ansible_collections.axops.retail.plugins.module_utils._engine import speaker
from ansible_collections.axops.retail.plugins.module_utils._engine._model import Column, Table, TableName

ENGINE = speaker("postgresql")
STORES = [{"store_id": "HOUSTON", "registers": [f"{number:06d}" for number in range(1, 10)]}]
CHANNEL = masterdata.channel_of(STORES, "HOUSTON")
quote = ENGINE.names.quote


def packaged_tables(repository):
    for path in sorted((repository / "schemas" / "ax2012r3" / "tables").glob("*/*.json")):
        definition = json.loads(path.read_text(encoding="utf-8"))
        columns = tuple(Column.parse(name, text) for name, text in definition["columns"].items())
        keys = ([tuple(key) for key in definition.get(kind, [])] for kind in ("unique", "indexes"))
        yield Table(
            TableName(path.parent.name, path.stem), columns, tuple(definition["primary_key"]), *map(tuple, keys)
        )


@pytest.fixture(scope="module")
def database(pg_server, repository):
    """Facts of a database with all packaged tables and the master data of one store."""
    facts = pg_server.create_database(f"axops_till_{secrets.token_hex(6)}")
    try:
        connection = pgserver.connect(facts)
        cursor = connection.cursor()
        tables = list(packaged_tables(repository))
        for schema in sorted({table.name.schema for table in tables}):
            cursor.execute(ENGINE.tables.create_schema(schema)[0])
        for table in tables:
            cursor.execute(";".join(ENGINE.tables.create(table)))
        connection.commit()
        masterdata.load(connection, quote, STORES)
        masterdata.load_chunks(connection, quote, masterdata.type_samples())
        connection.close()
        yield facts
    finally:
        pg_server.start()
        pg_server.drop_database(facts["database"])


@pytest.fixture
def connection(database):
    opened = pgserver.connect(database)
    yield opened
    opened.close()


def till(connection, register, **more):
    return pos.Till(connection, quote, "HOUSTON", register, CHANNEL, seed=register, **more)


def comparable(value):
    if isinstance(value, Decimal):
        return format(value, ".16f")
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, UUID):
        return str(value).upper()  # as the driver returns it
    return value


def test_what_is_loaded_is_what_was_made(connection):
    made = defaultdict(Counter)
    for table, columns, rows in [*masterdata.generate(STORES), *masterdata.type_samples()]:
        made[table, tuple(columns)].update(tuple(map(comparable, row)) for row in rows)
    differing = []
    for (table, columns), expected in made.items():
        names = ", ".join(f"[{name}]" for name in columns)
        schema, _, name = table.partition(".")
        found = ask(connection.cursor(), quote, f"SELECT {names} FROM [{schema}].[{name}]")
        read = Counter(tuple(map(comparable, row)) for row in found)
        differing += [(table, row) for row in (expected - read) if not padded(row, read)]
    assert differing == []


def padded(row, read) -> bool:
    """Whether the row came back with what nchar adds: spaces up to the column's width."""
    bare = [value.rstrip(" ") if isinstance(value, str) else value for value in row]
    return any(bare == [value.rstrip(" ") if isinstance(value, str) else value for value in other] for other in read)


def test_a_hundred_sales_are_whole(connection):
    register = till(connection, "000001")
    sold = [register.sell() for _ in range(100)]
    assert sold == [f"HOUSTON-000001-{number:010d}" for number in range(1, 101)]
    whole = pos.whole_sales(connection, quote, "HOUSTON")
    assert set(sold) <= set(whole)
    assert len(set(whole.values())) == len(whole)
    assert pos.broken_sales(connection, quote) == []
    assert pos.whole_sales(connection, quote, "DALLAS") == {}


def test_a_new_till_goes_on_numbering(connection):
    first = till(connection, "000002").sell()
    second = till(connection, "000002", offline=True).sell()
    assert (first, second) == ("HOUSTON-000002-0000000001", "HOUSTON-000002-0000000002")
    query = "SELECT [CREATEDOFFLINE] FROM [ax].[RETAILTRANSACTIONTABLE] WHERE [TERMINAL] = '000002' ORDER BY [COUNTER]"
    assert [row[0] for row in ask(connection.cursor(), quote, query)] == [0, 1]


def test_a_changed_price_is_the_price_of_the_next_sale(connection):
    register = till(connection, "000003")
    dearer = "UPDATE [ax].[PRICEDISCTABLE] SET [AMOUNT] = [AMOUNT] + ? WHERE [ACCOUNTCODE] = 2"
    connection.execute(spell(quote, dearer), 5000)
    sold = register.sell()
    connection.execute(spell(quote, dearer), -5000)
    connection.commit()
    query = "SELECT MIN([PRICE]) FROM [ax].[RETAILTRANSACTIONSALESTRANS] WHERE [TRANSACTIONID] = ?"
    assert ask(connection.cursor(), quote, query, sold)[0][0] > 5000
    assert ask(connection.cursor(), quote, query, register.sell())[0][0] < 5000


DAMAGE = {
    "a line is missing": ("DELETE FROM [ax].[RETAILTRANSACTIONSALESTRANS] WHERE [LINENUM] = 1 AND", "lines:"),
    "a payment is missing": ("DELETE FROM [ax].[RETAILTRANSACTIONPAYMENTTRANS] WHERE [LINENUM] = 1 AND", "payments:"),
    "the tax is missing": ("DELETE FROM [ax].[RETAILTRANSACTIONTAXTRANS] WHERE", "tax of the lines:"),
    "the header is missing": ("DELETE FROM [ax].[RETAILTRANSACTIONTABLE] WHERE", "without a header"),
    "a sum differs": (
        "UPDATE [ax].[RETAILTRANSACTIONPAYMENTTRANS] SET [AMOUNTCUR] = [AMOUNTCUR] + 1 WHERE [LINENUM] = 1 AND",
        "payment amount:",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_sale_is_found(connection, damage):
    statement, complaint = DAMAGE[damage]
    register = till(connection, "000004")
    sold = next(sale for sale in iter(register.sell, None) if has_tax(connection, sale))
    whole = pos.whole_sales(connection, quote)
    connection.execute(spell(quote, f"{statement} [TRANSACTIONID] = ?"), sold)
    connection.commit()
    found = pos.broken_sales(connection, quote)
    assert {transaction for transaction, _ in found} == {sold}
    assert any(complaint in text for _, text in found)
    assert set(whole) - set(pos.whole_sales(connection, quote)) == {sold}
    remove(connection, sold)


def has_tax(connection, sale) -> bool:
    query = "SELECT COUNT(*) FROM [ax].[RETAILTRANSACTIONTAXTRANS] WHERE [TRANSACTIONID] = ? AND [AMOUNT] <> 0"
    return ask(connection.cursor(), quote, query, sale)[0][0] > 0


def remove(connection, sale) -> None:
    for table in ("TABLE", "SALESTRANS", "PAYMENTTRANS", "TAXTRANS"):
        connection.execute(spell(quote, f"DELETE FROM [ax].[RETAILTRANSACTION{table}] WHERE [TRANSACTIONID] = ?"), sale)
    connection.commit()


def test_a_sale_that_fails_leaves_nothing_and_its_number_to_the_next(connection, monkeypatch):
    register = till(connection, "000005")
    real = pos.insert

    def fail_at_payments(cursor, quote_, table, columns, rows):
        real(cursor, quote_, table, columns, rows)
        if table.endswith("PAYMENTTRANS"):
            raise OSError("power cut")

    monkeypatch.setattr(pos, "insert", fail_at_payments)
    with pytest.raises(OSError, match="power cut"):
        register.sell()
    monkeypatch.undo()
    assert pos.broken_sales(connection, quote) == []
    assert register.sell() == "HOUSTON-000005-0000000001"


def test_a_killed_server_loses_no_sale(pg_server, database):
    register = till(pgserver.connect(database, autocommit=True), "000006")
    sold = [register.sell() for _ in range(5)]
    pg_server.kill()
    with pytest.raises(Exception, match="onnection"):
        register.sell()
    pg_server.start()
    again = pgserver.connect(database)
    register.use(again, quote)
    sold.append(register.sell())
    assert set(sold) <= set(pos.whole_sales(again, quote))
    assert sold[-1] == "HOUSTON-000006-0000000006"


def test_the_check_never_sees_half_a_sale_while_tills_sell(database, connection):
    done = threading.Event()
    sold: list[str] = []

    def work(register):
        own = pgserver.connect(database)
        register = till(own, register)
        while not done.is_set():
            sold.append(register.sell())
        own.close()

    threads = [threading.Thread(target=work, args=(register,)) for register in ("000007", "000008")]
    for thread in threads:
        thread.start()
    try:
        looks = [(pos.broken_sales(connection, quote), pos.whole_sales(connection, quote)) for _ in range(10)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert all(broken == [] for broken, _ in looks)
    assert set(sold) <= set(pos.whole_sales(connection, quote))


def test_the_same_seed_sells_the_same(connection):
    """What a sale says depends on seed, clock and master data alone: the till can be replayed in another database."""

    def noon():
        return datetime(2014, 2, 28, 12, 0, 0)

    prints = []
    for _ in range(2):
        sold = till(connection, "000009", clock=noon).sell()
        prints.append(pos.whole_sales(connection, quote)[sold])
        remove(connection, sold)
    assert prints[0] == prints[1]


def test_a_till_without_master_data_says_so(scratch_database):
    connection = pgserver.connect(scratch_database)
    cursor = connection.cursor()
    cursor.execute(ENGINE.tables.create_schema("ax")[0])
    for name in ("RETAILSTORETABLE", "RETAILCHANNELTABLE"):
        columns = ("RECID", "STORENUMBER", "TAXGROUPDATAAREAID", "TAXGROUP", "CURRENCY", "INVENTLOCATION")
        table = Table(TableName("ax", name), tuple(Column(column, "nvarchar(20)") for column in columns))
        cursor.execute(ENGINE.tables.create(table)[0])
    connection.commit()
    with pytest.raises(pos.TillError, match="has the master data arrived"):
        till(connection, "000001")
