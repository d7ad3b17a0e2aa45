"""How many bytes of requests may be in memory at once: past that, senders are told to come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tallybook.errors import TallybookError

MAX_QUEUE_BYTES = 256 << 20


class Overloaded(TallybookError):
    """More has been sent than is stored yet; the same request succeeds a little later."""

    code = "overloaded"


class Budget:
    """Bytes of bodies that are being read, and of records that wait to be stored. Thread-safe."""

    def __init__(self, limit_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0
        self._lock = threading.Lock()

    @property
    def taken_bytes(self) -> int:
        """What is taken now."""
        return self._taken_bytes

    @contextmanager
    def allowance(self) -> Iterator[Allowance]:
        """What one request takes, given back when it ends."""
        allowance = Allowance(self)
        try:
            yield allowance
        finally:
            self.give(allowance.taken_bytes)

    def take(self, size_bytes: int) -> None:
        """Takes the bytes, or raises `Overloaded` where they would be too many."""
        with self._lock:
            if self._taken_bytes + size_bytes > self._limit_bytes:
                raise Overloaded("More is waiting to be stored than fits.", "Send the batch again in a second.")
            self._taken_bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Gives bytes back."""
        with self._lock:
            self._taken_bytes -= size_bytes


class Allowance:
    """The bytes of one request's body."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.taken_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Takes more, or raises `Overloaded`."""
        self._budget.take(size_bytes)
        self.taken_bytes += size_bytes
