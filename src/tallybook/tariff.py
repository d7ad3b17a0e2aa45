"""What a model asks for a request: rates by instant and by the size of its input, and the exact sum in nano-USD.

A rate is a whole number of 10^-18 nano-USD a token, so that any price per million tokens of up to 21 decimals is exact;
a cost is rounded once, half to even, when all is added up. In columns a rate is three limbs of nine digits, whose
products with up to 10^9 tokens stay within 64 bits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from tallybook.records import MAX_COST_USD, NANOUSD_PER_USD

LIMB = 10**9
PARTS_PER_NANOUSD = LIMB * LIMB
HALF = PARTS_PER_NANOUSD // 2
MAX_COST_NANOUSD = MAX_COST_USD * NANOUSD_PER_USD
MAX_RATE = LIMB * PARTS_PER_NANOUSD
"""A dollar a token; what a request of 10^9 tokens costs at it still fits in 64 bits."""
DAY_US = 86_400_000_000
ALWAYS_US = -(2**63)

Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rate:
    """What is asked, in 10^-18 nano-USD: for a token of input, of input from a cache, of output; and for a request."""

    input: int
    cached: int
    output: int
    request: int = 0

    def cost_nanousd(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> int:
        """The cost of one request, rounded half to even."""
        fresh = tokens_in - tokens_cached
        parts = fresh * self.input + tokens_cached * self.cached + tokens_out * self.output + self.request
        whole, rest = divmod(parts, PARTS_PER_NANOUSD)
        return whole + (rest > HALF or (rest == HALF and whole % 2))

    def limbs(self) -> list[tuple[int, int, int]]:
        """Each rate in whole nano-USD, and the two limbs of its fraction."""
        rates = (self.input, self.cached, self.output, self.request)
        return [(rate // PARTS_PER_NANOUSD, rate // LIMB % LIMB, rate % LIMB) for rate in rates]


def to_rate(usd: Decimal, units: int) -> int:
    """The price of that many units as a rate for one; a `ValueError` if it is too large or too fine for one."""
    numerator, denominator = usd.as_integer_ratio() if usd.is_finite() else (-1, 1)
    rate, rest = divmod(numerator * NANOUSD_PER_USD * PARTS_PER_NANOUSD, denominator * units)
    if rest or not 0 <= rate <= MAX_RATE:
        raise ValueError(f"{usd} US dollars for {units} cannot be a rate")
    return rate


@dataclass(frozen=True)
class Period:
    """When rates hold: from an instant on, between two times of the UTC day (across midnight where they say so).

    `rates` has one more than `steps`: the first up to that many tokens of input, the next above, and so on. None is a
    price that the tokens do not tell.
    """

    rates: tuple[Rate | None, ...]
    steps: tuple[int, ...] = ()
    begins_us: int = ALWAYS_US
    from_us: int = 0
    until_us: int = DAY_US

    def holds(self, created_at_us: Any) -> Any:
        """Whether it holds at the instant; of a column of instants, at each."""
        of_day_us = created_at_us % DAY_US
        after, before = of_day_us >= self.from_us, of_day_us < self.until_us
        within = after | before if self.until_us < self.from_us else after & before
        return within & (created_at_us >= self.begins_us)


@dataclass(frozen=True)
class Tariff:
    """The periods of a model's prices. The last that holds counts; where none does, the first."""

    periods: tuple[Period, ...]

    def rate_at(self, created_at_us: int, tokens_in: int) -> Rate | None:
        """The rate of one request."""
        for period in reversed(self.periods):
            if period.holds(created_at_us):
                break  # else it ends with the first, as it should
        return period.rates[bisect_left(period.steps, tokens_in)]

    @cached_property
    def rates(self) -> tuple[Rate | None, ...]:
        """All rates, one after the other."""
        return tuple(rate for period in self.periods for rate in period.rates)

    @cached_property
    def limbs(self) -> Integers:
        """Shape (rates, 4, 3), as `Rate.limbs`."""
        return np.array([(rate or NOTHING).limbs() for rate in self.rates], dtype=np.int64)

    @cached_property
    def known(self) -> Truths:
        """Which of the rates are known."""
        return np.array([rate is not None for rate in self.rates])

    def places(self, created_at_us: Integers, tokens_in: Integers) -> Integers:
        """For each request the place of its rate among `rates`."""
        starts = accumulate((len(period.rates) for period in self.periods), initial=0)
        chosen = np.zeros(len(tokens_in), dtype=np.int64)
        for period, start in zip(self.periods, starts, strict=False):
            place = start + np.searchsorted(period.steps, tokens_in)
            chosen = np.where(period.holds(created_at_us), place, chosen) if start else place
        return chosen


NOTHING = Rate(0, 0, 0)
UNPRICED = Tariff((Period((None,)),))


@dataclass(frozen=True)
class Requests:
    """Requests in columns: which tariff each has, by its place in a list, and what it used. Unknown tokens are 0."""

    tariff: Integers
    created_at_us: Integers
    tokens_in: Integers
    tokens_cached: Integers
    tokens_out: Integers
    tokens_in_known: Truths
    tokens_out_known: Truths


def cost_requests(requests: Requests, tariffs: Sequence[Tariff]) -> tuple[Integers, Truths]:
    """The cost of each request in nano-USD, as `Rate.cost_nanousd` has it, and whether it is known."""
    starts = np.cumsum([0, *(len(tariff.rates) for tariff in tariffs[:-1])])
    place = starts[requests.tariff]
    for number, tariff in enumerate(tariffs):
        if len(tariff.rates) > 1:
            mine = np.flatnonzero(requests.tariff == number)
            place[mine] += tariff.places(requests.created_at_us[mine], requests.tokens_in[mine])
    limbs = np.concatenate([tariff.limbs for tariff in tariffs])
    costs = _add_up(requests, limbs, place)
    output_charged = limbs[:, 2, :].max(axis=1) > 0
    known = np.concatenate([tariff.known for tariff in tariffs])[place] & requests.tokens_in_known
    known &= requests.tokens_out_known | ~output_charged[place]
    return costs, known & (costs <= MAX_COST_NANOUSD)


def _add_up(requests: Requests, limbs: Integers, place: Integers) -> Integers:
    fresh = requests.tokens_in - requests.tokens_cached

    def total(limb: int) -> Integers:
        rates = limbs[:, :, limb][place]
        charged: Integers = fresh * rates[:, 0] + requests.tokens_cached * rates[:, 1]
        return charged + requests.tokens_out * rates[:, 2] + rates[:, 3]

    whole = total(0)
    if not limbs[:, :, 1:].any():
        return whole
    carried, low = np.divmod(total(2), LIMB)
    more, high = np.divmod(total(1) + carried, LIMB)
    whole, rest = whole + more, high * LIMB + low
    rounded: Integers = whole + ((rest > HALF) | ((rest == HALF) & (whole % 2 == 1)))
    return rounded
