"""Portable SQL: the expressions in which presets are written, and what each engine makes of them.

An expression is SQL as DuckDB reads it, plus a few functions of our own where engines have nothing in common. sqlglot
takes it apart, quotes every column and writes it in the engine's dialect.
"""

from __future__ import annotations

from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tallybook.errors import UsageError, first_line, shorten

_JSONB = (
    "CAST(CASE WHEN pg_typeof({0}) = CAST('jsonb' AS regtype) OR pg_input_is_valid(CAST({0} AS TEXT), 'jsonb') "
    "THEN {0} END AS JSONB)"
)
"""Text that may be no JSON, in PostgreSQL of 16 and newer; its engine puts in what older ones have."""

_OBJECT = "CASE WHEN CAST({0} AS VARCHAR) LIKE '{{%' THEN {0} END"
"""To DuckDB an empty text is no JSON, and finding that out by an error takes ten times as long."""

_FUNCTIONS = {
    "WHOLE": {
        "": "CAST(FLOOR(CAST({0} AS DOUBLE) + 0.5) AS BIGINT)",
        "duckdb": "TRY_CAST(FLOOR(CAST({0} AS DOUBLE) + 0.5) AS BIGINT)",
        "postgres": "CAST(FLOOR(CASE WHEN CAST({0} AS DOUBLE PRECISION) BETWEEN -1e18 AND 1e18 "
        "THEN CAST({0} AS DOUBLE PRECISION) END + 0.5) AS BIGINT)",
        "clickhouse": "accurateCastOrNull(floor(CAST({0} AS Nullable(Float64)) + 0.5), 'Int64')",
    },
    "NANOUSD": {
        "": "CAST(FLOOR(CAST({0} AS DOUBLE) * 1e9 + 0.5) AS BIGINT)",
        "duckdb": "TRY_CAST(FLOOR(CAST({0} AS DOUBLE) * 1e9 + 0.5) AS BIGINT)",
        "postgres": "CAST(FLOOR(CASE WHEN CAST({0} AS DOUBLE PRECISION) BETWEEN -1e9 AND 1e9 "
        "THEN CAST({0} AS DOUBLE PRECISION) END * CAST(1e9 AS DOUBLE PRECISION) + 0.5) AS BIGINT)",
        "clickhouse": "accurateCastOrNull(floor(CAST({0} AS Nullable(Float64)) * 1e9 + 0.5), 'Int64')",
    },
    "MS_BETWEEN": {
        "": "CAST(FLOOR((EPOCH_US(CAST({1} AS TIMESTAMPTZ)) - EPOCH_US(CAST({0} AS TIMESTAMPTZ))) / 1000) AS BIGINT)",
        "postgres": "CAST(FLOOR(ROUND(CAST(EXTRACT(EPOCH FROM {1} - {0}) AS NUMERIC) * 1000, 3)) AS BIGINT)",
        "clickhouse": "CAST(floor((toUnixTimestamp64Micro(toDateTime64({1}, 6, 'UTC')) "
        "- toUnixTimestamp64Micro(toDateTime64({0}, 6, 'UTC'))) / 1000) AS Nullable(Int64))",
        "pyspark": "CAST(FLOOR((UNIX_MICROS({1}) - UNIX_MICROS({0})) / 1000) AS BIGINT)",
    },
    "INSTANT": {
        "": "{0}",
        "duckdb": "TRY_CAST(CASE WHEN CONTAINS(SUBSTR(CAST({0} AS VARCHAR), 20), ' ') "
        "THEN REGEXP_REPLACE(CAST({0} AS VARCHAR), ' ([+-][0-9]{{2}})([0-9]{{2}}).*$', '\\1:\\2') "
        "ELSE CAST({0} AS VARCHAR) END AS TIMESTAMPTZ)",
    },
    "JSON_INT": {
        "": f"TRY_CAST(FLOOR(TRY_CAST(CAST(TRY(JSON_EXTRACT({_OBJECT}, '$.{{path:.}}')) AS VARCHAR) AS DOUBLE) + 0.5) "
        "AS BIGINT)",
        "postgres": f"CAST(FLOOR(CAST(jsonb_path_query_first({_JSONB}, "
        "'strict $.{path:.} ? (@ >= -1e18 && @ <= 1e18)', '{{}}', true) AS DOUBLE PRECISION) + 0.5) AS BIGINT)",
        "clickhouse": "accurateCastOrNull(floor(CASE WHEN JSONType({0}, {path:q}) IN ('Int64', 'UInt64', 'Double') "
        "THEN JSONExtract({0}, {path:q}, 'Nullable(Float64)') END + 0.5), 'Int64')",
    },
    "JSON_TEXT": {
        "": f"TRY(JSON_EXTRACT_STRING({_OBJECT}, '$.{{path:.}}'))",
        "postgres": f"{_JSONB} #>> '{{{{{{path:,}}}}}}'",
        "clickhouse": "JSONExtract({0}, {path:q}, 'Nullable(String)')",
    },
}
"""Our own functions by name and dialect; the empty name stands for every dialect that is not named.

    WHOLE(x)               the nearest whole number, halves up
    NANOUSD(x)             dollars as whole nano-USD, halves up
    MS_BETWEEN(a, b)       whole ms from a to b, rounded down
    INSTANT(x)             the instant that a text means, as Go's drivers write it too: … +0800 CST
    JSON_INT(x, 'a', 'b')  the number at path a.b of a JSON object, to the nearest whole one
    JSON_TEXT(x, 'a')      the text at the path

What is no number, no JSON, or too large for 64 bits is unknown: one odd row must not keep a day from being closed.
In floating point a multiplication, an addition and FLOOR are the same on every engine; ROUND is not.
"""


