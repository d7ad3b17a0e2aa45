"""Two verifiers that share no line, `tallybook verify` and tools/verify_book.py, say the same of every book.

The book is a real one. What is done to it is what the owner of its file can do: the guards are taken down, and the
tables are made anew without keys and NOT NULL, so that any value can be put anywhere.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

import databases
from gateways.looking import attached
from gateways.test_one_api import consumed, keep
from reliability.figures import report
from stories import ARRIVED, NOW, YESTERDAY, Record, put, record, stored, tamper, totals
from tallybook.adjusting import adjust_day
from tallybook.anchoring.anchor import Anchor, Parcel, format_anchor
from tallybook.book.chain import new_closing, next_link
from tallybook.book.day_rows import insert_day
from tallybook.book.engine import appending
from tallybook.book.entries import closing_row
from tallybook.book.ledger import Book
from tallybook.book.schema import closings, metadata
from tallybook.change import change_between
from tallybook.content import DayBuckets, DayContent, Slice, build_content, empty_content
from tallybook.digest import digest_day, genesis
from tallybook.errors import BookError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.prices import PriceList
from tallybook.source import DEFAULT_SLICING, Source
from tallybook.verification import Verification, verdict_on, verify_book

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "verify_book.py"
sys.path.append(str(TOOL.parent))
second: Any = importlib.import_module("verify_book")

TABLES = ("book", "closings", "daily_stats", "daily_slices", "daily_histograms", "adjustments")
SEALED = ("records", "fingerprint", "digest", "prev_chain", "chain")

Answer = dict[str, Any]


def day(number: int) -> date:
    """That day of November 2026."""
    return date(2026, 11, number)


# A book with everything in it


def priced(logs: LogStore, *records: Record) -> None:
    """Stores the records as a server does: with their costs, and what those were computed from."""
    table = PriceList.load().price(stored(records))
    by = ["genai-prices" if cost is not None else None for cost in table["cost_nanousd"].to_pylist()]
    logs.append(table.set_column(table.num_columns - 1, table.schema[-1], [by]), ARRIVED)


def close_as_before(book: Book, source: Source, *numbers: int) -> None:
    """Closes the days as the first tallybook did, in version 1 of the chain."""
    identity = book.identity()
    first = genesis(identity.book_id, identity.created_at, version=1)
    for content in source.contents([day(number) for number in numbers], DEFAULT_SLICING):
        with appending(book._engine) as connection:
            link = next_link(connection)
            link = replace(link, prev_chain=first) if link.seq == 1 else link
            made = new_closing(link, source.name, content, digest_day(content), NOW - timedelta(days=1), ())
            made = replace(made, payload_version=1, schema_version="<0005")
            made = replace(made, chain=made.link())
            connection.execute(sa.insert(closings), closing_row(made))
            if content.records:
                insert_day(connection, made, content)


def vast(tokens_in: int) -> DayContent:
    """A day with more tokens than every JSON reader can hold, and with a name to trip over."""
    sums = totals(requests=1, tokens_in=tokens_in, tokens_in_count=1)
    return build_content(YESTERDAY, ("model",), [Slice(('a "\\\n\u2028😀',), sums)], DayBuckets({}, 1), max_slices=9)


def write(folder: Path) -> Path:
    """A book of three sources, in the file that is answered.

    1, 2   closings of `local` in version 1: the 18th, and the 19th without a record
    3 to 5 the 20th, the 21st without a record, the 22nd
    6, 7   the 21st and 22nd of `gateway`, whose failures are unknown
    8      the 22nd of `vast`
    9 on   adjustments: the 20th and 21st of `local`, again the 20th, the 22nd of `vast`
    """
    book, logs = Book.open(f"sqlite:///{folder}/book.sqlite", NOW), LogStore.open(folder / "logs.duckdb")
    priced(
        logs,
        record("11-18 10:00", "gpt-4o-mini", provider="openai", tokens_in=5, tokens_out=7, latency_ms=100),
        record("11-20 10:00", "gpt-4o-mini", provider="openai", team='t "ä"', tokens_in=500, tokens_out=70, ttft_ms=3),
        record("11-20 11:00", "b", 500, provider="p", api_key="k", latency_ms=900),
        record("11-22 12:00", "o3", tokens_in=1, tokens_cached=1, tokens_out=9, tokens_reasoning=4, latency_ms=1300),
    )
    close_as_before(book, logs, 18, 19)
    with databases.sqlite_database(folder) as gateway:
        asked = {"prompt_tokens": 9, "completion_tokens": 1, "quota": 5, "elapsed_time": 250}
        keep(gateway, consumed("11-21 09:00", **asked), consumed("11-22 09:00", **asked))
        for source in (logs, attached(gateway, "one-api")):  # one after the other: all at once, entries mix
            DailyStatsJob(book, [source]).run_once(NOW)
    book.append("vast", vast(2**60), NOW)
    later = NOW + timedelta(hours=1)
    priced(logs, record("11-20 12:00", "gpt-4o-mini", provider="openai", tokens_in=3, tokens_out=4, latency_ms=100))
    put(logs, record("11-21 12:00", "late", latency_ms=5000))
    assert adjust_day(book, logs, day(20), later, DEFAULT_SLICING)
    assert adjust_day(book, logs, day(21), later, DEFAULT_SLICING)
    put(logs, record("11-20 13:00", "b", provider="p", team="new", latency_ms=901))
    assert adjust_day(book, logs, day(20), later, DEFAULT_SLICING)
    back = change_between(vast(2**60), vast(1))
    assert book.adjust("vast", YESTERDAY, later, lambda _: (back, "counted twice"))
    logs.close()
    book.close()
    return folder / "book.sqlite"


# What both say of it


@dataclass
class Found:
    """How many changes there were, all found by both, and of how many each named the very column."""

    tried: int = 0
    named_by_tallybook: int = 0
    named_by_the_second: int = 0


@dataclass
class Bench:
    """A book to which things are done; afterwards it is as it was."""

    file: Path
    book: Book
    owner: sqlite3.Connection
    original: sqlite3.Connection
    heads: list[tuple[int, str]]
    found: dict[str, Found] = field(default_factory=dict)
    attacks: Counter[str] = field(default_factory=Counter)
    detected: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def after(self, *statements: str, sealed: bool = False) -> Iterator[None]:
        """The book after these statements, and with every hash made anew if `sealed`."""
        try:
            for statement in statements:
                self.owner.execute(statement)
            if sealed:
                seal(self.owner)
            yield
        finally:
            self.original.backup(self.owner)

    def told(self, anchored: bool = False) -> tuple[Answer, Answer]:
        """What tallybook answers, and what the second verifier does."""
        heads = self.heads if anchored else []
        return by_tallybook(self.file, heads), second.verify(self.file, heads)

    def verdict(self, anchored: bool = False) -> str:
        """The verdict of both."""
        ours, theirs = self.told(anchored)
        assert ours["verdict"] == theirs["verdict"], (ours["faults"], theirs["faults"])
        return str(ours["verdict"])

    @contextmanager
    def attack(self, kind: str) -> Iterator[None]:
        """One attack on whole rows, which counts as found where all that is asserted of it holds."""
        self.attacks[kind] += 1
        yield
        self.detected[kind] += 1


def by_tallybook(file: Path, heads: list[tuple[int, str]]) -> Answer:
    """What `tallybook verify --json` prints of the book in the file."""
    try:
        book = Book.open_to_verify(f"sqlite:///{file}")
        try:
            ours: Verification | None = verify_book(book, [Anchor(*head) for head in heads])
        finally:
            book.close()
    except BookError as error:
        ours = verdict_on(error)
    assert ours
    answer: Answer = msgspec.json.decode(msgspec.json.encode(ours.as_json()))
    return answer


def seal(owner: sqlite3.Connection) -> None:
    """Makes every fingerprint, digest and link of the closings anew, as an owner would who wants to be believed."""
    walk = second.Walk(owner)
    before = second.genesis(walk.identity[0], walk.entries[0]["payload_version"])
    for entry in walk.entries:
        if entry["table"] == "closings":
            _, figures = second.read_day(owner, entry)
            unknown = json.loads(entry["unknown"])
            entry |= {"records": figures["totals"][0], "fingerprint": second.fingerprint_of(figures["totals"])}
            entry["digest"] = second.digest_of(figures, "day", **({"unknown": unknown} if unknown else {}))
        entry["prev_chain"] = before
        before = entry["chain"] = second.link_of(entry)
        sealed = [name for name in SEALED if name in entry]
        values = [entry[name] for name in sealed]
        owner.execute(f"UPDATE {entry['table']} SET {' = ?, '.join(sealed)} = ? WHERE seq = ?", [*values, entry["seq"]])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="module")
def bench(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The book, with its tables made anew. Prints what was tried when all is done: see it with `pytest -s`."""
    file = tmp_path_factory.mktemp("bench") / "book.sqlite"
    shutil.copy(written, file)
    owner, original = sqlite3.connect(file, isolation_level=None), sqlite3.connect(":memory:")
    owner.execute("PRAGMA synchronous = OFF")
    for (guard,) in owner.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        owner.execute(f"DROP TRIGGER {guard}")
    for table in TABLES:
        owner.execute(f"CREATE TABLE loose AS SELECT * FROM {table}")
        owner.execute(f"DROP TABLE {table}")
        owner.execute(f"ALTER TABLE loose RENAME TO {table}")
    owner.backup(original)
    book = Book.open(f"sqlite:///{file}", NOW, must_exist=True)
    bench = Bench(file, book, owner, original, [(head.seq, head.chain) for head in book.heads()])
    yield bench
    report_what_was_tried(bench)
    book.close()
    owner.close()
    original.close()


