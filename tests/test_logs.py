"""Our own logs: what is acknowledged is on disk, what comes twice is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from stories import ARRIVED, NOW, YESTERDAY, put, record, stored
from tallybook.collect.budget import Budget, Overloaded
from tallybook.collect.collector import Collector, Receipt
from tallybook.errors import LogsBusy, LogsError, UsageError
from tallybook.logs.columns import Batch
from tallybook.logs.opening import find_logs
from tallybook.logs.own import Appended
from tallybook.logs.store import LogStore


def ids(logs: LogStore) -> list[tuple[str | None, int | None]]:
    with logs.connect() as connection:
        return connection.execute("SELECT request_id, status_code FROM log_records ORDER BY ALL").fetchall()


class TestFile:
    def test_what_was_stored_is_there_after_reopening(self, tmp_path: Path) -> None:
        file = tmp_path / "new" / "folder" / "logs.duckdb"
        store = LogStore.open(file)
        put(store, record("11-22 10:00", "é😀", request_id="r1", cost_nanousd=5, stream=True))
        store.close()
        store = LogStore.open(file)
        assert ids(store) == [("r1", 200)]
        assert store.arrived_at(YESTERDAY) == ARRIVED
        assert store.append(stored([record("11-22 10:00", request_id="r1")]), NOW).accepted == 0
        store.close()

    @pytest.mark.usefixtures("logs")
    def test_a_second_process_is_told_that_the_logs_are_held(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from tallybook.errors import LogsBusy; from tallybook.logs.store import LogStore\n"
            "try: LogStore.open(Path(sys.argv[1]))\n"
            "except LogsBusy as busy: print(busy.message, '|', busy.remedy)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "logs.duckdb")], capture_output=True, text=True, check=True
        )
        assert ran.stdout == "Another process holds the logs. | Stop it, or let it finish, and try again.\n"

    def test_logs_of_a_newer_tallybook_are_refused_and_let_go(self, tmp_path: Path) -> None:
        file = tmp_path / "logs.duckdb"
        store = LogStore.open(file)
        with store.writing() as connection:
            connection.execute("UPDATE log_format SET version = 99")
        store.close()
        with pytest.raises(LogsError, match="newer tallybook") as refused:
            LogStore.open(file)
        assert refused.value.remedy == "Upgrade tallybook."
        with duckdb.connect(str(file)) as connection:
            assert connection.execute("SELECT version FROM log_format").fetchall() == [(99,)]

    def test_a_file_that_is_no_duckdb_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "logs.duckdb"
        file.write_bytes(b"not a database " * 1000)
        with pytest.raises(LogsError, match="not a DuckDB database"):
            LogStore.open(file)
        assert file.read_bytes() == b"not a database " * 1000

    def test_a_file_cut_short_is_a_clear_error(self, tmp_path: Path) -> None:
        file = tmp_path / "logs.duckdb"
        store = LogStore.open(file)
        put(store, *(record("11-22 10:00", f"m{number}") for number in range(5_000)))
        store.close()
        file.write_bytes(file.read_bytes()[: 12_288 + 100])
        with pytest.raises(LogsError):
            LogStore.open(file).counts()

    def test_a_folder_that_cannot_be_made_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(LogsError, match="cannot be opened"):
            LogStore.open(tmp_path / "file" / "logs.duckdb")

    @pytest.mark.parametrize(
        "url", ["sqlite:///x", "duckdb://x", "duckdb:///", "mysql://root@localhost/logs", "", "x", "x.duckdb"]
    )
    def test_other_databases_do_not_hold_our_own_logs(self, url: str) -> None:
        with pytest.raises(UsageError) as refused:
            find_logs(url)
        assert refused.value.remedy == (
            "Use one of: duckdb:///FILE, postgresql://USER@HOST/DATABASE, clickhouse://USER@HOST/DATABASE."
        )

    def test_a_driver_that_is_not_installed_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "tallybook.logs.clickhouse", raising=False)
        monkeypatch.setitem(sys.modules, "clickhouse_connect.driver.exceptions", None)
        with pytest.raises(UsageError, match="there is no module clickhouse_connect") as refused:
            find_logs("clickhouse://localhost/logs")()
        assert refused.value.remedy == "Install it: pip install 'tallybook[clickhouse]'."

    def test_a_url_names_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for url, file in (("duckdb:///near.duckdb", "near.duckdb"), (f"duckdb:///{tmp_path}/far.duckdb", "far.duckdb")):
            find_logs(url)().close()
            assert (tmp_path / file).is_file()

    def test_a_write_that_fails_is_rolled_back_whole(self, logs: LogStore) -> None:
        statement = "INSERT INTO log_records (created_at, model_name) VALUES ('2026-11-22', {})"

        def write(*values: str) -> None:
            with logs.writing() as connection:
                for value in values:
                    connection.execute(statement.format(value))

        write("'first'")
        with pytest.raises(LogsError):
            write("'second'", "NULL")
        assert logs.counts() == {YESTERDAY: 1}
        put(logs, record("11-22 10:00"))
        assert logs.counts() == {YESTERDAY: 2}

    def test_readers_see_whole_batches_while_a_writer_is_at_work(self, logs: LogStore) -> None:
        stop, seen = threading.Event(), set[int]()

        def read() -> None:
            while not stop.is_set():
                seen.add(sum(logs.counts().values()))

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(20):
            put(logs, *(record("11-22 10:00") for _ in range(100)))
        stop.set()
        reader.join()
        assert {count % 100 for count in seen} == {0}


APPENDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tallybook.logs.store import LogStore
from tallybook.logs.columns import stored_table
from tallybook.records import STORED_FIELDS
now = datetime(2026, 11, 23, 1, tzinfo=UTC)
store = LogStore.open(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    values = {"created_at": 1_795_341_600_000_000 + number, "model_name": "m", "status_code": 200, "request_id": str(number)}
    store.append(stored_table([tuple(values.get(name) for name in STORED_FIELDS)]), now)
    print(number, flush=True)
    number += 1
"""


