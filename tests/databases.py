"""Other people's databases, for real: a file, a server of our own, or an engine within this process.

Each is asked for a fresh database, filled by SQL, and told by the URL under which tallybook attaches it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import duckdb
import psycopg
import pytest

Row = Sequence[Any]
REQUIRED = "TALLYBOOK_REQUIRE_ENGINES"
"""Where this is set, an engine that is not there is a failure and no skip."""

LONGEST_FOR_SOCKETS = 40

_numbers = itertools.count()


@dataclass(frozen=True)
class Database:
    """A database of its own: `run` executes a statement, `insert` puts rows into a table."""

    family: str
    url: str
    run: Callable[[str], object]
    insert: Callable[[str, Sequence[Row]], object]

    def fill(self, table: str, rows: Sequence[Row]) -> None:
        """The rows in the table, if there are any."""
        if rows:
            self.insert(table, rows)


HEAVY = ("mysql", "clickhouse", "spark")
"""Families that need more than a Python package or two: their tests are those of `make test-engines`."""


def on(*families: str) -> pytest.MarkDecorator:
    """Runs the test on a fresh `database` of each family."""
    marks = {family: [pytest.mark.engines] if family in HEAVY else [] for family in families}
    parameters = [pytest.param(family, marks=marks[family], id=family) for family in families]
    return pytest.mark.parametrize("database", parameters, indirect=True)


def missing(engine: str, error: BaseException) -> NoReturn:
    """Skips the test, saying what is not there; fails instead where every engine is required."""
    reason = f"{engine} is not here: {error}"
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


def short_folder() -> str:
    """Where temporary files may lie whose path a socket can have, which holds a hundred characters."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_FOR_SOCKETS else "/tmp"  # noqa: S108 - a folder of a name nobody knows is made in it


def _marks(row: Row, mark: str) -> str:
    return ", ".join([mark] * len(row))


@contextmanager
def sqlite_database(folder: Path) -> Iterator[Database]:
    """A SQLite file, in the journal mode that gateways choose."""
    path = folder / f"gateway{next(_numbers)}.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    yield Database(
        "sqlite",
        f"sqlite:///{path}",
        connection.execute,
        lambda table, rows: connection.executemany(f"INSERT INTO {table} VALUES ({_marks(rows[0], '?')})", rows),
    )
    connection.close()


@contextmanager
def duckdb_database(folder: Path) -> Iterator[Database]:
    """A DuckDB file; closed after each statement, as only one process can hold it."""
    path = folder / f"gateway{next(_numbers)}.duckdb"

    def run(sql: str, rows: Sequence[Row] | None = None) -> None:
        with duckdb.connect(path) as connection:
            if rows is None:
                connection.execute(sql)
            else:
                connection.executemany(sql, rows)

    yield Database(
        "duckdb",
        f"duckdb:///{path}",
        run,
        lambda table, rows: run(f"INSERT INTO {table} VALUES ({_marks(rows[0], '?')})", rows),
    )


@contextmanager
def postgresql_database(url: str) -> Iterator[Database]:
    """A database in a PostgreSQL server that is up."""
    with psycopg.connect(url, autocommit=True) as connection:

        def insert(table: str, rows: Sequence[Row]) -> None:
            statement = f"INSERT INTO {table} VALUES ({_marks(rows[0], '%s')})"
            connection.cursor().executemany(statement.encode(), rows)

        yield Database("postgresql", url, lambda sql: connection.execute(sql.encode()), insert)


@contextmanager
def mariadb_server() -> Iterator[str]:
    """The path of the socket of a MariaDB of our own, with no network, stopped and deleted at the end."""
    install, server = (shutil.which(name) for name in ("mariadb-install-db", "mariadbd"))
    if not install or not server:
        raise FileNotFoundError("there is no mariadbd; on Debian: apt-get install mariadb-server")
    with tempfile.TemporaryDirectory(prefix="tb", dir=short_folder()) as folder:
        data, socket = f"{folder}/data", f"{folder}/s"
        user = ["--user=root"] if os.geteuid() == 0 else []
        making = [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *user]
        subprocess.run([*making, "--skip-test-db"], check=True, capture_output=True)
        options = ["--skip-networking", "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0"]
        command = [server, "--no-defaults", f"--datadir={data}", f"--socket={socket}", *options, *user]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(socket, process)
            yield socket
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(socket: str, process: subprocess.Popen[bytes]) -> None:
    import MySQLdb

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            MySQLdb.connect(unix_socket=socket, user="root").close()
        except MySQLdb.Error:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("MariaDB does not answer")


@contextmanager
def mariadb_database(socket: str) -> Iterator[Database]:
    """A database in a MariaDB server that is up; its collation tells no case apart, as is MySQL's custom.

    What fills it is in UTC; a test may have the server's other sessions begin in a zone, until it ends.
    """
    import MySQLdb

    name = f"t{os.getpid()}_{next(_numbers)}"
    in_utc = "SET time_zone = '+00:00'"
    connection = MySQLdb.connect(
        unix_socket=socket, user="root", charset="utf8mb4", autocommit=True, init_command=in_utc
    )
    cursor = connection.cursor()
    cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    connection.select_db(name)

    def insert(table: str, rows: Sequence[Row]) -> None:
        cursor.executemany(f"INSERT INTO {table} VALUES ({_marks(rows[0], '%s')})", [tuple(row) for row in rows])

    yield Database(
        "mysql", f"mysql://root@localhost/{name}?unix_socket={quote(socket, safe='')}", cursor.execute, insert
    )
    cursor.execute(f"DROP DATABASE {name}")
    cursor.execute("SET GLOBAL time_zone = 'SYSTEM'")
    connection.close()


@contextmanager
def clickhouse_database(folder: Path) -> Iterator[Database]:
    """A database in ClickHouse's engine within this process, which allows one folder a process."""
    import clickhouse_connect

    name = f"t{next(_numbers)}"
    client = clickhouse_connect.get_client(interface="chdb", path=str(folder))
    client.command(f"CREATE DATABASE {name}")
    client.close()
    url = f"clickhouse://localhost/{name}?interface=chdb&path={quote(str(folder), safe='')}"
    client = clickhouse_connect.get_client(interface="chdb", path=str(folder), database=name)
    yield Database(
        "clickhouse", url, client.command, lambda table, rows: client.insert(table, [list(row) for row in rows])
    )
    client.command(f"DROP DATABASE {name}")
    client.close()


@contextmanager
def spark_database(folder: Path) -> Iterator[Database]:
    """A database in a Spark of this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession

        session = (
            SparkSession.builder.appName("tallybook")
            .master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.warehouse.dir", str(folder))
            .getOrCreate()
        )
    name = f"t{next(_numbers)}"
    session.sql(f"CREATE DATABASE {name}")
    session.catalog.setCurrentDatabase(name)

    def insert(table: str, rows: Sequence[Row]) -> None:
        schema = session.table(table).schema
        session.createDataFrame([tuple(row) for row in rows], schema).write.insertInto(table)

    yield Database("spark", f"spark:///{name}?spark.sql.shuffle.partitions=2", session.sql, insert)
    session.catalog.setCurrentDatabase("default")
    session.sql(f"DROP DATABASE {name} CASCADE")
