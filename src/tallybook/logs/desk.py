"""The desk: a private DuckDB, on which a file is read and checked before another database takes its records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from tallybook.errors import LogsError, first_line, raise_interrupted
from tallybook.offline import OFFLINE

MEMORY_LIMIT = "512MB"


@contextmanager
def private_desk(undone: str = "nothing was imported") -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty DuckDB in memory that spills to a folder of its own.

    Where it has no room, a `LogsError` says so, and with `undone` what was not done for it.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=OFFLINE) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
            connection.execute(f"SET temp_directory = '{folder}'")
            yield connection
    except RuntimeError as error:
        raise_interrupted(error)
    except duckdb.Error as error:
        message = f"There is no room to read the file: {first_line(error)}."
        raise LogsError(message, f"Free some space for temporary files; {undone}.") from error
