# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A day at the store, each step checked in the databases themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import masterdata
import pos

from _demo import playbook
from _demo.report import Report
from _demo.stage import FILTERS, PROFILE, REGISTERS, SERVERS, STORE, STORES, Stage
from ansible_collections.axops.retail.plugins.module_utils._engine.postgresql.names import quote

SALES_OFFLINE = 40
LEAST_ROWS, LEAST_TABLES = 50_000, 40
PATIENCE = 120.0

Table = tuple[str, list[str]]


class CheckFailed(Exception):
    """What should be so is not."""


def play(stage: Stage, report: Report) -> None:
    """Tell the story; raises CheckFailed at the first thing that is not as it should be."""
    with report.check("four PostgreSQL servers run: HQ, a store server, two registers") as line:
        stage.create()
        line.found = ", ".join("%s:%d" % (host, server.port) for host, server in stage.servers.items())
    with report.check("a dry run on the bare servers foretells every database, and makes none") as line:
        line.found = _dry_run(stage)
    # As in life: headquarters is there, with its stores entered, before a store server is set up.
    with report.check("the site playbook makes headquarters") as line:
        line.found = _converge(stage, "--tags", "hq")
    with report.check("master data is entered at HQ") as line:
        line.found = _enter_master_data(stage)
    with report.check("the site playbook makes the store and its registers") as line:
        line.found = _converge(stage)
    _compare_master_data(stage, report)
    _sell_offline(stage, report)
    _change_price(stage, report)
    _open_another_store(stage, report)
    with report.check("a second run of the site playbook changes nothing") as line:
        changed = playbook.site(stage.inventory, show=False)
        if any(changed.values()) or not changed:
            raise CheckFailed("changed: %s" % changed)
        line.found = ", ".join("%s changed=0" % host for host in changed)


def _converge(stage: Stage, *arguments: str) -> str:
    changed = playbook.site(stage.inventory, *arguments)
    return "%d hosts, %d tasks changed something" % (len(changed), sum(changed.values()))


def _dry_run(stage: Stage) -> str:
    """The site playbook in check mode; where an earlier demo left databases there may be nothing to foretell."""
    before = {host: stage.databases(host) for host in SERVERS}
    changed = playbook.site(stage.inventory, "--check", "--diff", show=False)
    if {host: stage.databases(host) for host in SERVERS} != before or (
        stage.settings.exists() and not any(before.values())
    ):
        raise CheckFailed("a dry run made something")
    silent = [host for host, database in SERVERS.items() if database not in before[host] and not changed[host]]
    if silent:
        raise CheckFailed("nothing was foretold for %s" % ", ".join(silent))
    return ", ".join("%s changed=%d" % each for each in changed.items())


# ---- master data


def _enter_master_data(stage: Stage) -> str:
    hq = stage.connect("hq01")
    if not _count(hq, ("ax.INVENTTABLE", [])):
        masterdata.load(hq, quote, STORES)
        _choose_profile(hq)
    tables = _tables()
    rows = sum(_count(hq, table) for table in tables)
    if rows < LEAST_ROWS or len(tables) < LEAST_TABLES:
        raise CheckFailed("only %d rows in %d tables" % (rows, len(tables)))
    return "{:,} rows in {} tables".format(rows, len(tables))


def _compare_master_data(stage: Stage, report: Report) -> None:
    hq, tables = stage.connect("hq01"), _tables()
    for host, what in (("houston-db", "the store"), ("houston-01", "register 1"), ("houston-02", "register 2")):
        with report.check("the master data is at %s, byte for byte" % what) as line:
            copy = stage.connect(host)
            _wait_for_equal(hq, copy, tables)
            line.found = "{:,} rows equal".format(sum(_count(copy, table) for table in tables))


def _choose_profile(hq: Any) -> None:
    """What the person does at HQ who enters the stores: choose the offline profile of each."""
    sql = "UPDATE {store} SET {chosen} = (SELECT {recid} FROM {profile} WHERE {name} = ?)".format(
        store=_quoted("ax.RETAILSTORETABLE"),
        chosen=quote("OFFLINEPROFILE"),
        recid=quote("RECID"),
        profile=_quoted("ax.RETAILOFFLINEPROFILE"),
        name=quote("NAME"),
    )
    hq.cursor().execute(sql, PROFILE)


