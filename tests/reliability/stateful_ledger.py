"""What has come into a book by an operation: read from its tables, held against the model, and entered there."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

import oracle
from oracle import Record
from reliability import model_figures as figures
from reliability.model import LOCAL, Entry, Model, Note
from reliability.model_figures import Told
from reliability.stateful_home import Home
from reliability.stateful_operations import Operation
from stories import fetch

Rows = dict[str, list[dict[str, Any]]]
ENTRIES = ("closings", "adjustments")
DAY_TABLES = ("daily_stats", "daily_slices", "daily_histograms")


def read_rows(home: Home) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of the tables that only grow, as it lies there."""
    return {
        table: set(fetch(home.keeper.book, f"SELECT * FROM {table}")) for table in (*ENTRIES, *DAY_TABLES, "prunings")
    }


@dataclass
class Ledger:
    """The book of a home beside its model. `interrupted` operations may have done a part of what they should."""

    home: Home
    model: Model
    figures: Counter[str]
    rows: dict[str, set[tuple[Any, ...]]] = field(default_factory=dict)

    def enter(self, operation: Operation, interrupted: bool = False) -> Counter[str]:
        """Enters what the operation has done into the model, and returns how many rows it added to each table."""
        before = {table: len(rows) for table, rows in self.rows.items()}
        new = self._new_entries()
        closings = [day for _, table, day in new if table == "closings"]
        assert [seq for seq, *_ in new] == list(
            range(len(self.model.entries) + 1, len(self.model.entries) + len(new) + 1)
        )
        assert closings == list(operation.closings) or (interrupted and _is_part(closings, list(operation.closings)))
        for seq, table, day in new:
            if table == "closings":
                self._check_closing(self.model.close(seq, day, operation.told(day)))
        self._enter_adjustments(
            operation, [(seq, day) for seq, table, day in new if table == "adjustments"], interrupted
        )
        self._enter_prunings(operation, interrupted)
        self.check_rows()
        return Counter({table: len(rows) - before.get(table, 0) for table, rows in self.rows.items()})

    def _new_entries(self) -> list[tuple[int, str, date]]:
        last = len(self.model.entries)
        return sorted(
            (seq, table, date.fromisoformat(day))
            for table in ENTRIES
            for seq, source, day in fetch(
                self.home.keeper.book, f"SELECT seq, source, day FROM {table} WHERE seq > {last}"
            )
            if source == LOCAL
        )

    def _check_closing(self, entry: Entry) -> None:
        """The closing and all rows of its day say what the records do."""
        self.figures["closings"] += 1
        payload = entry.told.payload(entry.day)
        (closing,) = self._rows("closings", f"day = '{entry.day}'")
        assert closing["digest"] == entry.told.digest(entry.day)
        assert (closing["state"], closing["records"]) == (
            "closed" if entry.told.records else "zero",
            len(entry.told.records),
        )
        assert closing["closed_at"] == entry.recorded_at
        stats, slices, histograms = (self._rows(table, f"date = '{entry.day}'") for table in DAY_TABLES)
        if not entry.told.records:
            assert stats == slices == histograms == []
            return
        (stat,) = stats
        assert [stat[name] for name in payload["measures"]] == payload["totals"]
        assert json.loads(stat["top_models"]) == payload["top_models"]
        names = [*entry.told.cut.dimensions, *payload["measures"]]
        assert [[row[name] for name in names] for row in slices] == payload["slices"]
        assert [[row["provider"], row["model"], json.loads(row["histogram"])] for row in histograms] == payload[
            "histograms"
        ]
        for name in payload["measures"]:
            assert sum(row[name] for row in slices) == stat[name]
        assert sum(count for _, count in json.loads(stat["histogram"])) == stat["latency_count"]

    def _rows(self, table: str, condition: str) -> list[dict[str, Any]]:
        order = ' ORDER BY "position"' if table in ("daily_slices", "daily_histograms") else ""
        with self.home.keeper.book._engine.connect() as connection:
            rows = connection.execute(sa.text(f"SELECT * FROM {table} WHERE {condition}{order}")).mappings()
            return [dict(row) for row in rows]

    def _enter_adjustments(self, operation: Operation, posted: list[tuple[int, date]], interrupted: bool) -> None:
        must, may = operation.postings()
        days = [day for _, day in posted]
        assert days == sorted(set(days))
        assert set(days) <= may
        assert interrupted or must <= set(days)
        allowed = {day: operation.notes(day) for day in self.model.closings()}
        operation.posted = {day: seq for seq, day in posted}
        for seq, day in posted:
            before = self.model.known()[day].told
            self._check_adjustment(self.model.adjust(seq, day), before)
        for day in self.model.closings():
            if day in days:
                allowed[day] = [*(allowed[day] if interrupted else ()), *operation.notes_when_adjusted(day)]
            if interrupted:
                allowed[day].append(self.model.notes.get(day))
        self._enter_notes(allowed)

    def _check_adjustment(self, entry: Entry, before: Told) -> None:
        """The adjustment says exactly what the records are, less what was known."""
        self.figures["adjustments"] += 1
        (row,) = self._rows("adjustments", f"seq = {entry.seq}")
        change = figures.subtract(figures.totals(entry.told.records), figures.totals(before.records))
        assert {name: row[name] for name in oracle.MEASURES if row[name]} == change
        assert change.get("requests", 0) >= 0
        assert row["recorded_at"] == entry.recorded_at
        assert json.loads(row["slices"]) == figures.changed_slices(before, entry.told)
        assert json.loads(row["histograms"]) == figures.changed_histograms(before, entry.told)

    def _enter_notes(self, allowed: dict[date, list[Note | None]]) -> None:
        noted = self.home.keeper.book.reconciliations.of(LOCAL)
        assert set(noted) <= set(allowed)
        for day, choices in allowed.items():
            found = noted.get(day)
            change = dict(zip(oracle.MEASURES, found.change, strict=True)) if found else {}
            note = (
                Note(found.state, found.since, {name: value for name, value in change.items() if value})
                if found
                else None
            )
            assert note in choices, (day, note, choices)
            if note is None:
                self.model.notes.pop(day, None)
            else:
                self.model.notes[day] = note

    def _enter_prunings(self, operation: Operation, interrupted: bool) -> None:
        """A day is noted as pruned before its records go, so that at most one is noted that has them still."""
        wanted = operation.prunes()
        counts = self.home.keeper.logs.counts()
        pruned = [day for day in wanted if day not in counts]
        noted = {date.fromisoformat(day) for (day,) in fetch(self.home.keeper.book, "SELECT day FROM prunings")}
        fresh = noted - self.model.pruned
        assert noted >= self.model.pruned
        assert pruned == wanted[: len(pruned)]
        assert fresh <= set(wanted[: len(pruned) + interrupted])
        assert interrupted or pruned == wanted
        self._enter_archives(operation, wanted[: len(pruned) + interrupted])
        for day in pruned:
            assert day in noted
            self.figures["prunes"] += 1
            self.model.prune(day)
        self.model.pruned |= noted

    def _enter_archives(self, operation: Operation, days: list[date]) -> None:
        for day in days if operation.archive else ():
            file = self.home.archive / f"{LOCAL}-{day}.parquet"
            if file.exists():
                assert _archived(pq.read_table(file).to_pylist()) == _archived(self.model.on(day))
                self.model.archived[day] = self.model.on(day)

    def check_rows(self) -> None:
        """No row that was there has gone or changed; a row that is new belongs to an entry that is in the model."""
        rows = read_rows(self.home)
        for table, known in self.rows.items():
            assert known <= rows[table], table
        assert len(rows["closings"]) + len(rows["adjustments"]) == len(self.model.entries)
        assert len(rows["daily_stats"]) == sum(bool(entry.told.records) for entry in self.model.closings().values())
        self.rows = rows


def _is_part(some: list[date], whole: list[date]) -> bool:
    return some == [day for day in whole if day in some]


def _archived(records: list[Record]) -> list[str]:
    names = ("model_name", "status_code", "request_id", "tokens_in", "latency_ms", "team")
    return sorted(repr([entry["created_at"].isoformat(), *(entry[name] for name in names)]) for entry in records)