def test_every_record_that_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    file, acknowledged = tmp_path / "logs.duckdb", list[int]()
    for _ in range(3):
        appender = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(file), str(1_000_000 * len(acknowledged))],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert appender.stdout is not None
        acknowledged.append(int(appender.stdout.readline()))
        time.sleep(0.15)
        os.kill(appender.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in appender.stdout if line.endswith("\n")]
        appender.wait()
        appender.stdout.close()
    store = LogStore.open(file)
    found = {int(name) for name, _ in ids(store) if name is not None}
    store.close()
    assert len(acknowledged) > 10
    assert set(acknowledged) <= found
    assert len(found) - len(acknowledged) <= 3, "at most the one record of each life that was not acknowledged in time"


def batch_of(table: pa.Table) -> Batch:
    return Batch(table, range(len(table)))


class TestCollector:
    @pytest.fixture
    def collector(self, logs: LogStore) -> Iterator[Collector]:
        opened = Collector(logs)
        yield opened
        opened.close()

    def test_a_receipt_comes_when_the_rows_are_stored(self, collector: Collector, logs: LogStore) -> None:
        rows = stored([record("11-22 10:00", request_id=name) for name in ("a", "b", "a")])
        assert collector.deliver(batch_of(rows), NOW).result(10) == Receipt(accepted=2, duplicates=1)
        assert ids(logs) == [("a", 200), ("b", 200)]

    def deliver_while_the_store_is_held(
        self, collector: Collector, logs: LogStore, *names: list[str]
    ) -> list[Future[Receipt]]:
        """Delivers batches that must wait together, because a writer holds the logs."""
        with logs.writing():
            first = collector.deliver(batch_of(stored([record("11-22 10:00", request_id="first")])), NOW)
            waiting = [
                collector.deliver(batch_of(stored([record("11-22 10:00", request_id=name) for name in batch])), NOW)
                for batch in names
            ]
            time.sleep(0.05)
            assert not first.done()
        return [first, *waiting]

    def test_deliveries_that_wait_share_one_commit_and_each_gets_its_own_numbers(
        self, collector: Collector, logs: LogStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batches: list[int] = []
        append = logs.append

        def counted(table: pa.Table, now: datetime) -> Appended:
            batches.append(len(table))
            return append(table, now)

        monkeypatch.setattr(logs, "append", counted)
        receipts = self.deliver_while_the_store_is_held(collector, logs, ["a", "b"], ["b", "c"], [], ["c", "d", "a"])
        assert [receipt.result(10) for receipt in receipts] == [
            Receipt(1, 0),
            Receipt(2, 0),
            Receipt(1, 1),
            Receipt(0, 0),
            Receipt(1, 2),
        ]
        assert sum(batches) == 8
        assert len(batches) <= 2

    def test_a_sender_that_went_away_does_not_hold_up_the_others(self, collector: Collector, logs: LogStore) -> None:
        with logs.writing():
            waiting = [
                collector.deliver(batch_of(stored([record("11-22 10:00", request_id=name)])), NOW) for name in "abc"
            ]
            waiting[1].cancel()
        assert waiting[0].result(5) == Receipt(1, 0)
        assert waiting[2].result(5) == Receipt(1, 0)
        assert collector.deliver(batch_of(stored([record("11-22 10:00", request_id="d")])), NOW).result(5) == Receipt(
            1, 0
        )

    def test_a_failure_is_told_to_everyone_who_waits_and_the_next_batch_goes_well(
        self, collector: Collector, logs: LogStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> Appended:
            raise LogsError("The disk that holds the logs is full.")

        with monkeypatch.context() as broken:
            broken.setattr(logs, "append", fail)
            with pytest.raises(LogsError, match="is full"):
                collector.deliver(batch_of(stored([record("11-22 10:00")])), NOW).result(5)
        assert collector.deliver(batch_of(stored([record("11-22 10:00")])), NOW).result(5) == Receipt(1, 0)

    def test_too_many_bytes_waiting_are_refused_so_that_the_sender_comes_back(self, logs: LogStore) -> None:
        one = batch_of(stored([record("11-22 10:00")]))
        budget = Budget(limit_bytes=3 * one.table.nbytes)
        collector = Collector(logs, budget)
        with logs.writing():
            first = [collector.deliver(one, NOW) for _ in range(3)]
            assert budget.taken_bytes == 3 * one.table.nbytes
            with pytest.raises(Overloaded, match=r"More is waiting to be stored than fits\."):
                collector.deliver(one, NOW)
        assert [receipt.result(5) for receipt in first] == [Receipt(1, 0)] * 3
        collector.close()
        assert budget.taken_bytes == 0

    def test_closing_writes_what_waits_and_refuses_what_comes_after(self, logs: LogStore) -> None:
        collector = Collector(logs)
        receipts = self.deliver_while_the_store_is_held(collector, logs, ["a"], ["b"])
        collector.close()
        assert [receipt.done() for receipt in receipts] == [True] * 3
        assert len(ids(logs)) == 3
        with pytest.raises(LogsBusy, match="stopping"):
            collector.deliver(batch_of(stored([record("11-22 10:00")])), NOW)
        collector.close()

    def test_many_threads_lose_nothing(self, collector: Collector, logs: LogStore) -> None:
        receipts: list[Receipt] = []

        def send(thread: int) -> None:
            for number in range(20):
                rows = stored([record("11-22 10:00", request_id=f"{thread}-{number}-{row}") for row in range(5)])
                receipts.append(collector.deliver(batch_of(rows), NOW).result(30))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(receipt.accepted for receipt in receipts) == 800
        assert logs.counts() == {YESTERDAY: 800}

    def test_the_latest_of_the_deliveries_is_the_arrival(self, collector: Collector, logs: LogStore) -> None:
        collector.deliver(batch_of(stored([record("11-22 10:00")])), NOW + timedelta(seconds=5)).result(5)
        assert logs.arrived_at(YESTERDAY) == NOW + timedelta(seconds=5)
