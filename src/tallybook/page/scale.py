"""Scales: where the lines of a chart are drawn, and what stands at them."""

from __future__ import annotations

import math
from collections.abc import Sequence

STEPS = (1, 2, 2.5, 5, 10)


def ticks(largest: float, wanted: int = 4) -> tuple[float, ...]:
    """Round numbers from 0 up to the first that is not below the largest value, about as many as wanted."""
    if largest <= 0:
        return (0.0, 1.0)
    rough = largest / wanted
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * factor for factor in STEPS if magnitude * factor >= rough * (1 - 1e-9))
    return tuple(step * place for place in range(math.ceil(largest / step - 1e-9) + 1))


def spread(count: int, wanted: int) -> Sequence[int]:
    """The places, among so many, that get a label: evenly apart, the last of them always."""
    apart = max(1, math.ceil(count / wanted))
    return range((count - 1) % apart, count, apart)
