"""Looking at a source: which table it has, how the preset meets it, and what attaching shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from tallybook.content import DayContent
from tallybook.days import ONE_DAY, day_of
from tallybook.declaration import Declaration, FailuresSeen, Pinned
from tallybook.errors import SourceFault, UsageError
from tallybook.measures import REQUESTS
from tallybook.source import Slicing
from tallybook.sources.engines.engine import Engine
from tallybook.sources.extremes import TEXTS_AT_ONCE, first_instant, unread_times
from tallybook.sources.instants import guess_time_unit
from tallybook.sources.matching import Match, Wishes, check, match
from tallybook.sources.opt_in import LoggedFailures
from tallybook.sources.places import Place, open_place
from tallybook.sources.portable import quote
from tallybook.sources.preset import Preset
from tallybook.sources.presets import EVERY_DATABASE, PRESETS
from tallybook.sources.relation import Relation, edges_of, window_of
from tallybook.sources.table import TableSource
from tallybook.sources.urls import SourceUrl


@dataclass(frozen=True)
class Inspection:
    """A source as it was found. `unknown` names what none of its days can tell; `failures` are those that are logged
    only where the gateway is told to, unless the user says whether it does."""

    declaration: Declaration
    preset: Preset
    place: Place
    table: str
    match: Match
    kinds: Mapping[str, str]
    unknown: tuple[str, ...]
    failures: LoggedFailures | None

    @property
    def source(self) -> TableSource:
        """The source, ready to be read."""
        relation = replace(self.match.relation, unknown=self.unknown)
        return TableSource(self.declaration.name, relation, self.place.engine, self.failures)

    def pinned(self, first_day: date | None) -> Declaration:
        """The declaration with what was found, for later readings to hold on to."""
        return Declaration(**{**_values(self.declaration), "pinned": self.pin(first_day)})

    def pin(self, first_day: date | None) -> Pinned:
        """What was found, for later readings to hold on to."""
        return Pinned(self.table, dict(self.kinds), first_day, self.failures_seen)

    @property
    def failures_seen(self) -> FailuresSeen:
        """What is known by now of failures that are logged only sometimes."""
        return self.failures.seen if self.failures else FailuresSeen()


def _values(declaration: Declaration) -> dict[str, Any]:
    return {name: getattr(declaration, name) for name in declaration.__struct_fields__}


def inspect(declaration: Declaration) -> Inspection:
    """Connects and looks. Raises `SourceDown`, `SourceFault`, or `UsageError` for what can never be."""
    preset, wishes = check(declaration)
    url = SourceUrl(declaration.url)
    timeout = wishes.setting("timeout_s")
    place = open_place(url, int(timeout) if timeout else None)
    _check_database(preset, place)
    table, origin, kinds = _find_table(declaration, preset, wishes, place)
    found = match(preset, wishes, place.family, origin, kinds, _time_unit(preset, wishes, place, origin, kinds))
    read = {name: kinds[name] for name, _ in found.relation.columns}
    if declaration.pinned:
        _check_unchanged(declaration.pinned, read, table)
    unknown = _unknown(preset, wishes, found)
    failures = None if unknown else _logged_failures(declaration, preset, wishes, place, found)
    return Inspection(declaration, preset, place, table, found, read, unknown, failures)


def _check_database(preset: Preset, place: Place) -> None:
    if place.family in (*preset.databases, "files") or (
        place.family not in EVERY_DATABASE and preset is PRESETS["log_records"]
    ):
        return
    raise UsageError(
        f"The preset {preset.name} reads {', '.join(preset.databases)}, not {place.family}.",
        "Give another --preset, or a SELECT with --query.",
    )


def _find_table(
    declaration: Declaration, preset: Preset, wishes: Wishes, place: Place
) -> tuple[str, str, Mapping[str, str]]:
    """The table's name for people, what stands after FROM, and the kinds of its columns."""
    engine = place.engine
    if declaration.query:
        origin = f"({declaration.query.strip().rstrip(';')}\n)"
        return "a query", origin, _columns_of_query(engine, origin)
    if place.origin:
        return "files", place.origin, engine.describe(place.origin)
    wished = wishes.setting("table")
    names = (wished,) if wished else preset.tables_on(place.family)
    fault: SourceFault | None = None
    for name in names:
        origin = quote(name, engine.dialect)
        try:
            return name, origin, engine.describe(origin)
        except SourceFault as error:
            fault = fault or error
    message = fault.message if fault else ""
    others = "the gateway with --preset, or a table with --set table=NAME" if preset.name == "log_records" else ""
    remedy = f"Name {others}." if others else f"Is {' or '.join(names)} the table? Name another with --set table=NAME."
    raise SourceFault(message, remedy)


