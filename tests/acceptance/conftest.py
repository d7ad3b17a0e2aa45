"""Fixtures of the acceptance tests: homes, and the traffic that most stories begin with."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from acceptance.running import Home, Server, serving

AZURE = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def not_at_midnight() -> None:
    """These tests meet the real clock, so the day must not turn, nor become closable, while one runs."""
    if not time(0, 6) <= datetime.now(UTC).time() <= time(23, 57):
        pytest.skip("the UTC day turns or becomes closable while this test runs")


@pytest.fixture
def new_home() -> Iterator[Callable[[], Home]]:
    """Makes empty homes below one short path, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        numbers = itertools.count(1)
        yield lambda: Home(Path(folder) / f"home{next(numbers)}")


@pytest.fixture
def home(new_home: Callable[[], Home]) -> Home:
    """An empty home."""
    return new_home()


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    """A server on an empty home."""
    with serving(home) as started:
        yield started


@pytest.fixture
def azure() -> Path:
    """The folder of the Azure traces."""
    if not (AZURE / "azure_code.csv").exists():
        pytest.skip("the Azure traces are in ../shared/data, which is not here")
    return AZURE
