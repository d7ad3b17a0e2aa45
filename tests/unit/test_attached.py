"""How much an attached source is asked for at once."""

from __future__ import annotations

from tallybook.declaration import Declaration
from tallybook.sources.attached import AttachedSource


def days_per_read(url: str, **settings: str) -> int:
    return AttachedSource(Declaration(name="gw", url=url, settings=settings)).days_per_read


def test_engines_that_store_rows_are_read_by_the_month_and_columnar_ones_by_the_year() -> None:
    assert days_per_read("sqlite:////nowhere/one-api.db") == 31
    assert days_per_read("postgresql://127.0.0.1:1/db") == 31
    assert days_per_read("duckdb:////nowhere/logs.duckdb") == 366


def test_who_has_too_many_records_for_that_says_so() -> None:
    assert days_per_read("sqlite:////nowhere/one-api.db", days_per_read="3") == 3
