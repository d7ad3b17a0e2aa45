"""What our own logs promise, on each database that can keep them."""

from __future__ import annotations

import itertools
import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oracle
from engines.test_same_bytes import DAYS, EXPECTED, RECORDS
from logs.conftest import Kept
from stories import ARRIVED, NOW, YESTERDAY, Record, at, record, stored, totals
from tallybook.book.ledger import Book
from tallybook.digest import digest_day
from tallybook.errors import UnreadableFile
from tallybook.job import DailyStatsJob
from tallybook.logs.importing import Imported, Reading, import_files
from tallybook.logs.opening import find_logs
from tallybook.logs.own import Appended
from tallybook.logs.pruning import Deleted
from tallybook.measures import Totals
from tallybook.source import Slicing

_examples = itertools.count()


def put(kept: Kept, *records: Record) -> Appended:
    return kept.logs.append(stored(records), ARRIVED)


class TestDuplicates:
    def test_the_same_request_and_status_is_stored_once(self, kept: Kept) -> None:
        rows = stored([record("11-22 10:00", request_id="r1"), record("11-22 10:01", request_id="r2")])
        assert kept.logs.append(rows, NOW) == Appended(2, frozenset())
        assert kept.logs.append(rows, NOW) == Appended(0, frozenset({0, 1}))
        assert kept.look("request_id, status_code") == [("r1", 200), ("r2", 200)]

    def test_whenever_it_is_said_to_have_been(self, kept: Kept) -> None:
        put(kept, record("11-22 10:00", request_id="r"))
        assert put(kept, record("10-01 09:00", request_id="r")).accepted == 0

    def test_a_failed_attempt_and_its_fallback_are_two(self, kept: Kept) -> None:
        assert put(
            kept, record("11-22 10:00", status=500, request_id="r"), record("11-22 10:00", status=200, request_id="r")
        ) == Appended(2, frozenset())

    def test_within_one_batch_the_first_is_kept(self, kept: Kept) -> None:
        names = ("zeroth", "first", "second", "third")
        appended = put(kept, *(record("11-22 10:00", name, request_id="r") for name in names))
        assert appended == Appended(1, frozenset({1, 2, 3}))
        assert kept.look("model_name") == [("zeroth",)]

    def test_records_without_an_id_are_never_duplicates(self, kept: Kept) -> None:
        rows = stored([record("11-22 10:00"), record("11-22 10:00")])
        assert kept.logs.append(rows, NOW).accepted == 2
        assert kept.logs.append(rows, NOW).accepted == 2
        assert kept.look("model_name") == [("gpt-5",)] * 4

    def test_an_unknown_status_equals_an_unknown_status_and_no_other(self, kept: Kept) -> None:
        unknown = record("11-22 10:00", status=None, request_id="r")
        assert put(kept, unknown, unknown) == Appended(1, frozenset({1}))
        assert put(kept, unknown).accepted == 0
        assert put(kept, record("11-22 10:00", status=0, request_id="r")).accepted == 1

    def test_an_empty_id_is_an_id(self, kept: Kept) -> None:
        assert put(kept, *[record("11-22 10:00", request_id="")] * 2).accepted == 1

    def test_ids_are_told_apart_by_every_sign(self, kept: Kept) -> None:
        ids = ["R", "r", "r ", "é", "e\u0301", "r\n", "r\\", 'r"', "r,", "\\N", "\\.", "a\n\\.\nb", "null", "NULL"]
        assert put(kept, *(record("11-22 10:00", request_id=name) for name in ids)) == Appended(14, frozenset())
        assert {name for (name,) in kept.look("request_id")} == set(ids)
        assert put(kept, *(record("11-22 10:00", request_id=name) for name in ids)).duplicates == frozenset(range(14))

    def test_duplicates_among_new_ones_are_named_by_position(self, kept: Kept) -> None:
        put(kept, record("11-22 10:00", request_id="old"))
        records = [record("11-22 10:00", request_id=name) for name in ("new1", "old", "new2", "new1", None, "old")]
        assert put(kept, *records) == Appended(3, frozenset({1, 3, 5}))

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.lists(st.tuples(st.sampled_from([None, "", "a", "b"]), st.sampled_from([None, 0, 200])), max_size=8),
            max_size=4,
        )
    )
    def test_whatever_comes_the_first_of_each_is_accepted(
        self, kept: Kept, batches: list[list[tuple[str | None, int | None]]]
    ) -> None:
        example, seen = next(_examples), set[tuple[str | None, int | None]]()
        for batch in batches:
            repeated = set[int]()
            for position, identity in enumerate(batch):
                if identity[0] is not None and identity in seen:
                    repeated.add(position)
                seen.add(identity)
            records = [
                record("11-22 10:00", status=status, request_id=None if name is None else f"{example}{name}")
                for name, status in batch
            ]
            assert put(kept, *records) == Appended(len(batch) - len(repeated), frozenset(repeated))

    def test_nothing_is_nothing(self, kept: Kept) -> None:
        assert put(kept) == Appended(0, frozenset())