def report_what_was_tried(bench: Bench) -> None:
    """A line of the changed fields and one of the attacks on rows, where there were any."""
    tried = sum(found.tried for found in bench.found.values())
    each = ", ".join(f"{found.tried} of {name}" for name, found in bench.found.items())
    if tried:
        report(f"every field of every row changed once: {tried:,} changes ({each}), {tried:,} found by both verifiers")
    kinds = ", ".join(f"{bench.detected[kind]} of {count} {kind}" for kind, count in bench.attacks.items())
    attacks, detected = bench.attacks.total(), bench.detected.total()
    if attacks:
        report(f"attacks on rows: {attacks} attacks, {detected} found by both verifiers ({kinds})")


def test_a_book_as_it_was_written_is_intact(bench: Bench) -> None:
    for anchored in (False, True):
        facts = ("verdict", "closings", "adjustments", "head", "anchored")
        ours, theirs = bench.told(anchored)
        assert [ours[name] for name in facts] == ["intact", 8, 4, bench.heads[-1][1], anchored]
        assert [theirs[name] for name in facts] == ["intact", 8, 4, bench.heads[-1][1], anchored]


# One field is changed


UNCOVERED = {"book": ("created_at",), "closings": ("prices", "schema_version")}
"""What version 1 of the chain does not cover; this book begins with it."""


