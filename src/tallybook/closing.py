"""Closing days. `close_day` is the only writer of a day; everything else chooses which days it is given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

from tallybook.book.entries import Closing
from tallybook.book.ledger import AlreadyClosed, Book
from tallybook.content import DayContent
from tallybook.days import days_between, last_closable, runs_of
from tallybook.errors import CloseFailed, LogsError, SourceDown, TallybookError, first_line
from tallybook.measures import TOKENS_IN, TOKENS_OUT
from tallybook.source import Slicing, Source

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a day that was to be closed."""

    CLOSED = "closed"
    ZERO = "zero"
    EXISTS = "exists"
    SKIPPED = "skipped"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """The outcome for one source and day; `digest` where the day is in the book, `reason` where it is not."""

    source: str
    day: date
    outcome: Outcome
    requests: int | None = None
    digest: str | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        answer = {
            "source": self.source,
            "day": self.day.isoformat(),
            "outcome": str(self.outcome),
            "requests": self.requests,
            "digest": self.digest,
        }
        return answer | ({"reason": self.reason} if self.reason else {})


def close_day(book: Book, source: Source, day: date, now: datetime, content: DayContent) -> Result:
    """Writes a day that is over into the book, once: closing, daily stat, slices and histograms in one transaction.

    Closing it again changes nothing and answers `exists`, as it does to the slower of two that close it at once. A day
    that is not over is `refused`, whoever asks.
    """
    if day > last_closable(now):
        return _refused(source, day)
    try:
        closing = book.append(source.name, content, now, source.price_versions(day))
    except AlreadyClosed as raced:
        return _existing(raced.closing)
    result = Result(source.name, day, Outcome(closing.state), closing.records, closing.digest)
    _log_result(result, content)
    return result


def close_days(
    book: Book,
    source: Source,
    days: Sequence[date],
    now: datetime,
    slicing: Slicing,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Result]:
    """Closes each of the ascending days that can be closed, yielding a result for every one as it is known.

    The source is read once for each run of consecutive open days, however many they are. A day that fails is reported
    and the others go on. When `cancelled` says so, or the caller stops listening, what is closed stays closed.
    """
    if not days:
        return
    closed = {closing.day: closing for closing in book.closings(source.name, min(days), max(days))}
    try:
        first_day = first_known_day(book, source)
    except LogsError as error:
        yield from _all_failed(book, source, days, now, closed, error.message)
        return
    judged = ((day, _judge(source, day, now, closed, first_day)) for day in days)
    for is_open, run in groupby(judged, key=lambda entry: entry[1] is None):
        if is_open:
            yield from _close_open_days(book, source, [day for day, _ in run], now, slicing, cancelled)
        else:
            yield from (result for _, result in run if result)
        if cancelled():
            return


def first_known_day(book: Book, source: Source) -> date | None:
    """The source's first day: of its earliest record, or of its first closing where older logs have been pruned."""
    return min(filter(None, (source.first_day(), book.first_day(source.name))), default=None)


def missing_days(book: Book, source: Source, now: datetime) -> list[date]:
    """The days, from the source's first on, that could be closed at `now` and are not in the book."""
    first_day = first_known_day(book, source)
    if first_day is None:
        return []
    closed = book.days_closed(source.name)
    return [day for day in days_between(first_day, last_closable(now)) if day not in closed]


def known_missing_days(book: Book, source: Source, now: datetime) -> list[date]:
    """The missing days of a source that cannot be asked for its first; yesterday, where that was never known."""
    first_day = remembered_first_day(book, source)
    if first_day is None:
        return [last_closable(now)]
    closed = book.days_closed(source.name)
    return [day for day in days_between(first_day, last_closable(now)) if day not in closed]


def remembered_first_day(book: Book, source: Source) -> date | None:
    """The first day of a source as far as it is known without asking it, or, where even that fails, by its closings."""
    try:
        known = source.known_first_day()
    except LogsError:
        known = None
    return min(filter(None, (known, book.first_day(source.name))), default=None)


def _all_failed(
    book: Book, source: Source, days: Sequence[date], now: datetime, closed: dict[date, Closing], reason: str
) -> Iterator[Result]:
    """The results for days of a source that does not even tell its first day."""
    first_day = remembered_first_day(book, source) or min(days)
    for day in days:
        yield _judge(source, day, now, closed, first_day, ask=False) or failed(source, day, reason)


