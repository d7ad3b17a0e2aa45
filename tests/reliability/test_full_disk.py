"""A full disk, in each writer: it says so, leaves nothing half-written, loses nothing, and goes on when there is room."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from acceptance.running import Home, Ran, Server, ago, serving, wait_for, with_largest_file
from reliability.figures import report
from reliability.full_disk import SmallDisk, no_file_grows, pages_left, small_disk
from stories import NOW, YESTERDAY, put, record
from tallybook.adjusting import adjust_day
from tallybook.book.ledger import Book
from tallybook.bookkeeper import Bookkeeper
from tallybook.closing import Outcome
from tallybook.config import load_settings
from tallybook.errors import BookError, LogsError
from tallybook.job import DailyStatsJob
from tallybook.logs import store
from tallybook.logs.store import LogStore
from tallybook.measures import MEASURE_NAMES
from tallybook.source import Slicing
from tallybook.verification import verify_book

pytestmark = pytest.mark.acceptance

BOOK = "The disk that holds the book is full."
LOGS = "The disk that holds the logs is full."
ARCHIVE = "The disk that holds the archive is full."
HEADER = "created_at,model_name,status_code,tokens_in,request_id"
DAY_BEFORE = YESTERDAY - timedelta(days=1)

Tables = dict[str, list[tuple[Any, ...]]]


def tables_of(book: Path) -> Tables:
    """Every row of every table of the book, in a file that SQLite finds sound."""
    with closing(sqlite3.connect(book)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def noise(seed: int, records: int, day: str) -> list[dict[str, Any]]:
    """Records of a day that hardly compress."""
    dice = random.Random(seed)  # the same records every time
    names = [f"{seed}-{number}-{dice.randbytes(100).hex()}" for number in range(records)]
    fixed = {"created_at": f"{day}T00:00:01Z", "model_name": "gpt-5", "status_code": 200, "tokens_in": 5}
    return [{**fixed, "request_id": name} for name in names]


def noise_file(home: Home, seed: int, records: int, *days: str) -> str:
    lines = [
        f"{each['created_at']},gpt-5,200,5,{each['request_id']}"
        for number, day in enumerate(days)
        for each in noise(seed + number, records, day)
    ]
    return home.file(f"noise-{seed}.csv", HEADER, *lines)


class TestNoMorePages:
    """`PRAGMA max_page_count` runs out at every page in turn, until there are enough."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "book.sqlite"

    @pytest.fixture
    def kept(self, file: Path, logs: LogStore) -> LogStore:
        """Logs of two days with many models; the first is closed in the book, and a late record came for each model."""
        put(logs, *(record("11-21 10:00", f"m{number}", latency_ms=number) for number in range(300)))
        book = Book.open(f"sqlite:///{file}", NOW)
        assert [result.outcome for result in DailyStatsJob(book, [logs]).close(DAY_BEFORE, NOW)] == [Outcome.CLOSED]
        book.close()
        put(logs, *(record("11-21 11:00", f"m{number}", latency_ms=number) for number in range(300)))
        put(logs, *(record("11-22 10:00", f"m{number}", latency_ms=number) for number in range(300)))
        return logs

    def until_there_is_room(self, file: Path, write: Callable[[Book], object]) -> int:
        """How often the book was full, each time as it had been, and said so; then the writing was done."""
        before = tables_of(file)
        for pages in count():
            try:
                with pages_left(pages):
                    book = Book.open(f"sqlite:///{file}", NOW)
                    with closing(book):
                        write(book)
            except BookError as error:
                refusal = error
            else:
                break
            assert (refusal.message, "Free some space" in refusal.remedy) == (BOOK, True)
            assert tables_of(file) == before
        assert tables_of(file) != before
        with closing(Book.open(f"sqlite:///{file}", NOW)) as book:
            assert verify_book(book).verdict == "intact"
        return pages

    def test_a_book_is_made_whole_or_not_at_all(self, file: Path) -> None:
        times = self.until_there_is_room(file, lambda _: None)
        report(f"full disk, max_page_count: opening a new book, full {times} times, 0 half-written")
        assert times > 10

    def test_a_day_is_closed_whole_or_not_at_all(self, file: Path, kept: LogStore) -> None:
        def close(book: Book) -> None:
            (result,) = DailyStatsJob(book, [kept]).close(YESTERDAY, NOW)
            if result.outcome is Outcome.FAILED:
                raise BookError(str(result.reason), "Free some space: the day stays open.")
            assert (result.outcome, result.requests) == (Outcome.CLOSED, 300)

        times = self.until_there_is_room(file, close)
        report(f"full disk, max_page_count: closing, full {times} times, 0 half-written")
        assert times > 5

    def test_an_adjustment_is_posted_whole_or_not_at_all(self, file: Path, kept: LogStore) -> None:
        def adjust(book: Book) -> None:
            adjustment = adjust_day(book, kept, DAY_BEFORE, NOW, Slicing())
            assert adjustment is not None
            assert adjustment.change.totals[MEASURE_NAMES.index("requests")] == 300

        times = self.until_there_is_room(file, adjust)
        report(f"full disk, max_page_count: adjusting, full {times} times, 0 half-written")
        assert times > 2

    def test_what_a_comparison_found_is_noted_whole_or_not_at_all(self, file: Path) -> None:
        found = {DAY_BEFORE - timedelta(days=n): ("drift", (1,) * len(MEASURE_NAMES)) for n in range(60)}
        with closing(Book.open(f"sqlite:///{file}", NOW)) as book:
            book.reconciliations.note("local", [], {}, NOW)
        times = self.until_there_is_room(file, lambda book: book.reconciliations.note("local", found, found, NOW))
        report(f"full disk, max_page_count: comparing, full {times} times, 0 half-written")
        assert times > 2


