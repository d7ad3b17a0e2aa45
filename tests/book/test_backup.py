"""Copies of a book's file, and what happens to the book that one of them replaces."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import IntegrityError

from stories import NOW, YESTERDAY, facts, fetch, put, record, tamper
from tallybook.book import backup
from tallybook.book.backup import book_file, copied, opened_copy, publish, refuse_own, replace_book
from tallybook.book.engine import create_engine, parse_book_url, writing
from tallybook.book.ledger import Book
from tallybook.book.migrate import HEAD, MIGRATIONS
from tallybook.book.schema import metadata
from tallybook.content import empty_content
from tallybook.errors import BookError, BookTooNew, DamagedBook, NoBook, TallybookError, UsageError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.verification import verify_book

OLD = [("2026-11-20", "zero", 0), ("2026-11-21", "zero", 0), ("2026-11-22", "zero", 0)]
NEW = [("2026-11-20", "zero", 0)]
ASIDE = "book.sqlite.before-restore-20261123T010000Z"


def days(count: int) -> list[date]:
    """So many days from the 20th on."""
    return [date(2026, 11, 20 + number) for number in range(count)]


def write(path: Path, count: int) -> Path:
    """A book in the file with so many days, without records, from the 20th on."""
    book = Book.open(f"sqlite:///{path}", NOW)
    for day in days(count):
        book.append("local", empty_content(day), NOW)
    book.close()
    return path


def read(path: Path) -> list[tuple[str, str, int]]:
    """What the book in the file says, if it is intact; the file stays as it is."""
    with opened_copy(path, NOW) as book:
        assert verify_book(book).verdict == "intact"
        return facts(book)


def names(folder: Path) -> list[str]:
    """What lies in the folder."""
    return sorted(path.name for path in folder.iterdir())


def restore(file: Path, book: Path) -> Path | None:
    """What restoring comes to."""
    with copied(file, book) as copy:
        return replace_book(copy, book, NOW)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A book of three days."""
    (tmp_path / "home").mkdir()
    return write(tmp_path / "home" / "book.sqlite", 3)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A backup of a book of one day."""
    write(tmp_path / "other.sqlite", 1)
    with copied(tmp_path / "other.sqlite", tmp_path / "backup.sqlite") as copy:
        publish(copy, tmp_path / "backup.sqlite")
    return tmp_path / "backup.sqlite"


class TestCopying:
    def test_it_has_everything_in_one_file_of_its_owner_s_and_lasts_until_it_gets_a_name(
        self, sqlite_book: Book, logs: LogStore, tmp_path: Path
    ) -> None:
        put(logs, record("11-20 10:00", tokens_in=7), record("11-22 10:00", team="a"), record("11-22 11:00"))
        DailyStatsJob(sqlite_book, [logs]).run_once(NOW)
        (tmp_path / "backups").mkdir()
        target = tmp_path / "backups" / "it's 100 % 'me'?#.sqlite"
        with copied(tmp_path / "book.sqlite", target) as copy:
            assert names(target.parent) == [copy.name]
            assert copy.stat().st_mode & 0o777 == 0o600
            assert copy.read_bytes()[18:20] == b"\x01\x01", "the mark of a database with a -wal"
            publish(copy, target)
        assert names(target.parent) == [target.name]
        assert read(target) == [("2026-11-20", "closed", 1), ("2026-11-21", "zero", 0), ("2026-11-22", "closed", 2)]
        assert names(target.parent) == [target.name]
        with copied(tmp_path / "book.sqlite", target):
            assert len(names(target.parent)) == 2
        assert names(target.parent) == [target.name]

    def test_it_is_the_book_of_one_moment_whatever_is_closed_meanwhile(
        self, sqlite_book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for day in days(3):
            sqlite_book.append("local", empty_content(day), NOW)
        (pages,) = fetch(sqlite_book, "PRAGMA page_count")[0]
        later = iter(range(4, 1000))

        def close_a_day(pause_s: float) -> None:
            sqlite_book.append("local", empty_content(date.fromordinal(YESTERDAY.toordinal() + next(later))), NOW)

        monkeypatch.setattr(backup, "PAGES_AT_ONCE", 1)
        monkeypatch.setattr("tallybook.book.backup.time.sleep", close_a_day)
        with copied(tmp_path / "book.sqlite", tmp_path / "backup.sqlite") as copy:
            assert read(copy) == OLD
        assert next(later) == 4 + pages, "the copy was begun anew"
        assert len(facts(sqlite_book)) == 3 + pages

    def test_the_guards_come_along(self, old: Path, tmp_path: Path) -> None:
        with (
            copied(old, tmp_path / "backup.sqlite") as copy,
            closing(sqlite3.connect(copy)) as connection,
            pytest.raises(sqlite3.IntegrityError, match="closings: a closed day is never changed"),
        ):
            connection.execute("UPDATE closings SET records = 7")
        with opened_copy(old, NOW) as book:
            assert verify_book(book).unguarded == ()

    @pytest.mark.parametrize(
        ("content", "kind", "sentence"),
        [
            (None, NoBook, "There is no book at {file}."),
            (b"", NoBook, "{file} is a SQLite database, but no book."),
            (
                b"a letter to my aunt, not a database\n" * 99,
                DamagedBook,
                "{file} cannot be read: it is no SQLite database.",
            ),
        ],
        ids=["missing", "empty", "a letter"],
    )
    def test_what_is_no_book_is_told_and_nothing_is_left(
        self, tmp_path: Path, content: bytes | None, kind: type[TallybookError], sentence: str
    ) -> None:
        file = tmp_path / "book.sqlite"
        if content is not None:
            file.write_bytes(content)
        found = names(tmp_path)
        with pytest.raises(kind) as refused, copied(file, tmp_path / "backup.sqlite"):
            pass
        assert refused.value.message == sentence.format(file=file)
        assert refused.value.remedy
        assert names(tmp_path) == found

    def test_a_database_of_somebody_else_s_is_no_book(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
            connection.execute("CREATE TABLE logs (id INTEGER)")
        with pytest.raises(NoBook, match=r"gateway\.db is a SQLite database, but no book"):
            restore(tmp_path / "gateway.db", tmp_path / "book.sqlite")
        assert names(tmp_path) == ["gateway.db"]

    def test_a_page_that_is_damaged_is_found(self, old: Path, tmp_path: Path) -> None:
        with old.open("r+b") as file:
            file.seek(3 * 4096)
            file.write(b"\xff" * 4096)
        with pytest.raises(DamagedBook, match=r"book.sqlite (is damaged|cannot be read: it is damaged)\."):
            restore(old, tmp_path / "elsewhere.sqlite")
        assert names(tmp_path) == ["home"]

    @pytest.mark.parametrize(
        ("target", "reason"),
        [("nowhere/backup.sqlite", "No such file or directory"), ("home/book.sqlite/b", "Not a directory")],
    )
    def test_where_it_cannot_be_written_is_told(self, old: Path, tmp_path: Path, target: str, reason: str) -> None:
        with pytest.raises(BookError) as refused, copied(old, tmp_path / target):
            pass
        assert refused.value.message == f"{tmp_path / target} cannot be written: {reason}."

    def test_a_book_that_somebody_has_locked_is_told(
        self, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backup, "BUSY_TIMEOUT_S", 0.1)
        with closing(sqlite3.connect(old, isolation_level=None)) as other:
            other.execute("PRAGMA journal_mode=DELETE")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(BookError, match="cannot be read: another process has it locked"):
                restore(old, tmp_path / "backup.sqlite")
        assert names(tmp_path) == ["home"]

    @pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
    def test_the_book_s_own_files_are_none_to_copy_to(self, old: Path, suffix: str) -> None:
        with pytest.raises(UsageError, match="belongs to the book itself"):
            refuse_own(Path(f"{old}{suffix}"), old)

    def test_nor_are_they_by_another_name(self, old: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(old)
        (tmp_path / "second").hardlink_to(old)
        (tmp_path / "folder").symlink_to(old.parent)
        for name in ("link", "second", "home/../home/book.sqlite", "folder/book.sqlite-wal"):
            with pytest.raises(UsageError, match="belongs to the book itself"):
                refuse_own(tmp_path / name, old)
        refuse_own(tmp_path / "backup.sqlite", old)


class TestOtherSchemas:
    @pytest.fixture
    def first(self, tmp_path: Path) -> Path:
        """A book as the first tallybook made it, without a day."""
        engine = create_engine(parse_book_url(f"sqlite:///{tmp_path}/first.sqlite"))
        with writing(engine) as connection:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            identity = {
                "id": 1,
                "book_id": "6f0e9c3a-1d2b-4c5d-8e7f-0a1b2c3d4e5f",
                "created_at": "2026-11-23T01:00:00Z",
            }
            connection.execute(sa.insert(metadata.tables["book"]).values(identity))
        engine.dispose()
        return tmp_path / "first.sqlite"

    def test_an_older_book_is_verified_and_copied_as_it_is(self, first: Path, tmp_path: Path) -> None:
        with copied(first, tmp_path / "backup.sqlite") as copy:
            before = copy.read_bytes()
            assert read(copy) == []
            assert copy.read_bytes() == before
            with closing(sqlite3.connect(copy)) as connection:
                assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert names(tmp_path) == ["first.sqlite"]

    def test_an_older_book_that_is_restored_is_migrated_when_it_is_opened(self, first: Path, old: Path) -> None:
        restore(first, old)
        book = Book.open(f"sqlite:///{old}", NOW)
        assert fetch(book, "SELECT version_num FROM alembic_version") == [(HEAD,)]
        assert book.append("local", empty_content(YESTERDAY), NOW).seq == 1
        assert verify_book(book).verdict == "intact"
        book.close()

    def test_a_newer_book_is_refused(self, old: Path, tmp_path: Path) -> None:
        book = Book.open(f"sqlite:///{old}", NOW)
        tamper(book, "UPDATE alembic_version SET version_num = '9999'")
        book.close()
        with copied(old, tmp_path / "backup.sqlite") as copy, pytest.raises(BookTooNew, match="newer tallybook"):
            read(copy)


class TestReplacing:
    def test_the_book_is_what_the_backup_was_and_the_old_one_is_kept(self, old: Path, new: Path) -> None:
        before = old.read_bytes()
        aside = restore(new, old)
        assert aside == old.with_name(ASIDE)
        assert names(old.parent) == ["book.sqlite", ASIDE]
        assert (read(old), read(aside)) == (NEW, OLD)
        assert len(aside.read_bytes()) == len(before)
        assert old.stat().st_mode & 0o777 == 0o600

    def test_the_book_goes_on_from_there(self, old: Path, new: Path) -> None:
        restore(new, old)
        book = Book.open(f"sqlite:///{old}", NOW)
        assert book.append("local", empty_content(YESTERDAY), NOW).seq == 2
        assert verify_book(book).verdict == "intact"
        with pytest.raises(IntegrityError, match="a closed day is never changed"), book._engine.begin() as connection:
            connection.execute(sa.text("UPDATE closings SET records = 7"))
        book.close()

    def test_what_was_kept_can_be_restored_in_its_turn_within_the_same_second(self, old: Path, new: Path) -> None:
        aside = restore(new, old)
        assert aside
        assert restore(aside, old) == old.with_name(f"{ASIDE}-2")
        assert (read(old), read(aside), read(old.with_name(f"{ASIDE}-2"))) == (OLD, OLD, NEW)

    def test_where_there_is_no_book_nothing_is_kept(self, new: Path, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        assert restore(new, tmp_path / "home" / "book.sqlite") is None
        assert names(tmp_path / "home") == ["book.sqlite"]
        assert read(tmp_path / "home" / "book.sqlite") == NEW

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
    def test_it_is_its_owner_s_whoever_restores(self, old: Path, new: Path) -> None:
        os.chown(old, 65534, 65533)
        restore(new, old)
        assert (old.stat().st_uid, old.stat().st_gid) == (65534, 65533)
        old.unlink()
        os.chown(old.parent, 1234, 1235)
        restore(new, old)
        assert (old.stat().st_uid, old.stat().st_gid) == (1234, 1235)

    def test_on_a_disk_without_second_names_it_is_moved(
        self, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
        assert restore(new, old) == old.with_name(ASIDE)
        assert names(old.parent) == ["book.sqlite", ASIDE]
        assert (read(old), read(old.with_name(ASIDE))) == (NEW, OLD)
        shutil.rmtree(old.parent)
        old.parent.mkdir()
        assert restore(new, old) is None
        assert names(old.parent) == ["book.sqlite"]


WRITER = """
import os, sys
sys.path[:0] = sys.argv[2:]
from datetime import date
from stories import NOW
from tallybook.book.ledger import Book
from tallybook.content import empty_content
book = Book.open(f"sqlite:///{sys.argv[1]}", NOW)
for day in (23, 24):
    book.append("local", empty_content(date(2026, 11, day)), NOW)