def _tables() -> list[Table]:
    """The tables that the generator fills, with the columns it gives."""
    columns: dict[str, list[str]] = {}
    for name, given, _rows in masterdata.generate(STORES):
        columns.setdefault(name, given)
    return list(columns.items())


def _wait_for_equal(source: Any, copy: Any, tables: Iterable[Table]) -> None:
    """Until the copy holds what is meant for it: all rows, and of a filtered table those of its own channel."""
    left = list(tables)

    def equal() -> bool:
        while left and _digest(source, left[-1], _own_rows(left[-1])) == _digest(copy, left[-1], {}):
            left.pop()
        return not left

    _wait(equal, lambda: "%d tables still differ, for instance %s" % (len(left), left[-1][0]))


def _own_rows(table: Table) -> dict[str, int]:
    """Which rows of a table the data group gives this store: columns, and the value that they have."""
    columns = [each["column"] for rule in FILTERS if rule["table"] == table[0] for each in rule["where"]]
    return dict.fromkeys(columns, masterdata.channel_of(STORES, STORE))


def _digest(connection: Any, table: Table, where: Mapping[str, int]) -> tuple[int, str]:
    """Number of rows, and a digest over all their values that does not depend on the order; of those with the values of ``where``."""
    name, columns = table
    sql = "SELECT count(*), CAST(coalesce(sum(hashtextextended(CAST(ROW(%s) AS text), 0)), 0) AS text) FROM %s%s" % (
        ", ".join(quote(column) for column in columns),
        _quoted(name),
        " WHERE " + " AND ".join("%s = ?" % quote(column) for column in where) if where else "",
    )
    row = connection.cursor().execute(sql, *where.values()).fetchone()
    return int(row[0]), str(row[1])


def _count(connection: Any, table: Table) -> int:
    return int(connection.cursor().execute("SELECT count(*) FROM %s" % _quoted(table[0])).fetchval())


# ---- selling while the store server is down


def _sell_offline(stage: Stage, report: Report) -> None:
    register = stage.connect("houston-01")
    channel = masterdata.channel_of(STORES, STORE)
    till = pos.Till(register, quote, STORE, REGISTERS[0], channel, seed="demo %d" % time.time_ns(), offline=True)
    with report.check("the store server's database is stopped") as line:
        stage.servers["houston-db"].stop("immediate")
        if stage.servers["houston-db"].is_running:
            raise CheckFailed("it still runs")
        line.found = "the server does not answer any more"
    with report.check("register 1 keeps selling offline") as line:
        before = set(pos.whole_sales(register, quote))
        for _sale in range(SALES_OFFLINE):
            till.sell()
        sales = pos.whole_sales(register, quote)
        new = {key: sales[key] for key in sales if key not in before}
        if len(new) != SALES_OFFLINE:
            raise CheckFailed("%d sales instead of %d" % (len(new), SALES_OFFLINE))
        line.found = "%d sales of %d rows in its own database" % (len(new), _sale_rows(register, new))
    with report.check("the store server comes back") as line:
        stage.servers["houston-db"].start()
        line.found = "nobody told the registers"
    for host, what in (("houston-db", "the channel database"), ("hq01", "HQ")):
        with report.check("the sales arrive at %s, every one whole" % what) as line:
            looks = _wait_for_sales(stage.connect(host), new)
            line.found = "%d of %d, none in parts in %d looks while they came" % (len(new), len(new), looks)


def _sale_rows(register: Any, sales: Iterable[str]) -> int:
    tables = (
        "ax.RETAILTRANSACTIONTABLE",
        "ax.RETAILTRANSACTIONSALESTRANS",
        "ax.RETAILTRANSACTIONPAYMENTTRANS",
        "ax.RETAILTRANSACTIONTAXTRANS",
    )
    keys = list(sales)
    marks = ", ".join("?" for _key in keys)
    sql = "SELECT count(*) FROM %s WHERE %s IN (%s)"
    return sum(
        int(register.cursor().execute(sql % (_quoted(table), quote("TRANSACTIONID"), marks), keys).fetchval())
        for table in tables
    )


