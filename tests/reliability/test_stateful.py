from __future__ import annotations
from collections import Counter
from collections.abc import Iterator
import os, shutil, tempfile, time
from pathlib import Path
import pytest
from hypothesis import settings, Phase, seed, HealthCheck
from hypothesis.stateful import run_state_machine_as_test
from reliability.stateful_home import Homes, SQLiteBooks, PostgreSQLBooks
from reliability.stateful_machine import HomeMachine, START

@pytest.fixture
def memory() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)

def test_sqlite(memory: Path) -> None:
    homes = Homes(memory, SQLiteBooks())
    homes.template(START)
    figures: Counter[str] = Counter()
    def machine() -> HomeMachine:
        return HomeMachine(homes, figures)
    seed(int(os.environ.get("TALLYBOOK_STATEFUL_SEED", 1)))(machine)
    t = time.perf_counter()
    try:
        run_state_machine_as_test(machine, settings=settings(max_examples=int(os.environ.get("TALLYBOOK_STATEFUL_RUNS", 60)), stateful_step_count=int(os.environ.get("STEPS","30")), database=None, print_blob=True, phases=[Phase.generate, Phase.shrink] if not os.environ.get("NOSHRINK") else [Phase.generate], suppress_health_check=list(HealthCheck), report_multiple_bugs=False))
    finally:
        print(figures, time.perf_counter() - t)
