"""Importing files, and that the rules for files are those for posted records."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stories import ARRIVED, NOW, YESTERDAY, posted, put, record, rows_of
from tallybook.book.ledger import Book
from tallybook.days import epoch_us
from tallybook.errors import UnknownName, UnreadableFile, UsageError
from tallybook.histogram import percentile
from tallybook.job import DailyStatsJob
from tallybook.logs.fields import Unit
from tallybook.logs.importing import Imported, Reading, import_files
from tallybook.logs.store import LogStore
from tallybook.periods import between
from tallybook.records import STORED_FIELDS
from tallybook.stats import Sources, StatsQuery, StatsReader

Write = Callable[[list[dict[str, Any]]], Path]

TWO = [
    {
        "created_at": "2026-11-22T10:00:00Z",
        "model_name": "gpt-5",
        "status_code": 200,
        "tokens_in": 10,
        "request_id": "r1",
    },
    {
        "created_at": "2026-11-22T23:59:59.9999999Z",
        "model_name": "é😀",
        "status_code": 0,
        "tokens_out": 7,
        "request_id": "r2",
    },
]


def one(store: LogStore, file: Path, reading: Reading | None = None, now: datetime = ARRIVED) -> Imported:
    (imported,) = import_files(store, [file], reading or Reading(), now)
    return imported


def rows(store: LogStore, columns: str = "*") -> list[tuple[Any, ...]]:
    with store.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM log_records ORDER BY created_at, model_name").fetchall()


BASIC = "epoch_us(created_at), model_name, status_code, tokens_in, tokens_out, request_id"
TWO_STORED = [
    (1_795_341_600_000_000, "gpt-5", 200, 10, None, "r1"),
    (1_795_391_999_999_999, "é😀", 0, None, 7, "r2"),
]


def write(file: Path, records: list[dict[str, Any]]) -> Path:
    """Writes the records in the form that the file's name asks for."""
    kind = file.name.partition(".")[2].removesuffix(".gz")
    names = list(dict.fromkeys(name for entry in records for name in entry))
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([{name: entry.get(name) for name in names} for entry in records]), file)
        return file
    if kind == "csv":
        plain = file.parent / "plain.csv"
        with plain.open("w", newline="", encoding="utf-8") as target:
            writer = csv.DictWriter(target, names)
            writer.writeheader()
            writer.writerows(records)
        content = plain.read_bytes()
    elif kind == "json":
        content = json.dumps(records, indent=1).encode()
    else:
        content = b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in records)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


