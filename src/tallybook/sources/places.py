"""Places: the engine that a source's URL names, its driver loaded only now, since a home may never need it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from tallybook.errors import UsageError, shorten
from tallybook.sources.engines.engine import STATEMENT_TIMEOUT_S, Engine
from tallybook.sources.portable import text_literal
from tallybook.sources.urls import SourceUrl, check_url, names_files, path_of, suffix_of

SUPPORTED = (
    "sqlite:///FILE",
    "postgresql://…",
    "duckdb:///FILE",
    "mysql://…",
    "clickhouse://…",
    "spark://…",
    "parquet:///GLOB",
    "csv:///GLOB",
    "jsonl:///GLOB",
    "or one that an installed Ibis backend reads, as trino://…",
)


@dataclass(frozen=True)
class Place:
    """A URL's engine, and for files what stands after FROM."""

    engine: Engine
    family: str
    origin: str | None = None


def open_place(url: SourceUrl, timeout_s: int | None = None) -> Place:
    """The engine that the URL names. Nothing is connected to yet.

    A server's statements end after `timeout_s`, or `STATEMENT_TIMEOUT_S`; files are read without a limit unless one is
    given. Raises `UsageError` for a URL that no engine reads, where a driver is not installed, and for a limit where
    the driver has none.
    """
    expanded = url.expanded()
    check_url(expanded)
    scheme = SourceUrl(expanded).scheme.partition("+")[0]
    _check_signs(expanded, scheme)
    for schemes, opened in _OPENERS:
        if scheme in schemes:
            return _with_driver(scheme, lambda: opened(expanded, timeout_s))  # noqa: B023 - called at once
    return _with_driver(scheme, lambda: _open_ibis(expanded, scheme, url, timeout_s))


def _check_signs(url: str, scheme: str) -> None:
    """A sign of a password that is not quoted makes another URL of it: a host or a port that nobody meant."""
    try:
        parts = urlsplit(url)
        misread = "@" in parts.path and "@" not in parts.netloc and not names_files(scheme)
        if scheme in ("mysql", "mariadb", "clickhouse"):
            _ = parts.port
    except ValueError:
        misread = True
    if misread:
        raise UsageError(
            "The source's URL cannot be taken apart into user, password, host and port.",
            "In a password write % as %25, / as %2F, : as %3A, ? as %3F, # as %23, @ as %40, [ as %5B.",
        )


def _with_driver(scheme: str, opened: Callable[[], Place]) -> Place:
    try:
        return opened()
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        remedy = f"pip install 'tallybook[{extra}]'" if extra else f"pip install 'ibis-framework[{scheme}]'"
        raise UsageError(
            f"The driver for {scheme}:// is not installed: there is no module {error.name or 'for it'}.",
            f"Install it: {remedy}.",
        ) from None


_EXTRAS = {
    "mysql": "mysql",
    "mariadb": "mysql",
    "clickhouse": "clickhouse",
    "chdb": "clickhouse",
    "spark": "spark",
    "sc": "spark",
    "pyspark": "spark",
}


def _refuse_timeout(engine: str, timeout_s: int | None) -> None:
    if timeout_s is not None:
        raise UsageError(f"{engine} cannot be told to end a statement after timeout_s.", "Leave out timeout_s.")


def _open_sqlite(url: str, timeout_s: int | None) -> Place:
    _refuse_timeout("SQLite", timeout_s)
    from tallybook.sources.engines.sqlite import SQLite

    return Place(SQLite(path_of(url).absolute()), "sqlite")


def _open_duckdb(url: str, timeout_s: int | None) -> Place:
    from tallybook.sources.engines.duck import DuckDB, read_only

    return Place(DuckDB(read_only(path_of(url).absolute()), timeout_s=timeout_s), "duckdb")


def _open_postgresql(url: str, timeout_s: int | None) -> Place:
    from tallybook.sources.engines.postgresql import PostgreSQL

    plain = re.sub(r"^(postgresql|postgres)(\+\w+)?://", "postgresql://", url)
    return Place(PostgreSQL(plain, timeout_s or STATEMENT_TIMEOUT_S), "postgresql")


def _open_mysql(url: str, timeout_s: int | None) -> Place:
    from tallybook.sources.engines.mysql import MySQL

    return Place(MySQL(url, timeout_s or STATEMENT_TIMEOUT_S), "mysql")


def _open_clickhouse(url: str, timeout_s: int | None) -> Place:
    from tallybook.sources.engines.clickhouse import ClickHouse

    return Place(ClickHouse(url, timeout_s or STATEMENT_TIMEOUT_S), "clickhouse")


def _open_spark(url: str, timeout_s: int | None) -> Place:
    _refuse_timeout("Spark", timeout_s)
    from tallybook.sources.engines.spark import Spark

    return Place(Spark(url), "spark")


_READERS = {
    ".parquet": "read_parquet({glob}, union_by_name = true)",
    ".csv": "read_csv({glob}, header = true, union_by_name = true)",
    ".jsonl": "read_json({glob}, format = 'auto', union_by_name = true)",
}
_SUFFIX_OF_SCHEME = {"parquet": ".parquet", "csv": ".csv", "jsonl": ".jsonl", "json": ".jsonl"}


def _open_files(url: str, timeout_s: int | None) -> Place:
    from tallybook.sources.engines.duck import DuckDB, in_memory

    scheme = SourceUrl(url).scheme
    path = path_of(url).absolute()
    suffix = _SUFFIX_OF_SCHEME.get(scheme, suffix_of(str(path)))
    if suffix not in _READERS:
        raise UsageError(f"{shorten(str(path))} is no kind of file that we read.", "Name Parquet, CSV or JSONL files.")
    origin = _READERS[suffix].format(glob=text_literal(str(path)))
    return Place(DuckDB(in_memory, title=_FILE_TITLES[suffix], timeout_s=timeout_s), "files", origin)


_FILE_TITLES = {".parquet": "Parquet files", ".csv": "CSV files", ".jsonl": "JSONL files"}


def _open_ibis(url: str, scheme: str, given: SourceUrl, timeout_s: int | None) -> Place:
    backend = next((each for each in entry_points(group="ibis.backends") if each.name == scheme), None)
    if backend is None:
        raise UsageError(
            f"{shorten(given.shown())!r} names no engine that we read.", f"Use one of: {', '.join(SUPPORTED)}."
        )
    _refuse_timeout(scheme, timeout_s)
    backend.load()
    from tallybook.sources.engines.anything import AnyIbis

    return Place(AnyIbis(url, scheme, scheme), scheme)


_OPENERS: tuple[tuple[tuple[str, ...], Callable[[str, int | None], Place]], ...] = (
    (("sqlite",), _open_sqlite),
    (("duckdb",), _open_duckdb),
    (("postgresql", "postgres"), _open_postgresql),
    (("mysql", "mariadb"), _open_mysql),
    (("clickhouse", "chdb"), _open_clickhouse),
    (("spark", "sc"), _open_spark),
    (("parquet", "csv", "jsonl", "json", "file"), _open_files),
)
