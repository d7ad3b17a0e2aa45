"""Remembering what the bookkeeper said of closed days, for a page that many look at and that asks again and again."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tallybook.bookkeeper import Answer, Bookkeeper
from tallybook.source import Source

MAX_ANSWERS = 200


@dataclass(frozen=True)
class Look:
    """One look at the book: the bookkeeper as far as a survey needs it, and answers that were given from here."""

    keeper: Bookkeeper
    answers: dict[Hashable, Answer]

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self.keeper.dimensions

    def now(self) -> datetime:
        return self.keeper.now()

    def sources(self) -> list[Source]:
        return self.keeper.sources()

    def status(self) -> Answer:
        return self.keeper.status()

    def stats(self, **asked: Any) -> Answer:
        """As `Bookkeeper.stats`; what it answers must be left as it is. Today is asked for each time."""
        if asked.get("live") or asked.get("period") == "today":
            return self.keeper.stats(**asked)
        key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(asked.items()))
        if (answer := self.answers.get(key)) is None:
            answer = self.keeper.stats(**asked)
            if len(self.answers) < MAX_ANSWERS:
                self.answers[key] = answer
        return answer


class Memory:
    """Keeps answers from closed days until the book, the day or what is known of the sources changes. Thread-safe."""

    def __init__(self, keeper: Bookkeeper) -> None:
        self._keeper = keeper
        self._lock = threading.Lock()
        self._vantage: Hashable = None
        self._answers: dict[Hashable, Answer] = {}

    def look(self) -> Look:
        """A look at the book as it is now."""
        vantage = self._keeper.vantage()
        with self._lock:
            if vantage != self._vantage or len(self._answers) >= MAX_ANSWERS:
                self._vantage, self._answers = vantage, {}
            return Look(self._keeper, self._answers)
