"""Anything may happen to a home, in any order, and it still says what a brute-force model of it says.

`TALLYBOOK_STATEFUL_RUNS` and `TALLYBOOK_STATEFUL_SEED` choose how many histories are tried, and which; a failure
prints the steps that lead to it, made as few as they can be.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from reliability.figures import report
from reliability.stateful_home import Books, Homes, PostgreSQLBooks, SQLiteBooks
from reliability.stateful_machine import START, HomeMachine

STEPS = 30
QUICK_RUNS = 5
RUNS = int(os.environ.get("TALLYBOOK_STATEFUL_RUNS", "500"))
SEED = int(os.environ.get("TALLYBOOK_STATEFUL_SEED", "1"))
PHASES = (Phase.generate, Phase.shrink)
PARTS = {"SQLite": 4, "PostgreSQL": 1}
"""How many tests, which may run side by side, share the runs; one part is as many runs on each database."""

NAMED = (
    "steps",
    "closings",
    "adjustments",
    "prunes",
    "crashes",
    "faults",
    "tamperings",
    "tamperings found",
    "restored",
)


def test_a_few_histories(tmp_path: Path) -> None:
    _try("a few histories on SQLite", tmp_path, SQLiteBooks(), QUICK_RUNS, SEED)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS["SQLite"]))
def test_histories_on_sqlite(tmp_path: Path, part: int) -> None:
    _try(f"histories on SQLite, part {part + 1}", tmp_path, SQLiteBooks(), _share(), SEED + part)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_histories_on_postgresql(tmp_path: Path, postgres_server: str) -> None:
    books = PostgreSQLBooks(postgres_server)
    _try("histories on PostgreSQL", tmp_path, books, _share(), SEED + PARTS["SQLite"])


def _share() -> int:
    return -(-RUNS // sum(PARTS.values()))


def _try(name: str, folder: Path, books: Books, runs: int, first_seed: int) -> None:
    homes, figures = Homes(folder, books), Counter[str]()
    homes.template(START)

    class Machine(HomeMachine):
        def __init__(self) -> None:
            super().__init__(homes, figures)

    seed(first_seed)(Machine)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS,
            phases=PHASES,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    told = ", ".join(f"{figures[name]:,} {name}" for name in NAMED)
    report(f"{name} (seed {first_seed}): {figures['runs']:,} runs, {told}; 0 contradictions")
