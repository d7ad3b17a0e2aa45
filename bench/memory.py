"""The most memory that closing a day takes, each time in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

from bench.books import close_all, new_book
from bench.engines import fill_own_logs
from bench.table import Finding, Findings, limit
from bench.traffic import Traffic
from tallybook.logs.store import LogStore

TRAFFIC = Traffic(days=1, per_day=10_000_000)
BELOW_MB = 1024.0
LIMITS = ("default", "1GB", "512MB", "256MB")
DEFAULT = LIMITS[0]


def measure_memory(folder: Path, divisor: int) -> list[Findings]:
    """Under DuckDB's default limit, four fifths of the machine's memory, and under lower ones."""
    traffic = TRAFFIC.scaled(divisor)
    log = folder / "memory.duckdb"
    _in_child("fill", log, str(traffic.per_day))
    rows = [row for memory_limit in LIMITS for row in _measure(log, memory_limit)]
    return [Findings(f"6. peak memory of a process that closes a day of {traffic.records:,} records", rows)]


def _measure(log: Path, memory_limit: str) -> list[Finding]:
    peaks = _in_child("close", log, memory_limit)
    what = f"memory_limit {memory_limit}"
    closing = limit(what, peaks["closing_mb"], "MB", BELOW_MB if memory_limit == DEFAULT else None)
    started = limit("of it before closing: Python, its modules, open databases", peaks["start_mb"], "MB")
    return [closing, started] if memory_limit == DEFAULT else [closing]


def _in_child(task: str, log: Path, setting: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.memory", task, str(log), setting]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def _fill(log: Path, per_day: str) -> dict[str, float]:
    fill_own_logs(log, Traffic(TRAFFIC.days, int(per_day)))
    return {}


def _close(log: Path, memory_limit: str) -> dict[str, float]:
    store = LogStore.open(log)
    if memory_limit != DEFAULT:
        with store.connect() as connection:
            connection.execute(f"SET memory_limit = '{memory_limit}'")
    with new_book(log.with_name("memory.book.sqlite")) as book:
        start_mb = peak_mb()
        close_all(book, store, TRAFFIC.all_days)
    store.close()
    return {"start_mb": start_mb, "closing_mb": peak_mb()}


def peak_mb() -> float:
    """The high-water mark of this process's resident memory.

    `ru_maxrss` of a child begins at its parent's, so Linux is asked for the mark of this program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


TASKS = {"fill": _fill, "close": _close}

if __name__ == "__main__":
    _, task_name, log_path, given = sys.argv
    print(json.dumps(TASKS[task_name](Path(log_path), given)))
