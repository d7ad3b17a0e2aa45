"""Believable log records, made in SQL: the same ones every time, whatever the number of threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

FIRST_DAY = date(2026, 6, 1)
"""Long ago: a day that is today would be read live by a server, and no longer answered from what was closed."""

KEYS, TEAMS, MODELS, MODELS_PER_KEY, PROVIDERS = 100, 10, 40, 10, 5
SLICES_PER_DAY = KEYS * MODELS_PER_KEY
DAY_US = 86_400_000_000

COLUMNS = {
    "created_at": "TIMESTAMP",
    "model_name": "VARCHAR",
    "provider": "VARCHAR",
    "team": "VARCHAR",
    "api_key": "VARCHAR",
    "status_code": "BIGINT",
    "tokens_in": "BIGINT",
    "tokens_out": "BIGINT",
    "tokens_cached": "BIGINT",
    "tokens_reasoning": "BIGINT",
    "latency_ms": "BIGINT",
    "ttft_ms": "BIGINT",
    "cost_nanousd": "BIGINT",
}

SPREADS = {
    "skewed": ("100 * pow({u0}, 2)", "10 * pow({u1}, 2)"),
    "even": ("n % 100", "n // 100 % 10"),
}
"""The key and the model's place among the key's: some much used and some hardly, or each slice in its turn."""

_RECORDS = """
WITH drawn AS (
    SELECT n, floor({key})::BIGINT AS key, floor({place})::BIGINT AS place,
        {u2} AS status, {u3} AS unknown, exp(0.9 * sqrt(-2 * ln(1 - {u4})) * cos(2 * pi() * {u5})) AS slowness,
        round(exp(6.5 + 1.2 * sqrt(-2 * ln(1 - {u6})) * cos(2 * pi() * {u7})))::BIGINT AS prompt,
        round(exp(5.3 + 0.9 * sqrt(-2 * ln(1 - {u6})) * sin(2 * pi() * {u7})))::BIGINT AS completion
    FROM (SELECT range AS n FROM range({records}))
), named AS (
    SELECT *, 4 * place + key % 4 AS model,
        CASE WHEN status < 0.95 THEN 200 WHEN status < 0.97 THEN 429 WHEN status < 0.99 THEN 500 ELSE 0 END AS code
    FROM drawn
)
SELECT make_timestamp({start_us} + n // {per_day} * {day_us} + n % {per_day} * ({day_us} // {per_day})) AS created_at,
    'model-' || model AS model_name, 'provider-' || (model % {providers}) AS provider,
    'team-' || (key % {teams}) AS team, 'key-' || key AS api_key, code AS status_code,
    CASE WHEN unknown >= 0.01 THEN prompt END AS tokens_in,
    CASE WHEN code = 200 AND unknown >= 0.01 THEN completion END AS tokens_out,
    CASE WHEN unknown < 0.3 THEN prompt // 2 END AS tokens_cached,
    CASE WHEN code = 200 AND unknown > 0.8 THEN completion // 3 END AS tokens_reasoning,
    CASE WHEN code <> 0 THEN least(round(1500 * slowness), 600000)::BIGINT END AS latency_ms,
    CASE WHEN code = 200 AND unknown < 0.7 THEN least(round(300 * slowness), 120000)::BIGINT END AS ttft_ms,
    CASE WHEN unknown < 0.9 THEN prompt * 300 + completion * 1200 END AS cost_nanousd
FROM named
"""


@dataclass(frozen=True)
class Traffic:
    """So many days of so many records each, in order of time."""

    days: int
    per_day: int
    spread: str = "skewed"

    def scaled(self, divisor: int) -> Traffic:
        """The same with fewer records a day."""
        return replace(self, per_day=max(self.per_day // divisor, 1))

    @property
    def records(self) -> int:
        return self.days * self.per_day

    def day(self, index: int) -> date:
        return FIRST_DAY + timedelta(days=index)

    @property
    def all_days(self) -> list[date]:
        return [self.day(index) for index in range(self.days)]

    def as_select(self) -> str:
        """The records as a DuckDB SELECT of `COLUMNS`."""
        # The top 53 bits of a hash, as a number from 0 up to 1.
        uniform = {f"u{draw}": f"((hash(n * 8 + {draw}) >> 11)::DOUBLE / 9007199254740992)" for draw in range(8)}
        key, place = (part.format(**uniform) for part in SPREADS[self.spread])
        start_us = (FIRST_DAY - date(1970, 1, 1)).days * DAY_US
        sizes = {"records": self.records, "per_day": self.per_day, "start_us": start_us, "day_us": DAY_US}
        return _RECORDS.format(**uniform, **sizes, key=key, place=place, providers=PROVIDERS, teams=TEAMS)
