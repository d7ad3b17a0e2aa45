"""A link: one connection to a PostgreSQL, opened when it is first needed and anew after it was lost."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tallybook.errors import LogsError, first_line
from tallybook.sources.urls import SourceUrl

Connection = psycopg.Connection[Any]

CONNECT_TIMEOUT_S = 10
SESSION = (
    "SET client_encoding = 'UTF8'",
    "SET TimeZone = 'UTC'",
    "SET synchronous_commit = on",
    "SET default_transaction_isolation = 'read committed'",
    "SELECT set_config('idle_session_timeout', '0', false) WHERE current_setting('server_version_num')::int >= 140000",
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
ALIVE: dict[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Either end notices within a minute that the other's machine is gone, and with it the locks that it held."""

_OUT_OF_REACH = ("The logs' PostgreSQL cannot be reached: {}.", "Check --logs, and that it is up and lets us in.")
_FAULTS = {
    "53100": ("The disk that holds the logs is full.", "Free some space; nothing was half-written."),
    "25006": ("The logs' PostgreSQL only reads.", "Name the server that writes, not its standby, with --logs."),
    "42501": (
        "The logs' PostgreSQL does not allow it: {}.",
        "Let its user make a schema in the database, or own tallybook_logs.",
    ),
    **dict.fromkeys(("08", "28", "3D", "57P01", "57P02", "57P03", "57P05"), _OUT_OF_REACH),
    "": ("The logs' PostgreSQL refused: {}.", "Nothing was half-written; the book is not touched."),
}
"""By SQLSTATE, or by its class, which are its first two signs."""


@contextmanager
def link_errors(url: SourceUrl) -> Iterator[None]:
    """Turns psycopg's exceptions into `LogsError`s with a remedy, without any secret of the URL."""
    try:
        yield
    except psycopg.Error as error:
        message, remedy = _told(error)
        raise LogsError(url.scrub(message), remedy) from None


def _told(error: psycopg.Error) -> tuple[str, str]:
    state = error.sqlstate or ("" if isinstance(error, psycopg.DataError) else "08")
    message, remedy = next(_FAULTS[known] for known in (state, state[:2], "") if known in _FAULTS)
    reason = re.sub(r"^connection (failed|is bad): ", "", first_line(error))
    return message.format(reason), remedy


class Link:
    """One connection whose users take turns. `prepare` are statements for each new session."""

    def __init__(self, url: SourceUrl, prepare: Sequence[str] = ()) -> None:
        self._url = url
        self._prepare = (*SESSION, *prepare)
        self._turn = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction, committed at the end or rolled back whole; waits for the one before it."""
        with self._turn, link_errors(self._url):
            connection = self._at_hand()
            with connection.transaction():
                yield connection

    def close(self) -> None:
        """Lets go of the connection, after whoever uses it has finished."""
        with self._turn:
            if self._connection:
                self._connection.close()

    def _at_hand(self) -> Connection:
        """The connection, if it still answers, or a new one: it may have been idle for days."""
        if self._connection and not self._connection.closed:
            try:
                self._connection.execute("SELECT 1")
            except psycopg.OperationalError:
                self._connection.close()
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, self._prepare)
        return self._connection


def connect(url: SourceUrl, prepare: Sequence[str] = SESSION) -> Connection:
    """A connection that commits by itself; it prepares no statements, which a pooler between us might lose."""
    plain = re.sub(r"^(postgresql|postgres)(\+\w+)?://", "postgresql://", url.expanded())
    connection: Connection = psycopg.connect(
        plain,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="tallybook",
        **ALIVE,
    )
    try:
        for statement in prepare:
            connection.execute(statement.encode())
    except psycopg.Error:
        connection.close()
        raise
    return connection


@contextmanager
def linked(url: SourceUrl, prepare: Sequence[str] = ()) -> Iterator[Link]:
    """A link for one long work, so that nobody else waits for it."""
    link = Link(url, prepare)
    try:
        yield link
    finally:
        link.close()
