"""Scales: where the lines of a chart are drawn, and what stands at them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tallybook import wording

STEPS = (1, 2, 2.5, 5, 10)


def ticks(largest: float, wanted: int = 4, is_whole: bool = False) -> tuple[float, ...]:
    """Round numbers from 0 up to the first that is not below the largest value, about as many as wanted.

    Of what is counted they are whole.
    """
    if largest <= 0:
        return (0.0, 1.0)
    rough = max(largest / wanted, 1) if is_whole else largest / wanted
    magnitude = 10.0 ** math.floor(math.log10(rough))
    steps = (magnitude * factor for factor in STEPS if not is_whole or (magnitude * factor).is_integer())
    step = next(step for step in steps if step >= rough * (1 - 1e-9))
    return tuple(step * place for place in range(math.ceil(largest / step - 1e-9) + 1))


def round_number(value: float) -> str:
    """What stands at a round number: no zeros behind the point, and thousands as k, so that 2.5k stands below 10k."""
    if 1_000 <= value < 10_000:
        return f"{value / 1_000:g}k"
    text = wording.short(int(value))
    return f"{text[:-1].rstrip('0').rstrip('.')}{text[-1]}" if "." in text else text


def round_time(value_ms: float) -> str:
    """What stands at a round number of milliseconds."""
    if value_ms < 1_000:
        return f"{value_ms:g}ms" if value_ms else "0"
    return f"{value_ms / 1_000:,g}s"


def spread(count: int, wanted: int) -> Sequence[int]:
    """The places, among so many, that get a label: evenly apart, the last of them always."""
    apart = _apart(count, wanted)
    return range((count - 1) % apart, count, apart)


def every(count: int, wanted: int) -> Sequence[int]:
    """The same, with the first of them always."""
    return range(0, count, _apart(count, wanted))


def _apart(count: int, wanted: int) -> int:
    return max(1, math.ceil(count / wanted))


def decades(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 times the powers of ten, from the one value to the other."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return tuple(value for power in powers for step in (1, 2, 5) if low <= (value := step * 10.0**power) <= high)