class TestForms:
    @pytest.mark.parametrize(
        "name",
        ["log.csv", "log.jsonl", "log.ndjson", "log.json", "log.parquet", "log.csv.gz", "log.jsonl.gz", "LOG.CSV"],
    )
    def test_the_same_two_records_in_every_form(self, logs: LogStore, tmp_path: Path, name: str) -> None:
        file = write(tmp_path / name.lower(), TWO)
        file = file.rename(tmp_path / name)
        imported = one(logs, file)
        assert (imported.records, imported.accepted, imported.duplicates, imported.skipped) == (2, 2, 0, 0)
        assert rows(logs, BASIC) == TWO_STORED

    def test_parquet_timestamps_of_any_unit_and_zone(self, logs: LogStore, tmp_path: Path) -> None:
        last_us = 1_795_391_999_999_999
        for number, (kind, value) in enumerate(
            {
                pa.timestamp("ns"): last_us * 1000 + 999,
                pa.timestamp("us"): last_us,
                pa.timestamp("us", tz="UTC"): last_us,
                pa.timestamp("us", tz="America/New_York"): last_us,
                pa.int64(): last_us // 1000,
            }.items()
        ):
            table = pa.table(
                {"created_at": pa.array([value], kind), "model_name": [f"m{number}"], "status_code": [200]}
            )
            file = tmp_path / f"log{number}.parquet"
            pq.write_table(table, file)
            one(logs, file)
        assert [row[0] // 1_000_000 for row in rows(logs, "epoch_us(created_at)")] == [1_795_391_999] * 5
        assert logs.counts() == {YESTERDAY: 5}

    def test_parquet_numbers_as_floats_because_some_are_missing(self, logs: LogStore, tmp_path: Path) -> None:
        table = pa.table(
            {
                "created_at": ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"],
                "model_name": ["a", "b"],
                "status_code": pa.array([200.0, None], pa.float64()),
                "tokens_in": pa.array([12.0, None], pa.float64()),
                "cost_usd": pa.array([0.25, None], pa.float64()),
            }
        )
        pq.write_table(table, tmp_path / "log.parquet")
        one(logs, tmp_path / "log.parquet")
        assert rows(logs, "status_code, tokens_in, cost_nanousd") == [(200, 12, 250_000_000), (None, None, None)]

    def test_a_time_without_an_offset_is_utc(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(tmp_path / "log.csv", [{"created_at": "2026-11-22 23:59:59.9999999", "model_name": "m"}])
        one(logs, file)
        assert rows(logs, "epoch_us(created_at)") == [(1_795_391_999_999_999,)]

    @pytest.mark.parametrize(
        ("unit", "number", "stored"),
        [
            (Unit.S, 1_795_391_999, 1_795_391_999_000_000),
            (Unit.MS, 1_795_391_999_999, 1_795_391_999_999_000),
            (Unit.US, 1_795_391_999_999_999, 1_795_391_999_999_999),
        ],
    )
    def test_numbers_are_of_the_unit_that_was_named(
        self, logs: LogStore, tmp_path: Path, unit: Unit, number: int, stored: int
    ) -> None:
        file = write(tmp_path / "log.csv", [{"created_at": number, "model_name": "m"}])
        one(logs, file, Reading(unit=unit))
        assert rows(logs, "epoch_us(created_at)") == [(stored,)]

    def test_the_wrong_unit_is_refused_with_a_hint(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(tmp_path / "log.csv", [{"created_at": 1_795_391_999, "model_name": "m"}])
        with pytest.raises(UnreadableFile, match="is before 2000; numbers are read as ms, see --time-unit"):
            one(logs, file)

    def test_columns_are_mapped_and_constants_set(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(
            tmp_path / "log.csv",
            [{"when it was": "2026-11-22 10:00:00", 'to"k': "5", "it's": "x", "status_code": "500"}],
        )
        reading = Reading(
            columns={"created_at": "when it was", "tokens_in": 'to"k', "team": "it's"},
            constants={"model_name": "code 'x'", "status_code": "200", "tokens_out": "3"},
        )
        one(logs, file, reading)
        assert rows(logs, "model_name, status_code, tokens_in, tokens_out, team") == [("code 'x'", 200, 5, 3, "x")]

    def test_json_keys_are_mapped_too(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(
            tmp_path / "log.jsonl", [{"ts": 1_795_341_600_000, "m": "a", "n": 5}, {"ts": 1_795_341_600_000, "m": "b"}]
        )
        one(logs, file, Reading(columns={"created_at": "ts", "model_name": "m", "tokens_in": "n"}))
        assert rows(logs, "model_name, tokens_in") == [("a", 5), ("b", None)]

    def test_what_a_file_cannot_know_is_named(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(tmp_path / "log.csv", [{"created_at": "2026-11-22 10:00:00", "model_name": "m", "tokens_in": 1}])
        assert one(logs, file).unknown == ("status_code", "tokens_out", "latency_ms")

    def test_a_secret_in_a_file_is_stored_as_a_fingerprint(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(
            tmp_path / "log.csv", [{**TWO[0], "api_key": "sk-proj-abcdefgh12345678"}, {**TWO[1], "api_key": "team-a"}]
        )
        one(logs, file)
        fingerprint = f"fp_{hashlib.sha256(b'sk-proj-abcdefgh12345678').hexdigest()[:16]}"
        assert rows(logs, "api_key") == [(fingerprint,), ("team-a",)]

    def test_a_quoted_comma_newline_and_quote_are_part_of_the_value(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(tmp_path / "log.csv", [{**TWO[0], "team": 'a,b\n"c"'}])
        one(logs, file)
        assert rows(logs, "team") == [('a,b\n"c"',)]


class TestOnce:
    def test_the_same_file_again_adds_nothing_whatever_its_name(self, logs: LogStore, tmp_path: Path) -> None:
        records = [{key: value for key, value in entry.items() if key != "request_id"} for entry in TWO]
        first, second = write(tmp_path / "a.csv", records), write(tmp_path / "b.csv", records)
        assert one(logs, first).accepted == 2
        for file in (first, second):
            again = one(logs, file)
            assert (again.records, again.accepted, again.duplicates, again.already) == (2, 0, 2, True)
        assert len(rows(logs)) == 2

    def test_plain_or_packed_it_is_the_same_content(self, logs: LogStore, tmp_path: Path) -> None:
        plain = write(tmp_path / "log.jsonl", TWO)
        packed = write(tmp_path / "log.jsonl.gz", TWO)
        assert one(logs, packed).accepted == 2
        assert one(logs, plain).already is True

    def test_the_same_content_read_otherwise_is_refused(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(tmp_path / "log.csv", TWO)
        one(logs, file)
        for reading in (
            Reading(constants={"team": "x"}),
            Reading(columns={"user": "model_name"}),
            Reading(unit=Unit.S),
        ):
            with pytest.raises(UnreadableFile, match=r"imported before, as log\.csv on 2026-11-23, with other"):
                one(logs, file, reading)
        assert len(rows(logs)) == 2

    def test_it_is_still_known_after_reopening(self, tmp_path: Path) -> None:
        file = write(tmp_path / "log.csv", TWO)
        for already in (False, True):
            store = LogStore.open(tmp_path / "logs.duckdb")
            assert one(store, file).already is already
            store.close()

    def test_requests_that_are_there_or_twice_in_the_file_are_counted_as_duplicates(
        self, logs: LogStore, tmp_path: Path
    ) -> None:
        put(logs, record("11-22 10:00", "other", request_id="r1"))
        third = {**TWO[1], "tokens_out": 99}
        failed = {**TWO[1], "status_code": 500}
        imported = one(logs, write(tmp_path / "log.jsonl", [*TWO, third, failed]))
        assert (imported.records, imported.accepted, imported.duplicates) == (4, 2, 2)
        assert rows(logs, "model_name, status_code, tokens_out") == [
            ("other", 200, None),
            ("é😀", 0, 7),
            ("é😀", 500, 7),
        ]


class TestBadFiles:
    BAD: ClassVar = [
        TWO[0],
        {**TWO[1], "tokens_out": "-1"},
        {**TWO[1], "created_at": "soon"},
        {**TWO[1], "model_name": ""},
        {**TWO[1], "created_at": "2026-11-23T01:11:00Z"},
    ]

    def test_one_bad_row_and_nothing_is_imported(self, logs: LogStore, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile) as refused:
            one(logs, write(tmp_path / "log.csv", self.BAD))
        assert "4 of 5 records" in refused.value.message
        assert "record 2: tokens_out '-1' is not a whole number from 0 to 1000000000" in refused.value.message
        assert "record 3: created_at 'soon' is not a time" in refused.value.message
        assert "record 4: model_name is missing" in refused.value.message
        assert "record 5" not in refused.value.message
        assert "--skip-invalid" in refused.value.remedy
        assert rows(logs) == []

    def test_mended_it_can_be_imported(self, logs: LogStore, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile):
            one(logs, write(tmp_path / "log.csv", self.BAD))
        assert one(logs, write(tmp_path / "log.csv", TWO)).accepted == 2

    def test_skip_invalid_imports_the_others(self, logs: LogStore, tmp_path: Path) -> None:
        imported = one(logs, write(tmp_path / "log.csv", self.BAD), Reading(skip_invalid=True))
        assert (imported.records, imported.accepted, imported.duplicates, imported.skipped) == (5, 1, 0, 4)
        assert rows(logs, "model_name") == [("gpt-5",)]

    @pytest.mark.parametrize("number", ["99999999999999999", "-99999999999999999", "999999999999999999999999"])
    def test_an_absurd_number_is_one_bad_row_not_the_end_of_the_file(
        self, logs: LogStore, tmp_path: Path, number: str
    ) -> None:
        file = write(tmp_path / "log.csv", [TWO[0], {**TWO[1], "created_at": number}])
        imported = one(logs, file, Reading(unit=Unit.S, skip_invalid=True))
        assert (imported.accepted, imported.skipped) == (1, 1)

    def test_a_column_that_is_missing_is_named_with_those_there_are(self, logs: LogStore, tmp_path: Path) -> None:
        file = write(tmp_path / "log.csv", [{"TIMESTAMP": "2026-11-22 10:00:00", "model": "m"}])
        with pytest.raises(UnreadableFile, match="has no column created_at; it has TIMESTAMP, model") as missing:
            one(logs, file)
        assert "--map created_at=COLUMN" in missing.value.remedy
        with pytest.raises(UnreadableFile, match="has no column 'nope'"):
            one(logs, file, Reading(columns={"created_at": "nope"}))
        with pytest.raises(UnreadableFile, match="has no column model_name") as model:
            one(logs, file, Reading(columns={"created_at": "TIMESTAMP"}))
        assert "--set model_name=NAME" in model.value.remedy

    def test_a_field_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(UnknownName, match="There is no field 'tokens'"):
            Reading(columns={"tokens": "x"})
        with pytest.raises(UsageError, match="team is both mapped and set"):
            Reading(columns={"team": "x"}, constants={"team": "y"})

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("log.txt", b"x"),
            ("log", b"x"),
            ("log.csv.gz", b"this is not gzip"),
            ("log.csv.gz", gzip.compress(b"created_at,model_name\n2026-11-22,m\n" * 99, mtime=0)[:-20]),
            ("log.parquet", b"PAR1 this is not parquet PAR1"),
            ("log.jsonl", b"created_at;model\n"),
            ("log.jsonl", b'{"created_at": "2026-11-22T10:00:00Z", "model_name": "m"}\n{"created_at'),
            ("log.csv", b"created_at,model_name\n2026-11-22,a,b,c\n2026-11-22,d\n"),
            ("log.csv", b"\xff\xfe\x00\x01\n\x80\x81,\x82\n"),
        ],
        ids=[
            "text",
            "no suffix",
            "no gzip",
            "gzip cut short",
            "no parquet",
            "no json",
            "json cut short",
            "rows of other lengths",
            "binary",
        ],
    )
    def test_a_file_that_is_not_what_its_name_says_is_refused_and_nothing_stored(
        self, logs: LogStore, tmp_path: Path, name: str, content: bytes
    ) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableFile):
            one(logs, tmp_path / name)
        assert rows(logs) == []
        assert one(logs, write(tmp_path / "good.csv", TWO)).accepted == 2

    def test_a_file_that_is_not_there(self, logs: LogStore, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile, match="No such file"):
            one(logs, tmp_path / "none.csv")

    def test_a_csv_of_a_header_alone_is_an_empty_import(self, logs: LogStore, tmp_path: Path) -> None:
        (tmp_path / "log.csv").write_text("created_at,model_name,status_code\n")
        assert one(logs, tmp_path / "log.csv").records == 0

    def test_of_several_files_those_before_the_bad_one_stay(self, logs: LogStore, tmp_path: Path) -> None:
        files = [
            write(tmp_path / "a.csv", TWO),
            write(tmp_path / "b.csv", self.BAD),
            write(tmp_path / "c.csv", TWO[:1]),
        ]
        imports = import_files(logs, files, Reading(), ARRIVED)
        assert next(imports).accepted == 2
        with pytest.raises(UnreadableFile):
            next(imports)
        assert len(rows(logs)) == 2
        assert logs.busy() is None

    def test_while_files_are_imported_no_day_is_closed(self, logs: LogStore, tmp_path: Path, sqlite_book: Book) -> None:
        job = DailyStatsJob(sqlite_book, [logs])
        imports = import_files(
            logs, [write(tmp_path / "a.csv", TWO), write(tmp_path / "b.csv", TWO[:1])], Reading(), ARRIVED
        )
        next(imports)
        assert job.run_once(NOW) == []
        list(imports)
        assert [(result.day, result.requests) for result in job.run_once(NOW)] == [(YESTERDAY, 2)]

    def test_progress_is_told_by_stage(self, logs: LogStore, tmp_path: Path) -> None:
        told: list[tuple[str, float | None]] = []
        list(
            import_files(
                logs,
                [write(tmp_path / "a.csv", TWO)],
                Reading(),
                ARRIVED,
                lambda stage, done: told.append((stage, done)),
            )
        )
        assert [stage for stage, _ in told] == ["a.csv: reading", "a.csv: reading", "a.csv: checking", "a.csv: storing"]
        assert told[1][1] == 1.0


class TestTheSameRules:
    """The rules in SQL, for files, and those in Python, for posted records, value by value."""

    GOOD: ClassVar = {"created_at": "2026-11-22T10:00:00Z", "model_name": "m", "status_code": 200}

    VALUES: ClassVar[dict[str, list[Any]]] = {
        "created_at": [
            "2026-11-22T00:00:00Z",
            "2026-11-22T23:59:59.9999999Z",
            "2026-11-22T23:59:59.999999999+00:00",
            "2026-11-23T05:29:59.9999999+05:30",
            "2026-11-22T10:00:00.5-05:00",
            "2026-11-22 10:00:00Z",
            "2000-01-01T00:00:00Z",
            "1999-12-31T23:59:59.999Z",
            "2026-11-23T01:10:00Z",
            "2026-11-23T01:10:00.000001Z",
            "2026-11-22T23:59:60Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "infinity",
            "now",
            "x",
            "9999-12-31T23:59:59Z",
            1_795_391_999_999,
            1_795_392_000_000,
            946_684_800_000,
            946_684_799_999,
            0,
            -1,
            1_795_341_600,
            1_795_396_200_000,
            1_795_396_200_001,
            99_999_999_999_999,
        ],
        "model_name": [
            "a",
            "é😀",
            " a ",
            "x" * 512,
            "x" * 513,
            "😀" * 512,
            "😀" * 513,
            "a\0b",
            "👨‍👩‍👧" * 103,
            "a'b\"c\\d",
            "null",
        ],
        "status_code": [0, 1, 199, 200, 399, 400, 999, 1000, -1, 10**30, 200.5, "ok", True],
        "tokens_in": [0, 1, 10**9, 10**9 + 1, -1, 2**62, 2**63, 2**64, 10**40, 1.5, "many", "1,000", "0x10"],
        "tokens_out": [0, 10**9, 10**9 + 1, -5],
        "latency_ms": [0, 127, 2**31 - 1, 2**31, -1, 0.5],
        "ttft_ms": [0, 2**31 - 1, 2**31],
        "cost_usd": [
            0,
            "0",
            "0.000000001",
            "1e-9",
            "1E-9",
            "0.0000000004",
            "0.0000000005",
            "0.0000000015",
            "0.0000000025",
            "0.1",
            0.1,
            0.30000000000000004,
            "1000000",
            "1000000.000000001",
            "1000001",
            "-0.01",
            "-0",
            "NaN",
            "Infinity",
            "1e400000",
            "abc",
            "$1",
        ],
        "team": ["", "a", "x" * 512, "x" * 513, "a\0b", "\t"],
        "api_key": ["team-a", "sk-proj-abcdefgh12345678", "a" * 64, "0123456789abcdef0123456789ABCDEF"],
        "stream": [True, False, "perhaps"],
    }

    @pytest.mark.parametrize(
        ("field", "value"), [(field, value) for field, values in VALUES.items() for value in values]
    )
    def test_a_posted_record_and_a_line_of_a_file_meet_the_same_fate(
        self, logs: LogStore, tmp_path: Path, field: str, value: Any
    ) -> None:
        self.compare(logs, tmp_path, {**self.GOOD, field: value})

    @pytest.mark.parametrize(
        "fields",
        [
            {"tokens_in": 5, "tokens_cached": 5},
            {"tokens_in": 5, "tokens_cached": 6},
            {"tokens_cached": 6},
            {"tokens_out": 5, "tokens_reasoning": 6},
            {"tokens_out": 0, "tokens_reasoning": 0},
            {"tokens_in": None, "latency_ms": None, "cost_usd": None, "team": None, "stream": None},
        ],
    )
    def test_so_do_records_whose_fields_must_fit_together(
        self, logs: LogStore, tmp_path: Path, fields: dict[str, Any]
    ) -> None:
        self.compare(logs, tmp_path, {**self.GOOD, **fields})

    def compare(self, logs: LogStore, tmp_path: Path, entry: dict[str, Any]) -> None:
        batch = posted(json.dumps([entry]).encode(), ARRIVED + timedelta(minutes=30))
        taken = [{**row, "created_at": epoch_us(row["created_at"].replace(tzinfo=UTC))} for row in rows_of(batch)]
        one(logs, write(tmp_path / "log.jsonl", [entry]), Reading(skip_invalid=True), ARRIVED + timedelta(minutes=30))
        columns = ", ".join("epoch_us(created_at)" if name == "created_at" else f'"{name}"' for name in STORED_FIELDS)
        imported = [dict(zip(STORED_FIELDS, row, strict=True)) for row in rows(logs, columns)]
        assert imported == taken, batch.rejected

    def test_a_file_may_leave_out_the_status_and_write_whole_numbers_with_a_point(
        self, logs: LogStore, tmp_path: Path
    ) -> None:
        """Files come from other tools: what is plain there is taken, though a sender should know better."""
        file = write(
            tmp_path / "log.csv",
            [{"created_at": "2026-11-22", "model_name": "m", "status_code": "", "tokens_in": "12.0"}],
        )
        one(logs, file)
        assert rows(logs, "status_code, tokens_in") == [(None, 12)]


AZURE = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.skipif(not AZURE.exists(), reason="the Azure traces are not beside the project, in ../shared/data")
def test_a_day_of_real_azure_traffic(logs: LogStore, book: Book) -> None:
    columns = {"created_at": "TIMESTAMP", "tokens_in": "ContextTokens", "tokens_out": "GeneratedTokens"}
    now = datetime(2023, 11, 17, 1, 0, tzinfo=UTC)
    for name in ("code", "conv"):
        one(logs, AZURE / f"azure_{name}.csv", Reading(columns, {"model_name": name}), now - timedelta(minutes=30))
    (result,) = DailyStatsJob(book, [logs]).run_once(now)
    day = date(2023, 11, 16)
    assert (result.day, result.requests) == (day, 28_185)
    (stat,) = book.daily_stats("local", day, day)
    assert percentile(stat.histogram, 50) is None
    answer = StatsReader(book).answer(StatsQuery(between(day, day)), Sources({}, {}), day)
    totals = answer["totals"]
    assert (totals["requests"], totals["tokens_in"], totals["tokens_out"]) == (28_185, 40_421_844, 4_334_561)
    assert [totals[f"latency_p{percent}_ms"] for percent in (50, 95, 99)] == [None, None, None]
    assert (totals["latency_count"], totals["status_count"], totals["cost_usd"]) == (0, 0, None)
    assert [top["model"] for top in answer["top_models"]] == ["conv", "code"]


def test_a_field_that_no_record_of_a_json_file_has_is_a_slip_of_the_pen(logs: LogStore, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(
        '{"created_at": "2026-11-22T10:00:00Z", "model_name": "m", "status_code": 200, "usage": {"in": 5}}\n'
    )
    with pytest.raises(UnreadableFile, match=r"No record in .*calls\.jsonl has 'usage\.inn'\."):
        list(import_files(logs, [file], Reading({"tokens_in": "usage.inn"}), NOW))
    assert logs.counts() == {}
    assert next(import_files(logs, [file], Reading({"tokens_in": "usage.in"}), NOW)).accepted == 1
