"""The book's database: its migrations, its faults, and what it refuses."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from stories import NOW, YESTERDAY, facts, fetch, put, record, tamper, totals
from tallybook.anchoring.anchor import Anchor
from tallybook.book.engine import create_engine, parse_book_url, writing
from tallybook.book.ledger import Book
from tallybook.book.migrate import HEAD, KNOWN_REVISIONS, MIGRATIONS
from tallybook.book.schema import metadata
from tallybook.content import DayContent, Slice, empty_content
from tallybook.errors import BookError, BookTooNew, BookTooOld, NoBook, UsageError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import MEASURE_NAMES
from tallybook.verification import verify_book

TABLES = ("closings", "daily_stats", "daily_slices", "daily_histograms")


class TestMigrations:
    def test_they_build_exactly_the_tables_that_the_code_knows(self, book: Book) -> None:
        with book._engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, metadata) == []

    def test_the_head_that_the_code_knows_is_the_newest_script(self) -> None:
        scripts = ScriptDirectory(str(MIGRATIONS))
        assert scripts.get_current_head() == HEAD
        assert {script.revision for script in scripts.walk_revisions()} == set(KNOWN_REVISIONS)

    def test_a_new_book_has_an_identity_that_stays(self, book: Book, book_url: str) -> None:
        identity = book.identity().book_id
        assert len(identity) == 36
        again = Book.open(book_url, NOW + timedelta(days=1))
        assert again.identity().book_id == identity
        again.close()
        assert fetch(book, "SELECT id, created_at FROM book") == [(1, "2026-11-23T01:00:00Z")]

    def test_two_books_have_two_identities(self, tmp_path: Path) -> None:
        books = [Book.open(f"sqlite:///{tmp_path}/{name}.sqlite", NOW) for name in "ab"]
        assert books[0].identity().book_id != books[1].identity().book_id
        for opened in books:
            opened.close()

    def test_processes_that_start_together_migrate_once(self, book_url: str) -> None:
        program = (
            "import sys; from datetime import *; from tallybook.book.ledger import Book; print('ready', flush=True); "
            "sys.stdin.readline(); print(Book.open(sys.argv[1], datetime(2026, 11, 23, 1, tzinfo=UTC)).identity().book_id)"
        )
        starters = [
            subprocess.Popen(
                [sys.executable, "-c", program, book_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        for starter in starters:
            assert starter.stdout is not None
            assert starter.stdout.readline() == "ready\n"
        answers = []
        for starter in starters:
            assert starter.stdin is not None
            starter.stdin.write("go\n")
            starter.stdin.flush()
        answers = [starter.communicate()[0].strip() for starter in starters]
        assert [starter.returncode for starter in starters] == [0, 0, 0]
        assert len(set(answers)) == 1
        book = Book.open(book_url, NOW)
        assert fetch(book, "SELECT COUNT(*) FROM book") == [(1,)]
        book.close()

    def test_threads_that_start_together_migrate_once(self, book_url: str) -> None:
        barrier, books, errors = threading.Barrier(4), list[Book](), list[BaseException]()

        def start() -> None:
            barrier.wait()
            try:
                books.append(Book.open(book_url, NOW))
            except BaseException as error:  # noqa: BLE001 - the test reports whatever it was
                errors.append(error)

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len({opened.identity().book_id for opened in books}) == 1
        for opened in books:
            opened.close()

    def test_a_migration_that_fails_leaves_nothing_behind(self, book_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise BookError("The disk that holds the book is full.")

        with monkeypatch.context() as patched:
            patched.setattr("tallybook.book.migrate._identify", fail)
            with pytest.raises(BookError, match="is full"):
                Book.open(book_url, NOW)
        book = Book.open(book_url, NOW)
        assert len(book.identity().book_id) == 36
        book.append("local", empty_content(YESTERDAY), NOW)
        assert verify_book(book).verdict == "intact"
        book.close()

    def test_a_book_of_a_newer_version_is_refused_and_left_alone(self, book: Book, book_url: str) -> None:
        tamper(book, "UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(BookTooNew, match=r"newer tallybook \(schema 9999") as refused:
            Book.open(book_url, NOW)
        assert "Upgrade tallybook" in refused.value.remedy
        assert fetch(book, "SELECT version_num FROM alembic_version") == [("9999",)]


CHAINS = (
    "d4f7290ea9ac310dad3f3452fd27e8d9301c72bb3a279dc36c10a6ec8bd93825",
    "777ec8fb48035bd9bb9ea13a6e4c90bac6d5f2bbc6548aac5bebc5ccca487b4b",
    "ed14a3b849c193d72375f6ef146a722c9c6af6037d7ed16928002f71a3de0e46",
)
GENESIS = "fcbb530863842552a18ce968674c238bfd4a5ff4db710dfdc01a1ab82b140045"
DIGESTS = (
    "de1a86f78cffa40b642aebd495ecfd311bd9824b9470eb91222da5dfc6e9ce1a",
    "abc7bd3f65162fd64e9a07a8fdd8d01178351201ac2ecb8ba29d66c8066c3aca",
    "0422225c0d3eac40ded1e0fc835ab51cb075c21c2bfe89caf98d29bdd16738f5",
)
WRITTEN = "2026-11-23T01:00:00Z"
SUMS = " ".join(MEASURE_NAMES)
ON_20 = (1, 1, 0, 1, 5, 1, 7, 1, 0, 0, 0, 0, 100, 1, 0, 0, 9, 1)
ON_22 = (1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
SLICED = '["model","provider","team","api_key"]'
FIRST_BOOK: dict[tuple[str, str], list[tuple[Any, ...]]] = {
    ("book", "id book_id created_at"): [(1, "6f0e9c3a-1d2b-4c5d-8e7f-0a1b2c3d4e5f", WRITTEN)],
    ("closings", "seq day state records digest chain prev_chain fingerprint"): [
        (
            *(1, "2026-11-20", "closed", 1, DIGESTS[0], CHAINS[0], GENESIS),
            '{"cost_nanousd":9,"latency_sum_ms":100,"requests":1,"tokens_in":5,"tokens_out":7}',
        ),
        (
            *(2, "2026-11-21", "zero", 0, DIGESTS[1], CHAINS[1], CHAINS[0]),
            '{"cost_nanousd":0,"latency_sum_ms":0,"requests":0,"tokens_in":0,"tokens_out":0}',
        ),
        (
            *(3, "2026-11-22", "closed", 1, DIGESTS[2], CHAINS[2], CHAINS[1]),
            '{"cost_nanousd":0,"latency_sum_ms":0,"requests":1,"tokens_in":0,"tokens_out":0}',
        ),
    ],
    ("daily_stats", f"date top_models dimensions histogram created_at {SUMS}"): [
        ("2026-11-20", '[{"model":"a","requests":1,"tokens":12}]', SLICED, "[[100,1]]", WRITTEN, *ON_20),
        ("2026-11-22", '[{"model":"a","requests":1,"tokens":0}]', SLICED, "[]", WRITTEN, *ON_22),
    ],
    ("daily_slices", f"date position model provider team {SUMS}"): [
        ("2026-11-20", 0, "a", "p", None, *ON_20),
        ("2026-11-22", 0, "a", "p", "", *ON_22),
    ],
    ("daily_histograms", "date position provider model histogram"): [("2026-11-20", 0, "p", "a", "[[100,1]]")],
}
"""As the first schema has it: a day, one without records, and one whose team is an empty text."""

ALWAYS = {"source": "local", "payload_version": 1, "closed_at": WRITTEN}


def test_a_database_of_somebody_else_is_no_book_to_verify(book_url: str) -> None:
    engine = create_engine(parse_book_url(book_url))
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE requests (id integer)")
    engine.dispose()
    book = Book.open_to_verify(book_url)
    with pytest.raises(NoBook, match=r"There is no book in this database\."):
        verify_book(book)
    book.close()


class TestTheFirstBook:
    @pytest.fixture
    def first_book(self, book_url: str) -> str:
        engine = create_engine(parse_book_url(book_url))
        with writing(engine) as connection:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            for (name, columns), rows in FIRST_BOOK.items():
                table = metadata.tables[name]
                constants = {column: value for column, value in ALWAYS.items() if column in table.columns}
                for row in rows:
                    values = dict(zip(columns.split(), row, strict=True))
                    connection.execute(sa.insert(table).values({**values, **constants}))
        engine.dispose()
        return book_url

    def test_it_is_intact_once_migrated_and_its_chain_goes_on(self, first_book: str) -> None:
        book = Book.open(first_book, NOW + timedelta(days=1))
        assert book.identity().book_id == "6f0e9c3a-1d2b-4c5d-8e7f-0a1b2c3d4e5f"
        assert fetch(book, "SELECT version_num FROM alembic_version") == [(HEAD,)]
        assert facts(book) == [("2026-11-20", "closed", 1), ("2026-11-21", "zero", 0), ("2026-11-22", "closed", 1)]
        assert [closing.chain for closing in book.closings()] == list(CHAINS)
        assert [closing.unknown_measures for closing in book.closings()] == [(), (), ()]
        added = book.append("local", empty_content(date(2026, 11, 23), ("failed",)), NOW + timedelta(days=1))
        assert (added.seq, added.prev_chain) == (4, CHAINS[2])
        verification = verify_book(book, [Anchor(seq, chain) for seq, chain in enumerate(CHAINS, start=1)])
        assert (verification.verdict, verification.faults, verification.closings) == ("intact", (), 4)
        book.close()

    def test_it_is_verified_as_it_is_only_once_migrated(self, first_book: str) -> None:
        book = Book.open_to_verify(first_book)
        with pytest.raises(BookTooOld, match=f"The book has schema 0001, and is verified from {HEAD} on."):
            verify_book(book)
        book.close()

    def test_what_was_changed_in_it_is_still_found(self, first_book: str) -> None:
        book = Book.open(first_book, NOW)
        tamper(book, "UPDATE closings SET unknown = '[\"failed\"]' WHERE day = '2026-11-22'")
        assert [(fault.seq, fault.table, fault.fault) for fault in verify_book(book).faults] == [
            (3, "closings", "digest does not match the day's rows")
        ]
        book.close()

    def test_a_migration_of_it_that_fails_leaves_it_as_it_was(
        self, first_book: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise BookError("The disk that holds the book is full.")

        with monkeypatch.context() as patched:
            patched.setattr("tallybook.book.migrate._identify", fail)
            with pytest.raises(BookError, match="is full"):
                Book.open(first_book, NOW)
        engine = create_engine(parse_book_url(first_book))
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "0001"
            assert "unknown" not in {column["name"] for column in sa.inspect(connection).get_columns("closings")}
        engine.dispose()
        book = Book.open(first_book, NOW)
        assert verify_book(book).verdict == "intact"
        book.close()


class TestWhatASourceCannotKnow:
    """The measures that a source could not know are as much part of a closing as its figures."""

    @pytest.fixture
    def told(self, book: Book) -> Book:
        """The 20th and 21st of a source that cannot know `failed`, then a day of one that knows it."""
        sums = totals(requests=2, success=2, status_count=2)
        day = DayContent(date(2026, 11, 20), ("model",), sums, (), (Slice(("m",), sums),), (), ("failed",))
        book.append("proxy", day, NOW)
        book.append("proxy", empty_content(date(2026, 11, 21), ("failed",)), NOW)
        book.append("local", replace(day, day=date(2026, 11, 22), unknown=()), NOW)
        assert verify_book(book).verdict == "intact"
        return book

    def test_it_is_kept_and_read_back(self, told: Book) -> None:
        assert [closing.unknown for closing in told.closings()] == ['["failed"]', '["failed"]', "[]"]
        assert [closing.as_json()["unknown"] for closing in told.closings()] == [["failed"], ["failed"], []]
        contents = [told.content_of(closing)[0] for closing in told.closings()]
        assert [content.unknown for content in contents] == [("failed",), ("failed",), ()]

    def test_it_is_part_of_the_digest(self, told: Book) -> None:
        blind, empty, _ = told.closings()
        seeing = told.append("other", replace(told.content_of(blind)[0], unknown=()), NOW)
        nothing = told.append("other", empty_content(date(2026, 11, 21)), NOW)
        assert (seeing.records, nothing.records) == (2, 0)
        assert seeing.digest != blind.digest
        assert nothing.digest != empty.digest

    @pytest.mark.parametrize(
        ("seq", "unknown"),
        [
            *((1, "[]"), (1, '["success"]'), (1, '["failed","success"]'), (1, '["failed","failed"]')),
            *((2, "[]"), (2, '["success"]'), (3, '["failed"]'), (3, '[""]')),
        ],
    )
    def test_no_other_can_be_put_in_its_place_unnoticed(self, told: Book, seq: int, unknown: str) -> None:
        tamper(told, f"UPDATE closings SET unknown = '{unknown}' WHERE seq = {seq}")
        verification = verify_book(told)
        assert verification.verdict == "altered"
        assert [(fault.seq, fault.table, fault.fault) for fault in verification.faults] == [
            (seq, "closings", "chain does not match the entry's fields"),
            (seq, "closings", "digest does not match the day's rows"),
        ]

    @pytest.mark.parametrize("unknown", ["", "failed", "null", "{}", "[5]", '["failed"', '[["failed"]]'])
    def test_what_is_no_list_of_names_is_unreadable(self, told: Book, unknown: str) -> None:
        tamper(told, f"UPDATE closings SET unknown = '{unknown}' WHERE seq = 1")
        verification = verify_book(told)
        assert verification.verdict == "unreadable"
        assert {(fault.seq, fault.day, fault.table) for fault in verification.faults} == {(1, "2026-11-20", "closings")}


class TestFaults:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "book.sqlite"

    @pytest.fixture
    def closed(self, file: Path, logs: LogStore) -> Iterator[Book]:
        book = Book.open(f"sqlite:///{file}", NOW)
        put(
            logs,
            *(record(f"11-{day} 10:00", f"m{number}", latency_ms=number) for day in (21, 22) for number in range(300)),
        )
        yield book
        book.close()

    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, file: Path) -> None:
        file.write_bytes(b"this is a letter, not a ledger " * 100)
        with pytest.raises(BookError, match="not a SQLite database") as refused:
            Book.open(f"sqlite:///{file}", NOW)
        assert "backup" in refused.value.remedy
        assert file.read_bytes().startswith(b"this is a letter")

    def test_a_damaged_file_is_a_clear_error(self, file: Path, closed: Book, logs: LogStore) -> None:
        DailyStatsJob(closed, [logs]).run_once(NOW)
        closed.close()
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        content = bytearray(file.read_bytes())
        for start in range(4096, len(content), 4096):
            content[start : start + 256] = b"\xff" * 256
        file.write_bytes(content)
        with pytest.raises(BookError) as refused:
            verify_book(Book.open(f"sqlite:///{file}", NOW))
        assert (
            "damaged" in refused.value.message
            or "failed" in refused.value.message
            or "refused" in refused.value.message
        )

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(BookError, match="cannot be made"):
            Book.open(f"sqlite:///{tmp_path}/file/sub/book.sqlite", NOW)

    def test_a_path_that_is_a_folder_cannot_be_opened(self, tmp_path: Path) -> None:
        with pytest.raises(BookError, match="cannot be opened"):
            Book.open(f"sqlite:///{tmp_path}", NOW)

    def test_a_folder_that_cannot_be_written_is_a_clear_error(self) -> None:
        program = (
            "import os, sys; from datetime import *; from tallybook.book.ledger import Book\n"
            "from tallybook.errors import BookError\n"
            "now, ours = datetime(2026, 11, 23, 1, tzinfo=UTC), sys.argv[1]\n"
            "Book.open(f'sqlite:///{ours}/first.sqlite', now).close()\n"
            "os.chmod(ours, 0o555)\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            "for name in ('book.sqlite', 'new/book.sqlite'):\n"
            "    try: Book.open(f'sqlite:///{ours}/{name}', now)\n"
            "    except BookError as error: print(error.message)\n"
        )
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            ran = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
            Path(folder).chmod(0o755)
        assert ran.stdout.splitlines() == [
            "The book cannot be opened.",
            f"The folder {folder}/new cannot be made: Permission denied.",
        ]

    def test_a_read_only_book_can_be_read_but_not_written(self, file: Path, closed: Book, logs: LogStore) -> None:
        job = DailyStatsJob(closed, [logs])
        list(job.backfill_range(YESTERDAY, YESTERDAY, NOW))
        reopened = Book.open(f"sqlite:///file:{file}?mode=ro&uri=true", NOW)
        assert facts(reopened) == [("2026-11-22", "closed", 300)]
        with pytest.raises(BookError, match="cannot be written") as refused:
            reopened.append("local", empty_content(YESTERDAY - timedelta(days=5)), NOW)
        assert "permissions" in refused.value.remedy
        reopened.close()

    def test_a_full_disk_fails_the_day_whole_and_later_it_succeeds(self, closed: Book, logs: LogStore) -> None:
        job = DailyStatsJob(closed, [logs])
        with FullDisk(closed):
            results = job.run_once(NOW)
        assert [str(result.outcome) for result in results] == ["failed", "failed"]
        assert {result.reason for result in results} == {"The disk that holds the book is full."}
        assert {table: fetch(closed, f"SELECT COUNT(*) FROM {table}") for table in TABLES} == {
            table: [(0,)] for table in TABLES
        }
        assert [str(result.outcome) for result in job.run_once(NOW)] == ["closed", "closed"]
        assert facts(closed) == [("2026-11-21", "closed", 300), ("2026-11-22", "closed", 300)]
        assert verify_book(closed).verdict == "intact"

    def test_a_book_locked_by_another_is_a_clear_error(self, file: Path, closed: Book) -> None:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with closed._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 50")
        with pytest.raises(BookError, match="locked by another process"):
            closed.append("local", empty_content(YESTERDAY), NOW)
        other.execute("ROLLBACK")
        other.close()
        assert closed.append("local", empty_content(YESTERDAY), NOW).seq == 1

    def test_a_postgresql_that_is_not_there_is_a_clear_error(self, tmp_path: Path) -> None:
        with pytest.raises(BookError) as refused:
            Book.open(f"postgresql://postgres:@/none?host={tmp_path}", NOW)
        assert "Check that it is up" in refused.value.remedy

    def test_a_database_that_went_away_is_a_clear_error_and_comes_back(self, postgres_url: str) -> None:
        book = Book.open(postgres_url, NOW)
        book.append("local", empty_content(YESTERDAY - timedelta(days=1)), NOW)
        name = postgres_url.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(postgres_url.replace(name, "postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        assert book.append("local", empty_content(YESTERDAY), NOW).seq == 2
        book.close()


class FullDisk:
    """Lets the book's file grow no further; `max_page_count` belongs to a connection, so each gets it."""

    def __init__(self, book: Book) -> None:
        self._engine = book._engine

    def __enter__(self) -> None:
        sa.event.listen(self._engine, "begin", self._limit)

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self._engine, "begin", self._limit)
        with self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")
        self._engine.dispose()

    @staticmethod
    def _limit(connection: Any) -> None:
        (pages,) = connection.exec_driver_sql("PRAGMA page_count").fetchone()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")


