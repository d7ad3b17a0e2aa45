"""What is asked of an engine, and how the faults of its driver are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from tallybook.errors import SourceDown, SourceFault, first_line, raise_interrupted
from tallybook.measures import Totals
from tallybook.sources.groupings import Groupings
from tallybook.sources.relation import Edges, Relation, Window

COLUMNAR_DAYS = 366
"""An engine that stores columns reads a year as easily as a day."""

ROW_DAYS = 31
"""One that stores rows: of 1 to 31 days at once, a month was the quickest on SQLite and MariaDB, and as quick as any on
PostgreSQL (BENCHMARKS.md, table 9); `--set days_per_read=` gives another, where its records are too many for memory."""

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 300
"""How long a statement may keep somebody else's database busy; `--set timeout_s=` gives another."""


class Engine(Protocol):
    """An engine that can read log records. It opens a session for each call and lets go of it again.

    Raises `SourceDown` where it cannot be reached and `SourceFault` where a statement fails.
    """

    @property
    def title(self) -> str:
        """The engine's name for people."""

    @property
    def dialect(self) -> str:
        """The engine's SQL, as Ibis names it."""

    @property
    def days_per_read(self) -> int:
        """How many days of a long range one statement may read."""

    def groupings(self, relation: Relation, dimensions: tuple[str, ...], edges: Edges) -> Groupings:
        """The records of each span by bucket and by slice, from one snapshot where the engine has any."""

    def totals(self, relation: Relation, edges: Edges) -> list[Totals]:
        """The measures of each of the spans, from one statement that reads no more than they need."""

    def describe(self, origin: str) -> dict[str, str]:
        """The columns of what may stand after FROM, with their kinds.

        A kind is int, float, text, bool, json, nested, naive or zoned for a timestamp, other, or unknown where no value
        tells.
        """

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The few rows of a query."""

    def scans_all(self, relation: Relation, window: Window) -> bool:
        """Whether the window's bounds cannot keep the engine from reading everything."""


class ReadsAnyWindow:
    """An engine whose storage keeps the bounds of each block of rows, so that no index is needed."""

    def scans_all(self, relation: Relation, window: Window) -> bool:  # noqa: ARG002 - the answer is the same for all
        return False


@contextmanager
def engine_errors(engine: str, *errors: type[Exception]) -> Iterator[None]:
    """Turns a driver's exceptions into a `SourceFault`."""
    try:
        yield
    except RuntimeError as error:
        raise_interrupted(error)
    except (*errors, pa.ArrowInvalid, ValueError) as error:
        reason = first_line(error)
        if _TIMED_OUT.search(reason):
            raise too_long(engine) from error
        message = f"{engine} could not read the logs: {reason}."
        raise SourceFault(message, "Check that they are there and whole.") from error


def too_long(engine: str) -> SourceFault:
    """What a statement that was ended after `timeout_s` is told as."""
    return SourceFault(f"{engine} took longer than timeout_s allows.", _MORE_TIME)


_TIMED_OUT = re.compile(r"statement timeout|max_statement_time|maximum statement execution time|TIMEOUT_EXCEEDED")
_MORE_TIME = "Give it more with --set timeout_s=SECONDS, or have an index on the time."


@contextmanager
def connecting(engine: str, *errors: type[Exception]) -> Iterator[None]:
    """Turns a driver's exceptions into a `SourceDown`."""
    try:
        yield
    except errors as error:
        reason = re.sub(r"^connection (failed|is bad): ", "", first_line(error))
        message = f"{engine} cannot be reached: {reason}."
        raise SourceDown(message, "Check its URL, and that it is up and lets us in.") from error


def check_file(path: Path) -> None:
    """Raises `SourceDown` where there is no file."""
    if not path.is_file():
        raise SourceDown(f"There is no file {path}.", "Check its URL, and that it has not been moved.")


def first_known(kinds: dict[str, str], name: str) -> str:
    """The kind of a type by the longest beginning of its name that the table has."""
    found = [beginning for beginning in kinds if name.upper().startswith(beginning)]
    return kinds[max(found, key=len)] if found else "other"