@dataclass(frozen=True)
class Writer:
    """A command that writes, the largest file with which it cannot, and the sentence by which it says so."""

    words: str
    largest_file_bytes: int
    sentence: str

    def run(self, home: Home, limited: bool) -> Ran:
        words = self.words.format(home=home.path, beside=home.path.parent, yesterday=ago(1), two=ago(2), three=ago(3))
        return home.run(*words.split(), before=with_largest_file(self.largest_file_bytes) if limited else None)


COMMANDS = {
    "importing": Writer("import {beside}/noise-7.csv", 400_000, LOGS),
    "closing": Writer("close {two}", 33_000, BOOK),
    "pruning": Writer("prune --before {two} --archive {beside}/archive", 100_000, ARCHIVE),
    "adjusting": Writer("reconcile --post", 33_000, BOOK),
    "backing up": Writer("backup {beside}/backup.sqlite", 65_536, "cannot be written: the disk is full, or fails."),
    "making a token": Writer("token create --role read", 4_096, BOOK),
}


def fill_home(home: Home) -> None:
    """Three days in the logs: one closed that has drifted, one closed that can be pruned, one open."""
    home.do("import", noise_file(home, 1, 2_000, ago(3)))
    home.do("import", home.file("first.csv", HEADER, *(f"{ago(4)}T10:00:00Z,m{n},200,5,a-{n}" for n in range(200))))
    home.do("backfill", ago(4), ago(3))
    home.do("import", home.file("late.csv", HEADER, *(f"{ago(4)}T11:00:00Z,m{n},200,5,b-{n}" for n in range(1_000))))
    home.do("import", home.file("open.csv", HEADER, *(f"{ago(2)}T10:00:00Z,m{n},200,5,c-{n}" for n in range(200))))
    noise_file(home, 7, 4_000, ago(1))


