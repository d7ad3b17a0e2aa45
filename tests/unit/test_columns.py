"""Records in columns: checked all at once, they are what `stored_row` makes of each; with a fault, each is judged alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories import NOW
from tallybook.days import EPOCH, epoch_us
from tallybook.logs import columns
from tallybook.logs.columns import STORED_SCHEMA, to_batch
from tallybook.records import RECORD_FIELDS, LogRecord, Rejected, Unacceptable, conceal_secret, stored_row

TEXTS = st.none() | st.text(max_size=6) | st.sampled_from(["x" * 512, "x" * 513, "a\0b", "sk-proj-0123456789abcdef"])
COUNTS = st.none() | st.integers(-1, 12) | st.sampled_from([1_000_000_000, 1_000_000_001, 2**62])
COSTS = st.none() | st.sampled_from(
    ["0", "-0", "1e-9", "0.0000000025", "1000000", "1000000.0000000001", "-1", "NaN", "1e-30"]
).map(Decimal)
MOMENTS = (
    st.datetimes(datetime(1999, 12, 31), datetime(2026, 11, 24)).map(  # noqa: DTZ001 - the offset is written
        lambda moment: moment.isoformat() + "+00:00"
    )
    | st.integers(946_684_799_000, 1_795_396_300_000)
    | st.sampled_from(["2026-11-22t10:00:00z", "2026-11-22T10:00:00", "x", ""])
)

RECORDS = st.builds(
    LogRecord,
    created_at=MOMENTS,
    model_name=st.text(max_size=3) | st.sampled_from(["gpt-5", "x" * 513]),
    status_code=st.integers(0, 999),
    request_id=TEXTS,
    tokens_in=COUNTS,
    tokens_out=COUNTS,
    tokens_cached=COUNTS,
    tokens_reasoning=COUNTS,
    latency_ms=COUNTS,
    ttft_ms=COUNTS,
    cost_usd=COSTS,
    provider=TEXTS,
    api_key=TEXTS,
    user=TEXTS,
    team=TEXTS,
    operation=TEXTS,
    error_type=TEXTS,
    stream=st.none() | st.booleans(),
)


def good(**fields: Any) -> LogRecord:
    return LogRecord(**{"created_at": "2026-11-22T10:00:00Z", "model_name": "gpt-5", "status_code": 200, **fields})


def judged_alone(records: list[LogRecord]) -> tuple[list[tuple[object, ...]], list[tuple[int, str]]]:
    """What becomes of each record when it is the only one."""
    rows, faults = [], []
    for index, record in enumerate(records):
        try:
            rows.append(stored_row(record, NOW))
        except Unacceptable as error:
            faults.append((index, str(error)))
    return rows, faults


def rows_of(table: pa.Table) -> list[tuple[object, ...]]:
    names = STORED_SCHEMA.names[: len(RECORD_FIELDS)]
    rows = (tuple(row[name] for name in names) for row in table.to_pylist())
    return [(epoch_us(moment.replace(tzinfo=EPOCH.tzinfo)), *rest) for moment, *rest in rows]


@given(st.lists(RECORDS, max_size=4))
def test_together_as_alone(records: list[LogRecord]) -> None:
    batch = to_batch(records, range(len(records)), [], NOW)
    rows, faults = judged_alone(records)
    assert rows_of(batch.table) == rows
    assert [(entry.index, entry.reason) for entry in batch.rejected] == faults
    assert batch.table.schema == STORED_SCHEMA


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"created_at": 1_795_341_600_000},
        {"created_at": "2026-11-22T19:00:00.123456-05:00"},
        {"cost_usd": Decimal("0.0000000025"), "tokens_in": 5, "tokens_cached": 5},
        {"team": "", "api_key": "sk-proj-0123456789abcdef"},
    ],
)
def test_what_has_no_fault_is_judged_at_once(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(columns, "_one_by_one")
    record = good(**fields)
    assert rows_of(to_batch([record, record], range(2), [], NOW).table) == [stored_row(record, NOW)] * 2


def test_a_fault_keeps_no_other_record_away_and_rejections_stand_in_order() -> None:
    records = [good(), good(tokens_in=1, tokens_cached=2), good(team="b"), good(latency_ms=-1)]
    batch = to_batch(records, [0, 2, 3, 5], [Rejected(1, "not JSON"), Rejected(4, "not JSON")], NOW)
    assert batch.table["team"].to_pylist() == [None, "b"]
    assert list(batch.indices) == [0, 3]
    assert [(entry.index, entry.reason) for entry in batch.rejected] == [
        (1, "not JSON"),
        (2, "tokens_cached 2 is more than tokens_in 1"),
        (4, "not JSON"),
        (5, "latency_ms: expected int >= 0"),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status_code": 1000}, "status_code: expected int <= 999"),
        ({"tokens_out": 1_000_000_001}, "tokens_out: expected int <= 1000000000"),
        ({"model_name": ""}, "model_name: expected str of length >= 1"),
        ({"error_type": "x" * 513}, "error_type: expected str of length <= 512"),
        ({"user": "a\0b"}, "user holds a NUL character"),
        ({"cost_usd": Decimal(-1)}, "cost_usd must be between 0 and 1,000,000"),
    ],
)
def test_what_no_decoder_has_checked_is_refused_here(fields: dict[str, Any], reason: str) -> None:
    (rejected,) = to_batch([good(**fields)], [0], [], NOW).rejected
    assert rejected.reason == reason


def test_ten_minutes_ahead_are_taken_and_no_more() -> None:
    ahead = [(NOW + timedelta(minutes=10, microseconds=extra)).isoformat() for extra in (0, 1)]
    assert [len(to_batch([good(created_at=moment)], [0], [], NOW).table) for moment in ahead] == [1, 0]


def test_a_secret_is_concealed_in_every_row_that_has_it() -> None:
    secret = "sk-proj-" + "0123456789abcdef"
    batch = to_batch([good(api_key=key) for key in (secret, "plain", secret, None)], range(4), [], NOW)
    assert batch.table["api_key"].to_pylist() == [conceal_secret(secret), "plain", conceal_secret(secret), None]
    assert conceal_secret(secret).startswith("fp_")