FULLY = 2
"""In so many rows of each table everything is tried; in the others it is one change a field."""


def others(value: Any) -> list[Any]:
    """What somebody may put in the place of a value."""
    if value is None:
        return ["", "x"]
    if isinstance(value, int):
        return [value + 1, value - 1, None]
    changed = (f"{value}x", value.swapcase(), value[1:], None)
    return [other for other in dict.fromkeys(changed) if other != value]


def changes(bench: Bench, table: str, column: str) -> Iterator[tuple[Answer, Any]]:
    """Each row of the table that is covered, and what is put into its column."""
    rows = bench.owner.execute(f"SELECT rowid AS row, * FROM {table}")
    names = [described[0] for described in rows.description]
    for place, row in enumerate([dict(zip(names, values, strict=True)) for values in rows.fetchall()]):
        if row.get("payload_version", 1) == 1 and column in UNCOVERED.get(table, ()):
            continue
        for other in others(row[column])[: None if place < FULLY else 1]:
            with bench.after():
                bench.owner.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', (other, row["row"]))
                yield row, other


def names_row(answer: Answer, row: Answer) -> bool:
    """Whether a fault is of the row's entry, by its number or by source and day; or, of the identity, of its table."""
    if "book_id" in row:
        return "book" in [fault["table"] for fault in answer["faults"]]
    place = (row.get("source"), row.get("day", row.get("date")))
    return any(
        fault["seq"] == row.get("seq", 0) or (fault["source"], fault["day"]) == place for fault in answer["faults"]
    )


