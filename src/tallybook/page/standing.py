"""How the book stands, in a few words: closed through, what may be pruned, and whether the head has left the book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tallybook.anchoring.log import ANCHOR_FILE
from tallybook.wording import count_of


@dataclass(frozen=True)
class Standing:
    """The state of the whole book. `anchored` is where heads have come to, `failing` which places none reaches.

    `closed` counts the closed days of each source, `first_gap` is the first day that is missing.
    """

    closed_through: str | None
    closed: int
    sources: int
    first_gap: str | None
    safe_to_prune_before: str | None
    entries: int
    head: str | None
    anchored: tuple[str, ...]
    failing: tuple[str, ...]
    missing: int
    drift: int

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Self:
        """From the answer of `status`."""
        chain, sources = status["chain"], status["sources"]
        entries = chain["entries"]
        reached = [anchor for anchor in chain["anchors"] if anchor["through_seq"] >= entries and entries]
        missing = {day for each in sources for day in each["missing"]}
        return cls(
            closed_through=_earliest(sources, "closed_through"),
            closed=sum(each["days_closed"] + each["days_zero"] for each in sources),
            sources=len(sources),
            first_gap=min(missing, default=None),
            safe_to_prune_before=_earliest(sources, "safe_to_prune_before"),
            entries=entries,
            head=chain["head"],
            anchored=tuple(anchor["to"] for anchor in reached),
            failing=tuple(f"{anchor['to']}: {anchor['failing']}" for anchor in chain["anchors"] if anchor["failing"]),
            missing=len(missing),
            drift=sum(len(each["drift"] or ()) for each in sources),
        )

    @property
    def closed_text(self) -> str:
        """How far the book is closed; with a gap from early on, how much there is besides."""
        if self.closed_through:
            return f"closed through {self.closed_through}"
        if not self.closed:
            return "no day closed yet"
        gap = f", first gap {self.first_gap}" if self.first_gap else ""
        return f"{count_of(self.closed, 'day')}{f' of {self.sources} sources' if self.sources > 1 else ''} closed{gap}"

    @property
    def anchored_text(self) -> str:
        """Where the head stands outside the book; empty where it does not yet."""
        return ", ".join(place_of(name) for name in self.anchored)

    @property
    def trouble(self) -> str:
        """What needs somebody's hand; empty where nothing does."""
        told = (
            f"{count_of(self.missing, 'day')} missing" if self.missing else "",
            f"{count_of(self.drift, 'day')} drifted" if self.drift else "",
            "the head is not anchored" if self.failing else "",
        )
        return ", ".join(filter(None, told))


def place_of(anchor: str) -> str:
    """A place that heads go to, as it is called on the page: the file in the home by its name."""
    return f"in {ANCHOR_FILE}" if anchor == "file" else anchor


def _earliest(sources: list[Mapping[str, Any]], name: str) -> str | None:
    """The earliest of the sources' days; None where one has none."""
    days = [source[name] for source in sources]
    return min(days) if days and all(days) else None


def reasons_of(status: Mapping[str, Any]) -> dict[str, str]:
    """Why days are missing, by day, with the source where there are several."""
    found: dict[str, list[str]] = {}
    for source in status["sources"]:
        for failed in source["failed"]:
            found.setdefault(failed["day"], []).append(f"{source['source']}: {failed['reason']}")
    return {day: "; ".join(reasons) for day, reasons in found.items()}