class _Path(tuple[str, ...]):
    """The keys of a JSON path, written with the sign between them that an engine wants; `q` for a list of literals."""

    __slots__ = ()

    def __format__(self, sign: str) -> str:
        return ", ".join(f"'{key}'" for key in self) if sign == "q" else sign.join(self)


@lru_cache(maxsize=1024)
def parse(expression: str, written_in: str = "duckdb") -> exp.Expr:
    """The expression taken apart; one that is no SQL is a `UsageError`. Not to be changed: it is shared."""
    try:
        statements = sqlglot.parse(expression, read=written_in)
    except SqlglotError as error:
        raise UsageError(
            f"{shorten(expression)!r} is not an SQL expression: {first_line(error)}.", "Mend it and try again."
        ) from None
    parsed = statements[0] if len(statements) == 1 else None
    if parsed is None or isinstance(parsed, exp.Query | exp.DDL | exp.DML | exp.Command):
        raise UsageError(f"{shorten(expression)!r} is a statement.", "Give an expression over the source's columns.")
    return parsed


def columns_of(expression: str, written_in: str = "duckdb") -> tuple[str, ...]:
    """The columns that the expression reads."""
    return tuple(dict.fromkeys(column.name for column in parse(expression, written_in).find_all(exp.Column)))


def render(expression: str, dialect: str, written_in: str = "duckdb") -> str:
    """The expression in the engine's dialect, every column quoted."""
    rendered = parse(expression, written_in).transform(lambda node: _own_function(node, dialect))
    return str(rendered.sql(dialect=_sqlglot_name(dialect), identify=True))


def _own_function(node: exp.Expr, dialect: str) -> exp.Expr:
    if not isinstance(node, exp.Anonymous) or node.name.upper() not in _FUNCTIONS:
        return node
    arguments = [argument.transform(lambda inner: _own_function(inner, dialect)) for argument in node.expressions]
    path = _Path(argument.name for argument in arguments[1:])
    written = [argument.sql(dialect=_sqlglot_name(dialect), identify=True) for argument in arguments]
    return exp.Var(this=own_function(node.name.upper(), dialect).format(*written, path=path))


def own_function(name: str, dialect: str) -> str:
    """What one of our functions is in the dialect, with `{0}` and so on where its arguments stand."""
    return _FUNCTIONS[name].get(dialect, _FUNCTIONS[name][""])


def quote(name: str, dialect: str) -> str:
    """A name, or several with dots between, quoted for the engine."""
    return ".".join(
        exp.to_identifier(part, quoted=True).sql(dialect=_sqlglot_name(dialect)) for part in name.split(".")
    )


def text_literal(value: str) -> str:
    """The text as a literal of portable SQL."""
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


_SQLGLOT_NAMES = {"pyspark": "spark", "singlestoredb": "singlestore"}


def _sqlglot_name(dialect: str) -> str:
    return _SQLGLOT_NAMES.get(dialect, dialect)