COLUMNS = [(table, column.name) for table in TABLES for column in metadata.tables[table].columns]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), [each for each in COLUMNS if each != ("book", "created_at")])
def test_both_find_each_change_of_a_field_and_name_its_row(bench: Bench, table: str, column: str) -> None:
    found = bench.found.setdefault(table, Found())
    for row, other in changes(bench, table, column):
        ours, theirs = bench.told()
        assert ours["verdict"] == theirs["verdict"] != "intact", (row, other, ours["faults"], theirs["faults"])
        assert names_row(ours, row), (row, other, ours["faults"])
        assert names_row(theirs, row), (row, other, theirs["faults"])
        found.tried += 1
        found.named_by_tallybook += column in [fault["field"] for fault in ours["faults"]]
        found.named_by_the_second += column in [fault["field"] for fault in theirs["faults"]]
    assert found.tried


def test_what_version_1_does_not_cover_is_found_by_nobody(bench: Bench) -> None:
    with bench.after(
        "UPDATE book SET created_at = '2026-11-01T00:00:00Z'",
        "UPDATE closings SET prices = '[\"none\"]', schema_version = '9999' WHERE payload_version = 1",
    ):
        assert bench.verdict(anchored=True) == "intact"


def test_a_book_that_begins_with_version_2_is_bound_to_the_instant_when_it_was_made(sqlite_book: Book) -> None:
    sqlite_book.append("local", empty_content(YESTERDAY), NOW)
    file = Path(str(sqlite_book._engine.url.database))
    assert second.verify(file)["verdict"] == verify_book(sqlite_book).verdict == "intact"
    tamper(sqlite_book, "UPDATE book SET created_at = '2026-11-01T00:00:00Z'")
    ours, theirs = by_tallybook(file, []), second.verify(file)
    assert ours["verdict"] == theirs["verdict"] == "altered"
    assert named(ours) == named(theirs) == {("book", None, 1)}


def test_a_book_that_begins_with_version_1_is_bound_to_its_id(bench: Bench) -> None:
    with bench.after("UPDATE book SET book_id = 'another'"):
        for answer in bench.told():
            assert named(answer) == {("book", "book_id", 1)}


def test_both_name_prices_that_an_entry_beside_has_still(bench: Bench) -> None:
    """Entries 6 to 8 were closed without prices; of the adjustments each second one was."""
    for seq, column in ((7, "prices"), (8, "prices"), (11, None)):
        table = "closings" if seq < 9 else "adjustments"
        with bench.after(f"UPDATE {table} SET prices = '[\"none\"]' WHERE seq = {seq}"):
            for answer in bench.told():
                assert named(answer) == {(table, column, seq)}


# Rows are taken out, put in, exchanged

OF_20 = "source = 'local' AND date = '2026-11-20'"


def exchange(table: str, column: str, one: int, other: int, where: str = "true") -> str:
    """The statement that puts each of two rows in the other's place."""
    return f"UPDATE {table} SET {column} = {one + other} - {column} WHERE {column} IN ({one}, {other}) AND {where}"