class TestRecords:
    def test_every_field_is_kept_as_it_was(self, kept: Kept) -> None:
        full = record(
            "11-22 23:59:59.999999",
            "é😀",
            request_id="r1",
            **dict.fromkeys(("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning"), 10**9),
            latency_ms=2**31 - 1,
            ttft_ms=0,
            cost_nanousd=10**15,
            provider="a,b",
            api_key='"k"',
            user="u\r\nv",
            team=" ",
            operation="chat",
            error_type="",
            stream=True,
        )
        put(kept, full, record("11-22 10:00", "m", None, stream=False))
        assert kept.look(
            "model_name, status_code, request_id, provider, api_key, team, operation, stream, latency_ms"
        ) == [
            ("m", None, None, None, None, None, None, False, None),
            ("é😀", 200, "r1", "a,b", '"k"', " ", "chat", True, 2**31 - 1),
        ]
        assert kept.look('"user", error_type, tokens_reasoning, ttft_ms, cost_nanousd') in (
            [(None, None, None, None, None), ("u\r\nv", "", 10**9, 0, 10**15)],
            [("u\r\nv", "", 10**9, 0, 10**15), (None, None, None, None, None)],
        )

    def test_they_are_there_after_reopening(self, kept: Kept) -> None:
        put(kept, record("11-22 10:00", request_id="r1"))
        kept.logs.close()
        again = find_logs(kept.url)()
        assert again.counts() == {YESTERDAY: 1}
        assert again.arrived_at(YESTERDAY) == ARRIVED
        assert again.append(stored([record("11-22 10:00", request_id="r1")]), NOW).accepted == 0
        again.close()


class TestDays:
    def test_counts_first_day_and_pruning(self, kept: Kept) -> None:
        logs = kept.logs
        assert (logs.first_day(), logs.counts(), logs.has_records()) == (None, {}, False)
        put(
            kept,
            record("11-20 23:59:59.999999"),
            record("11-21 00:00:00"),
            record("11-21 23:59:59.999999"),
            record("11-22 00:00:00"),
        )
        assert logs.first_day() == date(2026, 11, 20)
        assert logs.has_records()
        assert logs.counts() == {date(2026, 11, 20): 1, date(2026, 11, 21): 2, YESTERDAY: 1}
        asked = []

        def why_keep(day: date, now: Totals) -> str | None:
            asked.append((day, now))
            return None if day == date(2026, 11, 21) else "not closed"

        deleted = logs.delete_days(YESTERDAY, why_keep)
        assert deleted == Deleted({date(2026, 11, 21): 2}, {date(2026, 11, 20): "not closed"}, {})
        assert asked == [
            (date(2026, 11, 20), totals(requests=1, success=1, status_count=1)),
            (date(2026, 11, 21), totals(requests=2, success=2, status_count=2)),
        ]
        assert logs.counts() == {date(2026, 11, 20): 1, YESTERDAY: 1}
        logs.delete_days(YESTERDAY, lambda *_: None)
        assert logs.first_day() == YESTERDAY
        assert kept.look("model_name") == [("gpt-5",)]

    def test_what_was_pruned_can_come_again(self, kept: Kept) -> None:
        put(kept, record("11-21 10:00", request_id="r"))
        kept.logs.delete_days(YESTERDAY, lambda *_: None)
        assert put(kept, record("11-21 10:00", request_id="r")).accepted == 1
        assert kept.logs.counts() == {date(2026, 11, 21): 1}

    def test_when_a_record_of_a_day_last_arrived(self, kept: Kept) -> None:
        kept.logs.append(stored([record("11-21 10:00"), record("11-22 10:00")]), at("11-22 12:00"))
        kept.logs.append(stored([record("11-22 11:00")]), at("11-22 13:00"))
        assert kept.logs.arrived_at(date(2026, 11, 21)) == at("11-22 12:00")
        assert kept.logs.arrived_at(YESTERDAY) == at("11-22 13:00")
        assert kept.logs.arrived_at(date(2026, 11, 20)) is None
        assert kept.logs.arrived_before(YESTERDAY) == at("11-22 12:00")
        assert kept.logs.arrived_before(date(2026, 11, 21)) is None

    def test_the_prices_of_a_day(self, kept: Kept) -> None:
        table = stored([record("11-21 10:00"), record("11-22 10:00"), record("11-22 11:00"), record("11-22 12:00")])
        priced = table.set_column(len(table.column_names) - 1, table.schema[-1], [["a", "c", None, "b"]])
        kept.logs.append(priced, NOW)
        assert kept.logs.price_versions(YESTERDAY) == ("b", "c")
        assert kept.logs.price_versions(date(2026, 11, 20)) == ()


