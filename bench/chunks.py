"""How many days of a long range one statement should read from an engine that stores rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.attaching import on_server
from bench.books import close_all, closing_trial, new_book
from bench.clock import Comparison, medians
from bench.engines import Logs, mariadb_logs, postgresql_logs, sqlite_logs
from bench.memory import peak_mb
from bench.servers import if_here, mariadb_server, postgresql_server
from bench.table import Finding, Findings, limit, ratio
from bench.traffic import Traffic
from tallybook.declaration import Declaration
from tallybook.sources.attached import AttachedSource
from tallybook.sources.inspection import inspect
from tallybook.sources.table import TableSource

TRAFFIC = Traffic(days=30, per_day=100_000)
DAYS = (1, 3, 7, 10, 15, 31)
HANDING_OVER = ("SQLite", "MariaDB")
"""Where it is this process that holds the rows, so that its memory counts."""


def measure_chunks(folder: Path, divisor: int) -> list[Findings]:
    """The same backfill by so many days a statement, in time and in memory."""
    traffic = TRAFFIC.scaled(divisor)
    times: list[Finding] = []
    peaks: list[Finding] = []
    for logs in _in_turns(folder, traffic):
        assert isinstance(logs.source, AttachedSource)
        declaration = logs.source.declaration
        times += _measure(folder, logs.engine, declaration, traffic)
        if logs.engine in HANDING_OVER:
            peaks += [_measure_memory(folder, logs.engine, declaration, days, traffic) for days in DAYS]
    size = f"backfilling {traffic.days} days of {traffic.per_day:,} records, by so many days a statement"
    return [
        Findings(f"9. {size}, against {DAYS[-1]}", times),
        Findings(f"10. peak memory of a process while {size}", peaks),
    ]


def _in_turns(folder: Path, traffic: Traffic) -> Iterator[Logs]:
    openers: dict[str, AbstractContextManager[Logs]] = {
        "SQLite": sqlite_logs(folder / "chunks.sqlite", traffic, index=True),
        "PostgreSQL": on_server(postgresql_server, lambda url: postgresql_logs(url, traffic, index=True)),
        "MariaDB": on_server(mariadb_server, lambda socket: mariadb_logs(socket, traffic)),
    }
    for engine, opened in openers.items():
        with ExitStack() as stack:
            if logs := if_here(engine, stack, lambda: opened):  # noqa: B023 - called at once
                yield logs


def _measure(folder: Path, engine: str, declaration: Declaration, traffic: Traffic) -> list[Finding]:
    trials = [closing_trial(folder, _reading(declaration, days), traffic.all_days) for days in DAYS]
    *_, most = times = medians(*trials)
    return [
        ratio(f"{engine}, {days} days a statement", Comparison(took, most))
        for days, took in zip(DAYS, times, strict=True)
    ]


def _reading(declaration: Declaration, days: int) -> TableSource:
    """The source, reading so many days at once."""
    source = inspect(declaration).source
    engine: Any = source.engine
    return replace(source, engine=replace(engine, days_per_read=days))


def _measure_memory(folder: Path, engine: str, declaration: Declaration, days: int, traffic: Traffic) -> Finding:
    command = [sys.executable, "-m", "bench.chunks", str(folder), declaration.url, str(days), str(traffic.per_day)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return limit(f"{engine}, {days} days a statement", json.loads(answer), "MB")


def _close(folder: Path, url: str, days: int, per_day: int) -> float:
    source = _reading(Declaration(name="gateway", url=url), days)
    with new_book(folder / "chunks.book.sqlite") as book:
        close_all(book, source, replace(TRAFFIC, per_day=per_day).all_days)
    return peak_mb()


if __name__ == "__main__":
    _, in_folder, of_url, at_once, a_day = sys.argv
    print(json.dumps(_close(Path(in_folder), of_url, int(at_once), int(a_day))))