def again(table: str, where: str = "true") -> str:
    """The statement that puts rows in a second time."""
    return f"INSERT INTO {table} SELECT * FROM {table} WHERE {where}"


def put_in(table: str, where: str, **values: str) -> str:
    """The statement that puts in what is a copy of a row but for these columns."""
    names = [column.name for column in metadata.tables[table].columns]
    columns = ", ".join(f'{values[name]} AS "{name}"' if name in values else f'"{name}"' for name in names)
    return f"INSERT INTO {table} SELECT {columns} FROM {table} WHERE {where}"


FOUND = {
    "the identity is gone": ("unreadable", ["DELETE FROM book"]),
    "there are two identities": ("unreadable", [again("book")]),
    "the first closing is gone": ("missing", ["DELETE FROM closings WHERE seq = 1"]),
    "a zero day is gone": ("missing", ["DELETE FROM closings WHERE seq = 4"]),
    "an adjustment is gone": ("missing", ["DELETE FROM adjustments WHERE seq = 10"]),
    "the closing of an adjusted day is gone": ("missing", ["DELETE FROM closings WHERE seq = 8"]),
    "all closings are gone": ("missing", ["DELETE FROM closings"]),
    "the first slice of a day is gone": ("missing", [f"DELETE FROM daily_slices WHERE {OF_20} AND position = 0"]),
    "the last slice of a day is gone": ("altered", [f"DELETE FROM daily_slices WHERE {OF_20} AND position = 1"]),
    "all slices are gone": ("altered", ["DELETE FROM daily_slices"]),
    "all histograms are gone": ("altered", ["DELETE FROM daily_histograms"]),
    "a closing is there twice": ("altered", [again("closings", "seq = 3")]),
    "an adjustment is there twice": ("altered", [again("adjustments", "seq = 12")]),
    "slices are there twice": ("missing", [again("daily_slices")]),
    "histograms are there twice": ("missing", [again("daily_histograms")]),
    "a slice was put in": ("altered", [put_in("daily_slices", f"{OF_20} AND position = 0", position="2")]),
    "a histogram was put under a zero day": ("altered", [put_in("daily_histograms", OF_20, date="'2026-11-21'")]),
    "a day was put in that was never closed": ("altered", [put_in("daily_stats", OF_20, date="'2026-11-17'")]),
    "a closing was put in by hand": ("altered", [put_in("closings", "seq = 4", seq="13", day="'2026-11-17'")]),
    "an adjustment was put in by hand": ("altered", [put_in("adjustments", "seq = 9", seq="13")]),
    "two closings are exchanged": ("altered", [exchange("closings", "seq", 4, 5)]),
    "two adjustments are exchanged": ("altered", [exchange("adjustments", "seq", 9, 11)]),
    "two slices are exchanged": ("altered", [exchange("daily_slices", "position", 0, 1, OF_20)]),
    "the sequence leaves numbers out": ("missing", ["UPDATE adjustments SET seq = 14 WHERE seq = 12"]),
    "a JSON text is written otherwise": ("altered", ["UPDATE daily_stats SET dimensions = dimensions || ' '"]),
    "an adjustment's key is no name": ("unreadable", ["UPDATE adjustments SET slices = replace(slices, 'null', '0')"]),
    "a small number is a text": ("unreadable", ["UPDATE adjustments SET slices = replace(slices, '100', '\"100\"')"]),
    "a list is an object": ("unreadable", ["UPDATE daily_histograms SET histogram = '{}'"]),
    "a day was sliced by what nobody knows": ("unreadable", ["UPDATE daily_stats SET dimensions = '[\"colour\"]'"]),
    "a slice has a value by which its day was not sliced": ("altered", ["UPDATE daily_slices SET operation = 'chat'"]),
    "a zero day's date is written otherwise": ("unreadable", ["UPDATE closings SET day = '20261119' WHERE seq = 2"]),
    "an adjustment's date is": ("unreadable", ["UPDATE adjustments SET day = '2026-W47-5' WHERE seq = 9"]),
    "a day's totals are there twice": ("altered", [again("daily_stats", OF_20)]),
    "a name is a BLOB": ("unreadable", ["UPDATE closings SET source = x'ff' WHERE seq = 2"]),
    "a name is no UTF-8": ("unreadable", ["UPDATE closings SET source = CAST(x'ff' AS TEXT) WHERE seq = 2"]),
    "a table is gone": ("missing", ["DROP TABLE adjustments"]),
    "a column is gone": ("missing", ["ALTER TABLE adjustments DROP COLUMN reason"]),
    "notes that are not chained are gone": ("missing", ["DROP TABLE prunings"]),
    "it says that it has an older schema": ("altered", ["UPDATE alembic_version SET version_num = '0004'"]),
    "it says nothing of its schema": ("altered", ["DELETE FROM alembic_version"]),
    "it says that it has a schema that nobody knows": (
        "unreadable",
        ["UPDATE alembic_version SET version_num = '9999'"],
    ),
    "an instant is none": ("unreadable", ["UPDATE closings SET closed_at = 'noon' WHERE seq = 4"]),
    "a large number is stored as a number": (
        "unreadable",
        [f"UPDATE adjustments SET slices = replace(slices, '\"{1 - 2**60}\"', '{1 - 2**60}')"],
    ),
}
"""The verdict with anchors and without, and what was done."""