os.kill(os.getpid(), 9)
"""
LATER = [*OLD, ("2026-11-23", "zero", 0), ("2026-11-24", "zero", 0)]


def leave_wal(book: Path) -> None:
    """Closes two more days and dies, so that they are only in the book's -wal."""
    tests = str(Path(__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", WRITER, str(book), tests], check=False).returncode == -signal.SIGKILL
    assert Path(f"{book}-wal").stat().st_size > 0


class TestWhatLiesBesideTheBook:
    def test_days_that_are_only_in_its_wal_are_kept_and_do_not_reach_the_restored_book(
        self, old: Path, new: Path
    ) -> None:
        leave_wal(old)
        aside = restore(new, old)
        assert aside
        assert names(old.parent) == ["book.sqlite", ASIDE]
        assert (read(old), read(aside)) == (NEW, LATER)

    def test_they_are_in_a_copy(self, old: Path, tmp_path: Path) -> None:
        leave_wal(old)
        with copied(old, tmp_path / "backup.sqlite") as copy:
            assert read(copy) == LATER

    def test_a_wal_whose_book_is_gone_is_put_aside(self, old: Path, new: Path) -> None:
        leave_wal(old)
        old.unlink()
        assert restore(new, old) is None
        assert names(old.parent) == ["book.sqlite", f"{ASIDE}-shm", f"{ASIDE}-wal"]
        assert read(old) == NEW

    def test_a_book_that_is_no_database_any_more_is_kept_as_it_is(self, old: Path, new: Path) -> None:
        old.write_bytes(b"mould" * 1000)
        assert restore(new, old) == old.with_name(ASIDE)
        assert names(old.parent) == ["book.sqlite", ASIDE]
        assert old.with_name(ASIDE).read_bytes() == b"mould" * 1000
        assert read(old) == NEW

    def test_one_that_is_damaged_within_is_kept_too(self, old: Path, new: Path) -> None:
        leave_wal(old)
        with old.open("r+b") as file:
            file.seek(4096)
            file.write(b"mould" * 1000)
        assert restore(new, old) == old.with_name(ASIDE)
        assert read(old) == NEW
        assert b"mould" * 100 in old.with_name(ASIDE).read_bytes()


HOLDERS = {
    "reads": ("PRAGMA journal_mode=WAL", "BEGIN", "SELECT * FROM closings"),
    "writes": ("PRAGMA journal_mode=WAL", "BEGIN IMMEDIATE"),
    "is idle": ("PRAGMA journal_mode=WAL", "SELECT * FROM closings"),
    "writes without a -wal": ("PRAGMA journal_mode=DELETE", "BEGIN IMMEDIATE"),
    "reads without a -wal": ("PRAGMA journal_mode=DELETE", "BEGIN", "SELECT * FROM closings"),
}
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""
LATECOMER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
print("ready", flush=True)
while True:
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        print("it may write")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            time.sleep(0.01)
            continue
        print(error)
    break
"""


@contextmanager
def another(program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, at the point where it says that it is ready; ended with this."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.communicate()


class TestOtherProcesses:
    @pytest.mark.parametrize("statements", HOLDERS.values(), ids=HOLDERS)
    def test_while_one_has_the_book_open_nothing_is_restored(
        self, old: Path, new: Path, statements: Sequence[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backup, "LOCK_TIMEOUT_S", 0.1)
        with another(HOLDER, str(old), *statements):
            found = names(old.parent)
            with pytest.raises(UsageError, match=r"Another process has .*book\.sqlite open\."):
                restore(new, old)
            assert names(old.parent) == found
        assert read(old) == OLD
        assert restore(new, old)

    def test_one_that_came_too_late_may_not_write_and_leaves_nothing_beside_the_restored_book(
        self, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late: list[Any] = []

        def take_owner(copy: Path, like: Path) -> None:
            late.append(another(LATECOMER, str(old)))
            late.append(late[0].__enter__())

        monkeypatch.setattr(backup, "_take_owner", take_owner)
        aside = restore(new, old)
        assert late[1].communicate(timeout=30)[0] == "attempt to write a readonly database\n"
        assert names(old.parent) == ["book.sqlite", ASIDE]
        assert aside
        assert (read(old), read(aside)) == (NEW, OLD)

    def test_one_that_comes_between_two_of_our_steps_is_noticed(
        self, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with closing(sqlite3.connect(old)) as other:

            class Disturbed(sqlite3.Connection):
                def execute(self, sql: str, *_: Any) -> sqlite3.Cursor:
                    if sql == "BEGIN EXCLUSIVE":
                        other.execute("PRAGMA journal_mode=WAL")
                    return super().execute(sql)

            def connect(file: Path, _timeout_s: float) -> sqlite3.Connection:
                return sqlite3.connect(file, isolation_level=None, factory=Disturbed)

            monkeypatch.setattr(backup, "_connect", connect)
            with pytest.raises(UsageError, match="Another process has"):
                restore(new, old)
        assert names(old.parent) == ["book.sqlite"]
        assert read(old) == OLD

    def test_a_book_that_one_makes_meanwhile_is_not_lost(
        self, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        book = tmp_path / "home" / "book.sqlite"
        book.parent.mkdir()
        monkeypatch.setattr(backup, "_take_owner", lambda *_: write(book, 3))
        with pytest.raises(BookError, match=r"book\.sqlite cannot be written: File exists"):
            restore(new, book)
        assert names(book.parent) == ["book.sqlite"]
        assert read(book) == OLD


STEPS = ("open", "os.chown", "os.link", "os.remove", "os.rename", "sqlite3.connect")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Whether the work was killed before its step of that number; it was done if it has fewer. In a process of its own."""
    if (child := os.fork()) == 0:
        left = [step]

        def count(event: str, _arguments: Any) -> None:
            left[0] -= event in STEPS
            if event in STEPS and left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it was, it was no kill
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return bool(status)


def test_killed_at_any_step_either_book_is_in_place_and_none_is_lost(old: Path, new: Path, tmp_path: Path) -> None:
    leave_wal(old)
    in_place = []
    for step in range(100):
        book = tmp_path / f"{step}" / "book.sqlite"
        shutil.copytree(old.parent, book.parent)
        was_killed = killed_at(step, lambda book=book: restore(new, book))  # type: ignore[misc]
        with copied(book, tmp_path / "seen.sqlite") as copy:
            in_place.append(read(copy))
        kept = [path for path in book.parent.iterdir() if re.fullmatch(re.escape(ASIDE), path.name)]
        if in_place[-1] == NEW:
            assert [read(path) for path in kept] == [LATER]
            assert not Path(f"{book}-wal").exists()
        assert restore(new, book)
        assert read(book) == NEW
        if not was_killed:
            break
    assert not was_killed
    assert in_place == sorted(in_place, key=[LATER, NEW].index)
    assert in_place.count(LATER) > 5
    assert in_place.count(NEW) > 2


class TestPostgreSQL:
    URL = "postgresql://tally:s3cret@db.example.com:5433/llm?sslmode=require&password=s3cret"
    FLAGS = "--clean --if-exists --single-transaction"
    SHOWN = "'postgresql://tally@db.example.com:5433/llm?sslmode=require'"

    @pytest.mark.parametrize(
        ("command", "line"),
        [
            ("backup", f"Run `pg_dump --format=custom --file='my book' {SHOWN}`."),
            (
                "restore",
                f"Stop its servers and run, as the owner of its tables, `pg_restore {FLAGS} --dbname={SHOWN} 'my book'`.",
            ),
        ],
    )
    def test_it_has_commands_of_its_own_which_are_told_without_the_password(self, command: str, line: str) -> None:
        with pytest.raises(UsageError) as refused:
            book_file(self.URL, command, Path("my book"))
        assert refused.value.message == "The book is in PostgreSQL, which has a command of its own."
        assert refused.value.remedy == line
