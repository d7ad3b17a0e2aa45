"""What commands share: settings from flags anywhere, the bookkeeper of the home or its server, progress, JSON."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tallybook.config import Settings, load_settings
from tallybook.errors import LogsBusy, LogsError

Command = TypeVar("Command", bound=Callable[..., Any])

PATIENCE_S = 5.0
"""How long a command waits for another that holds the logs and is no server."""

_FLAGS = (
    click.option("--home", metavar="DIR", help="The home folder; ./tallybook-data if not given."),
    click.option("--book", metavar="URL", help="The book; a SQLite file in the home if not given."),
    click.option("--logs", metavar="URL", help="Our own logs; a DuckDB file in the home if not given."),
)


class _Output(Console):
    """A console that leaves a reader who has stopped reading to `main`, where it is no failure."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Output(highlight=False)
err = Console(stderr=True, highlight=False)


def clock() -> datetime:
    """The one place where a command reads the time."""
    return datetime.now(UTC)


def with_settings(command: Command) -> Command:
    """Lets the flags of the settings stand before or after the command word; the later one counts."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        flags = click.get_current_context().ensure_object(dict)
        flags |= {name: value for name in ("home", "book", "logs") if (value := kwargs.pop(name)) is not None}
        return command(*args, **kwargs)

    for flag in reversed(_FLAGS):
        wrapped = flag(wrapped)
    return wrapped  # type: ignore[return-value]


def settings(**flags: Any) -> Settings:
    """The settings in force for the command at work; `flags` are those of the command alone."""
    given = click.get_current_context().ensure_object(dict)
    return load_settings({**given, **flags}, os.environ)


json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def print_json(answer: Any) -> None:
    """One JSON document on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def perform(
    operation: str, arguments: dict[str, Any], on_result: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Runs an operation on the home: here, or in the server that holds its logs, which the user does not notice."""
    from tallybook.bookkeeper import Bookkeeper, Watch
    from tallybook.operations import OPERATIONS

    chosen = settings()
    with _progress() as show:
        watch = Watch(on_progress=show, on_result=on_result or (lambda _: None))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                keeper = Bookkeeper(chosen, clock)
            except LogsBusy:
                if (answer := _ask_server(chosen, operation, arguments, watch)) is not None:
                    return answer
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
                continue
            try:
                return OPERATIONS[operation](keeper, watch, **arguments)
            finally:
                keeper.close_all()


def _ask_server(chosen: Settings, operation: str, arguments: dict[str, Any], watch: Any) -> dict[str, Any] | None:
    from tallybook.client import ask_server, find_server

    server = find_server(chosen.home)
    if server is None:
        return None
    if (server.book, server.logs) != (chosen.book, chosen.logs):
        raise LogsError(
            f"The server at {server.url} keeps another book or other logs than this command names.",
            "Leave out --book and --logs, or stop the server.",
        )
    return ask_server(server, operation, arguments, watch)


@contextmanager
def _progress() -> Iterator[Callable[[str, float | None], None]]:
    """Progress on a terminal; silence elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(stage: str, done: float | None) -> None:
            bar.update(task, description=stage, total=None if done is None else 1, completed=done or 0, visible=True)

        yield show


@contextmanager
def opened_book() -> Iterator[Any]:
    """The book alone, for what needs no logs; a `BookError` where there is none yet."""
    from tallybook.book.ledger import Book

    chosen = settings()
    book = Book.open(chosen.book, clock(), must_exist=True)
    try:
        yield book
    finally:
        book.close()