KINDS = {"DELETE": "rows deleted", "INSERT": "rows added", "UPDATE": "values that fit no row", "DROP": "tables dropped"}


def kind_of(what: str, statement: str) -> str:
    """By what the attack does first."""
    return "rows exchanged" if "exchanged" in what else KINDS.get(statement.split(maxsplit=1)[0], "columns dropped")


@pytest.mark.parametrize("what", FOUND)
def test_both_find_rows_that_are_gone_or_too_many_or_elsewhere(bench: Bench, what: str) -> None:
    verdict, statements = FOUND[what]
    with bench.after(*statements), bench.attack(kind_of(what, statements[0])):
        assert bench.verdict() == verdict
        assert bench.verdict(anchored=True) == verdict


def named(answer: Answer) -> set[tuple[Any, ...]]:
    """Where the faults are: table, column, entry."""
    return {(fault["table"], fault["field"], fault["seq"]) for fault in answer["faults"]}


@pytest.mark.parametrize(
    ("table", "column", "where"), [("adjustments", "reason", "seq = 9"), ("daily_slices", "model", OF_20)]
)
def test_a_text_that_is_no_utf_8_is_named_and_hides_no_other_fault(
    bench: Bench, table: str, column: str, where: str
) -> None:
    broken = f"UPDATE {table} SET {column} = CAST(x'ff' AS TEXT) WHERE {where}"
    with bench.after(broken, "UPDATE closings SET records = records + 1 WHERE seq = 8"):
        for answer in bench.told():
            assert answer["verdict"] == "unreadable"
            assert {fault["table"] for fault in answer["faults"]} >= {table, "closings"}
            assert column in [fault["field"] for fault in answer["faults"] if fault["table"] == table]


# Everything is made anew

CHEAPER = "UPDATE {} SET cost_nanousd = cost_nanousd - 1 WHERE source = 'gateway' AND date = '2026-11-22'"

