"""Several servers on one log database in PostgreSQL: threads, processes, and processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from stories import ARRIVED, NOW, YESTERDAY, at, record, stored, totals
from tallybook.book.ledger import Book
from tallybook.errors import LogsError
from tallybook.job import DailyStatsJob
from tallybook.logs.archive import Archive
from tallybook.logs.importing import Imported, Reading, import_files
from tallybook.logs.opening import find_logs
from tallybook.logs.own import Appended, OwnLogs
from tallybook.logs.pruning import Deleted
from tallybook.measures import REQUESTS, Totals

MONDAY = date(2026, 11, 16)


@pytest.fixture
def servers(postgres_url: str) -> Iterator[list[OwnLogs]]:
    """Four servers' logs on one database, opened at once while it is empty."""
    opened: list[OwnLogs] = []
    run_at_once(*[lambda: opened.append(find_logs(postgres_url)())] * 4)
    yield opened
    for logs in opened:
        logs.close()


def run_at_once(*works: Callable[[], object]) -> None:
    """Runs each in a thread of its own, all beginning together; fails where one of them does."""
    start, failed = threading.Barrier(len(works)), list[Exception]()

    def run(work: Callable[[], object]) -> None:
        start.wait(30)
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []


def look(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.replace("log_records", "tallybook_logs.log_records").encode()).fetchall()


def test_servers_that_start_at_once_make_one_log_database(servers: list[OwnLogs]) -> None:
    assert len(servers) == 4
    servers[0].append(stored([record("11-22 10:00")]), ARRIVED)
    assert [logs.counts() for logs in servers] == [{YESTERDAY: 1}] * 4


def test_what_all_servers_get_at_once_is_stored_once(servers: list[OwnLogs], postgres_url: str) -> None:
    """Each gets all 2,000 requests in batches of 200, shuffled, and half of its batches in reverse order."""
    appended: list[Appended] = []

    def send(logs: OwnLogs, seed: int) -> None:
        numbers = list(range(2_000))
        random.Random(seed).shuffle(numbers)
        for start in range(0, 2_000, 200):
            chosen = numbers[start : start + 200]
            rows = stored([record(f"11-{20 + n % 3} 10:00", request_id=f"r{n}", status=n % 7 or None) for n in chosen])
            appended.append(logs.append(rows, ARRIVED))

    run_at_once(*(lambda logs=logs, seed=seed: send(logs, seed) for seed, logs in enumerate(servers)))
    assert sum(each.accepted for each in appended) == 2_000
    assert sum(len(each.duplicates) for each in appended) == 6_000
    assert look(postgres_url, "SELECT COUNT(*), COUNT(DISTINCT request_id) FROM log_records") == [(2_000, 2_000)]
    expected = {date(2026, 11, 20): 667, date(2026, 11, 21): 667, date(2026, 11, 22): 666}
    assert [logs.counts() for logs in servers] == [expected] * 4


def test_each_server_is_told_which_of_its_own_were_duplicates(servers: list[OwnLogs]) -> None:
    first, second, *_ = servers
    first.append(stored([record("11-22 10:00", request_id="b"), record("11-22 10:00")]), ARRIVED)
    rows = stored([record("11-22 10:00", request_id=name) for name in ("a", "b", None, "c", "a")])
    assert second.append(rows, ARRIVED) == Appended(3, frozenset({1, 4}))


WRITER = """
import sys
from datetime import UTC, datetime
from tallybook.logs.columns import stored_table
from tallybook.logs.opening import find_logs
from tallybook.records import STORED_FIELDS
logs, number = find_logs(sys.argv[1])(), int(sys.argv[2])
while True:
    names = [f"r{number}", f"r{number - 1}"]
    rows = [{"created_at": 1_795_341_600_000_000, "model_name": "m", "status_code": 200, "request_id": name} for name in names]
    table = stored_table([tuple(row.get(name) for name in STORED_FIELDS) for row in rows])
    logs.append(table, datetime(2026, 11, 23, 1, tzinfo=UTC))
    print(number, flush=True)
    number += 1
"""


def test_what_two_processes_acknowledged_before_kill_9_is_there_once(postgres_url: str) -> None:
    acknowledged: set[int] = set()
    for life in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, postgres_url, str(life * 1_000_000)], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        outputs = [writer.stdout for writer in writers if writer.stdout]
        first = [int(output.readline()) for output in outputs]
        time.sleep(0.3)
        for writer, output in zip(writers, outputs, strict=True):
            os.kill(writer.pid, signal.SIGKILL)
            acknowledged |= {*first, *(int(line) for line in output if line.endswith("\n"))}
            writer.wait()
            output.close()
    found = [int(str(name)[1:]) for (name,) in look(postgres_url, "SELECT request_id FROM log_records")]
    assert len(acknowledged) > 30
    assert len(found) == len(set(found))
    assert acknowledged <= set(found)
    logs = find_logs(postgres_url)()
    assert logs.counts() == {YESTERDAY: len(found)}
    logs.close()


