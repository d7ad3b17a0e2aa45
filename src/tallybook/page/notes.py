"""What to know before the figures are believed, in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tallybook.page.asked import Asked
from tallybook.page.differences import unknown_measures
from tallybook.page.figures import REQUESTS
from tallybook.wording import count_of


@dataclass(frozen=True)
class Note:
    """A sentence; `link` where there is more to read, `action` the words that lead there if not the whole."""

    kind: str
    text: str
    link: str = ""
    action: str = ""


def demo_notes(chosen: Sequence[str], sources: Sequence[Mapping[str, Any]]) -> Iterator[Note]:
    """Which of the chosen sources hold demo traffic; named where others are chosen too."""
    for source in sources:
        if source["synthetic"] and source["source"] in chosen:
            name = f"{source['source']} is" if len(chosen) > 1 else "Synthetic"
            yield Note("demo", f"{name} demo traffic: nobody sent these requests.")


def basis_notes(asked: Asked) -> Iterator[Note]:
    """That adjustments are left out, and the way back."""
    if asked.basis == "original":
        link = asked.url(basis="adjusted")
        yield Note("restated", "Shown as first closed, without adjustments.", link, "Show it with adjustments")


def period_notes(asked: Asked, survey: Mapping[str, Any]) -> Iterator[Note]:
    """The notes on a period, of what the operation `survey` answers."""
    stats = survey["stats"]
    yield from demo_notes(stats["sources"], survey["status"]["sources"])
    if missing := stats["days"]["missing"]:
        yield Note("warning", f"{count_of(missing, 'day')} of this period {_is(missing)} not closed yet.", "book")
    if gone := stats["days"].get("source-gone"):
        yield Note("warning", _gone(gone))
    yield from basis_notes(asked)
    if restated := _restated(asked, survey):
        yield Note("restated", restated, "book#adjustments")
    for name, reason in stats.get("unreachable", {}).items():
        yield Note("warning", f"Today without {name}: {reason}")
    if unknown := unknown_measures(stats["unknown"]):
        yield Note("unknown", f"Unknown, which is not zero: {'; '.join(unknown)}.")


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _gone(count: int) -> str:
    has = "has" if count == 1 else "have"
    return f"{count_of(count, 'closed day')} {has} more records in the book than the source has now."


def _restated(asked: Asked, survey: Mapping[str, Any]) -> str:
    """By how much late records have changed the number of requests."""
    adjustments = survey["stats"]["adjustments"]
    if asked.basis == "original" or not adjustments:
        return ""
    before, now = REQUESTS.of(survey["original"]["totals"]), REQUESTS.of(survey["stats"]["totals"])
    share = f" {100 * (now - before) / before:+.1f} %" if before and now is not None else ""
    return f"restated{share}: {count_of(adjustments, 'adjustment')}"