FOUND_BY_ANCHORS = {
    "the last entry is cut off": ("truncated", ["DELETE FROM adjustments WHERE seq = 12"]),
    "all adjustments are cut off": ("truncated", ["DELETE FROM adjustments"]),
    "everything is gone": ("truncated", [f"DELETE FROM {table}" for table in TABLES if table != "book"]),
    "a cost is lowered": ("forked", [CHEAPER.format(table) for table in ("daily_stats", "daily_slices")]),
    "a reason is another": ("forked", ["UPDATE adjustments SET reason = 'none' WHERE seq = 12"]),
    "a closing's prices are others": ("forked", ["UPDATE closings SET prices = '[]'"]),
    "a closing of version 1 is made one of version 2": ("forked", ["UPDATE closings SET payload_version = 2"]),
    "the book is another": ("forked", ["UPDATE book SET created_at = '2026-11-01T00:00:00Z', book_id = 'another'"]),
    "the first zero day is left out": (
        "forked",
        [
            "DELETE FROM closings WHERE seq = 2",
            *(f"UPDATE {table} SET seq = seq - 1 WHERE seq > 2" for table in ("closings", "adjustments")),
        ],
    ),
    "two closings are exchanged": ("forked", [exchange("closings", "seq", 4, 5)]),
}
"""The verdict with anchors, and what was done before every hash was made anew; without anchors it is intact."""


@pytest.mark.parametrize("what", FOUND_BY_ANCHORS)
def test_what_was_sealed_anew_is_found_by_anchors_alone(bench: Bench, what: str) -> None:
    verdict, statements = FOUND_BY_ANCHORS[what]
    kind = {"truncated": "ends cut off", "forked": "histories written and sealed anew"}[verdict]
    with bench.after(*statements, sealed=what != "everything is gone"), bench.attack(kind):
        assert bench.verdict() == "intact"
        assert bench.verdict(anchored=True) == verdict


def test_a_day_that_is_closed_twice_is_found_however_it_is_sealed(bench: Bench) -> None:
    with (
        bench.after(put_in("closings", "seq = 8", seq="13"), sealed=True),
        bench.attack("days closed twice and sealed"),
    ):
        assert bench.verdict() == "altered"
        for answer in bench.told():
            assert ("closings", "day", 13) in named(answer)


def test_a_histogram_that_counts_other_latencies_than_the_day_is_found_however_it_is_sealed(bench: Bench) -> None:
    with bench.after(f"UPDATE daily_histograms SET histogram = '[[1,77]]' WHERE {OF_20} AND position = 0", sealed=True):
        assert bench.verdict() == "altered"
        for answer in bench.told():
            assert "latency_count" in [fault["field"] for fault in answer["faults"]]


def test_an_index_that_leaves_a_row_out_is_found(written: Path, tmp_path: Path) -> None:
    """The row says what it always said, but who looks it up by its day does not find it."""
    file = tmp_path / "book.sqlite"
    shutil.copy(written, file)
    index = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master WHERE name = 'ix_adjustments_source_day'"
    owner = sqlite3.connect(file, isolation_level=None)
    (guard,) = owner.execute("SELECT sql FROM sqlite_master WHERE name = 'guard_adjustments_update'").fetchone()
    entry = owner.execute(index).fetchone()
    owner.execute("DROP TRIGGER guard_adjustments_update")
    owner.execute("UPDATE adjustments SET day = '2026-01-01' WHERE seq = 9")
    _by_schema(owner, "DELETE FROM sqlite_master WHERE name = 'ix_adjustments_source_day'")
    owner = _anew(owner, file)
    owner.execute("UPDATE adjustments SET day = '2026-11-20' WHERE seq = 9")
    _by_schema(owner, "INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", *entry)
    owner = _anew(owner, file)
    owner.execute(guard)
    owner.close()
    ours, theirs = by_tallybook(file, []), second.verify(file)
    assert ours["verdict"] == theirs["verdict"] == "unreadable"
    for answer in (ours, theirs):
        assert any("index ix_adjustments_source_day" in fault["fault"] for fault in answer["faults"])


def _by_schema(owner: sqlite3.Connection, statement: str, *values: Any) -> None:
    owner.execute("PRAGMA writable_schema = ON")
    owner.execute(statement, values)


def _anew(owner: sqlite3.Connection, file: Path) -> sqlite3.Connection:
    """A connection that reads the schema as it now stands."""
    owner.close()
    return sqlite3.connect(file, isolation_level=None)