class TestNoLargerFile:
    """`ulimit -f`: a write beyond a size fails, in every file of the process."""

    def test_every_command_says_so_changes_nothing_and_is_done_once_there_is_room(self, home: Home) -> None:
        fill_home(home)
        for name, writer in COMMANDS.items():
            before = self.all_that_is_kept(home)
            said = writer.run(home, limited=True).failed_plainly(1)
            assert writer.sentence in said, (name, said)
            assert "nothing" in said or "no record" in said or "stays open" in said, (name, said)
            assert self.all_that_is_kept(home) == before, name
            assert home.is_intact(len(before["closings"])), name
            done = writer.run(home, limited=False)
            assert (done.code, done.err) == (0, ""), (name, done)
            assert self.all_that_is_kept(home) != before or name == "backing up", name
        assert home.is_intact(3)
        left = [file.name for file in home.path.parent.rglob(".*")]
        report(
            f"full disk, largest file: {len(COMMANDS)} commands refused, {len(left)} files left over, 0 records lost"
        )
        assert left == []
        archived = sorted(file.name for file in (home.path.parent / "archive").iterdir())
        assert archived == [f"local-{ago(3)}.parquet"]

    def all_that_is_kept(self, home: Home) -> Tables:
        with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
            by_day = logs.execute(
                "SELECT CAST(created_at AS DATE) AS day, COUNT(*) FROM log_records GROUP BY day"
            ).fetchall()
        return {**tables_of(home.path / "book.sqlite"), "logs": sorted(by_day)}

    def test_heads_that_were_cut_short_are_whole_once_there_is_room(self, home: Home, postgres_url: str) -> None:
        words = ("--book", postgres_url, "--logs", postgres_url)
        lines = [f"{ago(days)}T10:00:00Z,gpt-5,200,5,r-{days}" for days in range(4, 0, -1)]
        home.do("import", home.file("four.csv", HEADER, *lines), *words)
        home.do("close", ago(4), *words)
        anchors = home.path / "anchors.log"
        first = anchors.read_text()

        closed = home.run("close", ago(3), *words, before=with_largest_file(len(first) + 30))
        assert "closed" in closed.out, closed
        assert (closed.code, anchors.read_text()[: len(first)], len(anchors.read_text())) == (0, first, len(first) + 30)
        assert home.run("close", ago(3), *words).out.split()[2] == "exists"
        home.do("close", ago(2), *words)
        assert [line.split()[0] for line in anchors.read_text().splitlines()] == ["1", "2", "3"]
        assert home.is_intact(3, *words)
        report("full disk, largest file: 1 head cut short, mended; 0 days closed twice, 0 lost")


@pytest.fixture
def disk(home: Home) -> Iterator[SmallDisk]:
    """A disk of 24 MiB at the home's folder."""
    with small_disk(home.path, 24) as mounted:
        yield mounted


def between_ticks() -> None:
    """Waits until the scheduler leaves the next seconds to us."""
    wait_for(lambda: 1 <= datetime.now(UTC).second <= 50)


def missing(server: Server) -> list[str]:
    days: list[str] = server.get("/v1/status")["sources"][0]["missing"]
    return days


