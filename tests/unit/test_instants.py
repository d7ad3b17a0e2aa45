"""Instants as sources store them: units, texts with and without offsets, and what is no instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tallybook.errors import LogsError
from tallybook.sources.instants import guess_time_unit, literal, read_instant

TEN = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
IN_TOKYO = datetime(2026, 11, 22, 19, 0, 0, tzinfo=timezone(timedelta(hours=9)))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22 10:00:00", TEN),
        ("2026-11-22T10:00:00Z", TEN),
        ("2026-11-22 10:00:00+00:00", TEN),
        ("2026-11-22T19:00:00+09:00", TEN),
        ("2026-11-22 04:30:00-05:30", TEN),
        ("2026-11-22 10:00:00.123", TEN + timedelta(milliseconds=123)),
        ("2026-11-22 10:00:00.123456789+00:00", TEN + timedelta(microseconds=123456)),
        ("2026-11-22T19:00:00.999999999+09:00", TEN + timedelta(microseconds=999999)),
        ("2026-11-22T10:00:00.1Z", TEN + timedelta(milliseconds=100)),
        (" 2026-11-22 10:00:00 ", TEN),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_text_is_utc_where_it_has_no_offset(text: str, instant: datetime) -> None:
    assert read_instant("text", text) == instant


@pytest.mark.parametrize(
    ("time", "value"),
    [
        ("epoch_s", 1795341600),
        ("epoch_s", "1795341600"),
        ("epoch_ms", 1795341600000),
        ("epoch_us", 1795341600000000),
        ("epoch_ns", 1795341600000000000),
        ("naive", TEN.replace(tzinfo=None)),
        ("zoned", IN_TOKYO),
        ("zoned", TEN),
    ],
)
def test_every_unit_tells_the_same_instant(time: str, value: Any) -> None:
    assert read_instant(time, value) == TEN
    assert read_instant(time, value).utcoffset() == timedelta(0)


def test_what_is_finer_than_a_microsecond_is_cut() -> None:
    assert read_instant("epoch_ns", 1795341600000001999) == TEN + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("time", "value", "quoted"),
    [
        ("text", "yesterday", "'yesterday'"),
        ("text", "", "''"),
        ("epoch_s", "soon", "'soon'"),
        ("epoch_s", 10**18, "'1000000000000000000'"),
        ("naive", 12, "'12'"),
        ("zoned", None, "'None'"),
        ("text", "x" * 100, f"'{'x' * 40}'"),
    ],
)
def test_what_is_no_instant_is_quoted(time: str, value: Any, quoted: str) -> None:
    with pytest.raises(LogsError) as caught:
        read_instant(time, value)
    assert caught.value.message == f"The source holds {quoted} where an instant belongs."
    assert caught.value.remedy == "Attach it with --query, and a SELECT that leaves such rows out."


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1_000_000_000, "epoch_s"),
        (9_999_999_999, "epoch_s"),
        (10_000_000_000, "epoch_ms"),
        (1_000_000_000_000, "epoch_ms"),
        (9_999_999_999_999, "epoch_ms"),
        (10_000_000_000_000, "epoch_us"),
        (9_999_999_999_999_999, "epoch_us"),
        (10_000_000_000_000_000, "epoch_ns"),
        (1_795_341_600_000_000_000, "epoch_ns"),
    ],
)
def test_the_unit_of_a_number_is_told_by_its_size(value: int, unit: str) -> None:
    assert guess_time_unit(value) == unit


@pytest.mark.parametrize(
    ("time", "dialect", "written"),
    [
        ("epoch_s", "sqlite", "1795341600"),
        ("epoch_ms", "postgres", "1795341600000"),
        ("epoch_us", "mysql", "1795341600000000"),
        ("epoch_ns", "duckdb", "1795341600000000000"),
        ("naive", "duckdb", "CAST('2026-11-22 10:00:00' AS TIMESTAMP)"),
        ("naive", "mysql", "TIMESTAMP'2026-11-22 10:00:00'"),
        ("naive", "clickhouse", "toDateTime64('2026-11-22 10:00:00', 6, 'UTC')"),
        ("zoned", "postgres", "CAST('2026-11-22 10:00:00+00:00' AS TIMESTAMP WITH TIME ZONE)"),
        ("zoned", "pyspark", "TIMESTAMP'2026-11-22 10:00:00+00:00'"),
        ("text", "sqlite", "'2026-11-22 10:00:00'"),
    ],
)
def test_an_instant_is_written_in_the_source_s_own_unit_and_in_utc(time: str, dialect: str, written: str) -> None:
    assert literal(time, dialect, TEN) == written
    assert literal(time, dialect, IN_TOKYO) == written
