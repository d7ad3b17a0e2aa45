"""The errors that tallybook raises on purpose.

    TallybookError            the sentence is the message, `remedy` says what to do
    ├── UsageError            the caller asked for something that cannot be (exit 2, HTTP 400)
    │   ├── NotClosable       the day is not over
    │   └── UnknownName       a period, dimension or source that does not exist; lists those that do
    ├── BookError             the book cannot be opened, read or written
    │   ├── NoBook            there is none where one must be
    │   ├── DamagedBook       its file is no database, or a damaged one
    │   ├── BookTooNew        a newer tallybook has migrated it
    │   └── BookTooOld        an older one wrote it, and nobody has migrated it yet
    ├── LogsError             the logs cannot be opened, read or written
    │   ├── LogsBusy          another process holds them, or an import is running
    │   ├── SourceDown        an attached source cannot be reached, so none of its days can be read
    │   └── SourceFault       an attached source was reached, but did not tell what was asked
    ├── UnreadableFile        a file to import cannot be taken as it is
    └── CloseFailed           a day could not be closed; it stays missing and is tried again

Drivers' exceptions become one of these at the border where the driver is called, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn


class TallybookError(Exception):
    """An error whose message is one plain sentence, with a remedy beside it."""

    code = "failed"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(TallybookError):
    """What was asked for cannot be, whatever the state of the books."""

    code = "usage"


class NotClosable(UsageError):
    """A day that is not over cannot be closed."""

    code = "not_over"


class UnknownName(UsageError):
    """A name that is none of those allowed."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, allowed: Iterable[str]) -> None:
        super().__init__(f"There is no {kind} {shorten(name)!r}.", f"Use one of: {', '.join(allowed)}.")


class BookError(TallybookError):
    """The book cannot be opened, read or written."""

    code = "book"


class NoBook(BookError):
    """There is no book where one must be."""


class DamagedBook(BookError):
    """The book's file is no database, or a damaged one."""


class BookTooNew(BookError):
    """The book was written by a newer tallybook."""

    code = "book_too_new"


class BookTooOld(BookError):
    """The book was written by an older tallybook, and may not be migrated now."""

    code = "book_too_old"


class LogsError(TallybookError):
    """The logs cannot be opened, read or written."""

    code = "logs"


class LogsBusy(LogsError):
    """Another process holds the logs, or an import is running."""

    code = "logs_busy"


class SourceDown(LogsError):
    """An attached source cannot be reached: trying its other days would only take longer."""

    code = "source_down"


class SourceFault(LogsError):
    """An attached source was reached, and a statement on it failed."""

    code = "source_fault"


class UnreadableFile(TallybookError):
    """A file that cannot be imported as it is; nothing of it was stored."""

    code = "unreadable_file"


class OutputError(TallybookError):
    """What was asked for cannot be written where it should go."""

    code = "output"


class CloseFailed(TallybookError):
    """A day could not be closed; nothing of it was written."""

    code = "close_failed"


def shorten(text: str, limit: int = 80) -> str:
    """The text, cut to `limit` characters, for quoting foreign input in a message."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def first_line(error: BaseException) -> str:
    """The first line of a foreign error, without its number, class and full stop, for quoting it in ours."""
    match error.args:
        case (int(), str(text)):
            pass
        case _:
            text = str(error)
    line = next(iter(text.strip().splitlines()), type(error).__name__)
    return shorten(re.sub(r"^(\w+ ){0,3}\w*(Error|Exception): ", "", line).rstrip("!. "), 300)


def raise_interrupted(error: RuntimeError) -> NoReturn:
    """DuckDB tells Ctrl-C as a RuntimeError; it is to be what it is everywhere else."""
    if "interrupted" in str(error).lower():
        raise KeyboardInterrupt from error
    raise error
