from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from stories import NOW, facts, put, record, tamper
from tallybook.anchoring.anchor import Anchor, format_anchor, read_anchors
from tallybook.book.ledger import Book
from tallybook.content import empty_content
from tallybook.errors import UnreadableFile
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import MEASURE_NAMES
from tallybook.verification import Fault, verify_book

FIRST = date(2026, 11, 20)


@pytest.fixture
def closed(book: Book, logs: LogStore) -> Book:
    """A book of three days: two with records, and one without between them."""
    put(
        logs,
        record("11-20 10:00", "a", 200, provider="p", tokens_in=5, tokens_out=7, latency_ms=100, cost_nanousd=9),
        record("11-20 11:00", "b", 500, provider="p", team="t", latency_ms=900, ttft_ms=3),
        record("11-22 12:00", "a", 200, provider="p", tokens_in=1, latency_ms=100),
    )
    DailyStatsJob(book, [logs]).run_once(NOW)
    assert facts(book) == [("2026-11-20", "closed", 2), ("2026-11-21", "zero", 0), ("2026-11-22", "closed", 1)]
    return book


def anchors(book: Book) -> list[Anchor]:
    return [Anchor(closing.seq, closing.chain) for closing in book.closings()]


def test_an_empty_book_is_intact(book: Book) -> None:
    verification = verify_book(book)
    assert verification.as_json() == {
        "verdict": "intact",
        "closings": 0,
        "adjustments": 0,
        "head": None,
        "anchored": False,
        "anchored_through": None,
        "faults": [],
        "unguarded": [],
        "strangers": [],
    }


def test_a_book_as_it_was_written_is_intact_and_anchored_only_when_anchors_were_given(closed: Book) -> None:
    head = closed.closings()[-1].chain
    assert verify_book(closed).as_json() == {
        "verdict": "intact",
        "closings": 3,
        "adjustments": 0,
        "head": head,
        "anchored": False,
        "anchored_through": None,
        "faults": [],
        "unguarded": [],
        "strangers": [],
    }
    assert verify_book(closed, []).anchored is False
    verification = verify_book(closed, anchors(closed))
    assert (verification.verdict, verification.anchored, verification.head) == ("intact", True, head)


