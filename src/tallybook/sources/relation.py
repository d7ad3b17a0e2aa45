"""A relation: log records as they lie in an engine, and the SELECTs that bring a window of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlglot import exp

from tallybook.days import ONE_DAY, midnight
from tallybook.measures import DIMENSION_FIELDS, HISTOGRAM_DIMENSIONS, MEASURE_FIELDS
from tallybook.shape import Shape
from tallybook.sources.instants import literal
from tallybook.sources.portable import columns_of, own_function, parse, quote, render

Window = tuple[datetime, datetime]
"""Half-open: from the first instant on, up to but without the second."""

Edges = tuple[datetime, ...]
"""The ascending instants, whole seconds, at which spans of time that follow one another begin, and the end of the last:
of days their midnights."""

_TEXT_AS_INSTANT = {
    "": "CAST({0} AS TIMESTAMP WITH TIME ZONE)",
    "duckdb": own_function("INSTANT", "duckdb"),
    "postgres": "CASE WHEN pg_input_is_valid({0}, 'timestamptz') THEN CAST({0} AS TIMESTAMP WITH TIME ZONE) END",
    "clickhouse": "parseDateTime64BestEffortOrNull({0}, 6, 'UTC')",
    "pyspark": "TRY_CAST({0} AS TIMESTAMP)",
}
"""A text that is no instant is null, and its row of no day; where an engine cannot tell, the day fails."""

_LAST_TEXT = "9999-12-31 23:59:59"
"""Words come after it, which are no times; looking for the last one passes over them."""

_TAIL = "SUBSTR({0}, 11)"
_OFFSET = (
    f"CASE WHEN STRPOS({_TAIL}, '+') > 0 THEN SUBSTR({_TAIL}, STRPOS({_TAIL}, '+')) "
    f"WHEN STRPOS({_TAIL}, '-') > 0 THEN SUBSTR({_TAIL}, STRPOS({_TAIL}, '-')) ELSE '' END"
)
_SPELLING = ("SUBSTR({0}, 11, 1)", _OFFSET)
"""What stands between date and time, and the offset: texts that have these in common sort as their instants do."""

_AS_INTEGER = {"clickhouse": "CAST({0} AS Nullable(Int64))"}
"""ClickHouse has unsigned integers, and no type for them and the others alike."""


@dataclass(frozen=True)
class Attempts:
    """How rows of one request are told from one another: `key` is its id, `failed` and `succeeded` say what a row is.

    Of a request only the row that succeeded counts, or else the last by `order`; a row without an id is a request.
    """

    key: str
    failed: str
    succeeded: str
    order: str


@dataclass(frozen=True)
class Relation:
    """Where log records lie, which rows they are, and from which expression each field of theirs is made.

    `origin` is what stands after FROM, in the engine's own SQL. Expressions are portable SQL, or the dialect that
    `written_in` names. `columns` are those that they read, with their kinds. `checked` records keep the rules of the
    record already. `final` asks ClickHouse for the last version of rows that are replaced. `unknown` names measures
    that the records cannot tell.
    """

    origin: str
    time_column: str
    time: str
    fields: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...] = ()
    where: tuple[str, ...] = ()
    attempts: Attempts | None = None
    final: bool = False
    written_in: str = "duckdb"
    checked: bool = False
    unknown: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        """What the aggregate needs to know of the records."""
        return Shape(frozenset(name for name, _ in self.fields), self.checked)

    def cut_down(self, dimensions: Sequence[str]) -> Relation:
        """The relation with only those fields and columns that a reading by the dimensions needs."""
        return self._with_fields(DIMENSION_FIELDS[name] for name in (*dimensions, *HISTOGRAM_DIMENSIONS))

    def without_dimensions(self) -> Relation:
        """The relation with only those fields and columns that totals need."""
        return self._with_fields(())

    def _with_fields(self, names: Iterable[str]) -> Relation:
        wanted = {*MEASURE_FIELDS, *names}
        fields = tuple((name, sql) for name, sql in self.fields if name in wanted)
        read = {self.time_column, *(column for _, sql in fields for column in columns_of(sql, self.written_in))}
        return replace(self, fields=fields, columns=tuple(each for each in self.columns if each[0] in read))

    def partings(self, dialect: str, edges: Edges) -> list[str]:
        """The literals that part one span from the next, where `select` says when a record was created."""
        time = "zoned" if self.time == "text" else self.time
        return [literal(time, dialect, edge) for edge in edges[1:-1]]

    def select(self, dialect: str, window: Window) -> str:
        """The window's records as a SELECT of `created_at` and the fields, in the engine's own SQL."""
        created_at = quote(self.time_column, dialect)
        if self.time == "text":
            created_at = _TEXT_AS_INSTANT.get(dialect, _TEXT_AS_INSTANT[""]).format(created_at)
        made = [f"{created_at} AS {quote('created_at', dialect)}"]
        made += [
            f"{_typed(name, render(sql, dialect, self.written_in), dialect)} AS {quote(name, dialect)}"
            for name, sql in self.fields
        ]
        bounds = _bounded(created_at, "zoned" if self.time == "text" else self.time, dialect, window)
        return self._statement(made, bounds + self._guard(dialect, window), dialect, window)

    def select_columns(self, dialect: str, window: Window) -> str:
        """The window's rows as a SELECT of the columns that fields are made of, for another engine to go on with."""
        columns = [quote(name, dialect) for name, _ in self.columns]
        column = quote(self.time_column, dialect)
        bounds = [] if self.time == "text" else _bounded(column, self.time, dialect, window)
        return self._statement(columns, bounds + self._guard(dialect, window), dialect, window)

    def at_hand(self, table: str) -> Relation:
        """The relation over a table that holds the rows of `select_columns`: all its conditions are met."""
        return replace(self, origin=table, where=(), attempts=None, final=False)

    def select_times(self, dialect: str, order: str, limit: int, since: datetime, until: datetime | None = None) -> str:
        """The first (`ASC`) or last (`DESC`) values of the time column, from an instant on and before another."""
        column = quote(self.time_column, dialect)
        rows = self._rows_between(dialect, since, until)
        if self.time == "text" and order == "DESC":
            rows += f" AND {column} <= '{_LAST_TEXT}'"
        return f"SELECT {column} FROM {rows} ORDER BY {column} {order} LIMIT {limit}"

    def select_spellings(self, dialect: str, order: str, since: datetime, until: datetime) -> str:
        """The first or last text of each way in which times are written there."""
        column = quote(self.time_column, dialect)
        spelling = [render(part.format(f'"{self.time_column}"'), dialect) for part in _SPELLING]
        chosen = {"ASC": "MIN", "DESC": "MAX"}[order]
        rows = self._rows_between(dialect, since, until)
        return f"SELECT {chosen}({column}) FROM {rows} GROUP BY {', '.join(spelling)}"

    def _rows_between(self, dialect: str, since: datetime, until: datetime | None) -> str:
        column = quote(self.time_column, dialect)
        conditions = [f"{column} >= {literal(self.time, dialect, since)}", *self._conditions(dialect)]
        if until:
            conditions.append(f"{column} < {literal(self.time, dialect, until)}")
        return f"{self.origin} AS t{self._final} WHERE {' AND '.join(conditions)}"

    def _statement(self, columns: Sequence[str], bounds: Sequence[str], dialect: str, window: Window) -> str:
        conditions = " AND ".join([*bounds, *self._conditions(dialect)])
        rows = f"SELECT {', '.join(columns)} FROM {self.origin} AS t{self._final} WHERE {conditions}"
        return self._one_of_attempts(self.attempts, rows, dialect, window) if self.attempts else rows

    @property
    def _final(self) -> str:
        return " FINAL" if self.final else ""

    def _conditions(self, dialect: str) -> list[str]:
        return [f"({render(condition, dialect, self.written_in)})" for condition in self.where]

    def _guard(self, dialect: str, window: Window) -> list[str]:
        """Text sorts as it is written, whatever its offset: with a day more on both sides no instant is left out."""
        if self.time != "text":
            return []
        return _bounded(quote(self.time_column, dialect), "text", dialect, _widened(window))

    def _one_of_attempts(self, attempts: Attempts, rows: str, dialect: str, window: Window) -> str:
        template = _ONE_OF_ATTEMPTS.get(dialect, _ONE_OF_ATTEMPTS[""])
        parts = {
            f"{table}_{name}": _of_table(sql, table, dialect)
            for table in ("t", "other")
            for name, sql in vars(attempts).items()
        }
        near = " AND ".join(_bounded(f"other.{quote(self.time_column, dialect)}", self.time, dialect, _widened(window)))
        return template.format(rows=rows, origin=self.origin, near=near, **parts)