def _columns_of_query(engine: Engine, origin: str) -> dict[str, str]:
    try:
        return engine.describe(origin)
    except SourceFault as error:
        raise SourceFault(error.message, "Mend the query: a single SELECT, as the database itself takes it.") from error


def _time_unit(preset: Preset, wishes: Wishes, place: Place, origin: str, kinds: Mapping[str, str]) -> str | None:
    """The unit of a time that is a number: as is said, else as the preset knows, else guessed from the latest."""
    if wishes.time_unit or preset.time:
        return wishes.time_unit or preset.time
    mapped = dict(wishes.columns).get("created_at")
    column = next(
        (name for name in ((mapped,) if mapped else preset.time_columns_on(place.family)) if name in kinds), None
    )
    if column is None or kinds[column] != "int":
        return None
    ((latest,),) = place.engine.rows(f"SELECT MAX({quote(column, place.engine.dialect)}) FROM {origin} AS t")
    return guess_time_unit(int(latest)) if latest else None


_CHANGED = (
    "Mend the table, or detach the source and attach it again; for one of tallybook.toml delete pins.json in the home."
)


def _check_unchanged(pinned: Pinned, kinds: Mapping[str, str], table: str) -> None:
    """A column that now has another type may mean something else; nothing is closed from it unasked.

    A column of SQLite has no type while it has no value.
    """
    if table != pinned.table:
        raise SourceFault(f"The table is {table} now, and was {pinned.table} when it was attached.", _CHANGED)
    for name, before in pinned.kinds.items():
        now = kinds.get(name)
        if now is None:
            raise SourceFault(f"The column {name} of {table} is gone, or its name or type has changed.", _CHANGED)
        if now != before and "unknown" not in (now, before) and {now, before} != {"int", "float"}:
            raise SourceFault(
                f"The column {name} of {table} is {now} now, and was {before} when it was attached.", _CHANGED
            )


def _unknown(preset: Preset, wishes: Wishes, found: Match) -> tuple[str, ...]:
    """What no day of the source can tell."""
    said = wishes.setting("failures")
    if said == "logged" or (said is None and preset.limits.failures != "none"):
        return found.relation.unknown
    return ("failed",)


def _logged_failures(
    declaration: Declaration, preset: Preset, wishes: Wishes, place: Place, found: Match
) -> LoggedFailures | None:
    """Who looks for the day from which on failures are logged; None where it is known that they are."""
    if preset.failure is None or wishes.setting("failures"):
        return None
    failed = replace(found.relation, where=(*found.relation.where, preset.failure))
    source = TableSource(declaration.name, found.relation, place.engine)
    pin = declaration.pinned
    return LoggedFailures(
        pin.failures if pin else FailuresSeen(),
        lambda since, until: first_instant(failed, place.engine, since, until),
        lambda: (pin.first_day if pin else None) or source.first_day(),
    )