class TestServer:
    """A server whose disk was full goes on by itself when there is room."""

    @pytest.fixture(params=["small disk", "largest file"])
    def way(self, request: pytest.FixtureRequest) -> str:
        if request.param == "small disk":
            request.getfixturevalue("disk")
        return str(request.param)

    def full(self, way: str, server: Server) -> AbstractContextManager[None]:
        return SmallDisk(server.home.path).full() if way == "small disk" else no_file_grows(server.process)

    def commands(self, home: Home, way: str) -> dict[str, tuple[Callable[[], Ran], str]]:
        backup = with_largest_file(65_536) if way == "largest file" else None
        archive = str(home.path / "archive")
        return {
            "importing": (
                lambda: home.run("import", f"{home.path.parent}/noise-7.csv"),
                LOGS if way == "small disk" else "There is no room for temporary files.",
            ),
            "closing": (lambda: home.run("close", ago(6)), BOOK),
            "adjusting": (lambda: home.run("reconcile", "--post"), BOOK),
            "pruning": (lambda: home.run("prune", "--before", ago(2), "--archive", archive), ARCHIVE),
            "backing up": (
                lambda: home.run("backup", str(home.path / "backup.sqlite"), before=backup),
                "the disk is full",
            ),
        }

    def test_nothing_acknowledged_is_lost_and_all_is_done_when_there_is_room(self, home: Home, way: str) -> None:
        fill_home(home)
        acknowledged: list[str] = []
        refusals = 0
        with serving(home) as server:
            server.post("/v1/backfill", {"from": ago(4), "to": ago(1)})
            assert missing(server) == []
            between_ticks()
            late = [{**each, "model_name": f"late {n}"} for n, each in enumerate(noise(20, 1_000, ago(4)))]
            for records in (late, noise(21, 300, ago(6)), noise(22, 300, ago(0))):
                acknowledged += self.taken(server, records)
            kept = tables_of(home.path / "book.sqlite")["closings"]
            with self.full(way, server):
                for seed in (30, 31, 32):
                    refused = server.http.post("/v1/log-records", json=noise(seed, 2_000, ago(0)))
                    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
                    assert refused.json()["error"]["message"] == LOGS
                    refusals += 1
                for name, (command, sentence) in self.commands(home, way).items():
                    said = command().failed_plainly(1)
                    assert sentence in said, (name, said)
                    refusals += 1
                assert tables_of(home.path / "book.sqlite")["closings"] == kept
                assert home.is_intact(len(kept))
                assert server.get("/v1/stats", period=ago(3))["totals"]["requests"] == 2_000
                assert missing(server) == [ago(6), ago(5)]
            for seed in (30, 31, 32):
                acknowledged += self.taken(server, noise(seed, 2_000, ago(0)))
            commands = self.commands(home, "small disk")
            for name, (command, _) in commands.items():
                done = command()
                assert (done.code, done.err) == (0, ""), (name, done)
            assert home.run("close", ago(6)).out.split()[2] == "exists"
            assert server.stop() == 0
        lost, twice = self.compared(home, acknowledged)
        left = [file.name for file in home.path.rglob(".*")]
        report(
            f"full disk, {way}, one server: {1 + len(commands)} writers, {refusals} refusals, "
            f"{len(acknowledged):,} records acknowledged, {len(lost)} lost, {len(twice)} twice"
        )
        assert (lost, twice, left) == ([], [], [])
        assert home.is_intact(len(kept) + 1)

    def taken(self, server: Server, records: list[dict[str, Any]]) -> list[str]:
        assert server.post("/v1/log-records", records) == {"accepted": len(records), "duplicates": 0, "rejected": []}
        return [each["request_id"] for each in records]

    def compared(self, home: Home, acknowledged: list[str]) -> tuple[list[str], list[str]]:
        """Which of the acknowledged are in the logs and the archive no more, and which records are there twice."""
        with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
            files = f"SELECT request_id FROM read_parquet('{home.path}/archive/*.parquet')"
            rows = logs.execute(f"SELECT request_id FROM log_records UNION ALL {files}").fetchall()
        stored = Counter(request_id for (request_id,) in rows)
        return [each for each in acknowledged if not stored[each]], [each for each, n in stored.items() if n > 1]

    def test_a_day_is_closed_once_though_its_head_finds_no_room_and_the_head_follows(
        self, home: Home, disk: SmallDisk
    ) -> None:
        beside = home.path.parent
        words = ("--book", f"sqlite:///{beside}/book.sqlite", "--logs", f"duckdb:///{beside}/logs.duckdb")
        (home.path / "tallybook.toml").write_text(f"[anchors]\ncommand = ['sh', '-c', 'cat >> {beside}/heads']\n")
        with serving(home, *words) as server:
            between_ticks()
            with disk.full():
                server.post("/v1/log-records", noise(1, 1, ago(1)))
                (closed,) = server.post("/v1/close", {"day": ago(1)})["results"]
                assert (closed["outcome"], closed["requests"]) == ("closed", 1)
                assert (home.path / "anchors.log").read_text() == ""
                assert "No space left on device" in server.log.read_text()
                (again,) = server.post("/v1/close", {"day": ago(1)})["results"]
                assert (again["outcome"], again["digest"]) == ("exists", closed["digest"])
            server.post("/v1/close", {"day": ago(1)})
            states = server.get("/v1/status")["chain"]["anchors"]
            assert [(state["to"], state["through_seq"], state["waiting"]) for state in states] == [
                ("file", 1, 0),
                ("command", 1, 0),
            ]
        assert home.is_intact(1, *words)
        assert (home.path / "anchors.log").read_text() == (beside / "heads").read_text()
        report("full disk, small disk: 1 head without room, delivered later; 0 days closed twice, 0 lost")

    @pytest.mark.parametrize("spare_kib", [0, 32])
    def test_a_server_that_cannot_start_says_so_and_leaves_nothing(
        self, home: Home, disk: SmallDisk, spare_kib: int
    ) -> None:
        """With 32 KiB to spare there is room for what SQLite keeps beside the book, and for no file more."""
        fill_home(home)
        files = disk.files()
        with disk.full(but_bytes=spare_kib * 1024):
            refused = home.run("serve", "--port", "0").failed_plainly(1)
            assert "is full" in refused
        assert disk.files() - {"book.sqlite-shm", "book.sqlite-wal"} == files
        with serving(home) as server:
            assert server.stop() == 0

    def test_a_tick_on_a_full_disk_ends_as_every_tick_and_the_next_one_closes(
        self, home: Home, disk: SmallDisk
    ) -> None:
        now = datetime.now(UTC)
        keeper = Bookkeeper(load_settings({"home": str(home.path)}, {}), lambda: now)
        with closing_all(keeper):
            put(_store(keeper), *(record(now - timedelta(days=days), f"m{n}") for days in (1, 2) for n in range(300)))
            keeper.job().close((now - timedelta(days=2)).date(), now)
            with disk.full():
                results = keeper.run_once()
                assert {(result.outcome, result.reason) for result in results} == {(Outcome.FAILED, BOOK)}
            assert [result.outcome for result in keeper.run_once()] == [Outcome.CLOSED, Outcome.CLOSED]
            assert verify_book(keeper.book).verdict == "intact"
        assert [name for name in disk.files() if name.startswith(".")] == []


