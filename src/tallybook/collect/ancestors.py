"""Spans above requests to models: a parent ends after its children, so it often comes in a later body than they."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MAX_REMEMBERED = 200_000


class Ancestors:
    """The keys of spans that stand above a request that was read before; the oldest are forgotten first."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._keys: dict[str, None] = {}

    def climb(self, requests: Iterable[str], parents: Mapping[str, str]) -> set[str]:
        """Which of one body's requests stand above another, of this body or of one before; remembers all ancestors.

        `parents` has the parent of each of the body's spans. Each span is climbed over once, so a chain of any length,
        or one that goes in a circle, takes no longer than its spans are many; a span is not above itself.
        """
        own = list(requests)
        above: set[str] = set()
        for start in (*own, *(key for key in parents if key in self._keys)):
            key = parents.get(start)
            while key is not None and key not in above and key != start:
                above.add(key)
                key = parents.get(key)
        found = {key for key in own if key in above or key in self._keys}
        self._remember(above)
        return found

    def _remember(self, keys: Iterable[str]) -> None:
        self._keys.update(dict.fromkeys(keys))
        for _ in range(len(self._keys) - self._limit):
            del self._keys[next(iter(self._keys))]
