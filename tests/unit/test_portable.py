"""Portable SQL: our own functions mean the same on every engine, columns are quoted, and statements are refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from databases import Database, on
from tallybook.errors import UsageError
from tallybook.sources.places import open_place
from tallybook.sources.portable import columns_of, quote, render, text_literal
from tallybook.sources.urls import SourceUrl

CREATE = {
    "": 'CREATE TABLE probes (n INTEGER, x DOUBLE PRECISION, "group" TEXT, a TIMESTAMP, b TIMESTAMP)',
    "clickhouse": "CREATE TABLE probes (n Int32, x Nullable(Float64), `group` Nullable(String), "
    "a DateTime64(6, 'UTC'), b DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY n",
    "spark": "CREATE TABLE probes (n INT, x DOUBLE, `group` STRING, a TIMESTAMP, b TIMESTAMP) USING parquet",
}
NOON = datetime(2026, 11, 22, 12)  # noqa: DTZ001 - a column without a zone
EVERYWHERE = on("duckdb", "postgresql", "clickhouse", "spark")
WHERE_GATEWAYS_LOG = on("duckdb", "postgresql", "clickhouse")
"""SQLite and MySQL hand their rows over to DuckDB; in Spark there are tables of log records alone."""


def values(database: Database, expression: str, *rows: tuple[Any, ...]) -> list[Any]:
    """What the engine makes of the portable expression for each row of x, group and microseconds from a to b."""
    database.run(CREATE.get(database.family, CREATE[""]))
    filled = [(n, x, group, NOON, NOON + timedelta(microseconds=between)) for n, (x, group, between) in enumerate(rows)]
    database.fill("probes", filled)
    engine = open_place(SourceUrl(database.url)).engine
    found = engine.rows(f"SELECT n, {render(expression, engine.dialect)} AS made FROM probes ORDER BY n")
    return [made for _, made in found]


def of_numbers(database: Database, expression: str, *numbers: float | None) -> list[Any]:
    return values(database, expression, *((number, None, 0) for number in numbers))


def of_texts(database: Database, expression: str, *texts: str | None) -> list[Any]:
    return values(database, expression, *((None, text, 0) for text in texts))


@EVERYWHERE
def test_whole_rounds_halves_up(database: Database) -> None:
    assert of_numbers(database, "WHOLE(x)", 0.5, 1.5, 2.4, 2.5, -0.5, 7.0, None) == [1, 2, 2, 3, 0, 7, None]


@EVERYWHERE
def test_nanousd_is_dollars_in_billionths(database: Database) -> None:
    made = of_numbers(database, "NANOUSD(x)", 0.5, 1.25, 1e-9, 5e-10, 4e-10, 0.1, 0.0, None)
    assert made == [500_000_000, 1_250_000_000, 1, 1, 0, 100_000_000, 0, None]


@WHERE_GATEWAYS_LOG
@pytest.mark.parametrize("function", ["WHOLE(x)", "NANOUSD(x)"])
def test_a_number_beyond_64_bits_is_unknown(database: Database, function: str) -> None:
    assert of_numbers(database, function, 1e300, -1e300, 1e19, 1.0)[:3] == [None, None, None]


@EVERYWHERE
def test_own_functions_may_stand_within_one_another_and_within_plain_sql(database: Database) -> None:
    made = of_numbers(
        database, "CASE WHEN x > 1 THEN NANOUSD(WHOLE(x) / CAST(500000 AS DOUBLE)) END", 1.0, 2.4, 250_000.0
    )
    assert made == [None, 4000, 500_000_000]


@EVERYWHERE
def test_ms_between_is_rounded_down(database: Database) -> None:
    spans = (0, 999, 1_000, 1_999_999, 90_061_000_500, -1, -1_000)
    made = values(database, "MS_BETWEEN(a, b)", *((None, None, span) for span in spans))
    assert made == [0, 0, 1, 1_999, 90_061_000, -1, -1]


@WHERE_GATEWAYS_LOG
def test_json_int_is_the_number_at_a_path_and_nothing_else(database: Database) -> None:
    made = of_texts(
        database,
        "JSON_INT(\"group\", 'usage', 'cached')",
        '{"usage": {"cached": 12}}',
        '{"usage": {"cached": 12.5}}',
        '{"usage": {"cached": 0}}',
        '{"usage": {"cached": "12"}}',
        '{"usage": {"cached": null}}',
        '{"usage": {"cached": 1e300}}',
        '{"usage": {}}',
        '{"usage": 12}',
        "{}",
        "[]",
        "",
        "no JSON",
        '{"usage": ',
        None,
    )
    assert made == [12, 13, 0, *([None] * 11)]


@WHERE_GATEWAYS_LOG
def test_json_text_is_the_text_at_a_path(database: Database) -> None:
    made = of_texts(
        database, "JSON_TEXT(\"group\", 'error', 'class')", '{"error": {"class": "Timeout"}}', '{"error": {}}', None
    )
    assert made == ["Timeout", None, None]


@EVERYWHERE
def test_a_column_named_like_a_word_of_sql_is_a_column(database: Database) -> None:
    assert of_texts(database, "COALESCE(NULLIF(\"group\", ''), 'none')", "search", "", None) == [
        "search",
        "none",
        "none",
    ]


@pytest.mark.parametrize(
    ("dialect", "written"),
    [
        ("duckdb", "\"user\" = 'o''hara'"),
        ("sqlite", "\"user\" = 'o''hara'"),
        ("postgres", "\"user\" = 'o''hara'"),
        ("mysql", "`user` = 'o''hara'"),
        ("pyspark", "`user` = 'o\\'hara'"),
    ],
)
def test_every_column_is_quoted_as_the_engine_wants_it(dialect: str, written: str) -> None:
    assert render(f'"user" = {text_literal(chr(111) + chr(39) + "hara")}', dialect) == written


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite", "postgres", "mysql", "clickhouse", "pyspark", "trino"])
@pytest.mark.parametrize(
    "expression", ["WHOLE(x)", "NANOUSD(x)", "MS_BETWEEN(a, b)", "JSON_INT(j, 'a', 'b')", "JSON_TEXT(j, 'a')"]
)
def test_no_function_of_our_own_reaches_an_engine(dialect: str, expression: str) -> None:
    name = expression.partition("(")[0]
    assert name not in render(expression, dialect).upper().replace("JSON_TEXTENTRY", "")


@pytest.mark.parametrize(
    ("name", "dialect", "quoted"),
    [
        ("logs", "sqlite", '"logs"'),
        ("tensorzero.model_inferences", "postgres", '"tensorzero"."model_inferences"'),
        ("LiteLLM_SpendLogs", "postgres", '"LiteLLM_SpendLogs"'),
        ("logs", "mysql", "`logs`"),
        ('a"b', "duckdb", '"a""b"'),
    ],
)
def test_names_are_quoted_part_by_part(name: str, dialect: str, quoted: str) -> None:
    assert quote(name, dialect) == quoted


def test_the_columns_of_an_expression_are_those_that_it_reads() -> None:
    assert columns_of('COALESCE("user", team, "user") || \'constant\'') == ("user", "team")
    assert columns_of("JSON_INT(other, 'cache_tokens')") == ("other",)
    assert columns_of("200") == ()


@pytest.mark.parametrize(
    "expression", ["SELECT 1", "(SELECT 1)", "DELETE FROM logs", "a; DROP TABLE logs", "INSERT INTO a VALUES (1)"]
)
def test_a_statement_is_no_expression(expression: str) -> None:
    with pytest.raises(UsageError) as caught:
        render(expression, "duckdb")
    assert caught.value.message == f"{expression!r} is a statement."
    assert caught.value.remedy == "Give an expression over the source's columns."


def test_what_is_no_sql_is_said_to_be_none() -> None:
    with pytest.raises(UsageError, match=r"^'tokens \+' is not an SQL expression: "):
        render("tokens +", "duckdb")