_ONE_OF_ATTEMPTS = {
    "": "{rows} AND NOT ({t_failed} AND {t_key} <> '' AND EXISTS (SELECT 1 FROM {origin} AS other "
    "WHERE {other_key} = {t_key} AND ({other_succeeded} OR ({other_failed} AND {other_order} > {t_order}))))",
    "clickhouse": "{rows} AND NOT ({t_failed} AND {t_key} != '') UNION ALL "
    "{rows} AND {t_failed} AND {t_key} != '' "
    "AND ({t_key}, {t_order}) IN (SELECT {other_key}, max({other_order}) FROM {origin} AS other "
    "WHERE {other_failed} AND {near} GROUP BY {other_key}) "
    "AND {t_key} NOT IN (SELECT {other_key} FROM {origin} AS other WHERE {other_succeeded} AND {near} "
    "AND {other_key} IN (SELECT {other_key} FROM {origin} AS other WHERE {other_failed} AND {near})) "
    "LIMIT 1 BY {t_key}",
}
"""Failed rows are few, so each looks for its request's other rows by the index on the key; bounds of time would only
tempt a planner to take the index on time, and read days for each.

ClickHouse has no such index and no row numbers: failed attempts that nothing tells apart are one.
"""


def _of_table(expression: str, table: str, dialect: str) -> str:
    """The portable expression with its columns taken from the table."""
    copy = parse(expression).copy()
    for column in copy.find_all(exp.Column):
        column.set("table", exp.to_identifier(table))
    return f"({copy.sql(dialect=dialect, identify=True)})"


def _typed(name: str, sql: str, dialect: str) -> str:
    return _AS_INTEGER.get(dialect, "{0}").format(sql) if name in MEASURE_FIELDS else sql


def _bounded(column: str, time: str, dialect: str, window: Window) -> list[str]:
    start, end = (literal(time, dialect, instant) for instant in window)
    return [f"{column} >= {start}", f"{column} < {end}"]


def _widened(window: Window) -> Window:
    return window[0] - ONE_DAY, window[1] + ONE_DAY


def window_of(edges: Edges) -> Window:
    """All the spans together."""
    return edges[0], edges[-1]


def edges_of(days: Sequence[date]) -> Edges:
    """The edges of consecutive days."""
    return *map(midnight, days), midnight(days[-1] + ONE_DAY)


def hour_edges(day: date) -> Edges:
    """The edges of the day's 24 hours."""
    return tuple(midnight(day) + timedelta(hours=hour) for hour in range(25))