class TestImports:
    def write(self, folder: Path, name: str = "log.csv") -> Path:
        file = folder / name
        lines = [f"2026-11-22T10:00:00Z,gpt-5,200,{n}\n" for n in range(5_000)]
        file.write_text("created_at,model_name,status_code,tokens_in\n" + "".join(lines))
        return file

    def test_one_server_imports_and_the_others_close_no_day(self, servers: list[OwnLogs], sqlite_book: Book) -> None:
        servers[1].append(stored([record("11-22 10:00")]), ARRIVED)
        begun = servers[1].imports_begun()
        with servers[0].importing():
            assert [logs.busy() for logs in servers] == ["an import is running"] * 4
            assert DailyStatsJob(sqlite_book, [servers[1]]).run_once(NOW) == []
            with servers[2].importing():
                pass
            assert servers[1].busy() == "an import is running"
        assert [logs.busy() for logs in servers] == [None] * 4
        assert servers[3].imports_begun() == begun + 2
        assert [result.day for result in DailyStatsJob(sqlite_book, [servers[1]]).run_once(NOW)] == [YESTERDAY]

    def test_an_import_that_is_killed_keeps_no_day_open(self, servers: list[OwnLogs], postgres_url: str) -> None:
        program = (
            "import sys, time; from tallybook.logs.opening import find_logs\n"
            "with find_logs(sys.argv[1])().importing(): print('begun', flush=True); time.sleep(60)"
        )
        importer = subprocess.Popen([sys.executable, "-c", program, postgres_url], stdout=subprocess.PIPE, text=True)
        assert importer.stdout is not None
        assert importer.stdout.readline() == "begun\n"
        assert servers[0].busy() == "an import is running"
        importer.kill()
        importer.wait()
        importer.stdout.close()
        deadline = time.monotonic() + 20
        while servers[0].busy() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert servers[0].busy() is None

    def test_the_same_file_at_four_servers_at_once_is_imported_once(
        self, servers: list[OwnLogs], tmp_path: Path
    ) -> None:
        """Its records have no id: nothing but the file tells that they are the same."""
        file, done = self.write(tmp_path), list[Imported]()
        run_at_once(
            *(lambda logs=logs: done.extend(import_files(logs, [file], Reading(), ARRIVED)) for logs in servers)
        )
        assert sorted((each.accepted, each.already) for each in done) == [(0, True)] * 3 + [(5_000, False)]
        assert servers[0].counts() == {YESTERDAY: 5_000}


class TestPruning:
    def test_a_record_that_arrives_at_another_server_meanwhile_is_not_deleted(self, servers: list[OwnLogs]) -> None:
        first, second, *_ = servers
        first.append(stored([record("11-16 10:00"), record("11-16 11:00")]), ARRIVED)
        late: list[threading.Thread] = []

        def why_keep(day: date, now: Totals) -> None:
            assert (day, now[REQUESTS]) == (MONDAY, 2)
            rows = stored([record("11-16 12:00", "late")])
            late.append(threading.Thread(target=second.append, args=(rows, NOW)))
            late[0].start()
            time.sleep(0.3)

        assert first.delete_days(YESTERDAY, why_keep) == Deleted({MONDAY: 2})
        late[0].join(30)
        assert first.counts() == {MONDAY: 1}
        assert first.arrived_at(MONDAY) == NOW

    def test_one_that_arrived_just_before_is_seen(self, servers: list[OwnLogs]) -> None:
        first, second, *_ = servers
        first.append(stored([record("11-16 10:00")]), at("11-17 00:01"))
        second.append(stored([record("11-16 11:00", tokens_in=7)]), NOW)
        seen: list[object] = []

        def why_keep(*facts: object) -> str:
            seen.extend(facts)
            return "the book has other totals"

        assert first.delete_days(YESTERDAY, why_keep) == Deleted(kept={MONDAY: "the book has other totals"})
        assert seen == [MONDAY, totals(requests=2, success=2, status_count=2, tokens_in=7, tokens_in_count=1)]

    def test_of_two_servers_that_prune_at_once_one_deletes_a_day_and_the_other_passes_it_over(
        self, servers: list[OwnLogs], tmp_path: Path
    ) -> None:
        servers[0].append(stored([record(f"11-{day} 10:00") for day in (16, 17, 18)]), ARRIVED)
        done: list[Deleted] = []

        def prune(logs: OwnLogs) -> None:
            done.append(logs.delete_days(YESTERDAY, lambda *_: None, Archive(tmp_path)))

        run_at_once(*(lambda logs=logs: prune(logs) for logs in servers))
        assert sorted(day.day for each in done for day in each.records) == [16, 17, 18]
        assert [each.kept for each in done] == [{}] * 4
        assert sorted(file.name for file in tmp_path.iterdir()) == [
            f"local-2026-11-{day}.parquet" for day in (16, 17, 18)
        ]


