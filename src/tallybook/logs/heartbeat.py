"""A heartbeat: tells again and again that a long work still runs, where its end alone would not be told by a crash."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tallybook.errors import LogsError

log = logging.getLogger(__name__)


@contextmanager
def beating(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """While this lasts, `beat` is called every so many seconds; one that fails is logged, and the next is tried."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every_s):
            try:
                beat()
            except LogsError as error:
                log.warning("heartbeat failed", extra={"error": error.message})

    thread = threading.Thread(target=run, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