def _wait_for_sales(connection: Any, expected: dict[str, Any]) -> int:
    """Until all are there, the same as at the till; counts how often it was looked and nothing stood there in parts."""
    looks, there = 0, {}

    def arrived() -> bool:
        nonlocal looks, there
        broken = pos.broken_sales(connection, quote)
        if broken:
            raise CheckFailed("a sale is there in parts: %s" % (broken[0],))
        looks += 1
        there = pos.whole_sales(connection, quote)
        return all(there.get(key) == value for key, value in expected.items())

    _wait(arrived, lambda: "%d of %d sales" % (len(set(expected) & set(there)), len(expected)))
    return looks


# ---- a new price


def _change_price(stage: Stage, report: Report) -> None:
    hq = stage.connect("hq01")
    with report.check("a price changed at HQ reaches both registers") as line:
        where = quote("RECID") + " = ?"
        recid, old = (
            hq.cursor()
            .execute(
                "SELECT {0}, {1} FROM {2} ORDER BY {0}".format(
                    quote("RECID"), quote("AMOUNT"), _quoted("ax.PRICEDISCTABLE")
                )
            )
            .fetchone()
        )
        new = old + 1
        change = "UPDATE %s SET %s = ? WHERE %s" % (_quoted("ax.PRICEDISCTABLE"), quote("AMOUNT"), where)
        hq.cursor().execute(change, new, recid)
        for host in ("houston-01", "houston-02"):
            _wait_for_price(stage.connect(host), host, recid, new)
        line.found = "price %d: %.2f is now %.2f" % (recid, old, new)


def _wait_for_price(register: Any, host: str, recid: int, price: Any) -> None:
    amount, key = quote("AMOUNT"), quote("RECID")
    sql = "SELECT %s FROM %s WHERE %s = ?" % (amount, _quoted("ax.PRICEDISCTABLE"), key)
    _wait(lambda: register.cursor().execute(sql, recid).fetchval() == price, lambda: "%s has the old price" % host)


# ---- rows of another store


def _open_another_store(stage: Stage, report: Report) -> None:
    """HQ enters a tender of a store that is yet to be opened, and one of this one."""
    hq, table = stage.connect("hq01"), _quoted("ax.RETAILSTORETENDERTYPETABLE")
    with report.check("a tender of another store stays at HQ, one of this store arrives") as line:
        channel = masterdata.channel_of(STORES, STORE)
        sql = "INSERT INTO {table} ({0}, {1}, {2}, {3}) SELECT MAX({0}) + 1, ?, ?, MAX({3}) FROM {table}".format(
            *map(quote, ("RECID", "CHANNEL", "TENDERTYPEID", "DATAAREAID")), table=table
        )
        name = str(time.time_ns())[-9:]
        for owner in (channel + 1, channel):
            hq.cursor().execute(sql, owner, name)
        count = "SELECT count(*) FROM %s WHERE %s = ?" % (table, quote("TENDERTYPEID"))
        for host in ("houston-db", "houston-01"):
            cursor = stage.connect(host).cursor()
            _wait(lambda cursor=cursor: cursor.execute(count, name).fetchval() == 1, lambda: "it does not come")
            others = "SELECT count(*) FROM %s WHERE %s <> ?" % (table, quote("CHANNEL"))
            if cursor.execute(others, channel).fetchval():
                raise CheckFailed("%s has tenders of another store" % host)
        line.found = "HQ has %d tenders, the register %d" % (
            _count(hq, ("ax.RETAILSTORETENDERTYPETABLE", [])),
            _count(stage.connect("houston-01"), ("ax.RETAILSTORETENDERTYPETABLE", [])),
        )


# ---- helpers


def _quoted(table: str) -> str:
    return quote(*table.split(".", 1))


def _wait(until: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        if time.monotonic() > deadline:
            raise CheckFailed("not within %d seconds: %s" % (PATIENCE, why()))
        time.sleep(0.2)
