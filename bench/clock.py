"""Taking times, so that what else the machine does falls on both sides alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Trial = Callable[[], float]
"""Does the work once and answers how many seconds the part that counts took."""

REPEATS = 5


@dataclass(frozen=True)
class Comparison:
    """The median seconds of ours and of the other's."""

    ours_s: float
    other_s: float

    @property
    def ratio(self) -> float:
        return self.ours_s / self.other_s


def timed(work: Callable[[], object]) -> Trial:
    """The trial in which all of the work counts."""

    def trial() -> float:
        gc.collect()
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return trial


def medians(*trials: Trial) -> list[float]:
    """The median of each trial, all in turns (A B C A B C …), after one warm-up each."""
    for trial in trials:
        trial()
    rounds = [[trial() for trial in trials] for _ in range(REPEATS)]
    return [median(times) for times in zip(*rounds, strict=True)]


def compare(ours: Trial, other: Trial) -> Comparison:
    """Ours and the other's in turns."""
    return Comparison(*medians(ours, other))
