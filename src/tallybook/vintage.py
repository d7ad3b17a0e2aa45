"""The vintage of a figure: as first closed or as adjusted since, and as known at which instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tallybook.days import ONE_DAY, format_instant, midnight, parse_day
from tallybook.errors import UnknownName, UsageError, shorten

BASES = ("adjusted", "original")


@dataclass(frozen=True)
class Vintage:
    """Which entries count: all, or those recorded until `as_of`; on the basis `original` no adjustments."""

    basis: str = "adjusted"
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise UnknownName("basis", self.basis, BASES)

    def has(self, recorded_at: str) -> bool:
        """Whether an entry of this instant, as the book writes it, was known."""
        return self.as_of is None or recorded_at <= format_instant(self.as_of)

    def has_adjustment(self, recorded_at: str) -> bool:
        """Whether an adjustment of this instant counts."""
        return self.basis == "adjusted" and self.has(recorded_at)


CURRENT = Vintage()
"""As adjusted, as known now."""


def parse_as_of(text: str) -> datetime:
    """An instant with an offset, or a day, which means its end; anything else is a `UsageError`."""
    try:
        if len(text) == len("2026-11-22"):
            return midnight(parse_day(text) + ONE_DAY) - timedelta(seconds=1)
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (UsageError, ValueError, OverflowError):
        pass
    raise UsageError(
        f"{shorten(text)!r} is no instant.", "Write it as 2026-11-22T12:00:00Z, or as a day, which means its end."
    )
