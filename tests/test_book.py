"""The book's database: its migrations, its faults, and what it refuses."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from stories import NOW, YESTERDAY, facts, fetch, put, record, tamper
from tallybook.book.ledger import Book
from tallybook.book.migrate import HEAD, KNOWN_REVISIONS, MIGRATIONS
from tallybook.book.schema import metadata
from tallybook.content import empty_content
from tallybook.errors import BookError, BookTooNew, UsageError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
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
        identity = book.book_id()
        assert len(identity) == 36
        again = Book.open(book_url, NOW + timedelta(days=1))
        assert again.book_id() == identity
        again.close()
        assert fetch(book, "SELECT id, created_at FROM book") == [(1, "2026-11-23T01:00:00Z")]

    def test_two_books_have_two_identities(self, tmp_path: Path) -> None:
        books = [Book.open(f"sqlite:///{tmp_path}/{name}.sqlite", NOW) for name in "ab"]
        assert books[0].book_id() != books[1].book_id()
        for opened in books:
            opened.close()

    def test_processes_that_start_together_migrate_once(self, book_url: str) -> None:
        program = (
            "import sys; from datetime import *; from tallybook.book.ledger import Book; print('ready', flush=True); "
            "sys.stdin.readline(); print(Book.open(sys.argv[1], datetime(2026, 11, 23, 1, tzinfo=UTC)).book_id())"
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
        assert len({opened.book_id() for opened in books}) == 1
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
        assert len(book.book_id()) == 36
        book.append("local", empty_content(YESTERDAY), NOW)
        assert verify_book(book).verdict == "intact"
        book.close()

    def test_a_book_of_a_newer_version_is_refused_and_left_alone(self, book: Book, book_url: str) -> None:
        tamper(book, "UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(BookTooNew, match=r"newer tallybook \(schema 9999") as refused:
            Book.open(book_url, NOW)
        assert "Upgrade tallybook" in refused.value.remedy
        assert fetch(book, "SELECT version_num FROM alembic_version") == [("9999",)]


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
    assert book.adjustments_count(None, first, YESTERDAY) == 0
