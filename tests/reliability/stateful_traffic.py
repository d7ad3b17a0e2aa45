"""The records that a stateful test sends: few enough values that days come to be alike, and every edge of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from hypothesis import strategies as st

from oracle import Record
from stories import record

MOMENTS = ("12:00:00", "00:00:00", "00:00:00.000001", "23:59:59.999999")
KINDS: tuple[dict[str, Any], ...] = (
    {"model": "a", "status": 200, "tokens_in": 5, "tokens_out": 7, "latency_ms": 100, "team": "t"},
    {"model": "b", "status": 200, "tokens_in": 5, "tokens_out": 7, "latency_ms": 100, "team": "t"},
    {"model": "a", "status": 500, "error_type": "ServerError", "latency_ms": 0},
    {"model": "a", "status": 0},
    {"model": "a", "status": None},
    {"model": "b", "status": 404, "provider": "p", "api_key": "k1", "tokens_in": 0, "cost_nanousd": 0},
    {"model": "c", "status": 399, "provider": "p", "api_key": "k2", "tokens_in": 1_000_000_000, "tokens_cached": 10**9},
    {"model": "c", "status": 100, "provider": "q", "tokens_out": 3, "tokens_reasoning": 3, "user": "u"},
    {"model": "c", "status": 204, "provider": "p", "latency_ms": 2**31 - 1, "ttft_ms": 2**31 - 1},
    {"model": "d", "status": 200, "provider": "p", "latency_ms": 127, "ttft_ms": 0, "cost_nanousd": 1},
    {"model": "d", "status": 200, "provider": "", "latency_ms": 128, "team": "", "cost_nanousd": 2_500_000_000},
    {"model": "e", "status": 999, "provider": "é", "team": "t'\"\\", "operation": "chat", "tokens_out": 0},
    {"model": "😀", "status": 200, "provider": "p", "latency_ms": 300_000, "user": "u", "tokens_cached": 0},
)
"""Two of them have the same measures in different slices."""

CHANGES: tuple[dict[str, Any], ...] = (
    {"status_code": 503},
    {"tokens_in": 6, "tokens_out": None},
    {"latency_ms": 250},
    {"team": "moved"},
    {"model_name": "b"},
)
"""What somebody may write into a record that is there."""


@dataclass(frozen=True)
class Sent:
    """A record of a day so many days ago, at a moment of it, of a kind; only one that is named can be sent again."""

    days_ago: int
    moment: int
    kind: int
    named: bool

    def made(self, today: date, number: int) -> Record:
        """The record, when it is sent `today` as the one of that number."""
        day = date.fromordinal(today.toordinal() - self.days_ago)
        created_at = datetime.combine(day, time.fromisoformat(MOMENTS[self.moment]), UTC)
        fields = dict(KINDS[self.kind])
        name = f"r{number}" if self.named else None
        return record(created_at, fields.pop("model"), fields.pop("status"), request_id=name, **fields)


SENDINGS = st.lists(
    st.builds(
        Sent,
        st.integers(0, 8),
        st.integers(0, len(MOMENTS) - 1),
        st.integers(0, len(KINDS) - 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)