def test_a_copy_of_the_file_is_the_same_book(tmp_path: Path) -> None:
    book = Book.open(f"sqlite:///{tmp_path}/book.sqlite", NOW)
    closing = book.append("local", empty_content(YESTERDAY), NOW)
    book.close()
    shutil.copy(tmp_path / "book.sqlite", tmp_path / "copy.sqlite")
    copy = Book.open(f"sqlite:///{tmp_path}/copy.sqlite", NOW)
    assert copy.closings() == [closing]
    assert verify_book(copy).verdict == "intact"
    copy.close()


@pytest.mark.parametrize(
    "url",
    ["mysql://root@localhost/x", "sqlite://", "sqlite:///", "oracle://x", "rubbish", "", "duckdb:///x", "/var/book"],
)
def test_an_unsupported_url_is_refused_with_those_supported(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Book.open(url, NOW)
    assert refused.value.remedy == "Use one of: sqlite:///FILE, postgresql://USER@HOST/DATABASE."


def test_the_password_of_a_url_is_in_no_message() -> None:
    for url in ("mysql://root:hunter2@localhost/x", "postgresql://u:hunter2@127.0.0.1:1/x", "hunter2"):
        with pytest.raises((UsageError, BookError)) as refused:
            Book.open(url, NOW)
        assert "hunter2" not in refused.value.message + refused.value.remedy


def test_closings_can_be_asked_for_by_source_range_and_sequence(book: Book) -> None:
    for source in ("a", "b"):
        for back in (3, 2, 1):
            book.append(source, empty_content(YESTERDAY - timedelta(days=back)), NOW)
    assert [(closing.seq, closing.source) for closing in book.closings("b")] == [(4, "b"), (5, "b"), (6, "b")]
    first = YESTERDAY - timedelta(days=2)
    assert [closing.seq for closing in book.closings(first=first)] == [2, 3, 5, 6]
    assert [closing.seq for closing in book.closings("a", last=first)] == [1, 2]
    assert [closing.seq for closing in book.closings(after_seq=4)] == [5, 6]
    assert (book.last_seq(), book.sources()) == (6, ["a", "b"])
    assert book.first_day("a") == YESTERDAY - timedelta(days=3)
    assert (book.first_day("none"), book.days_closed("none")) == (None, set())
    assert book.adjustment_marks() == []