DAY_20 = "2026-11-20"
OF_DAY_20 = "WHERE date = '2026-11-20'"


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        (f"UPDATE daily_stats SET tokens_in = tokens_in + 1 {OF_DAY_20}", "daily_slices"),
        (f"UPDATE daily_stats SET tokens_in = tokens_in + 1 {OF_DAY_20}", "closings"),
        (f"UPDATE daily_stats SET requests = 3 {OF_DAY_20}", "daily_stats"),
        (f"UPDATE daily_stats SET top_models = '[]' {OF_DAY_20}", "closings"),
        (f"UPDATE daily_stats SET dimensions = '[\"model\"]' {OF_DAY_20}", "daily_slices"),
        (f"UPDATE daily_stats SET histogram = '[[1,2]]' {OF_DAY_20}", "daily_stats"),
        (f"UPDATE daily_stats SET created_at = '2026-11-23T01:00:01Z' {OF_DAY_20}", "daily_stats"),
        (f"UPDATE daily_slices SET tokens_out = 8 {OF_DAY_20} AND position = 0", "daily_slices"),
        (f"UPDATE daily_slices SET model = 'c' {OF_DAY_20} AND position = 1", "closings"),
        (f"UPDATE daily_slices SET team = '' {OF_DAY_20} AND position = 0", "closings"),
        (f"DELETE FROM daily_slices {OF_DAY_20} AND position = 1", "daily_slices"),
        (f"UPDATE daily_histograms SET provider = 'q' {OF_DAY_20} AND position = 0", "closings"),
        (f"UPDATE daily_histograms SET histogram = '[[101,1]]' {OF_DAY_20} AND position = 0", "daily_stats"),
        (f"DELETE FROM daily_histograms {OF_DAY_20}", "daily_stats"),
        ("UPDATE closings SET records = 3 WHERE day = '2026-11-20'", "closings"),
        ("UPDATE closings SET fingerprint = '{}' WHERE day = '2026-11-20'", "closings"),
        ("UPDATE closings SET state = 'zero' WHERE day = '2026-11-20'", "closings"),
        ("UPDATE closings SET closed_at = '2026-11-23T01:00:01Z' WHERE day = '2026-11-20'", "closings"),
        ("UPDATE closings SET payload_version = 1 WHERE day = '2026-11-20'", "closings"),
        (f"UPDATE closings SET digest = '{'0' * 64}' WHERE day = '2026-11-20'", "closings"),
        (f"UPDATE closings SET chain = '{'0' * 64}' WHERE day = '2026-11-20'", "closings"),
        (f"UPDATE closings SET prev_chain = '{'0' * 64}' WHERE day = '2026-11-20'", "closings"),
    ],
)
def test_one_changed_field_is_altered_and_the_table_and_day_are_named(closed: Book, statement: str, table: str) -> None:
    tamper(closed, statement)
    verification = verify_book(closed, anchors(closed))
    assert verification.verdict == "altered"
    assert (table, DAY_20) in {(fault.table, fault.day) for fault in verification.faults}
    assert {fault.source for fault in verification.faults} <= {"local", None}


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE daily_stats SET top_models = 'garbage' {OF_DAY_20}",
        f"UPDATE daily_stats SET top_models = '[{{\"model\": 5}}]' {OF_DAY_20}",
        f"UPDATE daily_stats SET dimensions = '[\"nonsense\"]' {OF_DAY_20}",
        f"UPDATE daily_stats SET dimensions = '5' {OF_DAY_20}",
        f"UPDATE daily_stats SET dimensions = '[[]]' {OF_DAY_20}",
        f"UPDATE daily_histograms SET histogram = '{{' {OF_DAY_20} AND position = 0",
        f"UPDATE daily_histograms SET histogram = '[[1]]' {OF_DAY_20} AND position = 0",
        "UPDATE closings SET day = 'someday' WHERE seq = 1",
    ],
)
def test_what_cannot_even_be_read_is_unreadable_and_its_row_and_field_are_named(closed: Book, statement: str) -> None:
    tamper(closed, statement)
    verification = verify_book(closed)
    fault = verification.faults[0]
    assert (verification.verdict, fault.verdict) == ("unreadable", "unreadable")
    assert fault.table == statement.split()[1]
    assert fault.field == statement.split()[3]


def test_every_measure_of_every_row_counts(closed: Book) -> None:
    for table in ("daily_stats", "daily_slices"):
        for column in MEASURE_NAMES:
            tamper(closed, f"UPDATE {table} SET {column} = {column} + 1 WHERE date = '2026-11-22'")
            verification = verify_book(closed)
            assert verification.verdict == "altered", (table, column)
            assert {fault.day for fault in verification.faults} == {"2026-11-22"}
            tamper(closed, f"UPDATE {table} SET {column} = {column} - 1 WHERE date = '2026-11-22'")
    assert verify_book(closed).verdict == "intact"


def test_a_measure_that_is_no_number_is_unreadable(tmp_path: Path, logs: LogStore) -> None:
    book = Book.open(f"sqlite:///{tmp_path}/untyped.sqlite", NOW)
    put(logs, record("11-22 10:00"))
    DailyStatsJob(book, [logs]).run_once(NOW)
    tamper(book, "UPDATE daily_slices SET requests = 'many'")
    verification = verify_book(book)
    assert verification.verdict == "unreadable"
    assert [(fault.table, fault.field, fault.fault) for fault in verification.faults] == [
        ("daily_slices", "requests", "requests holds no whole number but 'many'")
    ]
    book.close()