def _store(keeper: Bookkeeper) -> LogStore:
    assert isinstance(keeper.logs, LogStore)
    return keeper.logs


@contextmanager
def closing_all(keeper: Bookkeeper) -> Iterator[None]:
    try:
        yield
    finally:
        keeper.close_all()


class TestCheckpoint:
    """DuckDB moves what it has written into its file now and then; where that finds no room, it gives up the file."""

    def test_logs_that_found_no_room_for_a_checkpoint_go_on_when_there_is(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "SETTINGS", ("TimeZone = 'UTC'", "checkpoint_threshold = '1MB'"))
        with small_disk(home.path, 8) as disk, closing(LogStore.open(home.path / "logs.duckdb")) as logs:
            acknowledged, refused = 0, None
            while refused is None:
                try:
                    put(logs, *self.records(f"first {acknowledged}"))
                    acknowledged += 500
                except LogsError as error:
                    refused = error
            assert refused.message == LOGS
            disk.grow(64)
            put(logs, *self.records("second"))
            assert sum(logs.counts().values()) == acknowledged + 500

    def records(self, name: str) -> list[dict[str, Any]]:
        dice = random.Random(name)
        return [record(NOW, request_id=f"{name} {number} {dice.randbytes(240).hex()}") for number in range(500)]

    @pytest.mark.slow
    def test_a_server_whose_checkpoint_found_no_room_goes_on_when_there_is(self, home: Home) -> None:
        with small_disk(home.path, 200) as disk, serving(home) as server:
            acknowledged = 0
            while (answer := self.post(server, acknowledged)).status_code == 200:
                acknowledged += 18_000
            assert (answer.status_code, answer.json()["error"]["message"]) == (503, LOGS)
            disk.grow(600)
            assert self.post(server, acknowledged).status_code == 200
            stored = server.get("/v1/status")["sources"][0]["records_in_logs"]
            report(f"full disk, checkpoint of a server: {acknowledged:,} records acknowledged, {stored:,} in the logs")
            assert stored == acknowledged + 18_000
            assert server.stop() == 0

    def post(self, server: Server, seed: int) -> httpx.Response:
        records = noise(seed, 18_000, ago(0))
        return server.http.post("/v1/log-records", json=[{**each, "team": each["request_id"] * 2} for each in records])