def _judge(
    source: Source, day: date, now: datetime, closed: dict[date, Closing], first_day: date | None, ask: bool = True
) -> Result | None:
    """The result for a day that is not to be closed; None for one that is."""
    if day > last_closable(now):
        return _refused(source, day)
    if day in closed:
        return _existing(closed[day])
    if first_day is None or day < first_day:
        return _log_result(Result(source.name, day, Outcome.SKIPPED, reason="before the source's first record"))
    if ask and (busy := source.busy()):
        return failed(source, day, busy)
    return None


def failed(source: Source, day: date, reason: str) -> Result:
    """The result for a day that stays open, to be tried again; logged as a warning."""
    return _log_result(Result(source.name, day, Outcome.FAILED, reason=reason))


def _refused(source: Source, day: date) -> Result:
    reason = f"{day} is not over: it can be closed from 00:05 UTC of the next day on"
    return _log_result(Result(source.name, day, Outcome.REFUSED, reason=reason))


def _existing(closing: Closing) -> Result:
    facts = {"source": closing.source, "date": closing.day.isoformat(), "reason": "it is closed already"}
    log.info("day exists", extra=facts)
    return Result(closing.source, closing.day, Outcome.EXISTS, closing.records, closing.digest)


def _close_open_days(
    book: Book, source: Source, days: list[date], now: datetime, slicing: Slicing, cancelled: Callable[[], bool]
) -> Iterator[Result]:
    """A source that is down is asked no more: all its days that are left have failed, and one line of log says so."""
    left = list(days)
    try:
        for result in _close_in_chunks(book, source, days, now, slicing, cancelled):
            left.remove(result.day)
            yield result
    except SourceDown as error:
        yield failed(source, left[0], error.message)
        yield from (Result(source.name, day, Outcome.FAILED, reason=error.message) for day in left[1:])


def _close_in_chunks(
    book: Book, source: Source, days: list[date], now: datetime, slicing: Slicing, cancelled: Callable[[], bool]
) -> Iterator[Result]:
    for chunk in runs_of(days, source.days_per_read):
        done = 0
        for result in _close_chunk(book, source, chunk, now, slicing):
            done += result.outcome is not Outcome.FAILED
            if result.outcome is Outcome.FAILED and len(chunk) > 1:
                break
            yield result
            if cancelled():
                return
        if done < len(chunk) > 1:
            yield from _close_one_by_one(book, source, chunk[done:], now, slicing, cancelled)


def _close_one_by_one(
    book: Book, source: Source, days: list[date], now: datetime, slicing: Slicing, cancelled: Callable[[], bool]
) -> Iterator[Result]:
    """After a common read has failed: each day on its own, so that only those at fault stay open."""
    for day in days:
        yield from _close_chunk(book, source, [day], now, slicing)
        if cancelled():
            return


def _close_chunk(book: Book, source: Source, days: list[date], now: datetime, slicing: Slicing) -> Iterator[Result]:
    """Closes consecutive days from one read; stops with `failed` at the first that fails. Lets `SourceDown` through."""
    day = days[0]
    imports_begun = source.imports_begun()
    contents = source.contents(days, slicing)
    try:
        for day in days:
            content = next(contents)
            _check_undisturbed(source, imports_begun, day)
            yield close_day(book, source, day, now, content)
    except SourceDown:
        raise
    except TallybookError as error:
        yield failed(source, day, error.message)
    except Exception as error:
        log.exception("day failed unexpectedly", extra={"source": source.name, "date": str(day)})
        yield Result(source.name, day, Outcome.FAILED, reason=first_line(error))
    finally:
        contents.close()


def _check_undisturbed(source: Source, imports_begun: int, day: date) -> None:
    """A day that was read while files came in might be half filled."""
    if source.busy() or source.imports_begun() != imports_begun:
        raise CloseFailed(f"An import began while {day} was read.")


def _log_result(result: Result, content: DayContent | None = None) -> Result:
    facts: dict[str, Any] = {"source": result.source, "date": result.day.isoformat()}
    if content is not None:
        facts |= {
            "requests": result.requests,
            "tokens_in": content.totals[TOKENS_IN],
            "tokens_out": content.totals[TOKENS_OUT],
        }
        log.info("day %s", result.outcome, extra=facts)
    elif result.outcome is Outcome.FAILED:
        log.warning("day failed", extra={**facts, "error": result.reason})
    else:
        log.info("day %s", result.outcome, extra={**facts, "reason": result.reason})
    return result