def test_the_order_of_slices_is_part_of_the_day(closed: Book) -> None:
    tamper(closed, f"UPDATE daily_slices SET position = 9 {OF_DAY_20} AND position = 0")
    assert verify_book(closed).verdict == "missing"
    tamper(
        closed,
        f"UPDATE daily_slices SET position = 0 {OF_DAY_20} AND position = 1",
        f"UPDATE daily_slices SET position = 1 {OF_DAY_20} AND position = 9",
    )
    verification = verify_book(closed)
    assert verification.verdict == "altered"
    assert {(fault.table, fault.field, fault.day) for fault in verification.faults} == {("closings", "digest", DAY_20)}


def test_a_day_without_its_daily_stat_is_missing(closed: Book) -> None:
    tamper(closed, f"DELETE FROM daily_stats {OF_DAY_20}")
    verification = verify_book(closed)
    assert verification.verdict == "missing"
    assert [(fault.table, fault.day, fault.fault) for fault in verification.faults] == [
        ("daily_stats", DAY_20, "the day has no daily stat")
    ]


@pytest.mark.parametrize(
    "table",
    ["daily_stats", "daily_slices", "daily_histograms"],
)
def test_a_row_of_a_day_that_was_never_closed_is_altered(closed: Book, table: str) -> None:
    columns = {
        "daily_stats": "top_models, dimensions, histogram, created_at, " + ", ".join(MEASURE_NAMES),
        "daily_slices": "position, model, provider, team, api_key, " + ", ".join(MEASURE_NAMES),
        "daily_histograms": "position, provider, model, histogram",
    }[table]
    tamper(
        closed,
        f"INSERT INTO {table} (source, date, {columns}) SELECT source, '2026-11-19', {columns} FROM {table} {OF_DAY_20}",
    )
    verification = verify_book(closed)
    assert verification.verdict == "altered"
    assert [(fault.table, fault.day, fault.fault) for fault in verification.faults] == [
        (table, "2026-11-19", "belongs to no closing")
    ]


def test_a_row_under_a_zero_day_is_altered(closed: Book) -> None:
    tamper(
        closed,
        "INSERT INTO daily_histograms (source, date, position, histogram) VALUES ('local', '2026-11-21', 0, '[]')",
    )
    assert "2026-11-21" in {fault.day for fault in verify_book(closed).faults}


def test_a_closing_taken_out_of_the_middle_breaks_the_chain(closed: Book) -> None:
    tamper(closed, "DELETE FROM closings WHERE seq = 2")
    verification = verify_book(closed)
    assert verification.verdict == "missing"
    assert [(fault.seq, fault.day, fault.fault) for fault in verification.faults] == [
        (3, "2026-11-22", "the sequence goes on with 3 where 2 was due"),
    ]


def test_two_closings_exchanged_break_the_chain(closed: Book) -> None:
    tamper(
        closed,
        "UPDATE closings SET seq = 9 WHERE seq = 1",
        "UPDATE closings SET seq = 1 WHERE seq = 2",
        "UPDATE closings SET seq = 2 WHERE seq = 9",
    )
    assert verify_book(closed).verdict == "altered"


@pytest.mark.parametrize("changed", ["book_id = 'another'", "created_at = '2026-11-01T00:00:00Z'"])
def test_another_identity_is_blamed_and_not_the_first_entry_whose_own_link_is_right(closed: Book, changed: str) -> None:
    tamper(closed, f"UPDATE book SET {changed}")
    assert verify_book(closed).faults == (
        Fault("altered", "book", "the first entry is not linked to this identity", 1, "local", DAY_20),
    )


def test_a_first_entry_that_is_linked_to_nothing_is_blamed_itself(closed: Book) -> None:
    tamper(closed, f"UPDATE closings SET prev_chain = '{'0' * 64}' WHERE seq = 1")
    assert [(fault.table, fault.field, fault.seq) for fault in verify_book(closed).faults] == [
        ("closings", "prev_chain", 1),
        ("closings", "prev_chain", 1),
    ]


def test_a_field_that_is_put_back_to_what_an_entry_beside_has_is_named(closed: Book) -> None:
    tamper(closed, "UPDATE closings SET prices = '[\"free\"]' WHERE seq = 2")
    assert [(fault.table, fault.field, fault.seq) for fault in verify_book(closed).faults] == [
        ("closings", "prices", 2)
    ]


