"""What the tests of every gateway do: attach its table, and read from it just as closing does."""

from __future__ import annotations

from datetime import date
from typing import Any

from databases import Database
from stories import NOW, YESTERDAY
from tallybook.content import DayContent
from tallybook.declaration import Declaration
from tallybook.measures import MEASURE_NAMES
from tallybook.source import Slicing
from tallybook.sources.attached import AttachedSource
from tallybook.sources.inspection import Findings, examine

Figures = dict[str, int]


def attached(database: Database, preset: str, **settings: str) -> AttachedSource:
    """The gateway's table as a source."""
    return AttachedSource(Declaration(name="gateway", url=database.url, preset=preset, settings=settings))


def pinned(source: AttachedSource) -> AttachedSource:
    """The source as it is kept from then on, with what attaching found of it."""
    return AttachedSource(source.inspection().pinned(None))


def live_in_tokyo(database: Database) -> None:
    """Has every new session of the PostgreSQL database begin in that zone."""
    database.run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), 'Asia/Tokyo'); END $$"
    )


def found(database: Database, preset: str, **settings: str) -> dict[str, Any]:
    """What `attach --json` shows."""
    return examined(database, preset, **settings).as_json()


def examined(database: Database, preset: str, **settings: str) -> Findings:
    """What attaching sees at `NOW`."""
    declaration = Declaration(name="gateway", url=database.url, preset=preset, settings=settings)
    return examine(declaration, NOW, Slicing())


def content(source: AttachedSource, day: date = YESTERDAY, *dimensions: str) -> DayContent:
    """The content of one day, sliced by the dimensions."""
    return next(source.contents([day], Slicing(dimensions or ("model", "provider", "team", "api_key"))))


def totals(day: DayContent) -> Figures:
    """The measures of the day that are not 0."""
    return {name: value for name, value in zip(MEASURE_NAMES, day.totals, strict=True) if value}


def slices(day: DayContent) -> dict[tuple[str | None, ...], Figures]:
    """The measures of each slice that are not 0."""
    return {
        part.key: {name: value for name, value in zip(MEASURE_NAMES, part.totals, strict=True) if value}
        for part in day.slices
    }
