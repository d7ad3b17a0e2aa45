"""How the book stands, in a few words: closed through, what may be pruned, and whether the head has left the book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tallybook.wording import count_of


@dataclass(frozen=True)
class Standing:
    """The state of the whole book. `anchored` is where heads have come to, `failing` which places none reaches."""

    closed_through: str | None
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
        return cls(
            closed_through=_earliest(sources, "closed_through"),
            safe_to_prune_before=_earliest(
                [each for each in sources if each["records_in_logs"]], "safe_to_prune_before"
            ),
            entries=entries,
            head=chain["head"],
            anchored=tuple(anchor["to"] for anchor in reached),
            failing=tuple(f"{anchor['to']}: {anchor['failing']}" for anchor in chain["anchors"] if anchor["failing"]),
            missing=sum(len(each["missing"]) for each in sources),
            drift=sum(len(each["drift"] or ()) for each in sources),
        )

    @property
    def trouble(self) -> str:
        """What needs somebody's hand; empty where nothing does."""
        told = (
            f"{count_of(self.missing, 'day')} missing" if self.missing else "",
            f"{count_of(self.drift, 'day')} drifted" if self.drift else "",
            "the head is not anchored" if self.failing else "",
        )
        return ", ".join(filter(None, told))


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