def test_a_field_is_not_named_where_no_entry_beside_tells_what_it_was(tmp_path: Path) -> None:
    """Nor do bytes that are no text, in the entry beside, keep the rest from being told."""
    book = Book.open(f"sqlite:///{tmp_path}/book.sqlite", NOW)
    for day in (20, 21):
        book.append("local", empty_content(date(2026, 11, day)), NOW, ("genai-prices 1",))
    tamper(
        book,
        "UPDATE closings SET prices = '[]' WHERE seq = 1",
        "UPDATE closings SET prices = CAST(x'ff' AS TEXT) WHERE seq = 2",
    )
    book.close()
    book = Book.open_to_verify(f"sqlite:///{tmp_path}/book.sqlite")
    assert [(fault.verdict, fault.field, fault.seq) for fault in verify_book(book).faults] == [
        ("altered", None, 1),
        ("unreadable", "prices", 2),
    ]
    book.close()


def drop_last_day(book: Book) -> None:
    for table in ("daily_stats", "daily_slices", "daily_histograms"):
        tamper(book, f"DELETE FROM {table} WHERE date = '2026-11-22'")
    tamper(book, "DELETE FROM closings WHERE seq = 3")


def test_a_truncated_book_is_consistent_but_an_anchor_tells(closed: Book) -> None:
    exported = anchors(closed)
    drop_last_day(closed)
    assert verify_book(closed).verdict == "intact"
    verification = verify_book(closed, exported)
    assert verification.verdict == "truncated"
    assert [(fault.seq, fault.fault) for fault in verification.faults] == [(3, "anchored, but no longer in the book")]


def test_a_book_truncated_and_resealed_is_forked(closed: Book, logs: LogStore) -> None:
    exported = anchors(closed)
    drop_last_day(closed)
    put(logs, record("11-22 13:00", "forged", 200, tokens_in=1_000_000))
    DailyStatsJob(closed, [logs]).run_once(NOW)
    assert verify_book(closed).verdict == "intact"
    verification = verify_book(closed, exported)
    assert verification.verdict == "forked"
    assert [(fault.seq, fault.fault) for fault in verification.faults] == [(3, "differs from the anchored head")]


def test_an_old_copy_put_back_is_truncated(tmp_path: Path, logs: LogStore) -> None:
    file = tmp_path / "book.sqlite"
    book = Book.open(f"sqlite:///{file}", NOW)
    put(logs, record("11-20 10:00"))
    list(DailyStatsJob(book, [logs]).backfill_range(FIRST, FIRST, NOW))
    book.close()
    shutil.copy(file, tmp_path / "old.sqlite")
    book = Book.open(f"sqlite:///{file}", NOW)
    DailyStatsJob(book, [logs]).run_once(NOW)
    exported = anchors(book)
    book.close()
    old = Book.open(f"sqlite:///{tmp_path}/old.sqlite", NOW)
    assert verify_book(old, exported).verdict == "truncated"
    old.close()


def test_anchors_are_lines_of_seq_chain_and_time(closed: Book, tmp_path: Path) -> None:
    file = tmp_path / "anchors.log"
    file.write_text("".join(format_anchor(head) for head in closed.heads()) + "\n")
    assert file.read_text().splitlines()[0] == f"1 {closed.closings()[0].chain} 2026-11-23T01:00:00Z"
    assert read_anchors(file) == anchors(closed)
    assert verify_book(closed, read_anchors(file)).as_json()["anchored"] is True


@pytest.mark.parametrize("text", ["", "\n", "hello", "1 abc\n", "1 " + "0" * 64 + "\nrubbish\n", "1 " + "G" * 64, "é"])
def test_a_file_without_anchors_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "anchors.log"
    file.write_text(text)
    with pytest.raises(UnreadableFile):
        read_anchors(file)


def test_a_file_of_anchors_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_anchors(tmp_path / "none.log")