def test_what_was_put_in_after_the_last_anchor_is_found_by_nobody(bench: Bench) -> None:
    with bench.after(put_in("closings", "seq = 4", seq="13", day="'2026-11-17'"), sealed=True):
        assert bench.verdict(anchored=True) == "intact"
        assert [answer["anchored_through"] for answer in bench.told(anchored=True)] == [12, 12]


def test_an_old_copy_is_truncated_and_another_history_is_forked(bench: Bench, written: Path, tmp_path: Path) -> None:
    histories = [tmp_path / name for name in ("one.sqlite", "other.sqlite")]
    for file, number in zip(histories, (16, 17), strict=True):
        shutil.copy(written, file)
        book = Book.open(f"sqlite:///{file}", NOW)
        book.append("local", empty_content(day(number)), NOW)
        anchors = book.heads()
        book.close()
    heads = [(anchor.seq, anchor.chain) for anchor in anchors]
    for file, kind, verdict in (
        (written, "old copies put back", "truncated"),
        (histories[0], "two histories shown", "forked"),
    ):
        with bench.attack(kind):
            assert by_tallybook(file, [])["verdict"] == second.verify(file)["verdict"] == "intact"
            assert by_tallybook(file, heads)["verdict"] == second.verify(file, heads)["verdict"] == verdict
    assert by_tallybook(histories[1], heads)["verdict"] == second.verify(histories[1], heads)["verdict"] == "intact"


# The command


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The tool, as somebody runs it who has nothing but Python."""
    command = [sys.executable, "-I", "-S", TOOL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def body_of(book_id: str, heads: Sequence[Anchor]) -> str:
    """What a webhook gets, as a line."""
    return msgspec.json.encode(Parcel(book_id, tuple(heads))).decode() + "\n"


def test_the_command_says_what_it_found_and_exits_with_it(written: Path, tmp_path: Path) -> None:
    file, anchors = tmp_path / "book.sqlite", tmp_path / "anchors.log"
    shutil.copy(written, file)
    book = Book.open(f"sqlite:///{file}", NOW)
    heads, book_id = book.heads(), book.identity().book_id
    book.close()
    anchors.write_text("".join(map(format_anchor, heads[:10])))
    said = f"intact  8 closings, 4 adjustments, {{}}\nhead  {heads[-1].chain}\n"

    assert run(file).stdout == said.format("consistent, NOT anchored")
    assert run(file, "--anchor", anchors).stdout == said.format("anchored up to entry 10")
    assert [run(file).returncode, run(tmp_path / "none").returncode, run(file, "--anchor", tmp_path).returncode] == [
        0,
        1,
        2,
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anchors.log", "book.sqlite"]

    anchors.write_text(format_anchor(replace(heads[3], chain="0" * 64)))
    forked = json.loads(run(file, "--anchor", anchors, "--json").stdout)
    assert (forked["verdict"], [fault["seq"] for fault in forked["faults"]]) == ("forked", [4])
    anchors.write_text("rubbish\n")
    assert run(file, "--anchor", anchors).returncode == 2
    bodies = [body_of("another", heads[:12]), body_of(book_id, heads[:11])]
    anchors.write_text("".join(bodies))
    assert run(file, "--anchor", anchors).stdout == said.format("anchored up to entry 11")
    anchors.write_text(bodies[0])
    refused = run(file, "--anchor", anchors)
    assert refused.returncode == 2
    assert f"{anchors} holds no anchors of the book {book_id}, only of others" in refused.stderr
    file.write_text("no database, and longer than the hundred bytes of a header" * 9)
    assert run(file).stdout.startswith("unreadable  0 closings")


def test_a_book_that_is_being_written_is_read_as_it_is(written: Path, tmp_path: Path) -> None:
    file = tmp_path / "book.sqlite"
    shutil.copy(written, file)
    book = Book.open(f"sqlite:///{file}", NOW)
    book.append("local", empty_content(day(17)), NOW)
    assert (tmp_path / "book.sqlite-wal").stat().st_size > 0
    assert second.verify(file)["closings"] == 9
    book.close()
