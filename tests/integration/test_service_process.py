# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packed service as a process: signals, crashes, the command line, and that no password leaves its file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import service_hosts as hosts
from service_pairs import ProvisionedPair, price, prices, sale, sales

from ansible_collections.axops.retail.plugins.module_utils._sync import supervise
from ansible_collections.axops.retail.plugins.module_utils._sync.process import Process


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hosts.build_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def pair(scratch_pair: Any) -> ProvisionedPair:
    return ProvisionedPair(*scratch_pair)


@pytest.fixture
def config(pair: ProvisionedPair, tmp_path: Path) -> Path:
    return pair.write_configuration(tmp_path / "service.json")


class Running:
    """A service in the foreground."""

    def __init__(self, archive: Path, config: Path, output: Path, **environment: str) -> None:
        self.output = output
        with output.open("ab") as stream:
            self.process = subprocess.Popen(
                hosts.command(archive, "run", "--config", config),
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env={**os.environ, **environment},
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def running(archive: Path, config: Path, tmp_path: Path) -> Iterator[Running]:
    service = Running(archive, config, tmp_path / "output")
    yield service
    service.end()


def test_a_running_service_moves_data_both_ways_and_ends_at_sigterm(pair: ProvisionedPair, running: Running) -> None:
    with pair.child() as register, pair.parent() as store:
        price(store, 1, "9.5")
        sale(register, "T1")
        hosts.until(lambda: prices(register) == {1: "9.5"} and sales(store) == {"T1"}, "both rows")
    before = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert time.monotonic() - before < 5
    assert "stopped" in running.said


def test_sigterm_while_a_session_waits_for_a_lock(pair: ProvisionedPair, running: Running) -> None:
    with pair.child() as register, pair.parent() as store:
        hosts.until(lambda: "scopes" in running.said, "the first look")
        with store.transaction():
            store.execute('LOCK TABLE "ax"."RETAILTRANSACTIONTABLE" IN ACCESS EXCLUSIVE MODE')
            sale(register, "T1")
            time.sleep(2)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(15) == 0
        assert sales(store) == set(), "nothing was half done"


def test_killed_and_started_again(pair: ProvisionedPair, running: Running, archive: Path, config: Path) -> None:
    with pair.child() as register, pair.parent() as store:
        for number in range(200):
            sale(register, f"A{number}")
        running.process.kill()
        running.process.wait()
        for number in range(200):
            sale(register, f"B{number}")
        again = Running(archive, config, running.output)
        try:
            hosts.until(lambda: sales(store) == sales(register), "every sale")
            assert len(sales(store)) == 400
        finally:
            again.end()


def test_the_parent_goes_and_comes_back(pair: ProvisionedPair, running: Running, pg_other_server: Any) -> None:
    hosts.until(lambda: "scopes" in running.said, "the first look")
    pg_other_server.stop()
    with pair.child() as register:
        sale(register, "T1")
        time.sleep(4)
        assert running.process.poll() is None
        pg_other_server.start()
        with pair.parent() as store:
            hosts.until(lambda: sales(store) == {"T1"}, "the sale that was made offline")
    # said after the session, so a little later than its rows can be seen
    hosts.until(lambda: "connected again" in running.said, "the report that the pair is connected again")
    assert running.said.count("Trying again") <= 2


def test_sighup_reads_the_configuration_again(pair: ProvisionedPair, running: Running, config: Path) -> None:
    hosts.until(lambda: "scopes" in running.said, "the first look")
    pair.write_configuration(config, log_level="debug")
    running.process.send_signal(signal.SIGHUP)
    hosts.until(lambda: "read again" in running.said, "the new configuration")
    config.write_text("nonsense")
    running.process.send_signal(signal.SIGHUP)
    hosts.until(lambda: "going on with the old configuration" in running.said, "the refusal")
    assert running.process.poll() is None


def test_no_password_is_seen_anywhere(pair: ProvisionedPair, running: Running, archive: Path, config: Path) -> None:
    password = pair.child_facts["password"]
    assert password in config.read_text()
    hosts.until(lambda: "scopes" in running.said, "the first look")
    assert password not in hosts.command_lines()
    for command in (["status"], ["status", "--json"], ["verify"], ["once", "--json"]):
        done = hosts.run(archive, *command, "--config", config)
        assert password not in done.stdout + done.stderr
    assert password not in running.said


def test_memory_stays_flat(pair: ProvisionedPair, running: Running) -> None:
    def resident() -> int:
        pages = Path(f"/proc/{running.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    with pair.child() as register, pair.parent() as store:
        for number in range(3):
            sale(register, f"A{number}")
            hosts.until(lambda: sales(store) == sales(register), "the sale")
        before = resident()
        for number in range(5):
            price(store, number, "1")
            sale(register, f"B{number}")
            hosts.until(lambda: sales(store) == sales(register), "the sale")
        assert resident() - before < 4_000_000


def test_exit_codes(pair: ProvisionedPair, archive: Path, config: Path, tmp_path: Path, pg_other_server: Any) -> None:
    assert hosts.run(archive, "once", "--config", config).returncode == 0
    assert hosts.run(archive, "status", "--config", config).returncode == 0
    assert hosts.run(archive, "verify", "--config", config).returncode == 1, "the log has no row"
    assert hosts.run(archive, "status", "--config", tmp_path / "missing").returncode == 2
    assert hosts.run(archive, "status").returncode == 2
    assert hosts.run(archive, "status", "--config", config).stdout.endswith("\nno problem found\n")
    pg_other_server.stop()
    blind = hosts.run(archive, "status", "--config", config)
    assert blind.returncode == 3
    assert "no problem found" not in blind.stdout
    (away,) = {side for side in ("child", "parent") if f"PROBLEM: The {side} cannot be reached. " in blind.stdout}
    document = json.loads(hosts.run(archive, "status", "--json", "--config", config).stdout)
    assert document["unreachable"] == [away]
    assert document["problems"] == [document[away]["error"]]
    assert hosts.run(archive, "once", "--config", config).returncode == 3


def test_a_configuration_that_others_may_read_is_refused(archive: Path, config: Path) -> None:
    config.chmod(0o640)
    done = hosts.run(archive, "run", "--config", config)
    assert done.returncode == 2
    assert "0640" in done.stderr


def test_status_for_people_and_programs(pair: ProvisionedPair, archive: Path, config: Path) -> None:
    with pair.child() as register:
        sale(register, "T1")
    text = hosts.run(archive, "status", "--config", config).stdout
    assert "Sales" in text and "upload" in text
    document = json.loads(hosts.run(archive, "status", "--config", config, "--json").stdout)
    assert [scope["name"] for scope in document["scopes"]] == ["Prices", "Sales"]
    assert document["scopes"][1]["upload"]["waiting"] == 1


# ---- under the supervisor


class Supervised:
    """A service under its supervisor."""

    def __init__(self, archive: Path, config: Path, folder: Path) -> None:
        self.pid_file, self.output = folder / "service.pid", folder / "service.out"
        line = hosts.command(archive, "supervise", "--config", config)
        self.line = [*line, "--pid-file", str(self.pid_file), "--output", str(self.output)]

    def start(self) -> None:
        supervise.launch(self.line)

    @property
    def processes(self) -> dict[str, Process]:
        return supervise.PidFile(str(self.pid_file)).read()


@pytest.fixture
def supervised(archive: Path, config: Path, tmp_path: Path) -> Iterator[Supervised]:
    service = Supervised(archive, config, tmp_path)
    yield service
    supervise.stop(str(service.pid_file))


def test_a_killed_service_is_started_again(pair: ProvisionedPair, supervised: Supervised) -> None:
    supervised.start()
    first = supervised.processes["service"]
    first.send(signal.SIGKILL)
    hosts.until(lambda: supervised.processes.get("service", first) != first, "another service")
    with pair.child() as register, pair.parent() as store:
        sale(register, "T1")
        hosts.until(lambda: sales(store) == {"T1"}, "the sale")
    assert "ended with code -9" in supervised.output.read_text()


def test_stopping_waits_for_both(supervised: Supervised) -> None:
    supervised.start()
    processes = supervised.processes
    assert set(processes) == {"supervisor", "service"}
    supervise.stop(str(supervised.pid_file))
    assert not any(process.alive for process in processes.values())
    assert not supervised.pid_file.exists()


def test_a_second_supervisor_is_refused(supervised: Supervised) -> None:
    supervised.start()
    done = subprocess.run(supervised.line, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "runs already" in done.stderr


def test_a_service_without_its_supervisor_is_stopped_too(supervised: Supervised) -> None:
    supervised.start()
    processes = supervised.processes
    processes["supervisor"].send(signal.SIGKILL)
    assert processes["supervisor"].wait(5)
    assert set(supervised.processes) == {"service"}
    supervise.stop(str(supervised.pid_file))
    assert not processes["service"].alive


def test_a_foreign_process_of_the_same_number_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        path = tmp_path / "service.pid"
        known = {"supervisor": {"pid": stranger.pid, "started": "another boot/1"}}
        path.write_text(json.dumps(known))
        supervise.stop(str(path))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_unusable_configuration_ends_the_supervisor(supervised: Supervised, config: Path) -> None:
    config.write_text("{}")
    supervised.start()
    hosts.until(lambda: not supervised.processes, "the end of the supervisor")
    assert "unusable configuration" in supervised.output.read_text()
