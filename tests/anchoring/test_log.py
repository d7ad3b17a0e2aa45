from __future__ import annotations

import random
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchoring.disk import largest_file
from anchoring.heads import book_of, format_heads, head, heads, told
from stories import NOW, put, record
from tallybook.anchoring.anchor import Anchor, format_anchor, read_anchors
from tallybook.anchoring.log import AnchorLog, Kept, NotAnchored
from tallybook.book.ledger import Book
from tallybook.errors import UnreadableFile
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore

TESTS = Path(__file__).parents[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "anchors.log"


@pytest.fixture
def log(file: Path) -> AnchorLog:
    return AnchorLog(file)


def test_the_heads_of_a_book_are_kept_as_it_grows(book: Book, logs: LogStore, file: Path, log: AnchorLog) -> None:
    def entries(after_seq: int) -> list[Anchor]:
        return [Anchor(each.seq, each.chain, each.closed_at) for each in book.closings(after_seq=after_seq)]

    assert log.keep(entries) == Kept(())
    put(logs, record("11-20 10:00"), record("11-22 12:00"))
    DailyStatsJob(book, [logs]).run_once(NOW)
    first, second, third = book.closings()
    assert log.keep(entries).appended == tuple(entries(0))
    assert file.read_text() == (
        f"1 {first.chain} 2026-11-23T01:00:00Z\n"
        f"2 {second.chain} 2026-11-23T01:00:00Z\n"
        f"3 {third.chain} 2026-11-23T01:00:00Z\n"
    )
    assert log.keep(entries) == Kept(())


def test_a_file_of_two_histories_says_so_for_good(file: Path, log: AnchorLog) -> None:
    assert log.forked() is None
    log.keep(book_of(heads(1, 3)))
    assert log.forked() is None
    rewritten = [*heads(1, 2), Anchor(3, "f" * 64, "2026-11-25T00:00:00Z")]
    assert log.keep(book_of(rewritten)).conflict is not None
    assert log.keep(book_of(rewritten)) == Kept(())
    assert AnchorLog(file).forked() == log.forked() == f"{file} holds two histories of the book, from entry 3 on."


def test_what_is_in_the_file_is_not_written_again(file: Path, log: AnchorLog) -> None:
    assert log.keep(book_of(heads(1, 3))).appended == tuple(heads(1, 3))
    written = file.read_bytes()
    assert log.keep(book_of(heads(1, 3))) == Kept(())
    assert file.read_bytes() == written
    assert log.keep(book_of(heads(1, 5))) == Kept((head(4), head(5)))
    assert told(read_anchors(file)) == told(heads(1, 5))


def test_only_its_owner_can_read_the_file(file: Path, log: AnchorLog) -> None:
    log.keep(book_of([head(1)]))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_last_head_and_those_after_a_head(file: Path, log: AnchorLog) -> None:
    assert (log.last(), log.after(None), log.after(head(1))) == (None, [], [])
    assert not file.exists()
    log.keep(book_of(heads(1, 4)))
    assert log.last() == head(4)
    assert (log.after(head(2)), log.after(head(4)), log.after(None)) == (heads(3, 4), [], heads(1, 4))


def test_after_a_head_that_the_file_does_not_hold_come_all(log: AnchorLog) -> None:
    log.keep(book_of(heads(1, 2)))
    assert log.after(head(2, "another history")) == heads(1, 2)


def test_heads_that_are_added_are_in_it_once(file: Path, log: AnchorLog) -> None:
    assert log.add([head(2), head(3)]) == (head(2), head(3))
    assert log.add(heads(1, 4)) == (head(1), head(4))
    assert read_anchors(file) == [head(2), head(3), head(1), head(4)]


class TestAnotherHistory:
    def test_a_book_that_was_rewritten_is_written_beside_what_it_was(self, file: Path, log: AnchorLog) -> None:
        log.keep(book_of(heads(1, 4)))
        rewritten = [*heads(1, 2), *heads(3, 4, "b")]
        kept = log.keep(book_of(rewritten))
        assert kept.appended == tuple(heads(3, 4, "b"))
        assert kept.conflict == f"Entry 3 of the book is not the one that {file} holds."
        assert told(read_anchors(file)) == told([*heads(1, 4), *heads(3, 4, "b")])

    def test_what_the_book_becomes_then_is_kept_too(self, file: Path, log: AnchorLog) -> None:
        log.keep(book_of(heads(1, 4)))
        log.keep(book_of(heads(1, 2, "b")))
        assert log.keep(book_of(heads(1, 3, "b"))) == Kept((head(3, "b"),))
        assert read_anchors(file) == [*heads(1, 4), *heads(1, 3, "b")]

    def test_a_rewritten_book_that_is_longer_than_the_file_is_no_less_a_conflict(
        self, file: Path, log: AnchorLog
    ) -> None:
        log.keep(book_of(heads(1, 2)))
        kept = log.keep(book_of([head(1), *heads(2, 9, "b")]))
        assert kept == Kept(tuple(heads(2, 9, "b")), f"Entry 2 of the book is not the one that {file} holds.")

    @pytest.mark.parametrize("end", [0, 2])
    def test_a_book_that_ends_earlier_is_told_each_time_and_nothing_is_written(
        self, file: Path, log: AnchorLog, end: int
    ) -> None:
        log.keep(book_of(heads(1, 4)))
        for _ in range(2):
            kept = log.keep(book_of(heads(1, end)))
            assert kept == Kept((), f"The book ends before entry {end + 1}, which {file} holds.")
        assert read_anchors(file) == heads(1, 4)

    def test_a_book_that_comes_back_goes_on_where_the_file_lacks_it(self, file: Path, log: AnchorLog) -> None:
        log.keep(book_of(heads(1, 3)))
        log.keep(book_of([head(1), *heads(2, 3, "b")]))
        kept = log.keep(book_of(heads(1, 5)))
        assert kept == Kept((head(4), head(5)), f"Entry 2 of the book is not the one that {file} holds.")
        assert log.keep(book_of(heads(1, 6))) == Kept((head(6),))
        assert read_anchors(file) == [*heads(1, 3), *heads(2, 3, "b"), *heads(4, 6)]

    def test_what_follows_a_head_is_what_stands_below_it_whatever_its_seq(self, log: AnchorLog) -> None:
        log.keep(book_of(heads(1, 4)))
        log.keep(book_of([head(1), *heads(2, 3, "b")]))
        assert log.after(head(4)) == heads(2, 3, "b")
        assert log.after(head(3)) == [head(4), *heads(2, 3, "b")]


class TestOnlyTheEndIsRead:
    def test_of_the_book(self, log: AnchorLog) -> None:
        asked = []

        def entries(after_seq: int) -> list[Anchor]:
            asked.append(after_seq)
            return book_of(heads(1, len(asked)))(after_seq)

        for _ in range(4):
            assert log.keep(entries).conflict is None
        assert asked == [0, 0, 1, 2]

    def test_of_a_file_however_long(self, file: Path, log: AnchorLog) -> None:
        with file.open("w") as written:
            written.writelines(f"{seq} {'0' * 64} 2026-11-23T01:00:00Z\n" for seq in range(1, 100_000))
        log.add([head(100_000)])
        assert file.stat().st_size > 9_000_000
        before = bytes_read()
        assert log.keep(book_of(heads(100_000, 100_001))) == Kept((head(100_001),))
        assert log.last() == head(100_001)
        assert log.after(head(100_001)) == []
        assert bytes_read() - before < 50_000


def bytes_read() -> int:
    """How many bytes this process has read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


class TestTorn:
    def test_a_last_line_that_is_torn_is_taken_away_and_written_anew(self, file: Path, log: AnchorLog) -> None:
        whole = format_heads(heads(1, 2))
        lost = format_anchor(head(3))
        for length in range(1, len(lost)):
            file.write_text(whole + lost[:length])
            assert read_anchors(file)[:2] == heads(1, 2)
            assert (log.last(), log.after(head(1))) == (head(2), [head(2)])
            log.keep(book_of(heads(1, 3)))
            assert file.read_text() == whole + lost, length

    def test_one_that_lacks_but_its_end_stays_even_where_the_book_lost_it(self, file: Path, log: AnchorLog) -> None:
        file.write_text(format_anchor(head(1)) + format_anchor(head(2)).rstrip("\n"))
        assert log.keep(book_of([head(1)])).conflict == f"The book ends before entry 2, which {file} holds."
        assert file.read_text() == format_anchor(head(1)) + format_anchor(head(2))

    @pytest.mark.parametrize("torn", ["1", "\0" * 20_000, "x" * 20_000])
    def test_whatever_a_power_cut_leaves_below_the_last_line(self, file: Path, log: AnchorLog, torn: str) -> None:
        for whole in ("", format_heads(heads(1, 200))):
            file.write_text(whole + torn)
            log.keep(book_of(heads(1, 201)))
            assert read_anchors(file) == heads(1, 201)

    def test_blank_lines_at_the_end_hide_nothing(self, file: Path, log: AnchorLog) -> None:
        log.keep(book_of(heads(1, 2)))
        with file.open("a") as written:
            written.write("\n" * 5000)
        assert log.keep(book_of(heads(1, 3))) == Kept((head(3),))

    def test_a_file_of_something_else_is_left_alone(self, file: Path, log: AnchorLog) -> None:
        file.write_text("hello\n")
        for call in (lambda: log.keep(book_of([head(1)])), log.last, lambda: log.after(None)):
            with pytest.raises(UnreadableFile) as refused:
                call()
            assert refused.value.message == f"The last line of {file} is no anchor."
        assert file.read_text() == "hello\n"

    def test_a_line_amiss_in_the_middle_is_named_when_all_are_needed(self, file: Path, log: AnchorLog) -> None:
        file.write_text(f"é\n{format_anchor(head(1))}")
        assert log.keep(book_of(heads(1, 2))) == Kept((head(2),))
        with pytest.raises(UnreadableFile, match=r"Line 1 of .* is no anchor"):
            log.after(None)


class TestThatCannotBeWritten:
    def test_a_full_disk_is_a_clear_error_and_later_it_succeeds(self, file: Path, log: AnchorLog) -> None:
        log.keep(book_of(heads(1, 2)))
        with largest_file(file.stat().st_size + 100), pytest.raises(NotAnchored) as refused:
            log.keep(book_of(heads(1, 4)))
        assert refused.value.message == f"The heads of the book cannot be written in {file}: File too large."
        assert refused.value.remedy == "Make room there or mend its permissions; what is missing is appended then."
        assert file.read_text() == format_heads(heads(1, 3)) + format_anchor(head(4))[:12]
        assert read_anchors(file) == heads(1, 3)
        assert log.keep(book_of(heads(1, 4))) == Kept((head(4),))
        assert read_anchors(file) == heads(1, 4)

    def test_a_folder_that_cannot_be_written_is_a_clear_error(self) -> None:
        program = (
            "import os, sys; from pathlib import Path; from tallybook.anchoring.log import AnchorLog, NotAnchored\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            "try: AnchorLog(Path(sys.argv[1]) / 'anchors.log').keep(lambda _: [])\n"
            "except NotAnchored as error: print(error.message)\n"
        )
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            Path(folder).chmod(0o555)
            ran = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
            Path(folder).chmod(0o755)
        assert ran.stdout == f"The heads of the book cannot be written in {folder}/anchors.log: Permission denied.\n"

    def test_nor_one_that_is_not_there_or_a_folder_in_its_place(self, tmp_path: Path) -> None:
        with pytest.raises(NotAnchored, match="No such file or directory"):
            AnchorLog(tmp_path / "none" / "anchors.log").keep(book_of([]))
        for call in (lambda: AnchorLog(tmp_path).keep(book_of([])), AnchorLog(tmp_path).last):
            with pytest.raises(NotAnchored, match="Is a directory"):
                call()


ONE_BY_ONE = """
import sqlite3, sys; from pathlib import Path
from anchoring.heads import head
from tallybook.anchoring.log import AnchorLog
book = sqlite3.connect(sys.argv[2], timeout=60, isolation_level=None)
def entries(after_seq):
    return [head(seq) for seq, in book.execute("SELECT seq FROM entries WHERE seq > ? ORDER BY seq", [after_seq])]
for _ in range(200):
    book.execute("INSERT INTO entries DEFAULT VALUES")
    assert AnchorLog(Path(sys.argv[1])).keep(entries).conflict is None
"""
IN_BIG_BATCHES = """
import sys; from pathlib import Path
from anchoring.heads import heads
from tallybook.anchoring.log import AnchorLog
log = AnchorLog(Path(sys.argv[1]))
begun = log.last().seq if log.last() else 0
book = heads(1, begun + 1000)
print("ready", flush=True)
for end in range(begun + 20, begun + 1001, 20):
    log.keep(lambda after_seq: book[after_seq:end])
"""


def started(program: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, cwd=TESTS)


def test_two_processes_that_close_days_of_one_book_at_once_write_each_head_once(tmp_path: Path, file: Path) -> None:
    with sqlite3.connect(tmp_path / "book") as book:
        book.execute("PRAGMA journal_mode = WAL")
        book.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY)")
    book.close()
    processes = [started(ONE_BY_ONE, str(file), str(tmp_path / "book")) for _ in range(2)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    assert read_anchors(file) == heads(1, 400)


def test_twenty_kills_in_the_middle_of_appending_leave_a_file_that_is_read_whole(file: Path) -> None:
    patience = random.Random(20261123)  # the same pauses every time
    lengths = [0]
    for _ in range(20):
        process = started(IN_BIG_BATCHES, str(file))
        assert process.stdout
        process.stdout.readline()
        time.sleep(patience.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        lengths.append(len(read_anchors(file)) if file.exists() and file.stat().st_size else 0)
        assert lengths[-1] >= lengths[-2]
    assert lengths[-1] > 0
    AnchorLog(file).keep(book_of(heads(1, lengths[-1] + 1)))
    assert told(read_anchors(file)) == told(heads(1, lengths[-1] + 1))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300)), max_size=20))
def test_in_whatever_steps_a_book_grows_and_lines_are_torn_each_head_is_in_the_file_once(
    steps: list[tuple[int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, end = Path(folder) / "anchors.log", 0
        for grown, torn in steps:
            with file.open("a") as written:
                written.write(format_heads(heads(end + 1, end + grown))[:torn])
            end += grown
            assert AnchorLog(file).keep(book_of(heads(1, end))).conflict is None
            assert file.read_text() == format_heads(heads(1, end))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), max_size=12))
def test_however_a_book_is_cut_and_rewritten_every_head_that_it_ever_showed_stays(
    acts: list[tuple[int, int, int]],
) -> None:
    """Each act cuts the book to so many entries, adds some, and now and then has one of three forgers write them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "anchors.log"
        log, book, shown = AnchorLog(file), list[Anchor](), list[Anchor]()
        for cut, added, forger in acts:
            history = f"{book[:cut]}{forger}"
            book = book[:cut] + heads(len(book[:cut]) + 1, len(book[:cut]) + added, history)
            last, kept = log.last(), log.keep(book_of(book))
            assert (kept.conflict is None) == (last is None or last in book)
            assert kept.appended == tuple(each for each in book if each not in shown)
            shown += kept.appended
            assert log.after(None) == shown