class TestTrouble:
    def test_a_connection_that_was_lost_is_opened_anew(self, servers: list[OwnLogs], postgres_url: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'tallybook' AND datname = current_database()"
            )
        assert servers[0].append(stored([record("11-22 10:00")]), ARRIVED).accepted == 1
        assert servers[0].counts() == {YESTERDAY: 1}

    def test_one_that_is_lost_within_a_commit_is_told_and_nothing_is_half_stored(
        self, servers: list[OwnLogs], postgres_url: str
    ) -> None:
        logs = servers[0]
        with ExitStack() as stack:
            holder = stack.enter_context(psycopg.connect(postgres_url))
            holder.execute("LOCK TABLE tallybook_logs.arrivals")
            failed: list[LogsError] = []

            def send() -> None:
                try:
                    logs.append(stored([record("11-22 10:00")]), ARRIVED)
                except LogsError as error:
                    failed.append(error)

            sender = threading.Thread(target=send)
            sender.start()
            waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            while not (pids := look(postgres_url, waiting)):
                time.sleep(0.02)
            look(postgres_url, f"SELECT pg_terminate_backend({pids[0][0]})")
            sender.join(30)
        assert len(failed) == 1
        assert "terminating connection" in failed[0].message
        assert look(postgres_url, "SELECT COUNT(*) FROM log_records") == [(0,)]
        assert logs.append(stored([record("11-22 10:00")]), ARRIVED).accepted == 1

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://someone:s3cr3t-word@127.0.0.1:1/logs",
            "postgresql://someone:s3cr3t-word@127.0.0.1:notaport/logs",
            "postgresql://someone:s3cr3t%zzword@127.0.0.1:1/logs",
        ],
    )
    def test_a_server_that_is_not_there_is_named_without_its_password(self, url: str) -> None:
        with pytest.raises(LogsError, match="The logs' PostgreSQL cannot be reached") as down:
            find_logs(url)()
        assert "s3cr3t" not in down.value.message + down.value.remedy
        assert down.value.__cause__ is None

    def test_a_part_of_the_url_may_stand_in_the_environment(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = urlsplit(postgres_url).path.removeprefix("/")
        monkeypatch.setenv("LOGS_DATABASE", database)
        logs = find_logs(postgres_url.replace(database, "${LOGS_DATABASE}"))()
        logs.append(stored([record("11-22 10:00")]), ARRIVED)
        logs.close()
        assert look(postgres_url, "SELECT COUNT(*) FROM log_records") == [(1,)]

    def test_a_variable_that_is_not_there_is_named(self) -> None:
        with pytest.raises(LogsError, match="The environment has no variable NOWHERE"):
            find_logs("postgresql://${NOWHERE}/x")()

    def test_a_gateways_own_log_records_in_the_same_database_stay_theirs(self, postgres_url: str) -> None:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("CREATE TABLE log_records (id integer)")
        logs = find_logs(postgres_url)()
        logs.append(stored([record("11-22 10:00")]), ARRIVED)
        logs.close()
        with psycopg.connect(postgres_url) as connection:
            assert connection.execute("SELECT COUNT(*) FROM public.log_records").fetchall() == [(0,)]

    def test_logs_of_a_newer_tallybook_are_refused(self, postgres_url: str) -> None:
        find_logs(postgres_url)().close()
        with psycopg.connect(postgres_url) as connection:
            connection.execute("UPDATE tallybook_logs.log_format SET version = 99")
        with pytest.raises(LogsError, match="newer tallybook") as refused:
            find_logs(postgres_url)()
        assert refused.value.remedy == "Upgrade tallybook."

    def test_a_user_who_may_make_nothing_is_told_so(self, postgres_url: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE weak LOGIN")
        try:
            with pytest.raises(LogsError, match="permission denied for database") as refused:
                find_logs(postgres_url.replace("postgres:@", "weak:@"))()
            assert refused.value.remedy == "Let its user make a schema in the database, or own tallybook_logs."
        finally:
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                connection.execute("DROP ROLE weak")
