"""The scheduler in the server: at start, and at the start of every minute, it runs the daily job once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

log = logging.getLogger(__name__)

MINUTE_S = 60


class Scheduler:
    """A thread that ticks. Level-triggered: each tick asks what is missing, so a late or lost one does no harm."""

    def __init__(self, tick: Callable[[Callable[[], bool]], object], clock: Callable[[], datetime]) -> None:
        self._tick = tick
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Ticks at once, and from then on at each whole minute of the clock."""
        self._thread.start()

    def stop(self) -> None:
        """Lets the tick at work finish its day, then ends."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._tick(self._stopping.is_set)
            except Exception:  # one bad tick must not end the ticking
                log.exception("tick failed; it is tried again in a minute")
            self._stopping.wait(seconds_to_next_minute(self._clock()))


def seconds_to_next_minute(now: datetime) -> float:
    """How long until the clock shows a whole minute: 00:05:00 is always one of the ticks."""
    return MINUTE_S - now.second - now.microsecond / 1_000_000