@dataclass(frozen=True)
class Findings:
    """What attaching shows: the table, its records, what they can tell and what not, and what would make it quicker."""

    inspection: Inspection
    first: datetime | None
    last: datetime | None
    yesterday: DayContent
    create_index: str | None
    unread_times: int = 0

    def as_json(self) -> dict[str, Any]:
        found = self.inspection
        return {
            "source": found.declaration.name,
            "engine": found.place.engine.title,
            "url": SourceUrl(found.declaration.url).shown(),
            "preset": "query" if found.declaration.query else found.preset.name,
            "table": found.table,
            "time": {"column": found.match.relation.time_column, "unit": found.match.relation.time},
            "first_record": _iso(self.first),
            "last_record": _iso(self.last),
            "yesterday": {"day": self.yesterday.day.isoformat(), "requests": self.yesterday.totals[REQUESTS]},
            "fills": [_NAMES.get(name, name) for name in found.match.filled],
            "cannot_fill": [_NAMES.get(name, name) for name in found.match.missing],
            "limits": limits(found),
            "warnings": self._warnings(),
            "create_index": self.create_index,
        }

    def _warnings(self) -> list[str]:
        warnings = []
        if self.create_index:
            column = self.inspection.match.relation.time_column
            warnings.append(f"no index helps to find a day by {column}: each closing reads the whole table")
        if self.unread_times:
            column = self.inspection.match.relation.time_column
            few = f"of the last {TEXTS_AT_ONCE:,} times in {column}"
            warnings.append(f"{self.unread_times:,} {few} are no instants: their records are left out")
        if self.first is None:
            unit = self.inspection.declaration.settings.get("time_unit")
            unless = f", or its time is not in {unit}" if unit else ""
            warnings.append(f"there is no record yet{unless}; it counts as a source from its first record on")
        return warnings


_NAMES = {"cost_nanousd": "cost_usd"}


def limits(found: Inspection) -> dict[str, Any]:
    """What the source cannot tell, as attaching shows it."""
    known, filled = found.preset.limits, found.match.filled
    failures = known.failures if "status_code" in filled else "none"
    if failures == "opt-in":
        failures = _opt_in(found)
    return {
        "failures": failures,
        "latency_resolution": known.latency_resolution if "latency_ms" in filled else "none",
        "ttft": known.ttft if "ttft_ms" in filled else "none",
        "count_by": "request" if found.match.relation.attempts else _count_by(found.preset),
        "notes": list(known.notes),
    }


def _opt_in(found: Inspection) -> str:
    since = found.failures_seen.since
    if found.unknown or (found.failures and not since):
        return "opt-in, none logged"
    return f"opt-in, logged since {since}" if since else "opt-in, logged"


def _count_by(preset: Preset) -> str:
    return "attempt" if preset.attempts else preset.limits.count_by


def examine(declaration: Declaration, now: datetime, slicing: Slicing) -> Findings:
    """Inspects the source and reads yesterday from it, just as closing will."""
    found = inspect(declaration)
    source = found.source
    first, last = source.first_instant(), source.last_instant()
    if found.failures and last:
        found.failures.look(day_of(now) - ONE_DAY, min(day_of(last), day_of(now)))
    yesterday = next(source.contents([day_of(now) - ONE_DAY], slicing))
    create_index = _create_index(found, day_of(now) - ONE_DAY)
    unread = unread_times(found.match.relation, found.place.engine)
    return Findings(found, first, last, yesterday, create_index, unread)


def _create_index(found: Inspection, day: date) -> str | None:
    """The statement that makes the index which the source lacks; None where it has one or needs none."""
    relation, engine = found.match.relation, found.place.engine
    if found.declaration.query or not engine.scans_all(relation, window_of(edges_of([day]))):
        return None
    columns = found.preset.index if relation.time_column in found.preset.index else (relation.time_column,)
    quoted = [quote(name, engine.dialect) for name in columns]
    table = quote(found.table, engine.dialect)
    template = _INDEXES.get(found.place.family, _INDEXES[""])
    return template.format(table=table, columns=", ".join(quoted), time=quoted[0], name=_index_name(relation))


_INDEXES = {
    "": "CREATE INDEX {name} ON {table} ({columns})",
    "postgresql": "CREATE INDEX CONCURRENTLY {name} ON {table} ({columns})",
    "clickhouse": "ALTER TABLE {table} ADD INDEX {name} {time} TYPE minmax GRANULARITY 1, MATERIALIZE INDEX {name}",
}


def _index_name(relation: Relation) -> str:
    return f"ix_tallybook_{relation.time_column.lower()}"


def _iso(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if instant else None
