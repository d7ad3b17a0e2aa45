"""The record's rules once more, in SQL over columns of text: what `records` says of one record, said of a whole file.

`VALUES` has the expression that makes each field's value from its text, `FAULT` the first reason why a row cannot be
taken, or NULL. A test holds every rule against `records`, value by value.
"""

from __future__ import annotations

from enum import Enum

import duckdb

from tallybook.days import epoch_us
from tallybook.histogram import MAX_LATENCY_MS
from tallybook.records import COUNT_FIELDS, DURATION_FIELDS, EARLIEST, MAX_COST_USD, MAX_COUNT, MAX_TEXT, TEXT_FIELDS


class Unit(Enum):
    """The unit of a `created_at` that is a number."""

    S = "s"
    MS = "ms"
    US = "us"

    @property
    def us_per_unit(self) -> int:
        return {"s": 1_000_000, "ms": 1_000, "us": 1}[self.value]


_WHOLE = r"^\s*[0-9]{{1,18}}(\.0*)?\s*$"
_NUMBER = r"^\s*-?[0-9]{{1,17}}\s*$"
_OPTIONAL_TEXT = tuple(name for name in TEXT_FIELDS if name != "model_name")

_INSTANT_US = (
    f"CASE WHEN regexp_matches(t_created_at, '{_NUMBER}') "
    "THEN TRY_CAST(TRY_CAST(t_created_at AS HUGEINT) * {unit} AS BIGINT) "
    "ELSE epoch_us(TRY_CAST(t_created_at AS TIMESTAMPTZ)) END"
)


def _whole(name: str) -> str:
    digits = f"regexp_extract(t_{name}, '[0-9]+')"
    return f"CASE WHEN regexp_matches(t_{name}, '{_WHOLE}') THEN TRY_CAST({digits} AS BIGINT) END"


_COST = "TRY_CAST(t_cost_usd AS DECIMAL(38, 18))"
_NANOUSD = f"({_COST} * 1000000000)"
_HALF_TO_EVEN = (
    f"round({_NANOUSD}) - "
    f"CASE WHEN {_NANOUSD} - trunc({_NANOUSD}) = 0.5 AND trunc({_NANOUSD}) % 2 = 0 THEN 1 ELSE 0 END"
)

VALUES = {
    "created_at": f"make_timestamp({_INSTANT_US})",
    "model_name": "NULLIF(t_model_name, '')",
    "status_code": f"CAST(CASE WHEN {_whole('status_code')} <= 999 THEN {_whole('status_code')} END AS SMALLINT)",
    **{name: _whole(name) for name in (*COUNT_FIELDS, *DURATION_FIELDS)},
    "cost_usd": f"CASE WHEN {_COST} BETWEEN 0 AND {MAX_COST_USD} THEN CAST({_HALF_TO_EVEN} AS BIGINT) END",
    **{name: f"NULLIF(t_{name}, '')" for name in _OPTIONAL_TEXT},
    "stream": "TRY_CAST(NULLIF(t_stream, '') AS BOOLEAN)",
}


def _quoted(name: str) -> str:
    return f"'{name} ''' || substr(t_{name}, 1, 40) || ''' "


def _given(name: str) -> str:
    return f"NULLIF(trim(t_{name}), '') IS NOT NULL"


_CASES = (
    ("NULLIF(t_created_at, '') IS NULL", "'created_at is missing'"),
    (
        f"{_INSTANT_US} IS NULL",
        f"{_quoted('created_at')}is not a time; write it as RFC 3339 or as a number with --time-unit s, ms or us'",
    ),
    (
        f"{_INSTANT_US} < {epoch_us(EARLIEST)}",
        f"{_quoted('created_at')}is before {EARLIEST.year}; numbers are read as {{unit_name}}, see --time-unit'",
    ),
    (
        f"{_INSTANT_US} > {{latest}}",
        f"{_quoted('created_at')}is more than 10 minutes ahead; numbers are read as {{unit_name}}, see --time-unit'",
    ),
    ("NULLIF(t_model_name, '') IS NULL", "'model_name is missing'"),
    *((f"length(t_{name}) > {MAX_TEXT}", f"'{name} is longer than {MAX_TEXT} characters'") for name in TEXT_FIELDS),
    *((f"contains(t_{name}, chr(0))", f"'{name} holds a NUL character'") for name in TEXT_FIELDS),
    (
        f"{_given('status_code')} AND COALESCE({_whole('status_code')} > 999, true)",
        f"{_quoted('status_code')}is not a whole number from 0 to 999'",
    ),
    *(
        (
            f"{_given(name)} AND COALESCE({_whole(name)} > {limit}, true)",
            f"{_quoted(name)}is not a whole number from 0 to {limit}'",
        )
        for names, limit in ((COUNT_FIELDS, MAX_COUNT), (DURATION_FIELDS, MAX_LATENCY_MS))
        for name in names
    ),
    (
        f"{_given('cost_usd')} AND NOT COALESCE({_COST} BETWEEN 0 AND {MAX_COST_USD}, false)",
        f"{_quoted('cost_usd')}is not an amount from 0 to {MAX_COST_USD}'",
    ),
    (f"{_given('stream')} AND TRY_CAST(t_stream AS BOOLEAN) IS NULL", f"{_quoted('stream')}is neither true nor false'"),
    (f"{_whole('tokens_cached')} > {_whole('tokens_in')}", "'tokens_cached is more than tokens_in'"),
    (f"{_whole('tokens_reasoning')} > {_whole('tokens_out')}", "'tokens_reasoning is more than tokens_out'"),
)

FAULT = "CASE " + " ".join(f"WHEN {condition} THEN {reason}" for condition, reason in _CASES) + " END"


def count_fault_rows(connection: duckdb.DuckDBPyConnection) -> int:
    """How many rows of `incoming` cannot be taken."""
    count: int = connection.execute("SELECT COUNT(*) FROM incoming WHERE fault IS NOT NULL").fetchall()[0][0]
    return count
