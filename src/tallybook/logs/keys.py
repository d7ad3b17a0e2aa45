"""A set of 64-bit keys in memory: sorted runs, 8 bytes a key, asked and filled by whole columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
GROWTH = 8
"""A run is merged into the one before it once it has an eighth of its size, so few runs ever need to be asked."""


class KeySet:
    """Keys that were added; it never forgets one."""

    def __init__(self, keys: Keys) -> None:
        self._runs = [np.sort(keys)] if len(keys) else []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def holds(self, keys: Keys) -> NDArray[np.bool_]:
        """For each of the ascending keys whether it was added."""
        held = np.zeros(len(keys), np.bool_)
        for run in self._runs:
            places = np.searchsorted(run, keys)
            places[places == len(run)] = 0
            held |= run[places] == keys
        return held

    def add(self, keys: Keys) -> None:
        """Adds ascending keys that it does not hold."""
        if len(keys):
            self._runs.append(keys)
        while len(self._runs) > 1 and len(self._runs[-1]) * GROWTH >= len(self._runs[-2]):
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate([before, last]), kind="stable"))