class TestClosing:
    def test_the_digests_are_those_of_the_oracle(self, kept: Kept) -> None:
        kept.logs.append(stored(RECORDS), ARRIVED)
        contents = list(kept.logs.contents(DAYS, Slicing()))
        assert [digest_day(content) for content in contents] == EXPECTED

    def test_a_duplicate_adds_nothing_to_a_day(self, kept: Kept, sqlite_book: Book) -> None:
        records = [record("11-22 10:00", request_id="r", tokens_in=5), record("11-22 10:00", tokens_in=7)]
        put(kept, *records)
        put(kept, records[0])
        (result,) = DailyStatsJob(sqlite_book, [kept.logs]).run_once(NOW)
        assert (result.day, result.requests) == (YESTERDAY, 2)
        assert result.digest == oracle.digest(oracle.payload(YESTERDAY, records))


LINES = [
    {"created_at": "2026-11-22T10:00:00Z", "model_name": "gpt-5", "status_code": 200, "request_id": "r1"},
    {"created_at": "2026-11-22T23:59:59.9999999Z", "model_name": "é😀", "status_code": 0, "request_id": "r2"},
    {"created_at": "2026-11-21T10:00:00Z", "model_name": "m", "status_code": 200, "tokens_out": 7},
    {"created_at": "2026-11-21T10:00:00Z", "model_name": "m", "status_code": 200, "tokens_out": 7},
]


def write(file: Path, *lines: dict[str, object]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def bring(kept: Kept, file: Path, reading: Reading | None = None) -> Imported:
    (imported,) = import_files(kept.logs, [file], reading or Reading(), ARRIVED)
    return imported


class TestImports:
    def test_a_file_is_brought_in_once(self, kept: Kept, tmp_path: Path) -> None:
        imported = bring(kept, write(tmp_path / "log.jsonl", *LINES))
        assert (imported.records, imported.accepted, imported.duplicates, imported.already) == (4, 4, 0, False)
        assert kept.logs.counts() == {date(2026, 11, 21): 2, YESTERDAY: 2}
        assert kept.logs.arrived_at(YESTERDAY) == ARRIVED
        again = bring(kept, write(tmp_path / "other.jsonl", *LINES))
        assert (again.records, again.accepted, again.duplicates, again.already) == (4, 0, 4, True)
        assert len(kept.look("model_name")) == 4
        with pytest.raises(UnreadableFile, match=r"imported before, as log\.jsonl on 2026-11-23, with other"):
            bring(kept, tmp_path / "other.jsonl", Reading(constants={"team": "x"}))

    def test_what_is_there_or_twice_in_the_file_is_a_duplicate(self, kept: Kept, tmp_path: Path) -> None:
        put(kept, record("11-22 10:00", "posted", request_id="r1"))
        failed = {**LINES[1], "status_code": 500}
        imported = bring(kept, write(tmp_path / "log.jsonl", *LINES[:2], {**LINES[1], "model_name": "x"}, failed))
        assert (imported.records, imported.accepted, imported.duplicates) == (4, 2, 2)
        assert kept.look("model_name, status_code") == [("posted", 200), ("é😀", 0), ("é😀", 500)]
        assert put(kept, record("11-22 10:00", status=500, request_id="r2")).accepted == 0

    def test_a_bad_record_and_nothing_is_imported(self, kept: Kept, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile, match="1 of 5 records"):
            bring(kept, write(tmp_path / "log.jsonl", *LINES, {**LINES[0], "tokens_in": -1}))
        assert (kept.look("model_name"), kept.logs.counts()) == ([], {})
        assert bring(kept, write(tmp_path / "log.jsonl", *LINES)).accepted == 4

    def test_many_more_records_than_are_copied_at_once(self, kept: Kept, tmp_path: Path) -> None:
        file = tmp_path / "log.csv"
        lines = (f"2026-11-22T10:00:00Z,gpt-5,200,r{number % 200_000}\n" for number in range(250_000))
        file.write_text("created_at,model_name,status_code,request_id\n" + "".join(lines))
        imported = bring(kept, file)
        assert (imported.accepted, imported.duplicates) == (200_000, 50_000)
        assert kept.logs.counts() == {YESTERDAY: 200_000}

    def test_a_name_can_be_remembered(self, kept: Kept) -> None:
        assert not kept.logs.holds_import("demo")
        for _ in range(2):
            kept.logs.note_import("demo", 5, NOW)
        assert kept.logs.holds_import("demo")
        assert not kept.logs.holds_import("other")

    def test_while_one_lasts_no_day_is_closed(self, kept: Kept, sqlite_book: Book) -> None:
        put(kept, record("11-22 10:00"))
        job = DailyStatsJob(sqlite_book, [kept.logs])
        begun = kept.logs.imports_begun()
        with kept.logs.importing():
            assert kept.logs.busy() == "an import is running"
            assert kept.logs.imports_begun() == begun + 1
            assert job.run_once(NOW) == []
        assert kept.logs.busy() is None
        assert [result.day for result in job.run_once(NOW + timedelta(minutes=1))] == [YESTERDAY]

    def test_it_ends_also_where_it_fails(self, kept: Kept, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile):
            bring(kept, tmp_path / "none.csv")
        assert kept.logs.busy() is None
