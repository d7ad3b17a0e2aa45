"""Closing days from the page: one backfill at a time, whose progress can be looked at, and which can be cancelled."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tallybook.bookkeeper import Answer, Bookkeeper, Watch
from tallybook.days import parse_day
from tallybook.errors import TallybookError, UsageError
from tallybook.periods import between
from tallybook.wording import count_of


@dataclass
class Backfill:
    """A backfill as the page shows it; `outcome` is empty while it runs."""

    first: str
    last: str
    stage: str = "waiting for its turn"
    done: float = 0.0
    outcome: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def is_running(self) -> bool:
        return not self.outcome

    def watch(self) -> Watch:
        """Who follows it."""
        return Watch(on_progress=self._note, cancelled=self.cancelled.is_set)

    def _note(self, stage: str, done: float | None) -> None:
        self.stage, self.done = stage, done or self.done


class Backfills:
    """The latest backfill that was begun from the page. Thread-safe."""

    def __init__(self, keeper: Bookkeeper, pool: ThreadPoolExecutor) -> None:
        self._keeper = keeper
        self._pool = pool
        self._lock = threading.Lock()
        self.latest: Backfill | None = None

    def begin(self, first: str, last: str) -> None:
        """Begins one; a `UsageError` where that is no range of days, and while another is at work."""
        between(parse_day(first), parse_day(last))
        with self._lock:
            if self.latest and self.latest.is_running:
                raise UsageError("Days are being closed already.", "Wait until that is done, or cancel it.")
            self.latest = Backfill(first, last)
        self._pool.submit(self._run, self.latest)

    def cancel(self) -> None:
        """Has the one that is at work stop after the day that it is at."""
        if self.latest:
            self.latest.cancelled.set()

    def _run(self, backfill: Backfill) -> None:
        try:
            answer = self._keeper.backfill(backfill.watch(), first=backfill.first, last=backfill.last)
            backfill.outcome = _outcome(answer, backfill.cancelled.is_set())
        except TallybookError as error:
            backfill.outcome = f"{error.message} {error.remedy}".strip()
        finally:
            backfill.outcome = backfill.outcome or "It failed unexpectedly; the server's log has the details."


def _outcome(answer: Answer, is_cancelled: bool) -> str:
    outcomes = Counter(result["outcome"] for result in answer["results"])
    told = ", ".join(f"{count_of(count, 'day')} {outcome}" for outcome, count in outcomes.items()) or "nothing to close"
    return f"Cancelled: {told}." if is_cancelled else f"Done: {told}."
